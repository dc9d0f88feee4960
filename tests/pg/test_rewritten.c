// SPDX-License-Identifier: Apache-2.0
/* What happens to a table between a snapshot and the lock on it: what the snapshot would show empty, or in
 * other pages, is noticed; all else is none of a dump's business. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "rewritten"

static uint32_t oid_of(struct pg_session *s, const char *relation)
{
	_cleanup(free) char *sql = mem_printf("SELECT '%s'::regclass::oid", relation);
	_cleanup(free) char *oid = server_value(s, sql);

	return (uint32_t)strtoul(oid, NULL, 10);
}

/* What becomes of the tables when @sql is run between the snapshot and the locks. */
static int check_after(const char *sql, struct error *err)
{
	static const char *const relations[] = {"public.untouched", "public.\"odd, one\"", "public.parts",
	                                        "public.part"};
	struct pg_session *leader = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	struct pg_table tables[ARRAY_SIZE(relations) + 1] = {0}; /* the last stays 0, as large objects do */
	_cleanup(free) char *snapshot = NULL;
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(relations); i++)
		tables[i].oid = oid_of(leader, relations[i]);
	assert_int_equal(pg_snapshot_export(leader, &snapshot, NULL), 0);
	server_run(other, sql);
	for (size_t i = 0; i < ARRAY_SIZE(relations); i++)
		assert_int_equal(pg_lock_relation(leader, relations[i], NULL), 0);
	r = pg_tables_check(leader, tables, ARRAY_SIZE(tables), err);
	pg_session_free(leader);
	pg_session_free(other);
	return r;
}

static void test_what_is_noticed(void **state)
{
	static const struct {
		const char *sql, *relation;
	} cases[] = {
	        {"TRUNCATE public.\"odd, one\"", "public.\"odd, one\""},
	        {"TRUNCATE public.parts", "public.part"},
	        {"BEGIN; TRUNCATE public.untouched; INSERT INTO public.untouched VALUES (1); COMMIT",
	         "public.untouched"},
	        {"VACUUM FULL public.\"odd, one\"", "public.\"odd, one\""},
	        {"CLUSTER public.part USING part_pkey", "public.part"},
	        {"ALTER TABLE public.untouched ALTER a TYPE bigint", "public.untouched"},
	        {"ALTER TABLE public.untouched SET UNLOGGED", "public.untouched"},
	        {"CREATE TABLE IF NOT EXISTS public.other (); TRUNCATE public.part, public.other",
	         "public.part"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};

		if (check_after(cases[i].sql, &err) != -ESTALE)
			fail_msg("not noticed: %s", cases[i].sql);
		assert_int_equal(err.class, ERROR_CONFLICT);
		if (!str_starts(err.message, cases[i].relation))
			fail_msg("%s: %s", cases[i].sql, err.message);
	}
}

static void test_what_does_not_matter(void **state)
{
	static const char *const harmless[] = {
	        "SELECT 1",
	        "INSERT INTO public.\"odd, one\" SELECT generate_series(1, 50000)",
	        "DELETE FROM public.untouched WHERE a % 2 = 0; UPDATE public.part SET b = 'changed'",
	        "DELETE FROM public.\"odd, one\"",
	        "VACUUM public.\"odd, one\"",
	        "ANALYZE public.\"odd, one\", public.parts",
	        "CREATE INDEX part_b ON public.part (b)",
	        "REINDEX TABLE public.part",
	        "DROP INDEX public.part_b",
	        "ALTER TABLE public.untouched ADD c int DEFAULT 5",
	        "ALTER TABLE public.untouched RENAME a TO renamed",
	        "BEGIN; TRUNCATE public.untouched; ROLLBACK",
	        "CREATE TABLE public.new_part PARTITION OF public.parts FOR VALUES IN ('new')",
	};

	for (size_t i = 0; i < ARRAY_SIZE(harmless); i++) {
		struct error err = {0};

		if (check_after(harmless[i], &err) != 0)
			fail_msg("%s: %s", harmless[i], err.message);
	}
}

/* More than one question holds, and the changed one among the last. */
static void test_many_tables(void **state)
{
	enum { MANY = 11000 };
	struct pg_table *tables = mem_array(MANY, sizeof(*tables));
	struct pg_session *leader = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	_cleanup(free) char *snapshot = NULL;
	struct error err = {0};

	for (size_t i = 0; i < MANY; i++)
		tables[i].oid = i == MANY - 1 ? oid_of(leader, "public.part")
		                              : oid_of(leader, "public.\"odd, one\"") * (i == 0);
	assert_int_equal(pg_snapshot_export(leader, &snapshot, NULL), 0);
	assert_int_equal(pg_tables_check(leader, tables, MANY, &err), 0);
	assert_int_equal(pg_tables_check(leader, NULL, 0, &err), 0);
	server_run(other, "TRUNCATE public.part");
	assert_int_equal(pg_tables_check(leader, tables, MANY, &err), -ESTALE);
	assert_non_null(strstr(err.message, "public.part was truncated"));
	pg_session_free(leader);
	pg_session_free(other);
	free(tables);
}

static int make_database(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s,
	           "CREATE TABLE public.untouched (a int); INSERT INTO public.untouched VALUES (1), (2);"
	           "CREATE TABLE public.\"odd, one\" (a int);"
	           "INSERT INTO public.\"odd, one\" SELECT generate_series(1, 5000);"
	           "CREATE TABLE public.parts (a int, b text, k text) PARTITION BY LIST (k);"
	           "CREATE TABLE public.part PARTITION OF public.parts (PRIMARY KEY (a)) FOR VALUES IN ('k');"
	           "INSERT INTO public.parts SELECT i, repeat('b', 90), 'k' FROM generate_series(1, 500) i");
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_is_noticed),
	        cmocka_unit_test(test_what_does_not_matter),
	        cmocka_unit_test(test_many_tables),
	};

	return cmocka_run_group_tests_name("pg rewritten", tests, make_database, NULL);
}
