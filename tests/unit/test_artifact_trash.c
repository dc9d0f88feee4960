// SPDX-License-Identifier: Apache-2.0
/* The trash, and holds: what of both survives a catalog. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"
#include "trash_fixture.h"

#include <keepfs/catalog/holds.h>

#define HOLDS_OF "holds/backups/full/20261120T020000Z.dump.json"

static uint32_t files_of(struct fixture *f)
{
	struct catalog_entry directory = {0};

	assert_int_equal(catalog_entry_by_ino(f->catalog, ino_of_directory("backups/full"), &directory), 0);
	return directory.files;
}

static void what_is_in_the_trash_is_hidden_and_whole(void **state)
{
	struct fixture *f = *state;
	uint64_t count = 0, bytes = 0;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	assert_false(is_listed(f, FIRST));
	assert_int_equal(files_of(f), 2);
	assert_true(is_stored(f, FIRST));
	assert_true(is_stored(f, MARK_OF));
	assert_int_equal(catalog_trash_total(f->catalog, "full", &count, &bytes), 0);
	assert_int_equal(count, 1);
	assert_int_equal(bytes, 5);
	assert_int_equal(catalog_trash_total(f->catalog, "ful", &count, &bytes), 0);
	assert_int_equal(count + bytes, 0);
	assert_int_equal(catalog_trash_total(f->catalog, NULL, &count, &bytes), 0);
	assert_int_equal(count, 1);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(files_of(f), 3);
	assert_false(is_stored(f, MARK_OF));
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), -ENOENT);
}

static void a_new_catalog_knows_the_trash(void **state)
{
	struct fixture *f = *state;
	struct catalog_trashed t;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	lose_catalog(f);
	assert_false(is_listed(f, FIRST));
	assert_int_equal(files_of(f), 2);
	assert_int_equal(catalog_trash_find(f->catalog, ino_of_artifact(FIRST), &t), 0);
	assert_int_equal(t.until_us, AT_US * 2);
	assert_string_equal(t.by, "uid 0 (rm)");
	assert_string_equal(t.reason, "by hand");
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	lose_catalog(f);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(files_of(f), 3);
}

static void its_time_ends(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 0);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 1);
	assert_false(is_stored(f, FIRST));
	assert_false(is_stored(f, MARK_OF));
	assert_false(is_trashed(f, FIRST));
}

/* By a clock that was set ahead nothing leaves it. */
static void nothing_leaves_it_by_a_wrong_clock(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;
	struct artifact_time time;

	artifact_read_clock(&time);
	time.now_us += INT64_C(10) * 86400 * US_PER_S;
	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	assert_int_equal(artifact_trust_clock(&f->repo, &time, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 0);
	assert_true(is_stored(f, FIRST));
}

static void a_store_that_is_not_told_is_told_later(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};
	struct artifact_tidier *tidier;
	struct catalog_trashed t;

	make_three(f);
	open_store(f, "put:1:eio");
	/* It is removed, and can be taken back: no failure of whoever has removed it. */
	assert_int_equal(put_away(f, FIRST, AT_US * 2, &err), 0);
	assert_false(is_listed(f, FIRST));
	assert_false(is_stored(f, MARK_OF));
	assert_int_equal(artifact_tidier_start(&f->repo, 1, 0, &tidier, NULL), 0);
	while (catalog_trash_unmarked(f->catalog, 0, &t) == 0)
		sched_yield();
	artifact_tidier_free(tidier);
	assert_true(is_stored(f, MARK_OF));
}

static void holds_survive_the_catalog(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold
	        one = {.name = "audit", .reason = "audit 2026", .by = "uid 0 (bash)", .at_us = AT_US},
	        two = {.name = "lawyer", .reason = "case 7", .by = "uid 1 (sh)", .at_us = AT_US + 1},
	        found[4];
	uint64_t ino = ino_of_artifact(FIRST);
	struct error err = {0};

	make_three(f);
	two.until_us = AT_US * 3;
	assert_int_equal(artifact_hold(&f->repo, ino, &one, NULL), 0);
	assert_int_equal(artifact_hold(&f->repo, ino, &two, NULL), 0);
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 4), 2);
	assert_string_equal(found[0].name, "audit");
	assert_string_equal(found[0].reason, "audit 2026");
	assert_string_equal(found[1].by, "uid 1 (sh)");
	assert_int_equal(found[1].until_us, AT_US * 3);
	assert_int_equal(put_away(f, FIRST, AT_US, &err), -EPERM);
	assert_non_null(strstr(err.message, "audit: audit 2026 (by uid 0 (bash))"));
	assert_int_equal(artifact_end_hold(&f->repo, ino, "audit", NULL), 0);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "audit", NULL), -ENOENT);
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 4), 1);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "lawyer", NULL), 0);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
}

/* It is in the manifest; once it was ended it does not come back with it. */
static void a_hold_of_the_trigger_can_be_ended_for_ever(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_hold found[2];
	uint64_t ino = ino_of_artifact(FIRST);

	describe_dump(&m, FIRST, 1);
	m.hold = mem_strdup("before the migration");
	put_object_of(f, &m);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 1);
	assert_string_equal(found[0].name, CATALOG_HOLD_OF_TRIGGER);
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 1);
	assert_string_equal(found[0].reason, "before the migration");
	assert_int_equal(artifact_end_hold(&f->repo, ino, CATALOG_HOLD_OF_TRIGGER, NULL), 0);
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 0);
}

static void a_hold_that_cannot_be_read_holds(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold found[2];

	make_three(f);
	put_text(f, HOLDS_OF, "{");
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino_of_artifact(FIRST), found, 2), 1);
	assert_string_equal(found[0].name, "unreadable");
}

/* When the store takes no hold, nobody was told that there is one. */
static void a_hold_is_in_the_store_first(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold one = {.name = "audit", .reason = "audit 2026", .by = "me", .at_us = AT_US},
	                    found[2];
	uint64_t ino = ino_of_artifact(FIRST);

	make_three(f);
	open_store(f, "put:1:eio");
	assert_int_equal(artifact_hold(&f->repo, ino, &one, NULL), -EIO);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 0);
	open_store(f, "put:2:eio");
	assert_int_equal(artifact_hold(&f->repo, ino, &one, NULL), 0);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "audit", NULL), -EIO);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 1);
}

static void forget_first(struct fixture *f)
{
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(FIRST), NULL), 0);
}

static void adopt_all(struct fixture *f)
{
	struct artifact_comparison counts = {0};

	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, NULL), 0);
}

/* Of one that had the name before, or of another keepfs. */
static void a_mark_of_another_one_hides_nothing(void **state)
{
	static const struct {
		int64_t run_id;
		const char *started;
		bool is_hidden;
	} cases[] = {
	        {1, "", true},
	        {1, "\"started_at\": \"2026-11-20T02:00:00.000000Z\",", true},
	        {99, "", false},
	        {99, "\"started_at\": \"2026-11-20T02:00:00.000000Z\",", false},
	        {1, "\"started_at\": \"2026-11-19T02:00:00.000000Z\",", false},
	};
	struct fixture *f = *state;

	make_three(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		put_mark(f, cases[i].run_id, cases[i].started);
		lose_catalog(f);
		assert_int_equal(is_listed(f, FIRST), !cases[i].is_hidden);
		assert_int_equal(is_trashed(f, FIRST), cases[i].is_hidden);
		forget_first(f);
		adopt_all(f);
		assert_int_equal(is_listed(f, FIRST), !cases[i].is_hidden);
		assert_int_equal(is_trashed(f, FIRST), cases[i].is_hidden);
	}
}

static void a_mark_that_cannot_be_read_hides_nothing(void **state)
{
	static const char *const marks[] = {"", "{", "[]", "{\"path\": \"" FIRST "\"}", "{\"run\": \"1\"}"};
	struct fixture *f = *state;
	char large[9000];

	make_three(f);
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++) {
		put_text(f, MARK_OF, marks[i]);
		lose_catalog(f);
		assert_true(is_listed(f, FIRST));
	}
	memset(large, ' ', sizeof(large));
	large[sizeof(large) - 1] = '\0';
	put_text(f, MARK_OF, large);
	forget_first(f);
	adopt_all(f);
	assert_true(is_listed(f, FIRST));
}

/* A mark that a crash, or another writer, has left: what somebody holds is not hidden by it, nor when its hold has ended. */
static void what_is_held_is_not_hidden(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold hold = {.name = "audit", .reason = "2026", .by = "uid 0", .at_us = AT_US},
	                    found[2];

	make_three(f);
	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(FIRST), &hold, NULL), 0);
	for (int i = 0; i < 2; i++) {
		put_mark(f, 1, "");
		if (i == 0)
			lose_catalog(f);
		else
			forget_first(f);
		if (i == 1)
			adopt_all(f);
		assert_true(is_listed(f, FIRST));
		assert_int_equal(catalog_holds(f->catalog, ino_of_artifact(FIRST), found, 2), 1);
		assert_false(is_stored(f, MARK_OF));
	}
	/* One that has ended holds nothing. */
	hold.until_us = AT_US + 1;
	assert_int_equal(artifact_end_hold(&f->repo, ino_of_artifact(FIRST), hold.name, NULL), 0);
	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(FIRST), &hold, NULL), 0);
	put_mark(f, 1, "");
	forget_first(f);
	adopt_all(f);
	assert_false(is_listed(f, FIRST));
}

static void what_the_trigger_holds_is_not_hidden(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	describe_dump(&m, FIRST, 1);
	m.hold = mem_strdup("before the migration");
	put_object_of(f, &m);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
	put_mark(f, 1, "");
	lose_catalog(f);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(artifact_end_hold(&f->repo, ino_of_artifact(FIRST), CATALOG_HOLD_OF_TRIGGER, NULL),
	                 0);
	put_mark(f, 1, "");
	lose_catalog(f);
	assert_false(is_listed(f, FIRST));
}

/* As docs/formats.md says it can be done without keepfs; and as it is when an older catalog is put back. */
static void what_has_no_mark_any_more_is_wanted_back(void **state)
{
	struct fixture *f = *state;
	struct artifact_rebuild io = {.threads = 1};
	struct artifact_recovery recovery;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US * 2, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, MARK_OF, NULL), 0);
	assert_int_equal(artifact_rebuild(&f->repo, &io, NULL, NULL), 0);
	assert_true(is_listed(f, FIRST));
	assert_false(is_trashed(f, FIRST));
	assert_int_equal(files_of(f), 3);
	/* Its time is over, and nobody has looked. */
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, MARK_OF, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 0);
	assert_int_equal(recovery.adopted, 1);
	assert_true(is_listed(f, FIRST) && is_stored(f, FIRST));
	/* What the store could not be told of is no sign of that. */
	open_store(f, "put:1:eio");
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	open_store(f, "");
	assert_int_equal(artifact_rebuild(&f->repo, &io, NULL, NULL), 0);
	assert_false(is_listed(f, FIRST));
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 1);
	assert_false(is_stored(f, FIRST));
}

/* The catalog was put back that had it in the trash; since then it was brought back, and held. */
static void nothing_leaves_the_trash_that_is_held(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	put_text(f, HOLDS_OF, "{\"holds\": [{\"name\": \"audit\", \"reason\": \"2026\", \"until\": null}]}");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_true(is_listed(f, FIRST) && is_stored(f, FIRST));
	assert_false(is_stored(f, MARK_OF));
	/* A deletion that had begun, without a trash. */
	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_of_artifact(FIRST), NULL, NULL), 0);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_true(is_listed(f, FIRST) && is_stored(f, FIRST));
	assert_int_equal(recovery.removed, 0);
}

/* Since an older catalog knew of it, or by a second host, it was brought back and removed anew. */
static void the_store_says_until_when(void **state)
{
	struct fixture *f = *state;
	struct artifact_recovery recovery;
	struct catalog_trashed t;

	make_three(f);
	assert_int_equal(put_away(f, FIRST, AT_US, NULL), 0);
	put_mark(f, 1, "");
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.removed, 0);
	assert_int_equal(recovery.left, 0);
	assert_true(is_stored(f, FIRST));
	assert_int_equal(catalog_trash_find(f->catalog, ino_of_artifact(FIRST), &t), 0);
	assert_true(t.until_us > INT64_C(4000000000) * US_PER_S); /* 2099 */
	assert_true(t.is_marked);
	assert_int_equal(artifact_undelete(&f->repo, FIRST, NULL), 0);
	assert_true(is_listed(f, FIRST));
}

/* The holds of a catalog that was put back are older than the store's. */
static void a_hold_takes_none_away(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold one = {.name = "audit", .reason = "2026", .by = "uid 0", .at_us = AT_US},
	                    two = {.name = "lawyer", .reason = "case 7", .by = "uid 0", .at_us = AT_US + 1},
	                    three = {.name = "me", .reason = "a look", .by = "uid 0", .at_us = AT_US + 2},
	                    found[4];
	uint64_t ino = ino_of_artifact(FIRST);

	make_three(f);
	assert_int_equal(artifact_hold(&f->repo, ino, &one, NULL), 0);
	assert_int_equal(artifact_hold(&f->repo, ino, &two, NULL), 0);
	assert_int_equal(catalog_drop_hold(f->catalog, ino, "audit", NULL), 0);
	assert_int_equal(artifact_hold(&f->repo, ino, &three, NULL), 0);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 4), 3);
	assert_int_equal(catalog_drop_hold(f->catalog, ino, "audit", NULL), 0);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "lawyer", NULL), 0);
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 4), 2);
	assert_string_equal(found[0].name, "audit");
	assert_string_equal(found[1].name, "me");
	/* It can be ended by whoever does not know of it yet. */
	assert_int_equal(catalog_drop_hold(f->catalog, ino, "audit", NULL), 0);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "audit", NULL), 0);
	lose_catalog(f);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 4), 1);
}

/* Another keepfs has renewed what this catalog takes for over. */
static void of_two_of_a_name_the_longer_holds(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold once = {.name = "hold",
	                            .reason = "a look",
	                            .by = "uid 0",
	                            .at_us = 1,
	                            .until_us = 2},
	                    again = {.name = "hold", .reason = "a case", .by = "uid 0", .at_us = 3};
	struct catalog_hold found[2];
	uint64_t ino = ino_of_artifact(FIRST);

	make_three(f);
	assert_int_equal(artifact_hold(&f->repo, ino, &again, NULL), 0);
	assert_int_equal(catalog_set_hold(f->catalog, ino, &once, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino, NULL, NULL), -EPERM);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 1);
	assert_string_equal(found[0].reason, "a case");
	/* One that ends sooner takes nothing from one that holds on. */
	assert_int_equal(artifact_hold(&f->repo, ino, &once, NULL), -EEXIST);
	assert_int_equal(artifact_end_hold(&f->repo, ino, "hold", NULL), 0);
	assert_int_equal(artifact_hold(&f->repo, ino, &once, NULL), 0);
	assert_int_equal(catalog_set_hold(f->catalog, ino, &again, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino, NULL, NULL), -EPERM);
	assert_int_equal(catalog_holds(f->catalog, ino, found, 2), 1);
	assert_string_equal(found[0].reason, "a case");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(of_two_of_a_name_the_longer_holds),
	        TEST(what_is_in_the_trash_is_hidden_and_whole),
	        TEST(a_new_catalog_knows_the_trash),
	        TEST(its_time_ends),
	        TEST(nothing_leaves_it_by_a_wrong_clock),
	        TEST(a_store_that_is_not_told_is_told_later),
	        TEST(holds_survive_the_catalog),
	        TEST(a_hold_of_the_trigger_can_be_ended_for_ever),
	        TEST(a_hold_that_cannot_be_read_holds),
	        TEST(a_hold_is_in_the_store_first),
	        TEST(a_mark_of_another_one_hides_nothing),
	        TEST(a_mark_that_cannot_be_read_hides_nothing),
	        TEST(what_is_held_is_not_hidden),
	        TEST(what_the_trigger_holds_is_not_hidden),
	        TEST(what_has_no_mark_any_more_is_wanted_back),
	        TEST(nothing_leaves_the_trash_that_is_held),
	        TEST(the_store_says_until_when),
	        TEST(a_hold_takes_none_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
