// SPDX-License-Identifier: Apache-2.0
/* What PostgreSQL's programs and libpq say, taken apart: warnings, what was refused, and why. */
#include "../../src/dump/words.h"
#include "../../src/pg/refusal.h"

#include <keepfs/base/str.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void add_warning(void *arg, const char *text)
{
	str_appendf(arg, "[%s]", text);
}

static void expect_warnings(struct warnings *w, const char *expected)
{
	_cleanup(str) struct str told = {0};
	const struct make_order order = {.warn = add_warning, .log_arg = &told};

	warnings_tell(w, &order);
	assert_string_equal(str_text(&told), expected);
}

static void test_warnings(void **state)
{
	static const char *const lines[] = {
	        "pg_dump: last built-in OID is 16383",
	        "pg_dump: warning: subscriptions not dumped because current user is not a superuser",
	        "WARNING:  what a server says",
	        "pg_dump: detail: of no warning",
	        "pg_dump: warning: there are circular foreign-key constraints on this table:",
	        "pg_dump: detail:   nodes",
	        "pg_dump: hint: Consider a full dump.",
	        "pg_dump: [archiver] WARNING: of an old one",
	        "pg_dump: error: not a warning: of any kind",
	        "",
	        "warning: of nobody",
	};
	struct warnings w;

	warnings_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		warnings_take(&w, lines[i]);
	expect_warnings(
	        &w,
	        "[pg_dump: subscriptions not dumped because current user is not a superuser]"
	        "[pg_dump: there are circular foreign-key constraints on this table:; nodes; Consider a full dump.]"
	        "[pg_dump: of an old one]");
	warnings_clear(&w);
	expect_warnings(&w, "");
	warnings_finish(&w);
}

static void test_many_warnings(void **state)
{
	_cleanup(str) struct str told = {0};
	const struct make_order order = {.warn = add_warning, .log_arg = &told};
	struct warnings w;

	warnings_init(&w);
	for (int i = 0; i < 1000; i++) {
		warnings_take(&w, "pg_dump: warning: the same");
		warnings_take(&w, "pg_dump: hint: as before");
	}
	expect_warnings(&w, "[pg_dump: the same; as before (1000 times)]");
	for (int i = 0; i < 3000; i++) {
		_cleanup(str) struct str line = {0};

		str_appendf(&line, "pg_dump: warning: number %d", i);
		warnings_take(&w, str_text(&line));
	}
	warnings_tell(&w, &order);
	assert_non_null(strstr(str_text(&told), "[pg_dump: number 8]"));
	assert_null(strstr(str_text(&told), "number 9]"));
	assert_true(str_ends(str_text(&told), "[pg_dump: 2991 further warnings, which the run's log has]"));
	warnings_finish(&w);
}

static void expect_attempt(const char *said, bool any, const char *sql, uint32_t large_object)
{
	_cleanup(free) char *statement = NULL;
	struct pg_attempt attempt;

	assert_int_equal(words_attempt(said, &attempt, &statement), any);
	assert_true(str_equal(attempt.sql, sql));
	assert_int_equal(attempt.large_object, large_object);
}

static void test_attempts(void **state)
{
	expect_attempt("pg_dump: error: query failed: FEHLER:  keine Berechtigung für Tabelle b\n"
	               "pg_dump: detail: Query was: LOCK TABLE public.b IN ACCESS SHARE MODE\n",
	               true, "LOCK TABLE public.b IN ACCESS SHARE MODE", 0);
	expect_attempt("pg_dump: error: query was: SELECT a\nFROM b;\n\npg_dump: error: and more\n", true,
	               "SELECT a\nFROM b", 0);
	expect_attempt("pg_dump: error: Dumping the contents of table \"b\" failed: PQgetResult() failed.\n"
	               "pg_dump: detail: Error message from server: FEHLER: query was: x\n"
	               "pg_dump: detail: Command was: COPY public.b (id) TO stdout;\n",
	               true, "COPY public.b (id) TO stdout", 0);
	expect_attempt("pg_dump: error: could not open large object 4711: FEHLER:  nein\n", true, NULL, 4711);
	expect_attempt("pg_dump: error: connection to server on socket \"/x\" failed: FATAL:  nein\n", true,
	               NULL, 0);
	expect_attempt("pg_dump: error: no matching tables were found\n", false, NULL, 0);
	expect_attempt("pg_dump: error: server closed the connection unexpectedly\n"
	               "pg_dump: detail: Query was: SELECT 1\n",
	               false, NULL, 0);
	expect_attempt("", false, NULL, 0);
}

static void expect_refusal(const char *verbose, const char *words, const char *code, const char *function)
{
	_cleanup(refusal) struct refusal refusal = {0};

	refusal_parse(&refusal, verbose);
	assert_string_equal(str_text(&refusal.words), words);
	assert_string_equal(refusal.state, code);
	assert_string_equal(refusal.function, function);
}

static void test_refusals(void **state)
{
	expect_refusal("connection to server at \"h\", port 1 failed: FATAL:  28P01: nein\n"
	               "DETAIL:  mehr\nLOCATION:  auth_failed, auth.c:334\n",
	               "connection to server at \"h\", port 1 failed: FATAL:  nein\nDETAIL:  mehr\n", "28P01",
	               "auth_failed");
	/* Of several hosts it is the last. */
	expect_refusal("a: FATAL:  57P03: one\nLOCATION:  f, x.c:1\nb: FATAL:  3D000: two\n",
	               "a: FATAL:  one\nb: FATAL:  two\n", "3D000", "");
	expect_refusal("could not translate host name \"x\": 12345\n",
	               "could not translate host name \"x\": 12345\n", "", "");
	expect_refusal("FATAL:  28P0", "FATAL:  28P0\n", "", "");
	expect_refusal("", "", "", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_warnings),
	        cmocka_unit_test(test_many_warnings),
	        cmocka_unit_test(test_attempts),
	        cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
