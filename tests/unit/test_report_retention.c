// SPDX-License-Identifier: Apache-2.0
/* status/retention of a directory with very many backups: it is short, and says what it leaves out. */
#include "report_test.h"

#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/rebuild.h>

#include <time.h>

#define MANY 2500

/* One a minute, the run's number being that of the minute. */
static void add_many(struct fixture *f)
{
	assert_int_equal(catalog_begin_rebuild(f->catalog, NULL), 0);
	for (int i = 0; i < MANY; i++)
		add_artifact(f, "full", -60 * (MANY - i), i + 1, 100);
	assert_int_equal(catalog_end_rebuild(f->catalog, true, NULL), 0);
	f->jobs[0].timezone = (char *)"UTC";
	f->conf.timezone = (char *)"";
}

static size_t lines_with(const char *text, const char *part)
{
	size_t count = 0;

	for (const char *at = text; (at = strstr(at, part)); at++)
		count++;
	return count;
}

static void the_newest_that_stay_are_shown(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_many(f);
	text = written_by(f, report_retention);
	assert_has(text, "backups/full: 2500 stay, 0 may go: nothing to do\n");
	assert_int_equal(lines_with(text, "  stays "), 1000);
	assert_has(text, "  stays 20261120T015900Z.dump  ");
	assert_null(strstr(text, "  stays 20261118T082000Z.dump"));
	assert_has(text, "  and 1500 older ones that stay: 1500 forever\n");
	assert_null(strstr(text, "may go: keepfs"));
}

static void the_oldest_that_may_go_are_shown(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	add_many(f);
	f->jobs[0].policy.keep_last = 10;
	f->jobs[0].policy.keep_within_ms = -1;
	text = written_by(f, report_retention);
	assert_has(text, "backups/full: 10 stay, 2490 may go: ");
	assert_int_equal(lines_with(text, "  stays "), 10);
	assert_int_equal(lines_with(text, "  goes  "), 1000);
	assert_has(text, "  goes  20261118T082000Z.dump  since ");
	assert_has(text, "  and 1490 more that may go: keepfs prune full after=20261119T005900Z.dump\n");
	assert_null(strstr(text, " older ones that stay"));
}

static void nothing_is_left_out_of_few(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	for (int i = 0; i < 30; i++)
		add_artifact(f, "full", -3600 * (30 - i), i + 1, 100);
	f->jobs[0].timezone = (char *)"UTC";
	f->conf.timezone = (char *)"";
	f->jobs[0].policy.keep_last = 10;
	f->jobs[0].policy.keep_within_ms = -1;
	text = written_by(f, report_retention);
	assert_int_equal(lines_with(text, "  stays ") + lines_with(text, "  goes  "), 30);
	assert_null(strstr(text, "  and "));
}

/* Metrics ask it for each job: what it costs depends on the holds, not on the backups. Going through these takes seconds. */
static void held_ones_are_counted_by_their_holds(void **state)
{
	const struct catalog_hold hold = {.name = "audit", .reason = "because", .by = "me"};
	struct fixture *f = *state;
	uint64_t ino;
	clock_t began;

	add_many(f);
	ino = add_artifact(f, "full", 0, MANY + 1, 100);
	assert_int_equal(catalog_set_hold(f->catalog, ino, &hold, NULL), 0);
	began = clock();
	for (int i = 0; i < 4000; i++)
		assert_int_equal(catalog_count_held(f->catalog, "full", AT_US), 1);
	assert_true(clock() - began < 2 * CLOCKS_PER_SEC);
	assert_int_equal(catalog_count_held(f->catalog, "tenants", AT_US), 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        REPORT_TEST(the_newest_that_stay_are_shown),
	        REPORT_TEST(the_oldest_that_may_go_are_shown),
	        REPORT_TEST(nothing_is_left_out_of_few),
	        REPORT_TEST(held_ones_are_counted_by_their_holds),
	};

	return cmocka_run_group_tests_name("report_retention", tests, NULL, NULL);
}
