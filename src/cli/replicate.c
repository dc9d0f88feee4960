// SPDX-License-Identifier: Apache-2.0
/* keepfs replicate: what further stores have of backups; and copies that somebody wants now, by the mount where there is one, else in this process. */
#include "work.h"

#include "client.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/use.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int list_replicas(const struct cli_options *options)
{
	const char *path = options->json ? "status/replicas.jsonl" : "status/replicas";
	_cleanup(free) char *mountpoint = NULL;
	_cleanup(str) struct str text = {0};
	int status, r;

	if (options->argc > 0)
		return cli_usage("replicate --list takes no argument");
	status = client_find(options, &mountpoint);
	if (status != CLI_DONE)
		return status;
	r = client_read(mountpoint, path, &text);
	if (r < 0) {
		fprintf(stderr, "keepfs: %s/%s cannot be read: %s\n", mountpoint, path, strerrordesc_np(-r));
		return CLI_UNREACHABLE;
	}
	cli_put(stdout, str_text(&text));
	return CLI_DONE;
}

/* The mount is told, and goes on by itself. */
static int order_replicas(const struct cli_options *options, const char *mountpoint)
{
	_cleanup(str) struct str command = {0}, answer = {0};
	int r;

	for (int i = 0; i < options->argc; i++)
		command_line_append(&command, client_within_mount(mountpoint, options->argv[i]));
	r = client_command(mountpoint, "control/replicate", str_text(&command), &answer);
	if (r < 0)
		return client_refused(r, &answer);
	cli_put(stdout, str_text(&answer));
	return CLI_DONE;
}

int cmd_replicate(const struct cli_options *options)
{
	static const struct work work = {.kind = &use_replicate, .file = "control/replicate"};
	_cleanup(conf) struct conf conf = {0};
	_cleanup(free) char *mountpoint = NULL, *file = NULL;
	int status;

	if (options->list)
		return list_replicas(options);
	if (options->argc == 0)
		return cli_usage("replicate takes backups, jobs, or: all; or --list");
	if (options->wait || options->json)
		return work_to_end(options, &work);
	if (options->mountpoint) {
		status = client_find(options, &mountpoint);
		return status == CLI_DONE ? order_replicas(options, mountpoint) : status;
	}
	status = cli_load_conf(options, &conf);
	if (status != CLI_DONE)
		return status;
	file = mem_printf("%s/control/replicate", conf.mountpoint);
	return access(file, F_OK) == 0 ? order_replicas(options, conf.mountpoint)
	                               : work_to_end(options, &work);
}
