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

static void append_acknowledgement(struct str *text, const struct health_item *item)
{
	char until[32];

	if (!health_is_acknowledged(item))
		return;
	str_appendf(text, "; acknowledged by %s until %s", item->acknowledged_by,
	            line_time(item->acknowledged_until_us, "-", until));
	if (item->acknowledged_why && *item->acknowledged_why)
		str_appendf(text, ": %s", item->acknowledged_why);
}

static void append_item(struct str *lines, const struct health_item *item)
{
	const struct joint *joint = joint_of(item->check);
	_cleanup(str) struct str text = {0};

	str_append(&text, item->text);
	if (item->what_to_do)
		str_appendf(&text, "%s%s%s", joint->before, item->what_to_do, joint->after);
	append_acknowledgement(&text, item);
	str_appendf(lines, "%-4s  ", health_level_name(item->level));
	str_append_line(lines, item->name);
	str_append(lines, ": ");
	str_append_line(lines, str_text(&text));
	str_append_char(lines, '\n');
}

/* The names of the items that are bad, and acknowledged or not: how many. */
static size_t name_bad(struct str *names, const struct health *h, bool acknowledged)
{
	size_t bad = 0;

	for (size_t i = 0; i < h->count; i++)
		if (h->items[i].level != REPORT_OK && health_is_acknowledged(&h->items[i]) == acknowledged)
			str_appendf(names, "%s%s", bad++ ? ", " : "", h->items[i].name);
	return bad;
}

static void append_summary(struct str *lines, const struct health *h)
{
	_cleanup(str) struct str names = {0}, known = {0};
	size_t bad = name_bad(&names, h, false), acknowledged = name_bad(&known, h, true);

	if (bad)
		str_appendf(lines, "%s %zu of %zu checks: ", health_level_name(health_worst(h)), bad,
		            h->count);
	else if (acknowledged)
		str_appendf(lines, "OK %zu of %zu checks are well", h->count - acknowledged, h->count);
	else
		str_appendf(lines, "OK all %zu checks are well", h->count);
	str_append_line(lines, str_text(&names));
	if (acknowledged) {
		str_append(lines, "; acknowledged: ");
		str_append_line(lines, str_text(&known));
	}
	str_append_char(lines, '\n');
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
