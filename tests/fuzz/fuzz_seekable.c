// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a stream in zstd's seekable format. Of a table that is taken the frames lie behind each other and fill the stream, each of their bytes is found, and a frame is
 * decoded to as many bytes as the table says, or refused.
 */
#include "fuzz.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/seekable.h>

#include <errno.h>

static void must_fill_stream(const struct seekable_table *t, uint64_t frames_bytes)
{
	uint64_t plain_at = 0, stored_at = 0;

	for (size_t i = 0; i < t->count; i++) {
		const struct seekable_frame *f = &t->frames[i];

		fuzz_must(f->plain_at == plain_at && f->stored_at == stored_at, "no gap before a frame",
		          NULL);
		fuzz_must(f->plain > 0 && f->plain <= SEEKABLE_PLAIN_MAX && f->stored > 0 &&
		                  f->stored <= SEEKABLE_STORED_MAX,
		          "the length of a frame is allowed", NULL);
		plain_at += f->plain;
		stored_at += f->stored;
		fuzz_must(seekable_table_find(t, f->plain_at) == i &&
		                  seekable_table_find(t, plain_at - 1) == i,
		          "a frame is found", NULL);
	}
	fuzz_must(t->plain_bytes == plain_at && stored_at == frames_bytes, "the frames are the stream", NULL);
	fuzz_must(seekable_table_find(t, plain_at) == t->count, "nothing is behind the end", NULL);
}

static void try_frames(const struct seekable_table *t, const uint8_t *data)
{
	_cleanup(unpacker) struct unpacker *unpacker = unpacker_new(COMPRESSION_ZSTD);

	for (size_t i = 0; i < t->count; i++) {
		/* As long as it says: whoever writes behind it is found by the sanitizer. */
		_cleanup(free) uint8_t *plain = mem_alloc(t->frames[i].plain);
		struct error err = {0};
		int r = seekable_frame_decode(unpacker, &t->frames[i], data + t->frames[i].stored_at, plain,
		                              &err);

		if (r != 0)
			fuzz_must_refuse(r, &err);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(seekable_table) struct seekable_table t = {0};
	struct error err = {0};
	size_t len = 0;
	int r;

	if (size < SEEKABLE_TAIL_BYTES)
		return 0;
	r = seekable_table_tail_bytes(data + size - SEEKABLE_TAIL_BYTES, size, &len, &err);
	if (r == 0)
		r = seekable_table_decode(data + size - len, len, size, &t, &err);
	if (r != 0) {
		fuzz_must_refuse(r, &err);
		fuzz_must(r == -EBADMSG && !t.frames, "a refused table leaves nothing", err.message);
		return 0;
	}
	must_fill_stream(&t, size - len);
	try_frames(&t, data);
	return 0;
}
