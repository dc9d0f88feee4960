// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * age: the format in which encrypted objects are stored (age v1, https://c2sp.org/age), by OpenSSL's primitives alone. What is
 * written here `age -d` opens, and what `age` wrote is opened here.
 *
 * An object is a header, a nonce of 16 bytes, and cells. Each header has a random FILE key, encrypted to each of the recipients in
 * a stanza of its own; of that key and the nonce the PAYLOAD key is made, which encrypts the cells: 65,536 bytes each, stored with
 * a tag of 16, each on its own, so that any of them can be read alone. A cell is bound to its number and to being the last.
 *
 * In order, to write: age_recipients_new() and its _add functions; age_header_make(), whose bytes begin the object; then
 * age_cipher_new() and age_seal_cell() for each cell. To read: age_identities_new() and its _add functions; age_header_open() of the
 * object's first bytes; then age_cipher_new() and age_open_cell(). age_encrypt() and age_decrypt() do all of it for what is small.
 *
 * Recipients are X25519 keys ("age1…") or ONE passphrase, which stands alone by the format. What is secret is wiped when it is
 * freed. Everything is pure; recipients and identities do not change once they are complete, and may then be used by any number of
 * threads at once.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/cells.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define AGE_CELL_PLAIN_BYTES  65536U
#define AGE_TAG_BYTES         16U
#define AGE_CELL_STORED_BYTES (AGE_CELL_PLAIN_BYTES + AGE_TAG_BYTES)
#define AGE_NONCE_BYTES       16U
/** AGE_HEADER_MAX_BYTES - a longer header is refused, as is one of more than AGE_STANZAS_MAX stanzas: reading one costs little
 * memory and time, whoever wrote it. */
#define AGE_HEADER_MAX_BYTES (64U << 10)
#define AGE_STANZAS_MAX      256U
/** AGE_HEAD_MAX_BYTES - so many bytes of an object are always enough for age_header_open(). */
#define AGE_HEAD_MAX_BYTES (AGE_HEADER_MAX_BYTES + AGE_NONCE_BYTES)
#define AGE_RECIPIENTS_MAX 128U /* of one header that is written here */
#define AGE_IDENTITIES_MAX 128U
/** AGE_SCRYPT_LOG_N - how hard a passphrase is to guess, as age has it: one attempt takes some 256 MiB of memory and a second. */
#define AGE_SCRYPT_LOG_N 18U
/** AGE_SCRYPT_LOG_N_MAX - a header that asks for more than that (1 GiB of memory) is refused. */
#define AGE_SCRYPT_LOG_N_MAX  20U
#define AGE_RECIPIENT_BYTES   63U /* the text "age1…", with NUL */
#define AGE_SECRET_TEXT_BYTES 75U /* the text "AGE-SECRET-KEY-1…", with NUL */
#define AGE_FILE_KEY_BYTES    16U
#define AGE_PAYLOAD_KEY_BYTES 32U

/** struct age_recipients - for whom something is encrypted. */
struct age_recipients;
struct age_recipients *age_recipients_new(void);                      /* nobody yet */
struct age_recipients *age_recipients_free(struct age_recipients *r); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(age_recipients, struct age_recipients *, age_recipients_free)
/**
 * age_recipients_add() - add those that a text names
 * @text: "age1…", several of them separated by commas, blanks or line ends; '#' begins a comment, up to the end of its line. One
 *        that is there already is not added again.
 * Recipients of other kinds (a plug-in's, of SSH, of the post-quantum kind) are refused with a word of their own, and a secret key,
 * too, which is never repeated in the message. The message names the line when there are several.
 * Return: 0; -EINVAL (ERROR_USAGE), and nothing was added; a text without any is -EINVAL as well.
 */
int age_recipients_add(struct age_recipients *r, const char *text, struct error *err);
/** age_recipients_add_passphrase() - @log_n: AGE_SCRYPT_LOG_N, or less where a test has no second; copied. Return: 0; -EINVAL
 * (ERROR_USAGE) when it is empty, or when there is a recipient beside it. */
int age_recipients_add_passphrase(struct age_recipients *r, const char *passphrase, unsigned log_n,
                                  struct error *err);
size_t age_recipients_count(const struct age_recipients *r);
/** age_recipients_name() - the one with this number, "age1…" or "passphrase": what the manifest's `encrypted_to` has. Borrowed. */
const char *age_recipients_name(const struct age_recipients *r, size_t number);

/** struct age_identities - with what something is decrypted: secret keys, and perhaps a passphrase. */
struct age_identities;
struct age_identities *age_identities_new(void);                      /* none yet */
struct age_identities *age_identities_free(struct age_identities *i); /* wiped; NULL allowed; returns NULL */
DEFINE_CLEANUP(age_identities, struct age_identities *, age_identities_free)
/**
 * age_identities_add() - add those of a text as age-keygen writes it: a line "AGE-SECRET-KEY-1…" each, and comments with '#'
 * No message holds a byte of a secret key. One that is there already is not added again.
 * Return: 0; -EINVAL (ERROR_USAGE): a line is none, with its number and, if it is a plug-in's, SSH's or post-quantum, a word of its
 * own; or the text has none. Nothing was added then.
 */
int age_identities_add(struct age_identities *i, const char *text, struct error *err);
/** age_identities_add_passphrase() - one that may open what was encrypted with a passphrase; copied; replaces the one before it.
 * Return: 0; -EINVAL when it is empty. */
int age_identities_add_passphrase(struct age_identities *i, const char *passphrase, struct error *err);
size_t age_identities_count(const struct age_identities *i); /* of secret keys */
bool age_identities_have_passphrase(const struct age_identities *i);
/** age_identities_recipient() - the public "age1…" of the secret key with this number. Borrowed. */
const char *age_identities_recipient(const struct age_identities *i, size_t number);
/** age_identity_generate() - a new secret key and its public one, as texts; the caller wipes @ret_secret. */
void age_identity_generate(char ret_secret[static AGE_SECRET_TEXT_BYTES],
                           char ret_recipient[static AGE_RECIPIENT_BYTES]);

/**
 * struct age_key - the keys of one object: enough to read, to write and to rewrap it. Secret: the owner wipes it with
 * age_key_wipe(). It may be copied.
 */
struct age_key {
	uint8_t file_key[AGE_FILE_KEY_BYTES]; /* what the header encrypts */
	uint8_t nonce[AGE_NONCE_BYTES];       /* behind the header; not secret */
	uint8_t payload_key[AGE_PAYLOAD_KEY_BYTES];
	uint32_t head_bytes; /* of header and nonce: where the first cell lies in the object */
};
void age_key_wipe(struct age_key *k);
/** age_key_cells() - how the object lies, for whoever reads or writes it cell by cell. */
struct cells age_key_cells(const struct age_key *k);

/**
 * age_header_make() - a header for @r with fresh keys
 * @ret_head: header and nonce are appended: the first @ret_key->head_bytes bytes of the object
 * With a passphrase it takes as long as scrypt does, and its memory. A key is never used for two objects.
 * Return: 0; -EINVAL (ERROR_USAGE) when @r is empty; -ENOMEM (ERROR_UNAVAILABLE) when scrypt finds no memory.
 */
int age_header_make(const struct age_recipients *r, struct str *ret_head, struct age_key *ret_key,
                    struct error *err);
/**
 * age_header_rewrap() - another header for an object that exists: the bytes behind its old header and nonce stay as they are
 * @ret_head: as for age_header_make(); @ret_key: as @k, but for head_bytes, and may be @k
 * Whoever could open the old header knows the file key, and can open the new object, too.
 */
int age_header_rewrap(const struct age_key *k, const struct age_recipients *r, struct str *ret_head,
                      struct age_key *ret_key, struct error *err);
/**
 * age_header_open() - the keys of an object
 * @bytes: its beginning: AGE_HEAD_MAX_BYTES of it, or all of it, are always enough
 * With a passphrase it takes as long as scrypt does (a second, at most some four); one at a time in the process, because of its
 * memory.
 * Return: 0; -EAGAIN: header and nonce do not end within @len bytes: again with more of them; if there are no more, the object is
 *   cut off, and @err (ERROR_CORRUPT) says so;
 *   -EBADMSG (ERROR_CORRUPT): no header, or a damaged one, @err says in what; another version of the format; too long a one, or too
 *   hard a passphrase;
 *   -ENOKEY (ERROR_DENIED): a right header, and none of the identities opens it;
 *   -EKEYREJECTED (ERROR_DENIED): it is encrypted with a passphrase, and this is another one;
 *   -ENOMEM (ERROR_UNAVAILABLE): scrypt found no memory.
 */
int age_header_open(const void *bytes, size_t len, const struct age_identities *i, struct age_key *ret_key,
                    struct error *err);
/** struct age_header_facts - what a header tells without a key. */
struct age_header_facts {
	uint32_t head_bytes; /* of header and nonce */
	unsigned stanzas; /* recipients, or 1 for a passphrase; and those of kinds that are not known here */
	bool passphrase;
};
/** age_header_look() - the same without a key: its MAC is not checked. -EAGAIN and -EBADMSG as of age_header_open(). */
int age_header_look(const void *bytes, size_t len, struct age_header_facts *ret, struct error *err);
/** age_is_header() - does what begins with these @len bytes look like an object of age, in binary? 20 are enough. */
bool age_is_header(const void *bytes, size_t len);
/** age_is_armor() - does it look like armor, behind white space? */
bool age_is_armor(const void *text, size_t len);

/** struct age_cipher - a payload key that is ready for use: one thread at a time. Wiped when it is freed. */
struct age_cipher;
struct age_cipher *age_cipher_new(const struct age_key *k);
struct age_cipher *age_cipher_free(struct age_cipher *c); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(age_cipher, struct age_cipher *, age_cipher_free)
/**
 * age_seal_cell() - encrypt a cell
 * @cell: its number, from 0; @last: nothing follows. Never twice the same number with different bytes.
 * @len:  AGE_CELL_PLAIN_BYTES; of the last one less, and 0 only when the whole file is empty
 * @ret_stored: @len + AGE_TAG_BYTES; may be @plain itself
 */
void age_seal_cell(struct age_cipher *c, uint64_t cell, bool last, const void *plain, size_t len,
                   void *ret_stored);
/**
 * age_open_cell() - decrypt a cell
 * @len: of @stored, AGE_CELL_STORED_BYTES or, of the last one, less; @ret_plain: @len - AGE_TAG_BYTES; may be @stored itself, and
 * then holds nothing of use after a failure
 * Return: 0; -EBADMSG (ERROR_CORRUPT): these are not the bytes of this cell. The message tells apart: damaged, or in another's
 * place; a file whose end is missing (the last cell that there is was not the last one); bytes behind the last cell.
 */
int age_open_cell(struct age_cipher *c, uint64_t cell, bool last, const void *stored, size_t len,
                  void *ret_plain, struct error *err);

/** age_encrypt() - all of an object that fits into memory; appended to @ret. Errors as of age_header_make(). */
int age_encrypt(const struct age_recipients *r, const void *plain, size_t len, struct str *ret,
                struct error *err);
/**
 * age_decrypt() - and back: binary, or armored
 * @ret: appended, in one allocation when it is empty: so whoever holds a secret in it wipes it with explicit_bzero() before
 * str_finish(). Unchanged in its length on failure.
 * Errors as of age_header_open() and age_open_cell(); what is cut off is -EBADMSG.
 */
int age_decrypt(const void *stored, size_t len, const struct age_identities *i, struct str *ret,
                struct error *err);
/** age_armor() - @stored as text, in lines between "-----BEGIN AGE ENCRYPTED FILE-----" and its end; appended. */
void age_armor(const void *stored, size_t len, struct str *ret);
/** age_dearmor() - and back; white space is allowed before and behind it, and nothing else. Return: 0; -EBADMSG (ERROR_CORRUPT)
 * with what is wrong and in which line; nothing is appended then. */
int age_dearmor(const void *text, size_t len, struct str *ret, struct error *err);
