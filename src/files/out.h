// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The archive on its way into the sink: one buffer that is filled, and handed over when it is full. Every piece asks for a
 * cancel and keeps to the rate. Functions return 0 or a negative errno. */
#include <keepfs/files.h>

#define OUT_BYTES ((size_t)1 << 20)

struct out {
	const struct files_options *options;
	char *buf;
	size_t used;
	uint64_t bytes; /* of everything that was written */
};

void out_init(struct out *o, const struct files_options *options);
void out_finish(struct out *o);
/** out_room() - where the next bytes may be put, at least one: what was put there is told to out_advance(). */
char *out_room(struct out *o, size_t *ret_bytes);
int out_advance(struct out *o, size_t bytes, struct error *err);
int out_write(struct out *o, const void *data, size_t len, struct error *err);
int out_zeros(struct out *o, uint64_t len, struct error *err);
/** out_pad() - zeros up to a multiple of @bytes. */
int out_pad(struct out *o, size_t bytes, struct error *err);
int out_flush(struct out *o, struct error *err);
