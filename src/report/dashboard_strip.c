// SPDX-License-Identifier: Apache-2.0
/* The last runs as a row of marks: shapes, and not only colours, say how each went. */
#include "dashboard.h"

#include <keepfs/base/clock.h>

#define MARK_WIDTH 11

static void put_strip_label(struct page *p, const struct strip *strip)
{
	size_t of[MARK_FAILED + 1] = {0};
	bool first = true;

	for (size_t i = 0; i < strip->count; i++)
		of[strip->runs[i].mark]++;
	if (!strip->count) {
		page_put(p, "no run yet");
		return;
	}
	page_putf(p, "the last %zu %s: ", strip->count, strip->count == 1 ? "run" : "runs");
	for (int mark = MARK_FAILED; mark > MARK_NONE; mark--) {
		if (!of[mark])
			continue;
		page_putf(p, "%s%zu %s", first ? "" : ", ", of[mark], mark_word((enum mark)mark));
		first = false;
	}
	page_putf(p, "; the newest: %s", mark_word(strip->runs[0].mark));
}

/* What a pointer that rests on it is told. */
static void put_run_mark(struct page *p, const struct strip_run *run, size_t at)
{
	char iso[CLOCK_ISO_BYTES];

	clock_format_iso(run->at_us, iso);
	page_putf(p, "<g><title>%.10s %.5s %s</title><use href=\"#m-%s\" x=\"%zu\"/></g>", iso, iso + 11,
	          mark_word(run->mark), mark_id(run->mark), at * MARK_WIDTH);
}

void dashboard_strip(struct page *p, const struct strip *strip)
{
	page_putf(p, "<svg class=\"strip\" viewBox=\"0 0 %d 16\" role=\"img\" aria-label=\"",
	          STRIP_RUNS * MARK_WIDTH);
	put_strip_label(p, strip);
	page_put(p, "\">");
	for (size_t i = strip->count; i < STRIP_RUNS; i++)
		page_putf(p, "<use href=\"#m-none\" x=\"%zu\"/>", (i - strip->count) * MARK_WIDTH);
	for (size_t i = strip->count; i-- > 0;)
		put_run_mark(p, &strip->runs[i], STRIP_RUNS - 1 - i);
	page_put(p, "</svg>");
}
