// SPDX-License-Identifier: Apache-2.0
/* Which backups are unlike those before them. */
#include <keepfs/policy/anomaly.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DAY_S INT64_C(86400)
#define MOST  (ANOMALY_HISTORY + 3)
#define MIB   (INT64_C(1) << 20)

/* Of a database that grows a little each day; the newest first. */
struct history {
	struct anomaly_backup backups[MOST];
	size_t count;
	struct anomaly_finding found[ANOMALY_FIGURES];
	double score;
};

static struct history usual(size_t count)
{
	struct history h = {.count = count};

	for (size_t i = 0; i < count; i++) {
		int64_t day = (int64_t)(count - i);

		h.backups[i] = (struct anomaly_backup){
		        .at_s = day * DAY_S,
		        .figures = {[ANOMALY_SIZE] = (100 + day % 3 + day) * MIB,
		                    [ANOMALY_RAW] = (400 + 4 * (day % 3) + 4 * day) * MIB,
		                    [ANOMALY_ROWS] = 100000 + 1000 * day,
		                    [ANOMALY_TABLES] = 40,
		                    [ANOMALY_DURATION] = 600 + day % 5},
		};
	}
	return h;
}

static size_t judge(struct history *h)
{
	return anomaly_find(h->backups, h->count, h->found, &h->score);
}

static const struct anomaly_finding *finding_of(const struct history *h, size_t count,
                                                enum anomaly_figure figure)
{
	for (size_t i = 0; i < count; i++)
		if (h->found[i].figure == figure)
			return &h->found[i];
	return NULL;
}

static void assert_found(struct history *h, enum anomaly_figure figure, enum anomaly_shape shape,
                         bool critical)
{
	size_t count = judge(h);
	const struct anomaly_finding *f = finding_of(h, count, figure);

	if (!f)
		fail_msg("nothing about %s in %zu findings, score %f", anomaly_figure_name(figure), count,
		         h->score);
	if (f->shape != shape || f->critical != critical)
		fail_msg("%s: shape %d, critical %d", anomaly_figure_name(figure), f->shape, f->critical);
	assert_true(h->score >= 1);
}

static void assert_usual(struct history *h)
{
	size_t count = judge(h);

	if (count > 0)
		fail_msg("%s, shape %d: %f, usually %f", anomaly_figure_name(h->found[0].figure),
		         h->found[0].shape, h->found[0].value, h->found[0].usual);
	assert_true(h->score < 1);
}

static void nothing_unusual(void **state)
{
	for (size_t count = 0; count <= MOST; count++) {
		struct history h = usual(count);

		assert_usual(&h);
	}
}

/* With two before it nobody knows what is usual. */
static void three_are_needed(void **state)
{
	struct history h = usual(3);

	h.backups[0].figures[ANOMALY_SIZE] = 10 * MIB;
	assert_usual(&h);
	h = usual(4);
	h.backups[0].figures[ANOMALY_SIZE] = 10 * MIB;
	assert_found(&h, ANOMALY_SIZE, ANOMALY_FELL, true);
	/* Not known is not there. */
	h.backups[2].figures[ANOMALY_SIZE] = -1;
	h.backups[2].figures[ANOMALY_RAW] = -1;
	assert_usual(&h);
}

static void both_ways(void **state)
{
	struct history h = usual(11);

	h.backups[0].figures[ANOMALY_SIZE] = 68 * MIB;
	assert_found(&h, ANOMALY_SIZE, ANOMALY_FELL, false);
	h.backups[0].figures[ANOMALY_SIZE] = 200 * MIB;
	assert_found(&h, ANOMALY_SIZE, ANOMALY_GREW, false);
	h = usual(11);
	h.backups[0].figures[ANOMALY_ROWS] = 30000;
	assert_found(&h, ANOMALY_ROWS, ANOMALY_FELL, true);
	h.backups[0].figures[ANOMALY_ROWS] = 300000;
	assert_found(&h, ANOMALY_ROWS, ANOMALY_GREW, false);
}

static void only_a_long_duration(void **state)
{
	struct history h = usual(11);

	h.backups[0].figures[ANOMALY_DURATION] = 10;
	assert_usual(&h);
	h.backups[0].figures[ANOMALY_DURATION] = 3600;
	assert_found(&h, ANOMALY_DURATION, ANOMALY_GREW, false);
	/* Of a small database: some minutes are nothing. */
	for (size_t i = 0; i < h.count; i++)
		h.backups[i].figures[ANOMALY_DURATION] = 1;
	h.backups[0].figures[ANOMALY_DURATION] = 200;
	assert_usual(&h);
}

/* Sizes that always jump about say nothing. */
static void a_restless_database(void **state)
{
	struct history h = usual(11);
	static const int64_t mib[] = {60, 100, 20, 160, 90, 30, 150, 70, 40, 120, 110};

	for (size_t i = 0; i < h.count; i++) {
		h.backups[i].figures[ANOMALY_SIZE] = mib[i] * MIB;
		h.backups[i].figures[ANOMALY_RAW] = 4 * mib[i] * MIB;
	}
	assert_usual(&h);
}

/* One that was unusual does not move what is usual. */
static void an_outlier_before(void **state)
{
	struct history h = usual(11);

	h.backups[3].figures[ANOMALY_ROWS] = 5;
	h.backups[5].figures[ANOMALY_ROWS] = 90000000;
	assert_usual(&h);
}

static void nothing_at_all(void **state)
{
	struct history h = usual(2);

	h.backups[0].figures[ANOMALY_ROWS] = 0;
	assert_found(&h, ANOMALY_ROWS, ANOMALY_ZERO, true);
	h.backups[0].figures[ANOMALY_RAW] = 0;
	assert_found(&h, ANOMALY_RAW, ANOMALY_ZERO, true);
	/* A database that never had a row is as it is. */
	h.backups[1].figures[ANOMALY_ROWS] = h.backups[1].figures[ANOMALY_RAW] = 0;
	assert_usual(&h);
	/* But no backup has no bytes, not even the first. */
	h.count = 1;
	h.backups[0].figures[ANOMALY_SIZE] = 0;
	assert_found(&h, ANOMALY_SIZE, ANOMALY_ZERO, true);
}

static void a_table_vanished(void **state)
{
	struct history h = usual(2);

	h.backups[0].figures[ANOMALY_TABLES] = 39;
	assert_found(&h, ANOMALY_TABLES, ANOMALY_VANISHED, false);
	assert_true(h.found[0].value == 39 && h.found[0].usual == 40);
	/* Where they come and go it is nothing. */
	h = usual(11);
	for (size_t i = 0; i < h.count; i++)
		h.backups[i].figures[ANOMALY_TABLES] = 40 + (int64_t)(i % 2);
	assert_usual(&h);
	h.backups[0].figures[ANOMALY_TABLES] = 20;
	assert_found(&h, ANOMALY_TABLES, ANOMALY_FELL, false);
	h.backups[0].figures[ANOMALY_TABLES] = 0;
	assert_found(&h, ANOMALY_TABLES, ANOMALY_ZERO, true);
	/* One more is what a release brings. */
	h = usual(11);
	h.backups[0].figures[ANOMALY_TABLES] = 43;
	assert_usual(&h);
}

/* Encrypted data does not compress. */
static void data_that_does_not_compress(void **state)
{
	struct history h = usual(11);

	h.backups[0].figures[ANOMALY_SIZE] = h.backups[0].figures[ANOMALY_RAW];
	assert_found(&h, ANOMALY_RATIO, ANOMALY_FELL, true);
	/* Without compression it never did. */
	for (size_t i = 0; i < h.count; i++)
		h.backups[i].figures[ANOMALY_SIZE] = h.backups[i].figures[ANOMALY_RAW] + 100;
	assert_usual(&h);
}

static void set_same(struct history *h, size_t from, size_t to)
{
	for (size_t i = from + 1; i < to; i++)
		memcpy(h->backups[i].figures, h->backups[from].figures, sizeof(h->backups[i].figures));
}

static void a_database_that_stands_still(void **state)
{
	struct history h = usual(11);

	set_same(&h, 0, 4); /* a long weekend */
	assert_usual(&h);
	set_same(&h, 0, 5);
	assert_found(&h, ANOMALY_ROWS, ANOMALY_CONSTANT, false);
	/* Five within a night are nothing. */
	for (size_t i = 0; i < h.count; i++)
		h.backups[i].at_s = 1000 * DAY_S - (int64_t)i * 3600;
	assert_usual(&h);
	/* One that never changes is just so. */
	h = usual(11);
	set_same(&h, 0, 11);
	assert_usual(&h);
	/* Nor one that stands still now and then. */
	h = usual(11);
	set_same(&h, 0, 5);
	set_same(&h, 7, 9);
	assert_usual(&h);
	/* Of SQL text the rows are not known: the bytes alone do not say it. */
	h = usual(11);
	set_same(&h, 0, 5);
	for (size_t i = 0; i < h.count; i++)
		h.backups[i].figures[ANOMALY_ROWS] = -1;
	assert_usual(&h);
}

static void odd_figures(void **state)
{
	struct history h = usual(11);

	for (size_t i = 0; i < h.count; i++)
		for (int figure = 0; figure < ANOMALY_RATIO; figure++)
			h.backups[i].figures[figure] = -1;
	assert_usual(&h);
	assert_true(h.score == 0);
	for (size_t i = 0; i < h.count; i++)
		for (int figure = 0; figure < ANOMALY_RATIO; figure++)
			h.backups[i].figures[figure] = i % 2 ? INT64_MAX : 1;
	judge(&h);
	for (size_t i = 0; i < h.count; i++)
		for (int figure = 0; figure < ANOMALY_RATIO; figure++)
			h.backups[i].figures[figure] = INT64_MAX;
	assert_usual(&h);
}

static void each_figure_has_a_name(void **state)
{
	for (int figure = 0; figure < ANOMALY_FIGURES; figure++)
		assert_true(*anomaly_figure_name((enum anomaly_figure)figure));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_unusual),
	        cmocka_unit_test(three_are_needed),
	        cmocka_unit_test(both_ways),
	        cmocka_unit_test(only_a_long_duration),
	        cmocka_unit_test(a_restless_database),
	        cmocka_unit_test(an_outlier_before),
	        cmocka_unit_test(nothing_at_all),
	        cmocka_unit_test(a_table_vanished),
	        cmocka_unit_test(data_that_does_not_compress),
	        cmocka_unit_test(a_database_that_stands_still),
	        cmocka_unit_test(odd_figures),
	        cmocka_unit_test(each_figure_has_a_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
