// SPDX-License-Identifier: Apache-2.0
/* The text of a schema, taken apart as pg_dump has put it together, in pieces of any size; and text that nobody's program has written. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/sql_objects.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int show_object(void *arg, const struct sql_object *object, struct error *err)
{
	assert_int_equal(strlen(object->text), object->len);
	str_appendf(arg, "[%s|%s|%s]\n%s", object->type, object->schema, object->name, object->text);
	return 0;
}

static int read_objects(const char *text, size_t piece, struct str *shown, struct error *err)
{
	_cleanup(sql_objects) struct sql_objects *o = sql_objects_new(show_object, shown);
	size_t len = strlen(text);
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup(free) char *copy = mem_alloc(n);

		memcpy(copy, text + at, n);
		r = sql_objects_feed(o, copy, n, err);
	}
	return r < 0 ? r : sql_objects_end(o, err);
}

static void assert_objects(const char *text, const char *expected)
{
	for (size_t piece = 1; piece <= strlen(text) + 1; piece++) {
		_cleanup(str) struct str shown = {0};

		assert_int_equal(read_objects(text, piece, &shown, NULL), 0);
		assert_string_equal(str_text(&shown), expected);
	}
}

#define HEADING(name, type, schema)                                                                          \
	"--\n-- Name: " name "; Type: " type "; Schema: " schema "; Owner: shop\n--\n\n"

static void a_schema_of_pg_dump(void **state)
{
	assert_objects(
	        "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n\n"
	        "SET default_tablespace = '';\n\nSET default_table_access_method = heap;\n\n" HEADING(
	                "orders", "TABLE",
	                "public") "CREATE TABLE public.orders (\n    id integer\n);\n\n\n"
	                          "ALTER TABLE public.orders OWNER TO shop;\n\n"
	                          "SET default_tablespace = fast;\n\n" HEADING(
	                                  "add(integer, integer)", "FUNCTION",
	                                  "public") "CREATE FUNCTION public.add(integer, integer) RETURNS integer\n    AS $$\n\n--\nSELECT 1\n$$;\n\n\n"
	                                            "--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n",
	        "[TABLE|public|orders]\nCREATE TABLE public.orders (\n    id integer\n);\n\n\n"
	        "ALTER TABLE public.orders OWNER TO shop;\n"
	        "[FUNCTION|public|add(integer, integer)]\n"
	        "CREATE FUNCTION public.add(integer, integer) RETURNS integer\n    AS $$\n\n--\nSELECT 1\n$$;\n");
}

static void rows_and_places_of_sequences_are_none(void **state)
{
	assert_objects(
	        "--\n-- Data for Name: orders; Type: TABLE DATA; Schema: public; Owner: shop\n--\n\n"
	        "COPY public.orders (id) FROM stdin;\n\\.\n\n" HEADING(
	                "s", "SEQUENCE SET", "public") "SELECT 1;\n\n" HEADING("public", "SCHEMA",
	                                                                       "-") "CREATE SCHEMA public;\n",
	        "[SCHEMA|-|public]\nCREATE SCHEMA public;\n");
}

static void names_that_hold_what_headings_are_made_of(void **state)
{
	assert_objects(HEADING("a; Type: VIEW; Schema: x", "TABLE", "we; ird") "CREATE;\n",
	               "[TABLE|we; ird|a; Type: VIEW; Schema: x]\nCREATE;\n");
}

static void what_is_no_schema_has_no_objects(void **state)
{
	assert_objects("", "");
	assert_objects("\n\n", "");
	assert_objects("-- Name: x\n-- Name: ; Type: \nhello", "");
	assert_objects("-- Name: x; Type: TABLE; Schema: y; Owner: \n", "[TABLE|y|x]\n");
	assert_objects("-- Name: x; Type: TABLE; Schema: y; Owner: z\nwithout an end",
	               "[TABLE|y|x]\nwithout an end\n");
}

static int refuse_object(void *arg, const struct sql_object *object, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "the disk is full");
}

static void who_takes_the_objects_may_fail(void **state)
{
	static const char text[] = HEADING("a", "TABLE", "b") "A;\n" HEADING("c", "TABLE", "d") "B;\n";
	_cleanup(sql_objects) struct sql_objects *o = sql_objects_new(refuse_object, NULL);
	struct error err = {0};

	assert_int_equal(sql_objects_feed(o, text, sizeof(text) - 1, &err), -ENOSPC);
	assert_string_equal(err.message, "the disk is full");
}

static void endless_lines_are_refused(void **state)
{
	_cleanup(str) struct str shown = {0};
	_cleanup(sql_objects) struct sql_objects *o = sql_objects_new(show_object, &shown);
	_cleanup(free) char *much = mem_alloc((size_t)1 << 20);
	struct error err = {0};
	int r = 0, i = 0;

	memset(much, 'x', (size_t)1 << 20);
	for (; r == 0 && i < 100; i++)
		r = sql_objects_feed(o, much, (size_t)1 << 20, &err);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(i, 65);
	assert_non_null(strstr(err.message, "longer than 64 MiB"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_schema_of_pg_dump),
	        cmocka_unit_test(rows_and_places_of_sequences_are_none),
	        cmocka_unit_test(names_that_hold_what_headings_are_made_of),
	        cmocka_unit_test(what_is_no_schema_has_no_objects),
	        cmocka_unit_test(who_takes_the_objects_may_fail),
	        cmocka_unit_test(endless_lines_are_refused),
	};

	return cmocka_run_group_tests_name("sql_objects", tests, NULL, NULL);
}
