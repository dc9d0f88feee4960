// SPDX-License-Identifier: Apache-2.0
/* A catalog that follows what another keepfs does: it writes nothing, lists what is there, and forgets what is gone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/holds.h>
#include <keepfs/lease.h>

#define FIRST  "backups/full/20261120T030000Z.dump"
#define SECOND "backups/full/20261120T040000Z.dump"
#define THIRD  "backups/full/20261120T050000Z.dump"

static struct error err;

struct told {
	unsigned listed, removed;
	struct artifact_events events;
};

static void count_listed(void *arg, const struct manifest *m)
{
	((struct told *)arg)->listed++;
}

static void count_removed(void *arg, const struct artifact_removed *what)
{
	((struct told *)arg)->removed++;
}

/* As a reader has it: whatever writes fails. */
static void follow_as_reader(struct fixture *f, struct told *told)
{
	f->store = store_fence_new(f->store, lease_fence_of_reader());
	f->repo.store = f->store;
	*told = (struct told){.events = {.listed = count_listed, .removed = count_removed, .arg = told}};
	repository_listen(&f->repo, &told->events);
}

static struct artifact_comparison follow_all(struct fixture *f)
{
	struct artifact_comparison counts = {0};

	assert_int_equal(artifact_follow_all(&f->repo, AT_US, NULL, &counts, &err), 0);
	return counts;
}

static void all_is_compared(void **state)
{
	struct fixture *f = *state;
	struct artifact_comparison counts;
	unsigned long long gets;
	struct told told;

	store_dump(f, FIRST, 1);
	store_dump(f, SECOND, 2);
	follow_as_reader(f, &told);
	/* What is young, too: the writer is done with it. */
	counts = follow_all(f);
	assert_int_equal(counts.adopted, 2);
	assert_int_equal(counts.young + counts.unlisted + counts.missing, 0);
	assert_true(is_listed(f, FIRST) && is_listed(f, SECOND));
	assert_int_equal(told.listed, 2);
	/* Once more costs no get. */
	gets = calls_of(f, STORE_CALL_GET);
	counts = follow_all(f);
	assert_int_equal(counts.adopted + counts.missing, 0);
	assert_int_equal(calls_of(f, STORE_CALL_GET), gets);
}

static void what_is_gone_is_forgotten(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *key = manifest_key(FIRST);
	struct artifact_comparison counts;
	struct told told;

	store_dump(f, FIRST, 1);
	store_dump(f, SECOND, 2);
	follow_as_reader(f, &told);
	follow_all(f);
	open_store(f, "");
	assert_int_equal(store_remove(f->store, NULL, key, &err), 0);
	counts = follow_all(f);
	assert_int_equal(counts.missing, 1);
	assert_false(is_listed(f, FIRST));
	assert_true(is_listed(f, SECOND));
	assert_int_equal(told.removed, 1);
	assert_int_equal(follow_all(f).missing, 0);
}

static void one_by_one(void **state)
{
	struct fixture *f = *state;
	struct told told;

	store_dump(f, FIRST, 1);
	follow_as_reader(f, &told);
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	assert_true(is_listed(f, FIRST));
	assert_int_equal(told.listed, 1);
	/* Told twice, it is there already, and nobody looks away from it meanwhile. */
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	assert_int_equal(told.listed, 1);
	assert_int_equal(told.removed, 0);
	/* Removed before we came to read it. */
	assert_int_equal(artifact_follow_made(&f->repo, THIRD, NULL, &err), 0);
	assert_false(is_listed(f, THIRD));
	assert_int_equal(artifact_follow_removed(&f->repo, FIRST, &err), 0);
	assert_false(is_listed(f, FIRST));
	assert_int_equal(told.removed, 1);
	assert_int_equal(artifact_follow_removed(&f->repo, FIRST, &err), 0);
	assert_int_equal(told.removed, 1);
	/* Brought back. */
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	assert_true(is_listed(f, FIRST));
}

static void holds_come_and_go(void **state)
{
	const struct catalog_hold hold = {
	        .name = "audit", .reason = "who asks", .by = "uid 0 (bash)", .at_us = AT_US};
	struct fixture *f = *state;
	struct catalog_hold found[CATALOG_HOLDS_MAX];
	struct told told;

	store_dump(f, FIRST, 1);
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(FIRST), &hold, &err), 0);
	/* Another host's catalog has not heard of it. */
	assert_int_equal(catalog_drop_hold(f->catalog, ino_of_artifact(FIRST), "audit", &err), 0);
	follow_as_reader(f, &told);
	assert_int_equal(artifact_follow_marked(&f->repo, FIRST, NULL, &err), 0);
	assert_int_equal(catalog_holds(f->catalog, ino_of_artifact(FIRST), found, CATALOG_HOLDS_MAX), 1);
	assert_string_equal(found[0].name, "audit");
	assert_string_equal(found[0].reason, "who asks");
	assert_int_equal(artifact_follow_marked(&f->repo, SECOND, NULL, &err), 0);
}

/* The store has it whole, with a mark that says that it was removed. */
static void what_is_in_the_trash_is_not_listed(void **state)
{
	struct fixture *f = *state;
	const struct catalog_removal removal = {
	        .is_decided = true, .now_us = AT_US, .trash_until_us = LATER_US, .by = "uid 0 (rm)"};
	struct artifact_comparison counts;
	struct told told;

	store_dump(f, FIRST, 1);
	store_dump(f, SECOND, 2);
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), &removal, &err), 0);
	assert_true(is_stored(f, "trash/" FIRST ".json"));
	/* The reader lists it still, as it has not heard of that. */
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(FIRST), &err), 0);
	follow_as_reader(f, &told);
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	assert_true(is_listed(f, FIRST));
	counts = follow_all(f);
	assert_int_equal(counts.adopted, 1);
	assert_false(is_listed(f, FIRST));
	assert_true(is_listed(f, SECOND));
	assert_int_equal(told.removed, 1);
	assert_int_equal(follow_all(f).adopted, 0);
	assert_false(is_listed(f, FIRST));
}

static void put_into_trash(struct fixture *f, const char *path)
{
	const struct catalog_removal removal = {
	        .is_decided = true, .now_us = AT_US, .trash_until_us = LATER_US, .by = "uid 0 (rm)"};

	assert_int_equal(artifact_follow_made(&f->repo, path, NULL, &err), 0);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(path), &removal, &err), 0);
	assert_false(is_listed(f, path));
}

/* A reader whose catalog has a trash, as one that was made from manifests has. */
static void a_reader_lists_what_was_brought_back(void **state)
{
	struct fixture *f = *state;
	struct told told;

	store_dump(f, FIRST, 1);
	store_dump(f, SECOND, 2);
	put_into_trash(f, FIRST);
	put_into_trash(f, SECOND);
	assert_int_equal(store_remove(f->store, NULL, "trash/" FIRST ".json", &err), 0);
	follow_as_reader(f, &told);
	assert_int_equal(follow_all(f).adopted, 1);
	assert_true(is_listed(f, FIRST));
	assert_false(is_listed(f, SECOND));
}

/* A writer that has taken the lease of another one. */
static void a_successor_lists_what_was_brought_back(void **state)
{
	struct fixture *f = *state;
	struct lease_options options = {.state_dir = "/"};
	_cleanup(free) char *manifest = manifest_key(THIRD);

	assert_int_equal(store_dir_new(f->directory, &options.store, &err), 0);
	assert_int_equal(lease_new(&options, &f->repo.lease, &err), 0);
	store_dump(f, FIRST, 1);
	store_dump(f, SECOND, 2);
	store_dump(f, THIRD, 3);
	put_into_trash(f, FIRST);
	put_into_trash(f, SECOND);
	put_into_trash(f, THIRD);
	assert_int_equal(store_remove(f->store, NULL, "trash/" FIRST ".json", &err), 0);
	/* Its time was over there, by another clock. */
	assert_int_equal(store_remove(f->store, NULL, "trash/" THIRD ".json", &err), 0);
	assert_int_equal(store_remove(f->store, NULL, manifest, &err), 0);
	follow_all(f);
	assert_true(is_listed(f, FIRST));
	assert_false(is_listed(f, SECOND));
	assert_false(is_listed(f, THIRD));
	f->repo.lease = lease_free(f->repo.lease);
}

/* It would be gone from the tree, and stay in the store. */
static void what_can_never_be_removed_is_not_hidden(void **state)
{
	const struct catalog_removal removal = {.is_decided = true};
	struct fixture *f = *state;

	store_dump(f, FIRST, 1);
	assert_int_equal(artifact_follow_made(&f->repo, FIRST, NULL, &err), 0);
	f->repo.fence = lease_fence_of_reader();
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), &removal, &err), -EROFS);
	assert_non_null(strstr(err.message, FIRST " stays: this keepfs is a reader"));
	assert_true(is_listed(f, FIRST));
	f->repo.fence = NULL;
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(FIRST), &removal, &err), 0);
	assert_false(is_listed(f, FIRST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(all_is_compared),
	        TEST(what_is_gone_is_forgotten),
	        TEST(one_by_one),
	        TEST(holds_come_and_go),
	        TEST(what_is_in_the_trash_is_not_listed),
	        TEST(a_reader_lists_what_was_brought_back),
	        TEST(a_successor_lists_what_was_brought_back),
	        TEST(what_can_never_be_removed_is_not_hidden),
	};

	return cmocka_run_group_tests_name("artifact_follow", tests, NULL, NULL);
}
