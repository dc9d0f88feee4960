// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs init --quick: finds the server of this host, writes a short file that works, checks, makes the first backup, and
 * says how to go on. The file is written before anything is tried, since it is what can be mended when something is wrong.
 */
#include "quick.h"

#include "check.h"
#include "conf_file.h"
#include "run.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/pg.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void quick_finish(struct quick *q)
{
	free(q->path);
	free(q->url);
	free(q->state_dir);
	free(q->mountpoint);
	mem_free_secret(q->conninfo);
	free(q->database);
	free(q->artifact);
	pg_found_finish(&q->found);
}

static inline void cleanup_quick(struct quick *q)
{
	quick_finish(q);
}

/* A line for people, with what others wrote in it. */
static void tell_quick(FILE *f, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void tell_quick(FILE *f, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	cli_put(f, str_text(&text));
}

/* Where things go. */

static int take_url(struct quick *q, const struct cli_options *options, const struct conf *defaults)
{
	const char *url = options->argc ? options->argv[0] : options->store_url;

	if (options->argc > 1 || (options->argc && options->store_url))
		return cli_usage("init --quick takes one URL of a store");
	if (!url && options->state_dir)
		q->url = mem_printf("dir:%s/objects", options->state_dir);
	else if (!url)
		q->url = mem_strdup(defaults->store.url);
	else if (*url == '/')
		q->url = mem_printf("dir:%s", url);
	else if (str_starts(url, "dir:/") || str_starts(url, "s3://"))
		q->url = mem_strdup(url);
	else
		return cli_usage("'%s' is no URL of a store: name s3://BUCKET/PREFIX, or dir:/PATH", url);
	return CLI_DONE;
}

/* Who is not root cannot make a directory in /mnt. */
static char *default_mountpoint(const struct conf *defaults)
{
	const char *home = getenv("HOME"), *set = getenv("KEEPFS_MOUNTPOINT");

	if (geteuid() == 0 || (set && *set) || !home || *home != '/')
		return mem_strdup(defaults->mountpoint);
	return mem_printf("%s/keep", home);
}

static int take_places(struct quick *q, const struct cli_options *options)
{
	_cleanup(conf) struct conf defaults = {0};
	_cleanup(str) struct str problems = {0};

	/* Without a file: what the environment says, and the defaults of this user. */
	if (conf_load(NULL, &defaults, &problems) < 0) {
		cli_put(stderr, str_text(&problems));
		return CLI_USAGE;
	}
	q->path = conf_file_path(options->config);
	q->state_dir = mem_strdup(options->state_dir ? options->state_dir : defaults.state_dir);
	q->mountpoint = options->mountpoint ? mem_strdup(options->mountpoint) : default_mountpoint(&defaults);
	return take_url(q, options, &defaults);
}

/* The server and its database. */

static const struct pg_found_database *database_of(const struct pg_found_server *s, const char *name)
{
	for (size_t i = 0; i < s->database_count; i++)
		if (name ? str_equal(s->databases[i].name, name) : s->databases[i].may_connect)
			return &s->databases[i];
	return NULL;
}

static void set_database(struct quick *q, const struct pg_found_server *server, const char *name)
{
	_cleanup(str) struct str conninfo = {0};

	str_append(&conninfo, server->conninfo);
	pg_conninfo_add(&conninfo, "dbname", name);
	q->server = server;
	q->conninfo = str_take(&conninfo);
	q->database = mem_strdup(name);
}

static int tell_nothing_found(const struct quick *q)
{
	tell_quick(
	        stderr,
	        "keepfs: no PostgreSQL server was found on this host. Looked at:\n%s"
	        "Start it, or name another with PGHOST and PGPORT, or with --database 'host=… dbname=…'. Nothing was written.\n",
	        str_text(&q->found.looked));
	return CLI_FAILED;
}

static int tell_no_database(const struct quick *q, const char *name)
{
	tell_quick(stderr, "keepfs: there is no database that can be backed up%s%s. Found:\n",
	           name ? ": " : "", str_or_empty(name));
	for (size_t i = 0; i < q->found.count; i++) {
		const struct pg_found_server *s = &q->found.servers[i];

		tell_quick(stderr, "  %s:", s->place);
		if (s->refusal)
			tell_quick(stderr, " %s", s->refusal);
		for (size_t k = 0; k < s->database_count; k++)
			tell_quick(stderr, " %s%s", s->databases[k].name,
			           s->databases[k].may_connect ? "" : " (which the role may not connect to)");
		fputc('\n', stderr);
	}
	tell_quick(stderr, "%s", str_text(&q->found.passed_over));
	tell_quick(stderr, "Name another with --database. Nothing was written.\n");
	return CLI_FAILED;
}

/* @name NULL: the largest. */
static int choose_database(struct quick *q, const char *name)
{
	const struct pg_found_database *database;

	if (q->found.count == 0)
		return tell_nothing_found(q);
	for (size_t i = 0; i < q->found.count; i++) {
		database = database_of(&q->found.servers[i], name);
		if (database) {
			set_database(q, &q->found.servers[i], database->name);
			return CLI_DONE;
		}
	}
	/* Those that let us in come first: when this one does not, none does. */
	if (!q->found.servers[0].refusal)
		return tell_no_database(q, name);
	set_database(q, &q->found.servers[0], name ? name : "postgres");
	return CLI_DONE;
}

static int find_server(struct quick *q, const struct cli_options *options)
{
	const char *name = options->database ? options->database : getenv("PGDATABASE");

	if (options->database && conf_has_password(options->database))
		tell_quick(
		        stderr,
		        "keepfs: every user of this host can see a password in an argument, and the shell keeps it in its history: better give it by PGPASSWORD or ~/.pgpass, and change this one\n");
	if (name && *name && !pg_conninfo_is_name(name)) {
		q->conninfo = mem_strdup(name);
		q->database = pg_conninfo_database(name);
		return CLI_DONE;
	}
	pg_find_servers(&q->found);
	return choose_database(q, name && *name ? name : NULL);
}

static void tell_found(const struct quick *q)
{
	const struct pg_found_database *database = database_of(q->server, q->database);
	char size[16] = "";

	if (database)
		str_format_bytes(size, sizeof(size), database->bytes);
	tell_quick(stdout, "PostgreSQL %s at %s; database %s, %s\n", q->server->version, q->server->place,
	           q->database, size);
	for (size_t i = 0; i < q->server->database_count; i++) {
		const struct pg_found_database *d = &q->server->databases[i];

		if (d != database && !str_equal(d->name, "postgres"))
			tell_quick(stdout, "not backed up by this: database %s, %s\n", d->name,
			           str_format_bytes(size, sizeof(size), d->bytes));
	}
	for (size_t i = 0; i < q->found.count; i++)
		if (&q->found.servers[i] != q->server)
			tell_quick(stdout, "not backed up by this: another server, at %s\n",
			           q->found.servers[i].place);
	if (q->found.passed_over.len > 0)
		tell_quick(stderr, "keepfs: passed over:\n%s", str_text(&q->found.passed_over));
}

/* Writing, checking, backing up. Each says what is wrong, and what to do with the file that is there by then. */

static int refuse_existing(const struct quick *q)
{
	tell_quick(stderr, "keepfs: %s is there already; --force replaces it. Nothing was changed.\n",
	           q->path);
	return CLI_FAILED;
}

static int write_configured(const struct quick *q, bool force)
{
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	quick_write_conf(q, &text);
	if (conf_file_write(q->path, &text, force, &err) < 0)
		return cli_fail(&err);
	return CLI_DONE;
}

static int tell_server_refuses(const struct quick *q)
{
	_cleanup(free) char *conninfo = pg_conninfo_with_user(q->conninfo, "postgres");
	_cleanup(free) char *option = quick_option(q);
	_cleanup(str) struct str psql = {0};

	str_append(&psql,
	           geteuid() == 0 ? "runuser -u postgres -- psql -X -d " : "sudo -u postgres psql -X -d ");
	str_append_shell_word(&psql, conninfo);

	tell_quick(
	        stderr,
	        "keepfs: a server was found, at %s, but it does not let us in: %s\n"
	        "%s is written, and names the database %s, since it is not known yet which there are. Correct the connection there, or "
	        "make a role that reads everything and changes nothing (look at it without the part behind the bar):\n"
	        "  keepfs check --fix%s | %s\n"
	        "Then begin again, with --force.\n",
	        q->server->place, q->server->refusal, q->path, q->database, option, str_text(&psql));
	tell_quick(stderr, "%s", str_text(&q->found.passed_over));
	return CLI_FAILED;
}

static int load_written(const struct quick *q, struct conf *ret)
{
	_cleanup(str) struct str problems = {0};
	int r = conf_load(q->path, ret, &problems);

	cli_put(stderr, str_text(&problems));
	if (r == 0)
		return CLI_DONE;
	tell_quick(stderr, "keepfs: %s is written, but what is said above has to be mended in it\n", q->path);
	return CLI_USAGE;
}

static int tell_check_failed(const struct quick *q)
{
	_cleanup(free) char *option = quick_option(q);

	fflush(stdout);
	tell_quick(
	        stderr,
	        "keepfs: %s is written, but a backup would not work yet. Mend what is marked with FAIL above ('keepfs check --fix' has the commands), then:\n"
	        "  keepfs check%s\n"
	        "  keepfs run " QUICK_JOB "%s\n",
	        q->path, option, option);
	return CLI_FAILED;
}

/* A backup needs no mount: what is wrong with that alone is told, and stops nothing. */
static int check_configured(struct quick *q, const struct conf *conf)
{
	_cleanup(free) struct check_result *result = mem_alloc(sizeof(*result));
	size_t in_the_way = 0;

	check_now(conf, result);
	check_print(result);
	for (size_t i = 0; i < result->count; i++) {
		bool is_fuse = str_equal(result->items[i].check, "fuse");

		q->no_fuse |= is_fuse && !result->items[i].ok;
		in_the_way += !is_fuse && !result->items[i].ok;
	}
	return in_the_way ? tell_check_failed(q) : CLI_DONE;
}

static void take_artifact(void *arg, const struct engine *engine, const struct catalog_run *run)
{
	_cleanup(free) struct catalog_target *target = mem_alloc(sizeof(*target));
	struct quick *q = arg;

	if (catalog_run_targets(engine->catalog, run->id, 0, target, 1) == 1 && target->path[0])
		q->artifact = mem_strdup(target->path);
}

static int tell_run_failed(const struct quick *q, const char *why)
{
	_cleanup(free) char *option = quick_option(q);

	tell_quick(stderr,
	           "keepfs: %s is written, but the first backup failed: %s\n"
	           "When that is mended:\n"
	           "  keepfs run " QUICK_JOB "%s\n",
	           q->path, why, option);
	return CLI_FAILED;
}

static int back_up(struct quick *q, const struct conf *conf)
{
	char job[] = QUICK_JOB, *words[] = {job};
	const struct run_request request = {
	        .argc = 1, .argv = words, .command = "init", .ended = take_artifact, .arg = q};
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));
	struct error err = {0};
	char size[16];

	if (run_to_end(conf, &request, run, &err) < 0)
		return tell_run_failed(q, err.message);
	if (run->state != RUN_COMPLETED || !q->artifact)
		return tell_run_failed(q, run->error);
	tell_quick(stdout, "the first backup is made and was read back: %s, %s\n", q->artifact,
	           str_format_bytes(size, sizeof(size), run->size_bytes));
	if (run->warning[0])
		tell_quick(stdout, "warning: %s\n", run->warning);
	return CLI_DONE;
}

/* What 'keepfs mount' needs. One that cannot be made is told by it. */
static void make_mountpoint(const struct quick *q)
{
	int r = q->no_fuse ? 0 : fd_make_dirs(q->mountpoint, 0755);

	if (r < 0)
		tell_quick(stderr, "keepfs: the mountpoint %s cannot be made: %s\n", q->mountpoint,
		           strerrordesc_np(-r));
}

static int make_all(struct quick *q, const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	_cleanup(str) struct str next = {0};
	int r = write_configured(q, options->force);

	if (r == CLI_DONE && q->server && q->server->refusal)
		r = tell_server_refuses(q);
	if (r == CLI_DONE && q->server)
		tell_found(q);
	if (r == CLI_DONE)
		r = load_written(q, &conf);
	if (r != CLI_DONE)
		return r;
	tell_quick(stdout, "%s is written\n", q->path);
	r = check_configured(q, &conf);
	if (r == CLI_DONE)
		r = back_up(q, &conf);
	if (r != CLI_DONE)
		return r;
	make_mountpoint(q);
	quick_write_next(q, &next);
	cli_put(stdout, str_text(&next));
	return CLI_DONE;
}

int init_quick(const struct cli_options *options)
{
	_cleanup(quick) struct quick q = {0};
	int r = take_places(&q, options);

	if (r != CLI_DONE)
		return r;
	if (!options->force && access(q.path, F_OK) == 0)
		return refuse_existing(&q);
	r = find_server(&q, options);
	return r == CLI_DONE ? make_all(&q, options) : r;
}
