// SPDX-License-Identifier: Apache-2.0
/* Text, times and numbers as HTML. */
#include "dashboard.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/retention.h>

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

void page_put(struct page *p, const char *html)
{
	spool_append(p->out, html, strlen(html));
}

void page_putf(struct page *p, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	page_put(p, str_text(&text));
}

static const char *html_entity(char c)
{
	switch (c) {
	case '&':
		return "&amp;";
	case '<':
		return "&lt;";
	case '>':
		return "&gt;";
	case '"':
		return "&quot;";
	case '\'':
		return "&#39;";
	case '\r': /* a parser would make a line end of it */
		return "&#13;";
	default:
		return NULL;
	}
}

static void append_html(struct str *out, const char *text)
{
	for (; *text; text++) {
		const char *entity = html_entity(*text);

		if (entity)
			str_append(out, entity);
		else
			str_append_char(out, *text);
	}
}

/* How much of @text has at most @max bytes, and no character cut in two. */
static size_t fitting_bytes(const char *text, size_t max)
{
	size_t len = 0;

	while (text[len]) {
		size_t n = str_utf8_char(text + len);

		n = n ? n : 1;
		if (len + n > max)
			break;
		len += n;
	}
	return len;
}

void page_text(struct page *p, const char *text, size_t max)
{
	_cleanup(str) struct str cut = {0}, visible = {0}, html = {0};
	size_t len;

	if (!text)
		return;
	len = fitting_bytes(text, max);
	str_append_bytes(&cut, text, len);
	str_append_visible(&visible, str_text(&cut));
	append_html(&html, str_text(&visible));
	if (text[len])
		str_append(&html, "…");
	page_put(p, str_text(&html));
}

void page_name(struct page *p, const char *name)
{
	page_put(p, "<bdi>");
	page_text(p, name, TEXT_SHORT);
	page_put(p, "</bdi>");
}

void page_when(struct page *p, int64_t at_us)
{
	char iso[CLOCK_ISO_BYTES];

	if (!at_us) {
		page_put(p, "–");
		return;
	}
	clock_format_iso(at_us, iso);
	page_putf(p, "<time datetime=\"%s\">%.10s %.5s</time>", iso, iso, iso + strlen("2026-11-20T"));
}

void page_day(struct page *p, int64_t at_us)
{
	char iso[CLOCK_ISO_BYTES];

	clock_format_iso(at_us, iso);
	page_putf(p, "<time datetime=\"%.10s\">%.10s</time>", iso, iso);
}

void page_age(struct page *p, int64_t us)
{
	char age[32];

	page_put(p, line_age(us, age));
}

static void put_relative(struct page *p, const char *class, int64_t at_us)
{
	char iso[CLOCK_ISO_BYTES];
	bool ahead = at_us > p->from->now_us;

	if (!at_us) {
		page_put(p, "never");
		return;
	}
	page_putf(p, "<time class=\"%s\" datetime=\"%s\">%s", class, clock_format_iso(at_us, iso),
	          ahead ? "in " : "");
	page_age(p, ahead ? at_us - p->from->now_us : p->from->now_us - at_us);
	page_put(p, ahead ? "</time>" : " ago</time>");
}

void page_bytes(struct page *p, uint64_t bytes)
{
	char text[16];

	page_put(p, str_format_bytes(text, sizeof(text), bytes));
}

void page_ago(struct page *p, int64_t at_us)
{
	put_relative(p, "ago", at_us);
}

void page_due(struct page *p, int64_t at_us)
{
	put_relative(p, "next", at_us);
}

void page_span(struct page *p, int64_t since_us)
{
	char iso[CLOCK_ISO_BYTES];

	page_putf(p, "<time class=\"span\" datetime=\"%s\">", clock_format_iso(since_us, iso));
	page_age(p, p->from->now_us - since_us);
	page_put(p, "</time>");
}

/* "1,204" */
static void append_grouped(struct str *out, uint64_t n)
{
	char digits[24];
	size_t len = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, n);

	for (size_t i = 0; i < len; i++) {
		if (i && (len - i) % 3 == 0)
			str_append_char(out, ',');
		str_append_char(out, digits[i]);
	}
}

void page_number(struct page *p, uint64_t n)
{
	_cleanup(str) struct str text = {0};

	append_grouped(&text, n);
	page_put(p, str_text(&text));
}

void page_count(struct page *p, uint64_t n, const char *one, const char *many)
{
	page_number(p, n);
	page_putf(p, " %s", n == 1 ? one : many);
}

void page_icon(struct page *p, const char *id)
{
	page_putf(
	        p,
	        "<svg class=\"icon %s\" viewBox=\"0 0 16 16\" aria-hidden=\"true\"><use href=\"#i-%s\"/></svg>",
	        id, id);
}

const char *page_level(enum report_health level)
{
	static const char *const ids[] = {[REPORT_OK] = "ok", [REPORT_WARN] = "warn", [REPORT_CRIT] = "crit"};

	return ids[level];
}

void page_tiers(struct page *p, unsigned tiers)
{
	for (unsigned bit = 1; bit && bit <= tiers; bit <<= 1)
		if (tiers & bit & RETENTION_TIERS)
			page_putf(p, " <span class=\"badge\">%s</span>", retention_reason_name(bit));
}

void page_command(struct page *p, const char *what, const char *line)
{
	if (!line)
		return;
	page_putf(p, "<div class=\"command\"><span class=\"what\">%s</span><code>", what);
	/* A line that is cut would be another one. */
	page_text(p, line, strlen(line));
	page_putf(
	        p,
	        "</code><button type=\"button\" class=\"copy\" hidden>Copy<span class=\"sr\"> the line: %s</span>"
	        "</button></div>",
	        what);
}
