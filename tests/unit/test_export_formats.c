// SPDX-License-Identifier: Apache-2.0
/* Rows in further formats of exports: what a database of SQLite takes, and what is refused; definitions for psql with names that need care. */
#include "../../src/export/writer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/base/mem.h>
#include <keepfs/pg/tenant_ddl.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* One column, and one row of it. */
static int append(const struct export_format *format, const char *base_type, const char *row, struct str *out,
                  struct error *err)
{
	struct tenancy_column source = {
	        .name = "v", .type = (char *)base_type, .base_type = (char *)base_type};
	const struct tenancy_column *sources[] = {&source};
	struct copy_json_column column = {.name = "v"};
	struct export_converter *converter = NULL;
	struct export_table table = {.columns = &column, .sources = sources, .column_count = 1};
	int r;

	copy_json_kind_of(base_type, 'X', &column);
	r = format->ops->converter_new(&table, &converter, err);
	assert_int_equal(r, 0);
	r = format->ops->append_row(converter, row, strlen(row), out, err);
	format->ops->converter_free(converter);
	return r;
}

static void refuse_value(const char *base_type, const char *row, const char *message)
{
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	str_append(&out, "before");
	if (append(&export_format_sqlite, base_type, row, &out, &err) != -EBADMSG)
		fail_msg("%s is taken for %s", row, base_type);
	assert_string_equal(err.message, message);
	assert_int_equal(out.len, 6);
}

static void take_value(const char *base_type, const char *row, char type, size_t len)
{
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	if (append(&export_format_sqlite, base_type, row, &out, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(out.data[0], type);
	assert_int_equal(out.len, len);
}

enum { AS_NULL, AS_INTEGER, AS_REAL, AS_TEXT, AS_BLOB };

static void test_sqlite_values(void **state)
{
	take_value("bigint", "-9223372036854775808", AS_INTEGER, 9);
	take_value("smallint", "0", AS_INTEGER, 9);
	take_value("boolean", "t", AS_INTEGER, 9);
	take_value("double precision", "1e-300", AS_REAL, 9);
	take_value("double precision", "NaN", AS_TEXT, 12);
	take_value("real", "-Infinity", AS_TEXT, 18);
	take_value("numeric", "1.10", AS_TEXT, 13);
	take_value("bytea", "\\\\x00ff", AS_BLOB, 11);
	take_value("bytea", "\\\\x", AS_BLOB, 9);
	take_value("text", "", AS_TEXT, 9);
	take_value("integer[]", "{1}", AS_TEXT, 12);
	for (size_t i = 0; i < 4; i++)
		take_value(((const char *[]){"bigint", "bytea", "text", "real"})[i], "\\N", AS_NULL, 1);
}

static void test_sqlite_refuses(void **state)
{
	static const char *const integers[] = {
	        "", "x", "1x", "1.5", "9223372036854775808", "-9223372036854775809"};

	for (size_t i = 0; i < ARRAY_SIZE(integers); i++)
		refuse_value("bigint", integers[i], "the column \"v\" has a value that is no bigint");
	refuse_value("boolean", "true", "the column \"v\" has a value that is no boolean");
	refuse_value("boolean", "", "the column \"v\" has a value that is no boolean");
	refuse_value("real", "1,5", "the column \"v\" has a value that is no real");
	refuse_value("real", "", "the column \"v\" has a value that is no real");
	refuse_value("bytea", "", "the column \"v\" has a value that is no bytea");
	refuse_value("bytea", "\\\\x0", "the column \"v\" has a value that is no bytea");
	refuse_value("bytea", "\\\\x0g", "the column \"v\" has a value that is no bytea");
	refuse_value("bytea", "00", "the column \"v\" has a value that is no bytea");
	refuse_value("text", "a\tb", "a row has 2 fields, and 1 columns were asked for");
}

static void expect_text(const struct export_format *format, const char *row, const char *expected)
{
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	assert_int_equal(append(format, "text", row, &out, &err), 0);
	assert_string_equal(str_text(&out), expected);
}

static void test_lines(void **state)
{
	expect_text(&export_format_csv, "a\\nb", "\"a\nb\"\n");
	expect_text(&export_format_csv, "\\N", "\n");
	expect_text(&export_format_ndjson, "a\\nb", "{\"v\":\"a\\nb\"}\n");
}

static void test_formats(void **state)
{
	for (int i = CONF_EXPORT_JSON; i <= CONF_EXPORT_SQLITE; i++) {
		assert_non_null(export_format_of(i));
		assert_true(export_format_of(i)->suffix[0] == '.');
	}
}

/* Definitions. */

static uint32_t first[] = {0};
static struct tenancy_column columns[] = {
        {.name = "id", .type = "bigint", .base_type = "bigint", .not_null = true, .identity = 'a'},
        {.name = "a \"b\"\\", .type = "public.\"odd.type\n\"[]", .base_type = "text[]"},
        {.name = "c", .type = "regclass", .base_type = "regclass", .not_null = true},
        {.name = "d", .type = "numeric(10,2)", .base_type = "numeric", .is_generated = true},
        {.name = "e",
         .type = "integer",
         .base_type = "integer",
         .not_null = true,
         .sequence = "\"s.x\".e_seq"},
};
static struct tenancy_table tables[] = {
        {.oid = 1,
         .schema = "s$keepfs$",
         .name = "it's \"t\"",
         .columns = columns,
         .column_count = 5,
         .primary_key = first,
         .primary_key_count = 1},
};

static struct pg_ddl_column kept[] = {
        {&columns[0], PG_DDL_AS_IT_IS}, {&columns[1], PG_DDL_AS_IT_IS}, {&columns[2], PG_DDL_NULL},
        {&columns[3], PG_DDL_TEXT},     {&columns[4], PG_DDL_AS_IT_IS},
};
static const struct pg_ddl_table table = {.table = tables, .columns = kept, .count = 5};

static void test_definitions(void **state)
{
	_cleanup(str) struct str out = {0};

	pg_ddl_append_schemas(&table, 1, &out);
	pg_ddl_append_types(NULL, &table, 1, &out);
	pg_ddl_append_table(NULL, &table, &out);
	assert_string_equal(
	        str_text(&out),
	        "CREATE SCHEMA IF NOT EXISTS \"s$keepfs$\";\n"
	        "CREATE SCHEMA IF NOT EXISTS \"s.x\";\n"
	        "CREATE SEQUENCE IF NOT EXISTS \"s.x\".e_seq;\n"
	        "CREATE TABLE IF NOT EXISTS \"s$keepfs$\".\"it's \"\"t\"\"\" (\n"
	        "\t\"id\" bigint GENERATED ALWAYS AS IDENTITY NOT NULL,\n"
	        "\t\"a \"\"b\"\"\\\" text, -- public.\"odd.type | \"[]\n"
	        "\t\"c\" text, -- redacted; regclass\n"
	        "\t\"d\" text, -- redacted; numeric(10,2)\n"
	        "\t\"e\" integer DEFAULT pg_catalog.nextval('\"s.x\".e_seq') NOT NULL\n"
	        ");\n"
	        "ALTER SEQUENCE \"s.x\".e_seq OWNED BY \"s$keepfs$\".\"it's \"\"t\"\"\".\"e\";\n");
	assert_false(pg_ddl_is_computed(NULL, &table, 3));
}

/* What is within dollars cannot end them. */
static void test_keys_of_definitions(void **state)
{
	static uint32_t to[] = {0}, from[] = {4};
	struct tenancy_key key = {.name = "k'\\", .from_columns = from, .to_columns = to, .count = 1};
	struct tenancy_model model = {.tables = tables, .table_count = 1, .keys = &key, .key_count = 1};
	_cleanup(str) struct str out = {0};

	pg_ddl_append_keys(&table, &out);
	pg_ddl_append_foreign_key(&model, &key, &out);
	assert_null(strstr(str_text(&out), "DO $keepfs$"));
	assert_non_null(strstr(str_text(&out), "DO $keepfs2$ BEGIN\n"));
	assert_non_null(strstr(str_text(&out), "ADD PRIMARY KEY (\"id\");"));
	assert_non_null(strstr(str_text(&out), "ADD CONSTRAINT \"k'\\\" FOREIGN KEY (\"e\") REFERENCES "));
	assert_non_null(strstr(str_text(&out), "conname =  E'k''\\\\')"));
}

static void test_copy_statement(void **state)
{
	static const struct pg_ddl_table none = {.table = tables};
	_cleanup(str) struct str out = {0};

	pg_ddl_append_copy(NULL, &table, &out);
	pg_ddl_append_copy(NULL, &none, &out);
	assert_string_equal(
	        str_text(&out),
	        "COPY \"s$keepfs$\".\"it's \"\"t\"\"\" (\"id\", \"a \"\"b\"\"\\\", \"c\", \"d\", \"e\") FROM stdin;\n"
	        "COPY \"s$keepfs$\".\"it's \"\"t\"\"\" FROM stdin;\n");
}

/* A remark stays one, whatever ends its lines. */
static void test_remarks(void **state)
{
	_cleanup(str) struct str out = {0};

	pg_ddl_append_remark("one\n\\! two\r\n\nthree \x1b[31m", &out);
	assert_string_equal(str_text(&out), "-- one\n-- \\! two\n--\n--\n-- three \xef\xbf\xbd[31m\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_sqlite_values),  cmocka_unit_test(test_sqlite_refuses),
	        cmocka_unit_test(test_lines),          cmocka_unit_test(test_formats),
	        cmocka_unit_test(test_definitions),    cmocka_unit_test(test_keys_of_definitions),
	        cmocka_unit_test(test_copy_statement), cmocka_unit_test(test_remarks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
