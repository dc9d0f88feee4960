// SPDX-License-Identifier: Apache-2.0
/* keepfs watch: follow one run. */
#include "client.h"

#include <errno.h>
#include <stdlib.h>

int cmd_watch(const struct cli_options *options)
{
	_cleanup(free) char *mountpoint = NULL;
	long long run_id;
	char *end;
	int status;

	if (options->argc != 1)
		return cli_usage("watch needs the number of a run; 'keepfs jobs' lists them");
	errno = 0;
	run_id = strtoll(options->argv[0], &end, 10);
	if (errno || *end || run_id < 1)
		return cli_usage("'%s' is not the number of a run; 'keepfs jobs' lists them",
		                 options->argv[0]);
	status = client_find(options, &mountpoint);
	return status != CLI_DONE ? status : client_watch(mountpoint, run_id, CLIENT_SHOW_ALL);
}
