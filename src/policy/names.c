// SPDX-License-Identifier: Apache-2.0
/* See names.h. */
#include "names.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define LISTED_COLUMNS 20

void policy_name_finish(struct policy_name *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->parts[i]);
	*n = (struct policy_name){0};
}

const char *policy_skip_blanks(const char *p)
{
	return p + strspn(p, " \t\r\n");
}

static bool is_plain_character(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '$' || (c & 0x80);
}

/* A '-' belongs to a name, unless it begins an arrow. */
static size_t bare_part_length(const char *p)
{
	size_t n = 0;

	while (is_plain_character(p[n]) || p[n] == '*' || p[n] == '?' || (p[n] == '-' && p[n + 1] != '>'))
		n++;
	return n;
}

/* What stands between two quotes, which stand for themselves when they are doubled. */
static const char *take_between_quotes(const char **at, char **ret)
{
	char quote = **at;
	_cleanup(str) struct str text = {0};
	const char *p = *at + 1;

	for (; *p && (*p != quote || p[1] == quote); p++) {
		str_append_char(&text, *p);
		p += *p == quote;
	}
	if (!*p)
		return "has a quote that is not closed";
	*at = p + 1;
	*ret = str_take(&text);
	return NULL;
}

const char *policy_literal_take(const char **at, char **ret)
{
	return **at == '\'' ? take_between_quotes(at, ret) : "lacks a text in single quotes";
}

static const char *take_part(const char **at, bool patterns, char **ret, bool *is_quoted)
{
	size_t len;

	*is_quoted = **at == '"';
	if (*is_quoted) {
		const char *problem = take_between_quotes(at, ret);

		return problem || **ret ? problem : "has an empty name in quotes";
	}
	len = bare_part_length(*at);
	if (len == 0)
		return "lacks a name (one with other characters than letters, digits, _, $ and - stands in double quotes)";
	*ret = strndup(*at, len);
	*at += len;
	return patterns || !strpbrk(*ret, "*?") ? NULL : "has a wildcard, which is not allowed here";
}

const char *policy_name_take(const char **at, bool patterns, struct policy_name *ret)
{
	do {
		const char *problem;

		if (ret->count == POLICY_NAME_PARTS)
			return "has a name of more than three parts";
		*at += ret->count > 0;
		problem = take_part(at, patterns, &ret->parts[ret->count], &ret->is_quoted[ret->count]);
		ret->count += ret->parts[ret->count] != NULL;
		if (problem)
			return problem;
	} while (**at == '.');
	return NULL;
}

const char *policy_name_take_all(const char *text, bool patterns, struct policy_name *ret)
{
	const char *at = policy_skip_blanks(text), *problem = policy_name_take(&at, patterns, ret);

	if (problem)
		return problem;
	return *policy_skip_blanks(at) ? "has something behind the name that is not understood" : NULL;
}

bool policy_name_is_pattern(const struct policy_name *n, size_t part)
{
	return !n->is_quoted[part] && strpbrk(n->parts[part], "*?");
}

static size_t character_length(const char *text)
{
	size_t n = str_utf8_char(text);

	return n > 0 ? n : 1;
}

/* Going back to the last '*' only is enough: what is before it has matched as early as it can. */
static bool matches_wildcards(const char *pattern, const char *text)
{
	const char *star = NULL, *resume = NULL;

	while (*text) {
		if (*pattern == '*') {
			star = ++pattern;
			resume = text;
		} else if (*pattern == '?') {
			pattern++;
			text += character_length(text);
		} else if (*pattern == *text) {
			pattern++;
			text++;
		} else if (star) {
			pattern = star;
			text = resume += character_length(resume);
		} else {
			return false;
		}
	}
	return pattern[strspn(pattern, "*")] == '\0';
}

bool policy_name_matches(const struct policy_name *n, size_t part, const char *text)
{
	return n->is_quoted[part] ? str_equal(n->parts[part], text) : matches_wildcards(n->parts[part], text);
}

bool policy_name_matches_table(const struct policy_name *n, size_t count, const struct tenancy_table *t)
{
	if (count > 1 && !policy_name_matches(n, count - 2, t->schema))
		return false;
	return count == 0 || policy_name_matches(n, count - 1, t->name);
}

static bool is_usual_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!is_plain_character(*p))
			return false;
	return *name;
}

void policy_append_word(struct str *s, const char *name)
{
	_cleanup(str) struct str quoted = {0};

	if (is_usual_name(name)) {
		str_append_visible(s, name);
		return;
	}
	str_append_char(&quoted, '"');
	for (const char *p = name; *p; p++) {
		if (*p == '"')
			str_append_char(&quoted, '"');
		str_append_char(&quoted, *p);
	}
	str_append_char(&quoted, '"');
	str_append_line(s, str_text(&quoted));
}

void policy_append_table(struct str *s, const struct tenancy_table *t)
{
	policy_append_word(s, t->schema);
	str_append_char(s, '.');
	policy_append_word(s, t->name);
}

void policy_append_columns(struct str *s, const struct tenancy_table *t)
{
	for (size_t i = 0; i < t->column_count && i < LISTED_COLUMNS; i++) {
		str_append(s, i ? ", " : "");
		policy_append_word(s, t->columns[i].name);
	}
	if (t->column_count > LISTED_COLUMNS)
		str_appendf(s, " and %zu more", t->column_count - LISTED_COLUMNS);
}

int policy_bad_rule(struct error *err, const char *key, const char *text, const char *problem)
{
	_cleanup(str) struct str shown = {0};

	str_append_line(&shown, text);
	return policy_refuse(err, "%s: \"%s\" %s", key, str_text(&shown), problem);
}

int policy_refuse(struct error *err, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0}, line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	str_append_line(&line, str_text(&text));
	return error_set(err, ERROR_USAGE, EINVAL, "%s", str_text(&line));
}

void policy_warn(char ***warnings, size_t *count, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	struct str line = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	str_append_line(&line, str_text(&text));
	*warnings = mem_resize(*warnings, *count + 1, sizeof(**warnings));
	(*warnings)[(*count)++] = str_take(&line);
}

void policy_free_texts(char **texts, size_t count)
{
	for (size_t i = 0; i < count; i++)
		free(texts[i]);
	free(texts);
}
