// SPDX-License-Identifier: Apache-2.0
/*
 * One dump into one database. Of an archive pg_restore makes the objects, from the table of contents alone; the rows and large objects come
 * over connections of our own, straight from the store; and pg_restore makes indexes, constraints and triggers, several at a time.
 * So no local copy of the backup is needed, and one table's data pass through memory in pieces. SQL text goes through psql as it is.
 */
#include "restore_database.h"

#include "restore_data.h"
#include "restore_foresee.h"
#include "restore_head.h"
#include "restore_needs.h"
#include "restore_program.h"
#include "restore_toc.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg/lacking.h>
#include <keepfs/pg/load.h>
#include <keepfs/pg/manage.h>
#include <keepfs/pg/session.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>

#define JOBS_MAX         8
#define ARGUMENTS_MAX    20
#define SCRIPT_MAX_BYTES ((size_t)4 << 20)

struct restoring {
	const struct restore_database_options *options;
	struct restore_outcome *outcome;
	struct restore_program program;
	struct restore_toc toc;
	unsigned jobs;
	char jobs_text[16];
	int64_t phase_began_us;
	bool text_commits;  /* what was run of a dump in SQL text cannot be undone as a whole */
	struct str lacking; /* settings at the head of a text that the server does not know: "a, b" */
	bool drops_undone;  /* the server has refused one of the statements that drop, and with it all */
};

static void say_of_restore(const struct restoring *r, const char *fmt, ...)
        __attribute__((format(printf, 2, 3)));
static void say_of_restore(const struct restoring *r, const char *fmt, ...)
{
	_cleanup(str) struct str line = {0};
	va_list args;

	if (!r->options->say)
		return;
	va_start(args, fmt);
	str_vappendf(&line, fmt, args);
	va_end(args);
	r->options->say(r->options->arg, str_text(&line));
}

static int64_t end_phase(struct restoring *x, const char *name)
{
	int64_t now_us = clock_mono_us(), took_us = now_us - x->phase_began_us;

	say_of_restore(x, "%s: %.1f s", name, (double)took_us / (double)US_PER_S);
	x->phase_began_us = now_us;
	return took_us;
}

static int fail_in(const char *phase, int r, struct error *err)
{
	if (r < 0)
		error_prefix(err, "%s", phase);
	return r;
}

static const char *bindir_of(const struct restore_database_options *o)
{
	const struct conf *conf = o->backup->ctx->conf;
	const struct conf_job *job = conf_find_job(conf, o->backup->m.job);

	return job && job->kind == CONF_JOB_DUMP ? job->dump.pg_bindir : NULL;
}

/* Making the database. */

static int tell_of_change(const struct restoring *x, struct error *err)
{
	const struct restore_database_options *o = x->options;

	return o->before_change ? o->before_change(o->arg, err) : 0;
}

/* What the server refuses has an SQLSTATE, and was not done. */
static enum restore_made judge_creation(int r, const struct error *why)
{
	if (r == 0)
		return RESTORE_MADE_IT;
	return why->code[0] ? RESTORE_MADE_NOTHING : RESTORE_MADE_UNKNOWN;
}

/* What a server that is another one may refuse: the locale, the encoding, the tablespace. */
static int tell_not_made(int r, struct error *why, struct error *err)
{
	if (str_equal(why->code, "42P04"))
		error_prefix(why,
		             "somebody has made a database of that name meanwhile, which is left as it is");
	else if (why->code[0] && why->class != ERROR_UNAVAILABLE)
		error_prefix(
		        why,
		        "the server does not make it as the backup says: make it as it fits (createdb -T template0), and restore into it with create=no");
	if (err)
		*err = *why;
	return r;
}

/* The first of them is CREATE DATABASE: what it made is ours to drop, and it made nothing when it failed. */
static int make_with_statements(struct restoring *x, const struct pg_server_place *place, char **statements,
                                struct error *err)
{
	_cleanup(free) char *name = pg_quote_name(x->options->database);
	_cleanup(free) char *closing = mem_printf("REVOKE CONNECT ON DATABASE %s FROM PUBLIC", name);
	const char *const create[] = {statements[0], NULL}, *const close[] = {closing, NULL};
	struct error why = {0};
	int r = pg_database_make(place, create, &why);

	x->outcome->made = judge_creation(r, &why);
	if (r < 0)
		return tell_not_made(r, &why, err);
	if (x->options->is_closed)
		r = pg_database_make(place, close, err);
	return r < 0 ? r : pg_database_make(place, (const char *const *)statements + 1, err);
}

static int run_statements(struct restoring *x, const char *script, struct error *err)
{
	const struct restore_database_options *o = x->options;
	_cleanup(restore_statements) struct restore_statements statements = {0};
	_cleanup(free) char *name = pg_quote_name(o->database);
	const struct pg_server_place place = {.server = o->server, .cancel = o->cancel};
	int r;

	restore_database_statements(script, name, !o->no_owner && !o->no_privileges, &statements);
	if (statements.count == 0)
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "the backup does not say how the database is made: make it (createdb -T template0), and restore into it with create=no");
	r = tell_of_change(x, err);
	return r < 0 ? r : make_with_statements(x, &place, statements.items, err);
}

static int make_database_of_archive(struct restoring *x, struct error *err)
{
	const struct restore_toc *t = &x->toc;
	_cleanup(str) struct str script = {0};
	const char *const arguments[] = {"--create", "--schema-only",  "-L", t->database_list, "-f",
	                                 "-",        t->place.archive, NULL};
	/* Before 12 standard output was what nobody said anything about, and "-" a file. */
	const char *const old_arguments[] = {"--create",       "--schema-only",  "-L",
	                                     t->database_list, t->place.archive, NULL};
	int r = restore_program_capture(&x->program, x->program.major < 12 ? old_arguments : arguments,
	                                &script, err);

	return r < 0 ? r : run_statements(x, str_text(&script), err);
}

static int take_script(void *arg, const void *data, size_t len, struct error *err)
{
	struct str *script = arg;

	if (script->len + len > SCRIPT_MAX_BYTES)
		return error_set(err, ERROR_CORRUPT, EFBIG, "the script that makes the database is too long");
	str_append_bytes(script, data, len);
	return 0;
}

static int make_database_of_text(struct restoring *x, struct error *err)
{
	struct backup *b = x->options->backup;
	_cleanup(str) struct str script = {0};
	const struct backup_out out = {.write = take_script, .arg = &script};
	struct catalog_entry file;
	int r = backup_find(b, "database.sql.gz", &file);

	if (r == -ENOENT)
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "the backup does not say how the database is made: make it (createdb -T template0), and restore into it with create=no");
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = backup_read_plain(b, &file, &out, err);
	return r < 0 ? r : run_statements(x, str_text(&script), err);
}

/* Archives. */

/* pg_restore with what was chosen; @list: which entries, @further: NULL-terminated. */
static int run_pg_restore(struct restoring *x, const char *list, const char *const *further,
                          struct error *err)
{
	const struct restore_database_options *o = x->options;
	const char *arguments[ARGUMENTS_MAX] = {"-L", list};
	size_t n = 2;

	if (o->no_owner)
		arguments[n++] = "--no-owner";
	if (o->no_privileges)
		arguments[n++] = "--no-privileges";
	while (*further)
		arguments[n++] = *further++;
	arguments[n] = x->toc.place.archive;
	return restore_program_run(&x->program, arguments, err);
}

/* The server has refused a statement, and psql ends there: it never comes to the COMMIT. */
static bool has_refused(const struct restore_program *psql)
{
	return psql->errors > 0 && str_starts(psql->first.message, "ERROR:");
}

/* What psql gets, but for settings at its head that only a newer server knows. */

struct headed {
	struct restoring *restoring;
	struct restore_head head;
	struct proc *proc;
};

static void cleanup_headed(struct headed *f)
{
	cleanup_restore_head(&f->head);
}

/* Before psql connects: the database may take no more than one connection. What cannot be asked for is left for the server to refuse. */
static int learn_lacking(struct restoring *x, struct error *err)
{
	const struct restore_database_options *o = x->options;
	const struct pg_server_place place = {.server = o->server, .cancel = o->cancel};
	struct error why = {0};
	int r;

	str_clear(&x->lacking);
	r = pg_names_lacking(&place, o->database, PG_NEEDED_SETTINGS, restore_head_settings, &x->lacking,
	                     &why);
	if (r == -ECANCELED) {
		if (err)
			*err = why;
		return r;
	}
	if (r < 0) {
		str_clear(&x->lacking);
		say_of_restore(x,
		               "nothing is left out: the server could not be asked which settings it has: %s",
		               why.message);
	}
	return 0;
}

static void tell_left_out(void *arg, const char *line)
{
	const struct headed *f = arg;

	say_of_restore(f->restoring, "left out, since the server has no such setting: %.*s",
	               (int)strcspn(line, "\n"), line);
}

static int write_to_psql(void *arg, const void *data, size_t len, struct error *err)
{
	return proc_write(((struct headed *)arg)->proc, data, len, err);
}

static void begin_headed(struct restoring *x, struct proc *proc, struct headed *ret)
{
	ret->restoring = x;
	ret->proc = proc;
	ret->head = (struct restore_head){.lacking = str_text(&x->lacking),
	                                  .write = write_to_psql,
	                                  .left_out = tell_left_out,
	                                  .arg = ret};
}

/* The statements that drop, which pg_restore puts first, up to the first comment that announces an object. */
static size_t drops_of(const char *script)
{
	const char *end = strstr(script, "\n--\n-- Name: ");

	return end ? (size_t)(end - script) + 1 : strlen(script);
}

/* Not psql's own --single-transaction: should this process end, psql would take the end of its input for the end of the text, and commit. */
static const char begins[] = "BEGIN;\n", commits[] = "\nCOMMIT;\n";

struct text_feed {
	struct restoring *restoring;
	const char *text;
	size_t len;
};

static int feed_drops(void *arg, struct proc *proc, struct error *err)
{
	const struct text_feed *f = arg;
	_cleanup(headed) struct headed headed = {0};
	int r;

	begin_headed(f->restoring, proc, &headed);
	r = proc_write(proc, begins, strlen(begins), err);
	if (r == 0)
		r = restore_head_feed(&headed.head, f->text, f->len, err);
	if (r == 0)
		r = restore_head_end(&headed.head, err);
	return r < 0 ? r : proc_write(proc, commits, strlen(commits), err);
}

static int run_drops(struct restoring *x, const char *script, struct error *err)
{
	static const char *const arguments[] = {"-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null",
	                                        "-f", "-",  NULL};
	struct restore_program psql = {.options = x->options, .bindir = x->program.bindir};
	struct text_feed f = {.restoring = x, .text = script, .len = drops_of(script)};
	int r = restore_program_find(&psql, "psql", NULL, x->options->database, err);

	if (r == 0)
		r = restore_program_connect(&psql, x->options->database, err);
	if (r == 0)
		r = learn_lacking(x, err);
	if (r == 0)
		r = restore_program_feed(&psql, arguments, feed_drops, &f, err);
	/* Also where errors are passed over: what was not dropped would get its rows a second time. */
	if (r == 0 && psql.errors > 0) {
		*err = psql.first;
		r = -EIO;
	}
	x->drops_undone = r < 0 && has_refused(&psql);
	restore_program_finish(&psql);
	return r;
}

static int drop_what_is_there(struct restoring *x, struct error *err)
{
	const struct restore_toc *t = &x->toc;
	_cleanup(str) struct str script = {0};
	/* The list without data, of which there are none here; large objects are dropped with what is no data. */
	const char *const arguments[] = {"--clean", "--if-exists",    "-L", t->data_list, "-f",
	                                 "-",       t->place.archive, NULL};
	int r = x->program.major < 12 ? error_set(err, ERROR_USAGE, ENOTSUP,
	                                          "clean=yes needs a pg_restore of version 12 or newer")
	                              : restore_program_capture(&x->program, arguments, &script, err);

	return r < 0 ? r : run_drops(x, str_text(&script), err);
}

static int make_objects(struct restoring *x, struct error *err)
{
	static const char *const further[] = {"--section=pre-data", NULL};

	return run_pg_restore(x, x->toc.list, further, err);
}

/* What belongs to the data and has none: values of sequences, and from 1.16 on the large objects themselves. */
static int make_data_entries(struct restoring *x, struct error *err)
{
	static const char *const further[] = {"--section=data", NULL};

	return run_pg_restore(x, x->toc.data_list, further, err);
}

/* Where errors are to be counted one process tells of them: the lines of several get mixed up. */
static int make_indexes(struct restoring *x, struct error *err)
{
	const char *const further[] = {"--section=post-data", "-j",
	                               x->options->keep_going ? "1" : x->jobs_text, NULL};

	return run_pg_restore(x, x->toc.list, further, err);
}

static bool may_switch_triggers_off(struct restoring *x)
{
	const struct pg_load_settings settings = {.statements = "", .no_triggers = true};
	const struct restore_database_options *o = x->options;
	_cleanup(pg_session) struct pg_session *s = NULL;
	struct error ignored = {0};

	return pg_session_open(o->server, o->database, "keepfs restore", o->cancel, &s, &ignored) == 0 &&
	       pg_load_begin(s, &settings, &ignored) == 0;
}

static int flush_data(struct restoring *x, struct error *err)
{
	const struct restore_database_options *o = x->options;
	_cleanup(pg_session) struct pg_session *s = NULL;
	int r = pg_session_open(o->server, o->database, "keepfs restore", o->cancel, &s, err);

	return r < 0 ? r : pg_load_flush(s, err);
}

/* It is a help: without it each table is loaded by one connection. */
static void load_segment_index(struct restoring *x)
{
	struct error why = {0};

	if (x->jobs > 1 &&
	    inside_toc_load_segments(&x->toc.base, x->options->backup, x->options->counts_later, &why) < 0)
		say_of_restore(x, "each table is loaded by one connection, without the segment index: %s",
		               why.message);
}

static int load_data(struct restoring *x, struct error *err)
{
	struct restore_data data = {.options = x->options,
	                            .toc = &x->toc.base,
	                            .jobs = x->jobs,
	                            .server_options = x->program.server.options};
	int r;

	load_segment_index(x);
	if (x->options->content == RESTORE_DATA) {
		data.empties_blobs = true;
		data.no_triggers = may_switch_triggers_off(x);
		if (!data.no_triggers) {
			data.jobs = 1;
			say_of_restore(
			        x,
			        "the role may not switch triggers off: rows are loaded in the order of the archive, and foreign keys are checked");
		}
	}
	r = restore_data(&data, err);
	if (data.tables_in_parts > 0)
		say_of_restore(x, "%u large table%s loaded in parts, over several connections",
		               data.tables_in_parts, data.tables_in_parts == 1 ? " was" : "s were");
	x->outcome->rows = data.rows;
	x->outcome->bytes = data.bytes;
	x->outcome->errors += data.errors;
	return r < 0 ? r : flush_data(x, err);
}

static int load_phase(struct restoring *x, struct error *err)
{
	char size[16];
	int r = make_data_entries(x, err);

	if (r == 0)
		r = load_data(x, err);
	if (r < 0)
		return fail_in("while the data were loaded", r, err);
	say_of_restore(x, "data: %" PRIu64 " rows, %s, over %u connection%s", x->outcome->rows,
	               str_format_bytes(size, sizeof(size), x->outcome->bytes), x->jobs,
	               x->jobs == 1 ? "" : "s");
	x->outcome->data_us = end_phase(x, "data");
	return 0;
}

static int restore_archive_phases(struct restoring *x, struct error *err)
{
	enum restore_content content = x->options->content;
	int r = 0;

	x->outcome->changed = true;
	if (x->options->clean)
		r = fail_in("while what is there was dropped", drop_what_is_there(x, err), err);
	if (x->drops_undone)
		x->outcome->changed = false;
	if (r == 0 && content != RESTORE_DATA)
		r = fail_in("while the objects were made", make_objects(x, err), err);
	if (r < 0)
		return r;
	x->outcome->schema_us = end_phase(x, "objects");
	if (content != RESTORE_SCHEMA)
		r = load_phase(x, err);
	if (r == 0 && content != RESTORE_DATA)
		r = fail_in("while indexes and constraints were made", make_indexes(x, err), err);
	if (r == 0)
		x->outcome->indexes_us = end_phase(x, "indexes and constraints");
	return r;
}

static int check_needs(const struct restoring *x, struct error *err)
{
	int r = restore_needs_check(&x->toc, x->options, err);

	if (r != -ENOENT || !x->options->keep_going)
		return r;
	say_of_restore(x, "%s", err->message);
	*err = (struct error){0};
	return 0;
}

static int restore_archive(struct restoring *x, struct error *err)
{
	const struct restore_database_options *o = x->options;
	int r = restore_toc_open(&x->toc, o, err);

	if (r == 0)
		r = restore_program_find(&x->program, "pg_restore", x->toc.base.facts.tool_version,
		                         o->create ? "postgres" : o->database, err);
	if (r < 0)
		return r;
	say_of_restore(x, "program: %s; %zu entries with data; %u connections", x->program.path,
	               x->toc.base.count, x->jobs);
	r = check_needs(x, err);
	if (r == 0)
		r = restore_foresee_tables(&x->toc, o, err);
	if (r == 0 && o->create)
		r = fail_in("while the database was made", make_database_of_archive(x, err), err);
	if (r == 0)
		r = restore_program_connect(&x->program, o->database, err);
	if (r == 0 && !o->create)
		r = tell_of_change(x, err);
	return r < 0 ? r : restore_archive_phases(x, err);
}

/* SQL text. */

struct sql_feed {
	struct restoring *restoring;
	struct restore_head *head;
	size_t matched; /* of a line that commits */
};

/* pg_dump commits by itself behind large objects: what was run until then is not undone any more. A row of COPY that looks alike is taken
 * for that, too. */
static void look_for_commit(struct sql_feed *f, const char *data, size_t len)
{
	static const char line[] = "\nCOMMIT;\n";

	for (size_t i = 0; i < len && !f->restoring->text_commits; i++) {
		f->matched = data[i] == line[f->matched] ? f->matched + 1 : data[i] == '\n';
		f->restoring->text_commits = f->matched == strlen(line);
	}
	f->restoring->outcome->changed |= f->restoring->text_commits;
}

static int write_sql(void *arg, const void *data, size_t len, struct error *err)
{
	struct sql_feed *f = arg;

	f->restoring->outcome->bytes += len;
	look_for_commit(f, data, len);
	return restore_head_feed(f->head, data, len, err);
}

static int feed_sql(void *arg, struct proc *proc, struct error *err)
{
	struct restoring *x = arg;
	_cleanup(headed) struct headed headed = {0};
	struct sql_feed f = {.restoring = x, .head = &headed.head};
	const struct backup_out out = {.write = write_sql, .arg = &f};
	struct catalog_entry own;
	bool whole = !x->options->keep_going;
	int r = backup_own(x->options->backup, &own);

	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	begin_headed(x, proc, &headed);
	x->outcome->changed |= !whole;
	if (whole)
		r = proc_write(proc, begins, strlen(begins), err);
	if (r == 0)
		r = backup_read_plain(x->options->backup, &own, &out, err);
	if (r == 0)
		r = restore_head_end(&headed.head, err);
	if (r < 0 || !whole)
		return r;
	/* From here on nobody knows, until psql has said how it ended. */
	x->outcome->changed = true;
	return proc_write(proc, commits, strlen(commits), err);
}

static bool was_rolled_back(const struct restoring *x)
{
	return !x->options->keep_going && !x->text_commits && has_refused(&x->program);
}

static int restore_text(struct restoring *x, struct error *err)
{
	static const char *const strict[] = {"-X", "-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null",
	                                     "-f", "-",  NULL};
	static const char *const lenient[] = {"-X", "-q", "-o", "/dev/null", "-f", "-", NULL};
	const struct restore_database_options *o = x->options;
	int r = restore_foresee_text(o, err);

	if (r == 0)
		r = restore_program_find(&x->program, "psql", NULL, o->create ? "postgres" : o->database,
		                         err);
	if (r == 0 && o->create)
		r = fail_in("while the database was made", make_database_of_text(x, err), err);
	if (r == 0)
		r = restore_program_connect(&x->program, o->database, err);
	if (r == 0 && !o->create)
		r = tell_of_change(x, err);
	if (r == 0)
		r = learn_lacking(x, err);
	if (r < 0)
		return r;
	say_of_restore(x, "program: %s", x->program.path);
	r = restore_program_feed(&x->program, o->keep_going ? lenient : strict, feed_sql, x, err);
	if (r < 0 && was_rolled_back(x))
		x->outcome->changed = o->create;
	x->outcome->data_us = end_phase(x, "objects and data");
	return fail_in("while the text was run", r, err);
}

/* All formats. */

static int choose_format(struct restoring *x, struct error *err)
{
	const char *kind = x->options->backup->m.kind,
	           *format = manifest_fact(&x->options->backup->m, "format");

	if (!str_equal(kind, "dump"))
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%s is no dump of a database, and cannot be restored into one",
		                 x->options->backup->path);
	if (str_equal(format, "plain"))
		return restore_text(x, err);
	if (str_equal(format, "custom") || str_equal(format, "directory"))
		return restore_archive(x, err);
	return error_set(err, ERROR_USAGE, ENOTSUP,
	                 "%s has the format %s, which this keepfs does not restore", x->options->backup->path,
	                 format ? format : "of nothing that is known");
}

static int tell_ignored(const struct restoring *x, struct error *err)
{
	if (x->outcome->errors == 0)
		return 0;
	if (x->program.errors > 0 && err)
		*err = x->program.first;
	else
		error_set(err, ERROR_CONFLICT, EIO,
		          "the data of a table could not be loaded; the log tells of which");
	error_prefix(err, "it was restored but for %" PRIu64 " errors, which the log lists; the first",
	             x->outcome->errors);
	return -EIO;
}

int restore_database(const struct restore_database_options *options, struct restore_outcome *ret,
                     struct error *err)
{
	struct restoring x = {.options = options,
	                      .outcome = ret,
	                      .program = {.options = options, .bindir = bindir_of(options)},
	                      .phase_began_us = clock_mono_us()};
	unsigned cores = make_cores() < JOBS_MAX ? make_cores() : JOBS_MAX;
	int r;

	*ret = (struct restore_outcome){0};
	x.jobs = options->jobs > 0 ? options->jobs : cores;
	snprintf(x.jobs_text, sizeof(x.jobs_text), "%u", x.jobs);
	r = choose_format(&x, err);
	ret->harmless = x.program.harmless;
	ret->errors += x.program.errors;
	restore_program_finish(&x.program);
	restore_toc_finish(&x.toc);
	str_finish(&x.lacking);
	return r < 0 ? r : tell_ignored(&x, err);
}
