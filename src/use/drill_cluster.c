// SPDX-License-Identifier: Apache-2.0
/*
 * Which moment → can it be reached? → files, server, recovery → has it what was committed before the moment, and nothing from behind it? → each row of each table → amcheck → what the configuration asks.
 *
 * The moment is asked for first, since whatever is done with the server afterwards takes numbers of transactions; it counts at the end, as what proves most.
 */
#include "drill_cluster.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/wal_keep.h>
#include <keepfs/codec/listing.h>
#include <keepfs/pg/databases.h>
#include <keepfs/pg/restored.h>

#include <errno.h>
#include <inttypes.h>

bool drill_is_cluster(const struct backup *b)
{
	return str_equal(b->m.kind, LISTING_KIND_BASE) && !b->is_part;
}

/* The phases. */

static int choose_moment(struct drill *d, struct error *err)
{
	return drill_cluster_choose(d->cluster, err);
}

/* What the recovery needs must not go meanwhile; the end of the run lets go of it. */
static int pin_wal_of_drill(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;

	return c->reach.first && !d->copy ? catalog_wal_pin(d->ctx->repository->catalog, d->backup->m.job,
	                                                    d->order->run_id, c->reach.first, err)
	                                  : 0;
}

static int reach_moment(struct drill *d, struct error *err)
{
	struct drill_cluster *c = d->cluster;
	char size[16];
	int r = restore_cluster_learn(&c->reading, d->cancel, err);

	if (r == 0)
		r = restore_cluster_reach(&c->reading, d->backup->m.job, &c->words, d->backup->path,
		                          &c->reach, err);
	if (r == 0)
		r = pin_wal_of_drill(c, err);
	if (r < 0)
		return r;
	make_say(d->order, "%s: %" PRIu64 " segments of WAL are replayed (%s)%s%s%s%s", c->target,
	         c->reach.segments,
	         str_format_bytes(size, sizeof(size), c->reach.segments * c->reach.segment_bytes),
	         c->reach.first ? ", " : "", str_or_empty(c->reach.first), c->reach.first ? " to " : "",
	         str_or_empty(c->reach.last));
	if (c->reach.gap)
		drill_differs(
		        d, "%s is missing in the archive: what comes behind it cannot be recovered any more",
		        c->reach.gap);
	return 0;
}

static int recover_it(struct drill *d, struct error *err)
{
	return drill_cluster_recover(d->cluster, err);
}

static void tell_replayed(struct drill_cluster *c)
{
	char at[CLOCK_ISO_BYTES];

	if (c->seen.replayed_us > 0)
		make_say(c->d->order, "the last transaction that was replayed ended at %s",
		         clock_format_iso(c->seen.replayed_us, at));
}

/* Without a target all that there is was to be replayed. */
static void judge_replayed(struct drill_cluster *c)
{
	char have[CLOCK_ISO_BYTES], want[CLOCK_ISO_BYTES];

	if (c->words.goal.kind != RECOVERY_TO_LATEST || c->reach.latest_us == 0 ||
	    c->seen.replayed_us >= c->reach.latest_us)
		return;
	drill_differs(
	        c->d,
	        "the recovery has ended with a transaction of %s, and the WAL that was read when it came has one of %s",
	        c->seen.replayed_us ? clock_format_iso(c->seen.replayed_us, have) : "no time at all",
	        clock_format_iso(c->reach.latest_us, want));
}

static int look_at_moment(struct drill *d, struct error *err)
{
	struct drill_cluster *c = d->cluster;
	int r = pg_marker_look(d->server, c->has_marker ? &c->marker : NULL, d->cancel, &c->seen, err);

	if (r == 0)
		tell_replayed(c);
	return r;
}

/* Each database. */

struct each_database {
	struct drill *d;
	int (*look)(struct drill *d, struct error *err);
};

static int visit_database(void *arg, const char *name, const char *class, struct error *err)
{
	struct each_database *e = arg;

	(void)class;
	if (cancel_is_set(e->d->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	mem_replace_string(&e->d->database, name);
	return e->look(e->d, err);
}

static int each_database_of(struct drill *d, int (*look)(struct drill *d, struct error *err),
                            struct error *err)
{
	struct each_database e = {.d = d, .look = look};

	return pg_list_databases(d->server, "postgres", d->cancel, visit_database, &e, err);
}

static void take_unreadable(void *arg, const char *text)
{
	struct drill *d = arg;

	drill_differs(d, "%s: %s", d->database, text);
}

static int read_rows_of_database(struct drill *d, struct error *err)
{
	struct pg_rows_read found = {.failed = take_unreadable, .arg = d};
	struct pg_session *s = NULL;
	uint64_t bytes = 0;
	int r = pg_session_open(d->server, d->database, "keepfs drill", d->cancel, &s, err);

	if (r == 0)
		r = pg_restored_read_rows(s, &found, err);
	if (r == 0)
		r = pg_restored_bytes(s, &bytes, err);
	pg_session_free(s);
	if (r < 0)
		return r;
	d->tables += found.tables;
	d->rows += found.rows;
	d->bytes += bytes;
	make_say(d->order, "%s: %" PRIu64 " rows of %" PRIu64 " tables were read", d->database, found.rows,
	         found.tables);
	return 0;
}

static int read_all_rows(struct drill *d, struct error *err)
{
	int r;

	judge_replayed(d->cluster);
	r = each_database_of(d, read_rows_of_database, err);
	if (r == 0 && d->differences == 0)
		d->row.level = PROOF_EQUAL;
	return r;
}

static int look_whether_sound(struct drill *d, struct error *err)
{
	bool provable = false;
	int r = drill_sound(d, &provable, err);

	d->cluster->is_provable &= provable;
	return r;
}

static int look_at_databases(struct drill *d, struct error *err)
{
	int r;

	d->cluster->is_provable = true;
	r = each_database_of(d, look_whether_sound, err);
	if (r == 0 && d->cluster->is_provable && d->differences == 0 && d->row.level == PROOF_EQUAL)
		d->row.level = PROOF_SOUND;
	return r;
}

static int ask_of_database(struct drill *d, struct error *err)
{
	unsigned asked = 0;
	int r = drill_ask(d, &asked, err);

	d->cluster->asked += asked;
	return r;
}

static int ask_all(struct drill *d, struct error *err)
{
	int r = each_database_of(d, ask_of_database, err);

	if (r == 0 && d->cluster->asked > 0 && d->differences == 0 && d->row.level == PROOF_SOUND)
		d->row.level = PROOF_YOURS;
	return r;
}

static int judge_moment(struct drill *d, struct error *err)
{
	struct drill_cluster *c = d->cluster;

	(void)err;
	drill_cluster_judge_moment(c);
	if (c->has_marker && d->differences == 0 &&
	    d->row.level == (c->asked > 0 ? PROOF_YOURS : PROOF_SOUND))
		d->row.level = PROOF_MOMENT;
	return 0;
}

/* The whole. */

static int recover_phases(struct drill *d, struct error *err)
{
	int64_t began_us;
	int r = drill_run_phase(d, "moment", choose_moment, err);

	if (r == 0)
		r = drill_run_phase(d, "reach", reach_moment, err);
	began_us = clock_mono_us();
	if (r == 0)
		r = drill_run_phase(d, "recover", recover_it, err);
	if (r == 0) {
		d->row.restore_us = clock_mono_us() - began_us;
		d->row.bytes = d->cluster->bytes;
		r = drill_run_phase(d, "replayed", look_at_moment, err);
	}
	if (r == 0)
		d->row.level = PROOF_RESTORED;
	drill_note_wrong(d, PROOF_RESTORED, r, err);
	return r;
}

static int all_phases_of_cluster(struct drill *d, struct error *err)
{
	int r = recover_phases(d, err);

	if (r < 0)
		drill_mark_wrong(d, d->backup, err);
	if (r == 0)
		r = drill_look_phase(d, PROOF_EQUAL, "rows", read_all_rows, err);
	if (r == 0)
		r = drill_look_phase(d, PROOF_SOUND, "sound", look_at_databases, err);
	if (r == 0)
		r = drill_look_phase(d, PROOF_YOURS, "yours", ask_all, err);
	return r < 0 ? r : drill_look_phase(d, PROOF_MOMENT, "proof", judge_moment, err);
}

static void finish_cluster(struct drill_cluster *c)
{
	/* The server's last processes may still wait for WAL: they end with it. */
	drill_wal_free(c->wal);
	restore_reach_finish(&c->reach);
	restore_cluster_words_finish(&c->words);
	pool_free(c->reading.pool);
	free(c->database);
	free(c->user);
	free(c->target);
}

static int begin_cluster(struct drill_cluster *c, struct error *err)
{
	struct drill *d = c->d;
	const struct json *facts = d->backup->m.facts;
	int64_t version = 0, segment = 0;
	uint64_t bytes = CLUSTER_BACK_POOL_BYTES * d->jobs;

	if (facts) {
		(void)json_get_int(facts, "server_version", &version);
		(void)json_get_int(facts, "segment_bytes", &segment);
	}
	if (version < 130000)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s does not say of which version of PostgreSQL it is", d->backup->path);
	c->version_num = (int)version;
	/* A file of WAL is in memory as a whole, as it is stored, or a tail of it unpacked. */
	if (bytes < 2 * (uint64_t)segment)
		bytes = 2 * (uint64_t)segment;
	c->reading = *d->backup->ctx;
	c->reading.pool = pool_new(bytes);
	return c->reading.pool ? 0 : error_system(err, ENOMEM, "there is no memory for bringing files back");
}

int drill_cluster(struct drill *d, struct error *err)
{
	struct drill_cluster c = {.d = d};
	int r = begin_cluster(&c, err);

	d->cluster = &c;
	if (r == 0)
		r = all_phases_of_cluster(d, err);
	if (r < 0 && d->scratch && pg_scratch_failure(d->scratch, err) < 0)
		r = -ENOSPC;
	r = drill_end(d, r, err);
	d->moment = drill_report_moment(&c);
	d->cluster = NULL;
	finish_cluster(&c);
	return r;
}
