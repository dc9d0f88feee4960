// SPDX-License-Identifier: Apache-2.0
/* What was counted of a dump: read back as it was written, whatever tables are called, and refused when it is something else. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/tables_csv.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define HEADING "schema,table,rows,bytes,hash\n"

static int show(void *arg, const struct tables_csv_line *line, struct error *err)
{
	str_appendf(arg, "[%s|%s|%llu|%llu|%llx%s]", line->schema, line->table,
	            (unsigned long long)line->rows.count, (unsigned long long)line->rows.bytes,
	            (unsigned long long)line->rows.hash, line->has_hash ? "" : " none");
	return 0;
}

static int read_csv(const char *text, size_t len, size_t piece, struct str *shown, struct error *err)
{
	_cleanup(tables_csv) struct tables_csv *t = tables_csv_new(show, shown);
	int r = 0;

	for (size_t at = 0; r == 0 && at < len; at += piece)
		r = tables_csv_feed(t, text + at, len - at < piece ? len - at : piece, err);
	return r < 0 ? r : tables_csv_end(t, err);
}

static void lines_in_pieces_of_any_size(void **state)
{
	static const char text[] = HEADING "public,orders,3,17,00000000000000ff\n"
	                                   "\"a,b\",\"say \"\"hi\"\"\nthere\",0,0,0000000000000000\n"
	                                   "pg_catalog,pg_largeobject,2,100,\n";
	static const size_t pieces[] = {1, 2, 5, 1000};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(str) struct str shown = {0};
		struct error err = {0};

		assert_int_equal(read_csv(text, sizeof(text) - 1, pieces[i], &shown, &err), 0);
		assert_string_equal(str_text(&shown), "[public|orders|3|17|ff][a,b|say \"hi\"\nthere|0|0|0]"
		                                      "[pg_catalog|pg_largeobject|2|100|0 none]");
	}
}

static void what_was_written_is_read(void **state)
{
	static const char *const names[] = {"plain", "a,b", "\"", "\"\"", "a\nb", "", " ", "ä"};
	_cleanup(str) struct str text = {0}, shown = {0}, expected = {0};
	struct error err = {0};

	str_append(&text, HEADING);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		str_append_csv(&text, names[i]);
		str_append_char(&text, ',');
		str_append_csv(&text, names[i]);
		str_append(&text, ",1,2,0000000000000003\n");
		str_appendf(&expected, "[%s|%s|1|2|3]", names[i], names[i]);
	}
	assert_int_equal(read_csv(text.data, text.len, 3, &shown, &err), 0);
	assert_string_equal(str_text(&shown), str_text(&expected));
}

static void what_is_none_is_refused_with_its_line(void **state)
{
	static const struct {
		const char *text, *said;
	} rows[] = {
	        {"", "line 1 of the counts of tables: it is missing"},
	        {"schema,table,rows,bytes\n", "line 1 of the counts of tables: it must have five fields"},
	        {"schema,table,rows,bytes,sum\n", "it must be schema,table,rows,bytes,hash"},
	        {HEADING "a,b,1,2\n", "line 2 of the counts of tables: it must have five fields"},
	        {HEADING "a,b,1,2,,\n", "more than five fields"},
	        {HEADING "a,b,one,2,\n", "must be numbers"},
	        {HEADING "a,b,-1,2,\n", "must be numbers"},
	        {HEADING "a,b, 1,2,\n", "must be numbers"},
	        {HEADING "a,b,1,,\n", "must be numbers"},
	        {HEADING "a,b,99999999999999999999,2,\n", "must be numbers"},
	        {HEADING "a,b,1,2,ff\n", "16 hexadecimal digits"},
	        {HEADING "a,b,1,2,zzzzzzzzzzzzzzzz\n", "16 hexadecimal digits"},
	        {HEADING "a,b,1,2", "the file ends within it"},
	        {HEADING "\"a,b,1,2,\n", "the file ends within it"},
	        {HEADING "a\"b,c,1,2,\n", "its quotes are wrong"},
	        {HEADING "\"a\"b,c,1,2,\n", "its quotes are wrong"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup(str) struct str shown = {0};
		struct error err = {0};

		assert_int_equal(read_csv(rows[i].text, strlen(rows[i].text), 7, &shown, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		if (!strstr(err.message, rows[i].said))
			fail_msg("%s: %s", rows[i].text, err.message);
	}
}

static void zero_bytes_and_endless_lines(void **state)
{
	_cleanup(str) struct str text = {0}, shown = {0};
	struct error err = {0};

	assert_int_equal(read_csv("sch\0ma", 6, 6, &shown, &err), -EBADMSG);
	str_append(&text, HEADING "\"");
	for (int i = 0; i < 40000; i++)
		str_append(&text, "a name that never ends, a name that");
	assert_int_equal(read_csv(text.data, text.len, 4096, &shown, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "too long"));
}

static int refuse_line(void *arg, const struct tables_csv_line *line, struct error *err)
{
	return error_set(err, ERROR_NO_SPACE, ENOSPC, "the disk is full");
}

static void who_takes_the_lines_may_fail(void **state)
{
	static const char text[] = HEADING "a,b,1,2,\n";
	_cleanup(tables_csv) struct tables_csv *t = tables_csv_new(refuse_line, NULL);
	struct error err = {0};

	assert_int_equal(tables_csv_feed(t, text, sizeof(text) - 1, &err), -ENOSPC);
	assert_string_equal(err.message, "the disk is full");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(lines_in_pieces_of_any_size),
	        cmocka_unit_test(what_was_written_is_read),
	        cmocka_unit_test(what_is_none_is_refused_with_its_line),
	        cmocka_unit_test(zero_bytes_and_endless_lines),
	        cmocka_unit_test(who_takes_the_lines_may_fail),
	};

	return cmocka_run_group_tests_name("tables_csv", tests, NULL, NULL);
}
