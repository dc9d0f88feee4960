// SPDX-License-Identifier: Apache-2.0
/* Which databases: names, patterns of names, or a query, of which each has its own rules. */
#include <keepfs/base/mem.h>
#include <keepfs/policy/databases.h>

#include "value_ops.h"
#include "words.h"

#include <errno.h>
#include <string.h>

static char **query_alone(const char *text)
{
	char **words = mem_array(2, sizeof(*words));

	words[0] = mem_strdup(text);
	words[1] = NULL;
	return words;
}

/* What is found by patterns has to be asked for, and nothing both asked for and left out. */
static int check_choice(char *const *words, struct str *wrong)
{
	bool any = false;

	for (size_t i = 0; words[i]; i++) {
		if (strcmp(words[i], "!") == 0)
			return conf_value_wrong(wrong, "has a '!' with nothing behind it");
		any |= words[i][0] != '!';
		if (!databases_is_pattern(words[i]) && databases_is_exception(words, words[i])) {
			str_appendf(wrong, "asks for %s and leaves it out", words[i]);
			return -EINVAL;
		}
	}
	return any || !words[0]
	               ? 0
	               : conf_value_wrong(wrong, "only says what is left out: write *, and then that");
}

static int parse_databases(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = databases_are_query(text) ? query_alone(text) : conf_words_parse(text, wrong);
	char ***slot = field;

	if (!words)
		return -EINVAL;
	if (databases_kind_of(words) != DATABASES_QUERY && check_choice(words, wrong) < 0) {
		conf_words_free(words);
		return -EINVAL;
	}
	conf_words_free(*slot);
	*slot = words;
	return 0;
}

static void allow_databases(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different names or patterns such as \"*, !scratch, !test_*\", separated by commas or spaces (one with "
	        "these in double quotes), or a query that begins with SELECT or WITH");
}

static void format_databases(const struct conf_key *key, const void *field, struct str *out)
{
	char *const *words = *(char **const *)field;

	if (databases_kind_of(words) == DATABASES_QUERY)
		str_append(out, words[0]);
	else
		conf_words_format(words, out);
}

const struct value_ops conf_databases_ops = {parse_databases, allow_databases, format_databases};

static void allow_name_patterns(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "different names or patterns such as scratch or test_*, separated by commas or spaces (one with these in "
	        "double quotes)");
}

static int parse_name_patterns(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	char **words = conf_words_parse(text, wrong), ***slot = field;

	if (!words)
		return -EINVAL;
	conf_words_free(*slot);
	*slot = words;
	return 0;
}

static void format_name_patterns(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

const struct value_ops conf_name_patterns_ops = {parse_name_patterns, allow_name_patterns,
                                                 format_name_patterns};
