// SPDX-License-Identifier: Apache-2.0
/* See wal_record.h. Source: ValidXLogRecordHeader() and ValidXLogRecord() in access/transam/xlogreader.c. */
#include "wal_record.h"

#include <string.h>

#include <keepfs/codec/hash.h>

#define CRC_AT         20
#define MANAGERS       22  /* of PostgreSQL's own, in each of the versions */
#define FIRST_CUSTOM   128 /* of extensions */
#define CUSTOM_VERSION 15

void wal_assembly_start(struct wal_assembly *a, unsigned version, uint64_t lsn)
{
	/* The large arrays are not read before they were written. */
	a->version = version;
	a->lsn = lsn;
	a->have = 0;
	a->bytes = 0;
	a->crc = 0;
	a->heads_have = 0;
	a->parts = (struct wal_parts){0};
	a->main_have = 0;
	a->prepared = (struct wal_prepared){0};
}

static bool has_manager(unsigned version, uint8_t manager)
{
	return manager < MANAGERS || (manager >= FIRST_CUSTOM && version >= CUSTOM_VERSION);
}

size_t wal_assembly_header(struct wal_assembly *a, const uint8_t *data, size_t len,
                           enum wal_scan_end *ret_why)
{
	size_t taken = WAL_RECORD_HEADER_BYTES - a->have;

	if (taken > len)
		taken = len;
	memcpy(a->header + a->have, data, taken);
	a->have += (uint32_t)taken;
	*ret_why = WAL_END_NONE;
	/* The length is looked at as soon as it is there: behind the last record there may be zeros up to the end of a page, and no next page. */
	if (a->bytes == 0 && a->have >= sizeof(uint32_t)) {
		a->bytes = wal_u32(a->header);
		if (a->bytes < WAL_RECORD_HEADER_BYTES)
			*ret_why = a->bytes == 0 ? WAL_END_EMPTY : WAL_END_LENGTH;
	}
	if (a->have < WAL_RECORD_HEADER_BYTES || *ret_why != WAL_END_NONE)
		return taken;
	a->xid = wal_u32(a->header + 4);
	a->previous = wal_u64(a->header + 8);
	a->info = a->header[16];
	a->manager = a->header[17];
	if (!has_manager(a->version, a->manager))
		*ret_why = WAL_END_MANAGER;
	return taken;
}

/* The headers of the blocks, which say where the main data begins. */
static void take_heads(struct wal_assembly *a, const uint8_t *data, size_t len, uint32_t body_bytes)
{
	uint32_t all = body_bytes < WAL_HEADS_BYTES ? body_bytes : WAL_HEADS_BYTES;
	size_t taken = all - a->heads_have;

	if (taken > len)
		taken = len;
	memcpy(a->heads + a->heads_have, data, taken);
	a->heads_have += (uint32_t)taken;
	if (a->heads_have == all)
		wal_parts_decode(a->version, a->heads, all, body_bytes, &a->parts);
}

static void take_main(struct wal_assembly *a, const uint8_t *data, size_t len)
{
	size_t kept = WAL_MAIN_BYTES - a->main_have;

	if (kept > len)
		kept = len;
	memcpy(a->main + a->main_have, data, kept);
	a->main_have += (uint32_t)kept;
	if (wal_is_prepared_end(a->manager, a->info))
		wal_prepared_feed(&a->prepared, a->version, data, len);
}

/* What of these bytes, which stand @at behind the header, is main data. */
static void take_main_of(struct wal_assembly *a, uint32_t at, const uint8_t *data, size_t len)
{
	size_t before = a->parts.main_at > at ? a->parts.main_at - at : 0;

	if (before < len)
		take_main(a, data + before, len - before);
}

size_t wal_assembly_body(struct wal_assembly *a, const uint8_t *data, size_t len)
{
	uint32_t at = a->have - WAL_RECORD_HEADER_BYTES, body_bytes = a->bytes - WAL_RECORD_HEADER_BYTES;
	size_t taken = body_bytes - at;

	if (taken > len)
		taken = len;
	a->crc = crc32c(a->crc, data, taken);
	a->have += (uint32_t)taken;
	if (!a->parts.known) {
		take_heads(a, data, taken, body_bytes);
		if (a->parts.known) {
			/* What was waiting for the headers, and what of this piece came behind that. */
			size_t waited = a->heads_have - at;

			take_main_of(a, 0, a->heads, a->heads_have);
			take_main_of(a, a->heads_have, data + waited, taken - waited);
		}
		return taken;
	}
	take_main_of(a, at, data, taken);
	return taken;
}

enum wal_scan_end wal_assembly_finish(const struct wal_assembly *a, struct wal_record *ret)
{
	if (crc32c(a->crc, a->header, CRC_AT) != wal_u32(a->header + CRC_AT))
		return WAL_END_CHECKSUM;
	if (a->parts.malformed)
		return WAL_END_CONTENT;
	*ret = (struct wal_record){.lsn = a->lsn,
	                           .previous = a->previous,
	                           .bytes = a->bytes,
	                           .image_bytes = a->parts.image_bytes,
	                           .xid = a->xid,
	                           .manager = a->manager,
	                           .info = a->info};
	wal_record_facts(a, ret);
	return WAL_END_NONE;
}
