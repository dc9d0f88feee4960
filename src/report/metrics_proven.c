// SPDX-License-Identifier: Apache-2.0
/* What is proven of backups, in metrics: by job and level, and how far the scrub has come. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LEVELS (PROOF_RESTORED + 1)

/* Of the directories of a job the one that was proven longest ago. */
struct proven_job {
	struct {
		int64_t at_us, made_us;
	} levels[LEVELS];
};

struct proven_jobs {
	const struct conf *conf;
	struct proven_job *jobs;
};

/* "backups/tenants/acme" is of the job "tenants". */
static struct proven_job *proven_job_of(const struct proven_jobs *all, const char *directory)
{
	_cleanup(free) char *name = tree_job_of(directory);
	const struct conf_job *job = name ? conf_find_job(all->conf, name) : NULL;

	return job ? &all->jobs[job - all->conf->jobs] : NULL;
}

static void take_proven(void *arg, const struct catalog_proven *p)
{
	struct proven_job *job = proven_job_of(arg, p->directory);
	int64_t known_us = job ? job->levels[p->level].at_us : 0;

	if (!job || (known_us && known_us <= p->at_us))
		return;
	job->levels[p->level].at_us = p->at_us;
	job->levels[p->level].made_us = p->finished_at_us;
}

static void tell_proven(struct spool *out, const struct proven_jobs *all, const char *name, const char *help,
                        bool made)
{
	expose_family(out, name, "gauge", help);
	for (size_t i = 0; i < all->conf->job_count; i++)
		for (int level = PROOF_BYTES; level < LEVELS; level++) {
			const struct proven_job *job = &all->jobs[i];
			char number[12];

			snprintf(number, sizeof(number), "%d", level);
			if (job->levels[level].at_us)
				expose_seconds(out, name,
				               LABELS("backup_job", all->conf->jobs[i].name, "level", number),
				               made ? job->levels[level].made_us : job->levels[level].at_us);
		}
}

int metrics_proven(const struct report_sources *from, struct spool *out)
{
	_cleanup(free) struct proven_job *jobs = mem_array(from->conf->job_count + 1, sizeof(*jobs));
	struct proven_jobs all = {.conf = from->conf, .jobs = jobs};
	int r = catalog_each_proven(from->catalog, take_proven, &all);

	if (r < 0)
		return r;
	tell_proven(
	        out, &all, "keepfs_proven_timestamp_seconds",
	        "When the newest backup that is known to be right was found so, by level: 0 read from the store, 1 decompressed, 2 restored; of the database of which that is longest ago.",
	        false);
	tell_proven(out, &all, "keepfs_proven_backup_timestamp_seconds", "When that backup was made.", true);
	return 0;
}

/* The scrub. */

#define DUE_PERCENT 80 /* of the time when it begins to read again */

static void tell_scrub(struct spool *out, bool is_on, const char *name, const char *help, uint64_t value)
{
	expose_family(out, name, "gauge", help);
	if (is_on)
		expose_number(out, name, NO_LABELS, value);
}

/* Without a scrub nothing is due, and nothing late. */
static int tell_scrub_sums(const struct report_sources *from, int64_t within_us, struct spool *out)
{
	struct catalog_unproven_sum due = {0}, late = {0};
	int64_t now_us = from->now_us;
	bool is_on = within_us > 0;
	int r = is_on ? catalog_sum_unproven(from->catalog, now_us - within_us / 100 * DUE_PERCENT, now_us,
	                                     &due)
	              : 0;

	if (r == 0 && is_on)
		r = catalog_sum_unproven(from->catalog, now_us - within_us, now_us, &late);
	if (r < 0)
		return r;
	tell_scrub(out, is_on, "keepfs_scrub_bytes",
	           "Bytes of all backups, which the scrub is to have read again.", due.all_bytes);
	tell_scrub(out, is_on, "keepfs_scrub_due_bytes",
	           "Bytes of the backups whose turn to be read again has come.", due.bytes);
	tell_scrub(out, is_on, "keepfs_scrub_due_backups", "Backups whose turn to be read again has come.",
	           due.count);
	tell_scrub(out, is_on, "keepfs_scrub_late_bytes",
	           "Bytes of the backups that were not read for longer than scrub_within.", late.bytes);
	tell_scrub(out, is_on, "keepfs_scrub_late_backups",
	           "Backups that were not read for longer than scrub_within.", late.count);
	return 0;
}

int metrics_scrub(const struct report_sources *from, struct spool *out)
{
	int64_t within_us = from->conf->store.scrub_within_ms * 1000;
	struct catalog_unproven oldest = {.ino = INT64_MAX}; /* behind those that never were */
	int r = tell_scrub_sums(from, within_us, out);

	if (r < 0)
		return r;
	expose_family(out, "keepfs_scrub_within_seconds", "gauge",
	              "Within how long each backup is to be read again: scrub_within; 0: never.");
	expose_seconds(out, "keepfs_scrub_within_seconds", NO_LABELS, within_us);
	r = catalog_least_proven(from->catalog, &oldest, &oldest);
	if (r < 0 && r != -ENOENT)
		return r;
	expose_family(out, "keepfs_scrub_oldest_timestamp_seconds", "gauge",
	              "When the backup was read that has not been read again for longest.");
	if (r == 0)
		expose_seconds(out, "keepfs_scrub_oldest_timestamp_seconds", NO_LABELS, oldest.proven_at_us);
	return 0;
}
