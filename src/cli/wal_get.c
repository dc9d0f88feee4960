// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs wal-get: a file of a WAL archive, for restore_command where there is no mount. A server takes every status up to 125 for "there is no such file", after which a recovery may end and the server be
 * promoted: so that is 1, and whatever else is wrong is WAL_BROKEN, which stops the recovery instead.
 */
#include "cli.h"

#include "engine.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/keyring.h>
#include <keepfs/stores.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <unistd.h>

#define WAL_MISSING 1
#define WAL_BROKEN  126
#define PATIENCE_MS (3600 * INT64_C(1000)) /* as [cluster] read_timeout has it where nothing is said */

struct destination {
	const char *path;
	char *unfinished;
	int fd;
};

static int write_destination(void *arg, const void *data, size_t len, struct error *err)
{
	const struct destination *d = arg;
	int r = fd_write_all(d->fd, data, len);

	return r < 0 ? error_system(err, -r, "%s cannot be written", d->unfinished) : 0;
}

/* Its name is durable, too. */
static int sync_directory_of_wal(const char *path, struct error *err)
{
	_cleanup(free) char *copy = mem_strdup(path);
	const char *directory = dirname(copy);
	_cleanup(fd) int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return error_system(err, errno, "%s cannot be written", directory);
	return 0;
}

static int finish_destination(const struct destination *d, struct error *err)
{
	if (fsync(d->fd) < 0)
		return error_system(err, errno, "%s cannot be written", d->unfinished);
	if (rename(d->unfinished, d->path) < 0)
		return error_system(err, errno, "%s cannot be made", d->path);
	return sync_directory_of_wal(d->path, err);
}

/* @ret_missing: the archive has no such file; that a directory is not there is another thing. */
static int get_into(struct wal_get *how, const char *const argv[3], bool *ret_missing, struct error *err)
{
	const char *path = argv[2];
	_cleanup(free) char *unfinished = mem_printf("%s.keepfs-%lld", path, (long long)getpid());
	struct destination d = {.path = path, .unfinished = unfinished};
	_cleanup(fd) int fd = open(unfinished, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return error_system(err, errno, "%s cannot be made", unfinished);
	d.fd = fd;
	how->write = write_destination;
	how->arg = &d;
	r = wal_get(how, argv[0], argv[1], err);
	*ret_missing = r == -ENOENT;
	if (r == 0)
		r = finish_destination(&d, err);
	if (r < 0)
		unlink(unfinished);
	return r;
}

/* From the further stores that the section names: the first that gives it. */
static int get_from_copies(const struct conf *conf, const struct conf_job *job, struct wal_get *how,
                           const char *const argv[3])
{
	const struct stores_options options = {.conf = conf};
	_cleanup(stores) struct stores *stores = stores_new(&options);
	int r = -ENOENT;

	for (size_t i = 0; r < 0 && job->copies[i]; i++) {
		const struct conf_named_store *named = conf_find_store(conf, job->copies[i]);
		_cleanup(catalog_store) struct catalog_store at = {0};
		_cleanup(store) struct store *store = NULL;
		struct error ignored = {0};
		bool missing;

		if (!named)
			continue;
		stores_at_section(named, &at);
		r = stores_open_at(stores, &at, &store, &ignored);
		how->store = store;
		if (r == 0)
			r = get_into(how, argv, &missing, &ignored);
	}
	return r;
}

/* An outage of the first store is not waited out as long as another has the file. */
static int get_anywhere(const struct conf *conf, const struct conf_job *job, struct wal_get *how,
                        const char *const argv[3], bool *ret_missing, struct error *err)
{
	struct store *first = how->store;
	struct error why = {0};
	int64_t patience_ms = how->patience_ms;
	int r;

	how->patience_ms = 0;
	r = get_into(how, argv, ret_missing, &why);
	if (r < 0 && get_from_copies(conf, job, how, argv) == 0) {
		*ret_missing = false;
		r = 0;
	}
	how->store = first;
	how->patience_ms = patience_ms;
	if (r < 0 && r != -ENOENT)
		return get_into(how, argv, ret_missing, err);
	if (r < 0)
		*err = why;
	return r;
}

static int get_wal(struct conf *conf, const char *const argv[3], bool *ret_missing, struct error *err)
{
	const struct conf_job *job = conf_find_job(conf, argv[0]);
	_cleanup(keyring) struct keyring *keyring = keyring_new(conf);
	struct pool *pool = pool_new(conf->memory_bytes);
	struct wal_get how = {.keyring = keyring, .pool = pool};
	struct net *net = NULL;
	int r = pool ? 0
	             : error_set(err, ERROR_USAGE, ENOMEM,
	                         "[keepfs] memory is more than this process may have");

	/* On a new host the configuration may have the store alone. */
	how.patience_ms = job && job->kind == CONF_JOB_CLUSTER ? job->cluster.read_timeout_ms : PATIENCE_MS;
	conf->store.read_only = true;
	if (r == 0)
		r = engine_open_store(conf, NULL, &net, &how.store, err);
	if (r == 0)
		r = wal_is_archived(job) && job->copies[0]
		            ? get_anywhere(conf, job, &how, argv, ret_missing, err)
		            : get_into(&how, argv, ret_missing, err);
	store_free(how.store);
	net_free(net);
	pool_free(pool);
	return r;
}

int cmd_wal_get(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	struct error err = {0};
	bool is_missing = false;
	int r;

	if (options->argc != 3) {
		cli_usage(
		        "wal-get takes the NAME of a [cluster NAME], the name of a file of WAL, and where to write it");
		return WAL_BROKEN;
	}
	if (cli_load_conf(options, &conf) != CLI_DONE)
		return WAL_BROKEN;
	if (conf.log_level == LOG_LEVEL_INFO)
		log_set_level(LOG_LEVEL_WARNING);
	r = get_wal(&conf, (const char *const[3]){options->argv[0], options->argv[1], options->argv[2]},
	            &is_missing, &err);
	if (r == 0)
		return CLI_DONE;
	(void)cli_fail(&err);
	return is_missing ? WAL_MISSING : WAL_BROKEN;
}
