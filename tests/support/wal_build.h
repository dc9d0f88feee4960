// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Segments of the write-ahead log that are built by hand, of every version and as wrong as wanted: what the tests of the scan and the
 * fuzzing begin with. Records are laid out over pages and segments as a server does.
 */
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_scan.h>

#define WAL_BUILD_SYSTEM_ID UINT64_C(7420000000000000001)

/* struct wal_build - @out begins with the first byte of the segment at @begin; the first four may be changed between records */
struct wal_build {
	unsigned version;
	uint32_t segment_bytes, page_bytes, timeline;
	uint64_t begin;
	struct str out;
	uint64_t last; /* where the last record begins */
};

static inline uint64_t wal_build_position(const struct wal_build *w)
{
	return w->begin + w->out.len;
}

/* wal_build_start() - @first_segment: its number in the log. */
void wal_build_start(struct wal_build *w, unsigned version, uint32_t segment_bytes, uint32_t first_segment);
void wal_build_finish(struct wal_build *w);
static inline void cleanup_wal_build(struct wal_build *w)
{
	wal_build_finish(w);
}
/* wal_build_bytes() - as they are, with the headers of pages where they belong: each says how many of them still come. */
void wal_build_bytes(struct wal_build *w, const void *data, size_t len);
/* wal_build_record() - with its header, @body behind that, and the padding. Returns where it begins. */
uint64_t wal_build_record(struct wal_build *w, uint8_t manager, uint8_t info, uint32_t xid, const void *body,
                          size_t len);
/* wal_build_main() - a record whose body is main data alone, with the header that says so. */
uint64_t wal_build_main(struct wal_build *w, uint8_t manager, uint8_t info, uint32_t xid, const void *data,
                        size_t len);
/* wal_build_page() - zeros up to the next page, unless one begins here; then its header with these flags besides, and @rest. */
void wal_build_page(struct wal_build *w, unsigned flags, uint32_t rest);
/* wal_build_zeros() - up to the end of the segment, without pages: as behind a switch. */
void wal_build_zeros(struct wal_build *w);
/* wal_build_name() - of the segment at @index, from 0. */
struct wal_name wal_build_name(const struct wal_build *w, size_t index);

/* wal_put_state() - all of it as a line, to be compared. */
void wal_put_state(struct str *s, const struct wal_scan_state *state);

/* wal_put() - @value, little-endian. */
void wal_put(struct str *s, uint64_t value, unsigned bytes);
