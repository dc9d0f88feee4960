// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Secrets of the configuration: read where they are needed, when they are needed, and wiped afterwards.
 *
 * Each has three keys (struct conf_secret; src/conf/keys.c declares them by SECRET()): the value itself, a file, a command. A value or a file may be
 * sealed: what age made of it for the key of this host ('keepfs seal'). Nobody but secret_get() looks at these, so a secret can come
 * from everywhere wherever one is needed:
 *
 *     struct secret_text key = {0};
 *     int r = secret_get(&conf->x, &(struct secret_use){.what = "[section] x"}, cancel, &key, err);
 *     … key.data, key.len …
 *     secret_text_finish(&key);
 *
 * Files are read each time. What a command printed is kept for SECRET_COMMAND_LIFE_MS, for all who have the same command; when it was
 * refused somewhere, secret_forget() has it asked for anew. A message names the key, the file and what a command wrote to its standard error, and
 * never a byte of a secret.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/conf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SECRET_MAX_BYTES          ((size_t)64 << 10)
#define SECRET_COMMAND_LIFE_MS    (INT64_C(15) * 60 * 1000)
#define SECRET_COMMAND_TIMEOUT_MS INT64_C(30000)
#define SECRET_FORGET_AFTER_MS    INT64_C(30000)

/** struct secret_text - in pages of its own, which no core dump has and which are wiped when they are given back. Begin with {0}. */
struct secret_text {
	char *data; /* NULL: nothing; a NUL stands behind its @len bytes, and may be among them with .whole */
	size_t len;
	size_t room; /* secret.c's */
};

/** secret_text_finish() - wiped and given back; it is empty afterwards. */
void secret_text_finish(struct secret_text *t);
static inline void cleanup_secret_text(struct secret_text *t)
{
	secret_text_finish(t);
}
/** secret_text_set() - a copy of these bytes, at most SECRET_MAX_BYTES, in place of what it holds. */
void secret_text_set(struct secret_text *t, const void *bytes, size_t len);

/** secret_text_read() - all that a descriptor has, in place of what @t holds. Return: 0; -EFBIG: more than SECRET_MAX_BYTES; the errno of read(). */
int secret_text_read(struct secret_text *t, int fd);

/** struct secret_use - what it is for. */
struct secret_use {
	const char *
	        what; /* for messages: "[store] secret_key"; what is wrong with a file or a command names "[store] secret_key_file" */
	/* All bytes, as they are: keys, identities, lists. Else it is one line: the first one, without its end, which must not be empty or hold a
	 * character 0. */
	bool whole;
	/* A file that others can read is no error, as it was none before there were rules: conf warns of it. */
	bool open_file;
};

#define SECRET_NOWHERE 1

/**
 * secret_get() - the secret that @s says; *@ret, which must be empty, is the caller's to finish
 *
 * Blocks on the local disk, and for a command up to SECRET_COMMAND_TIMEOUT_MS; one that others run already is waited for. Any thread, but not
 * those of the mount.
 * Return: 0; SECRET_NOWHERE: it is set nowhere, and @ret stays empty; else with @err (ERROR_USAGE or ERROR_DENIED for what the administrator has to mend, .retry
 * for commands): -ENOENT, -EACCES and the like for a file, -EPERM a file that others can read or that belongs to somebody else, -ENOKEY a sealed one that this host's key does
 * not open, -EBADMSG a damaged one, -EFBIG more than SECRET_MAX_BYTES, -EINVAL nothing in it; -ECANCELED, -ETIMEDOUT, -EIO from a command.
 */
int secret_get(const struct conf_secret *s, const struct secret_use *use, struct cancel *cancel,
               struct secret_text *ret, struct error *err);

/** secret_is_at_hand() - secret_get() would not run a command. */
bool secret_is_at_hand(const struct conf_secret *s);
/** secret_is_printed() - by a command. */
bool secret_is_printed(const struct conf_secret *s);
/** secret_may_change() - asking again may bring another one: it is in a file, or printed by a command. */
bool secret_may_change(const struct conf_secret *s);
/**
 * secret_forget() - a server has refused it: what its command printed is asked for anew
 * Return: true: it is worth trying once more with what secret_get() gives now. False for a value; and within SECRET_FORGET_AFTER_MS after a command
 * was asked, since what was refused that early will not be mended by asking again.
 */
bool secret_forget(const struct conf_secret *s);
/** secret_stamp() - a number that changes when its file does (inode, size, times); 0 when it is in none. Looks at the disk. */
uint64_t secret_stamp(const struct conf_secret *s);

/**
 * secret_open_file() - the bytes of a file that may hold a sealed secret, as SECRET_FILE keys name it: for files with a form of their own
 * @path:  absolute, or CONF_CREDENTIAL and a name
 * @what:  the key, for messages: "[store acme] credentials_file"
 * Return: as secret_get().
 */
int secret_open_file(const char *path, const struct secret_use *use, struct secret_text *ret,
                     struct error *err);
/** secret_unseal_bytes() - of what was read of @where: unsealed when it is sealed, else as it is. Return: as secret_get(). */
int secret_unseal_bytes(const char *where, const void *bytes, size_t len, struct secret_text *ret,
                        struct error *err);

/** secret_unseal_value() - of a value for which conf_is_sealed(). @what: for messages. Return: as secret_get(). */
int secret_unseal_value(const char *what, const char *value, struct secret_text *ret, struct error *err);
/** secret_is_sealed() - do these bytes of a file look sealed (the armor of age)? Pure. */
bool secret_is_sealed(const void *bytes, size_t len);
/**
 * secret_seal() - encrypt @plain for the key of this host, as the text of a file; appended
 * When there is no key yet where secret_set_host_key() says, one is made. Blocks on the local disk. Return: 0; -EFBIG; errors of files.
 */
int secret_seal(const struct secret_text *plain, struct str *ret_armor, struct error *err);
/** secret_seal_value() - the same as the value of a key, on one line; appended. */
int secret_seal_value(const struct secret_text *plain, struct str *ret_value, struct error *err);

/** secret_set_host_key() - the file of this host's key ([keepfs] host_key_file), for all threads from now on. A path or CONF_CREDENTIAL and a name;
 * NULL: none. The key is read when something sealed is opened. */
void secret_set_host_key(const char *file);
