// SPDX-License-Identifier: Apache-2.0
/* keepfs ack: write to control/ack. */
#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/command_line.h>

int cmd_ack(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	_cleanup(free) char *mountpoint = NULL;
	int r, status;

	if (options->argc == 0)
		return cli_usage("ack needs an item of health and a time: overdue/full until=2026-12-01");
	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, options->argv[i]);
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	r = client_command(mountpoint, "control/ack", str_text(&command), &answer);
	if (r < 0)
		return client_refused(r, &answer);
	cli_put(stdout, str_text(&answer));
	return CLI_DONE;
}
