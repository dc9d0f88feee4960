// SPDX-License-Identifier: Apache-2.0
/* Which segments may go: examples of each rule, and random histories of a cluster in which whatever could be reached, and should be, can be reached after each removal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/wal_keep.h>

#define SEGMENT 16
#define DAY     INT64_C(86400000000)
#define NOW     (100 * DAY)
#define SYSTEM  UINT64_C(7301234567890123456)

static struct wal_keep_base base_at(uint32_t timeline, uint64_t start, uint64_t stop, int64_t stopped_us)
{
	return (struct wal_keep_base){.system_id = SYSTEM,
	                              .segment_bytes = SEGMENT,
	                              .timeline = timeline,
	                              .start_lsn = start,
	                              .stop_lsn = stop,
	                              .stopped_us = stopped_us,
	                              .is_usable = true};
}

/* What may go, as "TIMELINE:FROM-TO", with "!" where it has to be old; LSNs in segments. */
static char *goes(const struct wal_keep_facts *facts, struct wal_keep_plan *plan)
{
	_cleanup(str) struct str out = {0};

	wal_keep_plan(facts, plan);
	for (size_t i = 0; i < plan->count; i++) {
		const struct wal_keep_stretch *s = &plan->stretches[i];

		assert_int_equal(s->from % SEGMENT, 0);
		str_appendf(&out, "%s%u:%u-", i ? " " : "", s->timeline, (unsigned)(s->from / SEGMENT));
		if (s->to == UINT64_MAX) {
			str_append(&out, "end");
		} else {
			assert_int_equal(s->to % SEGMENT, 0);
			str_appendf(&out, "%u", (unsigned)(s->to / SEGMENT));
		}
		if (s->before_us != INT64_MAX)
			str_append(&out, "!");
	}
	return mem_strdup(str_text(&out));
}

static const uint32_t first_three[] = {1, 2, 3};

static struct wal_keep_facts facts_of(const struct wal_keep_base *bases, size_t count, size_t timelines)
{
	return (struct wal_keep_facts){.system_id = SYSTEM,
	                               .segment_bytes = SEGMENT,
	                               .bases = bases,
	                               .base_count = count,
	                               .timelines = first_three,
	                               .timeline_count = timelines,
	                               .now_us = NOW};
}

#define ASSERT_GOES(facts, text)                                                                             \
	do {                                                                                                 \
		_cleanup(wal_keep_plan) struct wal_keep_plan plan_ = {0};                                    \
		_cleanup(free) char *goes_ = goes(facts, &plan_);                                            \
                                                                                                             \
		assert_string_equal(goes_, text);                                                            \
	} while (0)

static void without_a_base_nothing_goes(void **state)
{
	struct wal_keep_base damaged = base_at(1, 100, 110, NOW - 50 * DAY);
	struct wal_keep_facts f = facts_of(NULL, 0, 2);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	ASSERT_GOES(&f, "");
	damaged.is_usable = false;
	f = facts_of(&damaged, 1, 2);
	ASSERT_GOES(&f, "");
	wal_keep_plan(&f, &plan);
	assert_non_null(strstr(plan.why, "no base backup"));
	assert_true(plan.base == WAL_KEEP_NO_BASE);
}

static void everything_from_the_oldest_base_on_stays(void **state)
{
	const struct wal_keep_base bases[] = {base_at(1, 5 * SEGMENT + 3, 6 * SEGMENT + 1, NOW - 20 * DAY),
	                                      base_at(1, 50 * SEGMENT, 51 * SEGMENT, NOW - 1 * DAY)};
	struct wal_keep_facts f = facts_of(bases, 2, 1);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	ASSERT_GOES(&f, "1:0-5");
	wal_keep_plan(&f, &plan);
	assert_int_equal(plan.base, 0);
	assert_int_equal(plan.since_us, NOW - 20 * DAY);
	assert_false(plan.is_short);
}

static void a_window_begins_with_the_newest_base_that_is_old_enough(void **state)
{
	const struct wal_keep_base bases[] = {base_at(1, 80, 90, NOW - 30 * DAY),
	                                      base_at(1, 320, 330, NOW - 15 * DAY),
	                                      base_at(1, 640, 650, NOW - 3 * DAY)};
	struct wal_keep_facts f = facts_of(bases, 3, 1);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	f.window_us = 14 * DAY;
	/* That of thirty days ago stays consistent. */
	ASSERT_GOES(&f, "1:0-5 1:6-20");
	f.window_us = 15 * DAY;
	ASSERT_GOES(&f, "1:0-5 1:6-20");
	f.window_us = 16 * DAY;
	ASSERT_GOES(&f, "1:0-5");
	f.window_us = 3 * DAY;
	ASSERT_GOES(&f, "1:0-5 1:6-20 1:21-40");
	f.window_us = 60 * DAY;
	ASSERT_GOES(&f, "1:0-5");
	wal_keep_plan(&f, &plan);
	assert_true(plan.is_short);
	assert_int_equal(plan.since_us, NOW - 30 * DAY);
}

static void trash_damage_and_holds_keep_what_makes_consistent(void **state)
{
	struct wal_keep_base bases[] = {base_at(1, 80, 90, NOW - 30 * DAY),
	                                base_at(1, 320, 352, NOW - 15 * DAY),
	                                base_at(1, 640, 650, NOW - 3 * DAY)};
	struct wal_keep_facts f = facts_of(bases, 3, 1);

	bases[0].is_usable = false;
	bases[1].is_only_held = true;
	ASSERT_GOES(&f, "1:0-5 1:6-20 1:22-40");
	/* Where holds are all that keeps any, the oldest one is the begin. */
	bases[2].is_usable = false;
	ASSERT_GOES(&f, "1:0-5 1:6-20");
}

static void what_is_being_made_keeps_its_log(void **state)
{
	const struct wal_keep_base bases[] = {base_at(1, 640, 650, NOW - 3 * DAY)};
	struct wal_keep_pin pin = {.timeline = 1, .lsn = 333};
	struct wal_keep_facts f = facts_of(bases, 1, 1);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	ASSERT_GOES(&f, "1:0-40");
	f.pins = &pin;
	f.pin_count = 1;
	ASSERT_GOES(&f, "1:0-20");
	pin.timeline = 0;
	ASSERT_GOES(&f, "");
	wal_keep_plan(&f, &plan);
	assert_non_null(strstr(plan.why, "begins"));
}

static struct wal_history history(uint32_t timeline, const char *text)
{
	struct wal_history h = {0};
	struct error err = {0};

	if (wal_history_parse(timeline, text, strlen(text), &h, &err) < 0)
		fail_msg("%s", err.message);
	return h;
}

static void a_line_is_kept_across_its_timelines(void **state)
{
	const struct wal_keep_base bases[] = {base_at(1, 0x50, 0x5A, NOW - 9 * DAY),
	                                      base_at(2, 0x280, 0x285, NOW - 1 * DAY)};
	_cleanup(wal_history) struct wal_history two = history(2, "1\t0/125\tpromoted\n");
	struct wal_keep_facts f = facts_of(bases, 2, 2);

	f.histories = &two;
	f.history_count = 1;
	ASSERT_GOES(&f, "1:0-5 2:0-5");
	/* The second base alone: the first timeline is of nobody any more, when it is old. */
	f.bases = &bases[1];
	f.base_count = 1;
	ASSERT_GOES(&f, "1:0-end! 2:0-40");
}

/* A recovery to an earlier moment makes a timeline that leaves the line before the newest base: both lines stay as far as the window goes. */
static void each_line_has_a_base_of_its_own(void **state)
{
	const struct wal_keep_base bases[] = {base_at(1, 0x50, 0x5A, NOW - 30 * DAY),
	                                      base_at(1, 0x200, 0x205, NOW - 20 * DAY),
	                                      base_at(2, 0x180, 0x185, NOW - 2 * DAY)};
	_cleanup(wal_history) struct wal_history two = history(2, "1\t0/125\twent back\n");
	struct wal_keep_facts f = facts_of(bases, 3, 2);

	f.histories = &two;
	f.history_count = 1;
	f.window_us = 10 * DAY;
	/* Of timeline 1 up to where it was left, and from its newer base on. */
	ASSERT_GOES(&f, "1:0-5 1:19-32 2:0-5");
	/* When the window begins behind the base of timeline 2 nobody needs more of timeline 1 than consistency. */
	f.window_us = 1 * DAY;
	ASSERT_GOES(&f, "1:0-5 1:6-32 2:0-24");
}

static void a_timeline_that_no_base_leads_to_waits(void **state)
{
	/* The base had gone further than the standby that was promoted. */
	const struct wal_keep_base bases[] = {base_at(1, 0x200, 0x205, NOW - 20 * DAY)};
	_cleanup(wal_history) struct wal_history two = history(2, "1\t0/125\tpromoted\n");
	struct wal_keep_facts f = facts_of(bases, 1, 2);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	f.histories = &two;
	f.history_count = 1;
	f.window_us = 10 * DAY;
	ASSERT_GOES(&f, "1:0-32 2:0-end!");
	wal_keep_plan(&f, &plan);
	assert_int_equal(plan.stretches[1].before_us, NOW - 10 * DAY);
}

static void an_unknown_history_keeps_what_it_might_need(void **state)
{
	const struct wal_keep_base bases[] = {base_at(1, 0x200, 0x205, NOW - 20 * DAY),
	                                      base_at(2, 0x300, 0x305, NOW - 5 * DAY)};
	_cleanup(wal_history) struct wal_history three = history(3, "1\t0/210\tx\n2\t0/400\ty\n");
	struct wal_keep_facts f = facts_of(bases, 2, 2);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	ASSERT_GOES(&f, "");
	wal_keep_plan(&f, &plan);
	assert_int_equal(plan.unjudged, 2);
	/* A base of its own that is old enough leaves nothing to be asked. */
	f.window_us = 4 * DAY;
	ASSERT_GOES(&f, "1:0-32 2:0-48");
	/* What came from it tells as well. */
	f.window_us = 0;
	f.histories = &three;
	f.history_count = 1;
	ASSERT_GOES(&f, "1:0-32 2:0-32");
}

static void another_cluster_stops_all(void **state)
{
	struct wal_keep_base bases[] = {base_at(1, 0x200, 0x205, NOW - 20 * DAY),
	                                base_at(1, 0x300, 0x305, NOW - 5 * DAY)};
	struct wal_keep_facts f = facts_of(bases, 2, 1);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	bases[1].system_id++;
	ASSERT_GOES(&f, "");
	wal_keep_plan(&f, &plan);
	assert_non_null(strstr(plan.why, "7301234567890123457"));
	bases[1].system_id--;
	bases[1].segment_bytes *= 2;
	ASSERT_GOES(&f, "");
}

static void the_ends_of_the_log_are_no_places_to_stumble(void **state)
{
	const struct wal_keep_base bases[] = {
	        base_at(1, UINT64_MAX / 2 - 15, UINT64_MAX / 2 - 5, NOW - 20 * DAY)};
	struct wal_keep_facts f = facts_of(bases, 1, 1);
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};

	wal_keep_plan(&f, &plan);
	assert_int_equal(plan.count, 1);
	assert_true(plan.stretches[0].to == UINT64_MAX / 2 - 15);
}

/* Random histories. */

#define LINES    6
#define SEGMENTS 64
#define BASES    40

struct grown {
	uint32_t parent;
	uint64_t left_at, head; /* of the parent; of itself */
	int64_t began_us;
	bool present[SEGMENTS];
	int64_t came_us[SEGMENTS];
};

struct cluster {
	struct grown lines[LINES + 1]; /* from 1 */
	uint32_t count, current;
	struct wal_keep_base bases[BASES];
	size_t base_count;
	int64_t now_us;
	bool lacks[LINES + 1]; /* the history is not known */
};

static unsigned below(unsigned n)
{
	return (unsigned)random() % n;
}

static uint64_t segment_of(uint64_t lsn)
{
	return lsn / SEGMENT;
}

static bool line_has(const struct cluster *c, uint32_t line, uint32_t timeline)
{
	for (; line; line = c->lines[line].parent)
		if (line == timeline)
			return true;
	return false;
}

static uint32_t owner_at(const struct cluster *c, uint32_t line, uint64_t lsn)
{
	while (c->lines[line].parent && lsn < c->lines[line].left_at)
		line = c->lines[line].parent;
	return line;
}

static int64_t moment_of(const struct cluster *c, uint32_t line, uint64_t lsn)
{
	uint32_t owner = owner_at(c, line, lsn);

	return c->lines[owner].began_us + (int64_t)(lsn - c->lines[owner].left_at);
}

static bool line_leads(const struct cluster *c, uint32_t line, const struct wal_keep_base *b)
{
	return line_has(c, line, b->timeline) && owner_at(c, line, b->stop_lsn - 1) >= b->timeline &&
	       (b->timeline == line || owner_at(c, line, b->stop_lsn - 1) == b->timeline);
}

static bool with_holds_alone(const struct cluster *c)
{
	for (size_t i = 0; i < c->base_count; i++)
		if (c->bases[i].is_usable && !c->bases[i].is_only_held)
			return false;
	return true;
}

static bool has_way(const struct cluster *c, uint32_t line, uint64_t from, uint64_t to)
{
	for (uint64_t at = from; at < to; at++)
		if (!c->lines[owner_at(c, line, at)].present[segment_of(at)])
			return false;
	return true;
}

static bool reaches(const struct cluster *c, uint32_t line, uint64_t lsn)
{
	bool holds = with_holds_alone(c);

	for (size_t i = 0; i < c->base_count; i++) {
		const struct wal_keep_base *b = &c->bases[i];

		if (b->is_usable && (holds || !b->is_only_held) && b->stop_lsn <= lsn &&
		    line_leads(c, line, b) && has_way(c, line, b->start_lsn, lsn))
			return true;
	}
	return false;
}

static void grow(struct cluster *c, unsigned bytes)
{
	struct grown *g = &c->lines[c->current];

	for (unsigned i = 0; i < bytes && segment_of(g->head) < SEGMENTS - 1; i++) {
		g->head++;
		c->now_us++;
		g->present[segment_of(g->head - 1)] = true;
		g->came_us[segment_of(g->head - 1)] = c->now_us;
	}
}

static void add_base(struct cluster *c)
{
	struct wal_keep_base *b;
	uint64_t start = c->lines[c->current].head;

	grow(c, 1 + below(2 * SEGMENT));
	if (c->base_count == BASES || c->lines[c->current].head == start)
		return;
	b = &c->bases[c->base_count++];
	*b = base_at(c->current, start, c->lines[c->current].head, c->now_us);
}

/* Mostly at the end of the current one; sometimes to where it once was, on any. */
static void branch(struct cluster *c)
{
	uint32_t from = below(3) ? c->current : 1 + below(c->count);
	struct grown *parent = &c->lines[from], *g;
	uint64_t room = parent->head - parent->left_at;

	if (c->count == LINES || room == 0)
		return;
	c->current = ++c->count;
	g = &c->lines[c->current];
	*g = (struct grown){.parent = from, .began_us = c->now_us};
	g->left_at = below(3) ? parent->head : parent->left_at + 1 + below((unsigned)room);
	g->head = g->left_at;
	/* Its first segment has a copy of what came before. */
	g->present[segment_of(g->left_at)] = true;
	g->came_us[segment_of(g->left_at)] = c->now_us;
	c->lacks[c->current] = below(12) == 0;
}

static void change_a_base(struct cluster *c)
{
	size_t i;

	if (c->base_count == 0)
		return;
	i = below((unsigned)c->base_count);
	switch (below(4)) {
	case 0:
		c->bases[i].is_usable = !c->bases[i].is_usable;
		break;
	case 1:
		c->bases[i].is_only_held = !c->bases[i].is_only_held;
		break;
	default:
		/* The oldest go first, mostly. */
		i = below(2) ? 0 : i;
		memmove(&c->bases[i], &c->bases[i + 1], (c->base_count - i - 1) * sizeof(c->bases[0]));
		c->base_count--;
	}
}

static struct wal_history history_of_line(const struct cluster *c, uint32_t line)
{
	uint32_t path[LINES + 1], n = 0;
	_cleanup(str) struct str text = {0};

	for (uint32_t at = line; c->lines[at].parent; at = c->lines[at].parent)
		path[n++] = at;
	str_append(&text, "");
	while (n > 0) {
		n--;
		str_appendf(&text, "%u\t0/%X\tx\n", c->lines[path[n]].parent,
		            (unsigned)c->lines[path[n]].left_at);
	}
	return history(line, str_text(&text));
}

static void take_away(struct cluster *c, const struct wal_keep_plan *plan)
{
	for (size_t i = 0; i < plan->count; i++) {
		const struct wal_keep_stretch *s = &plan->stretches[i];
		struct grown *g = &c->lines[s->timeline];

		for (uint64_t n = s->from / SEGMENT; n < SEGMENTS && n * SEGMENT < s->to; n++)
			if (g->came_us[n] < s->before_us)
				g->present[n] = false;
	}
}

static void check_against(const struct cluster *before, const struct cluster *after, int64_t since_us,
                          const struct wal_keep_pin *pin)
{
	for (uint32_t line = 1; line <= before->count; line++)
		for (uint64_t lsn = 1; lsn <= before->lines[line].head; lsn++) {
			if (moment_of(before, line, lsn - 1) < since_us || !reaches(before, line, lsn))
				continue;
			if (!reaches(after, line, lsn))
				fail_msg("timeline %u cannot be reached at %u any more", line, (unsigned)lsn);
		}
	for (size_t i = 0; i < before->base_count; i++) {
		const struct wal_keep_base *b = &before->bases[i];

		if (has_way(before, b->timeline, b->start_lsn, b->stop_lsn))
			assert_true(has_way(after, b->timeline, b->start_lsn, b->stop_lsn));
	}
	for (uint64_t n = pin ? segment_of(pin->lsn) : SEGMENTS; n < SEGMENTS; n++)
		assert_int_equal(before->lines[pin->timeline].present[n],
		                 after->lines[pin->timeline].present[n]);
}

static int64_t oldest_base_us(const struct cluster *c)
{
	int64_t oldest_us = INT64_MAX;

	for (size_t i = 0; i < c->base_count; i++)
		if (c->bases[i].is_usable && (with_holds_alone(c) || !c->bases[i].is_only_held) &&
		    c->bases[i].stopped_us < oldest_us)
			oldest_us = c->bases[i].stopped_us;
	return oldest_us;
}

/* How many segments went. */
static size_t remove_and_check(struct cluster *c, int64_t window_us)
{
	struct wal_history histories[LINES];
	uint32_t timelines[LINES];
	struct wal_keep_pin pin = {.timeline = c->current, .lsn = c->lines[c->current].left_at + below(64)};
	bool pins = below(4) == 0;
	struct wal_keep_facts f = {.system_id = SYSTEM,
	                           .segment_bytes = SEGMENT,
	                           .bases = c->bases,
	                           .base_count = c->base_count,
	                           .pins = &pin,
	                           .pin_count = pins,
	                           .histories = histories,
	                           .timelines = timelines,
	                           .timeline_count = c->count,
	                           .now_us = c->now_us,
	                           .window_us = window_us};
	_cleanup(free) struct cluster *before = mem_alloc(sizeof(*before));
	_cleanup(wal_keep_plan) struct wal_keep_plan plan = {0};
	size_t gone = 0;

	for (uint32_t line = 1; line <= c->count; line++) {
		timelines[line - 1] = line;
		if (line > 1 && !c->lacks[line])
			histories[f.history_count++] = history_of_line(c, line);
	}
	*before = *c;
	wal_keep_plan(&f, &plan);
	take_away(c, &plan);
	check_against(before, c, window_us ? c->now_us - window_us : oldest_base_us(c), pins ? &pin : NULL);
	for (uint32_t line = 1; line <= c->count; line++)
		for (size_t n = 0; n < SEGMENTS; n++)
			gone += before->lines[line].present[n] && !c->lines[line].present[n];
	for (size_t i = 0; i < f.history_count; i++)
		wal_history_finish(&histories[i]);
	return gone;
}

static size_t live(int64_t window_us)
{
	_cleanup(free) struct cluster *c = mem_alloc(sizeof(*c));
	size_t gone = 0;

	c->count = c->current = 1;
	c->lines[1].head = SEGMENT;
	c->now_us = SEGMENT;
	c->lines[1].left_at = 0;
	for (unsigned step = 0; step < 60; step++) {
		switch (below(8)) {
		case 0:
			branch(c);
			break;
		case 1:
		case 2:
			add_base(c);
			break;
		case 3:
			change_a_base(c);
			break;
		case 4:
			gone += remove_and_check(c, window_us);
			break;
		default:
			grow(c, below(3 * SEGMENT));
		}
	}
	return gone;
}

static void whatever_happens_what_should_be_reached_is(void **state)
{
	size_t gone = 0;

	srandom(17);
	for (unsigned i = 0; i < 150; i++)
		gone += live(i % 3 ? 20 + below(400) : 0);
	/* And it is not that nothing ever goes. */
	assert_true(gone > 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(without_a_base_nothing_goes),
	        cmocka_unit_test(everything_from_the_oldest_base_on_stays),
	        cmocka_unit_test(a_window_begins_with_the_newest_base_that_is_old_enough),
	        cmocka_unit_test(trash_damage_and_holds_keep_what_makes_consistent),
	        cmocka_unit_test(what_is_being_made_keeps_its_log),
	        cmocka_unit_test(a_line_is_kept_across_its_timelines),
	        cmocka_unit_test(each_line_has_a_base_of_its_own),
	        cmocka_unit_test(a_timeline_that_no_base_leads_to_waits),
	        cmocka_unit_test(an_unknown_history_keeps_what_it_might_need),
	        cmocka_unit_test(another_cluster_stops_all),
	        cmocka_unit_test(the_ends_of_the_log_are_no_places_to_stumble),
	        cmocka_unit_test(whatever_happens_what_should_be_reached_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
