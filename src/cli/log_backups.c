// SPDX-License-Identifier: Apache-2.0
/* The dumps that keepfs log looks through, and what was counted of each: from a mount, or from the catalog and the store. */
#include "client.h"
#include "log.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/report/status.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int list_of_mount(struct log_backups *b)
{
	_cleanup(free) char *path = mem_printf("%s/status/backups.jsonl", b->mountpoint);

	b->list = fopen(path, "re");
	if (b->list)
		return CLI_DONE;
	fprintf(stderr, "keepfs: %s cannot be read: %s\n", path, strerrordesc_np(errno));
	return CLI_UNREACHABLE;
}

static int copy_list(const struct report_sources *from, FILE *to)
{
	_cleanup(spool) struct spool *spool = spool_new(from->conf->state_dir);
	char buf[16384];
	uint64_t offset = 0;
	ssize_t n = report_all_backups_jsonl(from, spool);

	while (n >= 0 && (n = spool_read(spool, buf, sizeof(buf), offset)) > 0) {
		if (fwrite(buf, 1, (size_t)n, to) != (size_t)n)
			return -EIO;
		offset += (uint64_t)n;
	}
	return (int)n;
}

static int list_of_catalog(struct log_backups *b, const struct conf *conf)
{
	struct report_sources sources = {.conf = conf, .now_us = clock_now_us()};
	struct error err = {0};
	int r;

	if (engine_open(conf, &b->engine, &err) < 0)
		return cli_fail(&err);
	b->has_engine = true;
	sources.catalog = b->engine.catalog;
	b->list = tmpfile();
	r = b->list ? copy_list(&sources, b->list) : -errno;
	if (r == 0)
		return CLI_DONE;
	error_system(&err, -r, "the list of backups could not be made");
	return cli_fail(&err);
}

int log_backups_open(struct log_backups *b, const struct cli_options *options, struct conf *conf)
{
	const char *named = getenv("KEEPFS_MOUNT");
	_cleanup(free) char *file = NULL;
	int status;

	if (options->mountpoint || (named && *named)) {
		status = client_find(options, &b->mountpoint);
		return status == CLI_DONE ? list_of_mount(b) : status;
	}
	status = cli_load_conf(options, conf);
	if (status != CLI_DONE)
		return status;
	file = mem_printf("%s/status/backups.jsonl", conf->mountpoint);
	if (access(file, F_OK) != 0)
		return list_of_catalog(b, conf);
	b->mountpoint = mem_strdup(conf->mountpoint);
	return list_of_mount(b);
}

/* What was counted of a backup. */

/* "backups/full/X.partial.dump" → "backups/full/X.tables.csv"; in one that is a directory, "tables.csv". */
static char *counts_path(const struct log_backups *b, const char *backup)
{
	_cleanup(free) char *path = mem_printf("%s/%s", b->mountpoint, backup);
	struct stat st;

	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
		return mem_printf("%s/tables.csv", path);
	*strchrnul(strrchr(path, '/'), '.') = '\0';
	return mem_printf("%s.tables.csv", path);
}

static int read_from_mount(const struct log_backups *b, struct use_counting *c, const char *backup,
                           struct error *err)
{
	_cleanup(free) char *path = counts_path(b, backup);
	FILE *f = fopen(path, "re");
	char buf[16384];
	size_t n;
	int r = 0;

	if (!f)
		return error_system(err, errno, "%s", path);
	while (r == 0 && (n = fread(buf, 1, sizeof(buf), f)) > 0)
		r = use_counting_feed(c, buf, n, err);
	if (r == 0 && ferror(f))
		r = error_system(err, errno, "%s", path);
	fclose(f);
	return r;
}

int log_backups_count(const struct log_backups *b, struct use_counting *c, const char *backup,
                      struct use_counted *ret, struct error *err)
{
	int r = b->mountpoint ? read_from_mount(b, c, backup, err)
	                      : use_counting_read(c, &b->engine.make, backup, NULL, err);

	if (r == 0)
		r = use_counting_end(c, ret, err);
	return r == 0 ? 1 : r;
}

static bool is_of_dump(const struct log_backups *b, const struct json *backup)
{
	return str_equal(json_get_string(backup, "kind"), "dump") &&
	       (!b->job || str_equal(b->job, json_get_string(backup, "job"))) &&
	       (!b->target || str_equal(b->target, json_get_string(backup, "target")));
}

int log_backups_each(struct log_backups *b,
                     int (*each)(void *arg, const struct json *backup, struct error *err), void *arg,
                     struct error *err)
{
	_cleanup(free) char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int r = 0;

	rewind(b->list);
	while (r >= 0 && (len = getline(&line, &size, b->list)) > 0) {
		_cleanup(json) struct json *backup = json_parse(line, (size_t)len, NULL);

		if (backup && is_of_dump(b, backup))
			r = each(arg, backup, err);
	}
	return r < 0 ? r : 0;
}

void log_backups_close(struct log_backups *b)
{
	if (b->list)
		fclose(b->list);
	if (b->has_engine)
		engine_close(&b->engine);
	free(b->mountpoint);
}
