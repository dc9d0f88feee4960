// SPDX-License-Identifier: Apache-2.0
/* All that a dump makes besides rows, as one text for psql: of each format the same. */
#include "past_server.h"
#include "restore_head.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg.h>
#include <keepfs/pg/lacking.h>
#include <keepfs/pg/manage.h>
#include <keepfs/proc.h>

#include <errno.h>

#define PIECE_BYTES 16384

struct schema_feed {
	struct past_server *server;
	const struct spool *script;
	struct proc *proc;
};

static int write_to_schema_psql(void *arg, const void *data, size_t len, struct error *err)
{
	return proc_write(((struct schema_feed *)arg)->proc, data, len, err);
}

static int feed_schema_script(struct schema_feed *f, struct restore_head *head, struct error *err)
{
	char piece[PIECE_BYTES];
	uint64_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = spool_read(f->script, piece, sizeof(piece), at)) != 0) {
		if (n < 0)
			return error_system(err, (int)-n, "the definitions of the dump cannot be read again");
		r = restore_head_feed(head, piece, (size_t)n, err);
		at += (uint64_t)n;
	}
	return r < 0 ? r : restore_head_end(head, err);
}

/* Why it does not read on is told by its own words. */
static int run_schema_psql(struct schema_feed *f, const char *lacking, struct error *err)
{
	_cleanup(restore_head) struct restore_head head = {
	        .lacking = lacking, .write = write_to_schema_psql, .arg = f};
	struct error why = {0};
	int fed = feed_schema_script(f, &head, &why), r;

	if (fed < 0 && fed != -EPIPE) {
		if (err)
			*err = why;
		return fed;
	}
	proc_end_input(f->proc);
	r = proc_wait(f->proc, err);
	if (r == 0 && fed < 0 && err)
		*err = why;
	return r < 0 ? r : fed;
}

static void hear_schema(void *arg, const char *line)
{
	past_failures_hear(arg, line);
}

static int start_schema_psql(struct past_server *s, struct proc **ret, struct error *err)
{
	_cleanup(free) char *conninfo = NULL, *password = NULL;
	char path[PG_PATH_BYTES], version[128];
	int r = pg_find_program("psql", NULL, pg_scratch_version_num(s->scratch), path, version, err);

	if (r == 0)
		r = pg_child_conninfo(pg_scratch_conninfo(s->scratch), s->database, "", &conninfo, &password,
		                      err);
	if (r < 0)
		return r;
	const char *const argv[] = {path, "-X", "-q", "-o", "/dev/null", "-d", conninfo, "-f", "-", NULL};
	const char *const env[] = {"LC_ALL=C", NULL};
	const struct proc_options options = {
	        .argv = argv,
	        .env = PROC_ENV_POSTGRES,
	        .extra_env = env,
	        .on_stderr_line = hear_schema,
	        .arg = &s->failures,
	        .cancel = s->cancel,
	        .input_pipe = true,
	        .output_to_lines = true,
	};

	return proc_start(&options, ret, err);
}

static int learn_lacking_settings(const struct past_server *s, struct str *ret, struct error *err)
{
	const struct pg_server_place place = {.server = pg_scratch_conninfo(s->scratch), .cancel = s->cancel};

	return pg_names_lacking(&place, s->database, PG_NEEDED_SETTINGS, restore_head_settings, ret, err);
}

int past_server_make_tables(struct past_server *s, const struct past_scope *scope, struct error *err)
{
	_cleanup(spool) struct spool *script = spool_new(s->ctx->conf->state_dir);
	_cleanup(str) struct str lacking = {0};
	_cleanup(proc) struct proc *proc = NULL;
	struct schema_feed feed = {.server = s, .script = script};
	int r = inside_write_schema(s->dump, s->cancel, script, err);

	if (r == 0)
		r = learn_lacking_settings(s, &lacking, err);
	if (r == 0)
		r = start_schema_psql(s, &proc, err);
	feed.proc = proc;
	if (r == 0)
		r = run_schema_psql(&feed, str_text(&lacking), err);
	if (r == 0)
		r = past_script_find(script, &s->failures, err);
	return r < 0 ? r : past_failures_judge(&s->failures, scope, err);
}
