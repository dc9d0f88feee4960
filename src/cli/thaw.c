// SPDX-License-Identifier: Apache-2.0
/* keepfs thaw: backups that are frozen in an archive class of the store are asked for; by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/use.h>

int cmd_thaw(const struct cli_options *options)
{
	const struct work work = {.kind = &use_thaw, .file = "control/thaw", .shows_log = options->dry_run};
	const char *plan = options->dry_run ? WORK_PLAN : NULL;

	if (options->argc == 0)
		return cli_usage("thaw takes backups, jobs, or: all");
	return work_with_words(options, &work, &plan, 1);
}
