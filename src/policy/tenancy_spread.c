// SPDX-License-Identifier: Apache-2.0
/*
 * From tables that tell their tenant to those that refer to them, and on. First breadth-first, so that each table that can be reached has a way, and the ways
 * to what is nearer make no circle. Then each other reference is added that makes none either: a row may have just that one.
 */
#include "tenancy_private.h"

#include <keepfs/base/mem.h>

#define WEIGHT_MAX 1000 /* tables within one condition */
#define LEVELS_MAX 64   /* of them, within each other */

void tenancy_add_step(struct tenancy_decision *d, const struct tenancy_edge *e, uint32_t other)
{
	d->steps = mem_resize(d->steps, d->step_count + 1, sizeof(*d->steps));
	d->steps[d->step_count++] = (struct tenancy_step){other, e->key, e->soft};
}

bool tenancy_has_step(const struct tenancy_decision *d, const struct tenancy_edge *e)
{
	for (size_t i = 0; i < d->step_count; i++)
		if (d->steps[i].key == e->key && d->steps[i].soft == e->soft)
			return true;
	return false;
}

/* Does a reference to this table tell whose a row is? Not a foreign key to what belongs to several tenants: that is why it was named. */
static bool tells_tenant(const struct tenancy_work *w, const struct tenancy_edge *e)
{
	const struct tenancy_decision *to = tenancy_decision_of(w->plan, e->to);

	if (to->verdict != TENANCY_EXPORTED || to->way == TENANCY_WHOLE)
		return false;
	return to->way != TENANCY_BY_REFERRED || e->soft;
}

/* A queue of tables, in the order in which they were reached. */
struct frontier {
	uint32_t *tables;
	size_t count, origins;
};

static bool is_origin(const struct tenancy_decision *d, bool from_referred)
{
	if (d->verdict != TENANCY_EXPORTED)
		return false;
	if (from_referred)
		return d->way == TENANCY_BY_REFERRED;
	return d->way == TENANCY_BY_COLUMN || d->way == TENANCY_BY_SELF;
}

static void begin_at_origins(struct tenancy_work *w, bool from_referred, struct frontier *f)
{
	f->tables = mem_array(w->model->table_count, sizeof(*f->tables));
	for (size_t i = 0; i < w->plan->count; i++)
		if (is_origin(&w->plan->decisions[i], from_referred))
			f->tables[f->count++] = w->plan->decisions[i].table;
	f->origins = f->count;
}

static bool is_open(const struct tenancy_work *w, uint32_t table)
{
	return !w->seats[table].is_decided && w->seats[table].list == LIST_NONE;
}

static void reach_table(struct tenancy_work *w, uint32_t table, uint32_t distance, struct frontier *f)
{
	struct tenancy_decision *d = tenancy_decision_of(w->plan, table);

	w->seats[table].is_decided = true;
	w->seats[table].distance = distance;
	d->verdict = TENANCY_EXPORTED;
	d->way = TENANCY_BY_KEY;
	f->tables[f->count++] = table;
}

static void reach_all(struct tenancy_work *w, struct frontier *f)
{
	for (size_t at = 0; at < f->count; at++) {
		uint32_t to = f->tables[at];

		for (uint32_t i = w->in.start[to]; i < w->in.start[to + 1]; i++) {
			const struct tenancy_edge *e = &w->edges[w->in.places[i]];

			if (is_open(w, e->from) && tells_tenant(w, e))
				reach_table(w, e->from, w->seats[to].distance + 1, f);
		}
	}
}

static void add_nearer(struct tenancy_work *w, uint32_t table)
{
	struct tenancy_decision *d = tenancy_decision_of(w->plan, table);

	for (uint32_t i = w->out.start[table]; i < w->out.start[table + 1]; i++) {
		const struct tenancy_edge *e = &w->edges[w->out.places[i]];

		if (tells_tenant(w, e) && w->seats[e->to].distance < w->seats[table].distance)
			tenancy_add_step(d, e, e->to);
	}
}

/* Which tables a table's condition has within it. */
struct search {
	const struct tenancy_plan *plan;
	bool *is_seen;
	uint32_t *stack;
	size_t depth;
};

static void search_next(struct search *s, uint32_t table)
{
	if (!s->is_seen[table]) {
		s->is_seen[table] = true;
		s->stack[s->depth++] = table;
	}
}

static bool search_depends(struct search *s, uint32_t table, uint32_t on)
{
	search_next(s, table);
	while (s->depth > 0) {
		const struct tenancy_decision *d = tenancy_decision_of(s->plan, s->stack[--s->depth]);

		if (d->table == on)
			return true;
		for (size_t i = 0; i < d->step_count; i++)
			search_next(s, d->steps[i].other);
	}
	return false;
}

static bool depends(const struct tenancy_work *w, uint32_t table, uint32_t on)
{
	_cleanup(free) bool *is_seen = mem_array(w->model->table_count, sizeof(*is_seen));
	_cleanup(free) uint32_t *stack = mem_array(w->model->table_count, sizeof(*stack));
	struct search s = {.plan = w->plan, .is_seen = is_seen, .stack = stack};

	return search_depends(&s, table, on);
}

static void add_farther(struct tenancy_work *w, uint32_t table)
{
	struct tenancy_decision *d = tenancy_decision_of(w->plan, table);

	for (uint32_t i = w->out.start[table]; i < w->out.start[table + 1]; i++) {
		const struct tenancy_edge *e = &w->edges[w->out.places[i]];

		if (e->to != table && tells_tenant(w, e) && !tenancy_has_step(d, e) &&
		    !depends(w, e->to, table))
			tenancy_add_step(d, e, e->to);
	}
}

void tenancy_spread(struct tenancy_work *w, bool from_referred)
{
	struct frontier f = {0};
	_cleanup(free) uint32_t *tables = NULL;

	begin_at_origins(w, from_referred, &f);
	tables = f.tables;
	reach_all(w, &f);
	for (size_t i = f.origins; i < f.count; i++)
		add_nearer(w, tables[i]);
	for (size_t i = f.origins; i < f.count; i++)
		add_farther(w, tables[i]);
}

/* How many tables a condition has within it. A few references at each of many levels multiply. */

struct weight {
	uint32_t tables, levels;
};
static const struct weight too_heavy = {WEIGHT_MAX + 1, LEVELS_MAX + 1};

static bool is_too_heavy(struct weight w)
{
	return w.tables > WEIGHT_MAX || w.levels > LEVELS_MAX;
}

static struct weight weigh_condition(const struct tenancy_plan *plan, struct weight *weights, uint32_t table,
                                     unsigned depth)
{
	const struct tenancy_decision *d = tenancy_decision_of(plan, table);
	struct weight all = {.tables = 1};

	if (weights[table].tables > 0)
		return weights[table];
	if (depth > WEIGHT_MAX)
		return too_heavy;
	for (size_t i = 0; i < d->step_count && !is_too_heavy(all); i++) {
		struct weight one = weigh_condition(plan, weights, d->steps[i].other, depth + 1);

		all.tables += one.tables;
		all.levels = one.levels > all.levels ? one.levels : all.levels;
	}
	all.levels++;
	return weights[table] = all;
}

void tenancy_limit_weights(struct tenancy_work *w)
{
	_cleanup(free) struct weight *weights = mem_array(w->model->table_count, sizeof(*weights));

	for (size_t i = 0; i < w->plan->count; i++) {
		struct tenancy_decision *d = &w->plan->decisions[i];

		if (is_too_heavy(weigh_condition(w->plan, weights, d->table, 0)))
			d->verdict = TENANCY_UNDECIDED;
	}
}

/* Rows that are no tenant's. */

static bool may_lead_nowhere(const struct tenancy_work *w, const struct tenancy_decision *d,
                             const struct tenancy_step *s)
{
	const struct tenancy_table *t = &w->model->tables[d->table];

	if (s->soft || tenancy_decision_of(w->plan, s->other)->may_be_nobodys)
		return true;
	for (size_t i = 0; i < s->key->count; i++)
		if (!t->columns[s->key->from_columns[i]].not_null)
			return true;
	return false;
}

static bool may_all_lead_nowhere(const struct tenancy_work *w, const struct tenancy_decision *d)
{
	for (size_t i = 0; i < d->step_count; i++)
		if (!may_lead_nowhere(w, d, &d->steps[i]))
			return false;
	return true;
}

static bool may_be_nobodys(const struct tenancy_work *w, const struct tenancy_decision *d)
{
	if (d->verdict != TENANCY_EXPORTED)
		return false;
	if (d->way == TENANCY_BY_COLUMN)
		return !w->model->tables[d->table].columns[d->tenant_column].not_null;
	return d->way == TENANCY_BY_KEY && may_all_lead_nowhere(w, d);
}

/* Steps lead to any place of the plan, so it is gone through until nothing is new: as often as the longest way has such steps, and mostly twice. */
void tenancy_find_nobodys(struct tenancy_work *w)
{
	bool is_new;

	do {
		is_new = false;
		for (size_t i = 0; i < w->plan->count; i++) {
			struct tenancy_decision *d = &w->plan->decisions[i];

			if (!d->may_be_nobodys && may_be_nobodys(w, d))
				is_new = d->may_be_nobodys = true;
		}
	} while (is_new);
}
