// SPDX-License-Identifier: Apache-2.0
/* PostgreSQL's own programs. They speak English, so that hints can be found and everybody can search for
 * their words, and get the password through the environment, never in an argument that ps shows. */
#include "dump.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

int child_start(const struct dump *d, const char *program, const struct arguments *a, struct proc **ret_proc,
                struct error *err)
{
	_cleanup(arguments) struct arguments all = {0};
	_cleanup(free) char *conninfo = NULL;
	_cleanup(secret) char *password = NULL;
	int r = pg_child_conninfo(d->conf->database, d->order->target->name, &conninfo, &password, err);

	if (r < 0)
		return r;
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
	                                     .on_stderr_line = d->order->log,
	                                     .arg = d->order->log_arg,
	                                     .nice = (int)d->job->nice,
	                                     .ionice = d->job->ionice,
	                                     .cancel = d->order->cancel};

	return proc_start(&options, ret_proc, err);
}

int child_hint(int r, const struct proc *p, struct error *err)
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

int child_wait(struct proc *p, struct error *err)
{
	int r = proc_wait(p, err);

	return r < 0 ? child_hint(r, p, err) : 0;
}
