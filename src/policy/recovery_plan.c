// SPDX-License-Identifier: Apache-2.0
/*
 * A target: which base, and which segments. Bases are tried from the newest back. One that was consistent only behind the target is passed over, and so is one whose log does not lead
 * there; of those that could, the first one's reason is what is told when none can.
 */
#include "recovery_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* So many segments before a base are asked whether a transaction had ended there. */
#define XID_LOOKS_BACK 64

/* VERDICT_TOO_NEW, _ASTRAY, _NO: it is another base's turn; the worth of what is told about it grows. */
enum verdict { VERDICT_FITS, VERDICT_ASTRAY, VERDICT_TOO_NEW, VERDICT_NO };

struct planning {
	const struct recovery_facts *f;
	const struct recovery_target *t;
	const struct recovery_base *base;
	struct recovery_line line;
	struct recovery_way way;
	struct recovery_plan plan;
	int result; /* of struct recovery_log */
	struct error why;
};

void recovery_plan_finish(struct recovery_plan *p)
{
	free(p->stretches);
	*p = (struct recovery_plan){0};
}

static const char *missing_name(const struct planning *p, char ret[static WAL_NAME_BYTES])
{
	struct wal_name name = recovery_name_of(p->f, p->way.missing.timeline, p->way.missing.first);

	wal_name_format(&name, ret);
	return ret;
}

static enum verdict say_missing(struct planning *p)
{
	char name[WAL_NAME_BYTES];

	error_set(&p->why, ERROR_NOT_FOUND, ENOENT,
	          "%s is needed to get there from %s, and is not in the archive", missing_name(p, name),
	          p->base->path);
	return VERDICT_NO;
}

static enum verdict say_log_failed(struct planning *p, int r)
{
	p->result = error_system(&p->why, -r, "the catalog cannot be read");
	return VERDICT_NO;
}

/* --- the line --- */

static enum verdict choose_timeline(struct planning *p)
{
	uint32_t timeline = p->base->timeline;

	if (p->t->which == RECOVERY_TIMELINE_LATEST)
		timeline = recovery_newest_timeline(p->f, timeline);
	else if (p->t->which == RECOVERY_TIMELINE_NUMBER)
		timeline = p->t->timeline;
	if (!recovery_line_to(p->f, p->base, timeline, &p->line)) {
		error_set(&p->why, ERROR_NOT_FOUND, ENOENT,
		          "what timeline %" PRIu32 " came from is not known: %08" PRIX32
		          ".history is not in the archive",
		          timeline, timeline);
		return VERDICT_ASTRAY;
	}
	if (recovery_line_leads_from(&p->line, p->base))
		return VERDICT_FITS;
	error_set(&p->why, ERROR_NOT_FOUND, ENOENT,
	          "%s is of timeline %" PRIu32 ", and timeline %" PRIu32
	          " did not come from there, or had left it before",
	          p->base->path, p->base->timeline, timeline);
	return VERDICT_ASTRAY;
}

/* --- how far --- */

static void end_plan_at(struct planning *p, uint64_t number)
{
	struct recovery_plan *plan = &p->plan;

	for (size_t i = 0; i < plan->count; i++) {
		if (plan->stretches[i].last < number)
			continue;
		plan->stretches[i].last = number;
		plan->count = i + 1;
	}
}

typedef int (*ask_log)(const struct recovery_facts *f, const struct recovery_target *t,
                       const struct recovery_stretch *s, struct recovery_segment *ret);

static int ask_for_later(const struct recovery_facts *f, const struct recovery_target *t,
                         const struct recovery_stretch *s, struct recovery_segment *ret)
{
	return f->log.later(f->log.arg, s->timeline, s->first, s->last, t->at_us, ret);
}

static int ask_behind(const struct recovery_facts *f, const struct recovery_target *t,
                      const struct recovery_stretch *s, struct recovery_segment *ret)
{
	return f->log.behind(f->log.arg, s->timeline, s->first, s->last, t->lsn, ret);
}

static int ask_since_xid(const struct recovery_facts *f, const struct recovery_target *t,
                         const struct recovery_stretch *s, struct recovery_segment *ret)
{
	return f->log.since_xid(f->log.arg, s->timeline, s->first, s->last, t->xid, ret);
}

/* Of the way from segment @from to @to the first segment that @ask finds. */
static int find_on_way(const struct planning *p, ask_log ask, uint64_t from, uint64_t to,
                       struct recovery_segment *ret)
{
	for (size_t i = 0; i < p->way.count; i++) {
		struct recovery_stretch s = p->way.stretches[i];
		int r;

		s.first = s.first > from ? s.first : from;
		s.last = s.last < to ? s.last : to;
		r = s.first <= s.last ? ask(p->f, p->t, &s, ret) : -ENOENT;
		if (r != -ENOENT)
			return r;
	}
	return -ENOENT;
}

/* Nothing that is known reaches the target: may something that is not known do? */
static enum verdict may_be_unknown(struct planning *p, struct recovery_sum *ret)
{
	int r = recovery_sum_up(p->f, p->way.stretches, p->way.count, ret);

	if (r < 0)
		return say_log_failed(p, r);
	if (p->way.has_more)
		return say_missing(p);
	p->plan.is_unsure = ret->unknown > 0;
	return ret->unknown > 0 ? VERDICT_FITS : VERDICT_NO;
}

/* --- targets --- */

static enum verdict say_time_too_late(struct planning *p, const struct recovery_sum *sum)
{
	char last[CLOCK_ISO_BYTES], target[CLOCK_ISO_BYTES];

	clock_format_iso(p->t->at_us, target);
	if (sum->latest_us)
		error_set(
		        &p->why, ERROR_NOT_FOUND, ENOENT,
		        "the last commit in the archive is of %s, and %s is not before it: a recovery would look for a later one, and fail. Leave the target out to get the newest",
		        clock_format_iso(sum->latest_us, last), target);
	else
		error_set(
		        &p->why, ERROR_NOT_FOUND, ENOENT,
		        "in the archive there is no commit behind %s, so no recovery can tell that it has reached %s. Leave the target out to get the newest",
		        p->base->path, target);
	return VERDICT_NO;
}

static enum verdict say_base_too_new(struct planning *p)
{
	char at[CLOCK_ISO_BYTES], lsn[WAL_LSN_BYTES];

	error_set(&p->why, ERROR_NOT_FOUND, ENOENT,
	          "%s is consistent only from %s on (%s), and the target is before that", p->base->path,
	          clock_format_iso(p->base->stopped_us, at), wal_lsn_format(p->base->stop_lsn, lsn));
	return VERDICT_TOO_NEW;
}

static enum verdict plan_time(struct planning *p)
{
	uint64_t stop = recovery_number_of_end(p->f, p->base->stop_lsn);
	struct recovery_segment found;
	struct recovery_sum sum;
	enum verdict verdict;
	int r;

	if (p->base->stopped_us > p->t->at_us)
		return say_base_too_new(p);
	/* The clocks of the server and of keepfs's host may differ. What ended before the base was consistent is part of it. */
	r = stop ? find_on_way(p, ask_for_later, 0, stop - 1, &found) : -ENOENT;
	if (r == 0)
		return say_base_too_new(p);
	if (r == -ENOENT)
		r = find_on_way(p, ask_for_later, stop, UINT64_MAX, &found);
	if (r == 0)
		end_plan_at(p, found.number);
	if (r != -ENOENT)
		return r < 0 ? say_log_failed(p, r) : VERDICT_FITS;
	verdict = may_be_unknown(p, &sum);
	return verdict == VERDICT_NO && !p->why.class ? say_time_too_late(p, &sum) : verdict;
}

static enum verdict plan_lsn(struct planning *p)
{
	char end[WAL_LSN_BYTES], target[WAL_LSN_BYTES];
	struct recovery_segment found;
	struct recovery_sum sum;
	enum verdict verdict;
	int r;

	if (p->base->stop_lsn > p->t->lsn)
		return say_base_too_new(p);
	r = find_on_way(p, ask_behind, recovery_number_of(p->f, p->t->lsn), UINT64_MAX, &found);
	if (r == 0)
		end_plan_at(p, found.number);
	if (r != -ENOENT)
		return r < 0 ? say_log_failed(p, r) : VERDICT_FITS;
	verdict = may_be_unknown(p, &sum);
	if (verdict != VERDICT_NO || p->why.class)
		return verdict;
	error_set(
	        &p->why, ERROR_NOT_FOUND, ENOENT,
	        "the log in the archive ends at %s, and %s is not before that. Leave the target out to get the newest",
	        sum.end ? wal_lsn_format(sum.end, end) : "the end of the base",
	        wal_lsn_format(p->t->lsn, target));
	return VERDICT_NO;
}

/* Has the transaction ended, as far as is known, before the base was consistent? Where none has ended in its own log, those before it are asked. */
static int find_before_base(const struct planning *p, struct recovery_segment *ret)
{
	uint64_t start = recovery_number_of(p->f, p->base->start_lsn);
	struct recovery_stretch s = {.timeline = p->base->timeline,
	                             .first = start > XID_LOOKS_BACK ? start - XID_LOOKS_BACK : 0,
	                             .last = recovery_number_of_end(p->f, p->base->stop_lsn)};

	return ask_since_xid(p->f, p->t, &s, ret);
}

/* A transaction ends at, or behind, the first place at which one of its number or a later one does. So where that is behind the base, it is; and when there is none, it has not ended yet. */
static enum verdict plan_xid(struct planning *p)
{
	struct recovery_segment found;
	struct recovery_sum sum;
	enum verdict verdict;
	int r = find_before_base(p, &found);

	if (r == 0)
		return say_base_too_new(p);
	if (r == -ENOENT)
		r = find_on_way(p, ask_since_xid, recovery_number_of_end(p->f, p->base->stop_lsn), UINT64_MAX,
		                &found);
	p->plan.is_unsure = true;
	if (r != -ENOENT)
		return r < 0 ? say_log_failed(p, r) : VERDICT_FITS;
	verdict = may_be_unknown(p, &sum);
	if (verdict == VERDICT_NO && !p->why.class)
		error_set(&p->why, ERROR_NOT_FOUND, ENOENT,
		          "in the archive behind %s no transaction %" PRIu32
		          " has ended, and none with a later number",
		          p->base->path, p->t->xid);
	return verdict;
}

/* --- restore points --- */

struct point_search {
	const struct planning *p;
	struct recovery_point found; /* the last one on the way; lsn 0: none */
	unsigned count;              /* on the way */
	bool is_anywhere;
};

static bool is_on_way(const struct recovery_way *w, const struct recovery_point *point)
{
	for (size_t i = 0; i < w->count; i++)
		if (w->stretches[i].timeline == point->timeline && w->stretches[i].first <= point->number &&
		    point->number <= w->stretches[i].last)
			return true;
	return false;
}

static int note_restore_point(void *arg, const struct recovery_point *point)
{
	struct point_search *s = arg;

	s->is_anywhere = true;
	/* Recovery stops at the first one that it meets, also before the base is consistent. */
	if (point->lsn < s->p->base->start_lsn || !is_on_way(&s->p->way, point))
		return 0;
	s->found = point->lsn && s->count == 0 ? *point : s->found;
	s->count++;
	return 0;
}

static enum verdict say_no_point(struct planning *p, const struct point_search *s)
{
	if (s->is_anywhere) {
		if (p->way.has_more)
			return say_missing(p);
		return say_base_too_new(p);
	}
	error_set(&p->why, ERROR_NOT_FOUND, ENOENT, "there is no restore point '%s' in the archive",
	          p->t->point);
	return VERDICT_NO;
}

static enum verdict plan_point(struct planning *p)
{
	struct point_search s = {.p = p};
	struct recovery_sum sum;
	enum verdict verdict;
	int r = p->f->log.points(p->f->log.arg, p->t->point, note_restore_point, &s);

	if (r < 0)
		return say_log_failed(p, r);
	if (s.count > 0 && s.found.lsn < p->base->stop_lsn)
		return say_base_too_new(p);
	if (s.count > 0) {
		p->plan.point_us = s.found.at_us;
		end_plan_at(p, s.found.number);
		return VERDICT_FITS;
	}
	if (s.is_anywhere)
		return say_no_point(p, &s);
	verdict = may_be_unknown(p, &sum);
	return verdict == VERDICT_NO && !p->why.class ? say_no_point(p, &s) : verdict;
}

static enum verdict plan_latest(struct planning *p)
{
	p->plan.has_gap = p->way.has_more;
	p->plan.missing = recovery_name_of(p->f, p->way.missing.timeline, p->way.missing.first);
	return VERDICT_FITS;
}

static enum verdict plan_immediate(struct planning *p)
{
	end_plan_at(p, recovery_number_of_end(p->f, p->base->stop_lsn));
	return VERDICT_FITS;
}

/* --- bases --- */

static enum verdict plan_target(struct planning *p)
{
	static enum verdict (*const plans[])(struct planning * p) = {
	        [RECOVERY_LATEST] = plan_latest, [RECOVERY_IMMEDIATE] = plan_immediate,
	        [RECOVERY_TIME] = plan_time,     [RECOVERY_LSN] = plan_lsn,
	        [RECOVERY_XID] = plan_xid,       [RECOVERY_POINT] = plan_point,
	};

	return plans[p->t->kind](p);
}

static enum verdict complete_plan(struct planning *p)
{
	struct recovery_plan *plan = &p->plan;
	struct recovery_sum sum;
	int r = recovery_sum_up(p->f, plan->stretches, plan->count, &sum);

	if (r < 0)
		return say_log_failed(p, r);
	plan->timeline = p->line.timeline;
	plan->end_lsn = sum.end;
	plan->latest_us = sum.latest_us;
	plan->is_unsure |=
	        sum.unknown > 0 && p->t->kind != RECOVERY_LATEST && p->t->kind != RECOVERY_IMMEDIATE;
	for (size_t i = 0; i < plan->count; i++)
		plan->segments += plan->stretches[i].last - plan->stretches[i].first + 1;
	return VERDICT_FITS;
}

static enum verdict plan_from_base(struct planning *p)
{
	enum verdict verdict = choose_timeline(p);

	if (verdict != VERDICT_FITS)
		return verdict;
	recovery_walk(p->f, &p->line, recovery_number_of(p->f, p->base->start_lsn), &p->way);
	if (!recovery_way_has(&p->way, recovery_number_of_end(p->f, p->base->stop_lsn)))
		return say_missing(p);
	p->plan.count = p->way.count;
	p->plan.stretches = mem_array(p->way.count, sizeof(*p->plan.stretches));
	memcpy(p->plan.stretches, p->way.stretches, p->way.count * sizeof(*p->plan.stretches));
	verdict = plan_target(p);
	return verdict == VERDICT_FITS ? complete_plan(p) : verdict;
}

static bool is_candidate(const struct recovery_target *t, const struct recovery_base *b)
{
	return t->base_ino ? b->ino == t->base_ino : !b->is_unusable;
}

/* What is told when no base fits: of the worst verdict the first, but of those that are too new the oldest base. */
static void keep_reason(enum verdict verdict, const struct error *why, enum verdict *kept, struct error *err)
{
	if (err && (verdict > *kept || (verdict == *kept && verdict == VERDICT_TOO_NEW)))
		*err = *why;
	if (verdict > *kept)
		*kept = verdict;
}

static int say_no_base(const struct recovery_target *t, struct error *err)
{
	if (t->base_ino)
		return error_set(err, ERROR_USAGE, EINVAL, "there is no such base backup");
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "there is no base backup: without one nothing can be recovered");
}

int recovery_plan_make(const struct recovery_facts *f, const struct recovery_target *t,
                       struct recovery_plan *ret, struct error *err)
{
	_cleanup(free) size_t *order = recovery_by_time(f);
	enum verdict kept = VERDICT_FITS;

	for (size_t i = f->base_count; i-- > 0;) {
		struct planning p = {.f = f, .t = t, .base = &f->bases[order[i]]};
		enum verdict verdict;

		if (!f->segment_bytes || !is_candidate(t, p.base))
			continue;
		verdict = plan_from_base(&p);
		recovery_way_finish(&p.way);
		if (verdict == VERDICT_FITS) {
			p.plan.base = order[i];
			recovery_plan_finish(ret);
			*ret = p.plan;
			return 0;
		}
		recovery_plan_finish(&p.plan);
		keep_reason(verdict, &p.why, &kept, err);
		if (p.result < 0)
			return p.result;
	}
	return kept == VERDICT_FITS ? say_no_base(t, err) : -ENOENT;
}
