// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that archives a directory say about each other. Pure. */
#include "job_kinds.h"

#define SETTLE_DEFAULT_MS 600000 /* as in keys.c: another value was given by somebody */

bool conf_files_takes_everything(const struct conf_job *job)
{
	return !job->files.exclude || !job->files.exclude[0];
}

void conf_files_check(const struct conf_job *job, const struct conf_clashes *clashes)
{
	const struct conf_files *f = &job->files;

	if (f->settle_ms != SETTLE_DEFAULT_MS && f->each && !*f->each)
		conf_clash(clashes, "settle", "each",
		           "says when a subdirectory is archived, but there are none with",
		           "settle together with each, such as each = */");
}
