// SPDX-License-Identifier: Apache-2.0
#pragma once
/* How a run's progress is shown: a bar that is drawn over itself on a terminal, a line for each change of
 * state elsewhere. */
#include <keepfs/catalog.h>
#include <keepfs/report/run.h>

struct progress {
	bool terminal;
	bool drawn;
	char last_state[16];
	char last_waits_for[256];
};

void progress_init(struct progress *p);
void progress_show(struct progress *p, int64_t run_id, const char *state,
                   const struct report_progress *figures);
/** progress_end() - leave the bar's line. */
void progress_end(struct progress *p);
