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

static int try_snapshot(struct exporting *e, struct error *err)
{
	int r = export_lane_connect(e->lane, e->conf, e->database, err);

	if (r < 0)
		return r;
	free(e->snapshot);
	e->snapshot = NULL;
	return pg_tenant_export(e->lane->session, &e->snapshot, err);
}

/* The connection of the tenant before may be gone by now. */
static int begin_snapshot(struct exporting *e, struct error *err)
{
	bool was_open = e->lane->session != NULL;
	int r = try_snapshot(e, err);

	if (r < 0 && was_open && e->lane->session && !cancel_is_set(e->order->cancel)) {
		export_lane_disconnect(e->lane);
		r = try_snapshot(e, err);
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
int exporting_enter(const struct exporting *e, struct pg_session *session, struct error *err)
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
	return pg_tenant_enter(session, &e->context.context, oids, count, err);
}

static int read_redact_key(struct exporting *e, struct error *err)
{
	if (!conf_secret_is_set(&e->conf->redact_key))
		return 0;
	e->has_key = true;
	return export_key_of(&e->conf->redact_key, "[export] redact_key", e->key, err);
}

/* From outside of the snapshot. The connection of the tenant before may be gone by now. */
static int check_form_now(struct exporting *e, struct error *err)
{
	const struct decided *d = e->decided;
	struct export_lane *lane = e->lane;
	bool was_open = lane->outside != NULL;
	int r = export_lane_look_outside(lane, e->conf, err);

	if (r == 0)
		r = pg_tenant_check_form(lane->session, lane->outside, d->lockable, d->lockable_count, err);
	if (r < 0)
		lane->outside = pg_session_free(lane->outside);
	if (r == 0 || r == -ESTALE || !was_open || cancel_is_set(e->order->cancel))
		return r;
	r = export_lane_look_outside(lane, e->conf, err);
	return r < 0 ? r
	             : pg_tenant_check_form(lane->session, lane->outside, d->lockable, d->lockable_count,
	                                    err);
}

/* Only a look from outside of the snapshot shows what was changed while its locks were waited for. */
static int lock_as_seen(struct exporting *e, struct error *err)
{
	const struct decided *d = e->decided;
	int r = pg_tenant_lock(e->lane->session, d->lockable, d->lockable_count, LOCK_WAIT_MS, err);

	return r < 0 ? r : check_form_now(e, err);
}

/* No lock protects the name of a schema, and there is none for a materialized view: what it holds may be made anew at any time. */
int exporting_check_same(const struct exporting *e, struct error *err)
{
	return pg_tables_check(e->lane->session, e->decided->lockable, e->decided->checked_count, err);
}

/* How large the tables are changes little while a run lasts, and nothing but the parts in which they are read depends on it. */
static int learn_pages(struct decided *d, struct pg_session *session, struct error *err)
{
	_cleanup(free) uint32_t *found = NULL;
	size_t place = 0;
	int r;

	if (d->pages)
		return 0;
	found = mem_array(d->lockable_count + 1, sizeof(*found));
	r = pg_tenant_pages(session, d->lockable, d->lockable_count, found, err);
	if (r < 0)
		return r;
	/* What can be locked stands in the order of the model. */
	d->pages = mem_array(d->model.table_count + 1, sizeof(*d->pages));
	for (size_t i = 0; i < d->model.table_count && place < d->lockable_count; i++)
		if (d->model.tables[i].oid == d->lockable[place].oid)
			d->pages[i] = found[place++];
	return 0;
}

static int prepare_snapshot(struct exporting *e, struct error *err)
{
	struct decided *d = e->lane->decided;
	int r = begin_snapshot(e, err);

	if (r == 0)
		r = decided_refresh(d, e->lane->session, e->conf, e->database, e->schema, err);
	if (r == 0 && e->shared->copy && e->shared->copy->is_unredacted)
		redaction_lift(&d->redaction);
	if (r < 0)
		return r;
	e->decided = d;
	e->seen = mem_array(d->plan.count + 1, sizeof(*e->seen));
	r = check_tables(e, err);
	if (r == 0 && e->format->needs_ddl)
		r = decided_read_ddl(d, e->lane->session, err);
	if (r == 0)
		r = read_redact_key(e, err);
	if (r == 0)
		r = lock_as_seen(e, err);
	if (r == 0)
		r = exporting_check_same(e, err);
	if (r == 0)
		r = learn_pages(d, e->lane->session, err);
	return r < 0 ? r : exporting_enter(e, e->lane->session, err);
}

/* Of a tenant that the query does not name whoever made the copy may know. */
static int find_store(struct exporting *e, struct error *err)
{
	const struct export_copy *copy = e->shared->copy;

	/* What goes into a file of this host goes into no store. */
	if (copy && copy->path)
		return 0;
	if (!copy || !copy->member->has_store)
		return export_store_of(e->ctx, e->tenant, &e->store, err);
	e->store = copy->member->store;
	return 0;
}

int exporting_prepare(struct exporting *e, struct error *err)
{
	int r = find_tenant(e, err);

	if (r == 0)
		r = find_store(e, err);
	if (r < 0)
		return r;
	e->lane = export_lane_take(e->shared, e->order->cancel);
	return prepare_snapshot(e, err);
}
