// SPDX-License-Identifier: Apache-2.0
/* status/health: the list of items as lines. */
#include "line.h"

#include <keepfs/report/health.h>
#include <keepfs/report/status.h>

#include <string.h>

/* How a line joins what is so with what to do; the others have "; " between the two. */
static const struct joint {
	const char *check, *before, *after;
} joints[] = {
        {"reads", ": ", ""},
        {"probe", " (", ")"},
        {"space", ": ", ""},
};

static const struct joint *joint_of(const char *check)
{
	static const struct joint usual = {NULL, "; ", ""};

	for (size_t i = 0; i < ARRAY_SIZE(joints); i++)
		if (strcmp(joints[i].check, check) == 0)
			return &joints[i];
	return &usual;
}

static void append_item(struct str *lines, const struct health_item *item)
{
	const struct joint *joint = joint_of(item->check);
	_cleanup(str) struct str text = {0};

	str_append(&text, item->text);
	if (item->what_to_do)
		str_appendf(&text, "%s%s%s", joint->before, item->what_to_do, joint->after);
	str_appendf(lines, "%-4s  ", health_level_name(item->level));
	str_append_line(lines, item->name);
	str_append(lines, ": ");
	str_append_line(lines, str_text(&text));
	str_append_char(lines, '\n');
}

static void append_summary(struct str *lines, const struct health *h)
{
	_cleanup(str) struct str names = {0};
	size_t bad = 0;

	for (size_t i = 0; i < h->count; i++)
		if (h->items[i].level != REPORT_OK)
			str_appendf(&names, "%s%s", bad++ ? ", " : "", h->items[i].name);
	if (bad) {
		str_appendf(lines, "%s %zu of %zu checks: ", health_level_name(health_worst(h)), bad,
		            h->count);
		str_append_line(lines, str_text(&names));
		str_append_char(lines, '\n');
	} else {
		str_appendf(lines, "OK all %zu checks are well\n", h->count);
	}
}

void health_write(const struct health *h, struct spool *out)
{
	_cleanup(str) struct str lines = {0};

	append_summary(&lines, h);
	for (size_t i = 0; i < h->count; i++)
		append_item(&lines, &h->items[i]);
	spool_append(out, str_text(&lines), lines.len);
}

int report_health(const struct report_sources *from, struct spool *out)
{
	_cleanup(health) struct health h = {0};

	health_gather(from, &h);
	health_write(&h, out);
	return spool_error(out);
}
