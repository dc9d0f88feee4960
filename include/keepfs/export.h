// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Exports: the kind of jobs that write the data of each tenant of an application into a file of its own, [export].
 *
 * A run asks who the tenants are, then makes for each of them one document of JSON (docs/formats.md) from one snapshot: every
 * table is exported, or it is said why not. Each row is proven to be the tenant's by what the server says of it, and by keepfs; one that is not
 * fails the export, and nothing of it stays in the store.
 */
#include <keepfs/make.h>

extern const struct make_kind export_kind;

/** struct export_question - what is to be explained; borrowed */
struct export_question {
	const char *
	        tenant; /* its slug; NULL: nobody's: the first one is taken where one is needed (a schema or a database of its own) */
	bool counts;           /* how many rows of each table are @tenant's, too: reads them */
	struct cancel *cancel; /* NULL */
};
/**
 * export_explain() - append for people what an export of @job would have now: of each table whether it is exported, why, and what is left out
 * of it. Connects to the server, and waits for it. Return: 0, also where an export would fail: the text says why; -EINVAL (ERROR_USAGE): a rule makes no
 * sense, or there is no such tenant; else why the server could not be asked.
 */
int export_explain(const struct make_context *ctx, const struct conf_job *job,
                   const struct export_question *question, struct str *out, struct error *err);
/**
 * export_look_at_deletion() - append for people what "export TENANT then-delete=TENANT" would delete now, table by table in the order of deletion, and why it would
 * be refused. As export_explain(); question->tenant is named. Nothing is changed; the role needs the rights for the deletion (a temporary table).
 */
int export_look_at_deletion(const struct make_context *ctx, const struct conf_job *job,
                            const struct export_question *question, struct str *out, struct error *err);

/** export_key_of() - the SHA-256 of all bytes of a secret that is a key for hashes, of CONF_REDACT_KEY_BYTES or more: as secret_get(), which it may block as.
 * @what: "[export] redact_key". It must be set. The key is for the caller to wipe. */
int export_key_of(const struct conf_secret *secret, const char *what, unsigned char ret[static 32],
                  struct error *err);

struct export_erasure {                /* borrowed */
	const char *server, *database; /* where: a database that nobody uses yet */
	struct cancel *cancel;
	bool (*is_erased)(void *arg, const char *tenant_id);
	void (*say)(void *arg, const char *line); /* what was deleted */
	void *arg;
};
/**
 * export_erase_tenants() - delete the rows of all tenants that @erasure->is_erased, by the rules of [export] with tenancy = column, and those that cannot be without them
 * -EPERM: a table is undecided (and the job says undecided = fail), so nobody knows whose its rows are.
 */
int export_erase_tenants(const struct conf_job *job, const struct export_erasure *erasure, struct error *err);
/**
 * export_canonical_tenant() - the id of a tenant as the server writes it in the columns that name tenants, with tenancy = column: of an uuid in small letters
 * @ret: heap; @id itself where no column names tenants
 * Blocks on the server. -EINVAL: no such column can have it, or they write it in different ways.
 */
int export_canonical_tenant(const struct conf_job *job, const char *id, struct cancel *cancel, char **ret,
                            struct error *err);
/**
 * export_note_stores() - note in the catalog (keepfs/catalog/stores.h) where the exports of all tenants go, as the query says now: a rebuild looks into these stores,
 * too. Connects to the server, and waits for it. Return: 0, also when some of it makes no sense (@ret_problem: heap, why; NULL); else why the server could not be asked.
 */
int export_note_stores(const struct make_context *ctx, const struct conf_job *job, char **ret_problem,
                       struct error *err);
