// SPDX-License-Identifier: Apache-2.0
/*
 * An import as a whole: its session, and what becomes of it. The rows of the file come into temporary tables, which have the types of the target's columns: so
 * each value is read by its type's input function, as COPY does it, and what is too long is an error and not cut. All that follows is statements over these
 * tables. Names in statements are quoted, and come from the target's catalog; values of the file are never in one.
 */
#include "import.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/tenancy.h>

#include <errno.h>

/* TimeZone: what has no zone in the file is as PostgreSQL wrote it in UTC. search_path: format_type() and conditions then qualify names. */
static const char begin_import[] =
        "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL row_security = off; SET LOCAL client_min_messages = warning;"
        " SET LOCAL datestyle = 'ISO, YMD'; SET LOCAL intervalstyle = iso_8601; SET LOCAL timezone = 'UTC'; SET LOCAL xmloption = content;"
        " SET LOCAL bytea_output = hex; SET LOCAL extra_float_digits = 3; SET LOCAL search_path = ''; SELECT pg_catalog.set_config(name, '0', true)"
        " FROM pg_catalog.pg_settings WHERE name IN ('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout',"
        " 'transaction_timeout', 'idle_session_timeout')";

int pg_import_open(const char *conninfo, const char *database, struct cancel *cancel, struct pg_session **ret,
                   struct error *err)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	int r = pg_session_open(conninfo, database, "keepfs import", cancel, &s, err);

	if (r < 0)
		return r;
	/* DETAIL and CONTEXT hold what is in rows, of other tenants, too. */
	PQsetErrorVerbosity(s->conn, PQERRORS_TERSE);
	r = pg_session_run(s, "SET client_encoding = 'UTF8'", err);
	if (r == 0)
		r = pg_session_run(s, begin_import, err);
	if (r == 0)
		*ret = take_ptr(&s);
	return r;
}

int pg_import_commit(struct pg_session *s, struct error *err)
{
	return session_commit(s, ": order the same once more, and it says whether the rows are there", err);
}

/* Statements. */

void import_say(const struct pg_import *x, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0}, line = {0};
	va_list args;

	if (!x->options->say)
		return;
	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	str_append_line(&line, str_text(&text));
	x->options->say(x->options->arg, str_text(&line));
}

int import_ask(struct pg_import *x, const char *sql, struct error *err)
{
	return pg_session_run(x->session, sql, err);
}

int import_count(struct pg_import *x, const char *sql, uint64_t *ret, struct error *err)
{
	_cleanup(free) char *value = NULL;
	int r = pg_session_value(x->session, sql, &value, err);

	*ret = value ? strtoull(value, NULL, 10) : 0;
	return r;
}

/* Names. */

int import_find_column(const struct import_table *t, const char *name)
{
	return (int)tenancy_find_column(t->t, name);
}

static bool import_names_column(const char *said, const struct import_table *t, const char *column)
{
	_cleanup(free) char *by_table = mem_printf("%s.%s", t->t->name, column);
	_cleanup(free) char *by_schema = mem_printf("%s.%s.%s", t->t->schema, t->t->name, column);

	return str_equal(said, by_table) || str_equal(said, by_schema);
}

const struct pg_import_setting *import_find_setting(const struct pg_import_setting *settings, size_t count,
                                                    const struct import_table *t, const char *column)
{
	for (size_t i = 0; i < count; i++)
		if (import_names_column(settings[i].column, t, column))
			return &settings[i];
	return NULL;
}

void import_append_columns(const struct import_table *t, const char *prefix, struct str *out)
{
	const char *between = "";

	for (size_t i = 0; i < t->t->column_count; i++) {
		if (!t->columns[i].is_there)
			continue;
		str_appendf(out, "%s%s%s", between, prefix, t->columns[i].quoted);
		between = ", ";
	}
}

bool import_has_key(const struct import_table *t)
{
	for (size_t i = 0; i < t->t->primary_key_count; i++)
		if (!t->columns[t->t->primary_key[i]].is_there)
			return false;
	return t->t->primary_key_count > 0;
}

void import_append_same_key(const struct import_table *t, const char *a, const char *b, struct str *out)
{
	for (size_t i = 0; i < t->t->primary_key_count; i++) {
		const char *name = t->columns[t->t->primary_key[i]].quoted;

		str_appendf(out, "%s%s.%s = %s.%s", i > 0 ? " AND " : "", a, name, b, name);
	}
}

void import_append_key(const struct import_table *t, const char *alias, struct str *out)
{
	str_append(out, "pg_catalog.left(pg_catalog.concat(''");
	for (size_t i = 0; i < t->t->primary_key_count; i++) {
		const struct tenancy_column *c = &t->t->columns[t->t->primary_key[i]];
		_cleanup(free) char *label = mem_printf("%s%s=", i > 0 ? ", " : "", c->name);
		_cleanup(free) char *literal = pg_quote_literal(label);

		str_appendf(out, ", %s, %s.%s", literal, alias, t->columns[t->t->primary_key[i]].quoted);
	}
	str_append(out, "), 200)");
}

const char *import_salt(const struct pg_import *x)
{
	return x->options->slug ? x->options->slug : x->source->slug;
}

const char *pg_import_tenant_id(const struct pg_import *x)
{
	return x->tenant;
}

/* The whole. */

int pg_import_new(struct pg_session *s, const struct pg_import_source *source,
                  const struct pg_import_options *options, struct pg_import **ret, struct error *err)
{
	_cleanup(pg_import) struct pg_import *x = mem_alloc(sizeof(*x));
	int r;

	x->session = s;
	x->source = source;
	x->options = options;
	x->self = x->tenant_map = x->slug_column = x->name_column = -1;
	r = pg_tenancy_read(s, &x->model, err);
	if (r == 0)
		r = import_match(x, err);
	if (r < 0)
		return r;
	*ret = take_ptr(&x);
	return 0;
}

static void finish_import_table(struct import_table *t)
{
	for (size_t i = 0; t->columns && i < t->t->column_count; i++) {
		free(t->columns[i].quoted);
		free(t->columns[i].sequence);
	}
	if (t->ready != t->stage)
		free(t->ready);
	free(t->columns);
	free(t->targets);
	free(t->label);
	free(t->relation);
	free(t->from);
	free(t->stage);
	free(t->triggers);
	free(t->condition);
}

struct pg_import *pg_import_free(struct pg_import *x)
{
	if (!x)
		return NULL;
	for (size_t i = 0; i < x->table_count; i++)
		finish_import_table(&x->tables[i]);
	for (size_t i = 0; i < x->map_count; i++)
		free(x->maps[i].name);
	free(x->maps);
	free(x->tables);
	free(x->by_file);
	free(x->by_model);
	free(x->tenant);
	tenancy_plan_finish(&x->plan);
	tenancy_plan_finish(&x->own);
	tenancy_model_finish(&x->model);
	str_finish(&x->trouble);
	str_finish(&x->row);
	free(x);
	return NULL;
}
