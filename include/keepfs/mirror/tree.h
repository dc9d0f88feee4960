// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A listing as a tree of directories and files, under shown names (keepfs/codec/shown_name.h), without a row anywhere for any of them: what is asked for is
 * found by the index of the listing, in the frames that have it.
 *
 * Of a base (LISTING_BASE) each directory has a line, empty ones, too, and names are shown as they are, so that a copy is what was backed up; "" or "." is the data directory itself, which is in no directory.
 *
 * Everything has a place: how many bytes of the text of all frames are before the line of a file, or before the '/' in the name of the first object in a directory (of a base: four times as many as are before the line of either). It never
 * changes, as a listing never does, and two that differ are of different things. So it is what one goes on from in a directory, and what a number is made of.
 *
 *   mirror_tree_find()    by directory and name
 *   mirror_tree_at()      by number
 *   mirror_tree_list()    a directory, from any place on
 *   mirror_tree_each()    all files; of a base the directories, too
 *   mirror_tree_root()    what is known of the data directory of a base
 *
 * Memory: the index, and a few frames. Any thread; what reads may wait for @source, and returns -ECANCELED then. -EBADMSG (ERROR_CORRUPT): the listing is damaged.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/codec/listing.h>

/** MIRROR_NUMBERS - every number is smaller; those of files are smaller than MIRROR_DIRECTORIES. */
#define MIRROR_NUMBERS     (UINT64_C(1) << 34)
#define MIRROR_DIRECTORIES (UINT64_C(1) << 32)
/** MIRROR_PLACES_BEFORE - so many places before the first of a tree are nobody's, and so neither are the first 32 numbers of files, and the first 2,048 of
 * directories: they are for what is beside a tree. */
#define MIRROR_PLACES_BEFORE UINT64_C(4096)

/** struct mirror_tree_source - where the bytes of a listing are; read() fills all of @buf, on the thread of whoever asks. */
struct mirror_tree_source {
	int (*read)(void *arg, struct cancel *cancel, uint64_t at, void *buf, size_t len, struct error *err);
	void *arg;
};

struct mirror_tree;
/**
 * mirror_tree_new() - of a listing with this @index, which is taken; @source is copied, and its arg borrowed
 * @before: the end of another tree, whose places and numbers none of this one has; 0: there is none
 * Return: 0; -EFBIG: it has more text than there are numbers, some fifty million objects.
 */
int mirror_tree_new(struct listing_index *index, const struct mirror_tree_source *source, uint64_t before,
                    struct mirror_tree **ret, struct error *err);
struct mirror_tree *mirror_tree_free(struct mirror_tree *t); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(mirror_tree, struct mirror_tree *, mirror_tree_free)
/** mirror_tree_end() - no place in it is behind that. */
uint64_t mirror_tree_end(const struct mirror_tree *t);
/** mirror_tree_has() - is @number one of this tree's? */
bool mirror_tree_has(const struct mirror_tree *t, uint64_t number);

struct mirror_item {
	bool is_directory;
	uint64_t place, number;
	char *path;                 /* as it is shown: "a/b", "a%=" */
	struct listing_entry entry; /* of a file; of a directory nothing, but of a base its line */
};
void mirror_item_finish(struct mirror_item *i);
static inline void cleanup_mirror_item(struct mirror_item *i)
{
	mirror_item_finish(i);
}
/** mirror_item_name() - the last component of its path, in it. */
const char *mirror_item_name(const struct mirror_item *i);

/** mirror_tree_find() - @name in @directory ("a/b", "": the tree itself): 1 with @ret, which held nothing; 0: there is none. */
int mirror_tree_find(struct mirror_tree *t, struct cancel *cancel, const char *directory, const char *name,
                     struct mirror_item *ret, struct error *err);
/** mirror_tree_at() - what has that number: 1 with @ret, which held nothing; 0: nothing does. */
int mirror_tree_at(struct mirror_tree *t, struct cancel *cancel, uint64_t number, struct mirror_item *ret,
                   struct error *err);
/** struct mirror_each - who is told of items: 0 goes on; what else it returns ends it, and is returned. @i is finished behind the call. */
struct mirror_each {
	int (*item)(void *arg, const struct mirror_item *i, struct error *err);
	void *arg;
};
/** mirror_tree_list() - what is in @directory and has a place behind @after (0: all of it), in the order of places. */
int mirror_tree_list(struct mirror_tree *t, struct cancel *cancel, const char *directory, uint64_t after,
                     const struct mirror_each *each, struct error *err);
/** mirror_tree_each() - all files, in the order of their keys; of a base the directories, too, and the data directory itself, with the path "". */
int mirror_tree_each(struct mirror_tree *t, struct cancel *cancel, const struct mirror_each *each,
                     struct error *err);
/** mirror_tree_root() - of a base: 1 with @ret, which held nothing, is the data directory itself, with the path ""; 0: the listing has none, or is of a mirror. */
int mirror_tree_root(struct mirror_tree *t, struct cancel *cancel, struct mirror_item *ret,
                     struct error *err);
/** mirror_tree_format() - what it is of. */
enum listing_format mirror_tree_format(const struct mirror_tree *t);
