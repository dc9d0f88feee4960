// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Tables whose versions somebody looked at in history/ of the mount, and what was counted of each in the dumps of its directory: so that
 * to look again costs no request to the store. What is kept is bounded: of CATALOG_HISTORY_TABLES tables that they were looked up, the
 * last ones, and of CATALOG_HISTORY_COUNTED tables what was counted. It is not in copies of the catalog. See keepfs/catalog.h for
 * what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/catalog/entries.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

#define CATALOG_HISTORY_TABLES  262144
#define CATALOG_HISTORY_COUNTED 1000

struct catalog_history_table {
	uint64_t number; /* of the row; never given again */
	uint64_t ino;    /* of its directory in the mount */
	uint64_t directory_ino;
	char name[NAME_MAX_BYTES];
};

enum catalog_history_state {                            /* in the catalog: never changed */
	                     CATALOG_HISTORY_NOT_KNOWN, /* nothing was counted of that dump, or it cannot be read */
	                     CATALOG_HISTORY_NOT_THERE, /* the dump has no such table */
	                     CATALOG_HISTORY_THERE,
};

struct catalog_history_count {
	uint64_t ino; /* of the link to this version in the mount */
	enum catalog_history_state state;
	uint64_t rows, bytes, hash; /* CATALOG_HISTORY_THERE */
	struct catalog_entry
	        dump;    /* catalog_history_put() takes its ino and mtime_us (when it was finished) */
	bool is_partial; /* the dump is of less than its job asks for; catalog_history_put() ignores it */
};

/** catalog_history_add() - remember that a table was looked up; nothing when it is. The oldest is forgotten when there are too many. @table->number
 * is filled in. */
int catalog_history_add(struct catalog *c, struct catalog_history_table *table, struct error *err);
/** catalog_history_table() - by the number of its directory in the mount; -ENOENT: nobody has looked it up, or it was forgotten. */
int catalog_history_table(struct catalog *c, uint64_t ino, struct catalog_history_table *ret);
/** catalog_history_link() - which table and which dump a link is of; -ENOENT: it was forgotten, or the dump is gone. */
int catalog_history_link(struct catalog *c, uint64_t ino, struct catalog_history_table *ret_table,
                         struct catalog_entry *ret_dump);
/** catalog_history_lacking() - the newest dump of the table's directory of which it was not noted yet what was counted; -ENOENT: there is none. */
int catalog_history_lacking(struct catalog *c, const struct catalog_history_table *table,
                            struct catalog_entry *ret);
/** catalog_history_put() - note what was counted of a table in some dumps. The table that was counted first is counted no more when
 * there are too many. -ESTALE: the table was forgotten meanwhile. */
int catalog_history_put(struct catalog *c, const struct catalog_history_table *table,
                        const struct catalog_history_count *counts, size_t count, struct error *err);
/** catalog_history_counts() - a page of what is noted of a table: of dumps that are there, by their sequence, greater than @after.
 * Otherwise as catalog_entries(). */
ssize_t catalog_history_counts(struct catalog *c, const struct catalog_history_table *table, int64_t after,
                               struct catalog_history_count *counts, size_t max);
/** catalog_history_newest() - the newest dump of a directory that has a .tables.csv and is not partial; -ENOENT. */
int catalog_history_newest(struct catalog *c, uint64_t directory_ino, struct catalog_entry *ret);
