// SPDX-License-Identifier: Apache-2.0
/* keepfs restore-tenant: by the mount where there is one, else in this process. What it found, or did, is what people want to see. */
#include "work.h"

#include <keepfs/use.h>

int cmd_restore_tenant(const struct cli_options *options)
{
	static const struct work work = {
	        .kind = &use_restore_tenant, .file = "control/restore-tenant", .shows_log = true};

	if (options->argc < 2)
		return cli_usage(
		        "restore-tenant takes a tenant and a backup: restore-tenant acme from=full/20261120T020000Z.dump mode=diff");
	return work_to_end(options, &work);
}
