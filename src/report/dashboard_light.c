// SPDX-License-Identifier: Apache-2.0
/* The traffic light: the list of health, the worst first. */
#include "dashboard.h"

#define REASONS_SHOWN 40

static const char *light_headline(enum report_health level)
{
	static const char *const headlines[] = {[REPORT_OK] = "All is well",
	                                        [REPORT_WARN] = "Something needs a look",
	                                        [REPORT_CRIT] = "Act now"};

	return headlines[level];
}

static size_t count_of_level(const struct health *h, enum report_health level)
{
	size_t count = 0;

	for (size_t i = 0; i < h->count; i++)
		count += h->items[i].level == level && !health_is_acknowledged(&h->items[i]);
	return count;
}

/* When the first of its troubles began; 0: that is not known. */
static int64_t light_since(const struct health *h, enum report_health level)
{
	int64_t since_us = 0;

	for (size_t i = 0; i < h->count; i++) {
		const struct health_item *item = &h->items[i];

		if (item->level == level && !health_is_acknowledged(item) && item->since_us &&
		    (!since_us || item->since_us < since_us))
			since_us = item->since_us;
	}
	return since_us;
}

static void put_acknowledgement(struct page *p, const struct health_item *item)
{
	page_put(p, "<p class=\"ack\"><span class=\"badge\">acknowledged</span> by ");
	page_text(p, item->acknowledged_by, TEXT_SHORT);
	page_put(p, " until ");
	page_when(p, item->acknowledged_until_us);
	page_put(p, " UTC");
	if (item->acknowledged_why && *item->acknowledged_why) {
		page_put(p, ": ");
		page_text(p, item->acknowledged_why, TEXT_LONG);
	}
	page_put(p, "</p>");
}

static void put_reason(struct page *p, const struct health_item *item)
{
	page_putf(p, "<li class=\"%s\">", page_level(item->level));
	page_icon(p, page_level(item->level));
	page_putf(p, "<div><p><span class=\"level\">%s</span> <strong>", health_level_name(item->level));
	page_name(p, item->name);
	page_put(p, "</strong> <span class=\"said\">");
	page_text(p, item->text, TEXT_LONG);
	page_put(p, "</span></p>");
	if (item->what_to_do) {
		page_put(p, "<p class=\"todo\"><span class=\"label\">To do</span> ");
		page_text(p, item->what_to_do, TEXT_LONG);
		page_put(p, "</p>");
	}
	if (item->since_us) {
		page_put(p, "<p class=\"since\">since ");
		page_when(p, item->since_us);
		page_put(p, " UTC, ");
		page_ago(p, item->since_us);
		page_put(p, "</p>");
	}
	if (health_is_acknowledged(item))
		put_acknowledgement(p, item);
	page_put(p, "</div></li>");
}

static size_t put_reasons_of(struct page *p, enum report_health level, size_t left)
{
	for (size_t i = 0; i < p->health.count && left; i++) {
		if (p->health.items[i].level != level || health_is_acknowledged(&p->health.items[i]))
			continue;
		put_reason(p, &p->health.items[i]);
		left--;
	}
	return left;
}

static void put_troubles(struct page *p, size_t count)
{
	size_t left = REASONS_SHOWN;

	if (!count)
		return;
	page_put(p, "<ul class=\"reasons\" aria-label=\"Reasons\">");
	left = put_reasons_of(p, REPORT_CRIT, left);
	put_reasons_of(p, REPORT_WARN, left);
	page_put(p, "</ul>");
	if (count > REASONS_SHOWN) {
		page_put(p, "<p class=\"more\">and ");
		page_number(p, count - REASONS_SHOWN);
		page_put(p, " more, which are in <code>status/health</code></p>");
	}
}

/* What somebody knows of does not count, but it is there. */
static void put_acknowledged(struct page *p, size_t count)
{
	size_t left = REASONS_SHOWN;

	if (!count)
		return;
	page_put(p, "<details class=\"well acknowledged\"><summary>");
	page_count(p, count, "trouble is acknowledged, and does not count",
	           "troubles are acknowledged, and do not count");
	page_put(p, "</summary><ul class=\"reasons\" aria-label=\"What is acknowledged\">");
	for (size_t i = 0; i < p->health.count && left; i++) {
		if (!health_is_acknowledged(&p->health.items[i]))
			continue;
		put_reason(p, &p->health.items[i]);
		left--;
	}
	page_put(p, "</ul>");
	if (count > REASONS_SHOWN)
		page_put(p, "<p class=\"more\">The others are in <code>status/health</code>.</p>");
	page_put(p, "</details>");
}

static void put_what_is_well(struct page *p, size_t count)
{
	if (!count)
		return;
	page_put(p, "<details class=\"well\"><summary>");
	page_count(p, count, "check is well", "checks are well");
	page_put(p, "</summary><ul class=\"reasons\" aria-label=\"What is well\">");
	put_reasons_of(p, REPORT_OK, REASONS_SHOWN);
	page_put(p, "</ul>");
	if (count > REASONS_SHOWN)
		page_put(p, "<p class=\"more\">The others are in <code>status/health</code>.</p>");
	page_put(p, "</details>");
}

static void put_tally(struct page *p, enum report_health worst, size_t well, size_t bad)
{
	if (worst == REPORT_OK) {
		page_put(p, well == p->health.count ? "all " : "");
		page_count(p, well, "check is well", "checks are well");
	} else {
		page_number(p, bad);
		page_put(p, " of ");
		page_count(p, p->health.count, "check", "checks");
	}
}

void dashboard_title(struct page *p)
{
	enum report_health worst = health_worst(&p->health);

	page_putf(p, "%s – keepfs: ", health_level_name(worst));
	page_text(p, light_headline(worst), TEXT_SHORT);
}

void dashboard_light(struct page *p)
{
	enum report_health worst = health_worst(&p->health);
	size_t well = count_of_level(&p->health, REPORT_OK);
	size_t bad = count_of_level(&p->health, REPORT_WARN) + count_of_level(&p->health, REPORT_CRIT);
	int64_t since_us = light_since(&p->health, worst);

	page_putf(
	        p,
	        "<section class=\"light %s\" id=\"health\" aria-labelledby=\"headline\"><div class=\"head\">",
	        page_level(worst));
	page_icon(p, page_level(worst));
	page_putf(p, "<div><h1 id=\"headline\">%s</h1><p class=\"verdict\"><b>%s</b> ", light_headline(worst),
	          health_level_name(worst));
	put_tally(p, worst, well, bad);
	if (worst != REPORT_OK && since_us) {
		page_put(p, "; since ");
		page_when(p, since_us);
		page_put(p, " UTC, ");
		page_ago(p, since_us);
	}
	page_put(p, "</p></div></div>");
	put_troubles(p, bad);
	put_acknowledged(p, p->health.count - well - bad);
	put_what_is_well(p, well);
	page_put(p, "</section>");
}
