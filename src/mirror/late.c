// SPDX-License-Identifier: Apache-2.0
#include "late.h"

#include <keepfs/base/mem.h>

#include <string.h>

void late_add(struct late *l, struct listing_entry *e, const struct str *line, bool is_awaited)
{
	struct late_line *added = mem_alloc(sizeof(*added));

	added->entry = *e;
	*e = (struct listing_entry){0};
	added->is_awaited = is_awaited;
	if (line)
		str_append_bytes(&added->line, line->data, line->len);
	if (l->last)
		l->last->next = added;
	else
		l->first = added;
	l->last = added;
	l->count++;
}

void late_told(struct late *l, const struct listing_entry *e, const struct str *line)
{
	struct late_line *awaited = l->first;

	while (awaited && !awaited->is_awaited)
		awaited = awaited->next;
	if (!awaited)
		return;
	memcpy(awaited->entry.sha256, e->sha256, sizeof(e->sha256));
	str_append_bytes(&awaited->line, line->data, line->len);
	awaited->is_awaited = false;
}

struct late_line *late_take(struct late *l)
{
	struct late_line *first = l->first;

	if (!first || first->is_awaited)
		return NULL;
	l->first = first->next;
	if (!l->first)
		l->last = NULL;
	l->count--;
	return first;
}

struct late_line *late_line_free(struct late_line *line)
{
	if (!line)
		return NULL;
	listing_entry_finish(&line->entry);
	str_finish(&line->line);
	free(line);
	return NULL;
}

void late_finish(struct late *l)
{
	for (struct late_line *line = l->first, *next; line; line = next) {
		next = line->next;
		late_line_free(line);
	}
	*l = (struct late){0};
}
