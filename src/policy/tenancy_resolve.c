// SPDX-License-Identifier: Apache-2.0
/* Soft references: their names, found in the model. What is not there is said with what there is. */
#include "tenancy_private.h"

#include <keepfs/base/mem.h>

#include <string.h>

#define LISTED_TABLES 15

static void append_tables_there_are(struct str *s, const struct tenancy_model *m)
{
	size_t count = 0;

	for (size_t i = 0; i < m->table_count; i++) {
		if (m->tables[i].is_partition || ++count > LISTED_TABLES)
			continue;
		str_append(s, count > 1 ? ", " : "");
		policy_append_table(s, &m->tables[i]);
	}
	if (count > LISTED_TABLES)
		str_appendf(s, " and %zu more", count - LISTED_TABLES);
	if (count == 0)
		str_append(s, "none at all");
}

static int no_table(const struct tenancy_work *w, const char *rule, const char *table, struct error *err)
{
	_cleanup(str) struct str there_are = {0}, name = {0};

	policy_append_word(&name, table);
	append_tables_there_are(&there_are, w->model);
	return policy_refuse(err, "%s: there is no table %s; there are %s", rule, str_text(&name),
	                     str_text(&there_are));
}

static int several_tables(const struct tenancy_work *w, const char *rule, const char *table,
                          struct error *err)
{
	_cleanup(str) struct str they = {0};

	for (size_t i = 0; i < w->model->table_count && they.len < sizeof(err->message) / 2; i++) {
		if (!str_equal(w->model->tables[i].name, table))
			continue;
		str_append(&they, they.len ? ", " : "");
		policy_append_table(&they, &w->model->tables[i]);
	}
	return policy_refuse(err, "%s: there are several tables of this name: %s; name the schema as well",
	                     rule, str_text(&they));
}

/* A name without a schema is first looked for in the tenant's own one. */
static ssize_t find_named_table(const struct tenancy_work *w, const char *schema, const char *table)
{
	if (!schema && w->rules->kind == TENANCY_SCHEMA) {
		ssize_t own = tenancy_find_table(w->model, w->schema, table);

		if (own >= 0)
			return own;
	}
	return tenancy_find_table(w->model, schema, table);
}

int tenancy_no_column(const char *rule, const struct tenancy_table *t, const char *column, struct error *err)
{
	_cleanup(str) struct str table = {0}, name = {0}, there_are = {0};

	policy_append_table(&table, t);
	policy_append_word(&name, column);
	policy_append_columns(&there_are, t);
	return policy_refuse(err, "%s: %s has no column %s; it has %s", rule, str_text(&table),
	                     str_text(&name), str_text(&there_are));
}

int tenancy_resolve_name(const struct tenancy_work *w, const char *rule, const struct policy_name *n,
                         uint32_t *ret_table, uint32_t *ret_column, struct error *err)
{
	const char *table_name = n->parts[n->count - 2];
	ssize_t table = find_named_table(w, n->count > 2 ? n->parts[0] : NULL, table_name), column;
	const struct tenancy_table *t;

	if (table < 0)
		return table == -1 ? no_table(w, rule, table_name, err)
		                   : several_tables(w, rule, table_name, err);
	t = &w->model->tables[table];
	if (t->is_partition)
		return policy_refuse(
		        err, "%s: this table is a partition; name the table that it is a part of", rule);
	column = tenancy_find_column(t, n->parts[n->count - 1]);
	if (column < 0)
		return tenancy_no_column(rule, t, n->parts[n->count - 1], err);
	*ret_table = (uint32_t)table;
	*ret_column = (uint32_t)column;
	return 0;
}

static bool is_json(const struct tenancy_column *c)
{
	return str_equal(c->base_type, "json") || str_equal(c->base_type, "jsonb");
}

/* Its keys move to @ret. */
static int resolve_value(const char *rule, const struct tenancy_table *t, uint32_t column,
                         struct reference_operand *o, struct tenancy_operand *ret, struct error *err)
{
	const struct tenancy_column *c = &t->columns[column];
	_cleanup(str) struct str name = {0};

	policy_append_word(&name, c->name);
	if (o->path_count > 0 && !is_json(c))
		return policy_refuse(err, "%s: the column %s is no json: it is %s", rule, str_text(&name),
		                     c->type);
	*ret = (struct tenancy_operand){column, take_ptr(&o->path), o->path_count};
	o->path_count = 0;
	return 0;
}

static int resolve_side(struct tenancy_work *w, const char *rule, struct reference_operand *o,
                        uint32_t *ret_table, struct tenancy_operand *ret, struct error *err)
{
	uint32_t column = 0;
	int r = tenancy_resolve_name(w, rule, &o->name, ret_table, &column, err);

	return r < 0 ? r : resolve_value(rule, &w->model->tables[*ret_table], column, o, ret, err);
}

static int resolve_tests(struct tenancy_work *w, const char *rule, struct reference *from,
                         struct tenancy_soft *ret, struct error *err)
{
	const struct tenancy_table *t = &w->model->tables[ret->from];
	int r = 0;

	ret->tests = mem_array(from->test_count, sizeof(*ret->tests));
	for (size_t i = 0; i < from->test_count && r == 0; i++) {
		struct reference_test *test = &from->tests[i];
		ssize_t column = tenancy_find_column(t, test->of.name.parts[0]);

		if (column < 0)
			return tenancy_no_column(rule, t, test->of.name.parts[0], err);
		ret->test_count++;
		ret->tests[i].value = take_ptr(&test->value);
		r = resolve_value(rule, t, (uint32_t)column, &test->of, &ret->tests[i].of, err);
	}
	return r;
}

static int resolve_reference(struct tenancy_work *w, const char *text, struct error *err)
{
	struct tenancy_soft *soft = &w->plan->softs[w->plan->soft_count++];
	_cleanup(reference) struct reference parsed = {0};
	_cleanup(str) struct str rule = {0};
	const char *problem = reference_parse(text, &parsed);
	int r;

	if (problem)
		return policy_bad_rule(err, "references", text, problem);
	str_append(&rule, "references: \"");
	str_append_line(&rule, text);
	str_append_char(&rule, '"');
	r = resolve_side(w, str_text(&rule), &parsed.from, &soft->from, &soft->from_value, err);
	if (r == 0)
		r = resolve_side(w, str_text(&rule), &parsed.to, &soft->to, &soft->to_value, err);
	return r == 0 ? resolve_tests(w, str_text(&rule), &parsed, soft, err) : r;
}

int tenancy_resolve_references(struct tenancy_work *w, struct error *err)
{
	char *const *references = w->rules->references;
	size_t count = 0;
	int r = 0;

	while (references && references[count])
		count++;
	w->plan->softs = mem_array(count, sizeof(*w->plan->softs));
	for (size_t i = 0; i < count && r == 0; i++)
		r = resolve_reference(w, references[i], err);
	return r;
}
