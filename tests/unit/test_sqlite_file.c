// SPDX-License-Identifier: Apache-2.0
/* Database files that are made for others: what is in them, that they have no name and a limit, and what is said when something does not fit. */
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/sqlite.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

static const uint32_t first[] = {0}, second[] = {1};
static const char *const parent[] = {"id"};
static const struct sqlite_file_column columns[] = {
        {"id", SQLITE_FILE_INTEGER, true}, {"the \"parent\"", SQLITE_FILE_INTEGER, false},
        {"x", SQLITE_FILE_REAL, false},    {"t", SQLITE_FILE_TEXT, false},
        {"b", SQLITE_FILE_BLOB, false},
};
static const struct sqlite_file_key key = {
        .columns = {second, 1}, .table = "a \"table\"", .references = parent};
static const struct sqlite_file_columns unique = {second, 1};
static const struct sqlite_file_table table = {
        .name = "a \"table\"",
        .columns = columns,
        .column_count = 5,
        .primary_key = {first, 1},
        .uniques = &unique,
        .unique_count = 1,
        .keys = &key,
        .key_count = 1,
};

static char directory[64];

static int make_directory(void **state)
{
	strcpy(directory, "/tmp/keepfs-test-sqlite-XXXXXX");
	return mkdtemp(directory) ? 0 : -1;
}

static int remove_directory(void **state)
{
	return rmdir(directory);
}

static struct sqlite_file *begin(uint64_t max_bytes)
{
	const struct sqlite_file_options options = {
	        .directory = directory, .max_bytes = max_bytes, .limit = "[export] space"};
	struct sqlite_file *f = NULL;
	struct error err = {0};

	if (sqlite_file_new(&options, &f, &err) < 0)
		fail_msg("%s", err.message);
	return f;
}

static struct sqlite_file_value text(const char *t, size_t len)
{
	return (struct sqlite_file_value){.type = SQLITE_FILE_TEXT, .data = t, .len = len};
}

static int put_row(struct sqlite_file *f, int64_t id, const char *t, size_t len, struct error *err)
{
	const struct sqlite_file_value values[] = {
	        {.type = SQLITE_FILE_INTEGER, .integer = id},
	        {.type = SQLITE_FILE_NULL},
	        {.type = SQLITE_FILE_REAL, .real = 0.1},
	        text(t, len),
	        {.type = SQLITE_FILE_BLOB, .data = "\0\xff", .len = 2},
	};

	return sqlite_file_row(f, values, err);
}

/* The file is copied to a name, for SQLite to read it. */
static void expect_rows(struct sqlite_file *f, const char *sql, const char *expected)
{
	_cleanup(free) char *path = mem_printf("%s/copy", directory), *data = NULL;
	_cleanup(str) struct str found = {0};
	struct error err = {0};
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;
	uint64_t bytes;
	FILE *file;

	if (sqlite_file_end(f, &bytes, &err) < 0)
		fail_msg("%s", err.message);
	data = mem_alloc(bytes);
	assert_int_equal(sqlite_file_read(f, data, bytes, 0), bytes);
	assert_int_equal(sqlite_file_read(f, data, 1, bytes), 0);
	file = fopen(path, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(data, 1, bytes, file), bytes);
	fclose(file);
	assert_int_equal(sqlite3_open_v2(path, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	while (sqlite3_step(statement) == SQLITE_ROW) {
		for (int i = 0; i < sqlite3_column_count(statement); i++)
			str_appendf(&found, "%s%s", i > 0 ? "|" : "",
			            str_or_empty((const char *)sqlite3_column_text(statement, i)));
		str_append_char(&found, '\n');
	}
	sqlite3_finalize(statement);
	sqlite3_close(db);
	unlink(path);
	assert_string_equal(str_text(&found), expected);
}

static void test_values(void **state)
{
	_cleanup(sqlite_file) struct sqlite_file *f = begin(8 * MIB);
	const struct sqlite_file_value far[] = {
	        {.type = SQLITE_FILE_INTEGER, .integer = INT64_MIN},
	        {.type = SQLITE_FILE_INTEGER, .integer = 7},
	        {.type = SQLITE_FILE_TEXT, .data = "NaN", .len = 3},
	        {.type = SQLITE_FILE_TEXT, .data = NULL, .len = 0},
	        {.type = SQLITE_FILE_BLOB, .data = NULL, .len = 0},
	};
	struct error err = {0};

	assert_int_equal(sqlite_file_table(f, &table, &err), 0);
	assert_int_equal(put_row(f, 1, "12345678901234567890.10", 23, &err), 0);
	assert_int_equal(sqlite_file_row(f, far, &err), 0);
	expect_rows(
	        f,
	        "SELECT id, \"the \"\"parent\"\"\", typeof(x), x, typeof(t), t, typeof(b), hex(b) FROM \"a \"\"table\"\"\" ORDER BY id",
	        "-9223372036854775808|7|text|NaN|text||blob|\n"
	        "1||real|0.1|text|12345678901234567890.10|blob|00FF\n");
}

static void test_keys(void **state)
{
	_cleanup(sqlite_file) struct sqlite_file *f = begin(8 * MIB);
	struct error err = {0};

	assert_int_equal(sqlite_file_table(f, &table, &err), 0);
	expect_rows(
	        f,
	        "SELECT name, type FROM sqlite_schema UNION ALL SELECT \"table\", \"from\" || ' ' || \"to\" FROM pragma_foreign_key_list('a \"table\"')",
	        "a \"table\"|table\nsqlite_autoindex_a \"table\"_1|index\na \"table\"..1|index\na \"table\"|the \"parent\" id\n");
}

static void test_no_name(void **state)
{
	_cleanup(sqlite_file) struct sqlite_file *f = begin(8 * MIB);
	struct error err = {0};
	DIR *d = opendir(directory);
	int count = 0;

	assert_int_equal(sqlite_file_table(f, &table, &err), 0);
	assert_non_null(d);
	while (readdir(d))
		count++;
	closedir(d);
	assert_int_equal(count, 2);
}

static void test_limit(void **state)
{
	_cleanup(sqlite_file) struct sqlite_file *f = begin(2 * MIB);
	_cleanup(free) char *long_text = mem_alloc(100000);
	struct error err = {0};
	int r = 0, rows = 0;

	memset(long_text, 'x', 100000);
	assert_int_equal(sqlite_file_table(f, &table, &err), 0);
	while (r == 0 && rows < 1000)
		r = put_row(f, rows++, long_text, 100000, &err);
	assert_int_equal(r, -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_in_range(rows, 10, 22);
	assert_string_equal(
	        err.message,
	        "the database of SQLite would become larger than [export] space allows (2.0 MiB): allow more, or choose another format");
}

/* What cannot be: a row that is there, a NULL where there may be none. */
static void test_refused(void **state)
{
	_cleanup(sqlite_file) struct sqlite_file *f = begin(8 * MIB);
	const struct sqlite_file_value nothing[5] = {{.type = SQLITE_FILE_NULL}};
	static const struct sqlite_file_column pair[] = {{"a", SQLITE_FILE_TEXT, true}};
	static const struct sqlite_file_table other = {.name = "other", .columns = pair, .column_count = 1};
	struct error err = {0};

	assert_int_equal(sqlite_file_table(f, &table, &err), 0);
	assert_int_equal(put_row(f, 1, "a", 1, &err), 0);
	assert_int_equal(put_row(f, 1, "a", 1, &err), -EIO);
	assert_non_null(strstr(err.message, "a \"table\": UNIQUE constraint failed"));
	assert_int_equal(sqlite_file_table(f, &other, &err), 0);
	assert_int_equal(sqlite_file_row(f, nothing, &err), -EIO);
	assert_non_null(strstr(err.message, "other: NOT NULL constraint failed"));
	assert_int_equal(sqlite_file_table(f, &other, &err), -EIO);
}

static void test_no_directory(void **state)
{
	const struct sqlite_file_options options = {.directory = "/nowhere", .max_bytes = MIB, .limit = "x"};
	struct sqlite_file *f = NULL;
	struct error err = {0};

	assert_int_equal(sqlite_file_new(&options, &f, &err), -ENOENT);
	assert_null(f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_values),  cmocka_unit_test(test_keys),
	        cmocka_unit_test(test_no_name), cmocka_unit_test(test_limit),
	        cmocka_unit_test(test_refused), cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, make_directory, remove_directory);
}
