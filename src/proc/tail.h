// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What a child wrote to its standard error: the first and the last 32 KiB of it, and line by line while it
 * runs. Used by one thread at a time. */
#include <keepfs/base/str.h>
#include <stddef.h>

#define TAIL_HEAD_BYTES ((size_t)32 << 10)
#define TAIL_END_BYTES  ((size_t)32 << 10)
#define TAIL_LINE_BYTES ((size_t)4096) /* longer lines are told in pieces */

struct tail {
	void (*on_line)(void *arg, const char *line); /* NULL: nobody asks */
	void *arg;
	struct str head;
	struct str end;  /* a window: the oldest bytes go first */
	size_t left_out; /* bytes that left the window */
	struct str line; /* the line that is not ended yet */
	struct str text; /* made by tail_finish() */
};

void tail_add(struct tail *t, const char *data, size_t len);
/** tail_end() - no more will come: tell the last line, join the parts in @text. */
void tail_end(struct tail *t);
void tail_finish(struct tail *t);
