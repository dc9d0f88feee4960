// SPDX-License-Identifier: Apache-2.0
/* The rows of all tables, and what is asked once all of them were seen. */
#include "reading.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <inttypes.h>

static int refuse_missing_tenant(const struct exporting *e, const struct tenancy_table *t, struct error *err)
{
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "the tenant %s (id %s) is not in %s.%s: it was deleted after the query of [export] tenants had named it, or the context does not show it",
	        e->tenant->slug, e->tenant->id, t->schema, t->name);
}

/* Of all tenants, though policies may show each of them other rows. */
static bool is_shared_table(const struct exporting *e, size_t number)
{
	return e->decided->plan.decisions[number].way == TENANCY_WHOLE && e->conf->tenancy == TENANCY_COLUMN;
}

/* Of its own table there must be a row. */
static int count_exported_table(struct exporting *e, size_t number, struct error *err)
{
	const struct tenancy_decision *of = &e->decided->plan.decisions[number];

	if (!is_shared_table(e, number))
		e->tenant_rows += e->seen[number];
	if (e->seen[number] == 0 && of->way == TENANCY_BY_SELF)
		return refuse_missing_tenant(e, &e->decided->model.tables[of->table], err);
	return 0;
}

static int count_tables(struct exporting *e, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < e->decided->plan.count; i++)
		if (e->decided->plan.decisions[i].verdict == TENANCY_EXPORTED)
			r = count_exported_table(e, i, err);
	return r;
}

static int export_tables(struct exporting *e, struct error *err)
{
	struct document_head head = {
	        .tenant = e->tenant,
	        .job = e->order->job->name,
	        .triggered_by = e->order->triggered_by,
	        .database = e->database_label,
	        .server_version = pg_tenant_version(e->lane->session),
	        .tenancy = (enum tenancy_kind)e->conf->tenancy,
	        .taken_at_us = e->taken_at_us,
	        .decided = e->decided,
	        .reading = e->format->reading,
	};
	const struct rows_order order = reading_order(e);
	_cleanup(read_units) struct read_units units = {0};
	int r;

	if (e->shared->copy && e->shared->copy->server_version)
		head.server_version = e->shared->copy->server_version;
	r = units_cut(&order, e->lane->session, &units, err);

	if (r == 0)
		r = export_writer_begin(e->writer, &head, err);
	if (r == 0)
		r = reading_run(e, &units, err);
	if (r == 0)
		r = count_tables(e, err);
	return r == 0 ? export_writer_end(e->writer, err) : r;
}

static int refuse_hidden(const struct exporting *e, size_t number, struct error *err)
{
	const struct tenancy_table *t = &e->decided->model.tables[e->decided->plan.decisions[number].table];

	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "row security hides rows of %s.%s that are the tenant's: %" PRIu64
	        " were seen within the context, and there are more; are role and settings in [export] those with which the application reads, and do the policies let it see all rows of a tenant?",
	        t->schema, t->name, e->seen[number]);
}

static void warn_of_blindness(const struct exporting *e, const struct error *why)
{
	make_warn(
	        e->order,
	        "whether row security hides rows of some tables cannot be found out, since it applies to the connection's own role, too: %s",
	        why->message);
}

static int check_table_not_hidden(struct exporting *e, size_t number, bool *told, struct error *err)
{
	const struct rows_order order = reading_order(e);
	struct error why = {0};
	int r = rows_hidden(&order, e->lane->session, number, e->seen[number], &why);

	if (r > 0)
		return refuse_hidden(e, number, err);
	if (r == -EACCES) {
		if (!*told)
			warn_of_blindness(e, &why);
		*told = true;
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* A context that is not the right one shows nothing, or too little, and says so to nobody. Conditions lead over other tables, so that row security of
 * one may hide rows of another. */
static int check_nothing_hidden(struct exporting *e, struct error *err)
{
	int r = e->has_context ? pg_tenant_leave(e->lane->session, err) : 0;
	bool told = false;

	for (size_t i = 0; e->has_context && r == 0 && i < e->decided->plan.count; i++)
		if (e->decided->plan.decisions[i].verdict == TENANCY_EXPORTED &&
		    (e->seen[i] == 0 || !is_shared_table(e, i)))
			r = check_table_not_hidden(e, i, &told, err);
	return r;
}

static void note_nobodys(struct exporting *e, size_t number)
{
	const struct tenancy_table *t = &e->decided->model.tables[e->decided->plan.decisions[number].table];

	if (e->nobodys_count++ < EXPORT_NAMES_SHOWN)
		str_appendf(&e->nobodys, "%s%s.%s", e->nobodys.len > 0 ? ", " : "", t->schema, t->name);
}

/* Rows that no export has, outside of the context. They are the same for all tenants of a run, so the first export that is made looks. */
static int look_for_nobodys(struct exporting *e, struct error *err)
{
	const struct rows_order order = reading_order(e);
	int r = 0;

	e->tells_tables = export_shared_claim_told(e->shared, e->decided);
	for (size_t i = 0; e->tells_tables && r >= 0 && i < e->decided->plan.count; i++) {
		const struct tenancy_decision *of = &e->decided->plan.decisions[i];
		struct error why = {0};

		if (of->verdict != TENANCY_EXPORTED || !of->may_be_nobodys)
			continue;
		r = rows_any_nobodys(&order, e->lane->session, i, &why);
		if (r > 0)
			note_nobodys(e, i);
		if (r == -EACCES) /* row security: there is nobody to ask */
			r = 0;
		if (r < 0 && err)
			*err = why;
	}
	return r < 0 ? r : 0;
}

/* In the snapshot of the export, so that these are its rows. */
static int collect_leaving(struct exporting *e, struct error *err)
{
	const struct leaving_target of = {
	        .ctx = e->ctx,
	        .order = e->order,
	        .conf = e->conf,
	        .decided = e->decided,
	        .tenant = e->tenant,
	        .database = e->database,
	        .schema = e->schema,
	        .is_replaced = !e->order->then_delete,
	        .cancel = e->order->cancel,
	};

	if (!e->collects_places)
		return 0;
	e->leaving = leaving_new(&of);
	return leaving_collect(e->leaving, e->lane->session, e->seen, err);
}

int exporting_read(struct exporting *e, struct error *err)
{
	int r = export_tables(e, err);

	if (r == 0)
		r = check_nothing_hidden(e, err);
	/* They are not in a copy. */
	if (r == 0 && !e->shared->copy)
		r = look_for_nobodys(e, err);
	if (r == 0)
		r = collect_leaving(e, err);
	if (r == 0)
		r = exporting_check_same(e, err);
	return r < 0 ? r : pg_tenant_end(e->lane->session, err);
}
