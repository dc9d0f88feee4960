// SPDX-License-Identifier: Apache-2.0
/* control/erase: from words to an entry of the register. What is told of it, here and in the audit, never has the key. */
#include "erasures_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/export.h>
#include <keepfs/export/copy.h>
#include <keepfs/make.h>
#include <keepfs/pg.h>
#include <keepfs/pg/erase.h>
#include <keepfs/policy/tenancy.h>

#include <errno.h>
#include <string.h>

struct erase_words {
	struct command_line line;
	const char *database, *note, *id, *column, *value;
};

static int refuse_erase_words(struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "write: tenant SLUG [id=ID], or SCHEMA.TABLE COLUMN=VALUE [database=NAME] (a column whose name is no lower-case word: column=NAME value=VALUE); and note=WHY");
}

static int take_erase_pair(struct erase_words *w, const struct command_pair *pair, bool is_tenant,
                           struct error *err)
{
	if (str_equal(pair->key, "note"))
		w->note = pair->value;
	else if (is_tenant && str_equal(pair->key, "id"))
		w->id = pair->value;
	else if (is_tenant)
		return refuse_erase_words(err);
	else if (str_equal(pair->key, "database"))
		w->database = pair->value;
	else if (str_equal(pair->key, "column") && !w->column)
		w->column = pair->value;
	else if (str_equal(pair->key, "value") && !w->value)
		w->value = pair->value;
	else if (!w->column && !w->value) {
		w->column = pair->key;
		w->value = pair->value;
	} else {
		return refuse_erase_words(err);
	}
	return 0;
}

static int parse_erase_words(const char *text, struct erase_words *w, struct error *err)
{
	int r = command_line_parse(text, &w->line, err);
	bool is_tenant;

	if (r < 0)
		return r;
	is_tenant = w->line.word_count > 0 && str_equal(w->line.words[0], "tenant");
	if (w->line.word_count != (is_tenant ? 2 : 1))
		return refuse_erase_words(err);
	for (size_t i = 0; r == 0 && i < w->line.pair_count; i++)
		r = take_erase_pair(w, &w->line.pairs[i], is_tenant, err);
	if (r == 0 && !is_tenant && (!*str_or_empty(w->column) || !*str_or_empty(w->value)))
		return refuse_erase_words(err);
	return r;
}

/* Tenants. */

static const struct conf_job *job_for_tenants(const struct conf *conf)
{
	const struct conf_job *job = conf_find_job(conf, CONF_EXPORTS);

	return job && job->kind == CONF_JOB_EXPORT ? job : NULL;
}

/* What is hashed of it depends on what tells its data from others'. */
static int describe_tenant(const struct make_context *ctx, const struct conf *conf,
                           const struct erase_words *w, struct cancel *cancel, struct erasure *entry,
                           char **ret_value, struct error *err)
{
	const struct conf_job *job = job_for_tenants(conf);
	_cleanup(export_member) struct export_member member = {0};
	int r = 0;

	if (!job)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "no section [export] says who the tenants are, and which rows are theirs");
	if (!w->id || job->export.tenancy != TENANCY_COLUMN)
		r = export_member_ask(ctx, job, w->line.words[1], cancel, &member, err);
	if (r < 0) {
		error_prefix(
		        err,
		        "the tenant has to be known when it is registered; once it is gone give its id (id=…), with tenancy = column");
		return r;
	}
	entry->kind = job->export.tenancy == TENANCY_COLUMN   ? ERASURE_TENANT
	              : job->export.tenancy == TENANCY_SCHEMA ? ERASURE_SCHEMA
	                                                      : ERASURE_DATABASE;
	entry->database =
	        entry->kind == ERASURE_DATABASE ? mem_strdup("") : pg_conninfo_database(job->export.database);
	/* With another spelling than that of its rows it would be registered, and come back all the same. */
	if (entry->kind == ERASURE_TENANT)
		return export_canonical_tenant(job, w->id ? w->id : member.id, cancel, ret_value, err);
	*ret_value = mem_strdup(member.own);
	return 0;
}

/* Rows. */

static int split_table(const char *word, struct erasure *entry, struct error *err)
{
	const char *dot = strchr(word, '.');

	if (!dot || dot == word || !dot[1])
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "%.100s: write a table with its schema, such as public.users", word);
	entry->schema = mem_printf("%.*s", (int)(dot - word), word);
	entry->table = mem_strdup(dot + 1);
	return 0;
}

/* The connection of a job that leads there; of a job that backs up many databases its server is meant. */
static const char *connection_of_job(const struct conf_job *job)
{
	return job->kind == CONF_JOB_DUMP     ? job->dump.database
	       : job->kind == CONF_JOB_EXPORT ? job->export.database
	                                      : NULL;
}

static bool backs_up_many(const struct conf_job *job)
{
	return job->kind == CONF_JOB_DUMP && job->dump.databases && job->dump.databases[0];
}

/* Without @database: the one that all jobs name. NULL: there is none, or there are several. */
static const char *connection_to(const struct conf *conf, const char *database)
{
	const char *found = NULL, *server = NULL;
	_cleanup(free) char *name = NULL;

	for (size_t i = 0; i < conf->job_count; i++) {
		const char *uri = connection_of_job(&conf->jobs[i]);
		_cleanup(free) char *label = uri ? pg_conninfo_database(uri) : NULL;

		if (!uri)
			continue;
		server = server ? server : uri;
		if (!database && (backs_up_many(&conf->jobs[i]) || (found && !str_equal(name, label))))
			return NULL;
		if (found || (database && !str_equal(label, database)))
			continue;
		found = uri;
		name = take_ptr(&label);
	}
	return found || !database ? found : server;
}

static int describe_rows(const struct conf *conf, const struct erase_words *w, struct cancel *cancel,
                         struct erasure *entry, char **ret_value, struct error *err)
{
	struct pg_erase_column of;
	const char *server;
	int r = split_table(w->line.words[0], entry, err);

	if (r < 0)
		return r;
	server = connection_to(conf, w->database);
	if (!server)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "which database is the table in? Add database=NAME, as backups of it are called");
	entry->kind = ERASURE_ROWS;
	entry->database = w->database ? mem_strdup(w->database) : pg_conninfo_database(server);
	entry->column = mem_strdup(w->column);
	of = (struct pg_erase_column){entry->schema, entry->table, entry->column};
	return pg_erase_canonical(server, entry->database, &of, w->value, cancel, ret_value, err);
}

static int enter_erasure(const struct make_context *ctx, const struct conf *conf, struct erasure *entry,
                         const char *value, struct cancel *cancel, struct error *err)
{
	_cleanup(erasures) struct erasures *all = NULL;
	char key_id[ERASURE_KEY_ID_BYTES];
	struct hmac_key *key = NULL;
	int r = erasures_load(conf, ctx->repository, cancel, &all, err);

	if (r == 0)
		r = erasures_key(conf, &key, key_id, err);
	if (r == 0 && !key)
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "set [keepfs] erasure_key_file first (openssl rand -out FILE 32; chmod 600 FILE), and keep a copy of it where the backups are not");
	if (r == 0) {
		erasure_hash(key, entry, value, entry->hash);
		r = erasures_put(conf, ctx->repository, all, entry, key_id, cancel, err);
	}
	hmac_key_free(key);
	return r;
}

/* The words of the server may quote the key. */
static void hide_key(const char *value, struct error *err)
{
	if (value && *value && strstr(err->message, value))
		error_set(err, err->class, EINVAL,
		          "the server does not take the key for a value of that column");
}

int erasures_command(const struct make_context *ctx, const char *text, const char *by, struct cancel *cancel,
                     struct str *answer, char **ret_object, struct error *err)
{
	const struct conf *conf = make_conf_ref(ctx);
	struct erase_words w = {0};
	struct erasure entry = {.at_us = make_now_us(ctx), .by = mem_strdup(by)};
	_cleanup(free) char *value = NULL, *place = NULL;
	int r = parse_erase_words(text, &w, err);

	if (r == 0) {
		bool is_tenant = w.line.word_count == 2;

		*ret_object = is_tenant ? mem_strdup("a tenant")
		                        : mem_printf("%s by %s", w.line.words[0], w.column);
		entry.note = mem_strdup(w.note);
		r = is_tenant ? describe_tenant(ctx, conf, &w, cancel, &entry, &value, err)
		              : describe_rows(conf, &w, cancel, &entry, &value, err);
	}
	if (r == 0)
		r = enter_erasure(ctx, conf, &entry, value, cancel, err);
	if (r < 0 && err)
		hide_key(w.value ? w.value : w.id, err);
	if (r >= 0) {
		place = erasure_place(&entry);
		str_appendf(answer, "%s: %s\n", r == 1 ? "registered already" : "registered as erased",
		            place);
	}
	command_line_finish(&w.line);
	erasure_finish(&entry);
	make_conf_unref(ctx, conf);
	return r < 0 ? r : 0;
}
