// SPDX-License-Identifier: Apache-2.0
/* Would a base backup work now? */
#include "cluster_private.h"

#include <keepfs/pg.h>

#include <stdio.h>

void cluster_check(const struct make_context *ctx, const struct conf_job *job,
                   const struct make_findings *findings)
{
	struct pg_facts facts;
	struct error err = {0};
	char name[224];

	(void)ctx;
	snprintf(name, sizeof(name), "cluster %s", job->name);
	if (pg_learn(job->cluster.database, NULL, NULL, &facts, &err) < 0)
		make_found(findings, false, name, "%s; correct [cluster %s]", err.message, job->name);
	else
		make_found(findings, true, name, "PostgreSQL %s answers", facts.version);
}
