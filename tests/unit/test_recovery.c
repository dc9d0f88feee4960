// SPDX-License-Identifier: Apache-2.0
/* What can be recovered: plans for targets, windows and gaps, against archives that are made up of a few lines. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/recovery.h>

#define SEGMENT   UINT32_C(0x1000000)
#define MANY      400
#define SECOND    INT64_C(1000000)
#define NOON      (INT64_C(1795003200) * SECOND)
#define AT(n)     (NOON + (n)*SECOND)
#define LSN(n, x) ((uint64_t)(n)*SEGMENT + (x))

/* One row of a made-up index. */
struct row {
	struct recovery_segment s;
	uint32_t xid; /* the highest that ended in it; 0: none */
	bool is_unknown;
};

struct archive {
	struct row rows[MANY];
	size_t count;
	struct recovery_point points[8];
	size_t point_count;
	struct recovery_facts f;
	int fails; /* what the index answers; 0: it works */
};

static bool is_asked(const struct row *r, uint32_t timeline, uint64_t first, uint64_t last)
{
	return r->s.timeline == timeline && r->s.number >= first && r->s.number <= last;
}

static int give(const struct row *r, struct recovery_segment *ret)
{
	*ret = r->s;
	return 0;
}

static int later(void *arg, uint32_t timeline, uint64_t first, uint64_t last, int64_t at_us,
                 struct recovery_segment *ret)
{
	struct archive *a = *(struct archive **)arg;

	for (size_t i = 0; i < a->count; i++)
		if (is_asked(&a->rows[i], timeline, first, last) && !a->rows[i].is_unknown &&
		    a->rows[i].s.latest_us > at_us)
			return give(&a->rows[i], ret);
	return a->fails ? a->fails : -ENOENT;
}

static int behind(void *arg, uint32_t timeline, uint64_t first, uint64_t last, uint64_t lsn,
                  struct recovery_segment *ret)
{
	struct archive *a = *(struct archive **)arg;

	for (size_t i = 0; i < a->count; i++)
		if (is_asked(&a->rows[i], timeline, first, last) && !a->rows[i].is_unknown &&
		    a->rows[i].s.end > lsn)
			return give(&a->rows[i], ret);
	return a->fails ? a->fails : -ENOENT;
}

static int since_xid(void *arg, uint32_t timeline, uint64_t first, uint64_t last, uint32_t xid,
                     struct recovery_segment *ret)
{
	struct archive *a = *(struct archive **)arg;

	for (size_t i = 0; i < a->count; i++)
		if (is_asked(&a->rows[i], timeline, first, last) && !a->rows[i].is_unknown &&
		    a->rows[i].xid && (int32_t)(a->rows[i].xid - xid) >= 0)
			return give(&a->rows[i], ret);
	return a->fails ? a->fails : -ENOENT;
}

static int sum(void *arg, uint32_t timeline, uint64_t first, uint64_t last, struct recovery_sum *ret)
{
	struct archive *a = *(struct archive **)arg;

	for (size_t i = 0; i < a->count; i++) {
		const struct row *r = &a->rows[i];

		if (!is_asked(r, timeline, first, last))
			continue;
		ret->unknown += r->is_unknown;
		if (!r->is_unknown && r->s.end)
			ret->end = r->s.end;
		if (!r->is_unknown && r->s.latest_us)
			ret->latest_us = r->s.latest_us;
	}
	return a->fails;
}

static int points(void *arg, const char *name, int (*each)(void *arg, const struct recovery_point *p),
                  void *each_arg)
{
	struct archive *a = *(struct archive **)arg;
	int r = a->fails;

	for (size_t i = 0; r == 0 && i < a->point_count; i++)
		if (str_equal(a->points[i].name, name))
			r = each(each_arg, &a->points[i]);
	return r;
}

static void begin(struct archive *a)
{
	struct archive **self = mem_alloc(sizeof(*self));

	*a = (struct archive){0};
	*self = a;
	a->f.segment_bytes = SEGMENT;
	a->f.log = (struct recovery_log){.later = later,
	                                 .behind = behind,
	                                 .since_xid = since_xid,
	                                 .sum = sum,
	                                 .points = points,
	                                 .arg = self};
}

static void cleanup_archive(struct archive *a)
{
	recovery_facts_finish(&a->f);
}

/* Segments of a timeline: in number n transactions end up to the time AT(10 * n), with numbers up to 100 * n; ranges are made in the order of the calls. */
static void put_segments(struct archive *a, uint32_t timeline, uint64_t first, uint64_t last)
{
	a->f.ranges = mem_resize(a->f.ranges, a->f.range_count + 1, sizeof(*a->f.ranges));
	a->f.ranges[a->f.range_count++] =
	        (struct recovery_range){.timeline = timeline, .first = first, .last = last};
	for (uint64_t n = first; n <= last; n++) {
		assert_true(a->count < MANY);
		a->rows[a->count++] = (struct row){.s = {.timeline = timeline,
		                                         .number = n,
		                                         .end = LSN(n + 1, 0) - 0x100,
		                                         .latest_us = AT(10 * (int64_t)n)},
		                                   .xid = (uint32_t)(100 * n)};
	}
}

static struct row *row_of(struct archive *a, uint32_t timeline, uint64_t number)
{
	for (size_t i = 0; i < a->count; i++)
		if (is_asked(&a->rows[i], timeline, number, number))
			return &a->rows[i];
	fail_msg("there is no such row");
	return NULL;
}

/* It lies in one segment, and was consistent when the first of its transactions ended. */
static void put_base(struct archive *a, uint32_t timeline, uint64_t number)
{
	size_t i = a->f.base_count++;

	a->f.bases = mem_resize(a->f.bases, a->f.base_count, sizeof(*a->f.bases));
	a->f.bases[i] = (struct recovery_base){.ino = 1000 + i,
	                                       .path = mem_printf("backups/main/%zu", i),
	                                       .timeline = timeline,
	                                       .start_lsn = LSN(number, 0x28),
	                                       .stop_lsn = LSN(number, 0x200),
	                                       .stopped_us = AT(10 * (int64_t)number - 9)};
}

static void put_history(struct archive *a, uint32_t timeline, const char *text)
{
	struct error err = {0};

	a->f.histories = mem_resize(a->f.histories, a->f.history_count + 1, sizeof(*a->f.histories));
	a->f.histories[a->f.history_count] = (struct wal_history){0};
	if (wal_history_parse(timeline, text, strlen(text), &a->f.histories[a->f.history_count++], &err) < 0)
		fail_msg("%s", err.message);
}

static void put_point(struct archive *a, const char *name, uint32_t timeline, uint64_t number)
{
	struct recovery_point *p = &a->points[a->point_count++];

	*p = (struct recovery_point){.timeline = timeline,
	                             .number = number,
	                             .lsn = LSN(number, 0x4000),
	                             .at_us = AT(10 * (int64_t)number)};
	str_copy(p->name, sizeof(p->name), name);
}

/* The plan in one line: base, timeline, stretches, marks; or what is said where there is none. */
static const char *plan_of(struct archive *a, const struct recovery_target *t)
{
	static char text[2000];
	_cleanup(recovery_plan) struct recovery_plan p = {0};
	_cleanup(str) struct str s = {0};
	struct error err = {0};
	int r = recovery_plan_make(&a->f, t, &p, &err);

	if (r < 0) {
		snprintf(text, sizeof(text), "%s: %s",
		         r == -ENOENT   ? "ENOENT"
		         : r == -EINVAL ? "EINVAL"
		                        : "E",
		         err.message);
		return text;
	}
	str_appendf(&s, "base %zu to %u:", p.base, p.timeline);
	for (size_t i = 0; i < p.count; i++)
		str_appendf(&s, " %u/%llu-%llu", p.stretches[i].timeline,
		            (unsigned long long)p.stretches[i].first,
		            (unsigned long long)p.stretches[i].last);
	if (p.is_unsure)
		str_append(&s, " unsure");
	if (p.has_gap) {
		char name[WAL_NAME_BYTES];

		wal_name_format(&p.missing, name);
		str_appendf(&s, " but %s", name);
	}
	snprintf(text, sizeof(text), "%s", str_text(&s));
	return text;
}

static const char *plan_time(struct archive *a, int64_t at_us)
{
	return plan_of(a, &(struct recovery_target){.kind = RECOVERY_TIME, .at_us = at_us});
}

static void has(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("'%s' is not in '%s'", part, text);
}

/* Two bases in segments 2 and 6 of segments 1 to 9. */
static void put_plain(struct archive *a)
{
	begin(a);
	put_segments(a, 1, 1, 9);
	put_base(a, 1, 2);
	put_base(a, 1, 6);
}

static void the_newest_base_that_was_consistent(void **state)
{
	_cleanup(archive) struct archive a;

	put_plain(&a);
	assert_string_equal(plan_time(&a, AT(75)), "base 1 to 1: 1/6-8");
	assert_string_equal(plan_time(&a, AT(51)), "base 1 to 1: 1/6-6");
	assert_string_equal(plan_time(&a, AT(50)), "base 0 to 1: 1/2-6");
	assert_string_equal(plan_time(&a, AT(11)), "base 0 to 1: 1/2-2");
	has(plan_time(&a, AT(10)), "ENOENT: backups/main/0 is consistent only from 2026-11-18T12:00:11Z");
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 1 to 1: 1/6-9");
	assert_string_equal(plan_of(&a, &(struct recovery_target){.kind = RECOVERY_IMMEDIATE}),
	                    "base 1 to 1: 1/6-6");
	assert_string_equal(plan_of(&a, &(struct recovery_target){.base_ino = 1000}), "base 0 to 1: 1/2-9");
	has(plan_of(&a, &(struct recovery_target){.base_ino = 5}), "EINVAL: there is no such base");
}

static void a_time_behind_the_last_commit_is_refused(void **state)
{
	_cleanup(archive) struct archive a;

	put_plain(&a);
	assert_string_equal(plan_time(&a, AT(90) - 1), "base 1 to 1: 1/6-9");
	has(plan_time(&a, AT(90)),
	    "ENOENT: the last commit in the archive is of 2026-11-18T12:01:30Z, and 2026-11-18T12:01:30Z is not before it");
	has(plan_time(&a, AT(500)), "Leave the target out to get the newest");
	/* A segment that nobody has read may hold anything. */
	row_of(&a, 1, 9)->is_unknown = true;
	assert_string_equal(plan_time(&a, AT(90)), "base 1 to 1: 1/6-9 unsure");
	assert_string_equal(plan_time(&a, AT(65)), "base 1 to 1: 1/6-7");
	row_of(&a, 1, 6)->is_unknown = true;
	assert_string_equal(plan_time(&a, AT(65)), "base 1 to 1: 1/6-7 unsure");
}

static void clocks_that_differ_choose_an_older_base(void **state)
{
	_cleanup(archive) struct archive a;

	put_plain(&a);
	/* It began in segment 4, where transactions ended that are later than it says it stopped. */
	a.f.bases[1].start_lsn = LSN(4, 0x28);
	a.f.bases[1].stopped_us = AT(35);
	assert_string_equal(plan_time(&a, AT(36)), "base 0 to 1: 1/2-4");
	assert_string_equal(plan_time(&a, AT(50)), "base 1 to 1: 1/4-6");
	/* Times that go back do not hide a later one before. */
	row_of(&a, 1, 7)->s.latest_us = AT(200);
	assert_string_equal(plan_time(&a, AT(85)), "base 1 to 1: 1/4-7");
}

static void places_in_the_log(void **state)
{
	_cleanup(archive) struct archive a;
	struct recovery_target t = {.kind = RECOVERY_LSN, .lsn = LSN(8, 0x50)};

	put_plain(&a);
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-8");
	/* What ends in segment 8 ends before that; the next record is in the next one. */
	t.lsn = LSN(9, 0) - 0x100;
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-9");
	t.lsn = LSN(6, 0x1ff);
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-6");
	t.lsn = LSN(6, 0x200);
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-6");
	t.lsn = LSN(2, 0x10);
	has(plan_of(&a, &t), "ENOENT: backups/main/0 is consistent only from");
	t.lsn = LSN(10, 0) - 0x100;
	has(plan_of(&a, &t),
	    "ENOENT: the log in the archive ends at 0/9FFFF00, and 0/9FFFF00 is not before that");
}

static void transactions(void **state)
{
	_cleanup(archive) struct archive a;
	struct recovery_target t = {.kind = RECOVERY_XID, .xid = 750};

	put_plain(&a);
	/* Where it ended nobody knows: at the first later one, or behind it. */
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-9 unsure");
	t.xid = 600;
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-9 unsure");
	t.xid = 150;
	has(plan_of(&a, &t), "ENOENT: backups/main/0 is consistent only from");
	t.xid = 901;
	has(plan_of(&a, &t), "ENOENT: in the archive behind backups/main/1 no transaction 901 has ended");
	/* The log of the base itself has none; what is before it has. */
	row_of(&a, 1, 6)->xid = 0;
	t.xid = 450;
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-9 unsure");
	/* Numbers begin again. */
	for (size_t i = 0; i < a.count; i++)
		a.rows[i].xid += UINT32_MAX - 620;
	t.xid = 750u + UINT32_MAX - 620;
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-9 unsure");
}

static void restore_points(void **state)
{
	_cleanup(archive) struct archive a;
	struct recovery_target t = {.kind = RECOVERY_POINT, .point = "drop"};

	put_plain(&a);
	put_point(&a, "drop", 1, 4);
	put_point(&a, "other", 1, 8);
	put_point(&a, "twice", 1, 3);
	put_point(&a, "twice", 1, 7);
	put_point(&a, "twice", 1, 8);
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-4");
	t.point = "other";
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-8");
	/* Recovery stops at the first one behind the base. */
	t.point = "twice";
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-7");
	t.base_ino = 1000;
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-3");
	t = (struct recovery_target){.kind = RECOVERY_POINT, .point = "none"};
	has(plan_of(&a, &t), "ENOENT: there is no restore point 'none'");
	row_of(&a, 1, 9)->is_unknown = true;
	assert_string_equal(plan_of(&a, &t), "base 1 to 1: 1/6-9 unsure");
}

static void a_missing_segment_is_named(void **state)
{
	_cleanup(archive) struct archive a;

	begin(&a);
	put_segments(&a, 1, 1, 4);
	put_segments(&a, 1, 6, 9);
	put_base(&a, 1, 2);
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}),
	                    "base 0 to 1: 1/2-4 but 000000010000000000000005");
	has(plan_time(&a, AT(75)),
	    "ENOENT: 000000010000000000000005 is needed to get there from backups/main/0, and is not in the archive");
	assert_string_equal(plan_time(&a, AT(35)), "base 0 to 1: 1/2-4");
	/* A new base closes it. */
	put_base(&a, 1, 7);
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 1 to 1: 1/7-9");
	/* The base's own log. */
	a.f.bases[1].start_lsn = LSN(5, 0x28);
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}),
	                    "base 0 to 1: 1/2-4 but 000000010000000000000005");
	has(plan_of(&a, &(struct recovery_target){.base_ino = 1001}), "000000010000000000000005 is needed");
}

static void bases_that_are_no_choice(void **state)
{
	_cleanup(archive) struct archive a;

	put_plain(&a);
	a.f.bases[1].is_unusable = true;
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 0 to 1: 1/2-9");
	assert_string_equal(plan_of(&a, &(struct recovery_target){.base_ino = 1001}), "base 1 to 1: 1/6-9");
	a.f.bases[0].is_unusable = true;
	has(plan_of(&a, &(struct recovery_target){0}), "ENOENT: there is no base backup");
	a.f.segment_bytes = 0;
	has(plan_of(&a, &(struct recovery_target){0}), "ENOENT: there is no base backup");
}

static void what_the_index_says_ends_it(void **state)
{
	_cleanup(archive) struct archive a;

	put_plain(&a);
	a.fails = -EIO;
	has(plan_time(&a, AT(500)), "E: the catalog cannot be read");
	has(plan_of(&a, &(struct recovery_target){0}), "E: the catalog cannot be read");
}

/* Timeline 2 left timeline 1 in segment 7, whose server went on to segment 9. */
static void put_fork(struct archive *a)
{
	begin(a);
	put_segments(a, 1, 1, 9);
	put_segments(a, 2, 7, 12);
	put_history(a, 2, "1\t0/7400000\tno recovery target specified\n");
	put_base(a, 1, 2);
}

static void a_promotion(void **state)
{
	_cleanup(archive) struct archive a;
	struct recovery_target t = {0};

	put_fork(&a);
	assert_string_equal(plan_of(&a, &t), "base 0 to 2: 1/2-6 2/7-12");
	assert_string_equal(plan_time(&a, AT(105)), "base 0 to 2: 1/2-6 2/7-11");
	assert_string_equal(plan_time(&a, AT(35)), "base 0 to 2: 1/2-4");
	t.which = RECOVERY_TIMELINE_CURRENT;
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-9");
	t = (struct recovery_target){.which = RECOVERY_TIMELINE_NUMBER, .timeline = 2};
	assert_string_equal(plan_of(&a, &t), "base 0 to 2: 1/2-6 2/7-12");
	t.timeline = 3;
	has(plan_of(&a, &t), "ENOENT: what timeline 3 came from is not known: 00000003.history");
	/* One of the old server, from behind the place where it was left, leads nowhere but to its own end. */
	put_base(&a, 1, 8);
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 0 to 2: 1/2-6 2/7-12");
	has(plan_of(&a, &(struct recovery_target){.base_ino = 1001}),
	    "ENOENT: backups/main/1 is of timeline 1, and timeline 2 did not come from there, or had left it before");
	put_base(&a, 2, 10);
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 2 to 2: 2/10-12");
	/* One that lies in the segment in which timeline 2 begins reads that one's file. */
	a.f.bases[1].start_lsn = LSN(7, 0x28);
	a.f.bases[1].stop_lsn = LSN(7, 0x200);
	assert_string_equal(plan_of(&a, &(struct recovery_target){.base_ino = 1001}), "base 1 to 2: 2/7-12");
}

static void points_of_another_line_do_not_count(void **state)
{
	_cleanup(archive) struct archive a;
	struct recovery_target t = {.kind = RECOVERY_POINT, .point = "lost"};

	put_fork(&a);
	put_point(&a, "lost", 1, 8);
	has(plan_of(&a, &t), "ENOENT: ");
	t.which = RECOVERY_TIMELINE_CURRENT;
	assert_string_equal(plan_of(&a, &t), "base 0 to 1: 1/2-8");
}

static void a_promotion_of_which_no_segment_has_come(void **state)
{
	_cleanup(archive) struct archive a;

	begin(&a);
	put_segments(&a, 1, 1, 6);
	put_history(&a, 2, "1\t0/7400000\tno recovery target specified\n");
	put_base(&a, 1, 2);
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 0 to 2: 1/2-6");
}

static void several_promotions(void **state)
{
	_cleanup(archive) struct archive a;

	put_fork(&a);
	put_segments(&a, 3, 10, 15);
	put_history(&a, 3, "1\t0/7400000\ta\n2\t0/A000000\tb\n");
	put_segments(&a, 4, 10, 11);
	/* It came from timeline 2 at the same place, twice within one segment. */
	put_history(&a, 4, "1\t0/7400000\ta\n2\t0/A100000\tb\n3\t0/A200000\tb\n");
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}), "base 0 to 4: 1/2-6 2/7-9 4/10-11");
	assert_string_equal(
	        plan_of(&a, &(struct recovery_target){.which = RECOVERY_TIMELINE_NUMBER, .timeline = 3}),
	        "base 0 to 3: 1/2-6 2/7-9 3/10-15");
}

static void what_can_be_recovered(void **state)
{
	_cleanup(archive) struct archive a;
	_cleanup(recovery_view) struct recovery_view v = {0};
	const struct recovery_window *w;

	put_plain(&a);
	assert_int_equal(recovery_look(&a.f, &v), 0);
	assert_int_equal(v.window_count, 1);
	w = recovery_newest(&a.f, &v);
	assert_ptr_equal(w, &v.windows[0]);
	assert_int_equal(w->bases, 2);
	assert_int_equal(w->base, 0);
	assert_int_equal(w->from_us, AT(11));
	assert_int_equal(w->to_us, AT(90));
	assert_int_equal(w->to_lsn, LSN(10, 0) - 0x100);
	assert_true(v.reaches[0].is_whole);
	assert_false(v.reaches[0].has_gap);
	a.fails = -EIO;
	assert_int_equal(recovery_look(&a.f, &v), -EIO);
}

static int count_gaps(void *arg, const struct recovery_gap *g)
{
	struct str *s = arg;
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES];

	wal_name_format(&g->first_name, first);
	wal_name_format(&g->last_name, last);
	str_appendf(s, "%s-%s%s%s\n", first, last + 16, g->blocks_newest ? " blocks" : "",
	            g->is_cut ? " cut" : "");
	return 0;
}

static void gaps_end_windows(void **state)
{
	_cleanup(archive) struct archive a;
	_cleanup(recovery_view) struct recovery_view v = {0};
	_cleanup(str) struct str told = {0};

	begin(&a);
	put_segments(&a, 1, 1, 4);
	put_segments(&a, 1, 6, 9);
	put_segments(&a, 1, 12, 12);
	put_base(&a, 1, 2);
	put_base(&a, 1, 3);
	assert_int_equal(recovery_look(&a.f, &v), 0);
	assert_int_equal(v.window_count, 1);
	assert_int_equal(recovery_newest(&a.f, &v)->to_us, AT(40));
	assert_int_equal(recovery_each_gap(&a.f, count_gaps, &told), 0);
	assert_string_equal(told.data, "000000010000000000000005-00000005 blocks\n"
	                               "00000001000000000000000A-0000000B\n");
	put_base(&a, 1, 12);
	a.f.ranges[1].is_cut = true;
	str_clear(&told);
	assert_int_equal(recovery_look(&a.f, &v), 0);
	assert_int_equal(v.window_count, 2);
	assert_int_equal(v.windows[0].bases, 2);
	assert_int_equal(recovery_newest(&a.f, &v)->base, 2);
	assert_int_equal(recovery_each_gap(&a.f, count_gaps, &told), 0);
	assert_string_equal(told.data, "000000010000000000000005-00000005\n"
	                               "00000001000000000000000A-0000000B cut\n");
}

static void a_base_whose_own_log_is_missing(void **state)
{
	_cleanup(archive) struct archive a;
	_cleanup(recovery_view) struct recovery_view v = {0};

	put_plain(&a);
	a.f.bases[1].stop_lsn = LSN(10, 0x200);
	assert_int_equal(recovery_look(&a.f, &v), 0);
	assert_false(v.reaches[1].is_whole);
	assert_int_equal(recovery_newest(&a.f, &v)->base, 0);
	a.f.bases[0].is_unusable = true;
	assert_int_equal(recovery_look(&a.f, &v), 0);
	assert_null(recovery_newest(&a.f, &v));
}

static void a_gap_between_timelines(void **state)
{
	_cleanup(archive) struct archive a;
	_cleanup(str) struct str told = {0};

	begin(&a);
	put_segments(&a, 1, 1, 6);
	put_segments(&a, 2, 9, 12);
	put_history(&a, 2, "1\t0/7400000\tno recovery target specified\n");
	put_base(&a, 1, 2);
	assert_int_equal(recovery_each_gap(&a.f, count_gaps, &told), 0);
	assert_string_equal(told.data, "000000020000000000000007-00000008 blocks\n");
	assert_string_equal(plan_of(&a, &(struct recovery_target){0}),
	                    "base 0 to 2: 1/2-6 but 000000020000000000000007");
}

static void nothing_at_all(void **state)
{
	_cleanup(recovery_view) struct recovery_view v = {0};
	struct recovery_facts f = {0};

	assert_int_equal(recovery_look(&f, &v), 0);
	assert_int_equal(v.window_count, 0);
	assert_null(recovery_newest(&f, &v));
	assert_int_equal(recovery_each_gap(&f, count_gaps, NULL), 0);
}

/* Whatever is there: a plan is of segments that are there, one behind the other, from the base's start on; and when there is none, a segment is missing or the target is outside. */
static void random_archives(void **state)
{
	srand(7);
	for (unsigned round = 0; round < 2000; round++) {
		_cleanup(archive) struct archive a;
		uint64_t at = 1;
		int64_t target = AT(rand() % 300);
		_cleanup(recovery_plan) struct recovery_plan p = {0};
		struct error err = {0};
		struct recovery_target t = {.kind = RECOVERY_TIME, .at_us = target};

		begin(&a);
		for (int i = 0; i < 3; i++) {
			uint64_t last = at + (uint64_t)(rand() % 8);

			put_segments(&a, 1, at, last);
			if (rand() % 2)
				put_base(&a, 1, at + (uint64_t)rand() % (last - at + 1));
			at = last + 2 + (uint64_t)(rand() % 3);
		}
		if (recovery_plan_make(&a.f, &t, &p, &err) < 0) {
			for (size_t i = 0; i < a.f.base_count; i++)
				for (uint64_t n = a.f.bases[i].start_lsn / SEGMENT; n < at; n++) {
					bool is_there = false;

					for (size_t k = 0; k < a.count; k++)
						is_there |= a.rows[k].s.number == n;
					if (!is_there)
						break;
					assert_false(a.f.bases[i].stopped_us <= target &&
					             row_of(&a, 1, n)->s.latest_us > target);
				}
			continue;
		}
		assert_true(a.f.bases[p.base].stopped_us <= target);
		assert_int_equal(p.count, 1);
		assert_int_equal(p.stretches[0].first, a.f.bases[p.base].start_lsn / SEGMENT);
		for (uint64_t n = p.stretches[0].first; n <= p.stretches[0].last; n++)
			assert_true((row_of(&a, 1, n)->s.latest_us > target) == (n == p.stretches[0].last));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_newest_base_that_was_consistent),
	        cmocka_unit_test(a_time_behind_the_last_commit_is_refused),
	        cmocka_unit_test(clocks_that_differ_choose_an_older_base),
	        cmocka_unit_test(places_in_the_log),
	        cmocka_unit_test(transactions),
	        cmocka_unit_test(restore_points),
	        cmocka_unit_test(a_missing_segment_is_named),
	        cmocka_unit_test(bases_that_are_no_choice),
	        cmocka_unit_test(what_the_index_says_ends_it),
	        cmocka_unit_test(a_promotion),
	        cmocka_unit_test(points_of_another_line_do_not_count),
	        cmocka_unit_test(a_promotion_of_which_no_segment_has_come),
	        cmocka_unit_test(several_promotions),
	        cmocka_unit_test(what_can_be_recovered),
	        cmocka_unit_test(gaps_end_windows),
	        cmocka_unit_test(a_base_whose_own_log_is_missing),
	        cmocka_unit_test(a_gap_between_timelines),
	        cmocka_unit_test(nothing_at_all),
	        cmocka_unit_test(random_archives),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
