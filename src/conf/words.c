// SPDX-License-Identifier: Apache-2.0
/* Lists of names and of patterns: entries are separated by commas or spaces, and one that holds these is in
 * double quotes. Around a name the quotes are keepfs's own and are taken away; in a pattern they are
 * pg_dump's, and stay. What is written is read back to the same list. */
#include "words.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* One entry from *@text on, without quotes; *@text is moved behind it. */
static int next_word(const char **text, struct str *word, struct str *wrong)
{
	const char *p = *text;

	if (*p != '"') {
		for (; *p && !is_blank(*p) && *p != ','; p++)
			str_append_char(word, *p);
		*text = p;
		return 0;
	}
	for (p++; *p && (*p != '"' || p[1] == '"'); p++) {
		if (*p == '"')
			p++; /* a doubled quote stands for one */
		str_append_char(word, *p);
	}
	if (*p != '"') {
		str_append(wrong, "has a double quote that is not closed");
		return -EINVAL;
	}
	p++;
	if (*p && !is_blank(*p) && *p != ',') {
		str_append(wrong, "has text right behind a closing double quote");
		return -EINVAL;
	}
	*text = p;
	return 0;
}

/* The same for a pattern: quotes may stand anywhere in it, and stay, as they mean something to pg_dump. */
static int next_pattern(const char **text, struct str *word, struct str *wrong)
{
	const char *p = *text;
	bool quoted = false;

	for (; *p && (quoted || (!is_blank(*p) && *p != ',')); p++) {
		quoted ^= *p == '"';
		str_append_char(word, *p);
	}
	if (quoted) {
		str_append(wrong, "has a double quote that is not closed");
		return -EINVAL;
	}
	*text = p;
	return 0;
}

static int add_word(char ***words, size_t *count, const char *word, struct str *wrong)
{
	if (!*word) {
		str_append(wrong, "has an empty entry");
		return -EINVAL;
	}
	if (conf_words_find(*words, word)) {
		str_appendf(wrong, "names %s twice", word);
		return -EINVAL;
	}
	*words = mem_resize(*words, *count + 2, sizeof(**words));
	(*words)[(*count)++] = mem_strdup(word);
	(*words)[*count] = NULL;
	return 0;
}

static const char *skip_space(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

static char **parse_list(const char *text,
                         int (*next)(const char **text, struct str *word, struct str *wrong),
                         struct str *wrong)
{
	char **words = mem_array(1, sizeof(*words));
	const char *p = skip_space(text);
	size_t count = 0;
	bool comma = false; /* an entry must follow */

	while (*p || comma) {
		_cleanup(str) struct str word = {0};

		if (next(&p, &word, wrong) < 0 || add_word(&words, &count, str_text(&word), wrong) < 0) {
			conf_words_free(words);
			return NULL;
		}
		p = skip_space(p);
		comma = *p == ',';
		if (comma)
			p = skip_space(p + 1);
	}
	return words;
}

char **conf_words_parse(const char *text, struct str *wrong)
{
	return parse_list(text, next_word, wrong);
}

char **conf_patterns_parse(const char *text, struct str *wrong)
{
	return parse_list(text, next_pattern, wrong);
}

void conf_patterns_format(char *const *patterns, struct str *out)
{
	for (size_t i = 0; patterns && patterns[i]; i++)
		str_appendf(out, "%s%s", i > 0 ? ", " : "", patterns[i]);
}

void conf_words_format(char *const *words, struct str *out)
{
	for (size_t i = 0; words && words[i]; i++) {
		if (i > 0)
			str_append(out, ", ");
		if (!strpbrk(words[i], " \t,\"")) {
			str_append(out, words[i]);
			continue;
		}
		str_append_char(out, '"');
		for (const char *p = words[i]; *p; p++) {
			if (*p == '"')
				str_append_char(out, '"');
			str_append_char(out, *p);
		}
		str_append_char(out, '"');
	}
}

void conf_words_free(char **words)
{
	for (size_t i = 0; words && words[i]; i++)
		mem_free_secret(words[i]);
	free(words);
}

char **conf_words_copy(char *const *words)
{
	char **copy;
	size_t count = 0;

	if (!words)
		return NULL;
	while (words[count])
		count++;
	copy = mem_array(count + 1, sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		copy[i] = mem_strdup(words[i]);
	return copy;
}

const char *conf_words_find(char *const *words, const char *word)
{
	for (size_t i = 0; words && words[i]; i++)
		if (strcmp(words[i], word) == 0)
			return words[i];
	return NULL;
}

static bool holds_all(char *const *words, char *const *others)
{
	for (size_t i = 0; others && others[i]; i++)
		if (!conf_words_find(words, others[i]))
			return false;
	return true;
}

bool conf_words_same(char *const *a, char *const *b)
{
	return holds_all(a, b) && holds_all(b, a);
}
