// SPDX-License-Identifier: Apache-2.0
/*
 * The configuration refuses a mountpoint of its own that stands in the way; this looks at the one that is used, which
 * may come from the command line or from fstab, and at what is on the disk.
 */
#include "own_places.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* A directory that may not be there yet. */
struct place {
	int fd;        /* O_PATH: the nearest one above that is there, or itself; -1: none can be looked at */
	char *missing; /* how it goes on from there: "/a/b", or "" */
};

static void place_finish(struct place *p)
{
	if (p->fd >= 0)
		close(p->fd);
	free(p->missing);
}

static inline void cleanup_place(struct place *p)
{
	place_finish(p);
}

static int open_place(int at, const char *path, struct stat *ret)
{
	int fd = openat(at, path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0 && fstat(fd, ret) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct place place_of(const char *path)
{
	_cleanup(free) char *above = mem_strdup(path);
	struct place p = {.fd = -1};
	struct stat st;
	char *slash;

	while ((p.fd = open_place(AT_FDCWD, above, &st)) < 0 && (slash = strrchr(above, '/')) &&
	       slash != above)
		*slash = '\0';
	if (p.fd < 0)
		p.fd = open_place(AT_FDCWD, *above == '/' ? "/" : ".", &st);
	p.missing = mem_strdup(path + strlen(above));
	return p;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Does the way up from the directory @fd lead through @outer? A directory is below itself. */
static bool lies_below(int fd, const struct stat *outer)
{
	struct stat here, above;
	_cleanup(fd) int at = open_place(fd, ".", &here);

	while (at >= 0) {
		int up;

		if (is_same(&here, outer))
			return true;
		up = open_place(at, "..", &above);
		close(at);
		at = up;
		if (is_same(&here, &above))
			return false;
		here = above;
	}
	return false;
}

static bool goes_on_with(const char *path, const char *begin)
{
	size_t len = strlen(begin);

	return strncmp(path, begin, len) == 0 && (path[len] == '\0' || path[len] == '/');
}

static bool holds(const struct place *outer, const struct place *inner)
{
	struct stat a, b;

	if (outer->fd < 0 || inner->fd < 0 || fstat(outer->fd, &a) < 0 || fstat(inner->fd, &b) < 0)
		return false;
	if (!*outer->missing)
		return lies_below(inner->fd, &a);
	return is_same(&a, &b) && goes_on_with(inner->missing, outer->missing);
}

/* What is mounted there may be dead and answer nothing, but its directory lies in another. */
static struct place place_above(const char *path)
{
	_cleanup(free) char *above = mem_strdup(path);
	char *slash = strrchr(above, '/');

	if (!slash)
		return place_of(".");
	slash[slash == above] = '\0';
	return place_of(above);
}

struct own_place {
	const char *path, *what;
	bool alone; /* nothing but what keepfs puts there may lie in it */
};

static int check_one(const struct own_place *own, const char *mountpoint, struct error *err)
{
	_cleanup(place) struct place at = place_of(mountpoint), above = place_above(mountpoint),
	                             place = place_of(own->path);

	if (holds(&at, &place))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "a mount on %s would hide %s, which is %s: name another directory, one that is empty and used for nothing else",
		        mountpoint, own->path, own->what);
	if (own->alone && holds(&place, &above))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "the mountpoint %s lies in %s, which is %s: name a directory outside of it",
		                 mountpoint, own->path, own->what);
	return 0;
}

static int check_files_jobs(const struct conf *conf, const char *mountpoint, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < conf->job_count; i++) {
		const struct conf_job *job = &conf->jobs[i];
		_cleanup(free) char *what = mem_printf("archived by the job %s", job->name);

		if (job->kind == CONF_JOB_FILES)
			r = check_one(&(struct own_place){.path = job->files.path, .what = what}, mountpoint,
			              err);
	}
	return r;
}

int own_places_check(const struct conf *conf, const char *mountpoint, struct error *err)
{
	_cleanup(free) char *real = conf->path ? realpath(conf->path, NULL) : NULL;
	const struct own_place places[] = {
	        {conf->state_dir, "[keepfs] state_dir", true},
	        {conf->read.cache_dir, "[read] cache_dir", true},
	        {str_starts(conf->store.url, "dir:") ? conf->store.url + strlen("dir:") : "",
	         "the directory of [store] url", true},
	        {real ? real : "", "the configuration", false},
	};
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(places); i++) {
		if (places[i].path && *places[i].path)
			r = check_one(&places[i], mountpoint, err);
	}
	return r < 0 ? r : check_files_jobs(conf, mountpoint, err);
}
