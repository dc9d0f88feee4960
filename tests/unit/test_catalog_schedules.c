// SPDX-License-Identifier: Apache-2.0
/* What runs by itself: up to when it is dealt with, which classes there are, and who has switched what off. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sqlite3.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/members.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/schedules.h>

#include "catalog_fixture.h"
#include "catalog_test.h"

static struct catalog_schedule schedule_of(const char *job, const char *class, int64_t due_us,
                                           const char *rule)
{
	struct catalog_schedule s = {.due_us = due_us};

	str_copy(s.job, sizeof(s.job), job);
	str_copy(s.class, sizeof(s.class), class);
	str_copy(s.rule, sizeof(s.rule), rule);
	return s;
}

static void append_schedule(void *arg, const struct catalog_schedule *s)
{
	str_appendf(arg, "%s/%s %lld %s\n", s->job, s->class, (long long)(s->due_us - AT_US), s->rule);
}

static void assert_schedules(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str text = {0};

	assert_int_equal(catalog_schedules(f->catalog, append_schedule, &text), 0);
	assert_string_equal(str_text(&text), expected);
}

static void set(struct fixture *f, const char *job, const char *class, int64_t due_us, const char *rule)
{
	const struct catalog_schedule s = schedule_of(job, class, due_us, rule);

	assert_int_equal(catalog_set_schedules(f->catalog, &s, 1, NULL), 0);
}

static void what_was_dealt_with_is_remembered(void **state)
{
	struct fixture *f = *state;

	assert_schedules(f, "");
	set(f, "full", "", AT_US, "0 2 * * * UTC");
	set(f, "tenants", "gold", AT_US + 2, "hourly");
	set(f, "tenants", "", AT_US + 1, "daily");
	assert_schedules(f, "full/ 0 0 2 * * * UTC\ntenants/ 1 daily\ntenants/gold 2 hourly\n");
	reopen(f);
	assert_schedules(f, "full/ 0 0 2 * * * UTC\ntenants/ 1 daily\ntenants/gold 2 hourly\n");
	/* The last word counts, also when it is of an earlier moment: the clock was set back. */
	set(f, "tenants", "gold", AT_US - 5, "@daily");
	assert_schedules(f, "full/ 0 0 2 * * * UTC\ntenants/ 1 daily\ntenants/gold -5 @daily\n");
}

static void texts_of_any_kind_come_back(void **state)
{
	static const char strange[] = "'; DROP TABLE schedule; -- \303\244\n\t%s";
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};
	char job[NAME_MAX_BYTES], rule[CATALOG_RULE_BYTES];

	memset(job, 'j', sizeof(job) - 1);
	job[sizeof(job) - 1] = '\0';
	memset(rule, 'r', sizeof(rule) - 1);
	rule[sizeof(rule) - 1] = '\0';
	set(f, job, job, INT64_MAX, rule);
	set(f, strange, strange, INT64_MIN + AT_US, strange);
	set(f, "", "", AT_US, "");
	assert_int_equal(catalog_schedules(f->catalog, append_schedule, &text), 0);
	assert_non_null(strstr(str_text(&text), job));
	assert_non_null(strstr(str_text(&text), rule));
	assert_non_null(strstr(str_text(&text), strange));
	assert_true(str_starts(str_text(&text), "/ 0 \n"));
}

static void one_that_is_dropped_is_forgotten(void **state)
{
	struct fixture *f = *state;

	set(f, "tenants", "", AT_US, "daily");
	set(f, "tenants", "gold", AT_US, "hourly");
	assert_int_equal(catalog_drop_schedule(f->catalog, "tenants", "", NULL), 0);
	assert_schedules(f, "tenants/gold 0 hourly\n");
	assert_int_equal(catalog_drop_schedule(f->catalog, "tenants", "silver", NULL), 0);
	assert_int_equal(catalog_drop_schedule(f->catalog, "none", "gold", NULL), 0);
	assert_schedules(f, "tenants/gold 0 hourly\n");
	assert_int_equal(catalog_drop_schedule(f->catalog, "tenants", "gold", NULL), 0);
	assert_schedules(f, "");
}

/* As by a full disk in the middle: a rule that is too much for SQLite alone would not do, so it is told to refuse one. */
static void refuse(struct fixture *f, const char *sql)
{
	_cleanup(free) char *file = file_path(f, "catalog.db");
	sqlite3 *db;

	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

#define REFUSE_BAD                                                                                           \
	"CREATE TRIGGER refuse_bad BEFORE INSERT ON schedule WHEN NEW.class = 'bad' BEGIN"                   \
	" SELECT RAISE(ABORT, 'a rehearsed refusal'); END"

#define AT_ONCE 500

static void many_are_set_all_or_none(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) struct catalog_schedule *many = mem_array(AT_ONCE, sizeof(*many));
	_cleanup(str) struct str text = {0};
	struct error err = {0};
	uint64_t generation;

	for (int i = 0; i < AT_ONCE; i++) {
		char class[16];

		snprintf(class, sizeof(class), "c%03d", i);
		many[i] = schedule_of("tenants", class, AT_US + i, "daily");
	}
	generation = catalog_generation(f->catalog);
	assert_int_equal(catalog_set_schedules(f->catalog, many, AT_ONCE, NULL), 0);
	assert_int_equal(catalog_generation(f->catalog), generation + 1);
	assert_int_equal(catalog_schedules(f->catalog, append_schedule, &text), 0);
	assert_non_null(strstr(str_text(&text), "tenants/c000 0 daily\n"));
	assert_non_null(strstr(str_text(&text), "tenants/c499 499 daily\n"));
	refuse(f, REFUSE_BAD);
	for (int i = 0; i < AT_ONCE; i++)
		many[i].due_us += 1000;
	str_copy(many[AT_ONCE - 1].class, sizeof(many->class), "bad");
	assert_true(catalog_set_schedules(f->catalog, many, AT_ONCE, &err) < 0);
	assert_non_null(strstr(err.message, "a rehearsed refusal"));
	str_clear(&text);
	assert_int_equal(catalog_schedules(f->catalog, append_schedule, &text), 0);
	assert_non_null(strstr(str_text(&text), "tenants/c000 0 daily\n"));
	assert_int_equal(catalog_set_schedules(f->catalog, NULL, 0, NULL), 0);
}

/* After a crash there are both, or neither: neither a run that is made twice, nor a moment without its run. */
static void a_due_run_and_its_moment_are_one(void **state)
{
	struct fixture *f = *state;
	struct catalog_schedule due = schedule_of("full", "", AT_US, "daily");
	struct catalog_run run;
	struct error err = {0};
	int64_t id = 0, other = -7;

	assert_int_equal(catalog_add_due_run(f->catalog, run_of("full", "scheduled"), &due, &id, NULL), 0);
	assert_int_equal(catalog_run(f->catalog, id, &run), 0);
	assert_int_equal(run.state, RUN_PENDING);
	assert_string_equal(run.triggered_by, "scheduled");
	assert_schedules(f, "full/ 0 daily\n");
	refuse(f, REFUSE_BAD);
	due = schedule_of("full", "bad", AT_US + 5, "daily");
	assert_true(catalog_add_due_run(f->catalog, run_of("full", "scheduled"), &due, &other, &err) < 0);
	assert_int_equal(other, -7);
	assert_true(err.message[0] != '\0');
	assert_int_equal(catalog_run(f->catalog, id + 1, &run), -ENOENT);
	assert_schedules(f, "full/ 0 daily\n");
	/* Once the first has ended, its number is the next one's. */
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "x", NULL), 0);
	due = schedule_of("full", "", AT_US + 5, "daily");
	assert_int_equal(catalog_add_due_run(f->catalog, run_of("full", "scheduled"), &due, &other, NULL), 0);
	assert_int_equal(other, id + 1);
	assert_schedules(f, "full/ 5 daily\n");
}

static void append_class(void *arg, const char *job, const char *class, uint64_t databases)
{
	str_appendf(arg, "%s/%s %d\n", job, class, (int)databases);
}

static void no_change(void *arg, enum catalog_member_change change, const struct catalog_member *m)
{
}

static void read_named(struct fixture *f, const char *job, const struct catalog_named *rows, size_t count,
                       int64_t at_us)
{
	const struct catalog_reading reading = {.job = job, .rows = rows, .count = count, .at_us = at_us};

	assert_int_equal(catalog_read_members(f->catalog, &reading, no_change, NULL, NULL), 0);
}

static void assert_classes(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str text = {0};

	assert_int_equal(catalog_classes(f->catalog, append_class, &text), 0);
	assert_string_equal(str_text(&text), expected);
}

static void classes_are_those_of_live_databases(void **state)
{
	static const struct catalog_named first[] = {
	        {"a", "gold"}, {"b", "gold"}, {"c", ""}, {"d", "silver"}};
	static const struct catalog_named second[] = {{"a", "silver"}, {"b", "gold"}, {"c", ""}};
	static const struct catalog_named others[] = {{"a", "gold"}};
	struct fixture *f = *state;

	assert_classes(f, "");
	read_named(f, "tenants", first, ARRAY_SIZE(first), AT_US);
	read_named(f, "others", others, ARRAY_SIZE(others), AT_US);
	assert_classes(f, "others/gold 1\ntenants/gold 2\ntenants/silver 1\n");
	/* One has changed its class, and one is gone. */
	read_named(f, "tenants", second, ARRAY_SIZE(second), AT_US + 1);
	assert_classes(f, "others/gold 1\ntenants/gold 1\ntenants/silver 1\n");
}

static void append_switch(void *arg, const struct catalog_switch *s)
{
	str_appendf(arg, "%s %d %lld %s %lld %s\n", s->job, s->is_off, (long long)s->until_us, s->by,
	            (long long)(s->at_us - AT_US), s->note);
}

static void assert_switches(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str text = {0};

	assert_int_equal(catalog_switches(f->catalog, append_switch, &text), 0);
	assert_string_equal(str_text(&text), expected);
}

static void the_last_word_switches(void **state)
{
	struct fixture *f = *state;
	struct catalog_switch off = {
	        .job = "full", .is_off = true, .by = "uid 0 (sh)", .at_us = AT_US, .note = "a move"};

	assert_switches(f, "");
	assert_int_equal(catalog_set_switch(f->catalog, &off, NULL), 0);
	assert_switches(f, "full 1 0 uid 0 (sh) 0 a move\n");
	reopen(f);
	off.is_off = false;
	off.at_us++;
	off.note[0] = '\0';
	assert_int_equal(catalog_set_switch(f->catalog, &off, NULL), 0);
	assert_switches(f, "full 0 0 uid 0 (sh) 1 \n");
}

static void two_words_concern_a_job(void **state)
{
	struct fixture *f = *state;
	const struct catalog_switch one = {.job = "full",
	                                   .is_off = true,
	                                   .by = "one",
	                                   .at_us = AT_US,
	                                   .until_us = 5},
	                            all = {.is_off = true, .by = "all", .at_us = AT_US, .until_us = 10};
	_cleanup(str) struct str own = {0}, both = {0}, other = {0};

	assert_int_equal(catalog_set_switch(f->catalog, &one, NULL), 0);
	assert_int_equal(catalog_switches_of(f->catalog, "full", append_switch, &own), 0);
	assert_string_equal(str_text(&own), "full 1 5 one 0 \n");
	assert_int_equal(catalog_set_switch(f->catalog, &all, NULL), 0);
	assert_int_equal(catalog_switches_of(f->catalog, "full", append_switch, &both), 0);
	assert_non_null(strstr(str_text(&both), "full 1 5 one 0 \n"));
	assert_non_null(strstr(str_text(&both), " 1 10 all 0 \n"));
	assert_int_equal(catalog_switches_of(f->catalog, "other", append_switch, &other), 0);
	assert_string_equal(str_text(&other), " 1 10 all 0 \n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_was_dealt_with_is_remembered),
	        TEST(texts_of_any_kind_come_back),
	        TEST(one_that_is_dropped_is_forgotten),
	        TEST(many_are_set_all_or_none),
	        TEST(a_due_run_and_its_moment_are_one),
	        TEST(classes_are_those_of_live_databases),
	        TEST(the_last_word_switches),
	        TEST(two_words_concern_a_job),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
