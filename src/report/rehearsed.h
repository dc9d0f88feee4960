// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What drills have shown of each job: health, metrics and the dashboard tell the same of it. Of a job over several databases the one whose
 * restore took longest counts, by the last drill of each that passed.
 */
#include <keepfs/catalog/drills.h>
#include <keepfs/report/status.h>

struct rehearsed {
	struct catalog_drill last;    /* that was not cancelled; id 0: there is none */
	struct catalog_drill passed;  /* the last one that passed; id 0 */
	struct catalog_drill good;    /* that of those that were to prove as much as the job wants; id 0 */
	struct catalog_drill bad;     /* catalog_standing_drill() */
	uint64_t bad_count;           /* how many stand; 0: none does */
	struct catalog_drill slowest; /* by which rto_us was measured; id 0 */
	int64_t rto_us;               /* how long a restore takes; 0: not measured */
	int64_t every_us;             /* how old the last one that passed may be; 0: none is expected */
	int64_t late_at_us;           /* when drills are overdue, unless one passes before; 0: never */
};

/** rehearsed_new() - of the jobs of the configuration, by their numbers; the caller's. Return: 0; negative errno of the catalog. */
int rehearsed_new(const struct report_sources *from, struct rehearsed **ret);
/** rehearsed_misses_rto() - it takes longer than the job's rto says. */
bool rehearsed_misses_rto(const struct rehearsed *r, const struct conf_job *job);
