// SPDX-License-Identifier: Apache-2.0
/* How much may be kept: everything is counted now and then, and what is too much, or of dumps that are gone, is removed. */
#include "kept_limit.h"

#include <keepfs/base/mem.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT_EACH                                                                                           \
	64 /* files that were added: then all are counted again, for there may be other processes */
#define BLOCK_BYTES 4096 /* a file takes whole ones */
#define AFTER_PARTS 8    /* what is too much goes until 7 of 8 parts of the limit are left */
#define LEAVINGS_S  3600 /* a file that nobody has finished writing for so long was left by a crash */

struct counted_file {
	char dump[KEPT_NAME_BYTES], name[KEPT_NAME_BYTES];
	uint64_t bytes;
	struct timespec used_at;
};

struct count {
	struct kept *kept;
	struct counted_file *files;
	size_t count, cap;
	uint64_t bytes;
	bool at_start;
};

struct kept *kept_new(const struct kept_options *options)
{
	struct kept *k = mem_alloc(sizeof(*k));

	k->options = *options;
	k->path = mem_printf("%s/inside", options->state_dir);
	k->limit_bytes = options->limit_bytes ? options->limit_bytes : KEPT_LIMIT_BYTES;
	pthread_mutex_init(&k->lock, NULL);
	return k;
}

struct kept *kept_free(struct kept *k)
{
	if (!k)
		return NULL;
	pthread_mutex_destroy(&k->lock);
	free(k->path);
	free(k);
	return NULL;
}

/* Counting. */

static bool begins_with_dot(const char *name)
{
	return name[0] == '.';
}

static bool was_left(const struct count *c, const char *name, const struct stat *st)
{
	struct timespec now;

	if (strncmp(name, KEPT_TEMPORARY, strlen(KEPT_TEMPORARY)) != 0)
		return false;
	clock_gettime(CLOCK_REALTIME, &now);
	return c->at_start || now.tv_sec - st->st_mtim.tv_sec > LEAVINGS_S;
}

static void count_file(struct count *c, const char *dump, const char *name, const struct stat *st)
{
	struct counted_file *f;

	if (c->count == c->cap) {
		c->cap = c->cap ? 2 * c->cap : 64;
		c->files = mem_resize(c->files, c->cap, sizeof(*c->files));
	}
	f = &c->files[c->count++];
	*f = (struct counted_file){.bytes = ((uint64_t)st->st_size + BLOCK_BYTES - 1) / BLOCK_BYTES *
	                                    BLOCK_BYTES,
	                           .used_at = st->st_mtim};
	snprintf(f->dump, sizeof(f->dump), "%s", dump);
	snprintf(f->name, sizeof(f->name), "%s", name);
	c->bytes += f->bytes;
}

/* @all: the dump is gone, and they go. */
static void count_dump(struct count *c, const char *dump, bool all)
{
	_cleanup(free) char *path = mem_printf("%s/%s", c->kept->path, dump);
	DIR *d = opendir(path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		struct stat st;

		if (begins_with_dot(e->d_name) || fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (all || was_left(c, e->d_name, &st))
			unlinkat(dirfd(d), e->d_name, 0);
		else if (S_ISREG(st.st_mode) && strlen(e->d_name) < KEPT_NAME_BYTES)
			count_file(c, dump, e->d_name, &st);
	}
	if (d)
		closedir(d);
	/* Only when it is empty; whoever is about to write into it does without. */
	rmdir(path);
}

static bool parse_dump(const char *name, uint64_t *ret_ino, uint64_t *ret_finished)
{
	char again[KEPT_NAME_BYTES];

	if (sscanf(name, "%16" SCNx64 "-%16" SCNx64, ret_ino, ret_finished) != 2)
		return false;
	snprintf(again, sizeof(again), KEPT_DUMP_FORMAT, *ret_ino, *ret_finished);
	return strcmp(name, again) == 0;
}

static bool is_dump_gone(const struct kept *k, uint64_t ino, uint64_t finished)
{
	return k->options.is_there && !k->options.is_there(k->options.arg, ino, (int64_t)finished);
}

/* Names that none of ours has are left alone. */
static void count_all(struct count *c)
{
	DIR *d = opendir(c->kept->path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		uint64_t ino, finished;

		if (parse_dump(e->d_name, &ino, &finished))
			count_dump(c, e->d_name, is_dump_gone(c->kept, ino, finished));
	}
	if (d)
		closedir(d);
}

/* Removing. */

static int by_use(const void *a, const void *b)
{
	const struct timespec *one = &((const struct counted_file *)a)->used_at,
	                      *other = &((const struct counted_file *)b)->used_at;

	if (one->tv_sec != other->tv_sec)
		return one->tv_sec < other->tv_sec ? -1 : 1;
	return (one->tv_nsec > other->tv_nsec) - (one->tv_nsec < other->tv_nsec);
}

static void remove_oldest(struct count *c)
{
	uint64_t most = c->kept->limit_bytes - c->kept->limit_bytes / AFTER_PARTS;

	if (c->bytes <= c->kept->limit_bytes)
		return;
	qsort(c->files, c->count, sizeof(*c->files), by_use);
	for (size_t i = 0; i < c->count && c->bytes > most; i++) {
		const struct counted_file *f = &c->files[i];
		_cleanup(free) char *directory = mem_printf("%s/%s", c->kept->path, f->dump);
		_cleanup(free) char *path = mem_printf("%s/%s", directory, f->name);

		unlink(path);
		rmdir(directory);
		c->bytes -= f->bytes;
	}
}

static void keep_within_limit(struct kept *k, bool at_start)
{
	struct count c = {.kept = k, .at_start = at_start};

	count_all(&c);
	remove_oldest(&c);
	free(c.files);
	pthread_mutex_lock(&k->lock);
	k->counted = true;
	k->used_bytes = c.bytes;
	k->added = 0;
	pthread_mutex_unlock(&k->lock);
}

void kept_limit_added(struct kept *k, uint64_t bytes)
{
	bool due;

	pthread_mutex_lock(&k->lock);
	k->used_bytes += (bytes + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
	due = !k->counted || ++k->added >= COUNT_EACH || k->used_bytes > k->limit_bytes;
	pthread_mutex_unlock(&k->lock);
	if (due)
		keep_within_limit(k, false);
}

void kept_tidy(struct kept *k)
{
	keep_within_limit(k, true);
}

void kept_forget_dump(struct kept *k, uint64_t dump_ino)
{
	struct count c = {.kept = k};
	DIR *d = opendir(k->path);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		uint64_t ino, finished;

		if (parse_dump(e->d_name, &ino, &finished) && ino == dump_ino)
			count_dump(&c, e->d_name, true);
	}
	if (d)
		closedir(d);
}
