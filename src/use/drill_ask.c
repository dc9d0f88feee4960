// SPDX-License-Identifier: Apache-2.0
/* Is what was restored sound, and does it answer as the configuration says? */
#include "drill_cluster.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg.h>
#include <keepfs/pg/restored.h>
#include <keepfs/pg/scratch.h>
#include <keepfs/policy/expect.h>
#include <keepfs/proc.h>

#include <errno.h>
#include <inttypes.h>

DEFINE_CLEANUP(secret, char *, mem_free_secret)

static void take_unsound(void *arg, bool wrong, const char *text)
{
	if (wrong)
		drill_differs(arg, "%s", text);
	else
		drill_note(arg, "%s", text);
}

int drill_sound(struct drill *d, bool *ret_provable, struct error *err)
{
	struct pg_soundness found = {.found = take_unsound, .arg = d, .is_of_files = d->cluster != NULL};
	struct pg_session *s = NULL;
	int r = pg_session_open(d->server, d->database, "keepfs drill", d->cancel, &s, err);

	if (r == 0)
		r = pg_restored_sound(s, &found, err);
	pg_session_free(s);
	*ret_provable = found.amcheck;
	if (r == 0)
		make_say(d->order,
		         "sound: %" PRIu64 " indexes and %" PRIu64 " tables by amcheck, %" PRIu64
		         " constraints, %" PRIu64 " materialized views",
		         found.indexes, found.tables, found.constraints, found.views);
	return r;
}

static void report_check(struct drill *d, const struct conf_check *check, const char *value,
                         const char *wrong)
{
	struct json *one = json_object_new();

	json_set_string(one, "name", check->name);
	json_set_bool(one, "ok", !wrong);
	if (*check->sql) {
		json_set_string(one, "answer", value);
		json_set_string(one, "expected", *check->expect ? check->expect : "true");
	}
	if (wrong) {
		json_set_string(one, "error", wrong);
		drill_differs(d, "check %s: %s", check->name, wrong);
	} else {
		make_say(d->order, "check %s: ok%s%s", check->name, *check->sql ? ", the answer is " : "",
		         *check->sql ? str_or_empty(value) : "");
	}
	json_append(d->checks, one);
}

/* heap: what is wrong; NULL: nothing. */
static char *ask_statement(struct drill *d, const struct conf_check *check, char **ret_value)
{
	struct expect expect;
	struct error err = {0};

	/* It was looked at when the configuration was read. */
	(void)expect_parse(check->expect, &expect, NULL);
	if (pg_restored_ask(d->server, d->database, check->sql, check->timeout_ms, d->cancel, ret_value,
	                    &err) < 0)
		return mem_strdup(err.message);
	if (expect_holds(&expect, *ret_value))
		return NULL;
	return mem_printf("the answer is %s, and is to be %s", *ret_value ? *ret_value : "nothing",
	                  *check->expect ? check->expect : "true");
}

static void say_of_command(void *arg, const char *line)
{
	make_say(((struct drill *)arg)->order, "%s", line);
}

static char *run_check_command(struct drill *d, const struct conf_check *check)
{
	const char *const *own = d->scratch ? pg_scratch_environment(d->scratch) : NULL;
	_cleanup(free) char *conninfo = NULL, *database = mem_printf("PGDATABASE=%s", d->database),
	                    *connection = NULL;
	_cleanup(free) char *job = mem_printf("KEEPFS_JOB=%s", d->backup->m.job);
	_cleanup(free) char *label =
	        mem_printf("KEEPFS_DATABASE=%s", d->cluster ? d->database : d->backup->m.target);
	_cleanup(free) char *backup = mem_printf("KEEPFS_BACKUP=%s", d->backup->path);
	_cleanup(secret) char *password = NULL;
	_cleanup(proc) struct proc *p = NULL;
	const char *env[16] = {database, job, label, backup};
	const char *const argv[] = {"/bin/sh", "-c", check->command, NULL};
	struct proc_options options = {.argv = argv,
	                               .env = PROC_ENV_HOOK,
	                               .extra_env = env,
	                               .on_stderr_line = say_of_command,
	                               .arg = d,
	                               .cancel = d->cancel,
	                               .timeout_ms = check->timeout_ms,
	                               .output_to_lines = true};
	struct error err = {0};
	size_t n = 4;
	int r = pg_child_conninfo(d->server, d->database, NULL, &conninfo, &password, &err);

	if (r == 0) {
		connection = mem_printf("KEEPFS_CONNECTION=%s", conninfo);
		env[n++] = connection;
		if (password)
			env[n++] = password;
		for (; own && *own; own++)
			env[n++] = *own;
		r = proc_start(&options, &p, &err);
	}
	if (r == 0)
		r = proc_wait(p, &err);
	return r < 0 ? mem_strdup(err.message) : NULL;
}

static void ask_one(struct drill *d, const struct conf_check *check)
{
	_cleanup(free) char *value = NULL, *wrong = NULL;

	if (*check->sql)
		wrong = ask_statement(d, check, &value);
	if (!wrong && *check->command)
		wrong = run_check_command(d, check);
	report_check(d, check, value, wrong);
}

/* Of a cluster, which has many, a question without databases is asked of the one that the section connects to, and only where it names the section: what is asked of all dumps means other databases. */
static bool is_asked_of(const struct drill *d, const struct conf_check *check)
{
	const char *job = d->backup->m.job;

	if (!d->cluster)
		return conf_check_is_of(check, job, d->backup->m.target);
	if (!check->targets || !check->targets[0])
		return conf_check_is_of_bundle(check, job) &&
		       str_equal(d->database, d->cluster->database ? d->cluster->database : "postgres");
	return conf_check_is_of(check, job, d->database);
}

int drill_ask(struct drill *d, unsigned *ret_asked, struct error *err)
{
	*ret_asked = 0;
	for (size_t i = 0; i < d->conf->check_count; i++) {
		if (!is_asked_of(d, &d->conf->checks[i]))
			continue;
		if (cancel_is_set(d->cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		ask_one(d, &d->conf->checks[i]);
		(*ret_asked)++;
	}
	return 0;
}
