// SPDX-License-Identifier: Apache-2.0
/*
 * A directory as a source. Its files are listed in the order of their paths' bytes, which is not that of its names: a directory's name counts with the '/'
 * that follows it. Of each level the smallest names behind the last one are in memory, as many as NAMES_BYTES allow; when these are over, the directory is read once more.
 */
#include "source_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/shown_name.h>

#include "../store_private.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NAMES_BYTES ((size_t)4 << 20)     /* of a level, at most: some 60,000 names */
#define NAME_COSTS  (sizeof(char *) + 24) /* beside its text */

static struct dir_source *dir_source_of(struct source *s)
{
	return (struct dir_source *)s; /* `base` is the first member */
}

struct level {
	char *below;  /* "" or "a/b/" */
	char **names; /* sorted; of a directory with a '/' at its end */
	size_t count, at, room;
	size_t bytes;         /* that they take */
	const char *greatest; /* of those that were kept when there were too many; NULL: there were not */
	bool more;            /* there are names behind these */
	char *last;
};

struct dir_walk {
	struct level *levels;
	size_t depth;
	bool begun;
};

static void level_clear(struct level *l)
{
	for (size_t i = 0; i < l->count; i++)
		free(l->names[i]);
	free(l->names);
	l->names = NULL;
	l->greatest = NULL;
	l->count = l->at = l->room = l->bytes = 0;
}

static int compare_source_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static size_t costs_of(const char *name)
{
	return strlen(name) + 1 + NAME_COSTS;
}

static void sort_names(struct level *l)
{
	if (l->count > 1)
		qsort(l->names, l->count, sizeof(*l->names), compare_source_names);
}

/* The greater half waits until the directory is read again. */
static void drop_greater_half(struct level *l)
{
	size_t keep = l->count / 2;

	sort_names(l);
	for (l->more = true; l->count > keep;) {
		l->bytes -= costs_of(l->names[--l->count]);
		free(l->names[l->count]);
	}
	l->greatest = l->names[keep - 1];
}

static void add_source_name(struct level *l, const char *name, bool is_directory)
{
	char own[sizeof(((struct dirent *)0)->d_name) + 1];

	snprintf(own, sizeof(own), "%s%s", name, is_directory ? "/" : "");
	if ((l->last && strcmp(own, l->last) <= 0) || (l->greatest && strcmp(own, l->greatest) > 0))
		return;
	if (l->count == l->room) {
		l->room = l->room ? 2 * l->room : 64;
		l->names = mem_resize(l->names, l->room, sizeof(*l->names));
	}
	l->names[l->count++] = mem_strdup(own);
	l->bytes += costs_of(own);
	if (l->bytes > NAMES_BYTES)
		drop_greater_half(l);
}

static void pass_source_over(struct source_list *list, const char *key, const char *why)
{
	if (list->left.unreadable++ == 0)
		snprintf(list->left.first, sizeof(list->left.first), "%.300s: %s", key, why);
}

/* What the directory itself does not say of an entry; DT_UNKNOWN: it is gone by now. One that cannot be looked at is told of when its turn comes. */
static unsigned char kind_of_entry(DIR *dir, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type != DT_UNKNOWN)
		return entry->d_type;
	if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? DT_UNKNOWN : DT_REG;
	return IFTODT(st.st_mode);
}

static void take_source_entry(struct source_list *list, struct level *l, DIR *dir, const struct dirent *entry)
{
	unsigned char kind = kind_of_entry(dir, entry);
	bool is_first_reading = !l->last;

	if (kind == DT_REG || kind == DT_DIR)
		add_source_name(l, entry->d_name, kind == DT_DIR);
	else if (kind == DT_LNK)
		list->left.links += is_first_reading;
	else if (kind != DT_UNKNOWN)
		list->left.others += is_first_reading;
}

/* *@ret_errnum: why the directory could not be read to its end; 0: it was. */
static int read_level(struct source_list *list, struct level *l, DIR *dir, int *ret_errnum, struct error *err)
{
	struct dirent *entry;

	for (errno = 0; (entry = readdir(dir)); errno = 0) {
		int r = store_call_check(list->call, "listing the source", err);

		if (r < 0)
			return r;
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
		    !str_starts(entry->d_name, DIR_TEMP_PREFIX))
			take_source_entry(list, l, dir, entry);
	}
	*ret_errnum = errno;
	sort_names(l);
	return 0;
}

/* Another directory is there by now (a file system was unmounted, or a link changed): what is not in it is not gone. */
static int check_same_root(const struct dir_source *s, struct error *err)
{
	struct stat st;

	if (!s->has_root)
		return 0;
	if (stat(s->root, &st) < 0)
		return error_set(err, ERROR_UNAVAILABLE, EIO, "%s is not there any more: %s", s->root,
		                 strerror(errno));
	if (st.st_dev == s->root_device && st.st_ino == s->root_ino)
		return 0;
	return error_set(
	        err, ERROR_UNAVAILABLE, EIO,
	        "%s is another directory than it was a moment ago: was something mounted or unmounted?",
	        s->root);
}

static int note_root(struct dir_source *s, int fd)
{
	struct stat st;

	if (s->has_root)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	s->root_device = st.st_dev;
	s->root_ino = st.st_ino;
	s->has_root = true;
	return 0;
}

static int fill_level(struct source_list *list, struct level *l, struct error *err)
{
	struct dir_source *s = dir_source_of(list->source);
	_cleanup(free) char *path = mem_printf("%s/%s", s->root, l->below);
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r = dir ? 0 : -errno, errnum = 0;

	level_clear(l);
	l->more = false;
	if (!dir) {
		if (fd >= 0)
			close(fd);
		if (!*l->below)
			return error_system(err, -r, "%s cannot be listed", s->root);
		if (r != -ENOENT && r != -ENOTDIR && r != -ELOOP)
			pass_source_over(list, l->below, strerror(-r));
		return 0;
	}
	if (!*l->below && (r = note_root(s, fd)) < 0)
		errnum = -r;
	else
		r = read_level(list, l, dir, &errnum, err);
	closedir(dir);
	if (errnum && !*l->below)
		return error_system(err, errnum, "%s cannot be listed", s->root);
	if (errnum)
		pass_source_over(list, l->below, strerror(errnum));
	return r;
}

static void push_source_level(struct dir_walk *w, char *below)
{
	w->levels = mem_resize(w->levels, w->depth + 1, sizeof(*w->levels));
	w->levels[w->depth++] = (struct level){.below = below};
}

static void pop_level(struct dir_walk *w)
{
	struct level *l = &w->levels[--w->depth];

	level_clear(l);
	free(l->below);
	free(l->last);
}

static void file_etag(const struct stat *st, char ret[static STORE_ETAG_BYTES])
{
	snprintf(ret, STORE_ETAG_BYTES, "%" PRIx64 "-%" PRIx64 "-%" PRIx64 ".%lx-%" PRIx64 ".%lx",
	         (uint64_t)st->st_ino, (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
	         st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec, st->st_ctim.tv_nsec);
}

static void describe_file(const char *key, const struct stat *st, struct source_object *ret)
{
	char etag[STORE_ETAG_BYTES];

	file_etag(st, etag);
	*ret = (struct source_object){.key = mem_strdup(key),
	                              .bytes = (uint64_t)st->st_size,
	                              .etag = mem_strdup(etag),
	                              .modified_us = (int64_t)st->st_mtim.tv_sec * US_PER_S +
	                                             st->st_mtim.tv_nsec / 1000};
}

/* 1: it is a file that can be a state's. */
static int look_at_source_file(struct source_list *list, const char *key, struct source_object *ret)
{
	_cleanup(free) char *path = mem_printf("%s/%s", dir_source_of(list->source)->root, key);
	struct stat st;

	if (strlen(key) >= SHOWN_KEY_MAX) {
		pass_source_over(list, key, "its path is too long");
		return 0;
	}
	if (lstat(path, &st) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			pass_source_over(list, key, strerror(errno));
		return 0;
	}
	if (!S_ISREG(st.st_mode))
		return 0;
	describe_file(key, &st, ret);
	return 1;
}

/* Can what is called @key, with a '/' at its end of a directory, be wanted, or have what is? */
static bool may_be_below(const struct source_list *list, const char *key)
{
	return str_starts(key, list->prefix) || (str_ends(key, "/") && str_starts(list->prefix, key));
}

static int step(struct source_list *list, struct dir_walk *w, struct source_object *ret, struct error *err)
{
	struct level *l = &w->levels[w->depth - 1];
	char *key;
	int r = 0;

	if (l->at == l->count) {
		if (!l->more) {
			pop_level(w);
			return 0;
		}
		r = fill_level(list, l, err);
		return r;
	}
	mem_replace_string(&l->last, l->names[l->at]);
	key = mem_printf("%s%s", l->below, l->names[l->at++]);
	if (!may_be_below(list, key)) {
		free(key);
		return 0;
	}
	if (str_ends(key, "/")) {
		push_source_level(w, key);
		return fill_level(list, &w->levels[w->depth - 1], err);
	}
	r = look_at_source_file(list, key, ret);
	free(key);
	return r;
}

static int next_file(struct source_list *list, struct source_object *ret, struct error *err)
{
	struct dir_walk *w = list->state;
	int r = 0;

	if (!w) {
		w = list->state = mem_alloc(sizeof(*w));
		push_source_level(w, mem_strdup(""));
		r = fill_level(list, &w->levels[0], err);
	}
	while (r == 0 && w->depth > 0)
		r = step(list, w, ret, err);
	return r == 0 ? check_same_root(dir_source_of(list->source), err) : r;
}

static void end_walk(struct source_list *list)
{
	struct dir_walk *w = list->state;

	while (w && w->depth > 0)
		pop_level(w);
	if (w)
		free(w->levels);
	free(w);
}

static int open_source_file(struct source *s, const char *key, struct stat *ret_st, struct error *err)
{
	_cleanup(free) char *path = mem_printf("%s/%s", dir_source_of(s)->root, key);
	_cleanup(fd) int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0 || fstat(fd, ret_st) < 0) {
		int errnum = errno == ENOTDIR || errno == ELOOP ? ENOENT : errno;
		int r = errnum == ENOENT ? check_same_root(dir_source_of(s), err) : 0;

		return r < 0 ? r : error_system(err, errnum, "%s cannot be read", path);
	}
	if (!S_ISREG(ret_st->st_mode))
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s is no file any more", path);
	return take_fd(&fd);
}

static int check_same(const char *key, const char *etag, int fd, struct error *err)
{
	char now[STORE_ETAG_BYTES];
	struct stat st;

	if (fstat(fd, &st) < 0)
		return error_system(err, errno, "%s cannot be looked at", key);
	file_etag(&st, now);
	return str_equal(now, etag)
	               ? 0
	               : error_set(err, ERROR_CONFLICT, ESTALE, "%s: the file is another one now", key);
}

static int read_source_range(int fd, const char *key, uint64_t offset, const struct iovec *iov, int count,
                             struct error *err)
{
	for (int i = 0; i < count; i++) {
		for (size_t done = 0; done < iov[i].iov_len;) {
			ssize_t n = pread(fd, (char *)iov[i].iov_base + done, iov[i].iov_len - done,
			                  (off_t)offset);

			if (n < 0 && errno == EINTR)
				continue;
			if (n < 0)
				return error_system(err, errno, "%s cannot be read", key);
			if (n == 0)
				return error_set(err, ERROR_CONFLICT, ESTALE, "%s has become shorter", key);
			done += (size_t)n;
			offset += (uint64_t)n;
		}
	}
	return 0;
}

static int get_file(struct source *s, const struct store_call *call, const char *key, const char *etag,
                    uint64_t offset, const struct iovec *iov, int count, struct source_facts *ret,
                    struct error *err)
{
	struct stat st;
	_cleanup(fd) int fd = -1;
	int r = store_call_check(call, key, err);

	if (ret)
		*ret = (struct source_facts){0};
	if (r < 0)
		return r;
	fd = open_source_file(s, key, &st, err);
	if (fd < 0)
		return fd;
	r = check_same(key, etag, fd, err);
	if (r == 0)
		r = read_source_range(fd, key, offset, iov, count, err);
	/* What was written to meanwhile has another time. */
	return r == 0 ? check_same(key, etag, fd, err) : r;
}

static int head_file(struct source *s, const struct store_call *call, const char *key,
                     struct source_object *ret, struct error *err)
{
	struct stat st;
	_cleanup(fd) int fd = -1;
	int r = store_call_check(call, key, err);

	if (r < 0)
		return r;
	fd = open_source_file(s, key, &st, err);
	if (fd < 0)
		return fd;
	describe_file(key, &st, ret);
	return 0;
}

static void free_dir_source(struct source *s)
{
	free(dir_source_of(s)->root);
	free(s);
}

static const struct source_ops dir_source_ops = {
        .next = next_file,
        .end = end_walk,
        .get = get_file,
        .head = head_file,
        .check_key = dir_source_check_key,
        .piece_bytes = dir_source_piece_bytes,
        .put_begin = dir_source_put_begin,
        .put_write = dir_source_put_write,
        .put_end = dir_source_put_end,
        .put_free = dir_source_put_free,
        .remove = dir_source_remove,
        .empty = dir_source_empty,
        .free = free_dir_source,
};

int source_dir_open(const char *root, struct source **ret, struct error *err)
{
	struct dir_source *s = mem_alloc(sizeof(*s));

	(void)err;
	s->base.ops = &dir_source_ops;
	s->base.name = mem_printf("dir:%s", root);
	s->root = mem_strdup(root);
	*ret = &s->base;
	return 0;
}
