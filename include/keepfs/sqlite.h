// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A database file of SQLite that is made for others: tables are filled row by row, then the whole file is read out. (The catalog is keepfs' own
 * database: keepfs/catalog.h.)
 *
 *   sqlite_file_new()
 *   sqlite_file_table(), sqlite_file_row() …; for each table
 *   sqlite_file_end()
 *   sqlite_file_read() …
 *   sqlite_file_free()
 *
 * The file is in a directory of the caller's choice, has no name there once it is open, and is gone with sqlite_file_free(), or when the process ends. It is
 * never larger than it may be. Memory: SQLITE_FILE_CACHE_BYTES, and the longest row. One thread at a time. Blocks on the disk.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SQLITE_FILE_CACHE_BYTES ((size_t)16 << 20)

enum sqlite_file_type {                   /* of columns, and of values */
	                SQLITE_FILE_NULL, /* of values alone */
	                SQLITE_FILE_INTEGER,
	                SQLITE_FILE_REAL,
	                SQLITE_FILE_TEXT, /* UTF-8 */
	                SQLITE_FILE_BLOB,
};

struct sqlite_file_column {
	const char *name;
	enum sqlite_file_type type;
	bool not_null;
};

struct sqlite_file_columns {    /* of a key */
	const uint32_t *places; /* in the columns of the table */
	size_t count;
};

struct sqlite_file_key { /* a foreign key */
	struct sqlite_file_columns columns;
	const char *table;             /* where it leads; may be made later */
	const char *const *references; /* as many names of its columns */
};

/** struct sqlite_file_table - borrowed for the call. Names may hold anything; SQLite takes two that differ in the case of ASCII letters alone for one. */
struct sqlite_file_table {
	const char *name;
	const struct sqlite_file_column *columns;
	size_t column_count;                    /* at least 1 */
	struct sqlite_file_columns primary_key; /* may have none */
	const struct sqlite_file_columns *uniques;
	size_t unique_count;
	const struct sqlite_file_key *keys; /* each gets an index, "TABLE..1", "TABLE..2", … */
	size_t key_count;
};

struct sqlite_file_value { /* borrowed */
	enum sqlite_file_type type;
	int64_t integer;
	double real; /* a number, or an infinity; NaN would become NULL */
	const void *data;
	size_t len;
};

struct sqlite_file_options {
	const char *directory;
	uint64_t max_bytes; /* of the file */
	const char *limit;  /* what the limit is called in messages: "[export] space" */
};

struct sqlite_file;
int sqlite_file_new(const struct sqlite_file_options *options, struct sqlite_file **ret, struct error *err);
struct sqlite_file *sqlite_file_free(struct sqlite_file *f); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(sqlite_file, struct sqlite_file *, sqlite_file_free)
/** sqlite_file_table() - make the next table; the rows that follow are its. -ENOSPC (ERROR_NO_SPACE): as all that follow. */
int sqlite_file_table(struct sqlite_file *f, const struct sqlite_file_table *table, struct error *err);
/** sqlite_file_row() - one row: as many values as there are columns. -E2BIG (ERROR_USAGE): it is longer than SQLite's limit of 1,000,000,000 bytes. */
int sqlite_file_row(struct sqlite_file *f, const struct sqlite_file_value *values, struct error *err);
/** sqlite_file_end() - that was all: the file is whole, and was checked by SQLite. -EBADMSG (ERROR_CORRUPT). */
int sqlite_file_end(struct sqlite_file *f, uint64_t *ret_bytes, struct error *err);
/** sqlite_file_read() - after sqlite_file_end(): up to @len bytes from @offset. How many (0 at the end), or a negative errno. */
ssize_t sqlite_file_read(const struct sqlite_file *f, void *buf, size_t len, uint64_t offset);
