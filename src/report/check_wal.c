// SPDX-License-Identifier: Apache-2.0
/* Health of WAL archives: what came last, and when; whether something is missing; and whether the server waits for its archive_command, by the place up to which it has written. */
#include "checks.h"
#include "cluster_recovery.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/wal.h>

/* Segments come out of order where several are archived at once. */
#define GAP_GRACE_US (INT64_C(60) * US_PER_S)

struct gap_check {
	struct checking *c;
	const char *job;
	bool found;
};

static int check_gap(void *arg, const struct recovery_gap *g)
{
	struct gap_check *check = arg;
	struct health_item *item;
	char first[WAL_NAME_BYTES], last[WAL_NAME_BYTES];

	if (!g->blocks_newest || g->is_cut)
		return 0;
	if (g->behind_us + GAP_GRACE_US > check->c->from->now_us) {
		checking_changes_at(check->c, g->behind_us + GAP_GRACE_US);
		return 0;
	}
	wal_name_format(&g->first_name, first);
	wal_name_format(&g->last_name, last);
	item = checking_add(check->c, REPORT_CRIT, mem_printf("WAL of %s", check->job), check->job);
	item->kind = "gap";
	item->since_us = g->behind_us;
	item->text = g->first == g->last
	                     ? mem_printf("%s is missing: what came later cannot be recovered", first)
	                     : mem_printf("%s to %s are missing (%llu): what came later cannot be recovered",
	                                  first, last, (unsigned long long)(g->last - g->first + 1));
	item->what_to_do = mem_printf(
	        "if the server still has them in pg_wal, copy them to wal/%s/ in the mount; else make a new base backup: keepfs trigger %s",
	        check->job, check->job);
	check->found = true;
	return 1;
}

/* The newest base is listed when its WAL is there; so that it is not there any more is a loss. */
static bool check_newest_base(struct checking *c, const char *job, const struct cluster_recovery *r)
{
	const struct recovery_base *newest = NULL;
	struct health_item *item;
	char missing[WAL_NAME_BYTES];
	size_t at = 0;

	for (size_t i = 0; i < r->facts.base_count; i++)
		if (!r->facts.bases[i].is_unusable &&
		    (!newest || r->facts.bases[i].stopped_us >= newest->stopped_us)) {
			newest = &r->facts.bases[i];
			at = i;
		}
	if (!newest || r->view.reaches[at].is_whole || !r->facts.segment_bytes)
		return false;
	wal_name_format(&r->view.reaches[at].missing, missing);
	item = checking_add(c, REPORT_CRIT, mem_printf("WAL of %s", job), job);
	item->kind = "base";
	item->text =
	        mem_printf("%s cannot be recovered: %s, which it needs, is missing", newest->path, missing);
	item->what_to_do = mem_printf("make a new base backup: keepfs trigger %s", job);
	return true;
}

/* Whole segments wait at the server. */
static bool check_waiting_segments(struct checking *c, const struct conf_job *job)
{
	int64_t limit_us = job->cluster.wal_max_age_ms * 1000, late_us;
	struct wal_server_state state;
	struct health_item *item;
	char since[32];

	if (!c->from->wal || limit_us == 0 || !wal_server_state(c->from->wal, job->name, &state) ||
	    state.waiting == 0)
		return false;
	late_us = c->from->now_us - state.waiting_since_us;
	if (late_us < limit_us / 4) {
		checking_changes_at(c, state.waiting_since_us + limit_us / 4);
		return false;
	}
	checking_changes_at(c, state.waiting_since_us + limit_us);
	item = checking_add(c, late_us < limit_us ? REPORT_WARN : REPORT_CRIT,
	                    mem_printf("WAL of %s", job->name), job->name);
	item->kind = "late";
	item->since_us = state.waiting_since_us;
	item->text = mem_printf(
	        "the server has %llu segments of WAL that have not come, since %s: its archive_command fails, or is too slow",
	        (unsigned long long)state.waiting, line_time(state.waiting_since_us, "-", since));
	item->what_to_do = mem_strdup(
	        "SELECT * FROM pg_stat_archiver on the server; its log, and status/last-error, say why");
	return true;
}

static void tell_last(struct checking *c, const char *job, const struct catalog_wal *last)
{
	char at[CLOCK_ISO_BYTES];

	checking_add(c, REPORT_OK, mem_printf("WAL of %s", job), job)->text =
	        last->id
	                ? mem_printf("%s was archived at %s", last->name,
	                             clock_format_iso(last->arrived_us, at))
	                : mem_printf("nothing has come yet: archive_command = 'cp %%p MOUNTPOINT/wal/%s/%%f'",
	                             job);
}

static void tell_archive(struct checking *c, const struct conf_job *job)
{
	_cleanup(cluster_recovery) struct cluster_recovery r = {0};
	struct gap_check gap = {.c = c, .job = job->name};
	int failed = cluster_recovery_gather(c->from, job->name, &r);

	if (failed < 0) {
		checking_catalog_failed(c, failed);
		return;
	}
	if (check_newest_base(c, job->name, &r))
		return;
	recovery_each_gap(&r.facts, check_gap, &gap);
	if (!gap.found && !check_waiting_segments(c, job))
		tell_last(c, job->name, &r.last);
}

void check_wal(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++)
		if (wal_is_archived(&c->from->conf->jobs[i]))
			tell_archive(c, &c->from->conf->jobs[i]);
}
