// SPDX-License-Identifier: Apache-2.0
/*
 * Values that somebody else has already: for each unique index of the target, constraint or not, with expressions and conditions too, the rows of the file for which it
 * has an entry of a row that is not the tenant's. A key that gets new values cannot clash. Nothing is ever passed over in silence: a clash is
 * renamed, where that was said, or stops the import.
 */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#define MAX_KEYS 32 /* INDEX_MAX_KEYS */

struct import_index {
	struct pg_import *x;
	struct import_table *t;
	char *name;
	char *exprs[MAX_KEYS]; /* heap: of each key, over the table's columns */
	size_t count;
	char *condition; /* heap: of a partial index; NULL */
	bool usable;     /* all its columns are in the file, and keep their values */
	bool is_key;     /* the primary one */
	int renamed;     /* the last column that could be renamed; -1 */
	uint64_t clashes;
};

static void import_index_finish(struct import_index *i)
{
	for (size_t k = 0; k < i->count; k++)
		free(i->exprs[k]);
	free(i->name);
	free(i->condition);
}

static inline void cleanup_import_index(struct import_index *i)
{
	import_index_finish(i);
}

static int take_index_column(void *arg, const struct pg_row *row, struct error *err)
{
	struct import_index *i = arg;
	int column = import_find_column(i->t, row->values[0]);
	const struct import_column *c = column < 0 ? NULL : &i->t->columns[column];

	if (!c || !c->is_there)
		i->usable = false;
	else if (i->t->role == IMPORT_OWN &&
	         import_map_of(i->x, (size_t)(i->t - i->x->tables), (size_t)column) >= 0)
		i->usable = false;
	else if (i->t->t->columns[column].category == 'S')
		i->renamed = column;
	return 0;
}

/* Also those that only an expression or a condition asks. */
static int learn_index_columns(struct import_index *i, const char *oid, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT a.attname FROM pg_catalog.pg_index x JOIN pg_catalog.pg_attribute a ON a.attrelid = x.indrelid AND a.attnum > 0"
	        " AND (a.attnum = ANY (x.indkey::pg_catalog.int2[]) OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid ="
	        " 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = x.indexrelid AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass"
	        " AND d.refobjid = x.indrelid AND d.refobjsubid = a.attnum)) WHERE x.indexrelid = %s ORDER BY a.attnum",
	        oid);

	i->usable = true;
	i->renamed = -1;
	return pg_session_rows(i->x->session, sql, take_index_column, i, err);
}

static int take_index_key(void *arg, const struct pg_row *row, struct error *err)
{
	struct import_index *i = arg;

	if (i->count < MAX_KEYS)
		i->exprs[i->count++] = mem_strdup(row->values[0]);
	return 0;
}

static int learn_index_keys(struct import_index *i, const char *oid, struct error *err)
{
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.pg_get_indexdef(%s, n, false) FROM pg_catalog.pg_index x, pg_catalog.generate_series(1, x.indnkeyatts) n"
	        " WHERE x.indexrelid = %s ORDER BY n",
	        oid, oid);

	return pg_session_rows(i->x->session, sql, take_index_key, i, err);
}

/* The clashing rows of the file: "s", with number and the values of the key. */
static void append_entries(const struct import_index *i, const char *table, const char *more, struct str *sql)
{
	str_append(sql, "(SELECT ");
	for (size_t k = 0; k < i->count; k++)
		str_appendf(sql, "(%s) AS k%zu, ", i->exprs[k], k);
	str_appendf(sql, "%s FROM %s", more, table);
}

static void append_clashing(const struct import_index *i, const char *what, struct str *sql)
{
	const struct import_table *t = i->t;
	_cleanup(free) char *living = mem_printf("%s t", t->from);
	_cleanup(free) char *staged = mem_printf("%s s", t->stage);

	str_appendf(sql, "SELECT %s FROM ", what);
	append_entries(i, staged, "s." IMPORT_NUMBER " AS number", sql);
	str_appendf(sql, "%s%s) s JOIN ", i->condition ? " WHERE " : "", str_or_empty(i->condition));
	append_entries(i, living, "1 AS one", sql);
	str_append(sql, " WHERE true");
	if (i->condition)
		str_appendf(sql, " AND (%s)", i->condition);
	if (t->role == IMPORT_OWN && t->condition)
		str_appendf(sql, " AND (%s) IS NOT TRUE", t->condition);
	str_append(sql, ") t ON ");
	for (size_t k = 0; k < i->count; k++)
		str_appendf(sql, "%ss.k%zu = t.k%zu", k > 0 ? " AND " : "", k, k);
}

static int count_clashes(struct import_index *i, struct error *err)
{
	_cleanup(str) struct str sql = {0};

	append_clashing(i, "pg_catalog.count(DISTINCT s.number)", &sql);
	return import_count(i->x, str_text(&sql), &i->clashes, err);
}

/* Renaming: what was said of a column of the index. */

static const struct pg_import_setting *find_rename(const struct import_index *i, int *ret_column)
{
	const struct pg_import_options *o = i->x->options;

	for (size_t c = 0; c < i->t->t->column_count; c++) {
		const struct pg_import_setting *found =
		        import_find_setting(o->renames, o->rename_count, i->t, i->t->t->columns[c].name);

		for (size_t k = 0; found && k < i->count; k++) {
			*ret_column = (int)c;
			if (strstr(i->exprs[k], i->t->t->columns[c].name))
				return found;
		}
	}
	return NULL;
}

static int rename_clashes(struct import_index *i, struct error *err)
{
	int column = -1;
	const struct pg_import_setting *rename = find_rename(i, &column);
	_cleanup(free) char *value = rename ? pg_quote_literal(str_or_empty(rename->value)) : NULL;
	_cleanup(str) struct str sql = {0};
	uint64_t were = i->clashes;
	int r;

	if (!rename || i->clashes == 0)
		return 0;
	str_appendf(
	        &sql,
	        "UPDATE %s SET %s = pg_catalog.replace(%s, '{value}', %s::pg_catalog.text) WHERE " IMPORT_NUMBER
	        " IN (",
	        i->t->stage, i->t->columns[column].quoted, value, i->t->columns[column].quoted);
	append_clashing(i, "s.number", &sql);
	str_append_char(&sql, ')');
	r = import_ask(i->x, str_text(&sql), err);
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "rename=%s", rename->column);
	if (r == 0)
		r = count_clashes(i, err);
	if (r == 0)
		import_say(i->x, "%s: %" PRIu64 " values of %s are taken, and renamed to %s", i->t->label,
		           were - i->clashes, i->t->t->columns[column].name, str_or_empty(rename->value));
	return r;
}

/* Telling. */

static int take_shown(void *arg, const struct pg_row *row, struct error *err)
{
	struct str *s = arg;

	str_appendf(s, "%s%s", s->len > 0 ? ", " : "", str_or_empty(row->values[0]));
	return 0;
}

static int tell_clashes(struct import_index *i, struct error *err)
{
	_cleanup(str) struct str sql = {0}, shown = {0}, what = {0}, keys = {0};
	int r;

	str_append(&what, "DISTINCT pg_catalog.left(pg_catalog.concat_ws(', '");
	for (size_t k = 0; k < i->count; k++) {
		str_appendf(&what, ", s.k%zu", k);
		str_appendf(&keys, "%s%s", k > 0 ? ", " : "", i->exprs[k]);
	}
	str_append(&what, "), 80)");
	append_clashing(i, str_text(&what), &sql);
	str_appendf(&sql, " ORDER BY 1 LIMIT %d", IMPORT_SHOWN);
	r = pg_session_rows(i->x->session, str_text(&sql), take_shown, &shown, err);
	if (r < 0)
		return r;
	if (i->is_key || i->renamed < 0)
		import_say(
		        i->x,
		        "clash: %s (%s): %" PRIu64
		        " keys are taken in the target: %s; keys=remap gives new ones to keys that are numbered, or uuids",
		        i->t->label, str_text(&keys), i->clashes, str_text(&shown));
	else
		import_say(
		        i->x,
		        "clash: %s (%s): %" PRIu64
		        " values are taken in the target: %s; rename=%s.%s={value}.imported would make another one of each",
		        i->t->label, str_text(&keys), i->clashes, str_text(&shown), i->t->t->name,
		        i->t->t->columns[i->renamed].name);
	return 0;
}

static int look_at_index(struct import_index *i, const char *oid, struct error *err)
{
	int r = learn_index_columns(i, oid, err);

	if (r < 0 || !i->usable)
		return r;
	r = learn_index_keys(i, oid, err);
	if (r == 0)
		r = count_clashes(i, err);
	if (r == 0)
		r = rename_clashes(i, err);
	if (r == 0 && i->clashes > 0)
		r = tell_clashes(i, err);
	i->x->found.clashes += i->clashes > 0;
	return r;
}

struct clashing {
	struct pg_import *x;
	struct import_table *t;
};

static int take_unique_index(void *arg, const struct pg_row *row, struct error *err)
{
	const struct clashing *c = arg;
	_cleanup(import_index) struct import_index i = {.x = c->x,
	                                                .t = c->t,
	                                                .name = mem_strdup(row->values[1]),
	                                                .condition = mem_strdup(row->values[2]),
	                                                .is_key = row->values[3][0] == 't'};

	return look_at_index(&i, row->values[0], err);
}

/* pg_session_rows() holds the answer, so the session can be asked meanwhile. */
int import_find_clashes(struct pg_import *x, struct import_table *t, struct error *err)
{
	struct clashing c = {.x = x, .t = t};
	_cleanup(free) char *sql = mem_printf(
	        "SELECT x.indexrelid, c.relname, pg_catalog.pg_get_expr(x.indpred, x.indrelid), x.indisprimary FROM pg_catalog.pg_index x"
	        " JOIN pg_catalog.pg_class c ON c.oid = x.indexrelid WHERE x.indrelid = %u AND x.indisunique ORDER BY x.indisprimary DESC, c.relname",
	        t->t->oid);

	return import_has_rows(t) ? pg_session_rows(x->session, sql, take_unique_index, &c, err) : 0;
}
