// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a soft reference, as a rule of redaction, and as a list of tables. What is refused has a reason that can be shown. Of what is taken no word
 * comes into the SQL but those that keepfs itself writes there, and the names of the model: what else was written stands in quotes.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/policy/redaction.h>
#include <keepfs/policy/tenancy.h>

#include <errno.h>
#include <string.h>

static const char *const names[] = {"public",  "orders", "events", "id",  "org_id",
                                    "payload", "kind",   "ref",    "who", "odd \"name\".\n"};

static void add_column(struct tenancy_table *t, const char *name, const char *type)
{
	t->columns = mem_resize(t->columns, t->column_count + 1, sizeof(*t->columns));
	t->columns[t->column_count++] = (struct tenancy_column){.name = mem_strdup(name),
	                                                        .type = mem_strdup(type),
	                                                        .base_type = mem_strdup(type),
	                                                        .category = 'U'};
}

static void begin_table(struct tenancy_table *t, const char *name)
{
	*t = (struct tenancy_table){.schema = mem_strdup("public"), .name = mem_strdup(name), .kind = 'r'};
	add_column(t, "id", "bigint");
	t->primary_key = mem_alloc(sizeof(uint32_t));
	t->primary_key_count = 1;
}

static struct tenancy_model make_model(void)
{
	struct tenancy_model m = {.tables = mem_array(2, sizeof(struct tenancy_table)), .table_count = 2};

	begin_table(&m.tables[0], "events");
	add_column(&m.tables[0], "payload", "jsonb");
	add_column(&m.tables[0], "kind", "text");
	add_column(&m.tables[0], "ref", "numeric");
	add_column(&m.tables[0], "odd \"name\".\n", "text");
	begin_table(&m.tables[1], "orders");
	add_column(&m.tables[1], "org_id", "bigint");
	add_column(&m.tables[1], "who", "uuid");
	return m;
}

static void must_be_shown(int r, const struct error *err)
{
	fuzz_must_refuse(r, err);
	fuzz_must(r == -EINVAL, "a bad rule is one", err->message);
	for (const char *p = err->message; *p; p++)
		fuzz_must((unsigned char)*p >= 0x20 && *p != 0x7f, "a message is one line", err->message);
}

static bool is_own_word(const struct sql_token *t)
{
	static const char *const words[] = {"EXISTS", "SELECT", "FROM",   "ONLY", "WHERE",   "AND",  "OR",
	                                    "IN",     "UNION",  "ALL",    "1",    "CASE",    "WHEN", "THEN",
	                                    "END",    "text",   "bigint", "uuid", "COLLATE", "NOT",  "IS",
	                                    "NULL",   "true",   "false",  "t",    "E"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (sql_is(t, words[i]))
			return true;
	return t->text[0] == 'k' && strspn(t->text + 1, "0123456789") == t->len - 1;
}

static bool is_own_name(const struct sql_token *t)
{
	_cleanup(str) struct str name = {0};

	sql_append_value(&name, t);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (str_equal(str_text(&name), names[i]))
			return true;
	return str_equal(str_text(&name), "C"); /* the collation */
}

static void must_be_own_sql(const char *sql)
{
	struct sql_scan scan = {.at = sql};
	struct sql_token t;
	int depth = 0;

	while ((t = sql_next(&scan)).kind != SQL_END) {
		if (t.kind == SQL_SIGN)
			fuzz_must(memchr("().,=<>:~-", *t.text, 10), "a sign of its own", sql);
		fuzz_must(t.kind != SQL_WORD || is_own_word(&t), "a word of its own", sql);
		fuzz_must(t.kind != SQL_NAME || is_own_name(&t), "a name of the model", sql);
		depth += sql_is(&t, "(") - sql_is(&t, ")");
		fuzz_must(depth >= 0, "parentheses are closed once", sql);
	}
	fuzz_must(depth == 0, "all parentheses are closed", sql);
}

static void write_sql(const struct tenancy_model *m, const struct tenancy_plan *plan, const char *tenant)
{
	for (size_t i = 0; i < plan->count; i++) {
		_cleanup(str) struct str condition = {0}, proof = {0}, nobodys = {0};

		tenancy_append_condition(m, plan, &plan->decisions[i], "t", tenant, &condition);
		tenancy_append_proof(m, plan, &plan->decisions[i], "t", tenant, &proof);
		tenancy_append_nobodys(m, plan, &plan->decisions[i], "t", &nobodys);
		must_be_own_sql(str_text(&condition));
		must_be_own_sql(str_text(&proof));
		must_be_own_sql(str_text(&nobodys));
	}
}

static void try_reference(const struct tenancy_model *m, const char *text)
{
	char *columns[] = {(char *)"org_id", NULL}, *references[] = {(char *)text, NULL};
	const struct tenancy_rules rules = {.tenant_columns = columns, .references = references};
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	struct error err = {0};
	int written = tenancy_references_check(references, &err), r;

	if (written != 0)
		must_be_shown(written, &err);
	r = tenancy_decide(m, &rules, NULL, &plan, &err);
	fuzz_must(r != 0 || written == 0, "what is refused is refused with a database, too", text);
	if (r != 0)
		must_be_shown(r, &err);
	else
		write_sql(m, &plan, text);
}

static void try_redaction(const struct tenancy_model *m, const char *text)
{
	char *columns[] = {(char *)"org_id", NULL}, *rule[] = {(char *)text, NULL};
	const struct tenancy_rules tenancy = {.tenant_columns = columns, .excluded = NULL};
	const struct redaction_rules rules[] = {{.columns = rule}, {.types = rule}, {.allowed = rule}};
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};

	fuzz_must(tenancy_decide(m, &tenancy, NULL, &plan, NULL) == 0, "a plan without rules", NULL);
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		_cleanup(redaction_plan) struct redaction_plan p = {0};
		_cleanup(str) struct str explained = {0};
		struct error err = {0};
		int written = redaction_rules_check(&rules[i], &err);
		int r;

		if (written != 0)
			must_be_shown(written, &err);
		r = redaction_decide(m, &plan, &rules[i], &p, &err);
		fuzz_must(r != 0 || written == 0, "what is refused is refused with a database, too", text);
		if (r != 0)
			must_be_shown(r, &err);
		else
			tenancy_explain(m, &plan, &p, &explained);
	}
}

static void try_lists(const struct tenancy_model *m, const char *text)
{
	char *list[] = {(char *)text, NULL};
	const struct tenancy_rules rules[] = {{.kind = TENANCY_DATABASE, .excluded = list},
	                                      {.tenant_columns = list},
	                                      {.tenant_table = text}};

	for (size_t i = 0; i < ARRAY_SIZE(rules); i++) {
		_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
		struct error err = {0};
		int written = tenancy_rules_check(&rules[i], &err);
		int r = tenancy_decide(m, &rules[i], NULL, &plan, &err);

		fuzz_must(r != 0 || written == 0, "what is refused is refused with a database, too", text);
		if (r != 0)
			must_be_shown(r, &err);
		else
			write_sql(m, &plan, text);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);
	_cleanup(tenancy_model) struct tenancy_model m = make_model();

	try_reference(&m, text);
	try_redaction(&m, text);
	try_lists(&m, text);
	redaction_value_suspicion((const char *)data, size);
	return 0;
}
