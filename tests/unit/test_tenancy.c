// SPDX-License-Identifier: Apache-2.0
/* Which rows are one tenant's: the verdicts, their reasons, and the rules that make no sense. The conditions in SQL are tested on a server, by tests/pg. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tenancy_test.h"

#include <errno.h>

static const char shop[] = "orgs id* name:text\n"
                           "users id* org_id! email:text\n"
                           "orders id* org_id! user_id\n"
                           "items id* order_id! product_id!\n"
                           "products id* org_id\n"
                           "notes id* item_id\n"
                           "countries code:text*\n"
                           "users.org_id > orgs.id\n"
                           "orders.org_id > orgs.id\n"
                           "orders.user_id > users.id\n"
                           "items.order_id > orders.id\n"
                           "items.product_id > products.id\n"
                           "products.org_id > orgs.id\n"
                           "notes.item_id > items.id\n";

#define BY_ORG .tenant_columns = LIST("org_id")

static const struct tenancy_decision *find(const struct tenancy_model *m, const struct tenancy_plan *p,
                                           const char *table)
{
	const char *dot = strchr(table, '.');
	_cleanup(free) char *schema = strndup(table, dot ? (size_t)(dot - table) : 0);
	ssize_t at = tenancy_find_table(m, dot ? schema : NULL, dot ? dot + 1 : table);

	assert_true(at >= 0 && p->decision_of[at] != UINT32_MAX);
	return &p->decisions[p->decision_of[at]];
}

static void decide_in(const struct tenancy_model *m, const struct tenancy_rules *rules, const char *schema,
                      struct tenancy_plan *ret)
{
	struct error err = {0};

	if (tenancy_decide(m, rules, schema, ret, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(ret->exported + ret->excluded + ret->undecided, ret->count);
}

static void refuse_in(const char *model, const struct tenancy_rules *rules, const char *schema,
                      const char *message)
{
	_cleanup(tenancy_model) struct tenancy_model m = model_of(model);
	struct tenancy_plan plan = {0};
	struct error err = {0};

	assert_int_equal(tenancy_decide(&m, rules, schema, &plan, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	if (!strstr(err.message, message))
		fail_msg("'%s' is not in '%s'", message, err.message);
	assert_null(plan.decisions);
}

/* Each line: "TABLE VERDICT: REASON"; all tables, in any order. */
static void expect_plan(const struct tenancy_model *m, const struct tenancy_rules *rules, const char *schema,
                        const char *expected)
{
	static const char *const verdicts[] = {"exported", "excluded", "undecided"};
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	_cleanup(str) struct str got = {0};

	decide_in(m, rules, schema, &plan);
	for (size_t t = 0; t < m->table_count; t++) {
		const struct tenancy_decision *d;

		if (m->tables[t].is_partition)
			continue;
		d = &plan.decisions[plan.decision_of[t]];
		assert_int_equal(d->table, t);
		if (strcmp(m->tables[t].schema, "public") != 0)
			str_appendf(&got, "%s.", m->tables[t].schema);
		str_appendf(&got, "%s %s: %s%s\n", m->tables[t].name, verdicts[d->verdict], d->reason,
		            d->may_be_nobodys ? " (or nobody's)" : "");
	}
	for (size_t i = 0; i < plan.warning_count; i++)
		str_appendf(&got, "warning: %s\n", plan.warnings[i]);
	assert_string_equal(str_text(&got), expected);
}

static void expect(const char *model, const struct tenancy_rules *rules, const char *expected)
{
	_cleanup(tenancy_model) struct tenancy_model m = model_of(model);

	expect_plan(&m, rules, NULL, expected);
}

static void columns_and_keys(void **state)
{
	const struct tenancy_rules rules = {BY_ORG, .shared = LIST("countries")};

	expect(shop, &rules,
	       "countries exported: named by shared: countries\n"
	       "items exported: order_id -> public.orders(id); product_id -> public.products(id)\n"
	       "notes exported: item_id -> public.items(id) (or nobody's)\n"
	       "orders exported: has org_id\n"
	       "orgs exported: the tenants' own table, by id\n"
	       "products exported: has org_id (or nobody's)\n"
	       "users exported: has org_id\n");
}

static void rows_can_be_inserted_in_the_order(void **state)
{
	_cleanup(tenancy_model) struct tenancy_model m = model_of(shop);
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	const struct tenancy_rules rules = {BY_ORG};

	decide_in(&m, &rules, NULL, &plan);
	for (size_t i = 0; i < m.key_count; i++)
		assert_true(plan.decision_of[m.keys[i].to] < plan.decision_of[m.keys[i].from]);
	assert_int_equal(plan.count, m.table_count);
}

/* A table that refers to itself, two that refer to each other, and a circle from which no way leads out. */
static void circles(void **state)
{
	static const char model[] = "orgs id*\n"
	                            "a id* org_id! parent_id b_id\n"
	                            "b id* a_id\n"
	                            "x id* y_id a_id\n"
	                            "y id* x_id\n"
	                            "lost id* other_id\n"
	                            "other id* lost_id\n"
	                            "alone id* alone_id\n"
	                            "a.org_id > orgs.id\n"
	                            "a.parent_id > a.id\n"
	                            "a.b_id > b.id\n"
	                            "b.a_id > a.id\n"
	                            "x.y_id > y.id\n"
	                            "y.x_id > x.id\n"
	                            "x.a_id > a.id\n"
	                            "lost.other_id > other.id\n"
	                            "other.lost_id > lost.id\n"
	                            "alone.alone_id > alone.id\n";
	const struct tenancy_rules rules = {BY_ORG};

	expect(model, &rules,
	       "a exported: has org_id\n"
	       "alone undecided: no column and no foreign key tells whose its rows are\n"
	       "b exported: a_id -> public.a(id) (or nobody's)\n"
	       "lost undecided: no column and no foreign key tells whose its rows are; it refers to public.other, which is undecided itself\n"
	       "orgs exported: the tenants' own table, by id\n"
	       "other undecided: no column and no foreign key tells whose its rows are; it refers to public.lost, which is undecided itself\n"
	       "x exported: a_id -> public.a(id) (or nobody's)\n"
	       "y exported: x_id -> public.x(id) (or nobody's)\n");
}

/* A row may have only the longer way: it counts, unless it makes a circle. */
static void longer_ways_count(void **state)
{
	static const char model[] = "posts id* org_id!\n"
	                            "albums id* org_id!\n"
	                            "photos id* album_id!\n"
	                            "files id* post_id photo_id\n"
	                            "posts.id > posts.id\n"
	                            "photos.album_id > albums.id\n"
	                            "files.photo_id > photos.id\n"
	                            "files.post_id > posts.id\n";
	const struct tenancy_rules rules = {BY_ORG};

	expect(model, &rules,
	       "albums exported: has org_id\n"
	       "files exported: post_id -> public.posts(id); photo_id -> public.photos(id) (or nobody's)\n"
	       "photos exported: album_id -> public.albums(id)\n"
	       "posts exported: has org_id\n");
}

static void keys_of_other_kinds(void **state)
{
	static const char model[] = "orgs id* code:text!\n"
	                            "depots id* org_code:text!\n"
	                            "shelves depot_id* number*\n"
	                            "boxes id* depot_id! shelf!\n"
	                            "labels id* depot_id shelf!\n"
	                            "depots.org_code > orgs.code\n"
	                            "shelves.depot_id > depots.id\n"
	                            "boxes.depot_id,shelf > shelves.depot_id,number\n"
	                            "labels.depot_id,shelf > shelves.depot_id,number\n";
	const struct tenancy_rules rules = {.tenant_table = "orgs.id"};

	expect(model, &rules,
	       "boxes exported: depot_id, shelf -> public.shelves(depot_id, number)\n"
	       "depots exported: org_code -> public.orgs(code)\n"
	       "labels exported: depot_id, shelf -> public.shelves(depot_id, number) (or nobody's)\n"
	       "orgs exported: the tenants' own table, by id\n"
	       "shelves exported: depot_id -> public.depots(id)\n");
}

static void soft_references(void **state)
{
	static const char model[] = "orgs id*\n"
	                            "users id* org_id!\n"
	                            "posts id* user_id!\n"
	                            "comments id* subject_type:text subject_id\n"
	                            "events id* payload:jsonb\n"
	                            "posts.user_id > users.id\n"
	                            "users.org_id > orgs.id\n";
	const struct tenancy_rules rules = {
	        BY_ORG,
	        .references = LIST("comments.subject_id -> posts.id when subject_type = 'Post'",
	                           "comments.subject_id->users.id WHEN subject_type='User' and id = 7",
	                           "public.events.payload -> 'actor' ->> 'user_id' -> users.id",
	                           "events.payload->>'it''s' -> \"posts\".\"id\"")};

	expect(model, &rules,
	       "comments exported: subject_id -> public.users(id) when subject_type = 'User' and id = '7'; subject_id -> public.posts(id) when subject_type = 'Post' (or nobody's)\n"
	       "events exported: payload->'actor'->>'user_id' -> public.users(id); payload->>'it's' -> public.posts(id) (or nobody's)\n"
	       "orgs exported: the tenants' own table, by id\n"
	       "posts exported: user_id -> public.users(id)\n"
	       "users exported: has org_id\n");
}

static void shared_referred_and_excluded(void **state)
{
	static const char model[] = "orgs id*\n"
	                            "members org_id* user_id*\n"
	                            "users id* manager_id avatar_id\n"
	                            "files id*\n"
	                            "emails id* user_id!\n"
	                            "sessions id* user_id!\n"
	                            "unused id*\n"
	                            "audit.log id*\n"
	                            "audit.old id*\n"
	                            "ref.countries code:text*\n"
	                            "ref.prices id* org:text\n"
	                            "members.org_id > orgs.id\n"
	                            "members.user_id > users.id\n"
	                            "users.manager_id > users.id\n"
	                            "users.avatar_id > files.id\n"
	                            "emails.user_id > users.id\n"
	                            "sessions.user_id > users.id\n";
	const struct tenancy_rules rules = {
	        BY_ORG,
	        .shared = LIST("ref.*"),
	        .referred = LIST("users", "fil?s", "unused"),
	        .excluded = LIST("audit.*", "gone_*"),
	        .references = LIST("emails.user_id -> users.id"),
	};

	expect(model, &rules,
	       "audit.log excluded: named by exclude: audit.*\n"
	       "audit.old excluded: named by exclude: audit.*\n"
	       "emails exported: user_id -> public.users(id) (or nobody's)\n"
	       "files exported: exported rows refer to it: public.users.avatar_id\n"
	       "members exported: has org_id\n"
	       "orgs exported: the tenants' own table, by id\n"
	       "sessions undecided: no column and no foreign key tells whose its rows are; it refers to public.users, which is referred and may be of several tenants; if a row of it belongs to whoever has that one, say so by references\n"
	       "unused undecided: named by referred, but no exported table refers to it\n"
	       "users exported: exported rows refer to it: public.members.user_id\n"
	       "ref.countries exported: named by shared: ref.*\n"
	       "ref.prices exported: named by shared: ref.*\n"
	       "warning: exclude names gone_*, which matches no table\n"
	       "warning: references lets rows of public.emails lead to public.users, which is referred: whoever has a row of that has all that lead to it, also where it is of several tenants\n"
	       "warning: rows of public.users to which nothing but itself refers are not exported, because these references make a circle\n");
}

static void referred_in_a_circle(void **state)
{
	static const char model[] = "members org_id* user_id* team_id\n"
	                            "users id* team_id\n"
	                            "teams id* owner_id\n"
	                            "members.user_id > users.id\n"
	                            "members.team_id > teams.id\n"
	                            "users.team_id > teams.id\n"
	                            "teams.owner_id > users.id\n";
	const struct tenancy_rules rules = {BY_ORG, .referred = LIST("users", "teams")};

	expect(model, &rules,
	       "members exported: has org_id\n"
	       "teams exported: exported rows refer to it: public.members.team_id\n"
	       "users exported: exported rows refer to it: public.members.user_id; public.teams.owner_id\n"
	       "warning: rows of public.teams to which nothing but public.users refers are not exported, because these references make a circle\n");
}

static void shared_rows_that_are_a_tenants(void **state)
{
	static const char model[] = "orders id* org_id!\ntags id* order_id\ntags.order_id > orders.id\n";
	const struct tenancy_rules rules = {BY_ORG, .shared = LIST("tags")};

	expect(model, &rules,
	       "orders exported: has org_id\n"
	       "tags exported: named by shared: tags\n"
	       "warning: public.tags is shared, so that each export has all of its rows, but they refer to public.orders, whose rows are tenants'\n");
}

static void what_is_excluded_tells_nothing(void **state)
{
	static const char model[] = "orders id* org_id!\nitems id* order_id!\nitems.order_id > orders.id\n";
	const struct tenancy_rules rules = {BY_ORG, .excluded = LIST("orders")};

	expect(model, &rules,
	       "items undecided: no column and no foreign key tells whose its rows are; it refers to public.orders, which is excluded\n"
	       "orders excluded: named by exclude: orders\n");
}

static void foreign_tables_and_views(void **state)
{
	static const char model[] = "events:f id org_id\n"
	                            "events2:f id org_id\n"
	                            "sums:m org_id\n"
	                            "named:m org_id\n"
	                            "clicks:f id event_id\n"
	                            "orders id* org_id!\n"
	                            "days:p id* org_id!\n"
	                            "days_1:P id* org_id!\n";
	const struct tenancy_rules rules = {BY_ORG, .excluded = LIST("sums"),
	                                    .references = LIST("clicks.event_id -> orders.id")};
	const struct tenancy_rules named = {.tenant_columns = LIST("org_id", "events2.org_id"),
	                                    .shared = LIST("sums"),
	                                    .excluded = LIST("events", "named", "clicks")};

	expect(model, &rules,
	       "clicks exported: event_id -> public.orders(id) (or nobody's)\n"
	       "days exported: has org_id\n"
	       "events undecided: a foreign table: what stands behind it is not known; name it\n"
	       "events2 undecided: a foreign table: what stands behind it is not known; name it\n"
	       "named undecided: a materialized view: whose rows it has is not known; name it\n"
	       "orders exported: has org_id\n"
	       "sums excluded: named by exclude: sums\n");
	refuse_in(model, &named, NULL, "shared (sums) names public.sums, but it has the tenants' column");
}

static void a_named_column_wins(void **state)
{
	static const char model[] = "orders id* org_id! owner_org!\n"
	                            "moves id* from_org! org_id!\n"
	                            "events:f id org_id\n"
	                            "s.orders id* org_id!\n";
	const struct tenancy_rules rules = {.tenant_columns = LIST("public.orders.owner_org", "org_id",
	                                                           "moves.from_org", "events.org_id")};

	expect(model, &rules,
	       "events exported: has org_id (or nobody's)\n"
	       "moves exported: has from_org\n"
	       "orders exported: has owner_org\n"
	       "s.orders exported: has org_id\n");
}

static void the_tenants_table(void **state)
{
	static const char parents[] =
	        "orgs id* org_id\nteams id* org_id!\norgs.org_id > orgs.id\nteams.org_id > orgs.id\n";
	static const char two[] =
	        "orgs id*\naccounts id*\na org_id*\nb org_id*\na.org_id > orgs.id\nb.org_id > accounts.id\n";
	const struct tenancy_rules rules = {BY_ORG};
	const struct tenancy_rules said = {BY_ORG, .tenant_table = "public.orgs.id",
	                                   .excluded = LIST("accounts")};

	expect(parents, &rules, "orgs exported: the tenants' own table, by id\nteams exported: has org_id\n");
	expect(two, &rules,
	       "a exported: has org_id\n"
	       "accounts undecided: no column and no foreign key tells whose its rows are\n"
	       "b exported: has org_id\n"
	       "orgs undecided: no column and no foreign key tells whose its rows are\n"
	       "warning: foreign keys of tenants' columns lead to public.orgs and to public.accounts, so the tenants' own table is not known; say tenant_table\n");
	expect(two, &said,
	       "a exported: has org_id\n"
	       "accounts excluded: named by exclude: accounts\n"
	       "b exported: has org_id\n"
	       "orgs exported: the tenants' own table, by id\n");
}

static void schemas_and_databases(void **state)
{
	static const char model[] =
	        "acme.orders id* user_id\nacme.far:f id\nacme.tmp id\n"
	        "beta.orders id* user_id\npublic.users id*\npublic.countries id*\npublic.plans id*\n"
	        "acme.orders.user_id > public.users.id\nbeta.orders.user_id > public.users.id\n";
	const struct tenancy_rules schema = {.kind = TENANCY_SCHEMA,
	                                     .shared = LIST("countries"),
	                                     .referred = LIST("users"),
	                                     .excluded = LIST("tmp"),
	                                     .references = LIST("orders.id -> users.id")};
	const struct tenancy_rules database = {.kind = TENANCY_DATABASE, .excluded = LIST("beta.*")};
	_cleanup(tenancy_model) struct tenancy_model m = model_of(model);

	expect_plan(&m, &schema, "acme",
	            "acme.far undecided: a foreign table: what stands behind it is not known; name it\n"
	            "acme.orders exported: in the tenant's schema\n"
	            "acme.tmp excluded: named by exclude: tmp\n"
	            "beta.orders excluded: not in the tenant's schema\n"
	            "countries exported: named by shared: countries\n"
	            "plans excluded: not in the tenant's schema\n"
	            "users exported: exported rows refer to it: acme.orders.id; acme.orders.user_id\n");
	expect_plan(&m, &database, NULL,
	            "acme.far undecided: a foreign table: what stands behind it is not known; name it\n"
	            "acme.orders exported: in the tenant's database\n"
	            "acme.tmp exported: in the tenant's database\n"
	            "beta.orders excluded: named by exclude: beta.*\n"
	            "countries exported: in the tenant's database\n"
	            "plans exported: in the tenant's database\n"
	            "users exported: in the tenant's database\n");
	refuse_in(model, &schema, "gone", "the tenant's schema gone has no tables in this database");
	refuse_in(model, &schema, NULL, "has no tables");
}

static void names_in_quotes(void **state)
{
	_cleanup(tenancy_model) struct tenancy_model m =
	        model_of("a org_id!\nb id*\nc x\nd id*\nOrders org_id!\ne id* a_id\ne.a_id > a.org_id\n");
	const struct tenancy_rules rules = {.tenant_columns =
	                                            LIST("org_id", " \"it's \"\"so\"\".\".\"my.org\" "),
	                                    .excluded = LIST("public.\"b*\"", "\"line\nbreak\""),
	                                    .shared = LIST("caf?")};

	model_rename(&m, "a", "org_id", "my.org");
	model_rename(&m, "a", NULL, "it's \"so\".");
	model_rename(&m, "b", NULL, "b*");
	model_rename(&m, "c", NULL, "line\nbreak");
	model_rename(&m, "d", NULL, "caf\xc3\xa9");
	expect_plan(&m, &rules, NULL,
	            "Orders exported: has org_id\n"
	            "it's \"so\". exported: has \"my.org\"\n"
	            "b* excluded: named by exclude: public.\"b*\"\n"
	            "line\nbreak excluded: named by exclude: \"line | break\"\n"
	            "caf\xc3\xa9 exported: named by shared: caf?\n"
	            "e exported: a_id -> public.\"it's \"\"so\"\".\"(\"my.org\") (or nobody's)\n");
}

static void bad_rules(void **state)
{
	const struct {
		struct tenancy_rules rules;
		const char *message;
	} cases[] = {
	        {{0}, "say tenant_column, or tenant_table"},
	        {{.tenant_columns = LIST("organisation_id")},
	         "tenant_column: no table has a column organisation_id; names of many columns are org_id (of 3), item_id (of 1)"},
	        {{.tenant_columns = LIST("orderz.org_id")},
	         "tenant_column: \"orderz.org_id\": there is no table orderz; there are public.countries, public.items,"},
	        {{.tenant_columns = LIST("orders.org")},
	         "public.orders has no column org; it has id, org_id, user_id"},
	        {{.tenant_columns = LIST("org_*")},
	         "tenant_column: \"org_*\" has a wildcard, which is not allowed here"},
	        {{.tenant_columns = LIST("a.b.c.d")}, "has a name of more than three parts"},
	        {{.tenant_columns = LIST("\"org_id")}, "has a quote that is not closed"},
	        {{.tenant_columns = LIST("org_id", "orders..x")}, "lacks a name"},
	        {{.tenant_columns = LIST("orders.\"\"")}, "has an empty name in quotes"},
	        {{.tenant_columns = LIST("org_id", "user_id")}, "public.orders has both org_id and user_id"},
	        {{.tenant_columns = LIST("orders.org_id", "orders.user_id")},
	         "say which one tells the tenant"},
	        {{BY_ORG, .tenant_table = "orgs"},
	         "tenant_table: \"orgs\" must name the table and its key: orgs.id"},
	        {{BY_ORG, .tenant_table = "orgs.key"},
	         "tenant_table: \"orgs.key\": public.orgs has no column key"},
	        {{BY_ORG, .shared = LIST("orders")}, "each export would have the rows of all tenants"},
	        {{BY_ORG, .shared = LIST("org*")}, "each export would have all tenants"},
	        {{BY_ORG, .shared = LIST("a.b.c")}, "shared: \"a.b.c\" names a column"},
	        {{BY_ORG, .excluded = LIST("public.orders", "x y")},
	         "exclude: \"x y\" has something behind the name that is not understood"},
	        {{BY_ORG, .shared = LIST("count*"), .excluded = LIST("countries")},
	         "public.countries is named by exclude (countries) and by shared (count*); it can be in one of these lists only"},
	        {{.tenant_columns = LIST("users.org_id"), .referred = LIST("users")},
	         "tenant_column names it, too"},
	        {{.tenant_table = "orgs.id", .referred = LIST("orgs")}, "tenant_table names it, too"},
	        {{BY_ORG, .references = LIST("notes.body -> items.id")},
	         "public.notes has no column body; it has id, item_id"},
	        {{BY_ORG, .references = LIST("note.item_id -> items.id")},
	         "there is no table note; there are"},
	        {{BY_ORG, .references = LIST("notes.item_id -> items.key")},
	         "public.items has no column key"},
	        {{BY_ORG, .references = LIST("notes.item_id -> items.id when kind = 'x'")},
	         "public.notes has no column kind"},
	        {{BY_ORG, .references = LIST("notes.item_id->>'x' -> items.id")},
	         "the column item_id is no json: it is bigint"},
	        {{BY_ORG, .references = LIST("notes.item_id")}, "has no ->"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse_in(shop, &cases[i].rules, NULL, cases[i].message);
}

static void several_tables_of_a_name(void **state)
{
	static const char model[] = "a.t id* org_id\nb.t id* org_id\nu id* t_id\npart:P id* org_id\n";
	const struct tenancy_rules column = {.tenant_columns = LIST("t.org_id")};
	const struct tenancy_rules reference = {BY_ORG, .references = LIST("u.t_id -> t.id")};
	const struct tenancy_rules partition = {BY_ORG, .references = LIST("part.id -> u.id")};
	const struct tenancy_rules left_out = {BY_ORG, .excluded = LIST("par*")};

	refuse_in(model, &column, NULL,
	          "there are several tables of this name: a.t, b.t; name the schema as well");
	refuse_in(model, &reference, NULL, "\"u.t_id -> t.id\": there are several tables of this name");
	refuse_in(model, &partition, NULL, "this table is a partition");
	refuse_in(model, &left_out, NULL, "exclude names par*, which is a partition");
}

static void bad_references(void **state)
{
	static const struct {
		const char *text, *problem;
	} cases[] = {
	        {"", "is empty"},
	        {"  ", "is empty"},
	        {"subject_id -> posts.id", "lacks the table in front of a column"},
	        {"comments.subject_id -> id", "lacks the table in front of a column"},
	        {"comments.subject_id", "has no -> behind the column that refers"},
	        {"comments.subject_id = posts.id", "has no -> behind the column that refers"},
	        {"comments.subject_id > posts.id", "has no -> behind the column that refers"},
	        {"comments.subject_id ->", "lacks a name"},
	        {"-> posts.id", "lacks a name"},
	        {"comments.subject_id ->> posts.id", "has ->> without a key in single quotes behind it"},
	        {"events.payload->'user_id' -> users.id", "needs ->> before the last key"},
	        {"events.payload->>'a'->'b' -> users.id", "has a key behind ->>, which gives text"},
	        {"events.payload->>'a -> users.id", "has a quote that is not closed"},
	        {"a.\"b -> c.d", "has a quote that is not closed"},
	        {"a.b.c.d -> e.f", "has a name of more than three parts"},
	        {"a.* -> e.f", "has a wildcard"},
	        {"a.b -> c.d; DROP TABLE c", "has something behind its end"},
	        {"a.b -> c.d OR true", "has something behind its end"},
	        {"a.b -> c.d when", "has something behind its end"},
	        {"a.b -> c.d when ", "lacks a name"},
	        {"a.b -> c.d when x", "has no = behind a column of \"when\""},
	        {"a.b -> c.d when x <> 'y'", "has no = behind a column of \"when\""},
	        {"a.b -> c.d when a.x = 'y'", "names a table behind \"when\""},
	        {"a.b -> c.d when x = y", "compares with something else"},
	        {"a.b -> c.d when x = now()", "compares with something else"},
	        {"a.b -> c.d when x = 1;", "compares with something else"},
	        {"a.b -> c.d when x = -", "compares with something else"},
	        {"a.b -> c.d when x =", "compares with something else"},
	        {"a.b -> c.d when x = 'y", "has a quote that is not closed"},
	        {"a.b -> c.d when x = 'y' and", "has something behind its end"},
	        {"a.b -> c.d when x = 'y' and ", "lacks a name"},
	        {"a.b -> c.d when x = 'y' or z = 1", "has something behind its end"},
	        {"a.b -> c.d when (x = 'y')", "lacks a name"},
	        {"a.b(c) -> c.d", "has no -> behind"},
	        {"a.b::text -> c.d", "has no -> behind"},
	        {"(SELECT 1) -> c.d", "lacks a name"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};

		assert_int_equal(
		        tenancy_references_check(LIST((char *)"a.b->c.d", (char *)cases[i].text), &err),
		        -EINVAL);
		if (!strstr(err.message, cases[i].problem) || !str_starts(err.message, "references: "))
			fail_msg("'%s': %s", cases[i].text, err.message);
	}
}

static void good_references(void **state)
{
	struct error err = {0};

	assert_int_equal(tenancy_references_check(NULL, &err), 0);
	assert_int_equal(
	        tenancy_references_check(LIST("a.b->c.d", "  a.b  ->\tc.d  ", "s.a.b -> s.c.d",
	                                      "a-b.c-d->e-f.g-h", "\"A.b\".\"c \"\"d\" -> e.f",
	                                      "a.b->'x'->>'y'->c.d", "a.b->>'->' -> c.d->'k'->>'l'",
	                                      "a.b -> c.d when e = 'it''s' AND f->>'g' = -1.5 and h = TRUE",
	                                      "when.when -> when.when when when = ''"),
	                                 &err),
	        0);
}

static void rules_are_checked_without_a_database(void **state)
{
	const struct tenancy_rules good = {.tenant_columns = LIST("org_id", "a.b.c"),
	                                   .tenant_table = "",
	                                   .shared = LIST("a", "b.*"),
	                                   .references = LIST("a.b -> c.d")};
	const struct {
		struct tenancy_rules rules;
		const char *message;
	} cases[] = {{{.tenant_columns = LIST("a.*")}, "tenant_column: "},
	             {{.shared = LIST("")}, "shared: \"\" lacks a name"},
	             {{.referred = LIST("a.b.c")}, "referred: "},
	             {{.excluded = LIST("ok", "a\n\"")}, "exclude: "},
	             {{.tenant_table = "orgs"}, "tenant_table: "},
	             {{.references = LIST("x")}, "references: "}};
	struct error err = {0};

	assert_int_equal(tenancy_rules_check(&good, &err), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(tenancy_rules_check(&cases[i].rules, &err), -EINVAL);
		if (!str_starts(err.message, cases[i].message))
			fail_msg("%s", err.message);
	}
}

/* Three references from each level to the next: 3 ways, 9, 27, … */
static void too_many_ways(void **state)
{
	_cleanup(str) struct str text = {0};
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	const struct tenancy_rules rules = {BY_ORG};
	_cleanup(tenancy_model) struct tenancy_model m = {0};

	str_append(&text, "t0 id* org_id!\n");
	for (int i = 1; i < 10; i++)
		str_appendf(&text, "t%d id* a b c\nt%d.a > t%d.id\nt%d.b > t%d.id\nt%d.c > t%d.id\n", i, i,
		            i - 1, i, i - 1, i, i - 1);
	m = model_of(str_text(&text));
	decide_in(&m, &rules, NULL, &plan);
	assert_int_equal(find(&m, &plan, "t5")->verdict, TENANCY_EXPORTED);
	assert_int_equal(find(&m, &plan, "t9")->verdict, TENANCY_UNDECIDED);
	assert_non_null(strstr(find(&m, &plan, "t9")->reason, "too many ways"));
}

/* A chain of many tables, each after the one that it refers to and each before it. */
static void long_chains(void **state)
{
	for (int up = 0; up < 2; up++) {
		_cleanup(str) struct str text = {0};
		_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
		const struct tenancy_rules rules = {BY_ORG};
		_cleanup(tenancy_model) struct tenancy_model m = {0};

		str_append(&text, up ? "t0000 id* org_id!\n" : "t1999 id* org_id!\n");
		for (int i = up; i < 1999 + up; i++)
			str_appendf(&text, "t%04d id* a!\nt%04d.a > t%04d.id\n", i, i, up ? i - 1 : i + 1);
		m = model_of(str_text(&text));
		decide_in(&m, &rules, NULL, &plan);
		assert_int_equal(find(&m, &plan, up ? "t0060" : "t1939")->verdict, TENANCY_EXPORTED);
		assert_int_equal(find(&m, &plan, up ? "t0065" : "t1934")->verdict, TENANCY_UNDECIDED);
		assert_int_equal(plan.decisions[0].table, up ? 0 : 1999);
	}
}

static void nothing_at_all(void **state)
{
	_cleanup(tenancy_model) struct tenancy_model m = {0};
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	const struct tenancy_rules rules = {.kind = TENANCY_DATABASE};

	decide_in(&m, &rules, NULL, &plan);
	assert_int_equal(plan.count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(columns_and_keys),
	        cmocka_unit_test(rows_can_be_inserted_in_the_order),
	        cmocka_unit_test(circles),
	        cmocka_unit_test(longer_ways_count),
	        cmocka_unit_test(keys_of_other_kinds),
	        cmocka_unit_test(soft_references),
	        cmocka_unit_test(shared_referred_and_excluded),
	        cmocka_unit_test(referred_in_a_circle),
	        cmocka_unit_test(shared_rows_that_are_a_tenants),
	        cmocka_unit_test(what_is_excluded_tells_nothing),
	        cmocka_unit_test(foreign_tables_and_views),
	        cmocka_unit_test(a_named_column_wins),
	        cmocka_unit_test(the_tenants_table),
	        cmocka_unit_test(schemas_and_databases),
	        cmocka_unit_test(names_in_quotes),
	        cmocka_unit_test(bad_rules),
	        cmocka_unit_test(several_tables_of_a_name),
	        cmocka_unit_test(bad_references),
	        cmocka_unit_test(good_references),
	        cmocka_unit_test(rules_are_checked_without_a_database),
	        cmocka_unit_test(too_many_ways),
	        cmocka_unit_test(long_chains),
	        cmocka_unit_test(nothing_at_all),
	};

	return cmocka_run_group_tests_name("tenancy", tests, NULL, NULL);
}
