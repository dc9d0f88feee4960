// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Tables of an export as SQL for psql: the least definitions with which their rows can be loaded into an empty database. Types of the database
 * that SQL can make anew (enums, composite types, domains without their checks, ranges) are made; a column of another type (one of an
 * extension, or such as regclass, whose values name objects of the database) becomes one of text, with a remark. Defaults, checks, indexes and triggers are left out.
 *
 * Where tables and types are there already, nothing of them is changed, so that it can also be loaded beneath an application's own tables while
 * these are empty.
 */
#include <keepfs/pg/session.h>
#include <keepfs/policy/tenancy.h>

struct pg_ddl; /* what the model does not say: types, and the expressions of generated columns */
/** pg_ddl_read() - as the transaction of @s sees it, which pg_tenant_export() has begun; not within a tenant's context. */
int pg_ddl_read(struct pg_session *s, struct pg_ddl **ret, struct error *err);
struct pg_ddl *pg_ddl_free(struct pg_ddl *d); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(pg_ddl, struct pg_ddl *, pg_ddl_free)

enum pg_ddl_value {
	PG_DDL_AS_IT_IS,
	PG_DDL_NULL, /* all are NULL */
	PG_DDL_TEXT, /* something else stands in its place */
};
struct pg_ddl_column {
	const struct tenancy_column *column;
	enum pg_ddl_value value;
};
struct pg_ddl_table { /* borrowed */
	const struct tenancy_table *table;
	const struct pg_ddl_column *columns; /* those that there are rows of */
	size_t count;
	bool is_whole; /* it has all of its columns, and nothing in them is redacted */
};

/* In all of these @d may be NULL: no type of the database is known then, and no expression. */

/** pg_ddl_append_schemas() - append what makes the schemas; pg_ddl_append_types() - the types that these tables need. */
void pg_ddl_append_schemas(const struct pg_ddl_table *tables, size_t count, struct str *out);
void pg_ddl_append_types(struct pg_ddl *d, const struct pg_ddl_table *tables, size_t count, struct str *out);
/** pg_ddl_append_table() - the table, without keys, and the sequence of a column that has one. */
void pg_ddl_append_table(struct pg_ddl *d, const struct pg_ddl_table *table, struct str *out);
/** pg_ddl_is_computed() - does that database compute the column anew, so that COPY must leave it out? */
bool pg_ddl_is_computed(struct pg_ddl *d, const struct pg_ddl_table *table, size_t column);
/** pg_ddl_append_copy() - the COPY behind which its rows come. */
void pg_ddl_append_copy(struct pg_ddl *d, const struct pg_ddl_table *table, struct str *out);
/** pg_ddl_append_keys() - behind all rows: its primary key, and sequences go on behind the largest number. */
void pg_ddl_append_keys(const struct pg_ddl_table *table, struct str *out);
/** pg_ddl_append_unique() - @columns, @count of them in @table, are unique. */
void pg_ddl_append_unique(const struct tenancy_table *table, const uint32_t *columns, size_t count,
                          struct str *out);
/** pg_ddl_append_foreign_key() - of @key. Rows that refer to none make a warning, and leave the key NOT VALID. */
void pg_ddl_append_foreign_key(const struct tenancy_model *model, const struct tenancy_key *key,
                               struct str *out);

/** pg_ddl_append_remark() - @text as comments: whatever is in it, it stays one. */
void pg_ddl_append_remark(const char *text, struct str *out);
/**
 * pg_ddl_append_begin(), pg_ddl_append_end() - what comes first and last: the settings with which rows are read again, and a guard. It lets a transaction
 * that has not come to the end fail when it is committed: of a file that was cut off nothing is loaded.
 */
void pg_ddl_append_begin(struct str *out);
void pg_ddl_append_end(struct str *out);
