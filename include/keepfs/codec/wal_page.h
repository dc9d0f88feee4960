// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The pages of the write-ahead log. Each begins with a header that says which version of PostgreSQL wrote it, on which timeline, and which
 * place of the log it is; that of a segment's first page also says of which cluster, and how large its segments and pages are. So a segment
 * tells what it is: a file that has another name than its content is found out by its first bytes.
 *
 * Servers write in their processor's order of bytes. Those of little-endian 64-bit processors are read, PostgreSQL 13 to 18.
 * Source: access/xlog_internal.h (XLogPageHeaderData, XLogLongPageHeaderData) and XLogReaderValidatePageHeader() in access/transam/xlogreader.c.
 * All of this is pure; any thread.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/wal_name.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WAL_PAGE_HEADER_BYTES      24
#define WAL_LONG_PAGE_HEADER_BYTES 40   /* of the first page of a segment */
#define WAL_PAGE_BYTES_MIN         1024 /* of configure --with-wal-blocksize; nearly always 8192 */
#define WAL_PAGE_BYTES_MAX         65536

struct wal_page_header {
	unsigned version;  /* of PostgreSQL: 13 to 18 */
	uint32_t timeline; /* on which the page was begun */
	uint64_t lsn;      /* of the page's first byte */
	/* How many bytes of a record that began on an earlier page still come, on this page and the next ones; 0: none do. */
	uint32_t rest_bytes;
	bool is_continued; /* the page begins with such a rest; a rest of 0 bytes is then an error of who wrote it */
	/* The server crashed within a record, and wrote this page where the record should go on: the record is void. */
	bool is_overwriting;
	bool is_long;           /* what follows is there; else 0 */
	uint64_t system_id;     /* of the cluster: "Database system identifier" of pg_controldata */
	uint32_t segment_bytes; /* one that wal_segment_bytes_valid() takes */
	uint32_t page_bytes;    /* a power of two from WAL_PAGE_BYTES_MIN to WAL_PAGE_BYTES_MAX */
};

/** wal_version_of_magic() - which PostgreSQL (13 to 18) begins its pages with @magic; 0: none of these. */
unsigned wal_version_of_magic(uint16_t magic);
/** wal_magic_of_version() - the inverse; 0: it is not known. */
uint16_t wal_magic_of_version(unsigned version);

/**
 * wal_page_header_decode() - what the first bytes of a page say
 * @len: WAL_PAGE_HEADER_BYTES, or WAL_LONG_PAGE_HEADER_BYTES where the page is a segment's first one; more does not matter
 *
 * Return: 0; -EBADMSG: no page begins like this, or @len is too short for it; -ENOTSUP: it is the page of a server whose version or order of
 * bytes is not known. @err says "it" of the file, which the caller names: "it begins with zeros".
 */
int wal_page_header_decode(const void *data, size_t len, struct wal_page_header *ret, struct error *err);

/** struct wal_first_page_expected - what is known of the cluster already; 0: nothing is */
struct wal_first_page_expected {
	uint64_t system_id;
	uint32_t segment_bytes;
};

/**
 * wal_first_page_check() - is this the begin of the segment that a file says it is?
 * @data: the file's first bytes, @len of them: WAL_LONG_PAGE_HEADER_BYTES are enough
 * @name: of a segment, or a partial one
 * @expected: may be NULL
 * @ret: the header, for system_id and segment_bytes; may be NULL
 *
 * A page may be of an older timeline than the name: what a promoted server had of the segment is copied into the first one of its
 * new timeline. The length of the file is not looked at: it has to be the header's segment_bytes.
 *
 * Return: 0, or with a message that names the file, what is wrong, and what to do:
 *	-EBADMSG: it is not WAL at all, or not the place of the log that it is named after, as a recycled file that was not written yet
 *	-EINVAL: it is WAL of that place, but of another cluster, of a later timeline, or of another size of segments
 *	-ENOTSUP: of a version that is not known
 */
int wal_first_page_check(const void *data, size_t len, const struct wal_name *name,
                         const struct wal_first_page_expected *expected, struct wal_page_header *ret,
                         struct error *err);
