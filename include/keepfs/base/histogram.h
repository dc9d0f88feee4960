// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Histograms of durations, in the manner of Prometheus: fixed bounds, counters that only grow. Lock-free; any
 * thread. All zero is an empty one.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 18 /* the last is without a bound */

struct histogram {
	atomic_ullong buckets[HISTOGRAM_BUCKETS]; /* each counts those that are in none before it */
	atomic_ullong sum_us;
};

/** histogram_add() - count one. A negative duration (a clock that was set) is none at all: 0; one of more
 * than a year adds a year to the sum, so that no single one can make it overflow. */
void histogram_add(struct histogram *h, int64_t duration_us);
/** histogram_bound_us() - the longest duration that bucket @i counts: 100 us to 10 s in steps of 1, 2.5, 5,
 * 10 …, then 60 s; INT64_MAX for the last. */
int64_t histogram_bound_us(size_t i);
