// SPDX-License-Identifier: Apache-2.0
/* The types of values that only a job of files has: patterns of what lies below its directory. */
#include <keepfs/base/mem.h>

#include "value_ops.h"
#include "words.h"

#include <errno.h>
#include <string.h>

/* "", "." and ".." are no names: a pattern with one of these as a part of its path never matches. A '/' may stand
 * in front and at the end. */
static bool has_bad_part(const char *pattern)
{
	const char *p = pattern + (*pattern == '/');

	do {
		size_t len = strcspn(p, "/");

		if (len == 0 || (len <= 2 && strspn(p, ".") >= len))
			return true;
		p += len;
		p += *p == '/';
	} while (*p);
	return false;
}

static int parse_file_patterns(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **patterns = conf_words_parse(text, wrong), ***slot = field;

	for (size_t i = 0; patterns && patterns[i]; i++) {
		if (!has_bad_part(patterns[i]))
			continue;
		str_appendf(wrong, "holds %s, which has an empty, '.' or '..' part", patterns[i]);
		conf_words_free(patterns);
		return -EINVAL;
	}
	if (!patterns)
		return -EINVAL;
	conf_words_free(*slot);
	*slot = patterns;
	return 0;
}

static void allow_file_patterns(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different patterns such as *.tmp or cache/*, relative to path, separated by commas or spaces (one with these in double quotes)");
}

static void format_file_patterns(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

const struct value_ops conf_file_patterns_ops = {parse_file_patterns, allow_file_patterns,
                                                 format_file_patterns};

/* Patterns of directories all at one depth, seen from the job's. */
static int parse_subdirectories(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **slot = field;

	if (*text == '/')
		return conf_value_wrong(wrong, "is absolute, but is seen from path");
	if (*text && !str_ends(text, "/"))
		return conf_value_wrong(wrong, "does not end in '/'");
	if (*text && has_bad_part(text))
		return conf_value_wrong(wrong, "has an empty, '.' or '..' part");
	if (strstr(text, "**"))
		return conf_value_wrong(wrong, "has '**', but subdirectories are taken at one depth only");
	mem_replace_string(slot, text);
	return 0;
}

static void allow_subdirectories(const struct conf_key *key, struct str *out)
{
	str_append(out, "empty, or a pattern relative to path that ends in '/', such as */ or projects/*/");
}

static void format_subdirectories(const struct conf_key *key, const void *field, struct str *out)
{
	const char *text = *(char *const *)field;

	str_append(out, text ? text : "");
}

const struct value_ops conf_subdirectories_ops = {parse_subdirectories, allow_subdirectories,
                                                  format_subdirectories};
