// SPDX-License-Identifier: Apache-2.0
/*
 * Only what CREATE DATABASE has made here is dropped, and only under the name that it was made with. What became of a statement whose answer
 * did not come is looked at, and where that cannot be done it is told, and left to people.
 */
#include "restore_settle.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>

#include <stdarg.h>

/* The row. */

static void describe_target(const struct restore_target *t, struct catalog_restore *ret)
{
	*ret = (struct catalog_restore){.run_id = t->order->run_id, .begun_at_us = make_now_us(t->ctx)};
	str_cut(ret->target, sizeof(ret->target), t->database);
	str_cut(ret->server, sizeof(ret->server), t->shown_server);
	str_cut(ret->backup, sizeof(ret->backup), t->copy ? t->order->target->name : t->backup->path);
	if (restore_target_is_beside(t))
		str_copy(ret->made, sizeof(ret->made), t->made);
	str_copy(ret->before, sizeof(ret->before), t->before);
}

static struct catalog_restore_which row_of(const struct catalog_restore *x)
{
	return (struct catalog_restore_which){.run_id = x->run_id, .target = x->target, .server = x->server};
}

int restore_settle_begin(struct restore_target *t, enum restore_phase phase, struct error *err)
{
	struct catalog_restore x;
	int r;

	describe_target(t, &x);
	x.phase = phase;
	r = catalog_set_restore(t->ctx->repository->catalog, &x, err);
	t->is_noted |= r == 0;
	return r;
}

void restore_settle_end(const struct restore_target *t)
{
	struct catalog_restore x;
	struct catalog_restore_which which;
	struct error err = {0};

	describe_target(t, &x);
	which = row_of(&x);
	if (catalog_end_restore(t->ctx->repository->catalog, &which, &err) < 0)
		make_warn(t->order, "that the restore left nothing could not be kept: %s", err.message);
}

static void note_what_is_left(const struct restore_target *t, const char *problem)
{
	struct catalog_restore x;
	struct catalog_restore_which which;
	struct error err = {0};

	describe_target(t, &x);
	which = row_of(&x);
	if (catalog_leave_restore(t->ctx->repository->catalog, &which, problem, &err) < 0)
		make_warn(t->order, "what the restore left could not be kept: %s", err.message);
}

void restore_settle_earlier(const struct restore_target *t)
{
	struct catalog_restore x;
	struct catalog_restore_which which;
	struct error err = {0};
	uint64_t settled;

	describe_target(t, &x);
	which = row_of(&x);
	which.run_id = 0;
	if (catalog_forget_restores(t->ctx->repository->catalog, &which, &settled, &err) < 0)
		make_warn(t->order, "that what earlier restores have left is settled could not be kept: %s",
		          err.message);
}

/* The exchange of names. */

/* With a cancel of nobody's: this is to be known in any case. */
static int is_there(const struct restore_target *t, const char *database, bool *ret)
{
	const struct pg_server_place place = {.server = t->server, .limit_ms = PG_TELL_LIMIT_MS};
	struct pg_database_look look;
	struct error ignored = {0};
	int r = pg_database_look(&place, database, &look, &ignored);

	if (r == 0)
		*ret = look.exists;
	return r;
}

int restore_settle_swap(struct restore_target *t, int r, struct error *err)
{
	bool made = true, living = false, before = true;

	t->swap_is_unclear = true;
	if (is_there(t, t->made, &made) < 0 || is_there(t, t->database, &living) < 0 ||
	    (t->before[0] && is_there(t, t->before, &before) < 0))
		return r;
	t->swap_is_unclear = !made && !(living && before);
	if (made || t->swap_is_unclear)
		return r;
	make_warn(t->order, "the server's answer to the exchange of names got lost, but they were exchanged");
	return 0;
}

/* A failure. */

/* What was made is of no use. */
static bool drop_made(const struct restore_target *t)
{
	const struct pg_server_place place = {.server = t->server, .limit_ms = PG_TELL_LIMIT_MS};
	struct error err = {0};

	if (pg_database_drop(&place, t->made, &err) == 0)
		return true;
	make_warn(t->order, "%s could not be dropped: %s", t->made, err.message);
	return false;
}

/* DROP DATABASE has waited for an exchange that was still under way at the server: now it is known what became of that. */
static bool was_swapped_late(const struct restore_target *t)
{
	bool found = false;

	return t->swaps && is_there(t, t->before[0] ? t->before : t->database, &found) == 0 && found;
}

static void add_state(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void add_state(struct error *err, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	str_appendf(&text, "%s%s ", err->message, str_ends(err->message, ".") ? "" : ".");
	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	str_cut(err->message, sizeof(err->message), str_text(&text));
}

static void leave_in_place(const struct restore_target *t, struct error *err)
{
	add_state(
	        err,
	        "%s itself was changed, or may have been, and can hold a part of the backup: look at it, at %s, before anything else is done with it",
	        t->database, t->shown_server);
	note_what_is_left(t, err->message);
}

static void leave_unclear_swap(const struct restore_target *t, struct error *err)
{
	add_state(
	        err,
	        "Whether names were exchanged could not be found out: %s is the restored database when there is no %s any more, at %s",
	        t->database, t->made, t->shown_server);
	note_what_is_left(t, err->message);
}

static void leave_unknown(const struct restore_target *t, struct error *err)
{
	add_state(err, "%s was not touched; whether %s was made is not known: look, at %s", t->database,
	          t->made, t->shown_server);
	note_what_is_left(t, err->message);
}

static void leave_a_part(const struct restore_target *t, struct error *err)
{
	add_state(err, "What could be restored is in %s, at %s; %s %s", t->made, t->shown_server, t->database,
	          t->look.exists ? "is as it was" : "was not made");
	note_what_is_left(t, err->message);
}

static void put_away(const struct restore_target *t, struct error *err)
{
	const char *living = t->look.exists ? "is as it was" : "was not made";

	if (!drop_made(t)) {
		add_state(err, "%s %s; %s holds a part of the backup: drop it, at %s", t->database, living,
		          t->made, t->shown_server);
		note_what_is_left(t, err->message);
		return;
	}
	if (was_swapped_late(t))
		add_state(err, "Names were exchanged all the same: %s is the restored database, at %s",
		          t->database, t->shown_server);
	else
		add_state(err, "%s %s: nothing is left of the restore, at %s", t->database, living,
		          t->shown_server);
	restore_settle_end(t);
}

void restore_settle_failure(struct restore_target *t, struct error *err)
{
	bool keeps = t->wanted->keep_going && !cancel_is_set(t->order->cancel);

	if (!t->is_noted || (!restore_target_is_beside(t) && !t->outcome.changed)) {
		add_state(err, "No database was changed, at %s", t->shown_server);
		if (t->is_noted)
			restore_settle_end(t);
	} else if (!restore_target_is_beside(t)) {
		leave_in_place(t, err);
	} else if (t->swap_is_unclear) {
		leave_unclear_swap(t, err);
	} else if (t->outcome.made == RESTORE_MADE_UNKNOWN) {
		leave_unknown(t, err);
	} else if (t->outcome.made == RESTORE_MADE_NOTHING) {
		add_state(err, "%s %s, and nothing is left of the restore, at %s", t->database,
		          t->look.exists ? "is as it was" : "was not made", t->shown_server);
		restore_settle_end(t);
	} else if (keeps) {
		leave_a_part(t, err);
	} else {
		put_away(t, err);
	}
}
