// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A database file of SQLite that others may have made, or changed: its tables are read, and nothing else. Only the bytes of that one file are looked at (no journal beside it). What is in its schema
 * is not trusted: of views and virtual tables nothing is read, and no function is called, whatever a column's expression asks for. One thread. Blocks on the file.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/sqlite.h>

struct sqlite_foreign;
/** sqlite_foreign_new() - @fd: a regular file, read with pread() alone, borrowed. -EBADMSG (ERROR_CORRUPT): it is no database. */
int sqlite_foreign_new(int fd, struct cancel *cancel, struct sqlite_foreign **ret, struct error *err);
struct sqlite_foreign *sqlite_foreign_free(struct sqlite_foreign *f); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(sqlite_foreign, struct sqlite_foreign *, sqlite_foreign_free)
/** sqlite_foreign_table() - read the table @name from its first row on, all columns. -ENOENT (ERROR_CORRUPT): there is no such table; -EBADMSG. */
int sqlite_foreign_table(struct sqlite_foreign *f, const char *name, struct error *err);
/** sqlite_foreign_columns() - how many it has; sqlite_foreign_column() - the name of one: borrowed until the next table. */
size_t sqlite_foreign_columns(const struct sqlite_foreign *f);
const char *sqlite_foreign_column(const struct sqlite_foreign *f, size_t column);
/** sqlite_foreign_row() - the next one: 1; 0: that were all; -EBADMSG; -ECANCELED. */
int sqlite_foreign_row(struct sqlite_foreign *f, struct error *err);
/** sqlite_foreign_value() - of the present row, as it is stored; borrowed until the next row. Text is what the file has: any bytes. */
void sqlite_foreign_value(const struct sqlite_foreign *f, size_t column, struct sqlite_file_value *ret);
