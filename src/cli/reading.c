// SPDX-License-Identifier: Apache-2.0
#include "reading.h"

#include "engine.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MOST_POOL_BYTES (UINT64_C(64) << 20) /* more makes nothing faster for one reader */

static int tell_no_catalog(const struct conf *conf)
{
	fprintf(stderr,
	        "keepfs: there is no catalog in %s: mount with 'keepfs mount', or list what the store holds with 'keepfs rebuild'\n",
	        conf->state_dir);
	return CLI_UNREACHABLE;
}

static int check_store_of_catalog(const struct reading *r, struct error *err)
{
	_cleanup(free) char *known = catalog_store_url(r->catalog);

	if (!known || str_equal(known, r->conf.store.url))
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "the catalog in %s lists the backups of %s, but [store] url is %s",
	                 r->conf.state_dir, known, r->conf.store.url);
}

static int open_catalog_and_store(struct reading *r, struct error *err)
{
	int result = catalog_open(r->conf.state_dir, &r->catalog, err);

	if (result == 0)
		result = check_store_of_catalog(r, err);
	r->conf.store.read_only = true;
	return result < 0 ? result : engine_open_store(&r->conf, NULL, &r->net, &r->store, err);
}

static int open_pool(struct reading *r, unsigned kept_part, struct error *err)
{
	uint64_t bytes = r->conf.memory_bytes - r->conf.memory_bytes / kept_part;

	r->pool = pool_new(bytes < MOST_POOL_BYTES ? bytes : MOST_POOL_BYTES);
	return r->pool ? 0
	               : error_set(err, ERROR_USAGE, ENOMEM,
	                           "[keepfs] memory is more than this process may have");
}

/* "full/X.dump", "backups/full/X.dump": what the job says; NULL: there is no such job any more, or it says nothing. */
static const char *bindir_of_word(const struct conf *conf, const char *word)
{
	const char *name = str_starts(word, "backups/") ? word + strlen("backups/") : word;
	_cleanup(free) char *job_name = mem_printf("%.*s", (int)strcspn(name, "/"), name);
	const struct conf_job *job = conf_find_job(conf, job_name);

	return job && job->dump.pg_bindir && *job->dump.pg_bindir ? job->dump.pg_bindir : NULL;
}

int reading_open(const struct cli_options *options, const char *word, unsigned kept_part, struct reading *ret)
{
	_cleanup(free) char *file = NULL;
	struct error err = {0};
	int r;

	*ret = (struct reading){0};
	r = cli_load_conf(options, &ret->conf);
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
		r = open_pool(ret, kept_part, &err);
	if (r < 0)
		return cli_fail(&err);
	ret->repository = (struct repository){.store = ret->store, .catalog = ret->catalog};
	ret->inside = inside_new(&(struct inside_options){.repository = &ret->repository,
	                                                  .pool = ret->pool,
	                                                  .state_dir = ret->conf.state_dir,
	                                                  .bindir = bindir_of_word(&ret->conf, word)});
	return CLI_DONE;
}

void reading_close(struct reading *r)
{
	inside_free(r->inside);
	pool_free(r->pool);
	store_free(r->store);
	net_free(r->net);
	catalog_free(r->catalog);
	conf_finish(&r->conf);
	*r = (struct reading){0};
}
