// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The stage in front of an upload: it lists the extents of what is stored. Private to this room. */
#include <keepfs/codec/cells.h>
#include <keepfs/codec/extents.h>
#include <keepfs/stream/sink.h>

struct lister_options {
	struct cells cells;  /* extents are made of whole ones, so that each can be undone by itself */
	size_t head_bytes;   /* that come last; whole cells of them, fewer only if nothing else is written */
	size_t max_extents;  /* so many, with the head's, before extents become longer */
	struct extents *ret; /* borrowed, empty; complete after sink_finish() */
};

/** lister_new() - passes bytes on to @next, which it consumes. */
struct sink *lister_new(struct sink *next, const struct lister_options *options);
