// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A tenant's data, as an export has it, brought into a database. In steps, all within one transaction, which is that of whoever calls:
 *
 *     import_open()     a session, and its transaction
 *     import_new()      the tables of the target, held against those of the file
 *     import_stage()    the rows of the file come into temporary tables, with the types of the target
 *     import_plan()     is the tenant there already, which keys and values clash; nothing is changed
 *     import_insert()   into the tables, those first that others refer to
 *     import_compare()  what the target has now, against the file
 *     import_commit()
 *     import_free(), pg_session_free()
 *
 * Whoever wants to take away rows that are there (to replace a tenant) does so between import_stage() and import_plan().
 * Nothing of the file is ever part of a statement: names are quoted, values go by COPY. Memory is bounded by one row and the heads of the tables; the temporary
 * tables are the server's, and as large as the data, twice when keys get new values. One thread; waits, cancelling and failures as keepfs/pg/session.h says.
 * After a failure nothing was changed, but for sequences, which may have passed numbers over, and a commit whose answer did not come (-EINPROGRESS).
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/pg/import.h>
#include <keepfs/pg/session.h>

struct exported; /* keepfs/exported.h */
struct import;

/**
 * import_open() - connect, and begin the transaction of an import: READ COMMITTED, row_security off, no time limits of the server, texts in UTF-8
 * @database: NULL: as @conninfo says
 * @ret: the caller's pg_session_free(), which rolls back what was not committed
 */
int import_open(const char *conninfo, const char *database, struct cancel *cancel, struct pg_session **ret,
                struct error *err);

/**
 * import_new() - read what tables the target has, and match them to the file's by schema and name, and their columns by name
 * @s: in a transaction of import_open()
 * @exported: opened, its rows not yet asked for; stays open until import_free()
 * @options: borrowed until import_free()
 * @ret: the caller's import_free(), before that of @s
 *
 * Return: 0; -EINVAL (ERROR_USAGE): what cannot be imported so: a table of which the file has rows is missing, or a column; a column needs a value that the
 * file has not; row security is not enabled where the source had it; an option names what is not there. -EACCES (ERROR_DENIED): row security applies to the
 * connection's role. @err names it, and what to do.
 */
int import_new(struct pg_session *s, struct exported *exported, const struct pg_import_options *options,
               struct import **ret, struct error *err);
/**
 * import_stage() - all rows of the file; once
 * Return: 0; -EBADMSG (ERROR_CORRUPT): the file is not whole, or holds rows that are not the tenant's, or refer to rows that are not in it (an edited file); what
 * the server says of a value that its column does not take.
 */
int import_stage(struct import *imp, struct error *err);
/**
 * import_plan() - what import_insert() would do; options->say is told: tables with their rows, which keys get new values, each clash and the rename that
 * would mend it
 * @ret: may be NULL
 * Locks: ACCESS SHARE on the tables, as every SELECT takes it, and a lock of keepfs's own, so that no second import of this tenant is at work.
 * Return: 0, whatever @ret says; -EBUSY (ERROR_CONFLICT): a second import of this tenant is at work.
 */
int import_plan(struct import *imp, struct pg_import_found *ret, struct error *err);
/**
 * import_insert() - the rows
 * Behind import_plan(), which found neither clashes nor the tenant: else -EEXIST (ERROR_CONFLICT), with what was found. Triggers of the tables fire as they are. @ret_rows may be
 * NULL.
 */
int import_insert(struct import *imp, uint64_t *ret_rows, struct error *err);
/**
 * import_compare() - table by table, what the file has (with new keys) against the tenant's rows that the target has; @take may be NULL
 * Behind import_plan() or import_insert(). Without import_insert(), of a tenant that is there (pg_import_found.tenant), it is what would have to change.
 * Return: 0: there is no difference; 1: there is, and @err (ERROR_CONFLICT) names the first ones; negative errno. Rows of shared and referred tables that the file has
 * not are no difference.
 */
int import_compare(struct import *imp, void (*take)(void *arg, const struct pg_import_difference *d),
                   void *arg, struct error *err);
/** import_tenant_id() - the tenant's key in the target, as text: behind import_plan() of a tenant that is there, or import_insert(). NULL: there is none. Borrowed. */
const char *import_tenant_id(const struct import *imp);
/** import_commit() - -EINPROGRESS: it is not known whether the server has done it; ordering the same once more says it. */
int import_commit(struct pg_session *s, struct error *err);
/** import_free() - NULL allowed; returns NULL. */
struct import *import_free(struct import *imp);
DEFINE_CLEANUP(import, struct import *, import_free)
