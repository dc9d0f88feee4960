// SPDX-License-Identifier: Apache-2.0
#include "wal_build.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <inttypes.h>

#define CONTINUED 0x0001
#define LONG      0x0002
#define CRC_AT    20

void wal_put(struct str *s, uint64_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++)
		str_append_char(s, (char)(value >> (8 * i)));
}

void wal_put_state(struct str *s, const struct wal_scan_state *state)
{
	str_appendf(s,
	            "%u, %" PRIu32 ", %" PRIu64 ": %" PRIx64 " %" PRIx64 " %" PRIu32 " %" PRIx64 " %" PRIx64
	            " %" PRIx64 " %" PRIx64 ", %d at %" PRIx64 ": %s\n",
	            state->first.version, state->first.segment_bytes, state->first.system_id,
	            state->segment_lsn, state->position, state->timeline, state->first_record,
	            state->last_record, state->end, state->open_record, state->why, state->why_at,
	            state->message);
}

void wal_build_start(struct wal_build *w, unsigned version, uint32_t segment_bytes, uint32_t first_segment)
{
	*w = (struct wal_build){.version = version,
	                        .segment_bytes = segment_bytes,
	                        .page_bytes = 8192,
	                        .timeline = 1,
	                        .begin = (uint64_t)first_segment * segment_bytes};
}

void wal_build_finish(struct wal_build *w)
{
	str_finish(&w->out);
}

void wal_build_zeros(struct wal_build *w)
{
	while (w->out.len % w->segment_bytes != 0)
		str_append_char(&w->out, 0);
}

void wal_build_page(struct wal_build *w, unsigned flags, uint32_t rest)
{
	uint64_t lsn;
	bool is_first;

	while (w->out.len % w->page_bytes != 0)
		str_append_char(&w->out, 0);
	lsn = wal_build_position(w);
	is_first = w->out.len % w->segment_bytes == 0;
	flags |= (is_first ? LONG : 0U) | (rest ? CONTINUED : 0U);
	wal_put(&w->out, wal_magic_of_version(w->version), 2);
	wal_put(&w->out, flags, 2);
	wal_put(&w->out, w->timeline, 4);
	wal_put(&w->out, lsn, 8);
	wal_put(&w->out, rest, 4);
	wal_put(&w->out, 0, 4);
	if (is_first) {
		wal_put(&w->out, WAL_BUILD_SYSTEM_ID, 8);
		wal_put(&w->out, w->segment_bytes, 4);
		wal_put(&w->out, w->page_bytes, 4);
	}
}

void wal_build_bytes(struct wal_build *w, const void *data, size_t len)
{
	const char *at = data;
	bool goes_on = false;

	while (len > 0) {
		size_t room = w->page_bytes - w->out.len % w->page_bytes;

		if (w->out.len % w->page_bytes == 0) {
			wal_build_page(w, 0, goes_on ? (uint32_t)len : 0);
			continue;
		}
		if (room > len)
			room = len;
		str_append_bytes(&w->out, at, room);
		at += room;
		len -= room;
		goes_on = true;
	}
}

uint64_t wal_build_record(struct wal_build *w, uint8_t manager, uint8_t info, uint32_t xid, const void *body,
                          size_t len)
{
	_cleanup(str) struct str record = {0};
	uint32_t crc;
	uint64_t at;

	wal_put(&record, WAL_RECORD_HEADER_BYTES + len, 4);
	wal_put(&record, xid, 4);
	wal_put(&record, w->last, 8);
	wal_put(&record, info, 1);
	wal_put(&record, manager, 1);
	wal_put(&record, 0, 2);
	crc = crc32c(crc32c(0, body, len), record.data, CRC_AT);
	wal_put(&record, crc, 4);
	str_append_bytes(&record, body, len);
	/* It begins behind the header of a page. */
	if (w->out.len % w->page_bytes == 0)
		wal_build_page(w, 0, 0);
	at = wal_build_position(w);
	wal_build_bytes(w, record.data, record.len);
	while (w->out.len % 8 != 0)
		str_append_char(&w->out, 0);
	w->last = at;
	return at;
}

uint64_t wal_build_main(struct wal_build *w, uint8_t manager, uint8_t info, uint32_t xid, const void *data,
                        size_t len)
{
	_cleanup(str) struct str body = {0};

	if (len < 256) {
		wal_put(&body, 255, 1);
		wal_put(&body, len, 1);
	} else {
		wal_put(&body, 254, 1);
		wal_put(&body, len, 4);
	}
	str_append_bytes(&body, data, len);
	return wal_build_record(w, manager, info, xid, body.data, body.len);
}

struct wal_name wal_build_name(const struct wal_build *w, size_t index)
{
	return wal_name_of_lsn(w->timeline, w->begin + index * w->segment_bytes, w->segment_bytes);
}
