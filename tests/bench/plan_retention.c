// SPDX-License-Identifier: Apache-2.0
/* plan_retention STATE_DIR: plans what is kept of backups/full in a catalog that fill_catalog made; seconds, and bytes of memory for
 * each backup. */
#include <keepfs/base/clock.h>
#include <keepfs/catalog.h>
#include <keepfs/prune.h>

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static uint64_t most_resident_bytes(void)
{
	struct rusage usage = {0};

	getrusage(RUSAGE_SELF, &usage);
	return (uint64_t)usage.ru_maxrss << 10;
}

static int measure(struct catalog *catalog, struct error *err)
{
	struct conf_job job = {
	        .name = (char *)"full",
	        .policy = {.keep_daily = 30, .keep_weekly = 52, .keep_monthly = 120, .min_keep = 1},
	        .timezone = (char *)"UTC",
	        .week_starts = 1};
	struct conf conf = {.jobs = &job, .job_count = 1, .timezone = (char *)""};
	struct repository repository = {.catalog = catalog};
	struct catalog_place place;
	struct artifact_time time;
	_cleanup(prune_plan) struct prune_plan plan = {0};
	uint64_t before = most_resident_bytes();
	int64_t began_us = clock_mono_us();
	clock_t began_cpu = clock();
	struct prune p;
	int r;

	artifact_read_clock(&time);
	r = prune_begin(&p, &repository, &conf, &time, err);
	if (r == 0 && catalog_places(catalog, "backups/full", "", &place, 1) == 1)
		r = prune_plan(&p, &place, &plan, err);
	if (r == 0)
		printf("%zu backups, %zu may go: planned in %.3f s (%.3f of a processor), %.0f bytes each\n",
		       plan.count, plan.due, (double)(clock_mono_us() - began_us) / 1e6,
		       (double)(clock() - began_cpu) / CLOCKS_PER_SEC,
		       plan.count ? (double)(most_resident_bytes() - before) / (double)plan.count : 0.0);
	return r;
}

int main(int argc, char **argv)
{
	_cleanup(catalog) struct catalog *catalog = NULL;
	struct error err = {0};
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: plan_retention STATE_DIR\n");
		return 2;
	}
	r = catalog_open(argv[1], &catalog, &err);
	if (r == 0)
		r = measure(catalog, &err);
	if (r < 0)
		fprintf(stderr, "plan_retention: %s\n", err.message);
	return r < 0;
}
