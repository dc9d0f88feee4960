// SPDX-License-Identifier: Apache-2.0
/* Drills: they are kept by count, found again, and take turns. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/policy/retention.h>

#include "catalog_fixture.h"

static uint64_t add_backup(struct fixture *f, const char *directory, int n, unsigned tiers)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, directory, (SECONDS + n) * 1000, n + 1, 10);
	m.tiers = tiers;
	m.tiers_known = true;
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_at(directory, (SECONDS + n) * 1000);
}

static void add_row(struct fixture *f, const char *job, const char *directory, const char *pick,
                    int64_t at_us, enum drill_result result)
{
	struct catalog_drill d = {.run_id = 7,
	                          .started_at_us = at_us,
	                          .finished_at_us = at_us + 5,
	                          .result = result,
	                          .level = 3,
	                          .wanted = 5,
	                          .restore_us = 11,
	                          .bytes = 13};
	struct error err = {0};

	str_copy(d.job, sizeof(d.job), job);
	str_copy(d.directory, sizeof(d.directory), directory);
	str_copy(d.path, sizeof(d.path), "backups/full/x.dump");
	str_copy(d.pick, sizeof(d.pick), pick);
	if (catalog_add_drill(f->catalog, &d, "{\"a\": 1}", &err) < 0)
		fail_msg("%s", err.message);
}

static void they_are_found_again(void **state)
{
	struct fixture *f = *state;
	struct catalog_drill found[4];
	_cleanup(free) char *report = NULL;

	add_row(f, "full", "backups/full", "newest", AT_US, DRILL_PASSED);
	add_row(f, "full", "backups/full", "daily", AT_US, DRILL_DIFFERS);
	add_row(f, "full", "backups/full", "daily", AT_US + 1000000, DRILL_CANCELLED);
	add_row(f, "other", "backups/other", "asked", AT_US + 2000000, DRILL_FAILED);
	assert_int_equal(catalog_drills(f->catalog, NULL, 0, found, 4), 4);
	assert_string_equal(found[0].job, "other");
	assert_int_equal(catalog_drills(f->catalog, "full", 0, found, 4), 3);
	assert_string_equal(found[1].pick, "daily");
	assert_int_equal(found[1].result, DRILL_DIFFERS);
	assert_int_equal(found[1].restore_us, 11);
	/* Two of one second. */
	assert_string_not_equal(found[1].name, found[2].name);
	assert_true(strncmp(found[1].name, found[2].name, 16) == 0 && strcmp(found[1].name + 16, "-2") == 0);
	assert_int_equal(catalog_drills(f->catalog, "full", found[1].id, found, 4), 1);
	assert_int_equal(catalog_last_drill(f->catalog, "full", NULL, false, found), 0);
	assert_int_equal(found[0].result, DRILL_DIFFERS);
	assert_int_equal(catalog_last_drill(f->catalog, "full", "backups/full", true, found), 0);
	assert_int_equal(found[0].result, DRILL_PASSED);
	assert_int_equal(catalog_last_drill(f->catalog, "other", NULL, true, found), -ENOENT);
	assert_int_equal(catalog_find_drill(f->catalog, found[0].name, found + 1, &report), 0);
	assert_string_equal(report, "{\"a\": 1}");
	assert_int_equal(catalog_find_drill(f->catalog, "none", found + 1, &report), -ENOENT);
}

static void old_ones_go(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) struct catalog_drill *found = NULL;

	add_row(f, "seldom", "backups/seldom", "newest", AT_US, DRILL_PASSED);
	add_row(f, "full", "backups/full", "newest", AT_US, DRILL_PASSED);
	for (int i = 1; i < DRILLS_KEPT + 10; i++)
		add_row(f, "full", "backups/full", "newest", AT_US + i * INT64_C(1000000), DRILL_FAILED);
	found = mem_array(DRILLS_KEPT + 100, sizeof(*found));
	assert_int_equal(catalog_drills(f->catalog, NULL, 0, found, DRILLS_KEPT + 100), DRILLS_KEPT + 2);
	assert_int_equal(catalog_last_drill(f->catalog, "seldom", NULL, true, found), 0);
	assert_int_equal(catalog_last_drill(f->catalog, "full", NULL, true, found), 0);
	assert_int_equal(found->started_at_us, AT_US);
}

static void turns(void **state)
{
	struct fixture *f = *state;
	uint64_t monthly = add_backup(f, "backups/full", 0, RETENTION_MONTHLY),
	         daily = add_backup(f, "backups/full", 1, RETENTION_DAILY);
	uint64_t newest = add_backup(f, "backups/full", 2, RETENTION_DAILY), ino = 0;
	char pick[16] = "";

	assert_int_equal(catalog_drill_pick(f->catalog, "backups/full", &ino, pick), 0);
	assert_string_equal(pick, "newest");
	assert_int_equal(ino, newest);
	add_row(f, "full", "backups/full", "newest", AT_US, DRILL_FAILED);
	assert_int_equal(catalog_drill_pick(f->catalog, "backups/full", &ino, pick), 0);
	assert_string_equal(pick, "daily");
	assert_int_equal(ino, daily);
	add_row(f, "full", "backups/full", "daily", AT_US + 1, DRILL_PASSED);
	assert_int_equal(catalog_drill_pick(f->catalog, "backups/full", &ino, pick), 0);
	assert_string_equal(pick, "monthly");
	assert_int_equal(ino, monthly);
	add_row(f, "full", "backups/full", "monthly", AT_US + 2, DRILL_PASSED);
	assert_int_equal(catalog_drill_pick(f->catalog, "backups/full", &ino, pick), 0);
	assert_string_equal(pick, "newest");
	/* What is damaged has no turn. */
	assert_int_equal(catalog_mark_damaged(f->catalog, newest, "bits", NULL), 0);
	assert_int_equal(catalog_drill_pick(f->catalog, "backups/full", &ino, pick), 0);
	assert_int_equal(ino, daily);
	assert_int_equal(catalog_drill_pick(f->catalog, "backups/none", &ino, pick), -ENOENT);
}

/* Of other kinds of jobs what can be restored for a trial has turns, too. */
static void kinds_that_have_turns(void **state)
{
	static const struct {
		const char *kind;
		int found;
	} kinds[] = {{"dump", 0}, {"files", 0}, {"bundle", 0}, {"mirror", -ENOENT}, {"export", -ENOENT}};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		_cleanup(manifest) struct manifest m = {0};
		_cleanup(free) char *directory = mem_printf("backups/%s", kinds[i].kind);
		uint64_t ino = 0, damaged = 9;

		fill(&m, directory, SECONDS * 1000, (int64_t)i + 1, 10);
		mem_replace_string(&m.kind, kinds[i].kind);
		assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
		assert_int_equal(catalog_newest_whole(f->catalog, directory, &ino), kinds[i].found);
		if (kinds[i].found < 0)
			continue;
		assert_int_equal(catalog_mark_damaged(f->catalog, ino, "bits", NULL), 0);
		assert_int_equal(catalog_newest_whole(f->catalog, directory, &ino), -ENOENT);
		assert_int_equal(catalog_damaged_dumps(f->catalog, directory, &damaged), 0);
		assert_int_equal(damaged, 1);
	}
}

static void directories_take_turns(void **state)
{
	struct fixture *f = *state;
	char *path = NULL;

	assert_int_equal(catalog_drill_directory(f->catalog, "backups/tenants", &path), -ENOENT);
	add_backup(f, "backups/tenants/a", 0, 0);
	add_backup(f, "backups/tenants/b", 1, 0);
	add_backup(f, "backups/tenantsx", 2, 0);
	assert_int_equal(catalog_drill_directory(f->catalog, "backups/tenants", &path), 0);
	assert_string_equal(path, "backups/tenants/a");
	free(path);
	add_row(f, "tenants", "backups/tenants/a", "newest", AT_US, DRILL_FAILED);
	assert_int_equal(catalog_drill_directory(f->catalog, "backups/tenants", &path), 0);
	assert_string_equal(path, "backups/tenants/b");
	free(path);
	/* A proof is a turn, too. */
	assert_int_equal(catalog_set_proof(f->catalog, ino_at("backups/tenants/b", (SECONDS + 1) * 1000),
	                                   PROOF_RESTORED, AT_US + 9, 0, NULL, NULL),
	                 0);
	assert_int_equal(catalog_drill_directory(f->catalog, "backups/tenants", &path), 0);
	assert_string_equal(path, "backups/tenants/a");
	free(path);
}

static void append_last(void *arg, const struct catalog_drill *d)
{
	str_appendf(arg, "%s %s %s|", d->job, d->directory, drill_result_name(d->result));
}

static void assert_last(struct fixture *f, bool by_directory, const char *expected)
{
	_cleanup(str) struct str found = {0};

	assert_int_equal(catalog_last_drills(f->catalog, by_directory, append_last, &found), 0);
	assert_string_equal(str_text(&found), expected);
}

static void the_last_ones_of_all(void **state)
{
	struct fixture *f = *state;

	assert_last(f, true, "");
	add_backup(f, "backups/t/a", 0, 0);
	add_backup(f, "backups/t/b", 1, 0);
	add_backup(f, "backups/u", 2, 0);
	add_row(f, "t", "backups/t/gone", "newest", AT_US, DRILL_PASSED);
	add_row(f, "t", "backups/t/a", "newest", AT_US, DRILL_FAILED);
	add_row(f, "t", "backups/t/a", "newest", AT_US, DRILL_PASSED);
	add_row(f, "t", "backups/t/b", "newest", AT_US, DRILL_PASSED);
	add_row(f, "t", "backups/t/b", "newest", AT_US, DRILL_DIFFERS);
	add_row(f, "t", "backups/t/a", "newest", AT_US, DRILL_CANCELLED);
	add_row(f, "u", "backups/u", "newest", AT_US, DRILL_FAILED);
	assert_last(f, false, "t backups/t/b passed|t backups/t/b differs|u backups/u failed|");
	assert_last(f, true,
	            "t backups/t/a passed|t backups/t/b passed|t backups/t/b differs|u backups/u failed|");
}

struct tried {
	const char *directory;
	int64_t backup; /* of add_backup() */
	enum drill_result result;
	int level, wanted, wrong_level;
};

static void add_tried(struct fixture *f, const struct tried *t)
{
	struct catalog_drill d = {.run_id = 7,
	                          .started_at_us = AT_US,
	                          .finished_at_us = AT_US,
	                          .result = t->result,
	                          .level = t->level,
	                          .wanted = t->wanted,
	                          .wrong_level = t->wrong_level};
	char name[NAME_MAX_BYTES];

	name_format((SECONDS + t->backup) * 1000, ".dump", name);
	str_copy(d.job, sizeof(d.job), "tenants");
	str_copy(d.directory, sizeof(d.directory), t->directory);
	snprintf(d.path, sizeof(d.path), "%s/%s", t->directory, name);
	str_copy(d.pick, sizeof(d.pick), "newest");
	assert_int_equal(catalog_add_drill(f->catalog, &d, "{}", NULL), 0);
}

/* How many stand when these have been tried. */
static void assert_standing(struct fixture *f, const struct tried *bad, const struct tried *good,
                            unsigned count)
{
	struct catalog_drill worst;
	uint64_t found = 0;
	int r;

	add_tried(f, bad);
	r = catalog_standing_drill(f->catalog, "tenants", &worst, &found);
	assert_int_equal(r, 0);
	assert_true(worst.result == DRILL_DIFFERS || worst.result == bad->result);
	add_tried(f, good);
	r = catalog_standing_drill(f->catalog, "tenants", &worst, &found);
	assert_int_equal(r, count ? 0 : -ENOENT);
	if (count)
		assert_int_equal(found, count);
}

#define A "backups/tenants/a"
#define B "backups/tenants/b"

static void what_is_wrong_with_a_backup_is_settled_by_it(void **state)
{
	struct fixture *f = *state;
	const struct tried differs = {A, 0, DRILL_DIFFERS, 2, 5, 3};

	add_backup(f, A, 0, 0);
	add_backup(f, A, 1, 0);
	add_backup(f, B, 0, 0);
	/* Another tenant's; a newer one; the same, not looked at; looked at, and not proven. */
	assert_standing(f, &differs, &(struct tried){B, 0, DRILL_PASSED, 5, 5, 0}, 1);
	add_tried(f, &(struct tried){A, 1, DRILL_PASSED, 5, 5, 0});
	add_tried(f, &(struct tried){A, 0, DRILL_PASSED, 2, 2, 0});
	assert_standing(f, &differs, &(struct tried){A, 0, DRILL_PASSED, 2, 5, 0}, 2);
	assert_standing(f, &differs, &(struct tried){A, 0, DRILL_PASSED, 3, 3, 0}, 0);
	/* It could not be restored. */
	assert_standing(f, &(struct tried){A, 0, DRILL_FAILED, -1, 5, 2},
	                &(struct tried){A, 0, DRILL_PASSED, 2, 2, 0}, 0);
	/* Of SQL text no more than level 2 can be proven. */
	assert_standing(f, &(struct tried){A, 0, DRILL_DIFFERS, 2, 5, 4},
	                &(struct tried){A, 0, DRILL_PASSED, 2, 5, 0}, 0);
}

static void what_is_not_the_backups_any_of_its_directory_settles(void **state)
{
	struct fixture *f = *state;

	add_backup(f, A, 0, 0);
	add_backup(f, A, 1, 0);
	add_backup(f, B, 0, 0);
	assert_standing(f, &(struct tried){A, 0, DRILL_FAILED, -1, 5, 0},
	                &(struct tried){B, 0, DRILL_PASSED, 5, 5, 0}, 1);
	add_tried(f, &(struct tried){A, 1, DRILL_PASSED, 2, 2, 0});
	assert_standing(f, &(struct tried){A, 0, DRILL_DIFFERS, 4, 5, 5},
	                &(struct tried){A, 1, DRILL_PASSED, 3, 4, 0}, 2);
	assert_standing(f, &(struct tried){A, 0, DRILL_FAILED, 2, 5, 0},
	                &(struct tried){A, 1, DRILL_PASSED, 4, 5, 0}, 0);
}

static void what_is_gone_cannot_be_tried_again(void **state)
{
	struct fixture *f = *state;

	add_backup(f, A, 1, 0);
	add_backup(f, B, 0, 0);
	assert_standing(f, &(struct tried){A, 0, DRILL_DIFFERS, 2, 5, 3},
	                &(struct tried){B, 0, DRILL_PASSED, 5, 5, 0}, 1);
	assert_standing(f, &(struct tried){A, 0, DRILL_DIFFERS, 2, 5, 3},
	                &(struct tried){A, 1, DRILL_PASSED, 3, 3, 0}, 0);
	assert_standing(f, &(struct tried){"backups/tenants/gone", 0, DRILL_DIFFERS, 2, 5, 3},
	                &(struct tried){B, 0, DRILL_PASSED, 3, 3, 0}, 0);
}

/* However many tenants have their turn in between. */
static void what_stands_is_kept(void **state)
{
	struct fixture *f = *state;
	struct catalog_drill worst;
	uint64_t count = 0;

	add_backup(f, A, 0, 0);
	add_backup(f, B, 0, 0);
	add_tried(f, &(struct tried){A, 0, DRILL_DIFFERS, 2, 5, 3});
	add_tried(f, &(struct tried){B, 0, DRILL_PASSED, 5, 5, 0});
	for (int i = 0; i < DRILLS_KEPT + 10; i++)
		add_tried(f, &(struct tried){B, 0, DRILL_PASSED, 3, 3, 0});
	assert_int_equal(catalog_standing_drill(f->catalog, "tenants", &worst, &count), 0);
	assert_int_equal(count, 1);
	assert_int_equal(catalog_good_drill(f->catalog, "tenants", 5, &worst), 0);
	assert_int_equal(worst.id, 2);
	assert_int_equal(catalog_good_drill(f->catalog, "tenants", 3, &worst), 0);
	assert_int_equal(worst.id, DRILLS_KEPT + 12);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(they_are_found_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(old_ones_go, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(turns, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(kinds_that_have_turns, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(directories_take_turns, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_last_ones_of_all, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_wrong_with_a_backup_is_settled_by_it, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(what_is_not_the_backups_any_of_its_directory_settles, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(what_is_gone_cannot_be_tried_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_stands_is_kept, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("catalog_drills", tests, NULL, NULL);
}
