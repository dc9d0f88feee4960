// SPDX-License-Identifier: Apache-2.0
/*
 * The listing of a base as a tree. Every directory has a line of its own, and names are shown as they are, since a data directory with other names would not start: so what is at a path is
 * one line, and what is in a directory are the lines that begin with its path and '/', without those that go on with another '/' later: what is below a directory in it is passed over by
 * seeking. It need not follow that one's line at once ("base/1", "base/1-2", "base/1/x").
 */
#include "tree_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <string.h>

#define NAME_BYTES_MAX   255
#define BEHIND_DIRECTORY '0' /* the byte behind '/' */

static bool is_name_of_base(const char *name, size_t len)
{
	return len > 0 && len <= NAME_BYTES_MAX && !(len == 1 && name[0] == '.') &&
	       !(len == 2 && name[0] == '.' && name[1] == '.');
}

/* A listing is made of what was in a file system: others would be somebody's who wants a copy to leave its directory. */
static bool is_path_of_base(const char *key)
{
	for (;;) {
		size_t len = strcspn(key, "/");

		if (!is_name_of_base(key, len))
			return false;
		if (!key[len])
			return true;
		key += len + 1;
	}
}

bool tree_base_is_root(const char *key)
{
	return !*key || strcmp(key, ".") == 0;
}

/* The line that comes; the cursor goes on. */
static int take_base_item(struct tree_cursor *c, struct mirror_item *ret, struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	uint64_t place;
	int r = cursor_take(c, &e, &place, err);

	if (r != 1)
		return r;
	if (e.format != LISTING_BASE || (!is_path_of_base(e.key) && !tree_base_is_root(e.key)))
		return tree_damaged(err, "a name is none that a file can have");
	ret->is_directory = e.is_directory;
	ret->place = place;
	ret->number = e.is_directory ? tree_directory_number(place) : tree_file_number(place);
	ret->path = mem_strdup(tree_base_is_root(e.key) ? "" : e.key);
	ret->entry = e;
	e = (struct listing_entry){0};
	return 1;
}

static int find_base_key(struct tree_cursor *c, const char *key, struct mirror_item *ret, struct error *err)
{
	_cleanup(str) struct str found = {0};
	int r = cursor_seek(c, key, err);

	if (r == 0)
		r = cursor_peek_key(c, &found, err);
	if (r != 1 || strcmp(str_text(&found), key) != 0)
		return r < 0 ? r : 0;
	return take_base_item(c, ret, err);
}

int tree_base_find(struct tree_cursor *c, const char *path, struct mirror_item *ret, struct error *err)
{
	return is_path_of_base(path) ? find_base_key(c, path, ret, err) : 0;
}

int tree_base_root(struct tree_cursor *c, struct mirror_item *ret, struct error *err)
{
	int r = find_base_key(c, "", ret, err);

	return r == 0 ? find_base_key(c, ".", ret, err) : r;
}

int tree_base_at(struct tree_cursor *c, uint64_t place, bool is_directory, struct mirror_item *ret,
                 struct error *err)
{
	_cleanup(mirror_item) struct mirror_item found = {0};
	int r = cursor_seek_place(c, place, err);

	/* The number is that of the line that begins at it, or behind it next. */
	if (r == 1 && cursor_place(c) < place)
		cursor_step(c);
	if (r == 1)
		r = take_base_item(c, &found, err);
	if (r != 1)
		return r;
	if (found.is_directory != is_directory ||
	    (is_directory ? tree_directory_number(place) : tree_file_number(place)) != found.number)
		return 0;
	*ret = found;
	found = (struct mirror_item){0};
	return 1;
}

/* The cursor is before a key that is below the directory key[0 … slash): behind all that are. */
static int pass_below(struct tree_cursor *c, const char *key, size_t slash, struct error *err)
{
	_cleanup(free) char *behind = mem_printf("%.*s%c", (int)slash, key, BEHIND_DIRECTORY);
	uint64_t before = cursor_place(c);
	const struct listing_entry *next;
	int r = cursor_seek(c, behind, err);

	if (r == 0)
		r = cursor_peek(c, &next, err);
	if (r == 1 && cursor_place(c) <= before)
		return tree_damaged(err, "its keys are not in order");
	return r < 0 ? r : 0;
}

static int tell_base_item(struct tree_cursor *c, const struct mirror_each *each, struct error *err)
{
	_cleanup(mirror_item) struct mirror_item item = {0};
	int r = take_base_item(c, &item, err);

	return r == 1 ? each->item(each->arg, &item, err) : r;
}

static int list_below_prefix(struct tree_cursor *c, const char *prefix, const struct mirror_each *each,
                             struct error *err)
{
	size_t len = strlen(prefix);
	int r = 0;

	while (r == 0) {
		_cleanup(str) struct str key = {0};
		const char *slash;

		r = cursor_peek_key(c, &key, err);
		if (r != 1 || !str_starts(str_text(&key), prefix))
			return r < 0 ? r : 0;
		r = 0;
		slash = strchr(str_text(&key) + len, '/');
		if (slash)
			r = pass_below(c, str_text(&key), (size_t)(slash - str_text(&key)), err);
		else if (tree_base_is_root(str_text(&key)))
			cursor_step(c);
		else
			r = tell_base_item(c, each, err);
	}
	return r;
}

int tree_base_list(struct tree_cursor *c, const char *directory, uint64_t after,
                   const struct mirror_each *each, struct error *err)
{
	_cleanup(free) char *prefix = mem_printf("%s%s", directory, *directory ? "/" : "");
	int r;

	if (after == 0) {
		r = cursor_seek(c, prefix, err);
	} else {
		r = cursor_seek_place(c, after, err);
		if (r == 0)
			return 0;
		if (r == 1)
			cursor_step(c);
		r = r < 0 ? r : 0;
	}
	return r == 0 ? list_below_prefix(c, prefix, each, err) : r;
}

int tree_base_each(struct tree_cursor *c, const struct mirror_each *each, struct error *err)
{
	const struct listing_entry *e;
	int r = 0;

	while (r == 0 && (r = cursor_peek(c, &e, err)) == 1)
		r = tell_base_item(c, each, err);
	return r;
}
