// SPDX-License-Identifier: Apache-2.0
/* A file with a secret. What systemd hands over it has looked after itself: its directory is read-only, and of this service alone. */
#include "secret_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_systemd_credential(const char *file)
{
	return str_starts(file, CONF_CREDENTIAL);
}

char *secret_file_path(const char *file, struct error *err)
{
	const char *directory = getenv("CREDENTIALS_DIRECTORY");

	if (!is_systemd_credential(file))
		return mem_strdup(file);
	if (directory && *directory == '/')
		return mem_printf("%s/%s", directory, file + strlen(CONF_CREDENTIAL));
	error_set(
	        err, ERROR_USAGE, ENOENT,
	        "%s: this process was given no credentials (CREDENTIALS_DIRECTORY is not set): it has to be started by a unit of systemd with LoadCredential=%s:FILE",
	        file, file + strlen(CONF_CREDENTIAL));
	return NULL;
}

static int refuse_secret_file(const char *what, const char *path, const char *why, struct error *err)
{
	return error_set(err, ERROR_DENIED, EPERM, "%s = %s: %s", what, path, why);
}

struct wanted_file {
	const char *what, *path;
	bool is_credential, open_file;
};

static int refuse_long_file(const struct wanted_file *f, struct error *err)
{
	return error_set(err, ERROR_USAGE, EFBIG, "%s = %s: it is longer than 64 KiB: is it the right file?",
	                 f->what, f->path);
}

/* Before it is known whether it is sealed. */
static int check_secret_kind(const struct wanted_file *f, const struct stat *st, struct error *err)
{
	if (!S_ISREG(st->st_mode))
		return error_set(err, ERROR_USAGE, EINVAL, "%s = %s: it is no regular file", f->what,
		                 f->path);
	return st->st_size > (off_t)SECRET_MAX_BYTES ? refuse_long_file(f, err) : 0;
}

static int check_readers(const struct wanted_file *f, const struct stat *st, struct error *err)
{
	mode_t others = f->is_credential ? S_IRWXO : S_IRWXG | S_IRWXO;

	if (f->open_file)
		return 0;
	if (st->st_uid != 0 && st->st_uid != geteuid())
		return refuse_secret_file(
		        f->what, f->path,
		        "it belongs to another user: chown it to root or the one that keepfs runs as", err);
	if (st->st_mode & others)
		return refuse_secret_file(
		        f->what, f->path,
		        "it can be read or written by others than the user whose keepfs is: chmod 600, or seal it ('keepfs seal')",
		        err);
	return 0;
}

static int read_whole(const struct wanted_file *f, int fd, struct secret_text *ret, struct error *err)
{
	int r = secret_text_read(ret, fd);

	return r < 0 && r != -EFBIG ? error_system(err, -r, "%s = %s cannot be read", f->what, f->path)
	       : r < 0              ? refuse_long_file(f, err)
	                            : 0;
}

static int read_secret_file(const struct wanted_file *f, struct secret_text *ret, struct error *err)
{
	_cleanup(fd) int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return error_set(err, errno == EACCES ? ERROR_DENIED : ERROR_USAGE, errno,
		                 "%s = %s: it cannot be opened: %s", f->what, f->path, strerror(errno));
	r = check_secret_kind(f, &st, err);
	if (r == 0)
		r = read_whole(f, fd, ret, err);
	if (r == 0 && !secret_is_sealed(ret->data, ret->len))
		r = check_readers(f, &st, err);
	return r;
}

int secret_file_read(const char *file, const char *what, bool open_file, struct secret_text *ret,
                     struct error *err)
{
	_cleanup(free) char *path = secret_file_path(file, err);
	const struct wanted_file f = {what, path, is_systemd_credential(file), open_file};
	int r;

	if (!path) {
		error_prefix(err, "%s", what);
		return -ENOENT;
	}
	r = read_secret_file(&f, ret, err);
	if (r < 0)
		secret_text_finish(ret);
	return r;
}
