// SPDX-License-Identifier: Apache-2.0
/* The end of the audit. */
#include "dashboard.h"

#include <keepfs/catalog/audit.h>

#include <inttypes.h>

#define AUDIT_LINES_SHOWN 15

struct audit_lines {
	struct page *page;
	size_t told;
};

static void put_who(struct page *p, const struct catalog_audit *entry)
{
	if (entry->uid >= 0)
		page_putf(p, "uid %" PRId64 " ", entry->uid);
	else
		page_put(p, "keepfs ");
	page_text(p, entry->command, TEXT_SHORT);
}

static void put_audit_line(void *arg, const struct catalog_audit *entry)
{
	struct audit_lines *lines = arg;
	struct page *p = lines->page;

	lines->told++;
	page_put(p, "<tr><td data-label=\"When\">");
	page_when(p, entry->at_us);
	page_put(p, "</td><td data-label=\"Who\">");
	put_who(p, entry);
	page_put(p, "</td><td data-label=\"What\">");
	page_text(p, entry->action, TEXT_SHORT);
	page_put(p, " <span class=\"file\">");
	page_text(p, entry->object, TEXT_SHORT);
	page_put(p, "</span></td><td data-label=\"Result\">");
	page_text(p, entry->result, TEXT_SHORT);
	page_put(p, " <span class=\"muted\">");
	page_text(p, entry->detail, TEXT_SHORT);
	page_put(p, "</span></td></tr>");
}

void dashboard_audit(struct page *p)
{
	struct audit_lines lines = {.page = p};

	page_put(
	        p,
	        "<table class=\"cards audit\"><caption class=\"sr\">The newest lines of the audit</caption><thead><tr>"
	        "<th scope=\"col\">When (UTC)</th><th scope=\"col\">Who</th><th scope=\"col\">What</th>"
	        "<th scope=\"col\">Result</th></tr></thead><tbody>");
	dash_failed(p, catalog_audits(p->from->catalog, AUDIT_LINES_SHOWN, put_audit_line, &lines));
	page_put(p, "</tbody></table>");
	if (!lines.told)
		page_put(p, "<p class=\"muted\">Nobody has read, made or removed anything yet.</p>");
	else
		page_put(p, "<p class=\"more\">All of it is in <code>status/audit.jsonl</code>.</p>");
}
