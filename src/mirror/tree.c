// SPDX-License-Identifier: Apache-2.0
/*
 * A listing as a tree. Its lines are in the order of the keys, and so all that is in a directory lies together: what is below a directory within it is passed over by seeking. There is
 * one exception: of components that are too long for one name the rest is in a directory of its own ("…%-"), and keys whose component is just short enough lie between its
 * own; what stands about "going on" below is for that.
 */
#include "tree_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/shown_name.h>

#include <errno.h>
#include <string.h>

/*
 * A line is longer than that by its digest, its pack and its time alone, so two never have one number; nor have two directories, since no name has "//". Lines of a base have no digest, and at
 * least 54 bytes ({"name":"a","dir":true,"mode":"0700","modified":null}); there each byte is so many places that these are more than a number has.
 */
#define FILE_SHIFT       7
#define BASE_LINE_MIN    54U
#define PLACES_OF_BASE   4U
#define DIRECTORY_SHIFT  1
#define FILE_PLACES      (UINT64_C(1) << FILE_SHIFT)
#define PLACES_MAX       ((MIRROR_NUMBERS - MIRROR_DIRECTORIES) << DIRECTORY_SHIFT)
#define BEHIND_DIRECTORY '0' /* the byte behind '/' */

_Static_assert(BEHIND_DIRECTORY == '/' + 1, "what is not in a directory any more begins so");
_Static_assert(BASE_LINE_MIN *PLACES_OF_BASE > FILE_PLACES, "two lines of a base have two numbers");
_Static_assert(PLACES_MAX >> FILE_SHIFT <= MIRROR_DIRECTORIES, "each file has a number");

int mirror_tree_new(struct listing_index *index, const struct mirror_tree_source *source, uint64_t before,
                    struct mirror_tree **ret, struct error *err)
{
	_cleanup(listing_index) struct listing_index x = *index;
	uint64_t place = (before + MIRROR_PLACES_BEFORE + FILE_PLACES - 1) & ~(FILE_PLACES - 1);
	struct mirror_tree *t;

	*index = (struct listing_index){0};
	t = mem_alloc(sizeof(*t));
	t->source = *source;
	t->places_of_byte = x.format == LISTING_BASE ? PLACES_OF_BASE : 1;
	t->places = mem_array(x.count + 1, sizeof(*t->places));
	for (size_t i = 0; i < x.count; i++) {
		t->places[i] = place;
		place += (uint64_t)x.frames[i].raw * t->places_of_byte;
	}
	t->places[x.count] = place;
	t->index = x;
	x = (struct listing_index){0};
	pthread_mutex_init(&t->lock, NULL);
	if (place >= PLACES_MAX) {
		unsigned long long most = (PLACES_MAX / t->places_of_byte) >> 30;

		mirror_tree_free(t);
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        "the listing has more than %llu GiB of text, which the mount cannot show: read it as docs/formats.md says",
		        most);
	}
	*ret = t;
	return 0;
}

struct mirror_tree *mirror_tree_free(struct mirror_tree *t)
{
	if (!t)
		return NULL;
	for (size_t i = 0; i < TREE_FRAMES; i++)
		tree_frame_unref(t->frames[i]);
	listing_index_finish(&t->index);
	pthread_mutex_destroy(&t->lock);
	free(t->places);
	free(t);
	return NULL;
}

uint64_t mirror_tree_end(const struct mirror_tree *t)
{
	return t->places[t->index.count];
}

uint64_t tree_file_number(uint64_t place)
{
	return place >> FILE_SHIFT;
}

uint64_t tree_directory_number(uint64_t place)
{
	return MIRROR_DIRECTORIES + (place >> DIRECTORY_SHIFT);
}

static uint64_t place_of_tree_number(uint64_t number)
{
	return number < MIRROR_DIRECTORIES ? number << FILE_SHIFT
	                                   : (number - MIRROR_DIRECTORIES) << DIRECTORY_SHIFT;
}

bool mirror_tree_has(const struct mirror_tree *t, uint64_t number)
{
	return number < MIRROR_NUMBERS && place_of_tree_number(number) >= t->places[0] &&
	       place_of_tree_number(number) < mirror_tree_end(t);
}

void mirror_item_finish(struct mirror_item *i)
{
	free(i->path);
	listing_entry_finish(&i->entry);
	*i = (struct mirror_item){0};
}

const char *mirror_item_name(const struct mirror_item *i)
{
	const char *slash = strrchr(i->path, '/');

	return slash ? slash + 1 : i->path;
}

/* @name: of the first object in it; @slash: where in it the directory's own ends. */
static void become_directory(struct mirror_item *i, const char *name, size_t slash, uint64_t line_place)
{
	i->is_directory = true;
	i->place = line_place + slash;
	i->number = tree_directory_number(i->place);
	i->path = mem_printf("%.*s", (int)slash, name);
}

static void become_file(struct mirror_item *i, const char *name, bool is_masked, struct listing_entry *e,
                        uint64_t place)
{
	i->place = place;
	i->number = tree_file_number(place);
	i->path = mem_printf("%s%s", name, is_masked ? SHOWN_OBJECT : "");
	i->entry = *e;
	*e = (struct listing_entry){0};
}

static char *name_of_key(const char *key)
{
	_cleanup(str) struct str name = {0};

	shown_name(key, strlen(key), &name);
	return str_take(&name);
}

/* Of the tree itself: its length is 0. */
static bool is_in_directory(const char *name, const char *directory, size_t len)
{
	return len == 0 || (strncmp(name, directory, len) == 0 && name[len] == '/');
}

/* All whose keys begin with the first @len bytes of @key, of which the last is '/'. */
static int pass_directory(struct tree_cursor *c, const char *key, size_t len, struct error *err)
{
	_cleanup(free) char *behind = mem_printf("%.*s%c", (int)len - 1, key, BEHIND_DIRECTORY);

	return cursor_seek(c, behind, err);
}

/* What comes begins as the directory whose keys have a prefix of @len bytes do, and is not in it. */
static int pass_stranger(struct tree_cursor *c, const struct listing_entry *e, size_t len, struct error *err)
{
	_cleanup(free) char *key = mem_strdup(e->key);
	const char *slash = strchr(key + len, '/');
	uint64_t before = cursor_place(c);
	const struct listing_entry *next;
	int r;

	if (!slash) {
		cursor_step(c);
		return 0;
	}
	r = pass_directory(c, key, (size_t)(slash - key) + 1, err);
	if (r == 0)
		r = cursor_peek(c, &next, err);
	if (r == 1 && cursor_place(c) <= before)
		return tree_damaged(err, "its keys are not in order");
	return r < 0 ? r : 0;
}

/* 1: the cursor is before the first object in @directory; 0: there is no such directory. */
static int seek_directory(struct tree_cursor *c, const char *directory, struct error *err)
{
	_cleanup(str) struct str prefix = {0};
	_cleanup(str) struct str key = {0};
	size_t len = strlen(directory);
	const struct listing_entry *e;
	int r;

	if (shown_name_prefix(directory, &prefix) < 0)
		return 0;
	r = cursor_seek(c, str_text(&prefix), err);
	/* Mostly what is looked for is a file. */
	if (r == 0)
		r = cursor_peek_key(c, &key, err);
	if (r != 1 || !str_starts(str_text(&key), str_text(&prefix)))
		return r < 0 ? r : 0;
	for (r = 0; r == 0 && (r = cursor_peek(c, &e, err)) == 1;) {
		_cleanup(free) char *name = NULL;

		if (!str_starts(e->key, str_text(&prefix)))
			return 0;
		name = name_of_key(e->key);
		if (is_in_directory(name, directory, len))
			return 1;
		if (!shown_name_goes_on(directory))
			return 0;
		r = pass_stranger(c, e, prefix.len, err);
	}
	return r;
}

static int has_directory(const struct tree_cursor *like, const char *directory, uint64_t *ret_place,
                         struct error *err)
{
	_cleanup(tree_cursor) struct tree_cursor c = {.tree = like->tree, .cancel = like->cancel};
	int r = seek_directory(&c, directory, err);

	if (r == 1)
		*ret_place = cursor_place(&c) + strlen(directory);
	return r;
}

/* Is there a directory with the name of the object @key, behind which @c is? Mostly what comes next tells. */
static int is_masked(struct tree_cursor *c, const char *key, const char *name, struct error *err)
{
	_cleanup(str) struct str next = {0};
	size_t len = strlen(key);
	uint64_t place;
	int r = cursor_peek_key(c, &next, err);

	if (r <= 0 || !str_starts(str_text(&next), key))
		return r < 0 ? r : 0;
	if (str_text(&next)[len] == '/')
		return 1;
	return (unsigned char)str_text(&next)[len] < '/' ? has_directory(c, name, &place, err) : 0;
}

/* The object that comes, called @name. */
static int take_tree_file(struct tree_cursor *c, const char *name, struct mirror_item *ret, struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	uint64_t place;
	int r = cursor_take(c, &e, &place, err), masked;

	if (r != 1)
		return r;
	masked = is_masked(c, e.key, name, err);
	if (masked < 0)
		return masked;
	become_file(ret, name, masked, &e, place);
	return 1;
}

static bool is_tree_of_base(const struct mirror_tree *t)
{
	return t->index.format == LISTING_BASE;
}

static char *join(const char *directory, const char *name)
{
	return mem_printf("%s%s%s", directory, *directory ? "/" : "", name);
}

/* The object @name: 1, or 0. */
static int find_tree_object(struct tree_cursor *c, const char *name, struct mirror_item *ret,
                            struct error *err)
{
	_cleanup(str) struct str key = {0};
	const struct listing_entry *e;
	int r;

	if (shown_name_key(name, &key) < 0)
		return 0;
	r = cursor_seek(c, str_text(&key), err);
	if (r == 0)
		r = cursor_peek(c, &e, err);
	if (r != 1 || strcmp(e->key, str_text(&key)) != 0)
		return r < 0 ? r : 0;
	return take_tree_file(c, name, ret, err);
}

static int find_masked(struct tree_cursor *c, const char *path, struct mirror_item *ret, struct error *err)
{
	_cleanup(free) char *name = mem_printf("%.*s", (int)(strlen(path) - strlen(SHOWN_OBJECT)), path);
	_cleanup(mirror_item) struct mirror_item found = {0};
	int r = find_tree_object(c, name, &found, err);

	if (r != 1 || strcmp(found.path, path) != 0)
		return r < 0 ? r : 0;
	*ret = found;
	found = (struct mirror_item){0};
	return 1;
}

int mirror_tree_find(struct mirror_tree *t, struct cancel *cancel, const char *directory, const char *name,
                     struct mirror_item *ret, struct error *err)
{
	_cleanup(tree_cursor) struct tree_cursor c = {.tree = t, .cancel = cancel};
	_cleanup(free) char *path = join(directory, name);
	int r;

	if (!*name || strchr(name, '/'))
		return 0;
	if (is_tree_of_base(t))
		return tree_base_find(&c, path, ret, err);
	if (str_ends(name, SHOWN_OBJECT))
		return find_masked(&c, path, ret, err);
	r = seek_directory(&c, path, err);
	if (r == 1)
		become_directory(ret, path, strlen(path), cursor_place(&c));
	return r == 0 ? find_tree_object(&c, path, ret, err) : r;
}

static int find_by_place(struct tree_cursor *c, uint64_t place, struct mirror_item *ret, struct error *err)
{
	_cleanup(free) char *name = NULL;
	const struct listing_entry *e;
	int r = cursor_seek_place(c, place, err);

	/* The number of a file is that of the line that begins behind it next. */
	if (r == 1 && cursor_place(c) < place)
		cursor_step(c);
	if (r == 1)
		r = cursor_peek(c, &e, err);
	if (r != 1 || cursor_place(c) - place >= FILE_PLACES)
		return r < 0 ? r : 0;
	name = name_of_key(e->key);
	return take_tree_file(c, name, ret, err);
}

static int find_directory_by_place(struct tree_cursor *c, uint64_t place, struct mirror_item *ret,
                                   struct error *err)
{
	_cleanup(free) char *name = NULL;
	const struct listing_entry *e;
	uint64_t at, line;
	int r = cursor_seek_place(c, place, err);

	if (r == 1)
		r = cursor_peek(c, &e, err);
	if (r != 1)
		return r;
	line = cursor_place(c);
	at = place - line;
	name = name_of_key(e->key);
	if (at < strlen(name) && name[at] != '/')
		at++;
	if (at >= strlen(name) || name[at] != '/')
		return 0;
	become_directory(ret, name, at, line);
	return 1;
}

int mirror_tree_at(struct mirror_tree *t, struct cancel *cancel, uint64_t number, struct mirror_item *ret,
                   struct error *err)
{
	_cleanup(tree_cursor) struct tree_cursor c = {.tree = t, .cancel = cancel};
	uint64_t place = place_of_tree_number(number);

	if (!mirror_tree_has(t, number))
		return 0;
	if (is_tree_of_base(t))
		return tree_base_at(&c, place, number >= MIRROR_DIRECTORIES, ret, err);
	return number < MIRROR_DIRECTORIES ? find_by_place(&c, place, ret, err)
	                                   : find_directory_by_place(&c, place, ret, err);
}

/* A page of a directory. */

struct tree_listing {
	struct tree_cursor cursor;
	const char *directory;
	size_t len;
	struct str prefix; /* of the keys in it */
	char *going_on;    /* the last directory in it whose own lie apart; NULL: none yet */
	const struct mirror_each *each;
};

/* The cursor is before an object in the directory @name[0 … slash) in the one that is listed: behind all that are in it. */
static int pass_child(struct tree_listing *l, const char *name, size_t slash, struct error *err)
{
	_cleanup(free) char *child = mem_printf("%.*s", (int)slash, name);
	_cleanup(str) struct str prefix = {0};
	const struct listing_entry *e;
	int r;

	if (shown_name_goes_on(child)) {
		free(l->going_on);
		l->going_on = take_ptr(&child);
		cursor_step(&l->cursor);
		return 0;
	}
	if (shown_name_prefix(child, &prefix) < 0)
		return tree_damaged(err, "a name is none");
	/* Most have few. */
	cursor_step(&l->cursor);
	r = cursor_peek(&l->cursor, &e, err);
	if (r != 1 || !str_starts(e->key, str_text(&prefix)))
		return r < 0 ? r : 0;
	return pass_stranger(&l->cursor, e, prefix.len - 1, err);
}

/* Was a directory whose own lie apart told before? */
static int was_child_told(struct tree_listing *l, const char *child, uint64_t place, struct error *err)
{
	uint64_t first = place;
	int r;

	if (!shown_name_goes_on(child))
		return 0;
	if (l->going_on && strcmp(l->going_on, child) == 0)
		return 1;
	r = has_directory(&l->cursor, child, &first, err);
	return r < 0 ? r : first != place;
}

static int tell_child(struct tree_listing *l, const char *name, size_t slash, struct error *err)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	int r;

	become_directory(&item, name, slash, cursor_place(&l->cursor));
	r = was_child_told(l, item.path, item.place, err);
	if (r == 0)
		r = l->each->item(l->each->arg, &item, err);
	else if (r == 1)
		r = 0;
	return r == 0 ? pass_child(l, name, slash, err) : r;
}

static int tell_tree_file(struct tree_listing *l, const char *name, struct error *err)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	int r = take_tree_file(&l->cursor, name, &item, err);

	return r == 1 ? l->each->item(l->each->arg, &item, err) : r;
}

static int tell_next(struct tree_listing *l, const struct listing_entry *e, struct error *err)
{
	_cleanup(free) char *name = name_of_key(e->key);
	size_t own = l->len > 0 ? l->len + 1 : 0;
	const char *slash;

	if (!is_in_directory(name, l->directory, l->len))
		return pass_stranger(&l->cursor, e, l->prefix.len, err);
	slash = strchr(name + own, '/');
	return slash ? tell_child(l, name, (size_t)(slash - name), err) : tell_tree_file(l, name, err);
}

/* Behind what has the place @after in it. */
static int go_on_behind(struct tree_listing *l, uint64_t after, struct error *err)
{
	_cleanup(free) char *name = NULL;
	const struct listing_entry *e;
	int r = cursor_seek_place(&l->cursor, after, err);

	if (r == 1)
		r = cursor_peek(&l->cursor, &e, err);
	if (r != 1)
		return r;
	if (cursor_place(&l->cursor) == after) {
		cursor_step(&l->cursor);
		return 1;
	}
	name = name_of_key(e->key);
	r = after - cursor_place(&l->cursor) < strlen(name)
	            ? pass_child(l, name, (size_t)(after - cursor_place(&l->cursor)), err)
	            : 0;
	return r < 0 ? r : 1;
}

static int list_tree(struct tree_listing *l, uint64_t after, struct error *err)
{
	const struct listing_entry *e;
	int r = 0;

	if (l->len > 0 && shown_name_prefix(l->directory, &l->prefix) < 0)
		return 0;
	r = after > 0 ? go_on_behind(l, after, err) : cursor_seek(&l->cursor, str_text(&l->prefix), err);
	if (r < 0 || (after > 0 && r == 0))
		return r;
	for (r = 0; r == 0;) {
		r = cursor_peek(&l->cursor, &e, err);
		if (r != 1 || !str_starts(e->key, str_text(&l->prefix)))
			return r < 0 ? r : 0;
		r = tell_next(l, e, err);
	}
	return r;
}

int mirror_tree_list(struct mirror_tree *t, struct cancel *cancel, const char *directory, uint64_t after,
                     const struct mirror_each *each, struct error *err)
{
	struct tree_listing l = {.cursor = {.tree = t, .cancel = cancel},
	                         .directory = directory,
	                         .len = strlen(directory),
	                         .each = each};
	int r = is_tree_of_base(t) ? tree_base_list(&l.cursor, directory, after, each, err)
	                           : list_tree(&l, after, err);

	tree_cursor_finish(&l.cursor);
	str_finish(&l.prefix);
	free(l.going_on);
	return r;
}

int mirror_tree_each(struct mirror_tree *t, struct cancel *cancel, const struct mirror_each *each,
                     struct error *err)
{
	_cleanup(tree_cursor) struct tree_cursor c = {.tree = t, .cancel = cancel};
	const struct listing_entry *e;
	int r = 0;

	if (is_tree_of_base(t))
		return tree_base_each(&c, each, err);
	while (r == 0 && (r = cursor_peek(&c, &e, err)) == 1) {
		_cleanup(mirror_item) struct mirror_item item = {0};
		_cleanup(free) char *name = name_of_key(e->key);

		r = take_tree_file(&c, name, &item, err);
		if (r == 1)
			r = each->item(each->arg, &item, err);
	}
	return r;
}

int mirror_tree_root(struct mirror_tree *t, struct cancel *cancel, struct mirror_item *ret, struct error *err)
{
	_cleanup(tree_cursor) struct tree_cursor c = {.tree = t, .cancel = cancel};

	return is_tree_of_base(t) ? tree_base_root(&c, ret, err) : 0;
}

enum listing_format mirror_tree_format(const struct mirror_tree *t)
{
	return t->index.format;
}
