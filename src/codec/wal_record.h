// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * One record, as its bytes come, without the headers of the pages that it spans:
 *
 *	header                 24 bytes: length, xid, where the one before began, info, resource manager, CRC-32C
 *	headers of blocks      which pages it is about, and how long the data and the image of each are
 *	header of main data    how long that is
 *	data of blocks         images and changes of pages
 *	main data              what the resource manager wants to know: of these bytes the facts are taken
 *
 * The checksum is that of all that follows the header, and of the header behind it.
 */
#include <keepfs/codec/wal_scan.h>

/* 33 blocks with 27 bytes each, an origin, a transaction's and the main data's header: what has more is no record. */
#define WAL_HEADS_BYTES 1024
#define WAL_MAIN_BYTES  128 /* as much of the main data as facts are taken from */

/* struct wal_prepared - finds the xid in the main data of a prepared transaction's end, which stands behind lists of any length */
struct wal_prepared {
	unsigned step;
	uint8_t word[4];
	unsigned word_have;
	uint32_t flags;
	uint64_t skip; /* words that follow, of the present list */
	uint32_t xid;
};

struct wal_parts {
	bool known, malformed;
	uint32_t main_at, main_bytes; /* behind the record's header */
	uint32_t image_bytes;
};

struct wal_assembly {
	unsigned version;
	uint64_t lsn;
	uint32_t have; /* bytes so far */
	uint8_t header[WAL_RECORD_HEADER_BYTES];
	uint32_t bytes; /* in all; 0 until four have come */
	uint64_t previous;
	uint32_t xid;
	uint8_t info, manager;
	uint32_t crc; /* of what followed the header so far */
	uint8_t heads[WAL_HEADS_BYTES];
	uint32_t heads_have;
	struct wal_parts parts;
	uint8_t main[WAL_MAIN_BYTES];
	uint32_t main_have;
	struct wal_prepared prepared;
};

/* wal_assembly_start() - a record begins at @lsn. */
void wal_assembly_start(struct wal_assembly *a, unsigned version, uint64_t lsn);
/* wal_assembly_header() - takes bytes of the header, at most @len. Returns how many; @ret_why: its length or its resource manager cannot be. */
size_t wal_assembly_header(struct wal_assembly *a, const uint8_t *data, size_t len,
                           enum wal_scan_end *ret_why);
/* wal_assembly_body() - takes bytes behind the header, at most as many as are missing. */
size_t wal_assembly_body(struct wal_assembly *a, const uint8_t *data, size_t len);
/* wal_assembly_finish() - all bytes have come: WAL_END_NONE, and what is known of the record but for its place (end, timeline). */
enum wal_scan_end wal_assembly_finish(const struct wal_assembly *a, struct wal_record *ret);

/* wal_parts_decode() - from the first bytes behind the header, which have the headers of all blocks when there are any; @body_bytes: of all. */
void wal_parts_decode(unsigned version, const uint8_t *heads, size_t len, uint32_t body_bytes,
                      struct wal_parts *ret);

/* wal_record_facts() - fills in kind and what belongs to it, from the main data. */
void wal_record_facts(const struct wal_assembly *a, struct wal_record *r);
/* wal_prepared_feed() - the next bytes of the main data. */
void wal_prepared_feed(struct wal_prepared *p, unsigned version, const uint8_t *data, size_t len);
/* wal_is_prepared_end() - is the record the end of a prepared transaction? */
bool wal_is_prepared_end(uint8_t manager, uint8_t info);

static inline uint16_t wal_u16(const uint8_t *at)
{
	return (uint16_t)(at[0] | at[1] << 8);
}

static inline uint32_t wal_u32(const uint8_t *at)
{
	return wal_u16(at) | (uint32_t)wal_u16(at + 2) << 16;
}

static inline uint64_t wal_u64(const uint8_t *at)
{
	return wal_u32(at) | (uint64_t)wal_u32(at + 4) << 32;
}
