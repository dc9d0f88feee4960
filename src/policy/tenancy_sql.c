// SPDX-License-Identifier: Apache-2.0
/*
 * Conditions in SQL. That of a table stands within those of the tables that refer to it:
 *
 *   one way        EXISTS (SELECT 1 FROM orders k1 WHERE k1.id = t.order_id AND k1.org_id = 'acme')
 *   several ways   t.id IN (SELECT k1.id FROM items k1 WHERE EXISTS (…) UNION ALL SELECT …)
 *   referred       t.id IN (SELECT k1.user_id FROM members k1 WHERE … UNION ALL SELECT …)
 *
 * PostgreSQL makes semi joins of these. "EXISTS … OR EXISTS …" would be asked for each row of the table, so it stands only where a table has no primary key, and
 * where single rows are proven.
 */
#include "tenancy_operators.h"

#include <keepfs/codec/sql_text.h>

#define ALIAS_BYTES 16

enum wanted {
	WANT_OURS,      /* rows of the tenant */
	WANT_OTHERS,    /* rows of another one */
	WANT_SOMEBODYS, /* rows of any */
};

struct condition {
	const struct tenancy_model *model;
	const struct tenancy_plan *plan;
	const char *tenant; /* NULL of WANT_SOMEBODYS */
	enum wanted wanted;
	struct str *sql;
	unsigned aliases; /* given so far */
};

struct place { /* a table within the query */
	const struct tenancy_decision *decision;
	const struct tenancy_table *table;
	char alias[ALIAS_BYTES];
};

static void append_row_condition(struct condition *c, const struct place *p);

static struct place table_place(const struct condition *c, uint32_t table)
{
	return (struct place){.decision = &c->plan->decisions[c->plan->decision_of[table]],
	                      .table = &c->model->tables[table]};
}

static struct place new_place(struct condition *c, uint32_t table)
{
	struct place p = table_place(c, table);

	snprintf(p.alias, sizeof(p.alias), "k%u", ++c->aliases);
	return p;
}

/* "ONLY", because a table that inherits has a verdict of its own; partitions have none. */
static void append_from(struct condition *c, const struct place *p)
{
	str_append(c->sql, p->table->kind == 'r' ? " FROM ONLY " : " FROM ");
	sql_append_name(c->sql, p->table->schema);
	str_append_char(c->sql, '.');
	sql_append_name(c->sql, p->table->name);
	str_appendf(c->sql, " %s", p->alias);
}

static void append_columns(struct condition *c, const struct place *p, const uint32_t *columns, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		str_append(c->sql, i ? ", " : "");
		operators_append_column(c->sql, p->alias, p->table, columns[i]);
	}
}

/* What needs no condition, or has no row. */

static bool has_all(const struct condition *c, const struct tenancy_decision *d)
{
	if (c->wanted == WANT_OTHERS)
		return false;
	return d->way == TENANCY_WHOLE ||
	       (c->wanted == WANT_SOMEBODYS && d->way != TENANCY_BY_REFERRED && !d->may_be_nobodys);
}

/* A row to which several tenants may refer is nobody else's. */
static bool has_none(const struct condition *c, const struct tenancy_decision *d)
{
	return c->wanted == WANT_OTHERS && (d->way == TENANCY_WHOLE || d->way == TENANCY_BY_REFERRED);
}

/* A row of @from refers to one of @to. */
static void append_match(struct condition *c, const struct tenancy_step *step, const struct place *from,
                         const struct place *to)
{
	const struct tenancy_key *k = step->key;

	if (step->soft) {
		operators_append_soft(c->sql, from->alias, from->table, to->alias, to->table, step->soft);
		operators_append_tests(c->sql, from->alias, from->table, step->soft);
		return;
	}
	for (size_t i = 0; i < k->count; i++) {
		str_append(c->sql, i ? " AND " : "");
		operators_append_equal(c->sql, to->alias, to->table, k->to_columns[i], from->alias,
		                       from->table, k->from_columns[i]);
	}
}

static void append_and_condition(struct condition *c, const struct place *p)
{
	if (has_all(c, p->decision))
		return;
	str_append(c->sql, " AND ");
	append_row_condition(c, p);
}

/* BY_KEY: it leads to such a row. BY_REFERRED: it comes from one. */
static void append_exists(struct condition *c, const struct place *p, const struct tenancy_step *step)
{
	struct place other = new_place(c, step->other);
	bool is_referred = p->decision->way == TENANCY_BY_REFERRED;

	str_append(c->sql, "EXISTS (SELECT 1");
	append_from(c, &other);
	str_append(c->sql, " WHERE ");
	append_match(c, step, is_referred ? &other : p, is_referred ? p : &other);
	append_and_condition(c, &other);
	str_append_char(c->sql, ')');
}

/* Arms: what is joined by OR. One is a step, or all foreign keys of a referred table to the same columns. */

static bool is_same_target(const struct tenancy_key *a, const struct tenancy_key *b)
{
	if (a->count != b->count)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->to_columns[i] != b->to_columns[i])
			return false;
	return true;
}

static bool can_unite(const struct place *p, const struct tenancy_step *step)
{
	if (p->decision->way != TENANCY_BY_REFERRED || !step->key)
		return false;
	for (size_t i = 0; i < step->key->count; i++)
		if (!operators_are_plain(&p->table->columns[step->key->to_columns[i]]))
			return false;
	return true;
}

static bool are_united(const struct place *p, const struct tenancy_step *a, const struct tenancy_step *b)
{
	return a == b || (can_unite(p, a) && can_unite(p, b) && is_same_target(a->key, b->key));
}

/* Does an arm begin with this step? */
static bool begins_arm(const struct condition *c, const struct place *p, size_t step)
{
	const struct tenancy_decision *d = p->decision;

	if (has_none(c, table_place(c, d->steps[step].other).decision))
		return false;
	for (size_t i = 0; i < step; i++)
		if (are_united(p, &d->steps[i], &d->steps[step]))
			return false;
	return true;
}

static size_t count_arms(const struct condition *c, const struct place *p)
{
	size_t count = 0;

	for (size_t i = 0; i < p->decision->step_count; i++)
		count += begins_arm(c, p, i);
	return count;
}

static void append_referring_keys(struct condition *c, const struct tenancy_step *step)
{
	struct place from = new_place(c, step->other);

	str_append(c->sql, "(SELECT ");
	append_columns(c, &from, step->key->from_columns, step->key->count);
	append_from(c, &from);
	if (!has_all(c, from.decision)) {
		str_append(c->sql, " WHERE ");
		append_row_condition(c, &from);
	}
	str_append_char(c->sql, ')');
}

static void append_united(struct condition *c, const struct place *p, size_t first)
{
	const struct tenancy_decision *d = p->decision;
	const struct tenancy_key *k = d->steps[first].key;

	str_append_char(c->sql, '(');
	append_columns(c, p, k->to_columns, k->count);
	str_append(c->sql, ") IN (");
	for (size_t i = first; i < d->step_count; i++) {
		if (!are_united(p, &d->steps[first], &d->steps[i]))
			continue;
		str_append(c->sql, i > first ? " UNION ALL " : "");
		append_referring_keys(c, &d->steps[i]);
	}
	str_append_char(c->sql, ')');
}

static void append_arm(struct condition *c, const struct place *p, size_t first)
{
	if (can_unite(p, &p->decision->steps[first]))
		append_united(c, p, first);
	else
		append_exists(c, p, &p->decision->steps[first]);
}

static void append_alternatives(struct condition *c, const struct place *p)
{
	bool is_first = true;

	str_append_char(c->sql, '(');
	for (size_t i = 0; i < p->decision->step_count; i++) {
		if (!begins_arm(c, p, i))
			continue;
		str_append(c->sql, is_first ? "" : " OR ");
		append_arm(c, p, i);
		is_first = false;
	}
	str_append_char(c->sql, ')');
}

static void append_keys_of_arm(struct condition *c, const struct place *p, size_t first)
{
	struct place own = new_place(c, p->decision->table);

	str_append(c->sql, "(SELECT ");
	append_columns(c, &own, own.table->primary_key, own.table->primary_key_count);
	append_from(c, &own);
	str_append(c->sql, " WHERE ");
	append_arm(c, &own, first);
	str_append_char(c->sql, ')');
}

/* Each arm by itself, and its rows by their primary keys. */
static void append_by_own_key(struct condition *c, const struct place *p)
{
	bool is_first = true;

	str_append_char(c->sql, '(');
	append_columns(c, p, p->table->primary_key, p->table->primary_key_count);
	str_append(c->sql, ") IN (");
	for (size_t i = 0; i < p->decision->step_count; i++) {
		if (!begins_arm(c, p, i))
			continue;
		str_append(c->sql, is_first ? "" : " UNION ALL ");
		append_keys_of_arm(c, p, i);
		is_first = false;
	}
	str_append_char(c->sql, ')');
}

static void append_by_steps(struct condition *c, const struct place *p)
{
	size_t arms = count_arms(c, p);

	if (arms == 0)
		str_append(c->sql, "false");
	else if (arms > 1 && c->wanted == WANT_OURS && p->table->primary_key_count > 0)
		append_by_own_key(c, p);
	else
		append_alternatives(c, p);
}

static void append_by_column(struct condition *c, const struct place *p)
{
	uint32_t column = (uint32_t)p->decision->tenant_column;

	if (c->wanted == WANT_SOMEBODYS) {
		operators_append_column(c->sql, p->alias, p->table, column);
		str_append(c->sql, " IS NOT NULL");
	} else {
		operators_append_literal(c->sql, p->alias, p->table, column,
		                         c->wanted == WANT_OURS ? "=" : "<>", c->tenant);
	}
}

static void append_row_condition(struct condition *c, const struct place *p)
{
	if (has_all(c, p->decision))
		str_append(c->sql, "true");
	else if (has_none(c, p->decision))
		str_append(c->sql, "false");
	else if (p->decision->way == TENANCY_BY_COLUMN || p->decision->way == TENANCY_BY_SELF)
		append_by_column(c, p);
	else
		append_by_steps(c, p);
}

static struct place top_place(const struct condition *c, const struct tenancy_decision *d, const char *alias)
{
	struct place p = table_place(c, d->table);

	str_copy(p.alias, sizeof(p.alias), alias);
	return p;
}

void tenancy_append_condition(const struct tenancy_model *model, const struct tenancy_plan *plan,
                              const struct tenancy_decision *d, const char *alias, const char *tenant,
                              struct str *sql)
{
	struct condition c = {model, plan, tenant, WANT_OURS, sql, 0};
	struct place p = top_place(&c, d, alias);

	if (d->verdict == TENANCY_EXPORTED)
		append_row_condition(&c, &p);
	else
		str_append(sql, "false");
}

/* The rows of one foreign key's parent are proven where they are exported themselves. */
static bool needs_proof(const struct condition *c, const struct place *p)
{
	const struct tenancy_decision *d = p->decision;

	if (d->verdict != TENANCY_EXPORTED || d->way != TENANCY_BY_KEY || count_arms(c, p) == 0)
		return false;
	return d->step_count > 1 || d->steps[0].soft;
}

void tenancy_append_proof(const struct tenancy_model *model, const struct tenancy_plan *plan,
                          const struct tenancy_decision *d, const char *alias, const char *tenant,
                          struct str *sql)
{
	struct condition c = {model, plan, tenant, WANT_OTHERS, sql, 0};
	struct place p = top_place(&c, d, alias);

	if (!needs_proof(&c, &p)) {
		str_append(sql, "true");
		return;
	}
	str_append(sql, "NOT ");
	append_alternatives(&c, &p);
}

void tenancy_append_nobodys(const struct tenancy_model *model, const struct tenancy_plan *plan,
                            const struct tenancy_decision *d, const char *alias, struct str *sql)
{
	struct condition c = {model, plan, NULL, WANT_SOMEBODYS, sql, 0};
	struct place p = top_place(&c, d, alias);

	if (!d->may_be_nobodys) {
		str_append(sql, "false");
		return;
	}
	if (d->way == TENANCY_BY_COLUMN) {
		operators_append_column(sql, alias, p.table, (uint32_t)d->tenant_column);
		str_append(sql, " IS NULL");
		return;
	}
	for (size_t i = 0; i < d->step_count; i++) {
		str_append(sql, i ? " AND NOT " : "NOT ");
		append_exists(&c, &p, &d->steps[i]);
	}
}
