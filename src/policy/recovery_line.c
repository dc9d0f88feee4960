// SPDX-License-Identifier: Apache-2.0
/* Lines through the log, and how far segments are there along one. */
#include "recovery_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>

void recovery_facts_finish(struct recovery_facts *f)
{
	for (size_t i = 0; i < f->history_count; i++)
		wal_history_finish(&f->histories[i]);
	for (size_t i = 0; i < f->base_count; i++)
		free(f->bases[i].path);
	free(f->histories);
	free(f->bases);
	free(f->ranges);
	free(f->log.arg);
	*f = (struct recovery_facts){0};
}

void recovery_way_finish(struct recovery_way *w)
{
	free(w->stretches);
	*w = (struct recovery_way){0};
}

uint64_t recovery_number_of(const struct recovery_facts *f, uint64_t lsn)
{
	return lsn / f->segment_bytes;
}

uint64_t recovery_number_of_end(const struct recovery_facts *f, uint64_t lsn)
{
	return lsn ? (lsn - 1) / f->segment_bytes : 0;
}

struct wal_name recovery_name_of(const struct recovery_facts *f, uint32_t timeline, uint64_t number)
{
	return wal_name_of_lsn(timeline, number * f->segment_bytes, f->segment_bytes);
}

const struct wal_history *recovery_history_of(const struct recovery_facts *f, uint32_t timeline)
{
	for (size_t i = 0; i < f->history_count; i++)
		if (f->histories[i].timeline == timeline)
			return &f->histories[i];
	return NULL;
}

uint32_t recovery_newest_timeline(const struct recovery_facts *f, uint32_t timeline)
{
	while (timeline < UINT32_MAX && recovery_history_of(f, timeline + 1))
		timeline++;
	return timeline;
}

bool recovery_line_to(const struct recovery_facts *f, const struct recovery_base *base, uint32_t timeline,
                      struct recovery_line *ret)
{
	*ret = (struct recovery_line){.timeline = timeline, .history = recovery_history_of(f, timeline)};
	return ret->history || timeline == 1 || timeline == base->timeline;
}

bool recovery_line_leads_from(const struct recovery_line *l, const struct recovery_base *base)
{
	return l->history ? wal_history_leads_from(l->history, base->timeline, base->stop_lsn)
	                  : l->timeline == base->timeline;
}

/* --- the stretches of a line --- */

static size_t line_count(const struct recovery_line *l)
{
	return l->history ? l->history->count + 1 : 1;
}

/* The files of which timeline, from which segment to which one, are those of the line. */
static bool line_stretch(const struct recovery_facts *f, const struct recovery_line *l, size_t i,
                         struct recovery_stretch *ret)
{
	const struct wal_ancestor *all = l->history ? l->history->ancestors : NULL;
	size_t last = line_count(l) - 1;
	uint64_t behind = i < last ? recovery_number_of(f, all[i].left_at) : UINT64_MAX;

	*ret = (struct recovery_stretch){.timeline = i < last ? all[i].timeline : l->timeline,
	                                 .first = i ? recovery_number_of(f, all[i - 1].left_at) : 0,
	                                 .last = behind - 1};
	return ret->first < behind;
}

/* The first range of @timeline that ends at @number or behind it; NULL: there is none. */
static const struct recovery_range *range_from(const struct recovery_facts *f, uint32_t timeline,
                                               uint64_t number)
{
	size_t low = 0, high = f->range_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		const struct recovery_range *r = &f->ranges[middle];

		if (r->timeline < timeline || (r->timeline == timeline && r->last < number))
			low = middle + 1;
		else
			high = middle;
	}
	return low < f->range_count && f->ranges[low].timeline == timeline ? &f->ranges[low] : NULL;
}

static bool line_has_behind(const struct recovery_facts *f, const struct recovery_line *l, uint64_t number)
{
	for (size_t i = 0; i < line_count(l); i++) {
		struct recovery_stretch s;
		const struct recovery_range *r;

		if (!line_stretch(f, l, i, &s) || s.last <= number)
			continue;
		r = range_from(f, s.timeline, s.first > number ? s.first : number + 1);
		if (r && r->first <= s.last)
			return true;
	}
	return false;
}

static bool was_cut_before(const struct recovery_facts *f, uint32_t timeline, uint64_t number)
{
	const struct recovery_range *r = number ? range_from(f, timeline, number - 1) : NULL;

	return r && r->last == number - 1 && r->is_cut;
}

static void end_way(const struct recovery_facts *f, const struct recovery_line *l, uint32_t timeline,
                    uint64_t number, struct recovery_way *w)
{
	w->missing = (struct recovery_stretch){.timeline = timeline, .first = number, .last = number};
	w->has_more = line_has_behind(f, l, number);
	w->is_cut = was_cut_before(f, timeline, number);
}

static void add_way_stretch(struct recovery_way *w, uint32_t timeline, uint64_t first, uint64_t last)
{
	w->stretches = mem_resize(w->stretches, w->count + 1, sizeof(*w->stretches));
	w->stretches[w->count++] =
	        (struct recovery_stretch){.timeline = timeline, .first = first, .last = last};
}

void recovery_walk(const struct recovery_facts *f, const struct recovery_line *l, uint64_t first,
                   struct recovery_way *ret)
{
	uint64_t at = first;

	*ret = (struct recovery_way){0};
	for (size_t i = 0; i < line_count(l); i++) {
		const struct recovery_range *r;
		struct recovery_stretch s;

		if (!line_stretch(f, l, i, &s) || s.last < at)
			continue;
		r = range_from(f, s.timeline, at);
		if (r && r->first <= at) {
			uint64_t last = r->last < s.last ? r->last : s.last;

			add_way_stretch(ret, s.timeline, at, last);
			at = last + 1;
		}
		if (at <= s.last) {
			end_way(f, l, s.timeline, at, ret);
			return;
		}
	}
}

bool recovery_way_has(const struct recovery_way *w, uint64_t number)
{
	return w->count > 0 && w->stretches[0].first <= number && number <= w->stretches[w->count - 1].last;
}

int recovery_sum_up(const struct recovery_facts *f, const struct recovery_stretch *stretches, size_t count,
                    struct recovery_sum *ret)
{
	*ret = (struct recovery_sum){0};
	for (size_t i = count; i-- > 0;) {
		struct recovery_sum one = {0};
		int r = f->log.sum(f->log.arg, stretches[i].timeline, stretches[i].first, stretches[i].last,
		                   &one);

		if (r < 0 && r != -ENOENT)
			return r;
		ret->unknown += one.unknown;
		if (!ret->end)
			ret->end = one.end;
		if (!ret->latest_us)
			ret->latest_us = one.latest_us;
	}
	return 0;
}

static int compare_stops(const void *a, const void *b, void *facts)
{
	const struct recovery_facts *f = facts;
	const struct recovery_base *x = &f->bases[*(const size_t *)a], *y = &f->bases[*(const size_t *)b];

	if (x->stopped_us != y->stopped_us)
		return x->stopped_us < y->stopped_us ? -1 : 1;
	return x->stop_lsn < y->stop_lsn ? -1 : x->stop_lsn > y->stop_lsn;
}

size_t *recovery_by_time(const struct recovery_facts *f)
{
	size_t *order = mem_array(f->base_count + 1, sizeof(*order));

	for (size_t i = 0; i < f->base_count; i++)
		order[i] = i;
	qsort_r(order, f->base_count, sizeof(*order), compare_stops, (void *)(uintptr_t)f);
	return order;
}
