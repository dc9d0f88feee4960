// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What is to be listed behind an object whose digest is not known yet: its line waits for that, and so do all that come behind it, since a listing is in order.
 */
#include <keepfs/codec/listing.h>

struct late_line {
	struct late_line *next;
	struct listing_entry entry;
	struct str line; /* of it; empty: nobody has made it */
	bool is_awaited; /* its digest is not known */
};
struct late {
	struct late_line *first, *last; /* NULL: nothing waits */
	size_t count;
};

/** late_add() - behind all that waits. @e: taken; @line: copied; NULL: there is none. */
void late_add(struct late *l, struct listing_entry *e, const struct str *line, bool is_awaited);
/** late_told() - the digest of the first that is awaited, which is @e, with @line. */
void late_told(struct late *l, const struct listing_entry *e, const struct str *line);
/** late_take() - the next that can be listed: the caller's late_line_free(); NULL: none. */
struct late_line *late_take(struct late *l);
struct late_line *late_line_free(struct late_line *line); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(late_line, struct late_line *, late_line_free)
void late_finish(struct late *l);
