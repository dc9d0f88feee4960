// SPDX-License-Identifier: Apache-2.0
/*
 * Matching patterns. Both a name within a path and a character within a name are matched with one point to go back to, that of
 * the last star: an earlier star never has to take more than it did. So no pattern takes longer than length times length.
 */
#include <keepfs/base/str.h>
#include <keepfs/files/exclude.h>

#include <errno.h>
#include <string.h>

struct span { /* one name of a path or of a pattern */
	const char *at, *end;
};

/* The name that begins at @text. */
static struct span first_name(const char *text)
{
	return (struct span){text, text + strcspn(text, "/")};
}

/* Where the name after @s begins; NULL when it was the last. */
static const char *after_span(struct span s)
{
	return *s.end ? s.end + 1 : NULL;
}

/* Behind the ']' that ends the bracket whose '[' is at @p; NULL when nothing does. */
static const char *bracket_end(const char *p, const char *end)
{
	p++;
	if (p < end && (*p == '!' || *p == '^'))
		p++;
	if (p < end && *p == ']') /* as the first it is one of the characters */
		p++;
	while (p < end && *p != ']')
		p++;
	return p < end ? p + 1 : NULL;
}

static bool bracket_has(const char *p, const char *close, unsigned char c)
{
	for (; p < close; p++) {
		bool range = p + 2 < close && p[1] == '-';

		if (range ? (unsigned char)p[0] <= c && c <= (unsigned char)p[2] : (unsigned char)*p == c)
			return true;
		if (range)
			p += 2;
	}
	return false;
}

static bool match_bracket(const char *p, const char *behind, unsigned char c)
{
	bool negated = p[1] == '!' || p[1] == '^';

	return bracket_has(p + 1 + negated, behind - 1, c) != negated;
}

static size_t character_bytes(const char *text)
{
	size_t n = str_utf8_char(text);

	return n ? n : 1;
}

/* Match one character of each; both go on behind what matched. */
static bool match_character(struct span *pattern, struct span *name)
{
	const char *behind;

	if (pattern->at == pattern->end)
		return false;
	if (*pattern->at == '?' || *pattern->at == '[') {
		behind = *pattern->at == '?' ? pattern->at + 1 : bracket_end(pattern->at, pattern->end);
		if (!behind ||
		    (*pattern->at == '[' && !match_bracket(pattern->at, behind, (unsigned char)*name->at)))
			return false;
		pattern->at = behind;
		name->at += character_bytes(name->at);
		return true;
	}
	if (*pattern->at == '\\' && pattern->at + 1 < pattern->end)
		pattern->at++;
	return *pattern->at++ == *name->at++;
}

static bool match_name(struct span pattern, struct span name)
{
	struct span star = {NULL, NULL}, retry = name;

	while (name.at < name.end) {
		struct span p = pattern, n = name;

		if (p.at < p.end && *p.at == '*') {
			pattern.at++;
			star = pattern;
			retry = name;
		} else if (match_character(&p, &n)) {
			pattern = p;
			name = n;
		} else if (star.at) {
			pattern = star;
			retry.at += character_bytes(retry.at);
			name = retry;
		} else {
			return false;
		}
	}
	while (pattern.at < pattern.end && *pattern.at == '*')
		pattern.at++;
	return pattern.at == pattern.end;
}

static bool is_double_star(struct span s)
{
	return s.end - s.at == 2 && s.at[0] == '*' && s.at[1] == '*';
}

/* @pattern has no '/' at its ends. NULL stands for what is behind the last name. */
static bool match_path(const char *pattern, const char *path)
{
	const char *star = NULL, *retry = NULL;
	bool starred = false;

	while (path) {
		struct span name = first_name(path), p = {NULL, NULL};

		if (pattern)
			p = first_name(pattern);
		if (pattern && is_double_star(p)) {
			pattern = star = after_span(p);
			retry = path;
			starred = true;
		} else if (pattern && match_name(p, name)) {
			pattern = after_span(p);
			path = after_span(name);
		} else if (starred) {
			pattern = star;
			path = retry = after_span(first_name(retry));
		} else {
			return false;
		}
	}
	return !pattern;
}

/* @pattern without the slashes at its ends, in @buf, which has room for it. */
static const char *trimmed_pattern(const char *pattern, char *buf, size_t buf_bytes)
{
	size_t len;

	str_copy(buf, buf_bytes, *pattern == '/' ? pattern + 1 : pattern);
	len = strlen(buf);
	if (len > 0 && buf[len - 1] == '/')
		buf[len - 1] = '\0';
	return buf;
}

#define PATTERN_BYTES 4096

bool exclude_match(const char *pattern, const char *path, bool is_directory)
{
	char buf[PATTERN_BYTES];
	const char *slash = strrchr(path, '/');
	const char *core = trimmed_pattern(pattern, buf, sizeof(buf));

	if (!is_directory && str_ends(pattern, "/"))
		return false;
	if (*pattern == '/' || strchr(core, '/'))
		return match_path(core, path);
	return match_name(first_name(core), first_name(slash ? slash + 1 : path));
}

bool exclude_any(char *const *patterns, const char *path, bool is_directory)
{
	for (size_t i = 0; patterns && patterns[i]; i++)
		if (exclude_match(patterns[i], path, is_directory))
			return true;
	return false;
}

/* What is wrong with one name of a pattern; NULL: nothing. */
static const char *name_fault(struct span s)
{
	size_t len = (size_t)(s.end - s.at);

	if (len == 0)
		return "it has two slashes in a row, or none but slashes";
	if ((len == 1 && *s.at == '.') || (len == 2 && s.at[0] == '.' && s.at[1] == '.'))
		return "\".\" and \"..\" are no names; write the path as seen from the directory that is backed up";
	for (const char *p = s.at; p < s.end; p++) {
		const char *behind = *p == '[' ? bracket_end(p, s.end) : p + 1;

		if (*p == '\\' && ++p == s.end)
			return "a \\ has nothing behind it";
		if (!behind)
			return "a [ has no ] in the same name; write \\[ for the character itself";
		for (; p < behind - 1; p++)
			if ((unsigned char)*p >= 0x80)
				return "between [ and ] only characters of ASCII are possible";
	}
	return NULL;
}

static const char *pattern_fault(const char *pattern, char *buf)
{
	const char *fault = NULL;

	if (strlen(pattern) >= PATTERN_BYTES)
		return "it is longer than 4095 bytes";
	for (const char *p = trimmed_pattern(pattern, buf, PATTERN_BYTES); p && !fault;
	     p = after_span(first_name(p)))
		fault = name_fault(first_name(p));
	return fault;
}

int exclude_check(const char *pattern, struct error *err)
{
	char buf[PATTERN_BYTES];
	const char *fault = *pattern ? pattern_fault(pattern, buf) : "it is empty";

	if (!fault)
		return 0;
	return error_set(err, ERROR_USAGE, EINVAL, "the pattern \"%.200s\" cannot match: %s", pattern, fault);
}
