// SPDX-License-Identifier: Apache-2.0
/* keepfs verify: by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/use.h>

int cmd_verify(const struct cli_options *options)
{
	static const struct work work = {.kind = &use_verify, .file = "control/verify"};

	if (options->argc == 0)
		return cli_usage("verify takes backups, jobs, or: all");
	return work_to_end(options, &work);
}
