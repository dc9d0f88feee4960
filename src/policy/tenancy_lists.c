// SPDX-License-Identifier: Apache-2.0
/* What the lists name, what follows from the kind of tenancy, and the tables that tell their tenant themselves. */
#include "tenancy_private.h"

#include <errno.h>

const char *tenancy_list_key(enum tenancy_list list)
{
	static const char *const keys[] = {[LIST_NONE] = "",
	                                   [LIST_SHARED] = "shared",
	                                   [LIST_REFERRED] = "referred",
	                                   [LIST_EXCLUDED] = "exclude"};

	return keys[list];
}

bool tenancy_is_plain(const struct tenancy_table *t)
{
	return t->kind == 'r' || t->kind == 'p';
}

static int named_twice(const struct tenancy_work *w, size_t table, enum tenancy_list list, const char *entry,
                       struct error *err)
{
	const struct tenancy_seat *seat = &w->seats[table];
	_cleanup(str) struct str name = {0};

	policy_append_table(&name, &w->model->tables[table]);
	return policy_refuse(
	        err, "%s is named by %s (%s) and by %s (%s); it can be in one of these lists only",
	        str_text(&name), tenancy_list_key(seat->list), seat->entry, tenancy_list_key(list), entry);
}

static int put_on_list(struct tenancy_work *w, size_t table, enum tenancy_list list, const char *entry,
                       struct error *err)
{
	struct tenancy_seat *seat = &w->seats[table];

	if (seat->list == list)
		return 0;
	if (seat->list != LIST_NONE)
		return named_twice(w, table, list, entry, err);
	seat->list = list;
	seat->entry = entry;
	return 0;
}

/* To leave out a partition, or to share one, would be taken for done. */
static int says_nothing(struct tenancy_work *w, enum tenancy_list list, const char *entry, bool partitions,
                        struct error *err)
{
	_cleanup(str) struct str shown = {0};

	str_append_line(&shown, entry);
	if (partitions)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s names %s, which is a partition: its rows come with the table that it is a part of",
		        tenancy_list_key(list), str_text(&shown));
	policy_warn(&w->plan->warnings, &w->plan->warning_count, "%s names %s, which matches no table",
	            tenancy_list_key(list), str_text(&shown));
	return 0;
}

static int put_matches_on_list(struct tenancy_work *w, enum tenancy_list list, const char *entry,
                               struct error *err)
{
	_cleanup(policy_name) struct policy_name n = {0};
	const char *problem = policy_name_take_all(entry, true, &n);
	bool partitions = false, tables = false;
	int r = 0;

	if (!problem && n.count > 2)
		problem = "names a column, where tables are named: a table, or schema.table";
	if (problem)
		return policy_bad_rule(err, tenancy_list_key(list), entry, problem);
	for (size_t i = 0; i < w->model->table_count && r == 0; i++) {
		const struct tenancy_table *t = &w->model->tables[i];

		if (!policy_name_matches_table(&n, n.count, t))
			continue;
		*(t->is_partition ? &partitions : &tables) = true;
		if (!t->is_partition)
			r = put_on_list(w, i, list, entry, err);
	}
	return r == 0 && !tables ? says_nothing(w, list, entry, partitions, err) : r;
}

static int read_list(struct tenancy_work *w, enum tenancy_list list, char *const *entries, struct error *err)
{
	int r = 0;

	for (size_t i = 0; entries && entries[i] && r == 0; i++)
		r = put_matches_on_list(w, list, entries[i], err);
	return r;
}

int tenancy_read_lists(struct tenancy_work *w, struct error *err)
{
	int r = read_list(w, LIST_EXCLUDED, w->rules->excluded, err);

	if (r == 0)
		r = read_list(w, LIST_SHARED, w->rules->shared, err);
	return r == 0 ? read_list(w, LIST_REFERRED, w->rules->referred, err) : r;
}

/* What contradicts the tenants' columns. */

static int contradiction(const struct tenancy_work *w, size_t table, const char *what, struct error *err)
{
	const struct tenancy_seat *seat = &w->seats[table];
	_cleanup(str) struct str name = {0};

	policy_append_table(&name, &w->model->tables[table]);
	return policy_refuse(err, "%s (%s) names %s, but %s", tenancy_list_key(seat->list), seat->entry,
	                     str_text(&name), what);
}

static int check_list_of_table(const struct tenancy_work *w, size_t table, struct error *err)
{
	const struct tenancy_seat *seat = &w->seats[table];

	if (seat->list == LIST_SHARED && w->self == (int)table)
		return contradiction(
		        w, table, "that is the tenants' own table: each export would have all tenants", err);
	if (seat->list == LIST_SHARED && seat->column >= 0)
		return contradiction(
		        w, table,
		        "it has the tenants' column: each export would have the rows of all tenants", err);
	if (seat->list == LIST_REFERRED && seat->is_named)
		return contradiction(w, table, "tenant_column names it, too", err);
	if (seat->list == LIST_REFERRED && w->self == (int)table && *str_or_empty(w->rules->tenant_table))
		return contradiction(w, table, "tenant_table names it, too", err);
	return 0;
}

/* The verdicts that need no references. */

static void decide_table(struct tenancy_work *w, size_t table, enum tenancy_verdict verdict,
                         enum tenancy_way way, int column)
{
	struct tenancy_decision *d = tenancy_decision_of(w->plan, (uint32_t)table);

	d->verdict = verdict;
	d->way = way;
	d->tenant_column = column;
	w->seats[table].is_decided = true;
}

static void decide_by_column(struct tenancy_work *w, size_t table)
{
	if (w->self == (int)table)
		decide_table(w, table, TENANCY_EXPORTED, TENANCY_BY_SELF, w->self_column);
	else if (w->seats[table].column >= 0 &&
	         (w->seats[table].is_named || tenancy_is_plain(&w->model->tables[table])))
		decide_table(w, table, TENANCY_EXPORTED, TENANCY_BY_COLUMN, w->seats[table].column);
}

static void decide_by_kind(struct tenancy_work *w, size_t table)
{
	const struct tenancy_table *t = &w->model->tables[table];
	bool is_own = w->rules->kind == TENANCY_DATABASE || str_equal(t->schema, w->schema);

	if (!is_own)
		decide_table(w, table, TENANCY_EXCLUDED, TENANCY_WHOLE, -1);
	else if (tenancy_is_plain(t))
		decide_table(w, table, TENANCY_EXPORTED, TENANCY_WHOLE, -1);
}

static void decide_alone(struct tenancy_work *w, size_t table)
{
	switch (w->seats[table].list) {
	case LIST_EXCLUDED:
		decide_table(w, table, TENANCY_EXCLUDED, TENANCY_WHOLE, -1);
		break;
	case LIST_SHARED:
		decide_table(w, table, TENANCY_EXPORTED, TENANCY_WHOLE, -1);
		break;
	case LIST_REFERRED:
		break;
	case LIST_NONE:
		if (w->rules->kind == TENANCY_COLUMN)
			decide_by_column(w, table);
		else
			decide_by_kind(w, table);
	}
}

int tenancy_list_tables(struct tenancy_work *w, struct error *err)
{
	for (size_t i = 0; i < w->model->table_count; i++) {
		int r;

		if (w->model->tables[i].is_partition)
			continue;
		r = check_list_of_table(w, i, err);
		if (r < 0)
			return r;
		decide_alone(w, i);
	}
	return 0;
}
