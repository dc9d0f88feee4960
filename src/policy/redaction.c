// SPDX-License-Identifier: Apache-2.0
/* For each column of each exported table: what becomes of it, and why. */
#include "redaction_private.h"

#include <keepfs/base/mem.h>

#include <string.h>

static void finish_redacted_column(struct redaction_column *c)
{
	for (size_t i = 0; i < c->path_count; i++)
		policy_free_texts(c->paths[i].keys, c->paths[i].key_count);
	free(c->paths);
	free(c->why);
}

void redaction_plan_finish(struct redaction_plan *p)
{
	for (size_t i = 0; i < p->table_count; i++) {
		const struct tenancy_decision *d = &p->plan->decisions[i];

		for (size_t c = 0; p->columns[i] && c < p->model->tables[d->table].column_count; c++)
			finish_redacted_column(&p->columns[i][c]);
		free(p->columns[i]);
	}
	free(p->columns);
	policy_free_texts(p->warnings, p->warning_count);
	*p = (struct redaction_plan){0};
}

void redaction_lift(struct redaction_plan *p)
{
	for (size_t i = 0; i < p->table_count; i++) {
		const struct tenancy_decision *d = &p->plan->decisions[i];

		for (size_t c = 0; p->columns[i] && c < p->model->tables[d->table].column_count; c++) {
			finish_redacted_column(&p->columns[i][c]);
			p->columns[i][c] = (struct redaction_column){.is_allowed = true};
		}
	}
	p->suspicious = 0;
}

/* A column, while a rule is held against it. */
struct subject {
	const struct tenancy_decision *decision;
	const struct tenancy_table *table;
	size_t column;
	struct redaction_column *ret;
};

static int bad_column(const struct subject *s, struct error *err, const char *problem)
{
	_cleanup(str) struct str name = {0};

	policy_append_table(&name, s->table);
	str_append_char(&name, '.');
	policy_append_word(&name, s->table->columns[s->column].name);
	return policy_refuse(err, "%s: %s", str_text(&name), problem);
}

static int contradict(const struct subject *s, const char *why, enum redaction_how how, const char *other_why,
                      enum redaction_how other, struct error *err)
{
	_cleanup(str) struct str problem = {0};

	str_appendf(&problem, "%s says %s, but %s says %s; which one is meant?", why, redaction_how_name(how),
	            other_why, redaction_how_name(other));
	return bad_column(s, err, str_text(&problem));
}

/* What others refer to, or what tells whose the row is. A hash of it is as good. */
static bool must_stay(const struct subject *s)
{
	if (s->decision->tenant_column == (int)s->column)
		return true;
	for (size_t i = 0; i < s->table->primary_key_count; i++)
		if (s->table->primary_key[i] == s->column)
			return true;
	return false;
}

static int redact_column(const struct subject *s, enum redaction_how how, const char *why, struct error *err)
{
	_cleanup(str) struct str problem = {0};

	if (s->ret->how != REDACTION_NONE && s->ret->how != how)
		return contradict(s, s->ret->why, s->ret->how, why, how, err);
	if (how != REDACTION_HASH && must_stay(s)) {
		str_appendf(&problem, "%s says %s, but this column is %s; only hash is possible", why,
		            redaction_how_name(how),
		            s->decision->tenant_column == (int)s->column ? "the tenant's"
		                                                         : "of the primary key");
		return bad_column(s, err, str_text(&problem));
	}
	s->ret->how = how;
	if (!s->ret->why)
		s->ret->why = mem_strdup(why);
	return 0;
}

/* Paths within json. */

/* Of an array the path leads into each element. */
static bool is_json_column(const struct subject *s)
{
	const char *type = s->table->columns[s->column].base_type;

	return str_equal(type, "json") || str_equal(type, "jsonb") || str_equal(type, "json[]") ||
	       str_equal(type, "jsonb[]");
}

static bool do_keys_meet(const struct redaction_path *p, const struct redaction_rule *r)
{
	if (p->key_count != r->key_count)
		return false;
	for (size_t i = 0; i < p->key_count; i++)
		if (!str_equal(p->keys[i], r->keys[i]) && !str_equal(p->keys[i], "*") &&
		    !str_equal(r->keys[i], "*"))
			return false;
	return true;
}

static void add_redacted_path(const struct subject *s, const struct redaction_rule *r, const char *text)
{
	struct redaction_column *c = s->ret;
	struct redaction_path *p;

	c->paths = mem_resize(c->paths, c->path_count + 1, sizeof(*c->paths));
	p = &c->paths[c->path_count++];
	*p = (struct redaction_path){.keys = mem_array(r->key_count, sizeof(*p->keys)),
	                             .key_count = r->key_count,
	                             .how = r->how,
	                             .rule = text};
	for (size_t i = 0; i < r->key_count; i++)
		p->keys[i] = mem_strdup(r->keys[i]);
}

static int redact_path(const struct subject *s, const struct redaction_rule *r, const char *text,
                       struct error *err)
{
	for (size_t i = 0; i < s->ret->path_count; i++)
		if (do_keys_meet(&s->ret->paths[i], r) && s->ret->paths[i].how != r->how)
			return contradict(s, s->ret->paths[i].rule, s->ret->paths[i].how, text, r->how, err);
	add_redacted_path(s, r, text);
	return 0;
}

/* One rule of the configuration and all columns. */

struct applying {
	struct redaction_plan *plan;
	const struct redaction_rule *rule;
	const char *text;    /* as it stands in the configuration */
	size_t found, taken; /* columns that it names; of these, those that it says something about */
	int (*take)(struct applying *a, const struct subject *s, struct error *err);
	bool (*matches)(const struct redaction_rule *r, const struct tenancy_table *t,
	                const struct tenancy_column *c);
};

static bool matches_column(const struct redaction_rule *r, const struct tenancy_table *t,
                           const struct tenancy_column *c)
{
	return policy_name_matches(&r->name, r->name.count - 1, c->name) &&
	       policy_name_matches_table(&r->name, r->name.count - 1, t);
}

static int apply_to_column(struct applying *a, const struct tenancy_decision *d,
                           struct redaction_column *columns, size_t column, struct error *err)
{
	const struct tenancy_table *t = &a->plan->model->tables[d->table];
	const struct subject s = {d, t, column, columns ? &columns[column] : NULL};

	if (!a->matches(a->rule, t, &t->columns[column]))
		return 0;
	a->found++;
	return columns ? a->take(a, &s, err) : 0;
}

static int apply_to_all(struct applying *a, struct error *err)
{
	const struct redaction_plan *p = a->plan;
	int r = 0;

	for (size_t i = 0; i < p->table_count; i++) {
		const struct tenancy_decision *d = &p->plan->decisions[i];

		for (size_t c = 0; c < p->model->tables[d->table].column_count && r == 0; c++)
			r = apply_to_column(a, d, p->columns[i], c, err);
	}
	return r;
}

static void warn_of_useless_rule(struct applying *a, const char *key)
{
	_cleanup(str) struct str shown = {0};

	if (a->found > 0)
		return;
	str_append_line(&shown, a->text);
	policy_warn(&a->plan->warnings, &a->plan->warning_count, "%s names %s, which matches no column", key,
	            str_text(&shown));
}

static int take_rule(struct applying *a, const struct subject *s, struct error *err)
{
	_cleanup(str) struct str why = {0};

	str_append(&why, "the rule ");
	str_append_line(&why, a->text);
	if (a->rule->key_count == 0)
		return redact_column(s, a->rule->how, str_text(&why), err);
	/* A pattern of columns means those that can have such a path. */
	if (!is_json_column(s) && policy_name_is_pattern(&a->rule->name, a->rule->name.count - 1))
		return 0;
	str_append(&why, " is one within json, but this column is ");
	str_append(&why, s->table->columns[s->column].type);
	if (!is_json_column(s))
		return bad_column(s, err, str_text(&why));
	a->taken++;
	return redact_path(s, a->rule, a->text, err);
}

static int apply_rule(struct redaction_plan *p, const char *text, struct error *err)
{
	_cleanup(redaction_rule) struct redaction_rule rule = {0};
	const char *problem = redaction_rule_parse(text, &rule);
	struct applying a = {p, &rule, text, 0, 0, take_rule, matches_column};
	int r;

	if (problem)
		return policy_bad_rule(err, "redact", text, problem);
	r = apply_to_all(&a, err);
	if (r < 0)
		return r;
	warn_of_useless_rule(&a, "redact");
	if (rule.key_count > 0 && a.found > 0 && a.taken == 0)
		policy_warn(&p->warnings, &p->warning_count,
		            "redact names %s, but no exported column that it matches is json", text);
	return 0;
}

static int take_allowed(struct applying *a, const struct subject *s, struct error *err)
{
	s->ret->is_allowed = true;
	return 0;
}

static int apply_allowed(struct redaction_plan *p, const char *text, struct error *err)
{
	_cleanup(redaction_rule) struct redaction_rule rule = {0};
	const char *problem = policy_name_take_all(text, true, &rule.name);
	struct applying a = {p, &rule, text, 0, 0, take_allowed, matches_column};
	int r;

	if (problem)
		return policy_bad_rule(err, "allow_secrets", text, problem);
	r = apply_to_all(&a, err);
	warn_of_useless_rule(&a, "allow_secrets");
	return r;
}

/* "public.secret_text(10)[]" is of the type public.secret_text. */
static bool is_named_type(const struct redaction_rule *r, const char *type)
{
	_cleanup(free) char *own = strndup(type, strcspn(type, "(["));
	const char *dot = strrchr(own, '.');
	size_t last = r->name.count - 1;

	if (!policy_name_matches(&r->name, last, dot ? dot + 1 : own))
		return false;
	if (last == 0 || !dot)
		return true;
	own[dot - own] = '\0';
	return policy_name_matches(&r->name, 0, own);
}

static bool matches_type(const struct redaction_rule *r, const struct tenancy_table *t,
                         const struct tenancy_column *c)
{
	return is_named_type(r, c->type) || is_named_type(r, c->base_type);
}

static int take_redacted_type(struct applying *a, const struct subject *s, struct error *err)
{
	_cleanup(str) struct str why = {0};

	str_append(&why, "its type ");
	str_append_line(&why, s->table->columns[s->column].type);
	return redact_column(s, a->rule->how, str_text(&why), err);
}

static int apply_type(struct redaction_plan *p, const char *text, struct error *err)
{
	_cleanup(redaction_rule) struct redaction_rule rule = {0};
	const char *problem = redaction_type_parse(text, &rule);
	struct applying a = {p, &rule, text, 0, 0, take_redacted_type, matches_type};
	int r;

	if (problem)
		return policy_bad_rule(err, "redact_types", text, problem);
	r = apply_to_all(&a, err);
	if (r == 0)
		warn_of_useless_rule(&a, "redact_types");
	return r;
}

static int apply_each(struct redaction_plan *p, char *const *list,
                      int (*apply)(struct redaction_plan *p, const char *text, struct error *err),
                      struct error *err)
{
	int r = 0;

	for (size_t i = 0; list && list[i] && r == 0; i++)
		r = apply(p, list[i], err);
	return r;
}

/* What is done at each column: what its comment says, and, when nothing is said about it, its name. */

static int apply_comment(const struct subject *s, struct error *err)
{
	enum redaction_how how;
	const char *problem = redaction_comment_parse(s->table->columns[s->column].comment, &how);
	_cleanup(str) struct str told = {0};

	if (problem) {
		str_appendf(&told, "its comment %s", problem);
		return bad_column(s, err, str_text(&told));
	}
	return how == REDACTION_NONE ? 0 : redact_column(s, how, "its comment", err);
}

/* Nothing within what is not there can be hidden as well. */
static void drop_paths(struct redaction_plan *p, const struct subject *s)
{
	struct redaction_column *c = s->ret;
	_cleanup(str) struct str name = {0};

	if (c->how == REDACTION_NONE || c->path_count == 0)
		return;
	policy_append_table(&name, s->table);
	str_append_char(&name, '.');
	policy_append_word(&name, s->table->columns[s->column].name);
	policy_warn(&p->warnings, &p->warning_count, "redact names %s, but all of %s is redacted: %s",
	            c->paths[0].rule, str_text(&name), c->why);
	for (size_t i = 0; i < c->path_count; i++)
		policy_free_texts(c->paths[i].keys, c->paths[i].key_count);
	free(take_ptr(&c->paths));
	c->path_count = 0;
}

static int finish_column(struct redaction_plan *p, const struct subject *s, struct error *err)
{
	struct redaction_column *c = s->ret;
	int r = apply_comment(s, err);

	if (r < 0)
		return r;
	drop_paths(p, s);
	if (c->how == REDACTION_NONE && c->path_count == 0 && !c->is_allowed)
		c->suspicion = redaction_name_suspicion(s->table, &s->table->columns[s->column]);
	p->suspicious += c->suspicion != NULL;
	return 0;
}

static int finish_columns(struct redaction_plan *p, struct error *err)
{
	int r = 0;

	for (size_t i = 0; i < p->table_count; i++) {
		const struct tenancy_decision *d = &p->plan->decisions[i];
		struct subject s = {.decision = d, .table = &p->model->tables[d->table]};

		for (; p->columns[i] && s.column < s.table->column_count && r == 0; s.column++) {
			s.ret = &p->columns[i][s.column];
			r = finish_column(p, &s, err);
		}
	}
	return r;
}

/* A column that is generated from a redacted one would give it away; from which one it is generated is not known here. */

static bool has_redacted_column(const struct redaction_column *columns, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (columns[i].how != REDACTION_NONE || columns[i].path_count > 0)
			return true;
	return false;
}

static void suspect_generated(struct redaction_plan *p, const struct tenancy_table *t,
                              struct redaction_column *columns)
{
	for (size_t i = 0; i < t->column_count; i++) {
		struct redaction_column *c = &columns[i];

		if (!t->columns[i].is_generated || c->how != REDACTION_NONE || c->is_allowed || c->suspicion)
			continue;
		c->suspicion =
		        "it is generated from other columns of its row, and some of these are redacted";
		p->suspicious++;
	}
}

static void look_at_generated(struct redaction_plan *p)
{
	for (size_t i = 0; i < p->table_count; i++) {
		const struct tenancy_table *t = &p->model->tables[p->plan->decisions[i].table];

		if (p->columns[i] && has_redacted_column(p->columns[i], t->column_count))
			suspect_generated(p, t, p->columns[i]);
	}
}

static void begin_redaction(struct redaction_plan *p)
{
	p->table_count = p->plan->count;
	p->columns = mem_array(p->table_count, sizeof(*p->columns));
	for (size_t i = 0; i < p->table_count; i++) {
		const struct tenancy_decision *d = &p->plan->decisions[i];

		if (d->verdict == TENANCY_EXPORTED)
			p->columns[i] =
			        mem_array(p->model->tables[d->table].column_count, sizeof(**p->columns));
	}
}

int redaction_decide(const struct tenancy_model *model, const struct tenancy_plan *plan,
                     const struct redaction_rules *rules, struct redaction_plan *ret, struct error *err)
{
	_cleanup(redaction_plan) struct redaction_plan p = {.model = model, .plan = plan};
	int r;

	begin_redaction(&p);
	r = apply_each(&p, rules->columns, apply_rule, err);
	if (r == 0)
		r = apply_each(&p, rules->types, apply_type, err);
	if (r == 0)
		r = apply_each(&p, rules->allowed, apply_allowed, err);
	if (r == 0)
		r = finish_columns(&p, err);
	if (r < 0)
		return r;
	look_at_generated(&p);
	*ret = p;
	p = (struct redaction_plan){0};
	return 0;
}
