// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What the steps of one export hand to each other.
 *
 *   tenants.c    who there is to export, asked at each run
 *   places.c     which store gets the exports of a tenant, and do these work
 *   learner.c    the same without a run (keepfs/export/learner.h)
 *   admins.c     who administers which of them (keepfs/export/admins.h)
 *   own_names.c  the schema or database of a tenant, and which are nobody's
 *   shared.c     what all exports of one run have in common: the tenants, and lanes, each with a connection and what was decided
 *   decided.c    what tables there are, and what is done with each: read once, and anew when it has changed
 *   make.c       the order of the steps (exporting.h): from the snapshot to the published draft
 *   prepare.c    what is asked before anything is written
 *   read.c       all tables, and what is asked once their rows were seen
 *   publish.c    the draft, its file, and publishing
 *   units.c      in which parts the tables are read
 *   reading.c    the readers, each with a connection, whose rows come out in order; squeeze.c compresses them
 *   rows.c       one table, or a range of its pages: its statement, its rows
 *   suspects.c   does a value look like a secret?
 *   isolation.c  is a row the tenant's?
 *   writer.c     the formats (writer.h): json.c
 *   document.c   the JSON around the rows
 *   whole.c      reading back: is the document whole?
 *   key.c        the key of `hash`
 *   explain.c    what would be exported, for people
 *   probe.c      would it work now?
 *   copy.c       the same of a copy that somebody has made of the database, with the rows of one tenant
 *   local.c      an export into a file of this host
 *   leave.c      off-boarding: what was exported is deleted (leave_order.c, leave_drop.c, leave_look.c)
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/str.h>
#include <keepfs/export.h>
#include <keepfs/export/copy.h>
#include <keepfs/make/draft.h>
#include <keepfs/pg/tenancy.h>
#include <keepfs/pg/tenant_ddl.h>
#include <keepfs/pg/tenant_rows.h>
#include <keepfs/policy/redaction.h>
#include <keepfs/policy/tenancy.h>

/** enum export_place - what the query may say of where the exports of a tenant go, in the order of struct pg_tenant's place */
enum export_place {
	EXPORT_STORE,
	EXPORT_STORE_URL,
	EXPORT_STORE_BUCKET,
	EXPORT_STORE_ENDPOINT,
	EXPORT_STORE_REGION,
	EXPORT_STORE_CREDENTIALS,
	EXPORT_STORE_PROVIDER,
};

/** struct export_tenant - one that the query names */
struct export_tenant {
	char *id, *slug;
	char *name;      /* NULL: none */
	char *class;     /* NULL: none */
	char *uid, *gid; /* who administers it, as export_grants_add() takes them; NULL: nobody */
	char *place[PG_TENANT_PLACES]; /* by enum export_place; NULL: it says nothing */
	char *own; /* the name of its schema or database; NULL: with tenancy = column it has none */
};
void export_tenant_finish(struct export_tenant *t);

/** struct decided - the tables of a database, and what is done with each */
struct decided {
	struct tenancy_model model;
	struct tenancy_plan plan;
	struct redaction_plan redaction;
	bool is_decided;
	struct pg_ddl *ddl;        /* decided_read_ddl(); NULL: not read */
	char *mark;                /* of the tables: pg_tenant_mark(); NULL: none was read */
	char *database, *schema;   /* that it is of; NULL: the connection's, any */
	struct pg_table *lockable; /* whose rows are read, partitions one by one */
	size_t lockable_count;
	size_t checked_count; /* with the materialized views, which come behind them */
	uint32_t *
	        pages; /* of each table of the model that can be read in ranges of pages, when they were looked at; NULL: not yet */
};

/** decided_refresh() - read what is new, as the transaction of @s sees it. @database, @schema: those of the tenant; NULL where they have no own. -EINVAL: a
 * rule makes no sense; else what the server said. */
int decided_refresh(struct decided *d, struct pg_session *s, const struct conf_export *conf,
                    const char *database, const char *schema, struct error *err);
/** decided_read_ddl() - what formats need to know that have definitions of their own: anew, since a label may have come to a type. */
int decided_read_ddl(struct decided *d, struct pg_session *s, struct error *err);
void decided_finish(struct decided *d);
/** decided_refusal() - fill @err when an export must not be made of it: undecided tables, columns that look like secrets. 0 or -EPERM. */
int decided_refusal(const struct decided *d, const struct conf_export *conf, struct error *err);

/**
 * struct export_lane - what one export has for itself, and hands on to the next one: a connection, and what was decided of the tables
 * One thread at a time.
 */
struct export_lane {
	struct pg_session *session; /* outside of a transaction; NULL: none is open */
	struct pg_session
	        *outside;        /* sees what is in force now, for a look: outside of a transaction; NULL */
	char *session_database;  /* that both lead to; NULL: the connection's own */
	struct decided *decided; /* of the last one; heap, since its parts refer to each other */
	struct cancel cancel; /* of the session: set when the run is cancelled, or by whoever uses the lane */
	struct cancel_hook outer;
	struct cancel *outer_cancel;
	struct export_lane *next;
};

/** struct export_shared - of one run: make_targets.shared. Any thread, for all that is below @lock. */
struct export_shared {
	struct export_tenant *tenants; /* by slug */
	size_t count;
	unsigned connections; /* that may be open at once, to read */
	pthread_mutex_t lock;
	unsigned in_use;          /* lock: of these */
	struct export_lane *idle; /* lock */
	char *told;         /* lock: of which tables the warnings were told: export_shared_claim_told() */
	char *telling;      /* lock: somebody is about to */
	bool is_alone_told; /* lock: that there is no second connection was said */
	const struct export_copy
	        *copy; /* that is read in place of the database; NULL: it is the database itself */
	struct export_counts *counts; /* of @copy: filled when it was made */
};
struct export_shared *export_shared_new(void);
/** export_shared_free() - as make_targets.free_shared; all lanes were given back. */
void export_shared_free(void *shared);
/** export_shared_find() - NULL: there is none of that slug. */
const struct export_tenant *export_shared_find(const struct export_shared *shared, const char *slug);
/** export_lane_take() - an idle one, or a new one; counts as a connection. @cancel: of the run, the same for all. */
struct export_lane *export_lane_take(struct export_shared *shared, struct cancel *cancel);
/** export_lane_give() - @is_sound: what used it did not fail; else the next one finds another. NULL @lane: nothing. */
void export_lane_give(struct export_shared *shared, struct export_lane *lane, bool is_sound);
/** export_lane_connect() - have a session that leads to @database (NULL: the connection's own), which was left by a tenant before, or a new one. */
int export_lane_connect(struct export_lane *lane, const struct conf_export *conf, const char *database,
                        struct error *err);
/** export_lane_look_outside() - have lane->outside, to the same database as its session. */
int export_lane_look_outside(struct export_lane *lane, const struct conf_export *conf, struct error *err);
/** export_lane_disconnect() - it can be used no more. */
void export_lane_disconnect(struct export_lane *lane);
/** export_shared_more() - may @wanted further connections be opened? How many of them; export_shared_less() gives them back. */
unsigned export_shared_more(struct export_shared *shared, unsigned wanted);
void export_shared_less(struct export_shared *shared, unsigned count);
/**
 * export_shared_claim_told() - is it the caller who tells the warnings of @d, which all tenants have in common? Of the same tables one export does; it says with
 * export_shared_told() whether it has.
 */
bool export_shared_claim_told(struct export_shared *shared, const struct decided *d);
void export_shared_told(struct export_shared *shared, const struct decided *d, bool has_told);

/** export_template() - heap: "{slug}" and "{id}" of @template are the tenant's. */
char *export_template(const char *template, const struct export_tenant *t);
/** export_store_of() - the number of the store that gets the exports of @t (keepfs/catalog/stores.h), which is noted in the catalog. Asks no server. As stores_choose(),
 * with the tenant in @err. */
int export_store_of(const struct make_context *ctx, const struct export_tenant *t, uint64_t *ret_id,
                    struct error *err);
/** export_try_stores() - write, read and delete something small in each store that the tenants have beside the one of all. Blocks, for up to 15 s for each. */
void export_try_stores(const struct make_context *ctx, const struct export_shared *shared,
                       const struct make_findings *findings);

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

/** export_accepts(), export_targets(), export_at_once(), export_make(), export_check(), export_rights() - of struct make_kind. */
int export_accepts(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_wanted *wanted, struct error *err);
int export_targets(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_wanted *wanted, struct make_targets *ret, struct error *err);
unsigned export_at_once(const struct make_context *ctx, const struct conf_job *job);
int export_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                struct error *err);
void export_look_around(const struct make_context *ctx, const struct conf_job *job,
                        const struct make_target *made, struct cancel *cancel);
void export_check(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_findings *findings);
void export_rights(const struct make_context *ctx, const struct conf_job *job, struct str *script);
