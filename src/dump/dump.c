// SPDX-License-Identifier: Apache-2.0
/*
 * One dump, from the first question to the published draft:
 *
 *   ask the server → choose pg_dump → begin a draft → the roles of the cluster, what the database is → the data,
 *   compressed on its way into the store, its end checked → publish
 *
 * An object is completed only after the maker's exit status and the checks of its content: an end of output alone says
 * nothing, it is also what a killed pg_dump leaves.
 */
#include "contents.h"
#include "dump.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/pg_archive.h>

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define AUTO_READERS_MAX   8
#define AUTO_BYTES_EACH    ((uint64_t)64 << 20) /* a reader for less is not worth its connection */
#define FIRST_ZSTD_VERSION 160000
#define TRIES_MAX          40
#define TRIES_MINUTES      10
#define TRY_PAUSE_MS       100

/* Before anything is written. */

static void say_server(const struct dump *d)
{
	const struct pg_facts *s = &d->server;
	char size[16];

	make_say(d->order, "server: PostgreSQL %s, database \"%s\" (%s), role \"%s\"", s->version,
	         s->database,
	         s->database_bytes ? str_format_bytes(size, sizeof(size), s->database_bytes)
	                           : "size not known",
	         s->user);
	if (s->in_recovery)
		make_say(d->order, "the server is a standby");
	if (s->pooler == PG_POOLER_OF_SESSIONS)
		make_say(d->order, "a pooler stands before the server");
	if (s->unreadable_table[0])
		make_say(d->order,
		         "warning: role \"%s\" may not read %s: pg_dump will fail unless it leaves it out",
		         s->user, s->unreadable_table);
	if (s->rls_table[0])
		make_say(d->order,
		         "warning: row-level security of %s applies to role \"%s\": pg_dump will fail",
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
		make_say(d->order, "whether %s reads zstd could not be found out, so gzip is used: %s",
		         program, err.message);
	return r > 0;
}

static bool zstd_is_read(const struct dump *d)
{
	/* Version 15 of pg_restore does not know it at all. */
	return d->conf->format == CONF_FORMAT_CUSTOM && d->server.version_num >= FIRST_ZSTD_VERSION &&
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

	make_say(d->order, "program: %s %s; compression: %s", d->program, d->program_version,
	         compression_format(&d->compression, compression));
	if (major > d->server.version_num / 10000 && d->conf->format != CONF_FORMAT_PLAIN)
		make_say(
		        d->order,
		        "that program is newer than the server: a pg_restore of version %ld or newer may be needed to read this backup",
		        major);
}

static int prepare_dump(struct dump *d, struct error *err)
{
	int r = pg_learn(d->conf->database, d->order->target->name, d->order->cancel, &d->server, err);

	if (r < 0)
		return r;
	say_server(d);
	r = check_pooler(d, err);
	if (r == 0)
		r = pg_find_program("pg_dump", d->conf->pg_bindir, d->server.version_num, d->program,
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
	const char *content = contents[d->conf->content];
	const char *ending = ".dump";

	if (d->order->partial && !content[0])
		content = ".partial";
	if (d->conf->format == CONF_FORMAT_DIRECTORY)
		ending = "";
	else if (d->conf->format == CONF_FORMAT_PLAIN)
		ending = d->compression.method == COMPRESSION_GZIP ? ".sql.gz" : ".sql";
	return mem_printf("%s%s", content, ending);
}

static void set_count(struct manifest *m, const char *name, int64_t count)
{
	if (count >= 0)
		manifest_set_fact_int(m, name, count);
}

/* How it was compressed is known at the end: pg_dump may have done it itself. */
static void describe_dump(const struct dump *d)
{
	static const char *const formats[] = {[CONF_FORMAT_CUSTOM] = "custom",
	                                      [CONF_FORMAT_PLAIN] = "plain",
	                                      [CONF_FORMAT_DIRECTORY] = "directory"};
	static const char *const contents[] = {
	        [CONF_CONTENT_FULL] = "full", [CONF_CONTENT_SCHEMA] = "schema", [CONF_CONTENT_DATA] = "data"};
	const struct pg_facts *s = &d->server;
	struct manifest *m = draft_manifest(d->draft);
	char compression[16];

	manifest_set_fact(m, "database", d->order->target->label);
	manifest_set_fact(m, "final", d->order->target->is_final ? "yes" : NULL);
	manifest_set_fact(m, "server_version", s->version);
	manifest_set_fact(m, "tool_version", d->program_version);
	manifest_set_fact(m, "system_identifier", s->system_identifier[0] ? s->system_identifier : NULL);
	if (s->database_bytes)
		manifest_set_fact_int(m, "database_bytes", (int64_t)s->database_bytes);
	manifest_set_fact(m, "format", formats[d->conf->format]);
	manifest_set_fact(m, "content", contents[d->conf->content]);
	manifest_set_fact(m, "compression", compression_format(&d->compression, compression));
	make_describe_selection(d->job, m);
	set_count(m, "rows", d->rows);
	set_count(m, "tables", d->tables);
	set_count(m, "raw_bytes", d->raw_bytes);
	manifest_set_fact(m, "largest_tables", d->largest_tables);
}

/* The data. */

static unsigned wanted_readers(const struct dump *d)
{
	uint64_t by_size = d->server.database_bytes / AUTO_BYTES_EACH;
	unsigned readers = make_cores();

	if (d->conf->content == CONF_CONTENT_SCHEMA)
		return 1;
	if (d->conf->connections > 0)
		return (unsigned)d->conf->connections;
	if (readers > AUTO_READERS_MAX)
		readers = AUTO_READERS_MAX;
	return by_size < readers ? (unsigned)by_size : readers;
}

static int try_parallel(struct dump *d, struct contents *contents, struct error *err)
{
	unsigned readers = wanted_readers(d);
	size_t files = draft_file_count(d->draft);
	struct error why = {0};
	int r;

	if (readers < 2)
		return PARALLEL_NOT_POSSIBLE;
	r = parallel_archive(d, contents, readers, &why);
	if (r == PARALLEL_NOT_POSSIBLE) {
		make_say(d->order, "reading over one connection: %s", why.message);
		r = draft_drop_files(d->draft, files, err);
		return r < 0 ? r : PARALLEL_NOT_POSSIBLE;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

static int write_csv_lines(void *object, const void *data, size_t len, struct error *err)
{
	return stream_object_write(object, data, len, err);
}

static int write_tables_csv(struct dump *d, const struct contents *contents, struct error *err)
{
	_cleanup(free) char *name = draft_file_name(d->draft, "tables.csv");
	_cleanup(stream_object) struct stream_object *object = NULL;
	struct rows totals;
	char size[16];
	int r;

	contents_totals(contents, &totals);
	d->rows = (int64_t)totals.count;
	d->tables = (int64_t)contents_table_count(contents);
	d->raw_bytes = (int64_t)totals.bytes;
	free(take_ptr(&d->largest_tables)); /* of an earlier try */
	r = contents_largest(contents, &d->largest_tables, err);
	if (r < 0)
		return r;
	make_say(d->order, "data: %zu entries, %" PRIu64 " rows, %s", contents->count, totals.count,
	         str_format_bytes(size, sizeof(size), totals.bytes));
	r = draft_open(d->draft, name, 0, &object, err);
	if (r == 0)
		r = contents_write_csv(contents, write_csv_lines, object, err);
	return r < 0 ? r : draft_finish(d->draft, name, object, NULL, err);
}

/* A small object beside the manifest: see codec/segments.h. Like the other small files it comes when the archive's own
 * object, with its part of the memory, is done with. */
static int write_index(struct dump *d, const struct contents *contents, struct error *err)
{
	_cleanup(free) char *key = manifest_index_key(draft_manifest(d->draft)->path);
	_cleanup(free) uint8_t *data = NULL;
	size_t len;

	if (contents->index.count == 0)
		return 0;
	data = segment_index_encode(&contents->index, &len);
	return draft_put_object(d->draft, MANIFEST_ROLE_SEGMENTS, key, data, len, err);
}

int make_archive(struct dump *d, struct error *err)
{
	_cleanup(contents) struct contents *contents = contents_new(d->ctx->conf->state_dir);
	int r = try_parallel(d, contents, err);

	if (r == PARALLEL_NOT_POSSIBLE) {
		contents_free(contents);
		contents = contents_new(d->ctx->conf->state_dir);
		r = transcode_archive(d, contents, err);
	}
	if (r == 0 && d->conf->content != CONF_CONTENT_SCHEMA)
		r = write_tables_csv(d, contents, err);
	return r < 0 ? r : write_index(d, contents, err);
}

static int make_data(struct dump *d, struct error *err)
{
	struct error why = {0};
	int r;

	if (d->conf->format == CONF_FORMAT_PLAIN)
		return make_plain(d, err);
	r = make_archive(d, &why);
	if (r == -ENOTSUP && d->conf->format == CONF_FORMAT_CUSTOM) {
		make_warn(
		        d->order,
		        "%s; the archive is stored as pg_dump writes it, and only pg_dump's exit status says that it is whole",
		        why.message);
		return make_passed(d, err);
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Between a snapshot and the locks anybody may drop what it shows, and pg_dump ends then. Where tables are made and
 * dropped all day, the next snapshot has a good chance, since it is over as soon as the locks are there. */

bool dump_is_outrun(int r, const struct error *why)
{
	if (why->class == ERROR_CONFLICT)
		return r == -ESTALE;
	return why->class == ERROR_NOT_FOUND && (str_starts(why->code, "42") || str_starts(why->code, "3F"));
}

struct tries {
	unsigned made;
	int64_t until_ms; /* no other begins later */
};

static bool may_try_again(struct dump *d, struct tries *tries, int r, const struct error *why)
{
	if (!dump_is_outrun(r, why))
		return false;
	tries->made++;
	if (tries->made < TRIES_MAX && clock_mono_ms() < tries->until_ms) {
		make_say(d->order, "try %u: %s: another one with a new snapshot", tries->made, why->message);
		return true;
	}
	make_say(d->order, "that was try %u of at most %d, within %d minutes: the last one", tries->made,
	         TRIES_MAX, TRIES_MINUTES);
	return false;
}

/* What changes the tables may do so at a beat: ours is another one. */
static bool pause_between_tries(const struct dump *d, const struct tries *tries)
{
	return cancel_sleep_ms(d->order->cancel, tries->made * 37 % TRY_PAUSE_MS);
}

static int make_data_in_tries(struct dump *d, struct error *err)
{
	struct tries tries = {.until_ms = clock_mono_ms() + TRIES_MINUTES * INT64_C(60000)};
	size_t files = draft_file_count(d->draft);
	struct error why = {0};
	int r = make_data(d, &why);

	while (r < 0 && may_try_again(d, &tries, r, &why)) {
		if (pause_between_tries(d, &tries))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled between two tries");
		r = draft_drop_files(d->draft, files, &why);
		if (r == 0)
			r = make_data(d, &why);
	}
	if (r == 0)
		warnings_tell(&d->warnings, d->order);
	if (r < 0 && tries.made > 1)
		error_prefix(&why, "none of %u tries was faster than what changes the tables", tries.made);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int check_feed(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int check_end(void *arg, struct error *err)
{
	return pg_archive_scan_end(arg, err);
}

/* An archive is read to its end; of one of a version that is not known, nothing can be checked. */
static int publish_dump(struct dump *d, struct manifest *ret, struct error *err)
{
	bool archive = d->conf->format == CONF_FORMAT_CUSTOM && !d->passed;
	struct pg_archive_scan *scan = archive ? pg_archive_scan_new(NULL) : NULL;
	const struct draft_check check = {.feed = check_feed, .end = check_end, .arg = scan};
	int r = draft_publish(d->draft, scan ? &check : NULL, ret, err);

	pg_archive_scan_free(scan);
	return r;
}

static int begin_dump(struct dump *d, int64_t started_at_us, struct error *err)
{
	_cleanup(free) char *suffix = choose_suffix(d);
	const struct draft_options options = {.ctx = d->ctx,
	                                      .order = d->order,
	                                      .kind = dump_kind.name,
	                                      .suffix = suffix,
	                                      .is_directory = d->conf->format == CONF_FORMAT_DIRECTORY,
	                                      .started_at_us = started_at_us};

	return draft_new(&options, &d->draft, err);
}

/* Rows alone are for a database that is there. */
static bool needs_database(const struct dump *d)
{
	return d->conf->format == CONF_FORMAT_PLAIN && d->conf->content != CONF_CONTENT_DATA;
}

static int dump_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	struct dump d = {
	        .ctx = ctx,
	        .order = order,
	        .job = order->job,
	        .conf = &order->job->dump,
	        .rows = -1,
	        .tables = -1,
	        .raw_bytes = -1,
	};
	int64_t started_at_us = make_now_us(ctx);
	int r;

	warnings_init(&d.warnings);
	r = prepare_dump(&d, err);
	if (r == 0)
		r = begin_dump(&d, started_at_us, err);
	if (r == 0 && conf_dump_has_globals(d.conf))
		r = make_globals(&d, err);
	if (r == 0 && needs_database(&d))
		r = make_database(&d, err);
	if (r == 0)
		r = make_data_in_tries(&d, err);
	if (r == 0) {
		describe_dump(&d);
		r = publish_dump(&d, ret, err);
	}
	draft_free(d.draft);
	warnings_finish(&d.warnings);
	free(d.largest_tables);
	return r;
}

const struct make_kind dump_kind = {
        .name = "dump",
        .targets_name = "databases",
        .accepts = dump_accepts,
        .targets = dump_targets,
        .make = dump_make,
        .look_around = dump_look_around,
        .check = dump_check,
        .rights = dump_rights,
};
