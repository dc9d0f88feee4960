// SPDX-License-Identifier: Apache-2.0
/* How the part of the pool that is for uploads is divided between the runs: see make.h. */
#include "draft_private.h"

#include <keepfs/stream/ordered.h>
#include <keepfs/stream/readback.h>

#include <unistd.h>

unsigned make_cores(void)
{
	long cores = sysconf(_SC_NPROCESSORS_ONLN);

	return cores < 1 ? 1 : (unsigned)cores;
}

static size_t upload_buffers(const struct make_context *ctx)
{
	return pool_buffers(ctx->pool) / 2;
}

/* What one run may take of a quarter of that. */
static size_t feeding_buffers(const struct make_context *ctx)
{
	return upload_buffers(ctx) / 4 / (size_t)ctx->conf->parallel_runs;
}

unsigned make_press_threads(const struct make_context *ctx)
{
	size_t most = feeding_buffers(ctx) / PRESS_BUFFERS_PER_THREAD;
	unsigned cores = make_cores();

	return most < 1 ? 1 : most < cores ? (unsigned)most : cores;
}

size_t make_turns_buffers(const struct make_context *ctx)
{
	return feeding_buffers(ctx);
}

/* A gift, never waited for: only when an object's memory stays free behind it, for what the run writes meanwhile. An object and the list of what is in it are read back at the same time, each with half of
 * this memory at most. */
bool draft_set_aside(struct draft *d)
{
	const struct stream_object_options options = {.store = d->store,
	                                              .part_bytes = d->ctx->conf->store.part_bytes};
	size_t object = 0;

	if (d->aside || stream_object_buffers(&options, &object, NULL) < 0)
		return d->aside != NULL;
	d->aside =
	        pool_branch(d->pool, object > 2 * READBACK_BUFFERS ? object : 2 * READBACK_BUFFERS, object);
	if (d->aside)
		d->pool = d->aside;
	return d->aside != NULL;
}
