// SPDX-License-Identifier: Apache-2.0
/* What exports ask: tenants, the model of a database, and rows within a tenant's context, whatever lets rows of others through. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/pg/snapshot.h>
#include <keepfs/pg/tenancy.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "shop"

/* Tenants. */

static char *shop_conninfo(const char *more)
{
	return mem_printf("%s dbname=" DATABASE " %s", server_conninfo(), more);
}

static int take_tenant(void *arg, const struct pg_tenant *t, struct error *err)
{
	str_appendf(arg, "%s|%s|%s|%s;", t->id ? t->id : "-", t->slug ? t->slug : "-",
	            t->name ? t->name : "-", t->class ? t->class : "-");
	return 0;
}

/* What the query gives; of a failure the message. */
static char *ask_tenants(const char *query, int *ret_r)
{
	_cleanup(free) char *conninfo = shop_conninfo("");
	struct str rows = {0};
	struct error err = {0};

	*ret_r = pg_ask_tenants(conninfo, query, NULL, take_tenant, &rows, &err);
	if (*ret_r == 0)
		return str_take(&rows);
	str_finish(&rows);
	return mem_strdup(err.message);
}

static void assert_tenants(const char *query, const char *expected)
{
	int r;
	_cleanup(free) char *rows = ask_tenants(query, &r);

	if (r < 0 || strcmp(rows, expected) != 0)
		fail_msg("%s\nwant: %s\ngot: %s", query, expected, rows);
}

/* @error: 0: whichever. */
static void assert_no_tenants(const char *query, int error, const char *expected)
{
	int r;
	_cleanup(free) char *message = ask_tenants(query, &r);

	if (r == 0 || (error && r != error) || !strstr(message, expected))
		fail_msg("%s\nwant: %d %s\ngot: %d %s", query, error, expected, r, message);
}

static void tenants_by_names_of_columns(void **state)
{
	assert_tenants("SELECT id, slug FROM orgs ORDER BY id", "1|acme|-|-;2|o'brien \"x\"|-|-;");
	assert_tenants(
	        "SELECT slug, plan AS class, id, now() AS more, title AS name FROM orgs ORDER BY id DESC",
	        "2|o'brien \"x\"|-|free;1|acme|Acme\nLtd|-;");
	assert_tenants(
	        "WITH o AS (SELECT * FROM orgs) SELECT id::text AS \"id\", 'k' AS SLUG FROM o WHERE id = 1;",
	        "1|k|-|-;");
	assert_tenants("SELECT id, slug FROM orgs WHERE id = 1 -- the first", "1|acme|-|-;");
	assert_tenants("SELECT id, slug FROM orgs WHERE false", "");
	assert_tenants("SELECT E'\\u00fc' AS id, '' AS slug", "\xc3\xbc||-|-;");
	assert_tenants("SELECT 'c56a4180-65aa-42ec-a945-5fd21dec0538'::uuid AS id, 'Z'::name AS slug",
	               "c56a4180-65aa-42ec-a945-5fd21dec0538|Z|-|-;");
	/* A row without a value is the caller's to tell of. */
	assert_tenants("SELECT * FROM (VALUES (NULL, 'a'), ('b', NULL)) v (id, slug)", "-|a|-|-;b|-|-|-;");
}

static void wrong_tenants_queries(void **state)
{
	assert_no_tenants("SELECT id FROM orgs", -EINVAL, "no column slug, but has to give id");
	assert_no_tenants("SELECT id FROM orgs", -EINVAL, "it gives id: name one with AS");
	assert_no_tenants("SELECT slug, title FROM orgs WHERE false", -EINVAL,
	                  "no column id, but has to give id");
	assert_no_tenants("SELECT 1 AS \"ID\", 'a' AS slug", -EINVAL, "it gives ID, slug");
	assert_no_tenants("SELECT", -EINVAL, "it gives none");
	assert_no_tenants("SELECT o.*, p.* FROM orgs o, orgs p", -EINVAL, "several columns id");
	assert_no_tenants("SELECT id, slug, 'a' AS class, 'b' AS class FROM orgs", -EINVAL,
	                  "several columns class");
	assert_no_tenants("SELECT id, slug FROM nothing", -ENOENT, "relation \"nothing\" does not exist");
	assert_no_tenants("SELEKT", -EINVAL, "syntax error");
	assert_no_tenants("DELETE FROM orgs RETURNING id, slug", -EINVAL, "syntax error");
}

static void tenants_queries_write_nothing(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	assert_no_tenants("SELECT nextval('orgs_id_seq') AS id, 'a' AS slug", 0, "read-only");
	assert_no_tenants("SELECT id, slug FROM orgs; COMMIT; DROP TABLE orgs", -EINVAL, "multiple commands");
	assert_no_tenants("WITH d AS (DELETE FROM orgs RETURNING *) SELECT id, slug FROM d", 0,
	                  "data-modifying");
	server_expect(s, "SELECT count(*) FROM orgs", "2");
	pg_session_free(s);
}

static void many_tenants(void **state)
{
	_cleanup(free) char *conninfo = shop_conninfo("");
	_cleanup(str) struct str rows = {0};
	struct error err = {0};

	assert_int_equal(pg_ask_tenants(conninfo,
	                                "SELECT n AS id, 's' AS slug FROM generate_series(1, 20000) n", NULL,
	                                take_tenant, &rows, &err),
	                 0);
	assert_true(str_ends(str_text(&rows), ";20000|s|-|-;"));
	assert_no_tenants("SELECT n AS id, 's' AS slug FROM generate_series(1, 20001) n", -E2BIG,
	                  "more than 20000 tenants are named");
}

static int refuse_tenant(void *arg, const struct pg_tenant *t, struct error *err)
{
	++*(int *)arg;
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "full");
}

static void who_takes_tenants_may_end_it(void **state)
{
	_cleanup(free) char *conninfo = shop_conninfo("");
	struct error err = {0};
	int count = 0;

	assert_int_equal(
	        pg_ask_tenants(conninfo, "SELECT id, slug FROM orgs", NULL, refuse_tenant, &count, &err),
	        -ENOSPC);
	assert_int_equal(count, 1);
	assert_string_equal(err.message, "full");
}

/* The model. */

static void tell_columns(struct str *out, const struct tenancy_table *t, const uint32_t *places, size_t count)
{
	for (size_t i = 0; i < count; i++)
		str_appendf(out, "%s%s", i > 0 ? "," : "", t->columns[places[i]].name);
}

static void tell_column(struct str *out, const struct tenancy_column *c)
{
	str_appendf(out, "  %s: %s", c->name, c->type);
	if (!str_equal(c->type, c->base_type))
		str_appendf(out, " = %s", c->base_type);
	str_appendf(out, " %c", c->category);
	if (c->delimiter)
		str_append_char(out, c->delimiter);
	str_append(out, c->not_null ? " not_null" : "");
	str_append(out, c->is_generated ? " generated" : "");
	if (c->identity)
		str_appendf(out, " identity=%c", c->identity);
	if (c->sequence)
		str_appendf(out, " sequence=%s", c->sequence);
	if (c->comment)
		str_appendf(out, " (%s)", c->comment);
	str_append_char(out, '\n');
}

static void tell_table(struct str *out, const struct tenancy_table *t)
{
	str_appendf(out, "%s.%s %c%s", t->schema, t->name, t->kind, t->is_partition ? " partition" : "");
	if (t->has_row_security)
		str_appendf(out, " rls%s=%u", t->forces_row_security ? "!" : "", t->policy_count);
	if (t->comment)
		str_appendf(out, " (%s)", t->comment);
	str_append_char(out, '\n');
	for (size_t i = 0; i < t->column_count; i++)
		tell_column(out, &t->columns[i]);
	if (t->primary_key_count > 0) {
		str_append(out, "  key ");
		tell_columns(out, t, t->primary_key, t->primary_key_count);
		str_append_char(out, '\n');
	}
	for (size_t i = 0; i < t->unique_count; i++) {
		str_appendf(out, "  unique%s %s ", t->uniques[i].nulls_equal ? "!" : "", t->uniques[i].name);
		tell_columns(out, t, t->uniques[i].columns, t->uniques[i].count);
		str_append_char(out, '\n');
	}
}

static void tell_model(struct str *out, const struct tenancy_model *m)
{
	for (size_t i = 0; i < m->table_count; i++)
		tell_table(out, &m->tables[i]);
	for (size_t i = 0; i < m->key_count; i++) {
		const struct tenancy_key *k = &m->keys[i];
		const struct tenancy_table *from = &m->tables[k->from], *to = &m->tables[k->to];

		str_appendf(out, "%s: %s.%s(", k->name, from->schema, from->name);
		tell_columns(out, from, k->from_columns, k->count);
		str_appendf(out, ") -> %s.%s(", to->schema, to->name);
		tell_columns(out, to, k->to_columns, k->count);
		str_append(out, ")\n");
	}
}

static void export(struct pg_session *s, char **ret_snapshot)
{
	struct error err = {0};

	if (pg_tenant_export(s, ret_snapshot, &err) < 0)
		fail_msg("%s", err.message);
}

static struct pg_session *open_export(const char *database)
{
	struct pg_session *s = server_open(database, NULL);
	_cleanup(free) char *snapshot = NULL;

	export(s, &snapshot);
	return s;
}

static void read_model(struct pg_session *s, struct tenancy_model *ret)
{
	struct error err = {0};

	if (pg_tenancy_read(s, ret, &err) < 0)
		fail_msg("%s", err.message);
}

/* The model of a new database in which @sql was run. */
static char *model_after(const char *database, const char *sql)
{
	struct pg_session *s;
	_cleanup(tenancy_model) struct tenancy_model model = {0};
	struct str out = {0};

	server_database(database);
	s = server_open(database, NULL);
	server_run(s, sql);
	pg_session_free(s);
	s = open_export(database);
	read_model(s, &model);
	tell_model(&out, &model);
	pg_session_free(s);
	return str_take(&out);
}

static void assert_model(const char *database, const char *sql, const char *expected)
{
	_cleanup(free) char *model = model_after(database, sql);

	if (strcmp(model, expected) != 0)
		fail_msg("%s\nwant:\n%s\ngot:\n%s", sql, expected, model);
}

static void facts_of_columns(void **state)
{
	assert_model(
	        "m_columns",
	        "CREATE DOMAIN short AS varchar(10); CREATE DOMAIN shorter AS short CHECK (length(VALUE) < 5);"
	        "CREATE DOMAIN numbers AS int[]; CREATE TYPE mood AS ENUM ('a', 'b'); CREATE TYPE pair AS (a int, b text);"
	        "CREATE SCHEMA other; CREATE DOMAIN other.secret_text AS text; CREATE SEQUENCE \"Own Seq\";"
	        "CREATE TABLE facts (id bigint GENERATED ALWAYS AS IDENTITY, by_default int GENERATED BY DEFAULT AS IDENTITY,"
	        " gone int, serial serial, owning int, plain bigint NOT NULL, price numeric(10,2), name varchar(20), code char(3),"
	        " at timestamp(3) with time zone, d shorter, secret other.secret_text, list text[], more int[][], numbers numbers,"
	        " mood mood, moods mood[], pair pair, pairs pair[], short_list shorter[], j jsonb, flag boolean, span tstzrange,"
	        " ip inet, bits bit varying(4), boxes box[], vector int2vector, odd numbers[], total numeric GENERATED ALWAYS AS (price * 2) STORED);"
	        "ALTER TABLE facts DROP gone; ALTER SEQUENCE \"Own Seq\" OWNED BY facts.owning;"
	        "COMMENT ON TABLE facts IS 'what is known'; COMMENT ON COLUMN facts.price IS 'keepfs:redact';"
	        "COMMENT ON SEQUENCE facts_serial_seq IS 'not a column''s'",
	        "public.facts r (what is known)\n"
	        "  id: bigint N not_null identity=a sequence=public.facts_id_seq\n"
	        "  by_default: integer N not_null identity=d sequence=public.facts_by_default_seq\n"
	        "  serial: integer N not_null sequence=public.facts_serial_seq\n"
	        "  owning: integer N sequence=public.\"Own Seq\"\n"
	        "  plain: bigint N not_null\n"
	        "  price: numeric(10,2) = numeric N (keepfs:redact)\n"
	        "  name: character varying(20) = character varying S\n"
	        "  code: character(3) = character S\n"
	        "  at: timestamp(3) with time zone = timestamp with time zone D\n"
	        "  d: public.shorter = character varying S\n"
	        "  secret: other.secret_text = text S\n"
	        "  list: text[] S,\n"
	        "  more: integer[] N,\n"
	        "  numbers: public.numbers = integer[] N,\n"
	        "  mood: public.mood E\n"
	        "  moods: public.mood[] E,\n"
	        "  pair: public.pair C\n"
	        "  pairs: public.pair[] C,\n"
	        "  short_list: public.shorter[] = character varying[] S,\n"
	        "  j: jsonb U\n"
	        "  flag: boolean B\n"
	        "  span: tstzrange R\n"
	        "  ip: inet I\n"
	        "  bits: bit varying(4) = bit varying V\n"
	        "  boxes: box[] G;\n"
	        "  vector: int2vector A\n"
	        "  odd: public.numbers[] = integer[][] A,\n"
	        "  total: numeric N generated\n");
}

static void keys_of_all_kinds(void **state)
{
	assert_model(
	        "m_keys",
	        "CREATE SCHEMA a; CREATE TABLE a.orgs (gone int, id int PRIMARY KEY, code text UNIQUE, parent int);"
	        "ALTER TABLE a.orgs DROP gone; ALTER TABLE a.orgs ADD CONSTRAINT up FOREIGN KEY (parent) REFERENCES a.orgs;"
	        "CREATE TABLE items (org int, n int, note text, PRIMARY KEY (n, org) INCLUDE (note), UNIQUE (org, note));"
	        "CREATE TABLE parts (item_org int, gone int, item_n int, code text, note text,"
	        " CONSTRAINT z FOREIGN KEY (item_org, item_n) REFERENCES items (org, n),"
	        " CONSTRAINT b FOREIGN KEY (code) REFERENCES a.orgs (code),"
	        " CONSTRAINT c FOREIGN KEY (item_org, note) REFERENCES items (org, note) ON DELETE CASCADE DEFERRABLE);"
	        "ALTER TABLE parts DROP gone;"
	        "ALTER TABLE parts ADD CONSTRAINT late FOREIGN KEY (item_n) REFERENCES a.orgs NOT VALID",
	        "a.orgs r\n  id: integer N not_null\n  code: text S\n  parent: integer N\n  key id\n  unique orgs_code_key code\n"
	        "public.items r\n  org: integer N not_null\n  n: integer N not_null\n  note: text S\n  key n,org\n  unique items_org_note_key org,note\n"
	        "public.parts r\n  item_org: integer N\n  item_n: integer N\n  code: text S\n  note: text S\n"
	        "up: a.orgs(parent) -> a.orgs(id)\n"
	        "b: public.parts(code) -> a.orgs(code)\n"
	        "c: public.parts(item_org,note) -> public.items(org,note)\n"
	        "late: public.parts(item_n) -> a.orgs(id)\n"
	        "z: public.parts(item_org,item_n) -> public.items(org,n)\n");
}

static void unique_keys_of_all_kinds(void **state)
{
	assert_model(
	        "m_uniques",
	        "CREATE TABLE t (gone int, a int UNIQUE, b int, c text, PRIMARY KEY (a, b));"
	        "ALTER TABLE t DROP gone; CREATE UNIQUE INDEX z ON t (c, b) INCLUDE (a);"
	        "CREATE UNIQUE INDEX of_some ON t (c) WHERE b > 0; CREATE UNIQUE INDEX lower ON t (lower(c));"
	        "CREATE INDEX plain ON t (c); ALTER TABLE t ADD CONSTRAINT nulls UNIQUE NULLS NOT DISTINCT (b) DEFERRABLE;"
	        "CREATE TABLE p (a int, b int, UNIQUE (b, a)) PARTITION BY RANGE (a);"
	        "CREATE TABLE p1 PARTITION OF p (UNIQUE (b)) FOR VALUES FROM (0) TO (9)",
	        "public.p p\n  a: integer N\n  b: integer N\n  unique p_b_a_key b,a\n"
	        "public.p1 r partition\n  a: integer N\n  b: integer N\n  unique p1_b_a_key b,a\n  unique p1_b_key b\n"
	        "public.t r\n  a: integer N not_null\n  b: integer N not_null\n  c: text S\n  key a,b\n"
	        "  unique t_a_key a\n  unique z c,b\n  unique! nulls b\n");
}

static void partitions_and_inheritance(void **state)
{
	assert_model(
	        "m_partitions",
	        "CREATE TABLE orgs (id int PRIMARY KEY);"
	        "CREATE TABLE logs (org int REFERENCES orgs, day int, PRIMARY KEY (day, org)) PARTITION BY RANGE (day);"
	        "CREATE TABLE logs1 PARTITION OF logs FOR VALUES FROM (0) TO (10) PARTITION BY LIST (org);"
	        "CREATE TABLE logs1a (x int, day int NOT NULL, org int NOT NULL); ALTER TABLE logs1a DROP x;"
	        "ALTER TABLE logs1 ATTACH PARTITION logs1a FOR VALUES IN (1);"
	        "CREATE TABLE notes (day int, org int, FOREIGN KEY (day, org) REFERENCES logs);"
	        /* Of one partition alone. */
	        "ALTER TABLE logs1a ADD CONSTRAINT own FOREIGN KEY (day) REFERENCES orgs;"
	        "CREATE TABLE narrow (day int, org int, FOREIGN KEY (day, org) REFERENCES logs1a (day, org));"
	        "CREATE TABLE old (a int); CREATE TABLE young (b int) INHERITS (old)",
	        "public.logs p\n  org: integer N not_null\n  day: integer N not_null\n  key day,org\n"
	        "public.logs1 p partition\n  org: integer N not_null\n  day: integer N not_null\n  key day,org\n"
	        "public.logs1a r partition\n  day: integer N not_null\n  org: integer N not_null\n  key day,org\n"
	        "public.narrow r\n  day: integer N\n  org: integer N\n"
	        "public.notes r\n  day: integer N\n  org: integer N\n"
	        "public.old r\n  a: integer N\n"
	        "public.orgs r\n  id: integer N not_null\n  key id\n"
	        "public.young r\n  a: integer N\n  b: integer N\n"
	        "logs_org_fkey: public.logs(org) -> public.orgs(id)\n"
	        "notes_day_org_fkey: public.notes(day,org) -> public.logs(day,org)\n");
}

/* What version 18 has brought: what the server does not promise is not taken for a promise. */
static void promises_of_18(void **state)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(free) char *version = server_value(s, "SHOW server_version_num");

	pg_session_free(s);
	if (strtol(version, NULL, 10) < 180000)
		return;
	assert_model(
	        "m_18",
	        "CREATE TABLE spans (id int4range, at tstzrange, PRIMARY KEY (id, at WITHOUT OVERLAPS));"
	        "CREATE TABLE uses (id int4range, at tstzrange, org int, twice int GENERATED ALWAYS AS (org * 2) VIRTUAL,"
	        " FOREIGN KEY (id, PERIOD at) REFERENCES spans (id, PERIOD at));"
	        "ALTER TABLE uses ADD CONSTRAINT n NOT NULL org NOT VALID; CREATE TABLE orgs (id int PRIMARY KEY);"
	        "ALTER TABLE uses ADD CONSTRAINT told FOREIGN KEY (org) REFERENCES orgs NOT ENFORCED",
	        "public.orgs r\n  id: integer N not_null\n  key id\n"
	        "public.spans r\n  id: int4range R not_null\n  at: tstzrange R not_null\n  key id,at\n"
	        "public.uses r\n  id: int4range R\n  at: tstzrange R\n  org: integer N\n  twice: integer N generated\n"
	        "told: public.uses(org) -> public.orgs(id)\n");
}

static void other_relations(void **state)
{
	assert_model(
	        "m_others",
	        "CREATE TABLE t (id int); ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (true);"
	        "CREATE POLICY q ON t USING (false); CREATE UNLOGGED TABLE u (); ALTER TABLE u FORCE ROW LEVEL SECURITY;"
	        "ALTER TABLE u ENABLE ROW LEVEL SECURITY; CREATE VIEW v AS SELECT * FROM t;"
	        "CREATE MATERIALIZED VIEW mv AS SELECT 1 AS one; COMMENT ON MATERIALIZED VIEW mv IS 'made';"
	        "CREATE TYPE composite AS (a int); CREATE INDEX ON t (id); CREATE TEMPORARY TABLE passing (a int);"
	        "CREATE TABLE information (a int)",
	        "public.information r\n  a: integer N\n"
	        "public.mv m (made)\n  one: integer N\n"
	        "public.t r rls=2\n  id: integer N\n"
	        "public.u r rls!=0\n");
}

/* In the order of the bytes of UTF-8, and as they are. */
static void names_of_any_kind(void **state)
{
	assert_model(
	        "m_names",
	        "CREATE SCHEMA \"S.1\"; CREATE SCHEMA \"a\"\"b\";"
	        "CREATE TABLE \"S.1\".\"t.\"\"q\"\"\" (\"a b\" int PRIMARY KEY, \"\xc3\xa4\" oid);"
	        "CREATE TABLE \"a\"\"b\".\"new\nline\" (\"x'\\y\" int REFERENCES \"S.1\".\"t.\"\"q\"\"\");"
	        "CREATE TABLE \"\xe8\xa1\xa8\" (\"select\" serial); CREATE TABLE \"Upper\" (); CREATE TABLE lower ()",
	        "S.1.t.\"q\" r\n  a b: integer N not_null\n  \xc3\xa4: oid N\n  key a b\n"
	        "a\"b.new\nline r\n  x'\\y: integer N\n"
	        "public.Upper r\n"
	        "public.lower r\n"
	        "public.\xe8\xa1\xa8 r\n  select: integer N not_null sequence=public.\"\xe8\xa1\xa8_select_seq\"\n"
	        "new\nline_x'\\y_fkey: a\"b.new\nline(x'\\y) -> S.1.t.\"q\"(a b)\n");
}

static bool has_extension(const char *name)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(free) char *sql =
	        mem_printf("SELECT EXISTS (SELECT FROM pg_available_extensions WHERE name = '%s')", name);
	_cleanup(free) char *there = server_value(s, sql);

	pg_session_free(s);
	return str_equal(there, "t");
}

static void foreign_tables(void **state)
{
	if (!has_extension("file_fdw"))
		skip();
	assert_model(
	        "m_foreign",
	        "CREATE EXTENSION file_fdw; CREATE SERVER files FOREIGN DATA WRAPPER file_fdw;"
	        "CREATE FOREIGN TABLE lines (line text NOT NULL) SERVER files OPTIONS (filename '/dev/null')",
	        "public.lines f\n  line: text S not_null\n");
}

/* A member, and one that is marked; pg_extension_config_dump() itself may only be called by a script of an extension. */
static void tables_of_extensions(void **state)
{
	assert_model(
	        "m_extensions",
	        "CREATE TABLE member (id int PRIMARY KEY); CREATE TABLE configured (id int PRIMARY KEY);"
	        "CREATE TABLE own (a int REFERENCES member, b int REFERENCES configured);"
	        "ALTER EXTENSION plpgsql ADD TABLE member; ALTER EXTENSION plpgsql ADD TABLE configured;"
	        "UPDATE pg_extension SET extconfig = ARRAY['configured'::regclass::oid], extcondition = ARRAY['WHERE true']"
	        " WHERE extname = 'plpgsql'",
	        "public.configured r\n  id: integer N not_null\n  key id\n"
	        "public.own r\n  a: integer N\n  b: integer N\n"
	        "own_b_fkey: public.own(b) -> public.configured(id)\n");
}

/* Of a database in another encoding, in UTF-8. */
static void a_database_in_latin1(void **state)
{
	struct pg_session *s = server_open("postgres", NULL);
	_cleanup(tenancy_model) struct tenancy_model model = {0};
	_cleanup(str) struct str out = {0};

	server_run(s, "CREATE DATABASE m_latin1 TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'");
	pg_session_free(s);
	s = server_open("m_latin1", NULL);
	server_run(s, "SET client_encoding = 'UTF8'");
	server_run(s, "CREATE TABLE \"\xc3\xa4\xc3\xb6\" (\"\xc3\xbc\" int)");
	pg_session_free(s);
	s = open_export("m_latin1");
	read_model(s, &model);
	tell_model(&out, &model);
	assert_string_equal(str_text(&out), "public.\xc3\xa4\xc3\xb6 r\n  \xc3\xbc: integer N\n");
	pg_session_free(s);
}

/* The columns come in more than one piece. */
static void many_columns(void **state)
{
	_cleanup(tenancy_model) struct tenancy_model model = {0};
	struct pg_session *s;

	server_database("m_many");
	s = server_open("m_many", NULL);
	server_run(
	        s,
	        "DO $$BEGIN FOR i IN 1..120 LOOP EXECUTE format('CREATE TABLE t%s (%s)', i,"
	        " (SELECT string_agg(format('c%s int', n), ', ') FROM generate_series(1, 100) n)); END LOOP; END$$");
	pg_session_free(s);
	s = open_export("m_many");
	read_model(s, &model);
	assert_int_equal(model.table_count, 120);
	for (size_t i = 0; i < model.table_count; i++) {
		assert_int_equal(model.tables[i].column_count, 100);
		assert_string_equal(model.tables[i].columns[99].name, "c100");
		assert_true(i == 0 || strcmp(model.tables[i - 1].name, model.tables[i].name) < 0);
	}
	pg_session_free(s);
}

static void what_comes_later_is_not_seen(void **state)
{
	struct pg_session *s, *other;
	_cleanup(tenancy_model) struct tenancy_model model = {0};
	_cleanup(str) struct str out = {0};

	server_database("m_later");
	s = open_export("m_later");
	other = server_open("m_later", NULL);
	server_run(other, "CREATE TABLE later (a int)");
	read_model(s, &model);
	assert_int_equal(model.table_count, 0);
	assert_int_equal(model.key_count, 0);
	pg_session_free(other);
	pg_session_free(s);
}

static void a_model_needs_a_transaction(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	struct tenancy_model model = {0};
	struct error err = {0};

	assert_true(pg_tenancy_read(s, &model, &err) < 0);
	assert_non_null(strstr(err.message, "what tables there are cannot be read"));
	server_expect(s, "SELECT 1", "1");
	pg_session_free(s);
}

/* Transactions. */

static void a_second_session_sees_the_same(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	struct pg_session *writer = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = NULL;
	struct error err = {0};

	export(s, &snapshot);
	server_run(writer, "CREATE TABLE written (a int); INSERT INTO public.orders VALUES (99, 1, 'late')");
	if (pg_tenant_join(other, snapshot, &err) < 0)
		fail_msg("%s", err.message);
	server_expect(other, "SELECT count(*) FROM public.orders", "4");
	server_expect(other, "SELECT count(*) FROM pg_catalog.pg_class WHERE relname = 'written'", "0");
	server_run(writer, "DELETE FROM public.orders WHERE id = 99; DROP TABLE written");
	/* Within what its settings are, and only there. */
	server_expect(other, "SHOW search_path", "");
	server_expect(other, "SHOW row_security", "off");
	server_expect(other, "SHOW TimeZone", "UTC");
	server_expect(other, "SHOW transaction_isolation", "repeatable read");
	assert_true(pg_session_run(other, "CREATE TABLE public.x ()", &err) < 0);
	assert_non_null(strstr(err.message, "read-only"));
	server_run(
	        other,
	        "ROLLBACK; SET DateStyle = 'German'; SET search_path = public; SET TimeZone = 'Asia/Tokyo'");
	assert_int_equal(pg_tenant_join(other, snapshot, &err), 0);
	server_expect(other, "SHOW TimeZone", "UTC");
	server_run(other, "COMMIT");
	server_expect(other, "SHOW search_path", "public");
	server_expect(other, "SHOW DateStyle", "German, DMY");
	server_expect(other, "SHOW TimeZone", "Asia/Tokyo");
	pg_session_free(writer);
	pg_session_free(other);
	pg_session_free(s);
}

static void joins_that_fail(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = NULL, *elsewhere = NULL;
	struct error err = {0};

	export(s, &snapshot);
	/* Another server has a snapshot of the same name. */
	elsewhere = mem_printf("%.*s 1.5", (int)(strchr(snapshot, ' ') - snapshot), snapshot);
	assert_int_equal(pg_tenant_join(other, elsewhere, &err), -ESTALE);
	assert_non_null(strstr(err.message, "reached another server"));
	assert_int_equal(pg_tenant_join(other, "nonsense", &err), -EINVAL);
	server_run(s, "COMMIT");
	assert_true(pg_tenant_join(other, snapshot, &err) < 0);
	assert_non_null(strstr(err.message, "cannot read the same state of the database"));
	server_expect(other, "SELECT 1", "1");
	server_expect(other, "SHOW search_path", "\"$user\", public");
	pg_session_free(other);
	pg_session_free(s);
}

static void *cancel_when_waiting(void *arg)
{
	struct pg_session *s = server_open(DATABASE, NULL);

	server_wait(s, "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'keepfs test'"
	               " AND wait_event = 'PgSleep')");
	cancel_set(arg);
	pg_session_free(s);
	return NULL;
}

static void cancelled_within_a_context(void **state)
{
	const struct pg_tenant_context context = {.role = "app"};
	_cleanup(free) char *snapshot = NULL;
	struct cancel cancel = {0};
	struct pg_session *s;
	struct error err = {0};
	pthread_t thread;

	cancel_init(&cancel);
	s = server_open(DATABASE, &cancel);
	export(s, &snapshot);
	assert_int_equal(pg_tenant_enter(s, &context, NULL, 0, &err), 0);
	assert_int_equal(thread_start(&thread, "test", cancel_when_waiting, &cancel), 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM pg_sleep(600)", &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	pthread_join(thread, NULL);
	pg_session_free(s);
	cancel_finish(&cancel);
}

/* Contexts. */

static uint32_t oid_of(struct pg_session *s, const char *relation)
{
	_cleanup(free) char *sql = mem_printf("SELECT '%s'::regclass::oid", relation);
	_cleanup(free) char *oid = server_value(s, sql);

	return (uint32_t)strtoul(oid, NULL, 10);
}

/* What entering for these tables says; "" when it succeeds. Outside of the context again afterwards. */
static char *entering(struct pg_session *s, const struct pg_tenant_context *context, const char *first,
                      const char *second, int *ret_r)
{
	uint32_t oids[2];
	size_t count = 0;
	struct error err = {0};

	if (first)
		oids[count++] = oid_of(s, first);
	if (second)
		oids[count++] = oid_of(s, second);
	*ret_r = pg_tenant_enter(s, context, oids, count, &err);
	if (*ret_r == 0)
		assert_int_equal(pg_tenant_leave(s, NULL), 0);
	server_expect(s, "SELECT current_user = session_user", "t");
	server_expect(s, "SHOW row_security", "off");
	return mem_strdup(err.message);
}

static void assert_denied(struct pg_session *s, const struct pg_tenant_context *context, const char *first,
                          const char *second, int error, const char *expected)
{
	int r;
	_cleanup(free) char *message = entering(s, context, first, second, &r);

	if (r != error || !strstr(message, expected))
		fail_msg("want: %d %s\ngot: %d %s", error, expected, r, message);
}

static const char *const acme[] = {"app.org_id=1", NULL};
static const char *const obrien[] = {"app.org_id=2", NULL};

static void rows_of_a_tenant(void **state)
{
	const struct pg_tenant_context of_acme = {.role = "app", .settings = acme},
	                               of_obrien = {.role = "app", .settings = obrien};
	struct pg_session *s = open_export(DATABASE);
	_cleanup(str) struct str rows = {0};
	uint32_t oids[] = {oid_of(s, "public.orders")};
	struct error err = {0};

	if (pg_tenant_enter(s, &of_acme, oids, 1, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(pg_session_copy(s,
	                                 "COPY (SELECT note FROM ONLY public.orders ORDER BY id) TO STDOUT",
	                                 server_append, &rows, &err),
	                 0);
	assert_string_equal(str_text(&rows), "a1\na2\n");
	server_expect(s, "SELECT current_user", "app");
	server_expect(s, "SHOW row_security", "on");
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	server_expect(s, "SELECT current_user", "postgres");
	server_expect(s, "SELECT COALESCE(current_setting('app.org_id', true), '')", "");
	server_expect(s, "SELECT count(*) FROM public.orders", "4");
	assert_int_equal(pg_tenant_enter(s, &of_obrien, oids, 1, &err), 0);
	server_expect(s, "SELECT string_agg(note, ',' ORDER BY id) FROM public.orders", "b1,b2");
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	pg_session_free(s);
}

/* A statement that fails in the context ends neither the transaction nor the snapshot. */
static void a_failure_within_a_context(void **state)
{
	const struct pg_tenant_context context = {.role = "app", .settings = acme};
	struct pg_session *s = open_export(DATABASE);
	struct error err = {0};

	for (int i = 0; i < 2; i++) {
		assert_int_equal(pg_tenant_enter(s, &context, NULL, 0, &err), 0);
		assert_int_equal(pg_session_run(s, "SELECT * FROM public.hidden", &err), -EACCES);
		assert_true(pg_session_run(s, "SELECT 1", NULL) < 0);
		assert_int_equal(pg_tenant_leave(s, &err), 0);
		server_expect(s, "SELECT count(*) FROM public.hidden", "1");
	}
	assert_true(pg_tenant_leave(s, &err) < 0);
	pg_session_free(s);
}

static void settings_that_do_not_hold(void **state)
{
	static const char *const spelled[] = {"plpgsql.print_strict_params=yes", NULL};
	static const char *const none[] = {"app.org_id", NULL};
	static const char *const own[] = {"app.org_id=1", "row_security=off", NULL};
	static const char *const role[] = {"role=postgres", NULL};
	static const char *const bad[] = {"app.=1", NULL};
	static const char *const path[] = {"search_path=public, PG_CATALOG", NULL};
	static const char *const good[] = {"app.org_id=a'b\\c=d \xc3\xa4", "search_path=public, app",
	                                   "my.thing=", NULL};
	struct pg_session *s = open_export(DATABASE);

	server_run(s, "DO $$BEGIN END$$"); /* plpgsql is loaded, and its settings are known */
	assert_denied(s, &(struct pg_tenant_context){.role = "app", .settings = spelled}, NULL, NULL, -EPERM,
	              "print_strict_params was set to \"yes\" for the tenant, but reads as \"on\"");
	assert_denied(s, &(struct pg_tenant_context){.role = "app", .settings = none}, NULL, NULL, -EINVAL,
	              "has no value: write NAME=VALUE");
	assert_denied(s, &(struct pg_tenant_context){.role = "app", .settings = own}, NULL, NULL, -EINVAL,
	              "\"row_security\" of exports is one of the server's own");
	assert_denied(s, &(struct pg_tenant_context){.role = "app", .settings = role}, NULL, NULL, -EINVAL,
	              "\"role\" of exports");
	assert_denied(s, &(struct pg_tenant_context){.role = "app", .settings = path}, NULL, NULL, -EINVAL,
	              "names pg_catalog, which has to come first");
	assert_denied(s, &(struct pg_tenant_context){.role = "app", .settings = good}, NULL, NULL, 0, "");
	assert_true(pg_tenant_enter(s, &(struct pg_tenant_context){.role = "app", .settings = bad}, NULL, 0,
	                            NULL) <= 0);
	pg_session_free(s);
}

static void roles_that_row_security_does_not_hold(void **state)
{
	struct pg_session *s = open_export(DATABASE), *limited = NULL;
	_cleanup(free) char *conninfo = shop_conninfo("user=app"), *snapshot = NULL;

	assert_denied(s, &(struct pg_tenant_context){.settings = acme}, NULL, NULL, -EPERM,
	              "the connection's own role postgres is a superuser");
	assert_denied(s, &(struct pg_tenant_context){.role = "chief"}, NULL, NULL, -EPERM,
	              "the role chief is a superuser, so row security hides nothing from it: make a role");
	assert_denied(s, &(struct pg_tenant_context){.role = "passes"}, NULL, NULL, -EPERM,
	              "the role passes has BYPASSRLS");
	assert_denied(s, &(struct pg_tenant_context){.role = "no such"}, NULL, NULL, -EINVAL,
	              "role \"no such\" does not exist");
	assert_denied(s, &(struct pg_tenant_context){.role = "none"}, NULL, NULL, -EPERM,
	              "the role is postgres after it was set to none");
	pg_session_free(s);
	assert_int_equal(pg_session_open(conninfo, NULL, "test", NULL, &limited, NULL), 0);
	export(limited, &snapshot);
	/* No membership, and then its own. */
	assert_denied(limited, &(struct pg_tenant_context){.role = "keeper"}, NULL, NULL, -EACCES,
	              "(let the connection's role become it: GRANT");
	assert_denied(limited, &(struct pg_tenant_context){.settings = acme}, "public.orders", NULL, 0, "");
	pg_session_free(limited);
}

static void tables_that_row_security_does_not_hold(void **state)
{
	const struct pg_tenant_context app = {.role = "app", .settings = acme},
	                               keeper = {.role = "keeper", .settings = acme},
	                               deputy = {.role = "deputy", .settings = acme};
	struct pg_session *s = open_export(DATABASE);
	uint32_t gone[] = {4000000000};
	struct error err = {0};

	assert_denied(s, &app, "public.orders", "public.no_policy", 0, "");
	/* Forgotten. */
	assert_denied(
	        s, &app, "public.orders", "public.forgotten", -EPERM,
	        "public.forgotten has no row security, so the role app sees the rows of all tenants in it: ALTER TABLE public.forgotten ENABLE");
	/* A policy alone does nothing. */
	assert_denied(s, &app, "public.policy_only", NULL, -EPERM, "public.policy_only has no row security");
	assert_denied(s, &app, "public.forgotten", "public.policy_only", -EPERM,
	              "row security does not hide rows in 1 tables and this one: public.forgotten has");
	/* The owner, and who inherits its rights. */
	assert_denied(
	        s, &keeper, "public.orders", NULL, -EPERM,
	        "the role keeper owns public.orders, or is a member of its owner, and sees the rows of all tenants in it: ALTER TABLE public.orders FORCE ROW LEVEL SECURITY");
	assert_denied(s, &deputy, "public.orders", NULL, -EPERM, "the role deputy owns public.orders");
	assert_denied(s, &keeper, "public.forced", NULL, 0, "");
	/* What a view or a materialized view shows is what its owner sees. */
	assert_denied(s, &app, "public.all_orders", NULL, -EPERM, "public.all_orders is no table");
	assert_denied(s, &app, "public.kept_orders", NULL, -EPERM, "public.kept_orders is no table");
	assert_int_equal(pg_tenant_enter(s, &app, gone, 1, &err), -ENOENT);
	assert_non_null(strstr(err.message, "the table with OID 4000000000 is not there any more"));
	pg_session_free(s);
}

/* Row security is active, and hides nothing: that is why each row's tenant is looked at, too. */
static void policies_that_let_all_through(void **state)
{
	const struct pg_tenant_context app = {.role = "app", .settings = acme};
	struct pg_session *s = open_export(DATABASE);
	uint32_t oids[] = {oid_of(s, "public.leaky"), oid_of(s, "public.by_view")};
	struct error err = {0};

	assert_int_equal(pg_tenant_enter(s, &app, oids, 2, &err), 0);
	server_expect(s, "SELECT string_agg(org_id::text, ',' ORDER BY org_id) FROM public.leaky", "1,2");
	/* A policy may ask a view. */
	server_expect(s, "SELECT string_agg(org_id::text, ',' ORDER BY org_id) FROM public.by_view", "1");
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	pg_session_free(s);
}

static void rows_that_exist(void **state)
{
	const struct pg_tenant_context app = {.role = "app", .settings = acme},
	                               nobody = {.role = "app",
	                                         .settings = (const char *const[]){"app.org_id=7", NULL}};
	_cleanup(free) char *conninfo = shop_conninfo("user=app"), *snapshot = NULL;
	struct pg_session *s = open_export(DATABASE), *limited = NULL;
	uint32_t no_policy[] = {oid_of(s, "public.no_policy")};
	struct error err = {0};

	assert_int_equal(pg_tenant_enter(s, &app, NULL, 0, &err), 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.orders WHERE org_id = 1", &err), 1);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.orders WHERE org_id = 2", &err), 0);
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	/* A policy is missing: no row, and outside there is one. */
	assert_int_equal(pg_tenant_enter(s, &app, no_policy, 1, &err), 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.no_policy", &err), 0);
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.no_policy", &err), 1);
	assert_int_equal(pg_tenant_enter(s, &nobody, NULL, 0, &err), 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.orders", &err), 0);
	assert_int_equal(pg_tenant_leave(s, &err), 0);
	assert_true(pg_tenant_exists(s, "SELECT FROM public.nothing", &err) < 0);
	assert_int_equal(pg_tenant_exists(s, "SELECT FROM public.orders", &err), 1);
	pg_session_free(s);
	/* From whom rows are hidden cannot say that there are none. */
	assert_int_equal(pg_session_open(conninfo, NULL, "test", NULL, &limited, NULL), 0);
	export(limited, &snapshot);
	assert_int_equal(pg_tenant_exists(limited, "SELECT FROM public.orders", &err), -EACCES);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_non_null(strstr(err.message, "whether there are rows cannot be found out"));
	assert_non_null(strstr(err.message, "BYPASSRLS"));
	assert_int_equal(pg_tenant_exists(limited, "SELECT", &err), 1);
	pg_session_free(limited);
}

/* Somebody puts a view in a table's place, whose function would run with the rights of the connection. */
static void a_view_in_a_tables_place(void **state)
{
	struct pg_session *s = open_export(DATABASE);
	_cleanup(free) char *restricts = server_value(
	        s,
	        "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind'");
	struct error err = {0};

	if (restricts) {
		assert_true(pg_session_run(s, "SELECT * FROM public.all_orders", &err) < 0);
		assert_non_null(
		        strstr(err.message, "access to non-system view \"all_orders\" is restricted"));
	}
	pg_session_free(s);
}

static int set_up(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(
	        s,
	        "CREATE ROLE app LOGIN; CREATE ROLE keeper LOGIN; CREATE ROLE deputy IN ROLE keeper;"
	        "CREATE ROLE chief SUPERUSER; CREATE ROLE passes BYPASSRLS;"
	        "CREATE TABLE orgs (id serial PRIMARY KEY, slug text, title text, plan text);"
	        "INSERT INTO orgs (slug, title, plan) VALUES ('acme', E'Acme\\nLtd', NULL), ('o''brien \"x\"', NULL, 'free');"
	        "CREATE TABLE orders (id int PRIMARY KEY, org_id int, note text);"
	        "INSERT INTO orders VALUES (1, 1, 'a1'), (2, 2, 'b1'), (3, 1, 'a2'), (4, 2, 'b2')");
	server_run(
	        s,
	        "CREATE TABLE forced AS TABLE orders; CREATE TABLE leaky AS SELECT 1 AS org_id UNION SELECT 2;"
	        "CREATE TABLE by_view AS TABLE leaky; CREATE TABLE no_policy AS TABLE leaky;"
	        "CREATE TABLE forgotten AS TABLE leaky; CREATE TABLE policy_only AS TABLE leaky;"
	        "CREATE TABLE hidden AS SELECT 1 AS a; CREATE VIEW all_orders AS SELECT * FROM orders;"
	        "CREATE MATERIALIZED VIEW kept_orders AS SELECT * FROM orders;"
	        "GRANT SELECT ON ALL TABLES IN SCHEMA public TO app, keeper, passes; REVOKE ALL ON hidden FROM app;");
	server_run(s,
	           "CREATE FUNCTION everybody() RETURNS SETOF int LANGUAGE sql STABLE SECURITY DEFINER"
	           " AS 'SELECT id FROM public.orgs';"
	           "CREATE VIEW own_org AS SELECT id FROM orgs WHERE id = current_setting('app.org_id')::int;"
	           "GRANT SELECT ON own_org TO app;");
	server_run(
	        s,
	        "ALTER TABLE orders OWNER TO keeper; ALTER TABLE forced OWNER TO keeper;"
	        "ALTER TABLE orders ENABLE ROW LEVEL SECURITY; ALTER TABLE forced ENABLE ROW LEVEL SECURITY;"
	        "ALTER TABLE forced FORCE ROW LEVEL SECURITY; ALTER TABLE no_policy ENABLE ROW LEVEL SECURITY;"
	        "ALTER TABLE leaky ENABLE ROW LEVEL SECURITY; ALTER TABLE by_view ENABLE ROW LEVEL SECURITY;"
	        "CREATE POLICY p ON orders USING (org_id = current_setting('app.org_id')::int);"
	        "CREATE POLICY p ON forced USING (org_id = current_setting('app.org_id')::int);"
	        "CREATE POLICY p ON policy_only USING (org_id = current_setting('app.org_id')::int);"
	        "CREATE POLICY p ON leaky USING (org_id IN (SELECT everybody()));"
	        "CREATE POLICY p ON by_view USING (org_id IN (SELECT id FROM own_org))");
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(tenants_by_names_of_columns),
	        cmocka_unit_test(wrong_tenants_queries),
	        cmocka_unit_test(tenants_queries_write_nothing),
	        cmocka_unit_test(many_tenants),
	        cmocka_unit_test(who_takes_tenants_may_end_it),
	        cmocka_unit_test(facts_of_columns),
	        cmocka_unit_test(keys_of_all_kinds),
	        cmocka_unit_test(unique_keys_of_all_kinds),
	        cmocka_unit_test(partitions_and_inheritance),
	        cmocka_unit_test(promises_of_18),
	        cmocka_unit_test(other_relations),
	        cmocka_unit_test(names_of_any_kind),
	        cmocka_unit_test(foreign_tables),
	        cmocka_unit_test(tables_of_extensions),
	        cmocka_unit_test(a_database_in_latin1),
	        cmocka_unit_test(many_columns),
	        cmocka_unit_test(what_comes_later_is_not_seen),
	        cmocka_unit_test(a_model_needs_a_transaction),
	        cmocka_unit_test(a_second_session_sees_the_same),
	        cmocka_unit_test(joins_that_fail),
	        cmocka_unit_test(cancelled_within_a_context),
	        cmocka_unit_test(rows_of_a_tenant),
	        cmocka_unit_test(a_failure_within_a_context),
	        cmocka_unit_test(settings_that_do_not_hold),
	        cmocka_unit_test(roles_that_row_security_does_not_hold),
	        cmocka_unit_test(tables_that_row_security_does_not_hold),
	        cmocka_unit_test(policies_that_let_all_through),
	        cmocka_unit_test(rows_that_exist),
	        cmocka_unit_test(a_view_in_a_tables_place),
	};

	return cmocka_run_group_tests_name("pg tenancy", tests, set_up, NULL);
}
