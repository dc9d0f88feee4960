// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A listing whose lines are found by key and by place: tree_cursor.c. What they are shown as is in tree.c, of a base in tree_base.c. */
#include <keepfs/mirror/tree.h>

#include <pthread.h>
#include <stdatomic.h>

#define TREE_FRAMES 4 /* kept of each tree */

struct tree_frame { /* unpacked; never changes */
	atomic_uint refs;
	size_t number;
	char *text;
	uint32_t *starts; /* of its lines, and the end of the last */
	uint32_t count;
};

struct mirror_tree {
	struct listing_index index;
	struct mirror_tree_source source;
	unsigned places_of_byte; /* of the text */
	uint64_t *places;        /* of the first line of each frame, and the end of the last */
	pthread_mutex_t lock;
	struct tree_frame *frames[TREE_FRAMES]; /* lock: most recently used first */
};

struct tree_cursor { /* before a line; cursor_finish() */
	struct mirror_tree *tree;
	struct cancel *cancel;
	size_t number; /* of the frame that it is in */
	uint32_t line;
	struct tree_frame *frame; /* a reference; NULL, or another's: not loaded yet */
	struct listing_entry entry;
	bool has_entry; /* that is the line's */
};
void tree_cursor_finish(struct tree_cursor *c);
static inline void cleanup_tree_cursor(struct tree_cursor *c)
{
	tree_cursor_finish(c);
}
/** cursor_peek() - 1: *@ret is the object whose line comes, borrowed until the cursor is moved; 0: there is none. */
int cursor_peek(struct tree_cursor *c, const struct listing_entry **ret, struct error *err);
/** cursor_peek_key() - the same, of its key alone, which takes less time. */
int cursor_peek_key(struct tree_cursor *c, struct str *ret, struct error *err);
/** cursor_take() - the same, and the cursor goes on; @ret held nothing, *@ret_place is its line's. */
int cursor_take(struct tree_cursor *c, struct listing_entry *ret, uint64_t *ret_place, struct error *err);
void cursor_step(struct tree_cursor *c);
/** cursor_place() - of the line that cursor_peek() has told. */
uint64_t cursor_place(const struct tree_cursor *c);
/** cursor_seek() - before the first object whose key is @key or behind it. */
int cursor_seek(struct tree_cursor *c, const char *key, struct error *err);
/** cursor_seek_place() - before the line that has @place in it: 1; 0: none has. */
int cursor_seek_place(struct tree_cursor *c, uint64_t place, struct error *err);
/** tree_damaged() - the error of a listing that is not what it should be. */
int tree_damaged(struct error *err, const char *what);
void tree_frame_unref(struct tree_frame *f);
/** tree_file_number(), tree_directory_number() - of what has that place. */
uint64_t tree_file_number(uint64_t place);
uint64_t tree_directory_number(uint64_t place);

/* tree_base.c: as the functions of keepfs/mirror/tree.h that end so, by a cursor of a tree of a base. */

/** tree_base_is_root() - is that the key of the data directory itself? */
bool tree_base_is_root(const char *key);
int tree_base_find(struct tree_cursor *c, const char *path, struct mirror_item *ret, struct error *err);
int tree_base_root(struct tree_cursor *c, struct mirror_item *ret, struct error *err);
int tree_base_at(struct tree_cursor *c, uint64_t place, bool is_directory, struct mirror_item *ret,
                 struct error *err);
int tree_base_list(struct tree_cursor *c, const char *directory, uint64_t after,
                   const struct mirror_each *each, struct error *err);
int tree_base_each(struct tree_cursor *c, const struct mirror_each *each, struct error *err);
