// SPDX-License-Identifier: Apache-2.0
#include "cli.h"

#include <config.h>
#include <stdio.h>

int cmd_version(const struct cli_options *options)
{
	if (options->json)
		puts("{\"version\":\"" KEEPFS_VERSION "\"}");
	else
		puts("keepfs " KEEPFS_VERSION);
	return CLI_DONE;
}
