// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Talking to a mount: by its files, like everybody. */
#include "cli.h"

#include <keepfs/base/str.h>

/** client_find() - the mountpoint that the options, KEEPFS_MOUNT or the configuration name (heap), once it
 * answers; else an exit status is returned and said. */
int client_find(const struct cli_options *options, char **ret_mountpoint);
/** client_read() - append the text of <mountpoint>/@path. */
int client_read(const char *mountpoint, const char *path, struct str *out);
/** client_command() - write @command to <mountpoint>/@path and append the answer; the result is the write's:
 * -EINVAL, -EBUSY … */
int client_command(const char *mountpoint, const char *path, const char *command, struct str *answer);
/** client_refused() - say why a command was: @answer, else what its result @r means; the exit status. */
int client_refused(int r, const struct str *answer);
enum client_show {
	CLIENT_SHOW_ALL, /* each state as it comes, at the end the whole status */
	/* one line for a success, else the whole status, to standard error: what cron is to mail */
	CLIENT_SHOW_BRIEF,
	/* each state as it comes; the whole status of a failure alone, to standard error: the caller shows what was done */
	CLIENT_SHOW_STATES,
	CLIENT_SHOW_NOTHING,
};

/** client_watch() - follow a run to its end, with a progress bar on a terminal unless nothing is to be shown;
 * exit status: CLI_DONE when it completed. */
int client_watch(const char *mountpoint, int64_t run_id, enum client_show show);
/** client_print_run_json() - the run's line of status/history.jsonl. Return: CLI_DONE; else told why there is none. */
int client_print_run_json(const char *mountpoint, int64_t run_id);
/** client_within_mount() - what of @word, which the shell completed, stands behind @mountpoint; else @word. Borrowed from it. */
const char *client_within_mount(const char *mountpoint, const char *word);
