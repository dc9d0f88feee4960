// SPDX-License-Identifier: Apache-2.0
/* Acknowledged items of health: how they are shown and counted, and when they end. */
#include "report_test.h"

#include <keepfs/catalog/acks.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/report/ack.h>

#define DAY_US (INT64_C(86400) * US_PER_S)

static int say(struct fixture *f, const char *command, struct str *answer, struct error *err)
{
	return report_acknowledge(&f->sources, command, "uid 0 (bash)", answer, err);
}

static void acknowledge(struct fixture *f, const char *command)
{
	_cleanup(str) struct str answer = {0};
	struct error err = {0};

	if (say(f, command, &answer, &err) < 0)
		fail_msg("%s: %s", command, err.message);
	assert_true(str_ends(str_text(&answer), "\n"));
}

static void assert_refused(struct fixture *f, const char *command, int errnum, const char *why)
{
	_cleanup(str) struct str answer = {0};
	struct error err = {0};

	assert_int_equal(say(f, command, &answer, &err), -errnum);
	assert_has(err.message, why);
	assert_string_equal(str_text(&answer), "");
}

static int set_up_trouble(void **state)
{
	struct fixture *f;

	set_up(state);
	f = *state;
	f->conf.timezone = (char *)"UTC";
	f->sources.troubles = report_troubles_new();
	f->sources.now_us = clock_now_us();
	add_artifact(f, "full", 0, add_run(f, "full", RUN_COMPLETED, NULL), 100);
	add_run(f, "full", RUN_FAILED, "refused");
	return 0;
}

static int tear_down_trouble(void **state)
{
	struct fixture *f = *state;

	report_troubles_free(f->sources.troubles);
	return tear_down(state);
}

#define ACK_TEST(name) cmocka_unit_test_setup_teardown(name, set_up_trouble, tear_down_trouble)

/* "CHECK until=…" of so many days from now. */
static char *until(struct fixture *f, const char *what, int64_t days, const char *more)
{
	char at[CLOCK_ISO_BYTES];

	return mem_printf("%s until=%s %s", what, clock_format_iso(f->sources.now_us + days * DAY_US, at),
	                  more);
}

static void acknowledge_for(struct fixture *f, const char *what, int64_t days, const char *more)
{
	_cleanup(free) char *command = until(f, what, days, more);

	acknowledge(f, command);
}

static bool counts(struct fixture *f)
{
	_cleanup(health) struct health h = gather(f);

	return health_worst(&h) != REPORT_OK;
}

static void it_is_shown_and_does_not_count(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *before = written_by(f, report_health), *text = NULL, *metrics = NULL;

	assert_true(str_starts(before, "WARN 1 of 3 checks: job full\n"));
	acknowledge_for(f, "job/full", 3, "note='on holiday'");
	text = written_by(f, report_health);
	assert_true(str_starts(text, "OK 2 of 3 checks are well; acknowledged: job full\n"));
	assert_has(text, "\nWARN  job full: run 2 failed ");
	assert_has(text, "; acknowledged by uid 0 (bash) until 20");
	assert_has(text, "Z: on holiday\n");
	metrics = written_by(f, report_metrics);
	assert_has(metrics, "\nkeepfs_health_status 0\n");
	assert_has(metrics, "\nkeepfs_health_check_status{check=\"job full\"} 1\n");
	assert_has(metrics, "\nkeepfs_health_items{check=\"job\",level=\"warn\"} 0\n");
	assert_has(metrics, "\nkeepfs_health_acknowledged{check=\"job\",subject=\"full\"} 1\n");
	acknowledge(f, "job/full off");
	assert_true(counts(f));
	assert_refused(f, "job/full off", ENOENT, "job/full is not acknowledged");
}

static void beside_others(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = NULL;

	f->conf.job_count = 2;
	acknowledge_for(f, "job/full", 3, "");
	text = written_by(f, report_health);
	assert_true(str_starts(text, "WARN 1 of 4 checks: job tenants; acknowledged: job full\n"));
}

static void by_the_name_of_the_line(void **state)
{
	struct fixture *f = *state;

	acknowledge_for(f, "'job full'", 3, "");
	assert_false(counts(f));
	acknowledge(f, "'job full' off");
	assert_true(counts(f));
}

static void a_name_of_several(void **state)
{
	struct fixture *f = *state;

	for (int i = 0; i < 2; i++)
		assert_int_equal(
		        catalog_mark_damaged(f->catalog, add_artifact(f, "full", i + 5, 3, 100), "x", NULL),
		        0);
	{
		_cleanup(free) char *command = until(f, "'damaged backup'", 3, "");

		assert_refused(f, command, EINVAL, "2 lines of status/health are called 'damaged backup'");
	}
	acknowledge_for(f, "damaged/backups/full/20261120T020005Z.dump", 3, "");
}

static void it_ends_with_its_time(void **state)
{
	struct fixture *f = *state;

	acknowledge_for(f, "job/full", 3, "");
	f->sources.now_us += 3 * DAY_US - 2 * US_PER_S;
	assert_false(counts(f));
	f->sources.now_us += 3 * US_PER_S;
	assert_true(counts(f));
	f->sources.now_us -= DAY_US; /* and does not come back */
	assert_true(counts(f));
}

static void it_ends_with_the_item(void **state)
{
	struct fixture *f = *state;

	acknowledge_for(f, "job/full", 3, "");
	add_run(f, "full", RUN_COMPLETED, NULL);
	assert_false(counts(f));
	add_run(f, "full", RUN_FAILED, "again");
	assert_true(counts(f));
}

static void it_ends_when_it_gets_worse(void **state)
{
	struct fixture *f = *state;

	add_run(f, "full", RUN_FAILED, "refused"); /* that is another item, and WARN */
	acknowledge_for(f, "failing/full", 3, "");
	assert_false(counts(f));
	add_run(f, "full", RUN_FAILED, "refused"); /* CRIT */
	assert_true(counts(f));
	acknowledge_for(f, "failing/full", 3, "");
	assert_false(counts(f));
}

/* Somebody without a mount does not see everything, and so does not say what has gone. */
static void who_sees_less_forgets_nothing(void **state)
{
	struct fixture *f = *state;
	struct report_troubles *troubles = f->sources.troubles;

	report_no_cache(troubles, "no such directory");
	acknowledge_for(f, "cache", 3, "");
	acknowledge_for(f, "job/full", 3, "");
	f->sources.troubles = NULL;
	assert_false(counts(f));
	f->sources.troubles = troubles;
	assert_false(counts(f));
}

static void a_date_is_its_beginning(void **state)
{
	struct fixture *f = *state;
	_cleanup(health) struct health h = {0};
	const struct health_item *item;
	int64_t at_us = (f->sources.now_us / DAY_US + 3) * DAY_US;
	_cleanup(free) char *command = NULL;
	char at[CLOCK_ISO_BYTES];

	clock_format_iso(at_us, at);
	command = mem_printf("job/full until=%.10s", at);
	f->conf.timezone = (char *)"UTC-3"; /* three hours ahead of UTC */
	acknowledge(f, command);
	h = gather(f);
	item = find_item(&h, "job", "full");
	assert_int_equal(item->acknowledged_until_us, at_us - 3 * 3600 * US_PER_S);
}

static void what_is_refused(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *command;
		int errnum;
		const char *why;
	} cases[] = {
	        {"job/full", EINVAL, "say until when: until=2026-12-01"},
	        {"job/full note=x", EINVAL, "say until when"},
	        {"job/full until=", EINVAL, "until= is no time"},
	        {"job/full until=tomorrow", EINVAL, "is no time: write 2026-12-01"},
	        {"job/full until=2026-13-01", EINVAL, "is no time"},
	        {"job/full until=2027-02-29", EINVAL, "is no time"},
	        {"job/full until=2026-1-001", EINVAL, "is no time"},
	        {"job/full until=2020-01-01", EINVAL, "is over"},
	        {"job/full until=2999-01-01", EINVAL, "more than a year ahead"},
	        {"job/full until=2026-12-01 until=2026-12-02", EINVAL, "'until' comes twice"},
	        {"job/full for=3d", EINVAL, "'for' is no word of ack"},
	        {"job full until=2026-12-01", EINVAL, "write CHECK/SUBJECT until=TIME"},
	        {"job/full off note=x", EINVAL, "write CHECK/SUBJECT"},
	        {"until=2026-12-01", EINVAL, "write CHECK/SUBJECT"},
	        {"'job/full", EINVAL, "not closed"},
	        {"job/tenants until=2026-12-01", ENOENT,
	         "what health finds wrong now, as CHECK/SUBJECT: job/full"},
	        {"job until=2026-12-01", ENOENT, "nothing to acknowledge in 'job'"},
	        {"store/s3://bucket until=2026-12-01", ENOENT, "nothing to acknowledge"}, /* it is well */
	        {"job/tenants off", ENOENT, "nothing to acknowledge in 'job/tenants'"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_refused(f, cases[i].command, cases[i].errnum, cases[i].why);
	assert_true(counts(f));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        ACK_TEST(it_is_shown_and_does_not_count), ACK_TEST(beside_others),
	        ACK_TEST(by_the_name_of_the_line),        ACK_TEST(a_name_of_several),
	        ACK_TEST(it_ends_with_its_time),          ACK_TEST(it_ends_with_the_item),
	        ACK_TEST(it_ends_when_it_gets_worse),     ACK_TEST(who_sees_less_forgets_nothing),
	        ACK_TEST(a_date_is_its_beginning),        ACK_TEST(what_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
