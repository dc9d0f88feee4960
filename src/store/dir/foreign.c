// SPDX-License-Identifier: Apache-2.0
/*
 * File systems that lack something: file servers (CIFS), disks for cameras (vfat, exFAT), and what FUSE programs
 * show as files. Each step that one of them may refuse is made here, in the way that is best where it is known to
 * work, and in the next best where it is refused. What was refused is remembered, so that it is tried once only
 * and 'keepfs check' can tell what is weaker in this place.
 *
 * What cannot be replaced is not: a file whose bytes cannot be synced, or a rename, ends the call with the reason.
 */
#include "dir.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#define EXFAT_MAGIC 0x2011bab0 /* EXFAT_SUPER_MAGIC of Linux, fs/exfat/exfat_raw.h */
#define TIME_STEP_S 2
/* Longer than any put takes, and than the clock of a file server is wrong. */
#define LEFT_AFTER_US (INT64_C(24) * 3600 * US_PER_S)

static bool lacks(const struct dir_store *d, enum dir_lack what)
{
	return atomic_load(&d->lacks) & what;
}

static void note_lack(struct dir_store *d, enum dir_lack what)
{
	atomic_fetch_or(&d->lacks, what);
}

/* Does the errno say that there is no such thing here, rather than that it went wrong? */
static bool is_lacking(int errnum)
{
	return errnum == EINVAL || errnum == ENOSYS || errnum == EOPNOTSUPP || errnum == ENOTTY;
}

int dir_sync(struct dir_store *d, int dir_fd)
{
	if (!lacks(d, DIR_LACKS_DIR_SYNC)) {
		if (fsync(dir_fd) == 0)
			return 0;
		if (!is_lacking(errno))
			return -errno;
		note_lack(d, DIR_LACKS_DIR_SYNC);
	}
	if (lacks(d, DIR_LACKS_SYNC) || syncfs(dir_fd) == 0)
		return 0;
	if (!is_lacking(errno))
		return -errno;
	note_lack(d, DIR_LACKS_SYNC);
	return 0;
}

int dir_lock(struct dir_store *d, int fd, int operation)
{
	if (lacks(d, DIR_LACKS_LOCKS) || flock(fd, operation) == 0)
		return 0;
	if (!is_lacking(errno) && errno != ENOLCK)
		return -errno;
	note_lack(d, DIR_LACKS_LOCKS);
	return 0;
}

bool dir_has_locks(const struct dir_store *d)
{
	return !lacks(d, DIR_LACKS_LOCKS);
}

bool dir_is_left(struct dir_store *d, int fd)
{
	struct stat st;

	if (dir_lock(d, fd, LOCK_EX | LOCK_NB) < 0)
		return false;
	if (!lacks(d, DIR_LACKS_LOCKS))
		return true;
	return fstat(fd, &st) == 0 && clock_now_us() - st.st_mtim.tv_sec * US_PER_S > LEFT_AFTER_US;
}

/* The name is taken already: by an object, or by what can be none; -ENOENT: it is free. */
static int name_taken(int dir_fd, const char *leaf)
{
	struct stat st;

	if (fstatat(dir_fd, leaf, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISREG(st.st_mode))
		return STORE_EXISTS;
	return S_ISDIR(st.st_mode) ? -EISDIR : S_ISLNK(st.st_mode) ? -ELOOP : -EEXIST;
}

/* A second name, then the first is taken away by dir_temp_finish(). */
static int name_by_link(struct dir_temp *t, int dir_fd, const char *leaf)
{
	char path[DIR_FD_PATH_BYTES];
	int r = t->name[0] ? linkat(t->store->tmp_fd, t->name, dir_fd, leaf, 0)
	                   : linkat(AT_FDCWD, dir_fd_path(t->fd, path), dir_fd, leaf, AT_SYMLINK_FOLLOW);

	return r < 0 ? -errno : 0;
}

/* Where there are no links; @flags: RENAME_NOREPLACE, or 0. */
static int name_by_rename(struct dir_temp *t, int dir_fd, const char *leaf, unsigned flags)
{
	if (renameat2(t->store->tmp_fd, t->name, dir_fd, leaf, flags) < 0)
		return -errno;
	t->name[0] = '\0';
	return 0;
}

/* Another who looks at the same time may win, too: features say so. */
static int name_after_look(struct dir_temp *t, int dir_fd, const char *leaf)
{
	int r = name_taken(dir_fd, leaf);

	return r == -ENOENT ? name_by_rename(t, dir_fd, leaf, 0) : r;
}

/* EIO is what rclone says. Where it is the disk that fails, the rename fails as well. */
static bool is_without_links(int errnum)
{
	return errnum == EPERM || errnum == EMLINK || errnum == EIO || is_lacking(errnum);
}

static int name_once(struct dir_temp *t, int dir_fd, const char *leaf)
{
	struct dir_store *d = t->store;
	int r = 0;

	if (!lacks(d, DIR_LACKS_LINKS)) {
		r = name_by_link(t, dir_fd, leaf);
		if (!is_without_links(-r))
			return r;
		if (!t->name[0]) /* a file without a name cannot be renamed */
			return r;
		note_lack(d, DIR_LACKS_LINKS);
	}
	if (!lacks(d, DIR_LACKS_NOREPLACE)) {
		r = name_by_rename(t, dir_fd, leaf, RENAME_NOREPLACE);
		if (!is_lacking(-r))
			return r;
		note_lack(d, DIR_LACKS_NOREPLACE);
	}
	return name_after_look(t, dir_fd, leaf);
}

int dir_name_new(struct dir_temp *t, int dir_fd, const char *leaf)
{
	for (;;) {
		int r = name_once(t, dir_fd, leaf);

		if (r != -EEXIST)
			return r;
		r = name_taken(dir_fd, leaf);
		if (r != -ENOENT) /* removed since: try again */
			return r;
	}
}

static bool is_later(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec > b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec > b->tv_nsec);
}

/* Where inode numbers do not tell two files apart, size and time must; vfat's times are multiples of 2 s. */
static void set_apart(int from_fd, const char *name, int dir_fd, const char *leaf)
{
	struct stat old, new;
	struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}};

	if (fstatat(dir_fd, leaf, &old, AT_SYMLINK_NOFOLLOW) < 0 ||
	    fstatat(from_fd, name, &new, AT_SYMLINK_NOFOLLOW) < 0 || old.st_size != new.st_size ||
	    is_later(&new.st_mtim, &old.st_mtim))
		return;
	times[1] = old.st_mtim;
	times[1].tv_sec += TIME_STEP_S;
	(void)utimensat(from_fd, name, times, AT_SYMLINK_NOFOLLOW);
}

int dir_replace(struct dir_store *d, int from_fd, const char *name, int dir_fd, const char *leaf)
{
	if (!dir_inodes_last(d))
		set_apart(from_fd, name, dir_fd, leaf);
	return renameat(from_fd, name, dir_fd, leaf) < 0 ? -errno : 0;
}

/* Is the directory on a file system that /proc/self/mountinfo calls @type? */
static bool is_mounted_as(int dir_fd, const char *type)
{
	FILE *mounts = fopen("/proc/self/mountinfo", "re");
	_cleanup(free) char *line = NULL, *wanted = NULL;
	size_t room = 0;
	struct stat st;
	bool found = false;

	if (!mounts || fstat(dir_fd, &st) < 0) {
		if (mounts)
			fclose(mounts);
		return false;
	}
	wanted = mem_printf(" - %s ", type);
	while (!found && getline(&line, &room, mounts) > 0) {
		unsigned major_number, minor_number;

		found = sscanf(line, "%*d %*d %u:%u", &major_number, &minor_number) == 2 &&
		        major_number == major(st.st_dev) && minor_number == minor(st.st_dev) &&
		        strstr(line, wanted);
	}
	fclose(mounts);
	return found;
}

static void look_at_kind(struct dir_store *d)
{
	struct statfs fs;

	if (fstatfs(d->root_fd, &fs) < 0)
		return;
	switch ((unsigned)fs.f_type) {
	case MSDOS_SUPER_MAGIC:
		note_lack(d, DIR_LACKS_LARGE_FILES | DIR_LACKS_INODES);
		break;
	case EXFAT_MAGIC:
		note_lack(d, DIR_LACKS_INODES);
		break;
	case FUSE_SUPER_MAGIC:
		note_lack(d, DIR_LACKS_INODES);
		if (is_mounted_as(d->root_fd, "fuse.rclone"))
			note_lack(d, DIR_LACKS_WRITE_THROUGH);
		break;
	default:
		break;
	}
}

void dir_look_at_place(struct dir_store *d)
{
	struct stat st;

	look_at_kind(d);
	if (fstat(d->tmp_fd, &st) == 0 && st.st_mode & (S_IRWXG | S_IRWXO))
		note_lack(d, DIR_LACKS_MODES);
	d->nameless = dir_temp_works_nameless(d);
}

bool dir_inodes_last(const struct dir_store *d)
{
	return !lacks(d, DIR_LACKS_INODES);
}

/* rclone sets the time of a file once more when the kernel has let go of it, which is a while after close(2) returned. */
bool dir_times_last(const struct dir_store *d)
{
	return !lacks(d, DIR_LACKS_WRITE_THROUGH);
}

bool dir_creates_exclusively(const struct dir_store *d)
{
	return !lacks(d, DIR_LACKS_LINKS) || !lacks(d, DIR_LACKS_NOREPLACE);
}

void dir_describe_lacks(const struct dir_store *d, char *buf, size_t buf_bytes)
{
	static const struct {
		enum dir_lack what;
		const char *text;
	} texts[] = {
	        {DIR_LACKS_WRITE_THROUGH,
	         "rclone sends what is written to its remote later, and says nothing when that fails: a backup is listed before it is there"},
	        {DIR_LACKS_SYNC,
	         "directories cannot be synced: after a power failure the newest backups may be missing"},
	        {DIR_LACKS_LARGE_FILES, "no file can be larger than 4 GiB"},
	        {DIR_LACKS_MODES,
	         "other users may read what is there, as the file system is mounted (umask, file_mode, dir_mode)"},
	        {DIR_LACKS_LOCKS,
	         "files cannot be locked: what a crash leaves is removed after a day, not at the next start"},
	};
	_cleanup(str) struct str all = {0};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (lacks(d, texts[i].what))
			str_appendf(&all, "%s%s", all.len ? "; " : "", texts[i].text);
	str_cut(buf, buf_bytes, str_text(&all));
}
