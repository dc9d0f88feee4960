// SPDX-License-Identifier: Apache-2.0
/* Several stores: which are open, what is where, and an older catalog. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include <sqlite3.h>

#include "artifact_fixture.h"

#include "../../src/catalog/catalog_private.h"

#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/holds.h>
#include <keepfs/catalog/rebuild.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/stores.h>

#define ACME "exports/acme/20261120T020000Z.json.gz"

struct many {
	struct fixture *f;
	struct conf conf;
	struct conf_named_store named[8];
	struct stores *stores;
};

static char *everybody[] = {"*", NULL};

/* [store sN] in directories of the fixture. */
static void many_init(struct many *m, struct fixture *f, size_t count, unsigned kept_open)
{
	*m = (struct many){.f = f};
	m->conf.store.url = mem_printf("dir:%s/objects", f->directory);
	m->conf.stores = m->named;
	m->conf.store_count = count;
	for (size_t i = 0; i < count; i++) {
		m->named[i].name = mem_printf("s%zu", i);
		m->named[i].tenants = everybody;
		m->named[i].store.url = mem_printf("dir:%s/s%zu", f->directory, i);
	}
	m->stores = stores_new(&(struct stores_options){
	        .conf = &m->conf, .main = f->store, .catalog = f->catalog, .kept_open = kept_open});
	f->repo.stores = m->stores;
}

static void many_finish(struct many *m)
{
	stores_free(m->stores);
	m->f->repo.stores = NULL;
	free(m->conf.store.url);
	for (size_t i = 0; i < m->conf.store_count; i++) {
		free(m->named[i].name);
		free(m->named[i].store.url);
	}
}

static uint64_t note(struct many *m, size_t i)
{
	_cleanup(catalog_store) struct catalog_store at = {0};
	uint64_t id = 0;

	stores_at_section(&m->named[i], &at);
	assert_int_equal(catalog_note_store(m->f->catalog, &at, &id, NULL), 0);
	assert_true(id > 0);
	return id;
}

static void test_opened(void **state)
{
	struct fixture *f = *state;
	struct store *handles[8], *again, *main;
	struct error err = {0};
	struct many m;

	many_init(&m, f, 4, 2);
	assert_int_equal(note(&m, 0), note(&m, 0));
	for (size_t i = 0; i < 4; i++)
		assert_int_equal(stores_open(m.stores, note(&m, i), &handles[i], NULL), 0);
	/* Those that somebody has stay open; others up to as many as are kept. */
	assert_int_equal(stores_opened(m.stores), 4);
	assert_int_equal(stores_open(m.stores, note(&m, 0), &again, NULL), 0);
	assert_int_equal(stores_opened(m.stores), 4);
	store_free(again);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(store_put_bytes(handles[i], NULL, "x", "x", 1, NULL, NULL), 0);
		store_free(handles[i]);
	}
	assert_int_equal(stores_open(m.stores, note(&m, 3), &again, NULL), 0);
	assert_int_equal(stores_opened(m.stores), 2);
	/* It is the same place. */
	assert_int_equal(store_head(again, NULL, "x", &(struct store_object){0}, NULL), 0);
	store_free(again);
	assert_int_equal(stores_open(m.stores, CATALOG_MAIN_STORE, &main, NULL), 0);
	assert_int_equal(store_head(main, NULL, "x", &(struct store_object){0}, NULL), -ENOENT);
	store_free(main);
	/* A failure says which one it is, and never that something is not there. */
	assert_int_equal(stores_open(m.stores, 77, &again, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	many_finish(&m);
}

static void test_changed(void **state)
{
	struct fixture *f = *state;
	struct store *before, *after;
	struct error err = {0};
	struct many m;
	uint64_t id;

	many_init(&m, f, 1, 4);
	id = note(&m, 0);
	assert_int_equal(stores_open(m.stores, id, &before, NULL), 0);
	/* Whoever has a handle keeps it; who asks next gets one by what holds then. */
	m.named[0].store.retry_deadline_ms = 5000;
	assert_int_equal(stores_open(m.stores, id, &after, NULL), 0);
	assert_int_equal(stores_opened(m.stores), 2);
	assert_int_equal(store_put_bytes(before, NULL, "x", "x", 1, NULL, NULL), 0);
	assert_int_equal(store_head(after, NULL, "x", &(struct store_object){0}, NULL), 0);
	assert_int_equal(store_get_all(after, NULL, "y", 1, &(char *){0}, &(size_t){0}, &err), -ENOENT);
	assert_true(str_starts(err.message, "the store s0 (dir:"));
	store_free(before);
	store_free(after);
	m.conf.store_count = 0;
	assert_int_equal(stores_open(m.stores, id, &after, &err), -EINVAL);
	assert_non_null(strstr(err.message, "the store s0 ("));
	m.conf.store_count = 1;
	many_finish(&m);
}

/* An artifact in another store, from its intent to its end. */
static void publish_elsewhere(struct many *m, uint64_t store, int64_t run_id)
{
	const struct artifact_name name = {
	        .directory = "exports/acme", .suffix = ".json.gz", .at_us = AT_US, .store = store};
	_cleanup(manifest) struct manifest mf = {0};
	_cleanup(store) struct store *there = NULL;
	char *path = NULL;

	assert_int_equal(artifact_reserve(&m->f->repo, &name, run_id, &path, NULL), 0);
	assert_string_equal(path, ACME);
	assert_int_equal(repository_store_of(&m->f->repo, path, &there, NULL), 0);
	assert_int_equal(store_put_bytes(there, NULL, path, "12345", 5, NULL, NULL), 0);
	describe_dump(&mf, path, run_id);
	mem_replace_string(&mf.job, "exports");
	mem_replace_string(&mf.target, "acme");
	assert_int_equal(artifact_publish(&m->f->repo, &mf, NULL, NULL), 0);
	free(path);
}

static bool is_in(struct many *m, uint64_t store, const char *key)
{
	_cleanup(store) struct store *s = NULL;
	int r;

	assert_int_equal(stores_open(m->stores, store, &s, NULL), 0);
	r = store_head(s, NULL, key, &(struct store_object){0}, NULL);
	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static void test_life_elsewhere(void **state)
{
	struct fixture *f = *state;
	struct artifact_comparison counts = {0};
	struct artifact_rebuild rebuild = {.threads = 1};
	const struct catalog_removal decided = {.is_decided = true};
	const struct catalog_hold hold = {.name = "audit", .reason = "r", .by = "b"};
	struct many m;
	uint64_t store, found;

	many_init(&m, f, 2, 4);
	store = note(&m, 1);
	publish_elsewhere(&m, store, 1);
	assert_int_equal(catalog_store_of(f->catalog, ACME, &found), 0);
	assert_int_equal(found, store);
	assert_int_equal(catalog_store_of_ino(f->catalog, ino_of_artifact(ACME), &found), 0);
	assert_int_equal(found, store);
	assert_true(is_in(&m, store, "manifests/" ACME ".json") &&
	            !is_in(&m, CATALOG_MAIN_STORE, "manifests/" ACME ".json"));
	/* It is found in its place. */
	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, NULL), 0);
	assert_int_equal(counts.missing + counts.adopted + counts.unlisted, 0);
	assert_int_equal(artifact_find_missing(&f->repo, "exports/acme", &counts, NULL), 0);
	assert_int_equal(counts.missing, 0);
	/* What is known of it lies beside it. */
	assert_int_equal(artifact_hold(&f->repo, ino_of_artifact(ACME), &hold, NULL), 0);
	assert_true(is_in(&m, store, "holds/" ACME ".json"));
	assert_int_equal(artifact_end_hold(&f->repo, ino_of_artifact(ACME), "audit", NULL), 0);
	/* A rebuild finds it again, and where. */
	assert_int_equal(artifact_rebuild(&f->repo, &rebuild, NULL, NULL), 0);
	assert_int_equal(rebuild.artifacts, 1);
	assert_int_equal(catalog_store_of(f->catalog, ACME, &found), 0);
	assert_int_equal(found, store);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(ACME), &decided, NULL), 0);
	assert_false(is_in(&m, store, ACME) || is_in(&m, store, "manifests/" ACME ".json"));
	many_finish(&m);
}

/* A store that cannot be entered keeps what is listed of it, and fails nothing else. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct artifact_comparison counts = {0};
	struct artifact_rebuild rebuild = {.threads = 1};
	_cleanup(catalog_store) struct catalog_store row = {0};
	struct many m;
	uint64_t store, found = 99;

	many_init(&m, f, 2, 0);
	store = note(&m, 0);
	publish_elsewhere(&m, store, 1);
	m.conf.store_count = 0;
	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, NULL), 0);
	assert_int_equal(counts.missing, 0);
	assert_int_equal(catalog_get_store(f->catalog, store, &row), 0);
	assert_non_null(strstr(row.trouble, "no section [store NAME] has its address"));
	assert_int_equal(row.artifacts, 1);
	assert_int_equal(artifact_rebuild(&f->repo, &rebuild, NULL, NULL), 0);
	assert_int_equal(rebuild.problems, 1);
	assert_int_equal(catalog_store_of(f->catalog, ACME, &found), 0);
	assert_int_equal(found, store);
	assert_int_equal(artifact_remove(&f->repo, ino_of_artifact(ACME),
	                                 &(struct catalog_removal){.is_decided = true}, NULL),
	                 -EINVAL);
	m.conf.store_count = 2;
	many_finish(&m);
}

/* One that answers at first, and then fails, or has something that cannot be read, is no reason to have nothing of all others. */
static void test_fails_in_between(void **state)
{
	static char refused[] = "get:1:slow:20,get:2+:eio";
	struct fixture *f = *state;
	struct artifact_rebuild rebuild = {.threads = 4};
	_cleanup(catalog_store) struct catalog_store row = {0};
	struct artifact_comparison counts = {0};
	struct store *there = NULL;
	struct many m;
	uint64_t store, found = 99;

	many_init(&m, f, 2, 0);
	note(&m, 0);
	store = note(&m, 1);
	publish_elsewhere(&m, store, 1);
	assert_int_equal(stores_open(m.stores, store, &there, NULL), 0);
	for (int i = 0; i < 60; i++) {
		_cleanup(free) char *key =
		        mem_printf("manifests/exports/acme/20261119T0200%02dZ.json.gz.json", i);

		assert_int_equal(store_put_bytes(there, NULL, key, "{}", 2, NULL, NULL), 0);
	}
	store_free(there);
	store_dump(f, "backups/full/20261120T020000Z.dump", 2);
	m.named[1].store.faults = refused;
	assert_int_equal(artifact_rebuild(&f->repo, &rebuild, NULL, NULL), 0);
	assert_int_equal(rebuild.artifacts, 1);
	assert_int_equal(rebuild.problems, 1);
	assert_true(is_listed(f, "backups/full/20261120T020000Z.dump") && is_listed(f, ACME));
	assert_int_equal(catalog_store_of(f->catalog, ACME, &found), 0);
	assert_int_equal(found, store);
	assert_int_equal(catalog_get_store(f->catalog, store, &row), 0);
	assert_non_null(strstr(row.trouble, "the store s1 ("));
	/* On a host that knew nothing of it, it is found when the store answers. */
	assert_int_equal(catalog_drop_artifact(f->catalog, ino_of_artifact(ACME), NULL), 0);
	m.named[1].store.faults = NULL;
	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, NULL), 0);
	assert_int_equal(counts.adopted, 1);
	assert_true(is_listed(f, ACME));
	many_finish(&m);
}

static void put_elsewhere(struct many *m, uint64_t store, const char *path, const char *key,
                          const char *tenant, int64_t run_id)
{
	_cleanup(manifest) struct manifest mf = {0};
	_cleanup(store) struct store *there = NULL;
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *at = manifest_key(path);

	assert_int_equal(stores_open(m->stores, store, &there, NULL), 0);
	describe_dump(&mf, path, run_id);
	mem_replace_string(&mf.job, "exports");
	mem_replace_string(&mf.target, tenant);
	mem_replace_string(&mf.objects[0].key, key);
	manifest_encode(&mf, &text);
	assert_int_equal(store_put_bytes(there, NULL, key, "12345", 5, NULL, NULL), 0);
	assert_int_equal(store_put_bytes(there, NULL, at, str_text(&text), text.len, NULL, NULL), 0);
}

/* Who may write into the bucket of a section makes nothing of another tenant appear, nor a name of his own for what is another's. */
static void test_forged(void **state)
{
	static char *acme_only[] = {"acme", NULL};
	struct fixture *f = *state;
	struct artifact_rebuild rebuild = {.threads = 1};
	struct artifact_comparison counts = {0};
	struct many m;
	uint64_t store;

	many_init(&m, f, 1, 0);
	m.named[0].tenants = acme_only;
	store = note(&m, 0);
	publish_elsewhere(&m, store, 1);
	put_elsewhere(&m, store, "exports/globex/20261119T020000Z.json.gz",
	              "exports/globex/20261119T020000Z.json.gz", "globex", 2);
	put_elsewhere(&m, store, "exports/acme/20261119T020000Z.json.gz",
	              "exports/globex/20261118T020000Z.json.gz", "acme", 3);
	put_elsewhere(&m, store, "exports/acme/20261116T020000Z.json.gz",
	              "exports/acme/20261116T020000Z.json.gz", "globex", 3);
	put_elsewhere(&m, store, "exports/acme/20261117T020000Z.json.gz",
	              "exports/acme/20261117T020000Z.json.gz", "acme", 4);
	assert_int_equal(artifact_compare(&f->repo, LATER_US, NULL, &counts, NULL), 0);
	assert_int_equal(counts.adopted, 1);
	assert_int_equal(counts.unlisted, 3);
	assert_int_equal(artifact_rebuild(&f->repo, &rebuild, NULL, NULL), 0);
	assert_int_equal(rebuild.artifacts, 2);
	assert_true(is_listed(f, ACME) && is_listed(f, "exports/acme/20261117T020000Z.json.gz"));
	assert_false(is_listed(f, "exports/acme/20261119T020000Z.json.gz") ||
	             is_listed(f, "exports/globex/20261119T020000Z.json.gz"));
	many_finish(&m);
}

/* What a crash left: an intent in another store. */
static void test_crashed(void **state)
{
	struct fixture *f = *state;
	const struct artifact_name name = {.directory = "exports/acme", .suffix = ".json.gz", .at_us = AT_US};
	struct artifact_name there = name;
	struct artifact_recovery recovery = {0};
	struct store *s = NULL;
	_cleanup(free) char *path = NULL;
	struct store_upload *upload;
	struct store_part part;
	const struct iovec iov = {"x", 1};
	struct many m;

	many_init(&m, f, 1, 0);
	there.store = note(&m, 0);
	assert_int_equal(artifact_reserve(&f->repo, &there, 1, &path, NULL), 0);
	assert_int_equal(repository_store_of(&f->repo, path, &s, NULL), 0);
	assert_int_equal(store_put_bytes(s, NULL, ACME, "x", 1, NULL, NULL), 0);
	assert_int_equal(store_upload_begin(s, NULL, "exports/acme/20261120T020000Z.more", &upload, NULL), 0);
	assert_int_equal(store_upload_part(upload, NULL, 1, &iov, 1, &part, NULL), 0);
	store_upload_free(upload);
	store_free(s);
	assert_int_equal(artifact_recover(&f->repo, &recovery, NULL), 0);
	assert_int_equal(recovery.discarded, 1);
	assert_int_equal(recovery.left, 0);
	assert_false(is_in(&m, there.store, ACME));
	many_finish(&m);
}

/* The catalog of a keepfs that knew one store. */
static void test_older_catalog(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = mem_printf("%s/old/catalog.db", f->directory);
	_cleanup(free) char *directory = mem_printf("%s/old", f->directory);
	_cleanup(free) char *version = NULL;
	_cleanup(catalog) struct catalog *catalog = NULL;
	const struct catalog_store at = {.name = "acme", .url = "s3://acme"};
	size_t before = 0;
	uint64_t id = 99;
	sqlite3 *db;

	while (!strstr(migrations[before], "CREATE TABLE store ("))
		before++;
	assert_int_equal(mkdir(directory, 0700), 0);
	assert_int_equal(sqlite3_open(file, &db), SQLITE_OK);
	for (size_t i = 0; i < before; i++)
		assert_int_equal(sqlite3_exec(db, migrations[i], NULL, NULL, NULL), SQLITE_OK);
	version =
	        mem_printf("PRAGMA user_version = %zu; INSERT INTO intent (path, directory, sequence, run_id)"
	                   " VALUES ('" ACME "', 'exports/acme', 1, 1)",
	                   before);
	assert_int_equal(sqlite3_exec(db, version, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	assert_int_equal(chmod(file, 0600), 0);
	assert_int_equal(catalog_open(directory, &catalog, NULL), 0);
	assert_int_equal(catalog_store_of(catalog, ACME, &id), 0);
	assert_int_equal(id, CATALOG_MAIN_STORE);
	assert_int_equal(catalog_note_store(catalog, &at, &id, NULL), 0);
	assert_int_equal(id, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_opened),  TEST(test_changed),       TEST(test_life_elsewhere),   TEST(test_gone),
	        TEST(test_crashed), TEST(test_older_catalog), TEST(test_fails_in_between), TEST(test_forged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
