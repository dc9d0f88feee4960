// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The parts of status/metrics.prom. Each writes the families of one subject, none when there is nobody to ask. Return: 0;
 * negative errno of the catalog; what the spool refuses stays in it. */
#include <keepfs/report/status.h>

/** metrics_health() - what status/health says, in numbers; damaged backups. */
int metrics_health(const struct report_sources *from, struct spool *out);
/** metrics_jobs() - backups and runs, by job. */
int metrics_jobs(const struct report_sources *from, struct spool *out);
/** metrics_watched() - what is expected of each job, and how that is kept; when the store is full. */
int metrics_watched(const struct report_sources *from, struct spool *out);
/** metrics_schedule() - when runs begin by themselves; databases that no job backs up. */
int metrics_schedule(const struct report_sources *from, struct spool *out);
/** metrics_retention() - what is kept, held and in the trash, by job. */
int metrics_retention(const struct report_sources *from, struct spool *out);
/** metrics_store() - its capacity, and its calls since the process began. */
int metrics_store(const struct report_sources *from, struct spool *out);
/** metrics_drill() - rehearsed restores, by job, and how long a restore takes. metrics_restores() - what restores change now, and what they
 * have left. */
int metrics_drill(const struct report_sources *from, struct spool *out);
int metrics_restores(const struct report_sources *from, struct spool *out);
/** metrics_proven() - what is proven of backups, by job. metrics_scrub() - how far reading everything again has come. */
int metrics_proven(const struct report_sources *from, struct spool *out);
int metrics_scrub(const struct report_sources *from, struct spool *out);
/** metrics_classes() - storage classes, when something is known to be in one. */
int metrics_classes(const struct report_sources *from, struct spool *out);
/** metrics_wal() - WAL archives, when there are any. */
int metrics_wal(const struct report_sources *from, struct spool *out);
/** metrics_wal_kept() - what their servers keep, and what further stores lack; where there are archives. */
int metrics_wal_kept(const struct report_sources *from, struct spool *out);
/** metrics_replicas() - copies of backups in further stores, when there are any. */
int metrics_replicas(const struct report_sources *from, struct spool *out);
/** metrics_copy() - the copy of the catalog in the store, when there is one. */
int metrics_copy(const struct report_sources *from, struct spool *out);
/** metrics_reader() - reads of backups since the process began. */
int metrics_reader(const struct report_sources *from, struct spool *out);
/** metrics_cache() - the disk cache. */
int metrics_cache(const struct report_sources *from, struct spool *out);
/** metrics_notices() - what waits for each receiver of notices that there is. */
int metrics_notices(const struct report_sources *from, struct spool *out);
/** metrics_process() - of this process, from /proc/self; what cannot be read there is left out. */
int metrics_process(const struct report_sources *from, struct spool *out);
