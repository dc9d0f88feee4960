// SPDX-License-Identifier: Apache-2.0
/*
 * Keys in byte order, a page at a time. A directory's names are ordered as they appear in keys: a directory
 * as "name/", so that "a-b" comes before "a/b" comes before "aa". Names are taken in batches, the smallest
 * BATCH ones after the last batch, so that memory is bounded also for a directory of a million objects.
 */
#include "dir.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define BATCH ((size_t)1024)

struct names {
	char **items;
	size_t count;
	bool cut; /* there are more than these */
};

struct page {
	struct dir_store *store;
	const struct store_call *call;
	const char *prefix, *start_after; /* start_after: "" from the start */
	size_t max;
	struct store_object *objects;
	size_t count, cap;
	bool more; /* an object was found behind the page's end: the walk is over */
};

static void names_finish(struct names *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static void cleanup_names(struct names *n)
{
	names_finish(n);
}

static int compare_listed_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void names_cut(struct names *n)
{
	qsort(n->items, n->count, sizeof(*n->items), compare_listed_names);
	for (; n->count > BATCH; n->cut = true)
		free(n->items[--n->count]);
}

static void names_add(struct names *n, const char *name, bool is_dir)
{
	if (!n->items)
		n->items = mem_array(2 * BATCH, sizeof(*n->items));
	n->items[n->count++] = mem_printf("%s%s", name, is_dir ? "/" : "");
	if (n->count == 2 * BATCH)
		names_cut(n);
}

/* Whether @key, or for a directory ("…/") a key below it, can belong on the page. */
static bool is_on_page(const struct page *p, const char *key, bool is_dir)
{
	if (strlen(key) >= STORE_KEY_BYTES)
		return false;
	if (!str_starts(key, p->prefix) && !(is_dir && str_starts(p->prefix, key)))
		return false;
	return strcmp(key, p->start_after) > 0 || (is_dir && str_starts(p->start_after, key));
}

static bool hidden(const char *path, const char *name)
{
	return path[0] == '\0' && str_starts(name, DIR_WORK);
}

/* 'f' file, 'd' directory, 0 neither or vanished; -ELOOP for a link: what lies behind it would look lost. */
static int kind_of(int dir_fd, const struct dirent *entry)
{
	struct stat st;

	if (entry->d_type == DT_REG)
		return 'f';
	if (entry->d_type == DT_DIR)
		return 'd';
	if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (S_ISLNK(st.st_mode))
		return -ELOOP;
	return S_ISREG(st.st_mode) ? 'f' : S_ISDIR(st.st_mode) ? 'd' : 0;
}

static int consider_entry(struct page *p, int dir_fd, const char *path, const struct dirent *entry,
                          const char *after, struct names *n)
{
	_cleanup(free) char *key = NULL;
	int kind;

	if (str_equal(entry->d_name, ".") || str_equal(entry->d_name, "..") || hidden(path, entry->d_name))
		return 0;
	kind = kind_of(dir_fd, entry);
	if (kind == 0 || kind == -ELOOP) {
		key = mem_printf("%s%s", path, entry->d_name);
		return kind == -ELOOP && is_on_page(p, key, true) ? -ELOOP : 0;
	}
	if (kind < 0)
		return kind;
	key = mem_printf("%s%s%s", path, entry->d_name, kind == 'd' ? "/" : "");
	/* Files that no key can name are not ours. */
	if (strcmp(key + strlen(path), after) > 0 && is_on_page(p, key, kind == 'd') &&
	    store_prefix_check(key, NULL) == 0)
		names_add(n, entry->d_name, kind == 'd');
	return 0;
}

static int read_names(struct page *p, int dir_fd, const char *path, const char *after, struct names *ret)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int r = dir ? 0 : -errno;

	if (!dir)
		cleanup_fd(&fd);
	while (r == 0) {
		struct dirent *entry;

		errno = 0;
		entry = readdir(dir);
		if (!entry) {
			r = -errno;
			break;
		}
		r = store_call_state(p->call);
		if (r == 0)
			r = consider_entry(p, dir_fd, path, entry, after, ret);
	}
	if (dir)
		closedir(dir);
	if (ret->count)
		names_cut(ret);
	return r;
}

static void page_add(struct page *p, const struct stat *st, const char *key)
{
	if (p->count == p->max) {
		p->more = true;
		return;
	}
	if (p->count == p->cap) {
		p->cap = p->cap ? 2 * p->cap : 16;
		p->objects = mem_resize(p->objects, p->cap, sizeof(*p->objects));
	}
	p->objects[p->count] = (struct store_object){0};
	dir_fill_object(p->store, st, key, &p->objects[p->count++]);
}

static int walk_directory_page(struct page *p, int dir_fd, const char *path);

static int visit_listed(struct page *p, int dir_fd, const char *path, const char *name)
{
	_cleanup(free) char *key = mem_printf("%s%s", path, name);
	_cleanup(free) char *bare = NULL;
	_cleanup(fd) int fd = -1;
	struct stat st;
	int r;

	if (!str_ends(name, "/")) {
		r = dir_stat_leaf(dir_fd, name, &st);
		if (r == 0)
			page_add(p, &st, key);
		return r == -ENOENT ? 0 : r; /* removed meanwhile */
	}
	bare = mem_strdup(name);
	bare[strlen(bare) - 1] = '\0';
	fd = openat(dir_fd, bare, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 && errno == EACCES && str_equal(key, "lost+found/")) /* mkfs makes it, for root only */
		return 0;
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	return walk_directory_page(p, fd, key);
}

/* @path: "" or ends with '/'. As deep as a key has components, at most 450. */
static int walk_directory_page(struct page *p, int dir_fd, const char *path)
{
	_cleanup(free) char *after = mem_strdup("");
	bool cut = true;
	int r = 0;

	while (cut && r == 0 && !p->more) {
		_cleanup(names) struct names names = {0};

		r = read_names(p, dir_fd, path, after, &names);
		for (size_t i = 0; r == 0 && i < names.count && !p->more; i++) {
			r = store_call_state(p->call);
			if (r == 0)
				r = visit_listed(p, dir_fd, path, names.items[i]);
		}
		cut = names.cut;
		if (names.count)
			mem_replace_string(&after, names.items[names.count - 1]);
	}
	return r;
}

int dir_list(struct store *s, const struct store_call *call, const char *prefix, const char *start_after,
             size_t max, struct store_object **ret_objects, size_t *ret_count, bool *ret_more,
             struct error *err)
{
	struct dir_store *d = dir_store_of(s);
	struct page page = {.store = d,
	                    .call = call,
	                    .prefix = prefix,
	                    .start_after = start_after ? start_after : "",
	                    .max = max};
	_cleanup(free) char *path = mem_strdup(prefix);
	_cleanup(fd) int fd = -1;
	char *slash = strrchr(path, '/');
	int r;

	path[slash ? slash + 1 - path : 0] = '\0';
	fd = dir_walk(d, path, strlen(path), false);
	r = fd < 0 ? fd : walk_directory_page(&page, fd, path);
	if (fd == -ENOENT || fd == -ENOTDIR) /* no such directory, no such keys */
		r = 0;
	if (r < 0) {
		free(page.objects);
		return dir_write_error(d, r, err, "list", prefix[0] ? prefix : "all objects");
	}
	*ret_objects = page.objects;
	*ret_count = page.count;
	*ret_more = page.more;
	return 0;
}
