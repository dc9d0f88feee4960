// SPDX-License-Identifier: Apache-2.0
/*
 * Which files of an archive nobody needs: what the catalog knows is gathered, and policy decides. Pins are asked for before the base backups: one that is published, and whose pin ends, while this goes on is seen as one of both.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/bases.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy/wal_keep.h>
#include <keepfs/wal/keep.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct gathering {
	const struct prune *p;
	struct wal_survey *survey;
	struct wal_keep_facts facts;
	struct wal_keep_base *bases;
	struct wal_keep_pin *pins;
	struct wal_history *histories;
	uint32_t *timelines;
	struct { /* of each base */
		uint64_t ino;
		char path[512];
	} * artifacts;
	int64_t newest_us; /* of the bases */
};

static void finish_gathering(struct gathering *g)
{
	for (size_t i = 0; i < g->facts.history_count; i++)
		wal_history_finish(&g->histories[i]);
	free(g->bases);
	free(g->pins);
	free(g->histories);
	free(g->timelines);
	free(g->artifacts);
}

static void cleanup_gathering(struct gathering *g)
{
	finish_gathering(g);
}

static int survey_failed(int r, struct error *err)
{
	return error_system(err, -r, "the catalog cannot be read");
}

/* What there is. */

static int gather_pin(void *arg, const char *first)
{
	struct gathering *g = arg;
	struct wal_keep_facts *f = &g->facts;
	struct wal_keep_pin pin = {0};
	struct wal_name name;

	if (*first && wal_name_parse(first, &name) == 0)
		pin = (struct wal_keep_pin){.timeline = name.timeline,
		                            .lsn = wal_name_lsn(&name, f->segment_bytes)};
	g->pins = mem_resize(g->pins, f->pin_count + 1, sizeof(*g->pins));
	g->pins[f->pin_count++] = pin;
	return 0;
}

static int gather_base(void *arg, const struct catalog_base *b)
{
	struct gathering *g = arg;
	size_t n = g->facts.base_count++;

	g->bases = mem_resize(g->bases, n + 1, sizeof(*g->bases));
	g->artifacts = mem_resize(g->artifacts, n + 1, sizeof(*g->artifacts));
	g->bases[n] = (struct wal_keep_base){.system_id = b->facts.system_id,
	                                     .timeline = b->facts.timeline,
	                                     .segment_bytes = b->facts.segment_bytes,
	                                     .start_lsn = b->facts.start_lsn,
	                                     .stop_lsn = b->facts.stop_lsn,
	                                     .stopped_us = b->facts.stopped_us,
	                                     .is_usable = !b->is_removed && !b->is_damaged};
	g->artifacts[n].ino = b->ino;
	str_copy(g->artifacts[n].path, sizeof(g->artifacts[n].path), b->path);
	if (b->facts.stopped_us > g->newest_us)
		g->newest_us = b->facts.stopped_us;
	return 0;
}

static int gather_history(void *arg, uint32_t timeline, const char *content, size_t len)
{
	struct gathering *g = arg;
	struct wal_history h = {0};

	/* One that makes no sense is as good as none: its timeline stays. */
	if (wal_history_parse(timeline, content, len, &h, NULL) < 0)
		return 0;
	g->histories = mem_resize(g->histories, g->facts.history_count + 1, sizeof(*g->histories));
	g->histories[g->facts.history_count++] = h;
	return 0;
}

static int gather_timeline(void *arg, uint32_t timeline)
{
	struct gathering *g = arg;

	g->timelines = mem_resize(g->timelines, g->facts.timeline_count + 1, sizeof(*g->timelines));
	g->timelines[g->facts.timeline_count++] = timeline;
	return 0;
}

/* A backup of the plan that nothing but holds keeps; locks last as long as these, or are there without. */
static void note_only_held(struct gathering *g, uint64_t ino, unsigned reasons)
{
	if (!(reasons & RETENTION_HELD) || (reasons & ~(unsigned)(RETENTION_HELD | RETENTION_LOCKED)))
		return;
	for (size_t i = 0; i < g->facts.base_count; i++)
		if (g->artifacts[i].ino == ino)
			g->bases[i].is_only_held = true;
}

static int look_at_holds(struct gathering *g, const char *job, struct error *err)
{
	_cleanup(free) char *path = tree_path(job);
	_cleanup(free) struct catalog_place *place = mem_alloc(sizeof(*place));
	_cleanup(prune_plan) struct prune_plan plan = {0};
	ssize_t n = catalog_places(g->p->repository->catalog, path, "", place, 1);
	int r;

	if (n < 0)
		return survey_failed((int)n, err);
	if (n == 0 || !str_equal(place->path, path))
		return 0;
	r = prune_plan(g->p, place, &plan, err);
	for (size_t i = 0; r == 0 && i < plan.count; i++)
		note_only_held(g, plan.artifacts[i].ino, plan.backups[i].reasons);
	return r;
}

static int gather_wal_facts(struct gathering *g, const char *job, struct error *err)
{
	struct catalog *c = g->p->repository->catalog;
	int r = catalog_wal_pins(c, job, gather_pin, g);

	if (r == 0)
		r = catalog_each_base(c, job, gather_base, g);
	if (r == 0)
		r = catalog_wal_histories(c, job, gather_history, g);
	if (r == 0)
		r = catalog_wal_timelines(c, job, gather_timeline, g);
	if (r < 0)
		return survey_failed(r, err);
	g->facts.bases = g->bases;
	g->facts.pins = g->pins;
	g->facts.histories = g->histories;
	g->facts.timelines = g->timelines;
	return look_at_holds(g, job, err);
}

/* How long. */

/* 0 is the longest: as long as there are bases. */
static bool is_shorter(int64_t window_us, int64_t than_us)
{
	return window_us != 0 && (than_us == 0 || than_us == CATALOG_WAL_WINDOW_NONE || window_us < than_us);
}

static void find_window(const struct prune *p, struct wal_survey *s)
{
	int64_t configured_us = s->job->cluster.wal_window_ms * 1000, since_us;

	s->window_us = configured_us;
	if (!is_shorter(configured_us, s->kept.window_us))
		return;
	since_us = s->kept.shorter_since_us && s->kept.shorter_since_us <= p->time.now_us
	                   ? s->kept.shorter_since_us
	                   : p->time.now_us;
	if (p->time.now_us >= since_us + p->conf->policy_delay_ms * 1000)
		return;
	s->shorter_until_us = since_us + p->conf->policy_delay_ms * 1000;
	s->window_us = s->kept.window_us == CATALOG_WAL_WINDOW_NONE ? 0 : s->kept.window_us;
}

/* By a wrong clock a window ends too early. */
static void check_wal_clock(const struct prune *p, const struct gathering *g, struct wal_survey *s)
{
	const struct retention_moment m = {.now_s = p->time.now_us / US_PER_S,
	                                   .seen_s = p->seen_us / US_PER_S,
	                                   .newest_s = g->newest_us / US_PER_S,
	                                   .newest_good_s = p->time.now_us / US_PER_S};
	struct error err = {0};

	s->is_doubtful = retention_check_moment(&m, &err) < 0;
	if (s->is_doubtful)
		str_cut(s->why, sizeof(s->why), err.message);
}

/* What goes. */

static void name_wal_place(uint32_t timeline, uint64_t lsn, uint32_t segment_bytes, char ret[WAL_NAME_BYTES])
{
	struct wal_name name = wal_name_of_lsn(timeline, lsn, segment_bytes);

	/* Behind the last place there can be: behind all digits. */
	if (lsn == UINT64_MAX)
		snprintf(ret, WAL_NAME_BYTES, "%08" PRIX32 "G", timeline);
	else
		wal_name_format(&name, ret);
}

static void add_wal_sum(struct catalog_wal_sum *to, const struct catalog_wal_sum *s)
{
	if (s->files == 0)
		return;
	if (to->files == 0)
		str_copy(to->first, sizeof(to->first), s->first);
	str_copy(to->last, sizeof(to->last), s->last);
	to->files += s->files;
	to->stored_bytes += s->stored_bytes;
}

static int count_locked(struct gathering *g, const struct catalog_wal_stretch *stretch, uint64_t unlocked)
{
	struct catalog_wal_stretch all = *stretch;
	struct catalog_wal_sum sum;
	int r;

	all.now_us = INT64_MAX;
	r = catalog_wal_stretch_sum(g->p->repository->catalog, &all, &sum);
	if (r == 0)
		g->survey->locked += sum.files - (unlocked < sum.files ? unlocked : sum.files);
	return r;
}

/* @reading: the earliest segment that is read, or NULL. */
static int add_stretch(struct gathering *g, const struct wal_keep_stretch *from,
                       const struct wal_name *reading, struct error *err)
{
	struct wal_survey *s = g->survey;
	uint64_t to = from->to;
	struct catalog_wal_stretch stretch = {.before_us = from->before_us, .now_us = g->p->time.now_us};
	struct catalog_wal_sum sum;
	int r;

	if (reading && wal_name_lsn(reading, g->facts.segment_bytes) < to)
		to = wal_name_lsn(reading, g->facts.segment_bytes);
	if (from->from >= to)
		return 0;
	str_copy(stretch.job, sizeof(stretch.job), s->job->name);
	name_wal_place(from->timeline, from->from, g->facts.segment_bytes, stretch.from);
	name_wal_place(from->timeline, to, g->facts.segment_bytes, stretch.to);
	r = catalog_wal_stretch_sum(g->p->repository->catalog, &stretch, &sum);
	if (r == 0)
		r = count_locked(g, &stretch, sum.files);
	if (r < 0)
		return survey_failed(r, err);
	if (sum.files == 0)
		return 0;
	add_wal_sum(&s->goes, &sum);
	s->stretches = mem_resize(s->stretches, s->count + 1, sizeof(*s->stretches));
	s->stretches[s->count++] = stretch;
	return 0;
}

static int take_wal_plan(struct gathering *g, const struct wal_keep_plan *plan, struct error *err)
{
	struct wal_survey *s = g->survey;
	struct wal *w = g->p->repository->wal;
	struct wal_name reading;
	bool is_read = w && wal_reading_from(w, s->job->name, &reading) &&
	               wal_name_fits(&reading, g->facts.segment_bytes);
	int r = 0;

	if (plan->base != WAL_KEEP_NO_BASE)
		str_copy(s->base, sizeof(s->base), g->artifacts[plan->base].path);
	s->since_us = plan->base == WAL_KEEP_NO_BASE ? 0 : plan->since_us;
	s->is_short = plan->is_short;
	s->unjudged = plan->unjudged;
	if (plan->why[0])
		str_copy(s->why, sizeof(s->why), plan->why);
	for (size_t i = 0; r == 0 && i < plan->count; i++)
		r = add_stretch(g, &plan->stretches[i], is_read ? &reading : NULL, err);
	return r;
}

static int plan_survey(struct gathering *g, struct error *err)
{
	struct wal_survey *s = g->survey;
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};
	struct catalog_wal_cluster cluster = {0};
	int r = catalog_wal_cluster(g->p->repository->catalog, s->job->name, &cluster);

	if (r < 0 && r != -ENOENT)
		return survey_failed(r, err);
	if (cluster.segment_bytes == 0) {
		str_copy(s->why, sizeof(s->why),
		         "nothing has told yet of which cluster it is, and how long its segments are");
		return 0;
	}
	g->facts = (struct wal_keep_facts){.system_id = cluster.system_id,
	                                   .segment_bytes = cluster.segment_bytes,
	                                   .now_us = g->p->time.now_us,
	                                   .window_us = s->window_us};
	r = gather_wal_facts(g, s->job->name, err);
	if (r < 0)
		return r;
	check_wal_clock(g->p, g, s);
	wal_keep_plan(&g->facts, &plan);
	return take_wal_plan(g, &plan, err);
}

int wal_survey(const struct prune *p, const struct conf_job *job, struct wal_survey *ret, struct error *err)
{
	_cleanup(wal_survey) struct wal_survey s = {.job = job};
	_cleanup(gathering) struct gathering g = {.p = p, .survey = &s};
	struct catalog *c = p->repository->catalog;
	int r = catalog_wal_kept(c, job->name, &s.kept);

	if (r == 0)
		r = catalog_wal_totals(c, job->name, &s.files, &s.stored_bytes);
	if (r < 0)
		return survey_failed(r, err);
	find_window(p, &s);
	r = plan_survey(&g, err);
	if (r < 0)
		return r;
	*ret = s;
	s = (struct wal_survey){0};
	return 0;
}

void wal_survey_finish(struct wal_survey *s)
{
	free(s->stretches);
	*s = (struct wal_survey){0};
}

/* In words. */

static void append_wal_sum(const char *before, uint64_t files, uint64_t bytes, const char *first,
                           const char *last, struct str *out)
{
	char size[16];

	str_appendf(out, "%s%" PRIu64 " file%s of %s, from %s to %s", before, files, files == 1 ? "" : "s",
	            str_format_bytes(size, sizeof(size), bytes), first, last);
}

void wal_survey_append(const struct wal_survey *s, struct str *out)
{
	char at[CLOCK_ISO_BYTES], size[16];

	str_appendf(out, "wal/%s: %" PRIu64 " file%s of %s", s->job->name, s->files, s->files == 1 ? "" : "s",
	            str_format_bytes(size, sizeof(size), s->stored_bytes));
	if (s->base[0])
		str_appendf(out, "; everything stays from %s on, for moments since %s", s->base,
		            clock_format_iso(s->since_us, at));
	if (s->base[0] && s->is_short)
		str_append(out, " (no base backup is as old as wal_window)");
	if (s->goes.files > 0)
		append_wal_sum("; nobody needs ", s->goes.files, s->goes.stored_bytes, s->goes.first,
		               s->goes.last, out);
	if (s->locked)
		str_appendf(out, "; %" PRIu64 " %s, and locked in the store", s->locked,
		            s->goes.files    ? "more"
		            : s->locked == 1 ? "file is needed by nobody"
		                             : "files are needed by nobody");
	if (s->unjudged)
		str_appendf(out,
		            "; what timeline %" PRIu32
		            " came from is not known, so it and older ones stay: archive %08" PRIX32
		            ".history, or make a base backup on it",
		            s->unjudged, s->unjudged);
	if (s->shorter_until_us)
		str_appendf(out, "; wal_window was longer, and the new one counts from %s on",
		            clock_format_iso(s->shorter_until_us, at));
	if (s->why[0])
		str_appendf(out, "; nothing is removed now: %s", s->why);
	else if (s->kept.why[0])
		str_appendf(out, "; not all went the last time: %s", s->kept.why);
}
