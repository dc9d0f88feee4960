// SPDX-License-Identifier: Apache-2.0
/* zstd's seekable format, written and read. */
#include <keepfs/codec/seekable.h>

#include <endian.h>
#include <errno.h>
#include <string.h>
#include <zstd.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#define SKIPPABLE_MAGIC 0x184D2A5EU
#define SEEKABLE_MAGIC  0x8F92EAB1U
#define HEAD_BYTES      ((size_t)8) /* SKIPPABLE_MAGIC, and how many bytes follow */
#define ENTRY_BYTES     ((size_t)8) /* compressed, plain */
#define CHECK_BYTES     ((size_t)4) /* behind them, when there are checksums */
#define HAS_CHECKS      0x80
#define RESERVED        0x7C

_Static_assert(ZSTD_MAGIC_SKIPPABLE_START <= SKIPPABLE_MAGIC &&
                       SKIPPABLE_MAGIC <= ZSTD_MAGIC_SKIPPABLE_START + 15,
               "any zstd passes over the table");
_Static_assert(ZSTD_COMPRESSBOUND(SEEKABLE_PLAIN_MAX) <= SEEKABLE_STORED_MAX, "a frame may grow");
_Static_assert(SEEKABLE_FRAME_BYTES <= SEEKABLE_PLAIN_MAX, "what is written is read");

struct seekable_writer {
	struct seekable_out out;
	ZSTD_CCtx *zstd;
	uint64_t plain, stored;
	size_t frames;
	struct str entries; /* of the table */
	size_t filled;      /* of the next one */
	uint8_t frame[SEEKABLE_FRAME_BYTES];
	uint8_t packed[ZSTD_COMPRESSBOUND(SEEKABLE_FRAME_BYTES)];
};

struct seekable_writer *seekable_writer_new(int level, const struct seekable_out *out)
{
	struct seekable_writer *w = mem_alloc(sizeof(*w));

	w->out = *out;
	w->zstd = ZSTD_createCCtx(); /* fails only without memory */
	if (!w->zstd || ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_compressionLevel, level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(w->zstd, ZSTD_c_checksumFlag, 1)))
		abort();
	return w;
}

struct seekable_writer *seekable_writer_free(struct seekable_writer *w)
{
	if (!w)
		return NULL;
	ZSTD_freeCCtx(w->zstd);
	str_finish(&w->entries);
	free(w);
	return NULL;
}

static void append_u32(struct str *out, uint32_t value)
{
	const uint32_t stored = htole32(value);

	str_append_bytes(out, (const char *)&stored, sizeof(stored));
}

void seekable_entry_append(struct str *entries, uint32_t stored, uint32_t plain)
{
	append_u32(entries, stored);
	append_u32(entries, plain);
}

void seekable_table_append(struct str *out, const struct str *entries)
{
	append_u32(out, SKIPPABLE_MAGIC);
	append_u32(out, (uint32_t)(entries->len + SEEKABLE_TAIL_BYTES));
	str_append_bytes(out, str_text(entries), entries->len);
	append_u32(out, (uint32_t)(entries->len / ENTRY_BYTES));
	str_append_bytes(out, "\0", 1); /* no checksums */
	append_u32(out, SEEKABLE_MAGIC);
}

static int give_stored(struct seekable_writer *w, const void *data, size_t len, struct error *err)
{
	int r = w->out.write(w->out.arg, data, len, err);

	if (r == 0)
		w->stored += len;
	return r;
}

int seekable_writer_cut(struct seekable_writer *w, struct error *err)
{
	size_t len;
	int r;

	if (w->filled == 0)
		return 0;
	if (w->frames == SEEKABLE_FRAMES_MAX)
		return error_set(err, ERROR_INTERNAL, E2BIG,
		                 "a compressed stream cannot have more than %zu frames", SEEKABLE_FRAMES_MAX);
	len = ZSTD_compress2(w->zstd, w->packed, sizeof(w->packed), w->frame, w->filled);
	if (ZSTD_isError(len))
		return error_set(err, ERROR_INTERNAL, EIO, "zstd reports \"%s\"", ZSTD_getErrorName(len));
	r = give_stored(w, w->packed, len, err);
	if (r < 0)
		return r;
	seekable_entry_append(&w->entries, (uint32_t)len, (uint32_t)w->filled);
	w->frames++;
	w->filled = 0;
	return 0;
}

int seekable_writer_write(struct seekable_writer *w, const void *data, size_t len, struct error *err)
{
	const uint8_t *at = data;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t room = SEEKABLE_FRAME_BYTES - w->filled, part = len < room ? len : room;

		memcpy(w->frame + w->filled, at, part);
		w->filled += part;
		w->plain += part;
		at += part;
		len -= part;
		r = w->filled == SEEKABLE_FRAME_BYTES ? seekable_writer_cut(w, err) : 0;
	}
	return r;
}

int seekable_writer_finish(struct seekable_writer *w, struct error *err)
{
	_cleanup(str) struct str table = {0};
	int r = seekable_writer_cut(w, err);

	if (r < 0)
		return r;
	seekable_table_append(&table, &w->entries);
	return give_stored(w, table.data, table.len, err);
}

uint64_t seekable_writer_plain(const struct seekable_writer *w)
{
	return w->plain;
}

uint64_t seekable_writer_stored(const struct seekable_writer *w)
{
	return w->stored;
}

size_t seekable_writer_frames(const struct seekable_writer *w)
{
	return w->frames;
}

/* Reading. */

void seekable_table_finish(struct seekable_table *t)
{
	free(t->frames);
	*t = (struct seekable_table){0};
}

static int damaged_table(struct error *err, const char *why)
{
	return error_set(err, ERROR_CORRUPT, EBADMSG, "the table of a compressed stream is damaged: %s", why);
}

static uint32_t u32_at(const uint8_t *data)
{
	uint32_t stored;

	memcpy(&stored, data, sizeof(stored));
	return le32toh(stored);
}

static size_t entry_bytes(const uint8_t *tail)
{
	return ENTRY_BYTES + (tail[4] & HAS_CHECKS ? CHECK_BYTES : 0);
}

int seekable_table_tail_bytes(const uint8_t tail[static SEEKABLE_TAIL_BYTES], uint64_t stream_bytes,
                              size_t *ret_len, struct error *err)
{
	uint32_t count = u32_at(tail);
	size_t len;

	if (u32_at(tail + 5) != SEEKABLE_MAGIC)
		return damaged_table(err, "it does not end as one");
	if (tail[4] & RESERVED)
		return damaged_table(err, "bits of it are set that mean nothing");
	if (count > SEEKABLE_FRAMES_MAX)
		return damaged_table(err, "it has too many frames");
	len = HEAD_BYTES + count * entry_bytes(tail) + SEEKABLE_TAIL_BYTES;
	if (len > stream_bytes)
		return damaged_table(err, "it is longer than the stream");
	*ret_len = len;
	return 0;
}

static int add_table_frame(struct seekable_table *t, const uint8_t *entry, struct error *err)
{
	const struct seekable_frame *before = t->count > 0 ? &t->frames[t->count - 1] : NULL;
	struct seekable_frame f = {.stored = u32_at(entry),
	                           .plain = u32_at(entry + 4),
	                           .stored_at = before ? before->stored_at + before->stored : 0,
	                           .plain_at = t->plain_bytes};

	if (f.stored == 0 || f.stored > SEEKABLE_STORED_MAX || f.plain == 0 || f.plain > SEEKABLE_PLAIN_MAX)
		return damaged_table(err, "the length of a frame is none");
	t->frames[t->count++] = f;
	t->plain_bytes += f.plain;
	return 0;
}

static int decode_frames(const uint8_t *data, size_t count, size_t step, uint64_t frames_bytes,
                         struct seekable_table *t, struct error *err)
{
	const struct seekable_frame *last;
	int r = 0;

	t->frames = mem_array(count + 1, sizeof(*t->frames));
	for (size_t i = 0; r == 0 && i < count; i++)
		r = add_table_frame(t, data + i * step, err);
	if (r < 0)
		return r;
	last = count > 0 ? &t->frames[count - 1] : NULL;
	if ((last ? last->stored_at + last->stored : 0) != frames_bytes)
		return damaged_table(err, "its frames are not as long as the stream");
	return 0;
}

int seekable_table_decode(const void *data, size_t len, uint64_t stream_bytes, struct seekable_table *ret,
                          struct error *err)
{
	_cleanup(seekable_table) struct seekable_table t = {0};
	const uint8_t *at = data, *tail = at + len - SEEKABLE_TAIL_BYTES;
	size_t expected;
	int r;

	if (len < HEAD_BYTES + SEEKABLE_TAIL_BYTES)
		return damaged_table(err, "it is too short");
	r = seekable_table_tail_bytes(tail, stream_bytes, &expected, err);
	if (r < 0)
		return r;
	if (expected != len || u32_at(at) != SKIPPABLE_MAGIC || u32_at(at + 4) != len - HEAD_BYTES)
		return damaged_table(err, "it does not begin as one");
	r = decode_frames(at + HEAD_BYTES, u32_at(tail), entry_bytes(tail), stream_bytes - len, &t, err);
	if (r < 0)
		return r;
	*ret = t;
	t = (struct seekable_table){0};
	return 0;
}

size_t seekable_table_find(const struct seekable_table *t, uint64_t plain_at)
{
	size_t low = 0, high = t->count;

	if (plain_at >= t->plain_bytes)
		return t->count;
	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (t->frames[middle].plain_at <= plain_at)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int seekable_frame_decode(struct unpacker *unpacker, const struct seekable_frame *f, const void *stored,
                          void *plain, struct error *err)
{
	size_t len = 0;
	int r = unpacker_run(unpacker, stored, f->stored, plain, f->plain, &len, err);

	if (r == 0 && len != f->plain)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "a frame of a compressed stream is not as long as its table says");
	return r;
}
