// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Exports of a copy of the database that somebody has made for them (keepfs/use/past.h): on a server that is nobody else's, where no row security
 * applies, and with no more rows than what the export of one tenant needs.
 */
#include <keepfs/make.h>
#include <keepfs/pg/session.h>
#include <keepfs/pg/tenancy.h>
#include <keepfs/policy/tenancy.h>

/** struct export_member - a tenant, as the query of [export] tenants names it; heap */
struct export_member {
	char *id, *slug, *name, *class; /* name, class: NULL: none */
	char *place
	        [PG_TENANT_PLACES]; /* where its exports go, as struct pg_tenant has it; NULL: the query says nothing */
	char *own;                  /* the name of its schema or database; NULL with tenancy = column */
	bool has_store; /* the query does not say any more where its exports go: into the store of that number (keepfs/catalog/stores.h) */
	uint64_t store;
};
void export_member_finish(struct export_member *m);
static inline void cleanup_export_member(struct export_member *m)
{
	export_member_finish(m);
}
/** export_member_ask() - who @slug is now: asks the server. -EINVAL (ERROR_USAGE): nobody. */
int export_member_ask(const struct make_context *ctx, const struct conf_job *job, const char *slug,
                      struct cancel *cancel, struct export_member *ret, struct error *err);
/** export_member_of_id() - whose @id is now: asks the server. @ret_slug: heap; NULL: nobody's. */
int export_member_of_id(const struct make_context *ctx, const struct conf_job *job, const char *id,
                        struct cancel *cancel, char **ret_slug, struct error *err);
/** export_member_make() - one that the query does not name any more. -EINVAL (ERROR_USAGE): nobody can have that slug, or that schema or database. */
int export_member_make(const struct conf_job *job, const char *slug, const char *id,
                       struct export_member *ret, struct error *err);

/** struct export_tables - the tables of a database, and what is done with each; borrowed from what export_tables_free() frees */
struct export_tables {
	const struct tenancy_model *model;
	const struct tenancy_plan *plan;
	void *own;
};
/**
 * export_tables_read() - what @job makes of the database that @s leads to, in a transaction that is over when it returns
 * @schema: of tenancy = schema: the tenant's own; else NULL
 *
 * Return: 0; -EINVAL (ERROR_USAGE): a rule makes no sense in it; -EPERM: an export must not be made of it, or what a shared table shows a tenant is said by row
 * security, which a copy does not have; or what the server said.
 */
int export_tables_read(struct pg_session *s, const struct conf_job *job, const char *schema,
                       struct export_tables *ret, struct error *err);
void export_tables_free(struct export_tables *t);
static inline void cleanup_export_tables(struct export_tables *t)
{
	export_tables_free(t);
}

struct export_copy { /* borrowed */
	const struct export_member *member;
	const char *conninfo;       /* of the copy */
	const char *database;       /* of which it is one, for people */
	const char *from;           /* what it is a copy of: a backup, as the mount shows it */
	int64_t taken_at_us;        /* the moment that it shows */
	const char *server_version; /* of the server that it was made of; NULL: not known */
	/* A file that is made (mode 0600; it must not be there), and holds the document of format = json, as an artifact would; NULL: an artifact is published. */
	const char *path;
	bool is_unredacted; /* with @path: nothing is redacted, since it goes back where it came from */
};
struct export_counts {
	uint64_t rows, tables;
};
/** export_make_copy() - as make() of export_kind, with all that it proves. @order: its job and target are not looked at. @ret: zeroed with a path.
 * After a failure there is no file. */
int export_make_copy(const struct make_context *ctx, const struct make_order *order,
                     const struct conf_job *job, const struct export_copy *copy, struct manifest *ret,
                     struct export_counts *ret_counts, struct error *err);
