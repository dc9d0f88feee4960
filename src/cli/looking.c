// SPDX-License-Identifier: Apache-2.0
#include "looking.h"

#include "engine.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* More makes nothing faster for two readers. */
#define MOST_READER_BYTES (UINT64_C(64) << 20)

static int tell_no_catalog(const struct conf *conf)
{
	fprintf(stderr,
	        "keepfs: there is no catalog in %s: mount with 'keepfs mount', or list what the store holds with 'keepfs rebuild'\n",
	        conf->state_dir);
	return CLI_UNREACHABLE;
}

static int check_store_of_catalog(const struct looking *l, struct error *err)
{
	_cleanup(free) char *known = catalog_store_url(l->catalog);

	if (!known || str_equal(known, l->conf.store.url))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "the catalog in %s lists the backups of %s, but [store] url is %s",
	                 l->conf.state_dir, known, l->conf.store.url);
}

static int open_catalog_and_store(struct looking *l, struct error *err)
{
	int r = catalog_open_beside(l->conf.state_dir, &l->catalog, err);

	if (r == 0)
		r = check_store_of_catalog(l, err);
	l->conf.store.read_only = true;
	return r < 0 ? r : engine_open_store(&l->conf, NULL, &l->net, &l->store, err);
}

/* What is left of the memory: the room `inside` has a pool of its own. */
static uint64_t reader_bytes(const struct conf *conf, unsigned kept_part)
{
	uint64_t taken = conf->memory_bytes / kept_part + INSIDE_POOL_BYTES;
	uint64_t least = READER_BUFFERS_MIN * POOL_BUFFER_BYTES;
	uint64_t left = conf->memory_bytes > taken + least ? conf->memory_bytes - taken : least;

	return left < MOST_READER_BYTES ? left : MOST_READER_BYTES;
}

static int open_reader_of_backups(struct looking *l, unsigned kept_part, struct error *err)
{
	struct reader_options options = {
	        .store = l->store,
	        .threads = (unsigned)l->conf.read.connections,
	        .ahead_bytes = l->conf.read.ahead_bytes,
	        .metrics = &l->metrics,
	};

	l->pool = pool_new(reader_bytes(&l->conf, kept_part));
	if (!l->pool)
		return error_set(err, ERROR_USAGE, ENOMEM,
		                 "[keepfs] memory is more than this process may have");
	options.pool = l->pool;
	options.buffers = pool_buffers(l->pool);
	return reader_new(&options, &l->reader, err);
}

static int open_looking_inside(struct looking *l, struct error *err)
{
	const struct inside_options options = {.ctx = &l->ctx, .reader = l->reader};

	l->stores = stores_new(
	        &(struct stores_options){.conf = &l->conf, .main = l->store, .catalog = l->catalog});
	l->keyring = keyring_new(&l->conf);
	l->repository = (struct repository){.store = stores_main(l->stores),
	                                    .stores = l->stores,
	                                    .catalog = l->catalog,
	                                    .keyring = l->keyring};
	l->ctx = (struct make_context){.conf = &l->conf, .repository = &l->repository, .pool = l->pool};
	return inside_new(&options, &l->inside, err);
}

int looking_open(const struct cli_options *options, unsigned kept_part, struct looking *ret)
{
	_cleanup(free) char *file = NULL;
	struct error err = {0};
	int r = cli_load_conf(options, &ret->conf);

	if (r != CLI_DONE)
		return r;
	/* What the daemon's log would have is not what was asked for. */
	if (ret->conf.log_level == LOG_LEVEL_INFO)
		log_set_level(LOG_LEVEL_WARNING);
	file = mem_printf("%s/catalog.db", ret->conf.state_dir);
	if (access(file, F_OK) < 0)
		return tell_no_catalog(&ret->conf);
	r = open_catalog_and_store(ret, &err);
	if (r == 0)
		r = open_reader_of_backups(ret, kept_part, &err);
	if (r == 0)
		r = open_looking_inside(ret, &err);
	return r < 0 ? cli_fail(&err) : CLI_DONE;
}

void looking_close(struct looking *l)
{
	inside_free(l->inside);
	reader_free(l->reader);
	keyring_free(l->keyring);
	pool_free(l->pool);
	stores_free(l->stores);
	store_free(l->store);
	net_free(l->net);
	catalog_free(l->catalog);
	conf_finish(&l->conf);
}
