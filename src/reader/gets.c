// SPDX-License-Identifier: Apache-2.0
/*
 * How many gets of read-ahead run at once. The window of a file is fetched by few large gets or by more small
 * ones: each that begins takes what is to be fetched by then. One get brings its bytes in order, so that they
 * are given out while they are still in the processor's caches, and costs the store less than two. But over a
 * network one connection alone is often far slower than several together. So it begins with two, one of which
 * begins while the other ends, and as long as that is not fast, twice as many are tried, as far as there are
 * threads: when they bring clearly more together they stay.
 *
 * All of it is called with the lock: by fetchers, and by whoever wakes one.
 */
#include "reader_private.h"

#include <keepfs/base/clock.h>

#define GETS_MIN           2                   /* of one file at once */
#define FAST_BYTES_PER_S   (UINT64_C(1) << 30) /* all together: FUSE gives out no more */
#define MEASURED_MIN_BYTES (UINT64_C(4) << 20) /* of a smaller get the time to its first byte is too much */
#define MEASURED_GETS      8                   /* until it is decided */
#define HELD_GETS          64                  /* until more are tried again */

static void try_gets(struct gets_tuning *g, unsigned gets, unsigned hold)
{
	g->at_once = gets;
	g->hold = hold;
	g->measured = 0;
	g->sum_bytes_per_s = 0;
}

/* Enough was measured: more gets at once, fewer, or as many as now? */
static void decide_gets(struct reader *reader)
{
	struct gets_tuning *g = &reader->gets;
	uint64_t before = g->fewer_bytes_per_s, now = g->sum_bytes_per_s / g->measured;
	/* They must be large enough to be measured. */
	bool more = 2 * g->at_once < reader->threads &&
	            reader->ahead_blocks_max / (2 * g->at_once) * POOL_BUFFER_BYTES >= MEASURED_MIN_BYTES;

	g->fewer_bytes_per_s = 0;
	if (before && now < before + before / 8) {
		try_gets(g, g->at_once / 2, HELD_GETS);
	} else if (now < FAST_BYTES_PER_S && more) {
		g->fewer_bytes_per_s = now;
		/* Those that run already began with fewer beside them. */
		try_gets(g, 2 * g->at_once, g->at_once);
	} else {
		try_gets(g, g->at_once, HELD_GETS);
	}
}

void gets_measure(struct reader *reader, uint64_t bytes, int64_t duration_us)
{
	struct gets_tuning *g = &reader->gets;

	if (bytes < MEASURED_MIN_BYTES)
		return;
	if (g->hold > 0) {
		g->hold--;
		return;
	}
	/* It is one of those that run now. */
	g->sum_bytes_per_s +=
	        bytes * US_PER_S / (uint64_t)(duration_us > 0 ? duration_us : 1) * reader->ahead_gets;
	if (++g->measured == MEASURED_GETS)
		decide_gets(reader);
}

void gets_init(struct reader *reader)
{
	reader->gets.at_once = GETS_MIN;
}

bool gets_may_begin(const struct reader *reader)
{
	unsigned most = reader->gets.at_once;

	/* So that no file waits for the gets of another. */
	if (reader->sequential_files > 1)
		most += reader->sequential_files - 1;
	if (most >= reader->threads)
		most = reader->threads - 1;
	return reader->ahead_gets == 0 || reader->ahead_gets < most;
}

unsigned gets_blocks(const struct reader *reader)
{
	unsigned blocks = reader->ahead_blocks_max / reader->gets.at_once;

	return blocks < 1 ? 1 : blocks < FETCH_BLOCKS ? blocks : FETCH_BLOCKS;
}
