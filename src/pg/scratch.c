// SPDX-License-Identifier: Apache-2.0
/*
 * The life of a throw-away server. A thread looks twice a second how much disk it takes; there is nothing that would tell.
 */
#include "scratch.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/own_file.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define MEASURE_MS  500
#define KIB         UINT64_C(1024)
#define MIB         (1024 * KIB)
#define LOCK_NAME   "lock"
#define SOCKETS_MAX 80 /* with the socket's name behind it, of the 107 that an address of a socket has */

static void pass_cancel(void *arg)
{
	cancel_set(arg);
}

static struct pg_scratch *scratch_alloc(const struct pg_scratch_options *options)
{
	struct pg_scratch *s = mem_alloc(sizeof(*s));

	s->options = *options;
	s->lock_fd = s->place.dir_fd = s->place.lock_fd = -1;
	cancel_init(&s->cancel);
	cancel_init(&s->watch_end);
	pthread_mutex_init(&s->lock, NULL);
	clock_cond_init(&s->told);
	s->outer = (struct cancel_hook){.wake = pass_cancel, .arg = &s->cancel};
	cancel_add_hook(options->cancel, &s->outer);
	return s;
}

/* Who it is. */

static int find_user(struct pg_scratch *s, struct error *err)
{
	struct passwd entry, *found = NULL;
	char buf[4096];

	s->uid = geteuid();
	s->gid = getegid();
	if (s->uid != 0)
		return 0;
	if (getpwnam_r(s->options.user, &entry, buf, sizeof(buf), &found) != 0 || !found ||
	    found->pw_uid == 0)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "keepfs runs as root, as whom PostgreSQL does not run, and there is no other user %.60s: name one, [keepfs] drill_user",
		        s->options.user);
	s->uid = found->pw_uid;
	s->gid = found->pw_gid;
	return 0;
}

static int find_programs(struct pg_scratch *s, struct error *err)
{
	_cleanup(free) char *real = NULL;
	char path[PG_PATH_BYTES];
	int r = pg_find_program("initdb", s->options.bindir, s->options.version_num, path, s->version, err);

	if (r < 0)
		return r;
	/* Where a link leads to the others are, too. */
	real = realpath(path, NULL);
	str_copy(s->bindir, sizeof(s->bindir), real ? real : path);
	*strrchr(s->bindir, '/') = '\0';
	/* The files of a cluster are those of one major version. */
	if (s->options.fill && pg_scratch_version_num(s) / 10000 != s->options.version_num / 10000)
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "no server of PostgreSQL %d was found on this host (the nearest is %.200s, %.60s): install postgresql-%d, or say with [keepfs] drill_bindir where it is",
		        s->options.version_num / 10000, path, s->version, s->options.version_num / 10000);
	return 0;
}

static int lock_directory(struct pg_scratch *s, struct error *err)
{
	const char *directory = s->options.directory;

	s->place.dir_fd = scratch_open(directory, true, err);
	if (s->place.dir_fd < 0)
		return s->place.dir_fd;
	s->lock_fd = own_file_open(s->place.dir_fd, directory, LOCK_NAME, O_RDWR | O_CREAT,
	                           "name another [keepfs] drill_dir", err);
	if (s->lock_fd < 0)
		return s->lock_fd;
	if (flock(s->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	return error_set(err, ERROR_CONFLICT, EBUSY,
	                 "another drill is under way on this host (%s/" LOCK_NAME
	                 " is locked): one at a time; try again when it has ended",
	                 directory);
}

/* Its disk. */

static int measure_budget(struct pg_scratch *s, struct error *err)
{
	struct statvfs fs;
	uint64_t room;

	if (fstatvfs(s->place.dir_fd, &fs) < 0)
		return error_system(err, errno, "the free space of %s cannot be learned",
		                    s->options.directory);
	room = (uint64_t)fs.f_bavail * fs.f_frsize;
	room -= room < (uint64_t)fs.f_blocks * fs.f_frsize / 10 ? room
	                                                        : (uint64_t)fs.f_blocks * fs.f_frsize / 10;
	s->disk_bytes = s->options.disk_bytes < room ? s->options.disk_bytes : room;
	if (s->disk_bytes > 64 * MIB)
		return 0;
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "%s has no room for a throw-away server: a tenth of its file system is to stay free; name another [keepfs] drill_dir",
	        s->options.directory);
}

static void note_size(struct pg_scratch *s, uint64_t bytes)
{
	pthread_mutex_lock(&s->lock);
	if (bytes > s->peak_bytes)
		s->peak_bytes = bytes;
	s->is_full |= bytes > s->disk_bytes;
	pthread_mutex_unlock(&s->lock);
	if (bytes > s->disk_bytes)
		cancel_set(&s->cancel);
}

static void *watch_disk(void *arg)
{
	struct pg_scratch *s = arg;

	do
		note_size(s, scratch_measure(s->place.dir_fd, s->place.name));
	while (!cancel_sleep_ms(&s->watch_end, MEASURE_MS));
	return NULL;
}

int pg_scratch_failure(struct pg_scratch *s, struct error *err)
{
	char peak[16], budget[16];
	bool is_full;

	pthread_mutex_lock(&s->lock);
	is_full = s->is_full;
	str_format_bytes(peak, sizeof(peak), s->peak_bytes);
	pthread_mutex_unlock(&s->lock);
	if (!is_full)
		return 0;
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "the throw-away server in %s took %s, more than the %s that it may have (drill_disk, and a tenth of the file system is to stay free): raise [keepfs] drill_disk, name a drill_dir with more room, or give server=…",
	        s->options.directory, peak, str_format_bytes(budget, sizeof(budget), s->disk_bytes));
}

uint64_t pg_scratch_peak_bytes(struct pg_scratch *s)
{
	uint64_t bytes;

	pthread_mutex_lock(&s->lock);
	bytes = s->peak_bytes;
	pthread_mutex_unlock(&s->lock);
	return bytes;
}

static void forget_connection(struct pg_scratch *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->variables); i++)
		mem_replace_string(&s->variables[i], NULL);
	mem_replace_string(&s->conninfo, NULL);
}

void scratch_name_connection(struct pg_scratch *s)
{
	forget_connection(s);
	s->conninfo = mem_printf("host='%s' port=5432 user='%s' dbname=postgres sslmode=disable", s->sockets,
	                         s->role);
	s->variables[0] = mem_printf("PGHOST=%s", s->sockets);
	s->variables[1] = mem_strdup("PGPORT=5432");
	s->variables[2] = mem_printf("PGUSER=%s", s->role);
	s->variables[3] = mem_strdup("PGSSLMODE=disable");
}

/* The directory of the socket, whose path must be short, and a list of directories: so without a comma. */
static int make_sockets(struct pg_scratch *s)
{
	_cleanup(free) char *within = mem_printf("%s/s", s->place.path);
	bool fits = strlen(within) <= SOCKETS_MAX && !strpbrk(within, ",\"'");
	int r = fits ? scratch_place_add(&s->place, "s", s->uid, s->gid)
	             : scratch_place_add_elsewhere(&s->place, s->uid, s->gid);

	if (r == 0)
		s->sockets = fits ? take_ptr(&within) : mem_strdup(s->place.elsewhere);
	return r;
}

static int make_server_place(struct pg_scratch *s, struct error *err)
{
	const char *directory = s->options.directory;
	int r = scratch_place_new(directory, s->uid, s->gid, &s->place, err);

	if (r < 0)
		return r;
	r = scratch_place_add(&s->place, SCRATCH_DATA, s->uid, s->gid);
	if (r == 0)
		r = make_sockets(s);
	return r < 0 ? error_system(err, -r, "a directory for a throw-away server cannot be made in %s",
	                            directory)
	             : 0;
}

static int make_scratch(struct pg_scratch *s, struct error *err)
{
	int r = find_user(s, err);

	if (r == 0)
		r = find_programs(s, err);
	if (r == 0)
		r = lock_directory(s, err);
	if (r == 0)
		r = measure_budget(s, err);
	if (r == 0 && scratch_place_clear(s->options.directory, err) < 0)
		r = -EIO;
	if (r == 0)
		r = make_server_place(s, err);
	if (r < 0)
		return r;
	/* None of the dump's: what it says of its superuser is not to touch this one. */
	s->role = mem_printf("keepfs_%s", s->place.name);
	scratch_name_connection(s);
	s->has_watch = thread_start(&s->watch, "drill-disk", watch_disk, s) == 0;
	r = s->options.fill ? scratch_fill(s, err) : scratch_initdb(s, err);
	return r < 0 ? r : scratch_start(s, err);
}

int pg_scratch_new(const struct pg_scratch_options *options, struct pg_scratch **ret, struct error *err)
{
	struct pg_scratch *s = scratch_alloc(options);
	int r = make_scratch(s, err);

	if (r < 0 && s->place.dir_fd >= 0 && pg_scratch_failure(s, err) < 0)
		r = -ENOSPC;
	if (r < 0)
		pg_scratch_free(s);
	else
		*ret = s;
	return r;
}

static void scratch_finish(struct pg_scratch *s)
{
	cancel_remove_hook(s->options.cancel, &s->outer);
	forget_connection(s);
	scratch_place_finish(&s->place);
	free(s->sockets);
	free(s->role);
	if (s->lock_fd >= 0)
		close(s->lock_fd);
	pthread_cond_destroy(&s->told);
	pthread_mutex_destroy(&s->lock);
	cancel_finish(&s->watch_end);
	cancel_finish(&s->cancel);
	free(s);
}

struct pg_scratch *pg_scratch_free(struct pg_scratch *s)
{
	struct error err = {0};

	if (!s)
		return NULL;
	if (s->has_watch) {
		cancel_set(&s->watch_end);
		pthread_join(s->watch, NULL);
	}
	if (s->place.path)
		scratch_end_processes(s->place.path);
	proc_free(s->server);
	if (s->place.lock_fd >= 0 && scratch_place_remove(&s->place, &err) < 0)
		log_error("%s", err.message);
	scratch_finish(s);
	return NULL;
}

const char *pg_scratch_conninfo(const struct pg_scratch *s)
{
	return s->conninfo;
}

const char *const *pg_scratch_environment(const struct pg_scratch *s)
{
	return (const char *const *)s->variables;
}

const char *pg_scratch_bindir(const struct pg_scratch *s)
{
	return s->bindir;
}

const char *pg_scratch_version(const struct pg_scratch *s)
{
	return s->version;
}

int pg_scratch_version_num(const struct pg_scratch *s)
{
	return (int)strtol(s->version, NULL, 10) * 10000;
}

struct cancel *pg_scratch_cancel(struct pg_scratch *s)
{
	return &s->cancel;
}

char *scratch_tablespace(struct pg_scratch *s, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/tablespace-%u", s->place.path, ++s->tablespaces);

	if (mkdir(path, 0700) < 0 || chown(path, s->uid, s->gid) < 0) {
		error_system(err, errno, "a directory for a tablespace, %s, cannot be made", path);
		return NULL;
	}
	return take_ptr(&path);
}
