// SPDX-License-Identifier: Apache-2.0
#include "key.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/hash.h>
#include <keepfs/conf.h>
#include <keepfs/export.h>

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY_MAX_BYTES 4096

_Static_assert(COPY_JSON_KEY_BYTES == SHA256_BYTES, "the key is a digest");

struct key_file {
	const char *what, *path; /* "redact_key_file" */
};

static int refuse_key_file(const struct key_file *f, const char *what, struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM, "%s = %s %s", f->what, f->path, what);
}

static int check_key_file(const struct key_file *f, int fd, struct error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_system(err, errno, "%s = %s", f->what, f->path);
	if (!S_ISREG(st.st_mode))
		return refuse_key_file(f, "is no regular file", err);
	if (st.st_uid != geteuid() && st.st_uid != 0)
		return refuse_key_file(f, "belongs to another user: chown it to the one that keepfs runs as",
		                       err);
	if (st.st_mode & 077)
		return refuse_key_file(f, "can be read by others: chmod 600", err);
	if (st.st_size < CONF_REDACT_KEY_BYTES)
		return refuse_key_file(f, "has less than 32 bytes: openssl rand -out FILE 32 makes one", err);
	if (st.st_size > KEY_MAX_BYTES)
		return refuse_key_file(f, "has more than 4096 bytes: is it the right file?", err);
	return 0;
}

int export_key_of_file(const char *what, const char *path, unsigned char ret[static COPY_JSON_KEY_BYTES],
                       struct error *err)
{
	const struct key_file f = {what, path};
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	unsigned char bytes[KEY_MAX_BYTES];
	size_t len = 0;
	ssize_t n;
	int r;

	if (fd < 0)
		return error_system(err, errno, "%s = %s", what, path);
	r = check_key_file(&f, fd, err);
	if (r < 0)
		return r;
	while (len < sizeof(bytes) && (n = read(fd, bytes + len, sizeof(bytes) - len)) > 0)
		len += (size_t)n;
	if (len >= CONF_REDACT_KEY_BYTES)
		sha256_once(bytes, len, ret);
	explicit_bzero(bytes, sizeof(bytes));
	return len >= CONF_REDACT_KEY_BYTES ? 0 : refuse_key_file(&f, "cannot be read whole", err);
}

int export_key_read(const char *path, unsigned char ret[static COPY_JSON_KEY_BYTES], struct error *err)
{
	return export_key_of_file("redact_key_file", path, ret, err);
}
