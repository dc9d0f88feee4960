// SPDX-License-Identifier: Apache-2.0
/* Manifests that another keepfs has replaced, as it does when it rewraps a backup: they are read again, once, and by whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include <keepfs/catalog/compare.h>
#include <keepfs/lease.h>

#include "artifact_fixture.h"

#define STEM  "backups/full/20261120T030000Z"
#define PATH  STEM ".dump"
#define OTHER "backups/full/20261120T040000Z.dump"

static struct error err;

static void count_rewrapped(void *arg, const struct manifest *m)
{
	*(unsigned *)arg += 1;
}

static struct artifact_comparison follow_all(struct fixture *f)
{
	struct artifact_comparison counts = {0};

	if (artifact_follow_all(&f->repo, LATER_US, NULL, &counts, &err) < 0)
		fail_msg("%s", err.message);
	return counts;
}

static struct artifact_comparison compare(struct fixture *f)
{
	struct artifact_comparison counts = {0};

	if (artifact_compare(&f->repo, LATER_US, NULL, &counts, &err) < 0)
		fail_msg("%s", err.message);
	return counts;
}

/* As another keepfs does it: the same backup, under the key of another generation. */
static void rewrap_elsewhere(struct fixture *f, unsigned generation)
{
	_cleanup(manifest) struct manifest m = {0};
	char *key = mem_printf(STEM ".dump.r%u.age", generation);

	describe_dump(&m, PATH, 1);
	free(m.objects[0].key);
	m.objects[0].key = key;
	put_text(f, key, "12345");
	put_manifest_of(f, &m);
}

static void assert_object(struct fixture *f, const char *key)
{
	_cleanup(manifest_object) struct manifest_object o = {0};

	assert_int_equal(catalog_object(f->catalog, ino_of_artifact(PATH), &o), 0);
	assert_string_equal(o.key, key);
}

static unsigned long long gets_of(struct fixture *f)
{
	return calls_of(f, STORE_CALL_GET);
}

static void a_reader_reads_it_again(void **state)
{
	struct fixture *f = *state;
	unsigned rewrapped = 0;
	struct artifact_events events = {.rewrapped = count_rewrapped, .arg = &rewrapped};
	unsigned long long gets;

	repository_listen(&f->repo, &events);
	store_dump(f, PATH, 1);
	store_dump(f, OTHER, 2);
	assert_int_equal(follow_all(f).adopted, 2);
	assert_object(f, PATH);
	gets = gets_of(f);
	for (unsigned i = 2; i < 4; i++) {
		_cleanup(free) char *key = mem_printf(STEM ".dump.r%u.age", i);
		struct artifact_comparison counts;

		rewrap_elsewhere(f, i);
		counts = follow_all(f);
		assert_int_equal(counts.changed, 1);
		assert_int_equal(counts.adopted + counts.missing + counts.unlisted, 0);
		assert_object(f, key);
		assert_int_equal(rewrapped, i - 1);
		/* Once, and once more to see that it stays so. */
		gets += 2;
		assert_int_equal(gets_of(f), gets);
		assert_int_equal(follow_all(f).changed, 0);
		assert_int_equal(gets_of(f), gets);
	}
}

/* Put anew as it was, as a copy of the bucket has it. */
static void what_says_the_same_is_read_once(void **state)
{
	struct fixture *f = *state;
	unsigned long long gets;

	store_dump(f, PATH, 1);
	follow_all(f);
	store_dump(f, PATH, 1);
	gets = gets_of(f);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(follow_all(f).changed, 0);
		assert_int_equal(gets_of(f), gets + 1);
	}
	assert_object(f, PATH);
}

static void what_an_event_told_is_not_read_again(void **state)
{
	struct fixture *f = *state;
	unsigned long long gets;

	store_dump(f, PATH, 1);
	assert_int_equal(artifact_follow_made(&f->repo, PATH, NULL, &err), 0);
	rewrap_elsewhere(f, 2);
	assert_int_equal(artifact_follow_made(&f->repo, PATH, NULL, &err), 0);
	assert_object(f, STEM ".dump.r2.age");
	gets = gets_of(f);
	assert_int_equal(follow_all(f).changed, 0);
	assert_int_equal(gets_of(f), gets);
}

/* The one that was listed was removed, and another one made under its name, while nobody told us. */
static void another_one_takes_its_place(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};

	store_dump(f, PATH, 1);
	follow_all(f);
	store_dump(f, PATH, 7);
	assert_int_equal(follow_all(f).adopted, 1);
	assert_int_equal(catalog_manifest(f->catalog, ino_of_artifact(PATH), &m), 0);
	assert_int_equal(m.run_id, 7);
	assert_int_equal(follow_all(f).adopted, 0);
}

/* Who has made it himself keeps what he knows, and looks again each time. */
static void a_writer_takes_no_other_one_for_his(void **state)
{
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = make_dump(f, 1, AT_US);
	unsigned long long gets = gets_of(f);

	compare(f);
	assert_int_equal(gets_of(f), gets);
	store_dump(f, path, 7);
	for (int i = 1; i < 3; i++) {
		struct artifact_comparison counts = compare(f);

		assert_int_equal(counts.changed + counts.adopted, 0);
		assert_int_equal(gets_of(f), gets + (unsigned)i);
	}
	assert_int_equal(catalog_manifest(f->catalog, ino_of_artifact(path), &m), 0);
	assert_int_equal(m.run_id, 1);
}

/* It is what is read or verified that tells of it; it is looked at until it can be used again. */
static void what_cannot_be_used_changes_nothing(void **state)
{
	static const char *const texts[] = {"{", "", "{\"version\": 99}"};
	struct fixture *f = *state;

	store_dump(f, PATH, 1);
	follow_all(f);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		unsigned long long heads = calls_of(f, STORE_CALL_HEAD);

		put_text(f, "manifests/" PATH ".json", texts[i]);
		for (unsigned n = 1; n < 3; n++) {
			struct artifact_comparison counts = follow_all(f);

			assert_int_equal(counts.changed + counts.adopted + counts.missing, 0);
			assert_true(calls_of(f, STORE_CALL_HEAD) >= heads + n);
		}
		assert_object(f, PATH);
	}
	rewrap_elsewhere(f, 2);
	assert_int_equal(follow_all(f).changed, 1);
	assert_object(f, STEM ".dump.r2.age");
}

static void a_store_that_fails_leaves_it_to_the_next_time(void **state)
{
	static const char *const faults[] = {"get:1:eio", "head:1:eio", "get:2:eio"};
	struct fixture *f = *state;

	store_dump(f, PATH, 1);
	follow_all(f);
	for (unsigned i = 0; i < ARRAY_SIZE(faults); i++) {
		_cleanup(free) char *key = mem_printf(STEM ".dump.r%u.age", i + 2);
		struct artifact_comparison counts = {0};

		open_store(f, "");
		rewrap_elsewhere(f, i + 2);
		open_store(f, faults[i]);
		assert_int_equal(artifact_follow_all(&f->repo, LATER_US, NULL, &counts, &err), -EIO);
		open_store(f, "");
		follow_all(f);
		assert_object(f, key);
	}
}

static void take_lease(struct fixture *f)
{
	const struct lease_wait wait = {.forever = false};
	struct lease_options options = {.state_dir = f->state_dir, .length_ms = 60000};

	assert_int_equal(store_dir_new(f->directory, &options.store, &err), 0);
	assert_int_equal(lease_new(&options, &f->repo.lease, &err), 0);
	assert_int_equal(lease_take(f->repo.lease, &wait, &err), 0);
}

/* A successor reads once, when he catches up; then he is the only one who writes. */
static void who_has_the_lease_reads_only_to_catch_up(void **state)
{
	struct fixture *f = *state;
	unsigned long long gets;

	store_dump(f, PATH, 1);
	follow_all(f);
	take_lease(f);
	rewrap_elsewhere(f, 2);
	assert_int_equal(follow_all(f).changed, 1);
	assert_object(f, STEM ".dump.r2.age");
	rewrap_elsewhere(f, 3);
	gets = gets_of(f);
	assert_int_equal(compare(f).changed, 0);
	assert_int_equal(gets_of(f), gets);
	assert_object(f, STEM ".dump.r2.age");
	/* It is noted, so he does not do so without one either. */
	f->repo.lease = lease_free(f->repo.lease);
	assert_int_equal(compare(f).changed, 0);
	assert_int_equal(gets_of(f), gets);
}

/* All would be read at once by each reader of a new version. */
static void what_an_older_keepfs_listed_is_taken_as_it_is(void **state)
{
	struct fixture *f = *state;
	const struct catalog_manifest_mark old = {.ino = ino_of_artifact(PATH)};
	unsigned long long gets;

	store_dump(f, PATH, 1);
	follow_all(f);
	assert_int_equal(catalog_note_manifests(f->catalog, &old, 1, &err), 0);
	assert_int_equal(catalog_look_at_manifest(f->catalog, old.ino, "x"), CATALOG_LOOK_BEFORE);
	gets = gets_of(f);
	follow_all(f);
	assert_int_equal(gets_of(f), gets);
	assert_int_equal(catalog_look_at_manifest(f->catalog, old.ino, "x"), CATALOG_LOOK_OTHER);
}

static void nothing_is_noted_of_what_is_not_listed(void **state)
{
	struct fixture *f = *state;
	const struct catalog_manifest_mark mark = {.ino = ino_of_artifact(PATH), .mark = "one"};
	const struct catalog_removal removal = {.is_decided = true};

	assert_int_equal(catalog_note_manifests(f->catalog, &mark, 1, &err), 0);
	assert_int_equal(catalog_look_at_manifest(f->catalog, mark.ino, "two"), CATALOG_LOOK_SAME);
	store_dump(f, PATH, 1);
	assert_int_equal(artifact_follow_made(&f->repo, PATH, NULL, &err), 0);
	assert_int_equal(catalog_look_at_manifest(f->catalog, mark.ino, "one"), CATALOG_LOOK_OTHER);
	assert_int_equal(catalog_note_manifests(f->catalog, &mark, 1, &err), 0);
	assert_int_equal(catalog_look_at_manifest(f->catalog, mark.ino, "one"), CATALOG_LOOK_SAME);
	/* It goes with the row. */
	assert_int_equal(artifact_remove(&f->repo, mark.ino, &removal, &err), 0);
	store_dump(f, PATH, 2);
	assert_int_equal(compare(f).adopted, 1);
	assert_int_equal(catalog_look_at_manifest(f->catalog, mark.ino, "one"), CATALOG_LOOK_OTHER);
}

/* A store that says no etag in its listing. */
static void without_an_etag_its_size_has_to_do(void **state)
{
	struct store_object object = {.bytes = 4711};
	struct catalog_manifest_mark one = {0}, two = {0};

	artifact_mark_object(&object, &one);
	assert_string_not_equal(one.mark, "");
	object.bytes++;
	artifact_mark_object(&object, &two);
	assert_string_not_equal(one.mark, two.mark);
	memset(object.etag, 'e', sizeof(object.etag) - 1);
	artifact_mark_object(&object, &one);
	assert_string_equal(one.mark, object.etag);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(a_reader_reads_it_again),
	        TEST(what_says_the_same_is_read_once),
	        TEST(what_an_event_told_is_not_read_again),
	        TEST(another_one_takes_its_place),
	        TEST(a_writer_takes_no_other_one_for_his),
	        TEST(what_cannot_be_used_changes_nothing),
	        TEST(a_store_that_fails_leaves_it_to_the_next_time),
	        TEST(who_has_the_lease_reads_only_to_catch_up),
	        TEST(what_an_older_keepfs_listed_is_taken_as_it_is),
	        TEST(nothing_is_noted_of_what_is_not_listed),
	        TEST(without_an_etag_its_size_has_to_do),
	};

	return cmocka_run_group_tests_name("artifact_seen", tests, NULL, NULL);
}
