// SPDX-License-Identifier: Apache-2.0
/* The history is read in pages, newest first; a run that ends meanwhile is told as it was or as it is, never
 * twice, because a page ends at a run's number. */
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

#include <string.h>

#define PAGE_RUNS 64

int runs_each(struct catalog *c, const char *job, bool (*row)(void *arg, const struct catalog_run *run),
              void *arg)
{
	_cleanup(free) struct catalog_run *page = mem_array(PAGE_RUNS, sizeof(*page));
	int64_t before = 0;

	for (;;) {
		ssize_t count = catalog_runs(c, job, before, page, PAGE_RUNS);

		if (count <= 0)
			return (int)count;
		for (ssize_t i = 0; i < count; i++)
			if (!row(arg, &page[i]))
				return 0;
		before = page[count - 1].id;
	}
}

struct last_ended {
	const char *job; /* NULL: any */
	enum run_state state;
	int64_t at_us;
};

static void take_last_ended(void *arg, const char *job, enum run_state state, uint64_t runs, int64_t at_us)
{
	struct last_ended *last = arg;

	if (state == last->state && (!last->job || strcmp(job, last->job) == 0) && at_us > last->at_us)
		last->at_us = at_us;
}

int runs_last_ended(struct catalog *c, const char *job, enum run_state state, int64_t *ret_us)
{
	struct last_ended last = {.job = job, .state = state};
	int r = catalog_run_totals(c, take_last_ended, &last);

	if (r == 0)
		*ret_us = last.at_us;
	return r;
}

bool run_is_live(const struct catalog_run *run)
{
	return run->state == RUN_PENDING || run->state == RUN_RUNNING;
}
