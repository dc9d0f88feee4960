// SPDX-License-Identifier: Apache-2.0
/*
 * SQL text: plain dumps, the roles of a cluster, and what a database is. It is one gzip file, whose segments several threads
 * compress. That it is whole, it says itself: the programs write a last line when they are done, and only
 * then exit with 0.
 */
#include "dump.h"

#include <keepfs/base/mem.h>
#include <keepfs/stream/ordered.h>

#include <errno.h>
#include <string.h>

#define TAIL_BYTES      1024
#define DUMP_LAST_WORDS "-- PostgreSQL database dump complete"

struct text {
	struct sink sink;
	struct dump *dump;
	struct compression compression;
	struct press *press;
	struct segment_file file;
	bool limited;              /* the job's rate applies */
	char tail[TAIL_BYTES + 1]; /* the last bytes of the text */
	size_t tail_bytes;
};

static void keep_tail(struct text *t, const char *data, size_t len)
{
	size_t keep = len < TAIL_BYTES ? TAIL_BYTES - len : 0;

	if (len > TAIL_BYTES) {
		data += len - TAIL_BYTES;
		len = TAIL_BYTES;
	}
	if (keep > t->tail_bytes)
		keep = t->tail_bytes;
	memmove(t->tail, t->tail + t->tail_bytes - keep, keep);
	memcpy(t->tail + keep, data, len);
	t->tail_bytes = keep + len;
	t->tail[t->tail_bytes] = '\0';
}

static int text_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct text *t = (struct text *)s;
	int r = t->limited ? draft_pace(t->dump->draft, len, err) : 0;

	keep_tail(t, data, len);
	return r < 0 ? r : press_write(t->press, data, len, err);
}

static const struct sink_ops text_ops = {.write = text_write};

static int take_text_segment(void *arg, const struct segment *s, const void *data, struct error *err)
{
	struct text *t = arg;

	return segment_file_add(&t->file, s, data, err);
}

static int open_text_press(struct text *t, unsigned threads, struct error *err)
{
	const struct press_options options = {
	        .compression = t->compression,
	        .check = SEGMENT_CHECK_CRC32,
	        .threads = threads,
	        .pool = t->dump->ctx->pool,
	        .cancel = t->dump->order->cancel,
	        .out = {.segment = take_text_segment, .arg = t},
	};

	return press_new(&options, &t->press, err);
}

/* @name: of the file; NULL: of the artifact itself. */
static int begin_file(struct text *t, const char *name, struct error *err)
{
	struct stream_object *object;
	bool gzip = t->compression.method == COMPRESSION_GZIP;
	int r = draft_open(t->dump->draft, name, 0, &object, err);

	return r < 0 ? r : segment_file_begin(&t->file, object, gzip, err);
}

static int end_text(struct text *t, const char *last_words, struct error *err)
{
	int r;

	if (memchr(t->tail, '\0', t->tail_bytes) || !strstr(t->tail, last_words))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the text is cut off: its last line, \"%s\", did not come", last_words);
	r = press_finish(t->press, err);
	return r < 0 ? r : segment_file_end(&t->file, err);
}

/* From @program's output to an object that is only left to be finished. */
static int write_text(struct text *t, const char *program, const struct arguments *a, const char *name,
                      const char *last_words, struct error *err)
{
	_cleanup(proc) struct proc *p = NULL;
	int r = begin_file(t, name, err);

	t->sink.ops = &text_ops;
	if (r == 0)
		r = child_start(t->dump, program, a, &p, err);
	if (r == 0)
		r = stream_pump(proc_stdout(p), &t->sink, t->dump->order->cancel, NULL, err);
	if (r == 0)
		r = child_wait(t->dump, p, err);
	return r < 0 ? r : end_text(t, last_words, err);
}

static void text_finish(struct text *t)
{
	press_free(t->press);
	stream_object_free(t->file.object);
}

int make_plain(struct dump *d, struct error *err)
{
	_cleanup(arguments) struct arguments a = {0};
	struct text t = {.dump = d, .compression = d->compression, .limited = true};
	int r;

	arguments_add(&a, "--format=plain");
	arguments_of_job(d, &a);
	r = open_text_press(&t, make_press_threads(d->ctx), err);
	if (r == 0)
		r = write_text(&t, d->program, &a, NULL, DUMP_LAST_WORDS, err);
	if (r == 0)
		r = draft_finish(d->draft, NULL, t.file.object, NULL, err);
	if (r == 0)
		d->raw_bytes = (int64_t)t.file.raw_bytes;
	text_finish(&t);
	return r;
}

/* What belongs to a dump but is no part of it, and may hold secrets. */
static int write_beside(struct dump *d, const char *program, const struct arguments *a, const char *what,
                        const char *last_words, struct error *err)
{
	_cleanup(free) char *name = draft_file_name(d->draft, what);
	struct text t = {.dump = d, .compression = {COMPRESSION_GZIP, COMPRESSION_ISAL}};
	int r = open_text_press(&t, 1, err);

	if (r == 0)
		r = write_text(&t, program, a, name, last_words, err);
	if (r == 0)
		r = draft_finish(d->draft, name, t.file.object, NULL, err);
	if (r == 0)
		draft_keep_secret(d->draft, name);
	text_finish(&t);
	return r;
}

static void add_lock_timeout(const struct dump *d, struct arguments *a)
{
	if (d->conf->lock_wait_timeout_ms > 0)
		arguments_add(a, "--lock-wait-timeout=%lld", (long long)d->conf->lock_wait_timeout_ms);
}

static int write_globals(struct dump *d, const char *program, bool passwords, struct error *err)
{
	_cleanup(arguments) struct arguments a = {0};
	_cleanup(free) char *database = pg_database_conninfo(d->server.database);

	arguments_add(&a, "--globals-only");
	arguments_add(&a, "--database=%s", database);
	if (!passwords)
		arguments_add(&a, "--no-role-passwords");
	add_lock_timeout(d, &a);
	return write_beside(d, program, &a, "globals.sql.gz", "-- PostgreSQL database cluster dump complete",
	                    err);
}

int make_globals(struct dump *d, struct error *err)
{
	char program[PG_PATH_BYTES], version[128];
	struct error why = {0};
	int r = pg_find_program("pg_dumpall", d->conf->pg_bindir, d->server.version_num, program, version,
	                        &why);

	if (r == 0 && !d->server.reads_passwords)
		make_warn(
		        d->order,
		        "role \"%s\" may not read the passwords of roles: globals.sql holds the roles without them",
		        d->server.user);
	if (r == 0)
		r = write_globals(d, program, d->server.reads_passwords, &why);
	if (r == 0)
		warnings_tell(&d->warnings, d->order);
	if (r < 0 && err) {
		*err = why;
		error_prefix(err,
		             "the roles of the cluster could not be dumped (globals = no leaves them out)");
	}
	return r;
}

/* A schema that is asked for and excluded leaves nothing but the database: whatever belongs to none, such as extensions,
 * is left out as soon as a schema is asked for. This one is in every database. */
int make_database(struct dump *d, struct error *err)
{
	_cleanup(arguments) struct arguments a = {0};
	int r;

	arguments_add(&a, "--format=plain");
	arguments_add(&a, "--create");
	arguments_add(&a, "--schema-only");
	arguments_add(&a, "--schema=pg_toast");
	arguments_add(&a, "--exclude-schema=pg_toast");
	add_lock_timeout(d, &a);
	r = write_beside(d, d->program, &a, "database.sql.gz", DUMP_LAST_WORDS, err);
	if (r < 0 && err)
		error_prefix(err, "the properties of the database could not be dumped");
	return r;
}
