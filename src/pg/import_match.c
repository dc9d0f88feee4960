// SPDX-License-Identifier: Apache-2.0
/*
 * The tables of the target, held against those of the file. Whose rows are whose is decided by the rules of exports (policy/tenancy.h), which are made anew here from what
 * the file says of each table: so the conditions that say which rows an export has also say which rows of the target are the tenant's.
 */
#include "import.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <inttypes.h>

/* Where the file's table lies in the target. */
static const char *target_schema(const struct pg_import *x, const char *schema)
{
	bool own = x->source->tenancy == TENANCY_SCHEMA && str_equal(schema, x->source->schema);

	return own && x->options->schema ? x->options->schema : schema;
}

static char *quoted_relation(const char *schema, const char *name)
{
	struct str s = {0};

	sql_append_name(&s, schema);
	str_append_char(&s, '.');
	sql_append_name(&s, name);
	return str_take(&s);
}

static enum import_role import_role_of(const struct pg_import *x, const struct pg_import_table *f)
{
	if (f->way == TENANCY_BY_REFERRED)
		return IMPORT_REFERRED;
	if (f->way != TENANCY_WHOLE || x->source->tenancy == TENANCY_DATABASE)
		return IMPORT_OWN;
	return x->source->tenancy == TENANCY_SCHEMA && str_equal(f->schema, x->source->schema)
	               ? IMPORT_OWN
	               : IMPORT_SHARED;
}

static int refuse_missing_table(const char *schema, const struct pg_import_table *f, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "the target has no table %s.%s, of which the file has %" PRIu64
	        " rows: load the schema first (with the application's migrations), the rows come into it then",
	        schema, f->name, f->rows);
}

static int refuse_kind(const struct tenancy_table *t, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s.%s is %s in the target: rows cannot be brought into it", t->schema, t->name,
	                 t->kind == 'f'   ? "a foreign table"
	                 : t->kind == 'm' ? "a materialized view"
	                                  : "a partition of another table");
}

static int match_table(struct pg_import *x, size_t place, struct error *err)
{
	const struct pg_import_table *f = &x->source->tables[place];
	const char *schema = target_schema(x, f->schema);
	ssize_t found = tenancy_find_table(&x->model, schema, f->name);
	const struct tenancy_table *t = found < 0 ? NULL : &x->model.tables[found];

	x->by_file[place] = SIZE_MAX;
	if (!t && f->rows > 0)
		return refuse_missing_table(schema, f, err);
	if (!t) {
		import_say(x, "%s.%s is not in the target, and the file has no rows of it", schema, f->name);
		return 0;
	}
	if (t->is_partition || t->kind == 'f' || t->kind == 'm')
		return refuse_kind(t, err);
	x->by_file[place] = x->table_count;
	x->by_model[found] = (int)x->table_count;
	x->tables[x->table_count++] =
	        (struct import_table){.file = f, .model = (uint32_t)found, .role = import_role_of(x, f)};
	return 0;
}

static int match_tables(struct pg_import *x, struct error *err)
{
	int r = 0;

	x->tables = mem_array(x->source->table_count + 1, sizeof(*x->tables));
	x->by_file = mem_array(x->source->table_count + 1, sizeof(*x->by_file));
	x->by_model = mem_array(x->model.table_count + 1, sizeof(*x->by_model));
	for (size_t i = 0; i < x->model.table_count; i++)
		x->by_model[i] = -1;
	for (size_t i = 0; r == 0 && i < x->source->table_count; i++)
		r = match_table(x, i, err);
	return r;
}

/* Foreign keys. A reference that the source had counts in the target, too, whether that has the constraint or not: else keys in it would stay those of
 * the source. */

static bool has_key(const struct tenancy_model *m, const struct tenancy_key *wanted)
{
	for (size_t i = 0; i < m->key_count; i++) {
		const struct tenancy_key *k = &m->keys[i];
		size_t same = 0;

		if (k->from != wanted->from || k->to != wanted->to || k->count != wanted->count)
			continue;
		for (size_t a = 0; a < k->count; a++)
			for (size_t b = 0; b < k->count; b++)
				same += k->from_columns[a] == wanted->from_columns[b] &&
				        k->to_columns[a] == wanted->to_columns[b];
		if (same >= k->count)
			return true;
	}
	return false;
}

static bool find_key_columns(const struct tenancy_table *t, const char *const *names, size_t count,
                             uint32_t *places)
{
	for (size_t i = 0; i < count; i++) {
		ssize_t place = tenancy_find_column(t, names[i]);

		if (place < 0)
			return false;
		places[i] = (uint32_t)place;
	}
	return true;
}

static void add_file_key(struct pg_import *x, const struct import_table *t, const struct pg_import_key *f)
{
	struct tenancy_model *m = &x->model;
	ssize_t to = tenancy_find_table(m, target_schema(x, f->schema), f->table);
	_cleanup(free) uint32_t *from_columns = mem_array(f->count + 1, sizeof(*from_columns));
	_cleanup(free) uint32_t *to_columns = mem_array(f->count + 1, sizeof(*to_columns));
	struct tenancy_key key = {.from = t->model, .to = (uint32_t)to, .count = f->count};

	if (to < 0 || !find_key_columns(&m->tables[t->model], f->columns, f->count, from_columns) ||
	    !find_key_columns(&m->tables[to], f->references, f->count, to_columns))
		return;
	key.from_columns = from_columns;
	key.to_columns = to_columns;
	if (has_key(m, &key))
		return;
	key.name = mem_strdup("of the file");
	m->keys = mem_resize(m->keys, m->key_count + 1, sizeof(*m->keys));
	m->keys[m->key_count++] = key;
	take_ptr(&from_columns);
	take_ptr(&to_columns);
}

static void add_file_keys(struct pg_import *x)
{
	for (size_t i = 0; i < x->table_count; i++)
		for (size_t k = 0; k < x->tables[i].file->key_count; k++)
			add_file_key(x, &x->tables[i], &x->tables[i].file->keys[k]);
}

/* Rules. */

struct rule_lists {
	struct names columns, shared, referred, excluded, references;
	char *tenant_table; /* heap; NULL */
};

static void rule_lists_finish(struct rule_lists *l)
{
	names_finish(&l->columns);
	names_finish(&l->shared);
	names_finish(&l->referred);
	names_finish(&l->excluded);
	names_finish(&l->references);
	free(l->tenant_table);
}

static inline void cleanup_rule_lists(struct rule_lists *l)
{
	rule_lists_finish(l);
}

/* NULL ends a list, and "" never names anything. */
static char *const *rule_list(struct names *n)
{
	if (n->count == 0)
		return NULL;
	n->items = mem_resize(n->items, n->count + 1, sizeof(*n->items));
	n->items[n->count] = NULL;
	return n->items;
}

static char *quoted_tenant_column(const struct tenancy_table *t, const char *column)
{
	_cleanup(free) char *relation = quoted_relation(t->schema, t->name);
	struct str s = {0};

	str_appendf(&s, "%s.", relation);
	sql_append_name(&s, column);
	return str_take(&s);
}

static int refuse_no_tenant_column(const struct import_table *t, const struct tenancy_table *of,
                                   struct error *err)
{
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "the file does not say by which column rows of %s.%s are the tenant's, or the target has no column %s",
	        of->schema, of->name, str_or_empty(t->file->tenant_column));
}

static int list_tenant_column(struct pg_import *x, const struct import_table *t, struct rule_lists *l,
                              struct error *err)
{
	const struct tenancy_table *of = &x->model.tables[t->model];
	const char *column = t->file->tenant_column;
	_cleanup(free) char *quoted = column ? quoted_tenant_column(of, column) : NULL;

	if (t->file->way != TENANCY_BY_COLUMN && t->file->way != TENANCY_BY_SELF)
		return 0;
	if (!column || tenancy_find_column(of, column) < 0)
		return refuse_no_tenant_column(t, of, err);
	if (t->file->way == TENANCY_BY_COLUMN)
		names_add(&l->columns, quoted);
	else
		mem_replace_string(&l->tenant_table, quoted);
	return 0;
}

static int list_rules(struct pg_import *x, struct rule_lists *l, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < x->model.table_count && r == 0; i++) {
		const struct tenancy_table *of = &x->model.tables[i];
		const struct import_table *t = x->by_model[i] < 0 ? NULL : &x->tables[x->by_model[i]];
		_cleanup(free) char *relation = quoted_relation(of->schema, of->name);

		if (!t && !of->is_partition)
			names_add(&l->excluded, relation);
		if (t && t->role == IMPORT_SHARED)
			names_add(&l->shared, relation);
		if (t && t->role == IMPORT_REFERRED)
			names_add(&l->referred, relation);
		if (t)
			r = list_tenant_column(x, t, l, err);
	}
	for (size_t i = 0; x->source->references && x->source->references[i]; i++)
		names_add(&l->references, x->source->references[i]);
	for (size_t i = 0; x->options->references && x->options->references[i]; i++)
		if (!names_has(&l->references, x->options->references[i]))
			names_add(&l->references, x->options->references[i]);
	return r;
}

static int decide_import(struct pg_import *x, struct error *err)
{
	_cleanup(rule_lists) struct rule_lists l = {0};
	struct tenancy_rules rules = {.kind = x->source->tenancy};
	int r = list_rules(x, &l, err);

	if (r < 0)
		return r;
	rules.tenant_columns = rule_list(&l.columns);
	rules.tenant_table = l.tenant_table;
	rules.shared = rule_list(&l.shared);
	rules.referred = rule_list(&l.referred);
	rules.excluded = rule_list(&l.excluded);
	rules.references = rule_list(&l.references);
	r = tenancy_decide(&x->model, &rules, x->source->schema ? target_schema(x, x->source->schema) : NULL,
	                   &x->plan, err);
	if (r < 0)
		error_prefix(err, "whose rows are whose in the target");
	return r;
}

/* Tables, in the order in which rows can be inserted. */

static void name_import_table(struct pg_import *x, struct import_table *t, size_t place)
{
	t->t = &x->model.tables[t->model];
	t->d = &x->plan.decisions[x->plan.decision_of[t->model]];
	t->label = mem_printf("%s.%s", t->t->schema, t->t->name);
	t->relation = quoted_relation(t->t->schema, t->t->name);
	t->from = mem_printf("%s%s", t->t->kind == 'r' ? "ONLY " : "", t->relation);
	t->stage = mem_printf("pg_temp.keepfs_import_%zu", place);
	t->ready = t->stage;
}

static void order_tables(struct pg_import *x)
{
	struct import_table *ordered = mem_array(x->table_count + 1, sizeof(*ordered));
	_cleanup(free) size_t *moved = mem_array(x->table_count + 1, sizeof(*moved));
	size_t count = 0;

	for (size_t i = 0; i < x->plan.count; i++) {
		int place = x->by_model[x->plan.decisions[i].table];

		if (place < 0)
			continue;
		moved[place] = count;
		ordered[count] = x->tables[place];
		x->by_model[x->plan.decisions[i].table] = (int)count++;
	}
	for (size_t i = 0; i < x->source->table_count; i++)
		if (x->by_file[i] != SIZE_MAX)
			x->by_file[i] = moved[x->by_file[i]];
	free(x->tables);
	x->tables = ordered;
	for (size_t i = 0; i < x->table_count; i++)
		name_import_table(x, &x->tables[i], i);
}

static int check_decided(struct pg_import *x, struct import_table *t, struct error *err)
{
	bool decided = t->d->verdict == TENANCY_EXPORTED;

	if (!decided && t->file->rows == 0)
		t->is_there = true;
	if (decided || t->file->rows == 0)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "of %s the target does not tell whose its rows are, as the source did: %s; a foreign key of the source may be missing in the target",
	        t->label, str_or_empty(t->d->reason));
}

static int check_row_security(const struct import_table *t, struct error *err)
{
	if (!t->file->row_security || t->t->has_row_security || t->file->rows == 0)
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "row level security was enabled on %s where the data come from, and is not in the target, where everybody would see these rows: ALTER TABLE %s ENABLE ROW LEVEL SECURITY, with its policies (the schema of the target is not complete)",
	        t->label, t->relation);
}

static int match_each(struct pg_import *x, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < x->table_count; i++) {
		struct import_table *t = &x->tables[i];

		r = check_decided(x, t, err);
		if (r == 0)
			r = check_row_security(t, err);
		if (r == 0)
			r = import_match_columns(x, t, err);
		if (r == 0)
			r = import_check_own(x, t, err);
		if (t->file->way == TENANCY_BY_SELF && t->d->verdict == TENANCY_EXPORTED)
			x->self = (int)i;
	}
	return r;
}

static int check_import_options(struct pg_import *x, struct error *err)
{
	const struct pg_import_options *o = x->options;
	bool by_column = x->source->tenancy == TENANCY_COLUMN;

	x->remaps = o->keys == PG_IMPORT_KEYS_REMAPPED || (o->keys == PG_IMPORT_KEYS_DEFAULT && o->slug);
	if (by_column)
		return o->schema
		               ? error_set(
		                         err, ERROR_USAGE, EINVAL,
		                         "schema= is for tenants that have schemas of their own, and those of this file share tables")
		               : 0;
	x->remaps = false;
	if (o->keys == PG_IMPORT_KEYS_REMAPPED || o->id || o->slug || o->name)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the tenants of this file have %s of their own: %s, and nothing in the rows tells whose they are, so tenant=, tenant-id=, name= and keys=remap make no sense",
		        x->source->tenancy == TENANCY_SCHEMA ? "schemas" : "databases",
		        x->source->tenancy == TENANCY_SCHEMA ? "say schema=NAME"
		                                             : "name the target's database");
	return 0;
}

int import_match(struct pg_import *x, struct error *err)
{
	int r = check_import_options(x, err);

	if (r == 0)
		r = match_tables(x, err);
	if (r < 0)
		return r;
	import_decide_own(x);
	add_file_keys(x);
	r = decide_import(x, err);
	if (r < 0)
		return r;
	order_tables(x);
	r = import_check_settings(x, err);
	if (r == 0)
		r = match_each(x, err);
	if (r == 0)
		import_choose_maps(x);
	return r;
}
