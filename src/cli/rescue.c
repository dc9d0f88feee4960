// SPDX-License-Identifier: Apache-2.0
/* keepfs rescue: by the mount where there is one, else in this process. Without --confirm it only tells what it would do. */
#include "work.h"

#include <keepfs/base/mem.h>
#include <keepfs/use.h>

#include <stdlib.h>
#include <string.h>

#define OPTION_WORDS 5

static void add_option_word(struct cli_options *more, const char *key, const char *value)
{
	if (value)
		more->argv[more->argc++] = mem_printf("%s=%s", key, value);
}

/* Options stand for words. */
int cmd_rescue(const struct cli_options *options)
{
	static const struct work work = {.kind = &use_rescue, .file = "control/rescue", .shows_log = true};
	_cleanup(free) char **words = mem_array((size_t)options->argc + OPTION_WORDS, sizeof(*words));
	struct cli_options more = *options;
	int status;

	if (options->argc < 2)
		return cli_usage("rescue takes a backup and a table: full/latest.dump public.orders");
	memcpy(words, options->argv, (size_t)options->argc * sizeof(*words));
	more.argv = words;
	add_option_word(&more, "where", options->where);
	add_option_word(&more, "into", options->into);
	add_option_word(&more, "replace", options->replace ? "yes" : NULL);
	add_option_word(&more, "plan", options->dry_run ? "yes" : NULL);
	add_option_word(&more, "confirm", options->confirm);
	status = work_to_end(&more, &work);
	for (int i = options->argc; i < more.argc; i++)
		free(words[i]);
	return status;
}
