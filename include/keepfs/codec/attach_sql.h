// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * SQL that makes foreign tables of file_fdw over files with the rows of a dump's tables, in COPY's text format: a server then has SQL on a backup
 * that was not restored. Pure, but for a spool; one thread at a time.
 *
 *   attach_sql_new()
 *   attach_sql_feed()     the SQL text of the dump, for the types of columns; optional
 *   attach_sql_begin()    writes what comes first
 *   attach_sql_table()    writes a table; for each one
 *   attach_sql_end()      writes what comes last
 *
 * What is written can be run again and again, drops nothing but foreign tables in schemas that it has made itself, and names no session's settings. Tables of the schema public are in a
 * schema that is named after the backup, those of another schema x in one that has "_x" behind that.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/spool.h>
#include <stddef.h>

/** ATTACH_SQL_TABLES - so many tables are made in one transaction: each one takes a lock until its end, and a server has some thousands of these. */
#define ATTACH_SQL_TABLES 1000

struct attach_sql;

/** attach_sql_new() - @directory: for a spool (copied). Of each table of the text 24 bytes are kept in memory. */
struct attach_sql *attach_sql_new(const char *directory);
struct attach_sql *attach_sql_free(struct attach_sql *a); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(attach_sql, struct attach_sql *, attach_sql_free)

/**
 * attach_sql_feed() - the next @len bytes of what `pg_dump -s`, `pg_restore -s -f -` or `pg_dump` writes
 * A table whose definition was not among them has columns of the type text: the rows can be read all the same.
 * Return: 0; 1: rows begin here, and no definition comes behind them; -ENOSPC and the like.
 */
int attach_sql_feed(struct attach_sql *a, const void *data, size_t len, struct error *err);

struct attach_sql_backup {
	const char *name;     /* "full/20261120T020000Z" */
	const char *encoding; /* of its texts and rows, as PostgreSQL calls it; "": not known */
};
/** attach_sql_begin() - @out is borrowed until attach_sql_end(). Return: 0; -ENOSPC and the like. */
int attach_sql_begin(struct attach_sql *a, const struct attach_sql_backup *backup, struct spool *out,
                     struct error *err);

struct attach_sql_table { /* in the dump's encoding */
	const char *schema, *table;
	const char *columns; /* of its COPY statement (codec/copy_text.h) */
	const char *path;    /* of the file with its rows, absolute, as the server sees it */
	/* 0; or another number for each further file with rows of the same table: "%+NUMBER" is behind the name then. */
	unsigned again;
};
/**
 * attach_sql_table() - a table; of one without columns a comment
 * Return: 0; -EBADMSG: table->columns are no list of columns; -ENOSPC and the like.
 */
int attach_sql_table(struct attach_sql *a, const struct attach_sql_table *table, struct error *err);
int attach_sql_end(struct attach_sql *a, struct error *err);
