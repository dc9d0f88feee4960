// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The parts of status/metrics.prom. Each writes the families of one subject, none when there is nobody to ask. Return: 0;
 * negative errno of the catalog; what the spool refuses stays in it. */
#include <keepfs/report/status.h>

/** metrics_health() - what status/health says, in numbers; damaged backups. */
int metrics_health(const struct report_sources *from, struct spool *out);
/** metrics_jobs() - backups and runs, by job. */
int metrics_jobs(const struct report_sources *from, struct spool *out);
/** metrics_store() - its capacity, and its calls since the process began. */
int metrics_store(const struct report_sources *from, struct spool *out);
/** metrics_reader() - reads of backups since the process began. */
int metrics_reader(const struct report_sources *from, struct spool *out);
/** metrics_cache() - the disk cache. */
int metrics_cache(const struct report_sources *from, struct spool *out);
/** metrics_process() - of this process, from /proc/self; what cannot be read there is left out. */
int metrics_process(const struct report_sources *from, struct spool *out);
