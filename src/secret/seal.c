// SPDX-License-Identifier: Apache-2.0
/*
 * Sealed: encrypted with age for the key of this host. That key never leaves the host, so who copies the configuration, or has a backup of it, has
 * nothing. It is an age identity as age-keygen writes it, so what is sealed can be opened without keepfs: age -d -i HOST.KEY FILE.
 */
#include "secret_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define KEY_WHAT "[keepfs] host_key_file"

static pthread_mutex_t host_key_lock = PTHREAD_MUTEX_INITIALIZER;
static char *host_key_file; /* host_key_lock */

void secret_set_host_key(const char *file)
{
	pthread_mutex_lock(&host_key_lock);
	mem_replace_string(&host_key_file, file);
	pthread_mutex_unlock(&host_key_lock);
}

static char *copy_host_key_file(void)
{
	char *copy;

	pthread_mutex_lock(&host_key_lock);
	copy = mem_strdup(host_key_file);
	pthread_mutex_unlock(&host_key_lock);
	return copy;
}

bool secret_is_sealed(const void *bytes, size_t len)
{
	return age_is_armor(bytes, len);
}

/* What was made, and may hold secrets, in place of which is nothing. */
static void wipe_str(struct str *s)
{
	if (s->data)
		explicit_bzero(s->data, s->cap);
	str_finish(s);
}

/* The key of this host. */

static int parse_host_key(const char *file, const struct secret_text *text, struct age_identities **ret,
                          struct error *err)
{
	_cleanup(age_identities) struct age_identities *keys = age_identities_new();
	int r;

	if (secret_is_sealed(text->data, text->len))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 KEY_WHAT " = %s is sealed itself: it is what opens what is sealed", file);
	r = strlen(text->data) == text->len ? age_identities_add(keys, text->data, err)
	                                    : error_set(err, ERROR_USAGE, EINVAL, "it holds a character 0");
	if (r < 0) {
		error_prefix(err, KEY_WHAT " = %s is no key of a host", file);
		return r;
	}
	*ret = take_ptr(&keys);
	return 0;
}

static int read_host_key(struct age_identities **ret, struct error *err)
{
	_cleanup(free) char *file = copy_host_key_file();
	_cleanup(secret_text) struct secret_text text = {0};
	int r;

	if (!file)
		return error_set(err, ERROR_USAGE, ENOKEY, "this process has no key of its host");
	r = secret_file_read(file, KEY_WHAT, false, &text, err);
	return r < 0 ? r : parse_host_key(file, &text, ret, err);
}

/* Opening. */

static int fail_to_open(const char *what, int r, struct error *err)
{
	if (r == -ENOKEY)
		return error_set(
		        err, ERROR_DENIED, ENOKEY,
		        "%s was sealed on another host, or for a key that this host had before: seal it anew here ('keepfs seal')",
		        what);
	if (r == -EKEYREJECTED)
		return error_set(
		        err, ERROR_DENIED, ENOKEY,
		        "%s is encrypted with a passphrase, and not for this host: seal it with 'keepfs seal'",
		        what);
	if (r == -EBADMSG)
		error_prefix(err, "%s is sealed, and damaged: seal it anew", what);
	else
		error_prefix(err, "%s cannot be opened", what);
	return r;
}

static int open_sealed(const char *what, const void *sealed, size_t len, struct secret_text *ret,
                       struct error *err)
{
	_cleanup(age_identities) struct age_identities *keys = NULL;
	struct error why = {0};
	struct str plain = {0};
	int r = read_host_key(&keys, &why);

	if (r < 0) {
		if (err)
			*err = why;
		error_prefix(err, "%s is sealed, and there is no key to open it", what);
		return r == -ENOENT ? -ENOKEY : r;
	}
	r = age_decrypt(sealed, len, keys, &plain, err);
	if (r == -EAGAIN)
		r = -EBADMSG;
	if (r == 0 && plain.len > SECRET_MAX_BYTES)
		r = error_set(err, ERROR_USAGE, EFBIG, "it is longer than 64 KiB");
	if (r == 0)
		secret_text_set(ret, str_text(&plain), plain.len);
	wipe_str(&plain);
	return r < 0 ? fail_to_open(what, r, err) : 0;
}

int secret_unseal_bytes(const char *where, const void *bytes, size_t len, struct secret_text *ret,
                        struct error *err)
{
	if (secret_is_sealed(bytes, len))
		return open_sealed(where, bytes, len, ret, err);
	secret_text_set(ret, bytes, len);
	return 0;
}

int secret_unseal_value(const char *what, const char *value, struct secret_text *ret, struct error *err)
{
	size_t len = 0;
	_cleanup(free) uint8_t *sealed = base64_decode(value + strlen(CONF_SEALED), &len);

	if (!sealed)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s is sealed, and damaged: it is no base64: seal it anew", what);
	return open_sealed(what, sealed, len, ret, err);
}

/* Making the key. */

/* What is sealed for it replaces the only plain copy, perhaps on another disk: so the key's name has to be on its disk before that is. */
static int sync_key_directory(const char *path)
{
	_cleanup(free) char *copy = mem_strdup(path);
	_cleanup(fd) int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

/* In one step: whoever seals at the same time finds the whole key or none. */
static int publish_host_key(const char *path, const char *text, struct error *err)
{
	_cleanup(free) char *fresh = mem_printf("%s.%d.new", path, (int)getpid());
	_cleanup(fd) int fd = -1;
	int r = 0;

	(void)unlink(fresh);
	fd = open(fresh, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return error_system(err, errno, KEY_WHAT " = %s cannot be made", path);
	r = fd_write_all(fd, text, strlen(text));
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && link(fresh, path) < 0 && errno != EEXIST)
		r = -errno;
	(void)unlink(fresh);
	if (r == 0)
		r = sync_key_directory(path);
	return r < 0 ? error_system(err, -r, KEY_WHAT " = %s cannot be made", path) : 0;
}

static int make_host_key(const char *path, struct error *err)
{
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	_cleanup(free) char *copy = mem_strdup(path);
	char *written;
	int r = fd_make_dirs(dirname(copy), 0700);

	if (r < 0)
		return error_system(err, -r, "the directory of " KEY_WHAT " = %s cannot be made", path);
	age_identity_generate(secret, recipient);
	written = mem_printf(
	        "# The key of this host, made by 'keepfs seal'. It opens what was sealed here, and belongs nowhere else.\n"
	        "# public key: %s\n%s\n",
	        recipient, secret);
	explicit_bzero(secret, sizeof(secret));
	r = publish_host_key(path, written, err);
	mem_free_secret(written);
	return r;
}

/* Is there none yet, where one can be made? */
static bool can_make_host_key(const char *file)
{
	return file && *file == '/' && access(file, F_OK) < 0 && errno == ENOENT;
}

static int get_host_recipient(struct age_recipients *ret, struct error *err)
{
	_cleanup(free) char *file = copy_host_key_file();
	_cleanup(age_identities) struct age_identities *keys = NULL;
	int r = 0;

	if (can_make_host_key(file))
		r = make_host_key(file, err);
	if (r == 0)
		r = read_host_key(&keys, err);
	/* The first one: a key that was given up may stand below it, for what is not sealed anew yet. */
	return r < 0 ? r : age_recipients_add(ret, age_identities_recipient(keys, 0), err);
}

/* Sealing. */

static int seal(const struct secret_text *plain, struct str *ret, struct error *err)
{
	_cleanup(age_recipients) struct age_recipients *host = age_recipients_new();
	int r = get_host_recipient(host, err);

	return r < 0 ? r : age_encrypt(host, plain->data, plain->len, ret, err);
}

int secret_seal(const struct secret_text *plain, struct str *ret_armor, struct error *err)
{
	_cleanup(str) struct str sealed = {0};
	size_t before = ret_armor->len;
	int r = seal(plain, &sealed, err);

	if (r < 0)
		return r;
	age_armor(str_text(&sealed), sealed.len, ret_armor);
	if (ret_armor->len - before <= SECRET_MAX_BYTES)
		return 0;
	return error_set(err, ERROR_USAGE, EFBIG,
	                 "sealed it is longer than 64 KiB, and would not be read again");
}

int secret_seal_value(const struct secret_text *plain, struct str *ret_value, struct error *err)
{
	_cleanup(str) struct str sealed = {0};
	_cleanup(free) char *base64 = NULL;
	int r = seal(plain, &sealed, err);

	if (r < 0)
		return r;
	base64 = base64_encode(str_text(&sealed), sealed.len);
	str_appendf(ret_value, "%s%s", CONF_SEALED, base64);
	return 0;
}
