// SPDX-License-Identifier: Apache-2.0
/*
 * The strongly connected components of the graph in which an edge leads from a table to those that refer to it (R. Tarjan, "Depth-first search and linear
 * graph algorithms", 1972): a component is found when all that can be reached from it were, so whatever refers to its tables comes first.
 */
#include "leave_order.h"

#include <keepfs/base/mem.h>

struct edge {
	size_t to;
	size_t next; /* its number and one; 0: there is none */
};

struct node {
	size_t first_edge;  /* as edge.next */
	size_t next_edge;   /* that is looked at next */
	size_t number, low; /* 0: not reached */
	size_t above;       /* from which it was reached, and one */
	bool is_left, is_open, is_own;
};

struct graph {
	struct node *nodes; /* by the place in the plan */
	struct edge *edges;
	size_t edge_count;
	size_t *open; /* reached, and of no component yet */
	size_t open_count;
	size_t reached;
	struct leave_order *out;
};

static void add_leave_edge(struct graph *g, size_t from, size_t to)
{
	if (!g->nodes[from].is_left || !g->nodes[to].is_left)
		return;
	if (from == to) {
		g->nodes[from].is_own = true;
		return;
	}
	if ((g->edge_count & (g->edge_count - 1)) == 0)
		g->edges = mem_resize(g->edges, g->edge_count ? 2 * g->edge_count : 1, sizeof(*g->edges));
	g->edges[g->edge_count++] = (struct edge){to, g->nodes[from].first_edge};
	g->nodes[from].first_edge = g->edge_count;
}

static void add_edges_of_keys(struct graph *g, const struct tenancy_model *model,
                              const struct tenancy_plan *plan)
{
	for (size_t i = 0; i < model->key_count; i++) {
		uint32_t from = plan->decision_of[model->keys[i].from],
		         to = plan->decision_of[model->keys[i].to];

		if (from != UINT32_MAX && to != UINT32_MAX)
			add_leave_edge(g, to, from);
	}
}

/* Without the rows to which they lead nobody would know whose those of @number are. */
static void add_edges_of_decision(struct graph *g, const struct tenancy_plan *plan, size_t number)
{
	const struct tenancy_decision *d = &plan->decisions[number];

	for (size_t i = 0; d->way == TENANCY_BY_KEY && i < d->step_count; i++)
		if (plan->decision_of[d->steps[i].other] != UINT32_MAX)
			add_leave_edge(g, plan->decision_of[d->steps[i].other], number);
	for (size_t i = 0; d->way == TENANCY_BY_SELF && i < plan->count; i++)
		if (i != number)
			add_leave_edge(g, number, i);
}

static void arrive_at(struct graph *g, size_t at, size_t above)
{
	struct node *n = &g->nodes[at];

	n->number = n->low = ++g->reached;
	n->next_edge = n->first_edge;
	n->above = above;
	n->is_open = true;
	g->open[g->open_count++] = at;
}

static void close_component(struct graph *g, size_t root)
{
	struct leave_order *o = g->out;
	size_t at, begin = o->count;

	do {
		at = g->open[--g->open_count];
		g->nodes[at].is_open = false;
		o->groups[o->count] = o->group_count;
		o->decisions[o->count++] = at;
	} while (at != root);
	o->is_circle[o->group_count++] = o->count - begin > 1 || g->nodes[root].is_own;
}

static void lower_to(struct node *n, size_t low)
{
	if (low < n->low)
		n->low = low;
}

/* As deep as the longest way in the graph: not by recursion. */
static void walk_from(struct graph *g, size_t root)
{
	size_t at = root;

	arrive_at(g, root, 0);
	for (;;) {
		struct node *n = &g->nodes[at];

		if (n->next_edge > 0) {
			const struct edge *e = &g->edges[n->next_edge - 1];

			n->next_edge = e->next;
			if (g->nodes[e->to].number == 0) {
				arrive_at(g, e->to, at + 1);
				at = e->to;
			} else if (g->nodes[e->to].is_open) {
				lower_to(n, g->nodes[e->to].number);
			}
			continue;
		}
		if (n->low == n->number)
			close_component(g, at);
		if (n->above == 0)
			return;
		lower_to(&g->nodes[n->above - 1], n->low);
		at = n->above - 1;
	}
}

void leave_order_make(const struct tenancy_model *model, const struct tenancy_plan *plan, const bool *is_left,
                      struct leave_order *ret)
{
	struct graph g = {.out = ret};
	size_t room = plan->count + 1;

	*ret = (struct leave_order){.decisions = mem_array(room, sizeof(*ret->decisions)),
	                            .groups = mem_array(room, sizeof(*ret->groups)),
	                            .is_circle = mem_array(room, sizeof(*ret->is_circle))};
	g.nodes = mem_array(room, sizeof(*g.nodes));
	g.open = mem_array(room, sizeof(*g.open));
	for (size_t i = 0; i < plan->count; i++)
		g.nodes[i].is_left = is_left[i];
	add_edges_of_keys(&g, model, plan);
	for (size_t i = 0; i < plan->count; i++)
		add_edges_of_decision(&g, plan, i);
	for (size_t i = plan->count; i-- > 0;)
		if (is_left[i] && g.nodes[i].number == 0)
			walk_from(&g, i);
	free(g.nodes);
	free(g.edges);
	free(g.open);
}

void leave_order_finish(struct leave_order *o)
{
	free(o->decisions);
	free(o->groups);
	free(o->is_circle);
	*o = (struct leave_order){0};
}
