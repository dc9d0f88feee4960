// SPDX-License-Identifier: Apache-2.0
/* The tenants' columns, and the table of the tenants. */
#include "tenancy_private.h"

#include <keepfs/base/mem.h>

#include <string.h>

#define LISTED_CANDIDATES 5

/* "org_id": of any table that has it. */

static void note_column(struct tenancy_seat *seat, int column)
{
	if (seat->is_named || seat->column == column)
		return;
	if (seat->column < 0)
		seat->column = column;
	else
		seat->other_column = column;
}

static size_t note_column_everywhere(struct tenancy_work *w, const char *name)
{
	size_t count = 0;

	for (size_t i = 0; i < w->model->table_count; i++) {
		const struct tenancy_table *t = &w->model->tables[i];
		ssize_t column = tenancy_find_column(t, name);

		if (column < 0 || t->is_partition)
			continue;
		count++;
		note_column(&w->seats[i], (int)column);
	}
	return count;
}

struct candidate { /* a column that several tables have */
	const char *name;
	size_t tables;
};

static int by_candidate_name(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int by_tables(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return x->tables != y->tables ? (x->tables < y->tables) - (x->tables > y->tables)
	                              : by_candidate_name(a, b);
}

/* All names of columns that end like those of references. The tables are counted afterwards. */
static struct candidate *candidates(const struct tenancy_model *m, size_t *ret_count)
{
	struct candidate *list = NULL;
	size_t count = 0;

	for (size_t i = 0; i < m->table_count; i++) {
		const struct tenancy_table *t = &m->tables[i];

		for (size_t c = 0; c < t->column_count && !t->is_partition; c++) {
			if (!str_ends(t->columns[c].name, "_id") && !str_ends(t->columns[c].name, "Id"))
				continue;
			list = mem_resize(list, count + 1, sizeof(*list));
			list[count++] = (struct candidate){t->columns[c].name, 1};
		}
	}
	*ret_count = count;
	return list;
}

static size_t unite_candidates(struct candidate *list, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		if (kept > 0 && str_equal(list[kept - 1].name, list[i].name))
			list[kept - 1].tables++;
		else
			list[kept++] = list[i];
	}
	return kept;
}

static void append_candidates(struct str *s, const struct tenancy_model *m)
{
	size_t count;
	_cleanup(free) struct candidate *list = candidates(m, &count);

	if (count == 0) {
		str_append(s, "no name of a column ends with _id");
		return;
	}
	qsort(list, count, sizeof(*list), by_candidate_name);
	count = unite_candidates(list, count);
	qsort(list, count, sizeof(*list), by_tables);
	str_append(s, "names of many columns are ");
	for (size_t i = 0; i < count && i < LISTED_CANDIDATES; i++) {
		str_append(s, i ? ", " : "");
		policy_append_word(s, list[i].name);
		str_appendf(s, " (of %zu)", list[i].tables);
	}
}

static int no_such_tenant_column(const struct tenancy_work *w, const char *name, struct error *err)
{
	_cleanup(str) struct str there_are = {0}, shown = {0};

	policy_append_word(&shown, name);
	append_candidates(&there_are, w->model);
	return policy_refuse(err, "tenant_column: no table has a column %s; %s", str_text(&shown),
	                     str_text(&there_are));
}

static int two_columns(const struct tenancy_table *t, int first, int second, struct error *err)
{
	_cleanup(str) struct str table = {0}, a = {0}, b = {0};

	policy_append_table(&table, t);
	policy_append_word(&a, t->columns[first].name);
	policy_append_word(&b, t->columns[second].name);
	return policy_refuse(err,
	                     "tenant_column: %s has both %s and %s; say which one tells the tenant: %s.%s",
	                     str_text(&table), str_text(&a), str_text(&b), str_text(&table), str_text(&a));
}

static int resolve_named_column(struct tenancy_work *w, const char *text, const struct policy_name *n,
                                struct error *err)
{
	_cleanup(str) struct str rule = {0};
	uint32_t table, column;
	struct tenancy_seat *seat;
	int r;

	str_append(&rule, "tenant_column: \"");
	str_append_line(&rule, text);
	str_append_char(&rule, '"');
	r = tenancy_resolve_name(w, str_text(&rule), n, &table, &column, err);
	if (r < 0)
		return r;
	seat = &w->seats[table];
	if (seat->is_named && seat->column != (int)column)
		return two_columns(&w->model->tables[table], seat->column, (int)column, err);
	seat->is_named = true;
	seat->column = (int)column;
	seat->other_column = -1;
	return 0;
}

static int resolve_tenant_column(struct tenancy_work *w, const char *text, struct error *err)
{
	_cleanup(policy_name) struct policy_name n = {0};
	const char *problem = policy_name_take_all(text, false, &n);

	if (problem)
		return policy_bad_rule(err, "tenant_column", text, problem);
	if (n.count > 1)
		return resolve_named_column(w, text, &n, err);
	return note_column_everywhere(w, n.parts[0]) > 0 ? 0 : no_such_tenant_column(w, n.parts[0], err);
}

/* The tenants' own table. */

static int resolve_tenant_table(struct tenancy_work *w, struct error *err)
{
	_cleanup(policy_name) struct policy_name n = {0};
	_cleanup(str) struct str rule = {0};
	const char *text = w->rules->tenant_table, *problem = policy_name_take_all(text, false, &n);
	uint32_t table, column;
	int r;

	if (!problem && n.count < 2)
		problem = "must name the table and its key: orgs.id";
	if (problem)
		return policy_bad_rule(err, "tenant_table", text, problem);
	str_append(&rule, "tenant_table: \"");
	str_append_line(&rule, text);
	str_append_char(&rule, '"');
	r = tenancy_resolve_name(w, str_text(&rule), &n, &table, &column, err);
	if (r < 0)
		return r;
	w->self = (int)table;
	w->self_column = (int)column;
	return 0;
}

static bool is_key_of_tenant(const struct tenancy_work *w, const struct tenancy_key *k)
{
	const struct tenancy_seat *from = &w->seats[k->from];

	return k->count == 1 && from->column >= 0 && from->other_column < 0 &&
	       (uint32_t)from->column == k->from_columns[0] && !w->model->tables[k->to].is_partition;
}

static void warn_of_two_tenant_tables(struct tenancy_work *w, uint32_t other)
{
	_cleanup(str) struct str a = {0}, b = {0};

	policy_append_table(&a, &w->model->tables[w->self]);
	policy_append_table(&b, &w->model->tables[other]);
	policy_warn(
	        &w->plan->warnings, &w->plan->warning_count,
	        "foreign keys of tenants' columns lead to %s and to %s, so the tenants' own table is not known; say tenant_table",
	        str_text(&a), str_text(&b));
}

static void find_tenant_table(struct tenancy_work *w)
{
	for (size_t i = 0; i < w->model->key_count; i++) {
		const struct tenancy_key *k = &w->model->keys[i];

		if (!is_key_of_tenant(w, k))
			continue;
		if (w->self >= 0 && (w->self != (int)k->to || w->self_column != (int)k->to_columns[0])) {
			warn_of_two_tenant_tables(w, k->to);
			w->self = -1;
			return;
		}
		w->self = (int)k->to;
		w->self_column = (int)k->to_columns[0];
	}
}

static int resolve_tenant_columns(struct tenancy_work *w, struct error *err)
{
	char *const *columns = w->rules->tenant_columns;
	int r = 0;

	for (size_t i = 0; columns && columns[i] && r == 0; i++)
		r = resolve_tenant_column(w, columns[i], err);
	return r;
}

static int refuse_two_columns(struct tenancy_work *w, struct error *err)
{
	for (size_t i = 0; i < w->model->table_count; i++) {
		const struct tenancy_seat *seat = &w->seats[i];

		if (seat->other_column >= 0 && seat->list == LIST_NONE && w->self != (int)i &&
		    tenancy_is_plain(&w->model->tables[i]))
			return two_columns(&w->model->tables[i], seat->column, seat->other_column, err);
	}
	return 0;
}

int tenancy_resolve_columns(struct tenancy_work *w, struct error *err)
{
	bool has_table = *str_or_empty(w->rules->tenant_table);
	int r;

	if (!has_table && (!w->rules->tenant_columns || !w->rules->tenant_columns[0]))
		return policy_refuse(err, "nothing says whose a row is: say tenant_column, or tenant_table");
	r = resolve_tenant_columns(w, err);
	if (r == 0 && has_table)
		r = resolve_tenant_table(w, err);
	if (r < 0)
		return r;
	if (!has_table)
		find_tenant_table(w);
	return refuse_two_columns(w, err);
}
