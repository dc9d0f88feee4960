// SPDX-License-Identifier: Apache-2.0
/*
 * Run by the build: prints schema_whole.c, the script that makes in one step of an empty file what all migrations make of it one
 * after the other. That takes a tenth of the time: each change of a table has SQLite read all of the tables anew.
 */
#include "catalog_private.h"

#include <stdio.h>
#include <stdlib.h>

static void die_of(sqlite3 *db)
{
	fprintf(stderr, "make_schema: %s\n", sqlite3_errmsg(db));
	exit(1);
}

static void print_literal(const char *text)
{
	fputs("        \"", stdout);
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", stdout);
		else if (*text == '"' || *text == '\\')
			printf("\\%c", *text);
		else
			putchar(*text);
	}
	fputs(";\"\n", stdout);
}

/* Each row of the answer is a statement of the script. */
static void print_statements(sqlite3 *db, const char *sql)
{
	sqlite3_stmt *rows = NULL;
	int code;

	if (sqlite3_prepare_v2(db, sql, -1, &rows, NULL) != SQLITE_OK)
		die_of(db);
	while ((code = sqlite3_step(rows)) == SQLITE_ROW)
		print_literal((const char *)sqlite3_column_text(rows, 0));
	if (sqlite3_finalize(rows) != SQLITE_OK || code != SQLITE_DONE)
		die_of(db);
}

/* The rows that a new catalog has: a query for each table answers with what inserts them. Columns that are reckoned cannot be inserted. */
static void print_rows_as_sql(sqlite3 *db)
{
	static const char queries_sql[] =
	        "SELECT 'SELECT ''INSERT INTO \"' || t.name || '\" (' || group_concat('\"' || c.name || '\"', ', ')"
	        " || ') VALUES ('' || ' || group_concat('quote(\"' || c.name || '\")', ' || '', '' || ')"
	        " || ' || '')'' FROM \"' || t.name || '\"'"
	        " FROM sqlite_schema AS t JOIN pragma_table_xinfo(t.name) AS c ON c.hidden = 0"
	        " WHERE t.type = 'table' GROUP BY t.rowid ORDER BY t.rowid";
	sqlite3_stmt *queries = NULL;
	int code;

	if (sqlite3_prepare_v2(db, queries_sql, -1, &queries, NULL) != SQLITE_OK)
		die_of(db);
	while ((code = sqlite3_step(queries)) == SQLITE_ROW)
		print_statements(db, (const char *)sqlite3_column_text(queries, 0));
	if (sqlite3_finalize(queries) != SQLITE_OK || code != SQLITE_DONE)
		die_of(db);
}

/* Rows come before triggers, which would change what is inserted. */
static void print_schema_script(sqlite3 *db)
{
	puts("/* Made by make_schema of migrations.c. */\nextern const char schema_whole[];\nconst char schema_whole[] =");
	print_statements(db,
	                 "SELECT 'PRAGMA application_id = ' || application_id FROM pragma_application_id");
	print_statements(
	        db,
	        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY rowid");
	print_rows_as_sql(db);
	print_statements(
	        db,
	        "SELECT sql FROM sqlite_schema WHERE type <> 'table' AND sql IS NOT NULL ORDER BY type = 'trigger', rowid");
	puts("        \"\";");
}

int main(void)
{
	sqlite3 *db = NULL;

	if (sqlite3_open(":memory:", &db) != SQLITE_OK ||
	    sqlite3_exec(db, "PRAGMA foreign_keys = ON", NULL, NULL, NULL) != SQLITE_OK)
		die_of(db);
	for (size_t i = 0; i < migration_count; i++)
		if (sqlite3_exec(db, migrations[i], NULL, NULL, NULL) != SQLITE_OK)
			die_of(db);
	print_schema_script(db);
	sqlite3_close(db);
	return fflush(stdout) == 0 && !ferror(stdout) ? 0 : 1;
}
