// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of a rescue share; private to this room. */
#include "names.h"
#include "session.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/rescue.h>

/* The backup's rows, and the places of those that are missing, and that differ, each with a number in the order of the keys. */
#define RESCUE_ROWS      "pg_temp.keepfs_rescue"
#define RESCUE_MISSING   "pg_temp.keepfs_rescue_missing"
#define RESCUE_DIFFERING "pg_temp.keepfs_rescue_differing"

struct rescue_column { /* of the living table; heap */
	char *name, *quoted;
	char *loose; /* an expression whose type is that of the column, without its length or precision; NULL: the type has none */
	char *strict;    /* then: the type as it is, "numeric(10,2)" */
	bool is_decimal; /* then: 5.5 and 5.50 are one value */
	bool generated;  /* its value follows from others: nobody can give one */
	bool always; /* GENERATED ALWAYS AS IDENTITY: it can be given when a row is inserted, and not changed */
	bool has_number; /* an integer or a numeric */
};

struct pg_rescue {
	struct pg_session *session; /* borrowed */
	const struct pg_rescue_order *order;
	uint32_t oid;
	char *schema, *table; /* as they are; heap */
	char *relation;       /* quoted; heap */
	char *own_rows; /* the same, as a statement names it that means no rows of tables that inherit from it: "ONLY public.orders"; heap */
	uint64_t sent_rows;
	struct rescue_column *columns;
	size_t column_count;
	struct names backup;   /* columns of the backup, in its order */
	struct names common;   /* of them, those that can be written; quoted */
	struct names compared; /* of them, those that are no part of the key, and can be changed; quoted */
	struct names key, quoted_key;
	struct str key_text, left_out; /* for people */
	bool has_come;                 /* all of the backup's rows */
	bool has_identity;
	bool has_arbiter; /* a unique index is just of the key */
	struct pg_rescue_counts counts;
};

/** rescue_look() - the living table, its columns and its key, held against the backup's; fills all but the counts. */
int rescue_look(struct pg_rescue *x, struct error *err);
/** rescue_ask() - one statement, told to nobody. rescue_change() - one that writes: told to whoever wants to know. */
int rescue_ask(struct pg_rescue *x, const char *sql, struct error *err);
int rescue_change(struct pg_rescue *x, const char *sql, struct error *err);
int rescue_count(struct pg_rescue *x, const char *sql, uint64_t *ret, struct error *err);
/** rescue_end_rows() - no more rows come; again is no harm. */
int rescue_end_rows(struct pg_rescue *x, struct error *err);
/** rescue_find_column() - of the living table; NULL: it has none of that name. */
const struct rescue_column *rescue_find_column(const struct pg_rescue *x, const char *name);
/** rescue_join() - append "b.a = t.a AND b.c = t.c", with @between. rescue_list() - append "b.a, b.c". */
void rescue_join(const struct pg_rescue *x, struct str *out);
void rescue_list(const struct names *names, const char *prefix, struct str *out);
/** rescue_key_value() - append an expression whose value is "id=4711, day=2026-11-20" of the row b. */
void rescue_key_value(const struct pg_rescue *x, struct str *out);
