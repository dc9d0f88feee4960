// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What tests that fill a catalog share. */
#include <keepfs/base/str.h>
#include <keepfs/catalog/runs.h>

/** run_of() - a run to add; valid until the next. */
static inline const struct catalog_run *run_of(const char *job, const char *by)
{
	static struct catalog_run run;

	run = (struct catalog_run){.kind = "dump"};
	str_copy(run.job, sizeof(run.job), job);
	str_copy(run.triggered_by, sizeof(run.triggered_by), by);
	return &run;
}
