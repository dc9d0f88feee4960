// SPDX-License-Identifier: Apache-2.0
/* keepfs drill: by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/use.h>

int cmd_drill(const struct cli_options *options)
{
	static const struct work work = {.kind = &use_drill, .file = "control/drill"};

	if (options->argc == 0)
		return cli_usage("drill takes backups, jobs, or: all");
	return work_to_end(options, &work);
}
