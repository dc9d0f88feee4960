// SPDX-License-Identifier: Apache-2.0
/*
 * The begin of a stream. It goes on where the archive ends: at the first segment that is missing behind those that are there, on the timeline where they end; else where the slot begins to keep WAL, else where the server is now.
 * What the server has no more is a gap, which is told, and the stream goes on behind it: what comes from now on is worth having with the next base backup.
 */
#include "receive.h"
#include "tail.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_history.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define INTERVAL_MS 10000
#define HOLES_MAX                                                                                            \
	16 /* so many segments before the last one are looked at: those that were on their way when a receiver ended */

struct place { /* where a stream can begin */
	uint32_t timeline;
	uint64_t lsn;
};

/* What it is. */

static int refuse_streamed_cluster(const struct receiving *s, const struct catalog_wal_cluster *known,
                                   struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the server is the cluster %llu, and the archive wal/%s is of %llu: give each cluster a section [cluster NAME] of its own; a server that was made anew by initdb or pg_upgrade is another cluster",
	        (unsigned long long)s->system_id, s->r->settings.job, (unsigned long long)known->system_id);
}

static int ask_segment_bytes(struct receiving *s, struct error *err)
{
	_cleanup(free) char *text = NULL;
	uint64_t bytes;
	int r = pg_replication_setting(s->pg, "wal_segment_size", &text, err);

	if (r < 0)
		return r;
	if (pg_setting_bytes(text, &bytes) < 0 || !wal_segment_bytes_valid(bytes))
		return error_set(err, ERROR_UNAVAILABLE, EPROTO,
		                 "the server tells the size of its segments as '%.40s'", text);
	s->segment_bytes = (uint32_t)bytes;
	return 0;
}

/* It is told often enough that somebody is there. */
static int read_interval(struct receiving *s, struct error *err)
{
	_cleanup(free) char *text = NULL;
	int64_t ms = 0;
	int r = pg_replication_setting(s->pg, "wal_sender_timeout", &text, err);

	if (r < 0)
		return r;
	(void)pg_setting_ms(text, &ms);
	s->interval_ms = ms > 0 && ms / 3 < INTERVAL_MS ? ms / 3 + 1 : INTERVAL_MS;
	return 0;
}

static int bind_stream(struct receiving *s, struct error *err)
{
	struct catalog *catalog = s->r->w->options.repository->catalog;
	const struct catalog_wal_cluster is = {.system_id = s->system_id, .segment_bytes = s->segment_bytes};
	struct catalog_wal_cluster known = {0};
	int r = catalog_wal_bind(catalog, s->r->settings.job, &is, err);

	if (r == -EEXIST && catalog_wal_cluster(catalog, s->r->settings.job, &known) == 0)
		return refuse_streamed_cluster(s, &known, err);
	return r;
}

static int identify(struct receiving *s, struct error *err)
{
	struct pg_replication_system is;
	int r = pg_replication_identify(s->pg, &is, err);

	if (r < 0)
		return r;
	s->system_id = strtoull(is.system_identifier, NULL, 10);
	s->server_timeline = is.timeline;
	s->server_lsn = is.lsn;
	r = ask_segment_bytes(s, err);
	if (r == 0)
		r = read_interval(s, err);
	return r < 0 ? r : bind_stream(s, err);
}

/* The slot. */

static int make_slot(struct receiving *s, struct error *err)
{
	const char *name = s->r->settings.slot;
	int r = pg_slot_create(s->pg, name, err);

	if (r == 0)
		log_info("[cluster %s]: the server has the replication slot %s now, and keeps WAL for it",
		         s->r->settings.job, name);
	return r == -EEXIST ? 0 : r;
}

/* A slot without a place keeps nothing: the server has given it up (max_slot_wal_keep_size), and will not take it up again. */
static int renew_slot(struct receiving *s, struct error *err)
{
	const char *name = s->r->settings.slot;
	int r = pg_slot_drop(s->pg, name, err);

	if (r == 0)
		log_warning(
		        "[cluster %s]: the replication slot %s kept no WAL any more, as the server had given it up (max_slot_wal_keep_size): it was dropped, and is made anew",
		        s->r->settings.job, name);
	return r < 0 ? r : make_slot(s, err);
}

/* @ret_lsn: from where it keeps WAL; 0: not known. */
static int have_slot(struct receiving *s, uint64_t *ret_lsn, struct error *err)
{
	const char *name = s->r->settings.slot;
	struct pg_slot slot = {0};
	int r = pg_slot_read(s->pg, name, &slot, err);

	*ret_lsn = 0;
	if (r == -ENOTSUP)
		return make_slot(s, err);
	if (r == 0 && !slot.is_there)
		r = make_slot(s, err);
	else if (r == 0 && !slot.restart_lsn)
		r = renew_slot(s, err);
	else if (r == 0) {
		*ret_lsn = slot.restart_lsn;
		return 0;
	}
	if (r == 0)
		r = pg_slot_read(s->pg, name, &slot, err);
	if (r == 0)
		*ret_lsn = slot.restart_lsn;
	return r;
}

/* Histories. */

static int store_history(struct receiving *s, uint32_t timeline, const char *text, size_t len,
                         struct error *err)
{
	const struct wal_name name = {.kind = WAL_NAME_HISTORY, .timeline = timeline};
	_cleanup(wal_arrival) struct wal_arrival *a = NULL;
	_cleanup(free) char *note = NULL;
	char file[WAL_NAME_BYTES];
	int r;

	wal_name_format(&name, file);
	r = wal_arrival_new(s->r->w, s->r->settings.job, file, &s->r->cancel, &a, err);
	if (r == 0)
		r = wal_arrival_write(a, text, len, err);
	if (r == 0)
		r = wal_arrival_end(a, &note, err);
	if (r < 0)
		error_prefix(err,
		             "%s, which has to be in the archive before the first segment of its timeline",
		             file);
	return r;
}

/* It is in the archive when this returns, unless @only_reads; the first timeline has none. */
static int learn_history(struct receiving *s, uint32_t timeline, bool only_reads, struct wal_history *ret,
                         struct error *err)
{
	_cleanup(free) char *text = NULL;
	size_t len;
	int r;

	if (timeline == 1) {
		*ret = (struct wal_history){.timeline = 1};
		return 0;
	}
	r = pg_stream_history(s->pg, timeline, &text, &len, err);
	if (r == 0)
		r = wal_history_parse(timeline, text, len, ret, err);
	return r < 0 || only_reads ? r : store_history(s, timeline, text, len, err);
}

int receiving_begin_timeline(struct receiving *s, uint32_t timeline, uint64_t lsn, struct error *err)
{
	_cleanup(wal_history) struct wal_history history = {0};
	int r = learn_history(s, timeline, false, &history, err);

	if (r < 0)
		return r;
	s->timeline = timeline;
	s->branch_lsn = history.count ? history.ancestors[history.count - 1].left_at : 0;
	s->position = lsn - lsn % s->segment_bytes;
	return 0;
}

/* Where from. */

static int find_last_of(const struct receiving *s, uint32_t timeline, uint64_t before, struct wal_name *ret)
{
	struct wal_name to = {.timeline = timeline, .log = UINT32_MAX, .segment = UINT32_MAX};
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES];
	struct catalog_wal row;
	int r;

	if (before != UINT64_MAX)
		to = wal_name_of_lsn(timeline, before, s->segment_bytes);
	snprintf(first, sizeof(first), "%08X%016X", timeline, 0U);
	snprintf(last, sizeof(last), "%08X%08X%08X", timeline, to.log, to.segment);
	r = catalog_wal_last_segment(s->r->w->options.repository->catalog, s->r->settings.job, first, last,
	                             &row);
	return r < 0 ? r : wal_name_parse(row.name, ret);
}

static bool has_segment(const struct receiving *s, const struct wal_name *name)
{
	struct catalog_wal row;
	char text[WAL_NAME_BYTES];

	wal_name_format(name, text);
	return catalog_wal_find(s->r->w->options.repository->catalog, s->r->settings.job, text, &row) == 0;
}

/* The first that is missing before @last, between segments that are there; 0: there is none. Several are on their way at once, so an earlier one can be missing when a process ends. */
static uint64_t find_hole(const struct receiving *s, const struct wal_name *last)
{
	struct wal_name name = *last;
	uint64_t missing = 0, hole = 0;

	for (unsigned i = 0; i < HOLES_MAX && wal_name_previous(&name, s->segment_bytes, &name) == 0; i++) {
		if (!has_segment(s, &name))
			missing = wal_name_lsn(&name, s->segment_bytes);
		else if (missing)
			hole = missing;
	}
	return hole;
}

/* Where no segment was ever full, the one whose begin is a tail. */
static size_t place_of_tail(const struct receiving *s, const struct wal_history *history, struct place *ret)
{
	struct wal_tail_facts tail;
	struct wal_name name;
	uint64_t lsn;

	if (wal_tail_newest(s->r->w, s->r->settings.job, &tail) < 0 || wal_name_parse(tail.name, &name) < 0)
		return 0;
	lsn = wal_name_lsn(&name, s->segment_bytes);
	if (wal_history_timeline_at(history, lsn) != name.timeline)
		return 0;
	*ret = (struct place){name.timeline, lsn};
	return 1;
}

/* @ret[0] and perhaps [1]: behind what the archive has of the line of @history. How many. */
static size_t places_behind_archive(const struct receiving *s, const struct wal_history *history,
                                    struct place ret[2])
{
	uint32_t timeline = history->timeline;
	uint64_t left_at = UINT64_MAX, behind, hole;
	struct wal_name last;

	for (size_t i = history->count + 1; i-- > 0;) {
		uint32_t newer = timeline;
		size_t count = 0;

		timeline = i == history->count ? history->timeline : history->ancestors[i].timeline;
		left_at = i == history->count ? UINT64_MAX : history->ancestors[i].left_at;
		if (find_last_of(s, timeline, left_at, &last) < 0)
			continue;
		behind = wal_name_lsn(&last, s->segment_bytes) + s->segment_bytes;
		hole = find_hole(s, &last);
		if (hole)
			ret[count++] = (struct place){timeline, hole};
		/* Where it was left the newer one has the segment, too. */
		if (behind > left_at - left_at % s->segment_bytes && i < history->count)
			ret[count++] = (struct place){newer, left_at - left_at % s->segment_bytes};
		else
			ret[count++] = (struct place){timeline, behind};
		return count;
	}
	return place_of_tail(s, history, &ret[0]);
}

static struct place place_of_lsn(const struct receiving *s, const struct wal_history *history, uint64_t lsn)
{
	return (struct place){wal_history_timeline_at(history, lsn), lsn - lsn % s->segment_bytes};
}

#define PLACES_MAX 4

/* In the order in which they are tried. */
static size_t find_places(const struct receiving *s, const struct wal_history *history, uint64_t slot_lsn,
                          struct place ret[PLACES_MAX])
{
	size_t count = places_behind_archive(s, history, ret);
	struct place at;

	if (slot_lsn) {
		at = place_of_lsn(s, history, slot_lsn);
		if (count == 0 || at.lsn > ret[count - 1].lsn)
			ret[count++] = at;
	}
	at = place_of_lsn(s, history, s->server_lsn);
	if (count == 0 || at.lsn > ret[count - 1].lsn)
		ret[count++] = at;
	return count;
}

/* Each attempt needs a session of its own. */
static int connect_to_server(struct receiving *s, struct error *err)
{
	_cleanup(free) char *application = mem_printf("keepfs_%s", s->r->settings.job);

	s->pg = pg_replication_free(s->pg);
	return pg_replication_open(s->r->settings.database, application, &s->r->cancel, &s->pg, err);
}

/* That it was removed is said in the place of the first message, which is asked for. */
static int await_first(struct receiving *s, struct error *err)
{
	const struct pg_stream_wait wait = {.until_ms = clock_mono_ms() + INTERVAL_MS, .wake_fd = -1};
	int r = pg_stream_report(s->pg, s->position, true, err);

	while (r == 0 && clock_mono_ms() < wait.until_ms)
		r = pg_stream_next(s->pg, &wait, &s->rest, err);
	s->has_first = r == PG_STREAM_MESSAGE;
	if (r == PG_STREAM_OVER) {
		s->is_over = true;
		return receiving_end_timeline(s, err);
	}
	return r < 0 ? r : 0;
}

static int begin_at(struct receiving *s, const struct place *p, struct error *err)
{
	int r = receiving_begin_timeline(s, p->timeline, p->lsn, err);

	if (r == 0)
		r = receiving_start(s, err);
	return r < 0 || s->is_over ? r : await_first(s, err);
}

static void note_gap(struct receiving *s, uint64_t from, uint64_t to)
{
	char a[WAL_LSN_BYTES], b[WAL_LSN_BYTES];

	log_error(
	        "[cluster %s]: the server has no WAL any more from %s to %s, and the archive has none of it: no recovery can go past it. Make a new base backup; it is streamed on from %s",
	        s->r->settings.job, wal_lsn_format(from, a), wal_lsn_format(to, b), b);
	pthread_mutex_lock(&s->r->lock);
	if (!s->r->state.gap_from)
		s->r->state.gap_from = from;
	s->r->state.gap_to = to;
	pthread_mutex_unlock(&s->r->lock);
}

/* @behind: the first of them are places behind what the archive has, of which the last one is its end. Where it goes on from there nothing is missing that was not before. */
static int begin_somewhere(struct receiving *s, const struct place *places, size_t count, size_t behind,
                           struct error *err)
{
	int r = -ENOENT;

	for (size_t i = 0; i < count; i++) {
		if (i > 0)
			r = connect_to_server(s, err);
		if (i == 0 || r == 0)
			r = begin_at(s, &places[i], err);
		if (r != -ENOENT) {
			if (r == 0 && behind > 0 && i >= behind)
				note_gap(s, places[behind - 1].lsn, places[i].lsn);
			return r;
		}
	}
	return r;
}

/* Tails of segments that are there are what a crash has left. */
static void tidy_tails(struct receiving *s)
{
	int64_t after = 0;

	for (;;) {
		_cleanup(wal_tail) struct wal_tail tail = {0};

		if (wal_tails_next(s->r->w, s->r->settings.job, after, &tail) < 0)
			return;
		after = tail.number;
		if (tail.count && has_segment(s, &tail.name))
			wal_tail_remove(s->r->w, &tail, &s->r->cancel);
	}
}

int receiving_begin(struct receiving *s, struct error *err)
{
	_cleanup(wal_history) struct wal_history history = {0};
	struct place places[PLACES_MAX], behind[2];
	uint64_t slot_lsn = 0;
	size_t count;
	int r = connect_to_server(s, err);

	if (r == 0)
		r = identify(s, err);
	if (r == 0)
		r = have_slot(s, &slot_lsn, err);
	if (r == 0)
		r = learn_history(s, s->server_timeline, true, &history, err);
	if (r < 0)
		return r;
	r = gathering_begin(&s->segments, s->r, s->system_id, s->segment_bytes, err);
	s->has_segments = r == 0;
	if (r == 0)
		r = spool_bring_back(s, err);
	if (r < 0)
		return r;
	tidy_tails(s);
	count = find_places(s, &history, slot_lsn, places);
	return begin_somewhere(s, places, count, places_behind_archive(s, &history, behind), err);
}
