// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that is about a whole server say about each other. Pure. */
#include "job_kinds.h"

bool conf_cluster_takes_everything(const struct conf_job *job)
{
	(void)job;
	return true;
}

void conf_cluster_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	if (conf_job_is_scheduled(job))
		conf_clash(
		        clashes, "schedule", "schedule",
		        "says when a backup is made, but the WAL of a cluster comes when the server has it; it cannot have",
		        "no schedule");
}
