// SPDX-License-Identifier: Apache-2.0
/*
 * One dump, from the first question to the listed artifact. The order of the steps is what makes a backup
 * trustworthy, so it stands in one place:
 *
 *   ask the server → choose pg_dump → reserve the name (recorded: a crash from here on can be cleared up)
 *   → the roles of the cluster → the data, compressed on its way into the store, its end checked
 *   → everything read back from the store → the artifact is published
 *
 * An object is completed only after the maker's exit status and the checks of its content: an end of output
 * alone says nothing, it is also what a killed pg_dump leaves. Just before, the name must still be free in
 * the store: a second keepfs that writes to the same place may have made a backup of that name, which must
 * not be replaced. Whatever fails, what was begun is aborted and the reserved name given up.
 */
#include "config.h"

#include "contents.h"
#include "dump.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AUTO_READERS_MAX   8
#define AUTO_BYTES_EACH    ((uint64_t)64 << 20) /* a reader for less is not worth its connection */
#define FIRST_ZSTD_VERSION 160000

void dump_say(const struct dump *d, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	if (!d->order->log)
		return;
	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	d->order->log(d->order->log_arg, str_text(&line));
}

void dump_warn(const struct dump *d, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	dump_say(d, "warning: %s", str_text(&line));
	if (d->order->warn)
		d->order->warn(d->order->log_arg, str_text(&line));
}

int dump_read(const struct dump *d, uint64_t bytes, struct error *err)
{
	if (d->order->progress)
		atomic_fetch_add(&d->order->progress->read_bytes, bytes);
	if (rate_take(d->rate, bytes, d->order->cancel) < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return 0;
}

unsigned dump_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : (unsigned)cores;
}

/* The part of the pool that is for uploads. */
static size_t upload_buffers(const struct dump *d)
{
	return pool_buffers(d->ctx->pool) / 2;
}

/* What one dump may take of a quarter of that. */
static size_t feeding_buffers(const struct dump *d)
{
	return upload_buffers(d) / 4 / (size_t)d->ctx->conf->parallel_runs;
}

unsigned dump_press_threads(const struct dump *d)
{
	size_t most = feeding_buffers(d) / PRESS_BUFFERS_PER_THREAD;
	unsigned cores = dump_cores();

	return most < 1 ? 1 : most < cores ? (unsigned)most : cores;
}

size_t dump_turns_buffers(const struct dump *d)
{
	return feeding_buffers(d);
}

size_t dump_toc_bytes(const struct dump *d)
{
	return upload_buffers(d) / 4 * POOL_BUFFER_BYTES;
}

/* Before anything is written. */

static void say_server(const struct dump *d)
{
	const struct pg_facts *s = &d->server;
	char size[16];

	dump_say(d, "server: PostgreSQL %s, database \"%s\" (%s), role \"%s\"", s->version, s->database,
	         s->database_bytes ? str_format_bytes(size, sizeof(size), s->database_bytes)
	                           : "size not known",
	         s->user);
	if (s->in_recovery)
		dump_say(d, "the server is a standby");
	if (s->pooler == PG_POOLER_OF_SESSIONS)
		dump_say(d, "a pooler stands before the server");
	if (s->unreadable_table[0])
		dump_say(d, "warning: role \"%s\" may not read %s: pg_dump will fail unless it leaves it out",
		         s->user, s->unreadable_table);
	if (s->rls_table[0])
		dump_say(d, "warning: row-level security of %s applies to role \"%s\": pg_dump will fail",
		         s->rls_table, s->user);
}

/* The pg_restore beside the pg_dump that is used. */
static bool pg_restore_takes_zstd(const struct dump *d)
{
	const char *slash = strrchr(d->program, '/');
	_cleanup(free) char *program = mem_printf("%.*s/pg_restore", (int)(slash - d->program), d->program);
	struct error err = {0};
	int r = pg_program_takes_zstd(program, d->order->cancel, &err);

	if (r < 0)
		dump_say(d, "whether %s reads zstd could not be found out, so gzip is used: %s", program,
		         err.message);
	return r > 0;
}

static bool zstd_is_read(const struct dump *d)
{
	/* Version 15 of pg_restore does not know it at all. */
	return d->job->dump.format == CONF_FORMAT_CUSTOM && d->server.version_num >= FIRST_ZSTD_VERSION &&
	       pg_restore_takes_zstd(d);
}

static int choose_compression(struct dump *d, struct error *err)
{
	bool zstd = zstd_is_read(d);

	d->compression = compression_resolve(&d->job->compression, zstd);
	if (d->compression.method == COMPRESSION_ZSTD && !zstd)
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "compression zstd needs a server and a pg_restore of PostgreSQL 16 or newer that read it: the server is %s, the program %s %s; use fast, small or gzip",
		        d->server.version, d->program, d->program_version);
	return 0;
}

/* pg_dump sets what it needs for its session, row_security among it, before its transaction begins. */
static int check_pooler(const struct dump *d, struct error *err)
{
	if (d->server.pooler != PG_POOLER_OF_TRANSACTIONS)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the connection leads to a pooler that gives each transaction another session of the server, so pg_dump's settings would get lost and rows could be missing: "
	        "connect to the server itself, or to a pool with pool_mode = session");
}

static void say_program(const struct dump *d)
{
	long major = strtol(d->program_version, NULL, 10);
	char compression[16];

	dump_say(d, "program: %s %s; compression: %s", d->program, d->program_version,
	         compression_format(&d->compression, compression));
	if (major > d->server.version_num / 10000 && d->job->dump.format != CONF_FORMAT_PLAIN)
		dump_say(
		        d,
		        "that program is newer than the server: a pg_restore of version %ld or newer may be needed to read this backup",
		        major);
}

static int prepare(struct dump *d, struct error *err)
{
	int r = pg_learn(d->job->dump.database, d->order->database, d->order->cancel, &d->server, err);

	if (r < 0)
		return r;
	say_server(d);
	r = check_pooler(d, err);
	if (r == 0)
		r = pg_find_program("pg_dump", d->job->dump.pg_bindir, d->server.version_num, d->program,
		                    d->program_version, err);
	if (r == 0)
		r = choose_compression(d, err);
	if (r == 0)
		say_program(d);
	return r;
}

/* A name says what is missing: nobody shall take a schema for a backup. */
static char *choose_suffix(const struct dump *d)
{
	static const char *const contents[] = {
	        [CONF_CONTENT_FULL] = "", [CONF_CONTENT_SCHEMA] = ".schema", [CONF_CONTENT_DATA] = ".data"};
	const char *content = contents[d->job->dump.content];
	const char *ending = ".dump";

	if (d->order->partial && !content[0])
		content = ".partial";
	if (d->job->dump.format == CONF_FORMAT_DIRECTORY)
		ending = "";
	else if (d->job->dump.format == CONF_FORMAT_PLAIN)
		ending = d->compression.method == COMPRESSION_GZIP ? ".sql.gz" : ".sql";
	return mem_printf("%s%s", content, ending);
}

static void describe(struct dump *d)
{
	static const char *const formats[] = {[CONF_FORMAT_CUSTOM] = "custom",
	                                      [CONF_FORMAT_PLAIN] = "plain",
	                                      [CONF_FORMAT_DIRECTORY] = "directory"};
	static const char *const contents[] = {
	        [CONF_CONTENT_FULL] = "full", [CONF_CONTENT_SCHEMA] = "schema", [CONF_CONTENT_DATA] = "data"};
	const struct pg_facts *s = &d->server;

	d->m.path = mem_strdup(d->path);
	d->m.job = mem_strdup(d->job->name);
	d->m.kind = mem_strdup("dump");
	d->m.database = mem_strdup(d->order->label);
	d->m.server_version = mem_strdup(s->version);
	d->m.tool_version = mem_strdup(d->program_version);
	d->m.system_identifier = mem_strdup(s->system_identifier[0] ? s->system_identifier : NULL);
	d->m.triggered_by = mem_strdup(d->order->triggered_by);
	d->m.keepfs_version = mem_strdup(KEEPFS_VERSION);
	d->m.format = mem_strdup(formats[d->job->dump.format]);
	d->m.content = mem_strdup(contents[d->job->dump.content]);
	d->m.note = mem_strdup(d->order->note);
	d->m.partial = d->order->partial;
	d->m.is_directory = d->job->dump.format == CONF_FORMAT_DIRECTORY;
	d->m.run_id = d->order->run_id;
}

/* The data. */

static unsigned wanted_readers(const struct dump *d)
{
	uint64_t by_size = d->server.database_bytes / AUTO_BYTES_EACH;
	unsigned readers = dump_cores();

	if (d->job->dump.content == CONF_CONTENT_SCHEMA)
		return 1;
	if (d->job->dump.connections > 0)
		return (unsigned)d->job->dump.connections;
	if (readers > AUTO_READERS_MAX)
		readers = AUTO_READERS_MAX;
	return by_size < readers ? (unsigned)by_size : readers;
}

/* A way to make the data was given up: the files that it has stored, those behind the first @keep, are no
 * part of what is made in another way. */
static int take_back_files(struct dump *d, size_t keep, struct error *err)
{
	const struct store_call call = {.cancel = d->order->cancel};

	while (d->m.file_count > keep) {
		_cleanup(free) char *key = dump_file_key(d, d->m.files[d->m.file_count - 1].name);
		int r = store_remove(d->ctx->store, &call, key, err);

		if (r < 0)
			return r;
		manifest_drop_last_file(&d->m);
	}
	return 0;
}

static int try_parallel(struct dump *d, struct contents *contents, struct error *err)
{
	unsigned readers = wanted_readers(d);
	size_t files = d->m.file_count;
	struct error why = {0};
	int r;

	if (readers < 2)
		return PARALLEL_NOT_POSSIBLE;
	r = parallel_archive(d, contents, readers, &why);
	if (r == PARALLEL_NOT_POSSIBLE) {
		dump_say(d, "reading over one connection: %s", why.message);
		r = take_back_files(d, files, err);
		return r < 0 ? r : PARALLEL_NOT_POSSIBLE;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static int write_tables_csv(struct dump *d, const struct contents *contents, struct error *err)
{
	_cleanup(free) char *name = dump_file_name(d, "tables.csv");
	_cleanup(str) struct str csv = {0};
	struct rows totals;
	char size[16];

	contents_totals(contents, &totals);
	dump_say(d, "data: %zu entries, %" PRIu64 " rows, %s", contents->count, totals.count,
	         str_format_bytes(size, sizeof(size), totals.bytes));
	contents_write_csv(contents, &csv);
	return dump_put_file(d, name, csv.data, csv.len, err);
}

int make_archive(struct dump *d, struct error *err)
{
	_cleanup(contents) struct contents *contents = contents_new();
	int r = try_parallel(d, contents, err);

	if (r == PARALLEL_NOT_POSSIBLE) {
		contents_free(contents);
		contents = contents_new();
		r = transcode_archive(d, contents, err);
	}
	if (r == 0 && d->job->dump.content != CONF_CONTENT_SCHEMA)
		r = write_tables_csv(d, contents, err);
	return r;
}

static int make_data(struct dump *d, struct error *err)
{
	struct error why = {0};
	int r;

	if (d->job->dump.format == CONF_FORMAT_PLAIN)
		return make_plain(d, err);
	r = make_archive(d, &why);
	if (r == -ENOTSUP && d->job->dump.format == CONF_FORMAT_CUSTOM) {
		dump_warn(
		        d,
		        "%s; the archive is stored as pg_dump writes it, and only pg_dump's exit status says that it is whole",
		        why.message);
		return make_passed(d, err);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static int by_name(const void *a, const void *b)
{
	const struct manifest_file *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* The files of a directory, and the list of their digests, whose own is the artifact's. */
static int close_directory(struct dump *d, struct error *err)
{
	_cleanup(str) struct str sums = {0};
	int r;

	qsort(d->m.files, d->m.file_count, sizeof(*d->m.files), by_name);
	for (size_t i = 0; i < d->m.file_count; i++) {
		str_appendf(&sums, "%s  %s\n", d->m.files[i].sha256, d->m.files[i].name);
		d->m.size_bytes += d->m.files[i].size_bytes;
	}
	r = dump_check_free(d, err);
	if (r == 0)
		r = dump_put_file(d, "SHA256SUMS", sums.data, sums.len, err);
	if (r < 0)
		return r;
	d->m.size_bytes += sums.len;
	str_copy(d->m.sha256, sizeof(d->m.sha256), d->m.files[d->m.file_count - 1].sha256);
	return 0;
}

static void say_done(const struct dump *d)
{
	int64_t taken_us = clock_mono_us() - d->started_mono_us;
	double seconds = (double)(taken_us > 0 ? taken_us : 1) / (double)US_PER_S;
	char size[16], rate[16];

	dump_say(
	        d, "done: %s, %s in %.1f s (%s/s), sha256 %s", d->m.path,
	        str_format_bytes(size, sizeof(size), d->m.size_bytes), seconds,
	        str_format_bytes(rate, sizeof(rate), (unsigned long long)((double)d->m.size_bytes / seconds)),
	        d->m.sha256[0] ? d->m.sha256 : "not known");
}

static int make_and_publish(struct dump *d, struct error *err)
{
	char compression[16];
	int r = dump_check_free(d, err);

	if (r == 0 && conf_dump_has_globals(&d->job->dump))
		r = make_globals(d, err);
	if (r == 0)
		r = make_data(d, err);
	if (r == 0 && d->m.is_directory)
		r = close_directory(d, err);
	if (r == 0 && d->job->verify == CONF_VERIFY_READBACK)
		r = verify_artifact(d, err);
	if (r < 0)
		return r;
	if (!d->m.is_directory)
		str_copy(d->m.stored_sha256, sizeof(d->m.stored_sha256), d->m.sha256);
	d->m.compression = mem_strdup(compression_format(&d->compression, compression));
	d->m.finished_at_us = clock_now_us();
	d->publishing = true;
	return artifact_publish(d->ctx->store, d->ctx->catalog, &d->m, d->order->cancel, err);
}

static void give_up(struct dump *d)
{
	struct error err = {0};
	int r = 0;

	/* A manifest that is there before we published is another's, whatever it says. */
	if (!d->publishing)
		r = artifact_check_free(d->ctx->store, d->ctx->catalog, d->path, NULL, &err);
	if (r == -EEXIST)
		return;
	if (r == 0)
		r = artifact_discard(d->ctx->store, d->ctx->catalog, d->path, &err);
	if (r == 0)
		return;
	dump_say(d, "warning: what is left of %s will be cleared up at the next start: %s", d->path,
	         err.message);
	log_warning("what is left of %s will be cleared up at the next start: %s", d->path, err.message);
}

static int reserve(struct dump *d, struct error *err)
{
	_cleanup(free) char *suffix = choose_suffix(d);
	int r = artifact_reserve(d->ctx->catalog, d->order->directory, suffix, d->order->run_id,
	                         d->m.started_at_us, &d->path, err);

	if (r == 0)
		describe(d);
	return r;
}

static int refuse_kind(const struct conf_job *job, struct error *err)
{
	return error_set(err, ERROR_USAGE, ENOTSUP,
	                 "[files %s]: this keepfs is not built to archive directories; use a later one",
	                 job->name);
}

int make_dump(const struct make_context *ctx, const struct make_dump *order, struct manifest *ret,
              struct error *err)
{
	struct dump d = {.ctx = ctx,
	                 .order = order,
	                 .job = order->job,
	                 .m.started_at_us = clock_now_us(),
	                 .started_mono_us = clock_mono_us()};
	int r = order->job->kind == CONF_JOB_DUMP ? prepare(&d, err) : refuse_kind(order->job, err);

	d.rate = rate_new(d.job->max_rate_bytes);
	if (r == 0)
		r = reserve(&d, err);
	if (r == 0) {
		r = make_and_publish(&d, err);
		if (r < 0)
			give_up(&d);
	}
	if (r == 0) {
		say_done(&d);
		*ret = d.m;
	} else {
		manifest_finish(&d.m);
	}
	rate_free(d.rate);
	free(d.path);
	return r;
}
