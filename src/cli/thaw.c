// SPDX-License-Identifier: Apache-2.0
/* keepfs thaw: backups that are frozen in an archive class of the store are asked for; by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/base/mem.h>
#include <keepfs/use.h>

#include <string.h>

int cmd_thaw(const struct cli_options *options)
{
	static char plan[] = "plan=yes";
	const struct work work = {.kind = &use_thaw, .file = "control/thaw", .shows_log = options->dry_run};
	struct cli_options with_plan = *options;
	_cleanup(free) char **argv = NULL;

	if (options->argc == 0)
		return cli_usage("thaw takes backups, jobs, or: all");
	if (!options->dry_run)
		return work_to_end(options, &work);
	argv = mem_array((size_t)options->argc + 2, sizeof(*argv));
	memcpy(argv, options->argv, (size_t)options->argc * sizeof(*argv));
	argv[options->argc] = plan;
	with_plan.argv = argv;
	with_plan.argc++;
	return work_to_end(&with_plan, &work);
}
