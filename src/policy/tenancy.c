// SPDX-License-Identifier: Apache-2.0
/* The verdicts, step by step; see tenancy_private.h. */
#include "tenancy_private.h"

static void finish_value(struct tenancy_operand *o)
{
	policy_free_texts(o->path, o->path_count);
}

static void finish_soft(struct tenancy_soft *s)
{
	finish_value(&s->from_value);
	finish_value(&s->to_value);
	for (size_t i = 0; i < s->test_count; i++) {
		finish_value(&s->tests[i].of);
		free(s->tests[i].value);
	}
	free(s->tests);
}

void tenancy_plan_finish(struct tenancy_plan *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->decisions[i].steps);
		free(p->decisions[i].reason);
	}
	for (size_t i = 0; i < p->soft_count; i++)
		finish_soft(&p->softs[i]);
	free(p->decisions);
	free(p->decision_of);
	free(p->softs);
	policy_free_texts(p->warnings, p->warning_count);
	*p = (struct tenancy_plan){0};
}

static int check_schema(const struct tenancy_work *w, struct error *err)
{
	_cleanup(str) struct str name = {0};

	if (w->rules->kind != TENANCY_SCHEMA)
		return 0;
	for (size_t i = 0; i < w->model->table_count; i++)
		if (str_equal(w->model->tables[i].schema, w->schema))
			return 0;
	policy_append_word(&name, str_or_empty(w->schema));
	return policy_refuse(err, "the tenant's schema %s has no tables in this database, or is not there",
	                     str_text(&name));
}

static int find_names(struct tenancy_work *w, struct error *err)
{
	int r = check_schema(w, err);

	if (r == 0)
		r = tenancy_read_lists(w, err);
	if (r == 0)
		r = tenancy_resolve_references(w, err);
	return r == 0 && w->rules->kind == TENANCY_COLUMN ? tenancy_resolve_columns(w, err) : r;
}

static int decide_tables(struct tenancy_work *w, struct error *err)
{
	int r = find_names(w, err);

	if (r < 0)
		return r;
	tenancy_work_edges(w);
	r = tenancy_list_tables(w, err);
	if (r < 0)
		return r;
	tenancy_spread(w, false);
	tenancy_decide_referred(w);
	tenancy_spread(w, true);
	tenancy_limit_weights(w);
	tenancy_find_nobodys(w);
	tenancy_warn_of_references(w);
	tenancy_give_reasons(w);
	return 0;
}

int tenancy_decide(const struct tenancy_model *model, const struct tenancy_rules *rules, const char *schema,
                   struct tenancy_plan *ret, struct error *err)
{
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	_cleanup(tenancy_work) struct tenancy_work w = {
	        .model = model, .rules = rules, .schema = schema, .plan = &plan};
	int r;

	tenancy_work_begin(&w);
	r = decide_tables(&w, err);
	if (r == 0)
		*ret = plan;
	if (r == 0)
		plan = (struct tenancy_plan){0};
	return r;
}
