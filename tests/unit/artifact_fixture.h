// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A repository of its own for each test of a subject of the room artifact: a counted directory store and a catalog;
 * cmocka's headers come before. */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../support/tree.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/intents.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/name.h>

#include "../support/manifests.h"
#include "catalog_test.h"
#include "../../src/artifact/artifact_private.h"

#define AT_S     INT64_C(1795140000) /* 2026-11-20T02:00:00Z */
#define AT_US    (AT_S * US_PER_S)
#define LATER_US (AT_US + INT64_C(86400) * US_PER_S) /* nothing that was made at AT_US is young any more */

struct fixture {
	char directory[64];
	char *state_dir;
	struct store_metrics metrics;
	struct store *store;
	struct catalog *catalog;
	struct repository repo; /* of both */
};

/* The store from now on; @faults: of store_fault_new(). */
static inline void open_store(struct fixture *f, const char *faults)
{
	_cleanup(free) char *root = mem_printf("%s/objects", f->directory);
	struct store *inner, *faulty;

	store_free(f->store);
	assert_int_equal(store_dir_new(root, &inner, NULL), 0);
	assert_int_equal(store_fault_new(inner, faults, &faulty, NULL), 0);
	f->store = store_meter_new(faulty, &f->metrics);
	f->repo.store = f->store;
}

static inline int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	snprintf(f->directory, sizeof(f->directory), "%s/keepfs-artifact-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(f->directory));
	f->state_dir = mem_printf("%s/state", f->directory);
	assert_int_equal(catalog_open(f->state_dir, &f->catalog, NULL), 0);
	f->repo.catalog = f->catalog;
	open_store(f, "");
	*state = f;
	return 0;
}

static inline int tear_down(void **state)
{
	struct fixture *f = *state;

	catalog_free(f->catalog);
	store_free(f->store);
	remove_tree(f->directory);
	free(f->state_dir);
	free(f);
	return 0;
}

static inline unsigned long long calls_of(struct fixture *f, enum store_call_kind kind)
{
	return f->metrics.of[kind].calls;
}

static inline void put_text(struct fixture *f, const char *key, const char *text)
{
	assert_int_equal(store_put_bytes(f->store, NULL, key, text, strlen(text), NULL, NULL), 0);
}

static inline bool is_stored(struct fixture *f, const char *key)
{
	struct store_object object;
	int r = store_head(f->store, NULL, key, &object, NULL);

	assert_true(r == 0 || r == -ENOENT);
	return r == 0;
}

static inline bool is_listed(struct fixture *f, const char *path)
{
	struct catalog_entry entry;

	return catalog_entry_by_ino(f->catalog, ino_of_artifact(path), &entry) == 0;
}

/* A dump of 5 bytes that ended one second after its name says it began. */
static inline void describe_dump(struct manifest *m, const char *path, int64_t run_id)
{
	char sha256[SHA256_HEX_BYTES] = "";

	memset(sha256, 'a', SHA256_HEX_BYTES - 1);
	manifest_describe(m, path, run_id, "primary");
	m->started_at_us = name_sequence(strrchr(path, '/') + 1) / 1000 * US_PER_S;
	m->finished_at_us = m->started_at_us + US_PER_S;
	manifest_put_own(m, 5, 1, sha256);
	manifest_seal(m);
}

static inline void put_manifest_of(struct fixture *f, const struct manifest *m)
{
	_cleanup(free) char *key = manifest_key(m->path);
	_cleanup(str) struct str text = {0};

	manifest_encode(m, &text);
	put_text(f, key, str_text(&text));
}

static inline void put_object_of(struct fixture *f, const struct manifest *m)
{
	put_text(f, m->path, "12345");
}

/* In the store alone. */
static inline void store_dump(struct fixture *f, const char *path, int64_t run_id)
{
	_cleanup(manifest) struct manifest m = {0};

	describe_dump(&m, path, run_id);
	put_object_of(f, &m);
	put_manifest_of(f, &m);
}

/* As a run does it; the heap path of what was made. */
static inline char *make_dump(struct fixture *f, int64_t run_id, int64_t at_us)
{
	const struct artifact_name name = {.directory = "backups/full", .suffix = ".dump", .at_us = at_us};
	_cleanup(manifest) struct manifest m = {0};
	char *path = NULL;

	assert_int_equal(artifact_reserve(&f->repo, &name, run_id, &path, NULL), 0);
	describe_dump(&m, path, run_id);
	put_object_of(f, &m);
	assert_int_equal(artifact_publish(&f->repo, &m, NULL, NULL), 0);
	return path;
}

/* A run that lives: its intents are its own. */
static inline int64_t begin_run(struct fixture *f)
{
	int64_t id = 0;

	assert_int_equal(catalog_add_run(f->catalog, run_of("full", "x"), &id, NULL), 0);
	return id;
}

static inline void end_run(struct fixture *f, int64_t id, enum run_state state)
{
	assert_int_equal(catalog_finish_run(f->catalog, id, state, "it ended", NULL), 0);
	artifact_run_ended(&f->repo);
}

static inline char *reserve_for(struct fixture *f, int64_t run_id)
{
	const struct artifact_name name = {.directory = "backups/full", .suffix = ".dump", .at_us = AT_US};
	char *path = NULL;

	assert_int_equal(artifact_reserve(&f->repo, &name, run_id, &path, NULL), 0);
	return path;
}

static inline void count_intent(void *arg, int64_t run_id, const char *path)
{
	*(unsigned *)arg += 1;
}

static inline void count_tomb(void *arg, uint64_t ino, const char *path)
{
	*(unsigned *)arg += 1;
}

static inline unsigned count_pending(struct fixture *f)
{
	unsigned pending = 0;

	assert_int_equal(catalog_intents(f->catalog, count_intent, &pending), 0);
	assert_int_equal(catalog_tombs(f->catalog, INT64_MAX, count_tomb, &pending), 0);
	return pending;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
