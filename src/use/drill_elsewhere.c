// SPDX-License-Identifier: Apache-2.0
/*
 * The database of a drill on a server that stays: a copy of what was backed up, which nobody else expects there. It is on record, as what a
 * restore changes is, from before it is made until it is dropped: so health tells of one that is left, also after a crash.
 */
#include "drill.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/pg.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/restored.h>

static void describe_database(const struct drill *d, struct catalog_restore *ret)
{
	_cleanup(free) char *server = pg_conninfo_with_database(d->server, d->database);

	*ret = (struct catalog_restore){.run_id = d->order->run_id,
	                                .phase = RESTORE_PHASE_BESIDE,
	                                .begun_at_us = make_now_us(d->ctx)};
	str_cut(ret->target, sizeof(ret->target), d->database);
	str_cut(ret->server, sizeof(ret->server), server);
	str_cut(ret->backup, sizeof(ret->backup), d->row.path);
	str_cut(ret->made, sizeof(ret->made), d->database);
}

int drill_note_database(struct drill *d, struct error *err)
{
	struct catalog_restore x;
	int r;

	if (d->scratch)
		return 0;
	describe_database(d, &x);
	r = catalog_set_restore(d->ctx->repository->catalog, &x, err);
	d->noted = r == 0;
	return r;
}

static void note_left_database(struct drill *d, const char *problem)
{
	struct catalog_restore x;
	struct catalog_restore_which which;
	struct error err = {0};

	describe_database(d, &x);
	which = (struct catalog_restore_which){.run_id = x.run_id, .target = x.target, .server = x.server};
	if (catalog_leave_restore(d->ctx->repository->catalog, &which, problem, &err) < 0)
		make_warn(d->order, "what the drill has left could not be kept: %s", err.message);
}

static void note_nothing_left(struct drill *d)
{
	struct catalog_restore x;
	struct catalog_restore_which which;
	struct error err = {0};

	describe_database(d, &x);
	which = (struct catalog_restore_which){.run_id = x.run_id, .target = x.target, .server = x.server};
	if (catalog_end_restore(d->ctx->repository->catalog, &which, &err) < 0)
		make_warn(d->order, "that the drill left nothing could not be kept: %s", err.message);
}

/* It was not made as far as we know; but the answer to CREATE DATABASE may have been lost. */
static void end_unmade(struct drill *d)
{
	const struct pg_server_place place = {.server = d->server, .limit_ms = PG_TELL_LIMIT_MS};
	struct pg_database_look look;
	struct error err = {0};

	if (pg_database_look(&place, d->database, &look, &err) < 0)
		note_left_database(d, err.message);
	else if (look.exists)
		note_left_database(d, "the server has not said whether it has made the database");
	else
		note_nothing_left(d);
}

static void end_made(struct drill *d)
{
	struct error err = {0};

	if (d->keep)
		make_say(d->order, "what was restored stays, in the database %s", d->database);
	if (d->keep || pg_restored_drop(d->server, d->database, &err) == 0) {
		note_nothing_left(d);
		return;
	}
	make_warn(d->order, "the database %s, which the drill made, could not be dropped: %s; drop it",
	          d->database, err.message);
	note_left_database(d, err.message);
}

void drill_end_database(struct drill *d)
{
	if (d->made)
		end_made(d);
	else if (d->noted)
		end_unmade(d);
}
