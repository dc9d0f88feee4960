// SPDX-License-Identifier: Apache-2.0
/* Reading backups, in numbers. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/pool.h>
#include <keepfs/reader.h>

static const struct {
	const char *name;
	size_t offset; /* of an atomic_ullong in struct reader_metrics */
	const char *help;
} read_counters[] = {
        {"keepfs_read_requests_total", offsetof(struct reader_metrics, requests),
         "Reads of backups that were answered with bytes; what the kernel has cached does not reach keepfs."},
        {"keepfs_read_bytes_total", offsetof(struct reader_metrics, request_bytes),
         "Bytes of backups that were answered."},
        {"keepfs_read_failures_total", offsetof(struct reader_metrics, failures),
         "Reads of backups that were answered with an error."},
        {"keepfs_read_cancelled_total", offsetof(struct reader_metrics, cancelled),
         "Reads of backups that nobody waited for any more."},
        {"keepfs_read_fetched_bytes_total", offsetof(struct reader_metrics, fetched_bytes),
         "Bytes that were fetched from the store for reads."},
        {"keepfs_read_ahead_bytes_total", offsetof(struct reader_metrics, ahead_bytes),
         "Bytes that were fetched from the store or the disk cache before anybody asked for them."},
        {"keepfs_read_wrong_extents_total", offsetof(struct reader_metrics, wrong_extents),
         "Extents whose bytes were not those of the backup, each try by itself."},
        {"keepfs_read_whole_files_total", offsetof(struct reader_metrics, whole),
         "Files that were read from beginning to end, and compared with their SHA-256."},
        {"keepfs_read_wrong_files_total", offsetof(struct reader_metrics, whole_wrong),
         "Files of these that were not what their SHA-256 says."},
};

static uint64_t at_least_zero(const atomic_llong *gauge)
{
	long long value = atomic_load(gauge);

	return value > 0 ? (uint64_t)value : 0;
}

int metrics_reader(const struct report_sources *from, struct spool *out)
{
	const struct reader_metrics *m = from->reader_metrics;

	if (!m)
		return 0;
	for (size_t i = 0; i < ARRAY_SIZE(read_counters); i++)
		expose_counter(
		        out, read_counters[i].name, read_counters[i].help,
		        atomic_load((const atomic_ullong *)((const char *)m + read_counters[i].offset)));
	expose_family(out, "keepfs_read_duration_seconds", "histogram",
	              "How long reads of backups took, until they were answered.");
	expose_histogram(out, "keepfs_read_duration_seconds", NO_LABELS, &m->duration);
	expose_gauge(out, "keepfs_read_open_files", "Files of backups that are open.",
	             at_least_zero(&m->open_files));
	expose_gauge(out, "keepfs_read_buffer_bytes", "Memory that holds what was read, or read ahead.",
	             at_least_zero(&m->used_buffers) * POOL_BUFFER_BYTES);
	return 0;
}
