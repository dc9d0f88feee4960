// SPDX-License-Identifier: Apache-2.0
/* What the keys of one directory into which files are written say about each other. Pure. */
#include "job_kinds.h"

#include <stddef.h>

bool conf_inbox_takes_everything(const struct conf_job *job)
{
	return true;
}

void conf_inbox_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	if (conf_job_is_scheduled(job))
		conf_clash(
		        clashes, "schedule", "schedule",
		        "says when a backup is made, but an inbox has what is written into it; it cannot have",
		        "no schedule (expected_interval says how often something has to come in)");
}
