// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of an import share; private to this room. */
#include "names.h"
#include "session.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/import.h>

/* Ours in the temporary tables; a column of this name cannot be imported. */
#define IMPORT_NUMBER "\"keepfs number\""
#define IMPORT_SHOWN  5 /* values that are told of each kind of trouble */

/** enum import_role - what becomes of the rows of a table */
enum import_role {
	IMPORT_OWN,      /* the tenant's: all are inserted */
	IMPORT_SHARED,   /* of everybody: they must be there */
	IMPORT_REFERRED, /* of several tenants: those that are there stay, the others are inserted */
};

struct import_column { /* of the target */
	char *quoted;
	int place;       /* in the file; -1: not in it, or not taken from it */
	bool is_there;   /* in the temporary tables, and inserted */
	const char *set; /* with @is_set: what each row gets */
	bool is_set;
	bool has_default; /* also an identity */
	bool is_json;     /* of a composite type: its values may come as json, too */
	bool is_tenant;   /* tells whose the row is */
	char *sequence;   /* heap: that its next value comes from, quoted; NULL */
	bool counts_down;
	int map; /* place in @maps, of new values for it; -1: it stays, or what it refers to says so */
};

struct import_table {
	const struct pg_import_table *file;
	uint32_t model; /* its place in the model */
	const struct tenancy_table *t;
	const struct tenancy_decision *d;
	enum import_role role;
	char *label;    /* heap: "public.orders", for people */
	char *relation; /* heap, quoted */
	char *from;     /* heap: as a statement names its own rows: "ONLY public.orders" */
	char *stage;    /* heap: the temporary table with the file's rows */
	char *ready;    /* heap: with those that are inserted; the same when nothing is rewritten */
	struct import_column *columns; /* as many as @t has */
	int *targets; /* for each column of the file: place in @columns; -1: the target has not got it; -2: not taken */
	bool is_there; /* the target has just these rows already */
	bool is_mapped;
	char *triggers; /* heap: names of those that fire; NULL: none */
	char *condition; /* heap: which rows of the target, "t", are the tenant's; once it is known who that is */
};

struct import_map { /* new values of a column */
	size_t table, column;
	char *name;     /* heap: the temporary table: old, new */
	bool is_tenant; /* of the tenant's own key */
	bool is_uuid;
};

struct pg_import {
	struct pg_session *session;              /* borrowed */
	const struct pg_import_source *source;   /* borrowed */
	const struct pg_import_options *options; /* borrowed */
	bool remaps;
	struct tenancy_model model;
	struct tenancy_plan plan;
	struct tenancy_plan own; /* by the rules of the options, without what the file says; with @has_own */
	bool has_own;
	struct import_table *tables; /* in the order in which they are inserted */
	size_t table_count;
	size_t *by_file; /* for each table of the source its place in @tables; SIZE_MAX: the target lacks it, and it has no rows */
	int *by_model; /* likewise of the model; -1 */
	struct import_map *maps;
	size_t map_count;
	int tenant_map;               /* of the tenant's own key; -1 */
	int self;                     /* place of the tenants' own table; -1 */
	int slug_column, name_column; /* of it; -1 */
	char *tenant;                 /* heap: the tenant's key in the target; NULL: not yet known */
	struct pg_import_found found;
	bool is_planned, is_inserted;
	struct str trouble; /* what import_compare() found first */
	/* While rows of a table come: */
	struct import_table *coming;
	struct str row;
	uint64_t number;
};

/** import_say() - a line for whoever listens. */
void import_say(const struct pg_import *x, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** import_ask() - one statement, or several. import_count() - what it counts. */
int import_ask(struct pg_import *x, const char *sql, struct error *err);
int import_count(struct pg_import *x, const char *sql, uint64_t *ret, struct error *err);
/** import_find_column() - place in the columns of the target; -1. */
int import_find_column(const struct import_table *t, const char *name);
/** import_find_setting() - what was said of a column, by "table.column" or "schema.table.column"; NULL: nothing. */
const struct pg_import_setting *import_find_setting(const struct pg_import_setting *settings, size_t count,
                                                    const struct import_table *t, const char *column);
/** import_has_rows() - those of @t are to be inserted. */
static inline bool import_has_rows(const struct import_table *t)
{
	return t->file->rows > 0 && !t->is_there;
}

/** import_match() - tables, columns, rules: fills all of @x that needs no rows. */
int import_match(struct pg_import *x, struct error *err);
/** import_match_columns() - of one table. */
int import_match_columns(struct pg_import *x, struct import_table *t, struct error *err);
/** import_learn_table() - defaults, sequences, triggers, and whether row security hides rows. */
int import_learn_table(struct pg_import *x, struct import_table *t, struct error *err);
/** import_decide_own() - x->own: whose rows are whose by the rules that were given, before anything of the file is known. */
void import_decide_own(struct pg_import *x);
/** import_check_own() - does the file say of the table what these rules say? -EBADMSG: no. */
int import_check_own(const struct pg_import *x, const struct import_table *t, struct error *err);
/** import_check_settings() - does what was said of columns name some that are there? */
int import_check_settings(const struct pg_import *x, struct error *err);
/** import_choose_maps() - which keys get new values. */
void import_choose_maps(struct pg_import *x);
/** import_map_of() - the map that says the new values of a column: its own, or that of what it refers to; -1. */
int import_map_of(const struct pg_import *x, size_t table, size_t column);

/** import_find_tenant() - who it is in the target: x->tenant, when it is there or keeps its key, and conditions. */
int import_find_tenant(struct pg_import *x, struct error *err);
/** import_new_tenant() - the key that a new tenant gets. */
int import_new_tenant(struct pg_import *x, struct error *err);
/** import_fill_maps() - new values; @there: those that rows in the target have. */
int import_fill_maps(struct pg_import *x, bool there, struct error *err);
/** import_check_softs() - soft references that keep their values, and would lead to rows of others: counted and told as clashes. */
int import_check_softs(struct pg_import *x, struct error *err);
/** import_make_ready() - rows as they are inserted, in tables of their own where something of them is rewritten. */
int import_make_ready(struct pg_import *x, struct error *err);
/** import_slug_is_key() - the tenant's key is its short name. */
static inline bool import_slug_is_key(const struct pg_import *x)
{
	return str_equal(x->source->id, x->source->slug);
}
/** import_salt() - the tenant's name, from which new uuids follow. */
const char *import_salt(const struct pg_import *x);

/** import_find_clashes() - values that others have: renamed, where that was said, or counted and told. */
int import_find_clashes(struct pg_import *x, struct import_table *t, struct error *err);
/** import_match_living() - hold rows of a shared or referred table against those that are there; only those that are to be inserted stay in the temporary table. */
int import_match_living(struct pg_import *x, struct import_table *t, struct error *err);
/** import_advance() - the sequence of a column goes behind what is in @from (a temporary table, or the target). */
int import_advance(struct pg_import *x, const struct import_column *c, const char *from, struct error *err);
/** import_append_living() - append "(SELECT t.* FROM ONLY public.orders t WHERE …)": the tenant's rows of the target */
void import_append_living(const struct import_table *t, struct str *out);
/** import_is_difference() - does that count? */
bool import_is_difference(const struct pg_import *x, const struct import_table *t,
                          const struct pg_import_difference *d);
/** import_differs() - hold the rows of @t against the target's. */
int import_differs(struct pg_import *x, const struct import_table *t, struct pg_import_difference *ret,
                   struct str *columns, struct error *err);
/** import_append_columns() - "a, b", of those that are inserted; @prefix: "s." or "". */
void import_append_columns(const struct import_table *t, const char *prefix, struct str *out);
/** import_append_key() - "id=4711, day=2026-11-20" of the row @alias, as an expression. */
void import_append_key(const struct import_table *t, const char *alias, struct str *out);
/** import_append_same_key() - "s.id = t.id AND …" */
void import_append_same_key(const struct import_table *t, const char *a, const char *b, struct str *out);
/** import_has_key() - it has a primary key, and the file has its columns. */
bool import_has_key(const struct import_table *t);
