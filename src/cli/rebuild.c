// SPDX-License-Identifier: Apache-2.0
/* keepfs rebuild: the catalog anew from the bucket. A catalog that cannot be opened is put aside, never
 * deleted. */
#include "cli.h"

#include "engine.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/kinds.h>

#include <errno.h>
#include <stdio.h>

#define REBUILD_THREADS 8

static void show_progress(void *arg, uint64_t done)
{
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r\033[K%llu backups", (unsigned long long)done);
}

static void show_problem(void *arg, const char *text)
{
	fputs("keepfs: warning: ", stderr);
	cli_put(stderr, text);
	fputc('\n', stderr);
}

static void show_notice(void *arg, const char *text)
{
	fputs("keepfs: note: ", stderr);
	cli_put(stderr, text);
	fputc('\n', stderr);
}

static int put_broken_aside(const struct conf *conf, struct error *err)
{
	static const char *const suffixes[] = {"", "-wal", "-shm"};
	char now[CLOCK_NAME_BYTES];

	clock_format_name(clock_now_us(), now);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup(free) char *from = mem_printf("%s/catalog.db%s", conf->state_dir, suffixes[i]);
		_cleanup(free) char *to =
		        mem_printf("%s/catalog.db.broken-%s%s", conf->state_dir, now, suffixes[i]);

		if (rename(from, to) < 0 && errno != ENOENT)
			return error_system(err, errno, "the broken catalog %s cannot be put aside", from);
		if (i == 0)
			fprintf(stderr, "keepfs: the broken catalog was put aside as %s\n", to);
	}
	return 0;
}

static int open_catalog(const struct conf *conf, struct catalog **ret_catalog, struct error *err)
{
	int r = catalog_open(conf->state_dir, ret_catalog, err);

	if (r != -EBADMSG)
		return r;
	r = put_broken_aside(conf, err);
	return r < 0 ? r : catalog_open(conf->state_dir, ret_catalog, err);
}

static int rebuild(const struct conf *conf, struct artifact_rebuild *io, struct error *err)
{
	_cleanup(catalog) struct catalog *catalog = NULL;
	_cleanup(fd) int lock_fd = -1;
	struct store *store = NULL;
	struct net *net = NULL;
	int r = catalog_lock(conf->state_dir, &lock_fd, err);
	if (r == 0)
		r = open_catalog(conf, &catalog, err);
	if (r == 0)
		r = engine_open_store(conf, NULL, &net, &store, err);
	if (r == 0) {
		const struct catalog_audit entry = {
		        .at_us = clock_now_us(),
		        .uid = getuid(),
		        .pid = getpid(),
		        .command = "keepfs",
		        .action = "rebuild",
		        .object = "catalog",
		        .result = "ok",
		};

		r = artifact_rebuild(&(struct repository){.store = store, .catalog = catalog}, io, NULL, err);
		if (r == 0)
			r = catalog_set_store_url(catalog, conf->store.url, err);
		if (r == 0)
			r = catalog_add_audit(catalog, &entry, err);
	}
	store_free(store);
	net_free(net);
	return r;
}

int cmd_rebuild(const struct cli_options *options)
{
	struct artifact_rebuild io = {
	        .threads = REBUILD_THREADS,
	        .progress = show_progress,
	        .problem = show_problem,
	        .notice = show_notice,
	        .unknown = kind_unknown,
	};
	_cleanup(conf) struct conf conf = {0};
	struct error err = {0};
	char size[16];
	int r;

	if (options->argc > 0)
		return cli_usage("rebuild takes no argument");
	r = cli_load_conf(options, &conf);
	if (r != CLI_DONE)
		return r;
	r = rebuild(&conf, &io, &err);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (r < 0)
		return cli_fail(&err);
	if (options->json)
		printf("{\"artifacts\":%llu,\"bytes\":%llu,\"problems\":%llu}\n",
		       (unsigned long long)io.artifacts, (unsigned long long)io.bytes,
		       (unsigned long long)io.problems);
	else
		printf("the catalog is made anew: %llu backup%s (%s), %llu problem%s%s\n",
		       (unsigned long long)io.artifacts, io.artifacts == 1 ? "" : "s",
		       str_format_bytes(size, sizeof(size), io.bytes), (unsigned long long)io.problems,
		       io.problems == 1 ? "" : "s", io.problems ? "; what they name is not in it" : "");
	return io.problems ? CLI_FAILED : CLI_DONE;
}
