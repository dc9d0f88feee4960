// SPDX-License-Identifier: Apache-2.0
#include "looked.h"

#include <keepfs/base/mem.h>

#include <errno.h>

static int choose_tenant(struct looked *l, const struct conf_job *job, struct error *err)
{
	l->shared = l->targets.shared;
	if (l->targets.count == 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "the query of [export] tenants names nobody");
	l->tenant = export_shared_find(l->shared, l->targets.items[0].name);
	if (job->export.tenancy == TENANCY_SCHEMA)
		l->schema = mem_strdup(l->tenant->own);
	if (job->export.tenancy == TENANCY_DATABASE)
		l->database = mem_strdup(l->tenant->own);
	return 0;
}

int looked_open(const struct make_context *ctx, const struct conf_job *job, const char *slug,
                struct cancel *cancel, struct looked *ret, struct error *err)
{
	const struct make_wanted wanted = {.database = slug, .cancel = cancel};
	_cleanup(free) char *snapshot = NULL;
	int r;

	*ret = (struct looked){0};
	r = export_targets(ctx, job, &wanted, &ret->targets, err);
	if (r == 0)
		r = choose_tenant(ret, job, err);
	if (r == 0)
		ret->lane = export_lane_take(ret->shared, cancel);
	if (r == 0)
		r = export_lane_connect(ret->lane, &job->export, ret->database, err);
	if (r == 0)
		r = pg_tenant_export(ret->lane->session, &snapshot, err);
	return r < 0 ? r
	             : decided_refresh(ret->lane->decided, ret->lane->session, &job->export, ret->database,
	                               ret->schema, err);
}

struct rows_order looked_rows(const struct looked *l, const struct conf_job *job)
{
	return (struct rows_order){.decided = l->lane->decided, .tenant = l->tenant, .conf = &job->export};
}

void looked_close(struct looked *l)
{
	export_lane_give(l->shared, l->lane, true);
	make_targets_finish(&l->targets);
	free(l->database);
	free(l->schema);
	*l = (struct looked){0};
}
