// SPDX-License-Identifier: Apache-2.0
/*
 * Size, rows and duration over time. Each point is compared with what was normal before it, so that a database that grows
 * is not taken for one that went wrong.
 */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/policy/anomaly.h>

#include <stdio.h>

#define CHART_WIDTH  300.0
#define CHART_HEIGHT 84.0
#define CHART_MARGIN 6.0

struct chart {
	const char *id, *title;
	enum anomaly_figure figure;
	void (*put)(struct page *p, double value);
	const struct series *series;
	double values[SERIES_RUNS];
	struct anomaly_usual usual[SERIES_RUNS]; /* before each point; around 0: not known */
	double low, high;                        /* of what is drawn */
};

static void put_bytes_value(struct page *p, double value)
{
	page_bytes(p, value > 0 ? (uint64_t)value : 0);
}

static void put_rows_value(struct page *p, double value)
{
	page_number(p, value > 0 ? (uint64_t)value : 0);
}

/* "45 s", "3 min 20 s", "2 h 5 min" */
static void put_duration_value(struct page *p, double seconds)
{
	unsigned long s = seconds > 0 ? (unsigned long)(seconds + 0.5) : 0;

	if (s < 60)
		page_putf(p, "%lu s", s);
	else if (s < 3600)
		page_putf(p, "%lu min %lu s", s / 60, s % 60);
	else
		page_putf(p, "%lu h %lu min", s / 3600, s % 3600 / 60);
}

static double x_of(const struct chart *c, size_t i)
{
	int64_t first = c->series->points[0].at_us, last = c->series->points[c->series->count - 1].at_us;
	double part =
	        last > first ? (double)(c->series->points[i].at_us - first) / (double)(last - first) : 0;

	part = part < 0 ? 0 : part > 1 ? 1 : part; /* a clock may have been wrong */
	return CHART_MARGIN + part * (CHART_WIDTH - 2 * CHART_MARGIN);
}

static double y_of(const struct chart *c, double value)
{
	double part = c->high > c->low ? (value - c->low) / (c->high - c->low) : 0.5;

	return CHART_HEIGHT - CHART_MARGIN - part * (CHART_HEIGHT - 2 * CHART_MARGIN);
}

static void widen(struct chart *c, double value)
{
	if (value < c->low)
		c->low = value;
	if (value > c->high)
		c->high = value;
}

static bool has_usual(const struct anomaly_usual *usual)
{
	return usual->around > 0;
}

static double low_of(const struct anomaly_usual *usual)
{
	return usual->median > usual->around ? usual->median - usual->around : 0;
}

static double high_of(const struct anomaly_usual *usual)
{
	return usual->median + usual->around;
}

/* By the same word as health, from the backups before the @i-th. */
static bool learn_usual(struct chart *c, size_t i)
{
	size_t count = i < ANOMALY_HISTORY ? i : ANOMALY_HISTORY;

	return anomaly_usual_of(c->figure, c->values + i - count, count, &c->usual[i]);
}

static void learn(struct chart *c)
{
	c->low = c->high = c->values[0];
	for (size_t i = 0; i < c->series->count; i++) {
		widen(c, c->values[i]);
		if (!learn_usual(c, i))
			continue;
		widen(c, low_of(&c->usual[i]));
		widen(c, high_of(&c->usual[i]));
	}
}

static bool is_outside(const struct chart *c, size_t i)
{
	return has_usual(&c->usual[i]) && anomaly_is_unusual(c->figure, &c->usual[i], c->values[i]);
}

static void put_band(struct page *p, const struct chart *c)
{
	const char *separator = "";

	page_put(p, "<polygon class=\"band\" points=\"");
	for (size_t i = 0; i < c->series->count; i++) {
		if (!has_usual(&c->usual[i]))
			continue;
		page_putf(p, "%s%.1f,%.1f", separator, x_of(c, i), y_of(c, high_of(&c->usual[i])));
		separator = " ";
	}
	for (size_t i = c->series->count; i-- > 0;)
		if (has_usual(&c->usual[i]))
			page_putf(p, " %.1f,%.1f", x_of(c, i), y_of(c, low_of(&c->usual[i])));
	page_put(p, "\"/>");
}

static void put_curve(struct page *p, const struct chart *c)
{
	size_t last = c->series->count - 1;

	page_put(p, "<polyline class=\"curve\" points=\"");
	for (size_t i = 0; i <= last; i++)
		page_putf(p, "%s%.1f,%.1f", i ? " " : "", x_of(c, i), y_of(c, c->values[i]));
	page_put(p, "\"/>");
	for (size_t i = 0; i <= last; i++)
		if (is_outside(c, i))
			page_putf(p, "<use class=\"odd\" href=\"#c-odd\" x=\"%.1f\" y=\"%.1f\"/>",
			          x_of(c, i) - 5, y_of(c, c->values[i]) - 5);
	page_putf(p, "<circle class=\"last\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.2\"/>", x_of(c, last),
	          y_of(c, c->values[last]));
}

static void put_verdict(struct page *p, const struct chart *c)
{
	size_t last = c->series->count - 1;
	const struct anomaly_usual *usual = &c->usual[last];

	if (!has_usual(usual)) {
		page_put(p, "too few to know what is normal");
		return;
	}
	if (!is_outside(c, last))
		page_put(p, "normal is ");
	else
		page_put(p, c->values[last] > usual->median ? "above the normal " : "below the normal ");
	c->put(p, low_of(usual));
	page_put(p, " to ");
	c->put(p, high_of(usual));
}

static void put_chart(struct page *p, size_t job, struct chart *c)
{
	size_t last = c->series->count - 1;

	learn(c);
	page_putf(
	        p,
	        "<figure class=\"chart\" data-job=\"%zu\" data-of=\"%s\"><figcaption><span class=\"label\">%s</span> "
	        "<span class=\"value\">",
	        job, c->id, c->title);
	c->put(p, c->values[last]);
	page_putf(p, "</span> <span class=\"note%s\">", is_outside(c, last) ? " warn" : "");
	if (is_outside(c, last))
		page_icon(p, "warn");
	put_verdict(p, c);
	page_putf(
	        p,
	        "</span></figcaption><svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"%s of the last %zu "
	        "backups; the newest: ",
	        CHART_WIDTH, CHART_HEIGHT, c->title, c->series->count);
	c->put(p, c->values[last]);
	page_put(p, ", ");
	put_verdict(p, c);
	page_put(p, "\">");
	put_band(p, c);
	put_curve(p, c);
	page_put(p, "</svg></figure>");
}

static void put_size_chart(struct page *p, size_t job, const struct series *s)
{
	struct chart c = {
	        .id = "size", .title = "Size", .figure = ANOMALY_SIZE, .put = put_bytes_value, .series = s};

	for (size_t i = 0; i < s->count; i++)
		c.values[i] = (double)s->points[i].size_bytes;
	put_chart(p, job, &c);
}

static void put_duration_chart(struct page *p, size_t job, const struct series *s)
{
	struct chart c = {.id = "duration",
	                  .title = "Duration",
	                  .figure = ANOMALY_DURATION,
	                  .put = put_duration_value,
	                  .series = s};

	for (size_t i = 0; i < s->count; i++)
		c.values[i] = s->points[i].duration_us > 0 ? (double)s->points[i].duration_us / US_PER_S : 0;
	put_chart(p, job, &c);
}

/* Only of those backups of which it is known: older ones have no such fact, and of some nothing is left. */
static void put_rows_chart(struct page *p, size_t job, const struct series *s)
{
	struct series *known = mem_alloc(sizeof(*known));
	struct chart c = {.id = "rows",
	                  .title = "Rows",
	                  .figure = ANOMALY_ROWS,
	                  .put = put_rows_value,
	                  .series = known};

	for (size_t i = 0; i < s->count; i++) {
		if (s->points[i].rows < 0)
			continue;
		c.values[known->count] = (double)s->points[i].rows;
		known->points[known->count++] = s->points[i];
	}
	if (known->count > 1)
		put_chart(p, job, &c);
	free(known);
}

static void put_span_of(struct page *p, const struct series *s)
{
	page_put(p, " <span class=\"muted\">");
	page_putf(p, "%zu backups, ", s->count);
	page_when(p, s->points[0].at_us);
	page_put(p, " to ");
	page_when(p, s->points[s->count - 1].at_us);
	page_put(p, "</span>");
}

static void put_trend(struct page *p, size_t job)
{
	const struct series *s = &p->jobs[job].series;

	page_put(p, "<section class=\"trend\"><h3>");
	page_name(p, p->jobs[job].conf->name);
	put_span_of(p, s);
	page_put(p, "</h3><div class=\"charts\">");
	put_size_chart(p, job, s);
	put_rows_chart(p, job, s);
	put_duration_chart(p, job, s);
	page_put(p, "</div></section>");
}

void dashboard_trend(struct page *p)
{
	size_t drawn = 0, left = 0;

	for (size_t i = 0; i < p->job_count; i++) {
		if (p->jobs[i].series.count < 2)
			continue;
		if (drawn < JOBS_DRAWN) {
			dash_load_rows(p, &p->jobs[i]);
			put_trend(p, i);
			drawn++;
		} else {
			left++;
		}
	}
	if (!drawn)
		page_put(
		        p,
		        "<p class=\"muted\">There is something to see here once a job has made two whole backups.</p>");
	if (left)
		page_putf(p,
		          "<p class=\"more\">%zu more jobs are not drawn; their figures are in "
		          "<code>status/history.csv</code>.</p>",
		          left);
}
