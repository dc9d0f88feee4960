// SPDX-License-Identifier: Apache-2.0
/* An archive held against a directory. Content is read where the archive has as many bytes: only that is certain. */
#include "fd_path.h"
#include "path_filter.h"
#include "same.h"
#include "troubles.h"
#include "walk.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/files/tree_path.h>

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define NAMES_SHOWN 10
#define READ_BYTES  ((size_t)256 << 10)
#define DISK_BLOCK  4096

struct comparing {
	struct files_unpack *u;
	struct files_comparison *to;
	struct path_filter filter;
	char *buf; /* READ_BYTES */
	uint64_t largest_replaced;
	struct str there,
	        in_archive; /* contents of the file that is compared, where they differ and somebody wants them */
	struct str counted; /* the directory whose parents, and that itself, were looked at last */
};

struct comparing *comparing_new(struct files_unpack *u)
{
	struct comparing *c = mem_alloc(sizeof(*c));

	c->u = u;
	c->to = u->comparison;
	c->buf = mem_alloc(READ_BYTES);
	c->to->is_there = u->tree.root >= 0;
	c->to->is_empty = !c->to->is_there || tree_is_empty(&u->tree) > 0;
	path_filter_init(&c->filter, u->options->entries);
	return c;
}

struct comparing *comparing_free(struct comparing *c)
{
	path_filter_finish(&c->filter);
	str_finish(&c->counted);
	free(c->buf);
	free(c);
	return NULL;
}

static void add_shown(struct comparing *c, enum files_difference what, const char *path, const char *why)
{
	struct files_names *n = &c->to->names[what];
	const struct files_unpack_options *o = c->u->options;
	char shown[300];

	path_printable(path, shown, sizeof(shown));
	if (o->found)
		o->found(o->arg, what, shown, why);
	if (++n->count > NAMES_SHOWN)
		return;
	str_appendf(&n->first, "%s%s", n->count > 1 ? ", " : "", shown);
	if (why)
		str_appendf(&n->first, " (%s)", why);
}

static void mark_equal(struct files_comparison *to, uint64_t number)
{
	size_t at = number / 8;

	if (at >= to->is_equal_bytes) {
		size_t bytes = at * 2 + 64;

		to->is_equal = mem_resize(to->is_equal, bytes, 1);
		memset(to->is_equal + to->is_equal_bytes, 0, bytes - to->is_equal_bytes);
		to->is_equal_bytes = bytes;
	}
	to->is_equal[at] |= (uint8_t)(1U << number % 8);
}

/* Content. */

struct content_check {
	struct comparing *c;
	int fd; /* -1: it differs already */
	uint64_t at, data_bytes;
	struct str text; /* of a file whose contents somebody wants to see, as far as it has no holes */
	bool gathers;
};

static void stop_content(struct content_check *k)
{
	if (k->fd >= 0)
		close(k->fd);
	k->fd = -1;
}

/* Holes need not be read, however large they are. */
static bool is_hole_there(const struct content_check *k, uint64_t len)
{
	off_t data = lseek(k->fd, (off_t)k->at, SEEK_DATA);

	return data < 0 ? errno == ENXIO : (uint64_t)data >= k->at + len;
}

/* @data NULL: zeros. */
static void compare_piece(struct content_check *k, const char *data, uint64_t len)
{
	if (k->fd >= 0 && !data && is_hole_there(k, len)) {
		k->at += len;
		return;
	}
	while (k->fd >= 0 && len > 0) {
		size_t n = len < READ_BYTES ? (size_t)len : READ_BYTES;
		const char *buf = k->c->buf;
		bool same =
		        fd_pread_full(k->fd, k->c->buf, n, (off_t)k->at) == 0 &&
		        (data ? memcmp(buf, data, n) == 0 : buf[0] == 0 && memcmp(buf, buf + 1, n - 1) == 0);

		if (!same)
			stop_content(k);
		data = data ? data + n : NULL;
		k->at += n;
		len -= n;
	}
}

/* Reads all of the entry, since it is to be known how much room it needs. Return: 1: it is the same; 0. */
static int compare_content(struct content_check *k, uint64_t size, struct error *err)
{
	const void *data;
	size_t len;
	uint64_t at;
	int r;

	while ((r = untar_data(k->c->u->untar, &data, &len, &at, err)) > 0) {
		if (unpack_is_cancelled(k->c->u, err) < 0) {
			r = -ECANCELED;
			break;
		}
		if (at > k->at)
			compare_piece(k, NULL, at - k->at);
		compare_piece(k, data, len);
		if (k->gathers && at == k->text.len)
			str_append_bytes(&k->text, data, len);
		k->data_bytes += len;
	}
	if (r == 0 && size > k->at)
		compare_piece(k, NULL, size - k->at);
	r = r < 0 ? r : k->fd >= 0;
	stop_content(k);
	return r;
}

/* Entries. */

static void need_room(struct comparing *c, const struct untar_entry *e, const struct same_place *s,
                      uint64_t data_bytes)
{
	uint64_t needed = (data_bytes + DISK_BLOCK - 1) / DISK_BLOCK * DISK_BLOCK;
	uint64_t there = s->fd >= 0 ? (uint64_t)s->st.st_blocks * 512 : 0;

	c->to->bytes += e->kind == UNTAR_FILE ? e->size : 0;
	c->to->needed_bytes += needed > there ? needed - there : 0;
	/* Both are there for a moment. */
	if (s->fd >= 0 && needed > c->largest_replaced)
		c->largest_replaced = needed;
	c->to->needed_files += s->fd < 0 && e->kind != UNTAR_HARD_LINK;
}

static void wipe_text(struct str *text)
{
	if (text->data)
		explicit_bzero(text->data, text->len);
	str_finish(text);
}

static bool wants_contents(const struct comparing *c, const struct untar_entry *e, const struct same_place *s)
{
	return c->u->options->contents && e->size <= FILES_TEXT_BYTES && s->fd >= 0 &&
	       S_ISREG(s->st.st_mode) && s->st.st_size <= (off_t)FILES_TEXT_BYTES;
}

static void read_text_there(const struct same_place *s, struct str *ret)
{
	_cleanup(free) char *buf = mem_alloc(FILES_TEXT_BYTES);
	_cleanup(fd) int fd = fd_reopen(s->fd, 0);
	ssize_t n = fd < 0 ? -1 : pread(fd, buf, FILES_TEXT_BYTES, 0);

	if (n > 0)
		str_append_bytes(ret, buf, (size_t)n);
	explicit_bzero(buf, FILES_TEXT_BYTES);
}

static void keep_contents(struct comparing *c, const struct content_check *k, const struct same_place *s)
{
	read_text_there(s, &c->there);
	str_append_bytes(&c->in_archive, str_text(&k->text), k->text.len);
}

static void show_contents(struct comparing *c, const char *path)
{
	const struct files_unpack_options *o = c->u->options;
	char shown[300];

	path_printable(path, shown, sizeof(shown));
	o->contents(o->arg, shown, &c->there, &c->in_archive);
}

static int compare_file(struct comparing *c, const struct untar_entry *e, const struct same_place *s,
                        const char **io_what, uint64_t *ret_data_bytes, struct error *err)
{
	struct content_check k = {.c = c,
	                          .fd = s->fd >= 0 && !*io_what ? fd_reopen(s->fd, 0) : -1,
	                          .gathers = wants_contents(c, e, s)};
	int r = compare_content(&k, e->size, err);

	if (r == 0 && s->fd >= 0 && !*io_what)
		*io_what = "content";
	if (r >= 0 && k.gathers && *io_what && k.text.len == e->size)
		keep_contents(c, &k, s);
	wipe_text(&k.text);
	*ret_data_bytes = k.data_bytes;
	return r < 0 ? r : 0;
}

static int compare_other(struct comparing *c, const struct untar_entry *e, const struct same_place *s,
                         struct error *err)
{
	const char *what = s->fd >= 0 ? same_difference(c->u, e, s) : NULL;
	uint64_t data_bytes = 0;
	int r = e->kind == UNTAR_FILE ? compare_file(c, e, s, &what, &data_bytes, err) : 0;

	if (r < 0)
		return r;
	if (s->fd >= 0 && !what) {
		add_shown(c, FILES_EQUAL, e->path, NULL);
		mark_equal(c->to, e->number);
		return 0;
	}
	need_room(c, e, s, data_bytes);
	if (s->fd < 0)
		add_shown(c, FILES_ADDED, e->path, NULL);
	else
		add_shown(c, S_ISDIR(s->st.st_mode) ? FILES_IN_THE_WAY : FILES_DIFFERENT, e->path, what);
	if (c->there.len > 0 || c->in_archive.len > 0)
		show_contents(c, e->path);
	wipe_text(&c->there);
	wipe_text(&c->in_archive);
	return 0;
}

static void need_directory(struct comparing *c)
{
	c->to->new_directories++;
	c->to->needed_bytes += DISK_BLOCK;
	c->to->needed_files++;
}

static void compare_directory(struct comparing *c, const struct untar_entry *e, const struct same_place *s)
{
	const char *what;

	if (s->fd < 0) {
		need_directory(c);
		return;
	}
	if (!S_ISDIR(s->st.st_mode)) {
		/* What is in it could not be written. */
		add_shown(c, c->u->options->keep ? FILES_IN_THE_WAY : FILES_DIFFERENT, e->path, "kind");
		return;
	}
	what = same_difference(c->u, e, s);
	if (what)
		add_shown(c, FILES_CHANGED_DIRECTORY, e->path, what);
}

static int cannot_be_looked_at(const struct comparing *c, const char *path, int r, struct error *err)
{
	char shown[300];

	path_printable(path, shown, sizeof(shown));
	return error_system(err, -r, "%s of %s cannot be looked at", shown, c->u->options->directory);
}

/* What is chosen needs a directory that is not: one that is not there is made. */
static int compare_parent(struct comparing *c, const char *path, struct error *err)
{
	_cleanup(same_place) struct same_place s = {.fd = -1};
	int r = same_look(c->u, path, &s);

	if (r < 0)
		return cannot_be_looked_at(c, path, r, err);
	if (s.fd < 0)
		need_directory(c);
	else if (!S_ISDIR(s.st.st_mode))
		add_shown(c, FILES_IN_THE_WAY, path, "kind");
	return 0;
}

static int compare_parents(struct comparing *c, const char *path, struct error *err)
{
	_cleanup(free) char *parent = mem_strdup(path);
	size_t len = tree_path_parent_bytes(path);
	int r = 0;

	parent[len] = '\0';
	for (size_t n = 1; r == 0 && n <= len; n++) {
		char next = parent[n];

		if (next && next != '/')
			continue;
		parent[n] = '\0';
		if (!tree_path_is_below(str_text(&c->counted), parent) &&
		    !tree_path_is_chosen(parent, true, c->u->options->paths))
			r = compare_parent(c, parent, err);
		parent[n] = next;
	}
	str_clear(&c->counted);
	str_append(&c->counted, parent);
	return r;
}

/* As the file would have it, were we root. */
static void note_owner(struct comparing *c, const struct untar_entry *e)
{
	struct put *p = &c->u->put;
	const struct put_wanted w = put_wanted(p, e);

	c->to->foreign_owners +=
	        !p->sets_owners && e->kind != UNTAR_HARD_LINK && (w.uid != geteuid() || w.gid != getegid());
}

/* Its content stands where its first name does. */
static int check_link_chosen(const struct comparing *c, const struct untar_entry *e, struct error *err)
{
	char shown[300], first[300];

	if (e->kind != UNTAR_HARD_LINK || tree_path_is_chosen(e->link, false, c->u->options->paths))
		return 0;
	path_printable(e->path, shown, sizeof(shown));
	path_printable(e->link, first, sizeof(first));
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s is a further name (a hard link) of %s, which was not chosen: choose that as well (paths=)",
	        shown, first);
}

int comparing_entry(struct comparing *c, const struct untar_entry *e, struct error *err)
{
	_cleanup(same_place) struct same_place s = {.fd = -1};
	bool is_directory = e->kind == UNTAR_DIRECTORY;
	int r;

	path_filter_add(&c->filter, e->path);
	if (!*e->path || !tree_path_is_chosen(e->path, is_directory, c->u->options->paths))
		return 0;
	r = check_link_chosen(c, e, err);
	if (r == 0)
		r = compare_parents(c, e->path, err);
	if (r < 0)
		return r;
	r = same_look(c->u, e->path, &s);
	if (r < 0)
		return cannot_be_looked_at(c, e->path, r, err);
	note_owner(c, e);
	if (!is_directory)
		return compare_other(c, e, &s, err);
	compare_directory(c, e, &s);
	return 0;
}

/* What else is there. */

static int see_what_is_there(void *arg, const struct walk_entry *e, struct error *err)
{
	struct comparing *c = arg;
	char *const *paths = c->u->options->paths;

	bool is_directory = S_ISDIR(e->st->stx_mode);

	if (!*e->path)
		return 0;
	if (!tree_path_is_chosen(e->path, is_directory, paths))
		return is_directory && tree_path_may_lead_to(e->path, paths) ? 0 : WALK_LEAVE_OUT;
	if (path_filter_has(&c->filter, e->path))
		return 0;
	add_shown(c, FILES_ONLY_HERE, e->path, NULL);
	return WALK_LEAVE_OUT;
}

static void pass_over_trouble(void *arg, enum walk_trouble what, const char *path, int errnum)
{
}

int comparing_end(struct comparing *c, struct error *err)
{
	const struct files_source source = {.root = c->u->options->directory,
	                                    .cancel = c->u->options->cancel};
	const struct walk_visitor visitor = {
	        .visit = see_what_is_there, .trouble = pass_over_trouble, .arg = c};

	c->to->needed_bytes += c->largest_replaced;
	return c->to->is_empty ? 0 : walk_directory(&source, &visitor, err);
}

void files_comparison_finish(struct files_comparison *c)
{
	for (size_t i = 0; i < FILES_DIFFERENCES; i++)
		str_finish(&c->names[i].first);
	free(c->is_equal);
	c->is_equal = NULL;
}
