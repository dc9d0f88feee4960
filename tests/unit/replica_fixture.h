// SPDX-License-Identifier: Apache-2.0
#pragma once
/* A store and a further one, both directories, with artifacts of a few bytes; cmocka's headers come before. */
#include "artifact_fixture.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/hash.h>
#include <keepfs/replica.h>
#include <keepfs/stores.h>

#define PATH  "backups/full/20261120T020000Z.dump"
#define LATER "backups/full/20261121T020000Z.dump"

/* The five bytes that the fixture's dumps have. */
#define BYTES "12345"

struct two {
	struct fixture *f;
	struct conf conf;
	struct conf_job job;
	struct conf_named_store offsite;
	struct stores *stores;
	struct store *there; /* as somebody else looks into it */
	struct replica_order order;
};

static char *copies[] = {"primary", "offsite", NULL};

static inline void two_init(struct two *t, struct fixture *f)
{
	_cleanup(free) char *root = mem_printf("%s/offsite", f->directory);

	*t = (struct two){.f = f};
	t->conf.store.url = mem_printf("dir:%s/objects", f->directory);
	t->conf.store.part_bytes = 5 << 20;
	t->conf.timezone = "UTC";
	t->conf.stores = &t->offsite;
	t->conf.store_count = 1;
	t->conf.jobs = &t->job;
	t->conf.job_count = 1;
	t->job.name = "full";
	t->job.copies = copies;
	t->offsite.name = "offsite";
	t->offsite.window = "";
	t->offsite.store.url = mem_printf("dir:%s", root);
	t->stores = stores_new(
	        &(struct stores_options){.conf = &t->conf, .main = f->store, .catalog = f->catalog});
	f->repo.stores = t->stores;
	assert_int_equal(store_dir_new(root, &t->there, NULL), 0);
	t->order = (struct replica_order){.repository = &f->repo, .conf = &t->conf, .named = &t->offsite};
	assert_int_equal(replica_store(f->catalog, &t->offsite, &t->order.store, NULL), 0);
}

static inline void two_finish(struct two *t)
{
	store_free(t->there);
	stores_free(t->stores);
	t->f->repo.stores = NULL;
	free(t->conf.store.url);
	free(t->offsite.store.url);
}

/* Of what is published: 0: it is not locked. */
static __attribute__((unused)) int64_t published_locked_until_us;

/* Bytes, and a manifest that has their checksums. */
static inline void put_artifact(struct fixture *f, const char *path, int64_t run_id, const char *bytes,
                                struct manifest *ret)
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_update(h, bytes, strlen(bytes));
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), hex);
	manifest_describe(ret, path, run_id, "primary");
	ret->started_at_us = name_sequence(strrchr(path, '/') + 1) / 1000 * US_PER_S;
	ret->finished_at_us = ret->started_at_us + US_PER_S;
	ret->locked_until_us = published_locked_until_us;
	manifest_put_own(ret, strlen(bytes), 1, hex);
	ret->objects[0].extents.items[0].crc32c = crc32c(0, bytes, strlen(bytes));
	manifest_seal(ret);
	put_text(f, path, bytes);
	put_manifest_of(f, ret);
}

/* An artifact with the right checksums: of the fixture's bytes. */
static inline void publish(struct fixture *f, const char *path, int64_t run_id, const char *bytes)
{
	_cleanup(manifest) struct manifest m = {0};

	put_artifact(f, path, run_id, bytes, &m);
	assert_int_equal(catalog_add_artifact(f->catalog, &m, NULL), 0);
}

static inline void put_there(struct two *t, const char *key, const char *text)
{
	assert_int_equal(store_put_bytes(t->there, NULL, key, text, strlen(text), NULL, NULL), 0);
}

static inline char *get_there(struct two *t, const char *key)
{
	char *data = NULL;
	size_t len;

	return store_get_all(t->there, NULL, key, 1 << 20, &data, &len, NULL) == 0 ? data : NULL;
}

static inline struct catalog_replica row_of(struct two *t, const char *path)
{
	struct catalog_replica row;

	assert_int_equal(catalog_replica(t->f->catalog, path, t->order.store, &row), 0);
	return row;
}

static inline void assert_same_there(struct two *t, const char *path)
{
	_cleanup(free) char *key = manifest_key(path), *there = get_there(t, key), *here = NULL,
	                    *bytes = get_there(t, path);
	size_t len;

	assert_int_equal(store_get_all(t->f->store, NULL, key, 1 << 20, &here, &len, NULL), 0);
	assert_non_null(there);
	assert_string_equal(here, there);
	assert_string_equal(bytes, BYTES);
}

static inline void remove_here(struct two *t, const char *path)
{
	assert_int_equal(artifact_remove(&t->f->repo, ino_of_artifact(path), NULL, NULL), 0);
	assert_int_equal(catalog_settle_replicas(t->f->catalog, t->order.store, clock_now_us(), NULL), 0);
}
