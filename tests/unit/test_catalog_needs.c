// SPDX-License-Identifier: Apache-2.0
/* What artifacts need, packs and write-ahead log: rows that come and go with them; what a manifest may say of it. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "catalog_fixture.h"

#include <keepfs/catalog/bases.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/codec/wal_name.h>

#define DIRECTORY "packs/docs/20261120T020000Z"

static void list_pack(struct fixture *f, int number, int64_t run_id)
{
	_cleanup(free) char *path = mem_printf(DIRECTORY "/%05d.tar", number);
	_cleanup(manifest) struct manifest m = {0};
	char sha256[SHA256_HEX_BYTES] = "";

	manifest_describe(&m, path, run_id, "docs");
	mem_replace_string(&m.job, "packs");
	mem_replace_string(&m.kind, "pack");
	m.started_at_us = m.finished_at_us = AT_US;
	manifest_put_own(&m, 1024, 1, sha256);
	manifest_seal(&m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static uint64_t list_state(struct fixture *f, int64_t run_id, const char *ranges)
{
	_cleanup(manifest) struct manifest m = {0};

	fill_directory(&m, "backups/docs", (SECONDS + run_id) * 1000, run_id, 1);
	m.needs = json_object_new();
	json_set_string(m.needs, DIRECTORY, ranges);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	return ino_of_artifact(m.path);
}

/* "1,3": the numbers of the packs that nothing needs. */
static void assert_unneeded(struct fixture *f, const char *expected)
{
	struct catalog_pack p = {0};
	_cleanup(str) struct str found = {0};

	while (catalog_next_unneeded_pack(f->catalog, p.path, &p) == 0) {
		assert_string_equal(p.job, "docs");
		str_appendf(&found, "%s%d", found.len ? "," : "", atoi(strrchr(p.path, '/') + 1));
	}
	assert_string_equal(str_text(&found), expected);
}

static void test_packs_are_needed_as_long_as_states_are_there(void **state)
{
	struct fixture *f = *state;
	struct catalog_newest newest;
	uint64_t first, second;

	assert_int_equal(catalog_newest_with_needs(f->catalog, "docs", &newest), -ENOENT);
	for (int i = 1; i <= 12; i++)
		list_pack(f, i, 1);
	assert_unneeded(f, "1,2,3,4,5,6,7,8,9,10,11,12");
	first = list_state(f, 1, "1-9,11");
	assert_unneeded(f, "10,12");
	second = list_state(f, 2, "9-10");
	assert_unneeded(f, "12");
	assert_true(catalog_needs_packs(f->catalog, first));
	assert_int_equal(catalog_newest_with_needs(f->catalog, "docs", &newest), 0);
	assert_true(newest.ino == second && newest.run_id == 2);
	assert_int_equal(catalog_newest_with_needs(f->catalog, "doc", &newest), -ENOENT);
	/* While it is being removed, or in the trash, it needs them still. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, NULL, NULL), 0);
	assert_unneeded(f, "12");
	assert_int_equal(catalog_drop_artifact(f->catalog, first, NULL), 0);
	assert_unneeded(f, "1,2,3,4,5,6,7,8,11,12");
	assert_false(catalog_needs_packs(f->catalog, first));
	assert_int_equal(catalog_mark_damaged(f->catalog, second, "gone", NULL), 0);
	assert_int_equal(catalog_newest_with_needs(f->catalog, "docs", &newest), -ENOENT);
}

static void test_the_newest_run_is_told(void **state)
{
	struct fixture *f = *state;
	struct catalog_pack p = {0};

	list_pack(f, 1, 5);
	assert_int_equal(catalog_next_unneeded_pack(f->catalog, "", &p), 0);
	assert_true(p.run_id == 5 && p.newest_run == 0);
	list_state(f, 3, "2");
	list_state(f, 7, "2-3");
	assert_int_equal(catalog_next_unneeded_pack(f->catalog, "", &p), 0);
	assert_int_equal(p.newest_run, 7);
	assert_int_equal(catalog_next_unneeded_pack(f->catalog, p.path, &p), -ENOENT);
}

static void add_number(void *arg, uint64_t ino, const char *path)
{
	str_appendf(arg, " %d", atoi(strrchr(path, '/') + 1));
}

static void test_packs_of_later_runs(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str numbers = {0};

	for (int i = 1; i <= 4; i++)
		list_pack(f, i, i);
	assert_int_equal(catalog_each_pack_of_job(f->catalog, "docs", 2, add_number, &numbers), 0);
	assert_string_equal(str_text(&numbers), " 3 4");
	str_clear(&numbers);
	assert_int_equal(catalog_each_pack_of_job(f->catalog, "docs2", 0, add_number, &numbers), 0);
	assert_string_equal(str_text(&numbers), "");
}

/* What is in packs/ is no backup: no directory of it is judged by rules, and no run is made of it. */
static void count_pack(void *arg, uint64_t ino)
{
	(*(int *)arg)++;
}

static void test_what_one_state_needs(void **state)
{
	struct fixture *f = *state;
	uint64_t ino, missing = 0;
	int count = 0;

	for (int i = 1; i <= 4; i++)
		list_pack(f, i, 1);
	ino = list_state(f, 1, "2-3,5");
	assert_int_equal(catalog_each_needed_pack(f->catalog, ino, count_pack, &count, &missing), 0);
	assert_int_equal(count, 2);
	assert_int_equal(missing, 1);
	assert_int_equal(catalog_each_needed_pack(f->catalog, 1, count_pack, &count, &missing), 0);
	assert_true(count == 2 && missing == 0);
}

static void test_packs_are_no_backups(void **state)
{
	struct fixture *f = *state;

	list_pack(f, 1, 1);
	assert_true(tree_is_pack(DIRECTORY "/00001.tar"));
	assert_true(tree_is_pack("packs"));
	assert_false(tree_is_pack("backups/packs/20261120T020000Z.dump"));
	assert_int_equal(tree_roots_shown + 1, tree_roots_count);
}

static int add_range(void *arg, const struct manifest_need *need)
{
	str_appendf(arg, " %s:%lld-%lld", strrchr(need->directory, '/') + 1, (long long)need->first,
	            (long long)need->last);
	return 0;
}

static int ranges_of(const char *json, struct str *out)
{
	struct manifest m = {.needs = json_parse(json, strlen(json), NULL)};
	int r = manifest_each_need(&m, add_range, out);

	json_free(m.needs);
	return r;
}

static void test_what_a_manifest_may_need(void **state)
{
	static const char *const wrong[] = {
	        "[]",
	        "{\"packs/docs/20261120T020000Z\":1}",
	        "{\"packs/docs/20261120T020000Z\":\"\"}",
	        "{\"packs/docs/20261120T020000Z\":\"0\"}",
	        "{\"packs/docs/20261120T020000Z\":\"01\"}",
	        "{\"packs/docs/20261120T020000Z\":\"1,\"}",
	        "{\"packs/docs/20261120T020000Z\":\"1-\"}",
	        "{\"packs/docs/20261120T020000Z\":\"2-1\"}",
	        "{\"packs/docs/20261120T020000Z\":\"1-1\"}",
	        "{\"packs/docs/20261120T020000Z\":\"2,1\"}",
	        "{\"packs/docs/20261120T020000Z\":\"1-3,3\"}",
	        "{\"packs/docs/20261120T020000Z\":\"1x\"}",
	        "{\"packs/docs/20261120T020000Z\":\"99999999999999999999\"}",
	        "{\"packs/docs/2026\":\"1\"}",
	        "{\"packs/20261120T020000Z\":\"1\"}",
	        "{\"packs/../20261120T020000Z\":\"1\"}",
	        "{\"packs/a/b/20261120T020000Z\":\"1\"}",
	        "{\"backups/docs/20261120T020000Z\":\"1\"}",
	};
	_cleanup(str) struct str found = {0};

	(void)state;
	assert_int_equal(
	        ranges_of(
	                "{\"packs/docs/20261120T020000Z\":\"1-5000,5003\",\"packs/docs/20261121T020000Z\":\"7\"}",
	                &found),
	        0);
	assert_string_equal(str_text(&found),
	                    " 20261120T020000Z:1-5000 20261120T020000Z:5003-5003 20261121T020000Z:7-7");
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
		assert_int_equal(ranges_of(wrong[i], &found), -EBADMSG);
}

static void test_what_lies_beside_a_manifest(void **state)
{
	static const char path[] = "backups/site/20261120T020000Z";
	_cleanup(free) char *own = manifest_contents_key(path, NULL),
	                    *part = manifest_contents_key(path, "objects");
	_cleanup(free) char *index = manifest_contents_index_key(path, "objects"),
	                    *sealed = mem_printf("%s.age", part), *again = mem_printf("%s.r2.age", part);

	(void)state;
	assert_string_equal(own, "manifests/backups/site/20261120T020000Z.contents.zst");
	assert_string_equal(index, "manifests/backups/site/20261120T020000Z.contents.objects.index");
	assert_true(manifest_is_beside(own, path) && manifest_is_beside(part, path) &&
	            manifest_is_beside(index, path) && manifest_is_beside(sealed, path) &&
	            manifest_is_beside(again, path));
	assert_true(manifest_is_beside_any(own) && manifest_is_beside_any(part) &&
	            manifest_is_beside_any(again));
	assert_false(manifest_is_beside(own, "backups/site/20261120T020000"));
	assert_false(manifest_is_beside("manifests/backups/site/20261120T020000Z.contents", path));
	assert_false(manifest_is_beside("manifests/backups/site/20261120T020000Z.contents.x/y.zst", path));
	assert_false(manifest_is_beside_any("manifests/backups/site/20261120T020000Z.json"));
}

static void fill_base(struct manifest *m, int64_t run_id, uint64_t start_lsn)
{
	const struct base_facts f = {.system_id = UINT64_C(0xF000000000000001),
	                             .timeline = 2,
	                             .start_lsn = start_lsn,
	                             .stop_lsn = start_lsn + 400,
	                             .segment_bytes = 1U << 24,
	                             .stopped_us = AT_US};

	fill_directory(m, "backups/main", (SECONDS + run_id) * 1000, run_id, 1);
	mem_replace_string(&m->kind, "base");
	mem_replace_string(&m->job, "main");
	base_facts_set(m, &f);
}

static int add_base_text(void *arg, const struct catalog_base *b)
{
	char lsn[WAL_LSN_BYTES];

	assert_true(b->facts.system_id == UINT64_C(0xF000000000000001) && b->facts.timeline == 2);
	assert_true(b->facts.stop_lsn == b->facts.start_lsn + 400 && b->facts.segment_bytes == 1U << 24);
	assert_true(b->facts.stopped_us == AT_US && b->ino == ino_of_artifact(b->path));
	str_appendf(arg, "%s%s%s ", wal_lsn_format(b->facts.start_lsn, lsn), b->is_removed ? " removed" : "",
	            b->is_damaged ? " damaged" : "");
	return 0;
}

static void assert_bases(struct fixture *f, const char *expected)
{
	_cleanup(str) struct str told = {0};

	assert_int_equal(catalog_each_base(f->catalog, "main", add_base_text, &told), 0);
	assert_string_equal(str_text(&told), expected);
}

static void test_bases_need_their_wal_until_they_are_gone(void **state)
{
	struct fixture *f = *state;
	uint64_t inos[2];

	for (int i = 0; i < 2; i++) {
		_cleanup(manifest) struct manifest m = {0};

		fill_base(&m, i + 1, i == 0 ? UINT64_C(0x200000028) : 0x28);
		assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
		inos[i] = ino_of_artifact(m.path);
	}
	assert_bases(f, "0/28 2/28 ");
	assert_int_equal(catalog_mark_damaged(f->catalog, inos[0], "gone", NULL), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, inos[1], NULL, NULL), 0);
	assert_bases(f, "0/28 removed 2/28 damaged ");
	assert_int_equal(catalog_drop_artifact(f->catalog, inos[1], NULL), 0);
	assert_bases(f, "2/28 damaged ");
}

static void test_a_base_that_does_not_say_what_it_needs(void **state)
{
	static const char *const facts[] = {"system_identifier", "timeline",      "start_lsn",
	                                    "stop_lsn",          "segment_bytes", "stopped_at"};
	static const char *const texts[] = {"", "x", "-1", "18446744073709551616", "0/0"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(facts) * ARRAY_SIZE(texts); i++) {
		_cleanup(manifest) struct manifest m = {0};
		struct error err = {0};

		fill_base(&m, 1, 0x28);
		manifest_set_fact(&m, facts[i / ARRAY_SIZE(texts)], texts[i % ARRAY_SIZE(texts)]);
		assert_int_equal(catalog_add_artifact(f->catalog, &m, &err), -EBADMSG);
		assert_non_null(strstr(err.message, facts[i / ARRAY_SIZE(texts)]));
	}
	assert_bases(f, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_packs_are_needed_as_long_as_states_are_there, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(test_the_newest_run_is_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_packs_of_later_runs, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_what_one_state_needs, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_packs_are_no_backups, set_up, tear_down),
	        TEST(test_bases_need_their_wal_until_they_are_gone),
	        TEST(test_a_base_that_does_not_say_what_it_needs),
	        cmocka_unit_test(test_what_a_manifest_may_need),
	        cmocka_unit_test(test_what_lies_beside_a_manifest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
