// SPDX-License-Identifier: Apache-2.0
/* What was counted of one table, found by its name or by that of its file, and when it is another version. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/use/counted.h>

#define HEADING "schema,table,rows,bytes,hash\n"
#define COUNTS                                                                                               \
	HEADING "public,orders,3,30,00000000000000ff\n"                                                      \
	        "a,b.c,1,10,0000000000000001\n"                                                              \
	        "a.b,c,2,20,0000000000000002\n"                                                              \
	        "public,\"x/\"\"y\",4,40,0000000000000004\n"                                                 \
	        "pg_catalog,pg_largeobject,5,50,\n"

static int feed(struct use_counting *c, const char *text, struct use_counted *ret, struct error *err)
{
	int r = 0;

	/* In the smallest pieces. */
	for (; r == 0 && *text; text++)
		r = use_counting_feed(c, text, 1, err);
	return r == 0 ? use_counting_end(c, ret, err) : r;
}

static uint64_t rows_of_file(const char *file)
{
	_cleanup(use_counting) struct use_counting *c = use_counting_new_named(file);
	struct use_counted found = {0};

	assert_int_equal(feed(c, COUNTS, &found, NULL), 0);
	return found.is_there ? found.rows.count : 0;
}

static void a_file_is_of_one_table(void **state)
{
	assert_int_equal(rows_of_file("public.orders.tsv"), 3);
	assert_int_equal(rows_of_file("a.b%2Ec.tsv"), 1);
	assert_int_equal(rows_of_file("a%2Eb.c.tsv"), 2);
	assert_int_equal(rows_of_file("public.x%2F\"y.tsv"), 4);
	assert_int_equal(rows_of_file("public.order.tsv"), 0);
	assert_int_equal(rows_of_file("orders.tsv"), 0);
	assert_int_equal(rows_of_file("public.orders"), 0);
	assert_int_equal(rows_of_file("public.order%73.tsv"), 0);
	/* Large objects are no table, and have no file in tables/. */
	assert_int_equal(rows_of_file("pg_catalog.pg_largeobject.tsv"), 0);
}

static void what_is_no_such_file_is_refused(void **state)
{
	static const char *const texts[] = {"", "schema,table\n", HEADING "public,orders,3,30",
	                                    HEADING "public,orders,x,30,00\n",
	                                    HEADING "public,orders,3,30,00000000000000fg\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		_cleanup(use_counting) struct use_counting *c = use_counting_new_named("public.orders.tsv");
		struct use_counted found;
		struct error err = {0};

		assert_int_equal(feed(c, texts[i], &found, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
}

static void versions(void **state)
{
	const struct use_counted one = {.is_there = true, .has_hash = true, .rows = {1, 10, 7}};
	const struct use_counted hash = {.is_there = true, .has_hash = true, .rows = {1, 10, 8}};
	const struct use_counted rows = {.is_there = true, .has_hash = true, .rows = {2, 10, 8}};
	const struct use_counted gone = {0};
	struct use_versions v = {0};

	assert_int_equal(use_versions_take(&v, &gone, true), USE_VERSION_SILENT);
	assert_int_equal(use_versions_take(&v, &one, false), USE_VERSION_OTHER);
	assert_int_equal(use_versions_take(&v, &one, true), USE_VERSION_SAME);
	assert_int_equal(use_versions_take(&v, &gone, true), USE_VERSION_SILENT);
	assert_int_equal(use_versions_take(&v, &one, false), USE_VERSION_SAME);
	assert_int_equal(use_versions_take(&v, &hash, true), USE_VERSION_OTHER);
	assert_int_equal(use_versions_take(&v, &rows, false), USE_VERSION_OTHER);
	assert_int_equal(use_versions_take(&v, &gone, false), USE_VERSION_OTHER);
	assert_int_equal(use_versions_take(&v, &gone, false), USE_VERSION_SAME);
	/* What comes back is a version of its own. */
	assert_int_equal(use_versions_take(&v, &rows, false), USE_VERSION_OTHER);
	v = (struct use_versions){0};
	assert_int_equal(use_versions_take(&v, &gone, false), USE_VERSION_OTHER);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_file_is_of_one_table),
	        cmocka_unit_test(what_is_no_such_file_is_refused),
	        cmocka_unit_test(versions),
	};

	return cmocka_run_group_tests_name("counted", tests, NULL, NULL);
}
