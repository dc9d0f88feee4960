// SPDX-License-Identifier: Apache-2.0
/* A line for each job and each thing that it backs up: the worst first, and no more than LINES_SHOWN. */
#include "dashboard.h"

#include <keepfs/base/mem.h>

#include <inttypes.h>
#include <string.h>

/* What a line tells, of a job or of one of its targets. */
struct line_facts {
	const char *name;
	enum standing standing;
	const char *word; /* in place of the standing's; NULL: none */
	const struct strip *strip;
	int64_t success_us;
	uint64_t artifacts, stored_bytes;
	int64_t new_since_us, gone_since_us;
	bool is_target; /* a line below that of its job */
};

static void put_state(struct page *p, const struct dash_job *job, const struct line_facts *f)
{
	page_putf(p, "<td class=\"state %s\" data-label=\"State\">", standing_id(f->standing));
	page_icon(p, standing_id(f->standing));
	page_putf(p, "<span>%s</span>", f->word ? f->word : standing_word(f->standing));
	if (f->new_since_us)
		page_put(p, "<span class=\"badge new\">new</span>");
	if (f->gone_since_us) {
		page_put(p, "<br><span class=\"muted\">since ");
		page_when(p, f->gone_since_us);
		page_put(p, "</span>");
	}
	if (!f->is_target && job->item && health_is_acknowledged(job->item))
		page_put(p, "<br><span class=\"badge\">acknowledged</span>");
	if (job->is_live && !f->is_target)
		page_put(p, "<span class=\"badge live\">under way</span>");
	page_put(p, "</td>");
}

static void put_success(struct page *p, const struct line_facts *f)
{
	page_put(p, "<td class=\"when\" data-label=\"Last good\">");
	if (f->success_us) {
		page_ago(p, f->success_us);
		page_put(p, "<br><span class=\"muted\">");
		page_when(p, f->success_us);
		page_put(p, "</span>");
	} else {
		page_put(p, f->artifacts ? "<strong>never all of it</strong>" : "<strong>never</strong>");
	}
	page_put(p, "</td>");
}

static void put_next_run(struct page *p, const struct dash_job *job, const struct line_facts *f)
{
	page_put(p, "<td class=\"when\" data-label=\"Next run\">");
	if (f->is_target) {
		page_put(p, "<span class=\"muted\">with its job</span>");
	} else if (job->is_off && !job->next_run_us) {
		page_put(p, "<strong>switched off</strong>");
	} else if (job->next_run_us) {
		if (job->is_off)
			page_put(p, "<strong>switched off</strong> until then<br>");
		page_due(p, job->next_run_us);
		page_put(p, "<br><span class=\"muted\">");
		page_when(p, job->next_run_us);
		page_put(p, "</span>");
	} else {
		page_put(p, "<span class=\"muted\">not scheduled</span>");
	}
	page_put(p, "</td>");
}

static void put_sizes(struct page *p, const struct line_facts *f)
{
	page_put(p, "<td class=\"n\" data-label=\"Backups\">");
	page_number(p, f->artifacts);
	page_put(p, "</td><td class=\"n\" data-label=\"Mean\">");
	if (f->artifacts)
		page_bytes(p, f->stored_bytes / f->artifacts);
	else
		page_put(p, "–");
	page_put(p, "</td><td class=\"n\" data-label=\"Stored\">");
	page_bytes(p, f->stored_bytes);
	page_put(p, "</td>");
}

static size_t count_present(const struct dash_job *job)
{
	size_t count = 0;

	for (size_t i = 0; i < job->target_count; i++)
		count += job->targets[i].standing != STANDING_GONE;
	return count;
}

/* "2 new, 1 gone" */
static void put_changes(struct page *p, const struct dash_job *job)
{
	size_t new = 0, gone = 0;

	for (size_t i = 0; i < job->target_count; i++) {
		new += job->targets[i].new_since_us != 0;
		gone += job->targets[i].standing == STANDING_GONE;
	}
	if (new || gone)
		page_put(p, "<br>");
	if (new)
		page_putf(p, "%zu new", new);
	if (gone)
		page_putf(p, "%s%zu gone", new ? ", " : "", gone);
}

static void put_facts(struct page *p, const struct dash_job *job, const struct line_facts *f)
{
	page_putf(p, "<tr class=\"facts\"><th scope=\"row\" class=\"name%s\">", f->is_target ? " below" : "");
	page_name(p, f->name);
	if (!f->is_target && job->has_many) {
		page_put(p, "<br><span class=\"muted\">");
		page_count(p, count_present(job), watched_parts(job->conf, 1), watched_parts(job->conf, 2));
		put_changes(p, job);
		page_put(p, "</span>");
	}
	page_put(p, "</th>");
	put_state(p, job, f);
	page_put(p, "<td class=\"runs\" data-label=\"Last runs\">");
	dashboard_strip(p, f->strip);
	page_put(p, "</td>");
	put_success(p, f);
	put_next_run(p, job, f);
	put_sizes(p, f);
	page_put(p, "</tr>");
}

/* What opens below a line. */

static void put_badges(struct page *p, const struct saved *backup)
{
	if (backup->verified_at_us)
		page_put(p, " <span class=\"badge ok\">verified</span>");
	else
		page_put(p, " <span class=\"badge\">not read back</span>");
	if (backup->held_until_us > p->from->now_us)
		page_put(p, " <span class=\"badge held\">held</span>");
	page_tiers(p, backup->tiers);
}

static void put_newest(struct page *p, const struct dash_job *job, const struct target *t)
{
	const struct catalog_backup backup = dash_backup_of(job, t);

	page_put(p, "<span class=\"file\">");
	page_text(p, strrchr(backup.path, '/') + 1, TEXT_SHORT);
	page_put(p, "</span> <span class=\"muted\">");
	page_bytes(p, backup.size_bytes);
	page_put(p, "</span>");
	put_badges(p, &t->newest);
}

/* @error NULL: its last run did not fail. @t NULL: there is nothing to bring back. */
static void put_more(struct page *p, const struct dash_job *job, const struct target *t, int64_t failed_id,
                     const char *error)
{
	bool is_there = t && t->newest.path;

	if (!is_there && !error)
		return;
	page_put(p, "<tr class=\"more\"><td colspan=\"8\"><details><summary>");
	if (error)
		page_put(p, "<span class=\"crit\">Why it failed, and what to do</span>");
	if (error && is_there)
		page_put(p, " <span class=\"muted\">· the newest good one:</span> ");
	if (is_there)
		put_newest(p, job, t);
	page_put(p, "</summary>");
	if (error)
		dashboard_failure(p, job, failed_id, error);
	if (is_there) {
		const struct catalog_backup backup = dash_backup_of(job, t);

		dashboard_restore(p, &backup);
	}
	page_put(p, "</details></td></tr>");
}

/* A run may have failed before it came to any of its targets. */
static void put_more_of_job(struct page *p, const struct dash_job *job, const struct target *only)
{
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));

	if (job->failed.id)
		dash_failed(p, catalog_run(p->from->catalog, job->failed.id, run));
	put_more(p, job, only, job->failed.id, job->failed.id ? run->error : NULL);
}

static int64_t success_of(const struct target *t)
{
	return t->newest.path ? t->newest.finished_at_us : 0;
}

/* A name that may need a second line: what opens below it has no place beside it then. */
#define SHORT_NAME_BYTES 22

static void open_line(struct page *p, const struct line_facts *f, const char *classes)
{
	page_putf(p, "<tbody class=\"line %s%s%s\">", standing_id(f->standing), classes,
	          strlen(f->name) > SHORT_NAME_BYTES ? " long" : "");
}

static const char *word_of_target(const struct dash_job *job, const struct target *t)
{
	return t->standing == STANDING_OFF && job->is_off ? "Switched off" : NULL;
}

static void put_target(struct page *p, const struct dash_job *job, const struct target *t)
{
	const struct line_facts facts = {
	        .name = t->label,
	        .standing = t->standing,
	        .strip = &t->strip,
	        .success_us = success_of(t),
	        .artifacts = t->artifacts,
	        .stored_bytes = t->stored_bytes,
	        .new_since_us = t->new_since_us,
	        .gone_since_us = t->gone_since_us,
	        .word = word_of_target(job, t),
	        .is_target = true,
	};

	open_line(p, &facts, " of-job");
	put_facts(p, job, &facts);
	put_more(p, job, t, t->failed_id, t->error);
	page_put(p, "</tbody>");
}

static const char *word_of_job(const struct dash_job *job)
{
	if (job->standing == STANDING_OFF && job->is_off)
		return "Switched off";
	return job->standing == STANDING_NEVER && !job->first_run_us ? "Never ran" : NULL;
}

static void put_job(struct page *p, const struct dash_job *job)
{
	const struct target *only = !job->has_many && job->target_count ? &job->targets[0] : NULL;
	const struct line_facts facts = {
	        .name = job->conf->name,
	        .standing = job->standing,
	        .word = word_of_job(job),
	        .strip = &job->strip,
	        .success_us = only ? success_of(only) : job->last_success_us,
	        .artifacts = job->artifacts,
	        .stored_bytes = job->stored_bytes,
	};

	page_putf(p, "<tbody class=\"line %s%s\">", standing_id(job->standing),
	          job->has_many ? " group" : "");
	put_facts(p, job, &facts);
	put_more_of_job(p, job, only);
	page_put(p, "</tbody>");
}

/* Those behind the @from-th, by how they stand. */
static void put_rest(struct page *p, const struct dash_job *job, size_t from)
{
	size_t of[STANDING_FAILED + 1] = {0};

	if (from >= job->target_count)
		return;
	for (size_t i = from; i < job->target_count; i++)
		of[job->targets[i].standing]++;
	page_put(p, "<tbody class=\"line of-job rest\"><tr><td colspan=\"8\">and ");
	page_count(p, job->target_count - from, "more of ", "more of ");
	page_name(p, job->conf->name);
	page_put(p, ": ");
	for (int standing = STANDING_FAILED, told = 0; standing >= STANDING_GONE; standing--) {
		if (!of[standing])
			continue;
		page_putf(p, "%s%zu × %s", told++ ? ", " : "", of[standing],
		          standing_word((enum standing)standing));
	}
	page_put(p, job->left_out ? "; there are still more, which were not looked at</td></tr></tbody>"
	                          : "</td></tr></tbody>");
}

/* How many lines the targets of a job may have when those behind it shall have one each. */
static size_t share_of(const struct dash_job *job, size_t left, size_t jobs_behind)
{
	size_t free_lines = left > jobs_behind ? left - jobs_behind : 0;

	return job->target_count < free_lines ? job->target_count : free_lines;
}

static void put_lines_of(struct page *p, size_t i, size_t *left)
{
	const struct dash_job *job = &p->jobs[i];
	size_t share;

	put_job(p, job);
	(*left)--;
	if (!job->has_many)
		return;
	share = share_of(job, *left, p->job_count - i - 1);
	for (size_t n = 0; n < share; n++)
		put_target(p, job, &job->targets[n]);
	*left -= share;
	put_rest(p, job, share);
}

void dashboard_lines(struct page *p)
{
	size_t left = LINES_SHOWN, i;

	page_put(
	        p,
	        "<table class=\"cards lines\" id=\"lines\"><caption class=\"sr\">Jobs and what they back up, the worst "
	        "first</caption><thead><tr><th scope=\"col\">Job or database</th><th scope=\"col\">State</th>"
	        "<th scope=\"col\">Last runs</th><th scope=\"col\">Last good backup</th><th scope=\"col\">Next run</th>"
	        "<th scope=\"col\" class=\"n\">Backups</th><th scope=\"col\" class=\"n\">Mean</th>"
	        "<th scope=\"col\" class=\"n\">Stored</th></tr></thead>");
	for (i = 0; i < p->job_count && left; i++)
		put_lines_of(p, i, &left);
	page_put(p, "</table>");
	if (i < p->job_count) {
		page_put(p, "<p class=\"more\">and ");
		page_count(p, p->job_count - i, "more job, which is no worse",
		           "more jobs, which are no worse");
		page_put(p, "</p>");
	}
}
