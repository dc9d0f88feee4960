// SPDX-License-Identifier: Apache-2.0
/* Heartbeats: what of the newest run of each job was not told yet. It is found out from the catalog, so after a crash the end
 * of a run is told that ended with it. */
#include "notify_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/kinds.h>

#include <errno.h>
#include <string.h>

#define RUNS_ASKED                                                                                           \
	4 /* back to one that began: there can be one that waits, and some that were cancelled before */

static bool wants_job(const struct conf_heartbeat *h, const char *job)
{
	if (!h->jobs[0])
		return true;
	for (char *const *name = h->jobs; *name; name++)
		if (strcmp(*name, job) == 0)
			return true;
	return false;
}

/* The newest run that is a backup, and has begun. */
static bool newest_begun(struct catalog *c, const struct conf_job *job, struct catalog_run *ret)
{
	int64_t before = 0;

	for (int i = 0; i < RUNS_ASKED && catalog_runs(c, job->name, before, ret, 1) == 1; i++) {
		if (ret->started_at_us && strcmp(ret->kind, kind_of(job)->name) == 0)
			return true;
		before = ret->id;
	}
	return false;
}

static void add_beat(const struct round *r, struct news *n, const struct receiver *to,
                     const struct catalog_run *run, bool ended)
{
	const int64_t now_us = round_now_us(r);
	const struct catalog_notice notice = {
	        .kind = NOTICE_BEAT,
	        .receiver = to->name,
	        .at_us = now_us,
	        .job = news_own(n, mem_strdup(run->job)),
	        .run_id = run->id,
	        .facts = news_own(n, facts_of_run(r->options->ctx.catalog, run, ended, now_us)),
	};

	news_add_notice(n, &notice);
}

static bool has_run_ended(const struct catalog_run *run)
{
	return run->state != RUN_PENDING && run->state != RUN_RUNNING;
}

static void look_at_job(const struct round *r, struct news *n, const struct receiver *to,
                        const struct conf_job *job, struct catalog_run *run)
{
	struct catalog_beat told = {.receiver = to->name, .job = job->name};
	struct catalog_beat next = told;
	int known = catalog_beat(r->options->ctx.catalog, to->name, job->name, &told);
	bool begun = newest_begun(r->options->ctx.catalog, job, run), same;

	if (known < 0 && known != -ENOENT)
		return;
	next.run_id = begun ? run->id : 0;
	next.begun = begun;
	next.ended = begun && has_run_ended(run);
	same = told.run_id == next.run_id;
	if (known == 0 && same && told.ended == next.ended)
		return;
	/* What was so when it was looked at first, and what an older catalog says, is no news. */
	if (known == 0 && begun && run->id > told.run_id)
		add_beat(r, n, to, run, false);
	if (known == 0 && next.ended && (same || run->id > told.run_id))
		add_beat(r, n, to, run, true);
	news_add_beat(n, &next);
}

void beats_look(const struct round *r, struct news *n)
{
	_cleanup(free) struct catalog_run *run = mem_alloc(sizeof(*run));

	for (size_t i = 0; i < r->receivers.count; i++) {
		const struct receiver *to = &r->receivers.items[i];

		for (size_t k = 0; to->heartbeat && k < r->conf->job_count; k++)
			if (wants_job(to->heartbeat, r->conf->jobs[k].name))
				look_at_job(r, n, to, &r->conf->jobs[k], run);
	}
}
