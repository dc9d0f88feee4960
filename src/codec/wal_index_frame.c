// SPDX-License-Identifier: Apache-2.0
/* u32 magic of a skippable frame, u32 length of what follows; the line; "keepfs-w", u32 length of the line, u32 CRC-32C of it. All little-endian. */
#include <keepfs/codec/wal_index_frame.h>

#include <endian.h>
#include <errno.h>
#include <string.h>

#include <keepfs/codec/hash.h>

#define FRAME_MAGIC 0x184D2A57U
#define FRAME_HEAD  ((size_t)8)
#define TRAILER     "keepfs-w"
#define TRAILER_LEN ((size_t)8)
#define FRAME_END   ((size_t)16)

_Static_assert(FRAME_HEAD + FRAME_END == WAL_INDEX_FRAME_BYTES, "what is beside the line");

static void append_frame_u32(struct str *out, uint32_t number)
{
	uint32_t stored = htole32(number);

	str_append_bytes(out, &stored, sizeof(stored));
}

static uint32_t frame_u32(const uint8_t *at)
{
	uint32_t stored;

	memcpy(&stored, at, sizeof(stored));
	return le32toh(stored);
}

int wal_index_frame(const struct wal_index *x, struct str *out)
{
	_cleanup(str) struct str line = {0};

	wal_index_encode(x, &line);
	if (line.len > WAL_INDEX_LINE_BYTES)
		return -EFBIG;
	append_frame_u32(out, FRAME_MAGIC);
	append_frame_u32(out, (uint32_t)(line.len + FRAME_END));
	str_append_bytes(out, line.data, line.len);
	str_append_bytes(out, TRAILER, TRAILER_LEN);
	append_frame_u32(out, (uint32_t)line.len);
	append_frame_u32(out, crc32c(0, line.data, line.len));
	return 0;
}

static int refuse_frame(struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the index at the end of a WAL segment is damaged: %s",
	                 why);
}

int wal_index_find(const void *tail, size_t len, bool all, struct wal_index *ret, size_t *ret_needed,
                   struct error *err)
{
	const uint8_t *end = (const uint8_t *)tail + len, *frame;
	size_t line_len;

	if (len < WAL_INDEX_FRAME_BYTES) {
		*ret_needed = WAL_INDEX_FRAME_BYTES;
		return all ? -ENOENT : -EAGAIN;
	}
	if (memcmp(end - FRAME_END, TRAILER, TRAILER_LEN) != 0)
		return -ENOENT;
	line_len = frame_u32(end - 8);
	if (line_len > WAL_INDEX_LINE_BYTES)
		return refuse_frame(err, "it is too long");
	*ret_needed = line_len + WAL_INDEX_FRAME_BYTES;
	if (len < *ret_needed)
		return all ? refuse_frame(err, "it is longer than the file") : -EAGAIN;
	frame = end - *ret_needed;
	if (frame_u32(frame) != FRAME_MAGIC || frame_u32(frame + 4) != line_len + FRAME_END)
		return refuse_frame(err, "its begin is not where its end says");
	if (crc32c(0, frame + FRAME_HEAD, line_len) != frame_u32(end - 4))
		return refuse_frame(err, "its checksum is wrong");
	return wal_index_decode((const char *)frame + FRAME_HEAD, line_len, ret, err);
}
