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
	if (job->compression.kind == COMPRESS_NONE || job->compression.kind == COMPRESS_GZIP)
		conf_clash(clashes, "compression", "wal",
		           "cannot be read in its middle, as a base backup is, which goes with",
		           "fast, small, zstd, zstd:1 to zstd:19");
}
