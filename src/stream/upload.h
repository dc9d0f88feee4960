// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The sink that ends in a store. Private to this room. */
#include <keepfs/stream.h>

/** upload_new() - as stream_object_new() says, of stored bytes: options.head_bytes, too, are those that are
 * stored. Its head may be shorter when nothing was written. Freed unfinished, the upload is aborted and nothing
 * stays. */
int upload_new(const struct stream_object_options *options, struct sink **ret_sink, struct error *err);
/** upload_buffers() - as stream_object_buffers(). */
int upload_buffers(const struct stream_object_options *options, size_t *ret, struct error *err);
/** upload_part_bytes() - size of part @number (from 1) when the largest allowed is @max_bytes: pure. */
uint64_t upload_part_bytes(uint64_t first_bytes, uint64_t max_bytes, unsigned number);
