// SPDX-License-Identifier: Apache-2.0
/* keepfs confirm: write to control/confirm. */
#include "client.h"

#include <keepfs/base/cleanup.h>

int cmd_confirm(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	_cleanup(free) char *mountpoint = NULL;
	int r, status;

	if (options->argc > 1 || (options->refuse && options->argc == 0))
		return cli_usage("confirm takes the number of what waits, or nothing, to see what that is");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	if (options->argc == 0)
		str_append(&command, "list");
	else
		str_appendf(&command, "%s=%s", options->refuse ? "refuse" : "confirm", options->argv[0]);
	r = client_command(mountpoint, "control/confirm", str_text(&command), &answer);
	if (r < 0)
		return client_refused(r, &answer);
	cli_put(stdout, str_text(&answer));
	return CLI_DONE;
}
