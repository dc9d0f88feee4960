// SPDX-License-Identifier: Apache-2.0
/* A day, a mark: thirteen weeks of each job, a column for each week that begins on Monday. */
#include "dashboard.h"

#include <keepfs/base/zone.h>

#define CELL           13
#define WEEK_DAYS      7
#define MONDAY_OF_1970 4 /* 1970-01-01 was a Thursday: this day's number, counted from its Monday, is 3 */
#define DATES_NAMED    6

static enum mark mark_of_day(const struct dash_job *job, unsigned back)
{
	unsigned good = job->calendar.days[back].good, warned = job->calendar.days[back].warned;

	if (job->calendar.days[back].failed)
		return good + warned ? MARK_WARNED : MARK_FAILED;
	if (warned)
		return MARK_WARNED;
	return good ? MARK_OK : MARK_NONE;
}

/* 0: Monday. */
static unsigned weekday_of(int64_t day)
{
	return (unsigned)((day % WEEK_DAYS + WEEK_DAYS + MONDAY_OF_1970 - 1) % WEEK_DAYS);
}

static const char *day_words(enum mark mark)
{
	switch (mark) {
	case MARK_OK:
		return "good";
	case MARK_WARNED:
		return "good, with a warning or a failure";
	case MARK_FAILED:
		return "failed";
	default:
		return "no run";
	}
}

static void put_day(struct page *p, const struct dash_job *job, unsigned back, unsigned first_weekday)
{
	enum mark mark = mark_of_day(job, back);
	unsigned at = CALENDAR_DAYS - 1 - back + first_weekday;
	char date[16];

	page_putf(p, "<g><title>%s: %s</title><use href=\"#d-%s\" x=\"%u\" y=\"%u\"/></g>",
	          dash_date(p->today - back, date), day_words(mark), mark_id(mark), at / WEEK_DAYS * CELL,
	          at % WEEK_DAYS * CELL);
}

static size_t count_days(const struct dash_job *job, enum mark mark)
{
	size_t count = 0;

	for (unsigned back = 0; back < CALENDAR_DAYS; back++)
		count += mark_of_day(job, back) == mark;
	return count;
}

static void put_days_label(struct page *p, const struct dash_job *job)
{
	page_putf(
	        p,
	        "%zu days with a good backup, %zu of them with a warning or a failure, too; %zu failed; %zu without a run",
	        count_days(job, MARK_OK) + count_days(job, MARK_WARNED), count_days(job, MARK_WARNED),
	        count_days(job, MARK_FAILED), count_days(job, MARK_NONE));
}

static void put_failed_dates(struct page *p, const struct dash_job *job)
{
	size_t failed = count_days(job, MARK_FAILED), named = 0;
	char date[16];

	page_putf(p, "%zu good", count_days(job, MARK_OK) + count_days(job, MARK_WARNED));
	if (!failed)
		return;
	page_putf(p, " · <span class=\"crit\">%zu failed</span>: ", failed);
	for (unsigned back = 0; back < CALENDAR_DAYS && named < DATES_NAMED; back++) {
		if (mark_of_day(job, back) != MARK_FAILED)
			continue;
		page_putf(p, "%s%s", named++ ? ", " : "", dash_date(p->today - back, date));
	}
	page_put(p, failed > named ? ", …" : "");
}

static void put_calendar(struct page *p, const struct dash_job *job)
{
	unsigned first_weekday = weekday_of(p->today - CALENDAR_DAYS + 1);
	unsigned weeks = (first_weekday + CALENDAR_DAYS + WEEK_DAYS - 1) / WEEK_DAYS;

	page_put(p, "<figure class=\"calendar\"><figcaption><strong>");
	page_name(p, job->conf->name);
	page_put(p, "</strong> <span class=\"muted\">");
	put_failed_dates(p, job);
	page_putf(p, "</span></figcaption><svg viewBox=\"0 0 %u %d\" role=\"img\" aria-label=\"",
	          weeks * CELL - 2, WEEK_DAYS * CELL - 2);
	page_text(p, job->conf->name, TEXT_SHORT);
	page_put(p, ": ");
	put_days_label(p, job);
	page_put(p, "\">");
	for (unsigned back = CALENDAR_DAYS; back-- > 0;)
		put_day(p, job, back, first_weekday);
	page_put(p, "</svg></figure>");
}

void dashboard_calendar(struct page *p)
{
	char first[16], last[16];

	page_putf(
	        p,
	        "<p class=\"muted\">A column is a week from Monday to Sunday; %s to %s.</p><div class=\"calendars\">",
	        dash_date(p->today - CALENDAR_DAYS + 1, first), dash_date(p->today, last));
	for (size_t i = 0; i < p->job_count && i < CALENDARS_SHOWN; i++)
		put_calendar(p, &p->jobs[i]);
	page_put(p, "</div>");
	if (p->job_count > CALENDARS_SHOWN)
		page_putf(p, "<p class=\"more\">and %zu more jobs, which are no worse</p>",
		          p->job_count - CALENDARS_SHOWN);
}
