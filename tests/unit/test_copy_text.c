// SPDX-License-Identifier: Apache-2.0
/* COPY's text format: fields, lists of columns, and tables as CSV, whatever the pieces in which they come. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/copy_text.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static int append_csv(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

/* @rows in pieces of @piece bytes, each a copy of its own: reading beyond one is noticed. */
static int to_csv(const char *columns, const char *rows, size_t len, size_t piece, struct str *ret,
                  struct error *err)
{
	_cleanup(copy_csv) struct copy_csv *c = NULL;
	int r = copy_csv_new(columns, append_csv, ret, &c, err);

	for (size_t at = 0; at < len && r == 0; at += piece) {
		size_t n = len - at < piece ? len - at : piece;
		_cleanup(free) char *copy = mem_alloc(n);

		memcpy(copy, rows + at, n);
		r = copy_csv_feed(c, copy, n, err);
	}
	return r < 0 ? r : copy_csv_end(c, err);
}

static void expect_csv_bytes(const char *columns, const char *rows, size_t len, const char *expected,
                             size_t expected_len)
{
	for (size_t piece = 1; piece <= len + 1; piece++) {
		_cleanup(str) struct str csv = {0};
		struct error err = {0};

		if (to_csv(columns, rows, len, piece, &csv, &err) < 0)
			fail_msg("pieces of %zu: %s", piece, err.message);
		assert_int_equal(csv.len, expected_len);
		assert_memory_equal(csv.data, expected, expected_len);
	}
}

static void expect_csv(const char *columns, const char *rows, const char *expected)
{
	expect_csv_bytes(columns, rows, strlen(rows), expected, strlen(expected));
}

static void expect_refused(const char *columns, const char *rows, const char *message)
{
	for (size_t piece = 1; piece <= strlen(rows) + 1; piece++) {
		_cleanup(str) struct str csv = {0};
		struct error err = {0};

		assert_int_equal(to_csv(columns, rows, strlen(rows), piece, &csv, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_string_equal(err.message, message);
	}
}

static void test_plain_rows(void **state)
{
	expect_csv("(id, name)", "", "id,name\n");
	expect_csv("(id, name)", "1\tone\n2\ttwo and some more words of it\n",
	           "id,name\n1,one\n2,two and some more words of it\n");
	expect_csv("(a)", "x\n", "a\nx\n");
	expect_csv("(a)", " blanks \n", "a\n blanks \n");
}

static void test_null_and_empty(void **state)
{
	expect_csv("(a, b, c)", "\\N\t\tx\n", "a,b,c\n,\"\",x\n");
	expect_csv("(a, b)", "\t\n\\N\t\\N\n", "a,b\n\"\",\"\"\n,\n");
	expect_csv("(a)", "\n\\N\n", "a\n\"\"\n\n");
	/* Only a field that is exactly that is NULL. */
	expect_csv("(a, b)", "\\Nx\tx\\N\n", "a,b\nNx,xN\n");
	expect_csv("(a, b)", "\\\\N\t\\N\\N\n", "a,b\n\\N,NN\n");
	expect_csv("(a)", "\\N,\n", "a\n\"N,\"\n");
}

static void test_quoted_values(void **state)
{
	expect_csv("(a, b)", "x,y\tz\n", "a,b\n\"x,y\",z\n");
	expect_csv("(a, b)", "say \"x\"\t\"\n", "a,b\n\"say \"\"x\"\"\",\"\"\"\"\n");
	expect_csv("(a, b)", "two\\nlines\tcr\\rlf\n", "a,b\n\"two\nlines\",\"cr\rlf\"\n");
	expect_csv("(a)", "a\rb\n", "a\n\"a\rb\"\n");
	expect_csv("(a, b)", "tab\\tb\\b\\f\\v\t\\\\\n", "a,b\ntab\tb\b\f\v,\\\n");
	expect_csv("(a, b)", ",\t,,\"\"\n", "a,b\n\",\",\",,\"\"\"\"\"\n");
}

static void test_escapes(void **state)
{
	expect_csv("(a, b)", "\\101\\1013\t\\7x\\0617\n", "a,b\nAA3,\ax17\n");
	expect_csv("(a, b)", "\\x41\\x4g\t\\x\\xg\\x4142\n", "a,b\nA\x04g,xxgA42\n");
	expect_csv("(a, b)", "\\q\\,\t\\\t\n", "a,b\n\"q,\",\t\n");
}

/* "\400" is a byte 0, as everything but the lowest eight bits is dropped. */
static void test_escape_of_nul(void **state)
{
	static const char expected[] = "a\nx\0y\n";

	expect_csv_bytes("(a)", "x\\400y\n", 7, expected, sizeof(expected) - 1);
	expect_csv_bytes("(a)", "x\\x00y\n", 7, expected, sizeof(expected) - 1);
}

static void test_end_mark_is_quoted(void **state)
{
	expect_csv("(a)", "\\\\.\nx\\\\.\n\\\\.x\n", "a\n\"\\.\"\nx\\.\n\\.x\n");
	/* It is not alone on its line. */
	expect_csv("(a, b)", "\\\\.\t\\\\.\n", "a,b\n\\.,\\.\n");
	expect_csv("(\"\\.\")", "", "\"\\.\"\n");
}

static void test_names_in_the_first_line(void **state)
{
	expect_csv("(\"a, \"\"b\"\"(\", plain, \" \")", "1\t2\t3\n", "\"a, \"\"b\"\"(\",plain, \n1,2,3\n");
	expect_csv("(\"co\nlumn\")", "1\n", "\"co\nlumn\"\n1\n");
	expect_csv("(\"Größe 漢字\")", "漢\n", "Größe 漢字\n漢\n");
}

static void test_no_columns(void **state)
{
	expect_csv("", "\n\n", "\n\n\n");
	expect_csv("()", "", "\n");
	expect_refused("()", "x\n", "row 1 is damaged: it has 1 fields, and the table has 0 columns");
}

static void test_damaged_rows(void **state)
{
	expect_refused("(a, b)", "1\t2\n1\n",
	               "row 2 is damaged: it has 1 fields, and the table has 2 columns");
	expect_refused("(a, b)", "1\t2\t3\n",
	               "row 1 is damaged: it has 3 fields, and the table has 2 columns");
	expect_refused("(a, b)", "\n", "row 1 is damaged: it has 1 fields, and the table has 2 columns");
	expect_refused("(a)", "1\n2", "row 2 is damaged: the text ends within it");
	expect_refused("(a)", "\\", "row 1 is damaged: the text ends within it");
	expect_refused("(a)", "\\N", "row 1 is damaged: the text ends within it");
	expect_refused("(a, b)", "1\t", "row 1 is damaged: the text ends within it");
	expect_refused("(a)", "1\n\\.\n", "row 2 is damaged: it has \"\\.\", which ends rows and is in none");
	expect_refused("(a)", "1\\\n2\n", "row 1 is damaged: a backslash is in front of the end of a line");
}

static int refuse_csv(void *arg, const void *data, size_t len, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "full");
}

static void test_taker_that_fails(void **state)
{
	_cleanup(copy_csv) struct copy_csv *c = NULL;
	struct error err = {0};

	assert_int_equal(copy_csv_new("(a)", refuse_csv, NULL, &c, &err), 0);
	assert_int_equal(copy_csv_feed(c, "1\n", 2, &err), 0);
	assert_int_equal(copy_csv_end(c, &err), -ENOSPC);
	assert_string_equal(err.message, "full");
}

/* One value of @len bytes, with @odd somewhere in it, and a row behind it. */
static void check_long_value(size_t len, const char *odd, size_t odd_at)
{
	static const size_t pieces[] = {1, 7, 4096, 65536, 1 << 20};
	_cleanup(str) struct str row = {0}, expected = {0};
	bool quoted = len > COPY_CSV_FIELD_MAX || *odd;

	str_append(&row, "1\t");
	str_append(&expected, quoted ? "a,b\n1,\"" : "a,b\n1,");
	for (size_t i = 0; i + strlen(odd) < len; i++) {
		if (i == odd_at) {
			str_append(&row, odd);
			str_append(&expected, strcmp(odd, "\"") == 0 ? "\"\"" : odd);
		}
		str_append_char(&row, (char)('a' + i % 26));
		str_append_char(&expected, (char)('a' + i % 26));
	}
	str_append(&row, "\n2\tx\n");
	str_append(&expected, quoted ? "\"\n2,x\n" : "\n2,x\n");
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(str) struct str csv = {0};
		struct error err = {0};

		assert_int_equal(to_csv("(a, b)", row.data, row.len, pieces[i], &csv, &err), 0);
		assert_int_equal(csv.len, expected.len);
		assert_memory_equal(csv.data, expected.data, csv.len);
	}
}

static void test_long_values(void **state)
{
	check_long_value(COPY_CSV_FIELD_MAX - 1, "", 0);
	check_long_value(COPY_CSV_FIELD_MAX, "", 0);
	check_long_value(COPY_CSV_FIELD_MAX + 1, "", 0);
	check_long_value(COPY_CSV_FIELD_MAX, "\"", 0);
	check_long_value(COPY_CSV_FIELD_MAX, ",", COPY_CSV_FIELD_MAX - 2);
	check_long_value(1000000, "", 0);
	check_long_value(1000000, "\"", 500000);
	check_long_value(1000000, ",", 900000);
}

/* What comes out, made in the simplest way: for rows that were made of fields at random. */
static void append_expected(struct str *csv, const struct copy_field *field, bool only)
{
	_cleanup(free) char *value = mem_alloc(field->len + 1);
	size_t len = field->is_null ? 0 : copy_field_decode(field, value);
	bool quoted = !field->is_null && (len == 0 || (only && len == 2 && memcmp(value, "\\.", 2) == 0));

	for (size_t i = 0; i < len; i++)
		quoted |= value[i] && strchr(",\"\r\n", value[i]);
	str_append(csv, quoted ? "\"" : "");
	for (size_t i = 0; i < len; i++) {
		str_append(csv, value[i] == '"' ? "\"" : "");
		str_append_char(csv, value[i]);
	}
	str_append(csv, quoted ? "\"" : "");
}

static void expect_random_rows(const char *columns, const struct str *rows)
{
	_cleanup(copy_columns) struct copy_columns names = {0};
	_cleanup(str) struct str expected = {0};
	const char *row = str_text(rows), *end;

	assert_int_equal(copy_columns_parse(columns, &names, NULL), 0);
	for (size_t i = 0; i < names.count; i++)
		str_appendf(&expected, i + 1 < names.count ? "%s," : "%s\n", names.names[i]);
	for (; (end = strchr(row, '\n')); row = end + 1) {
		const char *at = row;
		struct copy_field field;
		size_t fields = 0;

		while (copy_field_next(&at, end, &field)) {
			str_append(&expected, fields++ > 0 ? "," : "");
			append_expected(&expected, &field, names.count == 1);
		}
		assert_int_equal(fields, names.count);
		str_append_char(&expected, '\n');
	}
	expect_csv_bytes(columns, rows->data, rows->len, expected.data, expected.len);
}

static unsigned next_random(unsigned *seed)
{
	*seed = *seed * 1103515245 + 12345;
	return *seed >> 16;
}

static void append_random_row(struct str *rows, unsigned *seed, size_t fields)
{
	static const char *const parts[] = {
	        "a",  "word", "0123456789abcdef", ",", "\"", "\\n", "\\t", "\\\\", "\\N", "\\x4", "\\12",
	        "\r", "\\\t"};

	for (size_t i = 0; i < fields; i++) {
		for (unsigned n = next_random(seed) % 5; n > 0; n--)
			str_append(rows, parts[next_random(seed) % ARRAY_SIZE(parts)]);
		str_append_char(rows, i + 1 < fields ? '\t' : '\n');
	}
}

static void test_random_rows(void **state)
{
	unsigned seed = 1;

	for (int i = 0; i < 300; i++) {
		_cleanup(str) struct str rows = {0};
		bool single = i % 3 == 0;

		for (int row = 0; row < 4; row++)
			append_random_row(&rows, &seed, single ? 1 : 3);
		expect_random_rows(single ? "(a)" : "(a, b, c)", &rows);
	}
}

static void expect_names(const char *text, size_t count, const char *first, const char *last)
{
	_cleanup(copy_columns) struct copy_columns c = {0};
	struct error err = {0};

	assert_int_equal(copy_columns_parse(text, &c, &err), 0);
	assert_int_equal(c.count, count);
	if (count > 0) {
		assert_string_equal(c.names[0], first);
		assert_string_equal(c.names[count - 1], last);
	}
}

static void test_column_lists(void **state)
{
	expect_names("", 0, NULL, NULL);
	expect_names("()", 0, NULL, NULL);
	expect_names("(id)", 1, "id", "id");
	expect_names(" ( Id,b , \"C\" ) ", 3, "id", "C");
	expect_names("(\"a\"\"\", \"b)\", \",\")", 3, "a\"", ",");
	expect_names("(\"\"\"\", \"x y\")", 2, "\"", "x y");
	expect_names("(größe, \"ä漢\")", 2, "größe", "ä漢");
}

static void test_no_column_lists(void **state)
{
	static const char *const texts[] = {"id",     "(id",       "(id,)", "(id,",     "(,id)", "(id) x",
	                                    "(id b)", "(id, 'b')", "(",     "(a, (b))", ")",     "(a;b)"};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup(copy_columns) struct copy_columns c = {0};
		struct copy_csv *csv = NULL;
		struct error err = {0};

		assert_int_equal(copy_columns_parse(texts[i], &c, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		assert_true(str_starts(err.message, "this is no list of columns: "));
		assert_int_equal(copy_csv_new(texts[i], append_csv, NULL, &csv, NULL), -EBADMSG);
		assert_null(csv);
	}
}

static void expect_field(const char **at, const char *end, const char *text, const char *value)
{
	struct copy_field field;
	char decoded[64];

	assert_true(copy_field_next(at, end, &field));
	assert_int_equal(field.len, strlen(text));
	assert_memory_equal(field.text, text, field.len);
	assert_int_equal(field.is_null, value == NULL);
	if (!value)
		return;
	assert_int_equal(copy_field_decode(&field, decoded), strlen(value));
	assert_memory_equal(decoded, value, strlen(value));
}

static void test_fields_of_a_row(void **state)
{
	static const char row[] = "1\t\\N\t\ta\\tb\\\\\t\\\\N\t\\\t\tlast\\";
	const char *at = row, *end = row + sizeof(row) - 1;
	struct copy_field field;

	expect_field(&at, end, "1", "1");
	expect_field(&at, end, "\\N", NULL);
	expect_field(&at, end, "", "");
	expect_field(&at, end, "a\\tb\\\\", "a\tb\\");
	expect_field(&at, end, "\\\\N", "\\N");
	expect_field(&at, end, "\\\t", "\t");
	expect_field(&at, end, "last\\", "last");
	assert_false(copy_field_next(&at, end, &field));
	at = end;
	expect_field(&at, end, "", "");
	assert_null(at);
}

static void test_decoding_in_place(void **state)
{
	char text[] = "\\x41b\\\\c\\101\\nd";
	struct copy_field field = {.text = text, .len = strlen(text)};

	assert_int_equal(copy_field_decode(&field, text), 7);
	assert_memory_equal(text, "Ab\\cA\nd", 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_plain_rows),
	        cmocka_unit_test(test_null_and_empty),
	        cmocka_unit_test(test_quoted_values),
	        cmocka_unit_test(test_escapes),
	        cmocka_unit_test(test_escape_of_nul),
	        cmocka_unit_test(test_end_mark_is_quoted),
	        cmocka_unit_test(test_names_in_the_first_line),
	        cmocka_unit_test(test_no_columns),
	        cmocka_unit_test(test_damaged_rows),
	        cmocka_unit_test(test_taker_that_fails),
	        cmocka_unit_test(test_long_values),
	        cmocka_unit_test(test_random_rows),
	        cmocka_unit_test(test_column_lists),
	        cmocka_unit_test(test_no_column_lists),
	        cmocka_unit_test(test_fields_of_a_row),
	        cmocka_unit_test(test_decoding_in_place),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
