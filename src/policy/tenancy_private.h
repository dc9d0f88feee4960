// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * How a plan is made, step by step, by the files tenancy_*.c:
 *
 *  1. The names of the rules are found in the model: tenancy_read_lists(), tenancy_resolve_references(), tenancy_resolve_columns(). tenancy_work_edges():
 *     all references as edges between tables, and the decisions in the order of the plan, all undecided.
 *  2. tenancy_list_tables(): what the lists name, and what follows from the kind; tables that tell their tenant themselves.
 *  3. tenancy_spread(): from the tables that tell their tenant to those that refer to them, and on.
 *  4. tenancy_decide_referred(): tables to which exported rows refer; then tenancy_spread() again, from these, by soft references.
 *  5. tenancy_give_reasons().
 */
#include "names.h"

enum tenancy_list { LIST_NONE, LIST_SHARED, LIST_REFERRED, LIST_EXCLUDED };

struct tenancy_edge { /* rows of @from refer to rows of @to */
	uint32_t from, to;
	const struct tenancy_key *key;
	const struct tenancy_soft *soft;
};

struct tenancy_adjacency { /* which edges begin (or end) at a table: places[start[t]] up to places[start[t + 1]] */
	uint32_t *start, *places;
};

struct tenancy_seat { /* what is known of a table while the plan is made */
	enum tenancy_list list;
	const char *entry; /* of that list; borrowed */
	bool is_decided;
	uint32_t distance; /* in steps from a table that tells the tenant; of BY_KEY */
	int column;        /* the tenant's, by the rules; -1 */
	int other_column;  /* a second one that they name; -1 */
	bool is_named;     /* its column by "table.column" */
};

struct tenancy_work {
	const struct tenancy_model *model;
	const struct tenancy_rules *rules;
	const char *schema;
	struct tenancy_plan *plan;
	struct tenancy_seat *seats; /* for each table of the model */
	int self;                   /* the tenants' own table; -1 */
	int self_column;
	struct tenancy_edge *edges; /* soft references first */
	size_t edge_count;
	struct tenancy_adjacency out, in;
};

/* tenancy_edges.c */
/** tenancy_work_begin() - make the seats; model and plan are set. */
void tenancy_work_begin(struct tenancy_work *w);
void tenancy_work_finish(struct tenancy_work *w);
static inline void cleanup_tenancy_work(struct tenancy_work *w)
{
	tenancy_work_finish(w);
}
/** tenancy_work_edges() - make the edges, when the soft references are known, and then the decisions in their order. */
void tenancy_work_edges(struct tenancy_work *w);
struct tenancy_decision *tenancy_decision_of(const struct tenancy_plan *plan, uint32_t table);

/* tenancy_reference.c: the grammar of soft references */

struct reference_operand {
	struct policy_name name;
	char **path;
	size_t path_count;
};
struct reference_test {
	struct reference_operand of;
	char *value;
};
struct reference {
	struct reference_operand from, to;
	struct reference_test *tests;
	size_t test_count;
};
void reference_finish(struct reference *r);
static inline void cleanup_reference(struct reference *r)
{
	reference_finish(r);
}
/** reference_parse() - NULL; or what is wrong, static. @ret is to be finished in both cases. */
const char *reference_parse(const char *text, struct reference *ret);

/* tenancy_resolve.c, tenancy_columns.c: -EINVAL with what there is instead */
int tenancy_resolve_references(struct tenancy_work *w, struct error *err);
int tenancy_resolve_columns(struct tenancy_work *w, struct error *err);
/** tenancy_resolve_name() - the table and the column of a name of two or three parts. @rule: for the message: "references: …" */
int tenancy_resolve_name(const struct tenancy_work *w, const char *rule, const struct policy_name *n,
                         uint32_t *ret_table, uint32_t *ret_column, struct error *err);
/** tenancy_no_column() - -EINVAL: the table has no such column, and which it has. */
int tenancy_no_column(const char *rule, const struct tenancy_table *t, const char *column, struct error *err);

/* tenancy_lists.c */
const char *tenancy_list_key(enum tenancy_list list); /* as in the configuration */
/** tenancy_is_plain() - neither a foreign table nor a materialized view, which have to be named. */
bool tenancy_is_plain(const struct tenancy_table *t);
/** tenancy_read_lists() - what is named by which list, and once only */
int tenancy_read_lists(struct tenancy_work *w, struct error *err);
int tenancy_list_tables(struct tenancy_work *w, struct error *err);

/* tenancy_spread.c */
void tenancy_spread(struct tenancy_work *w, bool from_referred);
void tenancy_add_step(struct tenancy_decision *d, const struct tenancy_edge *e, uint32_t other);
bool tenancy_has_step(const struct tenancy_decision *d, const struct tenancy_edge *e);
/** tenancy_limit_weights() - what is reached by more ways than a condition should have becomes undecided. */
void tenancy_limit_weights(struct tenancy_work *w);
/** tenancy_find_nobodys() - set may_be_nobodys. */
void tenancy_find_nobodys(struct tenancy_work *w);

/* tenancy_referred.c */
void tenancy_decide_referred(struct tenancy_work *w);
void tenancy_warn_of_references(struct tenancy_work *w);

/* tenancy_reason.c */
void tenancy_give_reasons(struct tenancy_work *w);
