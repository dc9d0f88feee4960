// SPDX-License-Identifier: Apache-2.0
/* What a run of a cluster's job makes. */
#include "cluster_private.h"

#include <keepfs/base/mem.h>
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
	struct make_target *all = make_targets_add(ret);

	(void)ctx;
	(void)wanted;
	(void)err;
	all->label = mem_strdup(job->name);
	all->directory = make_directory_of(job, NULL);
	return 0;
}

static int make_base(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                     struct error *err)
{
	(void)ctx;
	(void)ret;
	return error_set(err, ERROR_USAGE, ENOTSUP, "[cluster %s]: this version cannot make base backups yet",
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
