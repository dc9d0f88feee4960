// SPDX-License-Identifier: Apache-2.0
/* Exports, read back: the document in its own layout, in others, and damaged in many ways. */
#include "exported_test.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <zlib.h>

static const char whole[] = HEAD
        "\"tables\":[\n"
        "{\"schema\":\"public\",\"table\":\"orgs\",\"columns\":["
        "{\"name\":\"id\",\"type\":\"bigint\",\"nullable\":false,\"identity\":\"always\",\"sequence\":\"public.orgs_id_seq\"},"
        "{\"name\":\"mail\",\"type\":\"public.email\",\"base\":\"text\",\"nullable\":true}],"
        "\"primary_key\":[\"id\"],\"foreign_keys\":[],\"unique\":[{\"name\":\"u\",\"columns\":[\"mail\"],\"nulls_equal\":true}],"
        "\"row_security\":true,\"way\":\"self\",\"tenant_column\":\"id\",\"found_by\":\"the tenants\",\"rows\":[\n"
        "{\"id\":17,\"mail\":\"a@b\"}\n"
        "],\"row_count\":1},\n"
        "{\"schema\":\"public\",\"table\":\"orders\",\"kind\":\"materialized view\",\"columns\":["
        "{\"name\":\"org_id\",\"type\":\"bigint\",\"nullable\":true,\"generated\":true},"
        "{\"name\":\"total\",\"type\":\"numeric(10,2)\",\"base\":\"numeric\",\"nullable\":true}],"
        "\"primary_key\":[],\"foreign_keys\":[{\"name\":\"fk\",\"columns\":[\"org_id\"],\"schema\":\"public\",\"table\":\"orgs\","
        "\"references\":[\"id\"]}],\"way\":\"key\",\"soft_references\":[{\"column\":\"total\",\"path\":[\"a\"],\"schema\":\"s\",\"table\":\"t\","
        "\"references\":\"id\",\"when\":[{\"column\":\"total\",\"value\":\"Post\"}]}],\"found_by\":\"x\",\"rows\":[\n"
        "{\"org_id\":17,\"total\":\"12345678901234.560\"},\n"
        "{\"org_id\":null,\"total\":5.10}\n"
        "],\"row_count\":2}\n"
        "],\"row_count\":3}\n";

static void test_the_head(void **state)
{
	int fd = file_with(whole, strlen(whole));
	struct exported *e = must_open(fd, "x.json");
	const struct exported_head *h = exported_head(e);
	const struct exported_table *orgs = &h->tables[0], *orders = &h->tables[1];

	assert_int_equal(h->format, EXPORTED_JSON);
	assert_string_equal(h->tenant_id, "17");
	assert_string_equal(h->slug, "acme");
	assert_string_equal(h->name, "Acme");
	assert_string_equal(h->tenancy, "column");
	assert_int_equal(h->taken_at_us, INT64_C(1795140000000000));
	assert_int_equal(h->redacted_count, 1);
	assert_string_equal(h->redacted[0].path[1], "*");
	assert_string_equal(h->left_out[0].why, "excluded");
	assert_int_equal(h->rows, 3);
	assert_int_equal(h->remark_count, 0);
	assert_int_equal(h->table_count, 2);
	assert_int_equal(exported_find_table(h, "public", "orders"), 1);
	assert_int_equal(exported_find_table(h, "other", "orders"), -1);

	assert_int_equal(orgs->way, EXPORTED_BY_SELF);
	assert_int_equal(orgs->tenant_column, 0);
	assert_int_equal(orgs->rows, 1);
	assert_true(orgs->row_security);
	assert_int_equal(orgs->columns[0].identity, 'a');
	assert_false(orgs->columns[0].nullable);
	assert_string_equal(orgs->columns[0].sequence, "public.orgs_id_seq");
	assert_string_equal(orgs->columns[0].base, "bigint");
	assert_string_equal(orgs->columns[1].base, "text");
	assert_int_equal(orgs->uniques[0].columns[0], 1);
	assert_true(orgs->uniques[0].nulls_equal);

	assert_int_equal(orders->kind, EXPORTED_MATERIALIZED_VIEW);
	assert_int_equal(orders->tenant_column, -1);
	assert_true(orders->columns[0].is_generated);
	assert_string_equal(orders->keys[0].name, "fk");
	assert_string_equal(orders->keys[0].references[0], "id");
	assert_string_equal(orders->softs[0].from.path[0], "a");
	assert_string_equal(orders->softs[0].to.column, "id");
	assert_string_equal(orders->softs[0].tests[0].value, "Post");
	exported_close(e);
	close(fd);
}

static void check_rows(struct exported *e)
{
	_cleanup(free) char *again = NULL;
	_cleanup(free) char *orders = rows_text(e, 1);
	_cleanup(free) char *orgs = rows_text(e, 0);

	again = rows_text(e, 1);
	assert_string_equal(orgs, "17|a@b\n");
	assert_string_equal(orders, "17|12345678901234.560\nNULL|5.10\n");
	assert_string_equal(again, orders);
}

static void test_rows_in_any_order(void **state)
{
	int fd = file_with(whole, strlen(whole));
	struct exported *e = must_open(fd, "x.json");

	check_rows(e);
	exported_close(e);
	close(fd);
}

static int packed(const char *text, size_t cut, const char *behind)
{
	static unsigned char out[1 << 20];
	z_stream z = {.next_in = (unsigned char *)text,
	              .avail_in = (unsigned)strlen(text),
	              .next_out = out,
	              .avail_out = sizeof(out)};
	int fd;

	assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY), Z_OK);
	assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
	fd = file_with(out, z.total_out - cut);
	assert_int_equal(write(fd, behind, strlen(behind)), strlen(behind));
	deflateEnd(&z);
	return fd;
}

static void test_packed(void **state)
{
	int fd = packed(whole, 0, "");
	struct exported *e = must_open(fd, "acme.json.gz");

	check_rows(e);
	exported_close(e);
	close(fd);
}

static void refuse_packed(const char *text, size_t cut, const char *behind, const char *part)
{
	int fd = packed(text, cut, behind);
	const struct exported_source source = source_of(fd, "acme.json.gz");
	struct exported *e = NULL;
	struct error err = {0};

	assert_int_equal(exported_open(&source, NULL, &e, &err), -EBADMSG);
	if (!strstr(err.message, part))
		print_message("%s\n", err.message);
	assert_non_null(strstr(err.message, part));
	close(fd);
}

static void test_packed_badly(void **state)
{
	refuse_packed(whole, 1, "", "ends too early");
	refuse_packed(whole, 9, "", "ends too early");
	refuse_packed(whole, 100, "", "cannot be decompressed");
	refuse_packed(whole, 0, "garbage", "something behind the end");
	refuse_packed("no export", 0, "", "does not begin as any export");
}

static void test_a_name_that_does_not_fit(void **state)
{
	int fd = file_with(whole, strlen(whole));
	struct exported *e = must_open(fd, "acme.csv.zip");

	assert_int_equal(exported_head(e)->remark_count, 1);
	assert_string_equal(exported_head(e)->remarks[0], "its name ends in .csv.zip, but it is json");
	exported_close(e);
	close(fd);
}

/* The same document as somebody's program has laid it out. */
static void test_other_layouts(void **state)
{
	_cleanup(str) struct str wide = {0};
	_cleanup(str) struct str dense = {0};
	bool in_string = false;

	for (const char *p = whole; *p; p++) {
		bool mark = strchr("{}[],:", *p) != NULL;

		in_string ^= *p == '"';
		if (in_string || *p != '\n')
			str_append_char(&dense, *p);
		if (!in_string && mark)
			str_append(&wide, "\n \t");
		str_append_char(&wide, *p);
		if (!in_string && mark)
			str_append(&wide, " \r\n");
	}
	for (int i = 0; i < 2; i++) {
		const struct str *s = i ? &wide : &dense;
		int fd = file_with(s->data, s->len);
		struct exported *e = must_open(fd, "x.json");

		check_rows(e);
		exported_close(e);
		close(fd);
	}
}

/* One table with one column of @type, and one row with @value in it. */
static char *document_of(const char *type, const char *value)
{
	return mem_printf(
	        HEAD "\"tables\":[\n" TABLE(
	                "t",
	                "{\"name\":\"c\",\"type\":\"%s\",\"nullable\":true}") ",\"rows\":[\n"
	                                                                      "{\"c\":%s}\n"
	                                                                      "],\"row_count\":1}\n],\"row_count\":1}\n",
	        type, value);
}

static void check_value(const char *type, const char *json, const char *text)
{
	_cleanup(free) char *document = document_of(type, json);
	_cleanup(free) char *expected = mem_printf("%s\n", text);
	_cleanup(free) char *found = NULL;
	int fd = file_with(document, strlen(document));
	struct exported *e = must_open(fd, "x.json");

	found = rows_text(e, 0);
	assert_string_equal(found, expected);
	exported_close(e);
	close(fd);
}

static void test_values(void **state)
{
	check_value("bigint", "9007199254740992", "9007199254740992");
	check_value("numeric", "-0.000000000000000000000000000001e5", "-0.000000000000000000000000000001e5");
	check_value("numeric", "123456789012345678901234567890.10", "123456789012345678901234567890.10");
	check_value("numeric", "\"NaN\"", "NaN");
	check_value("real", "1e+20", "1e+20");
	check_value("boolean", "true", "true");
	check_value("boolean", "null", "NULL");
	check_value("text", "\"\"", "");
	check_value("text", "\"a\\n\\u00e4\\ud83d\\ude00\\\\ \\/\"", "a\n\xc3\xa4\xf0\x9f\x98\x80\\ /");
	check_value("text", "\"null\"", "null");
}

static void test_values_of_json(void **state)
{
	check_value("json", "{ \"a\" : [1.50, \"\\u0041\\u0000\\ud800\"], \"a\":{}}",
	            "{ \"a\" : [1.50, \"\\u0041\\u0000\\ud800\"], \"a\":{}}");
	check_value("jsonb", "[]", "[]");
	check_value("jsonb", " \"x\" ", "\"x\"");
	check_value("jsonb", "1.10e5", "1.10e5");
	check_value("jsonb", "false", "false");
	check_value("jsonb", "null", "NULL");
}

/* A column that is NOT NULL has the null of JSON. */
static void test_null_of_json(void **state)
{
	const char *text = HEAD "\"tables\":[\n" TABLE(
	        "t",
	        "{\"name\":\"c\",\"type\":\"jsonb\",\"nullable\":false}") ",\"rows\":[\n"
	                                                                  "{\"c\":null}\n],\"row_count\":1}\n],\"row_count\":1}\n";
	_cleanup(free) char *found = NULL;
	int fd = file_with(text, strlen(text));
	struct exported *e = must_open(fd, "x.json");

	found = rows_text(e, 0);
	assert_string_equal(found, "null\n");
	exported_close(e);
	close(fd);
}

static void test_arrays(void **state)
{
	check_value("integer[]", "[1,null,-2]", "{1,NULL,-2}");
	check_value("integer[]", "[ [1,2] , [3,4] ]", "{{1,2},{3,4}}");
	check_value("integer[]", "[]", "{}");
	check_value("integer[]", "\"[0:1]={1,2}\"", "[0:1]={1,2}");
	check_value("text[]", "[\"a\\\"b\\\\c\",\"\",\"NULL\",\"{,}\"]",
	            "{\"a\\\"b\\\\c\",\"\",\"NULL\",\"{,}\"}");
	check_value("boolean[]", "[true,false]", "{true,false}");
	check_value("box[]", "[\"(1,1),(0,0)\",\"(2,2),(1,1)\"]", "{\"(1,1),(0,0)\";\"(2,2),(1,1)\"}");
	check_value("jsonb[]", "[ {\"a\": [1, {}]} , null,[1,2], \"x\",7]",
	            "{\"{\\\"a\\\": [1, {}]}\",NULL,\"[1,2]\",\"\\\"x\\\"\",\"7\"}");
	check_value("text[]", "null", "NULL");
}

static void test_composite_values(void **state)
{
	check_value("public.address", "{\"street\":\"x\",\"no\":[1]}", "json:{\"street\":\"x\",\"no\":[1]}");
	check_value("public.address[]", "[null, {\"street\":\"{\"}]", "json:[null, {\"street\":\"{\"}]");
	check_value("public.address[]", "[null]", "{NULL}");
	check_value("public.address", "[1]", "json:[1]");
}

/* Longer than several pieces, and so that pieces end anywhere in it. */
static void test_long_values(void **state)
{
	const char *const types[] = {"text", "jsonb", "text[]", "jsonb[]"};
	const char *const units[] = {"abc", "\\u00e4", "\xc3\xa4"};

	for (size_t i = 0; i < ARRAY_SIZE(types) * ARRAY_SIZE(units); i++) {
		const char *type = types[i % ARRAY_SIZE(types)], *unit = units[i / ARRAY_SIZE(types)];
		bool is_array = str_ends(type, "[]"), is_json = str_starts(type, "jsonb");
		_cleanup(str) struct str value = {0};
		_cleanup(free) char *document = NULL;
		_cleanup(free) char *found = NULL;
		size_t units_count = 600000 + i, shown = is_json ? strlen(unit) : i < 4 ? 3 : 2;
		struct exported *e;
		int fd;

		str_append(&value, is_array ? "[1,\"" : "\"");
		for (size_t k = 0; k < units_count; k++)
			str_append(&value, unit);
		str_append(&value, is_array ? "\"]" : "\"");
		document = document_of(type, str_text(&value));
		fd = file_with(document, strlen(document));
		e = must_open(fd, "x.json");
		found = rows_text(e, 0);
		/* In an array of json the string is quoted, and so are its backslashes. */
		if (is_array && is_json)
			shown += unit[0] == '\\';
		assert_int_equal(strlen(found), units_count * shown + 1 +
		                                        (is_array  ? is_json ? 2 + 3 + 1 + 6 : 2 + 1 + 1 + 2
		                                         : is_json ? 2
		                                                   : 0));
		exported_close(e);
		close(fd);
	}
}

/* Each place at which the file may have been cut. */
static void test_cut_anywhere(void **state)
{
	for (size_t len = 1; len < strlen(whole) - 1; len++) {
		int fd = file_with(whole, len);
		const struct exported_source source = source_of(fd, "x.json");
		struct exported *e = NULL;
		struct error err = {0};

		assert_int_equal(exported_open(&source, NULL, &e, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "line "));
		close(fd);
	}
}

static void test_no_export(void **state)
{
	must_refuse("", "it is empty");
	must_refuse("PK", "does not begin as any export");
	must_refuse("[]", "does not begin as any export");
	must_refuse("{}", "has no \"tables\"");
	must_refuse("{\"a\":1}", "has no \"tables\"");
	must_refuse("{\"format\":\"other\"", "\"format\" is not \"keepfs-export\"");
	must_refuse("{\"format\":\"keepfs-export\",\"version\":2,", "a newer keepfs reads it");
	must_refuse("{\"format\":\"keepfs-export\",\"version\":1,\"tables\":[", "\"readme\" is not there");
	must_refuse("{\"format\":\"keepfs-export\",\"format\":\"keepfs-export\"",
	            "\"format\" is there twice");
	must_refuse_file("-- SQL", 6, ENOTSUP, "psql -1 -f");
}

#define ONE_TABLE HEAD "\"tables\":[\n" TABLE("t", COLUMN("a", "text") "," COLUMN("b", "text")) ",\"rows\":["

static void test_rows_that_do_not_fit(void **state)
{
	must_refuse(ONE_TABLE "\n{\"a\":null}",
	            "line 9, column 11, table public.t, row 1: the row has no \"b\"");
	must_refuse(ONE_TABLE "\n{\"a\":null,\"b\":\"\"},\n{\"a\":1,\"c\":2}",
	            "row 2: the row has \"c\", which is no column");
	must_refuse(ONE_TABLE "{\"a\":null,\"a\":1}", "the row has \"a\" twice");
	must_refuse(ONE_TABLE "[1]", "a row has to be here");
	must_refuse(ONE_TABLE "{\"a\":\"\\u0000\"}", "has a NUL");
	must_refuse(ONE_TABLE "{\"a\":\"x\\ud800y\"}", "half of a character");
	must_refuse(ONE_TABLE "{\"a\":\"\\ud83d\\u0041\"}", "half of a character");
	must_refuse(ONE_TABLE "{\"a\":\"\\udc00\"}", "half of a character");
	must_refuse(ONE_TABLE "{\"a\":\"\xff\"}", "it is no JSON");
	must_refuse(ONE_TABLE "{\"a\":\"\xc0\x80\"}", "\"a\" is not UTF-8");
	must_refuse(ONE_TABLE "{\"a\":\"\xed\xa0\x80\"}", "\"a\" is not UTF-8");
	must_refuse(ONE_TABLE "{\"a\":[\"\xf4\x90\x80\x80\"]}", "\"a\" is not UTF-8");
	must_refuse(ONE_TABLE "{\"a\":\"\n\"}", "it is no JSON");
	must_refuse(ONE_TABLE "{\"a\":01}", "it is no JSON");
	must_refuse(ONE_TABLE "{\"a\":nul}", "it is no JSON");
	must_refuse(ONE_TABLE "],\"row_count\":1}", "the table has 0 rows, and \"row_count\" says 1");
	must_refuse(ONE_TABLE "]}", "the table has no \"row_count\"");
	must_refuse(ONE_TABLE "],\"rows\":[", "\"rows\" is there twice");
	must_refuse(ONE_TABLE "],\"row_count\":-1}", "not a number of rows");
	must_refuse(ONE_TABLE "],\"row_count\":\"0\"}", "not a number of rows");
	must_refuse(ONE_TABLE "],\"row_count\":0},\n" TABLE("t", "") ",\"rows\":[",
	            "public.t is there twice");
	must_refuse(ONE_TABLE "],\"row_count\":0}],\"row_count\":2}",
	            "0 rows together, and \"row_count\" says 2");
	must_refuse(ONE_TABLE "],\"row_count\":0}]}", "has no \"row_count\": it is not whole");
	must_refuse(ONE_TABLE "],\"row_count\":0}],\"row_count\":0}{}", "it is no JSON");
}

static void refuse_table(const char *members, const char *part)
{
	_cleanup(free) char *text = mem_printf(HEAD "\"tables\":[{%s,\"rows\":[", members);

	must_refuse(text, part);
}

#define NAMES "\"schema\":\"public\",\"table\":\"t\","

static void test_tables_that_make_no_sense(void **state)
{
	refuse_table("\"schema\":\"public\"", "\"table\" is not there");
	refuse_table("\"schema\":\"public\",\"schema\":\"x\"", "\"schema\" is there twice");
	refuse_table("\"schema\":1,\"table\":\"t\"", "\"schema\" is not there as a text");
	refuse_table("\"schema\":\"a\\u0000b\"", "line 7");
	refuse_table(NAMES "\"columns\":7", "\"columns\" is not there as a list");
	refuse_table(NAMES "\"columns\":[7]", "\"name\" is not there");
	refuse_table(NAMES "\"columns\":[" COLUMN("a", "text") "," COLUMN("a", "text") "]",
	             "two columns \"a\"");
	refuse_table(NAMES "\"columns\":[{\"name\":\"a\",\"type\":\"text\",\"identity\":\"x\"}]",
	             "\"identity\" is not");
	refuse_table(NAMES "\"columns\":[{\"name\":\"a\",\"type\":\"text\",\"delimiter\":\",\"}]",
	             "\"delimiter\" is not");
	refuse_table(NAMES "\"columns\":[{\"name\":\"a\",\"type\":\"text[]\",\"delimiter\":\"1\"}]",
	             "\"delimiter\" is not");
	refuse_table(NAMES "\"columns\":[],\"primary_key\":[\"x\"]",
	             "\"primary_key\" is not a list of columns");
	refuse_table(
	        NAMES
	        "\"columns\":[],\"primary_key\":[],\"foreign_keys\":[{\"schema\":\"a\",\"table\":\"b\",\"columns\":[\"a\"],\"references\":[]}]",
	        "\"references\" is not as long");
	refuse_table(NAMES "\"columns\":[],\"primary_key\":[],\"foreign_keys\":[],\"kind\":\"view\"",
	             "\"kind\" is not one");
	refuse_table(NAMES "\"columns\":[],\"tenant_column\":\"x\"", "\"tenant_column\" is not");
	refuse_table(NAMES "\"columns\":[],\"primary_key\":[],\"foreign_keys\":[],\"soft_references\":[{}]",
	             "\"column\" is not there");
	refuse_table(NAMES "\"columns\":[],\"primary_key\":[],\"foreign_keys\":[],\"row_security\":1",
	             "\"row_security\" is not true or false");
}

/* Members that a later version adds are ignored, wherever they are and whatever they hold. */
static void test_unknown_members(void **state)
{
	const char *text = HEAD "\"new\":{\"tables\":[[{}]],\"x\":[1,2]},\"tables\":[\n" TABLE(
	        "t",
	        "{\"name\":\"c\",\"type\":\"text\",\"new\":[1]}") ",\"new\":{\"rows\":[]},\"rows\":[\n{\"c\":\"x\"}\n],\"new\":[],\"row_count\":1,\"newer\":{}}],\"newer\":[],\"row_count\":1}\n";
	_cleanup(free) char *found = NULL;
	int fd = file_with(text, strlen(text));
	struct exported *e = must_open(fd, "x.json");

	found = rows_text(e, 0);
	assert_string_equal(found, "x\n");
	exported_close(e);
	close(fd);
}

static void test_deep_nesting(void **state)
{
	_cleanup(str) struct str deep = {0};
	_cleanup(free) char *document = NULL;

	for (int i = 0; i < 99999; i++)
		str_append(&deep, "[");
	for (int i = 0; i < 99999; i++)
		str_append(&deep, "]");
	check_value("jsonb", str_text(&deep), str_text(&deep));
	str_clear(&deep);
	for (int i = 0; i < 200000; i++)
		str_append(&deep, i % 2 ? "[" : "{\"a\":");
	document = document_of("jsonb", str_text(&deep));
	must_refuse(document, "nested more than 100000 levels");
	/* In what describes it as well. */
	free(document);
	document = mem_printf("{\"readme\":%s", str_text(&deep));
	must_refuse(document, "nested more than 100000 levels");
}

/* Rows of two tables come in one piece of the file, and are told apart. */
static void test_many_small_tables(void **state)
{
	_cleanup(str) struct str text = {0};
	struct exported *e;
	int fd;

	str_append(&text, HEAD "\"tables\":[");
	for (int i = 0; i < 3000; i++) {
		str_appendf(&text, "%s" TABLE("t%d", COLUMN("c", "integer")) ",\"rows\":[", i > 0 ? "," : "",
		            i);
		if (i % 3)
			str_appendf(&text, "{\"c\":%d}", i);
		str_appendf(&text, "],\"row_count\":%d}", i % 3 != 0);
	}
	str_append(&text, "],\"row_count\":2000}");
	fd = file_with(text.data, text.len);
	e = must_open(fd, "x.json");
	assert_int_equal(exported_head(e)->table_count, 3000);
	for (size_t i = 0; i < 3000; i += 7) {
		_cleanup(free) char *found = rows_text(e, i);
		_cleanup(free) char *expected = i % 3 ? mem_printf("%zu\n", i) : mem_printf("%s", "");

		assert_string_equal(found, expected);
	}
	exported_close(e);
	close(fd);
}

static void test_changed_meanwhile(void **state)
{
	_cleanup(free) char *text = mem_strdup(whole);
	int fd = file_with(whole, strlen(whole));
	struct exported *e = must_open(fd, "x.json");
	const struct exported_value *values;
	struct error err = {0};

	strstr(text, "\"total\":5.10")[1] = 'x';
	assert_int_equal(exported_table_begin(e, 1, &err), 0);
	assert_int_equal(pwrite(fd, text, strlen(text), 0), strlen(text));
	assert_int_equal(exported_row(e, &values, &err), -ESTALE);
	assert_non_null(strstr(err.message, "was changed while it was read"));
	assert_int_equal(exported_table_begin(e, 0, &err), -ESTALE);
	exported_close(e);
	close(fd);
}

static void test_cancelled(void **state)
{
	int fd = file_with(whole, strlen(whole));
	const struct exported_source source = source_of(fd, "x.json");
	struct exported *e = NULL;
	struct cancel cancel;
	struct error err = {0};

	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(exported_open(&source, &cancel, &e, &err), -ECANCELED);
	cancel_finish(&cancel);
	close(fd);
}

static void test_what_is_no_file(void **state)
{
	const struct exported_source absent = {.path = "/nonexistent/x.json", .fd = -1};
	const struct exported_source directory = {.path = "/tmp", .fd = -1};
	struct exported *e = NULL;
	struct error err = {0};

	assert_int_equal(exported_open(&absent, NULL, &e, &err), -ENOENT);
	assert_non_null(strstr(err.message, "/nonexistent/x.json"));
	assert_int_equal(exported_open(&directory, NULL, &e, &err), -EINVAL);
	assert_null(exported_close(NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_the_head),
	        cmocka_unit_test(test_rows_in_any_order),
	        cmocka_unit_test(test_packed),
	        cmocka_unit_test(test_packed_badly),
	        cmocka_unit_test(test_a_name_that_does_not_fit),
	        cmocka_unit_test(test_other_layouts),
	        cmocka_unit_test(test_values),
	        cmocka_unit_test(test_values_of_json),
	        cmocka_unit_test(test_null_of_json),
	        cmocka_unit_test(test_arrays),
	        cmocka_unit_test(test_composite_values),
	        cmocka_unit_test(test_long_values),
	        cmocka_unit_test(test_cut_anywhere),
	        cmocka_unit_test(test_no_export),
	        cmocka_unit_test(test_rows_that_do_not_fit),
	        cmocka_unit_test(test_tables_that_make_no_sense),
	        cmocka_unit_test(test_unknown_members),
	        cmocka_unit_test(test_deep_nesting),
	        cmocka_unit_test(test_many_small_tables),
	        cmocka_unit_test(test_changed_meanwhile),
	        cmocka_unit_test(test_cancelled),
	        cmocka_unit_test(test_what_is_no_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
