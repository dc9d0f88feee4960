// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A veil: a transformation of the tests' own, with all that a cipher's has. An object begins with a head, each
 * cell is XORed with a stream that its number determines, and carries a tag that depends on its bytes, its
 * number, and whether it is the last. Both sides are here: the stage that puts it over a file, and the layout
 * that lifts it.
 */
#include <keepfs/base/mem.h>
#include <keepfs/reader.h>
#include <keepfs/stream.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define VEIL_TAG_BYTES  16
#define VEIL_HEAD_BYTE  0x5A
#define VEIL_BYTE(cell) ((uint8_t)(0xC5 + 7 * (cell)))

static inline void veil_xor(uint64_t cell, uint8_t *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		bytes[i] ^= (uint8_t)(VEIL_BYTE(cell) + i);
}

static inline void veil_tag(uint64_t cell, bool last, const void *plain, size_t len,
                            uint8_t tag[static VEIL_TAG_BYTES])
{
	uint64_t words[2] = {crc32c((uint32_t)len, plain, len), cell << 1 | last};

	memcpy(tag, words, sizeof(words));
}

/* The stage. */

struct veil {
	struct sink sink;
	struct sink *next;
	struct cells cells;
	size_t head_bytes; /* plain */
	uint8_t *head;     /* as far as it came */
	size_t head_at;
	uint8_t *shared;     /* what follows the head in its last cell */
	size_t shared_bytes; /* of these, are there */
	size_t shared_room;  /* for so many more */
	uint8_t *
	        cell; /* the one that is being filled; a full one waits until it is known not to be the last */
	size_t cell_bytes;
	uint64_t number; /* its */
	bool begun;      /* something was passed on by write */
};

/* Append the stored cell of @len plain bytes to @out; returns its length. */
static inline size_t veil_put(uint64_t cell, bool last, const void *plain, size_t len, uint8_t *out)
{
	veil_tag(cell, last, plain, len, out + len);
	memcpy(out, plain, len);
	veil_xor(cell, out, len);
	return len + VEIL_TAG_BYTES;
}

static inline int veil_pass_on(struct veil *v, bool last, struct error *err)
{
	_cleanup(free) uint8_t *out = mem_alloc(v->cells.head_bytes + v->cells.stored_bytes);
	size_t len = !v->begun && v->head_bytes == 0 ? v->cells.head_bytes : 0;

	memset(out, VEIL_HEAD_BYTE, len);
	len += veil_put(v->number++, last, v->cell, v->cell_bytes, out + len);
	v->cell_bytes = 0;
	v->begun = true;
	return sink_write(v->next, out, len, err);
}

static inline int veil_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct veil *v = (struct veil *)s;
	const uint8_t *p = data;
	size_t n = len < v->shared_room ? len : v->shared_room;
	int r = 0;

	if (n > 0)
		memcpy(v->shared + v->shared_bytes, p, n);
	v->shared_bytes += n;
	v->shared_room -= n;
	for (p += n, len -= n; r == 0 && len > 0; p += n, len -= n) {
		if (v->cell_bytes == v->cells.plain_bytes)
			r = veil_pass_on(v, false, err);
		n = v->cells.plain_bytes - v->cell_bytes;
		n = len < n ? len : n;
		memcpy(v->cell + v->cell_bytes, p, n);
		v->cell_bytes += n;
	}
	return r;
}

static inline int veil_pass_on_head(struct veil *v, struct error *err)
{
	size_t len = v->head_bytes, plain = len + v->shared_bytes, stored = v->cells.head_bytes;
	bool more = v->begun || v->cell_bytes > 0;
	_cleanup(free) uint8_t *in = mem_alloc(plain);
	_cleanup(free) uint8_t *out = mem_alloc(cells_covering_bytes(&v->cells, plain));

	memcpy(in, v->head, len);
	memcpy(in + len, v->shared, v->shared_bytes);
	memset(out, VEIL_HEAD_BYTE, stored);
	for (size_t at = 0; at < plain; at += v->cells.plain_bytes) {
		size_t n = plain - at < v->cells.plain_bytes ? plain - at : v->cells.plain_bytes;

		stored += veil_put(at / v->cells.plain_bytes, !more && at + n == plain, in + at, n,
		                   out + stored);
	}
	return sink_head(v->next, out, stored, err);
}

static inline int veil_head(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct veil *v = (struct veil *)s;

	memcpy(v->head + v->head_at, data, len);
	v->head_at += len;
	return v->head_at < v->head_bytes ? 0 : veil_pass_on_head(v, err);
}

static inline int veil_finish(struct sink *s, struct error *err)
{
	struct veil *v = (struct veil *)s;
	bool empty = !v->begun && v->head_bytes == 0;
	int r = v->cell_bytes > 0 || empty ? veil_pass_on(v, true, err) : 0;

	return r < 0 ? r : sink_finish(v->next, err);
}

static inline void veil_free(struct sink *s)
{
	struct veil *v = (struct veil *)s;

	sink_free(v->next);
	free(v->shared);
	free(v->head);
	free(v->cell);
	free(v);
}

static inline struct sink *veil_new(struct sink *next, size_t head_bytes, void *arg)
{
	static const struct sink_ops ops = {
	        .write = veil_write, .finish = veil_finish, .free = veil_free, .head = veil_head};
	struct veil *v = mem_alloc(sizeof(*v));
	const struct cells *c = arg;

	*v = (struct veil){.sink = {&ops}, .next = next, .cells = *c, .head_bytes = head_bytes};
	v->shared = mem_alloc(c->plain_bytes);
	v->head = mem_alloc(head_bytes + 1);
	v->cell = mem_alloc(c->plain_bytes);
	v->shared_room = head_bytes % c->plain_bytes ? c->plain_bytes - head_bytes % c->plain_bytes : 0;
	v->number = (head_bytes + v->shared_room) / c->plain_bytes;
	return &v->sink;
}

static inline struct stream_stage veil_stage(struct cells *cells)
{
	return (struct stream_stage){.cells = *cells, .new = veil_new, .arg = cells};
}

/* The layout. */

struct veil_layout {
	struct reader_layout layout;
	unsigned *freed; /* counts; NULL */
};

static inline int veil_decode(const struct reader_layout *l, uint64_t cell, bool last, void *bytes,
                              size_t stored, struct error *err)
{
	uint8_t tag[VEIL_TAG_BYTES], *plain = bytes;
	size_t len = stored - VEIL_TAG_BYTES;

	veil_xor(cell, plain, len);
	veil_tag(cell, last, plain, len, tag);
	if (memcmp(tag, plain + len, sizeof(tag)) == 0) {
		memset(plain + len, 0xEE, sizeof(tag)); /* nobody may need it any more */
		return 0;
	}
	return error_set(err, ERROR_CORRUPT, EBADMSG, "cell %llu has a wrong tag", (unsigned long long)cell);
}

static inline void veil_layout_free(struct reader_layout *l)
{
	struct veil_layout *v = (struct veil_layout *)l;

	if (v->freed)
		++*v->freed;
	free(v);
}

static inline struct reader_layout *veil_layout(const struct cells *cells, unsigned *freed)
{
	static const struct reader_layout_ops ops = {.decode = veil_decode, .free = veil_layout_free};
	struct veil_layout *v = mem_alloc(sizeof(*v));

	*v = (struct veil_layout){.layout = {.ops = &ops, .cells = *cells}, .freed = freed};
	return &v->layout;
}
