// SPDX-License-Identifier: Apache-2.0
/*
 * The page: markup with places in it, each of which a part fills. Style and script have no address: they are in the page,
 * and the browser is told to run and to show nothing but them, by their hashes (Content Security Policy, level 2).
 */
#include "dashboard.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <string.h>

static void put_hash(struct page *p, const char *text)
{
	_cleanup(free) char *encoded = NULL;
	uint8_t digest[SHA256_BYTES];

	sha256_once(text, strlen(text), digest);
	encoded = base64_encode(digest, sizeof(digest));
	page_putf(p, "'sha256-%s'", encoded);
}

static void put_style_hash(struct page *p)
{
	put_hash(p, dashboard_style_css);
}

static void put_script_hash(struct page *p)
{
	put_hash(p, dashboard_script_js);
}

static void put_style(struct page *p)
{
	page_put(p, dashboard_style_css);
}

static void put_script(struct page *p)
{
	page_put(p, dashboard_script_js);
}

static const struct {
	const char *name; /* "{{name}}" in page.html */
	void (*write)(struct page *p);
} parts[] = {
        {"style-hash", put_style_hash},
        {"script-hash", put_script_hash},
        {"title", dashboard_title},
        {"style", put_style},
        {"script", put_script},
        {"made", dashboard_made},
        {"light", dashboard_light},
        {"loss", dashboard_loss},
        {"tiles", dashboard_tiles},
        {"lines", dashboard_lines},
        {"calendar", dashboard_calendar},
        {"trend", dashboard_trend},
        {"tables", dashboard_tables},
        {"recent", dashboard_recent},
        {"retention", dashboard_retention},
        {"storage", dashboard_storage},
        {"audit", dashboard_audit},
        {"data", dashboard_data},
        {"recovery", dashboard_recovery},
};

static void write_part(struct page *p, const char *name, size_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (strlen(parts[i].name) == len && strncmp(parts[i].name, name, len) == 0)
			parts[i].write(p);
}

static void write_page(struct page *p)
{
	const char *at = dashboard_page_html, *open;

	while ((open = strstr(at, "{{"))) {
		const char *end = strstr(open, "}}");

		spool_append(p->out, at, (size_t)(open - at));
		write_part(p, open + 2, (size_t)(end - open - 2));
		at = end + 2;
	}
	page_put(p, at);
}

int report_dashboard(const struct report_sources *from, struct spool *out)
{
	struct page p = {.from = from, .out = out};

	dash_load(&p);
	if (p.result == 0)
		write_page(&p);
	dash_finish(&p);
	return p.result < 0 ? p.result : spool_error(out);
}
