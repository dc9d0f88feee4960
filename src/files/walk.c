// SPDX-License-Identifier: Apache-2.0
/* A stack of directories on the heap: its depth is that of the tree, and no path is ever given to the kernel. */
#include "fd_path.h"
#include "dir_names.h"
#include "walk.h"

#include <keepfs/base/mem.h>
#include <keepfs/files/exclude.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define OPEN_LEVELS 64

struct level {
	int fd;     /* -1: closed for the time being */
	int errnum; /* why it could not be opened again; 0: another one has its name */
	uint64_t device, inode;
	size_t path_bytes; /* of the path up to here */
	struct dir_names names;
};

struct walk {
	const struct files_source *source;
	const struct walk_visitor *visitor;
	struct level *levels;
	size_t depth, room;
	struct str path;
	uint64_t root_device, root_mount;
};

int walk_stat(int fd, struct statx *ret)
{
	int r = statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, ret);

	return r < 0 ? -errno : 0;
}

uint64_t walk_device(const struct statx *st)
{
	return (uint64_t)st->stx_dev_major << 32 | st->stx_dev_minor;
}

static uint64_t mount_of(const struct statx *st)
{
	return st->stx_mask & STATX_MNT_ID ? st->stx_mnt_id : 0;
}

/* Only of directories the device counts: an overlay gives its files those of the layers they come from. */
static bool is_other_mount(const struct walk *w, const struct statx *st)
{
	if (w->source->cross_mounts)
		return false;
	return mount_of(st) != w->root_mount || (S_ISDIR(st->stx_mode) && walk_device(st) != w->root_device);
}

static void trouble(const struct walk *w, enum walk_trouble what, int errnum)
{
	w->visitor->trouble(w->visitor->arg, what, str_text(&w->path), errnum);
}

/* Return: 0, it is the file's trouble; negative: it is our own, and would be that of all other files too. */
static int open_trouble(const struct walk *w, int errnum, struct error *err)
{
	bool gone = errnum == ENOENT || errnum == ENOTDIR || errnum == ESTALE;

	if (errnum == EMFILE || errnum == ENFILE || errnum == ENOMEM)
		return error_system(err, errnum, "%s: reading the directory", w->source->root);
	trouble(w, gone ? WALK_VANISHED : WALK_UNREADABLE, errnum);
	return 0;
}

static void close_level(struct level *l)
{
	if (l->fd >= 0)
		close(l->fd);
	l->fd = -1;
}

static struct level *top(struct walk *w)
{
	return w->depth > 0 ? &w->levels[w->depth - 1] : NULL;
}

/* One whose names are not all read keeps its descriptor: the place in a directory cannot be found again. */
static void close_far_level(struct walk *w)
{
	struct level *far = w->depth > OPEN_LEVELS ? &w->levels[w->depth - OPEN_LEVELS] : NULL;

	if (far && dir_names_ended(&far->names))
		close_level(far);
}

static int push(struct walk *w, int path_fd, const struct statx *st)
{
	_cleanup(fd) int fd = fd_reopen(path_fd, O_DIRECTORY);
	struct level l = {.device = walk_device(st), .inode = st->stx_ino, .path_bytes = w->path.len};
	int r;

	if (fd < 0)
		return fd;
	r = dir_names_open(&l.names, fd);
	if (r < 0)
		return r;
	l.fd = take_fd(&fd);
	if (w->depth == w->room) {
		w->room = w->room ? w->room * 2 : OPEN_LEVELS;
		w->levels = mem_resize(w->levels, w->room, sizeof(*w->levels));
	}
	w->levels[w->depth++] = l;
	close_far_level(w);
	return 0;
}

/* Takes over @fd when it is the directory of @l. */
static bool accept_level(struct level *l, int fd)
{
	struct statx st = {0};

	int r = fd < 0 ? -errno : walk_stat(fd, &st);

	if (r == 0 && st.stx_ino == l->inode && walk_device(&st) == l->device) {
		l->fd = fd;
		return true;
	}
	l->errnum = -r;
	if (fd >= 0)
		close(fd);
	return false;
}

/* The name of level @i in its parent. */
static char *walk_level_name(const struct walk *w, size_t i)
{
	size_t from = w->levels[i - 1].path_bytes;
	char *name = mem_printf("%.*s", (int)(w->levels[i].path_bytes - from), str_text(&w->path) + from);

	if (name[0] == '/')
		memmove(name, name + 1, strlen(name));
	return name;
}

/* When ".." leads elsewhere, because a directory was moved: down from the root, which is always open, by the names. */
static bool reopen_from_root(struct walk *w, struct level *l)
{
	int fd = fcntl(w->levels[0].fd, F_DUPFD_CLOEXEC, 0);

	for (size_t i = 1; fd >= 0 && &w->levels[i] <= l; i++) {
		_cleanup(free) char *name = walk_level_name(w, i);
		int next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), errnum = errno;

		close(fd);
		fd = next;
		errno = errnum;
	}
	return accept_level(l, fd);
}

/* Back to the path of a directory above, whose bytes are still there. */
static void cut_path(struct walk *w, size_t bytes)
{
	if (w->path.data)
		w->path.data[bytes] = '\0';
	w->path.len = bytes;
}

static void pop(struct walk *w)
{
	struct level *l = top(w), *parent = w->depth > 1 ? l - 1 : NULL;

	cut_path(w, l->path_bytes);
	if (parent && parent->fd < 0 &&
	    (l->fd < 0 || !accept_level(parent, openat(l->fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC))))
		reopen_from_root(w, parent);
	close_level(l);
	dir_names_finish(&l->names);
	w->depth--;
}

static void set_walk_path(struct walk *w, size_t parent_bytes, const char *name)
{
	cut_path(w, parent_bytes);
	if (parent_bytes > 0)
		str_append_char(&w->path, '/');
	str_append(&w->path, name);
}

static int visit_opened(struct walk *w, int fd, bool is_open, struct error *err)
{
	struct statx st;
	struct walk_entry e = {.fd = fd, .st = &st};
	int r = walk_stat(fd, &st);

	if (r < 0)
		return open_trouble(w, -r, err);
	e.path = str_text(&w->path);
	e.is_open = is_open && S_ISREG(st.stx_mode);
	if (exclude_any(w->source->exclude, e.path, S_ISDIR(st.stx_mode))) {
		trouble(w, WALK_EXCLUDED, 0);
		return 0;
	}
	e.other_mount = is_other_mount(w, &st);
	r = w->visitor->visit(w->visitor->arg, &e, err);
	if (r != 0 || !S_ISDIR(st.stx_mode) || e.other_mount)
		return r < 0 ? r : 0;
	r = push(w, fd, &st);
	return r < 0 ? open_trouble(w, -r, err) : 0;
}

static int open_entry(const struct walk *w, int dir, const char *name, bool *ret_is_open)
{
	int fd =
	        w->visitor->reads_files && dir_names_type(name) == DT_REG ? fd_open_file(dir, name) : -EISDIR;

	*ret_is_open = fd >= 0;
	return fd >= 0 ? fd : openat(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int visit_name(struct walk *w, const struct level *parent, const char *name, struct error *err)
{
	_cleanup(fd) int fd = -1;
	bool is_open;

	set_walk_path(w, parent->path_bytes, name);
	if (parent->fd < 0)
		return open_trouble(w, parent->errnum ? parent->errnum : ESTALE, err);
	fd = open_entry(w, parent->fd, name, &is_open);
	return fd < 0 ? open_trouble(w, errno, err) : visit_opened(w, fd, is_open, err);
}

static int walk_step(struct walk *w, struct error *err)
{
	struct level *l = top(w);
	int r, errnum;
	const char *name = dir_names_next(&l->names, w->source->cancel, &errnum);

	if (errnum == ECANCELED || cancel_is_set(w->source->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (errnum) {
		cut_path(w, l->path_bytes);
		r = open_trouble(w, errnum, err);
		if (r < 0)
			return r;
	}
	if (name)
		return visit_name(w, l, name, err);
	pop(w);
	return 0;
}

static int visit_root(struct walk *w, int fd, struct error *err)
{
	struct walk_entry e = {.path = "", .fd = fd};
	struct statx st;
	int r = walk_stat(fd, &st);

	if (r < 0)
		return error_system(err, -r, "%s", w->source->root);
	w->root_device = walk_device(&st);
	w->root_mount = mount_of(&st);
	e.st = &st;
	r = w->visitor->visit(w->visitor->arg, &e, err);
	if (r != 0)
		return r < 0 ? r : 0;
	r = push(w, fd, &st);
	return r < 0 ? error_system(err, -r, "%s", w->source->root) : 0;
}

/* Down from the root, without following a link: whoever owns a directory in between cannot lead elsewhere. */
static int open_below(int root, const char *below)
{
	_cleanup(free) char *names = mem_strdup(below);
	char *rest = names, *name;
	int fd = root;

	while (fd >= 0 && (name = strsep(&rest, "/"))) {
		int next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), errnum = errno;

		close(fd);
		fd = next;
		errno = errnum;
	}
	return fd;
}

static int open_walk_root(const struct files_source *source)
{
	int fd = open(source->root, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd >= 0 && source->below ? open_below(fd, source->below) : fd;
}

int walk_directory(const struct files_source *source, const struct walk_visitor *visitor, struct error *err)
{
	struct walk w = {.source = source, .visitor = visitor};
	_cleanup(fd) int root = open_walk_root(source);
	int r;

	if (root < 0)
		return error_system(err, errno, "%s%s%s", source->root, source->below ? "/" : "",
		                    str_or_empty(source->below));
	r = visit_root(&w, root, err);
	while (r == 0 && w.depth > 0)
		r = walk_step(&w, err);
	while (w.depth > 0)
		pop(&w);
	str_finish(&w.path);
	free(w.levels);
	return r;
}
