// SPDX-License-Identifier: Apache-2.0
/* keepfs trigger: write to control/trigger, and perhaps wait. */
#include "trigger.h"

#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* "17 pending full" → the words of the answer. */
static void print_answer(const struct cli_options *options, const char *answer, int64_t run_id)
{
	char state[16] = "", job[256] = "";

	if (!options->json) {
		fputs(answer, stdout);
		return;
	}
	sscanf(answer, "%*s %15s %255s", state, job);
	printf("{\"run\":%lld,\"state\":\"%s\",\"job\":\"%s\"}\n", (long long)run_id, state, job);
}

int trigger_send(const struct cli_options *options, const char *mountpoint, const char *command, bool wait)
{
	_cleanup(str) struct str answer = {0};
	int r = client_command(mountpoint, "control/trigger", command, &answer), status;
	int64_t run_id;

	if (r < 0)
		return client_refused(r, &answer);
	run_id = strtoll(str_text(&answer), NULL, 10);
	if (!wait) {
		print_answer(options, str_text(&answer), run_id);
		return CLI_DONE;
	}
	status = client_watch(mountpoint, run_id, options->json ? CLIENT_SHOW_NOTHING : CLIENT_SHOW_BRIEF);
	if (options->json && client_print_run_json(mountpoint, run_id) != CLI_DONE)
		return CLI_FAILED;
	return status;
}

int cmd_trigger(const struct cli_options *options)
{
	_cleanup(str) struct str command = {0};
	_cleanup(free) char *mountpoint = NULL;
	int status;

	if (options->argc == 0)
		return cli_usage("trigger needs a command: 'now', or the name of a job");
	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, options->argv[i]);
	status = client_find(options, &mountpoint);
	return status == CLI_DONE ? trigger_send(options, mountpoint, str_text(&command), options->wait)
	                          : status;
}
