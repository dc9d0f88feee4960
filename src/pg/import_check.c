// SPDX-License-Identifier: Apache-2.0
/*
 * Are the rows of the file what they say they are? Somebody may have edited it. All rows are the tenant's, and refer to rows of the file alone: a reference to
 * another row would lead to whatever the target has under that key, which may be somebody else's.
 */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>

struct null_check {
	const struct import_table *t;
	int found; /* the first column that has some; -1 */
	uint64_t rows;
};

static bool must_have_value(const struct import_table *t, size_t column)
{
	return t->columns[column].is_there && t->t->columns[column].not_null;
}

static int take_null_counts(void *arg, const struct pg_row *row, struct error *err)
{
	struct null_check *n = arg;
	int at = 0;

	for (size_t i = 0; i < n->t->t->column_count; i++) {
		uint64_t rows =
		        must_have_value(n->t, i) ? strtoull(str_or_empty(row->values[at++]), NULL, 10) : 0;

		if (rows == 0 || n->found >= 0)
			continue;
		n->found = (int)i;
		n->rows = rows;
	}
	return 0;
}

static int check_nulls(struct pg_import *x, const struct import_table *t, struct error *err)
{
	struct null_check n = {.t = t, .found = -1};
	_cleanup(str) struct str sql = {0};
	const char *name;
	int r;

	for (size_t i = 0; i < t->t->column_count; i++)
		if (must_have_value(t, i))
			str_appendf(&sql, "%s pg_catalog.count(*) FILTER (WHERE s.%s IS NULL)",
			            sql.len > 0 ? "," : "SELECT", t->columns[i].quoted);
	if (sql.len == 0)
		return 0;
	str_appendf(&sql, " FROM %s s", t->stage);
	r = pg_session_rows(x->session, str_text(&sql), take_null_counts, &n, err);
	if (r < 0 || n.found < 0)
		return r;
	name = t->t->columns[n.found].name;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s.%s must have a value, and is null in %" PRIu64
	        " rows of the file, since it was redacted, or may be null where they come from: say which value each row gets, set=%s.%s=VALUE",
	        t->label, name, n.rows, t->t->name, name);
}

/* Also what makes the statements that follow quick. */
static int check_key_once(struct pg_import *x, const struct import_table *t, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r;

	if (!import_has_key(t))
		return 0;
	str_appendf(&sql, "CREATE UNIQUE INDEX ON %s (", t->stage);
	for (size_t i = 0; i < t->t->primary_key_count; i++)
		str_appendf(&sql, "%s%s", i > 0 ? ", " : "", t->columns[t->t->primary_key[i]].quoted);
	str_append_char(&sql, ')');
	r = import_ask(x, str_text(&sql), err);
	if (r < 0 && err && str_equal(err->code, "23505"))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s: two rows of the file have the same key, so it is not as keepfs wrote it",
		        t->label);
	return r;
}

static int check_is_tenants(struct pg_import *x, const struct import_table *t, struct error *err)
{
	int column = t->d->verdict == TENANCY_EXPORTED ? t->d->tenant_column : -1;
	_cleanup(free) char *id = pg_quote_literal(x->source->id);
	_cleanup(free) char *sql = NULL;
	uint64_t rows = 0;
	int r;

	if (column < 0 || !t->columns[column].is_there || t->role != IMPORT_OWN)
		return 0;
	sql = mem_printf("SELECT pg_catalog.count(*) FROM %s s WHERE (s.%s = CAST(%s AS %s)) IS NOT TRUE",
	                 t->stage, t->columns[column].quoted, id, t->t->columns[column].type);
	r = import_count(x, sql, &rows, err);
	if (r < 0 || rows == 0)
		return r;
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s: %" PRIu64
	        " rows of the file are another tenant's (%s is not %s): it is not as keepfs wrote it, and nothing of it is imported",
	        t->label, rows, t->t->columns[column].name, x->source->id);
}

/* References. */

static bool is_tenant_reference(const struct import_table *t, const struct tenancy_key *k)
{
	for (size_t i = 0; i < k->count; i++)
		if (!t->columns[k->from_columns[i]].is_tenant)
			return false;
	return true;
}

static void append_import_reference(const struct pg_import *x, const struct import_table *t,
                                    const struct tenancy_key *k, const struct import_table *to,
                                    struct str *sql)
{
	str_appendf(sql, "SELECT pg_catalog.count(*) FROM %s s WHERE ", t->stage);
	for (size_t i = 0; i < k->count; i++)
		str_appendf(sql, "%ss.%s IS NOT NULL", i > 0 ? " AND " : "",
		            t->columns[k->from_columns[i]].quoted);
	if (!to)
		return;
	str_appendf(sql, " AND NOT EXISTS (SELECT FROM %s p WHERE ", to->stage);
	for (size_t i = 0; i < k->count; i++)
		str_appendf(sql, "%sp.%s = s.%s", i > 0 ? " AND " : "", to->columns[k->to_columns[i]].quoted,
		            t->columns[k->from_columns[i]].quoted);
	str_append_char(sql, ')');
}

static void name_key_columns(const struct import_table *t, const struct tenancy_key *k, struct str *out)
{
	for (size_t i = 0; i < k->count; i++)
		str_appendf(out, "%s%s", i > 0 ? ", " : "", t->t->columns[k->from_columns[i]].name);
}

static int refuse_reference(const struct pg_import *x, const struct import_table *t,
                            const struct tenancy_key *k, uint64_t rows, bool has_rows, struct error *err)
{
	const struct tenancy_table *to = &x->model.tables[k->to];
	_cleanup(str) struct str columns = {0};

	name_key_columns(t, k, &columns);
	if (has_rows)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s (%s): %" PRIu64
		        " rows refer to rows of %s.%s that the file has not, and that may be another tenant's in the target: the file is not as keepfs wrote it, and nothing of it is imported",
		        t->label, str_text(&columns), rows, to->schema, to->name);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s (%s): %" PRIu64
	        " rows refer to %s.%s, of which the file has nothing, or no keys, so it is not known which row is meant in the target: set=%s.%s=VALUE says which, and null=%s.%s that it is none",
	        t->label, str_text(&columns), rows, to->schema, to->name, t->t->name, str_text(&columns),
	        t->t->name, str_text(&columns));
}

/* What set= says was said by whoever imports, and is the server's to check. */
static bool is_checked(const struct import_table *t, const struct tenancy_key *k)
{
	for (size_t i = 0; i < k->count; i++)
		if (!t->columns[k->from_columns[i]].is_there || t->columns[k->from_columns[i]].is_set)
			return false;
	return true;
}

static bool has_key_columns(const struct import_table *t, const uint32_t *columns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!t->columns[columns[i]].is_there)
			return false;
	return true;
}

static int check_reference(struct pg_import *x, const struct tenancy_key *k, struct error *err)
{
	const struct import_table *t = x->by_model[k->from] < 0 ? NULL : &x->tables[x->by_model[k->from]];
	const struct import_table *to = x->by_model[k->to] < 0 ? NULL : &x->tables[x->by_model[k->to]];
	_cleanup(str) struct str sql = {0};
	uint64_t rows = 0;
	int r;

	/* A file that has the rows, and not their keys, does not say which of them is meant either. */
	if (to && !has_key_columns(to, k->to_columns, k->count))
		to = NULL;
	if (!t || t->file->rows == 0 || !is_checked(t, k) || (!to && is_tenant_reference(t, k)))
		return 0;
	append_import_reference(x, t, k, to, &sql);
	r = import_count(x, str_text(&sql), &rows, err);
	return r == 0 && rows > 0 ? refuse_reference(x, t, k, rows, to, err) : r;
}

/* The tenant's own row, and which of its columns have its names. */

static int check_one_tenant(struct pg_import *x, const struct import_table *t, struct error *err)
{
	return t->file->rows == 1 ? 0
	                          : error_set(err, ERROR_CORRUPT, EBADMSG,
	                                      "%s: the file has %" PRIu64
	                                      " rows of the tenants' own table, and must have one",
	                                      t->label, t->file->rows);
}

static int column_has_text(struct pg_import *x, const struct import_table *t, size_t column, const char *text,
                           bool *ret, struct error *err)
{
	_cleanup(free) char *literal = pg_quote_literal(text);
	_cleanup(free) char *sql =
	        mem_printf("SELECT pg_catalog.count(*) FROM %s s WHERE s.%s::pg_catalog.text = %s", t->stage,
	                   t->columns[column].quoted, literal);
	uint64_t count = 0;
	int r = import_count(x, sql, &count, err);

	*ret = count == 1;
	return r;
}

/* One that is called so, else the first one that has it. */
static int find_named_column(struct pg_import *x, const struct import_table *t, const char *usual,
                             const char *text, int *ret, struct error *err)
{
	int r = 0;

	*ret = -1;
	for (size_t i = 0; r == 0 && text && i < t->t->column_count; i++) {
		bool has = false;

		if ((int)i == t->d->tenant_column || !t->columns[i].is_there || t->columns[i].is_set ||
		    t->t->columns[i].category != 'S' || t->t->columns[i].delimiter)
			continue;
		r = column_has_text(x, t, i, text, &has, err);
		if (has && (*ret < 0 || str_equal(t->t->columns[i].name, usual)))
			*ret = (int)i;
	}
	return r;
}

static int set_tenant_text(struct pg_import *x, const struct import_table *t, int column, const char *what,
                           const char *text, struct error *err)
{
	_cleanup(free) char *literal = text ? pg_quote_literal(text) : NULL;
	_cleanup(free) char *sql = NULL;

	if (!text)
		return 0;
	if (column < 0) {
		import_say(
		        x,
		        "no column of %s has the tenant's %s, so it is not changed there: set=%s.COLUMN=VALUE does it",
		        t->label, what, t->t->name);
		return 0;
	}
	sql = mem_printf("UPDATE %s SET %s = %s", t->stage, t->columns[column].quoted, literal);
	return import_ask(x, sql, err);
}

static int rename_tenant(struct pg_import *x, struct error *err)
{
	const struct import_table *t = x->self < 0 ? NULL : &x->tables[x->self];
	int r = t ? check_one_tenant(x, t, err) : 0;

	if (!t || r < 0)
		return r;
	r = find_named_column(x, t, "slug", x->source->slug, &x->slug_column, err);
	if (r == 0)
		r = find_named_column(x, t, "name", x->source->name, &x->name_column, err);
	if (r == 0 && (x->slug_column >= 0 || !import_slug_is_key(x)))
		r = set_tenant_text(x, t, x->slug_column, "short name", x->options->slug, err);
	return r == 0 ? set_tenant_text(x, t, x->name_column, "name", x->options->name, err) : r;
}

int pg_import_staged(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++) {
		struct import_table *t = &x->tables[i];

		if (t->file->rows == 0)
			continue;
		r = check_nulls(x, t, err);
		if (r == 0)
			r = check_key_once(x, t, err);
		if (r == 0)
			r = check_is_tenants(x, t, err);
	}
	for (size_t i = 0; r == 0 && i < x->model.key_count; i++)
		r = check_reference(x, &x->model.keys[i], err);
	return r == 0 ? rename_tenant(x, err) : r;
}
