// SPDX-License-Identifier: Apache-2.0
/* What can be recovered at all, and what is missing. */
#include "recovery_private.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>

void recovery_view_finish(struct recovery_view *v)
{
	free(v->reaches);
	free(v->windows);
	*v = (struct recovery_view){0};
}

/* How far @base leads along the newest line that it is on. */
static void walk_from_base(const struct recovery_facts *f, const struct recovery_base *base,
                           struct recovery_base_reach *ret, struct recovery_way *way)
{
	struct recovery_line line;
	uint32_t timeline = recovery_newest_timeline(f, base->timeline);

	if (!recovery_line_to(f, base, timeline, &line) || !recovery_line_leads_from(&line, base))
		(void)recovery_line_to(f, base, base->timeline, &line);
	recovery_walk(f, &line, recovery_number_of(f, base->start_lsn), way);
	*ret = (struct recovery_base_reach){
	        .timeline = line.timeline,
	        .is_whole = recovery_way_has(way, recovery_number_of_end(f, base->stop_lsn)),
	        .has_gap = way->has_more,
	        .is_cut = way->is_cut,
	        .missing = recovery_name_of(f, way->missing.timeline, way->missing.first)};
	if (way->count) {
		ret->last_timeline = way->stretches[way->count - 1].timeline;
		ret->last = way->stretches[way->count - 1].last;
	}
}

static bool ends_alike(const struct recovery_base_reach *a, const struct recovery_base_reach *b)
{
	return a->last_timeline == b->last_timeline && a->last == b->last;
}

static int open_window(const struct recovery_facts *f, size_t base, const struct recovery_base_reach *reach,
                       const struct recovery_way *way, struct recovery_view *v)
{
	const struct recovery_base *b = &f->bases[base];
	struct recovery_sum sum;
	int r = recovery_sum_up(f, way->stretches, way->count, &sum);

	if (r < 0)
		return r;
	v->windows = mem_resize(v->windows, v->window_count + 1, sizeof(*v->windows));
	v->windows[v->window_count++] = (struct recovery_window){.base = base,
	                                                         .bases = 1,
	                                                         .timeline = reach->timeline,
	                                                         .from_us = b->stopped_us,
	                                                         .from_lsn = b->stop_lsn,
	                                                         .to_lsn = sum.end,
	                                                         .to_us = sum.latest_us,
	                                                         .unknown = sum.unknown};
	return 0;
}

static int look_at_base(const struct recovery_facts *f, size_t base, struct recovery_view *v)
{
	_cleanup(recovery_way) struct recovery_way way = {0};
	struct recovery_base_reach *reach = &v->reaches[base];

	walk_from_base(f, &f->bases[base], reach, &way);
	if (f->bases[base].is_unusable || !reach->is_whole)
		return 0;
	for (size_t i = 0; i < v->window_count; i++)
		if (ends_alike(reach, &v->reaches[v->windows[i].base])) {
			v->windows[i].bases++;
			return 0;
		}
	return open_window(f, base, reach, &way, v);
}

int recovery_look(const struct recovery_facts *f, struct recovery_view *ret)
{
	_cleanup(free) size_t *order = recovery_by_time(f);
	_cleanup(recovery_view) struct recovery_view v = {0};
	int r = 0;

	v.reaches = mem_array(f->base_count + 1, sizeof(*v.reaches));
	for (size_t i = 0; r == 0 && f->segment_bytes && i < f->base_count; i++)
		r = look_at_base(f, order[i], &v);
	if (r < 0)
		return r;
	recovery_view_finish(ret);
	*ret = v;
	v = (struct recovery_view){0};
	return 0;
}

/* The usable base that was made last, whole or not; f->base_count: there is none. */
static size_t newest_base(const struct recovery_facts *f, const struct recovery_view *whole_in)
{
	size_t newest = f->base_count;

	for (size_t i = 0; i < f->base_count; i++)
		if (!f->bases[i].is_unusable && (!whole_in || whole_in->reaches[i].is_whole) &&
		    (newest == f->base_count || f->bases[i].stopped_us >= f->bases[newest].stopped_us))
			newest = i;
	return newest;
}

const struct recovery_window *recovery_newest(const struct recovery_facts *f, const struct recovery_view *v)
{
	size_t base = newest_base(f, v);

	for (size_t i = 0; base < f->base_count && i < v->window_count; i++)
		if (ends_alike(&v->reaches[base], &v->reaches[v->windows[i].base]))
			return &v->windows[i];
	return NULL;
}

/* --- gaps --- */

/* Does the newest base need what is missing on the line that it is on? */
static bool blocks_base(const struct recovery_facts *f, const struct recovery_base *b, uint32_t timeline,
                        uint64_t first, uint64_t last)
{
	struct recovery_base_reach reach;
	_cleanup(recovery_way) struct recovery_way way = {0};

	walk_from_base(f, b, &reach, &way);
	return way.missing.timeline == timeline && way.missing.first >= first && way.missing.first <= last &&
	       way.has_more;
}

static struct recovery_gap gap_between(const struct recovery_facts *f, uint32_t timeline, uint64_t first,
                                       const struct recovery_range *behind)
{
	size_t newest = newest_base(f, NULL);
	uint64_t last = behind->first - 1;

	return (struct recovery_gap){.timeline = timeline,
	                             .first = first,
	                             .last = last,
	                             .first_name = recovery_name_of(f, timeline, first),
	                             .last_name = recovery_name_of(f, timeline, last),
	                             .behind_us = behind->arrived_us,
	                             .blocks_newest =
	                                     newest < f->base_count &&
	                                     blocks_base(f, &f->bases[newest], timeline, first, last)};
}

/* Where the first segment of @timeline lies, when what it came from is known, and there. */
static bool begin_of_timeline(const struct recovery_facts *f, uint32_t timeline, uint64_t *ret)
{
	const struct wal_history *h = recovery_history_of(f, timeline);
	const struct wal_ancestor *parent = h && h->count ? &h->ancestors[h->count - 1] : NULL;

	if (!parent)
		return false;
	*ret = recovery_number_of(f, parent->left_at);
	for (size_t i = 0; i < f->range_count; i++)
		if (f->ranges[i].timeline == parent->timeline && f->ranges[i].last + 1 >= *ret)
			return true;
	return false;
}

int recovery_each_gap(const struct recovery_facts *f, int (*each)(void *arg, const struct recovery_gap *g),
                      void *arg)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < f->range_count; i++) {
		const struct recovery_range *range = &f->ranges[i], *before = i ? range - 1 : NULL;
		bool is_first = !before || before->timeline != range->timeline;
		uint64_t begin = is_first ? 0 : before->last + 1;
		struct recovery_gap gap;

		if (is_first && !begin_of_timeline(f, range->timeline, &begin))
			continue;
		if (begin >= range->first)
			continue;
		gap = gap_between(f, range->timeline, begin, range);
		gap.is_cut = !is_first && before->is_cut;
		r = each(arg, &gap);
	}
	return r;
}
