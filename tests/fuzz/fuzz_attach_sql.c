// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as the SQL of a dump, and (up to the first NUL) as the names of a table, a column and a file. The same is written whatever the pieces in which the text
 * came; no name ends its quotes; and whoever wrote the text of a definition gets no statement of his own in but within that column.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/attach_sql.h>
#include <keepfs/codec/sql_text.h>

#include <errno.h>
#include <string.h>

#define NAME_BYTES 63 /* a longer one is cut */

static void append_all(const struct spool *spool, struct str *ret)
{
	_cleanup(free) char *bytes = mem_alloc((size_t)spool_size(spool) + 1);

	fuzz_must(spool_get(spool, bytes, (size_t)spool_size(spool), 0, NULL) == 0, "a spool is read", NULL);
	str_append_bytes(ret, bytes, (size_t)spool_size(spool));
}

static void write_it(const char *sql, size_t len, size_t piece, const struct attach_sql_table *table,
                     struct str *ret)
{
	const struct attach_sql_backup backup = {.name = table->table, .encoding = table->schema};
	_cleanup(attach_sql) struct attach_sql *a = attach_sql_new("/tmp");
	_cleanup(spool) struct spool *out = spool_new("/tmp");
	int r = 0;

	for (size_t at = 0; at < len && r == 0; at += piece)
		r = attach_sql_feed(a, sql + at, len - at < piece ? len - at : piece, NULL);
	fuzz_must(r >= 0, "a text is taken", NULL);
	fuzz_must(attach_sql_begin(a, &backup, out, NULL) == 0, "the beginning is written", NULL);
	fuzz_must(attach_sql_table(a, table, NULL) == 0, "a table is written", NULL);
	fuzz_must(attach_sql_end(a, NULL) == 0, "the end is written", NULL);
	append_all(out, ret);
}

static bool is_name(const struct sql_token *t, const char *name)
{
	_cleanup(str) struct str value = {0};

	sql_append_value(&value, t);
	return t->kind == SQL_NAME && str_equal(str_text(&value), name);
}

/* The statement that makes the table has the names in its places: nothing in them has ended their quotes. */
static void must_name(const char *sql, const struct attach_sql_table *table)
{
	static const char *const words[] = {"CREATE", "FOREIGN", "TABLE"};
	struct sql_scan scan = {.at = sql};
	struct sql_token t = {0};
	size_t n = 0;

	while (n < ARRAY_SIZE(words) && (t = sql_next(&scan)).kind != SQL_END)
		n = sql_is(&t, words[n]) ? n + 1 : sql_is(&t, words[0]);
	fuzz_must(n == ARRAY_SIZE(words), "a table is made", sql);
	t = sql_next(&scan);
	fuzz_must(t.kind == SQL_NAME, "it has a schema", sql);
	t = sql_next(&scan);
	fuzz_must(sql_is(&t, "."), "and behind it", sql);
	t = sql_next(&scan);
	fuzz_must(strlen(table->table) > NAME_BYTES ? t.kind == SQL_NAME : is_name(&t, table->table),
	          "its name", sql);
	t = sql_next(&scan);
	fuzz_must(sql_is(&t, "("), "and columns", sql);
	t = sql_next(&scan);
	fuzz_must(is_name(&t, table->table), "of its name", sql);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const size_t pieces[] = {1, 5};
	_cleanup(free) char *name = fuzz_text(data, size);
	_cleanup(str) struct str whole = {0}, columns = {0};
	struct attach_sql_table table = {.schema = name, .table = name, .path = name};

	if (!*name)
		return 0;
	str_append_char(&columns, '(');
	sql_append_name(&columns, name);
	str_append_char(&columns, ')');
	table.columns = str_text(&columns);
	write_it((const char *)data, size, size + 1, &table, &whole);
	must_name(str_text(&whole), &table);
	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(str) struct str again = {0};

		write_it((const char *)data, size, pieces[i], &table, &again);
		fuzz_must(again.len == whole.len && memcmp(again.data, whole.data, whole.len) == 0,
		          "the same in pieces", str_text(&again));
	}
	return 0;
}
