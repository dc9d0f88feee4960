// SPDX-License-Identifier: Apache-2.0
/* The rows of artifacts: what is kept of them, counted, hidden, refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/error.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/codec/extents.h>
#include <keepfs/codec/manifest.h>
#include <keepfs/codec/name.h>

#include "catalog_fixture.h"

static void a_manifest_is_kept_whole(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(manifest_object) struct manifest_object o = {0};
	_cleanup(str) struct str text = {0}, text_back = {0};
	uint64_t ino;

	fill(&m, "backups/full", SECONDS * 1000, 7, 4242);
	manifest_set_fact(&m, "system_identifier", "7301234567890123456");
	manifest_set_fact_int(&m, "rows", INT64_MAX);
	m.note = mem_strdup("before the upgrade");
	mem_replace_string(&m.objects[0].key, "elsewhere/x.age");
	m.objects[0].cipher = mem_strdup("age");
	m.partial = true;
	m.verified_at_us = AT_US + 77;
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
	reopen(f);
	ino = ino_of_artifact(m.path);
	assert_int_equal(catalog_manifest(f->catalog, ino, &back), 0);
	assert_int_equal(catalog_object(f->catalog, ino, &o), 0);
	/* Its files and objects are asked for one by one. */
	str_copy(back.extents_sha256, sizeof(back.extents_sha256), m.extents_sha256);
	manifest_add_file(&back, m.files[0].name)->object = manifest_add_object(&back, "");
	back.files[0].size_bytes = back.size_bytes;
	str_copy(back.files[0].sha256, sizeof(back.files[0].sha256), back.sha256);
	free(back.objects[0].key);
	back.objects[0] = o;
	o = (struct manifest_object){0};
	manifest_encode(&m, &text);
	manifest_encode(&back, &text_back);
	assert_string_equal(str_text(&text), str_text(&text_back));
	assert_int_equal(catalog_manifest(f->catalog, ino ^ 1, &back), -ENOENT);
	assert_int_equal(catalog_object(f->catalog, ino ^ 1, &o), -ENOENT);
}

static void files_that_cannot_be_listed_are_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest many = {0}, unloaded = {0}, within = {0}, artifact = {0};
	struct catalog_entry entry;
	struct error err = {0};

	fill(&many, "backups/full", SECONDS * 1000, 1, 10);
	for (int i = 0; i <= MANIFEST_BESIDE_MAX; i++) {
		char name[64];

		snprintf(name, sizeof(name), "20261120T020000Z.%d", i);
		add_file(&many, name, 1);
	}
	manifest_seal(&many);
	assert_int_equal(catalog_add_artifact(f->catalog, &many, &err), -EINVAL);
	fill_beside(&unloaded, "backups/full", SECONDS * 1000, 1, 10);
	extents_finish(&unloaded.objects[1].extents);
	assert_int_equal(catalog_add_artifact(f->catalog, &unloaded, &err), -EINVAL);
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "full", &entry), -ENOENT);

	/* A database that is called like a backup: two files, one path. */
	fill(&artifact, "backups/full/20261120T020000Z", SECONDS * 1000, 1, 10);
	assert_int_equal(catalog_add_artifact(f->catalog, &artifact, NULL), 0);
	fill_directory(&within, "backups/full", SECONDS * 1000, 1, 3);
	add_file(&within, "20261120T020000Z.dump", 1);
	within.size_bytes++;
	manifest_seal(&within);
	assert_int_equal(catalog_add_artifact(f->catalog, &within, &err), -EEXIST);
	assert_non_null(strstr(err.message, "backups/full/20261120T020000Z/20261120T020000Z.dump"));
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(artifact.path), NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &within, NULL), 0);
	assert_int_equal(catalog_add_artifact(f->catalog, &artifact, &err), -EEXIST);
	assert_int_equal(entry_of(f, ino_of_artifact(artifact.path)).kind, CATALOG_FILE);
}

static void name_it(struct manifest *m, const char *directory, const char *name, int64_t sequence)
{
	fill(m, directory, sequence, 1, 10);
	free(m->path);
	m->path = mem_printf("%s/%s", directory, name);
	mem_replace_string(&m->files[0].name, name);
	mem_replace_string(&m->objects[0].key, m->path);
}

/* Of one second, and beside one that is named by time. */
static void artifacts_may_have_names(void **state)
{
	static const char *const names[] = {"2026-11.tar.gz", "2026-12.tar.gz", "zz.tar"};
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full");
	struct catalog_entry entry, page[8];
	int64_t again;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(manifest) struct manifest m = {0};

		name_it(&m, "backups/full", names[i], SECONDS * 1000);
		assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
		assert_int_equal(catalog_entry_by_name(f->catalog, directory, names[i], &entry), 0);
		assert_int_equal(entry.sequence, SECONDS * 1000 + 1 + (int64_t)i);
		assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0); /* again: where it was */
		assert_int_equal(catalog_entry_by_name(f->catalog, directory, names[i], &entry), 0);
		again = entry.sequence;
		assert_int_equal(again, SECONDS * 1000 + 1 + (int64_t)i);
	}
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_ARTIFACT, -1, page, 8), 4);
	assert_string_equal(page[3].name, "zz.tar");
	directory_counts_are_true(f, "backups/full", 4);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "2026-11.tar", &entry), -ENOENT);

	assert_int_equal(catalog_stem_taken(f->catalog, "backups/full", "2026-11"), 1);
	assert_int_equal(catalog_stem_taken(f->catalog, "backups/full", "2026-1"), 0);
	assert_int_equal(catalog_stem_taken(f->catalog, "backups/full", "20261120T020000Z"), 1);
	assert_int_equal(catalog_stem_taken(f->catalog, "backups/none", "2026-11"), 0);
	assert_int_equal(catalog_add_intent(f->catalog, 7, "backups/full/new.tar", NULL), 0);
	assert_int_equal(catalog_add_intent(f->catalog, 8, "backups/full/new.tar.gz", NULL), -EEXIST);
	assert_int_equal(catalog_add_intent(f->catalog, 8, "backups/full/2026-11.tar", NULL), -EEXIST);
	assert_int_equal(catalog_stem_taken(f->catalog, "backups/full", "new"), 1);
	assert_int_equal(catalog_intent_run(f->catalog, "backups/full/new.tar", &again), 0);
	assert_int_equal(again, 7);
	assert_int_equal(catalog_drop_intent(f->catalog, "backups/full/new.tar", NULL), 0);
	assert_int_equal(catalog_stem_taken(f->catalog, "backups/full", "new"), 0);
	assert_int_equal(catalog_intent_run(f->catalog, "backups/full/new.tar", &again), -ENOENT);
}

static int add_partial_of(struct fixture *f, int64_t sequence, int64_t run_id, uint32_t size)
{
	_cleanup(manifest) struct manifest m = {0};

	fill(&m, "backups/full", sequence, run_id, size);
	m.partial = true;
	return catalog_add_artifact(f->catalog, &m, NULL);
}

static int add_partial(struct fixture *f, int64_t sequence, uint32_t size)
{
	return add_partial_of(f, sequence, 1, size);
}

static void a_partial_one_stands_in_for_none(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full");
	struct catalog_entry entry;
	struct catalog_totals totals;
	struct error err = {0};

	assert_int_equal(add_partial(f, SECONDS * 1000, 1), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), -ENOENT);
	assert_int_equal(catalog_last_size(f->catalog, "backups/full"), 0);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, 0);
	assert_int_equal(totals.newest_at_us, AT_US + US_PER_S + 5);
	/* The last of all is kept, partial or not. */
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), BY_POLICY, NULL),
	        -EPERM);

	assert_int_equal(add(f, "backups/full", (SECONDS + 1) * 1000, 1, 20), 0);
	assert_int_equal(add_partial(f, (SECONDS + 2) * 1000, 3), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), 0);
	assert_int_equal(entry.size_bytes, 20);
	assert_int_equal(catalog_last_size(f->catalog, "backups/full"), 20);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_at_us, AT_US + 2 * US_PER_S + 5);
	assert_int_equal(totals.newest_at_us, AT_US + 3 * US_PER_S + 5);
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_at("backups/full", (SECONDS + 1) * 1000),
	                                         BY_POLICY, &err),
	                 -EPERM);
	assert_non_null(strstr(err.message, "(the others are partial)"));
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_at("backups/full", (SECONDS + 2) * 1000),
	                                         BY_POLICY, NULL),
	                 0);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), BY_POLICY, NULL),
	        0);
}

#define DAY (INT64_C(86400) * 1000) /* of places */

/* The clock was 40 days ahead when the first was made. */
static void the_newest_is_what_was_made_last(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"),
	         ahead = ino_at("backups/full", SECONDS * 1000 + 40 * DAY);
	struct catalog_entry entry;
	struct catalog_totals totals;
	struct catalog_dated dated;

	assert_int_equal(catalog_latest_dated(f->catalog, "full", &dated), -ENOENT);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 40 * DAY, 7, 40), 0);
	assert_int_equal(catalog_latest_dated(f->catalog, "full", &dated), 0);
	assert_true(dated.made_last);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 8, 8), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), 0);
	assert_int_equal(entry.size_bytes, 8);
	assert_int_equal(catalog_last_size(f->catalog, "backups/full"), 8);
	for (int all = 0; all < 2; all++) {
		assert_int_equal(catalog_totals(f->catalog, all ? NULL : "full", &totals), 0);
		assert_int_equal(totals.newest_at_us, AT_US + US_PER_S + 5);
		assert_int_equal(totals.newest_whole_at_us, AT_US + US_PER_S + 5);
		assert_int_equal(totals.newest_whole_run_id, 8);
	}
	assert_int_equal(catalog_latest_dated(f->catalog, "full", &dated), 0);
	assert_string_equal(dated.path, "backups/full/20261230T020000Z.dump");
	assert_false(dated.made_last);
	assert_int_equal(dated.newest_at_us, AT_US + US_PER_S + 5);

	/* A partial one is the newest of all, but not of the whole ones. */
	assert_int_equal(add_partial_of(f, (SECONDS + 5) * 1000, 9, 3), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), 0);
	assert_int_equal(entry.size_bytes, 8);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_at_us, AT_US + 6 * US_PER_S + 5);
	assert_int_equal(totals.newest_whole_run_id, 8);

	/* What stays is asked for by no date: each of the two may go, the last may not. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, ahead, BY_POLICY, NULL), 0);
	assert_int_equal(
	        catalog_entomb_artifact(f->catalog, ino_at("backups/full", SECONDS * 1000), BY_POLICY, NULL),
	        -EPERM);
}

/* Several databases of one run, and two of one directory: the time decides among them. */
static void of_one_run_the_newest_began_last(void **state)
{
	struct fixture *f = *state;
	struct catalog_entry entry;
	struct catalog_totals totals;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 3, 1), 0);
	assert_int_equal(add(f, "backups/full", (SECONDS + 2) * 1000, 3, 2), 0);
	assert_int_equal(add(f, "backups/other", (SECONDS + 1) * 1000, 3, 3), 0);
	assert_int_equal(catalog_entry_latest(f->catalog, ino_of_directory("backups/full"), ".dump", &entry),
	                 0);
	assert_int_equal(entry.size_bytes, 2);
	assert_int_equal(catalog_entry_made_last(f->catalog, ino_of_directory("backups/full"), &entry), 0);
	assert_int_equal(entry.size_bytes, 2);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_at_us, AT_US + 3 * US_PER_S + 5);
}

static void counts_follow_every_change(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000);
	struct catalog_totals totals;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 20), 0);
	directory_counts_are_true(f, "backups/full", 2);
	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 15), 0); /* the same path again */
	directory_counts_are_true(f, "backups/full", 2);
	assert_int_equal(catalog_totals(f->catalog, NULL, &totals), 0);
	assert_int_equal(totals.artifacts, 2);
	assert_int_equal(totals.stored_bytes, 35);
	assert_int_equal(totals.oldest_at_us, AT_US + US_PER_S + 5);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, BY_POLICY, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_drop_artifact(f->catalog, first, NULL), 0);
	directory_counts_are_true(f, "backups/full", 1);
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.artifacts, 1);
	assert_int_equal(totals.stored_bytes, 20);
	assert_int_equal(catalog_totals(f->catalog, "other", &totals), 0);
	assert_int_equal(totals.artifacts, 0);
	assert_int_equal(totals.newest_at_us, 0);
}

static void what_is_entombed_is_hidden(void **state)
{
	struct fixture *f = *state;
	uint64_t directory = ino_of_directory("backups/full"), ino = ino_at("backups/full", SECONDS * 1000);
	struct catalog_entry entry;
	struct manifest m;
	struct manifest_object o;
	int64_t before = clock_now_us();
	unsigned tombs = 0;

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino, NULL, NULL), 0);
	assert_int_equal(catalog_entry_by_ino(f->catalog, ino, &entry), -ENOENT);
	assert_int_equal(catalog_entry_by_name(f->catalog, directory, "20261120T020000Z.dump", &entry),
	                 -ENOENT);
	assert_int_equal(catalog_entry_latest(f->catalog, directory, ".dump", &entry), -ENOENT);
	assert_int_equal(catalog_entries(f->catalog, directory, CATALOG_ARTIFACT, -1, &entry, 1), 0);
	assert_int_equal(catalog_manifest(f->catalog, ino, &m), -ENOENT);
	assert_int_equal(catalog_object(f->catalog, ino, &o), -ENOENT);
	assert_null(catalog_path(f->catalog, ino));
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino, NULL, NULL), -ENOENT);
	assert_true(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
	if (before > AT_US + US_PER_S + 5) /* a directory's time never goes back */
		assert_true(entry_of(f, directory).mtime_us >= before);
	assert_int_equal(catalog_tombs(f->catalog, INT64_MAX, count_tomb, &tombs), 0);
	assert_int_equal(tombs, 1);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino, NULL), 0);
	tombs = 0;
	assert_int_equal(catalog_tombs(f->catalog, INT64_MAX, count_tomb, &tombs), 0);
	assert_int_equal(tombs, 0);
	assert_false(catalog_sequence_taken(f->catalog, "backups/full", SECONDS * 1000));
}

static void the_last_one_is_kept(void **state)
{
	struct fixture *f = *state;
	uint64_t first = ino_at("backups/full", SECONDS * 1000),
	         second = ino_at("backups/full", SECONDS * 1000 + 1);
	struct error err = {0};

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(add(f, "backups/other", SECONDS * 1000, 1, 10), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, BY_POLICY, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_non_null(strstr(err.message, "backups/full/20261120T020000Z.dump is the last"));
	assert_int_equal(add(f, "backups/full", SECONDS * 1000 + 1, 2, 10), 0);
	assert_int_equal(catalog_entomb_artifact(f->catalog, first, BY_POLICY, NULL), 0);
	/* A tomb does not count: the other one is the last now. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, second, BY_POLICY, NULL), -EPERM);
	assert_int_equal(entry_of(f, second).ino, second);
}

static void another_at_the_same_place_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct error err = {0};

	assert_int_equal(add(f, "backups/full", SECONDS * 1000, 1, 10), 0);
	fill(&m, "backups/full", SECONDS * 1000, 1, 10);
	free(m.path);
	m.path = mem_strdup("backups/full/20261120T020000Z.tar");
	assert_int_equal(catalog_add_artifact(f->catalog, &m, &err), -EEXIST);
	assert_non_null(strstr(err.message, "20261120T020000Z.dump"));
	directory_counts_are_true(f, "backups/full", 1);
}

static void an_unloaded_table_is_refused(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_entry entry;

	fill(&m, "backups/full", SECONDS * 1000, 1, 10);
	extents_finish(&m.objects[0].extents);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), -EINVAL);
	/* Nothing of the transaction is left, not even the directory. */
	assert_int_equal(catalog_entry_by_name(f->catalog, 0, "full", &entry), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_manifest_is_kept_whole),
	        TEST(files_that_cannot_be_listed_are_refused),
	        TEST(artifacts_may_have_names),
	        TEST(a_partial_one_stands_in_for_none),
	        TEST(the_newest_is_what_was_made_last),
	        TEST(of_one_run_the_newest_began_last),
	        TEST(counts_follow_every_change),
	        TEST(what_is_entombed_is_hidden),
	        TEST(the_last_one_is_kept),
	        TEST(another_at_the_same_place_is_refused),
	        TEST(an_unloaded_table_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
