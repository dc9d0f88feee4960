// SPDX-License-Identifier: Apache-2.0
/*
 * Metrics of backups and runs, by job. All that is asked of the catalog is kept there as sums, or is one row:
 * neither time nor memory depends on how many backups or runs there are, only on how many jobs.
 *
 * The label is "backup_job": "job" is what Prometheus itself calls the scrape that a sample comes from.
 *
 * Jobs that are not configured any more have their backups and runs told, since these are still there, but no
 * times: an alert that a backup is too old would never end.
 */
#include "checks.h"
#include "exposition.h"
#include "metrics.h"
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/report/run.h>

#include <string.h>

/* Of the newest two runs of a job at least one has ended: a job has one run at a time. */
#define NEWEST_RUNS 2

struct job {
	char *name;
	bool configured;
	struct catalog_totals totals;
	uint64_t runs[RUN_STATES];
	int64_t last_success_us, last_failure_us;
	struct { /* the last run that ended; id 0: none has */
		int64_t id, started_us, finished_us, duration_us;
		enum run_state state;
		uint64_t size_bytes;
	} last;
	int64_t live_id; /* of the run that is pending or running; 0: none */
	bool has_progress;
	struct report_progress progress;
	int64_t elapsed_us;
};

struct jobs_facts {
	struct job *items;
	size_t count;
};

static struct job *facts_of_job(struct jobs_facts *jobs, const char *name)
{
	for (size_t i = 0; i < jobs->count; i++)
		if (strcmp(jobs->items[i].name, name) == 0)
			return &jobs->items[i];
	jobs->items = mem_resize(jobs->items, jobs->count + 1, sizeof(*jobs->items));
	jobs->items[jobs->count] = (struct job){.name = mem_strdup(name)};
	return &jobs->items[jobs->count++];
}

static void take_runs(void *arg, const char *name, enum run_state state, uint64_t runs, int64_t ended_us)
{
	struct job *job = facts_of_job(arg, name);

	job->runs[state] = runs;
	if (state == RUN_COMPLETED)
		job->last_success_us = ended_us;
	if (state == RUN_FAILED)
		job->last_failure_us = ended_us;
}

static void take_last(struct job *job, const struct catalog_run *run)
{
	job->last.id = run->id;
	job->last.state = run->state;
	job->last.started_us = run->started_at_us;
	job->last.finished_us = run->finished_at_us;
	job->last.duration_us = run->finished_at_us - run->started_at_us;
	job->last.size_bytes = run->size_bytes;
}

static int load_newest_runs(struct catalog *c, struct job *job)
{
	_cleanup(free) struct catalog_run *runs = mem_array(NEWEST_RUNS, sizeof(*runs));
	ssize_t count = catalog_runs(c, job->name, 0, runs, NEWEST_RUNS);

	for (ssize_t i = 0; i < count; i++) {
		if (run_is_live(&runs[i]))
			job->live_id = runs[i].id;
		else if (!job->last.id)
			take_last(job, &runs[i]);
	}
	return count < 0 ? (int)count : 0;
}

static int load_jobs(const struct report_sources *from, struct jobs_facts *jobs)
{
	int r;

	for (size_t i = 0; i < from->conf->job_count; i++)
		facts_of_job(jobs, from->conf->jobs[i].name)->configured = true;
	r = catalog_run_totals(from->catalog, take_runs, jobs);
	for (size_t i = 0; i < jobs->count && r == 0; i++) {
		struct job *job = &jobs->items[i];

		r = catalog_totals(from->catalog, job->name, &job->totals);
		/* How old it really is nobody knows: an alert has to take it for too old. */
		if (job->totals.newest_whole_at_us > from->now_us + CLOCKS_DIFFER_US)
			job->totals.newest_whole_at_us = 0;
		if (r == 0)
			r = load_newest_runs(from->catalog, job);
		if (job->live_id && from->progress)
			job->has_progress = from->progress(from->progress_arg, job->live_id, &job->progress);
		job->elapsed_us = job->progress.elapsed_ms * 1000;
	}
	return r;
}

/* What is told of a job by one number, and of which jobs. */
enum which { ALL, CONFIGURED, ENDED, BEGUN, LIVE };

static bool is_one(const struct job *job, enum which which)
{
	switch (which) {
	case ALL:
		return true;
	case CONFIGURED:
		return job->configured;
	case ENDED:
		return job->configured && job->last.id;
	case BEGUN:
		return job->configured && job->last.id && job->last.started_us;
	default:
		return job->has_progress;
	}
}

#define BYTES(field)   offsetof(struct job, field), false
#define SECONDS(field) offsetof(struct job, field), true /* of microseconds */

/* An alert compares times with now: 0, long ago, is what "never" should look like to it. */
static const struct {
	enum which which;
	const char *name;
	size_t offset; /* of 64 bits, never negative */
	bool seconds;
	const char *help;
} numbers[] = {
        {ALL, "keepfs_backups", BYTES(totals.artifacts), "Backups that are listed, with the partial ones."},
        {ALL, "keepfs_stored_bytes", BYTES(totals.stored_bytes),
         "Bytes of backups in the store, with the files beside them."},
        {CONFIGURED, "keepfs_newest_backup_timestamp_seconds", SECONDS(totals.newest_whole_at_us),
         "When the newest whole backup that is not known to be damaged was completed; 0: there is none, or it is dated in the future."},
        {CONFIGURED, "keepfs_last_success_timestamp_seconds", SECONDS(last_success_us),
         "When a run last completed; 0: never."},
        {CONFIGURED, "keepfs_last_failure_timestamp_seconds", SECONDS(last_failure_us),
         "When a run last failed; 0: never."},
        {BEGUN, "keepfs_last_run_start_timestamp_seconds", SECONDS(last.started_us),
         "When the last run that has ended began."},
        {ENDED, "keepfs_last_run_end_timestamp_seconds", SECONDS(last.finished_us),
         "When the last run that has ended did so."},
        {BEGUN, "keepfs_last_run_duration_seconds", SECONDS(last.duration_us),
         "How long the last run that has ended took."},
        {ENDED, "keepfs_last_run_size_bytes", BYTES(last.size_bytes),
         "Bytes of the backups that the last run which has ended made."},
        {LIVE, "keepfs_live_run_elapsed_seconds", SECONDS(elapsed_us),
         "For how long the run that is under way has been so."},
        {LIVE, "keepfs_live_run_read_bytes", BYTES(progress.read_bytes),
         "Bytes that the run under way has read from PostgreSQL."},
        {LIVE, "keepfs_live_run_sent_bytes", BYTES(progress.sent_bytes),
         "Bytes that the run under way has sent to the store."},
        {LIVE, "keepfs_live_run_verified_bytes", BYTES(progress.verified_bytes),
         "Bytes that the run under way has read back from the store."},
        {LIVE, "keepfs_live_run_expected_bytes", BYTES(progress.expected_bytes),
         "Bytes that the run under way will probably send; 0: not known."},
};

static void tell_number(struct spool *out, const struct jobs_facts *jobs, size_t n)
{
	expose_family(out, numbers[n].name, "gauge", numbers[n].help);
	for (size_t i = 0; i < jobs->count; i++) {
		const struct job *job = &jobs->items[i];
		int64_t value;

		if (!is_one(job, numbers[n].which))
			continue;
		memcpy(&value, (const char *)job + numbers[n].offset, sizeof(value));
		if (numbers[n].seconds)
			expose_seconds(out, numbers[n].name, LABELS("backup_job", job->name), value);
		else
			expose_number(out, numbers[n].name, LABELS("backup_job", job->name), (uint64_t)value);
	}
}

static void tell_states(struct spool *out, const struct jobs_facts *jobs)
{
	expose_family(out, "keepfs_runs", "gauge", "Runs in the history, by state.");
	for (size_t i = 0; i < jobs->count; i++)
		for (unsigned state = 0; state < RUN_STATES; state++)
			expose_number(
			        out, "keepfs_runs",
			        LABELS("backup_job", jobs->items[i].name, "state", run_state_name(state)),
			        jobs->items[i].runs[state]);
	expose_family(out, "keepfs_last_run_state", "gauge",
	              "1 for the state in which the last run that has ended did so, 0 for the others.");
	for (size_t i = 0; i < jobs->count; i++)
		for (unsigned state = RUN_COMPLETED; state < RUN_STATES; state++)
			if (is_one(&jobs->items[i], ENDED))
				expose_number(out, "keepfs_last_run_state",
				              LABELS("backup_job", jobs->items[i].name, "state",
				                     run_state_name(state)),
				              jobs->items[i].last.state == state);
}

int metrics_jobs(const struct report_sources *from, struct spool *out)
{
	struct jobs_facts jobs = {0};
	int r = load_jobs(from, &jobs);

	if (r == 0) {
		tell_states(out, &jobs);
		for (size_t n = 0; n < ARRAY_SIZE(numbers); n++)
			tell_number(out, &jobs, n);
	}
	for (size_t i = 0; i < jobs.count; i++)
		free(jobs.items[i].name);
	free(jobs.items);
	return r;
}
