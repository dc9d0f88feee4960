// SPDX-License-Identifier: Apache-2.0
/* Lines of metrics. A label's value comes from people (names of databases), so it is escaped, and what is not
 * UTF-8 is replaced: one wrong byte would make the reader refuse the whole text. */
#include "exposition.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void append_value(struct str *line, const char *text)
{
	_cleanup(str) struct str shown = {0};

	str_append_visible(&shown, text);
	for (size_t i = 0; i < shown.len; i++) {
		if (shown.data[i] == '\n')
			str_append(line, "\\n");
		else if (strchr("\\\"", shown.data[i]))
			str_appendf(line, "\\%c", shown.data[i]);
		else
			str_append_char(line, shown.data[i]);
	}
}

/* "name{a="b",le="0.1"} "; @le may be NULL. */
static void append_series(struct str *line, const char *name, const char *suffix, const char *const *labels,
                          const char *le)
{
	const char *before = "{";

	str_appendf(line, "%s%s", name, suffix);
	for (; *labels; labels += 2, before = ",") {
		str_appendf(line, "%s%s=\"", before, labels[0]);
		append_value(line, labels[1]);
		str_append_char(line, '"');
	}
	if (le)
		str_appendf(line, "%sle=\"%s\"}", before, le);
	else if (*before == ',')
		str_append_char(line, '}');
	str_append_char(line, ' ');
}

static void append_number(struct str *lines, uint64_t value)
{
	str_appendf(lines, "%" PRIu64 "\n", value);
}

static void append_seconds(struct str *lines, uint64_t us)
{
	str_appendf(lines, "%" PRIu64 ".%06" PRIu64 "\n", us / US_PER_S, us % US_PER_S);
}

static void put_lines(struct spool *out, const struct str *lines)
{
	spool_append(out, str_text(lines), lines->len);
}

void expose_family(struct spool *out, const char *name, const char *type, const char *help)
{
	spool_appendf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

void expose_number(struct spool *out, const char *name, const char *const *labels, uint64_t value)
{
	_cleanup(str) struct str line = {0};

	append_series(&line, name, "", labels, NULL);
	append_number(&line, value);
	put_lines(out, &line);
}

void expose_real(struct spool *out, const char *name, const char *const *labels, double value)
{
	_cleanup(str) struct str line = {0};

	append_series(&line, name, "", labels, NULL);
	str_appendf(&line, "%.15g\n", value);
	put_lines(out, &line);
}

void expose_seconds(struct spool *out, const char *name, const char *const *labels, int64_t us)
{
	_cleanup(str) struct str line = {0};

	append_series(&line, name, "", labels, NULL);
	append_seconds(&line, us > 0 ? (uint64_t)us : 0);
	put_lines(out, &line);
}

void expose_histogram(struct spool *out, const char *name, const char *const *labels,
                      const struct histogram *h)
{
	_cleanup(str) struct str lines = {0};
	uint64_t count = 0;
	char le[32];

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
		int64_t bound_us = histogram_bound_us(i);

		if (bound_us == INT64_MAX)
			str_copy(le, sizeof(le), "+Inf");
		else
			snprintf(le, sizeof(le), "%g", (double)bound_us / (double)US_PER_S);
		count += atomic_load(&h->buckets[i]);
		append_series(&lines, name, "_bucket", labels, le);
		append_number(&lines, count);
	}
	append_series(&lines, name, "_sum", labels, NULL);
	append_seconds(&lines, atomic_load(&h->sum_us));
	append_series(&lines, name, "_count", labels, NULL);
	append_number(&lines, count);
	put_lines(out, &lines);
}

void expose_counter(struct spool *out, const char *name, const char *help, uint64_t value)
{
	expose_family(out, name, "counter", help);
	expose_number(out, name, NO_LABELS, value);
}

void expose_gauge(struct spool *out, const char *name, const char *help, uint64_t value)
{
	expose_family(out, name, "gauge", help);
	expose_number(out, name, NO_LABELS, value);
}
