// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The index of a segment at the end of the object that has the segment: a skippable frame of zstd, which every program that unpacks the object passes over, and which is found from the object's end.
 * docs/formats.md, "The index of a WAL segment", has its layout, which is a promise. Pure; any thread.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_index.h>

/** WAL_INDEX_FRAME_BYTES - beside the line: what comes before it, and behind it. */
#define WAL_INDEX_FRAME_BYTES ((size_t)24)
/** WAL_INDEX_FRAME_MAX - no frame has more. */
#define WAL_INDEX_FRAME_MAX (WAL_INDEX_LINE_BYTES + WAL_INDEX_FRAME_BYTES)

/** wal_index_frame() - append the frame with the index @x. -EFBIG: its line would be longer than WAL_INDEX_LINE_BYTES, and nothing was appended. */
int wal_index_frame(const struct wal_index *x, struct str *out);
/**
 * wal_index_find() - the index in the last @len bytes of what zstd unpacks
 * @all: these are all bytes that there are
 * @ret_needed: of -EAGAIN: so many of the last bytes are needed, at most WAL_INDEX_FRAME_MAX
 *
 * Return: 0, and @ret replaced; -ENOENT: there is none; -EAGAIN: more bytes are needed; -EBADMSG (ERROR_CORRUPT): there is one, and it is damaged; -ENOTSUP: of a newer version.
 */
int wal_index_find(const void *tail, size_t len, bool all, struct wal_index *ret, size_t *ret_needed,
                   struct error *err);
