// SPDX-License-Identifier: Apache-2.0
/* Tables to which exported rows refer: which of them have to be decided before others, and what is cut where they refer to each other. */
#include "tenancy_private.h"

static bool is_open_referred(const struct tenancy_work *w, uint32_t table)
{
	return w->seats[table].list == LIST_REFERRED && !w->seats[table].is_decided;
}

static bool waits_for_another(const struct tenancy_work *w, uint32_t table)
{
	for (uint32_t i = w->in.start[table]; i < w->in.start[table + 1]; i++) {
		uint32_t from = w->edges[w->in.places[i]].from;

		if (from != table && is_open_referred(w, from))
			return true;
	}
	return false;
}

/* The next one whose referring tables are decided; in a circle, any. -1: there is none left. */
static int64_t next_referred(const struct tenancy_work *w)
{
	int64_t open = -1;

	for (uint32_t t = 0; t < w->model->table_count; t++) {
		if (!is_open_referred(w, t))
			continue;
		if (!waits_for_another(w, t))
			return t;
		open = open < 0 ? t : open;
	}
	return open;
}

static void decide_one_referred(struct tenancy_work *w, uint32_t table)
{
	struct tenancy_decision *d = tenancy_decision_of(w->plan, table);

	w->seats[table].is_decided = true;
	for (uint32_t i = w->in.start[table]; i < w->in.start[table + 1]; i++) {
		const struct tenancy_edge *e = &w->edges[w->in.places[i]];

		if (e->from != table && tenancy_decision_of(w->plan, e->from)->verdict == TENANCY_EXPORTED)
			tenancy_add_step(d, e, e->from);
	}
	if (d->step_count > 0) {
		d->verdict = TENANCY_EXPORTED;
		d->way = TENANCY_BY_REFERRED;
	}
}

void tenancy_decide_referred(struct tenancy_work *w)
{
	for (int64_t t = next_referred(w); t >= 0; t = next_referred(w))
		decide_one_referred(w, (uint32_t)t);
}

/* What rows refer to and no export has. */

static bool has_way_to(const struct tenancy_decision *d, uint32_t other)
{
	for (size_t i = 0; d->way == TENANCY_BY_KEY && i < d->step_count; i++)
		if (d->steps[i].other == other)
			return true;
	return false;
}

static void warn_of_cut_reference(struct tenancy_work *w, const struct tenancy_edge *e)
{
	_cleanup(str) struct str from = {0}, to = {0};

	policy_append_table(&from, &w->model->tables[e->from]);
	policy_append_table(&to, &w->model->tables[e->to]);
	policy_warn(
	        &w->plan->warnings, &w->plan->warning_count,
	        "rows of %s to which nothing but %s refers are not exported, because these references make a circle",
	        str_text(&to), e->from == e->to ? "itself" : str_text(&from));
}

static void warn_of_shared_row(struct tenancy_work *w, const struct tenancy_edge *e)
{
	_cleanup(str) struct str from = {0}, to = {0};

	policy_append_table(&from, &w->model->tables[e->from]);
	policy_append_table(&to, &w->model->tables[e->to]);
	policy_warn(
	        &w->plan->warnings, &w->plan->warning_count,
	        "%s is shared, so that each export has all of its rows, but they refer to %s, whose rows are tenants'",
	        str_text(&from), str_text(&to));
}

/* Who has the row of @to has these rows, too: it was asked for, and is seldom what is meant. */
static void warn_of_rows_of_several(struct tenancy_work *w, const struct tenancy_edge *e)
{
	_cleanup(str) struct str from = {0}, to = {0};

	policy_append_table(&from, &w->model->tables[e->from]);
	policy_append_table(&to, &w->model->tables[e->to]);
	policy_warn(
	        &w->plan->warnings, &w->plan->warning_count,
	        "references lets rows of %s lead to %s, which is referred: whoever has a row of that has all that lead to it, also where it is of several tenants",
	        str_text(&from), str_text(&to));
}

static bool is_tenants(const struct tenancy_decision *d)
{
	return d->verdict == TENANCY_EXPORTED && d->way != TENANCY_WHOLE && d->way != TENANCY_BY_REFERRED;
}

static void look_at_reference(struct tenancy_work *w, const struct tenancy_edge *e)
{
	const struct tenancy_decision *from = tenancy_decision_of(w->plan, e->from);
	const struct tenancy_decision *to = tenancy_decision_of(w->plan, e->to);

	if (from->verdict != TENANCY_EXPORTED || to->verdict != TENANCY_EXPORTED)
		return;
	if (to->way == TENANCY_BY_REFERRED && !tenancy_has_step(to, e) && !has_way_to(from, e->to))
		warn_of_cut_reference(w, e);
	if (e->soft && from->way == TENANCY_BY_KEY && to->way == TENANCY_BY_REFERRED &&
	    tenancy_has_step(from, e))
		warn_of_rows_of_several(w, e);
	if (w->seats[e->from].list == LIST_SHARED && is_tenants(to))
		warn_of_shared_row(w, e);
}

void tenancy_warn_of_references(struct tenancy_work *w)
{
	for (size_t i = 0; i < w->edge_count; i++)
		look_at_reference(w, &w->edges[i]);
}
