// SPDX-License-Identifier: Apache-2.0
/* The tables of a text of SQL, and COPY statements: in pieces of any size, odd and wrong. */
#include "../../src/inside/inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEAD(name, schema)                                                                                   \
	"--\n-- Data for Name: " name "; Type: TABLE DATA; Schema: " schema "; Owner: app\n--\n\n"
#define NAME(name, type) "--\n-- Name: " name "; Type: " type "; Schema: public; Owner: app\n--\n\n"

struct taken {
	struct str tables, other;
	const char *text;
};

static void cleanup_taken(struct taken *t)
{
	str_finish(&t->tables);
	str_finish(&t->other);
}

static int note_table(void *arg, const struct inside_text_table *table, struct error *err)
{
	struct taken *t = arg;

	str_appendf(&t->tables, "%s.%s %llu [%.*s]\n", table->schema, table->table,
	            (unsigned long long)table->rows.count, (int)table->rows.bytes, t->text + table->raw_from);
	return 0;
}

static int note_other(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(&((struct taken *)arg)->other, data, len);
	return 0;
}

static int scan_in_pieces(const char *text, size_t piece, struct taken *t, struct error *err)
{
	const struct inside_text_events events = {.table = note_table, .other = note_other, .arg = t};
	_cleanup(inside_text_scan) struct inside_text_scan *s = inside_text_scan_new(&events);
	size_t len = strlen(text);
	int r = 0;

	t->text = text;
	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = inside_text_scan_feed(s, text + at, len - at < piece ? len - at : piece, err);
	return r < 0 ? r : inside_text_scan_end(s, err);
}

static void expect_scan(const char *text, const char *tables, const char *other)
{
	for (size_t piece = 1; piece < 40; piece++) {
		_cleanup(taken) struct taken t = {0};

		assert_int_equal(scan_in_pieces(text, piece, &t, NULL), 0);
		assert_string_equal(str_text(&t.tables), tables);
		if (other)
			assert_string_equal(str_text(&t.other), other);
	}
}

static void test_tables_of_a_text(void **state)
{
	expect_scan("SET x = 1;\n" HEAD("t", "public") "COPY public.t (a) FROM stdin;\n1\n\\N\n\\.\n\n\n"
	                                               "ALTER TABLE t;\n",
	            "public.t 2 [1\n\\N\n]\n", "SET x = 1;\n" HEAD("t", "public") "\n\nALTER TABLE t;\n");
	expect_scan(HEAD("t", "public") "COPY public.t (a) FROM stdin;\n\\.\n\n\n", "public.t 0 []\n", NULL);
}

static void test_rows_that_look_like_the_end(void **state)
{
	expect_scan(HEAD("t", "s") "COPY s.t (a, b) FROM stdin;\n\\\\.\n\\.x\nx\\.\n.\n\\\n\n\\.\n",
	            "s.t 6 [\\\\.\n\\.x\nx\\.\n.\n\\\n\n]\n", NULL);
	expect_scan(HEAD("t", "s") "COPY s.t (a, b) FROM stdin;\n-- Name: x; Type: TABLE\nCOPY a FROM "
	                           "stdin;\n\\.\n",
	            "s.t 2 [-- Name: x; Type: TABLE\nCOPY a FROM stdin;\n]\n", NULL);
}

#define LOOKS_LIKE_DATA HEAD("t", "s") "COPY s.t (a) FROM stdin;\nfake\n\\.\n"
#define LOOKS_UNENDED   HEAD("t", "s") "COPY s.t (1;2) FROM stdin;\nfake\n"
#define REAL            HEAD("t", "s") "COPY s.t (a) FROM stdin;\n1\n\\.\n\n"

/* Anybody's text, as pg_dump writes it: between quotes of all kinds, before and behind the data. */
static void test_texts_that_look_like_data(void **state)
{
	static const char *const around[][2] = {
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $$\n", "$$;\n"},
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_$ SELECT $1 || $$\n", "$$$_$;\n"},
	        {"CREATE FUNCTION f() RETURNS text LANGUAGE sql AS $_X$ $_$ $_\n", "$$ $_X$;\n"},
	        {"COMMENT ON TABLE s.t IS 'it''s ''\n", "';\n"},
	        {"COMMENT ON TABLE s.t IS 'a \\';\nCOMMENT ON TABLE s.t IS '\n", "';\n"},
	        {"CREATE VIEW v AS SELECT 1 || E'\\'\\\\\\'\n", "\\\\';\n"},
	        {"SET standard_conforming_strings = off;\nCOMMENT ON TABLE s.t IS '\\'\n", "\\\\';\n"},
	        {"ALTER TABLE s.\"a\"\" $$ ' -- /*\n", "\" OWNER TO app;\n"},
	        {"/* a /* nested */ ' \" $$\n", "*/\n"},
	        {"CREATE TABLE x (\n", ");\n"}, /* in the middle of a statement */
	        {"\\restrict '$$\"\nCOMMENT ON TABLE s.a$$b IS '", "'; -- it's $$ \" /*\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(around); i++) {
		static const char *const fakes[] = {LOOKS_LIKE_DATA, LOOKS_UNENDED,
		                                    "-- Data for Name: BLOBS; Type: BLOBS;\nCOPY \n"};

		for (size_t j = 0; j < ARRAY_SIZE(fakes); j++) {
			_cleanup(free) char *in_front =
			        mem_printf("%s%s%s" REAL, around[i][0], fakes[j], around[i][1]);
			_cleanup(free) char *behind =
			        mem_printf(REAL "%s%s%s", around[i][0], fakes[j], around[i][1]);

			expect_scan(in_front, "s.t 1 [1\n]\n", NULL);
			expect_scan(behind, "s.t 1 [1\n]\n", NULL);
		}
	}
}

static void test_statements_without_a_comment(void **state)
{
	expect_scan("COPY public.t (a) FROM stdin;\n1\n\\.\n", "public.t 1 [1\n]\n", NULL);
	expect_scan(HEAD("t", "s") "COPY s.t (a) TO stdout;\nCOPY s.t (a) FROM stdin;\n1'\n\\.\n"
	                           "COPY u (a) FROM stdin;\n2\n\\.\n",
	            "s.t 1 [1'\n]\n.u 1 [2\n]\n", NULL);
}

static void expect_refusal(const char *text, const char *why)
{
	for (size_t piece = 1; piece < 40; piece++) {
		_cleanup(taken) struct taken t = {0};
		struct error err = {0};

		assert_int_equal(scan_in_pieces(text, piece, &t, &err), -ENOTSUP);
		assert_non_null(strstr(err.message, why));
		assert_non_null(strstr(err.message, "psql"));
		assert_false(err.damage);
	}
}

static void test_texts_that_are_refused(void **state)
{
	expect_refusal("copy s.t from stdin;\n1\n\\.\n", "as pg_dump does not write it");
	expect_refusal("COPY s.t (a) FROM stdin WITH (FORMAT csv);\n1\n\\.\n",
	               "as pg_dump does not write it");
	expect_refusal("COPY s.t (a) FROM stdin; SELECT 1;\n1\n\\.\n", "as pg_dump does not write it");
	expect_refusal("COMMENT ON TABLE t IS 'x\n", "within quotes");
	expect_refusal("CREATE FUNCTION f() AS $x$ a\n$ $x\n", "within quotes");
	expect_refusal("SELECT 1; /* x\n", "a comment");
	/* In such an encoding the backslash may be the half of a character. */
	expect_refusal("SET client_encoding = 'SJIS';\nSELECT E'\x95\\';\nSELECT ';\n", "encoding");
	expect_scan("SET client_encoding = 'UTF8';\nSELECT E'\xc3\xa4\\'';\n", "", NULL);
	expect_scan("SET client_encoding = 'SJIS';\nSELECT '\x95\\';\n", "", NULL);
}

/* What ends a line is looked for in each piece once: this would take hours otherwise. */
static void test_a_long_statement_of_many_lines(void **state)
{
	const struct inside_text_events events = {0};
	_cleanup(inside_text_scan) struct inside_text_scan *s = inside_text_scan_new(&events);
	_cleanup(str) struct str lines = {0};
	struct error err = {0};
	int r;

	for (unsigned i = 0; i < 500000; i++)
		str_append(&lines, "\n\n");
	r = inside_text_scan_feed(s, "COPY s.\"", 8, &err);
	for (unsigned i = 0; r == 0 && i < 9; i++)
		r = inside_text_scan_feed(s, lines.data, lines.len, &err);
	assert_int_equal(r, -ENOTSUP);
	assert_non_null(strstr(err.message, "too long"));
}

static void test_a_tag_as_long_as_the_body_demands(void **state)
{
	_cleanup(str) struct str text = {0};
	_cleanup(str) struct str tag = {0};
	_cleanup(taken) struct taken t = {0};
	struct error err = {0};

	str_append(&tag, "$_");
	while (tag.len < 5000)
		str_append(&tag, "XXXXXXX_");
	str_append(&text, "CREATE FUNCTION f() AS ");
	str_appendf(&text, "%s$\n" LOOKS_LIKE_DATA "%s", str_text(&tag), str_text(&tag));
	str_append(&text, "$;\n" REAL);
	assert_int_equal(scan_in_pieces(str_text(&text), 4096, &t, NULL), 0);
	assert_string_equal(str_text(&t.tables), "s.t 1 [1\n]\n");
	str_clear(&text);
	str_append(&text, "SELECT $");
	while (text.len < ((size_t)1 << 20) + 100)
		str_append(&text, "XXXXXXX_");
	str_append(&text, "$\n");
	assert_int_equal(scan_in_pieces(str_text(&text), 65536, &t, &err), -ENOTSUP);
}

static void test_statements_around_the_rows(void **state)
{
	expect_scan(HEAD("t", "s") "SET SESSION AUTHORIZATION 'app';\n\nALTER TABLE s.t DISABLE TRIGGER "
	                           "ALL;\n\nCOPY s.t (a) FROM stdin;\n1\n\\.\n",
	            "s.t 1 [1\n]\n", NULL);
}

static void test_names_of_a_text(void **state)
{
	/* An old pg_dump names no schema in the statement. */
	expect_scan(HEAD("t", "old one") "COPY t (a) FROM stdin;\n1\n\\.\n", "old one.t 1 [1\n]\n", NULL);
	/* The comment has no end of a line, the statement has. */
	expect_scan(HEAD("two lines", "s") "COPY s.\"two\nlines\" (\"a\n\"\"b\") FROM stdin;\n1\n\\.\n",
	            "s.two\nlines 1 [1\n]\n", NULL);
}

static void test_large_objects_of_a_text(void **state)
{
	expect_scan("-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n\n"
	            "SELECT pg_catalog.lowrite(0, '\\x00');\n" NAME("i", "INDEX") "CREATE INDEX i;\n",
	            "",
	            "-- Data for Name: BLOBS; Type: BLOBS; Schema: -; Owner: -\n--\n" NAME(
	                    "i", "INDEX") "CREATE INDEX i;\n");
}

static void test_texts_that_are_cut_off(void **state)
{
	static const char text[] = HEAD("t", "s") "COPY s.t (a) FROM stdin;\n1\n22\n\\.\n";
	size_t rows = (size_t)(strstr(text, "1\n22") - text);

	for (size_t len = 0; len < sizeof(text) - 1; len++) {
		_cleanup(taken) struct taken t = {0};
		_cleanup(free) char *cut = mem_printf("%.*s", (int)len, text);
		struct error err = {0};
		int r = scan_in_pieces(cut, 7, &t, &err);

		assert_int_equal(r, len >= rows ? -ENOTSUP : 0);
		if (r < 0)
			assert_non_null(strstr(err.message, "cut off"));
	}
}

/* COPY statements. */

static void expect_copy(const char *statement, const char *schema, const char *table, const char *columns)
{
	_cleanup(inside_copy) struct inside_copy copy = {0};

	assert_true(inside_copy_parse(statement, strlen(statement), &copy));
	assert_string_equal(copy.schema, schema);
	assert_string_equal(copy.table, table);
	assert_int_equal(copy.columns_len, strlen(columns));
	assert_memory_equal(copy.columns, columns, strlen(columns));
}

static void test_copy_statements(void **state)
{
	expect_copy("COPY public.t (a, b) FROM stdin;\n", "public", "t", "(a, b)");
	expect_copy("COPY t (a) FROM stdin;", "", "t", "(a)");
	expect_copy("COPY public.t  FROM stdin;\n", "public", "t", "");
	expect_copy("COPY \"a.b\".\"c \"\"d\"\"\" (\"x) FROM stdin;\", y) FROM stdin;\n", "a.b", "c \"d\"",
	            "(\"x) FROM stdin;\", y)");
}

static void test_copy_statements_that_are_none(void **state)
{
	static const char *const wrong[] = {"",
	                                    "\n",
	                                    "COPY",
	                                    "COPY ",
	                                    "COPY  FROM stdin;",
	                                    "COPY t (a) FROM stdout;",
	                                    "COPY t (a FROM stdin;",
	                                    "COPY \"t (a) FROM stdin;",
	                                    "COPY t. FROM stdin;",
	                                    "COPY s.\"t\"x (a) FROM stdin;",
	                                    "INSERT INTO t FROM stdin;",
	                                    "COPY t(a) FROM stdin;",
	                                    "COPY a.b.c (a) FROM stdin;"};

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		_cleanup(inside_copy) struct inside_copy copy = {0};

		assert_false(inside_copy_parse(wrong[i], strlen(wrong[i]), &copy));
	}
}

/* Points. */

static void test_points(void **state)
{
	const struct segment_record records[] = {{.offset = 10, .raw_bytes = 100},
	                                         {.offset = 20, .raw_bytes = 1},
	                                         {.offset = 30, .raw_bytes = 50}};
	_cleanup(inside_points) struct inside_points *p = inside_points_of_records(records, 3);

	assert_null(inside_points_of_records(records, 1));
	assert_null(inside_points_find(NULL, 5));
	assert_null(inside_points_find(p, 0));
	assert_null(inside_points_find(p, 99));
	assert_int_equal(inside_points_find(p, 100)->offset, 20);
	assert_int_equal(inside_points_find(p, 101)->offset, 30);
	assert_int_equal(inside_points_find(p, UINT64_MAX)->offset, 30);
}

static void test_many_points_are_thinned(void **state)
{
	_cleanup(inside_found) struct inside_found f = {0};
	_cleanup(inside_points) struct inside_points *p = NULL;
	uint64_t step = (uint64_t)1 << 20;

	for (uint64_t i = 1; i <= 5 * INSIDE_POINTS_MAX; i++)
		inside_found_add(&f, i, i * step);
	p = inside_found_take(&f);
	assert_true(p->count <= INSIDE_POINTS_MAX && p->count > INSIDE_POINTS_MAX / 4);
	for (size_t i = 0; i < p->count; i++) {
		assert_true(p->items[i].raw == p->items[i].offset * step);
		assert_true(i == 0 || p->items[i].raw > p->items[i - 1].raw);
	}
	assert_true(p->items[p->count - 1].raw > (5 * INSIDE_POINTS_MAX - 64) * step);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_tables_of_a_text),
	        cmocka_unit_test(test_rows_that_look_like_the_end),
	        cmocka_unit_test(test_texts_that_look_like_data),
	        cmocka_unit_test(test_statements_without_a_comment),
	        cmocka_unit_test(test_texts_that_are_refused),
	        cmocka_unit_test(test_a_long_statement_of_many_lines),
	        cmocka_unit_test(test_a_tag_as_long_as_the_body_demands),
	        cmocka_unit_test(test_statements_around_the_rows),
	        cmocka_unit_test(test_names_of_a_text),
	        cmocka_unit_test(test_large_objects_of_a_text),
	        cmocka_unit_test(test_texts_that_are_cut_off),
	        cmocka_unit_test(test_copy_statements),
	        cmocka_unit_test(test_copy_statements_that_are_none),
	        cmocka_unit_test(test_points),
	        cmocka_unit_test(test_many_points_are_thinned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
