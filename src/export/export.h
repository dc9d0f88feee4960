// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the steps of one export hand to each other.
 *
 *   tenants.c    who there is to export, asked at each run
 *   learner.c    the same without a run (keepfs/export/learner.h)
 *   admins.c     who administers which of them (keepfs/export/admins.h)
 *   own_names.c  the schema or database of a tenant, and which are nobody's
 *   shared.c     what all exports of one run have in common: the tenants, a connection, what was decided
 *   decided.c    what tables there are, and what is done with each: read once, and anew when it has changed
 *   make.c       the order of the steps (exporting.h): from the snapshot to the published draft
 *   prepare.c    what is asked before anything is written
 *   read.c       all tables, and what is asked once their rows were seen
 *   publish.c    the draft, its file, and publishing
 *   rows.c       one table: its statement, its rows
 *   isolation.c  is a row the tenant's?
 *   writer.c     the formats (writer.h): json.c
 *   document.c   the JSON around the rows
 *   whole.c      reading back: is the document whole?
 *   key.c        the key of `hash`
 *   explain.c    what would be exported, for people
 *   probe.c      would it work now?
 *   leave.c      off-boarding: what was exported is deleted (leave_order.c, leave_drop.c, leave_look.c)
 */
#include <keepfs/base/str.h>
#include <keepfs/export.h>
#include <keepfs/make/draft.h>
#include <keepfs/pg/tenancy.h>
#include <keepfs/pg/tenant_rows.h>
#include <keepfs/policy/redaction.h>
#include <keepfs/policy/tenancy.h>

/** struct export_tenant - one that the query names */
struct export_tenant {
	char *id, *slug;
	char *name;      /* NULL: none */
	char *class;     /* NULL: none */
	char *uid, *gid; /* who administers it, as export_grants_add() takes them; NULL: nobody */
	char *own;       /* the name of its schema or database; NULL: with tenancy = column it has none */
};
void export_tenant_finish(struct export_tenant *t);

/** struct decided - the tables of a database, and what is done with each */
struct decided {
	struct tenancy_model model;
	struct tenancy_plan plan;
	struct redaction_plan redaction;
	bool is_decided;
	bool is_told;              /* its warnings were */
	char *mark;                /* of the tables: pg_tenant_mark(); NULL: none was read */
	char *database, *schema;   /* that it is of; NULL: the connection's, any */
	struct pg_table *lockable; /* whose rows are read, partitions one by one */
	size_t lockable_count;
	size_t checked_count; /* with the materialized views, which come behind them */
};

/** decided_refresh() - read what is new, as the transaction of @s sees it. @database, @schema: those of the tenant; NULL where they have no own. -EINVAL: a
 * rule makes no sense; else what the server said. */
int decided_refresh(struct decided *d, struct pg_session *s, const struct conf_export *conf,
                    const char *database, const char *schema, struct error *err);
void decided_finish(struct decided *d);
/** decided_refusal() - fill @err when an export must not be made of it: undecided tables, columns that look like secrets. 0 or -EPERM. */
int decided_refusal(const struct decided *d, const struct conf_export *conf, struct error *err);

/** struct export_shared - of one run: make_targets.shared */
struct export_shared {
	struct export_tenant *tenants; /* by slug */
	size_t count;
	struct decided decided;     /* of the last one */
	struct pg_session *session; /* outside of a transaction; NULL: none is open */
	char *session_database;     /* that it leads to; NULL: the connection's own */
};
struct export_shared *export_shared_new(void);
/** export_shared_free() - as make_targets.free_shared. */
void export_shared_free(void *shared);
/** export_shared_find() - NULL: there is none of that slug. */
const struct export_tenant *export_shared_find(const struct export_shared *shared, const char *slug);
/** export_shared_connect() - have a session that leads to @database (NULL: the connection's own), which was left by a tenant before, or a new one. */
int export_shared_connect(struct export_shared *shared, const struct conf_export *conf, const char *database,
                          struct cancel *cancel, struct error *err);
/** export_shared_disconnect() - it can be used no more. */
void export_shared_disconnect(struct export_shared *shared);

/** export_template() - heap: "{slug}" and "{id}" of @template are the tenant's. */
char *export_template(const char *template, const struct export_tenant *t);
/** export_own_name() - of the tenant's schema or database: heap; NULL with tenancy = column. */
char *export_own_name(const struct conf_export *conf, const struct export_tenant *t);
/** export_own_name_problem() - why no tenant's schema or database can be of that name: static; NULL: it can. Asks no server. */
const char *export_own_name_problem(const struct conf_export *conf, const char *name);
/** struct export_context - role and settings of a tenant; heap but for the role */
struct export_context {
	struct pg_tenant_context context;
	char **settings;
};
/** export_context_of() - false: the job has none. */
bool export_context_of(const struct conf_export *conf, const struct export_tenant *t,
                       struct export_context *ret);
void export_context_finish(struct export_context *c);

/** export_accepts(), export_targets(), export_make(), export_check(), export_rights() - of struct make_kind. */
int export_accepts(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_wanted *wanted, struct error *err);
int export_targets(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_wanted *wanted, struct make_targets *ret, struct error *err);
int export_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                struct error *err);
void export_look_around(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_target *made, struct cancel *cancel);
void export_check(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_findings *findings);
void export_rights(const struct make_context *ctx, const struct conf_job *job, struct str *script);
