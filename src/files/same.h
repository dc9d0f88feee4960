// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What has the name of an entry, and what it has otherwise. */
#include "unpack.h"

struct same_place {
	int fd; /* of O_PATH; -1: there is nothing; for same_close() */
	struct stat st;
};

/** same_look() - what is at @path of the tree; nothing, too, where something above it is no directory. 0 or negative errno. */
int same_look(struct files_unpack *u, const char *path, struct same_place *ret);
void same_close(struct same_place *s);
static inline void cleanup_same_place(struct same_place *s)
{
	same_close(s);
}
/** same_difference() - static: what of @e is otherwise, but the content of a file and, of a directory, its time; NULL: nothing. "kind": it
 * is something else. Links are compared with what they lead to. */
const char *same_difference(struct files_unpack *u, const struct untar_entry *e, const struct same_place *s);
