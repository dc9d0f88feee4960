// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Rows that were exported are deleted, and no others. A row is known by where it stands and by the transaction that wrote it
 * (tableoid, ctid, xmin): these are read in the snapshot of the export, and a row that was changed, moved or made since is another one.
 *
 *   pg_row_places()                 in the export's transaction
 *   pg_delete_open()                another session, that writes
 *   pg_delete_begin()               a transaction, READ COMMITTED
 *   pg_delete_add() …, pg_delete_listed()    the rows that are meant
 *   pg_delete_hold()                they are as they were, and from now on nobody changes them or refers to them
 *   pg_delete_references()          do others refer to them?
 *   pg_delete_rows()
 *   pg_delete_commit(), or pg_delete_roll_back(), after failures too
 *
 * A session belongs to one thread; waits, cancelling and failures as keepfs/pg/session.h says. Locks are waited for a minute at most.
 */
#include <keepfs/pg/tenant_rows.h>

struct pg_row_place {
	uint32_t table; /* tableoid: of a partition its own */
	uint32_t block;
	uint32_t xmin;
	uint16_t offset;
};

/** pg_row_places() - @take for each of these rows, in any order; a row whose proof does not hold is none. */
int pg_row_places(struct pg_session *s, const struct pg_tenant_rows *rows,
                  int (*take)(void *arg, const struct pg_row_place *place, struct error *err), void *arg,
                  struct error *err);

/** pg_delete_open() - as pg_session_open(). */
int pg_delete_open(const char *conninfo, const char *database, struct cancel *cancel, struct pg_session **ret,
                   struct error *err);
/** pg_delete_begin() - with an empty list. search_path is empty, row_security off: a statement from which policies would hide rows fails. */
int pg_delete_begin(struct pg_session *s, struct error *err);
/** pg_delete_begin_within() - the same in a transaction that was begun already. */
int pg_delete_begin_within(struct pg_session *s, struct error *err);
/** pg_delete_add() - to the list; pg_delete_listed() - that was all. */
int pg_delete_add(struct pg_session *s, const struct pg_row_place *places, size_t count, struct error *err);
int pg_delete_listed(struct pg_session *s, struct error *err);
/** pg_delete_commit() - -EINPROGRESS (ERROR_UNAVAILABLE): the connection broke, and it is not known whether it was done. */
int pg_delete_commit(struct pg_session *s, struct error *err);
/** pg_delete_roll_back() - also where there is no transaction, or the connection is broken. */
void pg_delete_roll_back(struct pg_session *s);

/**
 * pg_delete_unchanged() - are those @count rows of the list that are of this table still as they were? pg_delete_hold() - they are, and are locked until the end of the
 * transaction: no other one can change them, or insert a row that refers to them by a foreign key. -ESTALE (ERROR_CONFLICT) names the table.
 */
int pg_delete_unchanged(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t count,
                        struct error *err);
int pg_delete_hold(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t count,
                   struct error *err);
/** pg_delete_others() - how many rows that fulfil the condition are not in the list: they came, or were changed, since. */
int pg_delete_others(struct pg_session *s, const struct pg_tenant_rows *rows, uint64_t *ret,
                     struct error *err);

struct pg_delete_reference {    /* borrowed */
	const char *constraint; /* its name */
	const char *from, *to;  /* the tables, quoted where needed: "public.audit" */
	/* What the deletion would do to rows that refer: 'a', 'r': it fails; 'c': they are deleted, too; 'n', 'd': they refer to nothing, or to a default. */
	char action;
};
/** pg_delete_references() - @take for each foreign key by which a row that is not in the list refers to one of @count tables that is in it. */
int pg_delete_references(struct pg_session *s, const uint32_t *oids, size_t count,
                         int (*take)(void *arg, const struct pg_delete_reference *found, struct error *err),
                         void *arg, struct error *err);
/** pg_delete_rights() - heap: which of @count tables the role may not delete from (or lock rows of): "public.a, public.b"; NULL: none. */
int pg_delete_rights(struct pg_session *s, const uint32_t *oids, size_t count, char **ret, struct error *err);

/**
 * pg_delete_rows() - the rows of the list that are of these tables, in one statement, after which foreign keys are looked at: so tables may refer to each
 * other in a circle
 * @ret: for each table, how many. Fewer than the list has: a trigger has kept some, or a rule.
 */
int pg_delete_rows(struct pg_session *s, const struct pg_tenant_rows *tables, size_t count, uint64_t *ret,
                   struct error *err);
