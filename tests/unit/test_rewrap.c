// SPDX-License-Identifier: Apache-2.0
/* What rewrapping rests on: keys of generations, who is meant by a list of recipients, which objects are old ones, and who keeps them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/rewraps.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/sign.h>

#define PATH "backups/full/20261120T020000Z.dump"
#define STEM "backups/full/20261120T020000Z"
#define ONE  "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

/* Keys. */

static void assert_generation(const char *key, unsigned generation, const char *first, const char *third)
{
	_cleanup(free) char *one = manifest_key_of_generation(key, 1),
	                    *three = manifest_key_of_generation(key, 3);

	assert_int_equal(manifest_key_generation(key), generation);
	assert_string_equal(one, first);
	assert_string_equal(three, third);
}

static void a_key_tells_its_generation(void **state)
{
	assert_generation("b/T.dump.age", 1, "b/T.dump.age", "b/T.dump.r3.age");
	assert_generation("b/T.dump.r2.age", 2, "b/T.dump.age", "b/T.dump.r3.age");
	assert_generation("b/T.dump.r41.age", 41, "b/T.dump.age", "b/T.dump.r3.age");
	assert_generation("m/T.dump.extents", 1, "m/T.dump.extents", "m/T.dump.extents.r3");
	assert_generation("m/T.dump.extents.r2", 2, "m/T.dump.extents", "m/T.dump.extents.r3");
}

/* What only looks like one is a part of the name. */
static void other_names_are_no_generations(void **state)
{
	static const char *const names[] = {
	        "b/T.r.age",   "b/T.r0.age",         "b/T.r1.age",  "b/T.r02.age", "b/Tr2.age", "b/T.R2.age",
	        "b/T.r2x.age", "b/T.2.age",          "b/T.r-2.age", "r2.age",      ".age",      "",
	        "7",           "b/T.r9999999999.age"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *first = manifest_key_of_generation(names[i], 1);

		assert_int_equal(manifest_key_generation(names[i]), 1);
		assert_string_equal(first, names[i]);
	}
}

static void keys_that_differ_stay_two(void **state)
{
	_cleanup(free) char *a = manifest_key_marked_again("d/toc.dat.age", 3),
	                    *b = manifest_key_marked_again("d/toc.dat.r2.age", 3);

	assert_string_equal(a, "d/toc.dat.r3.age");
	assert_string_equal(b, "d/toc.dat.r2.r3.age");
}

static void each_generation_lies_beside_the_manifest(void **state)
{
	static const char *const right[] = {".extents.r2", ".index.age", ".index.r2.age", ".facts.r7.age",
	                                    ".index"};
	static const char *const wrong[] = {".extents.r1",   ".facts.r2", ".json", ".json.r2",
	                                    ".other.r2.age", "",          ".r2"};
	_cleanup(free) char *manifest = manifest_key(PATH);

	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		_cleanup(free) char *key = mem_printf("manifests/%s%s", PATH, right[i]);

		assert_true(manifest_is_beside(key, PATH) && manifest_is_beside_any(key));
		/* Whoever lists keys in their order has seen them when the manifest comes. */
		assert_true(strcmp(key, manifest) < 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup(free) char *key = mem_printf("manifests/%s%s", PATH, wrong[i]);

		assert_false(manifest_is_beside(key, PATH));
	}
	assert_false(manifest_is_beside("manifests/" PATH ".index.r2.age", STEM));
}

/* For whom. */

static void a_list_of_recipients_is_a_set(void **state)
{
	_cleanup(age_recipients) struct age_recipients *r = age_recipients_new();
	_cleanup(free) char *both = NULL, *turned = NULL, *three = NULL;
	char secret[AGE_SECRET_TEXT_BYTES], other[AGE_RECIPIENT_BYTES];

	age_identity_generate(secret, other);
	assert_int_equal(age_recipients_add(r, ONE, NULL), 0);
	assert_true(artifact_is_encrypted_for(ONE, r));
	assert_false(artifact_is_encrypted_for(other, r));
	assert_int_equal(age_recipients_add(r, other, NULL), 0);
	both = mem_printf("%s, %s", ONE, other);
	turned = mem_printf("%s, %s", other, ONE);
	three = mem_printf("%s, passphrase", both);
	assert_true(artifact_is_encrypted_for(both, r));
	assert_true(artifact_is_encrypted_for(turned, r));
	assert_false(artifact_is_encrypted_for(three, r));
	assert_false(artifact_is_encrypted_for(ONE, r));
	assert_false(artifact_is_encrypted_for("", r));
	assert_false(artifact_is_encrypted_for(NULL, r));
	assert_false(artifact_is_encrypted_for("age1", r));
}

/* Old objects. */

static void only_other_generations_of_its_objects_are_old(void **state)
{
	static const char *const stay[] = {STEM ".dump.r2.age",
	                                   STEM ".tables.csv.age",
	                                   STEM ".dump.r2",
	                                   STEM ".dump",
	                                   STEM ".other.r2.age",
	                                   "manifests/" PATH ".index.r2.age",
	                                   "manifests/" PATH ".json",
	                                   STEM "/dump.age",
	                                   "backups/full/20261120T020000Z-2.dump.age"};
	static const char *const go[] = {STEM ".dump.age",
	                                 STEM ".dump.r3.age",
	                                 STEM ".tables.csv.r2.age",
	                                 "manifests/" PATH ".index.age",
	                                 "manifests/" PATH ".index.r3.age",
	                                 "manifests/" PATH ".extents",
	                                 "manifests/" PATH ".extents.r2"};
	struct fixture *f = *state;
	_cleanup(manifest) struct manifest m = {.path = mem_strdup(PATH)};

	manifest_add_object(&m, stay[0]);
	manifest_add_object(&m, stay[1]);
	manifest_add_object(&m, stay[5]);
	for (size_t i = 0; i < ARRAY_SIZE(stay); i++)
		put_text(f, stay[i], "stays");
	for (size_t i = 0; i < ARRAY_SIZE(go); i++)
		put_text(f, go[i], "goes");
	assert_int_equal(artifact_remove_old_objects(f->store, NULL, &m, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(stay); i++)
		assert_true(is_stored(f, stay[i]));
	for (size_t i = 0; i < ARRAY_SIZE(go); i++)
		assert_false(is_stored(f, go[i]));
	/* A table of extents that the manifest names is no old one. */
	m.extents_key = mem_strdup("manifests/" PATH ".extents.r2");
	put_text(f, m.extents_key, "stays");
	put_text(f, go[5], "goes");
	assert_int_equal(artifact_remove_old_objects(f->store, NULL, &m, NULL), 0);
	assert_true(is_stored(f, m.extents_key) && !is_stored(f, go[5]));
}

/* Who has them. */

static void old_objects_stay_while_somebody_has_it_open(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_of_artifact(PATH);
	struct error err = {0};

	artifact_open_begin(&f->repo, ino);
	artifact_open_begin(&f->repo, ino);
	assert_false(artifact_claim_old_objects(&f->repo, ino));
	/* That does not keep anybody from removing it. */
	assert_int_equal(artifact_claim_removal(&f->repo, ino, PATH, &err), 0);
	artifact_end_claim(&f->repo, ino);
	artifact_open_end(&f->repo, ino);
	assert_false(artifact_claim_old_objects(&f->repo, ino));
	artifact_open_end(&f->repo, ino);
	assert_true(artifact_claim_old_objects(&f->repo, ino));
	assert_int_equal(artifact_keep(&f->repo, ino, 7, "checked", &err), -EBUSY);
	artifact_end_claim(&f->repo, ino);
	assert_int_equal(artifact_keep(&f->repo, ino, 7, "checked", &err), 0);
	assert_false(artifact_claim_old_objects(&f->repo, ino));
	artifact_let_go(&f->repo, ino, 7);
}

static void one_run_rewraps_it(void **state)
{
	struct fixture *f = *state;
	uint64_t ino = ino_of_artifact(PATH);
	struct error err = {0};

	assert_int_equal(artifact_claim_rewrap(&f->repo, ino, 7, PATH, &err), 0);
	assert_int_equal(artifact_claim_rewrap(&f->repo, ino, 8, PATH, &err), -EBUSY);
	assert_int_equal(artifact_claim_removal(&f->repo, ino, PATH, &err), -EBUSY);
	assert_false(artifact_claim_old_objects(&f->repo, ino));
	artifact_let_go(&f->repo, ino, 7);
	assert_int_equal(artifact_claim_rewrap(&f->repo, ino, 8, PATH, &err), 0);
	artifact_let_go(&f->repo, ino, 8);
}

/* The catalog. */

static void what_is_begun_is_remembered(void **state)
{
	struct fixture *f = *state;
	struct catalog_rewrap row;
	_cleanup(manifest) struct manifest m = {.path = mem_strdup(PATH)};
	bool left = true;

	assert_int_equal(catalog_next_rewrap(f->catalog, 0, &row), -ENOENT);
	assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(PATH), PATH, AT_US, NULL), 0);
	assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(PATH), PATH, LATER_US, NULL), 0);
	assert_int_equal(catalog_put_off_rewrap(f->catalog, ino_of_artifact(PATH), 7, "locked", NULL), 0);
	assert_int_equal(catalog_next_rewrap(f->catalog, 0, &row), 0);
	assert_string_equal(row.path, PATH);
	assert_string_equal(row.why, "locked");
	assert_true(row.since_us == AT_US && row.until_us == 7 && row.ino == ino_of_artifact(PATH));
	assert_int_equal(catalog_next_rewrap(f->catalog, row.ino, &row), -ENOENT);
	/* Begun once more it is looked at after a crash, however long old objects are locked. */
	assert_int_equal(catalog_expect_rewrap(f->catalog, ino_of_artifact(PATH), "abc", NULL), 0);
	assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(PATH), PATH, LATER_US, NULL), 0);
	assert_int_equal(catalog_rewrap_of(f->catalog, ino_of_artifact(PATH), &row), 0);
	assert_true(row.since_us == AT_US && row.until_us == 0 && !row.why[0]);
	assert_string_equal(row.manifest, "abc");
	assert_int_equal(catalog_rewrap_of(f->catalog, ino_of_artifact(STEM), &row), -ENOENT);
	/* One that is not listed any more has nothing old. */
	assert_int_equal(catalog_relist_artifact(f->catalog, &m, NULL), -ENOENT);
	assert_int_equal(artifact_settle_rewraps(&f->repo, &(struct store_call){0}, &left, NULL), 0);
	assert_false(left);
	assert_int_equal(catalog_next_rewrap(f->catalog, 0, &row), -ENOENT);
}

/* One that is about to have other objects, and has the new one. */
struct rewrapped {
	char *path, *key; /* heap; key: of the manifest */
	struct manifest m;
	struct str text; /* of the new manifest */
};

static void rewrapped_finish(struct rewrapped *w)
{
	free(w->path);
	free(w->key);
	manifest_finish(&w->m);
	str_finish(&w->text);
}

static void cleanup_rewrapped(struct rewrapped *w)
{
	rewrapped_finish(w);
}

static void begin_one(struct fixture *f, struct rewrapped *w)
{
	w->path = make_dump(f, 1, AT_US);
	w->key = manifest_key(w->path);
	assert_int_equal(artifact_read_manifest(&f->repo, w->path, NULL, &w->m, NULL), 0);
	assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(w->path), w->path, AT_US, NULL), 0);
	free(w->m.objects[0].key);
	w->m.objects[0].key = mem_printf("%s.r2", w->path);
	put_text(f, w->m.objects[0].key, "PGDMP");
	manifest_encode(&w->m, &w->text);
}

static void expect_new(struct fixture *f, const struct rewrapped *w)
{
	char hash[SHA256_HEX_BYTES];

	sign_hash(w->text.data, w->text.len, hash);
	assert_int_equal(catalog_expect_rewrap(f->catalog, ino_of_artifact(w->path), hash, NULL), 0);
}

static bool settle_all_rewraps(struct fixture *f)
{
	bool left = false;

	assert_int_equal(artifact_settle_rewraps(&f->repo, &(struct store_call){0}, &left, NULL), 0);
	return !left;
}

/* A crash behind the manifest: what the store has is listed, and what it had goes. */
static void the_manifest_decides(void **state)
{
	struct fixture *f = *state;
	_cleanup(rewrapped) struct rewrapped w = {0};
	_cleanup(manifest_object) struct manifest_object listed = {0};
	_cleanup(free) char *next = NULL;
	struct catalog_rewrap row;

	begin_one(f, &w);
	/* Before it: a new object is nobody's. */
	next = mem_printf("%s.r3", w.path);
	put_text(f, next, "PGDMP");
	expect_new(f, &w);
	put_text(f, w.key, str_text(&w.text));
	assert_false(artifact_is_as_listed(&f->repo, &w.m));
	assert_true(settle_all_rewraps(f));
	assert_true(artifact_is_as_listed(&f->repo, &w.m));
	assert_true(is_stored(f, w.m.objects[0].key) && !is_stored(f, next) && !is_stored(f, w.path));
	assert_int_equal(catalog_object(f->catalog, ino_of_artifact(w.path), &listed), 0);
	assert_string_equal(listed.key, w.m.objects[0].key);
	assert_int_equal(catalog_next_rewrap(f->catalog, 0, &row), -ENOENT);
}

/* What is right by itself, but not what we have put: then what is in force must not be taken for old. */
static void an_older_manifest_that_is_put_back_removes_nothing(void **state)
{
	struct fixture *f = *state;
	_cleanup(rewrapped) struct rewrapped w = {0};
	_cleanup(free) char *old = NULL;
	size_t len;

	begin_one(f, &w);
	assert_int_equal(store_get_all(f->store, NULL, w.key, 1 << 20, &old, &len, NULL), 0);
	/* Nobody was about to put this one. */
	put_text(f, w.key, str_text(&w.text));
	assert_false(settle_all_rewraps(f));
	assert_true(is_stored(f, w.path) && is_stored(f, w.m.objects[0].key));
	expect_new(f, &w);
	assert_true(settle_all_rewraps(f));
	/* Its old objects were locked, say, and are still to go. */
	assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(w.path), w.path, AT_US, NULL), 0);
	expect_new(f, &w);
	put_text(f, w.path, "PGDMP");
	put_text(f, w.key, old);
	assert_false(settle_all_rewraps(f));
	assert_true(is_stored(f, w.path) && is_stored(f, w.m.objects[0].key));
	assert_true(artifact_is_as_listed(&f->repo, &w.m));
	/* When that is undone it goes on. */
	put_text(f, w.key, str_text(&w.text));
	assert_true(settle_all_rewraps(f));
	assert_true(!is_stored(f, w.path) && is_stored(f, w.m.objects[0].key));
}

/* A store that does not answer leaves it for another attempt. */
static void a_store_that_fails_is_asked_again(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = make_dump(f, 1, AT_US), *next = mem_printf("%s.r2", path);
	struct catalog_rewrap row;
	bool left = false;

	assert_int_equal(catalog_begin_rewrap(f->catalog, ino_of_artifact(path), path, AT_US, NULL), 0);
	put_text(f, next, "PGDMP");
	open_store(f, "list:1:eio");
	assert_int_equal(artifact_settle_rewraps(&f->repo, &(struct store_call){0}, &left, NULL), 0);
	assert_true(left && is_stored(f, next) && is_stored(f, path));
	assert_int_equal(catalog_next_rewrap(f->catalog, 0, &row), 0);
	assert_int_equal(artifact_settle_rewraps(&f->repo, &(struct store_call){0}, &left, NULL), 0);
	assert_true(!left && !is_stored(f, next) && is_stored(f, path));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_key_tells_its_generation),
	        cmocka_unit_test(other_names_are_no_generations),
	        cmocka_unit_test(keys_that_differ_stay_two),
	        cmocka_unit_test(each_generation_lies_beside_the_manifest),
	        cmocka_unit_test(a_list_of_recipients_is_a_set),
	        TEST(only_other_generations_of_its_objects_are_old),
	        TEST(old_objects_stay_while_somebody_has_it_open),
	        TEST(one_run_rewraps_it),
	        TEST(what_is_begun_is_remembered),
	        TEST(the_manifest_decides),
	        TEST(an_older_manifest_that_is_put_back_removes_nothing),
	        TEST(a_store_that_fails_is_asked_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
