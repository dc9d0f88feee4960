// SPDX-License-Identifier: Apache-2.0
/* keepfs rewrap: encrypted backups get the recipients that the configuration names now; by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/use.h>

int cmd_rewrap(const struct cli_options *options)
{
	const struct work work = {
	        .kind = &use_rewrap, .file = "control/rewrap", .shows_log = options->dry_run};
	const char *plan = options->dry_run ? WORK_PLAN : NULL;

	if (options->argc == 0)
		return cli_usage("rewrap takes backups, jobs, or: all");
	return work_with_words(options, &work, &plan, 1);
}
