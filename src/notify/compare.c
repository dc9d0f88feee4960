// SPDX-License-Identifier: Apache-2.0
/* What has changed in health. What is told is kept by check and subject, so words and ages within texts change nothing. */
#include "notify_private.h"

#include <keepfs/base/mem.h>

#include <string.h>

void told_list_add(struct told_list *l, const struct catalog_told *t)
{
	l->items = mem_resize(l->items, l->count + 1, sizeof(*l->items));
	l->items[l->count++] = (struct told){
	        .check = mem_strdup(t->check),
	        .subject = mem_strdup(t->subject),
	        .kind = mem_strdup(t->kind),
	        .level = t->level,
	        .told = t->told,
	        .since_us = t->since_us,
	};
}

void told_list_finish(struct told_list *l)
{
	for (size_t i = 0; i < l->count; i++) {
		free(l->items[i].check);
		free(l->items[i].subject);
		free(l->items[i].kind);
	}
	free(l->items);
	*l = (struct told_list){0};
}

static const struct told *find_told(const struct told_list *l, const char *check, const char *subject)
{
	for (size_t i = 0; i < l->count; i++)
		if (strcmp(l->items[i].check, check) == 0 && strcmp(l->items[i].subject, subject) == 0)
			return &l->items[i];
	return NULL;
}

static const struct health_item *find_health_item(const struct health *h, const char *check,
                                                  const char *subject)
{
	for (size_t i = 0; i < h->count; i++)
		if (strcmp(h->items[i].check, check) == 0 && strcmp(h->items[i].subject, subject) == 0)
			return &h->items[i];
	return NULL;
}

/* What is known of an item. A job that has failed more than once is told of by another check: that is the same trouble. */
static const struct told *find_before(const struct told_list *l, const struct health_item *item)
{
	const struct told *before = find_told(l, item->check, item->subject);

	return before || strcmp(item->check, "failing") != 0 ? before : find_told(l, "job", item->subject);
}

/* Which event a trouble is, and its end. In front of others of its check stands what is of one kind, or of one subject. */
static const struct {
	const char *check, *kind, *subject; /* NULL: any */
	enum conf_event event, over;
} event_rows[] = {
        {"job", "failed", NULL, EVENT_FAILED, EVENT_RECOVERED},
        {"failing", NULL, NULL, EVENT_FAILED, EVENT_RECOVERED},
        {"overdue", NULL, NULL, EVENT_MISSED, EVENT_RECOVERED},
        {"anomaly", NULL, NULL, EVENT_ANOMALY, EVENT_RECOVERED},
        {"drill", NULL, NULL, EVENT_DRILL, EVENT_DRILL},
        {"rto", NULL, NULL, EVENT_DRILL, EVENT_DRILL},
        {"restore", NULL, NULL, EVENT_RESTORE, EVENT_RESTORE},
        {"store", NULL, NULL, EVENT_STORE_BAD, EVENT_STORE_GOOD},
        {"probe", NULL, "store", EVENT_STORE_BAD, EVENT_STORE_GOOD},
        {"damaged", NULL, NULL, EVENT_DAMAGED, EVENT_RECOVERED},
        {"prune", NULL, NULL, EVENT_PRUNE_REFUSED, EVENT_RECOVERED},
        {"expiring", NULL, NULL, EVENT_EXPIRING, EVENT_RECOVERED},
        {"notices", NULL, NULL, EVENT_NOTICES, EVENT_RECOVERED},
};

static enum conf_event event_of(const char *check, const char *subject, const char *kind, bool over)
{
	for (size_t i = 0; i < ARRAY_SIZE(event_rows); i++) {
		if (strcmp(event_rows[i].check, check) != 0 ||
		    (event_rows[i].kind && strcmp(event_rows[i].kind, kind) != 0) ||
		    (event_rows[i].subject && strcmp(event_rows[i].subject, subject) != 0))
			continue;
		return over ? event_rows[i].over : event_rows[i].event;
	}
	return over ? EVENT_RECOVERED : EVENT_WARNING;
}

/* A job that is new has not run: that is no news to who has just written it. */
static bool is_untold(const struct health_item *item)
{
	return strcmp(item->check, "job") == 0 && str_equal(item->kind, "new");
}

static void note_change(struct changes *c, enum conf_event event, const struct health_item *item,
                        const struct told *before)
{
	c->items = mem_resize(c->items, c->count + 1, sizeof(*c->items));
	c->items[c->count++] = (struct change){.event = event, .item = item, .before = before};
}

/* An item that is not OK; returns whether it is another than before. */
static bool compare_bad(const struct told *before, const struct health_item *item, bool first,
                        struct told_list *after, struct changes *ret)
{
	const char *kind = str_or_empty(item->kind);
	bool is_news = !before || (int)item->level > before->level || strcmp(before->kind, kind) != 0;
	bool changed = is_news || (int)item->level != before->level || before->since_us != item->since_us;
	struct catalog_told t = {
	        .check = item->check,
	        .subject = item->subject,
	        .kind = kind,
	        .level = (int)item->level,
	        .told = before && before->told,
	        .since_us = item->since_us,
	};

	if (is_news && !first && !is_untold(item)) {
		t.told = true;
		note_change(ret, event_of(item->check, item->subject, kind, false), item, before);
	}
	told_list_add(after, &t);
	return changed;
}

/* What was told, and is OK or not there any more. */
static void compare_gone(const struct told *before, const struct health_item *item, struct changes *ret)
{
	if (before->told)
		note_change(ret, event_of(before->check, before->subject, before->kind, true), item, before);
}

static void keep_told(const struct told *t, struct told_list *after)
{
	const struct catalog_told kept = {
	        .check = t->check,
	        .subject = t->subject,
	        .kind = t->kind,
	        .level = t->level,
	        .told = t->told,
	        .since_us = t->since_us,
	};

	told_list_add(after, &kept);
}

/* find_before() found it under another name. */
static bool is_told_otherwise(const struct told *before, const struct health *h)
{
	const struct health_item *failing = find_health_item(h, "failing", before->subject);

	return strcmp(before->check, "job") == 0 && failing && failing->level != REPORT_OK;
}

/* There are more of them than health lists: which it lists says nothing about the others. */
static bool is_one_of_many(const struct told *t, const struct health *h)
{
	for (size_t i = 0; i < h->count; i++)
		if (h->items[i].is_rest && strcmp(h->items[i].check, t->check) == 0)
			return true;
	return false;
}

/* The catalog could not answer: what it did not say is not over for that. */
static bool is_blind(const struct health *h)
{
	return find_health_item(h, "catalog", "");
}

bool compare_health(const struct told_list *before, const struct health *h, struct told_list *ret_after,
                    struct changes *ret)
{
	bool changed = !before->begun, blind = is_blind(h);

	ret_after->begun = true;
	for (size_t i = 0; i < h->count; i++) {
		const struct health_item *item = &h->items[i];

		if (item->level != REPORT_OK)
			changed |=
			        compare_bad(find_before(before, item), item, !before->begun, ret_after, ret);
	}
	for (size_t i = 0; i < before->count; i++) {
		const struct told *t = &before->items[i];
		const struct health_item *item = find_health_item(h, t->check, t->subject);

		/* What was told of under another name is well again under that of the job. */
		if (!item && strcmp(t->check, "failing") == 0)
			item = find_health_item(h, "job", t->subject);
		if (item && item->level != REPORT_OK)
			continue;
		if (!item && (blind || is_one_of_many(t, h))) {
			keep_told(t, ret_after);
			continue;
		}
		if (!is_told_otherwise(t, h))
			compare_gone(t, item, ret);
		changed = true;
	}
	return changed;
}
