// SPDX-License-Identifier: Apache-2.0
/* Why: a reason for each decision, for people. */
#include "tenancy_private.h"

#define LISTED_STEPS 5

static void append_column_name(struct str *s, const struct tenancy_table *t, uint32_t column)
{
	policy_append_word(s, t->columns[column].name);
}

static void append_key_columns(struct str *s, const struct tenancy_table *t, const uint32_t *columns,
                               size_t count)
{
	for (size_t i = 0; i < count; i++) {
		str_append(s, i ? ", " : "");
		append_column_name(s, t, columns[i]);
	}
}

static void append_operand_words(struct str *s, const struct tenancy_table *t,
                                 const struct tenancy_operand *o)
{
	append_column_name(s, t, o->column);
	for (size_t i = 0; i < o->path_count; i++) {
		str_append(s, i + 1 < o->path_count ? "->'" : "->>'");
		str_append_line(s, o->path[i]);
		str_append_char(s, '\'');
	}
}

static void append_tests(struct str *s, const struct tenancy_table *t, const struct tenancy_soft *soft)
{
	for (size_t i = 0; i < soft->test_count; i++) {
		str_append(s, i ? " and " : " when ");
		append_operand_words(s, t, &soft->tests[i].of);
		str_append(s, " = '");
		str_append_line(s, soft->tests[i].value);
		str_append_char(s, '\'');
	}
}

/* "order_id -> public.orders(id)" */
static void append_step(struct str *s, const struct tenancy_model *m, uint32_t table,
                        const struct tenancy_step *step)
{
	const struct tenancy_table *from = &m->tables[table], *to = &m->tables[step->other];

	if (step->key)
		append_key_columns(s, from, step->key->from_columns, step->key->count);
	else
		append_operand_words(s, from, &step->soft->from_value);
	str_append(s, " -> ");
	policy_append_table(s, to);
	str_append_char(s, '(');
	if (step->key)
		append_key_columns(s, to, step->key->to_columns, step->key->count);
	else
		append_operand_words(s, to, &step->soft->to_value);
	str_append_char(s, ')');
	if (step->soft)
		append_tests(s, from, step->soft);
}

/* "public.members.user_id" */
static void append_referrer(struct str *s, const struct tenancy_model *m, const struct tenancy_step *step)
{
	const struct tenancy_table *from = &m->tables[step->other];

	policy_append_table(s, from);
	str_append_char(s, '.');
	if (step->key)
		append_key_columns(s, from, step->key->from_columns, step->key->count);
	else
		append_operand_words(s, from, &step->soft->from_value);
}

static void append_steps(struct str *s, const struct tenancy_model *m, const struct tenancy_decision *d)
{
	for (size_t i = 0; i < d->step_count && i < LISTED_STEPS; i++) {
		str_append(s, i ? "; " : "");
		if (d->way == TENANCY_BY_REFERRED)
			append_referrer(s, m, &d->steps[i]);
		else
			append_step(s, m, d->table, &d->steps[i]);
	}
	if (d->step_count > LISTED_STEPS)
		str_appendf(s, "; and %zu more", d->step_count - LISTED_STEPS);
}

static void append_list_entry(struct str *s, const struct tenancy_seat *seat)
{
	str_appendf(s, "named by %s: ", tenancy_list_key(seat->list));
	str_append_line(s, seat->entry);
}

static void explain_whole(const struct tenancy_work *w, const struct tenancy_decision *d, struct str *s)
{
	if (w->seats[d->table].list == LIST_SHARED)
		append_list_entry(s, &w->seats[d->table]);
	else
		str_append(s, w->rules->kind == TENANCY_SCHEMA ? "in the tenant's schema"
		                                               : "in the tenant's database");
}

static void explain_exported(const struct tenancy_work *w, const struct tenancy_decision *d, struct str *s)
{
	const struct tenancy_table *t = &w->model->tables[d->table];

	switch (d->way) {
	case TENANCY_BY_COLUMN:
		str_append(s, "has ");
		append_column_name(s, t, (uint32_t)d->tenant_column);
		break;
	case TENANCY_BY_SELF:
		str_append(s, "the tenants' own table, by ");
		append_column_name(s, t, (uint32_t)d->tenant_column);
		break;
	case TENANCY_BY_REFERRED:
		str_append(s, "exported rows refer to it: ");
		append_steps(s, w->model, d);
		break;
	case TENANCY_BY_KEY:
		append_steps(s, w->model, d);
		break;
	case TENANCY_WHOLE:
		explain_whole(w, d, s);
	}
}

static void explain_excluded(const struct tenancy_work *w, const struct tenancy_decision *d, struct str *s)
{
	if (w->seats[d->table].list == LIST_EXCLUDED)
		append_list_entry(s, &w->seats[d->table]);
	else
		str_append(s, "not in the tenant's schema");
}

/* What is said of a table to which an undecided one refers. */
static const char *words_of_target(const struct tenancy_work *w, uint32_t table)
{
	static const char *const words[] = {
	        [LIST_NONE] = "which is undecided itself",
	        [LIST_SHARED] = "which is shared",
	        [LIST_REFERRED] =
	                "which is referred and may be of several tenants; if a row of it belongs to whoever has that one, say so by references",
	        [LIST_EXCLUDED] = "which is excluded"};

	return words[w->seats[table].list];
}

static void append_undecided_target(const struct tenancy_work *w, uint32_t table, struct str *s)
{
	for (uint32_t i = w->out.start[table]; i < w->out.start[table + 1]; i++) {
		uint32_t to = w->edges[w->out.places[i]].to;

		if (to == table)
			continue;
		str_append(s, "; it refers to ");
		policy_append_table(s, &w->model->tables[to]);
		str_appendf(s, ", %s", words_of_target(w, to));
		return;
	}
}

static void explain_undecided(const struct tenancy_work *w, const struct tenancy_decision *d, struct str *s)
{
	const struct tenancy_table *t = &w->model->tables[d->table];

	if (d->step_count > 0)
		str_append(s,
		           "too many ways lead from it to a tenant; name its tenant's column, or exclude it");
	else if (w->seats[d->table].list == LIST_REFERRED)
		str_append(s, "named by referred, but no exported table refers to it");
	else if (t->kind == 'f')
		str_append(s, "a foreign table: what stands behind it is not known; name it");
	else if (t->kind == 'm')
		str_append(s, "a materialized view: whose rows it has is not known; name it");
	else {
		str_append(s, "no column and no foreign key tells whose its rows are");
		append_undecided_target(w, d->table, s);
	}
}

static void count_verdict(struct tenancy_plan *plan, enum tenancy_verdict verdict)
{
	plan->exported += verdict == TENANCY_EXPORTED;
	plan->excluded += verdict == TENANCY_EXCLUDED;
	plan->undecided += verdict == TENANCY_UNDECIDED;
}

void tenancy_give_reasons(struct tenancy_work *w)
{
	static void (*const explain[])(const struct tenancy_work *, const struct tenancy_decision *,
	                               struct str *) = {[TENANCY_EXPORTED] = explain_exported,
	                                                [TENANCY_EXCLUDED] = explain_excluded,
	                                                [TENANCY_UNDECIDED] = explain_undecided};

	for (size_t i = 0; i < w->plan->count; i++) {
		struct tenancy_decision *d = &w->plan->decisions[i];
		struct str reason = {0};

		explain[d->verdict](w, d, &reason);
		d->reason = str_take(&reason);
		count_verdict(w->plan, d->verdict);
	}
}
