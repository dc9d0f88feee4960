// SPDX-License-Identifier: Apache-2.0
/* Replicas: what a copy has, what is never touched, what is made again, what is kept, and reading from one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "replica_fixture.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/replica.h>
#include <keepfs/stores.h>

#include "lock_server.h"

static void the_same_keys_and_bytes(void **state)
{
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_same_there(&t, PATH);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WHOLE);
	assert_true(row_of(&t, PATH).verified_at_us > 0);
	assert_int_equal(row_of(&t, PATH).done_bytes, row_of(&t, PATH).stored_bytes);
	/* Once more changes nothing. */
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_verify(&t.order, PATH, NULL), 0);
	two_finish(&t);
}

static void another_thing_is_never_touched(void **state)
{
	static const char *const keys[] = {PATH, "manifests/" PATH ".json",
	                                   "manifests/backups/full/20261120T020000Z.schema.dump.json"};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct two t;
		struct error err = {0};
		_cleanup(free) char *left = NULL;

		two_init(&t, *state);
		if (i == 0)
			publish(t.f, PATH, 7, BYTES);
		put_there(&t, keys[i], "54321");
		assert_int_equal(replica_make(&t.order, PATH, NULL, &err), REPLICA_CONFLICT);
		assert_non_null(strstr(err.message, "left as it is"));
		left = get_there(&t, keys[i]);
		assert_string_equal(left, "54321");
		assert_int_equal(row_of(&t, PATH).state, REPLICA_WRONG);
		assert_int_equal(store_remove(t.there, NULL, keys[i], NULL), 0);
		assert_int_equal(catalog_forget_replica(t.f->catalog, PATH, t.order.store, NULL), 0);
		assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
		assert_int_equal(artifact_delete(t.there, NULL, PATH, NULL), 0);
		assert_int_equal(catalog_forget_replica(t.f->catalog, PATH, t.order.store, NULL), 0);
		two_finish(&t);
	}
}

/* An attempt that failed before it had put anything makes nothing of what is there ours. */
static void what_failed_at_once_was_not_begun(void **state)
{
	_cleanup(free) char *key = manifest_key(PATH), *text = NULL, *left = NULL;
	struct two t;
	size_t len;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(store_get_all(t.f->store, NULL, key, 1 << 20, &text, &len, NULL), 0);
	assert_int_equal(store_remove(t.f->store, NULL, key, NULL), 0);
	put_there(&t, PATH, "54321");
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), -ENOENT);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WANTED);
	assert_int_equal(row_of(&t, PATH).attempts, 1);
	put_text(t.f, key, text);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), REPLICA_CONFLICT);
	left = get_there(&t, PATH);
	assert_string_equal(left, "54321");
	two_finish(&t);
}

static void what_was_ours_is_made_again(void **state)
{
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	/* Changed: found by reading it. */
	put_there(&t, PATH, "12045");
	assert_int_equal(replica_verify(&t.order, PATH, NULL), -EBADMSG);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_LOST);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_same_there(&t, PATH);
	/* Vanished: found by the names. */
	assert_int_equal(artifact_delete(t.there, NULL, PATH, NULL), 0);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_LOST);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_same_there(&t, PATH);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WHOLE);
	two_finish(&t);
}

/* A source that is damaged makes no copy. */
static void damage_is_not_copied(void **state)
{
	struct two t;
	struct error err = {0};
	bool target_failed = true;
	_cleanup(free) char *there = NULL;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	put_text(t.f, PATH, "12045");
	assert_int_equal(replica_make(&t.order, PATH, &target_failed, &err), -EBADMSG);
	assert_false(target_failed);
	there = get_there(&t, PATH);
	assert_null(there);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_COPYING);
	assert_int_equal(row_of(&t, PATH).attempts, 1);
	assert_true(row_of(&t, PATH).next_try_us > clock_now_us());
	put_text(t.f, PATH, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(row_of(&t, PATH).attempts, 0);
	two_finish(&t);
}

/* Nor one whose checksums are right, by chance or because somebody made it so, and whose SHA-256 is not. */
static void what_has_the_same_crc_is_not_copied(void **state)
{
	/* The polynomial of CRC-32C, of 33 bits, as bytes have them: what differs by it has the same CRC. */
	static const uint8_t polynomial[] = {0xf1, 0x76, 0xec, 0x05, 0x01};
	struct two t;
	struct error err = {0};
	char other[] = BYTES;
	bool target_failed = true;
	_cleanup(free) char *there = NULL;

	for (size_t i = 0; i < sizeof(polynomial); i++)
		other[i] ^= (char)polynomial[i];
	assert_int_equal(crc32c(0, other, strlen(BYTES)), crc32c(0, BYTES, strlen(BYTES)));
	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	put_text(t.f, PATH, other);
	assert_int_equal(replica_make(&t.order, PATH, &target_failed, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "the SHA-256 of " PATH " is "));
	assert_false(target_failed);
	there = get_there(&t, PATH);
	assert_null(there);
	/* Whole in the source, and then something else in the copy. */
	put_text(t.f, PATH, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	put_there(&t, PATH, other);
	assert_int_equal(replica_verify(&t.order, PATH, NULL), -EBADMSG);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_LOST);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_same_there(&t, PATH);
	two_finish(&t);
}

static void what_is_removed_stays_there_and_comes_back(void **state)
{
	struct two t;
	uint64_t removed = 9;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), -EEXIST);
	remove_here(&t, PATH);
	assert_false(is_listed(t.f, PATH));
	assert_int_equal(row_of(&t, PATH).state, REPLICA_REMOVED);
	/* Without rules nothing goes. */
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), 0);
	assert_true(is_listed(t.f, PATH));
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WHOLE);
	/* By its rules it goes, and only it: what is listed stays, whatever they say. */
	remove_here(&t, PATH);
	t.offsite.keeping.keep_last = 1;
	t.offsite.keeping.keep_within_ms = -1;
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	assert_same_there(&t, LATER);
	assert_int_equal(catalog_replica(t.f->catalog, PATH, t.order.store, &(struct catalog_replica){0}),
	                 -ENOENT);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), -ENOENT);
	two_finish(&t);
}

/* A catalog that knows nothing learns what is there, by listing it. */
static void what_is_there_is_learned(void **state)
{
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(catalog_forget_replica(t.f->catalog, PATH, t.order.store, NULL), 0);
	publish(t.f, LATER, 8, BYTES);
	remove_here(&t, PATH);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_REMOVED);
	assert_string_equal(row_of(&t, PATH).job, "full");
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), 0);
	assert_true(is_listed(t.f, PATH));
	two_finish(&t);
}

/* A reader makes nothing: what is there counts as whole, also of what is listed, until somebody reads that it is not; and he looks again. */
static void what_a_reader_learns(void **state)
{
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(catalog_forget_replica(t.f->catalog, PATH, t.order.store, NULL), 0);
	assert_int_equal(catalog_forget_replica(t.f->catalog, LATER, t.order.store, NULL), 0);
	remove_here(&t, PATH);
	t.order.reads_only = true;
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_REMOVED);
	assert_int_equal(row_of(&t, LATER).state, REPLICA_WHOLE);
	assert_int_equal(catalog_has_copy_tree(t.f->catalog, t.order.store, LATER), 1);
	replica_found_wrong(&t.f->repo, LATER, t.order.store, "wrong bytes");
	assert_int_equal(row_of(&t, LATER).state, REPLICA_LOST);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(row_of(&t, LATER).state, REPLICA_WHOLE);
	assert_string_equal(row_of(&t, LATER).error, "");
	assert_int_equal(store_remove(t.there, NULL, "manifests/" LATER ".json", NULL), 0);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(catalog_replica(t.f->catalog, LATER, t.order.store, &(struct catalog_replica){0}),
	                 -ENOENT);
	assert_int_equal(catalog_has_copy_tree(t.f->catalog, t.order.store, LATER), 0);
	two_finish(&t);
}

static void repair(void **state)
{
	struct two t;
	_cleanup(free) char *bytes = NULL;
	size_t len;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	put_text(t.f, PATH, "12045");
	assert_int_equal(replica_bring_back(&t.order, PATH, true, NULL), 0);
	assert_int_equal(store_get_all(t.f->store, NULL, PATH, 100, &bytes, &len, NULL), 0);
	assert_string_equal(bytes, BYTES);
	two_finish(&t);
}

/* What takes the place of an object has its lock not: that lies on the version below. */
static void what_is_repaired_is_locked_again(void **state)
{
	const struct catalog_lock lock = {.mode = STORE_LOCK_GOVERNANCE, .until_us = AT_US + 20 * DAY_US};
	_cleanup(free) char *key = manifest_key(PATH);
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	use_locks(t.f);
	assert_int_equal(catalog_set_lock(t.f->catalog, ino_of_artifact(PATH), &lock, NULL), 0);
	*lock_slot(key) = (struct store_lock){.mode = STORE_LOCK_GOVERNANCE, .until_us = lock.until_us};
	put_text(t.f, PATH, "12045");
	server.only = "nothing";
	assert_int_equal(replica_bring_back(&t.order, PATH, true, NULL), -EACCES);
	server.only = NULL;
	assert_int_equal(replica_bring_back(&t.order, PATH, true, NULL), 0);
	assert_int_equal(lock_slot(PATH)->until_us, lock.until_us);
	two_finish(&t);
}

/* Its manifest says that it is locked, and it is, or soon nobody says so any more. */
static void what_comes_back_is_locked(void **state)
{
	const struct store_call call = {0};
	struct artifact_lock_turn turn = {0};
	struct catalog_lock lock;
	struct two t;

	two_init(&t, *state);
	published_locked_until_us = AT_US + 20 * DAY_US;
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(
	        artifact_remove(&t.f->repo, ino_of_artifact(PATH),
	                        &(struct catalog_removal){.min_keep = 1, .now_us = AT_US + 30 * DAY_US},
	                        NULL),
	        0);
	assert_int_equal(catalog_settle_replicas(t.f->catalog, t.order.store, clock_now_us(), NULL), 0);
	use_locks(t.f);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), 0);
	assert_int_equal(lock_slot(PATH)->until_us, published_locked_until_us);
	assert_int_equal(artifact_settle_locks(&t.f->repo, &call, &turn, NULL), 0);
	assert_int_equal(catalog_lock_of(t.f->catalog, ino_of_artifact(PATH), &lock), 0);
	assert_int_equal(lock.until_us, published_locked_until_us);
	assert_int_equal(lock.mode, STORE_LOCK_GOVERNANCE);
	published_locked_until_us = 0;
	two_finish(&t);
}

/* The first store has nothing any more, and its catalog was made anew. */
static void lose_all_here(struct two *t, const char *path)
{
	_cleanup(free) char *holds = mem_printf("holds/%s.json", path);

	assert_int_equal(artifact_delete(t->f->store, NULL, path, NULL), 0);
	assert_int_equal(store_remove(t->f->store, NULL, holds, NULL), 0);
	assert_int_equal(catalog_begin_rebuild(t->f->catalog, NULL), 0);
	assert_int_equal(catalog_end_rebuild(t->f->catalog, true, NULL), 0);
	assert_false(is_listed(t->f, path));
	assert_int_equal(catalog_settle_replicas(t->f->catalog, t->order.store, clock_now_us(), NULL), 0);
	assert_int_equal(row_of(t, path).state, REPLICA_REMOVED);
}

/* Whoever holds a backup holds its copies: also when they are all that is left. */
static void what_is_held_stays_there(void **state)
{
	const struct catalog_hold court = {.name = "court", .reason = "r", .by = "b", .at_us = 1};
	uint64_t ino = ino_of_artifact(PATH), removed = 9;
	bool target_failed;
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(artifact_hold(&t.f->repo, ino, &court, NULL), 0);
	assert_int_equal(replica_follow_holds(&t.order, &target_failed, NULL), 0);
	lose_all_here(&t, PATH);
	t.offsite.keeping.keep_last = 1;
	t.offsite.keeping.keep_within_ms = -1;
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 0);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), 0);
	assert_true(catalog_is_held(t.f->catalog, ino, clock_now_us()));
	/* It ends there, too. */
	assert_int_equal(artifact_end_hold(&t.f->repo, ino, "court", NULL), 0);
	assert_int_equal(replica_follow_holds(&t.order, &target_failed, NULL), 0);
	lose_all_here(&t, PATH);
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	assert_int_equal(store_head(t.there, NULL, "holds/" PATH ".json", &(struct store_object){0}, NULL),
	                 -ENOENT);
	two_finish(&t);
}

/* The hold was ended, and then the backup was removed, before the further store had heard of either. */
static void what_was_removed_was_held_by_nobody(void **state)
{
	const struct catalog_hold court = {.name = "court", .reason = "r", .by = "b", .at_us = 1};
	uint64_t ino = ino_of_artifact(PATH), removed = 9;
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(artifact_hold(&t.f->repo, ino, &court, NULL), 0);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(artifact_end_hold(&t.f->repo, ino, "court", NULL), 0);
	remove_here(&t, PATH);
	assert_true(row_of(&t, PATH).is_released);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, NULL), 0);
	assert_false(row_of(&t, PATH).is_released);
	assert_false(catalog_is_held(t.f->catalog, ino, clock_now_us()));
	remove_here(&t, PATH);
	t.offsite.keeping.keep_last = 1;
	t.offsite.keeping.keep_within_ms = -1;
	assert_int_equal(replica_clean(&t.order, &removed, NULL), 0);
	assert_int_equal(removed, 1);
	two_finish(&t);
}

/* A name that is free again is another backup's: it has no copy, whatever lies there. */
static void another_of_the_same_name_has_no_copy(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	struct two t;

	two_init(&t, *state);
	publish(t.f, LATER, 8, BYTES);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(artifact_remove(&t.f->repo, ino_of_artifact(PATH), NULL, NULL), 0);
	put_artifact(t.f, PATH, 9, BYTES, &m);
	m.started_at_us += 5 * US_PER_S;
	assert_int_equal(catalog_add_artifact(t.f->catalog, &m, NULL), 0);
	/* Nobody had looked in between. */
	assert_int_equal(catalog_settle_replicas(t.f->catalog, t.order.store, clock_now_us(), NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_REMOVED);
	assert_int_equal(catalog_want_replica(t.f->catalog, ino_of_artifact(PATH), t.order.store, 1, NULL),
	                 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WANTED);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), REPLICA_CONFLICT);
	two_finish(&t);
}

/* The only one there is, and it could not be read right on a bad day. */
static void what_was_wrong_once_is_read_again(void **state)
{
	struct two t;
	struct catalog_replica row;

	two_init(&t, *state);
	publish(t.f, LATER, 8, BYTES);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	remove_here(&t, PATH);
	replica_found_wrong(&t.f->repo, PATH, t.order.store, "a bad day");
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WRONG);
	assert_int_equal(catalog_settle_replicas(t.f->catalog, t.order.store, clock_now_us(), NULL), 0);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WRONG);
	row = row_of(&t, PATH);
	row.since_us -= 8 * DAY_US;
	assert_int_equal(catalog_set_replica(t.f->catalog, &row, NULL), 0);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(catalog_least_verified_replica(t.f->catalog, t.order.store, 0, &row), 0);
	assert_string_equal(row.path, PATH);
	assert_int_equal(replica_verify(&t.order, PATH, NULL), 0);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_REMOVED);
	assert_string_equal(row_of(&t, PATH).error, "");
	/* Somebody has taken it away there. */
	replica_found_wrong(&t.f->repo, PATH, t.order.store, "a bad day");
	assert_int_equal(artifact_delete(t.there, NULL, PATH, NULL), 0);
	assert_int_equal(replica_compare(&t.order, NULL), 0);
	assert_int_equal(catalog_replica(t.f->catalog, PATH, t.order.store, &row), -ENOENT);
	two_finish(&t);
}

/* Somebody who may write in a store, and has nothing signed to fear, changes bytes and manifest so that they fit. */
static void forge(struct fixture *f, const char *path, int64_t run_id)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *key = manifest_key(path);

	assert_int_equal(store_remove(f->store, NULL, key, NULL), 0);
	put_artifact(f, path, run_id, "54321", &m);
}

static void what_was_forged_here_takes_no_copys_place(void **state)
{
	struct two t;
	struct error err = {0};
	_cleanup(free) char *there = NULL;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	forge(t.f, PATH, 7);
	assert_int_equal(replica_make(&t.order, PATH, NULL, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "than what was listed here"));
	there = get_there(&t, PATH);
	assert_string_equal(there, BYTES);
	/* It is still what it was, and a repair brings that back. */
	assert_int_equal(replica_verify(&t.order, PATH, NULL), 0);
	assert_int_equal(replica_bring_back(&t.order, PATH, true, NULL), 0);
	assert_same_there(&t, PATH);
	two_finish(&t);
}

/* Somebody has it copied once more, of what is damaged here: it stays what it is, and can be taken back. */
static void a_copy_of_what_is_lost_here_stays_whole(void **state)
{
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(artifact_delete(t.f->store, NULL, PATH, NULL), 0);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), -ENOENT);
	assert_int_equal(row_of(&t, PATH).state, REPLICA_WHOLE);
	assert_int_equal(row_of(&t, PATH).done_bytes, row_of(&t, PATH).stored_bytes);
	assert_int_equal(replica_bring_back(&t.order, PATH, true, NULL), 0);
	assert_same_there(&t, PATH);
	two_finish(&t);
}

/* The first copy was whole, with its manifest, and a crash came before that was known; then it got other objects here. */
static void what_was_cut_and_rewrapped_is_no_conflict(void **state)
{
	struct two t;
	struct catalog_replica row;
	_cleanup(free) char *key = manifest_key(PATH), *text = NULL;
	size_t len;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	row = row_of(&t, PATH);
	row.state = REPLICA_COPYING;
	row.manifest_sha256[0] = '\0';
	assert_int_equal(catalog_set_replica(t.f->catalog, &row, NULL), 0);
	assert_int_equal(store_get_all(t.f->store, NULL, key, 1 << 20, &text, &len, NULL), 0);
	*strstr(text, "note") = 'x';
	put_there(&t, key, text);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_same_there(&t, PATH);
	two_finish(&t);
}

static void forge_there(struct two *t)
{
	_cleanup(free) char *key = manifest_key(PATH), *text = NULL;
	size_t len;

	forge(t->f, PATH, 7);
	assert_int_equal(store_get_all(t->f->store, NULL, key, 1 << 20, &text, &len, NULL), 0);
	put_there(t, key, text);
	put_there(t, PATH, "54321");
}

static void what_was_forged_there_does_not_come_back(void **state)
{
	struct two t;
	struct error err = {0};
	_cleanup(free) char *key = manifest_key(PATH);

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	forge_there(&t);
	assert_int_equal(replica_bring_back(&t.order, PATH, true, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "is not the manifest any more that keepfs has put there"));
	publish(t.f, LATER, 8, BYTES);
	remove_here(&t, PATH);
	assert_int_equal(replica_bring_back(&t.order, PATH, false, &err), -EBADMSG);
	assert_false(is_listed(t.f, PATH));
	two_finish(&t);
}

/* A manifest that names other objects than those that are listed: of before it was rewrapped, say, and right by itself. */
static void what_is_not_listed_is_not_copied(void **state)
{
	_cleanup(free) char *key = manifest_key(PATH), *right = NULL, *there = NULL, *bytes = NULL,
	                    *here = NULL;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str other = {0};
	struct error err = {0};
	size_t len;
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	right = get_there(&t, key);
	assert_int_equal(artifact_read_manifest(&t.f->repo, PATH, NULL, &m, NULL), 0);
	mem_replace_string(&m.objects[0].key, PATH ".r2");
	manifest_encode(&m, &other);
	put_text(t.f, PATH ".r2", BYTES);
	put_text(t.f, key, str_text(&other));
	assert_int_equal(replica_make(&t.order, PATH, NULL, &err), -EAGAIN);
	assert_non_null(strstr(err.message, "names other objects than the catalog lists"));
	assert_null(get_there(&t, PATH ".r2"));
	there = get_there(&t, key);
	bytes = get_there(&t, PATH);
	assert_string_equal(there, right);
	assert_string_equal(bytes, BYTES);
	put_text(t.f, key, right);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	/* And on the way back. */
	put_there(&t, PATH ".r2", BYTES);
	put_there(&t, key, str_text(&other));
	assert_int_equal(replica_bring_back(&t.order, PATH, true, NULL), -EBADMSG);
	assert_int_equal(store_get_all(t.f->store, NULL, key, 1 << 20, &here, &len, NULL), 0);
	assert_string_equal(here, right);
	two_finish(&t);
}

/* Reading. */

struct told {
	struct artifact_events events;
	unsigned count, damaged;
};

static void count_told(void *arg, const struct artifact_spared *what)
{
	struct told *told = arg;

	assert_string_equal(what->path, PATH);
	assert_true(str_starts(what->store, "offsite"));
	told->count++;
	told->damaged += what->damaged;
}

static int read_five(struct store *s, bool elsewhere, char ret[static 6])
{
	const struct store_get_options options = {.elsewhere = elsewhere};
	const struct iovec iov[] = {{ret, 2}, {ret + 2, 3}};

	memset(ret, 0, 6);
	return store_get(s, NULL, PATH, 0, iov, 2, &options, NULL);
}

static unsigned count_reads(struct two *t);

static void a_read_goes_on_from_the_copy(void **state)
{
	struct two t;
	struct store *s = NULL;
	struct told told = {.events = {.read_elsewhere = count_told}};
	char bytes[6];

	two_init(&t, *state);
	told.events.arg = &told;
	repository_listen(&t.f->repo, &told.events);
	publish(t.f, PATH, 7, BYTES);
	/* Without a copy it is the store's own. */
	assert_int_equal(repository_reading_store_of_ino(&t.f->repo, ino_of_artifact(PATH), &s, NULL), 0);
	assert_false(store_has_spares(s));
	store_free(s);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(repository_reading_store_of_ino(&t.f->repo, ino_of_artifact(PATH), &s, NULL), 0);
	assert_true(store_has_spares(s));
	assert_int_equal(read_five(s, false, bytes), 0);
	assert_int_equal(told.count, 0);
	/* The bytes are wrong, says who reads. */
	put_text(t.f, PATH, "12045");
	assert_int_equal(read_five(s, false, bytes), 0);
	assert_string_equal(bytes, "12045");
	assert_int_equal(read_five(s, true, bytes), 0);
	assert_string_equal(bytes, BYTES);
	assert_int_equal(told.count, 1);
	/* It is not there. */
	assert_int_equal(store_remove(t.f->store, NULL, PATH, NULL), 0);
	assert_int_equal(read_five(s, false, bytes), 0);
	assert_string_equal(bytes, BYTES);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.damaged, 1);
	assert_int_equal(count_reads(&t), 1);
	/* Nor there. */
	assert_int_equal(store_remove(t.there, NULL, PATH, NULL), 0);
	assert_int_equal(read_five(s, false, bytes), -ENOENT);
	store_free(s);
	t.f->repo.events = NULL;
	two_finish(&t);
}

static void count_read(void *arg, const struct catalog_replica_read *read)
{
	unsigned *count = arg;

	assert_true(read->is_damaged);
	assert_string_equal(read->path, PATH);
	(*count)++;
}

static unsigned count_reads(struct two *t)
{
	unsigned count = 0;

	assert_int_equal(catalog_each_replica_read(t->f->catalog, count_read, &count), 0);
	return count;
}

/* The catalog. */

static void keep_sum(void *arg, const struct catalog_replica_sum *sum)
{
	struct catalog_replica_sum *sums = arg;

	sums[sum->state] = *sum;
}

static void what_is_wanted(void **state)
{
	struct catalog_replica_sum sums[REPLICA_STATES] = {0};
	struct catalog_replica row;
	int64_t next_us = 0;
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(catalog_next_replica(t.f->catalog, t.order.store, 5, &row, &next_us), -ENOENT);
	assert_true(next_us == INT64_MAX);
	assert_int_equal(catalog_want_replicas(t.f->catalog, "nobody", t.order.store, 5, NULL), 0);
	assert_int_equal(catalog_next_replica(t.f->catalog, t.order.store, 5, &row, &next_us), -ENOENT);
	assert_int_equal(catalog_want_replicas(t.f->catalog, "full", t.order.store, 5, NULL), 0);
	assert_int_equal(catalog_next_replica(t.f->catalog, t.order.store, 5, &row, &next_us), 0);
	assert_string_equal(row.path, LATER);
	assert_int_equal(row.since_us, 5);
	row.next_try_us = 100;
	row.attempts = 2;
	str_copy(row.error, sizeof(row.error), "it is away\nfor a while");
	assert_int_equal(catalog_set_replica(t.f->catalog, &row, NULL), 0);
	assert_int_equal(catalog_next_replica(t.f->catalog, t.order.store, 5, &row, &next_us), 0);
	assert_string_equal(row.path, PATH);
	assert_int_equal(catalog_sum_replicas(t.f->catalog, keep_sum, sums), 0);
	assert_int_equal(sums[REPLICA_WANTED].count, 2);
	assert_int_equal(sums[REPLICA_WANTED].failing, 1);
	assert_int_equal(sums[REPLICA_WANTED].bytes, 10);
	assert_string_equal(sums[REPLICA_WANTED].path, LATER);
	assert_string_equal(sums[REPLICA_WANTED].error, "it is away\nfor a while");
	/* They move from one sum to another. */
	row.state = REPLICA_COPYING;
	row.stored_bytes = 5;
	row.done_bytes = 2;
	assert_int_equal(catalog_set_replica(t.f->catalog, &row, NULL), 0);
	memset(sums, 0, sizeof(sums));
	assert_int_equal(catalog_sum_replicas(t.f->catalog, keep_sum, sums), 0);
	assert_int_equal(sums[REPLICA_WANTED].count, 1);
	assert_int_equal(sums[REPLICA_COPYING].count, 1);
	assert_int_equal(sums[REPLICA_COPYING].bytes, 3);
	row.state = REPLICA_WANTED;
	assert_int_equal(catalog_set_replica(t.f->catalog, &row, NULL), 0);
	/* Nobody wants them any more. */
	assert_int_equal(catalog_drop_unwanted_replicas(t.f->catalog, "full", t.order.store, NULL), 0);
	assert_int_equal(catalog_next_replica(t.f->catalog, t.order.store, 500, &row, &next_us), -ENOENT);
	memset(sums, 0, sizeof(sums));
	assert_int_equal(catalog_sum_replicas(t.f->catalog, keep_sum, sums), 0);
	assert_int_equal(sums[REPLICA_WANTED].count, 0);
	two_finish(&t);
}

static void put_here(struct two *t, const char *key, const void *data, size_t len)
{
	assert_int_equal(store_put_bytes(t->f->store, NULL, key, data, len, NULL, NULL), 0);
}

static void assert_there(struct two *t, const char *key, const char *text)
{
	_cleanup(free) char *there = get_there(t, key);

	if (text)
		assert_string_equal(str_or_empty(there), text);
	else
		assert_null(there);
}

static void copy_beside_now(struct two *t, struct replica_beside *seen, bool all)
{
	struct error err = {0};

	if (replica_make_beside(&t->order, seen, all, NULL, &err) < 0)
		fail_msg("%s", err.message);
}

static void what_lies_beside_backups(void **state)
{
	static const char *const small[] = {"chain/000000000001.json",
	                                    "checkpoints/20261120T020000Z-000000000001.json",
	                                    "records/audit/a", "records/history/a", "erasures/a"};
	struct replica_beside seen = {0};
	const size_t large_bytes = (3 << 20) + 17;
	_cleanup(free) char *large = mem_alloc(large_bytes), *there = NULL;
	struct store_upload_info *left = NULL;
	struct store_upload *cut = NULL;
	size_t len, count = 9;
	struct two t;

	two_init(&t, *state);
	memset(large, 'x', large_bytes);
	/* A crash has left it. */
	assert_int_equal(store_upload_begin(t.there, NULL, "catalog/0", &cut, NULL), 0);
	store_upload_free(cut);
	for (size_t i = 0; i < ARRAY_SIZE(small); i++)
		put_here(&t, small[i], "one", 3);
	put_here(&t, "records/history/b", large, large_bytes);
	put_here(&t, "catalog/1", "old", 3);
	put_here(&t, "catalog/2", "new", 3);
	put_here(&t, "holds/x", "one", 3);
	copy_beside_now(&t, &seen, false);
	for (size_t i = 0; i < ARRAY_SIZE(small); i++)
		assert_there(&t, small[i], "one");
	assert_int_equal(store_get_all(t.there, NULL, "records/history/b", large_bytes, &there, &len, NULL),
	                 0);
	assert_int_equal(len, large_bytes);
	assert_memory_equal(there, large, large_bytes);
	assert_there(&t, "catalog/1", NULL);
	assert_there(&t, "catalog/2", "new");
	assert_there(&t, "holds/x", NULL);
	assert_int_equal(store_upload_list(t.there, NULL, "catalog/", &left, &count, NULL), 0);
	assert_int_equal(count, 0);
	store_upload_list_free(left, count);
	/* What comes later; what is lost here stays there, but for copies of the catalog. */
	put_here(&t, "chain/000000000002.json", "two", 3);
	put_here(&t, "catalog/3", "newest", 6);
	assert_int_equal(store_remove(t.f->store, NULL, small[0], NULL), 0);
	copy_beside_now(&t, &seen, false);
	assert_there(&t, "chain/000000000002.json", "two");
	assert_there(&t, small[0], "one");
	assert_there(&t, "catalog/2", NULL);
	assert_there(&t, "catalog/3", "newest");
	/* What is lost there is found when all is looked at. */
	assert_int_equal(store_remove(t.there, NULL, small[2], NULL), 0);
	copy_beside_now(&t, &seen, false);
	assert_there(&t, small[2], NULL);
	copy_beside_now(&t, &seen, true);
	assert_there(&t, small[2], "one");
	two_finish(&t);
}

static void assert_besides(struct two *t, uint64_t count, const char *key)
{
	struct catalog_besides besides;

	assert_int_equal(catalog_besides(t->f->catalog, t->order.store, &besides), 0);
	assert_int_equal(besides.count, count);
	assert_string_equal(besides.key, key);
}

static void another_object_beside_is_told(void **state)
{
	struct replica_beside seen = {0};
	struct two t;

	two_init(&t, *state);
	put_there(&t, "chain/000000000001.json", "longer");
	put_there(&t, "records/audit/a", "two");
	put_here(&t, "chain/000000000001.json", "one", 3);
	put_here(&t, "records/audit/a", "one", 3);
	put_here(&t, "records/audit/b", "one", 3);
	copy_beside_now(&t, &seen, false);
	/* One of the same length is seen by its content only when it was to be copied. */
	assert_besides(&t, 1, "chain/000000000001.json");
	assert_there(&t, "chain/000000000001.json", "longer");
	assert_there(&t, "records/audit/b", "one");
	put_there(&t, "records/audit/c", "two");
	put_here(&t, "records/audit/c", "one", 3);
	copy_beside_now(&t, &seen, false);
	assert_besides(&t, 2, "chain/000000000001.json");
	assert_there(&t, "records/audit/c", "two");
	assert_int_equal(store_remove(t.there, NULL, "chain/000000000001.json", NULL), 0);
	put_there(&t, "records/audit/c", "one");
	copy_beside_now(&t, &seen, true);
	assert_besides(&t, 0, "");
	assert_there(&t, "chain/000000000001.json", "one");
	two_finish(&t);
}

static bool is_shown(struct two *t, const char *path)
{
	struct catalog_entry entry;

	return catalog_copy_entry(t->f->catalog, copy_tree_ino(t->order.store, path), &entry) == 0;
}

static void a_tree_of_what_is_there(void **state)
{
	struct catalog_copy_place place;
	struct catalog_entry entry, page[2];
	uint64_t store, top;
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(catalog_copy_tree_of(t.f->catalog, "offsite", &store), -ENOENT);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	assert_int_equal(catalog_copy_tree_of(t.f->catalog, "offsite", &store), 0);
	assert_int_equal(store, t.order.store);
	top = copy_tree_ino(store, "");
	assert_int_equal(catalog_copy_child(t.f->catalog, top, "backups", &entry), 0);
	assert_true(entry.is_directory && entry.parent_ino == top);
	assert_int_equal(catalog_copy_child(t.f->catalog, entry.ino, "full", &entry), 0);
	assert_int_equal(catalog_copy_child(t.f->catalog, entry.ino, "none", &page[0]), -ENOENT);
	/* A page at a time. */
	assert_int_equal(catalog_copy_children(t.f->catalog, entry.ino, -1, page, 1), 1);
	assert_string_equal(page[0].name, PATH + strlen("backups/full/"));
	assert_false(page[0].is_directory);
	assert_int_equal(page[0].size_bytes, strlen(BYTES));
	assert_int_equal(catalog_copy_children(t.f->catalog, entry.ino, page[0].sequence, page, 2), 1);
	assert_string_equal(page[0].name, LATER + strlen("backups/full/"));
	assert_int_equal(catalog_copy_place(t.f->catalog, page[0].ino, &place), 0);
	assert_string_equal(place.path, LATER);
	assert_string_equal(place.shown, LATER);
	assert_string_equal(place.file, LATER + strlen("backups/full/"));
	/* Once more changes nothing; what is damaged stays; what is gone goes, with what is empty then. */
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	replica_found_wrong(&t.f->repo, PATH, store, "wrong bytes");
	assert_int_equal(row_of(&t, PATH).state, REPLICA_LOST);
	assert_true(is_shown(&t, PATH));
	assert_int_equal(catalog_forget_replica(t.f->catalog, PATH, store, NULL), 0);
	assert_int_equal(catalog_sweep_copy_tree(t.f->catalog, NULL), 0);
	assert_false(is_shown(&t, PATH));
	assert_true(is_shown(&t, LATER) && is_shown(&t, "backups/full"));
	assert_int_equal(catalog_forget_replica(t.f->catalog, LATER, store, NULL), 0);
	assert_int_equal(catalog_sweep_copy_tree(t.f->catalog, NULL), 0);
	assert_false(is_shown(&t, "backups/full") || is_shown(&t, "backups") || is_shown(&t, ""));
	two_finish(&t);
}

static void keep_line(void *arg, const char *line)
{
	str_appendf(arg, "%s\n", line);
}

/* Checksums as sha256sum -c takes them, and what is known of each. */
static void what_is_known_of_copies(void **state)
{
	_cleanup(str) struct str lines = {0}, expected = {0};
	struct catalog_copy_facts facts;
	uint64_t directory;
	char hex[SHA256_HEX_BYTES];
	struct two t;

	two_init(&t, *state);
	publish(t.f, PATH, 7, BYTES);
	publish(t.f, LATER, 8, BYTES);
	assert_int_equal(replica_make(&t.order, PATH, NULL, NULL), 0);
	assert_int_equal(replica_make(&t.order, LATER, NULL, NULL), 0);
	directory = copy_tree_ino(t.order.store, "backups/full");
	assert_int_equal(directory & 1, 0);
	assert_int_equal(copy_tree_ino(t.order.store, PATH) & 1, 0);
	assert_true(catalog_copy_has_sums(t.f->catalog, directory));
	assert_false(catalog_copy_has_sums(t.f->catalog, copy_tree_ino(t.order.store, "backups")));
	assert_false(catalog_copy_has_sums(t.f->catalog, copy_tree_ino(t.order.store, PATH)));
	assert_false(catalog_copy_has_sums(t.f->catalog, 4711));
	assert_int_equal(catalog_copy_facts(t.f->catalog, copy_tree_ino(t.order.store, PATH), &facts), 0);
	assert_string_equal(facts.manifest.path, PATH);
	assert_string_equal(facts.manifest.job, "full");
	assert_int_equal(facts.manifest.run_id, 7);
	assert_int_equal(facts.manifest.started_at_us, row_of(&t, PATH).started_at_us);
	assert_int_equal(facts.manifest.verified_at_us, row_of(&t, PATH).verified_at_us);
	assert_int_equal(facts.replica.state, REPLICA_WHOLE);
	assert_int_equal(facts.stored_bytes, strlen(BYTES));
	str_copy(hex, sizeof(hex), facts.sha256);
	assert_int_equal(strlen(hex), SHA256_HEX_BYTES - 1);
	manifest_finish(&facts.manifest);
	str_appendf(&expected, "%s  %s\n%s  %s\n", hex, strrchr(PATH, '/') + 1, hex, strrchr(LATER, '/') + 1);
	assert_int_equal(catalog_copy_sums(t.f->catalog, directory, false, keep_line, &lines), 0);
	assert_string_equal(str_text(&lines), str_text(&expected));
	/* Above artifacts there is nothing to tell. */
	assert_int_equal(catalog_copy_facts(t.f->catalog, directory, &facts), -ENOENT);
	assert_int_equal(catalog_copy_facts(t.f->catalog, 4711, &facts), -ENOENT);
	/* It goes with the copy. */
	assert_int_equal(catalog_forget_replica(t.f->catalog, PATH, t.order.store, NULL), 0);
	assert_int_equal(catalog_copy_facts(t.f->catalog, copy_tree_ino(t.order.store, PATH), &facts),
	                 -ENOENT);
	str_clear(&lines);
	assert_int_equal(catalog_copy_sums(t.f->catalog, directory, false, keep_line, &lines), 0);
	assert_non_null(strstr(str_text(&lines), "20261121"));
	assert_null(strstr(str_text(&lines), "20261120"));
	two_finish(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(a_tree_of_what_is_there, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_known_of_copies, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_lies_beside_backups, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(another_object_beside_is_told, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(the_same_keys_and_bytes, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(another_thing_is_never_touched, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_failed_at_once_was_not_begun, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_ours_is_made_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(damage_is_not_copied, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_has_the_same_crc_is_not_copied, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_removed_stays_there_and_comes_back, set_up,
	                                        tear_down),
	        cmocka_unit_test_setup_teardown(what_is_there_is_learned, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_a_reader_learns, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(repair, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_comes_back_is_locked, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_held_stays_there, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_removed_was_held_by_nobody, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(another_of_the_same_name_has_no_copy, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_wrong_once_is_read_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_repaired_is_locked_again, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_forged_here_takes_no_copys_place, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_forged_there_does_not_come_back, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_was_cut_and_rewrapped_is_no_conflict, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_copy_of_what_is_lost_here_stays_whole, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_not_listed_is_not_copied, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(a_read_goes_on_from_the_copy, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(what_is_wanted, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
