// SPDX-License-Identifier: Apache-2.0
/* What is written to the catalog at once. */
#include "notify_private.h"

#include <keepfs/base/mem.h>

#include <string.h>

const char *news_own(struct news *n, char *text)
{
	n->texts = mem_resize(n->texts, n->text_count + 1, sizeof(*n->texts));
	n->texts[n->text_count++] = text;
	return text;
}

void news_add_notice(struct news *n, const struct catalog_notice *notice)
{
	n->notices = mem_resize(n->notices, n->all.notice_count + 1, sizeof(*n->notices));
	n->notices[n->all.notice_count++] = *notice;
	n->all.notices = n->notices;
	n->all.waiting_max = NOTIFY_WAITING_MAX;
}

void news_add_beat(struct news *n, const struct catalog_beat *beat)
{
	n->beats = mem_resize(n->beats, n->all.beat_count + 1, sizeof(*n->beats));
	n->beats[n->all.beat_count++] = *beat;
	n->all.beats = n->beats;
}

void news_add_digest(struct news *n, const char *receiver, int64_t due_us)
{
	n->digests = mem_resize(n->digests, n->all.digest_count + 1, sizeof(*n->digests));
	n->digests[n->all.digest_count++] =
	        (struct catalog_digest_due){.receiver = receiver, .due_us = due_us};
	n->all.digests = n->digests;
}

void news_set_told(struct news *n, const struct told_list *after)
{
	n->told = mem_array(after->count + 1, sizeof(*n->told));
	for (size_t i = 0; i < after->count; i++)
		n->told[i] = (struct catalog_told){
		        .check = after->items[i].check,
		        .subject = after->items[i].subject,
		        .kind = after->items[i].kind,
		        .level = after->items[i].level,
		        .told = after->items[i].told,
		        .since_us = after->items[i].since_us,
		};
	n->all.sets_told = true;
	n->all.told = n->told;
	n->all.told_count = after->count;
}

static bool is_named(const char *name, const char *but)
{
	return but && (str_ends(but, " ") ? str_starts(name, but) : strcmp(name, but) == 0);
}

void news_add_event(struct news *n, const struct receivers *receivers, enum conf_event event, const char *but,
                    const struct catalog_notice *notice)
{
	for (size_t i = 0; i < receivers->count; i++) {
		struct catalog_notice one = *notice;

		if (!(receivers->items[i].events >> event & 1) || is_named(receivers->items[i].name, but))
			continue;
		one.receiver = receivers->items[i].name;
		news_add_notice(n, &one);
	}
}

void news_finish(struct news *n)
{
	for (size_t i = 0; i < n->text_count; i++)
		free(n->texts[i]);
	free(n->texts);
	free(n->notices);
	free(n->beats);
	free(n->digests);
	free(n->told);
	free(n->restores);
	*n = (struct news){0};
}
