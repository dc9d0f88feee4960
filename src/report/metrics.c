// SPDX-License-Identifier: Apache-2.0
/*
 * status/metrics.prom. Counters are read where they are kept, one by one, without a lock: figures of one text
 * may be of slightly different moments. Whoever is not there (no disk cache, say) has no lines.
 */
#include "metrics.h"

#include "exposition.h"
#include "runs.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/pool.h>
#include <keepfs/cache.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/reader.h>
#include <keepfs/store.h>

#include <config.h>
#include <string.h>

static bool carries_content(enum store_call_kind kind)
{
	return kind == STORE_CALL_PUT || kind == STORE_CALL_GET || kind == STORE_CALL_PART;
}

static void tell_calls(struct spool *out, const struct store_metrics *m)
{
	expose_family(out, "keepfs_store_calls_total", "counter",
	              "Calls of the store that have returned, each try by itself.");
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++)
		expose_number(out, "keepfs_store_calls_total", LABELS("call", store_call_name(kind)),
		              atomic_load(&m->of[kind].calls));
	expose_family(out, "keepfs_store_failures_total", "counter",
	              "Calls that failed; that an object is not there is no failure.");
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++)
		expose_number(out, "keepfs_store_failures_total", LABELS("call", store_call_name(kind)),
		              atomic_load(&m->of[kind].failures));
	expose_family(out, "keepfs_store_bytes_total", "counter",
	              "Bytes of objects that were sent by calls that succeeded, or received.");
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++)
		if (carries_content(kind))
			expose_number(out, "keepfs_store_bytes_total", LABELS("call", store_call_name(kind)),
			              atomic_load(&m->of[kind].bytes));
	expose_family(out, "keepfs_store_failures_by_class_total", "counter",
	              "Calls that failed, by the class of the error.");
	for (unsigned i = ERROR_NONE + 1; i < ERROR_CLASSES; i++)
		expose_number(out, "keepfs_store_failures_by_class_total",
		              LABELS("class", error_class_name(i)), atomic_load(&m->failures_by_class[i]));
	expose_family(out, "keepfs_store_call_duration_seconds", "histogram",
	              "How long calls of the store took, each try by itself.");
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++)
		expose_histogram(out, "keepfs_store_call_duration_seconds",
		                 LABELS("call", store_call_name(kind)), &m->of[kind].duration);
}

static void tell_store(const struct report_sources *from, struct spool *out)
{
	struct store_features features = {.capacity_bytes = STORE_UNKNOWN, .available_bytes = STORE_UNKNOWN};

	expose_family(out, "keepfs_store_verified_timestamp_seconds", "gauge",
	              "When a check of the store last passed; 0: never.");
	expose_seconds(out, "keepfs_store_verified_timestamp_seconds", NO_LABELS,
	               catalog_store_verified(from->catalog, from->conf->store.url));
	if (from->store)
		store_features(from->store, &features, NULL);
	if (features.capacity_bytes != STORE_UNKNOWN)
		expose_gauge(out, "keepfs_store_capacity_bytes", "How much the store can hold.",
		             features.capacity_bytes);
	if (features.available_bytes != STORE_UNKNOWN)
		expose_gauge(out, "keepfs_store_available_bytes", "How much more the store can take.",
		             features.available_bytes);
	if (from->store_metrics)
		tell_calls(out, from->store_metrics);
}

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

static void tell_reader(struct spool *out, const struct reader_metrics *m)
{
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
}

static void tell_cache(struct spool *out, struct cache *cache)
{
	struct cache_stats s;

	cache_stats(cache, &s);
	expose_gauge(out, "keepfs_cache_size_bytes", "How much the disk cache may hold.", s.max_bytes);
	expose_gauge(out, "keepfs_cache_used_bytes", "How much it holds.", s.used_bytes);
	expose_gauge(out, "keepfs_cache_pieces", "Pieces of backups that it holds.", s.pieces);
	expose_counter(out, "keepfs_cache_hits_total", "Pieces that were found in the disk cache.", s.hits);
	expose_counter(out, "keepfs_cache_misses_total", "Pieces that were looked for there in vain.",
	               s.misses);
	expose_counter(out, "keepfs_cache_read_bytes_total", "Bytes that came from the disk cache.",
	               s.hit_bytes);
	expose_counter(out, "keepfs_cache_written_bytes_total", "Bytes that were put into the disk cache.",
	               s.written_bytes);
	expose_counter(out, "keepfs_cache_evictions_total", "Pieces that had to make room for others.",
	               s.evictions);
	expose_counter(out, "keepfs_cache_wrong_total",
	               "Pieces whose bytes were not those of the backup: they were fetched again.", s.wrong);
	expose_counter(out, "keepfs_cache_failures_total", "Failures of the disk cache's own disk.",
	               s.failures);
}

int report_metrics(const struct report_sources *from, struct spool *out)
{
	int r;

	expose_family(out, "keepfs_build_info", "gauge", "The version of keepfs that serves; always 1.");
	expose_number(out, "keepfs_build_info", LABELS("version", KEEPFS_VERSION), 1);
	r = metrics_health(from, out);
	if (r == 0)
		r = metrics_jobs(from, out);
	if (r < 0)
		return r;
	tell_store(from, out);
	if (from->reader_metrics)
		tell_reader(out, from->reader_metrics);
	if (from->cache)
		tell_cache(out, from->cache);
	expose_gauge(out, "keepfs_pool_bytes", "Size of the pool of buffers, for uploads and reads.",
	             from->conf->memory_bytes / POOL_BUFFER_BYTES * POOL_BUFFER_BYTES);
	metrics_process(out);
	return spool_error(out);
}
