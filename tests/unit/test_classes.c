// SPDX-License-Identifier: Apache-2.0
/* From which age on backups are in which storage class: what people write, and which backups are due. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "catalog_fixture.h"

#include <keepfs/catalog/classes.h>
#include <keepfs/policy/classes.h>

#define DAY_US (INT64_C(86400) * US_PER_S)

static void test_steps(void **state)
{
	static char a[] = "0s STANDARD_IA", b[] = "90d GLACIER_IR", c[] = "1y  DEEP_ARCHIVE";
	char *const texts[] = {a, b, c, NULL};
	struct class_step steps[CLASS_STEPS_MAX];
	size_t count = 0;

	assert_int_equal(class_steps_parse(texts, steps, &count, NULL), 0);
	assert_int_equal(count, 3);
	assert_int_equal(steps[0].after_s, 0);
	assert_int_equal(steps[1].after_s, INT64_C(90) * 86400);
	assert_int_equal(steps[2].after_s, INT64_C(365) * 86400);
	assert_string_equal(steps[2].class, "DEEP_ARCHIVE");
	assert_int_equal(class_step_at(steps, count, 0), 0);
	assert_int_equal(class_step_at(steps, count, INT64_C(90) * 86400 - 1), 0);
	assert_int_equal(class_step_at(steps, count, INT64_C(90) * 86400), 1);
	assert_int_equal(class_step_at(steps, count, INT64_MAX), 2);
	assert_int_equal(class_step_at(steps + 1, 2, 86400), -1);
	assert_int_equal(class_steps_parse(NULL, steps, &count, NULL), 0);
	assert_int_equal(count, 0);
}

static void expect_wrong(char *first, char *second, const char *words)
{
	char *const texts[] = {first, second, NULL};
	_cleanup(str) struct str wrong = {0};
	struct class_step steps[CLASS_STEPS_MAX];
	size_t count = 77;

	assert_int_equal(class_steps_parse(texts, steps, &count, &wrong), -EINVAL);
	assert_int_equal(count, 77);
	if (!strstr(str_text(&wrong), words))
		fail_msg("'%s' does not say '%s'", str_text(&wrong), words);
}

static void test_wrong_steps(void **state)
{
	static const char *const ages[] = {"",
	                                   "GLACIER",
	                                   "d GLACIER",
	                                   "-1d GLACIER",
	                                   "30 GLACIER",
	                                   "30d",
	                                   "30dGLACIER",
	                                   "30D X",
	                                   "99999999999999999999d X",
	                                   "36501d X",
	                                   "30x X",
	                                   " 30d X"};
	static const char *const names[] = {"30d ", "30d glacier", "30d GLACIER IR",
	                                    "30d A_NAME_THAT_IS_LONGER_THAN_ANY_CLASS", "30d A\nB"};

	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		expect_wrong((char *)ages[i], NULL, "does not begin with an age");
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		expect_wrong((char *)names[i], NULL, "is no storage class");
	expect_wrong("30d STANDARD_IA", "30d GLACIER_IR", "does not come later");
	expect_wrong("30d STANDARD_IA", "90d STANDARD_IA", "twice");
	expect_wrong("30d GLACIER", "90d DEEP_ARCHIVE", "nothing can be copied");
}

static void test_too_many_steps(void **state)
{
	char texts[CLASS_STEPS_MAX + 1][16], *list[CLASS_STEPS_MAX + 2] = {NULL};
	struct class_step steps[CLASS_STEPS_MAX];
	size_t count = 0;

	for (int i = 0; i <= CLASS_STEPS_MAX; i++) {
		snprintf(texts[i], sizeof(texts[i]), "%dd C%d", i + 1, i);
		list[i] = texts[i];
	}
	assert_int_equal(class_steps_parse(list, steps, &count, NULL), -EINVAL);
	list[CLASS_STEPS_MAX] = NULL;
	assert_int_equal(class_steps_parse(list, steps, &count, NULL), 0);
	assert_int_equal(count, CLASS_STEPS_MAX);
}

/* The catalog. */

static uint64_t list_backup(struct fixture *f, const char *path, const char *kind, int64_t run_id,
                            int64_t at_us, const char *needs)
{
	_cleanup(manifest) struct manifest m = {0};
	char sha256[SHA256_HEX_BYTES] = "";

	manifest_describe(&m, path, run_id, "docs");
	mem_replace_string(&m.job, "docs");
	mem_replace_string(&m.kind, kind);
	m.started_at_us = m.finished_at_us = at_us;
	manifest_put_own(&m, 1024, 1, sha256);
	if (needs) {
		m.needs = json_object_new();
		json_set_string(m.needs, "packs/docs/20261120T020000Z", needs);
	}
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_of_artifact(path);
}

static uint64_t next_to_move(struct fixture *f, const char *class, int64_t from_us, int64_t to_us,
                             int64_t now_us)
{
	const struct catalog_class_step step = {
	        .job = "docs", .class = class, .from_us = from_us, .to_us = to_us, .now_us = now_us};
	uint64_t ino = 0;
	int r = catalog_next_to_move(f->catalog, &step, &ino);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0 ? ino : 0;
}

static void note_class(struct fixture *f, uint64_t ino, const char *class, bool is_frozen,
                       int64_t next_try_us)
{
	struct catalog_class row = {
	        .ino = ino, .is_frozen = is_frozen, .next_try_us = next_try_us, .bytes = 1024};

	str_copy(row.name, sizeof(row.name), class);
	str_copy(row.wanted, sizeof(row.wanted), class);
	assert_int_equal(catalog_set_class(f->catalog, &row, NULL), 0);
}

static void test_what_is_due(void **state)
{
	struct fixture *f = *state;
	uint64_t old = list_backup(f, "backups/docs/20261101T020000Z.dump", "dump", 1, 10 * DAY_US, NULL);
	uint64_t young = list_backup(f, "backups/docs/20261103T020000Z.dump", "dump", 2, 12 * DAY_US, NULL);
	struct catalog_class row;
	int64_t next_us = 0;

	assert_true(next_to_move(f, "IA", INT64_MIN, 9 * DAY_US, 0) == 0);
	assert_true(next_to_move(f, "IA", INT64_MIN, 10 * DAY_US, 0) == old);
	assert_true(next_to_move(f, "IA", INT64_MIN, 20 * DAY_US, 0) == old);
	assert_true(next_to_move(f, "IA", 10 * DAY_US, 20 * DAY_US, 0) == young);
	note_class(f, old, "IA", false, 0);
	assert_true(next_to_move(f, "IA", INT64_MIN, 20 * DAY_US, 0) == young);
	/* The next step wants another one; but not of what is frozen, or was put off. */
	assert_true(next_to_move(f, "GLACIER_IR", INT64_MIN, 11 * DAY_US, 0) == old);
	note_class(f, old, "IA", false, 30 * DAY_US);
	assert_true(next_to_move(f, "GLACIER_IR", INT64_MIN, 11 * DAY_US, 29 * DAY_US) == 0);
	assert_true(next_to_move(f, "GLACIER_IR", INT64_MIN, 11 * DAY_US, 30 * DAY_US) == old);
	assert_int_equal(catalog_next_class_time(f->catalog, "docs", 100 * DAY_US, 29 * DAY_US, &next_us), 0);
	assert_true(next_us == 30 * DAY_US);
	note_class(f, old, "DEEP_ARCHIVE", true, 0);
	assert_true(next_to_move(f, "GLACIER_IR", INT64_MIN, 11 * DAY_US, 30 * DAY_US) == 0);
	assert_int_equal(catalog_next_class_time(f->catalog, "docs", 30 * DAY_US, 41 * DAY_US, &next_us), 0);
	assert_true(next_us == 42 * DAY_US);
	assert_int_equal(catalog_next_class_time(f->catalog, "docs", 30 * DAY_US, 43 * DAY_US, &next_us),
	                 -ENOENT);
	assert_int_equal(catalog_next_frozen(f->catalog, 0, &row), 0);
	assert_true(row.ino == old);
	assert_string_equal(row.path, "backups/docs/20261101T020000Z.dump");
	assert_int_equal(catalog_next_frozen(f->catalog, row.ino, &row), -ENOENT);
	/* It goes with its artifact. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, old, NULL, NULL), 0);
	assert_int_equal(catalog_class_of(f->catalog, old, &row), -ENOENT);
	assert_int_equal(catalog_drop_artifact(f->catalog, old, NULL), 0);
	note_class(f, old, "IA", false, 0);
	assert_int_equal(catalog_class_of(f->catalog, old, &row), -ENOENT);
}

static void test_a_pack_is_as_old_as_who_needs_it(void **state)
{
	struct fixture *f = *state;
	uint64_t pack = list_backup(f, "packs/docs/20261120T020000Z/00001.tar", "pack", 1, DAY_US, NULL),
	         state_ino;

	/* Nobody needs it: it is as old as it is. */
	assert_true(next_to_move(f, "IA", INT64_MIN, 5 * DAY_US, 0) == pack);
	state_ino = list_backup(f, "backups/docs/20261110T020000Z.x", "mirror", 2, 10 * DAY_US, "1-3");
	assert_true(next_to_move(f, "IA", INT64_MIN, 5 * DAY_US, 0) == 0);
	note_class(f, state_ino, "IA", false, 0);
	assert_true(next_to_move(f, "IA", INT64_MIN, 10 * DAY_US, 0) == pack);
}

static void keep_sum(void *arg, const struct catalog_class_sum *sum)
{
	str_appendf(arg, "%s %llu %llu %llu;", sum->name, (unsigned long long)sum->artifacts,
	            (unsigned long long)sum->bytes, (unsigned long long)sum->frozen);
}

static void test_what_a_read_finds_out(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = list_backup(f, "backups/docs/20261101T020000Z.dump", "dump", 1, DAY_US, NULL);
	_cleanup(str) struct str sums = {0};
	struct catalog_class_failing failing;
	struct catalog_class row;

	assert_int_equal(catalog_note_frozen(f->catalog, ino, "GLACIER", 5 * DAY_US, NULL), 0);
	assert_int_equal(catalog_note_frozen(f->catalog, ino, "GLACIER", 6 * DAY_US, NULL), 0);
	assert_int_equal(catalog_class_of(f->catalog, ino, &row), 0);
	assert_true(row.is_frozen && row.since_us == 5 * DAY_US && row.bytes == 1024);
	assert_int_equal(catalog_each_class(f->catalog, keep_sum, &sums), 0);
	assert_string_equal(str_text(&sums), "GLACIER 1 1024 1;");
	assert_int_equal(catalog_class_failing(f->catalog, &failing), 0);
	assert_true(failing.count == 0);
	row.failures = 2;
	str_copy(row.why, sizeof(row.why), "no such class");
	str_copy(row.moving, sizeof(row.moving), "IA");
	assert_int_equal(catalog_set_class(f->catalog, &row, NULL), 0);
	assert_int_equal(catalog_class_failing(f->catalog, &failing), 0);
	assert_true(failing.count == 1);
	assert_string_equal(failing.why, "no such class");
	assert_int_equal(catalog_next_moving(f->catalog, 0, &row), 0);
	assert_int_equal(catalog_next_moving(f->catalog, row.ino, &row), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_steps),
	        cmocka_unit_test(test_wrong_steps),
	        cmocka_unit_test(test_too_many_steps),
	        cmocka_unit_test_setup_teardown(test_what_is_due, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_pack_is_as_old_as_who_needs_it, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_what_a_read_finds_out, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
