// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that makes base backups of a server say about each other. Pure. */
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
		conf_clash(clashes, "compression", "compression",
		           "is not zstd, but the packs of base backups are; it cannot be",
		           "fast, small, zstd, or zstd:1 to zstd:19");
}
