// SPDX-License-Identifier: Apache-2.0
/* What of a tenant's rows is not given away: rules, types, comments; what contradicts itself; and how a plan is explained. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tenancy_test.h"

#include <keepfs/policy/redaction.h>

#include <errno.h>

static const char site[] =
        "orgs id* name:text\n"
        "users id* org_id! email:text password_hash:text data:jsonb note:public.secret_text(20) note2:public.secret_text[]\n"
        "auth.users id* org_id! email:text\n"
        "audit id* password:text\n"
        "events id* org_id! payload:jsonb raw:json text:text\n"
        "users.org_id > orgs.id\n";

struct world {
	struct tenancy_model model;
	struct tenancy_plan plan;
	struct redaction_plan redaction;
};

static void finish_world(struct world *w)
{
	redaction_plan_finish(&w->redaction);
	tenancy_plan_finish(&w->plan);
	tenancy_model_finish(&w->model);
}

static inline void cleanup_world(struct world *w)
{
	finish_world(w);
}

static int decide(struct world *w, const struct redaction_rules *rules, struct error *err)
{
	const struct tenancy_rules tenancy = {.tenant_columns = LIST("org_id"), .excluded = LIST("audit")};

	if (!w->model.tables)
		w->model = model_of(site);
	if (tenancy_decide(&w->model, &tenancy, NULL, &w->plan, err) < 0)
		fail_msg("%s", err->message);
	return redaction_decide(&w->model, &w->plan, rules, &w->redaction, err);
}

static const struct redaction_column *column(const struct world *w, const char *schema, const char *table,
                                             const char *name)
{
	ssize_t t = tenancy_find_table(&w->model, schema, table);

	return &w->redaction.columns[w->plan.decision_of[t]][tenancy_find_column(&w->model.tables[t], name)];
}

/* "TABLE.COLUMN: HOW (WHY)", then its paths and its suspicion; of each that has any; then the warnings. */
static void expect_redactions(const struct world *w, const char *expected)
{
	_cleanup(str) struct str got = {0};

	for (size_t i = 0; i < w->plan.count; i++) {
		const struct tenancy_table *t = &w->model.tables[w->plan.decisions[i].table];
		const struct redaction_column *columns = w->redaction.columns[i];

		for (size_t c = 0; columns && c < t->column_count; c++) {
			if (columns[c].how != REDACTION_NONE)
				str_appendf(&got, "%s.%s.%s: %s (%s)\n", t->schema, t->name,
				            t->columns[c].name, redaction_how_name(columns[c].how),
				            columns[c].why);
			for (size_t p = 0; p < columns[c].path_count; p++) {
				str_appendf(&got, "%s.%s", t->name, t->columns[c].name);
				for (size_t k = 0; k < columns[c].paths[p].key_count; k++)
					str_appendf(&got, "->%s", columns[c].paths[p].keys[k]);
				str_appendf(&got, ": %s (%s)\n", redaction_how_name(columns[c].paths[p].how),
				            columns[c].paths[p].rule);
			}
			if (columns[c].suspicion)
				str_appendf(&got, "%s.%s? %s\n", t->name, t->columns[c].name,
				            columns[c].suspicion);
		}
	}
	for (size_t i = 0; i < w->redaction.warning_count; i++)
		str_appendf(&got, "warning: %s\n", w->redaction.warnings[i]);
	assert_string_equal(str_text(&got), expected);
}

static void expect(const struct redaction_rules *rules, const char *expected)
{
	_cleanup(world) struct world w = {0};
	struct error err = {0};

	if (decide(&w, rules, &err) < 0)
		fail_msg("%s", err.message);
	expect_redactions(&w, expected);
}

static void refuse(const struct redaction_rules *rules, const char *message)
{
	_cleanup(world) struct world w = {0};
	struct error err = {0};

	assert_int_equal(decide(&w, rules, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	if (!strstr(err.message, message))
		fail_msg("'%s' is not in '%s'", message, err.message);
	assert_null(w.redaction.columns);
}

static void nothing_said(void **state)
{
	const struct redaction_rules rules = {0};

	expect(&rules, "users.password_hash? its name says password\n");
}

static void rules_of_columns(void **state)
{
	const struct redaction_rules rules = {.columns = LIST("password*", "users.email : mask",
	                                                      "auth.users.email:hash", "*_secert",
	                                                      "public.users.data:null")};
	const struct redaction_rules one = {.columns =
	                                            LIST("public.users.email:mask", "auth.users.email:hash",
	                                                 "*_secert", "*.data:null", "password")};

	refuse(&rules,
	       "auth.users.email: the rule users.email : mask says mask, but the rule auth.users.email:hash says hash; which one is meant?");
	expect(&one, "auth.users.email: hash (the rule auth.users.email:hash)\n"
	             "public.users.email: mask (the rule public.users.email:mask)\n"
	             "users.password_hash? its name says password\n"
	             "public.users.data: null (the rule *.data:null)\n"
	             "warning: redact names *_secert, which matches no column\n");
}

static void rules_within_json(void **state)
{
	const struct redaction_rules rules = {.columns = LIST("users.data->token", "*->*->'a.b':hash",
	                                                      "payload -> user -> 'c' -> * : mask",
	                                                      "password_hash", "payload->user->*:hash")};
	const struct redaction_rules useless = {
	        .columns = LIST("password_hash", "data->x:null", "data:mask", "orgs.*->x")};

	expect(&rules, "events.payload->*->a.b: hash (*->*->'a.b':hash)\n"
	               "events.payload->user->c->*: mask (payload -> user -> 'c' -> * : mask)\n"
	               "events.payload->user->*: hash (payload->user->*:hash)\n"
	               "events.raw->*->a.b: hash (*->*->'a.b':hash)\n"
	               "public.users.password_hash: omit (the rule password_hash)\n"
	               "users.data->token: omit (users.data->token)\n"
	               "users.data->*->a.b: hash (*->*->'a.b':hash)\n");
	expect(&useless,
	       "public.users.password_hash: omit (the rule password_hash)\n"
	       "public.users.data: mask (the rule data:mask)\n"
	       "warning: redact names orgs.*->x, but no exported column that it matches is json\n"
	       "warning: redact names data->x:null, but all of public.users.data is redacted: the rule data:mask\n");
}

static void rules_within_arrays_of_json(void **state)
{
	_cleanup(world) struct world w = {
	        .model = model_of("logs id* org_id! entries:jsonb[] more:json[] one:jsonb texts:text[]\n")};
	const struct redaction_rules rules = {.columns =
	                                              LIST("logs.*->token", "logs.entries->user->name:mask")};
	struct error err = {0};

	if (decide(&w, &rules, &err) < 0)
		fail_msg("%s", err.message);
	expect_redactions(&w, "logs.entries->token: omit (logs.*->token)\n"
	                      "logs.entries->user->name: mask (logs.entries->user->name:mask)\n"
	                      "logs.more->token: omit (logs.*->token)\n"
	                      "logs.one->token: omit (logs.*->token)\n");
}

static void types_and_comments(void **state)
{
	_cleanup(world) struct world w = {.model = model_of(site)};
	const struct redaction_rules rules = {
	        .types = LIST("secret_text:null", "public.secret_text:null", "gone.secret_text", "json*"),
	        .allowed = LIST("users.password_hash", "nothing")};
	struct error err = {0};
	struct tenancy_table *events = &w.model.tables[tenancy_find_table(&w.model, "public", "events")];

	events->columns[4].comment = mem_strdup("What it was about. keepfs:redact=hash, since last year.");
	events->columns[2].comment = mem_strdup("keepfs:redact");
	if (decide(&w, &rules, &err) < 0)
		fail_msg("%s", err.message);
	expect_redactions(&w, "public.events.payload: omit (its type jsonb)\n"
	                      "public.events.raw: omit (its type json)\n"
	                      "public.events.text: hash (its comment)\n"
	                      "public.users.data: omit (its type jsonb)\n"
	                      "public.users.note: null (its type public.secret_text(20))\n"
	                      "public.users.note2: null (its type public.secret_text[])\n"
	                      "warning: redact_types names gone.secret_text, which matches no column\n"
	                      "warning: allow_secrets names nothing, which matches no column\n");
	assert_true(column(&w, "public", "users", "password_hash")->is_allowed);
	assert_false(column(&w, "public", "users", "email")->is_allowed);
	assert_int_equal(w.redaction.suspicious, 0);
}

static void a_comment_that_says_nonsense(void **state)
{
	static const struct {
		const char *comment, *message;
	} cases[] = {{"keepfs:redact=hide",
	              "public.events.text: its comment says another way than omit, null, mask or hash"},
	             {"keepfs:redact=", "says another way"},
	             {"keepfs:redact=mask", "its comment says mask"},
	             {"keepfs:redacted", "its comment says omit"},
	             {"keepfs: redact", NULL},
	             {"redact", NULL},
	             {"", NULL}};
	const struct redaction_rules rules = {.columns = LIST("events.text:hash", "password_hash")};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(world) struct world w = {.model = model_of(site)};
		struct error err = {0};
		ssize_t events = tenancy_find_table(&w.model, "public", "events");

		w.model.tables[events].columns[4].comment = mem_strdup(cases[i].comment);
		assert_int_equal(decide(&w, &rules, &err), cases[i].message ? -EINVAL : 0);
		if (cases[i].message && !strstr(err.message, cases[i].message))
			fail_msg("%s: %s", cases[i].comment, err.message);
	}
}

static void what_must_stay(void **state)
{
	static const char *const hows[] = {"omit", "null", "mask"};

	for (size_t i = 0; i < ARRAY_SIZE(hows); i++) {
		_cleanup(free) char *key = mem_printf("users.id:%s", hows[i]);
		_cleanup(free) char *tenant = mem_printf("org_id:%s", hows[i]);
		_cleanup(free) char *self = mem_printf("orgs.*:%s", hows[i]);
		const struct redaction_rules of_key = {.columns = LIST(key)},
		                             of_tenant = {.columns = LIST(tenant)};
		const struct redaction_rules of_self = {.columns = LIST(self)},
		                             of_type = {.types = LIST("bigint")};

		refuse(&of_key, "this column is of the primary key; only hash is possible");
		refuse(&of_tenant, "this column is the tenant's; only hash is possible");
		refuse(&of_self, "public.orgs.id: ");
		refuse(&of_type, "its type bigint says omit");
	}
	{
		const struct redaction_rules hashed = {.columns = LIST("users.id:hash", "password_hash")};

		expect(&hashed, "auth.users.id: hash (the rule users.id:hash)\n"
		                "public.users.id: hash (the rule users.id:hash)\n"
		                "public.users.password_hash: omit (the rule password_hash)\n");
	}
}

static void rules_that_make_no_sense(void **state)
{
	const struct {
		struct redaction_rules rules;
		const char *message;
	} cases[] = {
	        {{.columns = LIST("users.email->x")},
	         "users.email: the rule users.email->x is one within json, but this column is text"},
	        {{.columns = LIST("users.data->a:null", "data->*:mask")},
	         "public.users.data: users.data->a:null says null, but data->*:mask says mask"},
	        {{.columns = LIST("users.note:omit"), .types = LIST("secret_text:null")},
	         "public.users.note: the rule users.note:omit says omit, but its type public.secret_text(20) says null"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse(&cases[i].rules, cases[i].message);
}

static void bad_rules(void **state)
{
	const struct {
		struct redaction_rules rules;
		const char *message;
	} cases[] = {
	        {{.columns = LIST("a", "")}, "redact: \"\" is empty"},
	        {{.columns = LIST("a:hide")}, "says another way than omit, null, mask or hash"},
	        {{.columns = LIST("a:")}, "says another way"},
	        {{.columns = LIST("a:null x")}, "says another way"},
	        {{.columns = LIST("a b")}, "has something behind the column"},
	        {{.columns = LIST("a.b.c.d")}, "has a name of more than three parts"},
	        {{.columns = LIST("a->")}, "lacks a name"},
	        {{.columns = LIST("a->b.c")}, "has a dot in a key of json"},
	        {{.columns = LIST("a->'b")}, "has a quote that is not closed"},
	        {{.columns = LIST("a->b*")}, "has a wildcard"},
	        {{.columns = LIST("a->**")}, "has something behind the column"},
	        {{.columns = LIST("\"a")}, "has a quote that is not closed"},
	        {{.types = LIST("")}, "redact_types: \"\" lacks the name of a type"},
	        {{.types = LIST(":null")}, "lacks the name of a type"},
	        {{.types = LIST("text:hide")}, "says another way"},
	        {{.types = LIST("numeric(10)")}, "has a character that no name of a type has here"},
	        {{.types = LIST("a->b")}, "has a character"},
	        {{.allowed = LIST("a:null")}, "allow_secrets: \"a:null\" has something behind the name"},
	        {{.allowed = LIST("a.b.c.d")}, "more than three parts"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};

		assert_int_equal(redaction_rules_check(&cases[i].rules, &err), -EINVAL);
		if (!strstr(err.message, cases[i].message))
			fail_msg("%s", err.message);
		refuse(&cases[i].rules, cases[i].message);
	}
}

static void good_rules(void **state)
{
	const struct redaction_rules rules = {
	        .columns = LIST(" a ", "*", "a.b.c:omit", "\"odd \"\"name\"\".*\".x : hash",
	                        "a->b->'c d'->*:mask", "a ->> 'b'"),
	        .types = LIST("text", "character varying : hash", "s.*:null", "timestamp with time zone"),
	        .allowed = LIST("a", "*.token_*", "x.y.z")};
	const struct redaction_rules none = {0};
	struct error err = {0};

	if (redaction_rules_check(&rules, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(redaction_rules_check(&none, &err), 0);
}

static void generated_columns(void **state)
{
	const struct redaction_rules rules = {.columns = LIST("users.email"),
	                                      .allowed = LIST("password_hash")};
	_cleanup(world) struct world w = {.model = model_of(site)};
	struct error err = {0};

	for (size_t i = 0; i < w.model.table_count; i++)
		w.model.tables[i].columns[w.model.tables[i].column_count - 1].is_generated = true;
	if (decide(&w, &rules, &err) < 0)
		fail_msg("%s", err.message);
	expect_redactions(
	        &w,
	        "auth.users.email: omit (the rule users.email)\n"
	        "public.users.email: omit (the rule users.email)\n"
	        "users.note2? it is generated from other columns of its row, and some of these are redacted\n");
	assert_int_equal(w.redaction.suspicious, 1);
}

static void explained(void **state)
{
	_cleanup(world) struct world w = {.model = model_of(site)};
	_cleanup(str) struct str text = {0};
	const struct redaction_rules rules = {
	        .columns = LIST("data->token:hash", "public.users.email", "nothing")};
	struct error err = {0};

	model_rename(&w.model, "events", NULL, "ev\nents");
	if (decide(&w, &rules, &err) < 0)
		fail_msg("%s", err.message);
	tenancy_explain(&w.model, &w.plan, &w.redaction, &text);
	assert_string_equal(
	        str_text(&text),
	        "5 tables: 4 exported, 1 left out, 0 undecided\n\n"
	        "TABLE               VERDICT   WHY                            REDACTED\n"
	        "auth.users          exported  has org_id                     -\n"
	        "public.audit        left out  named by exclude: audit        -\n"
	        "public.\"ev | ents\"  exported  has org_id                     -\n"
	        "public.orgs         exported  the tenants' own table, by id  -\n"
	        "public.users        exported  has org_id                     email (omit), data->token (hash)\n"
	        "\nThese columns look like secrets, and nothing says what is to be done with them (redact, allow_secrets):\n"
	        "  public.users.password_hash: its name says password\n"
	        "\nWarnings:\n"
	        "  redact names nothing, which matches no column\n");
}

static void explained_without_redaction(void **state)
{
	_cleanup(tenancy_model) struct tenancy_model m = model_of("a id*\nlonger_than_others org_id\n");
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	_cleanup(str) struct str text = {0};
	const struct tenancy_rules rules = {.tenant_columns = LIST("org_id")};

	assert_int_equal(tenancy_decide(&m, &rules, NULL, &plan, NULL), 0);
	tenancy_explain(&m, &plan, NULL, &text);
	assert_string_equal(
	        str_text(&text),
	        "2 tables: 1 exported, 0 left out, 1 undecided\n\n"
	        "TABLE                      VERDICT    WHY                                                    REDACTED\n"
	        "public.a                   UNDECIDED  no column and no foreign key tells whose its rows are  -\n"
	        "public.longer_than_others  exported   has org_id (a row may be nobody's)                     -\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(nothing_said),
	        cmocka_unit_test(rules_of_columns),
	        cmocka_unit_test(rules_within_json),
	        cmocka_unit_test(rules_within_arrays_of_json),
	        cmocka_unit_test(types_and_comments),
	        cmocka_unit_test(a_comment_that_says_nonsense),
	        cmocka_unit_test(what_must_stay),
	        cmocka_unit_test(rules_that_make_no_sense),
	        cmocka_unit_test(bad_rules),
	        cmocka_unit_test(good_rules),
	        cmocka_unit_test(generated_columns),
	        cmocka_unit_test(explained),
	        cmocka_unit_test(explained_without_redaction),
	};

	return cmocka_run_group_tests_name("redaction", tests, NULL, NULL);
}
