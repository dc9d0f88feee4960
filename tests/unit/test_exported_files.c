// SPDX-License-Identifier: Apache-2.0
/* Exports of the formats ndjson, csv and sqlite, read back: as keepfs writes them, as a spreadsheet or another program leaves them, and damaged. */
#include "exported_test.h"

#include <keepfs/base/mem.h>

#include <archive.h>
#include <archive_entry.h>
#include <sqlite3.h>
#include <stdlib.h>

struct entry {
	const char *name, *text;
};

static void add_entry(struct archive *a, const struct entry *e)
{
	struct archive_entry *entry = archive_entry_new();

	archive_entry_set_pathname(entry, e->name);
	archive_entry_set_filetype(entry, e->name[strlen(e->name) - 1] == '/' ? AE_IFDIR : AE_IFREG);
	archive_entry_set_perm(entry, 0644);
	archive_entry_set_size(entry, (la_int64_t)strlen(e->text));
	assert_int_equal(archive_write_header(a, entry), ARCHIVE_OK);
	assert_int_equal(archive_write_data(a, e->text, strlen(e->text)), strlen(e->text));
	archive_entry_free(entry);
}

static int zip_with(const struct entry *entries)
{
	int fd = memfd_create("zip", MFD_CLOEXEC);
	struct archive *a = archive_write_new();

	assert_int_equal(archive_write_set_format_zip(a), ARCHIVE_OK);
	assert_int_equal(archive_write_open_fd(a, fd), ARCHIVE_OK);
	for (; entries->name; entries++)
		add_entry(a, entries);
	assert_int_equal(archive_write_close(a), ARCHIVE_OK);
	archive_write_free(a);
	return fd;
}

#define IN_FILE(key, place, count) ",\"" key "\":\"" place "\",\"row_count\":" count "}"
#define ORDERS                                                                                               \
	COLUMN("id", "integer")                                                                              \
	"," COLUMN("note", "text") ","                                                                       \
	                           "{\"name\":\"must\",\"type\":\"text\",\"nullable\":false}"
#define SCHEMA(suffix)                                                                                       \
	HEAD "\"tables\":[\n" TABLE("orders", ORDERS)                                                        \
	        IN_FILE("file", "public.orders" suffix, "3") ",\n" TABLE("none", "")                         \
	                IN_FILE("file", "public.none" suffix, "2") "\n],\"row_count\":5}\n"

static void check_zip(const struct entry *entries, const char *orders)
{
	int fd = zip_with(entries);
	struct exported *e = must_open(fd, "acme.zip");
	_cleanup(free) char *none = rows_text(e, 1);
	_cleanup(free) char *found = rows_text(e, 0);
	_cleanup(free) char *again = rows_text(e, 0);

	assert_string_equal(none, "\n\n");
	assert_string_equal(found, orders);
	assert_string_equal(again, orders);
	exported_close(e);
	close(fd);
}

static void refuse_zip_of(const struct entry *entries, const char *part)
{
	int fd = zip_with(entries);
	const struct exported_source source = source_of(fd, "acme.zip");
	struct exported *e = NULL;
	struct error err = {0};

	assert_int_equal(exported_open(&source, NULL, &e, &err), -EBADMSG);
	if (!strstr(err.message, part))
		print_message("%s\n(looked for: %s)\n", err.message, part);
	assert_non_null(strstr(err.message, part));
	close(fd);
}

static void test_ndjson(void **state)
{
	const struct entry entries[] = {
	        {"README.txt", "x"},
	        {"public.orders.ndjson",
	         "{\"id\":1,\"note\":\"a\\nb\",\"must\":\"\"}\n{\"id\":2,\"note\":null,\"must\":\"x\"}\n"
	         "{\"id\":3,\"note\":\"\",\"must\":\"y\"}\n"},
	        {"public.none.ndjson", "{}\n{}\n"},
	        {"schema.json", SCHEMA(".ndjson")},
	        {0}};
	const struct entry other_order[] = {entries[3], entries[2], {"dir/", ""}, entries[1], {0}};

	check_zip(entries, "1|a\nb|\n2|NULL|x\n3||y\n");
	check_zip(other_order, "1|a\nb|\n2|NULL|x\n3||y\n");
}

static void test_csv(void **state)
{
	const struct entry entries[] = {
	        {"public.orders.csv", "id,note,must\n1,\"a\nb, \"\"c\"\"\",\"\"\n2,,x\n3,\"\",y\n"},
	        {"public.none.csv", "\n\n\n"},
	        {"schema.json", SCHEMA(".csv")},
	        {0}};
	/* A mark at the beginning, other line ends and order, quotes around all, and no line end at the end. */
	const struct entry edited[] = {
	        {"public.orders.csv",
	         "\xef\xbb\xbf\"must\",\"id\",\"note\"\r\n,\"1\",\"a\nb, \"\"c\"\"\"\r\nx,2,\r\n\"y\",\"\",\"\""},
	        entries[1],
	        entries[2],
	        {0}};

	check_zip(entries, "1|a\nb, \"c\"|\n2|NULL|x\n3||y\n");
	/* What is no text has no empty text, and what is NOT NULL has no NULL. */
	check_zip(edited, "1|a\nb, \"c\"|\n2|NULL|x\nNULL||y\n");
}

static void refuse_csv_of(const char *orders, const char *part)
{
	const struct entry entries[] = {{"public.orders.csv", orders},
	                                {"public.none.csv", "\n\n\n"},
	                                {"schema.json", SCHEMA(".csv")},
	                                {0}};

	refuse_zip_of(entries, part);
}

static void test_csv_that_does_not_fit(void **state)
{
	refuse_csv_of("", "there is no first line");
	refuse_csv_of("id;note;must\n1;2;3\n", "\"id;note;must\" is no column");
	refuse_csv_of("id,note\n", "the first line names 2 columns, and the table has 3");
	refuse_csv_of("id,note,note\n", "the column \"note\" is there twice");
	refuse_csv_of("id,note,must\n1,2\n", "row 1: it has 2 values, and there are 3 columns");
	refuse_csv_of("id,note,must\n1,2,3,4\n", "line 2, table public.orders, row 1: it has more values");
	refuse_csv_of("id,note,must\n1,2,\"3", "it ends within a value");
	refuse_csv_of("id,note,must\n1,2,\"3\"x\n", "behind the quote");
	refuse_csv_of("id,note,must\n1,2,3\"4\n", "a quote stands within");
	refuse_csv_of("id,note,must\n1,2,\xff\n", "\"must\" is not UTF-8");
	refuse_csv_of("\xef\xbbid,note,must\n", "it is not UTF-8");
	refuse_csv_of("id,note,must\n1,2,3\n", "has 1 rows, and \"row_count\" of schema.json says 3");
}

static void test_archives_that_do_not_fit(void **state)
{
	const struct entry good = {"public.orders.ndjson", "{\"id\":1,\"note\":\"a\",\"must\":\"\"}\n"};
	const struct entry none = {"public.none.ndjson", "{}{}"};
	const struct entry schema = {"schema.json", SCHEMA(".ndjson")};
	const struct entry no_schema[] = {good, none, {0}}, no_file[] = {none, schema, {0}};
	const struct entry twice[] = {none, none, schema, {0}};
	const struct entry fewer[] = {good, none, schema, {0}};
	const struct entry cut[] = {{"public.orders.ndjson", "{\"id\":1,"}, none, schema, {0}};
	const struct entry list[] = {{"public.orders.ndjson", "[1]"}, none, schema, {0}};
	const struct entry mixed[] = {
	        {"schema.json", HEAD "\"tables\":[" TABLE("a", "") IN_FILE("file", "a.csv", "0") "," TABLE(
	                                "b", "") IN_FILE("file", "b.ndjson", "0") "],\"row_count\":0}"},
	        {0}};
	const struct entry same[] = {
	        {"schema.json", HEAD "\"tables\":[" TABLE("a", "") IN_FILE("file", "a.csv", "0") "," TABLE(
	                                "b", "") IN_FILE("file", "a.csv", "0") "],\"row_count\":0}"},
	        {0}};
	const struct entry with_rows[] = {{"schema.json", HEAD "\"tables\":[" TABLE("a", "") ",\"rows\":[]"},
	                                  {0}};

	refuse_zip_of(no_schema, "the archive has no schema.json");
	refuse_zip_of(no_file, "has no public.orders.ndjson, which schema.json names");
	refuse_zip_of(twice, "has public.none.ndjson twice");
	refuse_zip_of(fewer, "public.orders.ndjson has 1 rows, and \"row_count\" of schema.json says 3");
	refuse_zip_of(cut, "public.orders.ndjson: line 1");
	refuse_zip_of(list, "a row has to be here");
	refuse_zip_of(mixed, "which is no file of .csv");
	refuse_zip_of(same, "\"file\" is that of another table, too");
	refuse_zip_of(with_rows, "\"rows\" is not here, but in a file");
}

static void test_what_else_is_in_an_archive(void **state)
{
	const struct entry entries[] = {
	        {"public.none.csv", "\n\n\n"},
	        {"notes.txt", "x"},
	        {"schema.json", HEAD "\"tables\":[" TABLE("none", "")
	                                IN_FILE("file", "public.none.csv", "2") "],\"row_count\":2}"},
	        {0}};
	int fd = zip_with(entries);
	struct exported *e = must_open(fd, "acme.csv.zip");

	assert_int_equal(exported_head(e)->format, EXPORTED_CSV);
	assert_int_equal(exported_head(e)->remark_count, 1);
	assert_string_equal(exported_head(e)->remarks[0],
	                    "the archive has notes.txt, which schema.json does not name");
	exported_close(e);
	close(fd);
}

/* Wherever an archive was cut, and whichever byte of it is another one: it is refused, or nothing of it is. */
static void test_damaged_archives(void **state)
{
	const struct entry entries[] = {{"public.orders.csv", "id,note,must\n1,a,b\n2,,x\n3,\"\",y\n"},
	                                {"public.none.csv", "\n\n\n"},
	                                {"schema.json", SCHEMA(".csv")},
	                                {0}};
	int fd = zip_with(entries);
	_cleanup(free) char *bytes = mem_alloc(1 << 16);
	ssize_t len = pread(fd, bytes, 1 << 16, 0);

	assert_true(len > 0);
	for (ssize_t i = 0; i < len; i += 3) {
		int cut = file_with(bytes, (size_t)(i ? i : 1));
		const struct exported_source source = source_of(cut, "x.csv.zip");
		struct exported *e = NULL;
		struct error err = {0};

		assert_int_equal(exported_open(&source, NULL, &e, &err), -EBADMSG);
		assert_true(err.message[0]);
		bytes[i] ^= 0x20;
		assert_int_equal(pwrite(cut, bytes, (size_t)len, 0), len);
		if (exported_open(&source, NULL, &e, &err) == 0) {
			_cleanup(free) char *rows = rows_text(e, 0);

			assert_string_equal(rows, "1|a|b\n2|NULL|x\n3||y\n");
		}
		exported_close(e);
		bytes[i] ^= 0x20;
		close(cut);
	}
	close(fd);
}

/* SQLite. */

#define FACTS_OF(schema)                                                                                                                        \
	"CREATE TABLE keepfs_export (name TEXT PRIMARY KEY, value TEXT); INSERT INTO keepfs_export VALUES ('readme', 'x'), ('schema', '" schema \
	"');"
#define T_COLUMNS                                                                                            \
	COLUMN("b", "boolean")                                                                               \
	"," COLUMN("n", "numeric") "," COLUMN("f", "double precision") "," COLUMN("x", "bytea") "," COLUMN(  \
	        "t", "text")
#define T_SCHEMA HEAD "\"tables\":[" TABLE("t", T_COLUMNS) IN_FILE("name", "t", "2") "],\"row_count\":2}"

static int database_with(const char *sql)
{
	char path[] = "/tmp/keepfs-exported-XXXXXX";
	int fd = mkstemp(path);
	sqlite3 *db;
	char *why = NULL;

	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s", why);
	sqlite3_close(db);
	unlink(path);
	return fd;
}

static void refuse_database(const char *sql, const char *part)
{
	int fd = database_with(sql);
	const struct exported_source source = source_of(fd, "acme.sqlite");
	struct exported *e = NULL;
	struct error err = {0};

	assert_int_equal(exported_open(&source, NULL, &e, &err), -EBADMSG);
	if (!strstr(err.message, part))
		print_message("%s\n(looked for: %s)\n", err.message, part);
	assert_non_null(strstr(err.message, part));
	close(fd);
}

static void test_sqlite(void **state)
{
	int fd = database_with(FACTS_OF(
	        T_SCHEMA) "CREATE TABLE t (b INTEGER, n TEXT, f REAL, x BLOB, t TEXT);"
	                  "INSERT INTO t VALUES (1, '1.50', 0.1, x'00ff', 'a'), (NULL, NULL, 'NaN', NULL, '')");
	struct exported *e = must_open(fd, "acme.sqlite");
	_cleanup(free) char *rows = rows_text(e, 0);

	assert_int_equal(exported_head(e)->format, EXPORTED_SQLITE);
	assert_string_equal(rows, "true|1.50|0.10000000000000001|\\x00ff|a\nNULL|NULL|NaN|NULL|\n");
	exported_close(e);
	close(fd);
}

/* A file that somebody has prepared runs nothing. */
static void test_hostile_databases(void **state)
{
	refuse_database("CREATE TABLE x (a)", "has no table keepfs_export");
	refuse_database("CREATE TABLE keepfs_export (a)", "has no names and values");
	refuse_database("CREATE TABLE keepfs_export (name, value)", "has no \"schema\"");
	refuse_database("CREATE VIEW keepfs_export AS SELECT 'schema' AS name, 'x' AS value", "has no table");
	refuse_database(FACTS_OF("{"), "it is not whole");
	refuse_database(FACTS_OF(T_SCHEMA), "has no table t");
	refuse_database(FACTS_OF(T_SCHEMA) "CREATE VIEW t AS SELECT 1, 2, 3, 4, 5", "has no table t");
	refuse_database(FACTS_OF(T_SCHEMA) "CREATE TABLE t (b, n, f, x)", "has 4 columns");
	refuse_database(FACTS_OF(T_SCHEMA) "CREATE TABLE t (b, n, f, t, x)", "column 4 of the table t is t");
	refuse_database(FACTS_OF(T_SCHEMA) "CREATE TABLE t (b, n, f, x, t)", "has 0 rows");
	refuse_database(
	        FACTS_OF(T_SCHEMA) "CREATE TABLE t (b, n, f, x, t); INSERT INTO t VALUES (1, x'00', 1, 1, 1)",
	        "\"n\" has binary data");
	refuse_database(
	        FACTS_OF(
	                T_SCHEMA) "CREATE TABLE t (b, n, f, x, t); INSERT INTO t VALUES (1, CAST(x'ff' AS TEXT), 1, 1, 1)",
	        "\"n\" is not UTF-8");
	refuse_database(FACTS_OF(T_SCHEMA) "CREATE TABLE t (b, n, f, x, t AS (zeroblob(1000000000)));"
	                                   "INSERT INTO t VALUES (1, 1, 1, 1)",
	                "has columns that SQLite would compute");
	must_refuse_file("SQLite format 3\0 and no more", 28, EBADMSG, "cannot be read");
}

#define PAGE_BYTES   4096
#define PAGE_CELLS   400
#define CHAIN_LENGTH 12

static void put_number(unsigned char *at, size_t bytes, uint32_t number)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (unsigned char)(number >> 8 * (bytes - 1 - i));
}

/* A page of a table that has one and the same page below it many times. */
static void write_repeated_page(int fd, uint32_t page, uint32_t below)
{
	unsigned char bytes[PAGE_BYTES] = {5};
	size_t first = PAGE_BYTES - PAGE_CELLS * 5;

	put_number(bytes + 3, 2, PAGE_CELLS);
	put_number(bytes + 5, 2, (uint32_t)first);
	put_number(bytes + 8, 4, below);
	for (size_t i = 0; i < PAGE_CELLS; i++) {
		put_number(bytes + 12 + 2 * i, 2, (uint32_t)(first + 5 * i));
		put_number(bytes + first + 5 * i, 4, below);
		bytes[first + 5 * i + 4] = 1;
	}
	assert_int_equal(pwrite(fd, bytes, sizeof(bytes), (off_t)(page - 1) * PAGE_BYTES), PAGE_BYTES);
}

/* The table that was made last gets more rows than anybody can read. */
static void repeat_rows(int fd)
{
	unsigned char leaf[PAGE_BYTES], count[4];
	uint32_t root = (uint32_t)(lseek(fd, 0, SEEK_END) / PAGE_BYTES), last = root + CHAIN_LENGTH;

	assert_int_equal(pread(fd, leaf, sizeof(leaf), (off_t)(root - 1) * PAGE_BYTES), PAGE_BYTES);
	assert_int_equal(leaf[0], 13);
	assert_int_equal(pwrite(fd, leaf, sizeof(leaf), (off_t)(last - 1) * PAGE_BYTES), PAGE_BYTES);
	for (uint32_t page = root; page < last; page++)
		write_repeated_page(fd, page, page + 1);
	put_number(count, 4, last);
	assert_int_equal(pwrite(fd, count, 4, 28), 4);
}

static void refuse_repeated(const char *sql)
{
	int fd = database_with(sql);
	const struct exported_source source = source_of(fd, "acme.sqlite");
	struct exported *e = NULL;
	struct error err = {0};

	repeat_rows(fd);
	assert_int_equal(exported_open(&source, NULL, &e, &err), -EBADMSG);
	if (!strstr(err.message, "the table t has more rows"))
		fail_msg("%s", err.message);
	close(fd);
}

/* A small file whose rows would never end. */
static void test_endless_database(void **state)
{
#define FULL_T "CREATE TABLE t (b, n, f, x, t); INSERT INTO t VALUES (1, 1, 1, NULL, 1), (1, 1, 1, NULL, 1)"
#define MANY   "18000000000000000000"
	refuse_repeated(FACTS_OF(T_SCHEMA) FULL_T);
	refuse_repeated(FACTS_OF(HEAD "\"tables\":[" TABLE("t", T_COLUMNS)
	                                 IN_FILE("name", "t", MANY) "],\"row_count\":" MANY "}") FULL_T);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_ndjson),
	        cmocka_unit_test(test_csv),
	        cmocka_unit_test(test_csv_that_does_not_fit),
	        cmocka_unit_test(test_archives_that_do_not_fit),
	        cmocka_unit_test(test_what_else_is_in_an_archive),
	        cmocka_unit_test(test_damaged_archives),
	        cmocka_unit_test(test_sqlite),
	        cmocka_unit_test(test_hostile_databases),
	        cmocka_unit_test(test_endless_database),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
