// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows of a backup brought into a table that lives: those that it lacks, and where that is wanted those that differ.
 *
 *   pg_rescue_open()       a session
 *   pg_rescue_begin()      a transaction: the living table is looked at, and a temporary one is made that takes the backup's rows
 *   pg_rescue_data() …     all of these, in COPY's text format
 *   pg_rescue_values(), pg_rescue_leave_out()  rows that are not to come back
 *   pg_rescue_compare()    which of them are wanted, lacking, different
 *   pg_rescue_write()      what is lacking is inserted, what differs is replaced; pg_rescue_commit()
 *   pg_rescue_free()       then the session; without a commit nothing has changed
 *
 * The condition that people write is evaluated in a part of the transaction that can only read, as one statement. Triggers, foreign keys
 * and the role's own search_path are in force, as for whoever inserts rows; where row security would hide rows from the role it fails, since these
 * would seem to be missing. One thread; waits, cancelling and failures as
 * keepfs/pg/session.h says; a failure of any of these means that nothing was changed, but for a commit whose answer did not come.
 */
#include <keepfs/pg/session.h>
#include <stdint.h>

struct pg_rescue_order { /* all borrowed, until pg_rescue_free() */
	const char *
	        table; /* the living one: "public.orders", or "orders" as the search_path finds it; plain text, without quotes */
	const char *encoding; /* of the backup's texts and rows: "LATIN1"; "": that of the living database */
	const char *columns;  /* of the backup, in its encoding, quoted where needed: "(id, \"Name\")" */
	const char *where;    /* a condition about rows of the backup; NULL: all */
	const char *by;       /* columns that say which row it is: "id, day"; NULL: the primary key */
	bool common;          /* columns that only one of both has are left alone; else they are an error */
	bool replace;         /* rows that are there and differ become those of the backup */
	void (*statement)(void *arg, const char *sql); /* each one that writes, or would; NULL: nobody asks */
	void *arg;
};

#define PG_RESCUE_SHOWN 5 /* keys that are told */

struct pg_rescue_counts {
	uint64_t rows;    /* of the backup */
	uint64_t wanted;  /* of these, those for which the condition is true */
	uint64_t missing; /* of these, those that the living table lacks */
	uint64_t differing;
};

struct pg_rescue;

/** pg_rescue_open() - a session of the database @database; its texts are UTF-8. */
int pg_rescue_open(const char *conninfo, const char *database, struct cancel *cancel,
                   struct pg_session **ret_session, struct error *err);
/** pg_rescue_encode() - heap: @text, which is UTF-8, in the encoding of a backup; as it is when that is "". */
int pg_rescue_encode(struct pg_session *s, const char *text, const char *encoding, char **ret,
                     struct error *err);
/** pg_rescue_decode() - heap: the other way round. */
int pg_rescue_decode(struct pg_session *s, const char *text, const char *encoding, char **ret,
                     struct error *err);

/**
 * pg_rescue_begin() - @ret: the caller's pg_rescue_free(), before @s is freed
 * Return: 0: the rows can come; -ENOENT: there is no such table, @err names what is like it; -EINVAL (ERROR_USAGE): it is no table, it has no primary
 * key, columns are not the same: @err says which and what to do.
 */
int pg_rescue_begin(struct pg_session *s, const struct pg_rescue_order *order, struct pg_rescue **ret,
                    struct error *err);
/** pg_rescue_relation() - the living table, quoted where needed: "public.orders". Borrowed. */
const char *pg_rescue_relation(const struct pg_rescue *x);
/** pg_rescue_key() - by which columns rows are recognised: "id, day". Borrowed. */
const char *pg_rescue_key(const struct pg_rescue *x);
/** pg_rescue_left_out() - columns that @common leaves alone: "color, size"; "": none. Borrowed. */
const char *pg_rescue_left_out(const struct pg_rescue *x);
/** pg_rescue_data() - the next bytes of the rows, of any size. */
int pg_rescue_data(struct pg_rescue *x, const void *data, size_t len, struct error *err);
/** pg_rescue_values() - all rows have come: @take each value but NULL that they have in the column @column, once, as text; times are in UTC. 1: the backup's table has no such
 * column. */
int pg_rescue_values(struct pg_rescue *x, const char *column,
                     int (*take)(void *arg, const char *value, struct error *err), void *arg,
                     struct error *err);
/** pg_rescue_leave_out() - what comes back has no row that has one of these values there. @ret_rows: how many these were. The values are told to nobody. */
int pg_rescue_leave_out(struct pg_rescue *x, const char *column, const char *const *values, size_t count,
                        uint64_t *ret_rows, struct error *err);
/**
 * pg_rescue_compare() - all rows have come
 * Return: 0; -EINVAL (ERROR_USAGE): the condition is none, or the columns do not tell one row from another.
 */
int pg_rescue_compare(struct pg_rescue *x, struct pg_rescue_counts *ret, struct error *err);
/** pg_rescue_missing() - @take the keys of the first PG_RESCUE_SHOWN missing rows: "id=4711, day=2026-11-20". pg_rescue_differing() - of those that differ. */
int pg_rescue_missing(struct pg_rescue *x, void (*take)(void *arg, const char *key), void *arg,
                      struct error *err);
int pg_rescue_differing(struct pg_rescue *x, void (*take)(void *arg, const char *key), void *arg,
                        struct error *err);
/** pg_rescue_plan() - tell order->statement what pg_rescue_write() would run. */
void pg_rescue_plan(struct pg_rescue *x);
/** pg_rescue_write() - insert, and replace where that was ordered; @err names the key of the first row with which it fails. @ret: how many rows came of it. */
int pg_rescue_write(struct pg_rescue *x, uint64_t *ret_inserted, uint64_t *ret_replaced, struct error *err);
/** pg_rescue_sequences() - @take each sequence of the table that is, or would be, behind the column that it numbers, and the statement that mends it. */
int pg_rescue_sequences(struct pg_rescue *x,
                        void (*take)(void *arg, const char *sequence, const char *column, const char *sql),
                        void *arg, struct error *err);
/** pg_rescue_commit() - -EINPROGRESS: it is not known whether the server has done it. */
int pg_rescue_commit(struct pg_rescue *x, struct error *err);
struct pg_rescue *pg_rescue_free(struct pg_rescue *x);
DEFINE_CLEANUP(pg_rescue, struct pg_rescue *, pg_rescue_free)
