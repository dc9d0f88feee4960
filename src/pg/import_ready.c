// SPDX-License-Identifier: Apache-2.0
/*
 * Rows as they are inserted: those of the file, with new values of keys, and of all that refers to them. They get a table of their own where anything is
 * rewritten. So what is inserted, and what the target is compared with afterwards, is the same.
 */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>

struct rewriting { /* of one table */
	struct pg_import *x;
	size_t table;
	struct str columns, joins;
};

static void append_operand_path(const struct tenancy_operand *o, struct str *out)
{
	str_append(out, "ARRAY[");
	for (size_t i = 0; i < o->path_count; i++) {
		_cleanup(free) char *key = pg_quote_literal(o->path[i]);

		str_appendf(out, "%s%s", i > 0 ? ", " : "", key);
	}
	str_append(out, "]::pg_catalog.text[]");
}

/* The value of an operand as text. */
static void append_operand(const struct import_table *t, const struct tenancy_operand *o, struct str *out)
{
	if (o->path_count == 0) {
		str_appendf(out, "s.%s::pg_catalog.text", t->columns[o->column].quoted);
		return;
	}
	str_appendf(out, "(s.%s #>> ", t->columns[o->column].quoted);
	append_operand_path(o, out);
	str_append_char(out, ')');
}

static void append_soft_condition(const struct import_table *t, const struct tenancy_soft *soft,
                                  struct str *out)
{
	append_operand(t, &soft->from_value, out);
	str_append(out, " IS NOT NULL");
	for (size_t i = 0; i < soft->test_count; i++) {
		_cleanup(free) char *value = pg_quote_literal(soft->tests[i].value);

		str_append(out, " AND ");
		append_operand(t, &soft->tests[i].of, out);
		str_appendf(out, " = %s", value);
	}
}

/* -1: what it leads to keeps its key. */
static int map_of_soft(const struct pg_import *x, const struct import_table *t,
                       const struct tenancy_soft *soft)
{
	int to = x->by_model[soft->to];
	const struct import_column *c = &t->columns[soft->from_value.column];

	if (soft->from != t->model || to < 0 || soft->to_value.path_count > 0 || !c->is_there || c->is_set)
		return -1;
	return import_map_of(x, (size_t)to, soft->to_value.column);
}

/* What leads to no row of the file would lead to somebody else's in the target: it leads nowhere then. */
static void append_soft_value(const struct pg_import *x, const struct import_table *t,
                              const struct tenancy_soft *soft, int map, const char *before, struct str *out)
{
	const struct tenancy_operand *from = &soft->from_value;
	const char *type = t->t->columns[from->column].type, *column = t->columns[from->column].quoted;
	const char *name = x->maps[map].name;

	str_append(out, "CASE WHEN ");
	append_soft_condition(t, soft, out);
	if (from->path_count == 0) {
		str_appendf(
		        out,
		        " THEN CAST((SELECT m.new::pg_catalog.text FROM %s m WHERE m.old::pg_catalog.text = s.%s::pg_catalog.text) AS %s)",
		        name, column, type);
	} else {
		str_appendf(out, " THEN CAST(pg_catalog.jsonb_set((%s)::pg_catalog.jsonb, ", before);
		append_operand_path(from, out);
		str_appendf(out,
		            ", COALESCE((SELECT CASE WHEN pg_catalog.jsonb_typeof(s.%s::pg_catalog.jsonb #> ",
		            column);
		append_operand_path(from, out);
		str_appendf(
		        out,
		        ") = 'number' THEN m.new::pg_catalog.text::pg_catalog.jsonb ELSE pg_catalog.to_jsonb(m.new::pg_catalog.text) END FROM %s m WHERE m.old::pg_catalog.text = ",
		        name);
		append_operand(t, from, out);
		str_appendf(out, "), 'null'::pg_catalog.jsonb)) AS %s)", type);
	}
	str_appendf(out, " ELSE %s END", before);
}

static char *rewritten_by_softs(const struct rewriting *w, size_t column, char *value)
{
	const struct import_table *t = &w->x->tables[w->table];

	for (size_t i = 0; i < w->x->plan.soft_count; i++) {
		const struct tenancy_soft *soft = &w->x->plan.softs[i];
		int map = soft->from_value.column == column ? map_of_soft(w->x, t, soft) : -1;
		struct str next = {0};

		if (map < 0)
			continue;
		append_soft_value(w->x, t, soft, map, value, &next);
		free(value);
		value = str_take(&next);
	}
	return value;
}

static void append_rewritten(struct rewriting *w, size_t column)
{
	const struct import_table *t = &w->x->tables[w->table];
	const char *name = t->columns[column].quoted;
	int map = import_map_of(w->x, w->table, column);
	_cleanup(free) char *value = NULL;

	if (map >= 0) {
		str_appendf(&w->joins, " LEFT JOIN %s m%zu ON m%zu.old = s.%s", w->x->maps[map].name, column,
		            column, name);
		value = mem_printf("m%zu.new", column);
	} else {
		value = rewritten_by_softs(w, column, mem_printf("s.%s", name));
	}
	str_appendf(&w->columns, "%s, ", value);
}

static bool is_rewritten(const struct pg_import *x, size_t table)
{
	const struct import_table *t = &x->tables[table];
	bool found = false;

	for (size_t i = 0; !found && i < t->t->column_count; i++)
		found = t->columns[i].is_there && import_map_of(x, table, i) >= 0;
	for (size_t i = 0; !found && i < x->plan.soft_count; i++)
		found = map_of_soft(x, t, &x->plan.softs[i]) >= 0;
	return found;
}

static int write_ready(struct rewriting *w, struct error *err)
{
	struct import_table *t = &w->x->tables[w->table];
	_cleanup(str) struct str names = {0}, sql = {0};

	import_append_columns(t, "", &names);
	str_appendf(
	        &sql,
	        "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s, 0::pg_catalog.int8 AS " IMPORT_NUMBER
	        " FROM %s WITH NO DATA; INSERT INTO %s (%s, " IMPORT_NUMBER ") SELECT %ss." IMPORT_NUMBER
	        " FROM %s s%s; ANALYZE %s",
	        t->ready + sizeof("pg_temp.") - 1, str_text(&names), t->relation, t->ready, str_text(&names),
	        str_text(&w->columns), t->stage, str_text(&w->joins), t->ready);
	return import_ask(w->x, str_text(&sql), err);
}

static int make_table_ready(struct pg_import *x, size_t table, struct error *err)
{
	struct import_table *t = &x->tables[table];
	struct rewriting w = {.x = x, .table = table};
	int r;

	if (t->role != IMPORT_OWN || !is_rewritten(x, table))
		return 0;
	t->ready = mem_printf("pg_temp.keepfs_ready_%zu", table);
	for (size_t i = 0; i < t->t->column_count; i++)
		if (t->columns[i].is_there)
			append_rewritten(&w, i);
	r = write_ready(&w, err);
	str_finish(&w.columns);
	str_finish(&w.joins);
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "the new keys of %s", t->label);
	return r;
}

int import_make_ready(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++)
		r = make_table_ready(x, i, err);
	return r;
}

/* Soft references of rows that keep their keys: no constraint of the target keeps them within the file. */

static bool is_soft_checked(const struct pg_import *x, const struct import_table *t,
                            const struct import_table *to, const struct tenancy_soft *soft)
{
	bool is_there = t->columns[soft->from_value.column].is_there &&
	                !t->columns[soft->from_value.column].is_set &&
	                to->columns[soft->to_value.column].is_there;

	for (size_t i = 0; i < soft->test_count; i++)
		is_there &= t->columns[soft->tests[i].of.column].is_there;
	return is_there && to->role == IMPORT_OWN && soft->to_value.path_count == 0 && import_has_rows(t) &&
	       map_of_soft(x, t, soft) < 0;
}

static int check_soft(struct pg_import *x, const struct import_table *t, const struct import_table *to,
                      const struct tenancy_soft *soft, struct error *err)
{
	const char *key = to->columns[soft->to_value.column].quoted;
	_cleanup(str) struct str sql = {0}, value = {0};
	uint64_t rows = 0;
	int r;

	append_operand(t, &soft->from_value, &value);
	str_appendf(&sql, "SELECT pg_catalog.count(*) FROM %s s WHERE ", t->stage);
	append_soft_condition(t, soft, &sql);
	str_appendf(&sql,
	            " AND NOT EXISTS (SELECT FROM %s p WHERE p.%s::pg_catalog.text = %s)"
	            " AND EXISTS (SELECT FROM %s t WHERE t.%s::pg_catalog.text = %s",
	            to->stage, key, str_text(&value), to->from, key, str_text(&value));
	if (to->condition)
		str_appendf(&sql, " AND (%s) IS NOT TRUE", to->condition);
	str_append_char(&sql, ')');
	r = import_count(x, str_text(&sql), &rows, err);
	if (r < 0 || rows == 0)
		return r;
	x->found.clashes++;
	import_say(
	        x,
	        "clash: %s (%s): %" PRIu64
	        " rows refer to rows of %s that the file has not, and that somebody else has in the target; keys=remap lets them lead nowhere",
	        t->label, t->t->columns[soft->from_value.column].name, rows, to->label);
	return 0;
}

int import_check_softs(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->plan.soft_count; i++) {
		const struct tenancy_soft *soft = &x->plan.softs[i];
		int from = x->by_model[soft->from], to = x->by_model[soft->to];

		if (from >= 0 && to >= 0 && is_soft_checked(x, &x->tables[from], &x->tables[to], soft))
			r = check_soft(x, &x->tables[from], &x->tables[to], soft, err);
	}
	return r;
}
