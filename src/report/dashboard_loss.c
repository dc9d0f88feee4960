// SPDX-License-Identifier: Apache-2.0
/*
 * If the database died now: to which moment could one go back, and what has been done since? A dump is of the moment at
 * which it began. Of a job with many databases the worst one counts.
 */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <inttypes.h>
#include <string.h>

#define LOSSES_SHOWN 40

struct loss { /* of a job */
	const struct dash_job *job;
	const struct target *worst; /* of those that could be brought back; NULL: none */
	size_t lost;                /* targets of which there is no good backup */
	size_t targets;             /* that it still backs up */
};

static struct loss loss_of(const struct dash_job *job)
{
	struct loss loss = {.job = job};

	for (size_t i = 0; i < job->target_count; i++) {
		const struct target *t = &job->targets[i];

		if (t->standing == STANDING_GONE)
			continue;
		loss.targets++;
		if (!t->newest.path)
			loss.lost++;
		else if (!loss.worst || t->newest.started_at_us < loss.worst->newest.started_at_us)
			loss.worst = t;
	}
	return loss;
}

/* How long what was done is lost; INT64_MAX: all of it. */
static int64_t lost_us(const struct page *p, const struct loss *loss)
{
	if (loss->lost || !loss->worst)
		return INT64_MAX;
	return p->from->now_us - loss->worst->newest.started_at_us;
}

/* The script goes on comparing, so both figures are there. */
static void put_rpo(struct page *p, const struct loss *loss)
{
	int64_t goal_us = loss->job->conf->rpo_ms * 1000;
	bool is_met = lost_us(p, loss) <= goal_us;

	if (!goal_us) {
		page_put(p, "<span class=\"muted\">no goal is set</span>");
		return;
	}
	page_put(p, "at most ");
	page_age(p, goal_us);
	page_putf(p, " <span class=\"goal %s\" data-goal=\"%" PRId64 "\" data-since=\"%" PRId64 "\">",
	          is_met ? "ok" : "crit", goal_us / US_PER_S,
	          loss->worst ? loss->worst->newest.started_at_us / US_PER_S : 0);
	page_icon(p, is_met ? "ok" : "crit");
	page_putf(p, "%s</span>", is_met ? "met" : "missed");
}

static void put_rto_verdict(struct page *p, bool is_met)
{
	page_putf(p, " <span class=\"outcome %s\">", is_met ? "ok" : "crit");
	page_icon(p, is_met ? "ok" : "crit");
	page_putf(p, "%s</span>", is_met ? "met" : "missed");
}

void dashboard_rto(struct page *p, const struct dash_job *job)
{
	const struct rehearsed *r = dash_rehearsed(p, job);
	int64_t goal_us = job->conf->rto_ms * 1000;

	if (r->rto_us)
		page_age(p, r->rto_us);
	else
		page_put(p, "<span class=\"muted\">not measured</span>");
	if (goal_us) {
		page_put(p, "<br><span class=\"muted\">goal ");
		page_age(p, goal_us);
		page_put(p, "</span>");
	}
	if (goal_us && r->rto_us)
		put_rto_verdict(p, !rehearsed_misses_rto(r, job->conf));
}

static void put_point(struct page *p, const struct loss *loss)
{
	if (!loss->worst) {
		page_put(p, "<strong class=\"crit\">there is none</strong>");
		return;
	}
	page_when(p, loss->worst->newest.started_at_us);
	if (loss->job->has_many && loss->targets > 1) {
		page_put(p, "<br><span class=\"muted\">the oldest of ");
		page_number(p, loss->targets - loss->lost);
		page_put(p, ": ");
		page_name(p, loss->worst->label);
		page_put(p, "</span>");
	}
}

static void put_lost(struct page *p, const struct loss *loss)
{
	if (!loss->worst) {
		page_put(p, "<strong class=\"crit\">everything</strong>");
		return;
	}
	if (loss->worst->newest.started_at_us > p->from->now_us) {
		page_put(p, "<span class=\"muted\">it is dated in the future</span>");
		return;
	}
	page_span(p, loss->worst->newest.started_at_us);
}

static void put_loss(struct page *p, const struct loss *loss)
{
	page_put(p, "<tr><th scope=\"row\">");
	page_name(p, loss->job->conf->name);
	if (loss->lost) {
		page_put(p, "<br><span class=\"crit\">");
		page_count(p, loss->lost, "has no good backup", "have no good backup");
		page_put(p, "</span>");
	}
	page_put(p, "</th><td data-label=\"Back to\">");
	put_point(p, loss);
	page_put(p, "</td><td data-label=\"Lost would be\">");
	put_lost(p, loss);
	page_put(p, "</td><td data-label=\"Goal (rpo)\">");
	put_rpo(p, loss);
	page_put(p, "</td><td data-label=\"Time to restore\">");
	dashboard_rto(p, loss->job);
	page_put(p, "</td></tr>");
}

void dashboard_rpo(struct page *p, const struct dash_job *job)
{
	struct loss loss = loss_of(job);

	put_lost(p, &loss);
	page_put(p, "<br>");
	put_rpo(p, &loss);
}

static int compare_losses(const void *a, const void *b)
{
	const struct loss *one = a, *other = b;
	int64_t at = one->worst ? one->worst->newest.started_at_us : 0;
	int64_t other_at = other->worst ? other->worst->newest.started_at_us : 0;

	if (!one->lost != !other->lost)
		return one->lost ? -1 : 1;
	if (at != other_at)
		return at < other_at ? -1 : 1;
	return strcmp(one->job->conf->name, other->job->conf->name);
}

static void put_headline(struct page *p, const struct loss *losses, size_t count)
{
	size_t without = 0;

	for (size_t i = 0; i < count; i++)
		without += losses[i].lost + !losses[i].targets;
	if (without) {
		page_put(p, "<p class=\"answer crit\">");
		page_icon(p, "crit");
		page_count(p, without, "database or directory", "databases or directories");
		page_put(p, " could not be restored at all.</p>");
	} else if (count && losses[0].worst) {
		page_put(p, "<p class=\"answer\">Lost would be what was done in the last ");
		put_lost(p, &losses[0]);
		page_put(p, ", at most.</p>");
	}
}

void dashboard_loss(struct page *p)
{
	_cleanup(free) struct loss *losses = mem_array(p->job_count ? p->job_count : 1, sizeof(*losses));

	for (size_t i = 0; i < p->job_count; i++)
		losses[i] = loss_of(&p->jobs[i]);
	if (p->job_count)
		qsort(losses, p->job_count, sizeof(*losses), compare_losses);
	put_headline(p, losses, p->job_count);
	page_put(
	        p,
	        "<table class=\"cards\"><caption class=\"sr\">What could be restored now, by job</caption><thead><tr>"
	        "<th scope=\"col\">Job</th><th scope=\"col\">Newest point to go back to</th>"
	        "<th scope=\"col\">Lost would be</th><th scope=\"col\">Goal (rpo)</th>"
	        "<th scope=\"col\">Time to restore</th></tr></thead><tbody>");
	for (size_t i = 0; i < p->job_count && i < LOSSES_SHOWN; i++)
		put_loss(p, &losses[i]);
	page_put(p, "</tbody></table>");
	if (p->job_count > LOSSES_SHOWN) {
		page_put(p, "<p class=\"more\">and ");
		page_count(p, p->job_count - LOSSES_SHOWN, "more job, which would lose less",
		           "more jobs, which would lose less");
		page_put(p, "</p>");
	}
}
