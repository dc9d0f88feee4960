// SPDX-License-Identifier: Apache-2.0
/* The program that makes a data directory without keepfs lies in the store, beside what it is for: whoever has lost everything else has it. It is put once, under a name that has its version, and never replaced. */
#include "cluster_private.h"

#include <keepfs/artifact.h>
#include <keepfs/store.h>

#include <errno.h>
#include <string.h>

#define REBUILD_KEY "recovery/rebuild-1.py"

/* Made of rebuild/rebuild.py. */
extern const char cluster_rebuild_py[];

static int put_rebuild_program(struct store *store, const struct store_call *call, struct error *err)
{
	const struct store_put_options options = {.only_if_absent = true};
	struct store_object there;
	int r = store_head(store, call, REBUILD_KEY, &there, err);

	if (r != -ENOENT)
		return r;
	r = store_put_bytes(store, call, REBUILD_KEY, cluster_rebuild_py, strlen(cluster_rebuild_py),
	                    &options, err);
	return r == -EEXIST ? 0 : r;
}

void cluster_leave_rebuild_program(const struct make_context *ctx, const struct make_order *order,
                                   const char *path)
{
	const struct store_call call = {.cancel = order->cancel};
	_cleanup(store) struct store *store = NULL;
	struct error why = {0};
	int r = repository_store_of(ctx->repository, path, &store, &why);

	if (r == 0)
		r = put_rebuild_program(store, &call, &why);
	if (r < 0 && r != -ECANCELED)
		make_warn(
		        order,
		        "%s, by which a base can be had without keepfs, could not be put into the store: %s",
		        REBUILD_KEY, why.message);
}
