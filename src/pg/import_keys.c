// SPDX-License-Identifier: Apache-2.0
/*
 * Keys that get new values. A map is a temporary table, old and new value, for each column of a primary key that is no reference itself and is numbered by a
 * sequence, or is a uuid. Rows are then written anew, once, with what the maps say; whatever refers to such a column has its map, through as many
 * references as it takes.
 *
 * A repeated import finds the same rows again: uuids follow from the old ones, and numbers were given in the order of the old ones, so that the first of the
 * file is the first of the target, and so on. Whether these are in truth the same rows is seen when all values are compared.
 */
#include "import.h"

#include <keepfs/base/mem.h>

#include <errno.h>

/* Choosing. */

static bool is_reference(const struct pg_import *x, const struct import_table *t, size_t column)
{
	for (size_t i = 0; i < x->model.key_count; i++) {
		const struct tenancy_key *k = &x->model.keys[i];

		for (size_t c = 0; k->from == t->model && c < k->count; c++)
			if (k->from_columns[c] == column)
				return true;
	}
	return false;
}

static bool is_integer(const struct tenancy_column *c)
{
	return str_equal(c->base_type, "bigint") || str_equal(c->base_type, "integer") ||
	       str_equal(c->base_type, "smallint");
}

static int add_map(struct pg_import *x, size_t table, size_t column)
{
	struct import_table *t = &x->tables[table];
	struct import_map *m;

	x->maps = mem_resize(x->maps, x->map_count + 1, sizeof(*x->maps));
	m = &x->maps[x->map_count];
	*m = (struct import_map){.table = table,
	                         .column = column,
	                         .name = mem_printf("pg_temp.keepfs_map_%zu", x->map_count),
	                         .is_uuid = str_equal(t->t->columns[column].base_type, "uuid")};
	return (int)x->map_count++;
}

static void choose_own_maps(struct pg_import *x, size_t table)
{
	struct import_table *t = &x->tables[table];

	for (size_t i = 0; i < t->t->primary_key_count; i++) {
		size_t column = t->t->primary_key[i];
		const struct tenancy_column *of = &t->t->columns[column];
		struct import_column *c = &t->columns[column];
		bool numbered = is_integer(of) && c->sequence;

		if (c->is_there && !c->is_set && !c->is_tenant && !is_reference(x, t, column) &&
		    (numbered || str_equal(of->base_type, "uuid")))
			c->map = add_map(x, table, column);
	}
}

/* The tenants' own key where the file has it, else any column that has the tenant's. */
static void choose_tenant_map(struct pg_import *x)
{
	for (size_t i = 0; i < x->table_count && x->tenant_map < 0; i++) {
		const struct import_table *t = &x->tables[x->self >= 0 ? (size_t)x->self : i];

		if (t->role == IMPORT_OWN && t->d->verdict == TENANCY_EXPORTED && t->d->tenant_column >= 0)
			x->tenant_map = add_map(x, (size_t)(t - x->tables), (size_t)t->d->tenant_column);
	}
	if (x->tenant_map >= 0)
		x->maps[x->tenant_map].is_tenant = true;
}

void import_choose_maps(struct pg_import *x)
{
	if (x->source->tenancy != TENANCY_COLUMN || (!x->remaps && !x->options->id))
		return;
	choose_tenant_map(x);
	for (size_t i = 0; x->remaps && i < x->table_count; i++)
		if (x->tables[i].role == IMPORT_OWN && x->tables[i].d->verdict == TENANCY_EXPORTED)
			choose_own_maps(x, i);
}

static int follow_references(const struct pg_import *x, size_t table, size_t column, size_t depth)
{
	const struct import_table *t = &x->tables[table];

	if (t->columns[column].is_set || depth > x->table_count)
		return -1;
	if (t->columns[column].map >= 0)
		return t->columns[column].map;
	if (t->columns[column].is_tenant && t->role == IMPORT_OWN)
		return x->tenant_map;
	for (size_t i = 0; i < x->model.key_count; i++) {
		const struct tenancy_key *k = &x->model.keys[i];

		for (size_t c = 0; k->from == t->model && c < k->count; c++) {
			int to = x->by_model[k->to], map = -1;

			if (k->from_columns[c] == column && to >= 0 &&
			    ((size_t)to != table || k->to_columns[c] != column))
				map = follow_references(x, (size_t)to, k->to_columns[c], depth + 1);
			if (map >= 0)
				return map;
		}
	}
	return -1;
}

int import_map_of(const struct pg_import *x, size_t table, size_t column)
{
	return x->map_count > 0 ? follow_references(x, table, column, 0) : -1;
}

/* The tenant. */

static void set_conditions(struct pg_import *x)
{
	for (size_t i = 0; i < x->table_count; i++) {
		struct import_table *t = &x->tables[i];
		struct str sql = {0};

		if (t->d->verdict != TENANCY_EXPORTED)
			continue;
		tenancy_append_condition(&x->model, &x->plan, t->d, "t", x->tenant, &sql);
		free(t->condition);
		t->condition = str_take(&sql);
	}
}

static int find_by_slug(struct pg_import *x, char **ret, struct error *err)
{
	const struct import_table *t = &x->tables[x->self];
	_cleanup(free) char *literal = pg_quote_literal(import_salt(x));
	_cleanup(free) char *sql = NULL;

	if (x->slug_column < 0 && import_slug_is_key(x))
		*ret = mem_strdup(import_salt(x));
	if (x->slug_column < 0)
		return 0;
	sql = mem_printf("SELECT t.%s::pg_catalog.text FROM %s t WHERE t.%s::pg_catalog.text = %s",
	                 t->columns[t->d->tenant_column].quoted, t->from, t->columns[x->slug_column].quoted,
	                 literal);
	return pg_session_value(x->session, sql, ret, err);
}

int import_find_tenant(struct pg_import *x, struct error *err)
{
	bool kept = x->source->tenancy != TENANCY_COLUMN || !x->remaps;
	const char *known = x->options->id ? x->options->id : kept ? x->source->id : NULL;
	int r = 0;

	if (known)
		x->tenant = mem_strdup(known);
	else if (x->self >= 0)
		r = find_by_slug(x, &x->tenant, err);
	else
		r = error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the file has no row of the tenants' own table, so the key of a new tenant has to be said: tenant-id=, of a tenant that is there");
	if (r == 0 && x->tenant)
		set_conditions(x);
	return r;
}

/* RFC 9562, version 8: what is in it is ours to say. */
static void append_new_uuid(const struct pg_import *x, const char *old, struct str *sql)
{
	_cleanup(free) char *salt = mem_printf("keepfs %s ", import_salt(x));
	_cleanup(free) char *literal = pg_quote_literal(salt);

	str_appendf(
	        sql,
	        "(SELECT pg_catalog.concat(pg_catalog.left(h, 12), '8', pg_catalog.substr(h, 14, 3), '8', pg_catalog.substr(h, 18, 15))"
	        " FROM (SELECT pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to(%s || %s::pg_catalog.text, 'UTF8')), 'hex') AS h) h)::pg_catalog.uuid",
	        literal, old);
}

int import_new_tenant(struct pg_import *x, struct error *err)
{
	const struct import_table *t = x->self < 0 ? NULL : &x->tables[x->self];
	const struct import_column *c = t ? &t->columns[t->d->tenant_column] : NULL;
	_cleanup(free) char *old = pg_quote_literal(x->source->id);
	_cleanup(str) struct str sql = {0};
	int r = 0;

	if (x->tenant)
		return 0;
	str_append(&sql, "SELECT ");
	if (c && c->sequence && is_integer(&t->t->columns[t->d->tenant_column])) {
		_cleanup(free) char *sequence = pg_quote_literal(c->sequence);

		r = import_advance(x, c, t->from, err);
		str_appendf(&sql, "pg_catalog.nextval(%s)", sequence);
	} else if (c && str_equal(t->t->columns[t->d->tenant_column].base_type, "uuid")) {
		append_new_uuid(x, old, &sql);
	} else {
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the key of a new tenant has to be said: tenant-id=; nothing in the target numbers its tenants");
	}
	if (r == 0)
		r = pg_session_value(x->session, str_text(&sql), &x->tenant, err);
	if (r == 0)
		set_conditions(x);
	return r;
}

/* Filling. */

static int make_key_map(struct pg_import *x, const struct import_map *m, struct error *err)
{
	const struct import_table *t = &x->tables[m->table];
	const char *column = t->columns[m->column].quoted;
	_cleanup(free) char *sql = mem_printf(
	        "CREATE TEMPORARY TABLE %s ON COMMIT DROP AS SELECT %s AS old, %s AS new FROM %s WITH NO DATA",
	        m->name + sizeof("pg_temp.") - 1, column, column, t->relation);

	return import_ask(x, sql, err);
}

static void append_numbers(const struct pg_import *x, const struct import_map *m, struct str *sql)
{
	const struct import_table *t = &x->tables[m->table];
	_cleanup(free) char *sequence = pg_quote_literal(t->columns[m->column].sequence);

	str_appendf(sql,
	            "o.old, pg_catalog.nextval(%s) FROM (SELECT DISTINCT s.%s AS old FROM %s s ORDER BY 1) o",
	            sequence, t->columns[m->column].quoted, t->stage);
}

/* The first of the file is the first of the target. */
static void append_living_numbers(const struct pg_import *x, const struct import_map *m, struct str *sql)
{
	const struct import_table *t = &x->tables[m->table];
	const char *column = t->columns[m->column].quoted;

	str_appendf(
	        sql,
	        "o.v, n.v FROM (SELECT v, pg_catalog.row_number() OVER (ORDER BY v) AS n FROM (SELECT DISTINCT s.%s AS v FROM %s s) s) o"
	        " JOIN (SELECT v, pg_catalog.row_number() OVER (ORDER BY v) AS n FROM (SELECT DISTINCT t.%s AS v FROM ",
	        column, t->stage, column);
	import_append_living(t, sql);
	str_append(sql, " t) t) n ON n.n = o.n");
}

static void append_map_rows(const struct pg_import *x, const struct import_map *m, bool there,
                            struct str *sql)
{
	const struct import_table *t = &x->tables[m->table];
	_cleanup(free) char *old = pg_quote_literal(x->source->id), *new = pg_quote_literal(x->tenant);
	_cleanup(free) char *column = mem_printf("o.%s", t->columns[m->column].quoted);

	if (m->is_tenant) {
		str_appendf(sql, "INSERT INTO %s (old, new) VALUES (%s, %s)", m->name, old, new);
		return;
	}
	str_appendf(sql, "INSERT INTO %s (old, new) SELECT ", m->name);
	if (m->is_uuid) {
		str_appendf(sql, "%s, ", column);
		/* Where it comes from, the tenant has the old ones. */
		if (there) {
			str_appendf(sql, "COALESCE((SELECT t.%s FROM ", t->columns[m->column].quoted);
			import_append_living(t, sql);
			str_appendf(sql, " t WHERE t.%s = %s LIMIT 1), ", t->columns[m->column].quoted,
			            column);
		}
		append_new_uuid(x, column, sql);
		str_append(sql, there ? ")" : "");
		str_appendf(sql, " FROM (SELECT DISTINCT s.%s FROM %s s) o", t->columns[m->column].quoted,
		            t->stage);
	} else if (there) {
		append_living_numbers(x, m, sql);
	} else {
		append_numbers(x, m, sql);
	}
}

static int fill_map(struct pg_import *x, const struct import_map *m, bool there, struct error *err)
{
	const struct import_table *t = &x->tables[m->table];
	_cleanup(str) struct str sql = {0};
	int r = make_key_map(x, m, err);

	if (r == 0 && !there && !m->is_tenant && !m->is_uuid)
		r = import_advance(x, &t->columns[m->column], t->from, err);
	if (r < 0 || (t->file->rows == 0 && !m->is_tenant))
		return r;
	append_map_rows(x, m, there, &sql);
	str_appendf(
	        &sql,
	        "; CREATE UNIQUE INDEX ON %s (old); CREATE INDEX ON %s ((old::pg_catalog.text)); ANALYZE %s",
	        m->name, m->name, m->name);
	return import_ask(x, str_text(&sql), err);
}

int import_fill_maps(struct pg_import *x, bool there, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->map_count; i++)
		r = fill_map(x, &x->maps[i], there, err);
	return r;
}
