// SPDX-License-Identifier: Apache-2.0
/*
 * Lines as pqBuildErrorMessage3() writes them: "FATAL:  28P01: words", and at last "LOCATION:  function, file:line". The
 * name of the severity is in the server's language, what libpq itself adds is in ours: English, since nobody here calls
 * setlocale().
 */
#include "refusal.h"

#include <ctype.h>
#include <string.h>

#define STATE_CHARS 5

static bool is_state(const char *p, const char *end)
{
	for (int i = 0; i < STATE_CHARS; i++, p++) {
		if (p >= end || !(isdigit((unsigned char)*p) || isupper((unsigned char)*p)))
			return false;
	}
	return end - p >= 2 && p[0] == ':' && p[1] == ' ';
}

/* Where the state of a line begins; NULL when it has none. */
static const char *find_state(const char *line, const char *end)
{
	for (const char *p = line; end - p > 3; p++) {
		if (p[0] == ':' && p[1] == ' ' && p[2] == ' ' && is_state(p + 3, end))
			return p + 3;
	}
	return NULL;
}

static void copy_part(char *to, size_t to_bytes, const char *from, size_t len)
{
	if (len >= to_bytes)
		len = to_bytes - 1;
	memcpy(to, from, len);
	to[len] = '\0';
}

static void take_refused_line(struct refusal *ret, const char *line, const char *end)
{
	static const char location[] = "LOCATION:  ";
	const char *state;

	if (str_starts(line, location)) {
		line += strlen(location);
		copy_part(ret->function, sizeof(ret->function), line, strcspn(line, ",\n"));
		return;
	}
	state = find_state(line, end);
	if (state) {
		copy_part(ret->state, sizeof(ret->state), state, STATE_CHARS);
		ret->function[0] = '\0';
		str_append_bytes(&ret->words, line, (size_t)(state - line));
		line = state + STATE_CHARS + 2;
	}
	str_append_bytes(&ret->words, line, (size_t)(end - line));
	str_append_char(&ret->words, '\n');
}

void refusal_parse(struct refusal *ret, const char *verbose)
{
	while (*verbose) {
		const char *end = verbose + strcspn(verbose, "\n");

		take_refused_line(ret, verbose, end);
		verbose = *end ? end + 1 : end;
	}
}
