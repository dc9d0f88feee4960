// SPDX-License-Identifier: Apache-2.0
/*
 * What is planned, and then done. Tables that refer to each other in a circle are filled by one statement, whose parts are all done before any foreign key is
 * looked at: so no constraint has to be deferred, and no row is written twice.
 */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>

/* The plan. */

/* Two imports of the same name at once would both find that it is not there. */
static int lock_import(struct pg_import *x, struct error *err)
{
	_cleanup(free) char *name = mem_printf("keepfs import %s", import_salt(x));
	_cleanup(free) char *literal = pg_quote_literal(name);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.pg_try_advisory_xact_lock(pg_catalog.hashtextextended(%s, 0))", literal);
	_cleanup(free) char *locked = NULL;
	int r = pg_session_value(x->session, sql, &locked, err);

	if (r < 0 || str_equal(locked, "t"))
		return r;
	return error_set(err, ERROR_CONFLICT, EBUSY,
	                 "another import of the tenant %s into this database is at work", import_salt(x));
}

static int match_living(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++)
		if (x->tables[i].role != IMPORT_OWN)
			r = import_match_living(x, &x->tables[i], err);
	return r;
}

static int has_living_rows(struct pg_import *x, const struct import_table *t, bool *ret, struct error *err)
{
	_cleanup(free) char *sql =
	        mem_printf("SELECT 1 FROM %s t WHERE %s LIMIT 1", t->from, str_or_empty(t->condition));
	_cleanup(free) char *there = NULL;
	int r = 0;

	if (t->role == IMPORT_OWN && t->condition)
		r = pg_session_value(x->session, sql, &there, err);
	*ret = there;
	return r;
}

/* Tenants that share tables are there, or are not; what has tables of its own is looked at table by table, since migrations may have filled some. */
static int look_at_living_table(struct pg_import *x, struct import_table *t, struct error *err)
{
	_cleanup(str) struct str columns = {0};
	struct pg_import_difference d;
	bool living;
	int r = has_living_rows(x, t, &living, err);

	if (r < 0 || !living)
		return r;
	if (x->source->tenancy == TENANCY_COLUMN) {
		x->found.tenant = true;
		return 0;
	}
	r = import_differs(x, t, &d, &columns, err);
	if (r < 0)
		return r;
	x->found.tenant = true;
	t->is_there = !import_is_difference(x, t, &d);
	if (!t->is_there) {
		x->found.clashes++;
		import_say(x,
		           "clash: %s has rows already, which are not those of the file: %" PRIu64
		           " of %" PRIu64 " are missing, %" PRIu64 " differ, and there are %" PRIu64 " more",
		           t->label, d.missing, d.rows, d.differing, d.extra);
	}
	return 0;
}

static int look_at_living(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++)
		if (x->tables[i].role == IMPORT_OWN)
			r = look_at_living_table(x, &x->tables[i], err);
	return r;
}

static int find_clashes(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++)
		r = import_find_clashes(x, &x->tables[i], err);
	return r;
}

/* The tenant is there: with the rows of the file? */
static int compare_with_living(struct pg_import *x, struct error *err)
{
	int r = import_fill_maps(x, true, err);

	if (r == 0)
		r = import_make_ready(x, err);
	if (r == 0)
		r = pg_import_compare(x, NULL, NULL, NULL);
	if (r >= 0)
		x->found.same = r == 0 && x->found.clashes == 0;
	return r < 0 ? r : 0;
}

static void say_table(const struct pg_import *x, size_t place)
{
	const struct import_table *t = &x->tables[place];
	_cleanup(str) struct str keys = {0};

	if (t->file->rows == 0)
		return;
	for (size_t i = 0; t->role == IMPORT_OWN && i < t->t->column_count; i++)
		if (t->columns[i].is_there && import_map_of(x, place, i) >= 0)
			str_appendf(&keys, "%s%s",
			            keys.len > 0 ? ", " : ", new keys: ", t->t->columns[i].name);
	import_say(x, "%s: %" PRIu64 " rows%s%s%s%s", t->label, t->file->rows,
	           t->is_there ? ", which are there already" : "", str_text(&keys),
	           t->triggers ? "; triggers fire: " : "", str_or_empty(t->triggers));
}

static void say_import_plan(struct pg_import *x)
{
	for (size_t i = 0; i < x->table_count; i++)
		say_table(x, i);
	for (size_t i = 0; i < x->table_count; i++)
		if (x->tables[i].role == IMPORT_OWN && import_has_rows(&x->tables[i]))
			x->found.rows += x->tables[i].file->rows;
}

/* With what has rows of its own each table says for itself whether it is there. */
static bool nothing_is_left(const struct pg_import *x)
{
	for (size_t i = 0; i < x->table_count; i++)
		if (import_has_rows(&x->tables[i]))
			return false;
	return x->found.clashes == 0;
}

int pg_import_plan(struct pg_import *x, struct pg_import_found *ret, struct error *err)
{
	bool by_column = x->source->tenancy == TENANCY_COLUMN;
	int r = lock_import(x, err);

	if (r == 0)
		r = import_find_tenant(x, err);
	if (r == 0)
		r = match_living(x, err);
	if (r == 0)
		r = look_at_living(x, err);
	if (r == 0)
		r = find_clashes(x, err);
	if (r == 0 && by_column && !x->found.tenant && !x->options->comes_back)
		r = import_check_softs(x, err);
	if (r == 0 && by_column && x->found.tenant)
		r = compare_with_living(x, err);
	if (r < 0)
		return r;
	say_import_plan(x);
	if (!by_column)
		x->found.same = nothing_is_left(x);
	if (x->found.same)
		x->found.clashes = x->found.rows = 0;
	x->is_planned = true;
	if (ret)
		*ret = x->found;
	return 0;
}

/* Circles. A group is a run of tables in their order of which one refers to a later one. */

static size_t last_referred(const struct pg_import *x, size_t table)
{
	size_t last = table;

	for (size_t i = 0; i < x->model.key_count; i++) {
		const struct tenancy_key *k = &x->model.keys[i];
		int to = x->by_model[k->to];

		if (k->from == x->tables[table].model && to >= 0 && (size_t)to > last)
			last = (size_t)to;
	}
	return last;
}

static size_t group_end(const struct pg_import *x, size_t from)
{
	size_t last = from;

	for (size_t i = from; i <= last; i++) {
		size_t referred = last_referred(x, i);

		last = referred > last ? referred : last;
	}
	return last + 1;
}

static void append_import_insert(const struct import_table *t, struct str *sql)
{
	_cleanup(str) struct str columns = {0};

	import_append_columns(t, "", &columns);
	str_appendf(sql, "INSERT INTO %s %s%s%s OVERRIDING SYSTEM VALUE SELECT %s FROM %s", t->relation,
	            columns.len > 0 ? "(" : "", str_text(&columns), columns.len > 0 ? ")" : "",
	            str_text(&columns), t->ready);
}

static int insert_group(struct pg_import *x, size_t from, size_t end, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	const struct import_table *only = NULL;
	size_t count = 0;
	int r;

	for (size_t i = from; i < end; i++) {
		if (!import_has_rows(&x->tables[i]))
			continue;
		only = &x->tables[i];
		str_appendf(&sql, "%s i%zu AS (", count++ > 0 ? "," : "WITH", i);
		append_import_insert(only, &sql);
		str_append_char(&sql, ')');
	}
	if (count == 0)
		return 0;
	if (count == 1) {
		str_clear(&sql);
		append_import_insert(only, &sql);
	} else {
		str_append(&sql, " SELECT 1");
	}
	r = import_ask(x, str_text(&sql), err);
	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "%s%s", count > 1 ? "tables up to " : "", only->label);
	return r;
}

/* Functions of triggers find what they find when the application writes; nothing in these statements has to be looked for. */
static int insert_all(struct pg_import *x, struct error *err)
{
	int r = import_ask(x, "SET LOCAL search_path TO DEFAULT", err);

	for (size_t i = 0; r == 0 && i < x->table_count;) {
		size_t end = group_end(x, i);

		r = insert_group(x, i, end, err);
		i = end;
	}
	/* What would be found out by COMMIT is found out now. */
	if (r == 0)
		r = import_ask(x, "SET CONSTRAINTS ALL IMMEDIATE", err);
	return r == 0 ? import_ask(x, "SET LOCAL search_path = ''", err) : r;
}

/* Sequences. */

int import_advance(struct pg_import *x, const struct import_column *c, const char *from, struct error *err)
{
	const char *most = c->counts_down ? "min" : "max", *than = c->counts_down ? "<" : ">";
	_cleanup(free) char *literal = pg_quote_literal(c->sequence);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT pg_catalog.setval(%s, m.v) FROM (SELECT pg_catalog.%s(o.%s)::pg_catalog.int8 AS v FROM %s o) m, %s s"
	        " WHERE m.v %s s.last_value OR (m.v = s.last_value AND NOT s.is_called)",
	        literal, most, c->quoted, from, c->sequence, than);
	int r = import_ask(x, sql, err);

	if (r < 0 && r != -ECANCELED)
		error_prefix(err, "the sequence %s cannot be set behind the keys", c->sequence);
	return r;
}

static bool is_numbered_target(const struct import_table *t, size_t column)
{
	static const char *const types[] = {"smallint", "integer", "bigint", "numeric"};
	bool number = false;

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		number |= str_equal(t->t->columns[column].base_type, types[i]);
	return number && t->columns[column].is_there && t->columns[column].sequence;
}

/* A key at the end of its type, as nobody's is, would leave nobody another one. What setval() does stays when all else is undone, so this is asked before. */
static int check_sequence(struct pg_import *x, const struct import_table *t, size_t column, struct error *err)
{
	const struct import_column *c = &t->columns[column];
	const char *type = t->t->columns[column].base_type;
	const char *most = str_equal(type, "smallint")  ? "32767"
	                   : str_equal(type, "integer") ? "2147483647"
	                                                : "9223372036854775807";
	_cleanup(free) char *literal = pg_quote_literal(c->sequence);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT m.v FROM (SELECT pg_catalog.max(o.%s) AS v FROM %s o) m, %s s, (SELECT LEAST(seqmax, %s) AS most FROM pg_catalog.pg_sequence"
	        " WHERE seqrelid = %s::pg_catalog.regclass AND seqincrement > 0) q WHERE m.v > s.last_value AND m.v > q.most - q.most / 1000",
	        c->quoted, t->ready, c->sequence, most, literal);
	_cleanup(free) char *key = NULL;
	int r = pg_session_value(x->session, sql, &key, err);

	if (r < 0 || !key)
		return r;
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "%s: the key %s=%s is so high that the sequence %s would have hardly any left for others; keys=remap gives new ones",
	        t->label, t->t->columns[column].name, key, c->sequence);
}

static int check_sequences(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++)
		for (size_t c = 0; r == 0 && c < x->tables[i].t->column_count; c++)
			if (import_has_rows(&x->tables[i]) && is_numbered_target(&x->tables[i], c))
				r = check_sequence(x, &x->tables[i], c, err);
	return r;
}

static int advance_sequences(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++)
		for (size_t c = 0; r == 0 && c < x->tables[i].t->column_count; c++)
			if (import_has_rows(&x->tables[i]) && is_numbered_target(&x->tables[i], c))
				r = import_advance(x, &x->tables[i].columns[c], x->tables[i].ready, err);
	return r;
}

static int refuse_insert(const struct pg_import *x, struct error *err)
{
	if (x->found.clashes > 0)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "%zu clashes with what the target has: the lines that begin with \"clash\" say which, and what mends each",
		        x->found.clashes);
	return error_set(
	        err, ERROR_CONFLICT, EEXIST,
	        "the tenant %s is in the target already, with other rows (%s): name a new one with tenant=, or bring the one that is there back to what the file has",
	        import_salt(x), str_text(&x->trouble));
}

int pg_import_insert(struct pg_import *x, uint64_t *ret_rows, struct error *err)
{
	uint64_t rows = x->found.rows;
	int r;

	if (!x->is_planned)
		return error_set(err, ERROR_INTERNAL, EINVAL,
		                 "an import is planned before anything is inserted");
	if (!x->found.same &&
	    (x->found.clashes > 0 || (x->found.tenant && x->source->tenancy == TENANCY_COLUMN)))
		return refuse_insert(x, err);
	if (x->found.same)
		rows = 0;
	r = rows > 0 ? import_new_tenant(x, err) : 0;
	if (r == 0 && rows > 0)
		r = import_fill_maps(x, false, err);
	if (r == 0 && rows > 0)
		r = import_make_ready(x, err);
	if (r == 0 && rows > 0)
		r = check_sequences(x, err);
	if (r == 0 && rows > 0)
		r = insert_all(x, err);
	if (r == 0 && rows > 0)
		r = advance_sequences(x, err);
	if (r < 0)
		return r;
	x->is_inserted = rows > 0;
	if (ret_rows)
		*ret_rows = rows;
	return 0;
}
