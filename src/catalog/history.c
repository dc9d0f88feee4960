// SPDX-License-Identifier: Apache-2.0
/*
 * What was counted of tables in the dumps of their directory. A row is of a dump by its inode number and by when it was finished, like
 * those of inside.c. Rows of dumps that are gone are not seen, and leave with the next ones that are written. A change of
 * these rows is none for anybody else.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/history.h>

static void read_history_table(sqlite3_stmt *row, struct catalog_history_table *ret)
{
	ret->number = column_u64(row, 0);
	ret->ino = column_u64(row, 1);
	ret->directory_ino = column_u64(row, 2);
	column_text(row, 3, ret->name, sizeof(ret->name));
}

int catalog_history_table(struct catalog *c, uint64_t ino, struct catalog_history_table *ret)
{
	static const char sql[] = "SELECT number, ino, directory_ino, name FROM history_table WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r == 0)
		read_history_table(query.row, ret);
	return r;
}

static int add_history_table(struct catalog *c, struct catalog_history_table *table)
{
	static const char insert_sql[] =
	        "INSERT OR IGNORE INTO history_table (ino, directory_ino, name) VALUES (?1, ?2, ?3)";
	static const char number_sql[] = "SELECT number FROM history_table WHERE ino = ?1";
	static const char forget_sql[] = "DELETE FROM history_table WHERE number <= ?1";
	int64_t number;
	int r;

	write_touches(c, 0);
	r = db_run(c->writer, insert_sql,
	           VALUES(ino_value(table->ino), ino_value(table->directory_ino), text_value(table->name)));
	if (r == 0)
		r = db_number(c->writer, &number, number_sql, VALUES(ino_value(table->ino)));
	if (r == 0)
		r = db_run(c->writer, forget_sql, VALUES(int_value(number - CATALOG_HISTORY_TABLES)));
	if (r == 0)
		table->number = (uint64_t)number;
	return r;
}

int catalog_history_add(struct catalog *c, struct catalog_history_table *table, struct error *err)
{
	struct catalog_history_table known;
	int r = catalog_history_table(c, table->ino, &known);

	if (r == 0)
		table->number = known.number;
	return r == -ENOENT ? TRANSACTION(c, err, add_history_table(c, table)) : r;
}

int catalog_history_link(struct catalog *c, uint64_t ino, struct catalog_history_table *ret_table,
                         struct catalog_entry *ret_dump)
{
	static const char sql[] =
	        "SELECT t.number, t.ino, t.directory_ino, t.name, a.ino FROM history_count h"
	        " JOIN history_table t ON t.number = h.number JOIN artifact a ON a.ino = h.artifact_ino"
	        " AND a.finished_at_us = h.finished_at_us WHERE a.tomb = 0 AND h.ino = ?1";
	uint64_t dump_ino;
	int r;

	{
		_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

		r = query_one(&query);
		if (r < 0)
			return r;
		read_history_table(query.row, ret_table);
		dump_ino = column_u64(query.row, 4);
	}
	return catalog_entry_by_ino(c, dump_ino, ret_dump);
}

static int find_history_dump(struct catalog *c, const char *sql, const struct value *values, size_t count,
                             struct catalog_entry *ret)
{
	uint64_t ino;
	int r;

	{
		_cleanup(query) struct query query = query_begin(c, sql, values, count);

		r = query_one(&query);
		if (r < 0)
			return r;
		ino = column_u64(query.row, 0);
	}
	return catalog_entry_by_ino(c, ino, ret);
}

int catalog_history_lacking(struct catalog *c, const struct catalog_history_table *table,
                            struct catalog_entry *ret)
{
	static const char sql[] =
	        "SELECT a.ino FROM artifact a WHERE a.directory_ino = ?1 AND a.tomb = 0 AND a.kind = 'dump'"
	        " AND NOT EXISTS (SELECT 1 FROM history_count h WHERE h.number = ?2 AND h.artifact_ino = a.ino"
	        "  AND h.finished_at_us = a.finished_at_us) ORDER BY a.sequence DESC LIMIT 1";

	return find_history_dump(
	        c, sql, VALUES(ino_value(table->directory_ino), int_value((int64_t)table->number)), ret);
}

int catalog_history_newest(struct catalog *c, uint64_t directory_ino, struct catalog_entry *ret)
{
	static const char sql[] =
	        "SELECT a.ino FROM artifact a WHERE a.directory_ino = ?1 AND a.tomb = 0 AND a.partial = 0"
	        " AND a.kind = 'dump' AND EXISTS (SELECT 1 FROM artifact_file f WHERE f.parent_ino = a.files_ino"
	        "  AND f.name = iif(a.is_directory, '', substr(a.name, 1, instr(a.name || '.', '.') - 1) || '.')"
	        "   || 'tables.csv' AND f.artifact_ino = a.ino)"
	        " ORDER BY a.sequence DESC LIMIT 1";

	return find_history_dump(c, sql, VALUES(ino_value(directory_ino)), ret);
}

/* The first time that something is counted of this table: the one whose turn is over is forgotten. */
static int note_counted(struct connection *c, uint64_t number)
{
	static const char note_sql[] =
	        "UPDATE history_table SET counted = (SELECT coalesce(max(counted), 0) + 1 FROM history_table"
	        " WHERE counted > 0) WHERE number = ?1 AND counted = 0";
	static const char last_sql[] =
	        "SELECT coalesce(max(counted), 0) FROM history_table WHERE counted > 0";
	static const char forget_sql[] =
	        "DELETE FROM history_table WHERE counted > 0 AND counted <= ?1 AND number <> ?2";
	int64_t last = 0;
	int r = db_run(c, note_sql, VALUES(int_value((int64_t)number)));

	if (r == 0)
		r = db_number(c, &last, last_sql, NULL, 0);
	if (r == 0)
		r = db_run(c, forget_sql,
		           VALUES(int_value(last - CATALOG_HISTORY_COUNTED), int_value((int64_t)number)));
	return r;
}

static int put_table_count(struct connection *c, uint64_t number, const struct catalog_history_count *count)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO history_count SELECT ?1, number, ?3, ?4, ?5, ?6, ?7, ?8"
	        " FROM history_table WHERE number = ?2";

	return db_run(c, sql,
	              VALUES(ino_value(count->ino), int_value((int64_t)number), ino_value(count->dump.ino),
	                     int_value(count->dump.mtime_us), int_value(count->state),
	                     int_value((int64_t)count->rows), int_value((int64_t)count->bytes),
	                     int_value((int64_t)count->hash)));
}

static int put_table_counts(struct catalog *c, uint64_t number, const struct catalog_history_count *counts,
                            size_t count)
{
	static const char gone_sql[] = "DELETE FROM history_count WHERE number = ?1"
	                               " AND artifact_ino NOT IN (SELECT ino FROM artifact)";
	static const char known_sql[] = "SELECT 1 FROM history_table WHERE number = ?1";
	int64_t known;
	int r;

	write_touches(c, 0);
	r = db_number(c->writer, &known, known_sql, VALUES(int_value((int64_t)number)));
	if (r == -ENOENT)
		return -ESTALE;
	if (r == 0)
		r = db_run(c->writer, gone_sql, VALUES(int_value((int64_t)number)));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = put_table_count(c->writer, number, &counts[i]);
	return r == 0 ? note_counted(c->writer, number) : r;
}

int catalog_history_put(struct catalog *c, const struct catalog_history_table *table,
                        const struct catalog_history_count *counts, size_t count, struct error *err)
{
	return TRANSACTION(c, err, put_table_counts(c, table->number, counts, count));
}

static void read_table_count(sqlite3_stmt *row, struct catalog_history_count *ret)
{
	*ret = (struct catalog_history_count){
	        .ino = column_u64(row, 0),
	        .state = (enum catalog_history_state)sqlite3_column_int(row, 1),
	        .rows = column_u64(row, 2),
	        .bytes = column_u64(row, 3),
	        .hash = column_u64(row, 4),
	        .is_partial = sqlite3_column_int(row, 5),
	        .dump = {.ino = column_u64(row, 6),
	                 .artifact_ino = column_u64(row, 6),
	                 .parent_ino = column_u64(row, 7),
	                 .kind = CATALOG_ARTIFACT,
	                 .sequence = sqlite3_column_int64(row, 8),
	                 .mtime_us = sqlite3_column_int64(row, 9)},
	};
	column_text(row, 10, ret->dump.name, sizeof(ret->dump.name));
}

ssize_t catalog_history_counts(struct catalog *c, const struct catalog_history_table *table, int64_t after,
                               struct catalog_history_count *counts, size_t max)
{
	static const char sql[] =
	        "SELECT h.ino, h.state, h.rows, h.bytes, h.hash, a.partial, a.ino, a.directory_ino, a.sequence,"
	        " a.finished_at_us, a.name FROM artifact a CROSS JOIN history_count h ON h.number = ?2"
	        " AND h.artifact_ino = a.ino AND h.finished_at_us = a.finished_at_us"
	        " WHERE a.directory_ino = ?1 AND a.sequence > ?3 AND a.tomb = 0 ORDER BY a.sequence LIMIT ?4";
	size_t count = 0;
	_cleanup(query) struct query query =
	        query_begin(c, sql,
	                    VALUES(ino_value(table->directory_ino), int_value((int64_t)table->number),
	                           int_value(after), int_value((int64_t)max)));

	while (count < max && query_next(&query))
		read_table_count(query.row, &counts[count++]);
	return query.result < 0 ? query.result : (ssize_t)count;
}

int history_forget_gone(struct connection *c)
{
	static const char tables_sql[] =
	        "DELETE FROM history_table WHERE directory_ino NOT IN (SELECT ino FROM directory)";
	static const char counts_sql[] =
	        "DELETE FROM history_count WHERE artifact_ino NOT IN (SELECT ino FROM artifact)";
	int r = db_run(c, tables_sql, NULL, 0);

	return r == 0 ? db_run(c, counts_sql, NULL, 0) : r;
}
