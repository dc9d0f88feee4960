// SPDX-License-Identifier: Apache-2.0
#include "stage.h"

#include "fd_path.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/files/unpack.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

/* The file of a moment; or a directory that was to take a file's place. */
static void empty_stage(int fd)
{
	if (unlinkat(fd, STAGED, 0) < 0 && (errno == EISDIR || errno == EPERM))
		unlinkat(fd, STAGED, AT_REMOVEDIR);
}

void stage_close(struct stage *s)
{
	if (s->fd >= 0) {
		empty_stage(s->fd);
		close(s->fd);
		unlinkat(s->at, s->name, AT_REMOVEDIR);
	}
	if (s->at >= 0)
		close(s->at);
	s->fd = s->at = -1;
}

/* What is made in it must not inherit anything. */
static void drop_acls(int fd)
{
	char path[FD_PATH_BYTES];

	removexattr(fd_path(fd, path), "system.posix_acl_default");
	removexattr(path, "system.posix_acl_access");
	chmod(path, 0700);
}

static int make_stage(struct stage *s, int at)
{
	s->at = fcntl(at, F_DUPFD_CLOEXEC, 0);
	if (s->at < 0)
		return -errno;
	if (mkdirat(s->at, s->name, 0700) < 0)
		return -errno;
	s->fd = openat(s->at, s->name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (s->fd < 0)
		return -errno;
	drop_acls(s->fd);
	return 0;
}

int stage_open(struct stage *s, int root, int wanted)
{
	struct stat st, of_root;
	int r;

	if (fstat(wanted, &st) < 0 || fstat(root, &of_root) < 0)
		return -errno;
	if (s->fd >= 0 && s->device == st.st_dev)
		return 0;
	stage_close(s);
	s->device = st.st_dev;
	r = make_stage(s, st.st_dev == of_root.st_dev ? root : wanted);
	if (r < 0)
		stage_close(s);
	return r;
}

int files_stage_clear(const char *directory, const char *stage)
{
	_cleanup(fd) int at = open(directory, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;

	if (at < 0 || !str_starts(stage, FILES_STAGE_PREFIX))
		return at < 0 ? -errno : -EINVAL;
	fd = openat(at, stage, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	empty_stage(fd);
	return unlinkat(at, stage, AT_REMOVEDIR) < 0 ? -errno : 0;
}
