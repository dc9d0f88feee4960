// SPDX-License-Identifier: Apache-2.0
/*
 * status/metrics.prom. Counters are read where they are kept, one by one, without a lock: figures of one text
 * may be of slightly different moments. Whoever is not there (no disk cache, say) has no lines.
 */
#include "metrics.h"

#include "exposition.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/pool.h>

#include <config.h>

static int metrics_build(const struct report_sources *from, struct spool *out)
{
	expose_family(out, "keepfs_build_info", "gauge", "The version of keepfs that serves; always 1.");
	expose_number(out, "keepfs_build_info", LABELS("version", KEEPFS_VERSION), 1);
	return 0;
}

static int metrics_pool(const struct report_sources *from, struct spool *out)
{
	expose_gauge(out, "keepfs_pool_bytes", "Size of the pool of buffers, for uploads and reads.",
	             from->conf->memory_bytes / POOL_BUFFER_BYTES * POOL_BUFFER_BYTES);
	return 0;
}

/* In the order of the text. */
static int (*const parts[])(const struct report_sources *from, struct spool *out) = {
        metrics_build,     metrics_health,  metrics_jobs,     metrics_watched, metrics_schedule,
        metrics_retention, metrics_store,   metrics_copy,     metrics_reader,  metrics_cache,
        metrics_pool,      metrics_process, metrics_notices,  metrics_drill,   metrics_restores,
        metrics_proven,    metrics_scrub,   metrics_replicas, metrics_classes, metrics_wal,
};

int report_metrics(const struct report_sources *from, struct spool *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		int r = parts[i](from, out);

		if (r < 0)
			return r;
	}
	return spool_error(out);
}
