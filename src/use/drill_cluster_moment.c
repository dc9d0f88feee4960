// SPDX-License-Identifier: Apache-2.0
/*
 * The moment. Of the newest base two transactions are written at the source, right now, and the time between them is the target: so the whole way is tried, from the server's log through the archive to a recovery that stops where it was told to.
 * Where that cannot be, what else there is is recovered, and the report says what was not proven, and why.
 */
#include "drill_cluster.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/codec/base_facts.h>
#include <keepfs/pg.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <inttypes.h>

/* Where no marker can be had of the newest state: all that there is. Of older bases their own end: what lies between is that of the newer ones. */
static void choose_goal(struct drill_cluster *c)
{
	_cleanup(str) struct str text = {0};

	c->words.timeline = c->has_marker || c->is_newest ? "latest" : "current";
	c->words.action = "promote";
	if (c->has_marker)
		c->words.goal =
		        (struct recovery_goal){.kind = RECOVERY_TO_TIME, .time_us = c->marker.moment_us};
	else
		c->words.goal.kind = c->is_newest ? RECOVERY_TO_LATEST : RECOVERY_TO_IMMEDIATE;
	recovery_goal_format(&c->words.goal, &text);
	c->target = mem_printf("it is recovered to %s", str_text(&text));
}

static int look_which_base(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;
	uint64_t newest = 0;
	int r = catalog_newest_whole(d->ctx->repository->catalog, d->row.directory, &newest);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	c->is_newest = r == 0 && newest == d->backup->ino;
	/* Of a copy the newest state is what has been copied. */
	c->is_newest |= d->copy != NULL;
	return 0;
}

static const char *why_no_marker(const struct drill_cluster *c)
{
	const struct drill *d = c->d;

	if (d->copy)
		return "it is read from a copy alone, which has what is written now only later";
	if (!c->is_newest)
		return "it is not the newest base backup, and was recovered to its own end";
	if (!d->job || d->job->kind != CONF_JOB_CLUSTER)
		return "the configuration has no section any more that says where its server is";
	if (!d->ctx->wal)
		return "nobody serves the WAL archive here";
	return NULL;
}

static void note_no_marker(struct drill_cluster *c, const char *why)
{
	drill_note(c->d, "that a moment can be recovered to was not proven (level 6): %s", why);
}

/* Until the log of both has come. */
static int await_marker(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;
	struct base_facts facts;
	struct wal_stretch needed;
	char missing[WAL_NAME_BYTES];
	int r = base_facts_get(&d->backup->m, &facts, err);

	if (r < 0)
		return r;
	if (wal_name_parse(c->marker.last_segment, &needed.first) < 0)
		return error_set(err, ERROR_UNAVAILABLE, EPROTO, "the server calls its WAL '%s'",
		                 c->marker.last_segment);
	needed.last = needed.first;
	needed.segment_bytes = facts.segment_bytes;
	make_say(d->order, "waiting for %s, in which it is", c->marker.last_segment);
	r = wal_await(d->ctx->wal, d->job->name, &needed, d->job->cluster.wal_timeout_ms, d->cancel, missing);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	if (r < 0 && r != -ETIMEDOUT)
		return error_system(err, -r, "the catalog cannot be read");
	c->has_marker = r == 0;
	if (r < 0 && c->marker.is_switched)
		return error_set(
		        err, ERROR_UNAVAILABLE, ETIMEDOUT,
		        "%s, which the server has ended, has not come within %" PRId64
		        " s (wal_timeout): what is written now would be lost with the server; see status/health",
		        missing, d->job->cluster.wal_timeout_ms / 1000);
	return 0;
}

static int write_marker_at_source(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;
	_cleanup(free) char *text = mem_printf("keepfs drill, run %" PRId64, d->order->run_id);
	struct error why = {0};
	char at[CLOCK_ISO_BYTES];
	int r = pg_marker_write(d->job->cluster.database, text, d->cancel, &c->marker, &why);

	if (r == -ECANCELED) {
		*err = why;
		return r;
	}
	if (r != 0) {
		note_no_marker(
		        c,
		        r == PG_MARKER_STANDBY
		                ? "the server that database of the section names is a standby, at which nothing can be written"
		                : why.message);
		return 0;
	}
	make_say(d->order, "two transactions were written at the server, and the moment between them is %s",
	         clock_format_iso(c->marker.moment_us, at));
	r = await_marker(c, err);
	if (r == 0 && !c->has_marker)
		note_no_marker(
		        c,
		        "the segment of the log that has it was not full within wal_timeout, and the role may not end it: GRANT EXECUTE ON FUNCTION pg_switch_wal() TO it, or set archive_timeout");
	return r;
}

int drill_cluster_choose(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;
	const char *why;
	int r = look_which_base(c, err);

	if (r < 0)
		return r;
	if (d->job && d->job->kind == CONF_JOB_CLUSTER) {
		c->database = pg_conninfo_database(d->job->cluster.database);
		c->user = pg_conninfo_user(d->job->cluster.database);
	}
	why = why_no_marker(c);
	if (d->wanted >= PROOF_MOMENT && why)
		note_no_marker(c, why);
	else if (d->wanted >= PROOF_MOMENT)
		r = write_marker_at_source(c, err);
	if (r == 0)
		choose_goal(c);
	return r;
}

void drill_cluster_judge_moment(struct drill_cluster *c)
{
	struct drill *d = c->d;
	char at[CLOCK_ISO_BYTES];

	if (!c->has_marker)
		return;
	clock_format_iso(c->marker.moment_us, at);
	if (!c->seen.has_before)
		drill_differs(
		        d,
		        "it was recovered to %s, and a transaction that had been committed before is missing (%" PRIu64
		        ")",
		        at, c->marker.before_xid);
	if (c->seen.has_after)
		drill_differs(
		        d,
		        "it was recovered to %s, and has a transaction that was committed later (%" PRIu64
		        ")",
		        at, c->marker.after_xid);
	if (c->seen.has_before && !c->seen.has_after)
		make_say(d->order,
		         "what was committed before %s is there, and what was committed behind it is not",
		         at);
}
