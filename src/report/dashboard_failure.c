// SPDX-License-Identifier: Apache-2.0
/* Why a run failed: what it said, the end of its log, and what to do. */
#include "dashboard.h"

#include <keepfs/base/clock.h>

#include <inttypes.h>

#define LOG_LINES_SHOWN 20
#define LOG_LINE_BYTES  300

static void put_log_line(void *arg, int64_t at_us, const char *line)
{
	struct page *p = arg;
	char iso[CLOCK_ISO_BYTES];

	page_putf(p, "<span class=\"at\">%.8s</span> ", clock_format_iso(at_us, iso) + 11);
	page_text(p, line, LOG_LINE_BYTES);
	page_put(p, "\n");
}

static void put_log(struct page *p, int64_t run_id)
{
	page_putf(p,
	          "<p class=\"label\">The end of <code>jobs/%" PRId64 "/log</code></p>"
	          "<pre tabindex=\"0\" aria-label=\"The end of the log of run %" PRId64 "\">",
	          run_id, run_id);
	dash_failed(p, catalog_log_end(p->from->catalog, run_id, LOG_LINES_SHOWN, put_log_line, p));
	page_put(p, "</pre>");
}

/* When health knows nothing better. */
static void put_advice(struct page *p, const struct dash_job *job)
{
	page_put(p, "<p class=\"todo\"><span class=\"label\">To do</span> ");
	if (job->item && job->item->level != REPORT_OK && job->item->what_to_do) {
		page_text(p, job->item->what_to_do, TEXT_LONG);
	} else {
		page_put(
		        p,
		        "see whether it would work now with <code>keepfs check</code>, then run it again with "
		        "<code>keepfs trigger --wait ");
		page_text(p, job->conf->name, TEXT_SHORT);
		page_put(p, "</code>");
	}
	page_put(p, "</p>");
}

void dashboard_failure(struct page *p, const struct dash_job *job, int64_t run_id, const char *error)
{
	bool whole = p->failures < FAILURES_SHOWN;

	page_putf(p,
	          "<div class=\"failure\"><p class=\"label\">Why run %" PRId64
	          " failed</p><p class=\"error\">",
	          run_id);
	page_text(p, error, whole ? TEXT_LONG : TEXT_SHORT);
	page_put(p, "</p>");
	put_advice(p, job);
	if (whole)
		put_log(p, run_id);
	else
		page_putf(p, "<p class=\"muted\">Its log is <code>jobs/%" PRId64 "/log</code>.</p>", run_id);
	page_put(p, "</div>");
	p->failures++;
}

void dashboard_restore(struct page *p, const struct catalog_backup *b)
{
	_cleanup(free) char *copy = shell_copy(p, b), *restore = shell_restore(p, b);

	page_put(p, "<div class=\"restore\">");
	page_command(p, "Copy", copy);
	page_command(p, "Restore", restore);
	page_put(p, "</div>");
}
