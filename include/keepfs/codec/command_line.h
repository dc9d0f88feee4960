// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Commands as written to control files: words and key=value pairs, with the shell's quoting. Pure. */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stddef.h>

#define COMMAND_LINE_MAX_BYTES 4096

struct command_pair {
	char *key, *value;
};

/** struct command_line - a command, taken apart; the words and the pairs each in their order */
struct command_line {
	char **words;
	size_t word_count;
	struct command_pair *pairs;
	size_t pair_count;
};

void command_line_finish(struct command_line *c);
static inline void cleanup_command_line(struct command_line *c)
{
	command_line_finish(c);
}

/**
 * command_line_parse() - split @text
 * White space separates. 'single quotes' keep everything; "double quotes" too, but for a backslash before one
 * of " \ $ `; elsewhere a backslash keeps the next character. A key is unquoted, begins with a lower-case
 * letter, and holds lower-case letters, digits, '_' and '-'; what has another left side of '=' is a word.
 * Return: 0; -EINVAL with the reason; also for what is not UTF-8, and for control characters.
 */
int command_line_parse(const char *text, struct command_line *ret, struct error *err);
/** command_line_append() - add a word or key=value pair to @command, quoted where it would be taken apart otherwise: what a
 * shell has split becomes one line again, which command_line_parse() splits alike. */
void command_line_append(struct str *command, const char *word);
