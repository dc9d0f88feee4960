// SPDX-License-Identifier: Apache-2.0
/* Objects that lie in places of others: their keys, which place it is, what can be done there, what is remembered, and what goes with a backup. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "artifact_fixture.h"

#include <keepfs/catalog/adopted.h>
#include <keepfs/store/source.h>
#include <keepfs/stores.h>

#define NAME "2024/old dump.dump"
#define KEY  "adopted/old/" NAME

struct adopted {
	struct fixture *f;
	struct conf conf;
	struct conf_named_store named[3];
	struct stores *stores;
	char *directory, *file; /* of the place, and what somebody has put there */
};

static void write_there(struct adopted *a, const char *text)
{
	FILE *f = fopen(a->file, "w");

	assert_non_null(f);
	assert_int_equal(fputs(text, f) >= 0, 1);
	assert_int_equal(fclose(f), 0);
}

static void adopted_init(struct adopted *a, struct fixture *f)
{
	_cleanup(free) char *year = mem_printf("%s/place/2024", f->directory);

	*a = (struct adopted){.f = f};
	a->directory = mem_printf("%s/place", f->directory);
	a->file = mem_printf("%s/" NAME, a->directory);
	a->conf.store.url = mem_printf("dir:%s/objects", f->directory);
	a->conf.stores = a->named;
	a->conf.store_count = ARRAY_SIZE(a->named);
	a->named[0] =
	        (struct conf_named_store){.name = "old", .store.url = mem_printf("dir:%s", a->directory)};
	a->named[1] = (struct conf_named_store){.name = "gone",
	                                        .store.url = mem_printf("dir:%s/gone", f->directory)};
	a->named[2] =
	        (struct conf_named_store){.name = "bucket", .store.url = mem_strdup("s3://acme/dumps/")};
	assert_int_equal(mkdir(a->directory, 0700), 0);
	assert_int_equal(mkdir(year, 0700), 0);
	write_there(a, "12345");
	a->stores = stores_new(&(struct stores_options){
	        .conf = &a->conf, .main = f->store, .catalog = f->catalog, .retry_deadline_ms = 1});
	f->repo.stores = a->stores;
	f->repo.store = stores_main(a->stores);
}

static void adopted_end(struct adopted *a)
{
	a->f->repo.stores = NULL;
	a->f->repo.store = a->f->store;
	stores_free(a->stores);
	for (size_t i = 0; i < ARRAY_SIZE(a->named); i++)
		free(a->named[i].store.url);
	free(a->conf.store.url);
	free(a->directory);
	free(a->file);
}

static void test_adopted_keys(void **state)
{
	static const char *const not_adopted[] = {"adopted",        "adopted/",
	                                          "adopted/old",    "adopted/old/",
	                                          "adopted//x",     "backups/adopted/old/x",
	                                          "adoptedx/old/x", ""};
	static const char *const not_named[] = {"", "/x", "a//b", "a/", "..", "a/../b", ".", "a\nb", "a\x7f"};
	_cleanup(free) char *key = manifest_adopted_key("old", NAME), *place = NULL, *part = mem_alloc(260);

	assert_string_equal(key, KEY);
	assert_string_equal(manifest_adopted_in(key, &place), NAME);
	assert_string_equal(place, "old");
	for (size_t i = 0; i < ARRAY_SIZE(not_adopted); i++)
		assert_null(manifest_adopted_in(not_adopted[i], NULL));
	for (size_t i = 0; i < ARRAY_SIZE(not_named); i++)
		assert_null(manifest_adopted_key("old", not_named[i]));
	memset(part, 'x', 256);
	assert_null(manifest_adopted_key("old", part));
}

static void test_place_of_an_address(void **state)
{
	static const struct {
		const char *url, *place, *prefix; /* NULL: none */
	} rows[] = {
	        {"s3://acme/dumps", "bucket", ""},
	        {"s3://acme/dumps/", "bucket", ""},
	        {"s3://acme/dumps/2024//", "bucket", "2024/"},
	        {"s3://acme/dumps/a b/c", "bucket", "a b/c/"},
	        {"bucket", "bucket", ""},
	        {"s3://acme/dumpsters", NULL, NULL},
	        {"s3://acme", NULL, NULL},
	        {"dir:/srv", NULL, NULL},
	        {"", NULL, NULL},
	};
	struct adopted a;

	adopted_init(&a, *state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup(free) char *prefix = NULL;
		struct error err = {0};
		_cleanup(free) char *place = stores_place_of_url(&a.conf, rows[i].url, &prefix, &err);

		assert_string_equal(str_or_empty(place), str_or_empty(rows[i].place));
		assert_string_equal(str_or_empty(prefix), str_or_empty(rows[i].prefix));
		if (!place)
			assert_non_null(strstr(err.message, "[store bucket] s3://acme/dumps/"));
	}
	adopted_end(&a);
}

static void test_what_lies_in_our_own_store(void **state)
{
	static const struct {
		const char *store, *endpoint, *prefix;
		bool is_ours;
	} rows[] = {
	        {"s3://acme/dumps", "", "", true},
	        {"s3://acme/dumps/", "", "2024/x.dump", true},
	        {"s3://acme", "", "", true},
	        {"s3://acme/dumps/keepfs", "", "", false},
	        {"s3://acme/dumps/keepfs", "", "keepfs/backups/x.dump", true},
	        {"s3://acme/dumps/keepfs", "", "keepfs2/x.dump", false},
	        {"s3://acme/dumps", "https://another", "", false},
	        {"s3://acme/dump", "", "", false},
	        {"dir:/acme/dumps", "", "", false},
	};
	struct adopted a;

	adopted_init(&a, *state);
	a.named[2].remove_adopted = true;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup(free) char *key = mem_printf("adopted/bucket/%s", rows[i].prefix);

		mem_replace_string(&a.conf.store.url, rows[i].store);
		mem_replace_string(&a.conf.store.endpoint, rows[i].endpoint);
		assert_int_equal(stores_is_place_ours(&a.conf, "bucket", rows[i].prefix), rows[i].is_ours);
		assert_false(stores_is_place_ours(&a.conf, "nowhere", rows[i].prefix));
		/* It is never removed with what was adopted, whatever the section says. */
		assert_int_equal(stores_removes_adopted(a.stores, key), *rows[i].prefix && !rows[i].is_ours);
	}
	free(take_ptr(&a.conf.store.endpoint));
	adopted_end(&a);
}

static void test_nothing_is_written_there(void **state)
{
	struct store_lock lock = {.mode = STORE_LOCK_GOVERNANCE, .until_us = INT64_C(4000000000000000)};
	_cleanup(free) struct store_object *found = NULL;
	_cleanup(free) char *work = NULL;
	struct store_upload *upload;
	struct store_object object;
	struct error err = {0};
	struct adopted a;
	char buf[3];
	struct iovec iov = {buf, sizeof(buf)};
	size_t count = 9;
	bool more;

	adopted_init(&a, *state);
	assert_int_equal(store_head(a.f->repo.store, NULL, KEY, &object, NULL), 0);
	assert_int_equal(object.bytes, 5);
	assert_string_equal(object.key, KEY);
	assert_int_equal(store_get(a.f->repo.store, NULL, KEY, 1, &iov, 1, NULL, NULL), 0);
	assert_memory_equal(buf, "234", 3);
	assert_int_equal(store_put_bytes(a.f->repo.store, NULL, KEY, "x", 1, NULL, &err), -EROFS);
	assert_int_equal(store_upload_begin(a.f->repo.store, NULL, KEY, &upload, &err), -EROFS);
	assert_int_equal(store_lock_extend(a.f->repo.store, NULL, KEY, &(struct store_lock){0}, &lock, &err),
	                 -ENOTSUP);
	assert_int_equal(store_remove(a.f->repo.store, NULL, KEY, &err), -EPERM);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_int_equal(store_list(a.f->repo.store, NULL, "", NULL, 10, &found, &count, &more, NULL), 0);
	assert_int_equal(count, 0);
	/* Its own objects are where they always are. */
	put_text(a.f, "x", "y");
	assert_int_equal(store_head(a.f->repo.store, NULL, "x", &object, NULL), 0);
	assert_int_equal(store_remove(a.f->repo.store, NULL, "x", NULL), 0);
	/* A file that is not there is none; a place that is not there must not look so. */
	assert_int_equal(store_head(a.f->repo.store, NULL, "adopted/old/none", &object, NULL), -ENOENT);
	assert_int_equal(store_head(a.f->repo.store, NULL, "adopted/gone/x", &object, &err), -ENODEV);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_int_equal(store_head(a.f->repo.store, NULL, "adopted/nobody/x", &object, &err), -EINVAL);
	assert_non_null(strstr(err.message, "no section [store nobody]"));
	work = mem_printf("%s/.keepfs", a.directory);
	assert_int_equal(access(work, F_OK), -1);
	adopted_end(&a);
}

static void test_a_place_is_listed(void **state)
{
	_cleanup(stores_source) struct stores_source *source = NULL;
	_cleanup(source_list) struct source_list *list = NULL;
	_cleanup(source_object) struct source_object o = {0};
	struct stores_source *none;
	struct error err = {0};
	struct adopted a;

	adopted_init(&a, *state);
	assert_int_equal(stores_open_source(a.stores, "old", "2024/", 1, &source, NULL), 0);
	list = source_list_new(stores_source(source), NULL);
	assert_int_equal(source_list_next(list, &o, NULL), 1);
	assert_string_equal(o.key, "old dump.dump");
	assert_int_equal(source_list_next(list, &(struct source_object){0}, NULL), 0);
	assert_true(stores_open_source(a.stores, "nobody", "", 1, &none, &err) < 0);
	list = source_list_free(list);
	source = stores_source_free(source);
	adopted_end(&a);
}

static void adopt_one(struct adopted *a, int64_t run_id, int64_t at_us, char **ret_path)
{
	const struct artifact_name name = {.directory = "backups/full", .suffix = ".dump", .at_us = at_us};
	_cleanup(manifest) struct manifest m = {0};
	struct store_object object;

	assert_int_equal(artifact_reserve(&a->f->repo, &name, run_id, ret_path, NULL), 0);
	describe_dump(&m, *ret_path, run_id);
	mem_replace_string(&m.objects[0].key, KEY);
	assert_int_equal(store_head(a->f->repo.store, NULL, KEY, &object, NULL), 0);
	manifest_set_fact(&m, "adopted_etag", "as it was listed");
	manifest_set_fact(&m, "adopted_object", object.etag);
	assert_int_equal(artifact_publish(&a->f->repo, &m, NULL, NULL), 0);
}

static void test_what_is_remembered(void **state)
{
	struct catalog_adopted row = {
	        .place = "old", .key = "x", .bytes = 7, .etag = "e", .why = "it is cut off"};
	_cleanup(catalog_adopted) struct catalog_adopted known = {0}, learned = {0};
	_cleanup(free) char *path = NULL, *key = NULL, *etag = NULL;
	uint64_t bytes = 0;
	struct adopted a;

	adopted_init(&a, *state);
	assert_int_equal(catalog_get_adopted(a.f->catalog, "old", "x", &known), -ENOENT);
	assert_int_equal(catalog_note_adopted(a.f->catalog, &row, NULL), 0);
	row.bytes = 8;
	assert_int_equal(catalog_note_adopted(a.f->catalog, &row, NULL), 0);
	assert_int_equal(catalog_get_adopted(a.f->catalog, "old", "x", &known), 0);
	assert_int_equal(known.bytes, 8);
	assert_string_equal(known.path, "");
	assert_string_equal(known.why, "it is cut off");
	/* What manifests say is learned, and nothing else. */
	adopt_one(&a, 3, AT_US, &path);
	assert_int_equal(catalog_learn_adopted(a.f->catalog, "ol", NULL), 0);
	assert_int_equal(catalog_get_adopted(a.f->catalog, "old", NAME, &learned), -ENOENT);
	assert_int_equal(catalog_learn_adopted(a.f->catalog, "old", NULL), 0);
	assert_int_equal(catalog_get_adopted(a.f->catalog, "old", NAME, &learned), 0);
	assert_string_equal(learned.path, path);
	assert_string_equal(learned.etag, "as it was listed");
	assert_int_equal(learned.bytes, 5);
	assert_int_equal(catalog_adopted_object(a.f->catalog, ino_of_artifact(path), &key, &etag, &bytes), 0);
	assert_string_equal(key, KEY);
	assert_int_equal(catalog_adopted_object(a.f->catalog, 4711, &key, &etag, &bytes), -ENOENT);
	adopted_end(&a);
}

static bool is_there(const struct adopted *a)
{
	return access(a->file, F_OK) == 0;
}

static void test_what_goes_with_a_backup(void **state)
{
	struct adopted a;

	adopted_init(&a, *state);
	for (int i = 0; i < 3; i++) {
		_cleanup(free) char *path = NULL, *newer = NULL;

		adopt_one(&a, 10 + 2 * i, AT_US + 2 * i * US_PER_S, &path);
		newer = make_dump(a.f, 11 + 2 * i, AT_US + (2 * i + 1) * US_PER_S);
		if (i == 1) /* somebody has put another one there */
			write_there(&a, "123456");
		a.named[0].remove_adopted = i > 0;
		assert_int_equal(artifact_remove(&a.f->repo, ino_of_artifact(path), BY_POLICY, NULL), 0);
		assert_false(is_listed(a.f, path));
		assert_int_equal(is_there(&a), i < 2);
		if (i == 1)
			write_there(&a, "12345");
	}
	adopted_end(&a);
}

/* What was adopted has gone by then, so it is listed no more, nor the next time. */
static void test_a_manifest_that_must_not_go(void **state)
{
	_cleanup(free) char *path = NULL, *newer = NULL;
	struct artifact_recovery recovery = {0};
	struct error err = {0};
	struct adopted a;

	open_store(*state, "remove:1+:denied");
	adopted_init(&a, *state);
	adopt_one(&a, 10, AT_US, &path);
	newer = make_dump(a.f, 11, AT_US + US_PER_S);
	/* What stays is whole, and is listed again. */
	assert_int_equal(artifact_remove(&a.f->repo, ino_of_artifact(path), BY_POLICY, NULL), -EACCES);
	assert_true(is_listed(a.f, path) && is_there(&a));
	a.named[0].remove_adopted = true;
	for (int i = 0; i < 2; i++) {
		if (i == 0)
			assert_true(artifact_remove(&a.f->repo, ino_of_artifact(path), BY_POLICY, &err) < 0);
		else
			(void)artifact_recover(&a.f->repo, &recovery, NULL);
		assert_false(is_there(&a));
		assert_false(is_listed(a.f, path));
	}
	/* Whoever wants it back is told what it is. */
	assert_int_equal(artifact_undelete(&a.f->repo, path, &err), ARTIFACT_DAMAGED);
	assert_true(catalog_is_damaged(a.f->catalog, ino_of_artifact(path)));
	adopted_end(&a);
}

static void test_copies_go_whole(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	struct adopted a;

	adopted_init(&a, *state);
	describe_dump(&m, "backups/full/20261120T020000Z.dump", 1);
	mem_replace_string(&m.objects[0].key, KEY);
	put_manifest_of(a.f, &m);
	put_text(a.f, KEY, "12345");
	put_text(a.f, "adopted/old/another", "12345");
	assert_int_equal(artifact_delete_copy(a.f->store, NULL, m.path, NULL), 0);
	assert_false(is_stored(a.f, KEY));
	assert_true(is_stored(a.f, "adopted/old/another"));
	assert_false(is_stored(a.f, "manifests/backups/full/20261120T020000Z.dump.json"));
	assert_int_equal(artifact_delete_copy(a.f->store, NULL, m.path, NULL), 0);
	assert_true(is_there(&a));
	adopted_end(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_adopted_keys),    TEST(test_place_of_an_address),
	        TEST(test_what_lies_in_our_own_store),  TEST(test_nothing_is_written_there),
	        TEST(test_a_place_is_listed),           TEST(test_what_is_remembered),
	        TEST(test_what_goes_with_a_backup),     TEST(test_copies_go_whole),
	        TEST(test_a_manifest_that_must_not_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
