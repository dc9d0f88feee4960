// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * INI text as events with line numbers, over inih. On top of inih: sections without keys and with long names,
 * lines of any length up to CONF_LINE_MAX, "#" as well as ";" behind a space begins a comment unless it stands
 * in single or double quotes that are closed on the line, and every line that is neither section, pair,
 * comment nor blank is told. A value is on one line; leading spaces mean nothing.
 */
#include <stdbool.h>
#include <stddef.h>

#define CONF_LINE_MAX 65536

struct conf_lines_events {
	void (*section)(void *arg, int line, const char *name); /* "" after a bad section line */
	void (*pair)(void *arg, int line, const char *key, const char *value);
	void (*bad)(void *arg, int line, const char *what); /* "has no '='"; the line is left out */
	/* A line that is indented deeper than the pair above it belongs to that pair, and is left out. */
	bool nested;
};

void conf_lines_parse(const char *text, size_t len, const struct conf_lines_events *events, void *arg);
