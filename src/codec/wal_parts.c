// SPDX-License-Identifier: Apache-2.0
/* The parts of a record. Source: access/xlogrecord.h, DecodeXLogRecord() in access/transam/xlogreader.c. */
#include "wal_record.h"

#define BLOCK_MAX       32
#define DATA_SHORT      255
#define DATA_LONG       254
#define ORIGIN          253 /* which server a change was replicated from */
#define TOP_TRANSACTION 252 /* of a subtransaction, for logical decoding; from 14 on */

#define HAS_IMAGE     0x10
#define HAS_DATA      0x20
#define SAME_RELATION 0x80
#define LOCATOR_BYTES 12
#define BLOCK_BYTES   4

#define IMAGE_HAS_HOLE      0x01
#define IMAGE_IS_COMPRESSED 0x1C /* by pglz, LZ4 or zstd; from 15 on */
#define IMAGE_IS_PGLZ_13    0x02 /* 13 and 14 */
#define NAMED_METHODS       15

struct heads {
	unsigned version;
	const uint8_t *at, *end; /* of what is in memory, which has all of them, or is too long */
	uint32_t left;           /* of the record: headers that have not been read, and data */
	uint64_t data;           /* of which so much was announced */
	bool bad;
};

/* Where the next @bytes of a header are; NULL when there are no such. */
static const uint8_t *take_part_header(struct heads *h, uint32_t bytes)
{
	const uint8_t *at = h->at;

	if (h->bad || (size_t)(h->end - at) < bytes || h->left < bytes) {
		h->bad = true;
		return NULL;
	}
	h->at += bytes;
	h->left -= bytes;
	return at;
}

static void take_image_header(struct heads *h, uint32_t *image_bytes)
{
	const uint8_t *at = take_part_header(h, 5);
	uint8_t compressed = h->version < NAMED_METHODS ? IMAGE_IS_PGLZ_13 : IMAGE_IS_COMPRESSED;

	if (!at)
		return;
	h->data += wal_u16(at);
	*image_bytes += wal_u16(at);
	if (at[4] & IMAGE_HAS_HOLE && at[4] & compressed)
		take_part_header(h, 2);
}

static void take_block_header(struct heads *h, uint32_t *image_bytes)
{
	const uint8_t *at = take_part_header(h, 3);
	uint8_t flags;

	if (!at)
		return;
	flags = at[0];
	if (!(flags & HAS_DATA) != (wal_u16(at + 1) == 0)) {
		h->bad = true;
		return;
	}
	h->data += wal_u16(at + 1);
	if (flags & HAS_IMAGE)
		take_image_header(h, image_bytes);
	if (!(flags & SAME_RELATION))
		take_part_header(h, LOCATOR_BYTES);
	take_part_header(h, BLOCK_BYTES);
}

/* That of the main data, which is the last one. */
static void take_main_header(struct heads *h, bool is_long, uint32_t *main_bytes)
{
	const uint8_t *at = take_part_header(h, is_long ? 4 : 1);

	if (!at)
		return;
	*main_bytes = is_long ? wal_u32(at) : at[0];
	h->data += *main_bytes;
}

/* False: it was the last one. */
static bool take_next_header(struct heads *h, struct wal_parts *parts)
{
	const uint8_t *at = take_part_header(h, 1);

	if (!at)
		return false;
	switch (*at) {
	case DATA_SHORT:
	case DATA_LONG:
		take_main_header(h, *at == DATA_LONG, &parts->main_bytes);
		return false;
	case ORIGIN:
		take_part_header(h, 2);
		break;
	case TOP_TRANSACTION:
		take_part_header(h, 4);
		break;
	default:
		if (*at > BLOCK_MAX)
			h->bad = true;
		else
			take_block_header(h, &parts->image_bytes);
	}
	return !h->bad;
}

void wal_parts_decode(unsigned version, const uint8_t *heads, size_t len, uint32_t body_bytes,
                      struct wal_parts *ret)
{
	struct heads h = {.version = version, .at = heads, .end = heads + len, .left = body_bytes};
	struct wal_parts parts = {.known = true};

	while (h.left > h.data && take_next_header(&h, &parts))
		;
	parts.malformed = h.bad || h.left != h.data;
	/* Where nothing can be said, no byte is taken for main data. */
	if (parts.malformed)
		parts.main_bytes = 0;
	parts.main_at = body_bytes - parts.main_bytes;
	*ret = parts;
}
