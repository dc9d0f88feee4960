// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Commands that do something with backups that are there: each is a run, of the mount where there is one, else of this process. */
#include "cli.h"

#include <keepfs/make.h>

struct work {
	const struct make_kind *kind;
	const char *file;               /* of the mount, that takes the order: "control/verify" */
	bool shows_log;                 /* what it did, line by line, is what people want to see at its end */
	void (*line)(const char *line); /* with shows_log: who wants to know each line of it, too; NULL */
};

/** work_to_end() - order it with the words of the command line, and follow it to its end. Return: an exit status: CLI_DONE when it
 * completed. */
int work_to_end(const struct cli_options *options, const struct work *work);
/** work_with_words() - the same, with the @count words of @words behind those of the command line; NULL among them is none. */
int work_with_words(const struct cli_options *options, const struct work *work, const char *const *words,
                    size_t count);
/** WORK_PLAN - the word by which such a run only tells what it would do. */
#define WORK_PLAN "plan=yes"
