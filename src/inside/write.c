// SPDX-License-Identifier: Apache-2.0
/* The texts for people: pg_restore writes them, from the table of contents alone. Of a text of SQL they are what it has itself. */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <unistd.h>

#define PIECE_BYTES 16384

static int spool_output(struct proc *proc, struct spool *out, struct error *err)
{
	char piece[PIECE_BYTES];
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = read(proc_stdout(proc), piece, sizeof(piece))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return error_system(err, errno, "what pg_restore writes cannot be read");
		r = spool_put(out, piece, (size_t)n, err);
	}
	return r;
}

static int run_pg_restore_on_toc(const char *const *argv, struct cancel *cancel, struct spool *out,
                                 struct error *err)
{
	const char *const env[] = {"LC_ALL=C", NULL};
	const struct proc_options options = {
	        .argv = argv, .env = PROC_ENV_POSTGRES, .extra_env = env, .cancel = cancel};
	_cleanup(proc) struct proc *proc = NULL;
	int r = proc_start(&options, &proc, err);

	if (r == 0)
		r = spool_output(proc, out, err);
	return r < 0 ? r : proc_wait(proc, err);
}

/* As the job that made it says. */
static const char *bindir_of_dump(const struct inside_dump *d, const struct conf *conf)
{
	const struct conf_job *job = d->backup.m.job ? conf_find_job(conf, d->backup.m.job) : NULL;

	return job && job->kind == CONF_JOB_DUMP ? job->dump.pg_bindir : NULL;
}

static int find_pg_restore(const struct inside_dump *d, char ret_path[static PG_PATH_BYTES], int *ret_major,
                           struct error *err)
{
	int archive = (int)strtol(d->toc.facts.tool_version, NULL, 10) * 10000;
	char version[128];
	const struct conf *conf = make_conf_ref(&d->ctx);
	int r = pg_find_program("pg_restore", bindir_of_dump(d, conf), archive > 0 ? archive : 100000,
	                        ret_path, version, err);

	make_conf_unref(&d->ctx, conf);
	if (r == 0)
		*ret_major = (int)strtol(version, NULL, 10);
	return r;
}

static int write_by_pg_restore(struct inside_dump *d, bool schema, struct cancel *cancel, struct spool *out,
                               struct error *err)
{
	_cleanup(inside_toc_place) struct inside_toc_place place = {0};
	char path[PG_PATH_BYTES];
	const char *argv[] = {path, schema ? "-s" : "-l", NULL, NULL, NULL, NULL};
	int major = 0, r = find_pg_restore(d, path, &major, err);
	size_t n = 2;

	if (r == 0)
		r = inside_toc_place_make(&d->toc, d->ctx.conf->state_dir, "inside-", &place, err);
	if (r < 0)
		return r;
	/* Before 12 standard output was what nobody said anything about, and "-" a file. */
	if (schema && major >= 12) {
		argv[n++] = "-f";
		argv[n++] = "-";
	}
	argv[n] = place.archive;
	return run_pg_restore_on_toc(argv, cancel, out, err);
}

static int tell_blobs_of_text(struct inside_dump *d, struct cancel *cancel, struct spool *out,
                              struct error *err)
{
	struct error why = {0};
	uint32_t count = 0;
	int r = inside_blobs(d, cancel, &count, &why);

	if (r == -ENOTSUP)
		spool_appendf(out, "; %s\n", why.message);
	else if (count > 0)
		spool_appendf(out, "; large objects: %" PRIu32 "\n", count);
	if (r == 0 || r == -ENOTSUP)
		return spool_put(out, "", 0, err);
	if (err)
		*err = why;
	return r;
}

static int list_tables_of_text(struct inside_dump *d, struct cancel *cancel, struct spool *out,
                               struct error *err)
{
	spool_appendf(out, ";\n; SQL text; the tables that have rows in it, in their order\n;\n");
	for (uint32_t number = 1; number <= inside_tables(d); number++) {
		_cleanup(inside_table) struct inside_table t = {0};
		int r = inside_table(d, number, &t, err);

		if (r < 0)
			return r;
		spool_appendf(out, "%u; 0 0 TABLE DATA %s %s -\n", number, t.schema, t.table);
	}
	return tell_blobs_of_text(d, cancel, out, err);
}

static int copy_schema(const struct inside_dump *d, struct spool *out, struct error *err)
{
	char piece[PIECE_BYTES];
	uint64_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = spool_read(d->schema, piece, sizeof(piece), at)) != 0) {
		if (n < 0)
			return error_system(err, (int)-n, "the text cannot be read again");
		r = spool_put(out, piece, (size_t)n, err);
		at += (uint64_t)n;
	}
	return r;
}

int inside_write_toc(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err)
{
	return d->is_text ? list_tables_of_text(d, cancel, out, err)
	                  : write_by_pg_restore(d, false, cancel, out, err);
}

int inside_write_schema(struct inside_dump *d, struct cancel *cancel, struct spool *out, struct error *err)
{
	return d->is_text ? copy_schema(d, out, err) : write_by_pg_restore(d, true, cancel, out, err);
}
