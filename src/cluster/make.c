// SPDX-License-Identifier: Apache-2.0
/* What a run of a cluster's job makes. */
#include "cluster_private.h"

#include <keepfs/cluster.h>

#include <errno.h>

static int cluster_accepts(const struct make_context *ctx, const struct conf_job *job,
                           const struct make_wanted *wanted, struct error *err)
{
	(void)ctx;
	if (!wanted->database && !wanted->class)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "%s: [cluster %s] backs up all databases of its server; leave this key out",
	                 wanted->database ? "database" : "class", job->name);
}

static int cluster_targets(const struct make_context *ctx, const struct conf_job *job,
                           const struct make_wanted *wanted, struct make_targets *ret, struct error *err)
{
	(void)ctx;
	(void)wanted;
	(void)err;
	(void)job;
	make_targets_note(
	        ret,
	        "its WAL comes by itself, and base backups are not made by this version: nothing is done");
	return 0;
}

static int make_base(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	(void)ctx;
	(void)ret;
	return error_set(err, ERROR_USAGE, ENOTSUP, "[cluster %s]: base backups are not made by this version",
	                 order->job->name);
}

static void cluster_look_around(const struct make_context *ctx, const struct conf_job *job,
                                const struct make_target *made, struct cancel *cancel)
{
	(void)ctx;
	(void)job;
	(void)made;
	(void)cancel;
}

const struct make_kind cluster_kind = {
        .name = "base",
        .targets_name = "clusters",
        .accepts = cluster_accepts,
        .targets = cluster_targets,
        .make = make_base,
        .look_around = cluster_look_around,
        .check = cluster_check,
};
