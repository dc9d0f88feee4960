// SPDX-License-Identifier: Apache-2.0
#include "conf_file.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

char *conf_file_path(const char *named)
{
	const char *home = getenv("HOME");

	if (named)
		return mem_strdup(named);
	if (geteuid() == 0 || !home)
		return mem_strdup("/etc/keepfs/keepfs.conf");
	return mem_printf("%s/.config/keepfs/keepfs.conf", home);
}

/* @name: what it is called in messages */
static int write_new(const char *path, const char *name, const struct str *text, struct error *err)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_EXCL, 0600);
	int r;

	if (fd < 0 && errno == EEXIST)
		return error_set(err, ERROR_CONFLICT, EEXIST, "%s is there already; --force replaces it",
		                 name);
	if (fd < 0)
		return error_system(err, errno, "%s cannot be written", name);
	r = fd_write_all(fd, str_text(text), text->len);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	return r < 0 ? error_system(err, -r, "%s cannot be written", name) : 0;
}

int conf_file_write(const char *path, const struct str *text, bool force, struct error *err)
{
	_cleanup(free) char *directory = mem_strdup(path);
	_cleanup(free) char *fresh = NULL;
	char *slash = strrchr(directory, '/');
	int r;

	if (slash && slash != directory) {
		*slash = '\0';
		r = fd_make_dirs(directory, 0755);
		if (r < 0)
			return error_system(err, -r, "the directory %s cannot be made", directory);
	}
	if (!force)
		return write_new(path, path, text, err);
	/* In one step: whoever reads it meanwhile finds the old one or the new one, and a link is replaced, not followed. */
	fresh = mem_printf("%s.new", path);
	unlink(fresh);
	r = write_new(fresh, path, text, err);
	if (r == 0 && rename(fresh, path) < 0)
		r = error_system(err, errno, "%s cannot be replaced", path);
	if (r < 0)
		unlink(fresh);
	return r;
}
