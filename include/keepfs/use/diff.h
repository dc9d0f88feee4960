// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Two dumps, compared: which of their tables differ, as what was counted of them tells; which rows of one table differ, as reading both tells; and which
 * objects of their schemas.
 *
 *   diff_open()       two backups, by their names
 *   diff_tables()     all tables of both; reads nothing but what inside_open() read
 *   diff_look()       one of them
 *   diff_rows_open()  one table: reads both versions of it
 *   diff_rows_read()  the rows of one side that the other does not have
 *   diff_schema()     the text of what differs in the schemas
 *
 * "A" is the first of the two, and "B" the second: what only B has is new or added. One thread at a time. Everything blocks
 * while it reads from the store, where not said otherwise, and fails as inside_read_rows() does.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/str.h>
#include <keepfs/inside.h>

struct catalog;

struct diff_options { /* all borrowed */
	struct inside *inside;
	struct catalog *catalog;
	const char *state_dir;
	uint64_t memory_bytes; /* for comparing rows, beside what the pool of @inside has */
	uint64_t space_bytes;  /* of temporary files for that, at most */
	struct cancel *cancel; /* NULL: it cannot be cancelled */
	/* Of a comparison of rows: @bytes more were read, of @expected_bytes in all (0: not known); any thread, also two at once; NULL: nobody looks. */
	void (*progress)(void *arg, uint64_t bytes, uint64_t expected_bytes);
	void *arg;
};

enum diff_side { DIFF_A, DIFF_B };

struct diff_backup {
	char *path; /* "backups/full/20261120T020000Z.dump", whatever it was called */
	uint64_t ino;
	struct inside_dump *dump;
};

struct diff; /* two open dumps */

/** diff_open() - @a and @b as people write them ("full/latest.dump"). -EINVAL (ERROR_USAGE): there is no such backup; -ENOTSUP: it is no dump. */
int diff_open(const struct diff_options *options, const char *a, const char *b, struct diff **ret,
              struct error *err);
/** diff_open_found() - as diff_open(), of two artifacts by their numbers (catalog_entry.ino). *ret_failed: where it failed, which of them it was about. */
int diff_open_found(const struct diff_options *options, const uint64_t inos[2], struct diff **ret,
                    enum diff_side *ret_failed, struct error *err);
struct diff *diff_free(struct diff *d); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(diff, struct diff *, diff_free)
/** diff_backup() - borrowed. Does not block. */
const struct diff_backup *diff_backup(const struct diff *d, enum diff_side side);

enum diff_state {
	DIFF_SAME,    /* as many rows, of as many bytes, with the same hash; and the same columns */
	DIFF_CHANGED, /* other rows */
	DIFF_COLUMNS, /* other columns, or in another order: their rows cannot be compared */
	DIFF_NEW,     /* only B has it */
	DIFF_GONE,    /* only A has it */
	DIFF_UNKNOWN, /* nobody has counted or hashed its rows in one of the two: they have to be read */
};
#define DIFF_STATES (DIFF_UNKNOWN + 1)
/** diff_state_name() - "same", "changed", "columns", "new", "gone", "unknown"; static. */
const char *diff_state_name(enum diff_state state);

struct diff_table {
	enum diff_state state;
	const char *schema, *table;       /* borrowed for the call */
	const struct inside_table *a, *b; /* NULL: it is not there */
};

/**
 * diff_tables() - @each is called for every table with data in A or B: those of B in its order, then those that are gone, in the order of A
 * Reads nothing from the store. Return: 0, or what @each returned.
 */
int diff_tables(struct diff *d, int (*each)(void *arg, const struct diff_table *table, struct error *err),
                void *arg, struct error *err);

struct diff_looked { /* a table, and what of it is in either dump */
	struct diff_table table;
	struct inside_table versions[2];
};
static inline void cleanup_diff_looked(struct diff_looked *t)
{
	free(t->versions[DIFF_A].schema);
	free(t->versions[DIFF_B].schema);
}

/** DIFF_SEVERAL - of diff_look(): one of the dumps has its rows in several places, so they cannot be compared; @ret is filled in, and its state DIFF_UNKNOWN. */
#define DIFF_SEVERAL 1
/**
 * diff_look() - the table @number (from 1) of @side, held against the table of that name in the other dump
 * For whoever wants a page of the tables, or one of them; otherwise as diff_tables(). Of a table that is in several places of @side each number but the first
 * is -ENOENT. Return: 0 with the caller's cleanup_diff_looked(); DIFF_SEVERAL with it, too, and @err says which; -ENOENT: there is no such number; or as inside_table().
 */
int diff_look(struct diff *d, enum diff_side side, uint32_t number, struct diff_looked *ret,
              struct error *err);
/** diff_check_rows() - can the rows of a table be compared? Return: 0; -ENOTSUP (ERROR_USAGE), with the reason: the columns differ, or the encodings. Does not block. */
int diff_check_rows(const struct diff *d, const struct diff_table *table, struct error *err);
/** diff_failed_at() - whether the call that failed last told of reading one of the two, and of which. On the thread that called it. */
bool diff_failed_at(const struct diff *d, enum diff_side *ret);

struct diff_rows;

/**
 * diff_rows_open() - compare the rows of one table: "public.orders", or "orders" when there is only one of that name
 * A table that only one of the dumps has is all new, or all gone. What is known to be the same is not read.
 * Return: 0; -ENOENT (ERROR_USAGE): no dump has it; -EINVAL (ERROR_USAGE): there are several of that name; -ENOTSUP (ERROR_USAGE): their columns differ;
 * -ENOSPC (ERROR_NO_SPACE): with what to do; -ECANCELED.
 */
int diff_rows_open(struct diff *d, const char *name, struct diff_rows **ret, struct error *err);
/** diff_rows_open_found() - as diff_rows_open(), of the table with these numbers in A and B; 0: it is not there. */
int diff_rows_open_found(struct diff *d, const uint32_t numbers[2], struct diff_rows **ret,
                         struct error *err);
struct diff_rows *diff_rows_free(struct diff_rows *rows); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(diff_rows, struct diff_rows *, diff_rows_free)
/** diff_rows_table() - what is compared; borrowed. Does not block. */
const struct diff_table *diff_rows_table(const struct diff_rows *rows);
/** diff_rows_count() - rows that only @side has. Does not block. */
uint64_t diff_rows_count(const struct diff_rows *rows, enum diff_side side);
/** diff_rows_read() - those rows, in their order, in COPY's text format: @row is called with pieces of a row without its line end; @ends: of the last piece of each. */
int diff_rows_read(struct diff_rows *rows, enum diff_side side,
                   int (*row)(void *arg, const void *data, size_t len, bool ends, struct error *err),
                   void *arg, struct error *err);

/**
 * diff_schema() - append what differs: a heading for each object that is new, gone or changed, and its lines as codec/line_diff.h has them
 * Nothing is appended where the schemas are equal. Of each object some hundred bytes are in memory; the texts are in temporary files.
 * Return: 0; -ENOENT: there is no pg_restore that reads one of the two; otherwise as inside_write_schema().
 */
int diff_schema(struct diff *d, struct spool *out, struct error *err);
