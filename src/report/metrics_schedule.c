// SPDX-License-Identifier: Apache-2.0
/* What begins by itself, and what nobody backs up. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/report/schedule.h>
#include <keepfs/report/uncovered.h>

static int tell_next_runs(const struct report_sources *from, struct spool *out)
{
	_cleanup(schedule_statuses) struct schedule_statuses all = {0};
	int r = schedule_gather(from, &all);

	expose_family(
	        out, "keepfs_next_run_timestamp_seconds", "gauge",
	        "When the next run of the job begins by itself; in the past while one is due and waits.");
	for (size_t i = 0; r == 0 && i < from->conf->job_count; i++) {
		const char *job = from->conf->jobs[i].name;
		int64_t next_us = schedule_next_of(&all, job);

		if (next_us)
			expose_seconds(out, "keepfs_next_run_timestamp_seconds", LABELS("backup_job", job),
			               next_us);
	}
	return r;
}

static void count_uncovered(void *arg, const char *server, const char *name)
{
	++*(uint64_t *)arg;
}

static int tell_uncovered(const struct report_sources *from, struct spool *out)
{
	uint64_t count = 0;
	int r = report_uncovered(from->conf, from->catalog, count_uncovered, &count);

	expose_gauge(
	        out, "keepfs_uncovered_databases",
	        "Databases of the jobs' servers that no job backs up, without those that are to be ignored.",
	        count);
	return r;
}

int metrics_schedule(const struct report_sources *from, struct spool *out)
{
	int r = tell_next_runs(from, out);

	return r < 0 ? r : tell_uncovered(from, out);
}
