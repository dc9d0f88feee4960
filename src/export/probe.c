// SPDX-License-Identifier: Apache-2.0
/*
 * Would a run work now? Who the tenants are, and for the first of them what tables there are and whether the role and its settings
 * show anything: the others are read in the same way.
 */
#include "looked.h"

#include <keepfs/base/mem.h>
#include <keepfs/export/admins.h>
#include <keepfs/pg.h>
#include <keepfs/pg/rights.h>

#include <errno.h>
#include <string.h>

#define TENANTS_SHOWN 10
#define TABLES_SHOWN  10

static void tell_tenants(const struct make_findings *p, const struct make_targets *targets)
{
	_cleanup(str) struct str names = {0};

	if (targets->failure) {
		make_found(p, false, "export tenants", "%s", targets->failure);
		return;
	}
	for (size_t i = 0; i < targets->count && i < TENANTS_SHOWN; i++)
		str_appendf(&names, "%s%s", i > 0 ? ", " : "", targets->items[i].label);
	make_found(p, true, "export tenants", "the query names %zu: %s%s", targets->count, str_text(&names),
	           targets->count > TENANTS_SHOWN ? ", …" : "");
}

/* Those whom the configuration names. The query's are told with its tenants. */
static void tell_admins(const struct make_findings *p, const struct conf_job *job)
{
	_cleanup(export_grants) struct export_grants grants = {0};
	char *const *rules = job->export.admins;

	for (size_t i = 0; rules && rules[i]; i++) {
		_cleanup(str) struct str problem = {0};

		if (export_grants_add_rule(&grants, rules[i], &problem) < 0)
			make_found(p, false, "export admins", "%s: this host has %s", rules[i],
			           str_text(&problem));
	}
}

static void tell_tables(const struct make_findings *p, const struct looked *l, const struct conf_job *job)
{
	const struct decided *d = l->lane->decided;
	struct error why = {0};

	if (decided_refusal(d, &job->export, &why) < 0)
		make_found(p, false, "export tables", "%s", why.message);
	else if (d->plan.exported == 0)
		make_found(p, false, "export tables",
		           "no table is exported: keepfs export --explain says why of each");
	else
		make_found(
		        p, true, "export tables",
		        "of %s: %zu tables are exported, %zu excluded, %zu undecided (keepfs export --explain says more)",
		        l->tenant->slug, d->plan.exported, d->plan.excluded, d->plan.undecided);
}

/* A pattern that matches nothing is no failure, but it may be one with a typo. */
static void tell_plan_warnings(const struct make_findings *p, const struct decided *d)
{
	for (size_t i = 0; i < d->plan.warning_count; i++)
		make_found(p, true, "export tables", "warning: %s", d->plan.warnings[i]);
	for (size_t i = 0; i < d->redaction.warning_count; i++)
		make_found(p, true, "export tables", "warning: %s", d->redaction.warnings[i]);
}

static int enter_first(const struct looked *l, const struct export_context *context, struct error *err)
{
	const struct decided *d = l->lane->decided;
	_cleanup(free) uint32_t *oids = mem_array(d->plan.count + 1, sizeof(*oids));
	size_t count = 0;

	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_table *t = &d->model.tables[d->plan.decisions[i].table];

		if (d->plan.decisions[i].verdict == TENANCY_EXPORTED && t->has_row_security)
			oids[count++] = t->oid;
	}
	return pg_tenant_enter(l->lane->session, &context->context, oids, count, err);
}

static bool has_exported_table(const struct decided *d, bool with_row_security, struct str *names)
{
	size_t count = 0;

	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_decision *of = &d->plan.decisions[i];
		const struct tenancy_table *t = &d->model.tables[of->table];

		if (of->verdict != TENANCY_EXPORTED || of->way == TENANCY_WHOLE ||
		    t->has_row_security != with_row_security)
			continue;
		if (names && count < TABLES_SHOWN)
			str_appendf(names, "%s%s.%s", count > 0 ? ", " : "", t->schema, t->name);
		count++;
	}
	if (names && count > TABLES_SHOWN)
		str_appendf(names, " and %zu more", count - TABLES_SHOWN);
	return count > 0;
}

/* Where row security keeps tenants apart, a table without it has mostly been forgotten: the application shows each tenant all of its rows. */
static void warn_of_unprotected(const struct make_findings *p, const struct decided *d)
{
	_cleanup(str) struct str names = {0};

	if (has_exported_table(d, true, NULL) && has_exported_table(d, false, &names))
		make_found(
		        p, true, "export context",
		        "warning: other tables have row security, and these of the tenants have none: %s. An export does not rest on it, but does the application? ALTER TABLE … ENABLE ROW LEVEL SECURITY, with a policy",
		        str_text(&names));
}

static void tell_context(const struct make_findings *p, const struct looked *l, const struct conf_job *job)
{
	struct export_context context;
	struct error err = {0};

	if (!export_context_of(&job->export, l->tenant, &context))
		return;
	if (enter_first(l, &context, &err) < 0)
		make_found(p, false, "export context", "%s", err.message);
	else
		make_found(p, true, "export context", "role and settings are in force for %s",
		           l->tenant->slug);
	warn_of_unprotected(p, l->lane->decided);
	export_context_finish(&context);
}

static void tell_redact_key(const struct make_findings *p, const struct conf_job *job)
{
	unsigned char key[COPY_JSON_KEY_BYTES];
	struct error err = {0};

	const struct conf_secret *secret = &job->export.redact_key;

	if (!conf_secret_is_set(secret))
		return;
	if (export_key_of(secret, "[export] redact_key", key, &err) < 0)
		make_found(p, false, "export key", "%s", err.message);
	else
		make_found(p, true, "export key", "%s can be used",
		           *str_or_empty(secret->file) ? secret->file : "redact_key");
	explicit_bzero(key, sizeof(key));
}

void export_check(const struct make_context *ctx, const struct conf_job *job,
                  const struct make_findings *findings)
{
	struct looked l;
	struct error err = {0};
	int r = looked_open(ctx, job, NULL, NULL, &l, &err);

	if (l.tenant)
		tell_tenants(findings, &l.targets);
	if (r < 0) {
		make_found(findings, false, l.tenant ? "export tables" : "export tenants", "%s", err.message);
	} else {
		tell_tables(findings, &l, job);
		tell_plan_warnings(findings, l.lane->decided);
		tell_context(findings, &l, job);
	}
	tell_redact_key(findings, job);
	if (l.shared && l.tenant) {
		/* The snapshot is not to wait for stores. */
		if (l.lane)
			export_lane_disconnect(l.lane);
		export_try_stores(ctx, l.shared, findings);
	}
	tell_admins(findings, job);
	looked_close(&l);
}

/* The one that is asked for the tenants, and theirs; ended by NULL. The first is borrowed. */
static const char **names_of_databases(const struct conf_job *job, const char *own,
                                       const struct make_targets *targets)
{
	const char **names = mem_array(targets->count + 2, sizeof(*names));
	size_t count = 0;

	names[count++] = own;
	for (size_t i = 0; i < targets->count; i++)
		names[count++] = mem_strdup(export_shared_find(targets->shared, targets->items[i].name)->own);
	return names;
}

/* With databases of tenants' own, of those that are known now. */
void export_rights(const struct make_context *ctx, const struct conf_job *job, struct str *script)
{
	_cleanup(free) char *own = pg_conninfo_database(job->export.database);
	_cleanup(make_targets) struct make_targets targets = {0};
	struct pg_role_request request = {.title = "[export]",
	                                  .conninfo = job->export.database,
	                                  .exports = true,
	                                  .context_role = job->export.role};
	_cleanup(free) const char **names = NULL;
	struct error err = {0};

	if (job->export.tenancy == TENANCY_DATABASE &&
	    export_targets(ctx, job, &(struct make_wanted){0}, &targets, &err) < 0) {
		str_append(script, "\n-- Not all databases of [export] are known yet: ");
		str_append_line(script, err.message);
		str_append(script,
		           "\n-- Mend that, and make this script once more: it will have the others.\n");
	}
	names = names_of_databases(job, own, &targets);
	request.databases = names;
	pg_role_script(&request, script);
	for (size_t i = 1; names[i]; i++)
		free((char *)names[i]);
}
