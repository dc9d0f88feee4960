// SPDX-License-Identifier: Apache-2.0
/* Values of [control]: rules that say who may write which file, and lists of people. Whether there are such users is seen where the mount is: a
 * configuration is read on other hosts, too. */
#include "value_ops.h"

#include <keepfs/base/mem.h>

#include "words.h"

#include <errno.h>
#include <string.h>

#define FILE_CHARACTERS "abcdefghijklmnopqrstuvwxyz-*?"

static bool is_person(const char *word)
{
	return *word && word[*word == '@'] && !strchr(word + 1, '@');
}

static int check_control_rule(const char *word, struct str *wrong)
{
	size_t len = strcspn(word, ":");

	if (len > 0 && word[len] && strspn(word, FILE_CHARACTERS) == len && is_person(word + len + 1))
		return 0;
	str_appendf(wrong, "has %s, which is not FILE:USER or FILE:@GROUP", word);
	return -EINVAL;
}

static int check_control_person(const char *word, struct str *wrong)
{
	if (is_person(word) && !strchr(word, ':'))
		return 0;
	str_appendf(wrong, "has %s, which is not USER or @GROUP", word);
	return -EINVAL;
}

static int take_control_words(const char *text, void *field, int (*check)(const char *, struct str *),
                              struct str *wrong)
{
	char **words = conf_words_parse(text, wrong);
	int r = words ? 0 : -EINVAL;

	for (size_t i = 0; r == 0 && words[i]; i++)
		r = check(words[i], wrong);
	if (r < 0) {
		conf_words_free(words);
		return r;
	}
	conf_words_free(*(char ***)field);
	*(char ***)field = words;
	return 0;
}

static int parse_control_rules(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return take_control_words(text, field, check_control_rule, wrong);
}

static int parse_control_people(const struct conf_key *key, const char *text, void *field, struct str *wrong)
{
	return take_control_words(text, field, check_control_person, wrong);
}

static void allow_control_rules(const struct conf_key *key, struct str *out)
{
	str_append(
	        out,
	        "the name of a file of control/ or a pattern, ':', and a user or @ and a group, by name or number, separated by commas or spaces");
}

static void allow_control_people(const struct conf_key *key, struct str *out)
{
	str_append(out, "users, or @ and groups, by name or number, separated by commas or spaces");
}

static void format_control_words(const struct conf_key *key, const void *field, struct str *out)
{
	conf_words_format(*(char **const *)field, out);
}

const struct value_ops conf_control_rules_ops = {parse_control_rules, allow_control_rules,
                                                 format_control_words};
const struct value_ops conf_people_ops = {parse_control_people, allow_control_people, format_control_words};
