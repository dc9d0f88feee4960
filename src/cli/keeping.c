// SPDX-License-Identifier: Apache-2.0
/* keepfs hold, undelete: thin clients of control/hold, control/undelete. */
#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

static int send_command(const char *mountpoint, const char *file, const struct str *command)
{
	_cleanup(str) struct str answer = {0};
	int r = client_command(mountpoint, file, str_text(command), &answer);

	if (r == 0) {
		fputs(str_text(&answer), stdout);
		return CLI_DONE;
	}
	fprintf(stderr, "keepfs: %s%s", answer.len ? str_text(&answer) : strerrordesc_np(-r),
	        str_ends(str_text(&answer), "\n") ? "" : "\n");
	return r == -EINVAL ? CLI_USAGE : CLI_FAILED;
}

int cmd_hold(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0};
	_cleanup(free) char *mountpoint = NULL;
	bool ends = false;
	int status;

	if (options->argc < 2)
		return cli_usage(
		        "hold takes a backup, and why it is held: keepfs hold backups/full/NAME reason='audit 2026'; or off");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	for (int i = 1; i < options->argc; i++)
		ends = ends || strcmp(options->argv[i], "off") == 0 || strcmp(options->argv[i], "on") == 0;
	command_line_append(&command, client_within_mount(mountpoint, options->argv[0]));
	if (!ends)
		command_line_append(&command, "on");
	for (int i = 1; i < options->argc; i++)
		command_line_append(&command, options->argv[i]);
	return send_command(mountpoint, "control/hold", &command);
}

int cmd_undelete(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0};
	_cleanup(free) char *mountpoint = NULL;
	int status;

	if (options->argc != 1)
		return cli_usage(
		        "undelete takes the path of one backup, such as backups/full/20261120T020000Z.dump");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	command_line_append(&command, client_within_mount(mountpoint, options->argv[0]));
	return send_command(mountpoint, "control/undelete", &command);
}
