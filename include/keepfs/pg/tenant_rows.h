// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The statements of an export: the rows of one table that are a tenant's, with what proves it of each. They are run within a transaction of
 * pg_tenant_export() (keepfs/pg/tenancy.h); failures: negative errno, and @err with the server's words.
 */
#include <keepfs/pg/session.h>
#include <keepfs/pg/snapshot.h>
#include <stdint.h>

enum pg_tenant_read {
	PG_TENANT_AS_IS,
	PG_TENANT_AS_JSON, /* to_json() of it */
	PG_TENANT_AS_NULL, /* NULL, whatever it is: the value stays at the server */
};

struct pg_tenant_column {
	const char *name;
	enum pg_tenant_read read;
};

struct pg_tenant_rows { /* borrowed */
	const char *schema, *table;
	bool with_partitions;    /* it is the root of some: its rows are theirs */
	const char *condition;   /* over the alias "t"; "" or NULL: all rows */
	const char *proof;       /* over the alias "t" */
	const char *tenant_name; /* of the tenant's column; NULL: it has none */
	const struct pg_tenant_column *columns;
	size_t column_count;
	/* Only rows of the pages [from, to); @to_page UINT32_MAX: to the end; 0: of all pages. */
	uint32_t from_page, to_page;
};

/**
 * pg_tenant_rows_copy() - heap: the COPY to the client. The first field of each row is the proof ("t" when it holds), the second one the
 * tenant's column cast to text (NULL: there is none); behind these come the columns.
 */
char *pg_tenant_rows_copy(const struct pg_tenant_rows *rows);
/** struct pg_tenant_cost - what the server's planner thinks of such a statement, in its own units */
struct pg_tenant_cost {
	bool is_range; /* it goes through the pages of its range alone */
	double startup, total;
	double rows;
	uint32_t width; /* bytes of a row */
};
/** pg_tenant_rows_cost() - ask it; nothing is run. */
int pg_tenant_rows_cost(struct pg_session *s, const struct pg_tenant_rows *rows, struct pg_tenant_cost *ret,
                        struct error *err);
/**
 * pg_tenant_pages() - how many pages each of @count tables has now; 0 of what cannot be read in ranges: no heap, or the server is older than 14
 * @tables: which @s has locked
 */
int pg_tenant_pages(struct pg_session *s, const struct pg_table *tables, size_t count, uint32_t *ret_pages,
                    struct error *err);
/** pg_tenant_rows_exist() - heap: for pg_tenant_exists(): are there more than the @known rows? */
char *pg_tenant_rows_exist(const struct pg_tenant_rows *rows, uint64_t known);
/** pg_tenant_rows_count() - how many. */
int pg_tenant_rows_count(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t *ret,
                         struct error *err);

/**
 * pg_tenant_lock() - ACCESS SHARE on @count tables, in one statement; waits for at most @wait_ms for each
 * @tables: pg_table.oid and .relation (quoted); no foreign tables and no materialized views, which have no such lock
 * Then each of them is as the snapshot has it: see pg_tables_check(). -ESTALE (ERROR_CONFLICT), -EBUSY, or what the server said.
 */
int pg_tenant_lock(struct pg_session *s, const struct pg_table *tables, size_t count, int64_t wait_ms,
                   struct error *err);
/** pg_tenant_limit_waits() - statements of the transaction wait for a lock for @wait_ms at most from now on (0: as long as it takes). For one that has joined: who
 * waits for an exclusive lock behind the first one would be waited for by this one, and nobody would ever go on. */
int pg_tenant_limit_waits(struct pg_session *s, int64_t wait_ms, struct error *err);
/**
 * pg_tenant_check_form() - have @tables, which @s has locked, the columns, policies and partitions that its snapshot shows?
 * @now: another session on the same database, outside of a transaction, and so again after a success
 *
 * What was changed after the snapshot and before the locks is in force for all statements of @s, though its catalogs do not show it: rows of
 * a partition that was detached do not come, a column may have another one's name. -ESTALE (ERROR_CONFLICT), or what the server said.
 */
int pg_tenant_check_form(struct pg_session *s, struct pg_session *now, const struct pg_table *tables,
                         size_t count, struct error *err);
/** pg_tenant_end() - end the transaction, and with it the snapshot. A session whose connection broke can only be freed. */
int pg_tenant_end(struct pg_session *s, struct error *err);
/**
 * pg_tenant_mark() - heap: a word that is another one when tables, columns, types, foreign keys, policies, comments or extensions are others than they were. What
 * pg_tenancy_read() said holds as long as it is the same.
 */
int pg_tenant_mark(struct pg_session *s, char **ret_mark, struct error *err);
/** pg_tenant_version() - of the server: "15.4 (Debian 15.4-1)". Borrowed from @s. */
const char *pg_tenant_version(const struct pg_session *s);
