// SPDX-License-Identifier: Apache-2.0
/* One export, step by step: keepfs/export.h's make(). */
#include "exporting.h"

#include <keepfs/base/mem.h>

#include <stdlib.h>
#include <string.h>

static int write_export(struct exporting *e, struct manifest *ret, struct error *err)
{
	int r = exporting_open(e, err);

	if (r == 0)
		r = exporting_read(e, err);
	if (r == 0)
		r = exporting_close(e, err);
	return r == 0 ? exporting_publish(e, ret, err) : r;
}

static void free_suspects(struct exporting *e)
{
	for (size_t i = 0; i < e->suspect_count; i++)
		free(e->suspects[i].column);
	free(e->suspects);
}

/* A database cannot be dropped while this has a session there. */
static int delete_exported(struct exporting *e, struct error *err)
{
	if (!e->order->then_delete)
		return 0;
	if (e->database)
		export_lane_disconnect(e->lane);
	return leaving_delete(e->leaving, err);
}

static void finish_exporting(struct exporting *e, int r)
{
	leaving_free(e->leaving);
	export_writer_free(e->writer);
	exporting_give_back(e);
	exporting_free_local(e);
	draft_free(e->draft);
	if (e->tells_tables)
		export_shared_told(e->shared, e->decided, e->has_told_tables);
	export_lane_give(e->shared, e->lane, r == 0);
	free_suspects(e);
	export_context_finish(&e->context);
	explicit_bzero(e->key, sizeof(e->key));
	str_finish(&e->nobodys);
	free(e->snapshot);
	free(e->seen);
	free(e->database);
	free(e->schema);
	free(e->database_label);
}

static int make_export(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                       struct leaving **ret_leaving, struct error *err)
{
	struct exporting e = {
	        .ctx = ctx,
	        .order = order,
	        .collects_places = order->then_delete || ret_leaving,
	        .conf = &order->job->export,
	        .shared = order->shared,
	        .format = export_format_of(order->job->export.format),
	        .compression = compression_resolve(&order->job->compression, false),
	};
	int r = exporting_prepare(&e, err);

	if (r == 0)
		r = write_export(&e, ret, err);
	if (r == 0)
		r = delete_exported(&e, err);
	if (r == 0 && ret_leaving)
		*ret_leaving = take_ptr(&e.leaving);
	finish_exporting(&e, r);
	return r;
}

int export_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                struct error *err)
{
	return make_export(ctx, order, ret, NULL, err);
}

int export_make_for_replacement(const struct make_context *ctx, const struct make_order *order,
                                struct manifest *ret, struct leaving **ret_leaving, struct error *err)
{
	struct conf_job job = *order->job;
	struct make_order own = *order;
	int r;

	job.verify = CONF_VERIFY_READBACK;
	own.job = &job;
	r = make_export(ctx, &own, ret, ret_leaving, err);
	if (r == 0)
		leaving_bind(*ret_leaving, order);
	return r;
}

const struct make_kind export_kind = {
        .name = "export",
        .targets_name = "tenants",
        .accepts = export_accepts,
        .targets = export_targets,
        .at_once = export_at_once,
        .make = export_make,
        .look_around = export_look_around,
        .check = export_check,
        .rights = export_rights,
};
