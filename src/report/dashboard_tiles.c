// SPDX-License-Identifier: Apache-2.0
/* When the page was made, and the figures at its top. */
#include "dashboard.h"
#include "config.h"

#include <keepfs/base/clock.h>

#include <string.h>

void dashboard_made(struct page *p)
{
	char iso[CLOCK_ISO_BYTES];

	page_putf(p, "<p id=\"made\" data-made=\"%s\">Made ", clock_format_iso(p->from->now_us, iso));
	page_when(p, p->from->now_us);
	page_put(p, " UTC by keepfs " KEEPFS_VERSION "<span id=\"as-of\">. Ages are as of then</span>.</p>");
}

struct tally { /* of all jobs of one kind */
	size_t all, good;
};

static struct tally tally_of(const struct page *p, int kind)
{
	struct tally tally = {0};

	for (size_t i = 0; i < p->job_count; i++) {
		const struct dash_job *job = &p->jobs[i];

		if (job->conf->kind != kind)
			continue;
		tally.all += job->target_count == 0 && !conf_bundle_of(p->from->conf, job->conf);
		for (size_t n = 0; n < job->target_count; n++) {
			tally.all += job->targets[n].standing != STANDING_GONE;
			tally.good +=
			        job->targets[n].standing != STANDING_GONE && job->targets[n].newest.path;
		}
	}
	return tally;
}

static void open_tile(struct page *p, const char *label)
{
	page_putf(p, "<li class=\"tile\"><span class=\"label\">%s</span> <span class=\"value\">", label);
}

static void go_to_note(struct page *p)
{
	page_put(p, "</span> <span class=\"note\">");
}

static void close_tile(struct page *p)
{
	page_put(p, "</span></li>");
}

static void put_covered(struct page *p, int kind, const char *label)
{
	struct tally tally = tally_of(p, kind);

	if (!tally.all)
		return;
	open_tile(p, label);
	page_number(p, tally.all);
	go_to_note(p);
	if (tally.good == tally.all) {
		page_put(p, tally.all == 1 ? "has a good backup" : "all have a good backup");
	} else {
		page_put(p, "<b class=\"crit\">");
		page_number(p, tally.all - tally.good);
		page_put(p, " without a good backup</b>");
	}
	close_tile(p);
}

static void put_backups(struct page *p)
{
	uint64_t backups = 0;
	size_t live = 0;

	for (size_t i = 0; i < p->job_count; i++) {
		backups += p->jobs[i].artifacts;
		live += p->jobs[i].is_live;
	}
	open_tile(p, "Backups");
	page_number(p, backups);
	go_to_note(p);
	if (live)
		page_count(p, live, "run is under way", "runs are under way");
	else
		page_put(p, "no run is under way");
	close_tile(p);
}

static void put_stored(struct page *p)
{
	uint64_t stored = 0, capacity = p->from->conf->store.capacity_bytes;

	for (size_t i = 0; i < p->job_count; i++)
		stored += p->jobs[i].stored_bytes;
	open_tile(p, "Stored");
	page_bytes(p, stored);
	go_to_note(p);
	if (capacity) {
		page_putf(p, "%.0f %% of ", (double)stored / (double)capacity * 100);
		page_bytes(p, capacity);
	} else {
		page_put(p, "in ");
		page_text(p, p->from->conf->store.url, TEXT_SHORT);
	}
	if (p->store.full_at_us) {
		page_putf(p, "<br><span class=\"%s\">full on ", p->store.is_full_soon ? "warn" : "full");
		page_day(p, p->store.full_at_us);
		page_put(p, "</span>");
	}
	close_tile(p);
}

static void put_next(struct page *p)
{
	const struct dash_job *next = NULL;

	for (size_t i = 0; i < p->job_count; i++) {
		const struct dash_job *job = &p->jobs[i];

		if (job->next_run_us && (!next || job->next_run_us < next->next_run_us))
			next = job;
	}
	open_tile(p, "Next run");
	if (next) {
		page_due(p, next->next_run_us);
		go_to_note(p);
		page_name(p, next->conf->name);
		page_put(p, ", ");
		page_when(p, next->next_run_us);
		page_put(p, " UTC");
	} else {
		page_put(p, "–");
		go_to_note(p);
		page_put(p, "nothing is scheduled here");
	}
	close_tile(p);
}

void dashboard_tiles(struct page *p)
{
	page_put(p, "<ul class=\"tiles\">");
	put_covered(p, CONF_JOB_DUMP, "Databases");
	put_covered(p, CONF_JOB_FILES, "Directories");
	put_covered(p, CONF_JOB_EXPORT, "Tenants");
	put_covered(p, CONF_JOB_BUNDLE, "Deployments");
	put_backups(p);
	put_stored(p);
	put_next(p);
	page_put(p, "</ul>");
}
