// SPDX-License-Identifier: Apache-2.0
/* Health of WAL archives: what came last, and when; whether something is missing; and whether the server waits for its archive_command, by the place up to which it has written. */
#include "checks.h"
#include "cluster_recovery.h"
#include "line.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/catalog/wal.h>
#include <keepfs/catalog/wal_copies.h>
#include <keepfs/wal.h>

#include <errno.h>
#include <inttypes.h>

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

	/* Of what is streamed alone the receiver tells. */
	if (!c->from->wal || limit_us == 0 || job->cluster.wal == CONF_WAL_STREAM ||
	    !wal_server_state(c->from->wal, job->name, &state) || state.waiting == 0)
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
	        "look into pg_stat_archiver on the server: its log, and status/last-error, say why");
	return true;
}

static void tell_last(struct checking *c, const struct conf_job *configured, const struct catalog_wal *last)
{
	const char *job = configured->name;
	char at[CLOCK_ISO_BYTES];

	checking_add(c, REPORT_OK, mem_printf("WAL of %s", job), job)->text =
	        last->id ? mem_printf("%s was archived at %s", last->name,
	                              clock_format_iso(last->arrived_us, at))
	        : configured->cluster.wal == CONF_WAL_STREAM
	                ? mem_strdup("no whole segment has come yet")
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
		tell_last(c, job, &r.last);
}

/* Behind for so long, what is lost with [store] is more than anybody counts on. */
#define BEHIND_LATE_US      (INT64_C(3600) * US_PER_S)
#define BEHIND_VERY_LATE_US (24 * BEHIND_LATE_US)

struct telling_copies {
	struct checking *c;
	const struct conf_job *job;
};

static enum report_health level_of_copy(const struct checking *c, const struct catalog_wal_copy *copy)
{
	int64_t behind_us = copy->oldest_us ? c->from->now_us - copy->oldest_us : 0;

	if (behind_us > BEHIND_VERY_LATE_US)
		return REPORT_CRIT;
	return behind_us > BEHIND_LATE_US ? REPORT_WARN : REPORT_OK;
}

static int tell_wal_copy(void *arg, const struct catalog_wal_copy *copy)
{
	struct telling_copies *t = arg;
	_cleanup(catalog_store) struct catalog_store at = {0};
	struct health_item *item;
	char size[16], since[CLOCK_ISO_BYTES];

	if (catalog_get_store(t->c->from->catalog, copy->store, &at) < 0 || !conf_has_copies(t->job, at.name))
		return 0;
	item = checking_add(t->c, level_of_copy(t->c, copy),
	                    mem_printf("WAL of %s in %s", t->job->name, at.name), t->job->name);
	if (copy->files == 0) {
		item->text = mem_strdup("all of it is there");
		return 0;
	}
	item->since_us = copy->oldest_us;
	item->text = mem_printf(
	        "%" PRIu64 " file%s of %s not there yet, the first came at %s%s%s", copy->files,
	        copy->files == 1 ? "" : "s", str_format_bytes(size, sizeof(size), copy->stored_bytes),
	        clock_format_iso(copy->oldest_us, since), copy->why[0] ? ": " : "", copy->why);
	item->what_to_do = mem_printf("look whether [store %s] answers: keepfs check", at.name);
	return 0;
}

static void tell_wal_copies(struct checking *c, const struct conf_job *job)
{
	struct telling_copies t = {.c = c, .job = job};
	int r = catalog_wal_copies(c->from->catalog, job->name, tell_wal_copy, &t);

	if (r < 0)
		checking_catalog_failed(c, r);
}

void check_wal(struct checking *c)
{
	for (size_t i = 0; i < c->from->conf->job_count; i++) {
		const struct conf_job *job = &c->from->conf->jobs[i];

		if (!wal_is_archived(job))
			continue;
		tell_archive(c, job);
		tell_wal_copies(c, job);
		check_wal_receiver(c, job->name);
		check_wal_server(c, job);
	}
}
