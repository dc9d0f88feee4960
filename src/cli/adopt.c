// SPDX-License-Identifier: Apache-2.0
/* keepfs adopt: files that lie in a place of others become backups of an inbox; by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/base/mem.h>
#include <keepfs/inbox.h>

#include <string.h>

#define ADOPT_WORDS 2

int cmd_adopt(const struct cli_options *options)
{
	static char plan[] = "plan=yes";
	const struct work work = {.kind = &inbox_adopt, .file = "control/adopt", .shows_log = true};
	struct cli_options more = *options;
	_cleanup(free) char **argv = mem_array((size_t)options->argc + ADOPT_WORDS, sizeof(*argv));
	_cleanup(free) char *job = options->job ? mem_printf("job=%s", options->job) : NULL;

	if (options->argc == 0)
		return cli_usage(
		        "adopt takes a place: s3://BUCKET/PREFIX, dir:/DIRECTORY, or the NAME of a [store NAME]; and --job, an inbox");
	memcpy(argv, options->argv, (size_t)options->argc * sizeof(*argv));
	more.argv = argv;
	if (job)
		argv[more.argc++] = job;
	if (options->dry_run)
		argv[more.argc++] = plan;
	return work_to_end(&more, &work);
}
