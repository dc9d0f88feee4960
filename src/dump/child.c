// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL's own programs. They speak English, so that hints can be found and everybody can search for
 * their words, and get the password through the environment, never in an argument that ps shows. */
#include "dump.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define INSUFFICIENT_PRIVILEGE "42501"

DEFINE_CLEANUP(secret, char *, mem_free_secret)

void arguments_add(struct arguments *a, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	a->items = mem_resize(a->items, a->count + 2, sizeof(char *));
	a->items[a->count++] = str_take(&text);
	a->items[a->count] = NULL;
}

void arguments_finish(struct arguments *a)
{
	for (size_t i = 0; i < a->count; i++)
		free(a->items[i]);
	free(a->items);
	*a = (struct arguments){0};
}

static bool add_patterns(struct arguments *a, const char *option, char *const *patterns)
{
	if (!patterns || !patterns[0])
		return false;
	for (; *patterns; patterns++)
		arguments_add(a, "--%s=%s", option, *patterns);
	return true;
}

void arguments_of_job(const struct dump *d, struct arguments *a)
{
	const struct conf_dump *job = d->conf;
	bool chosen;

	if (job->content == CONF_CONTENT_SCHEMA)
		arguments_add(a, "--schema-only");
	if (job->content == CONF_CONTENT_DATA)
		arguments_add(a, "--data-only");
	chosen = add_patterns(a, "schema", job->schemas);
	chosen |= add_patterns(a, "table", job->tables);
	/* A name that finds nothing would be left out in silence. */
	if (chosen)
		arguments_add(a, "--strict-names");
	add_patterns(a, "exclude-schema", job->exclude_schemas);
	add_patterns(a, "exclude-table", job->exclude_tables);
	add_patterns(a, "exclude-table-data", job->exclude_table_data);
	if (job->lock_wait_timeout_ms > 0)
		arguments_add(a, "--lock-wait-timeout=%lld", (long long)job->lock_wait_timeout_ms);
}

void arguments_of_archive(const struct dump *d, struct arguments *a)
{
	arguments_add(a, "--format=custom");
	arguments_add(a, "--compress=0");
	arguments_of_job(d, a);
}

/* Of a thread of proc's own. */
static void take_line(void *arg, const char *line)
{
	struct dump *d = arg;

	warnings_take(&d->warnings, line);
	if (d->order->log)
		d->order->log(d->order->log_arg, line);
}

int child_start(struct dump *d, const char *program, const struct arguments *a, struct proc **ret_proc,
                struct error *err)
{
	_cleanup(arguments) struct arguments all = {0};
	_cleanup(free) char *conninfo = NULL;
	_cleanup(secret) char *password = NULL;
	int r = pg_child_conninfo(d->conf->database, d->order->target->name, d->server.options, &conninfo,
	                          &password, err);

	if (r < 0)
		return r;
	warnings_clear(&d->warnings);
	arguments_add(&all, "%s", program);
	for (size_t i = 0; i < a->count; i++)
		arguments_add(&all, "%s", a->items[i]);
	arguments_add(&all, "--no-password");
	/* Without a connection string libpq's environment decides, as it did when the server was asked. */
	if (conninfo[0])
		arguments_add(&all, "--dbname=%s", conninfo);
	const char *const env[] = {"LC_ALL=C", password, NULL};
	const struct proc_options options = {.argv = (const char *const *)all.items,
	                                     .extra_env = env,
	                                     .on_stderr_line = take_line,
	                                     .arg = d,
	                                     .nice = (int)d->job->nice,
	                                     .ionice = d->job->ionice,
	                                     .cancel = d->order->cancel};

	return proc_start(&options, ret_proc, err);
}

static void add_hint(const char *hint, struct error *err)
{
	size_t len = strlen(err->message);

	/* Should both not fit, the hint is cut, never the words. */
	snprintf(err->message + len, sizeof(err->message) - len, " (%s)", hint);
	err->hint = hint;
}

/* What pg_dump had found is not there any more. */
static bool is_gone(const char *state)
{
	static const char *const states[] = {"42P01", "42704", "42703", "42883", "3F000"};

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		if (str_equal(state, states[i]))
			return true;
	}
	return false;
}

/* It was refused, and is no longer, or what it wants is gone: something was dropped between the snapshot and its lock.
 * Rows are read under the locks, so a COPY breaks off for another reason. */
static bool is_changed(const struct pg_attempt *attempt, const struct pg_repetition *again)
{
	if (!attempt->sql || str_starts(attempt->sql, "COPY "))
		return false;
	return !again->refused || is_gone(again->state);
}

static int judge_refusal(const struct pg_attempt *attempt, const struct pg_repetition *again, int r,
                         struct error *err)
{
	str_copy(err->code, sizeof(err->code), again->state);
	if (!err->hint && again->hint)
		add_hint(again->hint, err);
	if (again->refused && str_equal(again->state, INSUFFICIENT_PRIVILEGE))
		err->class = ERROR_DENIED;
	if (err->hint || !is_changed(attempt, again))
		return r;
	add_hint("tables or other objects of the database were dropped while the backup looked at them", err);
	err->class = ERROR_CONFLICT;
	err->errnum = ESTALE;
	return -ESTALE;
}

/* The words are searched first, since they may be English: what is asked again may be refused for another reason. */
static int explain_failure(const struct dump *d, const struct proc *p, int r, struct error *err)
{
	struct pg_complaint said = {.words = proc_stderr(p)}, ended = {.words = err->message};
	_cleanup(free) char *statement = NULL;
	struct pg_repetition again;
	struct pg_attempt attempt;
	const char *hint = pg_hint(&said);

	if (!hint)
		hint = pg_hint(&ended);
	if (hint)
		add_hint(hint, err);
	if (!words_attempt(said.words, &attempt, &statement) ||
	    pg_repeat(d->conf->database, d->order->target->name, &attempt, d->order->cancel, &again) < 0)
		return r;
	return judge_refusal(&attempt, &again, r, err);
}

int child_wait(const struct dump *d, struct proc *p, struct error *err)
{
	struct error own = {0};
	int r = proc_wait(p, &own);

	if (r < 0 && r != -ECANCELED && r != -ETIMEDOUT)
		r = explain_failure(d, p, r, &own);
	if (r < 0 && err)
		*err = own;
	return r;
}
