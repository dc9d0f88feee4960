// SPDX-License-Identifier: Apache-2.0
/* inih reads lines through a function of ours, so the number of the line is known when inih calls back with
 * its pair, and a line for which it does not call back was no pair. inih's buffer has a size that was fixed
 * when it was built (200 bytes in Debian), and it never tells that a line was cut; and for inih a comment
 * begins within quotes, too. So a value is taken from the line itself. */
#include "lines.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>

#include "value.h"

#include <ctype.h>
#include <ini.h>
#include <stdbool.h>
#include <string.h>

struct lines {
	const char *next, *end;
	int number;
	struct str line; /* the current one: without comment, spaces at its ends, line end */
	int pair_indent; /* how deep the last pair is indented; -1: there is none in this section */
	bool unanswered; /* it should be a pair, and inih has not called back */
	const struct conf_lines_events *events;
	void *arg;
};

static void settle_line(struct lines *l)
{
	if (l->unanswered)
		l->events->bad(l->arg, l->number,
		               "has no '=': a line is '[section]', 'key = value' or a '# comment'");
	l->unanswered = false;
}

static bool is_comment_start(const char *text, size_t i)
{
	return (text[i] == '#' || text[i] == ';') && (i == 0 || text[i - 1] == ' ' || text[i - 1] == '\t');
}

/* Behind the quoted text that begins at @i; @i when none does. A quote that is never closed is none, nor is an
 * apostrophe ("don't"). */
static size_t quoted_end(const char *text, size_t len, size_t i)
{
	char quote = text[i];

	if (quote != '"' && (quote != '\'' || (i > 0 && isalnum((unsigned char)text[i - 1]))))
		return i;
	for (size_t end = i + 1; end < len; end++) {
		if (text[end] == quote)
			return end + 1;
		end += text[end] == '\\';
	}
	return i;
}

/* Where the comment of a line begins; @len when it has none. */
static size_t comment_start(const char *text, size_t len)
{
	size_t i = 0;

	while (i < len && !is_comment_start(text, i)) {
		size_t end = quoted_end(text, len, i);

		/* A backslash takes the next character along, a quote as well. */
		i = end > i ? end : i + 1 + (text[i] == '\\' && i + 1 < len && strchr("'\"\\", text[i + 1]));
	}
	return i < len ? i : len;
}

/* Is a line that is indented so far a part of the pair above it? Else it is remembered as a pair itself. */
static bool belongs_to_pair(struct lines *l, int indent, char first)
{
	if (!l->events->nested)
		return false;
	if (first == '[') {
		l->pair_indent = -1;
		return false;
	}
	if (l->pair_indent >= 0 && indent > l->pair_indent)
		return true;
	l->pair_indent = indent;
	return false;
}

/* Take the next line into l->line; false when it must be left out. */
static bool take_text_line(struct lines *l)
{
	const char *start = l->next, *newline = memchr(start, '\n', (size_t)(l->end - start));
	size_t len = (size_t)((newline ? newline : l->end) - start);
	size_t used;
	int indent = 0;

	l->next = newline ? newline + 1 : l->end;
	l->number++;
	str_clear(&l->line);
	if (len > CONF_LINE_MAX) {
		l->events->bad(l->arg, l->number, "is longer than 65536 bytes");
		return false;
	}
	used = comment_start(start, len);
	while (used > 0 && isspace((unsigned char)start[used - 1]))
		used--;
	while (used > 0 && (*start == ' ' || *start == '\t')) {
		start++;
		used--;
		indent++;
	}
	if (used > 0 && belongs_to_pair(l, indent, *start))
		return false;
	for (size_t i = 0; i < used; i++) {
		if (iscntrl((unsigned char)start[i]) && start[i] != '\t') {
			_cleanup(str) struct str wrong = {0};

			conf_control_wrong(&wrong, start[i]);
			l->events->bad(l->arg, l->number, str_text(&wrong));
			return false;
		}
	}
	str_append_bytes(&l->line, start, used);
	return true;
}

/* A line that begins with '['. inih does not get it: it keeps only 49 bytes of a section's name, and tells
 * none that has no pair. */
static void take_section(struct lines *l)
{
	const char *text = str_text(&l->line), *close = strchr(text, ']');
	_cleanup(str) struct str name = {0};

	if (!close || close[1] || close == text + 1) {
		l->events->bad(l->arg, l->number,
		               !close     ? "has no ']' at its end"
		               : close[1] ? "has text behind the ']' of its section"
		                          : "names no section between '[' and ']'");
		l->events->section(l->arg, l->number, "");
		return;
	}
	str_append_bytes(&name, text + 1, (size_t)(close - text) - 1);
	l->events->section(l->arg, l->number, str_text(&name));
}

/* inih's reader, in fgets()'s manner. */
static char *read_line(char *buf, int size, void *stream)
{
	struct lines *l = stream;

	settle_line(l);
	while (l->next < l->end) {
		if (!take_text_line(l) || l->line.len == 0)
			continue;
		if (l->line.data[0] == '[') {
			take_section(l);
			continue;
		}
		l->unanswered = true;
		str_copy(buf, (size_t)size, l->line.data);
		return buf;
	}
	return NULL;
}

static int take_pair(void *user, const char *section, const char *name, const char *value)
{
	struct lines *l = user;

	l->unanswered = false;
	value = l->line.data + strcspn(l->line.data, "=:") + 1;
	value += strspn(value, " \t");
	if (*name)
		l->events->pair(l->arg, l->number, name, value);
	else
		l->events->bad(l->arg, l->number, "has no key before its '='");
	return 1;
}

void conf_lines_parse(const char *text, size_t len, const struct conf_lines_events *events, void *arg)
{
	struct lines l = {.next = text, .end = text + len, .events = events, .arg = arg, .pair_indent = -1};

	if (len >= 3 && memcmp(text, "\xEF\xBB\xBF", 3) == 0)
		l.next += 3;
	ini_parse_stream(read_line, &l, take_pair, &l);
	settle_line(&l);
	if (l.line.data)
		explicit_bzero(l.line.data, l.line.cap);
	str_finish(&l.line);
}
