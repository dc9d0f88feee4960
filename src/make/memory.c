// SPDX-License-Identifier: Apache-2.0
/* How the part of the pool that is for uploads is divided between the runs: see make.h. */
#include <keepfs/make.h>

#include <keepfs/stream/ordered.h>

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
