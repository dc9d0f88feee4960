// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The parts of status/metrics.prom. */
#include <keepfs/report.h>

/** metrics_jobs() - backups and runs, by job. Return: 0; negative errno of the catalog. */
int metrics_jobs(const struct report_sources *from, struct spool *out);
/** metrics_health() - what report_health() says, in numbers; damaged backups. Return: likewise. */
int metrics_health(const struct report_sources *from, struct spool *out);
/** metrics_process() - of this process, from /proc/self; what cannot be read there is left out. */
void metrics_process(struct spool *out);
