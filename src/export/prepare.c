// SPDX-License-Identifier: Apache-2.0
/* What is asked before anything is written. */
#include "exporting.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg.h>

#include <errno.h>

#define LOCK_WAIT_MS INT64_C(60000)

static int find_tenant(struct exporting *e, struct error *err)
{
	e->tenant = e->shared ? export_shared_find(e->shared, e->order->target->name) : NULL;
	if (!e->tenant)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "the query of [export] tenants names no %s",
		                 e->order->target->name);
	if (e->conf->tenancy == TENANCY_SCHEMA)
		e->schema = mem_strdup(e->tenant->own);
	if (e->conf->tenancy == TENANCY_DATABASE)
		e->database = mem_strdup(e->tenant->own);
	if (e->shared->copy)
		e->database_label = mem_strdup(e->shared->copy->database);
	else
		e->database_label =
		        e->database ? mem_strdup(e->database) : pg_conninfo_database(e->conf->database);
	/* A copy has no roles, and no rows that a policy would have to hide: export_tables_read(). */
	e->has_context = !e->shared->copy && export_context_of(e->conf, e->tenant, &e->context);
	return 0;
}

/* The connection of the tenant before may be gone by now. */
static int begin_snapshot(struct exporting *e, struct error *err)
{
	bool was_open = e->shared->session != NULL;
	_cleanup(free) char *snapshot = NULL;
	int r = export_shared_connect(e->shared, e->conf, e->database, e->order->cancel, err);

	if (r == 0)
		r = pg_tenant_export(e->shared->session, &snapshot, err);
	if (r < 0 && was_open && e->shared->session && !cancel_is_set(e->order->cancel)) {
		export_shared_disconnect(e->shared);
		r = export_shared_connect(e->shared, e->conf, e->database, e->order->cancel, err);
		if (r == 0)
			r = pg_tenant_export(e->shared->session, &snapshot, err);
	}
	e->taken_at_us = e->shared->copy ? e->shared->copy->taken_at_us : make_now_us(e->ctx);
	return r;
}

static int check_tables(const struct exporting *e, struct error *err)
{
	if (e->decided->plan.exported == 0)
		return error_set(
		        err, ERROR_NOT_FOUND, ENOENT,
		        "no table of the database %s is exported: keepfs export --explain says why of each",
		        e->database_label);
	return decided_refusal(e->decided, e->conf, err);
}

/* Those under row security, which has to be in force for the context to mean anything. */
static int enter_context(struct exporting *e, struct error *err)
{
	const struct decided *d = e->decided;
	_cleanup(free) uint32_t *oids = mem_array(d->plan.count + 1, sizeof(*oids));
	size_t count = 0;

	if (!e->has_context)
		return 0;
	for (size_t i = 0; i < d->plan.count; i++) {
		const struct tenancy_table *t = &d->model.tables[d->plan.decisions[i].table];

		if (d->plan.decisions[i].verdict == TENANCY_EXPORTED && t->has_row_security)
			oids[count++] = t->oid;
	}
	return pg_tenant_enter(e->shared->session, &e->context.context, oids, count, err);
}

static int read_redact_key(struct exporting *e, struct error *err)
{
	if (!*str_or_empty(e->conf->redact_key_file))
		return 0;
	e->has_key = true;
	return export_key_read(e->conf->redact_key_file, e->key, err);
}

/* Only a look from outside of the snapshot shows what was changed while its locks were waited for. */
static int lock_as_seen(struct exporting *e, struct error *err)
{
	const struct decided *d = e->decided;
	_cleanup(pg_session) struct pg_session *now = NULL;
	int r = pg_tenant_lock(e->shared->session, d->lockable, d->lockable_count, LOCK_WAIT_MS, err);

	if (r == 0)
		r = pg_session_open(e->conf->database, e->database, "keepfs export", e->order->cancel, &now,
		                    err);
	return r < 0 ? r : pg_tenant_check_form(e->shared->session, now, d->lockable, d->lockable_count, err);
}

/* No lock protects the name of a schema, and there is none for a materialized view: what it holds may be made anew at any time. */
int exporting_check_same(const struct exporting *e, struct error *err)
{
	return pg_tables_check(e->shared->session, e->decided->lockable, e->decided->checked_count, err);
}

static int prepare_snapshot(struct exporting *e, struct error *err)
{
	struct decided *d = &e->shared->decided;
	int r = begin_snapshot(e, err);

	if (r == 0)
		r = decided_refresh(d, e->shared->session, e->conf, e->database, e->schema, err);
	if (r == 0 && e->shared->copy && e->shared->copy->is_unredacted)
		redaction_lift(&d->redaction);
	if (r < 0)
		return r;
	e->decided = d;
	e->seen = mem_array(d->plan.count + 1, sizeof(*e->seen));
	r = check_tables(e, err);
	if (r == 0 && e->format->needs_ddl)
		r = decided_read_ddl(d, e->shared->session, err);
	if (r == 0)
		r = read_redact_key(e, err);
	if (r == 0)
		r = lock_as_seen(e, err);
	if (r == 0)
		r = exporting_check_same(e, err);
	return r < 0 ? r : enter_context(e, err);
}

int exporting_prepare(struct exporting *e, struct error *err)
{
	int r = find_tenant(e, err);

	/* What goes into a file of this host goes into no store. */
	if (r == 0 && !(e->shared->copy && e->shared->copy->path))
		r = export_store_of(e->ctx, e->tenant, &e->store, err);
	return r < 0 ? r : prepare_snapshot(e, err);
}
