// SPDX-License-Identifier: Apache-2.0
/*
 * Each duration is counted in one bucket, by one atomic addition: who writes the buckets down adds them up.
 * Bucket and sum are two additions, so a reader in between may see one without the other; over many calls
 * that does not matter, and neither ever shrinks.
 */
#include <keepfs/base/histogram.h>

#define MOST_US (INT64_C(366) * 86400 * 1000000)

static const int64_t bounds_us[HISTOGRAM_BUCKETS] = {
        100,    250,    500,    1000,    2500,    5000,    10000,    25000,    50000,
        100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000, 60000000, INT64_MAX,
};

void histogram_add(struct histogram *h, int64_t duration_us)
{
	int64_t us = duration_us < 0 ? 0 : duration_us < MOST_US ? duration_us : MOST_US;
	size_t i = 0;

	while (us > bounds_us[i])
		i++;
	atomic_fetch_add_explicit(&h->buckets[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&h->sum_us, (unsigned long long)us, memory_order_relaxed);
}

int64_t histogram_bound_us(size_t i)
{
	return bounds_us[i];
}
