// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as an archive: scanned, compressed anew and written. Whatever they are, nothing may
 * break; what the scan finds must not depend on the pieces it gets; and if it was a whole archive, so is what
 * becomes of it, with the same entries and data, readable as pg_restore reads.
 */
#include "fuzz.h"

#include "../support/archive_read.h"
#include "../support/transcode.h"

#include <keepfs/base/str.h>

#define PIECE_MAX_BYTES   700
#define SEGMENT_MAX_BYTES 900

static const struct compression all[] = {{COMPRESSION_NONE, 0},
                                         {COMPRESSION_GZIP, COMPRESSION_ISAL},
                                         {COMPRESSION_GZIP, 1},
                                         {COMPRESSION_ZSTD, 1}};

static struct transcode_options options_from(const uint8_t *data, size_t size)
{
	uint64_t sum = size;

	for (size_t i = 0; i < size; i++)
		sum += data[i];
	return (struct transcode_options){
	        .compression = all[sum % ARRAY_SIZE(all)],
	        .seed = sum + 1,
	        .piece_bytes = 1 + sum / 3 % PIECE_MAX_BYTES,
	        .segment_bytes = 1 + sum / 5 % SEGMENT_MAX_BYTES,
	};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct transcode_options options = options_from(data, size);
	_cleanup(archive_content) struct archive_content before = {0}, after = {0};
	_cleanup(str) struct str out = {0};
	struct error in_pieces = {0}, at_once = {0}, err = {0};
	int r = transcode(data, size, &options, &out, &in_pieces);

	fuzz_must(r == archive_read(data, size, false, &before, &at_once),
	          "the same for every size of the pieces", in_pieces.message);
	if (r < 0) {
		fuzz_must(at_once.message[0] && str_equal(at_once.message, in_pieces.message),
		          "the same message", in_pieces.message);
		return 0;
	}
	fuzz_must(archive_read(out.data, out.len, true, &after, &err) == 0, "the new archive can be read",
	          err.message);
	fuzz_must(archive_content_equal(&before, &after), "it holds the same", err.message);
	fuzz_must(archive_offsets_right(out.data, out.len), "its offsets are right", err.message);
	return 0;
}
