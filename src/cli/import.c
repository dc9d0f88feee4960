// SPDX-License-Identifier: Apache-2.0
/* keepfs import: by the mount where there is one, else in this process. */
#include "work.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/use.h>

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define OPTION_WORDS 5

static void add_import_word(struct cli_options *more, const char *key, const char *value)
{
	if (value)
		more->argv[more->argc++] = mem_printf("%s=%s", key, value);
}

/* The daemon works in another directory. What is no file here is the name of an export in the store. */
static char *file_word(const char *word)
{
	return *word != '/' && access(word, F_OK) == 0 ? realpath(word, NULL) : mem_strdup(word);
}

int cmd_import(const struct cli_options *options)
{
	static const struct work work = {.kind = &use_import, .file = "control/import", .shows_log = true};
	_cleanup(free) char **words = mem_array((size_t)options->argc + OPTION_WORDS, sizeof(*words));
	_cleanup(free) char *file = options->argc > 0 ? file_word(options->argv[0]) : NULL;
	struct cli_options more = *options;
	int status;

	if (!file)
		return cli_usage(
		        "import takes an export: exports/acme/latest.json.gz, or the path of a file");
	memcpy(words, options->argv, (size_t)options->argc * sizeof(*words));
	words[0] = file;
	more.argv = words;
	add_import_word(&more, "database", options->database);
	add_import_word(&more, "tenant", options->tenant);
	add_import_word(&more, "tenant-id", options->tenant_id);
	add_import_word(&more, "keys", options->keys);
	add_import_word(&more, "dry-run", options->dry_run ? "yes" : NULL);
	status = work_to_end(&more, &work);
	for (int i = options->argc; i < more.argc; i++)
		free(words[i]);
	return status;
}
