// SPDX-License-Identifier: Apache-2.0
/*
 * Each step of a decision (policy/tenancy.h) leads from rows of one table, which take, to keys that rows of another one give. For both directions of
 * steps it is the same: a set of keys, filled by rows that are the tenant's.
 */
#include "past_rules.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>

static uint32_t slot_for(struct past_rule *rule, uint32_t column)
{
	for (size_t i = 0; i < rule->column_count; i++)
		if (rule->columns[i] == column)
			return (uint32_t)i;
	rule->columns = mem_resize(rule->columns, rule->column_count + 1, sizeof(*rule->columns));
	rule->columns[rule->column_count] = column;
	return (uint32_t)rule->column_count++;
}

static struct past_rule *rule_of_table(struct past_filter *f, uint32_t table)
{
	return &f->rules[f->options.plan->decision_of[table]];
}

static struct past_side side_in(const struct past_filter *f, uint32_t table, uint32_t column, bool is_within)
{
	const struct past_filter_options *o = &f->options;

	return (struct past_side){.table = &o->model->tables[table],
	                          .column = column,
	                          .is_within = is_within,
	                          .is_unlike =
	                                  !is_within && o->is_unlike && o->is_unlike(o->arg, table, column)};
}

/* Ties. */

static void add_tie(struct past_tie **ties, size_t *count, const struct past_tie *tie)
{
	*ties = mem_resize(*ties, *count + 1, sizeof(**ties));
	(*ties)[(*count)++] = *tie;
}

static void finish_tie(struct past_tie *t)
{
	for (size_t i = 0; i < t->test_count; i++)
		str_finish(&t->tests[i].value);
	free(t->tests);
	free(t->operands);
}

/* What cannot be compared by texts is taken for true: too much is let through then. */
static int add_tie_test(struct past_filter *f, struct past_rule *rule, struct past_tie *t,
                        const struct tenancy_test *test, struct error *err)
{
	const struct past_filter_options *o = &f->options;
	const struct past_side side =
	        side_in(f, rule->decision->table, test->of.column, test->of.path_count > 0);
	_cleanup(str) struct str value = {0};
	struct past_test new = {.of = {.slot = slot_for(rule, test->of.column),
	                               .path = test->of.path,
	                               .path_count = test->of.path_count}};
	struct error ignored = {0};
	int r = 0;

	if (past_fold_of(&side, NULL, &new.of.fold, &ignored) < 0)
		return 0;
	if (test->of.path_count > 0)
		str_append(&value, test->value);
	else
		r = o->value(o->arg, test->value, side.table->columns[side.column].base_type, &value, err);
	if (r < 0)
		return r;
	past_fold_append(new.of.fold, str_text(&value), value.len, &new.value);
	t->tests = mem_resize(t->tests, t->test_count + 1, sizeof(*t->tests));
	t->tests[t->test_count++] = new;
	return 0;
}

static int add_tie_tests(struct past_filter *f, struct past_rule *rule, struct past_tie *t,
                         const struct tenancy_soft *soft, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && soft && i < soft->test_count; i++)
		r = add_tie_test(f, rule, t, &soft->tests[i], err);
	return r;
}

/* Steps. */

struct step_end { /* one of both tables of a step */
	struct past_rule *rule;
	const uint32_t *columns;             /* of a foreign key */
	const struct tenancy_operand *value; /* of a soft reference */
};
struct step_ends {
	struct step_end giver, taker;
	size_t count;
	const struct tenancy_soft *soft;
	bool giver_refers; /* and has the tests */
};

/* BY_KEY: the taker refers. BY_REFERRED: the giver does. */
static struct step_ends ends_of(struct past_filter *f, struct past_rule *taker,
                                const struct tenancy_step *step)
{
	bool giver_refers = taker->decision->way == TENANCY_BY_REFERRED;
	struct step_end from = {0}, to = {0};
	struct step_ends e = {.count = 1, .soft = step->soft, .giver_refers = giver_refers};

	if (step->soft) {
		from.value = &step->soft->from_value;
		to.value = &step->soft->to_value;
	} else {
		e.count = step->key->count;
		from.columns = step->key->from_columns;
		to.columns = step->key->to_columns;
	}
	e.giver = giver_refers ? from : to;
	e.taker = giver_refers ? to : from;
	e.giver.rule = rule_of_table(f, step->other);
	e.taker.rule = taker;
	return e;
}

static uint32_t column_of_end(const struct step_end *e, size_t i)
{
	return e->value ? e->value->column : e->columns[i];
}

static struct past_side side_of_end(const struct past_filter *f, const struct step_end *e, size_t i)
{
	return side_in(f, e->rule->decision->table, column_of_end(e, i),
	               e->value && e->value->path_count > 0);
}

static struct past_operand operand_of_end(const struct step_end *e, size_t i, enum past_fold fold)
{
	return (struct past_operand){.slot = slot_for(e->rule, column_of_end(e, i)),
	                             .path = e->value ? e->value->path : NULL,
	                             .path_count = e->value ? e->value->path_count : 0,
	                             .fold = fold};
}

static int fill_operands(struct past_filter *f, const struct step_ends *e, struct past_tie *give,
                         struct past_tie *take, struct error *err)
{
	give->operands = mem_array(e->count, sizeof(*give->operands));
	take->operands = mem_array(e->count, sizeof(*take->operands));
	for (size_t i = 0; i < e->count; i++) {
		const struct past_side giver = side_of_end(f, &e->giver, i),
		                       taker = side_of_end(f, &e->taker, i);
		enum past_fold fold;
		int r = e->soft ? past_fold_of_soft(&taker, &giver, &fold, err)
		                : past_fold_of(&taker, &giver, &fold, err);

		if (r < 0)
			return r;
		give->operands[give->count++] = operand_of_end(&e->giver, i, fold);
		take->operands[take->count++] = operand_of_end(&e->taker, i, fold);
	}
	return 0;
}

static bool give_the_same(const struct past_tie *a, const struct past_tie *b)
{
	if (a->count != b->count || a->test_count > 0 || b->test_count > 0)
		return false;
	for (size_t i = 0; i < a->count; i++) {
		const struct past_operand *x = &a->operands[i], *y = &b->operands[i];

		if (x->slot != y->slot || x->fold != y->fold || x->path_count > 0 || y->path_count > 0)
			return false;
	}
	return true;
}

static bool tells_whose(const struct past_rule *giver)
{
	enum tenancy_way way = giver->decision->way;

	return way == TENANCY_BY_COLUMN || way == TENANCY_BY_SELF || way == TENANCY_BY_KEY;
}

/* Many tables refer to one by the same key: there is one set of it. */
static size_t give_into_set(struct past_filter *f, struct past_rule *giver, struct past_tie *give)
{
	for (size_t i = 0; i < giver->give_count; i++) {
		if (!give_the_same(&giver->gives[i], give))
			continue;
		finish_tie(give);
		return giver->gives[i].set;
	}
	f->sets = mem_resize(f->sets, f->set_count + 1, sizeof(*f->sets));
	f->sets[f->set_count] = (struct past_set){.leads_to_tenant = tells_whose(giver)};
	give->set = f->set_count;
	add_tie(&giver->gives, &giver->give_count, give);
	return f->set_count++;
}

/* A foreign key leads to one row, and a soft reference does when it leads to a primary key. */
static bool may_lead_to_several(const struct past_filter *f, const struct step_ends *e,
                                const struct past_tie *take)
{
	const struct tenancy_table *giver = &f->options.model->tables[e->giver.rule->decision->table];

	for (size_t i = 0; i < take->count; i++)
		if (past_fold_is_vague(take->operands[i].fold))
			return true;
	return e->soft && (e->giver.value->path_count > 0 || giver->primary_key_count != 1 ||
	                   giver->primary_key[0] != e->giver.value->column);
}

static int add_step(struct past_filter *f, struct past_rule *taker, const struct tenancy_step *step,
                    struct error *err)
{
	const struct step_ends e = ends_of(f, taker, step);
	struct past_tie give = {0}, take = {0};
	int r = fill_operands(f, &e, &give, &take, err);

	if (r == 0)
		r = e.giver_refers ? add_tie_tests(f, e.giver.rule, &give, e.soft, err)
		                   : add_tie_tests(f, taker, &take, e.soft, err);
	if (r < 0) {
		finish_tie(&give);
		finish_tie(&take);
		return r;
	}
	take.is_vague = may_lead_to_several(f, &e, &take);
	take.set = give_into_set(f, e.giver.rule, &give);
	add_tie(&taker->takes, &taker->take_count, &take);
	return 0;
}

/* As tenancy_append_proof() asks for one. */
static bool is_proven_way(const struct tenancy_decision *d)
{
	return d->way == TENANCY_BY_KEY && (d->step_count > 1 || d->steps[0].soft);
}

static int add_tenant_column(struct past_filter *f, struct past_rule *rule, struct error *err)
{
	const struct past_filter_options *o = &f->options;
	uint32_t column = (uint32_t)rule->decision->tenant_column;
	const struct past_side side = side_in(f, rule->decision->table, column, false);
	_cleanup(str) struct str value = {0};
	int r = past_fold_of(&side, NULL, &rule->tenant.fold, err);

	if (r == 0)
		r = o->value(o->arg, o->tenant, side.table->columns[column].base_type, &value, err);
	if (r < 0)
		return r;
	rule->tenant.slot = slot_for(rule, column);
	past_fold_append(rule->tenant.fold, str_text(&value), value.len, &rule->tenant_value);
	return 0;
}

static int make_rule(struct past_filter *f, struct past_rule *rule, struct error *err)
{
	const struct tenancy_decision *d = rule->decision;
	int r = 0;

	if (d->way == TENANCY_BY_COLUMN || d->way == TENANCY_BY_SELF)
		return add_tenant_column(f, rule, err);
	if (d->way == TENANCY_WHOLE)
		return 0;
	rule->is_proven = is_proven_way(d);
	for (size_t i = 0; r == 0 && i < d->step_count; i++)
		r = add_step(f, rule, &d->steps[i], err);
	return r;
}

/* The order: who gives comes before those who take. Ways to a tenant make no circle (tenancy_decide()). */

static void order_rule(struct past_filter *f, uint32_t number, bool *is_seen)
{
	const struct tenancy_decision *d = f->rules[number].decision;

	if (is_seen[number] || d->verdict != TENANCY_EXPORTED)
		return;
	is_seen[number] = true;
	for (size_t i = 0; i < d->step_count; i++)
		order_rule(f, f->options.plan->decision_of[d->steps[i].other], is_seen);
	f->order[f->order_count++] = number;
}

int past_rules_make(struct past_filter *f, struct error *err)
{
	const struct tenancy_plan *plan = f->options.plan;
	_cleanup(free) bool *is_seen = mem_array(plan->count + 1, sizeof(*is_seen));
	int r = 0;

	f->rule_count = plan->count;
	f->rules = mem_array(plan->count + 1, sizeof(*f->rules));
	f->order = mem_array(plan->count + 1, sizeof(*f->order));
	for (size_t i = 0; i < plan->count; i++)
		f->rules[i].decision = &plan->decisions[i];
	for (uint32_t i = 0; r == 0 && i < plan->count; i++) {
		if (plan->decisions[i].verdict == TENANCY_EXPORTED)
			r = make_rule(f, &f->rules[i], err);
		order_rule(f, i, is_seen);
	}
	return r;
}

void past_rules_finish(struct past_filter *f)
{
	for (size_t i = 0; i < f->rule_count; i++) {
		struct past_rule *rule = &f->rules[i];

		for (size_t k = 0; k < rule->take_count; k++)
			finish_tie(&rule->takes[k]);
		for (size_t k = 0; k < rule->give_count; k++)
			finish_tie(&rule->gives[k]);
		free(rule->takes);
		free(rule->gives);
		free(rule->columns);
		str_finish(&rule->tenant_value);
	}
	for (size_t i = 0; i < f->set_count; i++) {
		past_keys_finish(&f->sets[i].own, &f->memory);
		past_keys_finish(&f->sets[i].wanted, &f->memory);
	}
	free(f->sets);
	free(f->rules);
	free(f->order);
}
