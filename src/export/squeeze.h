// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Bytes gathered in one buffer of the pool, and compressed into another one: of each reader, and of the thread that writes. One thread each. The
 * caller has reserved SQUEEZE_BUFFERS.
 */
#include <keepfs/base/pool.h>
#include <keepfs/codec/compression.h>

#define SQUEEZE_BUFFERS 2U

struct squeeze {
	struct pool *pool; /* borrowed */
	struct compressor *compressor;
	uint8_t *raw, *out;
	size_t len; /* gathered: at most SEGMENT_RAW_BYTES */
};

void squeeze_init(struct squeeze *s, struct pool *pool, const struct compression *c);
void squeeze_finish(struct squeeze *s);
/** squeeze_gather() - as many of the bytes as there is room for; how many. */
size_t squeeze_gather(struct squeeze *s, const void *data, size_t len);
/** squeeze_run() - compress @len bytes (1 to SEGMENT_RAW_BYTES) from anywhere into s->out. */
int squeeze_run(struct squeeze *s, const void *raw, size_t len, struct segment *ret, struct error *err);
