// SPDX-License-Identifier: Apache-2.0
#pragma once
/** One backup of a restore, brought into its database: beside what is there and then in its place, into a new one, or into the one that
 * is there. */
#include "restore_order.h"

#include <keepfs/pg/manage.h>
#include <keepfs/use/erasures.h>

struct copied;

struct restore_target {
	const struct make_context
	        *ctx; /* borrowed, as the next ones; its pool is used for nothing else meanwhile */
	const struct make_order *order;
	const struct restore_order *wanted;
	struct backup *backup;
	const struct copied *copy; /* that it is read from, in a further store; NULL: it is listed */
	const char *server;
	const char *database;
	char *shown_server; /* heap: without a password */
	struct pg_database_look look;
	struct restore_outcome
	        outcome; /* what has come to pass at the server: only what it says was made here is ever dropped */
	int64_t named_at_us; /* when its names were chosen first; 0: not yet */
	char made
	        [64]; /* name of the database that is filled: its own where that is changed, else one beside it */
	char before[64]; /* how the old one is called afterwards; "": it stays what it is, or is not there */
	/* What has come to pass. */
	bool is_noted;        /* the catalog has a row of it: something was, or was about to be, changed */
	bool swaps;           /* the names were about to be exchanged */
	bool swap_is_unclear; /* it is not known whether they were */
	struct erasures *erasures; /* what must not come back */
};

/** restore_target_look() - ask the server, and choose the way; once more, when time has passed since. -EINVAL: it exists and its name was not confirmed; or create=no, and it
 * does not. */
int restore_target_look(struct restore_target *t, struct error *err);
/** restore_target_foresee() - once it was looked at: what can be known before it is begun (restore_foresee.h). */
int restore_target_foresee(struct restore_target *t, struct error *err);
/** restore_target_tell() - what would be done, as lines for the log. */
void restore_target_tell(const struct restore_target *t);
/** restore_target_run() - do it. @err says what is where when it fails. */
int restore_target_run(struct restore_target *t, struct error *err);
/** restore_target_is_beside() - a database of its own is filled, and gets its name at the end. */
bool restore_target_is_beside(const struct restore_target *t);
void restore_target_finish(struct restore_target *t);
static inline void cleanup_restore_target(struct restore_target *t)
{
	restore_target_finish(t);
}

/** restore_append_sessions() - those of the database, "alice (psql, from 10.0.0.7, since 2026-11-20T02:00:00Z), …", at most @max of them. */
void restore_append_sessions(const struct restore_target *t, size_t max, struct str *out);
/** restore_tell_sessions() - the same as lines for the log. */
void restore_tell_sessions(const struct restore_target *t, size_t max);

/** struct restore_expectation - how long it will probably take; 0: not known. */
struct restore_expectation {
	int64_t check_us, restore_us;
};
/** restore_is_partial() - it is not all of the backup that is wanted. */
bool restore_is_partial(const struct restore_order *w);
/** restore_tell_time() - lines for the log: how long, and by what that is known. */
void restore_tell_time(const struct restore_target *t);
/** restore_note_pace() - all of it took so long, up to the planner's statistics. */
void restore_note_pace(const struct restore_target *t, int64_t took_us);
/** restore_expect() - by what was done before; of a part of a backup nothing is known. */
void restore_expect(const struct restore_target *t, struct restore_expectation *ret);

/** restore_roles() - those of the backup that the server does not have. What cannot be made is a warning. */
void restore_roles(const struct restore_target *t);
