// SPDX-License-Identifier: Apache-2.0
/* The disk cache, in numbers. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/cache.h>

#include <stddef.h>
#include <string.h>

#define AT(field) offsetof(struct cache_stats, field)

static const struct {
	const char *name, *type;
	size_t offset; /* of an uint64_t in struct cache_stats */
	const char *help;
} figures[] = {
        {"keepfs_cache_size_bytes", "gauge", AT(max_bytes), "How much the disk cache may hold."},
        {"keepfs_cache_used_bytes", "gauge", AT(used_bytes), "How much it holds."},
        {"keepfs_cache_pieces", "gauge", AT(pieces), "Pieces of backups that it holds."},
        {"keepfs_cache_hits_total", "counter", AT(hits), "Pieces that were found in the disk cache."},
        {"keepfs_cache_misses_total", "counter", AT(misses), "Pieces that were looked for there in vain."},
        {"keepfs_cache_read_bytes_total", "counter", AT(hit_bytes), "Bytes that came from the disk cache."},
        {"keepfs_cache_written_bytes_total", "counter", AT(written_bytes),
         "Bytes that were put into the disk cache."},
        {"keepfs_cache_evictions_total", "counter", AT(evictions),
         "Pieces that had to make room for others."},
        {"keepfs_cache_wrong_total", "counter", AT(wrong),
         "Pieces whose bytes were not those of the backup: they were fetched again."},
        {"keepfs_cache_failures_total", "counter", AT(failures), "Failures of the disk cache's own disk."},
};

int metrics_cache(const struct report_sources *from, struct spool *out)
{
	struct cache_stats stats;

	if (!from->cache)
		return 0;
	cache_stats(from->cache, &stats);
	for (size_t i = 0; i < ARRAY_SIZE(figures); i++) {
		uint64_t value;

		memcpy(&value, (const char *)&stats + figures[i].offset, sizeof(value));
		expose_family(out, figures[i].name, figures[i].type, figures[i].help);
		expose_number(out, figures[i].name, NO_LABELS, value);
	}
	return 0;
}
