// SPDX-License-Identifier: Apache-2.0
/* The catalog held against the store: what it does not list, what the store has no more, and what that costs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>

#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/compare.h>

#include "artifact_fixture.h"

#define FIRST  "backups/full/20261120T020000Z.dump"
#define SECOND "backups/full/20261120T030000Z.dump"
#define OTHER  "backups/tenants/acme/20261120T020000Z.dump"

static struct artifact_comparison compare_at(struct fixture *f, int64_t now_us)
{
	struct artifact_comparison counts = {0};
	struct error err = {0};

	if (artifact_compare(&f->repo, now_us, NULL, &counts, &err) < 0)
		fail_msg("%s", err.message);
	return counts;
}

static int64_t next_run(struct fixture *f)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, NULL), 0);
	assert_int_equal(catalog_finish_run(f->catalog, id, RUN_FAILED, "x", NULL), 0);
	return id;
}

static void append_unlisted(void *arg, const char *path, const char *reason)
{
	str_appendf(arg, "%s: %s\n", path, reason);
}

static void assert_unlisted(struct fixture *f, const char *path, const char *reason)
{
	_cleanup(str) struct str text = {0};

	assert_int_equal(catalog_each_unlisted(f->catalog, append_unlisted, &text), 0);
	if (!path && text.len == 0)
		return;
	if (!path || !strstr(str_text(&text), path) || !strstr(str_text(&text), reason))
		fail_msg("unlisted: %s", str_text(&text));
}

static void count_listed(void *arg, const struct manifest *m)
{
	*(unsigned *)arg += 1;
}

static void what_is_whole_is_adopted(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *known = make_dump(f, 3, AT_US);
	struct artifact_comparison counts;
	struct catalog_target target;
	struct catalog_run run;
	unsigned told = 0;
	struct artifact_events events = {.listed = count_listed, .arg = &told};

	repository_listen(&f->repo, &events);
	store_dump(f, SECOND, 41);
	store_dump(f, OTHER, 42);
	counts = compare_at(f, LATER_US);
	assert_int_equal(counts.adopted, 2);
	assert_int_equal(counts.unlisted + counts.missing, 0);
	assert_int_equal(told, 2);
	assert_true(is_listed(f, known) && is_listed(f, SECOND) && is_listed(f, OTHER));
	assert_unlisted(f, NULL, NULL);
	/* The runs that made them come back, and their numbers are not given out again. */
	assert_int_equal(catalog_run(f->catalog, 41, &run), 0);
	assert_int_equal(run.state, RUN_COMPLETED);
	assert_int_equal(catalog_run_targets(f->catalog, 42, 0, &target, 1), 1);
	assert_string_equal(target.path, OTHER);
	assert_int_equal(next_run(f), 43);
	counts = compare_at(f, LATER_US);
	assert_int_equal(counts.adopted, 0);
	assert_int_equal(told, 2);
}

/* An older catalog that was put back has given the number of a run to another one by now. */
static void a_number_that_was_used_twice_hides_nothing(void **state)
{
	struct fixture *f = *state;
	struct catalog_run run;

	assert_int_equal(next_run(f), 1);
	store_dump(f, FIRST, 1);
	assert_int_equal(compare_at(f, LATER_US).adopted, 1);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(catalog_run(f->catalog, 1, &run), 0);
	assert_int_equal(run.state, RUN_FAILED);
}

/* One that is there for a moment only, since another keepfs takes it back. */
static void what_is_young_waits(void **state)
{
	struct fixture *f = *state;
	struct artifact_comparison counts;

	store_dump(f, FIRST, 50);
	counts = compare_at(f, AT_US + 60 * US_PER_S);
	assert_int_equal(counts.adopted, 0);
	assert_int_equal(counts.young, 1);
	assert_false(is_listed(f, FIRST));
	assert_unlisted(f, FIRST, "within the last hour");
	assert_int_equal(next_run(f), 51);
	counts = compare_at(f, AT_US + 3700 * US_PER_S);
	assert_int_equal(counts.adopted, 1);
	assert_true(is_listed(f, FIRST));
	assert_unlisted(f, NULL, NULL);
	/* Dated in the future: nobody is at that. */
	store_dump(f, SECOND, 51);
	assert_int_equal(compare_at(f, AT_US - 86400 * US_PER_S).adopted, 1);
}

static void what_is_announced_or_being_deleted_is_known(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *entombed = make_dump(f, 1, AT_US),
	                    *kept = make_dump(f, 2, AT_US + 60 * US_PER_S);
	struct artifact_comparison counts;

	assert_int_equal(catalog_entomb_artifact(f->catalog, ino_of_artifact(entombed), BY_POLICY, NULL), 0);
	assert_int_equal(catalog_add_intent(f->catalog, 3, SECOND, NULL), 0);
	store_dump(f, SECOND, 3);
	counts = compare_at(f, LATER_US);
	assert_int_equal(counts.adopted + counts.unlisted + counts.missing, 0);
	assert_false(is_listed(f, entombed));
	assert_false(is_listed(f, SECOND));
	assert_true(is_listed(f, kept));
	assert_int_equal(count_pending(f), 2);
}

static void what_cannot_be_listed_is_told(void **state)
{
	static const struct {
		const char *manifest; /* NULL: as it should be */
		const char *object;   /* NULL: none */
		const char *reason;
	} cases[] = {
	        {"{", NULL, "not valid JSON"},
	        {"{\"version\": 99}", NULL, "use a newer keepfs"},
	        {NULL, NULL, "the object is missing"},
	        {NULL, "1", "the object has 1 bytes"},
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		store_dump(f, FIRST, 7);
		if (cases[i].manifest)
			put_text(f, "manifests/" FIRST ".json", cases[i].manifest);
		if (cases[i].object)
			put_text(f, FIRST, cases[i].object);
		else
			assert_int_equal(store_remove(f->store, NULL, FIRST, NULL), 0);
		assert_int_equal(compare_at(f, LATER_US).unlisted, 1);
		assert_false(is_listed(f, FIRST));
		assert_unlisted(f, FIRST, cases[i].reason);
	}
	assert_int_equal(next_run(f), 8);
	assert_int_equal(store_remove(f->store, NULL, "manifests/" FIRST ".json", NULL), 0);
	assert_int_equal(compare_at(f, LATER_US).unlisted, 0);
	assert_unlisted(f, NULL, NULL);
}

/* Two stems that are one: the second has no place. */
static void a_place_that_is_taken_is_told(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *known = make_dump(f, 1, AT_US);

	store_dump(f, "backups/full/20261120T020000Z.sql.gz", 2);
	assert_int_equal(compare_at(f, LATER_US).unlisted, 1);
	assert_unlisted(f, "backups/full/20261120T020000Z.sql.gz", "has the place");
	assert_true(is_listed(f, known));
}

static void what_is_missing_is_marked_until_it_is_back(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	_cleanup(free) char *key = manifest_key(first);
	_cleanup(manifest) struct manifest m = {0};
	struct catalog_totals totals;

	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(compare_at(f, LATER_US).missing, 1);
	assert_true(is_listed(f, first));
	assert_true(catalog_is_damaged(f->catalog, ino_of_artifact(first)));
	assert_false(catalog_is_damaged(f->catalog, ino_of_artifact(second)));
	/* It stands in for no other one; nor may it go when all are missing, as its bytes may be there. */
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(second), NULL, NULL), -EPERM);
	assert_int_equal(catalog_set_missing(f->catalog, ino_of_artifact(second), true, NULL), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), -EPERM);
	assert_int_equal(compare_at(f, LATER_US).missing, 1);
	describe_dump(&m, first, 1);
	put_manifest_of(f, &m);
	assert_int_equal(compare_at(f, LATER_US).missing, 0);
	assert_false(catalog_is_damaged(f->catalog, ino_of_artifact(first)));

	/* What reading has shown is not taken back. */
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_of_artifact(first), "wrong bytes", NULL), 0);
	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	assert_int_equal(compare_at(f, LATER_US).missing, 1);
	put_manifest_of(f, &m);
	assert_int_equal(compare_at(f, LATER_US).missing, 0);
	assert_true(catalog_is_damaged(f->catalog, ino_of_artifact(first)));
	assert_int_equal(catalog_totals(f->catalog, "full", &totals), 0);
	assert_int_equal(totals.newest_whole_run_id, 2);
	/* So does what is found damaged while the manifest is missing. */
	assert_int_equal(catalog_set_missing(f->catalog, ino_of_artifact(second), true, NULL), 0);
	assert_int_equal(catalog_mark_damaged(f->catalog, ino_of_artifact(second), "wrong bytes", NULL), 0);
	compare_at(f, LATER_US);
	assert_true(catalog_is_damaged(f->catalog, ino_of_artifact(second)));
}

/* A listing that breaks off says nothing of what was not in it. */
static void a_store_that_fails_marks_nothing(void **state)
{
	static const char *const faults[] = {"list:1:eio", "get:1:eio", "head:1:eio", "list:2:eio"};
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US);
	_cleanup(free) char *key = manifest_key(first);

	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	store_dump(f, SECOND, 9);
	for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
		struct artifact_comparison counts = {0};
		struct error err = {0};

		if (is_listed(f, SECOND))
			assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(SECOND), NULL), 0);
		open_store(f, faults[i]);
		assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, &err), -EIO);
		assert_true(err.message[0] != '\0');
		assert_int_equal(counts.missing, 0);
		assert_false(catalog_is_damaged(f->catalog, ino_of_artifact(first)));
		assert_unlisted(f, NULL, NULL);
	}
	open_store(f, "");
	assert_int_equal(compare_at(f, LATER_US).missing, 1);
}

/* Once it is listed nobody would ask for its hold again. */
static void a_hold_that_cannot_be_read_is_asked_for_again(void **state)
{
	struct fixture *f = *state;
	struct catalog_hold hold = {.name = "audit", .reason = "2026", .by = "uid 0", .at_us = AT_US};
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	struct catalog_hold holds[CATALOG_HOLDS_MAX];
	struct artifact_comparison counts = {0};
	struct error err = {0};

	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(first), &hold, &err), 0);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(first), NULL), 0);
	open_store(f, "get:2:eio");
	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, &err), -EIO);
	assert_false(is_listed(f, first));
	open_store(f, "");
	assert_int_equal(compare_at(f, LATER_US).adopted, 1);
	assert_true(is_listed(f, first) && is_listed(f, second));
	assert_int_equal(catalog_holds(f->catalog, ino_of_artifact(first), holds, CATALOG_HOLDS_MAX), 1);
	assert_string_equal(holds[0].name, "audit");
}

struct witness {
	struct fixture *f;
	const char *path;
	unsigned looks;
	bool was_unheld; /* it was listed, and nobody held it */
};

static void look_at_holds(void *arg)
{
	struct witness *w = arg;
	struct catalog_hold hold;

	w->looks++;
	if (is_listed(w->f, w->path) && catalog_holds(w->f->catalog, ino_of_artifact(w->path), &hold, 1) != 1)
		w->was_unheld = true;
}

static void hold_and_forget(struct fixture *f, const char *path)
{
	struct catalog_hold hold = {.name = "audit", .reason = "2026", .by = "uid 0", .at_us = AT_US};

	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(path), &hold, NULL), 0);
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(path), NULL), 0);
}

/* A crash between the two would lose it for ever, and the rules would remove what is held. */
static void it_is_never_listed_without_its_hold(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	struct witness witness = {.f = f, .path = first};

	hold_and_forget(f, first);
	catalog_listen(f->catalog, look_at_holds, &witness);
	assert_int_equal(compare_at(f, LATER_US).adopted, 1);
	catalog_listen(f->catalog, NULL, NULL);
	assert_true(witness.looks > 0);
	assert_false(witness.was_unheld);
	assert_true(is_listed(f, first));
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), -EPERM);
}

/* An older catalog was put back: it announces what is whole by now, and held. */
static void what_an_intent_announces_comes_with_its_hold(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = make_dump(f, 1, AT_US), *second = make_dump(f, 2, AT_US + 60 * US_PER_S);
	struct witness witness = {.f = f, .path = first};
	struct artifact_recovery recovery;

	hold_and_forget(f, first);
	assert_int_equal(catalog_add_intent(f->catalog, 1, first, NULL), 0);
	catalog_listen(f->catalog, look_at_holds, &witness);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	catalog_listen(f->catalog, NULL, NULL);
	assert_int_equal(recovery.adopted, 1);
	assert_true(is_listed(f, first));
	assert_false(witness.was_unheld);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(first), NULL, NULL), -EPERM);
}

static void it_can_be_cancelled(void **state)
{
	struct fixture *f = *state;
	struct artifact_comparison counts = {0};
	struct cancel cancel;

	store_dump(f, FIRST, 1);
	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(artifact_compare(&f->repo, LATER_US, &cancel, &counts, NULL), -ECANCELED);
	cancel_finish(&cancel);
	assert_false(is_listed(f, FIRST));
}

#define MANY 2300

/* A request for each thousand keys, however many are known; three for each that is not. */
static void it_costs_pages(void **state)
{
	struct fixture *f = *state;
	struct artifact_rebuild io = {.threads = 2};
	unsigned long long lists, gets, heads;

	for (int i = 0; i < MANY; i++) {
		char name[NAME_MAX_BYTES];
		_cleanup(free) char *path = NULL;

		name_format((AT_S + i) * 1000, ".dump", name);
		path = mem_printf("backups/full/%s", name);
		store_dump(f, path, i + 1);
	}
	assert_int_equal(artifact_rebuild(&f->repo, &io, NULL, NULL), 0);
	assert_int_equal(io.artifacts, MANY);
	lists = calls_of(f, STORE_CALL_LIST);
	gets = calls_of(f, STORE_CALL_GET);
	heads = calls_of(f, STORE_CALL_HEAD);
	assert_int_equal(compare_at(f, LATER_US).adopted, 0);
	assert_int_equal(calls_of(f, STORE_CALL_LIST) - lists, 3 + tree_roots_count - 1);
	assert_int_equal(calls_of(f, STORE_CALL_GET), gets);
	assert_int_equal(calls_of(f, STORE_CALL_HEAD), heads);

	store_dump(f, OTHER, MANY + 1);
	lists = calls_of(f, STORE_CALL_LIST);
	assert_int_equal(compare_at(f, LATER_US).adopted, 1);
	/* One of its objects, two of what is in the trash or held. */
	assert_int_equal(calls_of(f, STORE_CALL_LIST) - lists, 3 + tree_roots_count - 1 + 1 + 2);
	assert_int_equal(calls_of(f, STORE_CALL_GET), gets + 1);
	assert_int_equal(calls_of(f, STORE_CALL_HEAD), heads + 1);
}

static struct artifact_comparison look_ahead(struct fixture *f, const char *directory)
{
	struct artifact_comparison counts = {0};
	struct error err = {0};

	if (artifact_look_ahead(&f->repo, directory, LATER_US, 0, &counts, &err) < 0)
		fail_msg("%s", err.message);
	return counts;
}

/* What a start does: a request for each directory, unless something is new. */
static void what_is_newer_than_the_newest_is_found_at_once(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *known = make_dump(f, 1, AT_US + 60 * US_PER_S);
	unsigned long long lists = calls_of(f, STORE_CALL_LIST), gets = calls_of(f, STORE_CALL_GET);

	store_dump(f, FIRST, 8);
	assert_int_equal(look_ahead(f, "backups/full").adopted, 0);
	assert_int_equal(look_ahead(f, "backups/none").adopted, 0);
	assert_int_equal(calls_of(f, STORE_CALL_LIST) - lists, 2);
	assert_int_equal(calls_of(f, STORE_CALL_GET), gets);
	store_dump(f, SECOND, 77);
	store_dump(f, OTHER, 78);
	assert_int_equal(look_ahead(f, "backups/full").adopted, 1);
	assert_true(is_listed(f, SECOND));
	assert_false(is_listed(f, FIRST)); /* which the comparison of all finds */
	assert_int_equal(next_run(f), 78);
	assert_int_equal(look_ahead(f, "backups/tenants/acme").adopted, 1);
	assert_int_equal(compare_at(f, LATER_US).adopted, 1);
}

static void what_is_of_the_same_second_is_newer(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *known = make_dump(f, 1, AT_US + 60 * US_PER_S),
	                    *second = mem_printf("%.*s-2.dump", (int)strcspn(known, "."), known);

	store_dump(f, second, 2);
	assert_int_equal(look_ahead(f, "backups/full").adopted, 1);
	assert_true(is_listed(f, second));
}

static void the_tidier_compares(void **state)
{
	struct fixture *f = *state;
	struct artifact_tidier *tidier;

	store_dump(f, FIRST, 5);
	assert_int_equal(artifact_tidier_start(&f->repo, 1, 1, &tidier, NULL), 0);
	while (!is_listed(f, FIRST))
		sched_yield();
	assert_null(artifact_tidier_free(tidier));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_is_whole_is_adopted),
	        TEST(a_number_that_was_used_twice_hides_nothing),
	        TEST(what_is_young_waits),
	        TEST(what_is_announced_or_being_deleted_is_known),
	        TEST(what_cannot_be_listed_is_told),
	        TEST(a_place_that_is_taken_is_told),
	        TEST(what_is_missing_is_marked_until_it_is_back),
	        TEST(a_store_that_fails_marks_nothing),
	        TEST(a_hold_that_cannot_be_read_is_asked_for_again),
	        TEST(it_is_never_listed_without_its_hold),
	        TEST(what_an_intent_announces_comes_with_its_hold),
	        TEST(it_can_be_cancelled),
	        TEST(it_costs_pages),
	        TEST(what_is_newer_than_the_newest_is_found_at_once),
	        TEST(what_is_of_the_same_second_is_newer),
	        TEST(the_tidier_compares),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
