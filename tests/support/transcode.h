// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * An archive compressed anew, in one thread: scan, compressor, writer and head put together in the shortest
 * way there is.
 */
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>

struct transcode_options {
	struct compression compression; /* zstd becomes gzip where the version cannot say it */
	size_t segment_bytes;
	size_t piece_bytes; /* in pieces of that size */
	uint64_t seed;      /* not 0: of sizes that differ, up to that one */
};

/** transcode() - the archive of @len bytes into @out. Return: 0; or what it was refused with. */
int transcode(const void *data, size_t len, const struct transcode_options *options, struct str *out,
              struct error *err);
