// SPDX-License-Identifier: Apache-2.0
/* Settings at the head of SQL text that a server does not know: left out there, in pieces of any size, and nowhere else. */
#include "../../src/use/restore_head.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define BEGINS                                                                                               \
	"--\n-- PostgreSQL database dump\n--\n\n\\restrict abc\n\n-- Dumped by pg_dump version 17.4\n\n"     \
	"SET statement_timeout = 0;\nSET idle_in_transaction_session_timeout = 0;\n"
#define LIMIT "SET transaction_timeout = 0;\n"
#define GOES_ON                                                                                              \
	"SET client_encoding = 'UTF8';\nSELECT pg_catalog.set_config('search_path', '', false);\n"           \
	"SET row_security = off;\n\n"
#define OBJECT "--\n-- Name: t; Type: TABLE; Schema: public; Owner: app\n--\n\n"

struct written {
	struct str text, told;
	size_t fails_at; /* so many bytes go through; 0: all */
};

static int write_text(void *arg, const void *data, size_t len, struct error *err)
{
	struct written *w = arg;

	str_append_bytes(&w->text, data, len);
	return w->fails_at > 0 && w->text.len > w->fails_at ? error_set(err, ERROR_INTERNAL, EPIPE, "closed")
	                                                    : 0;
}

static void tell_line(void *arg, const char *line)
{
	str_append(&((struct written *)arg)->told, line);
}

static int feed_in_pieces(const char *lacking, const char *text, size_t piece, struct written *w)
{
	_cleanup(restore_head) struct restore_head h = {
	        .lacking = lacking, .write = write_text, .left_out = tell_line, .arg = w};
	size_t len = strlen(text);
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = restore_head_feed(&h, text + at, len - at < piece ? len - at : piece, NULL);
	return r < 0 ? r : restore_head_end(&h, NULL);
}

static void expect_head(const char *lacking, const char *text, const char *expected, const char *told)
{
	for (size_t piece = 1; piece < 60; piece++) {
		struct written w = {.fails_at = 0};

		assert_int_equal(feed_in_pieces(lacking, text, piece, &w), 0);
		assert_string_equal(str_text(&w.text), expected);
		assert_string_equal(str_text(&w.told), told);
		str_finish(&w.text);
		str_finish(&w.told);
	}
}

static void expect_as_it_is(const char *lacking, const char *text)
{
	expect_head(lacking, text, text, "");
}

static void test_what_the_server_does_not_know_is_left_out(void **state)
{
	expect_head("transaction_timeout", BEGINS LIMIT GOES_ON OBJECT "CREATE TABLE t;\n",
	            BEGINS "-- " LIMIT GOES_ON OBJECT "CREATE TABLE t;\n", LIMIT);
	expect_head("transaction_timeout", LIMIT, "-- " LIMIT, LIMIT);
	expect_head("idle_in_transaction_session_timeout, transaction_timeout",
	            "SET idle_in_transaction_session_timeout = 0;\n" LIMIT,
	            "-- SET idle_in_transaction_session_timeout = 0;\n-- " LIMIT,
	            "SET idle_in_transaction_session_timeout = 0;\n" LIMIT);
}

static void test_what_it_knows_stays(void **state)
{
	expect_as_it_is("", BEGINS LIMIT GOES_ON OBJECT);
	expect_as_it_is(NULL, BEGINS LIMIT GOES_ON OBJECT);
	expect_as_it_is("idle_in_transaction_session_timeout", BEGINS + strlen(BEGINS));
	expect_as_it_is("idle_transaction_timeout", LIMIT);
	expect_as_it_is("transaction_timeout_2", LIMIT);
}

static void test_other_lines_stay(void **state)
{
	static const char *const lines[] = {
	        "SET transaction_timeout = 1;\n",  "SET transaction_timeout = 0; SELECT 1;\n",
	        " SET transaction_timeout = 0;\n", "SET SESSION transaction_timeout = 0;\n",
	        "set transaction_timeout = 0;\n",  "SET transaction_timeout = 0;\r\n",
	        "SET transaction_timeout = 0;",    "SET unknown_setting = 0;\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup(free) char *text = mem_printf(BEGINS "%s", lines[i]);

		expect_as_it_is("transaction_timeout, unknown_setting", text);
	}
}

/* What looks like it further on is somebody's text, or rows. */
static void test_only_the_head_is_looked_at(void **state)
{
	static const char *const before[] = {
	        OBJECT,
	        "-- Data for Name: t; Type: TABLE DATA; Schema: s; Owner: -\n",
	        "COPY s.t (a) FROM stdin;\n",
	        "COMMENT ON TABLE s.t IS '\n",
	        "CREATE FUNCTION f() AS $$\n",
	};
	_cleanup(str) struct str text = {0};

	for (size_t i = 0; i < ARRAY_SIZE(before); i++) {
		str_clear(&text);
		str_appendf(&text, BEGINS GOES_ON "%s" LIMIT, before[i]);
		expect_as_it_is("transaction_timeout", str_text(&text));
	}
	str_clear(&text);
	str_append(&text, "-- ");
	while (text.len < 1100)
		str_append(&text, "a long line ");
	str_append(&text, "\n" LIMIT);
	expect_as_it_is("transaction_timeout", str_text(&text));
}

static void test_a_pipe_that_is_closed(void **state)
{
	static const char text[] = BEGINS LIMIT GOES_ON OBJECT;

	for (size_t at = 1; at < sizeof(text) - 1; at++) {
		struct written w = {.fails_at = at};

		assert_int_equal(feed_in_pieces("transaction_timeout", text, 17, &w), -EPIPE);
		str_finish(&w.text);
		str_finish(&w.told);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_the_server_does_not_know_is_left_out),
	        cmocka_unit_test(test_what_it_knows_stays),
	        cmocka_unit_test(test_other_lines_stay),
	        cmocka_unit_test(test_only_the_head_is_looked_at),
	        cmocka_unit_test(test_a_pipe_that_is_closed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
