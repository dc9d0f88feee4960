// SPDX-License-Identifier: Apache-2.0
/* Copies in further stores. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/replicas.h>
#include <keepfs/catalog/stores.h>

#define SUMS_MAX 256

struct sums {
	struct catalog_replica_sum items[SUMS_MAX];
	size_t count;
};

static void keep_sum(void *arg, const struct catalog_replica_sum *sum)
{
	struct sums *s = arg;

	if (s->count < SUMS_MAX)
		s->items[s->count++] = *sum;
}

static void tell_sums(const struct report_sources *from, struct spool *out, const struct sums *s,
                      const char *name, bool bytes)
{
	for (size_t i = 0; i < s->count; i++) {
		_cleanup(catalog_store) struct catalog_store at = {0};
		const struct catalog_replica_sum *sum = &s->items[i];

		if (catalog_get_store(from->catalog, sum->store, &at) == 0)
			expose_number(out, name,
			              LABELS("store", at.name, "state", replica_state_name(sum->state)),
			              bytes ? sum->bytes : sum->count);
	}
}

static bool is_waiting(const struct catalog_replica_sum *sum)
{
	return sum->state == REPLICA_WANTED || sum->state == REPLICA_COPYING || sum->state == REPLICA_LOST;
}

static void tell_lag(const struct report_sources *from, struct spool *out, const struct sums *s,
                     const char *name)
{
	for (size_t i = 0; i < s->count;) {
		_cleanup(catalog_store) struct catalog_store at = {0};
		uint64_t store = s->items[i].store;
		int64_t oldest_us = from->now_us;

		for (; i < s->count && s->items[i].store == store; i++)
			if (is_waiting(&s->items[i]) && s->items[i].oldest_us < oldest_us)
				oldest_us = s->items[i].oldest_us;
		if (catalog_get_store(from->catalog, store, &at) == 0)
			expose_seconds(out, name, LABELS("store", at.name), from->now_us - oldest_us);
	}
}

int metrics_replicas(const struct report_sources *from, struct spool *out)
{
	static const char count_name[] = "keepfs_replicas", bytes_name[] = "keepfs_replica_bytes",
	                  lag_name[] = "keepfs_replica_lag_seconds";
	_cleanup(free) struct sums *s = mem_alloc(sizeof(*s));
	int r = catalog_sum_replicas(from->catalog, keep_sum, s);

	if (r < 0 || s->count == 0)
		return r;
	expose_family(out, count_name, "gauge", "Copies of backups in further stores, by their state.");
	tell_sums(from, out, s, count_name, false);
	expose_family(
	        out, bytes_name, "gauge",
	        "Bytes of these: that are still to be copied, of those that are wanted, copying or lost; else that are there.");
	tell_sums(from, out, s, bytes_name, true);
	expose_family(
	        out, lag_name, "gauge",
	        "For how long the oldest copy that a store is to have has been waited for; 0: it has all.");
	tell_lag(from, out, s, lag_name);
	return 0;
}
