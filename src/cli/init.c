// SPDX-License-Identifier: Apache-2.0
/* keepfs init: a configuration to start from, every key with its help. */
#include "cli.h"

#include "conf_file.h"
#include "quick.h"

#include <keepfs/base/mem.h>

#include <stdio.h>

int cmd_init(const struct cli_options *options)
{
	_cleanup(free) char *path = conf_file_path(options->config);
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	if (options->quick)
		return init_quick(options);
	if (options->argc > 0)
		return cli_usage("init takes no argument, but for the URL of --quick");
	if (options->database)
		return cli_usage("init takes --database with --quick only");
	conf_write_template(&text, options->state_dir, options->mountpoint, options->store_url);
	if (conf_file_write(path, &text, options->force, &err) < 0)
		return cli_fail(&err);
	printf("%s written. Next:\n"
	       "  1. edit it: where the backups go ([store]) and what is backed up ([backup ...])\n"
	       "  2. keepfs check -c %s\n"
	       "  3. keepfs mount -c %s\n",
	       path, path, path);
	return CLI_DONE;
}
