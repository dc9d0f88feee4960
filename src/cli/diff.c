// SPDX-License-Identifier: Apache-2.0
/*
 * keepfs diff: what has changed between two backups. It reads catalog and store itself, beside a daemon or without one, and changes nothing: a signal
 * may end it at any time, and its temporary files have no names.
 */
#include "diff.h"

#include "client.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/use/erasures.h>

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Of [keepfs] memory a quarter is for comparing rows, and the rest for reading. */
#define KEPT_PART 4

/* As reading a backup in the mount is: what rows and definitions hold may be anybody's secret. */
void comparison_audit(const struct comparison *c, const char *what, int r, const struct error *err)
{
	struct catalog_audit entry = {.at_us = clock_now_us(), .uid = getuid(), .pid = getpid()};
	_cleanup(free) char *object = mem_printf("%s %s %s", diff_backup(c->diff, DIFF_A)->path,
	                                         diff_backup(c->diff, DIFF_B)->path, what);
	struct error own = {0};

	str_copy(entry.command, sizeof(entry.command), "keepfs");
	str_copy(entry.action, sizeof(entry.action), "diff");
	str_cut(entry.object, sizeof(entry.object), object);
	str_copy(entry.result, sizeof(entry.result), r < 0 ? "failed" : "ok");
	str_cut(entry.detail, sizeof(entry.detail), r < 0 ? err->message : "");
	if (catalog_add_audit(c->looking.catalog, &entry, &own) < 0)
		log_error("the comparison could not be written to the audit: %s", own.message);
}

struct json *comparison_heading(const struct comparison *c)
{
	static const char *const keys[] = {[DIFF_A] = "a", [DIFF_B] = "b"};
	struct json *object = json_object_new();

	for (int side = 0; side < 2; side++)
		json_set_string(object, keys[side], diff_backup(c->diff, (enum diff_side)side)->path);
	return object;
}

/* All tables. */

struct summary {
	const struct comparison *comparison;
	uint64_t counts[DIFF_STATES];
	bool any; /* was printed */
};

static int count_compared_table(void *arg, const struct diff_table *table, struct error *err)
{
	struct summary *s = arg;

	s->counts[table->state]++;
	return 0;
}

static void set_known_number(struct json *object, const char *key, const struct inside_table *table,
                             uint64_t value)
{
	if (table && value != INSIDE_NOT_KNOWN)
		json_set_int(object, key, (int64_t)value);
	else
		json_set_string(object, key, NULL);
}

static void print_table_json(struct summary *s, const struct diff_table *t)
{
	struct json *object = json_object_new();
	_cleanup(str) struct str item = {0};

	json_set_string(object, "schema", t->schema);
	json_set_string(object, "table", t->table);
	json_set_string(object, "state", diff_state_name(t->state));
	set_known_number(object, "rows_a", t->a, t->a ? t->a->rows : 0);
	set_known_number(object, "rows_b", t->b, t->b ? t->b->rows : 0);
	set_known_number(object, "bytes_a", t->a, t->a ? t->a->bytes : 0);
	set_known_number(object, "bytes_b", t->b, t->b ? t->b->bytes : 0);
	json_set_string(object, "columns_a", t->a ? t->a->columns : NULL);
	json_set_string(object, "columns_b", t->b ? t->b->columns : NULL);
	json_list_add(object, !s->any, &item);
	fputs(str_text(&item), stdout);
}

static const char *rows_text(const struct inside_table *t, char buf[static 24])
{
	if (!t || t->rows == INSIDE_NOT_KNOWN)
		return "-";
	snprintf(buf, 24, "%" PRIu64, t->rows);
	return buf;
}

static const char *size_text(const struct inside_table *t, char buf[static 16])
{
	return t && t->bytes != INSIDE_NOT_KNOWN ? str_format_bytes(buf, 16, t->bytes) : "-";
}

/* How many more or less; what was added and removed may be more. */
static const char *growth_text(const struct diff_table *t, char buf[static 24])
{
	uint64_t a = t->a ? t->a->rows : 0, b = t->b ? t->b->rows : 0;

	if (a == INSIDE_NOT_KNOWN || b == INSIDE_NOT_KNOWN)
		return "-";
	if (a == b)
		return "0";
	snprintf(buf, 24, "%c%" PRIu64, a < b ? '+' : '-', a < b ? b - a : a - b);
	return buf;
}

static void print_table_line(struct summary *s, const struct diff_table *t)
{
	_cleanup(free) char *name = mem_printf("%s.%s", t->schema, t->table);
	_cleanup(str) struct str shown = {0};
	char rows_a[24], rows_b[24], growth[24], size_a[16], size_b[16];

	if (!s->any)
		printf("%-40s %-8s %12s %12s %12s %10s %10s\n", "TABLE", "STATE", "ROWS A", "ROWS B",
		       "GROWTH", "SIZE A", "SIZE B");
	str_append_line(&shown, name);
	printf("%-40s %-8s %12s %12s %12s %10s %10s\n", str_text(&shown), diff_state_name(t->state),
	       rows_text(t->a, rows_a), rows_text(t->b, rows_b), growth_text(t, growth),
	       size_text(t->a, size_a), size_text(t->b, size_b));
}

/* People are shown what is not the same; whoever reads JSON, all. */
static int print_compared_table(void *arg, const struct diff_table *table, struct error *err)
{
	struct summary *s = arg;

	if (!s->comparison->json)
		s->counts[table->state]++;
	if (!s->comparison->json && table->state == DIFF_SAME)
		return 0;
	if (s->comparison->json)
		print_table_json(s, table);
	else
		print_table_line(s, table);
	s->any = true;
	return 0;
}

static void print_totals(const struct summary *s)
{
	const char *separator = "";

	printf("%s", s->any ? "\n" : "");
	for (int state = 0; state < DIFF_STATES; state++) {
		if (s->counts[state] == 0)
			continue;
		printf("%s%" PRIu64 " %s", separator, s->counts[state],
		       diff_state_name((enum diff_state)state));
		separator = ", ";
	}
	printf("%s\n", *separator ? "" : "neither backup has rows of a table");
	if (s->counts[DIFF_UNKNOWN] > 0)
		printf("unknown: one of the backups has no hash of these rows; name a table to have them compared\n");
}

static void print_paths(const struct comparison *c)
{
	fputs("A: ", stdout);
	cli_put_line(stdout, diff_backup(c->diff, DIFF_A)->path);
	fputs("\nB: ", stdout);
	cli_put_line(stdout, diff_backup(c->diff, DIFF_B)->path);
	fputs("\n\n", stdout);
}

static void open_summary_json(const struct summary *s)
{
	_cleanup(json) struct json *object = comparison_heading(s->comparison);
	struct json *counts = json_object_new();
	_cleanup(str) struct str out = {0};

	for (int state = 0; state < DIFF_STATES; state++)
		json_set_int(counts, diff_state_name((enum diff_state)state), (int64_t)s->counts[state]);
	json_set(object, "counts", counts);
	json_write_open(object, &out);
	json_list_open("tables", &out);
	fputs(str_text(&out), stdout);
}

static void close_summary_json(void)
{
	_cleanup(str) struct str out = {0};

	json_list_close(&out);
	json_write_close(&out);
	fputs(str_text(&out), stdout);
}

/* For people the totals stand at the end. */
static int begin_summary(struct summary *s, struct error *err)
{
	int r;

	if (!s->comparison->json) {
		print_paths(s->comparison);
		return 0;
	}
	r = diff_tables(s->comparison->diff, count_compared_table, s, err);
	if (r == 0)
		open_summary_json(s);
	return r;
}

static int print_summary(struct comparison *c)
{
	struct summary s = {.comparison = c};
	struct error err = {0};
	int r = begin_summary(&s, &err);

	if (r == 0)
		r = diff_tables(c->diff, print_compared_table, &s, &err);
	if (r < 0)
		return cli_fail(&err);
	if (c->json)
		close_summary_json();
	else
		print_totals(&s);
	return CLI_DONE;
}

/* The schema. On a terminal what could make it do something is made visible. */

static void put_schema_text(const char *text, size_t len, bool terminal)
{
	if (terminal)
		cli_put(stdout, text);
	else
		fwrite(text, 1, len, stdout);
}

static int print_schema(struct comparison *c)
{
	_cleanup(spool) struct spool *out = spool_new(c->looking.conf.state_dir);
	bool terminal = isatty(STDOUT_FILENO);
	char buf[16385];
	uint64_t at = 0;
	struct error err = {0};
	ssize_t n;
	int r;

	r = diff_schema(c->diff, out, &err);
	comparison_audit(c, "--schema", r, &err);
	if (r < 0)
		return cli_fail(&err);
	if (spool_size(out) > 0) {
		fputs("--- ", stdout);
		cli_put_line(stdout, diff_backup(c->diff, DIFF_A)->path);
		fputs("\n+++ ", stdout);
		cli_put_line(stdout, diff_backup(c->diff, DIFF_B)->path);
		putchar('\n');
	}
	while ((n = spool_read(out, buf, sizeof(buf) - 1, at)) > 0) {
		buf[n] = '\0';
		put_schema_text(buf, (size_t)n, terminal);
		at += (uint64_t)n;
	}
	if (n == 0)
		return CLI_DONE;
	error_system(&err, (int)-n, "the text cannot be read again");
	return cli_fail(&err);
}

/* The command. */

static void *wait_for_cancel(void *arg)
{
	struct comparison *c = arg;
	sigset_t signals;
	int number;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR2);
	/* The last of these is the command's own: it has ended. */
	if (sigwait(&signals, &number) == 0 && number != SIGUSR2)
		cancel_set(&c->cancel);
	return NULL;
}

/* What nohup, or the shell that started it in the background, has it ignore stays ignored: such a signal never comes. */
static int catch_cancel(struct comparison *c, pthread_t *ret)
{
	sigset_t signals;

	sigemptyset(&signals);
	sigaddset(&signals, SIGINT);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	sigaddset(&signals, SIGUSR2);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return thread_start(ret, "signals", wait_for_cancel, c);
}

static void show_read_bytes(void *arg, uint64_t bytes, uint64_t expected_bytes)
{
	struct comparison *c = arg;
	uint64_t done = atomic_fetch_add(&c->read_bytes, bytes) + bytes;
	unsigned percent, before = atomic_load(&c->shown);

	if (!c->shows_progress || expected_bytes == 0)
		return;
	percent = done >= expected_bytes ? 100 : (unsigned)(done * 100 / expected_bytes);
	if (percent > before && atomic_compare_exchange_strong(&c->shown, &before, percent))
		fprintf(stderr, "\rcomparing: %3u %%", percent);
}

static int open_diff(struct comparison *c, const struct cli_options *options, struct error *err)
{
	const struct conf *conf = &c->looking.conf;
	const struct diff_options o = {
	        .inside = c->looking.inside,
	        .catalog = c->looking.catalog,
	        .state_dir = conf->state_dir,
	        .memory_bytes = conf->memory_bytes / KEPT_PART,
	        .space_bytes = conf->diff_space_bytes,
	        .cancel = &c->cancel,
	        .progress = show_read_bytes,
	        .arg = c,
	};

	return diff_open(&o, client_within_mount(conf->mountpoint, options->argv[0]),
	                 client_within_mount(conf->mountpoint, options->argv[1]), &c->diff, err);
}

/* Rows of people who were erased are in old backups, and so in what differs. */
static void tell_erasures_of(struct comparison *c, enum diff_side side)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str notice = {0};
	const struct erasures_asked asked = {.conf = &c->looking.conf,
	                                     .repository = &c->looking.repository,
	                                     .cancel = &c->cancel,
	                                     .m = &m};

	if (catalog_manifest(c->looking.catalog, diff_backup(c->diff, side)->ino, &m) < 0 ||
	    !erasures_append_notice(&asked, &notice))
		return;
	fputs("keepfs: ", stderr);
	cli_put_line(stderr, str_text(&notice));
	fputc('\n', stderr);
}

static int compare(struct comparison *c, const struct cli_options *options)
{
	struct error err = {0};
	int status = looking_open(options, KEPT_PART, &c->looking);

	if (status != CLI_DONE)
		return status;
	if (open_diff(c, options, &err) < 0)
		return cli_fail(&err);
	if (options->schema)
		return print_schema(c);
	tell_erasures_of(c, DIFF_A);
	tell_erasures_of(c, DIFF_B);
	return options->argc == 3 ? comparison_print_rows(c, options->argv[2]) : print_summary(c);
}

int cmd_diff(const struct cli_options *options)
{
	struct comparison c = {.json = options->json, .shows_progress = isatty(STDERR_FILENO)};
	pthread_t signals;
	bool catches;
	int status;

	if (options->argc < 2 || options->argc > 3)
		return cli_usage(
		        "diff takes two backups, and perhaps a table: full/20261119T020000Z.dump full/latest.dump public.orders");
	if (options->schema && (options->argc == 3 || options->json))
		return cli_usage(
		        "--schema is of all objects, and a text: it takes neither a table nor --json");
	cancel_init(&c.cancel);
	catches = catch_cancel(&c, &signals) == 0;
	status = compare(&c, options);
	diff_free(c.diff);
	looking_close(&c.looking);
	if (catches) {
		pthread_kill(signals, SIGUSR2);
		pthread_join(signals, NULL);
	}
	cancel_finish(&c.cancel);
	return status;
}
