/*
 * One dump, from the first question to the listed artifact. The order of the steps is what makes a backup
 * trustworthy, so it stands in one place:
 *
 *   ask the server → choose pg_dump → reserve the name (recorded: a crash from here on can be cleared up)
 *   → pump pg_dump's output through digest and check into the upload, until its end
 *   → exit status 0 → the archive is whole → the upload is completed → the artifact is published
 *
 * The upload is finished only after the exit status: an end of output alone says nothing, it is also what a
 * killed pg_dump leaves. Just before, the name must still be free in the store: a second keepfs that writes
 * to the same place may have made a backup of that name, which must not be replaced. Whatever fails, the
 * upload is aborted and the reserved name given up.
 */
#include "config.h"

#include <keepfs/artifact.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/make.h>
#include <keepfs/pg.h>
#include <keepfs/proc.h>
#include <keepfs/stream.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

DEFINE_CLEANUP(secret, char *, mem_free_secret)

struct work { /* what the steps hand to each other */
	const struct make_context *ctx;
	const struct make_dump *dump;
	struct pg_facts server;
	char program[PG_PATH_BYTES];
	char program_version[128];
	char *path;      /* of the artifact, once reserved */
	bool publishing; /* its manifest may be there, and be ours */
	int64_t started_at_us;
	int64_t started_mono_us;
	struct stream_facts stream;
	struct pg_archive_facts archive;
};

static void say(const struct work *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void say(const struct work *w, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	if (!w->dump->log)
		return;
	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	w->dump->log(w->dump->log_arg, str_text(&line));
}

static void say_server(const struct work *w)
{
	const struct pg_facts *s = &w->server;
	char size[16];

	say(w, "server: PostgreSQL %s, database \"%s\" (%s), role \"%s\"", s->version, s->database,
	    s->database_bytes ? str_format_bytes(size, sizeof(size), s->database_bytes) : "size not known",
	    s->user);
	if (s->unreadable_table[0])
		say(w, "warning: role \"%s\" may not read %s: pg_dump will fail unless it leaves it out",
		    s->user, s->unreadable_table);
	if (s->rls_table[0])
		say(w, "warning: row-level security of %s applies to role \"%s\": pg_dump will fail",
		    s->rls_table, s->user);
}

static int prepare(struct work *w, struct error *err)
{
	const struct conf_backup *job = w->dump->job;
	int r = pg_learn(job->database, w->dump->database, w->dump->cancel, &w->server, err);

	if (r < 0)
		return r;
	say_server(w);
	r = pg_find_program("pg_dump", job->pg_bindir, w->server.version_num, w->program, w->program_version,
	                    err);
	if (r < 0)
		return r;
	say(w, "program: %s %s", w->program, w->program_version);
	return 0;
}

/* pg_dump's words are in @err already; what to do about them comes behind. */
static int with_hint(int r, const struct proc *p, struct error *err)
{
	const char *hint = pg_hint(proc_stderr(p));
	size_t len;

	if (!err || r == -ECANCELED)
		return r;
	if (!hint)
		hint = pg_hint(err->message);
	if (!hint)
		return r;
	/* Should both not fit, the hint is cut, never the words. */
	len = strlen(err->message);
	snprintf(err->message + len, sizeof(err->message) - len, " (%s)", hint);
	return r;
}

static int start_pg_dump(struct work *w, struct proc **ret_proc, struct error *err)
{
	_cleanup(free) char *conninfo = NULL;
	_cleanup(secret) char *password = NULL;
	_cleanup(free) char *dbname = NULL;
	int r = pg_child_conninfo(w->dump->job->database, w->dump->database, &conninfo, &password, err);

	if (r < 0)
		return r;
	dbname = mem_printf("--dbname=%s", conninfo);
	/* Without a connection string libpq's environment decides, as it did when the server was asked. */
	const char *const argv[] = {w->program, "--format=custom", "--no-password",
	                            conninfo[0] ? dbname : NULL, NULL};
	/* In English, so that hints can be found and everybody can search for the words. */
	const char *const env[] = {"LC_ALL=C", password, NULL};
	const struct proc_options options = {.argv = argv,
	                                     .extra_env = env,
	                                     .on_stderr_line = w->dump->log,
	                                     .arg = w->dump->log_arg,
	                                     .cancel = w->dump->cancel};

	return proc_start(&options, ret_proc, err);
}

static int open_stream(struct work *w, struct sink **ret_sink, struct error *err)
{
	const struct conf_store *store = &w->ctx->conf->store;
	struct make_progress *progress = w->dump->progress;
	const struct stream_upload_options options = {
	        .store = w->ctx->store,
	        .pool = w->ctx->pool,
	        .key = w->path,
	        .part_bytes = store->part_bytes,
	        .max_parts = store->max_parts > 0 ? (unsigned)store->max_parts : 0,
	        .cancel = w->dump->cancel,
	        .sent_bytes = progress ? &progress->sent_bytes : NULL,
	};
	struct sink *upload;
	int r = stream_upload_new(&options, &upload, err);

	if (r < 0)
		return r;
	*ret_sink = stream_digest_new(stream_archive_check_new(upload, &w->archive), &w->stream);
	return 0;
}

static int transfer(struct work *w, struct error *err)
{
	struct make_progress *progress = w->dump->progress;
	/* Released in the reverse order: a failed store first stops pg_dump, then aborts the upload. */
	_cleanup(sink) struct sink *sink = NULL;
	_cleanup(proc) struct proc *p = NULL;
	int r = open_stream(w, &sink, err);

	if (r == 0)
		r = start_pg_dump(w, &p, err);
	if (r == 0)
		r = stream_pump(proc_stdout(p), sink, w->dump->cancel,
		                progress ? &progress->read_bytes : NULL, err);
	if (r < 0)
		return r;
	r = proc_wait(p, err);
	if (r < 0)
		return with_hint(r, p, err);
	r = artifact_check_free(w->ctx->store, w->ctx->catalog, w->path, w->dump->cancel, err);
	return r < 0 ? r : sink_finish(sink, err);
}

static void describe(struct work *w, struct manifest *m)
{
	const struct pg_facts *s = &w->server;

	*m = (struct manifest){
	        .path = mem_strdup(w->path),
	        .job = mem_strdup(w->dump->job->name),
	        .kind = mem_strdup("dump"),
	        .database = mem_strdup(w->dump->label),
	        .server_version = mem_strdup(s->version),
	        .tool_version = mem_strdup(w->program_version),
	        .system_identifier = mem_strdup(s->system_identifier[0] ? s->system_identifier : NULL),
	        .triggered_by = mem_strdup(w->dump->triggered_by),
	        .format = mem_strdup("custom"),
	        .content = mem_strdup("full"),
	        .compression = mem_strdup("gzip"),
	        .keepfs_version = mem_strdup(KEEPFS_VERSION),
	        .run_id = w->dump->run_id,
	        .started_at_us = w->started_at_us,
	        .finished_at_us = clock_now_us(),
	        .size_bytes = w->stream.bytes,
	        .stored_bytes = w->stream.bytes,
	        .extents = w->stream.extents,
	        .extents_count = w->stream.extents.count,
	};
	w->stream.extents = (struct extents){0};
	str_copy(m->sha256, sizeof(m->sha256), w->stream.sha256);
	str_copy(m->stored_sha256, sizeof(m->stored_sha256), w->stream.sha256);
}

static void say_done(const struct work *w, const struct manifest *m)
{
	int64_t taken_us = clock_mono_us() - w->started_mono_us;
	double seconds = (double)(taken_us > 0 ? taken_us : 1) / (double)US_PER_S;
	char size[16], rate[16];

	say(w, "done: %s, %s in %.1f s (%s/s), sha256 %s", m->path,
	    str_format_bytes(size, sizeof(size), m->size_bytes), seconds,
	    str_format_bytes(rate, sizeof(rate), (unsigned long long)((double)m->size_bytes / seconds)),
	    m->sha256);
}

static int transfer_and_publish(struct work *w, struct manifest *m, struct error *err)
{
	int r = transfer(w, err);

	if (r < 0)
		return r;
	say(w, "archive: version %u.%u, %llu entries, %llu of them with data: whole",
	    w->archive.version_major, w->archive.version_minor, (unsigned long long)w->archive.toc_entries,
	    (unsigned long long)w->archive.data_entries);
	describe(w, m);
	w->publishing = true;
	return artifact_publish(w->ctx->store, w->ctx->catalog, m, w->dump->cancel, err);
}

static void give_up(struct work *w)
{
	struct error err = {0};
	int r = 0;

	/* A manifest that is there before we published is another's, whatever it says. */
	if (!w->publishing)
		r = artifact_check_free(w->ctx->store, w->ctx->catalog, w->path, NULL, &err);
	if (r == -EEXIST)
		return;
	if (r == 0)
		r = artifact_discard(w->ctx->store, w->ctx->catalog, w->path, &err);
	if (r == 0)
		return;
	say(w, "warning: what is left of %s will be cleared up at the next start: %s", w->path, err.message);
	log_warning("what is left of %s will be cleared up at the next start: %s", w->path, err.message);
}

int make_dump(const struct make_context *ctx, const struct make_dump *dump, struct manifest *ret,
              struct error *err)
{
	struct work w = {.ctx = ctx,
	                 .dump = dump,
	                 .started_at_us = clock_now_us(),
	                 .started_mono_us = clock_mono_us()};
	struct manifest m = {0};
	int r = prepare(&w, err);

	if (r == 0)
		r = artifact_reserve(ctx->catalog, dump->directory, ".dump", dump->run_id, w.started_at_us,
		                     &w.path, err);
	if (r == 0) {
		r = transfer_and_publish(&w, &m, err);
		if (r < 0)
			give_up(&w);
	}
	if (r == 0) {
		say_done(&w, &m);
		*ret = m;
	} else {
		manifest_finish(&m);
	}
	extents_finish(&w.stream.extents);
	free(w.path);
	return r;
}
