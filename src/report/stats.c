// SPDX-License-Identifier: Apache-2.0
/* stats.json: totals of everything and of each job, also of those that are not configured any more; memory is
 * one record for each job that ever ran. */
#include <keepfs/base/mem.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/copy.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/codec/json.h>
#include <keepfs/report/status.h>

#include <string.h>

struct job_counts {
	char *job; /* NULL: all */
	int64_t runs[RUN_STATES];
	int64_t last_success_us, last_failure_us;
};

struct counts {
	struct job_counts *jobs; /* [0] is of all */
	size_t count;
};

static struct job_counts *find_counts(struct counts *counts, const char *job)
{
	for (size_t i = 1; i < counts->count; i++)
		if (strcmp(counts->jobs[i].job, job) == 0)
			return &counts->jobs[i];
	counts->jobs = mem_resize(counts->jobs, counts->count + 1, sizeof(*counts->jobs));
	counts->jobs[counts->count] = (struct job_counts){.job = mem_strdup(job)};
	return &counts->jobs[counts->count++];
}

static void count_runs(struct job_counts *counts, enum run_state state, uint64_t runs, int64_t last_us)
{
	counts->runs[state] += (int64_t)runs;
	if (state == RUN_COMPLETED && last_us > counts->last_success_us)
		counts->last_success_us = last_us;
	if (state == RUN_FAILED && last_us > counts->last_failure_us)
		counts->last_failure_us = last_us;
}

static void count_row(void *arg, const char *job, enum run_state state, uint64_t runs, int64_t last_us)
{
	struct counts *counts = arg;

	count_runs(find_counts(counts, job), state, runs, last_us);
	count_runs(&counts->jobs[0], state, runs, last_us);
}

static int set_totals(struct catalog *c, const struct job_counts *counts, struct json *j)
{
	struct catalog_totals totals = {0};
	struct json *runs = json_object_new();
	uint64_t trashed = 0, trashed_bytes = 0;
	int r = catalog_totals(c, counts->job, &totals);

	if (r == 0)
		r = catalog_trash_total(c, counts->job, &trashed, &trashed_bytes);
	json_set_int(j, "artifacts", (int64_t)totals.artifacts);
	json_set_int(j, "stored_bytes", (int64_t)totals.stored_bytes);
	json_set_int(j, "trash_artifacts", (int64_t)trashed);
	json_set_int(j, "trash_bytes", (int64_t)trashed_bytes);
	json_set_time(j, "oldest", totals.oldest_at_us);
	json_set_time(j, "newest", totals.newest_at_us);
	json_set_time(j, "newest_whole", totals.newest_whole_at_us);
	json_set_time(j, "last_success", counts->last_success_us);
	json_set_time(j, "last_failure", counts->last_failure_us);
	for (int state = 0; state < RUN_STATES; state++)
		json_set_int(runs, run_state_name((enum run_state)state), counts->runs[state]);
	json_set(j, "runs", runs);
	return r;
}

static void set_store(const struct report_sources *from, struct json *j)
{
	const struct conf_store *conf = &from->conf->store;
	struct json *store = json_object_new();
	struct catalog_copy_state copy = {0};

	json_set_string(store, "url", conf->url);
	json_set_time(store, "verified", catalog_store_verified(from->catalog, conf->url));
	if (conf->capacity_bytes)
		json_set_int(store, "capacity_bytes", (int64_t)conf->capacity_bytes);
	else
		json_set_string(store, "capacity_bytes", NULL);
	(void)catalog_copy_state(from->catalog, &copy);
	json_set_time(store, "catalog_copy", copy.key[0] ? copy.current_us : 0);
	json_set(j, "store", store);
}

static int set_jobs(struct catalog *c, const struct counts *counts, struct json *j)
{
	struct json *jobs = json_object_new();
	int result = 0;

	for (size_t i = 1; i < counts->count; i++) {
		struct json *job = json_object_new();
		int r = set_totals(c, &counts->jobs[i], job);

		json_set(jobs, counts->jobs[i].job, job);
		if (r < 0)
			result = r;
	}
	json_set(j, "jobs", jobs);
	return result;
}

static int write_stats(const struct report_sources *from, const struct counts *counts, struct spool *out)
{
	_cleanup(json) struct json *j = json_object_new();
	_cleanup(str) struct str text = {0};
	int r = set_totals(from->catalog, &counts->jobs[0], j);

	if (r == 0)
		r = set_jobs(from->catalog, counts, j);
	set_store(from, j);
	json_write(j, 2, &text);
	str_append_char(&text, '\n');
	spool_append(out, str_text(&text), text.len);
	return r < 0 ? r : spool_error(out);
}

int report_stats_json(const struct report_sources *from, struct spool *out)
{
	struct counts counts = {.jobs = mem_alloc(sizeof(*counts.jobs)), .count = 1};
	int r;

	for (size_t i = 0; i < from->conf->job_count; i++)
		find_counts(&counts, from->conf->jobs[i].name);
	r = catalog_run_totals(from->catalog, count_row, &counts);
	if (r == 0)
		r = write_stats(from, &counts, out);
	for (size_t i = 0; i < counts.count; i++)
		free(counts.jobs[i].job);
	free(counts.jobs);
	return r;
}
