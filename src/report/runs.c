// SPDX-License-Identifier: Apache-2.0
/* The history is read in pages, newest first; a run that ends meanwhile is told as it was or as it is, never
 * twice, because a page ends at a run's number. */
#include "runs.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

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

int runs_last_ended(struct catalog *c, const char *job, enum run_state state, int64_t *ret_us)
{
	return catalog_last_ended(c, job, state, ret_us);
}

bool run_is_live(const struct catalog_run *run)
{
	return run->state == RUN_PENDING || run->state == RUN_RUNNING;
}
