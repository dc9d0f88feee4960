// SPDX-License-Identifier: Apache-2.0
/* put_artifacts KEEPFS.CONF BYTES...: one backup of each of these sizes, of bytes that nothing compresses,
 * made as a run makes them but for the database. Prints their paths. No daemon may run. */
#include "../support/manifests.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/conf.h>
#include <keepfs/net.h>
#include <keepfs/stream.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define CONNECTIONS 8
#define CHUNK_BYTES ((size_t)1 << 20)
#define DIRECTORY   "backups/full"

struct place {
	struct conf conf;
	struct catalog *catalog;
	struct net *net;
	struct store *store;
	struct pool *pool;
};

static int open_place(struct place *p, const char *conf_path, struct error *err)
{
	const struct net_options options = {.max_connections = CONNECTIONS};
	_cleanup(str) struct str problems = {0};
	int r = conf_load(conf_path, &p->conf, &problems);

	if (r < 0)
		return error_set(err, ERROR_USAGE, EINVAL, "%s", problems.data);
	r = catalog_open(p->conf.state_dir, &p->catalog, err);
	if (r == 0)
		r = catalog_set_store_url(p->catalog, p->conf.store.url, err);
	if (r == 0)
		r = catalog_ensure_directory(p->catalog, DIRECTORY, clock_now_us(), err);
	if (r == 0)
		r = net_new(&options, &p->net, err);
	if (r == 0)
		r = store_open(&p->conf.store, p->net, NULL, &p->store, err);
	if (r < 0)
		return r;
	p->pool = pool_new(p->conf.memory_bytes);
	return p->pool ? 0 : error_system(err, ENOMEM, "no memory for buffers");
}

static void close_place(struct place *p)
{
	pool_free(p->pool);
	store_free(p->store);
	net_free(p->net);
	catalog_free(p->catalog);
	conf_finish(&p->conf);
}

/* Marsaglia's xorshift64: another stream for each seed but 0. */
static void fill(uint64_t *words, size_t count, uint64_t *state)
{
	for (size_t i = 0; i < count; i++) {
		*state ^= *state << 13;
		*state ^= *state >> 7;
		*state ^= *state << 17;
		words[i] = *state;
	}
}

static int write_object(struct place *p, const char *key, uint64_t bytes, uint64_t seed,
                        struct stream_facts *ret, struct error *err)
{
	const struct stream_object_options options = {
	        .store = p->store, .pool = p->pool, .key = key, .part_bytes = p->conf.store.part_bytes};
	_cleanup(stream_object) struct stream_object *object = NULL;
	_cleanup(free) uint64_t *chunk = mem_alloc(CHUNK_BYTES);
	int r = stream_object_new(&options, &object, err);

	for (uint64_t left = bytes; left > 0 && r == 0;) {
		size_t n = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;

		fill(chunk, CHUNK_BYTES / sizeof(*chunk), &seed);
		r = stream_object_write(object, chunk, n, err);
		left -= n;
	}
	return r < 0 ? r : stream_object_finish(object, NULL, ret, err);
}

static void describe(struct manifest *m, const char *path, int64_t run_id, int64_t at_us,
                     struct stream_facts *facts)
{
	struct manifest_object *own;

	manifest_describe(m, path, run_id, "bench");
	manifest_set_fact(m, "compression", "none");
	m->started_at_us = at_us;
	m->finished_at_us = m->verified_at_us = clock_now_us();
	own = manifest_put_own(m, facts->bytes, 0, facts->sha256);
	own->extents = facts->extents;
}

static int put_one(struct place *p, uint64_t bytes, struct error *err)
{
	const struct catalog_run run = {.job = "full", .kind = "dump", .triggered_by = "bench"};
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *path = NULL;
	struct repository repo = {.store = p->store, .catalog = p->catalog};
	struct stream_facts facts = {0};
	int64_t at_us = clock_now_us(), run_id;
	const struct artifact_name name = {.directory = DIRECTORY, .suffix = ".dump", .at_us = at_us};
	int r = catalog_add_run(p->catalog, &run, &run_id, err);

	if (r == 0)
		r = catalog_start_run(p->catalog, run_id, err);
	if (r == 0)
		r = artifact_reserve(&repo, &name, run_id, &path, err);
	if (r == 0)
		r = write_object(p, path, bytes, (uint64_t)run_id, &facts, err);
	if (r < 0)
		return r;
	describe(&m, path, run_id, at_us, &facts);
	r = artifact_publish(&repo, &m, NULL, err);
	if (r == 0)
		r = catalog_finish_run(p->catalog, run_id, RUN_COMPLETED, NULL, err);
	if (r == 0)
		printf("%s\n", path);
	return r;
}

int main(int argc, char **argv)
{
	struct place place = {0};
	struct error err = {0};
	int r;

	if (argc < 3) {
		fprintf(stderr, "usage: put_artifacts KEEPFS.CONF BYTES...\n");
		return 2;
	}
	r = open_place(&place, argv[1], &err);
	for (int i = 2; i < argc && r == 0; i++)
		r = put_one(&place, strtoull(argv[i], NULL, 10), &err);
	close_place(&place);
	if (r < 0)
		fprintf(stderr, "put_artifacts: %s\n", err.message);
	return r < 0;
}
