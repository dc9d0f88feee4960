// SPDX-License-Identifier: Apache-2.0
/* Rows of a backup brought into a table that lives: just those that are missing, and nothing at all when anything goes wrong. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/rescue.h>

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "rescued"

struct attempt {
	struct pg_rescue_order order;
	const char *rows; /* in COPY's text format */
	bool plan;
	const char *left_out_by; /* a column; NULL: all rows may come back */
	const char *left_out_values[3];
	/* What comes of it. */
	struct pg_rescue_counts counts;
	struct str keys, sequences, statements, left_out, values;
	uint64_t inserted, replaced, left_out_rows;
	int has_no_column;
	struct error err;
};

static void cleanup_attempt(struct attempt *a)
{
	str_finish(&a->keys);
	str_finish(&a->sequences);
	str_finish(&a->statements);
	str_finish(&a->left_out);
	str_finish(&a->values);
}

static void take_key(void *arg, const char *key)
{
	struct attempt *a = arg;

	str_appendf(&a->keys, "%s;", key);
}

static void take_sequence(void *arg, const char *sequence, const char *column, const char *sql)
{
	struct attempt *a = arg;

	str_appendf(&a->sequences, "%s %s %s;", sequence, column, sql);
}

static void take_statement(void *arg, const char *sql)
{
	struct attempt *a = arg;

	str_appendf(&a->statements, "%s;\n", sql);
}

static int take_value(void *arg, const char *value, struct error *err)
{
	struct attempt *a = arg;

	str_appendf(&a->values, "%s;", value);
	return 0;
}

static int leave_out(struct attempt *a, struct pg_rescue *x)
{
	size_t count = 0;
	int r;

	if (!a->left_out_by)
		return 0;
	while (a->left_out_values[count])
		count++;
	r = pg_rescue_values(x, a->left_out_by, take_value, a, &a->err);
	a->has_no_column = r == 1;
	return r != 0 ? (r < 0 ? r : 0)
	              : pg_rescue_leave_out(x, a->left_out_by, a->left_out_values, count, &a->left_out_rows,
	                                    &a->err);
}

static int load_and_compare(struct attempt *a, struct pg_rescue *x)
{
	int r = pg_rescue_data(x, a->rows, strlen(a->rows), &a->err);

	str_append(&a->left_out, pg_rescue_left_out(x));
	if (r == 0)
		r = leave_out(a, x);
	if (r == 0)
		r = pg_rescue_compare(x, &a->counts, &a->err);
	if (r == 0)
		r = pg_rescue_missing(x, take_key, a, &a->err);
	return r < 0 ? r : pg_rescue_differing(x, take_key, a, &a->err);
}

static int write_or_plan(struct attempt *a, struct pg_rescue *x)
{
	int r = 0;

	if (a->plan)
		pg_rescue_plan(x);
	else
		r = pg_rescue_write(x, &a->inserted, &a->replaced, &a->err);
	if (r == 0)
		r = pg_rescue_sequences(x, take_sequence, a, &a->err);
	return r < 0 || a->plan ? r : pg_rescue_commit(x, &a->err);
}

static int run(struct attempt *a)
{
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(pg_rescue) struct pg_rescue *x = NULL;
	int r;

	a->order.statement = take_statement;
	a->order.arg = a;
	a->order.encoding = a->order.encoding ? a->order.encoding : "UTF8";
	assert_int_equal(pg_rescue_open(server_conninfo(), DATABASE, NULL, &s, &a->err), 0);
	r = pg_rescue_begin(s, &a->order, &x, &a->err);
	if (r == 0)
		r = load_and_compare(a, x);
	return r < 0 ? r : write_or_plan(a, x);
}

static void succeed(struct attempt *a)
{
	if (run(a) < 0)
		fail_msg("%s\n%s", a->err.message, str_text(&a->statements));
}

static void expect_refusal(struct attempt *a, int errnum, const char *words)
{
	assert_int_equal(run(a), -errnum);
	if (!strstr(a->err.message, words))
		fail_msg("no '%s' in: %s", words, a->err.message);
}

static void sql(const char *statements)
{
	_cleanup(pg_session) struct pg_session *s = server_open(DATABASE, NULL);

	server_run(s, statements);
}

static void expect(const char *query, const char *value)
{
	_cleanup(pg_session) struct pg_session *s = server_open(DATABASE, NULL);

	server_expect(s, query, value);
}

#define ALL_OF(table) "SELECT string_agg(t::text, ' ' ORDER BY t) FROM " table " t"

/* Three columns, of which one has NULLs, backslashes and ends of lines. */
static const char some_rows[] = "1\tone\t\\N\n2\ttwo\\nlines\tx\n3\tthr\\\\ee\t\\N\n4\t\xc3\xa4\ty\n";
static const struct pg_rescue_order some_order = {.table = "public.things", .columns = "(id, name, note)"};

static int reset(void **state)
{
	sql("DROP TABLE IF EXISTS things, child, parent CASCADE; DROP SCHEMA IF EXISTS other CASCADE;"
	    " CREATE TABLE things (id int PRIMARY KEY, name text, note text);"
	    " INSERT INTO things VALUES (1, 'one', NULL), (4, 'changed', 'y'), (5, 'new', NULL)");
	return 0;
}

static void what_is_missing_is_inserted_and_nothing_else(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};

	succeed(&a);
	assert_int_equal(a.counts.rows, 4);
	assert_int_equal(a.counts.wanted, 4);
	assert_int_equal(a.counts.missing, 2);
	assert_int_equal(a.counts.differing, 1);
	assert_string_equal(str_text(&a.keys), "id=2;id=3;id=4;");
	assert_int_equal(a.inserted, 2);
	assert_int_equal(a.replaced, 0);
	assert_string_equal(str_text(&a.sequences), "");
	expect(ALL_OF("things"), "(1,one,) (2,\"two\nlines\",x) (3,\"thr\\\\ee\",) (4,changed,y) (5,new,)");
}

static void a_plan_changes_nothing(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows, .plan = true};

	a.order.replace = true;
	succeed(&a);
	assert_int_equal(a.counts.missing, 2);
	assert_non_null(strstr(str_text(&a.statements), "INSERT INTO public.things (id, name, note) SELECT"));
	assert_non_null(strstr(str_text(&a.statements), "ON CONFLICT (id) DO NOTHING"));
	assert_non_null(strstr(str_text(&a.statements),
	                       "UPDATE ONLY public.things t SET name = b.name, note = b.note"));
	expect(ALL_OF("things"), "(1,one,) (4,changed,y) (5,new,)");
}

static void what_differs_is_replaced_when_that_is_wanted(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};

	a.order.replace = true;
	a.order.where = "id <> 2 -- not this one";
	succeed(&a);
	assert_int_equal(a.counts.wanted, 3);
	assert_int_equal(a.inserted, 1);
	assert_int_equal(a.replaced, 1);
	expect(ALL_OF("things"), "(1,one,) (3,\"thr\\\\ee\",) (4,\xc3\xa4,y) (5,new,)");
}

static void what_is_left_out_is_not_there(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order,
	                                      .rows = some_rows,
	                                      .left_out_by = "name",
	                                      .left_out_values = {"two\nlines", "'; DROP TABLE things"}};

	a.order.replace = true;
	succeed(&a);
	assert_int_equal(a.left_out_rows, 1);
	assert_int_equal(a.counts.rows, 4);
	assert_int_equal(a.counts.wanted, 3);
	assert_int_equal(a.inserted, 1);
	assert_non_null(strstr(str_text(&a.values), "two\nlines;"));
	assert_non_null(strstr(str_text(&a.values), "thr\\ee;"));
	/* Who reads the run's log does not learn what it was. */
	assert_null(strstr(str_text(&a.statements), "two"));
	expect(ALL_OF("things"), "(1,one,) (3,\"thr\\\\ee\",) (4,\xc3\xa4,y) (5,new,)");
}

static void values_are_written_as_elsewhere(void **state)
{
	static const struct pg_rescue_order order = {.table = "public.things",
	                                             .columns = "(id, at, \"A b\")"};
	_cleanup(attempt) struct attempt a = {.order = order,
	                                      .rows = "1\t2026-01-01 01:00:00+01\t5.50\n2\t\\N\t7\n",
	                                      .left_out_by = "at",
	                                      .left_out_values = {"2026-01-01 00:00:00+00"}};
	_cleanup(attempt) struct attempt other = {
	        .order = order, .rows = "2\t\\N\t7.00\n", .left_out_by = "A b", .left_out_values = {"7.00"}};
	_cleanup(attempt) struct attempt none = {
	        .order = order, .rows = "2\t\\N\t7\n", .left_out_by = "nothing"};

	sql("DROP TABLE things; CREATE TABLE things (id int PRIMARY KEY, at timestamptz, \"A b\" numeric(10, 2));"
	    " ALTER DATABASE " DATABASE " SET timezone = 'Asia/Tokyo'");
	succeed(&a);
	assert_string_equal(str_text(&a.values), "2026-01-01 00:00:00+00;");
	assert_int_equal(a.left_out_rows, 1);
	succeed(&other);
	assert_int_equal(other.left_out_rows, 1);
	succeed(&none);
	assert_true(none.has_no_column);
	sql("ALTER DATABASE " DATABASE " RESET timezone");
	expect("SELECT string_agg(id::text, ',') FROM things", "2");
}

/* A condition is one, and can change nothing. */
static void a_condition_is_no_way_to_run_anything_else(void **state)
{
	static const char *const bad[] = {
	        "true); DROP TABLE things; --",
	        "true; DROP TABLE things",
	        "id = 2) --",
	        "id =",
	        "nothing = 2",
	        "change() > 0",
	        "EXISTS (WITH d AS (DELETE FROM things RETURNING 1) SELECT FROM d)",
	};

	sql("CREATE OR REPLACE FUNCTION change() RETURNS int LANGUAGE plpgsql AS 'BEGIN DELETE FROM public.things; RETURN 1; END'");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};

		a.order.where = bad[i];
		if (run(&a) >= 0)
			fail_msg("%s was taken", bad[i]);
		assert_non_null(strstr(a.err.message, "where="));
	}
	expect(ALL_OF("things"), "(1,one,) (4,changed,y) (5,new,)");
}

static void the_table_is_called_by_its_name_in_a_condition(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};

	a.order.where = "things.id IN (SELECT max(s.id) - 2 FROM public.things s)";
	succeed(&a);
	assert_int_equal(a.inserted, 1);
	expect("SELECT count(*) FROM things WHERE id = 3", "1");
}

static void keys_of_several_columns(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = {.table = "pairs", .columns = "(v, \"B \"\"b\", a)"},
	                                      .rows = "x\t1\t1\ny\t2\t1\nz\t1\t2\n"};

	sql("DROP TABLE IF EXISTS pairs; CREATE TABLE pairs (a int, \"B \"\"b\" int, v json, PRIMARY KEY (\"B \"\"b\", a));"
	    " ALTER TABLE pairs ALTER v TYPE text; INSERT INTO pairs VALUES (1, 1, 'x'), (2, 1, 'other')");
	succeed(&a);
	assert_string_equal(str_text(&a.keys), "B \"b=2, a=1;B \"b=1, a=2;");
	assert_int_equal(a.inserted, 1);
	expect(ALL_OF("pairs"), "(1,1,x) (1,2,y) (2,1,other)");
}

/* Not each type has an operator that compares it. */
static void values_without_an_operator_are_compared(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = {.table = "odd", .columns = "(id, j, x, p)"},
	                                      .rows = "1\t{\"a\": 1}\t<a/>\t(1,2)\n2\t{}\t\\N\t\\N\n"};

	sql("DROP TABLE IF EXISTS odd; CREATE TABLE odd (id int PRIMARY KEY, j json, x xml, p point);"
	    " INSERT INTO odd VALUES (1, '{\"a\": 1}', '<a/>', '(1,2)'), (2, '{\"b\": 1}', NULL, NULL)");
	a.order.replace = true;
	succeed(&a);
	assert_int_equal(a.counts.differing, 1);
	assert_string_equal(str_text(&a.keys), "id=2;");
	expect("SELECT j::text FROM odd WHERE id = 2", "{}");
}

static void a_table_without_a_key(void **state)
{
	_cleanup(attempt) struct attempt none = {.order = {.table = "keyless", .columns = "(a, b)"},
	                                         .rows = "1\tx\n2\ty\n"};
	_cleanup(attempt) struct attempt by = {.order = {.table = "keyless", .columns = "(a, b)", .by = "a"},
	                                       .rows = "1\tx\n2\ty\n"};
	_cleanup(attempt) struct attempt twice = {
	        .order = {.table = "keyless", .columns = "(a, b)", .by = "a"}, .rows = "1\tx\n2\ty\n2\tz\n"};
	_cleanup(attempt) struct attempt null = {
	        .order = {.table = "keyless", .columns = "(a, b)", .by = "a"}, .rows = "1\tx\n\\N\ty\n"};
	_cleanup(attempt) struct attempt unknown = {
	        .order = {.table = "keyless", .columns = "(a, b)", .by = "c"}, .rows = ""};
	_cleanup(attempt) struct attempt living = {
	        .order = {.table = "keyless", .columns = "(a, b)", .by = "a", .replace = true},
	        .rows = "1\tx\n"};

	sql("DROP TABLE IF EXISTS keyless; CREATE TABLE keyless (a int, b text); INSERT INTO keyless VALUES (1, 'x')");
	expect_refusal(&none, EINVAL, "has no primary key");
	expect_refusal(&twice, EINVAL, "several rows with the same values");
	expect_refusal(&null, EINVAL, "rows without a value");
	expect_refusal(&unknown, EINVAL, "has no column c");
	expect("SELECT count(*) FROM keyless", "1");
	succeed(&by);
	assert_int_equal(by.inserted, 1);
	expect(ALL_OF("keyless"), "(1,x) (2,y)");
	sql("INSERT INTO keyless VALUES (1, 'again')");
	expect_refusal(&living, EINVAL, "the living table public.keyless has several rows");
}

static void numbers_that_the_server_gives(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = {.table = "given", .columns = "(id, other, base)"},
	                                      .rows = "1\t1\t2\n7\t9\t3\n8\t2\t4\n"};

	sql("DROP TABLE IF EXISTS given; CREATE TABLE given (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, other serial,"
	    " base int, twice int GENERATED ALWAYS AS (base * 2) STORED); INSERT INTO given (base) VALUES (2)");
	succeed(&a);
	assert_int_equal(a.inserted, 2);
	expect(ALL_OF("given"), "(1,1,2,4) (7,9,3,6) (8,2,4,8)");
	assert_string_equal(
	        str_text(&a.sequences),
	        "public.given_id_seq id SELECT pg_catalog.setval('public.given_id_seq', (SELECT pg_catalog.max(id) FROM public.given));"
	        "public.given_other_seq other SELECT pg_catalog.setval('public.given_other_seq', (SELECT pg_catalog.max(other) FROM public.given));");
	expect("SELECT last_value FROM given_id_seq", "1");
	sql("SELECT pg_catalog.setval('public.given_id_seq', (SELECT pg_catalog.max(id) FROM public.given))");
	expect("WITH i AS (INSERT INTO given (base) VALUES (1) RETURNING id) SELECT id FROM i", "9");
}

static void columns_that_differ(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(attempt) struct attempt common = {.order = some_order, .rows = some_rows};
	_cleanup(attempt) struct attempt none = {.order = {.table = "things", .columns = "(x, y)"},
	                                         .rows = ""};

	sql("ALTER TABLE things RENAME note TO remark; ALTER TABLE things ADD more int DEFAULT 7");
	expect_refusal(
	        &a, EINVAL,
	        "the backup alone has values for note; the living table alone has remark, more: columns=common");
	expect_refusal(&none, EINVAL, "no column of public.things");
	common.order.common = true;
	succeed(&common);
	assert_string_equal(str_text(&common.left_out), "note, remark, more");
	expect("SELECT string_agg(id || name || coalesce(remark, '-') || more, ' ' ORDER BY id) FROM things WHERE id IN (3, 4)",
	       "3thr\\ee-7 4changedy7");
}

/* The row that is to blame is named, wherever it is among the others. */
static void a_row_that_the_server_does_not_take(void **state)
{
	_cleanup(attempt) struct attempt foreign = {.order = {.table = "child", .columns = "(id, parent)"},
	                                            .rows = "1\t1\n2\t1\n3\t9\n4\t1\n5\t8\n"};
	_cleanup(attempt) struct attempt trigger = {.order = {.table = "child", .columns = "(id, parent)"},
	                                            .rows = "1\t1\n13\t1\n14\t1\n"};
	_cleanup(attempt) struct attempt replacing = {
	        .order = {.table = "child", .columns = "(id, parent)", .replace = true},
	        .rows = "2\t1\n20\t9\n21\t1\n"};

	sql("CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent VALUES (1);"
	    " CREATE TABLE child (id int PRIMARY KEY, parent int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);"
	    " CREATE OR REPLACE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN IF NEW.id = 13 THEN RAISE EXCEPTION ''no luck''; END IF; RETURN NEW; END';"
	    " CREATE TRIGGER refuse BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION refuse()");
	expect_refusal(&foreign, EEXIST, "the row with id=3: ");
	assert_non_null(strstr(foreign.err.message, "child_parent_fkey"));
	expect_refusal(&trigger, EIO, "the row with id=13: ");
	assert_non_null(strstr(trigger.err.message, "no luck"));
	expect("SELECT count(*) FROM child", "0");
	sql("INSERT INTO child VALUES (20, 1), (21, NULL)");
	expect_refusal(&replacing, EEXIST, "the row with id=20: ");
	expect(ALL_OF("child"), "(20,1) (21,)");
}

/* Another unique column is no reason to leave a row out without a word. */
static void another_unique_column(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};

	sql("CREATE UNIQUE INDEX ON things (note); INSERT INTO things VALUES (9, 'taken', 'x')");
	expect_refusal(&a, EEXIST, "the row with id=2: ");
	expect("SELECT count(*) FROM things", "4");
}

static void a_row_that_does_not_fit_any_more(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(attempt) struct attempt cut = {.order = some_order, .rows = "1\tone\t\\N\n2\ttwo"};

	sql("ALTER TABLE things ALTER note TYPE int USING NULL");
	expect_refusal(&a, EINVAL, "a row of the backup does not go into the columns");
	expect_refusal(&cut, EINVAL, "a row of the backup does not go into the columns");
	expect("SELECT count(*) FROM things", "3");
}

static void names_that_are_none(void **state)
{
	_cleanup(attempt) struct attempt near = {.order = {.table = "public.thingz", .columns = "(id)"},
	                                         .rows = ""};
	_cleanup(attempt) struct attempt view = {.order = {.table = "seen", .columns = "(id)"}, .rows = ""};
	_cleanup(attempt) struct attempt empty = {.order = {.table = "things", .columns = "()"}, .rows = ""};

	sql("CREATE OR REPLACE VIEW seen AS SELECT id FROM things");
	expect_refusal(&near, ENOENT,
	               "there is no table public.thingz in the database rescued; like it are public.things:");
	expect_refusal(&view, EINVAL, "public.seen is no table");
	expect_refusal(&empty, EINVAL, "the backup names no columns");
}

static void another_schema_and_another_encoding(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = {.table = "other.things",
	                                                .columns = "(id, \"stra\xdf"
	                                                           "e\")",
	                                                .encoding = "LATIN1"},
	                                      .rows = "1\t\xfc"
	                                              "ber\n2\t\\N\n"};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(free) char *encoded = NULL, *same = NULL;

	sql("CREATE SCHEMA other; CREATE TABLE other.things (id int PRIMARY KEY, \"stra\xc3\x9f"
	    "e\" text)");
	succeed(&a);
	expect(ALL_OF("other.things"), "(1,\xc3\xbc"
	                               "ber) (2,)");
	assert_int_equal(pg_rescue_open(server_conninfo(), DATABASE, NULL, &s, &a.err), 0);
	assert_int_equal(pg_rescue_encode(s,
	                                  "stra\xc3\x9f"
	                                  "e",
	                                  "LATIN1", &encoded, &a.err),
	                 0);
	assert_string_equal(encoded, "stra\xdf"
	                             "e");
	assert_int_equal(pg_rescue_encode(s,
	                                  "stra\xc3\x9f"
	                                  "e",
	                                  "UTF8", &same, &a.err),
	                 0);
	assert_string_equal(same, "stra\xc3\x9f"
	                          "e");
}

/* A partitioned table takes rows of what was one of its partitions. */
static void a_partitioned_table(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = {.table = "parted", .columns = "(id, v)"},
	                                      .rows = "1\ta\n15\tb\n16\tc\n"};

	sql("DROP TABLE IF EXISTS parted; CREATE TABLE parted (id int PRIMARY KEY, v text) PARTITION BY RANGE (id);"
	    " CREATE TABLE parted_0 PARTITION OF parted FOR VALUES FROM (0) TO (10);"
	    " CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (10) TO (20); INSERT INTO parted VALUES (16, 'x')");
	a.order.replace = true;
	succeed(&a);
	assert_int_equal(a.inserted, 2);
	assert_int_equal(a.replaced, 1);
	expect(ALL_OF("parted"), "(1,a) (15,b) (16,c)");
}

/* Each has its own rows, also where they are called the same. */
static void a_table_that_others_inherit_from(void **state)
{
	_cleanup(attempt) struct attempt a = {
	        .order = {.table = "base", .columns = "(id, v)", .by = "id", .replace = true},
	        .rows = "1\told\n7\told\n"};

	sql("DROP TABLE IF EXISTS base CASCADE; CREATE TABLE base (id int PRIMARY KEY, v text); CREATE TABLE heir () INHERITS (base);"
	    " INSERT INTO base VALUES (1, 'new'); INSERT INTO heir VALUES (1, 'mine'), (1, 'again'), (7, 'mine')");
	succeed(&a);
	assert_string_equal(str_text(&a.keys), "id=7;id=1;");
	assert_int_equal(a.inserted, 1);
	assert_int_equal(a.replaced, 1);
	expect("SELECT string_agg(t::text, ' ' ORDER BY id) FROM ONLY base t", "(1,old) (7,old)");
	expect(ALL_OF("heir"), "(1,again) (1,mine) (7,mine)");
}

/* Nothing is done when not all of it is. */
static void a_trigger_that_leaves_rows_out(void **state)
{
	_cleanup(attempt) struct attempt some = {.order = some_order, .rows = some_rows};
	_cleanup(attempt) struct attempt other = {.order = some_order, .rows = some_rows};
	_cleanup(attempt) struct attempt kept = {.order = some_order, .rows = some_rows};

	sql("CREATE OR REPLACE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN IF NEW.id = 3 THEN RETURN NULL; END IF; RETURN NEW; END';"
	    " CREATE TRIGGER leave BEFORE INSERT ON things FOR EACH ROW EXECUTE FUNCTION leave()");
	expect_refusal(
	        &some, EINVAL,
	        "of 2 rows that were inserted 1 are not in public.things, the first one is that with id=3:");
	sql("CREATE OR REPLACE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN NEW.id := NEW.id + 100; RETURN NEW; END'");
	expect_refusal(&other, EINVAL, "2 are not in public.things, the first one is that with id=2:");
	sql("DROP TRIGGER leave ON things; CREATE OR REPLACE FUNCTION leave() RETURNS trigger LANGUAGE plpgsql AS"
	    " 'BEGIN RETURN NULL; END'; CREATE TRIGGER leave BEFORE UPDATE ON things FOR EACH ROW EXECUTE FUNCTION leave()");
	kept.order.replace = true;
	expect_refusal(&kept, EINVAL, "1 rows of public.things were to be replaced, and 0 were:");
	expect(ALL_OF("things"), "(1,one,) (4,changed,y) (5,new,)");
}

static void a_row_that_came_meanwhile(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(pg_rescue) struct pg_rescue *x = NULL;

	a.order.encoding = "";
	assert_int_equal(pg_rescue_open(server_conninfo(), DATABASE, NULL, &s, &a.err), 0);
	assert_int_equal(pg_rescue_begin(s, &a.order, &x, &a.err), 0);
	assert_int_equal(load_and_compare(&a, x), 0);
	sql("INSERT INTO things VALUES (2, 'somebody', NULL)");
	assert_int_equal(pg_rescue_write(x, &a.inserted, &a.replaced, &a.err), 0);
	assert_int_equal(a.inserted, 1);
	assert_int_equal(pg_rescue_commit(x, &a.err), 0);
	expect("SELECT name FROM things WHERE id = 2", "somebody");
	expect("SELECT count(*) FROM things", "5");
}

static void a_row_that_ends_what_the_server_takes(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = "1\tone\t\\N\n\\.\n2\ttwo\tx\n"};

	expect_refusal(&a, EPROTO, "the server took 1 of the 3 rows of the backup");
	expect("SELECT count(*) FROM things", "3");
}

/* What a living column would round, cut or fill up is not what the backup has. */
static void columns_that_became_narrower(void **state)
{
	static const char good[] = "1\t5.5\tabc\tab\t2.5\t2026-01-01 00:00:00\t{1,2.5}\t101\t1 day\n"
	                           "2\t-7\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\t\\N\n";
	static const struct {
		const char *row, *said;
	} bad[] = {
	        {"3\t5.555\ta\ta\t1\t\\N\t\\N\t\\N\t\\N\n",
	         "the row with id=3: n of public.narrow is numeric(10,2) now"},
	        {"3\t5\tabcd\ta\t1\t\\N\t\\N\t\\N\t\\N\n",
	         "the row with id=3: v of public.narrow is character varying(3) now"},
	        {"3\t5\ta\tabcdef\t1\t\\N\t\\N\t\\N\t\\N\n",
	         "the row with id=3: c of public.narrow is character(5) now"},
	        {"3\t5\ta\ta\t1.555\t\\N\t\\N\t\\N\t\\N\n",
	         "the row with id=3: d of public.narrow is cents now"},
	        {"3\t5\ta\ta\t-1\t\\N\t\\N\t\\N\t\\N\n",
	         "a row of the backup does not go into the columns that public.narrow has now"},
	        {"3\t5\ta\ta\t1\t2026-01-01 00:00:00.6\t\\N\t\\N\t\\N\n",
	         "t of public.narrow is timestamp(0) without time zone now"},
	        {"3\t5\ta\ta\t1\t\\N\t{1,2.55}\t\\N\t\\N\n", "a of public.narrow is numeric(5,1)[] now"},
	        {"3\t5\ta\ta\t1\t\\N\t\\N\t1011\t\\N\n", "b of public.narrow is bit(3) now"},
	        {"3\t5\ta\ta\t1\t\\N\t\\N\t\\N\t00:00:00.6\n", "i of public.narrow is interval(0) now"},
	};
	const struct pg_rescue_order order = {
	        .table = "narrow", .columns = "(id, n, v, c, d, t, a, b, i)", .replace = true};
	_cleanup(attempt) struct attempt fits = {.order = order, .rows = good};
	_cleanup(attempt) struct attempt left = {.order = order, .rows = bad[0].row};

	sql("DROP TABLE IF EXISTS narrow; DROP DOMAIN IF EXISTS cents; CREATE DOMAIN cents AS numeric(8,2) CHECK (VALUE > 0);"
	    " CREATE TABLE narrow (id int PRIMARY KEY, n numeric(10,2), v varchar(3) COLLATE \"C\", c char(5), d cents, t timestamp(0),"
	    " a numeric(5,1)[], b bit(3), i interval(0)); INSERT INTO narrow VALUES (1, 5.5, 'abc', 'ab', 2.5, '2026-01-01', '{1,2.5}', '101', '1 day')");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup(attempt) struct attempt a = {.order = order, .rows = bad[i].row, .plan = true};

		if (run(&a) >= 0 || !strstr(a.err.message, bad[i].said))
			fail_msg("no '%s' in: %s", bad[i].said, a.err.message);
	}
	left.order.where = "id < 3";
	succeed(&left);
	succeed(&fits);
	assert_int_equal(fits.counts.differing, 0);
	assert_int_equal(fits.inserted, 1);
	expect("SELECT string_agg(n::text, ' ' ORDER BY id) FROM narrow", "5.50 -7.00");
}

/* The '.' between the two parts may be either. */
static void names_that_two_living_tables_have(void **state)
{
	_cleanup(attempt) struct attempt both = {.order = {.table = "a.b.c", .columns = "(id)"}, .rows = ""};
	_cleanup(attempt) struct attempt one = {.order = {.table = "\"a\".\"b.c\"", .columns = "(id)"},
	                                        .rows = "5\n"};

	sql("DROP SCHEMA IF EXISTS \"a.b\", a CASCADE; CREATE SCHEMA \"a.b\"; CREATE SCHEMA a;"
	    " CREATE TABLE \"a.b\".c (id int PRIMARY KEY); CREATE TABLE a.\"b.c\" (id int PRIMARY KEY)");
	expect_refusal(&both, EINVAL, "a.b.c may be ");
	assert_non_null(strstr(both.err.message, "\"a.b\".c"));
	assert_non_null(strstr(both.err.message, "a.\"b.c\""));
	succeed(&one);
	expect("SELECT count(*) FROM a.\"b.c\"", "1");
	expect("SELECT count(*) FROM \"a.b\".c", "0");
}

static void a_role_without_rights(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(pg_rescue) struct pg_rescue *x = NULL;
	_cleanup(free) char *conninfo = mem_printf("%s options='-c role=poor'", server_conninfo());

	sql("DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''poor'') THEN CREATE ROLE poor; END IF; END';"
	    " GRANT SELECT ON things TO poor");
	a.order.encoding = "";
	assert_int_equal(pg_rescue_open(conninfo, DATABASE, NULL, &s, &a.err), 0);
	assert_int_equal(pg_rescue_begin(s, &a.order, &x, &a.err), 0);
	assert_int_equal(load_and_compare(&a, x), 0);
	assert_int_equal(pg_rescue_write(x, &a.inserted, &a.replaced, &a.err), -EACCES);
	pg_rescue_free(x);
	x = NULL;
	pg_session_free(s);
	s = NULL;
	sql("REVOKE ALL ON things FROM poor");
	expect("SELECT count(*) FROM things", "3");
}

/* What a role does not see would seem to be missing. */
static void rows_that_the_role_does_not_see(void **state)
{
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(pg_rescue) struct pg_rescue *x = NULL;
	_cleanup(free) char *conninfo = mem_printf("%s options='-c role=poor'", server_conninfo());

	sql("DO 'BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = ''poor'') THEN CREATE ROLE poor; END IF; END';"
	    " GRANT ALL ON things TO poor; ALTER TABLE things ENABLE ROW LEVEL SECURITY;"
	    " CREATE POLICY few ON things USING (id < 3) WITH CHECK (true)");
	a.order.encoding = "";
	assert_int_equal(pg_rescue_open(conninfo, DATABASE, NULL, &s, &a.err), 0);
	assert_int_equal(pg_rescue_begin(s, &a.order, &x, &a.err), 0);
	assert_int_equal(load_and_compare(&a, x), -EACCES);
	assert_non_null(strstr(a.err.message, "row-level security"));
}

static void cancelled(void **state)
{
	struct cancel cancel;
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(pg_session) struct pg_session *s = NULL;
	_cleanup(pg_rescue) struct pg_rescue *x = NULL;

	cancel_init(&cancel);
	a.order.encoding = "";
	assert_int_equal(pg_rescue_open(server_conninfo(), DATABASE, &cancel, &s, &a.err), 0);
	assert_int_equal(pg_rescue_begin(s, &a.order, &x, &a.err), 0);
	assert_int_equal(load_and_compare(&a, x), 0);
	cancel_set(&cancel);
	assert_int_equal(pg_rescue_write(x, &a.inserted, &a.replaced, &a.err), -ECANCELED);
	x = pg_rescue_free(x);
	s = pg_session_free(s);
	cancel_finish(&cancel);
	expect("SELECT count(*) FROM things", "3");
}

/* A commit. */

static void cancelled_before_the_commit(void **state)
{
	struct cancel cancel;
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	struct pg_session *s = NULL;
	struct pg_rescue *x = NULL;

	cancel_init(&cancel);
	a.order.encoding = "";
	assert_int_equal(pg_rescue_open(server_conninfo(), DATABASE, &cancel, &s, &a.err), 0);
	assert_int_equal(pg_rescue_begin(s, &a.order, &x, &a.err), 0);
	assert_int_equal(load_and_compare(&a, x), 0);
	assert_int_equal(pg_rescue_write(x, &a.inserted, &a.replaced, &a.err), 0);
	cancel_set(&cancel);
	assert_int_equal(pg_rescue_commit(x, &a.err), -ECANCELED);
	pg_rescue_free(x);
	pg_session_free(s);
	cancel_finish(&cancel);
	expect("SELECT count(*) FROM things", "3");
}

struct committing {
	struct pg_rescue *rescue;
	struct error err;
	int r;
};

static void *commit(void *arg)
{
	struct committing *c = arg;

	c->r = pg_rescue_commit(c->rescue, &c->err);
	return NULL;
}

static void set_standby(const char *statement, const char *name)
{
	_cleanup(pg_session) struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(free) char *is_set =
	        mem_printf("SELECT current_setting('synchronous_standby_names') = '%s'", name);

	server_run(s, statement);
	server_run(s, "SELECT pg_reload_conf()");
	server_wait(s, is_set);
	/* Whoever makes these is the one that has to know it. */
	server_run(s, "CHECKPOINT");
}

/* A standby that does not answer: the rows are there, and whoever cancels must not read that they are not. */
static void cancelled_during_the_commit(void **state)
{
	struct cancel cancel;
	_cleanup(attempt) struct attempt a = {.order = some_order, .rows = some_rows};
	_cleanup(free) char *conninfo =
	        mem_printf("%s options='-c synchronous_commit=on'", server_conninfo());
	_cleanup(pg_session) struct pg_session *watch = server_open(DATABASE, NULL);
	struct pg_session *s = NULL;
	struct committing c = {0};
	pthread_t thread;

	set_standby("ALTER SYSTEM SET synchronous_standby_names = 'nobody'", "nobody");
	cancel_init(&cancel);
	a.order.encoding = "";
	assert_int_equal(pg_rescue_open(conninfo, DATABASE, &cancel, &s, &a.err), 0);
	assert_int_equal(pg_rescue_begin(s, &a.order, &c.rescue, &a.err), 0);
	assert_int_equal(load_and_compare(&a, c.rescue), 0);
	assert_int_equal(pg_rescue_write(c.rescue, &a.inserted, &a.replaced, &a.err), 0);
	assert_int_equal(pthread_create(&thread, NULL, commit, &c), 0);
	server_wait(watch, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
	cancel_set(&cancel);
	assert_int_equal(pthread_join(thread, NULL), 0);
	pg_rescue_free(c.rescue);
	pg_session_free(s);
	cancel_finish(&cancel);
	set_standby("ALTER SYSTEM RESET synchronous_standby_names", "");
	assert_int_equal(c.r, -EINPROGRESS);
	assert_non_null(strstr(c.err.message, "it is not known whether it has"));
	server_wait(watch, "SELECT count(*) = 5 FROM things");
}

static int make_database(void **state)
{
	server_database(DATABASE);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup(what_is_missing_is_inserted_and_nothing_else, reset),
	        cmocka_unit_test_setup(a_plan_changes_nothing, reset),
	        cmocka_unit_test_setup(what_differs_is_replaced_when_that_is_wanted, reset),
	        cmocka_unit_test_setup(what_is_left_out_is_not_there, reset),
	        cmocka_unit_test_setup(values_are_written_as_elsewhere, reset),
	        cmocka_unit_test_setup(a_condition_is_no_way_to_run_anything_else, reset),
	        cmocka_unit_test_setup(the_table_is_called_by_its_name_in_a_condition, reset),
	        cmocka_unit_test_setup(keys_of_several_columns, reset),
	        cmocka_unit_test_setup(values_without_an_operator_are_compared, reset),
	        cmocka_unit_test_setup(a_table_without_a_key, reset),
	        cmocka_unit_test_setup(numbers_that_the_server_gives, reset),
	        cmocka_unit_test_setup(columns_that_differ, reset),
	        cmocka_unit_test_setup(a_row_that_the_server_does_not_take, reset),
	        cmocka_unit_test_setup(another_unique_column, reset),
	        cmocka_unit_test_setup(a_row_that_does_not_fit_any_more, reset),
	        cmocka_unit_test_setup(names_that_are_none, reset),
	        cmocka_unit_test_setup(another_schema_and_another_encoding, reset),
	        cmocka_unit_test_setup(a_partitioned_table, reset),
	        cmocka_unit_test_setup(a_role_without_rights, reset),
	        cmocka_unit_test_setup(rows_that_the_role_does_not_see, reset),
	        cmocka_unit_test_setup(cancelled, reset),
	        cmocka_unit_test_setup(cancelled_before_the_commit, reset),
	        cmocka_unit_test_setup(cancelled_during_the_commit, reset),
	        cmocka_unit_test_setup(a_table_that_others_inherit_from, reset),
	        cmocka_unit_test_setup(a_trigger_that_leaves_rows_out, reset),
	        cmocka_unit_test_setup(a_row_that_came_meanwhile, reset),
	        cmocka_unit_test_setup(a_row_that_ends_what_the_server_takes, reset),
	        cmocka_unit_test_setup(columns_that_became_narrower, reset),
	        cmocka_unit_test_setup(names_that_two_living_tables_have, reset),
	};

	return cmocka_run_group_tests(tests, make_database, NULL);
}
