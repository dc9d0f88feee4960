// SPDX-License-Identifier: Apache-2.0
/* Rows of COPY's text format as values: what each is, what is redacted of it, and what is refused; as CSV, and as a row again. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/copy_cells.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const unsigned char test_key[COPY_JSON_KEY_BYTES] = "0123456789abcdef0123456789abcdef";

/* What is to be of each row, in one go: as CSV, and as a row again. The row is a copy of its own length: reading beyond it is noticed by sanitizers. */
static int convert(const struct copy_json_column *columns, size_t count, const char *row, struct str *csv,
                   struct str *again, struct error *err)
{
	_cleanup(copy_cells) struct copy_cells *c = NULL;
	size_t len = strlen(row);
	_cleanup(free) char *copy = mem_alloc(len + 1);
	const struct copy_cell *cells;
	int r = copy_cells_new(columns, count, test_key, &c, err);

	if (r == 0) {
		memcpy(copy, row, len);
		r = copy_cells_row(c, copy, len, &cells, err);
	}
	if (r < 0)
		return r;
	copy_cells_append_csv(cells, copy_cells_count(c), csv);
	copy_cells_append_copy(cells, copy_cells_count(c), again);
	return 0;
}

static void expect_cells(const struct copy_json_column *columns, size_t count, const char *row,
                         const char *csv, const char *copy)
{
	_cleanup(str) struct str out = {0}, again = {0};
	struct error err = {0};

	if (convert(columns, count, row, &out, &again, &err) < 0)
		fail_msg("%s: %s", row, err.message);
	assert_string_equal(str_text(&out), csv);
	assert_string_equal(str_text(&again), copy);
}

static void expect_cells_refused(const struct copy_json_column *columns, size_t count, const char *row,
                                 const char *message)
{
	_cleanup(str) struct str out = {0}, again = {0};
	struct error err = {0};

	if (convert(columns, count, row, &out, &again, &err) != -EBADMSG)
		fail_msg("%s was taken: %s", row, str_text(&out));
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_string_equal(err.message, message);
}

/* A value of text, alone in its row, and between others at all distances from the end of the row. */
static void expect_text(const char *value, const char *csv)
{
	const struct copy_json_column columns[] = {{.name = "a"}, {.name = "v"}, {.name = "z"}};
	_cleanup(free) char *alone = mem_printf("%s\n", csv), *same = mem_printf("%s\n", value);

	expect_cells(columns + 1, 1, value, alone, same);
	for (int n = 0; n < 18; n++) {
		_cleanup(free) char *row = mem_printf("%.*s\t%s\tx", n, "aaaaaaaaaaaaaaaaaa", value);
		_cleanup(free) char *line =
		        mem_printf("%.*s,%s,x\n", n > 0 ? n : 2, n > 0 ? "aaaaaaaaaaaaaaaaaa" : "\"\"", csv);
		_cleanup(free) char *again = mem_printf("%s\n", row);

		expect_cells(columns, 3, row, line, again);
	}
}

static void test_texts(void **state)
{
	expect_text("", "\"\"");
	expect_text("\\N", "");
	expect_text("plain", "plain");
	expect_text("exactly sixteen.", "exactly sixteen.");
	expect_text("some more than sixteen bytes of plain text",
	            "some more than sixteen bytes of plain text");
	expect_text("a, b", "\"a, b\"");
	expect_text("say \"x\"", "\"say \"\"x\"\"\"");
	expect_text("\"", "\"\"\"\"");
	expect_text("a\\nb\\rc", "\"a\nb\rc\"");
	expect_text("\\b\\f\\t\\v", "\b\f\t\v");
	expect_text("back\\\\slash\\\\", "back\\slash\\");
	expect_text("\\\\N", "\\N");
	expect_text("\x01\x1f\x7f", "\x01\x1f\x7f");
	expect_text("äöü 漢字 🐘, and more", "\"äöü 漢字 🐘, and more\"");
	expect_text("9223372036854775807", "9223372036854775807");
	expect_text("0044-03-15 BC", "0044-03-15 BC");
	expect_text("{1,NULL,\"NULL\"}", "\"{1,NULL,\"\"NULL\"\"}\"");
}

static void test_end_of_copy(void **state)
{
	const struct copy_json_column columns[] = {{.name = "a"}, {.name = "b"}};

	expect_cells(columns, 1, "\\\\.", "\"\\.\"\n", "\\\\.\n");
	expect_cells(columns, 2, "\\\\.\t\\\\.", "\\.,\\.\n", "\\\\.\t\\\\.\n");
}

static void test_no_columns(void **state)
{
	expect_cells(NULL, 0, "", "\n", "\n");
	expect_cells_refused(NULL, 0, "x", "a row has 1 fields, and 0 columns were asked for");
}

static void test_redaction(void **state)
{
	const struct copy_json_column columns[] = {
	        {.name = "kept"},
	        {.name = "omitted", .how = COPY_JSON_OMIT},
	        {.name = "nulled", .how = COPY_JSON_NULL},
	        {.name = "masked", .how = COPY_JSON_MASK},
	        {.name = "hashed", .how = COPY_JSON_HASH},
	};
	_cleanup(copy_json) struct copy_json *json = NULL;
	_cleanup(str) struct str object = {0};
	struct error err = {0};
	_cleanup(free) char *csv = NULL, *copy = NULL;
	char hash[64];

	/* The hash is that of JSON. */
	assert_int_equal(copy_json_new(columns, 5, test_key, &json, &err), 0);
	assert_int_equal(copy_json_row(json, "1\ts\ts\ts\ts\\te", strlen("1\ts\ts\ts\ts\\te"), &object, &err),
	                 0);
	assert_int_equal(sscanf(strstr(object.data, "hash:"), "%37s", hash), 1);
	csv = mem_printf("1,,***,%s\n", hash);
	copy = mem_printf("1\t\\N\t***\t%s\n", hash);
	expect_cells(columns, 5, "1\ts\ts\ts\ts\\te", csv, copy);
	expect_cells(columns, 5, "1\t\\N\t\\N\t\\N\t\\N", "1,,,\n", "1\t\\N\t\\N\t\\N\n");
	expect_cells_refused(columns, 5, "1\ts\ts\ts", "a row has 4 fields, and 5 columns were asked for");
}

static void test_paths(void **state)
{
	char *token[] = {"token"}, *deep[] = {"a", "*"};
	const struct copy_json_path paths[] = {{token, 1, COPY_JSON_OMIT}, {deep, 2, COPY_JSON_MASK}};
	const struct copy_json_column columns[] = {
	        {.name = "j", .kind = COPY_JSON_JSON, .paths = paths, .path_count = 2},
	        {.name = "l",
	         .kind = COPY_JSON_JSON,
	         .is_array = true,
	         .delimiter = ',',
	         .paths = paths,
	         .path_count = 2},
	};

	expect_cells(columns, 1, "{\"token\": \"s\", \"n\": 12345678901234567890}",
	             "\"{\"\"n\"\":12345678901234567890}\"\n", "{\"n\":12345678901234567890}\n");
	expect_cells(
	        columns, 2,
	        "{\"a\": [\"s\", 1], \"t\": \"x\\\\\\\\y\"}\t{\"{\\\\\"token\\\\\":\\\\\"s\\\\\"}\",NULL,\"{\\\\\"a\\\\\":{\\\\\"b\\\\\":1}}\"}",
	        "\"{\"\"a\"\":[\"\"***\"\",\"\"***\"\"],\"\"t\"\":\"\"x\\\\y\"\"}\",\"{\"\"{}\"\",NULL,\"\"{\\\"\"a\\\"\":{\\\"\"b\\\"\":\\\"\"***\\\"\"}}\"\"}\"\n",
	        "{\"a\":[\"***\",\"***\"],\"t\":\"x\\\\\\\\y\"}\t{\"{}\",NULL,\"{\\\\\"a\\\\\":{\\\\\"b\\\\\":\\\\\"***\\\\\"}}\"}\n");
	expect_cells(columns, 2, "null\t{}", "null,{}\n", "null\t{}\n");
	expect_cells(columns, 2, "\\N\t{{1,2},{3,4}}", ",\"{{\"\"1\"\",\"\"2\"\"},{\"\"3\"\",\"\"4\"\"}}\"\n",
	             "\\N\t{{\"1\",\"2\"},{\"3\",\"4\"}}\n");
	expect_cells_refused(columns, 1, "{\"token\":", "the column \"j\" has a value that is no JSON");
	expect_cells_refused(columns, 2, "1\t{1", "the column \"l\" has a value that is no array");
	expect_cells_refused(
	        columns, 2, "1\t[0:0]={1}",
	        "the column \"l\" has an array with bounds of its own, which is text here: nothing within it can be redacted");
}

static void test_bad_rows(void **state)
{
	const struct copy_json_column columns[] = {{.name = "a"}, {.name = "b"}};
	static const char escape[] =
	        "the column \"b\" has an escape that no server writes: the rows are damaged";

	expect_cells_refused(columns, 2, "1", "a row has 1 fields, and 2 columns were asked for");
	expect_cells_refused(columns, 2, "", "a row has 1 fields, and 2 columns were asked for");
	expect_cells_refused(columns, 2, "1\t2\t3", "a row has 3 fields, and 2 columns were asked for");
	expect_cells_refused(columns, 2, "1\t\\q", escape);
	expect_cells_refused(columns, 2, "1\t\\", escape);
	expect_cells_refused(columns, 2, "1\tx\\N", escape);
	expect_cells_refused(
	        columns, 2, "1\t\xff",
	        "the column \"b\" has a value that is not UTF-8: correct it in the database, or have the column omitted");
	expect_cells_refused(
	        columns, 2, "1\ta long text that is more than sixteen bytes \xc3",
	        "the column \"b\" has a value that is not UTF-8: correct it in the database, or have the column omitted");
}

static void test_columns_that_cannot_be(void **state)
{
	char *token[] = {"token"};
	const struct copy_json_path path = {token, 1, COPY_JSON_OMIT};
	const struct copy_json_column text = {.name = "t", .paths = &path, .path_count = 1};
	const struct copy_json_column hash = {.name = "h", .how = COPY_JSON_HASH};
	struct copy_cells *c = NULL;
	struct error err = {0};

	assert_int_equal(copy_cells_new(&text, 1, test_key, &c, &err), -EINVAL);
	assert_int_equal(copy_cells_new(&hash, 1, NULL, &c, &err), -EINVAL);
	assert_null(c);
}

/* Memory is used again: a long row, then short ones. */
static void test_many_rows(void **state)
{
	const struct copy_json_column columns[] = {{.name = "a"}, {.name = "b", .how = COPY_JSON_MASK}};
	_cleanup(copy_cells) struct copy_cells *c = NULL;
	struct error err = {0};
	const struct copy_cell *cells;

	assert_int_equal(copy_cells_new(columns, 2, NULL, &c, &err), 0);
	for (size_t len = 100000; len > 0; len /= 7) {
		_cleanup(str) struct str row = {0};

		for (size_t i = 0; i < len; i++)
			str_append_char(&row, (char)('a' + i % 26));
		str_append(&row, "\tsecret");
		assert_int_equal(copy_cells_row(c, row.data, row.len, &cells, &err), 0);
		assert_int_equal(cells[0].len, len);
		assert_memory_equal(cells[0].text, row.data, len);
		assert_string_equal(cells[1].text, "***");
		assert_int_equal(cells[1].len, 3);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_texts),     cmocka_unit_test(test_no_columns),
	        cmocka_unit_test(test_redaction), cmocka_unit_test(test_paths),
	        cmocka_unit_test(test_bad_rows),  cmocka_unit_test(test_columns_that_cannot_be),
	        cmocka_unit_test(test_many_rows), cmocka_unit_test(test_end_of_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
