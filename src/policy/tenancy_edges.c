// SPDX-License-Identifier: Apache-2.0
/* References as edges between tables, and the order in which rows can be inserted. */
#include "tenancy_private.h"

#include <keepfs/base/mem.h>

void tenancy_work_begin(struct tenancy_work *w)
{
	w->self = w->self_column = -1;
	w->seats = mem_array(w->model->table_count, sizeof(*w->seats));
	for (size_t i = 0; i < w->model->table_count; i++)
		w->seats[i].column = w->seats[i].other_column = -1;
}

void tenancy_work_finish(struct tenancy_work *w)
{
	free(w->seats);
	free(w->edges);
	free(w->out.start);
	free(w->out.places);
	free(w->in.start);
	free(w->in.places);
}

static void add_edge(struct tenancy_work *w, uint32_t from, uint32_t to, const struct tenancy_key *key,
                     const struct tenancy_soft *soft)
{
	/* What holds of one partition says nothing of the table. */
	if (!w->model->tables[from].is_partition && !w->model->tables[to].is_partition)
		w->edges[w->edge_count++] = (struct tenancy_edge){from, to, key, soft};
}

static uint32_t end_of_edge(const struct tenancy_edge *e, bool incoming)
{
	return incoming ? e->to : e->from;
}

static struct tenancy_adjacency arrange_edges(const struct tenancy_work *w, bool incoming)
{
	size_t tables = w->model->table_count;
	struct tenancy_adjacency a = {.start = mem_array(tables + 2, sizeof(*a.start)),
	                              .places = mem_array(w->edge_count + 1, sizeof(*a.places))};

	/* Counted two places further on, so that start[t + 1] can move from where the edges of t begin to where they end. */
	for (size_t i = 0; i < w->edge_count; i++)
		a.start[end_of_edge(&w->edges[i], incoming) + 2]++;
	for (size_t t = 2; t <= tables + 1; t++)
		a.start[t] += a.start[t - 1];
	for (size_t i = 0; i < w->edge_count; i++)
		a.places[a.start[end_of_edge(&w->edges[i], incoming) + 1]++] = (uint32_t)i;
	return a;
}

/* The order: a table comes behind all to which it has foreign keys, unless they make a circle. Without recursion, because no stack is as deep as a chain of
 * references may be long. */

struct visit {
	uint32_t table, next; /* its next outgoing edge */
};

struct ordering {
	struct tenancy_work *w;
	bool *is_seen;
	struct visit *stack;
	size_t depth;
};

static void enter_table(struct ordering *o, uint32_t table)
{
	o->is_seen[table] = true;
	o->stack[o->depth++] = (struct visit){table, o->w->out.start[table]};
}

static void leave_table(struct ordering *o)
{
	struct tenancy_plan *plan = o->w->plan;
	uint32_t table = o->stack[--o->depth].table;

	plan->decision_of[table] = (uint32_t)plan->count;
	plan->decisions[plan->count++] = (struct tenancy_decision){
	        .table = table, .verdict = TENANCY_UNDECIDED, .way = TENANCY_WHOLE, .tenant_column = -1};
}

static void order_from(struct ordering *o, uint32_t table)
{
	enter_table(o, table);
	while (o->depth > 0) {
		struct visit *v = &o->stack[o->depth - 1];
		const struct tenancy_edge *e;

		if (v->next == o->w->out.start[v->table + 1]) {
			leave_table(o);
			continue;
		}
		e = &o->w->edges[o->w->out.places[v->next++]];
		if (e->key && !o->is_seen[e->to])
			enter_table(o, e->to);
	}
}

static void order_decisions(struct tenancy_work *w)
{
	size_t tables = w->model->table_count;
	_cleanup(free) bool *is_seen = mem_array(tables, sizeof(*is_seen));
	_cleanup(free) struct visit *stack = mem_array(tables, sizeof(*stack));
	struct ordering o = {.w = w, .is_seen = is_seen, .stack = stack};

	w->plan->decisions = mem_array(tables, sizeof(*w->plan->decisions));
	w->plan->decision_of = mem_array(tables, sizeof(*w->plan->decision_of));
	for (uint32_t t = 0; t < tables; t++) {
		if (w->model->tables[t].is_partition)
			w->plan->decision_of[t] = UINT32_MAX;
		else if (!is_seen[t])
			order_from(&o, t);
	}
}

void tenancy_work_edges(struct tenancy_work *w)
{
	const struct tenancy_model *m = w->model;
	const struct tenancy_plan *plan = w->plan;

	w->edges = mem_array(m->key_count + plan->soft_count, sizeof(*w->edges));
	for (size_t i = 0; i < plan->soft_count; i++)
		add_edge(w, plan->softs[i].from, plan->softs[i].to, NULL, &plan->softs[i]);
	for (size_t i = 0; i < m->key_count; i++)
		add_edge(w, m->keys[i].from, m->keys[i].to, &m->keys[i], NULL);
	w->out = arrange_edges(w, false);
	w->in = arrange_edges(w, true);
	order_decisions(w);
}

struct tenancy_decision *tenancy_decision_of(const struct tenancy_plan *plan, uint32_t table)
{
	return &plan->decisions[plan->decision_of[table]];
}
