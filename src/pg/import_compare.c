// SPDX-License-Identifier: Apache-2.0
/* Rows of the file held against those of the target, by their keys and value by value; texts are compared, since not each type has an operator for it. */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>

#define THERE "\"keepfs there\""

void import_append_living(const struct import_table *t, struct str *out)
{
	str_appendf(out, "(SELECT t.*, true AS " THERE " FROM %s t", t->from);
	if (t->role == IMPORT_OWN)
		str_appendf(out, " WHERE %s", t->condition ? t->condition : "false");
	str_append_char(out, ')');
}

static void append_text_of(const struct import_table *t, const char *alias, size_t column, struct str *out)
{
	str_appendf(out, "%s.%s::pg_catalog.text COLLATE \"C\"", alias, t->columns[column].quoted);
}

static void append_differs(const struct import_table *t, size_t column, struct str *out)
{
	append_text_of(t, "s", column, out);
	str_append(out, " IS DISTINCT FROM ");
	append_text_of(t, "t", column, out);
}

static void append_key_texts(const struct import_table *t, struct str *out)
{
	for (size_t i = 0; i < t->t->primary_key_count; i++) {
		str_append(out, i > 0 ? " AND " : "");
		append_text_of(t, "s", t->t->primary_key[i], out);
		str_append(out, " = ");
		append_text_of(t, "t", t->t->primary_key[i], out);
	}
}

/* Rows that both have, counted when any value differs, and for each column. */
static void append_difference_counts(const struct import_table *t, struct str *out)
{
	_cleanup(str) struct str any = {0};

	for (size_t i = 0; i < t->t->column_count; i++) {
		if (!t->columns[i].is_there)
			continue;
		str_append(&any, any.len > 0 ? " OR " : "");
		append_differs(t, i, &any);
		str_append(out, ", pg_catalog.count(*) FILTER (WHERE s." IMPORT_NUMBER
		                " IS NOT NULL AND t." THERE " AND ");
		append_differs(t, i, out);
		str_append_char(out, ')');
	}
	str_appendf(out,
	            ", pg_catalog.count(*) FILTER (WHERE s." IMPORT_NUMBER " IS NOT NULL AND t." THERE
	            " AND (%s))",
	            any.len > 0 ? str_text(&any) : "false");
}

struct comparing {
	const struct import_table *t;
	struct pg_import_difference *d;
	struct str *columns;
};

static uint64_t number_of(const char *text)
{
	return strtoull(str_or_empty(text), NULL, 10);
}

static int take_key_counts(void *arg, const struct pg_row *row, struct error *err)
{
	struct comparing *c = arg;
	int at = 3;

	c->d->rows = number_of(row->values[0]);
	c->d->missing = number_of(row->values[1]);
	c->d->extra = number_of(row->values[2]);
	for (size_t i = 0; i < c->t->t->column_count; i++)
		if (c->t->columns[i].is_there && number_of(row->values[at++]) > 0)
			str_appendf(c->columns, "%s%s", c->columns->len > 0 ? ", " : "",
			            c->t->t->columns[i].name);
	c->d->differing = number_of(row->values[at]);
	return 0;
}

static void append_by_key(const struct import_table *t, struct str *sql)
{
	str_append(sql,
	           "SELECT pg_catalog.count(s." IMPORT_NUMBER "), pg_catalog.count(*) FILTER (WHERE t." THERE
	           " IS NULL), pg_catalog.count(*) FILTER (WHERE s." IMPORT_NUMBER " IS NULL)");
	append_difference_counts(t, sql);
	str_appendf(sql, " FROM %s s %s JOIN ", t->ready, t->role == IMPORT_OWN ? "FULL" : "LEFT");
	import_append_living(t, sql);
	str_append(sql, " t ON ");
	append_key_texts(t, sql);
}

/* Without a key a row is all of its values, and may be there several times. */
static void append_values_of(const struct import_table *t, const char *alias, struct str *sql)
{
	const char *between = "";

	for (size_t i = 0; i < t->t->column_count; i++) {
		if (!t->columns[i].is_there)
			continue;
		str_append(sql, between);
		append_text_of(t, alias, i, sql);
		between = ", ";
	}
}

static void append_rows_of(const struct import_table *t, bool file, struct str *sql)
{
	str_append(sql, "SELECT ");
	append_values_of(t, file ? "s" : "t", sql);
	str_append(sql, " FROM ");
	if (file)
		str_appendf(sql, "%s s", t->ready);
	else {
		import_append_living(t, sql);
		str_append(sql, " t");
	}
}

static void append_by_values(const struct import_table *t, struct str *sql)
{
	str_appendf(sql, "SELECT (SELECT pg_catalog.count(*) FROM %s s), (SELECT pg_catalog.count(*) FROM (",
	            t->ready);
	append_rows_of(t, true, sql);
	str_append(sql, " EXCEPT ALL ");
	append_rows_of(t, false, sql);
	str_append(sql, ") m), ");
	if (t->role == IMPORT_OWN) {
		str_append(sql, "(SELECT pg_catalog.count(*) FROM (");
		append_rows_of(t, false, sql);
		str_append(sql, " EXCEPT ALL ");
		append_rows_of(t, true, sql);
		str_append(sql, ") m)");
	} else {
		str_append_char(sql, '0');
	}
}

static int take_value_counts(void *arg, const struct pg_row *row, struct error *err)
{
	struct comparing *c = arg;

	c->d->rows = number_of(row->values[0]);
	c->d->missing = number_of(row->values[1]);
	c->d->extra = number_of(row->values[2]);
	return 0;
}

int import_differs(struct pg_import *x, const struct import_table *t, struct pg_import_difference *ret,
                   struct str *columns, struct error *err)
{
	struct comparing c = {.t = t, .d = ret, .columns = columns};
	_cleanup(str) struct str sql = {0};
	int r;

	*ret = (struct pg_import_difference){.schema = t->t->schema, .table = t->t->name, .columns = ""};
	if (t->d->verdict != TENANCY_EXPORTED)
		return 0;
	if (import_has_key(t))
		append_by_key(t, &sql);
	else
		append_by_values(t, &sql);
	r = pg_session_rows(x->session, str_text(&sql),
	                    import_has_key(t) ? take_key_counts : take_value_counts, &c, err);
	ret->columns = str_text(columns);
	return r;
}

bool import_is_difference(const struct pg_import *x, const struct import_table *t,
                          const struct pg_import_difference *d)
{
	return d->missing > 0 || (!x->options->allow_changed && (d->extra > 0 || d->differing > 0));
}

static void tell_difference(struct pg_import *x, const struct import_table *t,
                            const struct pg_import_difference *d, bool counts)
{
	_cleanup(str) struct str line = {0};

	str_appendf(&line,
	            "%s: of %" PRIu64 " rows %" PRIu64 " are missing in the target, %" PRIu64
	            " differ%s%s, and it has %" PRIu64 " more",
	            t->label, d->rows, d->missing, d->differing, *d->columns ? " in " : "", d->columns,
	            d->extra);
	if (t->triggers && x->is_inserted)
		str_appendf(&line, " (triggers fire there: %s)", t->triggers);
	import_say(x, "%s", str_text(&line));
	if (counts && x->trouble.len == 0)
		str_append(&x->trouble, str_text(&line));
}

static int refuse_difference(struct pg_import *x, struct error *err)
{
	if (!x->is_inserted)
		error_set(err, ERROR_CONFLICT, EEXIST, "%s", str_text(&x->trouble));
	else
		error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "what was inserted is not what the file has, so nothing was committed: %s; changed=allow takes values that triggers change, and rows that they add",
		        str_text(&x->trouble));
	return 1;
}

int pg_import_compare(struct pg_import *x, void (*take)(void *arg, const struct pg_import_difference *d),
                      void *arg, struct error *err)
{
	str_clear(&x->trouble);
	for (size_t i = 0; i < x->table_count; i++) {
		const struct import_table *t = &x->tables[i];
		_cleanup(str) struct str columns = {0};
		struct pg_import_difference d;
		int r = t->role != IMPORT_OWN && t->file->rows == 0 ? 0
		                                                    : import_differs(x, t, &d, &columns, err);

		if (r < 0)
			return r;
		if (t->role != IMPORT_OWN && t->file->rows == 0)
			continue;
		if (d.missing > 0 || d.extra > 0 || d.differing > 0)
			tell_difference(x, t, &d, import_is_difference(x, t, &d));
		if (take)
			take(arg, &d);
	}
	return x->trouble.len > 0 ? refuse_difference(x, err) : 0;
}

/* Rows of tables that others have, too. */

static void append_same_values(const struct import_table *t, struct str *sql)
{
	const char *between = "";

	for (size_t i = 0; i < t->t->column_count; i++) {
		if (!t->columns[i].is_there)
			continue;
		str_append(sql, between);
		append_text_of(t, "s", i, sql);
		str_append(sql, " IS NOT DISTINCT FROM ");
		append_text_of(t, "t", i, sql);
		between = " AND ";
	}
	str_append(sql, *between ? "" : "true");
}

static void tell_living(struct pg_import *x, const struct import_table *t,
                        const struct pg_import_difference *d)
{
	const char *what = t->role == IMPORT_SHARED ? "shared" : "of several tenants";

	if (d->differing > 0 && x->options->keep_living)
		import_say(x, "%s is %s: %" PRIu64 " rows differ in %s, and stay as the target has them",
		           t->label, what, d->differing, d->columns);
	else if (d->differing > 0)
		import_say(x,
		           "clash: %s is %s: %" PRIu64
		           " rows differ in %s; living=keep leaves them as the target has them",
		           t->label, what, d->differing, d->columns);
	if (d->missing > 0 && t->role == IMPORT_SHARED && !x->options->insert_shared)
		import_say(x,
		           "clash: %s is shared: the target lacks %" PRIu64
		           " rows of the file; shared=insert inserts them",
		           t->label, d->missing);
	x->found.clashes += d->differing > 0 && !x->options->keep_living;
	x->found.clashes += d->missing > 0 && t->role == IMPORT_SHARED && !x->options->insert_shared;
}

static int drop_living_rows(struct pg_import *x, const struct import_table *t, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	str_appendf(&sql, "DELETE FROM %s s WHERE EXISTS (SELECT FROM %s t WHERE ", t->stage, t->from);
	if (import_has_key(t))
		append_key_texts(t, &sql);
	else
		append_same_values(t, &sql);
	str_append_char(&sql, ')');
	return import_ask(x, str_text(&sql), err);
}

int import_match_living(struct pg_import *x, struct import_table *t, struct error *err)
{
	_cleanup(str) struct str columns = {0};
	struct pg_import_difference d;
	int r;

	if (t->file->rows == 0 || t->d->verdict != TENANCY_EXPORTED)
		return 0;
	r = import_differs(x, t, &d, &columns, err);
	if (r < 0)
		return r;
	tell_living(x, t, &d);
	t->is_there = d.missing == 0;
	x->found.rows += d.missing;
	return drop_living_rows(x, t, err);
}
