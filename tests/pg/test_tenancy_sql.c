// SPDX-License-Identifier: Apache-2.0
/*
 * The conditions in SQL by which rows are one tenant's, on a server: for each table of a schema that has everything they are compared with a query written by hand,
 * for several tenants and random rows. What a proof and what "nobody's" say follows from the conditions of all tenants.
 */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/sql_text.h>
#include <keepfs/pg/tenancy.h>
#include <keepfs/policy/tenancy.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "tenants"

static const char *const tenants[] = {"acme", "o'brien \\ \"sons\"", "{id}", "\xc3\xbc\xc3\xa4", "5"};

static const char make_tenant_tables[] =
        "CREATE EXTENSION citext;"
        "CREATE SCHEMA ref; CREATE SCHEMA \"Odd \"\"one\"\".\";"
        "CREATE TYPE colour AS ENUM ('red', 'green', 'blue');"
        "CREATE TABLE orgs (id text PRIMARY KEY, code int NOT NULL UNIQUE, parent text REFERENCES orgs);"
        "CREATE TABLE orders (id bigint PRIMARY KEY, org_id text NOT NULL REFERENCES orgs, note text);"
        "CREATE TABLE products (id bigint PRIMARY KEY, org_id varchar(40) REFERENCES orgs);"
        "CREATE TABLE items (id bigint PRIMARY KEY, order_id bigint NOT NULL REFERENCES orders, product_id bigint REFERENCES products);"
        "CREATE TABLE pairs (order_id bigint REFERENCES orders, product_id bigint REFERENCES products);"
        "CREATE TABLE item_notes (item_id int REFERENCES items, note text);"
        "ALTER TABLE item_notes ADD id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY;"
        "CREATE TABLE \"Odd \"\"one\"\".\".\"t \"\"x\"\"\n; '\\\" (\"i d\" bigint PRIMARY KEY, \"a \"\"b\"\".\nc\" bigint NOT NULL REFERENCES orders);"
        "CREATE TABLE depots (id int PRIMARY KEY, org_code int NOT NULL REFERENCES orgs (code));"
        "CREATE TABLE shelves (depot_id int REFERENCES depots, number int, PRIMARY KEY (depot_id, number));"
        "CREATE TABLE boxes (id int PRIMARY KEY, depot_id int, shelf int, FOREIGN KEY (depot_id, shelf) REFERENCES shelves);"
        "CREATE TABLE a (id int PRIMARY KEY, org_id text NOT NULL, b_id int, parent_id int REFERENCES a);"
        "CREATE TABLE b (id int PRIMARY KEY, a_id int REFERENCES a);"
        "ALTER TABLE a ADD FOREIGN KEY (b_id) REFERENCES b;"
        "CREATE TABLE y (id int PRIMARY KEY, x_id int);"
        "CREATE TABLE x (id int PRIMARY KEY, y_id int REFERENCES y, a_id int REFERENCES a);"
        "ALTER TABLE y ADD FOREIGN KEY (x_id) REFERENCES x;"
        "CREATE TABLE comments (id bigint PRIMARY KEY, subject_type text, subject_id bigint);"
        "CREATE TABLE events (id bigint PRIMARY KEY, payload jsonb);"
        "CREATE TABLE logs (ref numeric, kind smallint);"
        "CREATE TABLE files (id int PRIMARY KEY);"
        "CREATE TABLE users (id uuid PRIMARY KEY, avatar int REFERENCES files);"
        "CREATE TABLE members (org_id text REFERENCES orgs, user_id uuid REFERENCES users, file int REFERENCES files, PRIMARY KEY (org_id, user_id));"
        "CREATE TABLE emails (id int PRIMARY KEY, user_id uuid NOT NULL REFERENCES users);"
        "CREATE TABLE ref.countries (code char(2) PRIMARY KEY);"
        "CREATE TABLE days (id int, org_id text NOT NULL, day int NOT NULL, PRIMARY KEY (id, day)) PARTITION BY RANGE (day);"
        "CREATE TABLE days_1 PARTITION OF days FOR VALUES FROM (0) TO (5); CREATE TABLE days_2 PARTITION OF days FOR VALUES FROM (5) TO (10);"
        "CREATE TABLE day_notes (id int PRIMARY KEY, day_id int, day int, FOREIGN KEY (day_id, day) REFERENCES days);"
        "CREATE TABLE base (id int PRIMARY KEY, org_id text NOT NULL); CREATE TABLE derived (more int) INHERITS (base);"
        "CREATE TABLE base_notes (id int PRIMARY KEY, base_id int);"
        "CREATE TABLE tags (name citext PRIMARY KEY, org_id citext NOT NULL);"
        "CREATE TABLE tagged (id int PRIMARY KEY, tag citext NOT NULL REFERENCES tags);"
        "CREATE TABLE paints (colour colour PRIMARY KEY, kinds int[] UNIQUE, org_id text NOT NULL);"
        "CREATE TABLE painted (id int PRIMARY KEY, colour colour REFERENCES paints, kinds int[] REFERENCES paints (kinds));";

static const char fill_tenant_tables[] =
        "SELECT setseed(0.42);"
        "CREATE FUNCTION pick(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1 + floor(random() * n)::int';"
        "CREATE FUNCTION maybe(n int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT CASE WHEN random() < 0.8 THEN 1 + floor(random() * n)::int END';"
        "CREATE FUNCTION org() RETURNS text LANGUAGE sql VOLATILE AS 'SELECT id FROM orgs ORDER BY random() LIMIT 1';"
        "CREATE FUNCTION uid(n int) RETURNS uuid LANGUAGE sql IMMUTABLE AS 'SELECT md5(n::text)::uuid';"
        "INSERT INTO orders SELECT i, org(), 'n' || i FROM generate_series(1, 60) i;"
        "INSERT INTO products SELECT i, CASE WHEN i % 5 > 0 THEN org() END FROM generate_series(1, 40) i;"
        "INSERT INTO items SELECT i, pick(60), maybe(40) FROM generate_series(1, 300) i;"
        "INSERT INTO items SELECT 300 + i, o.id, p.id FROM orders o JOIN products p USING (org_id), LATERAL (SELECT o.id * 100 + p.id AS i) n;"
        "INSERT INTO pairs SELECT maybe(60), maybe(40) FROM generate_series(1, 100) i;"
        "INSERT INTO item_notes SELECT maybe(300), 'x' FROM generate_series(1, 200) i;"
        "INSERT INTO \"Odd \"\"one\"\".\".\"t \"\"x\"\"\n; '\\\" SELECT i, pick(60) FROM generate_series(1, 100) i;"
        "INSERT INTO depots SELECT i, pick(5) - 1 FROM generate_series(1, 12) i;"
        "INSERT INTO shelves SELECT d, n FROM generate_series(1, 12) d, generate_series(1, 3) n;"
        "INSERT INTO boxes SELECT i, maybe(12), maybe(3) FROM generate_series(1, 100) i;"
        "INSERT INTO a SELECT i, org(), NULL, maybe(i) FROM generate_series(1, 40) i;"
        "INSERT INTO b SELECT i, maybe(40) FROM generate_series(1, 40) i; UPDATE a SET b_id = maybe(40);"
        "INSERT INTO y SELECT i FROM generate_series(1, 40) i; INSERT INTO x SELECT i, maybe(40), maybe(40) FROM generate_series(1, 40) i;"
        "UPDATE y SET x_id = maybe(40);"
        "INSERT INTO comments SELECT i, (ARRAY['Order', 'Product', 'Gone', NULL])[pick(4)], maybe(80) FROM generate_series(1, 200) i;"
        "INSERT INTO events SELECT i, jsonb_build_object('item_id', maybe(400), 'actor', jsonb_build_object('user', CASE WHEN i % 2 = 0 THEN "
        " upper(uid(pick(30))::text) ELSE uid(pick(40))::text END)) FROM generate_series(1, 100) i;"
        "INSERT INTO events SELECT 100 + i, v::jsonb FROM unnest(ARRAY['{\"item_id\": \"abc\"}', '{\"item_id\": \"7\"}', '{\"item_id\": 7.0}', "
        " '{\"item_id\": 99999999999999999999}', '[7]', '7', 'null', '{\"item_id\": {\"item_id\": 7}}', '{\"item_id\": \"\"}', '{\"item_id\": -7}', "
        " '{\"item_id\": null}', '{\"actor\": \"x\"}', '{\"actor\": {\"user\": \"not a uuid\"}}', NULL]) WITH ORDINALITY v(v, i);"
        "INSERT INTO logs SELECT maybe(80), i % 3 FROM generate_series(1, 100) i;"
        "INSERT INTO files SELECT i FROM generate_series(1, 60) i;"
        "INSERT INTO users SELECT uid(i), maybe(60) FROM generate_series(1, 30) i;"
        "INSERT INTO members SELECT DISTINCT ON (o, u) o, u, maybe(60) FROM (SELECT org() AS o, uid(pick(20)) AS u FROM generate_series(1, 40)) m;"
        "INSERT INTO emails SELECT i, uid(pick(30)) FROM generate_series(1, 60) i;"
        "INSERT INTO ref.countries VALUES ('de'), ('fr');"
        "INSERT INTO days SELECT i, org(), i % 10 FROM generate_series(1, 50) i;"
        "INSERT INTO day_notes SELECT i, d, d % 10 FROM (SELECT i, maybe(50) AS d FROM generate_series(1, 80) i) n;"
        "INSERT INTO base SELECT i, org() FROM generate_series(1, 20) i; INSERT INTO derived SELECT i, org(), 1 FROM generate_series(1, 20) i;"
        "INSERT INTO base_notes SELECT i, maybe(25) FROM generate_series(1, 60) i;"
        "INSERT INTO tags SELECT 'Tag' || i, org() FROM generate_series(1, 20) i; INSERT INTO tagged SELECT i, upper('tag' || pick(20)) FROM generate_series(1, 50) i;"
        "INSERT INTO paints VALUES ('red', '{1,2}', 'acme'), ('green', '{}', '5'), ('blue', NULL, 'acme');"
        "INSERT INTO painted VALUES (1, 'red', NULL), (2, NULL, '{1,2}'), (3, 'green', '{1,2}'), (4, NULL, NULL), (5, 'green', '{}'), (6, 'blue', '{1,2}');"
        "ANALYZE;";

static const struct tenancy_rules rules = {
        .tenant_columns = (char *const[]){(char *)"org_id", NULL},
        .shared = (char *const[]){(char *)"ref.*", NULL},
        .referred = (char *const[]){(char *)"users", (char *)"files", NULL},
        .references = (char *const[]){
                (char *)"comments.subject_id -> orders.id when subject_type = 'Order'",
                (char *)"comments.subject_id -> products.id when subject_type = 'Product'",
                (char *)"events.payload->>'item_id' -> items.id",
                (char *)"events.payload->'actor'->>'user' -> users.id",
                (char *)"logs.ref -> orders.id when kind = 1", (char *)"emails.user_id -> users.id",
                (char *)"base_notes.base_id -> base.id", NULL}};

/* By hand; "$" is the tenant's name as a literal. */
#define OURS_ORDERS   "SELECT id FROM public.orders WHERE org_id = $"
#define OURS_PRODUCTS "SELECT id FROM public.products WHERE org_id = $"
#define OURS_ITEMS                                                                                           \
	"SELECT id FROM public.items WHERE order_id IN (" OURS_ORDERS ") OR product_id IN (" OURS_PRODUCTS ")"
#define OURS_EVENTS                                                                                                                  \
	"SELECT payload FROM public.events WHERE payload->>'item_id' IN (SELECT id::text FROM public.items WHERE id IN (" OURS_ITEMS \
	"))"
#define OURS_USERS                                                                                                                                                                 \
	"SELECT id FROM public.users WHERE id IN (SELECT user_id FROM public.members WHERE org_id = $) OR id::text IN (SELECT lower(payload->'actor'->>'user') FROM (" OURS_EVENTS \
	") e)"
static const struct {
	const char *table, *condition;
} by_hand[] = {
        {"public.orgs", "id = $"},
        {"public.orders", "org_id = $"},
        {"public.products", "org_id = $"},
        {"public.items", "id IN (" OURS_ITEMS ")"},
        {"public.pairs", "order_id IN (" OURS_ORDERS ") OR product_id IN (" OURS_PRODUCTS ")"},
        {"public.item_notes", "item_id IN (" OURS_ITEMS ")"},
        {"\"Odd \"\"one\"\".\".\"t \"\"x\"\"\n; '\\\"", "\"a \"\"b\"\".\nc\" IN (" OURS_ORDERS ")"},
        {"public.depots", "org_code = (SELECT code FROM public.orgs WHERE id = $)"},
        {"public.shelves",
         "depot_id IN (SELECT id FROM public.depots WHERE org_code = (SELECT code FROM public.orgs WHERE id = $))"},
        {"public.boxes",
         "shelf IS NOT NULL AND depot_id IN (SELECT id FROM public.depots WHERE org_code = (SELECT code FROM public.orgs WHERE id = $))"},
        {"public.a", "org_id = $"},
        {"public.b", "a_id IN (SELECT id FROM public.a WHERE org_id = $)"},
        {"public.x", "a_id IN (SELECT id FROM public.a WHERE org_id = $)"},
        {"public.y",
         "x_id IN (SELECT id FROM public.x WHERE a_id IN (SELECT id FROM public.a WHERE org_id = $))"},
        {"public.comments", "(subject_type = 'Order' AND subject_id IN (" OURS_ORDERS
                            ")) OR (subject_type = 'Product' AND subject_id IN (" OURS_PRODUCTS "))"},
        {"public.events", "payload IN (" OURS_EVENTS ")"},
        {"public.logs", "kind = 1 AND ref::text IN (SELECT id::text FROM public.orders WHERE org_id = $)"},
        {"public.users", "id IN (" OURS_USERS ")"},
        {"public.members", "org_id = $"},
        {"public.files",
         "id IN (SELECT file FROM public.members WHERE org_id = $) OR id IN (SELECT avatar FROM public.users WHERE id IN (" OURS_USERS
         "))"},
        {"public.emails", "user_id IN (" OURS_USERS ")"},
        {"ref.countries", "true"},
        {"public.days", "org_id = $"},
        {"public.day_notes", "day_id IN (SELECT id FROM public.days WHERE org_id = $)"},
        {"public.base", "org_id = $"},
        {"public.derived", "org_id = $"},
        {"public.base_notes", "base_id IN (SELECT id FROM ONLY public.base WHERE org_id = $)"},
        {"public.tags", "lower(org_id::text) = lower($)"},
        {"public.tagged",
         "lower(tag::text) IN (SELECT lower(name::text) FROM public.tags WHERE lower(org_id::text) = lower($))"},
        {"public.paints", "org_id = $"},
        {"public.painted",
         "colour IN (SELECT colour FROM public.paints WHERE org_id = $) OR kinds IN (SELECT kinds FROM public.paints WHERE org_id = $)"},
};

struct tenant_world {
	struct pg_session *s;
	struct tenancy_model model;
	struct tenancy_plan plan;
};

static struct tenant_world world;

static char *quoted_table(const struct tenancy_table *t)
{
	struct str s = {0};

	sql_append_name(&s, t->schema);
	str_append_char(&s, '.');
	sql_append_name(&s, t->name);
	return str_take(&s);
}

static const struct tenancy_table *table_of(const struct tenancy_decision *d)
{
	return &world.model.tables[d->table];
}

static char *from_of(const struct tenancy_decision *d)
{
	_cleanup(free) char *name = quoted_table(table_of(d));

	return mem_printf("%s%s t", table_of(d)->kind == 'p' ? "" : "ONLY ", name);
}

static char *condition_of(const struct tenancy_decision *d, const char *tenant)
{
	struct str s = {0};

	tenancy_append_condition(&world.model, &world.plan, d, "t", tenant, &s);
	return str_take(&s);
}

static char *proof_of(const struct tenancy_decision *d, const char *tenant)
{
	struct str s = {0};

	tenancy_append_proof(&world.model, &world.plan, d, "t", tenant, &s);
	return str_take(&s);
}

static char *nobodys_of(const struct tenancy_decision *d)
{
	struct str s = {0};

	tenancy_append_nobodys(&world.model, &world.plan, d, "t", &s);
	return str_take(&s);
}

static char *for_tenant(const char *condition, const char *tenant)
{
	struct str s = {0};

	for (; *condition; condition++) {
		if (*condition == '$')
			sql_append_literal(&s, tenant);
		else
			str_append_char(&s, *condition);
	}
	return str_take(&s);
}

static long count_rows(const struct tenancy_decision *d, const char *condition)
{
	_cleanup(free) char *from = from_of(d);
	_cleanup(free) char *sql = mem_printf("SELECT count(*) FROM %s WHERE %s", from, condition);
	_cleanup(free) char *count = server_value(world.s, sql);

	return strtol(count, NULL, 10);
}

static char *rows_of(const struct tenancy_decision *d, const char *condition)
{
	_cleanup(free) char *from = from_of(d);
	_cleanup(free) char *sql = mem_printf(
	        "SELECT string_agg(t::text, ' ' ORDER BY t::text) FROM %s WHERE %s", from, condition);

	return server_value(world.s, sql);
}

static const char *condition_by_hand(const struct tenancy_decision *d)
{
	const struct tenancy_table *t = table_of(d);
	_cleanup(free) char *plain = mem_printf("%s.%s", t->schema, t->name), *quoted = quoted_table(t);

	for (size_t i = 0; i < ARRAY_SIZE(by_hand); i++)
		if (str_equal(by_hand[i].table, plain) || str_equal(by_hand[i].table, quoted))
			return by_hand[i].condition;
	fail_msg("%s has no condition by hand", plain);
	return NULL;
}

static void expect_same_rows(const struct tenancy_decision *d, const char *tenant)
{
	_cleanup(free) char *condition = condition_of(d, tenant);
	_cleanup(free) char *expected_condition = for_tenant(condition_by_hand(d), tenant);
	_cleanup(free) char *rows = rows_of(d, condition), *expected = rows_of(d, expected_condition);

	if (!str_equal(rows, expected))
		fail_msg("%s of %s, by %s:\n%s\ninstead of\n%s", table_of(d)->name, tenant, condition,
		         rows ? rows : "nothing", expected ? expected : "nothing");
	if (!rows && str_equal(tenant, "acme"))
		fail_msg("%s has no row to compare", table_of(d)->name);
}

static void conditions_are_those_by_hand(void **state)
{
	assert_int_equal(world.plan.exported, ARRAY_SIZE(by_hand));
	assert_int_equal(world.plan.count, ARRAY_SIZE(by_hand));
	for (size_t i = 0; i < world.plan.count; i++)
		for (size_t t = 0; t < ARRAY_SIZE(tenants); t++)
			expect_same_rows(&world.plan.decisions[i], tenants[t]);
}

/* A tenant whom nobody knows has nothing, whatever its name tries. */
static void an_unknown_tenant_has_nothing(void **state)
{
	static const char *const names[] = {"", "unknown", "' OR true --", "\\' OR true --", "acme'", "ACME"};

	for (size_t i = 0; i < world.plan.count; i++) {
		const struct tenancy_decision *d = &world.plan.decisions[i];

		for (size_t n = 0; n < ARRAY_SIZE(names) && d->way != TENANCY_WHOLE; n++) {
			_cleanup(free) char *condition = condition_of(d, names[n]);
			bool is_citext = strstr(table_of(d)->name, "tag") && n == 5;

			assert_true((count_rows(d, condition) == 0) == !is_citext);
		}
	}
}

/* Of which other tenants is a row as well? */
static char *others_of(const struct tenancy_decision *d, size_t tenant)
{
	struct str s = {0};

	str_append(&s, "(false");
	for (size_t i = 0; i < ARRAY_SIZE(tenants); i++) {
		_cleanup(free) char *condition = condition_of(d, tenants[i]);

		if (i != tenant)
			str_appendf(&s, " OR (%s) IS TRUE", condition);
	}
	str_append_char(&s, ')');
	return str_take(&s);
}

static long expect_proof(const struct tenancy_decision *d, size_t tenant)
{
	_cleanup(free) char *condition = condition_of(d, tenants[tenant]),
	                    *proof = proof_of(d, tenants[tenant]);
	_cleanup(free) char *others = others_of(d, tenant);
	_cleanup(free) char *unproven = mem_printf("(%s) AND NOT (%s)", condition, proof);
	_cleanup(free) char *wrong = mem_printf("(%s) AND (%s) = %s", condition, proof, others);
	_cleanup(free) char *unknown = mem_printf("(%s) IS NULL", proof);

	assert_int_equal(count_rows(d, unknown), 0);
	if (strcmp(proof, "true") == 0)
		return 0;
	if (count_rows(d, wrong) != 0)
		fail_msg("%s: the proof %s is wrong", table_of(d)->name, proof);
	return count_rows(d, unproven);
}

static void proofs_fail_for_rows_of_two_tenants(void **state)
{
	_cleanup(str) struct str proven = {0};

	for (size_t i = 0; i < world.plan.count; i++) {
		long shared = 0;

		for (size_t t = 0; t < ARRAY_SIZE(tenants); t++)
			shared += expect_proof(&world.plan.decisions[i], t);
		if (shared > 0)
			str_appendf(&proven, "%s ", table_of(&world.plan.decisions[i])->name);
	}
	assert_string_equal(str_text(&proven), "events items painted pairs ");
}

/* A row of one way by a foreign key is proven with its parent; one that no two tenants can have needs none. */
static void proofs_that_need_nothing(void **state)
{
	static const char *const names[] = {"orders",    "item_notes", "boxes", "users",
	                                    "countries", "days",       "tagged"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		ssize_t table = tenancy_find_table(&world.model, NULL, names[i]);
		_cleanup(free) char *proof =
		        proof_of(&world.plan.decisions[world.plan.decision_of[table]], "acme");

		assert_string_equal(proof, "true");
	}
}

static void nobodys_rows_are_no_tenants(void **state)
{
	size_t tables = 0;

	for (size_t i = 0; i < world.plan.count; i++) {
		const struct tenancy_decision *d = &world.plan.decisions[i];
		_cleanup(free) char *others = others_of(d, ARRAY_SIZE(tenants)), *nobodys = nobodys_of(d);
		_cleanup(free) char *nobody = mem_printf("NOT %s", others);
		_cleanup(free) char *expected = rows_of(d, nobody), *rows = rows_of(d, nobodys);

		if (d->way == TENANCY_BY_REFERRED || d->way == TENANCY_WHOLE ||
		    str_equal(table_of(d)->name, "emails")) {
			assert_false(d->way != TENANCY_BY_KEY && d->may_be_nobodys);
			continue;
		}
		if (!str_equal(rows, expected))
			fail_msg("%s, by %s:\n%s\ninstead of\n%s", table_of(d)->name, nobodys,
			         str_or_empty(rows), str_or_empty(expected));
		assert_true(!rows || d->may_be_nobodys);
		tables += rows != NULL;
	}
	assert_true(tables >= 10);
}

static int append_plan_line(void *arg, const struct pg_row *row, struct error *err)
{
	str_appendf(arg, "%s\n", row->values[0]);
	return 0;
}

/* A subplan would be asked for each row of the table. Only where there is no primary key it cannot be helped. */
static void conditions_are_joins(void **state)
{
	for (size_t i = 0; i < world.plan.count; i++) {
		const struct tenancy_decision *d = &world.plan.decisions[i];
		_cleanup(free) char *from = from_of(d), *condition = condition_of(d, "acme");
		_cleanup(free) char *sql = mem_printf("EXPLAIN SELECT * FROM %s WHERE %s", from, condition);
		_cleanup(str) struct str plan = {0};

		assert_int_equal(pg_session_rows(world.s, sql, append_plan_line, &plan, NULL), 0);
		if ((strstr(str_text(&plan), "SubPlan") != NULL) != str_equal(table_of(d)->name, "pairs"))
			fail_msg("%s\n%s", sql, str_text(&plan));
	}
}

static void same_with_any_search_path(void **state)
{
	static const char *const paths[] = {
	        "SET search_path = ''", "SET search_path = public, ref",
	        "SET search_path = pg_catalog; SET standard_conforming_strings = off"};

	for (size_t p = 0; p < ARRAY_SIZE(paths); p++) {
		server_run(world.s, paths[p]);
		for (size_t i = 0; i < world.plan.count; i++)
			expect_same_rows(&world.plan.decisions[i], tenants[1]);
	}
	server_run(world.s, "RESET search_path; RESET standard_conforming_strings");
}

static int make_tenants(void **state)
{
	struct error err = {0};
	_cleanup(str) struct str orgs = {0};

	server_database(DATABASE);
	world.s = server_open(DATABASE, NULL);
	server_run(world.s, make_tenant_tables);
	str_append(&orgs, "INSERT INTO orgs (id, code) VALUES ");
	for (size_t i = 0; i < ARRAY_SIZE(tenants); i++) {
		str_append(&orgs, i ? ", (" : "(");
		sql_append_literal(&orgs, tenants[i]);
		str_appendf(&orgs, ", %zu)", i);
	}
	server_run(world.s, str_text(&orgs));
	server_run(world.s, fill_tenant_tables);
	server_run(world.s, "BEGIN; SET LOCAL search_path = ''");
	if (pg_tenancy_read(world.s, &world.model, &err) < 0 ||
	    tenancy_decide(&world.model, &rules, NULL, &world.plan, &err) < 0)
		fail_msg("%s", err.message);
	server_run(world.s, "COMMIT");
	return 0;
}

static int forget_tenants(void **state)
{
	tenancy_plan_finish(&world.plan);
	tenancy_model_finish(&world.model);
	pg_session_free(world.s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(conditions_are_those_by_hand),
	        cmocka_unit_test(an_unknown_tenant_has_nothing),
	        cmocka_unit_test(proofs_fail_for_rows_of_two_tenants),
	        cmocka_unit_test(proofs_that_need_nothing),
	        cmocka_unit_test(nobodys_rows_are_no_tenants),
	        cmocka_unit_test(conditions_are_joins),
	        cmocka_unit_test(same_with_any_search_path),
	};

	return cmocka_run_group_tests_name("pg tenancy sql", tests, make_tenants, forget_tenants);
}
