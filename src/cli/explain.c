// SPDX-License-Identifier: Apache-2.0
#include "explain.h"

#include <keepfs/artifact.h>
#include <keepfs/base/str.h>
#include <keepfs/export.h>

#include <errno.h>
#include <stdio.h>

static int explain_job(const struct cli_options *options, const struct conf *conf, const struct conf_job *job)
{
	const char *tenant = options->argc > 0 ? options->argv[0] : NULL;
	const struct export_question question = {.tenant = tenant, .counts = tenant != NULL};
	struct repository repository = {0};
	const struct make_context ctx = {.conf = conf, .repository = &repository};
	_cleanup(str) struct str text = {0};
	struct error err = {0};
	int r = options->then_delete ? export_look_at_deletion(&ctx, job, &question, &text, &err)
	                             : export_explain(&ctx, job, &question, &text, &err);

	if (r < 0)
		return cli_fail(&err);
	cli_put(stdout, str_text(&text));
	return CLI_DONE;
}

int explain_export(const struct cli_options *options)
{
	_cleanup(conf) struct conf conf = {0};
	int status;

	if (options->argc > 1 || options->json)
		return cli_usage(
		        "--explain and --dry-run are a text, about one tenant at most: it does not take --json");
	status = cli_load_conf(options, &conf);
	if (status != CLI_DONE)
		return status;
	if (conf_exports(&conf))
		return explain_job(options, &conf, conf_exports(&conf));
	return cli_usage("there is no section [export] in the configuration");
}
