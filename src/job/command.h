// SPDX-License-Identifier: Apache-2.0
#pragma once
/* Commands as written to control files: words and key=value pairs, with the shell's quoting. Pure. */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stddef.h>

#define COMMAND_MAX_BYTES 4096

struct command_option {
	char *key, *value;
};

struct command {
	char **words;
	size_t word_count;
	struct command_option *options;
	size_t option_count;
};

void command_finish(struct command *c);
static inline void cleanup_command(struct command *c)
{
	command_finish(c);
}

/**
 * command_parse() - split @text
 * White space separates. 'single quotes' keep everything; "double quotes" too, but for a backslash before one
 * of " \ $ `; elsewhere a backslash keeps the next character. A key is unquoted, begins with a lower-case
 * letter, and holds lower-case letters, digits, '_' and '-'; what has another left side of '=' is a word.
 * Return: 0; -EINVAL with the reason; also for what is not UTF-8, and for control characters.
 */
int command_parse(const char *text, struct command *ret, struct error *err);
/** command_append() - see jobs_append_word(). */
void command_append(struct str *command, const char *word);
