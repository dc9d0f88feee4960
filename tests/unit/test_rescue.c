// SPDX-License-Identifier: Apache-2.0
/* The words of a rescue; which table and which columns they name; and what a .tables.csv says of one table. */
#include "../../src/pg/names.h"
#include "../../src/use/rescue_order.h"
#include "../../src/use/table_names.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/use.h>
#include <keepfs/use/counted.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Words. */

static void words_that_are_taken(void **state)
{
	static const struct {
		const char *text;
		bool execute, replace, common;
	} cases[] = {
	        {"full/latest.dump public.orders"},
	        {"full orders where='id = 1' note=x"},
	        {"full orders confirm=orders", .execute = true},
	        {"full orders confirm=orders plan=yes"},
	        {"full orders confirm=orders dry-run=yes"},
	        {"full orders into=b.c confirm=b.c replace=yes columns=common", true, true, true},
	        {"full orders replace=no columns=all by=a,b database=d server=service=s"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup(command_line) struct command_line line = {0};
		struct rescue_order order;
		struct error err = {0};

		assert_int_equal(command_line_parse(cases[i].text, &line, &err), 0);
		if (rescue_order_read(&line, &order, &err) < 0)
			fail_msg("%s: %s", cases[i].text, err.message);
		assert_int_equal(order.execute, cases[i].execute);
		assert_int_equal(order.replace, cases[i].replace);
		assert_int_equal(order.common, cases[i].common);
		assert_string_equal(order.backup, line.words[0]);
		assert_string_equal(order.table, line.words[1]);
	}
}

static void words_that_are_refused(void **state)
{
	static const struct {
		const char *text, *said;
	} cases[] = {
	        {"full", "name a backup and a table"},
	        {"", "name a backup and a table"},
	        {"full orders items", "name a backup and a table"},
	        {"full orders confirm=items", "confirm=items: rows would be brought into orders"},
	        {"full orders into=items confirm=orders", "rows would be brought into items"},
	        {"full orders confirm=orders replace=perhaps", "replace=perhaps: allowed are yes and no"},
	        {"full orders plan=1", "plan=1: allowed are yes and no"},
	        {"full orders columns=some", "columns=some: allowed are all"},
	        {"full orders server=postgresql://u:secret@h/d", "must not hold a password"},
	        {"full orders clean=yes", "clean=yes: allowed are where"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		_cleanup(command_line) struct command_line line = {0};
		struct rescue_order order;
		struct error err = {0};

		assert_int_equal(command_line_parse(cases[i].text, &line, &err), 0);
		assert_int_equal(rescue_order_read(&line, &order, &err), -EINVAL);
		if (!strstr(err.message, cases[i].said))
			fail_msg("no '%s' in: %s", cases[i].said, err.message);
	}
}

/* The second word is no backup, so it is of no other job. */
static void the_name_of_a_run(void **state)
{
	_cleanup(command_line) struct command_line line = {0};
	_cleanup(free) char *name = NULL;

	assert_int_equal(command_line_parse("full/latest.dump public.orders", &line, NULL), 0);
	name = use_name(&use_rescue, &line);
	assert_string_equal(name, "rescue:full");
}

static void who_may_give_a_condition(void **state)
{
	const struct conf conf = {0};
	struct error err = {0};

	assert_int_equal(use_check_rights(&conf, &use_rescue, "full orders where='id = 1'", 1000, 990, &err),
	                 -EPERM);
	assert_int_equal(use_check_rights(&conf, &use_rescue, "full orders where='id = 1'", 990, 990, &err),
	                 0);
	assert_int_equal(use_check_rights(&conf, &use_rescue, "full orders confirm=orders", 1000, 990, &err),
	                 0);
}

/* Rows come back to where they were, unless somebody who may write anywhere says otherwise. */
static void who_may_rescue_into_another_table(void **state)
{
	struct conf_job jobs[] = {
	        {.kind = CONF_JOB_DUMP, .drill_server = "", .dump.database = "service=shop"}};
	const struct conf conf = {.jobs = jobs, .job_count = 1};
	static const char *const lines[] = {"full orders into=users", "full orders database=other",
	                                    "full orders server=service=shop"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct error err = {0};

		assert_int_equal(use_check_rights(&conf, &use_rescue, lines[i], 1000, 990, &err), -EPERM);
		assert_non_null(strstr(err.message, "into another table"));
		assert_int_equal(use_check_rights(&conf, &use_rescue, lines[i], 990, 990, &err), 0);
		assert_int_equal(use_check_rights(&conf, &use_rescue, lines[i], 0, 990, &err), 0);
		assert_int_equal(use_check_rights(&conf, &use_restore, lines[i], 1000, 990, &err), 0);
	}
}

/* Tables. */

static int choose(const char *word, uint32_t *number, struct error *err)
{
	static const char *const tables[][2] = {
	        {"public", "orders"}, {"sales", "orders"},  {"public", "items"}, {"a.b", "c"},
	        {"a", "b.c"},         {"s.t", "customers"}, {"public", "twice"}, {"public", "twice"}};
	_cleanup(table_names) struct table_names names = {.word = word};

	for (uint32_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		table_names_add(&names, i + 1, tables[i][0], tables[i][1]);
	return table_names_choose(&names, number, err);
}

static void tables_by_their_names(void **state)
{
	struct error err = {0};
	uint32_t number = 0;

	assert_int_equal(choose("sales.orders", &number, &err), 0);
	assert_int_equal(number, 2);
	assert_int_equal(choose("items", &number, &err), 0);
	assert_int_equal(number, 3);
	assert_int_equal(choose("b.c", &number, &err), 0);
	assert_int_equal(number, 5);
	assert_int_equal(choose("orders", &number, &err), -EINVAL);
	assert_non_null(strstr(err.message,
	                       "is in 2 schemas: write which one you mean: public.orders, sales.orders"));
	assert_int_equal(choose("item", &number, &err), -EINVAL);
	assert_non_null(strstr(err.message, "did you mean public.items?"));
	assert_int_equal(choose("custmers", &number, &err), -EINVAL);
	assert_non_null(strstr(err.message, "did you mean s.t.customers?"));
	assert_null(strstr(err.message, "partition"));
	assert_int_equal(choose("public.order", &number, &err), -EINVAL);
	assert_non_null(strstr(err.message, "did you mean public.orders?"));
	assert_int_equal(choose("something.else", &number, &err), -EINVAL);
	assert_null(strstr(err.message, "did you mean"));
	assert_non_null(strstr(err.message, "in its partitions"));
	assert_int_equal(choose("public.item", &number, &err),
	                 -EINVAL); /* items may be its partition, such as item1 */
	assert_non_null(strstr(err.message, "did you mean public.items?"));
	assert_non_null(strstr(err.message, "in its partitions"));
}

static void names_that_two_tables_have(void **state)
{
	struct error err = {0};
	uint32_t number = 0;

	assert_int_equal(choose("a.b.c", &number, &err), -EINVAL);
	assert_non_null(strstr(err.message, "a.b.c may be \"a.b\".\"c\" or \"a\".\"b.c\""));
	assert_int_equal(choose("\"a.b\".\"c\"", &number, &err), 0);
	assert_int_equal(number, 4);
	assert_int_equal(choose("\"a\".\"b.c\"", &number, &err), 0);
	assert_int_equal(number, 5);
	assert_int_equal(choose("public.twice", &number, &err), -EINVAL);
	assert_non_null(strstr(err.message, "more than one table \"public\".\"twice\""));
	assert_int_equal(choose("\"public\".\"twice\"", &number, &err), -EINVAL);
}

static void many_schemas_are_not_all_told(void **state)
{
	_cleanup(table_names) struct table_names names = {.word = "t"};
	struct error err = {0};
	uint32_t number;

	for (uint32_t i = 1; i <= 1000; i++) {
		_cleanup(free) char *schema = mem_printf("s%u", i);

		table_names_add(&names, i, schema, "t");
	}
	assert_int_equal(table_names_choose(&names, &number, &err), -EINVAL);
	assert_non_null(strstr(err.message, "is in 1000 schemas"));
	assert_non_null(strstr(err.message, "s5.t, …"));
	assert_null(strstr(err.message, "s6.t"));
}

/* Columns. */

static void lists_of_names(void **state)
{
	static const struct {
		const char *text, *names;
	} good[] = {
	        {"(id)", "id|"},     {"id", "id|"},
	        {" a , b ", "a|b|"}, {"(id, \"A \"\"b\"\"\", c)", "id|A \"b\"|c|"},
	        {"\"(,)\"", "(,)|"}, {"(\"a\",b)", "a|b|"},
	};
	static const char *const bad[] = {"",    "()",   "(",   "(a",     "a)",   "a,",  "(a,)",   ",a",
	                                  "a b", "(a)b", "\"a", "(\"a\"", "\"\"", "a;b", "a\"b\"", "(a));"};

	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		_cleanup(pg_names) struct names names = {0};
		_cleanup(str) struct str found = {0};

		assert_true(names_parse(good[i].text, &names));
		for (size_t k = 0; k < names.count; k++)
			str_appendf(&found, "%s|", names.items[k]);
		assert_string_equal(str_text(&found), good[i].names);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup(pg_names) struct names names = {0};

		if (names_parse(bad[i], &names))
			fail_msg("%s was taken", bad[i]);
		assert_int_equal(names.count, 0);
	}
}

/* What was counted. */

#define HEAD "schema,table,rows,bytes,hash\n"
#define HASH "00000000000000"

static int count(const char *table, const char *text, size_t piece, struct use_counting **ret,
                 struct use_counted *found, struct error *err)
{
	struct use_counting *c = *ret = use_counting_new(table);
	int r = 0;

	for (size_t at = 0; r == 0 && at < strlen(text); at += piece)
		r = use_counting_feed(c, text + at, strnlen(text + at, piece), err);
	return r < 0 ? r : use_counting_end(c, found, err);
}

static const char counts[] =
        HEAD "public,orders,3,30," HASH "0a\nsales,orders,4,40," HASH "0b\npublic,items,5,50," HASH
             "0c\npg_catalog,pg_largeobject,1,10,\npg_catalog,pg_largeobject,2,20,\n";

static void one_table_of_many(void **state)
{
	struct error err = {0};

	for (size_t piece = 1; piece < 50; piece += 7) {
		_cleanup(use_counting) struct use_counting *a = NULL, *b = NULL, *c = NULL, *d = NULL,
		                                           *e = NULL;
		struct use_counted found = {0};

		assert_int_equal(count("sales.orders", counts, piece, &a, &found, &err), 0);
		assert_true(found.is_there && found.has_hash);
		assert_int_equal(found.rows.count, 4);
		assert_int_equal(found.rows.hash, 0xb);
		assert_int_equal(count("items", counts, piece, &b, &found, &err), 0);
		assert_string_equal(found.name, "public.items");
		assert_int_equal(found.rows.bytes, 50);
		assert_int_equal(count("orders", counts, piece, &c, &found, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_int_equal(count("pg_catalog.pg_largeobject", counts, piece, &d, &found, &err), 0);
		assert_int_equal(found.rows.count, 3);
		assert_false(found.has_hash);
		assert_int_equal(count("itens", counts, piece, &e, &found, &err), 0);
		assert_false(found.is_there);
		assert_string_equal(found.nearest, "public.items");
	}
}

static void counts_that_are_none(void **state)
{
	static const char *const bad[] = {"", "schema,table\n", HEAD "public,orders,3\n",
	                                  HEAD "public,orders,3,30," HASH "0a",
	                                  HEAD "public,orders,x,30," HASH "0a\n"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		_cleanup(use_counting) struct use_counting *c = NULL;
		struct use_counted found = {0};
		struct error err = {0};

		assert_int_equal(count("orders", bad[i], 100, &c, &found, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(words_that_are_taken),
	        cmocka_unit_test(words_that_are_refused),
	        cmocka_unit_test(the_name_of_a_run),
	        cmocka_unit_test(who_may_give_a_condition),
	        cmocka_unit_test(who_may_rescue_into_another_table),
	        cmocka_unit_test(names_that_two_tables_have),
	        cmocka_unit_test(tables_by_their_names),
	        cmocka_unit_test(many_schemas_are_not_all_told),
	        cmocka_unit_test(lists_of_names),
	        cmocka_unit_test(one_table_of_many),
	        cmocka_unit_test(counts_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
