// SPDX-License-Identifier: Apache-2.0
/* See keepfs/policy/wal_keep.h. What has to stay is gathered as stretches; what no stretch covers may go. */
#include <keepfs/policy/wal_keep.h>

#include <keepfs/base/mem.h>

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define END UINT64_MAX

struct keeping {
	const struct wal_keep_facts *facts;
	struct wal_keep_plan *plan;
	struct wal_keep_stretch *kept; /* by LSNs that need not be borders of segments */
	size_t kept_count;
	bool with_held; /* nothing but holds keeps any base that can be used */
	int64_t cutoff_us;
};

static void keep_stretch(struct keeping *k, uint32_t timeline, uint64_t from, uint64_t to)
{
	k->kept = mem_resize(k->kept, k->kept_count + 1, sizeof(*k->kept));
	k->kept[k->kept_count++] = (struct wal_keep_stretch){.timeline = timeline, .from = from, .to = to};
}

/* Bases. */

static bool is_to_begin_with(const struct keeping *k, const struct wal_keep_base *b)
{
	return b->is_usable && (k->with_held || !b->is_only_held);
}

static void find_cutoff(struct keeping *k)
{
	const struct wal_keep_facts *f = k->facts;
	int64_t oldest_us = INT64_MAX;

	for (size_t i = 0; i < f->base_count; i++)
		if (is_to_begin_with(k, &f->bases[i]) && f->bases[i].stopped_us < oldest_us)
			oldest_us = f->bases[i].stopped_us;
	k->cutoff_us = f->window_us > 0 ? f->now_us - f->window_us : oldest_us;
	k->plan->is_short = oldest_us > k->cutoff_us;
	k->plan->since_us = k->plan->is_short ? oldest_us : k->cutoff_us;
}

/* Is there one that can be used at all, and are all of this archive's cluster? False: why is said. */
static bool check_bases(struct keeping *k)
{
	const struct wal_keep_facts *f = k->facts;
	bool has_usable = false;

	k->with_held = true;
	for (size_t i = 0; i < f->base_count; i++) {
		const struct wal_keep_base *b = &f->bases[i];

		if (b->system_id != f->system_id || b->segment_bytes != f->segment_bytes) {
			snprintf(k->plan->why, sizeof(k->plan->why),
			         "a base backup is of the cluster %" PRIu64 ", and the archive of %" PRIu64
			         ": remove what is not of this server",
			         b->system_id, f->system_id);
			return false;
		}
		has_usable |= b->is_usable;
		if (b->is_usable && !b->is_only_held)
			k->with_held = false;
	}
	if (!has_usable)
		snprintf(k->plan->why, sizeof(k->plan->why),
		         "there is no base backup that could be recovered");
	return has_usable;
}

/* Lines. */

/* What is known of the way to @timeline: the count of its ancestors in @ret, of which those of @ret's history are a beginning. NULL: nothing. */
static const struct wal_history *history_of(const struct wal_keep_facts *f, uint32_t timeline,
                                            size_t *ret_count)
{
	static const struct wal_history first = {.timeline = 1};

	*ret_count = 0;
	if (timeline == 1)
		return &first;
	for (size_t i = 0; i < f->history_count; i++)
		if (f->histories[i].timeline == timeline) {
			*ret_count = f->histories[i].count;
			return &f->histories[i];
		}
	/* What came from it tells where it came from. */
	for (size_t i = 0; i < f->history_count; i++)
		for (size_t n = 0; n < f->histories[i].count; n++)
			if (f->histories[i].ancestors[n].timeline == timeline) {
				*ret_count = n;
				return &f->histories[i];
			}
	return NULL;
}

struct line {
	uint32_t timeline;
	const struct wal_history *history; /* NULL: not known */
	size_t count;                      /* of its ancestors */
};

static bool leads_to(const struct line *l, const struct wal_keep_base *b)
{
	if (b->timeline == l->timeline)
		return true;
	for (size_t i = 0; i < l->count; i++)
		if (l->history->ancestors[i].timeline == b->timeline)
			return b->stop_lsn <= l->history->ancestors[i].left_at;
	return false;
}

/* The base from which all of the line is kept; NULL: none leads to it. */
static const struct wal_keep_base *base_of_line(const struct keeping *k, const struct line *l)
{
	const struct wal_keep_base *oldest = NULL, *newest = NULL;

	for (size_t i = 0; i < k->facts->base_count; i++) {
		const struct wal_keep_base *b = &k->facts->bases[i];

		if (!is_to_begin_with(k, b) || !leads_to(l, b))
			continue;
		if (!oldest || b->start_lsn < oldest->start_lsn)
			oldest = b;
		if (b->stopped_us <= k->cutoff_us && (!newest || b->start_lsn > newest->start_lsn))
			newest = b;
	}
	return newest ? newest : oldest;
}

static void keep_wal_line(struct keeping *k, const struct line *l, const struct wal_keep_base *from)
{
	bool is_reached = from->timeline == l->timeline;

	for (size_t i = 0; i < l->count && from->timeline != l->timeline; i++) {
		const struct wal_ancestor *a = &l->history->ancestors[i];

		is_reached |= a->timeline == from->timeline;
		/* The segment in which it was left, too: a server may ask for it before it asks for that of the next timeline. */
		if (is_reached)
			keep_stretch(k, a->timeline, from->start_lsn,
			             a->left_at < END ? a->left_at + 1 : END);
	}
	keep_stretch(k, l->timeline, from->start_lsn, END);
}

static void note_oldest_base(struct keeping *k, const struct wal_keep_base *from)
{
	const struct wal_keep_base *known =
	        k->plan->base == WAL_KEEP_NO_BASE ? NULL : &k->facts->bases[k->plan->base];

	if (!known || from->start_lsn < known->start_lsn)
		k->plan->base = (size_t)(from - k->facts->bases);
}

/* @ret_is_led_to: is there a base that leads to it? */
static void judge_line(struct keeping *k, uint32_t timeline, bool *ret_is_led_to)
{
	struct line l = {.timeline = timeline};
	const struct wal_keep_base *from;

	l.history = history_of(k->facts, timeline, &l.count);
	from = base_of_line(k, &l);
	*ret_is_led_to = from != NULL;
	/* One on the timeline itself that is old enough leaves nothing to be known of others. */
	if (!l.history && !(from && from->stopped_us <= k->cutoff_us) && timeline > k->plan->unjudged)
		k->plan->unjudged = timeline;
	if (!from)
		return;
	keep_wal_line(k, &l, from);
	note_oldest_base(k, from);
}

/* What may go. */

static int compare_kept(const void *a, const void *b)
{
	const struct wal_keep_stretch *x = a, *y = b;

	if (x->timeline != y->timeline)
		return x->timeline < y->timeline ? -1 : 1;
	return x->from < y->from ? -1 : x->from > y->from;
}

static uint64_t segment_begin(const struct wal_keep_facts *f, uint64_t lsn)
{
	return lsn - lsn % f->segment_bytes;
}

/* Where the segment ends that has the last byte before @lsn. */
static uint64_t segment_end(const struct wal_keep_facts *f, uint64_t lsn)
{
	uint64_t begin = segment_begin(f, lsn);

	if (lsn == END || begin == lsn)
		return lsn;
	return begin > END - f->segment_bytes ? END : begin + f->segment_bytes;
}

static void let_stretch_go(struct keeping *k, uint32_t timeline, uint64_t from, uint64_t to,
                           int64_t before_us)
{
	struct wal_keep_plan *plan = k->plan;

	if (from >= to)
		return;
	plan->stretches = mem_resize(plan->stretches, plan->count + 1, sizeof(*plan->stretches));
	plan->stretches[plan->count++] = (struct wal_keep_stretch){
	        .timeline = timeline, .from = from, .to = to, .before_us = before_us};
}

/* @k->kept is sorted. */
static void let_timeline_go(struct keeping *k, uint32_t timeline, bool is_led_to)
{
	const int64_t before_us = is_led_to ? INT64_MAX : k->cutoff_us;
	uint64_t at = 0;

	for (size_t i = 0; i < k->kept_count; i++) {
		const struct wal_keep_stretch *s = &k->kept[i];
		uint64_t end;

		if (s->timeline != timeline)
			continue;
		let_stretch_go(k, timeline, at, segment_begin(k->facts, s->from), before_us);
		end = segment_end(k->facts, s->to);
		at = end > at ? end : at;
	}
	let_stretch_go(k, timeline, at, END, before_us);
}

/* False: everything stays. */
static bool keep_pinned(struct keeping *k)
{
	for (size_t i = 0; i < k->facts->pin_count; i++) {
		const struct wal_keep_pin *pin = &k->facts->pins[i];

		if (pin->timeline == 0) {
			snprintf(k->plan->why, sizeof(k->plan->why),
			         "a base backup begins, and where is not known yet");
			return false;
		}
		keep_stretch(k, pin->timeline, pin->lsn, END);
	}
	return true;
}

static void keep_consistent(struct keeping *k)
{
	for (size_t i = 0; i < k->facts->base_count; i++) {
		const struct wal_keep_base *b = &k->facts->bases[i];

		keep_stretch(k, b->timeline, b->start_lsn, b->stop_lsn);
	}
}

static void plan_wal_keep(struct keeping *k)
{
	const struct wal_keep_facts *f = k->facts;
	_cleanup(free) bool *led_to = mem_array(f->timeline_count + 1, sizeof(*led_to));

	if (!keep_pinned(k) || !check_bases(k))
		return;
	find_cutoff(k);
	keep_consistent(k);
	for (size_t i = 0; i < f->timeline_count; i++)
		judge_line(k, f->timelines[i], &led_to[i]);
	if (k->kept_count > 1)
		qsort(k->kept, k->kept_count, sizeof(*k->kept), compare_kept);
	for (size_t i = 0; i < f->timeline_count; i++)
		if (f->timelines[i] > k->plan->unjudged)
			let_timeline_go(k, f->timelines[i], led_to[i]);
}

void wal_keep_plan(const struct wal_keep_facts *facts, struct wal_keep_plan *ret)
{
	struct keeping k = {.facts = facts, .plan = ret};

	*ret = (struct wal_keep_plan){.base = WAL_KEEP_NO_BASE};
	plan_wal_keep(&k);
	free(k.kept);
}

void wal_keep_plan_finish(struct wal_keep_plan *plan)
{
	free(plan->stretches);
	*plan = (struct wal_keep_plan){0};
}
