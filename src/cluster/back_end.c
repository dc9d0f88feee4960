// SPDX-License-Identifier: Apache-2.0
/*
 * What comes before files are fetched, and behind that. The control file goes first and comes last: without it no server starts, and it gets its name when all else is on the disk.
 */
#include "back_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define AUTO_CONF       "postgresql.auto.conf"
#define RECOVERY_SIGNAL "recovery.signal"
#define AUTO_CONF_MAX   ((size_t)4 << 20)
#define ROOT_MODE       0700
#define MODES           07777
#define GLOBAL          "global/"
#define BASE_NAME(path) ((path) + sizeof(GLOBAL) - 1)

static int fail_begin(const struct cluster_back *b, const char *name, int errnum, struct error *err)
{
	return error_system(err, errnum, "%s/%s cannot be made", b->options.to, name);
}

static int own(const struct cluster_back *b, int dir_fd, const char *name)
{
	const struct cluster_back_options *o = &b->options;

	return o->has_owner && fchownat(dir_fd, name, o->uid, o->gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
}

/* Small files that keepfs writes itself. */
static int write_own_file(const struct cluster_back *b, const char *name, const char *text, size_t len,
                          struct error *err)
{
	_cleanup(free) char *unfinished = mem_printf("%s.keepfs", name);
	_cleanup(fd) int fd = -1;
	int r;

	(void)unlinkat(b->dir_fd, unfinished, 0);
	fd = openat(b->dir_fd, unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail_begin(b, name, errno, err);
	r = fd_write_all(fd, text, len);
	if (r == 0)
		r = own(b, b->dir_fd, unfinished);
	if (r == 0 && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && renameat(b->dir_fd, unfinished, b->dir_fd, name) < 0)
		r = -errno;
	return r < 0 ? fail_begin(b, name, -r, err) : 0;
}

/* The begin. */

static int make_data_directory(struct cluster_back *b, struct error *err)
{
	const struct cluster_back_options *o = &b->options;

	if (b->dir_fd >= 0)
		return 0;
	if (mkdir(o->to, ROOT_MODE) < 0 && errno != EEXIST)
		return error_system(err, errno, "%s cannot be made", o->to);
	b->dir_fd = open(o->to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return b->dir_fd < 0 ? error_system(err, errno, "%s", o->to) : 0;
}

static int write_mark(const struct cluster_back *b, struct error *err)
{
	_cleanup(free) char *text = mem_printf(
	        "keepfs brings %s back into this directory, and has not ended: no server starts on it. Give the same order again.\nsystem identifier: %" PRIu64
	        "\n",
	        b->options.path, b->facts.system_id);
	int r = write_own_file(b, CLUSTER_BACK_MARK, text, strlen(text), err);

	return r < 0 ? r : fsync(b->dir_fd) < 0 ? fail_begin(b, CLUSTER_BACK_MARK, errno, err) : 0;
}

static int hide_control(const struct cluster_back *b, struct error *err)
{
	_cleanup(fd) int fd = openat(b->dir_fd, "global", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return errno == ENOENT ? 0 : fail_begin(b, BACK_CONTROL_NEW, errno, err);
	if (renameat(fd, BASE_NAME(PG_CONTROL_NAME), fd, BASE_NAME(BACK_CONTROL_NEW)) < 0)
		return errno == ENOENT ? 0 : fail_begin(b, BACK_CONTROL_NEW, errno, err);
	return fsync(fd) < 0 ? fail_begin(b, BACK_CONTROL_NEW, errno, err) : 0;
}

static int remove_path(const struct cluster_back *b, const char *path, struct error *err)
{
	/* It is under another name by now. */
	if (str_equal(path, PG_CONTROL_NAME))
		path = BACK_CONTROL_NEW;
	if (unlinkat(b->dir_fd, path, 0) == 0 || errno == ENOENT)
		return 0;
	if ((errno == EISDIR || errno == EPERM) && unlinkat(b->dir_fd, path, AT_REMOVEDIR) == 0)
		return 0;
	return error_system(err, errno, "%s/%s cannot be removed", b->options.to, path);
}

static int remove_all(struct cluster_back *b, struct error *err)
{
	const void *path;
	int r = sorter_end(b->removed, err), more = 0;

	while (r == 0 && (more = sorter_next(b->removed, &path, err)) > 0)
		r = remove_path(b, path, err);
	return r < 0 ? r : more;
}

/* Whoever has root must not write through a link that somebody has put there. */
static int make_space(const struct cluster_back *b, const struct cluster_back_space *s, const char *key,
                      struct error *err)
{
	struct stat st;
	int r;

	if (mkdir(s->directory, ROOT_MODE) < 0 && errno != EEXIST)
		return error_system(err, errno, "tablespace %s: %s cannot be made", s->oid, s->directory);
	r = own(b, AT_FDCWD, s->directory);
	if (r < 0)
		return error_system(err, -r, "tablespace %s: %s", s->oid, s->directory);
	if (fstatat(b->dir_fd, key, &st, 0) == 0)
		return 0;
	(void)unlinkat(b->dir_fd, key, 0);
	if (symlinkat(s->directory, b->dir_fd, key) < 0)
		return fail_begin(b, key, errno, err);
	r = own(b, b->dir_fd, key);
	return r < 0 ? fail_begin(b, key, -r, err) : 0;
}

static int make_base_directory(const struct cluster_back *b, const struct listing_entry *e, struct error *err)
{
	const struct cluster_back_space *s = refill_space_of(b, e->key);
	struct stat st;
	int r;

	if (s)
		return make_space(b, s, e->key, err);
	if (mkdirat(b->dir_fd, e->key, ROOT_MODE) < 0) {
		if (errno != EEXIST || fstatat(b->dir_fd, e->key, &st, 0) < 0 || !S_ISDIR(st.st_mode))
			return fail_begin(b, e->key, EEXIST, err);
		return 0;
	}
	r = own(b, b->dir_fd, e->key);
	return r < 0 ? fail_begin(b, e->key, -r, err) : 0;
}

static int make_base_directories(const struct cluster_back *b, struct error *err)
{
	_cleanup(base_walk) struct base_walk w = refill_base_walk(b);
	int r = 0, more = 0;

	while (r == 0 && (more = base_walk_next(&w, err)) > 0)
		if (w.entry.is_directory && !refill_is_root(&w.entry))
			r = make_base_directory(b, &w.entry, err);
	return r < 0 ? r : more;
}

int refill_begin(struct cluster_back *b, struct error *err)
{
	int r = make_data_directory(b, err);

	/* Comparing may have taken long, and a hook has run since. */
	if (r == 0)
		r = refill_refuse_running(b, err);
	if (r == 0)
		r = write_mark(b, err);
	if (r == 0)
		r = hide_control(b, err);
	if (r == 0)
		r = remove_all(b, err);
	return r < 0 ? r : make_base_directories(b, err);
}

/* The end. */

static const char *name_on_disk(const struct listing_entry *e)
{
	if (refill_is_root(e))
		return ".";
	return str_equal(e->key, PG_CONTROL_NAME) ? BACK_CONTROL_NEW : e->key;
}

/* A link that stays keeps the owner that it has. */
static int set_mode(const struct cluster_back *b, const struct listing_entry *e, struct error *err)
{
	const char *name = name_on_disk(e);
	struct stat st;

	if (fstatat(b->dir_fd, name, &st, 0) < 0)
		return error_system(err, errno, "%s/%s", b->options.to, e->key);
	if (b->options.has_owner && (st.st_uid != b->options.uid || st.st_gid != b->options.gid) &&
	    fchownat(b->dir_fd, name, b->options.uid, b->options.gid, 0) < 0)
		return error_system(err, errno, "the owner of %s/%s cannot be set", b->options.to, e->key);
	if ((st.st_mode & MODES) != (e->mode & 0777) && fchmodat(b->dir_fd, name, e->mode & 0777, 0) < 0)
		return error_system(err, errno, "the mode of %s/%s cannot be set", b->options.to, e->key);
	return 0;
}

static int set_modes(const struct cluster_back *b, struct error *err)
{
	_cleanup(base_walk) struct base_walk w = refill_base_walk(b);
	int r = own(b, b->dir_fd, "."), more = 0;

	if (r == 0 && fchmod(b->dir_fd, ROOT_MODE) < 0)
		r = -errno;
	if (r < 0)
		return error_system(err, -r, "%s", b->options.to);
	while (r == 0 && (more = base_walk_next(&w, err)) > 0)
		if (w.entry.is_directory ||
		    (!refill_is_wanted(b, w.number) && !refill_is_left_out(w.entry.key)))
			r = set_mode(b, &w.entry, err);
	return r < 0 ? r : more;
}

static int read_auto_conf(const struct cluster_back *b, struct str *ret, struct error *err)
{
	_cleanup(fd) int fd = openat(b->dir_fd, AUTO_CONF, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char buf[4096];
	ssize_t n;

	if (fd < 0)
		return errno == ENOENT ? 0 : error_system(err, errno, "%s/" AUTO_CONF, b->options.to);
	while ((n = read(fd, buf, sizeof(buf))) > 0) {
		str_append_bytes(ret, buf, (size_t)n);
		if (ret->len > AUTO_CONF_MAX)
			return error_set(err, ERROR_CORRUPT, EFBIG, "%s/" AUTO_CONF " is too long",
			                 b->options.to);
	}
	return n < 0 ? error_system(err, errno, "%s/" AUTO_CONF, b->options.to) : 0;
}

static int write_settings(const struct cluster_back *b, const struct recovery_settings *settings,
                          struct error *err)
{
	_cleanup(str) struct str old = {0}, text = {0};
	int r = read_auto_conf(b, &old, err);

	if (r < 0)
		return r;
	recovery_settings_write(str_text(&old), settings, &text);
	r = write_own_file(b, AUTO_CONF, str_text(&text), text.len, err);
	return r < 0 ? r : write_own_file(b, RECOVERY_SIGNAL, "", 0, err);
}

static int sync_where(const char *directory, struct error *err)
{
	_cleanup(fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || syncfs(fd) < 0)
		return error_system(err, errno, "%s cannot be written to the disk", directory);
	return 0;
}

/* With what links that stay lead to. */
static int sync_all(const struct cluster_back *b, struct error *err)
{
	_cleanup(free) char *wal = mem_printf("%s/pg_wal", b->options.to);
	int r = sync_where(b->options.to, err);

	if (r == 0)
		r = sync_where(wal, err);
	for (size_t i = 0; r == 0 && i < b->options.space_count; i++)
		r = sync_where(b->options.spaces[i].directory, err);
	return r;
}

static int show_control(const struct cluster_back *b, struct error *err)
{
	_cleanup(fd) int fd = openat(b->dir_fd, "global", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || renameat(b->dir_fd, BACK_CONTROL_NEW, b->dir_fd, PG_CONTROL_NAME) < 0 || fsync(fd) < 0)
		return fail_begin(b, PG_CONTROL_NAME, errno, err);
	if ((unlinkat(b->dir_fd, CLUSTER_BACK_MARK, 0) < 0 && errno != ENOENT) || fsync(b->dir_fd) < 0)
		return error_system(err, errno, "%s/" CLUSTER_BACK_MARK " cannot be removed", b->options.to);
	return 0;
}

int refill_end(struct cluster_back *b, const struct recovery_settings *settings, struct error *err)
{
	int r = write_settings(b, settings, err);

	if (r == 0)
		r = set_modes(b, err);
	if (r == 0)
		r = sync_all(b, err);
	return r < 0 ? r : show_control(b, err);
}
