// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The keyring: for whom backups are encrypted, and with what they are decrypted, as the configuration says. It knows nothing of
 * stores: whoever has the first bytes of an object asks it for the keys.
 *
 * To write, a job's recipients are asked for once for each artifact (keyring_recipients()), so that a change of the configuration, or
 * of a file of recipients, is for the next one. To read, keyring_open() decrypts the header of an object with the identities of
 * [keepfs], and keeps the keys of KEYRING_KEPT objects, by what the store holds of them: X25519 costs a tenth of a millisecond, a
 * passphrase a second. Identities are read when they are first needed, again when their file is another one, and once more before an
 * object is given up that none of them opens.
 *
 * All that is secret here is wiped when it goes. Any thread, but not those of the mount: files are read, and commands are run.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/hash.h>
#include <keepfs/conf.h>

#define KEYRING_KEPT 1024
/** KEYRING_PASSPHRASES_MAX - different ones that are tried for an object: each takes a second, and its memory (codec/age.h), one at a time. */
#define KEYRING_PASSPHRASES_MAX 16

/** keyring_is_encrypting() - is what @job makes (NULL: records, and copies of the catalog) to be encrypted? Pure. */
bool keyring_is_encrypting(const struct conf *conf, const struct conf_job *job);
/**
 * keyring_recipients() - for whom that is
 * @ret: the caller's; NULL: it is not encrypted
 * Blocks on the local disk, and for a command that prints a passphrase.
 * Return: 0; -EINVAL (ERROR_USAGE) when the file of recipients holds something else; as secret_get() of keepfs/secret.h.
 */
int keyring_recipients(const struct conf *conf, const struct conf_job *job, struct cancel *cancel,
                       struct age_recipients **ret, struct error *err);
#define KEYRING_PASSPHRASE "passphrase" /* the recipient that is a passphrase */
/** keyring_recipients_text() - append "age1…, age1…": what the manifest's `encrypted_to` has. */
void keyring_recipients_text(const struct age_recipients *r, struct str *out);

struct keyring;

/** keyring_new() - with the identities of @conf, which is not needed any more. None is read yet. */
struct keyring *keyring_new(const struct conf *conf);
/** keyring_follow() - another configuration is in force: its identities replace those of before, and are read when they are needed. The keys of
 * objects that are open stay with whoever has them; those that were kept are forgotten. Any thread; reads nothing. */
void keyring_follow(struct keyring *k, const struct conf *conf);
struct keyring *keyring_free(struct keyring *k); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(keyring, struct keyring *, keyring_free)
/** keyring_can_read() - does the configuration say with what to decrypt? Of NULL: no. Whether it is there, and the right one, is seen when
 * something is read. Never blocks for long; any thread. */
bool keyring_can_read(struct keyring *k);
/** keyring_is_given() - the same of a configuration. Pure. */
bool keyring_is_given(const struct conf *conf);
/** keyring_advice() - what to set where it does not: a clause for messages. Static. */
const char *keyring_advice(void);

/** struct keyring_object - what is to be read. */
struct keyring_object {
	const uint8_t *id;        /* SHA256_BYTES: names its stored bytes; no other object has it */
	const char *what;         /* for messages: its path, or its key */
	const char *encrypted_to; /* as the manifest has it; NULL: not known */
};
/** keyring_find() - the keys of an object that was opened before. 0; -ENOENT. Never blocks for long; any thread. */
int keyring_find(struct keyring *k, const uint8_t id[static SHA256_BYTES], struct age_key *ret);
/**
 * keyring_open() - the keys of an object; the caller wipes @ret
 * @head: its first bytes, @len of them
 * Return: 0; -EAGAIN: more of them are needed, @err says that it is cut off when there are no more; -EBADMSG (ERROR_CORRUPT): the header is
 *   damaged; -ENOKEY (ERROR_DENIED): no identity is configured, or none of them opens it: the message tells these apart;
 *   -EKEYREJECTED (ERROR_DENIED): another passphrase; -EACCES, never ERROR_CORRUPT or ERROR_NOT_FOUND: the identities cannot be read.
 */
int keyring_open(struct keyring *k, const struct keyring_object *object, const void *head, size_t len,
                 struct cancel *cancel, struct age_key *ret, struct error *err);
/** keyring_decrypt() - all of a small object that is in memory; appended to @ret. As keyring_open(), and -EBADMSG. */
int keyring_decrypt(struct keyring *k, const struct keyring_object *object, const void *stored, size_t len,
                    struct cancel *cancel, struct str *ret, struct error *err);
/** keyring_check() - can the identities be read? They are read anew. @ret: how many there are, with passphrases. As secret_get(), -EINVAL
 * (ERROR_USAGE), and -E2BIG (ERROR_USAGE): there are more than KEYRING_PASSPHRASES_MAX different passphrases. */
int keyring_check(struct keyring *k, struct cancel *cancel, size_t *ret_count, struct error *err);
/** keyring_is_for_us() - does one of the identities open what is encrypted to these recipients ("age1…, age1…", or KEYRING_PASSPHRASE)? Of a passphrase: there is
 * one, which may be another. As keyring_open(), of its failures to read the identities. */
int keyring_is_for_us(struct keyring *k, const char *encrypted_to, struct cancel *cancel, bool *ret,
                      struct error *err);
