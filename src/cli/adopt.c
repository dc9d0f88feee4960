// SPDX-License-Identifier: Apache-2.0
/* keepfs adopt: files that lie in a place of others become backups of an inbox; by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/base/mem.h>
#include <keepfs/inbox.h>

int cmd_adopt(const struct cli_options *options)
{
	const struct work work = {.kind = &inbox_adopt, .file = "control/adopt", .shows_log = true};
	_cleanup(free) char *job = options->job ? mem_printf("job=%s", options->job) : NULL;
	const char *const words[] = {job, options->dry_run ? WORK_PLAN : NULL};

	if (options->argc == 0)
		return cli_usage(
		        "adopt takes a place: s3://BUCKET/PREFIX, dir:/DIRECTORY, or the NAME of a [store NAME]; and --job, an inbox");
	return work_with_words(options, &work, words, ARRAY_SIZE(words));
}
