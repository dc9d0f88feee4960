// SPDX-License-Identifier: Apache-2.0
/* keepfs erase, erasures: a thin client of control/erase. */
#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/command_line.h>

#include <stdio.h>

static int send_erasure(const struct cli_options *options, const struct str *command)
{
	_cleanup(free) char *mountpoint = NULL;
	_cleanup(str) struct str answer = {0};
	int status = client_find(options, &mountpoint), r;

	if (status != CLI_DONE)
		return status;
	r = client_command(mountpoint, "control/erase", str_text(command), &answer);
	if (r < 0)
		return client_refused(r, &answer);
	fputs(str_text(&answer), stdout);
	return CLI_DONE;
}

int cmd_erase(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0};

	if (options->argc < 2)
		return cli_usage(
		        "erase takes what was erased: keepfs erase tenant acme, or keepfs erase public.users id=4711");
	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, options->argv[i]);
	return send_erasure(options, &command);
}

int cmd_erasures(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0};

	if (options->argc > 0)
		return cli_usage("erasures takes no words: it lists what is registered as erased");
	command_line_append(&command, "list");
	return send_erasure(options, &command);
}
