// SPDX-License-Identifier: Apache-2.0
/* The backups that were made last, with the lines that bring them back. */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/codec/name.h>

#include <string.h>

#define BACKUPS_SHOWN 20

struct recent {
	struct page *page;
	size_t told;
};

static void put_state_badges(struct page *p, const struct catalog_backup *b)
{
	if (b->damaged)
		page_put(p, " <span class=\"badge crit\">damaged</span>");
	else if (b->verified_at_us)
		page_put(p, " <span class=\"badge ok\">verified</span>");
	else
		page_put(p, " <span class=\"badge\">not read back</span>");
	if (b->partial)
		page_put(p, " <span class=\"badge warn\">partial</span>");
	if (b->held_until_us > p->from->now_us)
		page_put(p, " <span class=\"badge held\">held</span>");
	if (b->is_encrypted)
		page_put(p, " <span class=\"badge\">encrypted</span>");
	if (b->is_signed)
		page_put(p, " <span class=\"badge\">signed</span>");
	page_tiers(p, b->tiers);
}

static void put_recent(void *arg, const struct catalog_backup *b)
{
	struct recent *r = arg;
	struct page *p = r->page;

	r->told++;
	page_put(p, "<li><details><summary><span class=\"file\">");
	page_text(p, tree_short(b->path), TEXT_SHORT);
	page_put(p, "</span> <span class=\"muted\">");
	page_ago(p, b->finished_at_us);
	page_put(p, "</span> <span class=\"n\">");
	page_bytes(p, b->size_bytes);
	page_put(p, "</span><span class=\"badges\">");
	put_state_badges(p, b);
	page_put(p, "</span></summary>");
	if (b->damaged) {
		page_put(p, "<p class=\"crit\">");
		page_text(p, b->damaged, TEXT_LONG);
		page_put(p, "</p>");
	}
	dashboard_restore(p, b);
	page_put(p, "</details></li>");
}

void dashboard_recent(struct page *p)
{
	struct recent recent = {.page = p};

	page_put(p, "<ol class=\"recent\">");
	dash_failed(p, catalog_newest_backups(p->from->catalog, BACKUPS_SHOWN, put_recent, &recent));
	page_put(p, "</ol>");
	if (!recent.told)
		page_put(p, "<p class=\"muted\">There is no backup yet.</p>");
	else if (recent.told == BACKUPS_SHOWN)
		page_put(
		        p,
		        "<p class=\"more\">Older ones are below <code>backups/</code> and <code>exports/</code>.</p>");
}
