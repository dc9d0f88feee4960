// SPDX-License-Identifier: Apache-2.0
/* Statements that read a table, made from those that load it; texts in statements. All of it pure. */
#include "../../src/pg/statement.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#define PLAIN "COPY public.t (a, b) FROM stdin;\n"

static void expect(const char *copy_stmt, const struct pg_table *table, uint32_t from, uint32_t to,
                   const char *expected)
{
	_cleanup(free) char *sql = pg_copy_statement(copy_stmt, table, from, to);

	if (!expected)
		assert_null(sql);
	else
		assert_string_equal(sql, expected);
}

static void test_whole(void **state)
{
	const struct pg_table plain = {.oid = 1, .by_pages = true};
	const struct pg_table partition = {.oid = 1, .relation = "s.t_1"};

	expect(PLAIN, NULL, 0, UINT32_MAX, "COPY public.t (a, b) TO stdout");
	expect(PLAIN, &plain, 0, UINT32_MAX, "COPY public.t (a, b) TO stdout");
	expect(PLAIN, &partition, 0, UINT32_MAX, "COPY s.t_1 (a, b) TO stdout");
	expect("COPY public.t  FROM stdin;\n", NULL, 0, UINT32_MAX, "COPY public.t TO stdout");
	expect("COPY t (a) FROM stdin;\n", NULL, 0, UINT32_MAX, "COPY t (a) TO stdout");
	expect("COPY \"a \"\"(b\".\"c;\nd FROM stdin\" (\"), \"\"\", \" FROM stdin;\n\") FROM stdin;\n", NULL,
	       0, UINT32_MAX,
	       "COPY \"a \"\"(b\".\"c;\nd FROM stdin\" (\"), \"\"\", \" FROM stdin;\n\") TO stdout");
}

static void test_range(void **state)
{
	const struct pg_table partition = {.oid = 1, .relation = "s.t_1", .by_pages = true};

	expect(PLAIN, NULL, 5, 9,
	       "COPY (SELECT a, b FROM ONLY public.t WHERE ctid >= '(5,0)'::pg_catalog.tid AND "
	       "ctid < '(9,0)'::pg_catalog.tid) TO stdout");
	expect(PLAIN, &partition, 0, 9,
	       "COPY (SELECT a, b FROM ONLY s.t_1 WHERE ctid < '(9,0)'::pg_catalog.tid) TO stdout");
	expect(PLAIN, &partition, 4294967294, UINT32_MAX,
	       "COPY (SELECT a, b FROM ONLY s.t_1 WHERE ctid >= '(4294967294,0)'::pg_catalog.tid) TO stdout");
	expect("COPY public.t  FROM stdin;\n", NULL, 0, 9, NULL);
}

static void test_chosen_rows(void **state)
{
	const struct pg_table some = {.oid = 1, .condition = "WHERE own"};
	const struct pg_table foreign = {.oid = 1, .foreign = true, .relation = "public.t"};
	_cleanup(free) char *sql = pg_copy_statement(PLAIN, &foreign, 0, UINT32_MAX);

	expect(PLAIN, &some, 0, UINT32_MAX, "COPY (SELECT a, b FROM public.t WHERE own) TO stdout");
	expect("COPY public.t  FROM stdin;\n", &some, 0, UINT32_MAX,
	       "COPY (SELECT * FROM public.t WHERE own) TO stdout");
	expect(PLAIN, &some, 0, 9, NULL);
	expect(PLAIN, &foreign, 1, UINT32_MAX, NULL);
	assert_non_null(strstr(sql, "'view', true) FROM pg_catalog.pg_settings"));
	assert_non_null(strstr(sql, "; COPY (SELECT a, b FROM public.t) TO stdout; "));
	assert_non_null(strstr(sql, "'view, foreign-table', true)"));
}

static void test_other_statements(void **state)
{
	static const char *const others[] = {
	        "",
	        "INSERT INTO t VALUES (1);\n",
	        "COPY public.t (a) WITH OIDS FROM stdin;\n",
	        "COPY public.t (a) FROM stdin; DROP TABLE t; --\n",
	        "COPY public.t (a) FROM stdin;\nDROP TABLE t;\n",
	        "COPY public.t (a) FROM stdin;\n ",
	        "COPY public.t; DROP TABLE t (a) FROM stdin;\n",
	        "COPY  (a) FROM stdin;\n",
	        "COPY public.t () FROM stdin;\n",
	        "COPY public.t (a; b) FROM stdin;\n",
	        "COPY public.t (a (b)) FROM stdin;\n",
	        "COPY public.t (\"a) FROM stdin;\n",
	        "COPY \"public.t (a) FROM stdin;\n",
	        "COPY public.t(a) FROM stdin;\n",
	        "COPY (SELECT 1) FROM stdin;\n",
	        "copy public.t (a) from stdin;\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(others); i++) {
		expect(others[i], NULL, 0, UINT32_MAX, NULL);
		assert_null(pg_copy_relation(others[i]));
	}
}

/* Cut anywhere, it is none; nor with any byte of its frame changed. */
static void test_cut_statements(void **state)
{
	static const char whole[] = "COPY \"a \"\"b\".t (x, \"y \"\")\") FROM stdin;\n";

	for (size_t len = 0; len < strlen(whole); len++) {
		_cleanup(free) char *cut = strndup(whole, len);

		assert_null(pg_copy_relation(cut));
	}
	for (size_t at = strlen(whole) - strlen(" FROM stdin;\n"); at < strlen(whole); at++) {
		_cleanup(free) char *changed = mem_strdup(whole);

		changed[at] ^= 1;
		assert_null(pg_copy_relation(changed));
	}
}

static void test_relation(void **state)
{
	_cleanup(free) char *plain = pg_copy_relation(PLAIN);
	_cleanup(free) char *odd = pg_copy_relation("COPY \"a \"\"b\".\"(;\"  FROM stdin;\n");

	assert_string_equal(plain, "public.t");
	assert_string_equal(odd, "\"a \"\"b\".\"(;\"");
}

static void test_quoting(void **state)
{
	_cleanup(free) char *plain = pg_quote_literal("it's \"so\"");
	_cleanup(free) char *backslash = pg_quote_literal("a\\'b");

	assert_string_equal(plain, "'it''s \"so\"'");
	assert_string_equal(backslash, " E'a\\\\''b'");
}

static void test_finish(void **state)
{
	struct pg_table table = {.oid = 5, .relation = mem_strdup("a"), .condition = mem_strdup("b")};

	pg_table_finish(&table);
	assert_null(table.relation);
	assert_null(table.condition);
	pg_table_finish(&table);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_whole),          cmocka_unit_test(test_range),
	        cmocka_unit_test(test_chosen_rows),    cmocka_unit_test(test_other_statements),
	        cmocka_unit_test(test_cut_statements), cmocka_unit_test(test_relation),
	        cmocka_unit_test(test_quoting),        cmocka_unit_test(test_finish),
	};

	return cmocka_run_group_tests_name("pg copy", tests, NULL, NULL);
}
