// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The statements of an import (keepfs/use/import.h, which says what comes when, and what holds for all of it): tables are described, rows come one by one, and from
 * then on everything is done by the server, over temporary tables.
 *
 * Keys are kept, or get new values ("remapped"): a column of a primary key that has a sequence gets the sequence's next value, a uuid one that
 * follows from the old one and the tenant's new name. What refers to them, by foreign keys and soft references, is rewritten by the same map. New numbers
 * are in the order of the old ones. So a repeated import knows each row again.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/session.h>
#include <keepfs/policy/tenancy.h>
#include <stdint.h>

enum pg_import_keys {
	PG_IMPORT_KEYS_DEFAULT, /* remapped when the tenant gets a new name, else kept */
	PG_IMPORT_KEYS_KEPT,
	PG_IMPORT_KEYS_REMAPPED,
};

/** struct pg_import_setting - something said of a column: "users.password_hash", "public.users.password_hash" */
struct pg_import_setting {
	const char *column;
	const char *value; /* NULL: NULL */
};

struct pg_import_options {  /* all borrowed; zeroed: nothing was said */
	const char *slug;   /* the tenant's new name; NULL: as it is in the file */
	const char *id;     /* its key in the target; NULL: kept, or a new one */
	const char *name;   /* for people; NULL: as it is */
	const char *schema; /* where the tenants have schemas: the target's; NULL: that of the file */
	enum pg_import_keys keys;
	/* Rows get this value in that column, whatever the file has. */
	const struct pg_import_setting *sets;
	size_t set_count;
	/* A value that is taken becomes this one, in which "{value}" stands for it: "{value}.imported". */
	const struct pg_import_setting *renames;
	size_t rename_count;
	char *const *ignored_columns; /* of the file, which the target has not; NULL-terminated; NULL */
	char *const *
	        references; /* soft references, besides those that the file names (policy/tenancy.h); NULL-terminated; NULL */
	/* What [export] says of whose rows are whose: a file that says something else of a table is refused. NULL: it is believed. */
	const struct tenancy_rules *rules;
	bool comes_back; /* to where it was: soft references may lead to what they led to; else to nobody else's rows */
	bool insert_shared; /* rows of shared tables that the target lacks are inserted */
	bool keep_living; /* rows of shared and referred tables that differ stay as the target has them; else that is a clash */
	/* Values that a trigger of the target changes, and rows that it adds, are told; else they are an error. */
	bool allow_changed;
	void (*say)(void *arg, const char *line); /* lines for people; NULL: nobody listens */
	void *arg;
};

/* What the file has. All borrowed, until pg_import_free(). */

struct pg_import_column {
	const char *name;
	bool generated;
};
struct pg_import_key {
	const char *const *columns;
	const char *schema, *table;
	const char *const *references;
	size_t count;
};
struct pg_import_table {
	const char *schema, *name;
	const struct pg_import_column *columns;
	size_t column_count;
	const struct pg_import_key *keys; /* foreign ones */
	size_t key_count;
	bool row_security;
	uint64_t rows;
	enum tenancy_way way;
	const char *tenant_column; /* NULL: it has none */
};
struct pg_import_source {
	const char *id, *slug, *name; /* the tenant; @name may be NULL */
	enum tenancy_kind tenancy;
	const char *schema; /* of tenancy by schemas: the tenant's own */
	const struct pg_import_table *tables;
	size_t table_count;
	char *const *references; /* soft ones; NULL-terminated; NULL: none */
};

struct pg_import_value {
	const char *text; /* what the type's input function takes */
	size_t len;
	bool is_null;
	bool is_json; /* an object of a composite type, or an array of such */
};

struct pg_import_found {
	bool tenant;    /* the target has rows of the tenant */
	bool same;      /* and they are those of the file: there is nothing to do */
	uint64_t rows;  /* that would be inserted */
	size_t clashes; /* that nothing was said about */
};

struct pg_import_difference {       /* of one table; borrowed */
	const char *schema, *table; /* of the target */
	uint64_t rows;              /* of the file */
	uint64_t missing;           /* of these, those that the target lacks */
	uint64_t extra;             /* rows of the tenant that the file has not */
	uint64_t differing;         /* rows with the same key and other values */
	const char *columns;        /* in which: "total, note"; "" */
};

struct pg_import;

/** pg_import_open() - see import_open(). */
int pg_import_open(const char *conninfo, const char *database, struct cancel *cancel, struct pg_session **ret,
                   struct error *err);
/** pg_import_new() - see import_new(). */
int pg_import_new(struct pg_session *s, const struct pg_import_source *source,
                  const struct pg_import_options *options, struct pg_import **ret, struct error *err);
/** pg_import_table_begin() - the rows of the table at this @place of the source come next. */
int pg_import_table_begin(struct pg_import *x, size_t place, struct error *err);
/** pg_import_row() - one row, with a value for each column of the source's. */
int pg_import_row(struct pg_import *x, const struct pg_import_value *values, struct error *err);
/** pg_import_table_end() - these were all rows of it. */
int pg_import_table_end(struct pg_import *x, struct error *err);
/** pg_import_staged() - all tables have come; are the rows all the tenant's, and do they refer to rows that are there? -EBADMSG: no. */
int pg_import_staged(struct pg_import *x, struct error *err);
/** pg_import_plan(), pg_import_insert(), pg_import_compare(), pg_import_tenant_id(), pg_import_commit() - see keepfs/use/import.h. */
int pg_import_plan(struct pg_import *x, struct pg_import_found *ret, struct error *err);
int pg_import_insert(struct pg_import *x, uint64_t *ret_rows, struct error *err);
int pg_import_compare(struct pg_import *x, void (*take)(void *arg, const struct pg_import_difference *d),
                      void *arg, struct error *err);
const char *pg_import_tenant_id(const struct pg_import *x);
int pg_import_commit(struct pg_session *s, struct error *err);
struct pg_import *pg_import_free(struct pg_import *x);
DEFINE_CLEANUP(pg_import, struct pg_import *, pg_import_free)
