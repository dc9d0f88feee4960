// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Directories are read by cursor: the offset that the kernel hands back says where to go on, so an open
 * directory holds no state and a directory of a million files costs no memory. An entry's offset is that
 * behind it; offsets grow from entry to entry. They are:
 *
 *   1, 2                 behind "." and ".."
 *   3 … 63               behind the entry at a fixed position, from 0: from tables, or made up
 *   64 + sequence        behind a subdirectory, or jobs/<run> (the run's number)
 *   bit 61 | sequence    behind an artifact
 *   bit 62 | sequence    behind a further file of an artifact
 */
#include "node.h"

#include <sys/types.h>

#define OFFSET_DOTS      2
#define OFFSET_FIXED     3
#define OFFSET_NUMBERED  64
#define OFFSET_ARTIFACTS (INT64_C(1) << 61)
#define OFFSET_FILES     (INT64_C(1) << 62)

/** struct listing - the page that a request for entries is answered with. */
struct listing;

/** listing_add() - @node as @name, at @offset; false: the page is full, and the entry is not in it. */
bool listing_add(struct listing *l, const char *name, const struct node *node, off_t offset);
/** listing_max() - no more entries than this fit into the page: that many are enough for one query. */
size_t listing_max(const struct listing *l);

/** listing_position() - the fixed position that comes behind the offset @after. */
static inline unsigned listing_position(off_t after)
{
	if (after < OFFSET_FIXED)
		return 0;
	return after < OFFSET_NUMBERED ? (unsigned)(after - OFFSET_FIXED + 1)
	                               : OFFSET_NUMBERED - OFFSET_FIXED;
}
