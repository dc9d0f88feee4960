// SPDX-License-Identifier: Apache-2.0
/*
 * Would backups come back? What drills have shown of each job, what is damaged and which other one is good, what restores have done, and how
 * far reading everything again has come.
 */
#include "dashboard.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/report/restores.h>
#include <keepfs/report/run.h>

#include <errno.h>
#include <inttypes.h>

#define DRILLED_SHOWN  40
#define DAMAGED_SHOWN  20
#define RESTORES_SHOWN 5

/* Drills. */

static const char *const level_words[PROOF_LEVELS] = {
        [PROOF_BYTES] = "read",
        [PROOF_STRUCTURE] = "decompressed",
        [PROOF_RESTORED] = "restored",
        [PROOF_EQUAL] = "equal",
        [PROOF_SOUND] = "sound",
        [PROOF_YOURS] = "checks passed",
        [PROOF_MOMENT] = "recovered to a moment",
};

static void put_result(struct page *p, const struct rehearsed *r)
{
	static const struct {
		const char *id, *word;
	} words[DRILL_RESULTS] = {
	        [DRILL_PASSED] = {"ok", "passed"},
	        [DRILL_FAILED] = {"warn", "failed"},
	        [DRILL_DIFFERS] = {"crit", "differs"},
	        [DRILL_CANCELLED] = {"off", "cancelled"},
	};
	const char *id = r->last.id ? words[r->last.result].id : "never";

	page_putf(p, "<strong class=\"%s\">", id);
	page_icon(p, id);
	page_putf(p, "%s</strong>", r->last.id ? words[r->last.result].word : "never tried");
	if (r->late_at_us && p->from->now_us > r->late_at_us)
		page_put(p, " <span class=\"badge warn\">overdue</span>");
}

static void put_level(struct page *p, const struct catalog_drill *d)
{
	int level = d->level < PROOF_LEVELS ? d->level : -1;

	if (!d->id)
		page_put(p, "–");
	else if (level < 0)
		page_put(p, "nothing");
	else
		page_putf(p, "%d: %s", level, level_words[level]);
	if (d->id && d->wanted > d->level)
		page_putf(p, "<br><span class=\"muted\">of %d</span>", d->wanted);
}

static void put_drill_times(struct page *p, const struct catalog_drill *d)
{
	page_put(p, "<td class=\"when\" data-label=\"When\">");
	page_when(p, d->started_at_us);
	if (d->id) {
		page_put(p, "<br><span class=\"muted\">");
		page_ago(p, d->started_at_us);
		page_put(p, ", took ");
		page_age(p, d->finished_at_us - d->started_at_us);
		page_put(p, "</span>");
	}
	page_put(p, "</td>");
}

static void put_drill_trouble(struct page *p, const struct dash_job *job, const struct catalog_drill *d)
{
	_cleanup(str) struct str line = {0};

	if (!d->id || d->result == DRILL_PASSED)
		return;
	page_put(p, "<tr class=\"more\"><td colspan=\"6\"><details><summary>Why it did not pass</summary>"
	            "<p class=\"error\">");
	page_text(p, d->error, TEXT_LONG);
	page_put(p, "</p><p class=\"muted\">The report is <code>drills/");
	page_text(p, d->name, TEXT_SHORT);
	page_putf(p, ".txt</code>, the log <code>jobs/%" PRId64 "/log</code>.</p>", d->run_id);
	str_append(&line, "keepfs drill ");
	shell_quote(&line, job->conf->name);
	page_command(p, "Try again", str_text(&line));
	page_put(p, "</details></td></tr>");
}

static void put_drilled(struct page *p, const struct dash_job *job)
{
	const struct rehearsed *r = dash_rehearsed(p, job);

	page_put(p, "<tr><th scope=\"row\">");
	page_name(p, job->conf->name);
	page_put(p, "</th><td data-label=\"Last drill\">");
	put_result(p, r);
	page_put(p, "</td><td data-label=\"Proven\">");
	put_level(p, &r->last);
	page_put(p, "</td>");
	put_drill_times(p, &r->last);
	page_put(p, "<td data-label=\"Restore takes (rto)\">");
	dashboard_rto(p, job);
	page_put(p, "</td><td data-label=\"Would be lost (rpo)\">");
	dashboard_rpo(p, job);
	page_put(p, "</td></tr>");
	put_drill_trouble(p, job, &r->last);
}

/* Databases always, since nobody knows whether they come back unless it was tried; others when somebody wants to. */
static bool is_to_be_drilled(const struct page *p, const struct dash_job *job)
{
	const struct rehearsed *r = dash_rehearsed(p, job);

	return job->conf->kind == CONF_JOB_DUMP ||
	       (conf_can_be_drilled(job->conf) && (r->last.id || r->every_us > 0));
}

static void put_drills(struct page *p)
{
	size_t drilled = 0;

	for (size_t i = 0; i < p->job_count; i++)
		drilled += is_to_be_drilled(p, &p->jobs[i]);
	if (!drilled)
		return;
	page_put(
	        p,
	        "<table class=\"cards drills\"><caption class=\"sr\">The last drill of each job</caption><thead><tr>"
	        "<th scope=\"col\">Job</th><th scope=\"col\">Last drill</th><th scope=\"col\">Proven level</th>"
	        "<th scope=\"col\">When</th><th scope=\"col\">Restore takes (rto)</th>"
	        "<th scope=\"col\">Would be lost (rpo)</th></tr></thead><tbody>");
	for (size_t i = 0, shown = 0; i < p->job_count && shown < DRILLED_SHOWN; i++)
		if (is_to_be_drilled(p, &p->jobs[i])) {
			put_drilled(p, &p->jobs[i]);
			shown++;
		}
	page_put(p, "</tbody></table>");
	if (drilled > DRILLED_SHOWN) {
		page_put(p, "<p class=\"more\">and ");
		page_count(p, drilled - DRILLED_SHOWN, "more job: see <code>status/recovery</code>",
		           "more jobs: see <code>status/recovery</code>");
		page_put(p, "</p>");
	}
}

/* Damaged. */

struct damaged_list {
	uint64_t count;
	struct {
		uint64_t ino;
		char *path, *reason;
	} shown[DAMAGED_SHOWN];
};

static void list_damaged(void *arg, uint64_t ino, const char *path, const char *reason)
{
	struct damaged_list *d = arg;

	if (d->count < DAMAGED_SHOWN) {
		d->shown[d->count].ino = ino;
		d->shown[d->count].path = mem_strdup(path);
		d->shown[d->count].reason = mem_strdup(reason);
	}
	d->count++;
}

static void put_good_copy(struct page *p, uint64_t ino)
{
	struct catalog_good_copy good;
	_cleanup(free) char *line = NULL;
	int r = catalog_find_good(p->from->catalog, ino, &good);

	if (r == -ENOENT) {
		page_put(p, "<p class=\"crit\">There is no other good one of it.</p>");
		return;
	}
	dash_failed(p, r);
	if (r < 0)
		return;
	line = shell_bring_back(p->from->conf, &good);
	page_put(p, "<p>The next good one is <span class=\"file\">");
	page_text(p, good.path, TEXT_SHORT);
	page_put(p, "</span>, of ");
	page_when(p, good.started_at_us);
	page_put(p, good.is_of_another_job ? ", of another job" : good.is_newer ? ", a newer one" : "");
	page_put(p, good.verified_at_us ? " <span class=\"badge ok\">verified</span></p>"
	                                : " <span class=\"badge\">not read back</span></p>");
	page_command(p, "Restore", line);
}

static void put_damaged_one(struct page *p, uint64_t ino, const char *path, const char *reason)
{
	page_put(p, "<li><p><span class=\"crit\">");
	page_icon(p, "crit");
	page_put(p, "</span><span class=\"file\">");
	page_text(p, path, TEXT_SHORT);
	page_put(p, "</span> <span class=\"muted\">");
	page_text(p, reason, TEXT_SHORT);
	page_put(p, "</span></p>");
	put_good_copy(p, ino);
	page_put(p, "</li>");
}

static void put_damaged(struct page *p)
{
	struct damaged_list d = {0};

	dash_failed(p, catalog_damaged(p->from->catalog, list_damaged, &d));
	if (!d.count)
		return;
	page_put(p, "<h3>Damaged backups</h3><ul class=\"damaged\">");
	for (size_t i = 0; i < d.count && i < DAMAGED_SHOWN; i++) {
		put_damaged_one(p, d.shown[i].ino, d.shown[i].path, d.shown[i].reason);
		free(d.shown[i].path);
		free(d.shown[i].reason);
	}
	page_put(p, "</ul>");
	if (d.count > DAMAGED_SHOWN) {
		page_put(p, "<p class=\"more\">and ");
		page_count(p, d.count - DAMAGED_SHOWN, "more", "more");
		page_put(p, "</p>");
	}
}

/* Restores. */

struct restore_list {
	struct page *page;
	size_t told;
	const struct catalog_run *run; /* whose rest is looked for */
};

static void put_what_is_left(void *arg, const struct catalog_restore *x)
{
	struct restore_list *l = arg;
	_cleanup(free) char *left = NULL, *advice = NULL;

	if (x->run_id != l->run->id || !x->is_over)
		return;
	left = report_restore_left(x);
	advice = report_restore_advice(x);
	page_put(l->page, "<p class=\"crit\">");
	page_text(l->page, left, TEXT_LONG);
	page_put(l->page, "</p><p class=\"todo\"><span class=\"label\">To do</span> ");
	page_text(l->page, advice, TEXT_LONG);
	page_put(l->page, "</p>");
}

static void put_under_way(struct page *p, const struct catalog_run *run)
{
	struct report_progress now;

	if (!p->from->progress || !p->from->progress(p->from->progress_arg, run->id, &now))
		return;
	page_put(p, ", ");
	page_bytes(p, now.read_bytes);
	if (now.expected_bytes) {
		page_put(p, " of about ");
		page_bytes(p, now.expected_bytes);
	}
	page_put(p, " are read");
}

static void put_restore_times(struct page *p, const struct catalog_run *run)
{
	int64_t at_us = run->started_at_us ? run->started_at_us : run->queued_at_us;

	page_when(p, at_us);
	page_put(p, " <span class=\"muted\">");
	page_ago(p, at_us);
	page_put(p, "</span>");
	if (run->finished_at_us && run->started_at_us) {
		page_put(p, ", took ");
		page_age(p, run->finished_at_us - run->started_at_us);
	}
}

static const char *restore_mark(const struct catalog_run *run)
{
	static const char *const ids[RUN_STATES] = {
	        [RUN_PENDING] = "never", [RUN_RUNNING] = "never", [RUN_COMPLETED] = "ok",
	        [RUN_FAILED] = "crit",   [RUN_CANCELLED] = "off",
	};

	return ids[run->state];
}

static void put_restore_run(void *arg, const struct catalog_run *run)
{
	struct restore_list *l = arg;
	struct page *p = l->page;

	page_put(p, l->told++ ? "" : "<h3>Restores</h3><ol class=\"restores\">");
	page_putf(p, "<li><p><span class=\"%s\">", restore_mark(run));
	page_icon(p, restore_mark(run));
	page_putf(p, "%s</span> <code>keepfs restore ", run_state_name(run->state));
	page_text(p, run->options, TEXT_SHORT);
	page_putf(p, "</code>, run %" PRId64 ", ", run->id);
	put_restore_times(p, run);
	if (run->state == RUN_RUNNING)
		put_under_way(p, run);
	page_put(p, "</p>");
	if (*run->error) {
		page_put(p, "<p class=\"error\">");
		page_text(p, run->error, TEXT_LONG);
		page_put(p, "</p>");
	}
	l->run = run;
	dash_failed(p, catalog_each_restore(p->from->catalog, put_what_is_left, l));
	page_put(p, "</li>");
}

static void put_restores(struct page *p)
{
	struct restore_list l = {.page = p};

	dash_failed(p, report_restores(p->from, 0, RESTORES_SHOWN, put_restore_run, &l));
	page_put(p, l.told ? "</ol>" : "<p class=\"muted\">Nothing was ever restored but by drills.</p>");
}

/* The scrub. */

static void put_late(struct page *p, uint64_t count)
{
	page_put(p, "<span class=\"warn\">");
	page_icon(p, "warn");
	page_count(p, count, "backup was", "backups were");
	page_put(p, " not read in time</span>");
}

static void put_scrub(struct page *p)
{
	int64_t within_us = p->from->conf->store.scrub_within_ms * 1000;
	struct catalog_unproven oldest = {.ino = INT64_MAX}; /* behind those that never were */
	struct catalog_unproven_sum sum = {0};
	int r = catalog_least_proven(p->from->catalog, &oldest, &oldest);

	if (within_us == 0) {
		page_put(p,
		         "<p class=\"muted\">Backups are not read again by themselves (scrub_within).</p>");
		return;
	}
	dash_failed(p, r == -ENOENT ? 0 : r);
	dash_failed(p, catalog_sum_unproven(p->from->catalog, p->from->now_us - within_us, p->from->now_us,
	                                    &sum));
	page_put(p, "<p>Each backup is read again within ");
	page_age(p, within_us);
	if (r == 0) {
		page_put(p, "; the one that was not for longest was read ");
		page_ago(p, oldest.proven_at_us);
	}
	page_put(p, ". ");
	if (sum.count)
		put_late(p, sum.count);
	page_put(p, "</p>");
}

void dashboard_recovery(struct page *p)
{
	put_drills(p);
	put_damaged(p);
	put_restores(p);
	put_scrub(p);
}
