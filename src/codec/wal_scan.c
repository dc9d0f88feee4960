// SPDX-License-Identifier: Apache-2.0
/*
 * See wal_scan.h. Each byte is one of five kinds: of a page's header, of a rest that is passed over, of a record's header, of what follows that, or
 * of the padding behind it, which brings the next record to a multiple of eight bytes. Behind a switch the segment's rest is passed over, pages and all.
 */
#include "wal_record.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define ALIGNMENT 8

enum phase {
	PHASE_REST, /* of a record that began before the first segment: struct wal_scan.skip bytes of this page and the next ones */
	PHASE_RECORD, /* one begins, or is being read */
	PHASE_SWITCHED
};

struct wal_scan {
	struct wal_scan_options options;
	struct wal_scan_state state;
	struct wal_name name;
	bool is_new_segment; /* its first page has not come */
	uint8_t header[WAL_LONG_PAGE_HEADER_BYTES];
	size_t header_have;
	uint64_t page_end;
	enum phase phase;
	uint64_t skip;
	uint32_t padding;
	uint64_t meant_to; /* the first byte that means nothing, unless records go on */
	struct wal_assembly record;
};

struct wal_scan *wal_scan_new(const struct wal_scan_options *options)
{
	struct wal_scan *s = mem_alloc(sizeof(*s));

	s->options = *options;
	return s;
}

struct wal_scan *wal_scan_copy(const struct wal_scan *s, const struct wal_scan_options *options)
{
	struct wal_scan *copy = mem_alloc(sizeof(*copy));

	*copy = *s;
	copy->options = *options;
	return copy;
}

struct wal_scan *wal_scan_free(struct wal_scan *s)
{
	free(s);
	return NULL;
}

void wal_scan_begin(struct wal_scan *s, const struct wal_name *name)
{
	s->name = *name;
	s->is_new_segment = true;
	s->header_have = 0;
	s->state.first_record = 0;
}

const struct wal_scan_state *wal_scan_state(const struct wal_scan *s)
{
	return &s->state;
}

uint64_t wal_scan_meant_bytes(const struct wal_scan *s)
{
	bool goes_on = s->state.why == WAL_END_NONE && s->phase != PHASE_SWITCHED;

	if (s->is_new_segment)
		return s->header_have;
	return (goes_on ? s->state.position : s->meant_to) - s->state.segment_lsn;
}

/* --- where the valid records end --- */

static int end_scan(struct wal_scan *s, enum wal_scan_end why, uint64_t at, const char *fmt, ...)
        __attribute__((format(printf, 4, 5)));

static int end_scan(struct wal_scan *s, enum wal_scan_end why, uint64_t at, const char *fmt, ...)
{
	va_list args;

	s->state.why = why;
	s->state.why_at = at;
	s->state.position = at;
	s->state.open_record = 0;
	va_start(args, fmt);
	vsnprintf(s->state.message, sizeof(s->state.message), fmt, args);
	va_end(args);
	return WAL_SCAN_ENDED;
}

static int end_at_record(struct wal_scan *s, enum wal_scan_end why)
{
	static const char *const words[] = {
	        [WAL_END_EMPTY] = "nothing was written",
	        [WAL_END_LENGTH] = "what should be a record has a length that none has",
	        [WAL_END_MANAGER] = "what should be a record is of a resource manager that there is not",
	        [WAL_END_PREVIOUS] = "what should be a record does not follow the one before",
	        [WAL_END_CHECKSUM] = "a record has a wrong checksum",
	        [WAL_END_CONTENT] = "the parts of a record are not as long as it says",
	};
	char lsn[WAL_LSN_BYTES];

	return end_scan(s, why, s->record.lsn, "at %s %s", wal_lsn_format(s->record.lsn, lsn), words[why]);
}

static int end_at_page(struct wal_scan *s, enum wal_scan_end why, const char *words)
{
	char lsn[WAL_LSN_BYTES];

	return end_scan(s, why, s->state.position, "the page at %s %s",
	                wal_lsn_format(s->state.position, lsn), words);
}

/* --- pages --- */

static bool is_in_record(const struct wal_scan *s)
{
	return s->phase == PHASE_RECORD && s->record.have > 0;
}

static void expect_record(struct wal_scan *s, uint64_t lsn)
{
	s->phase = PHASE_RECORD;
	s->state.open_record = 0;
	wal_assembly_start(&s->record, s->state.first.version, lsn);
}

/* Does the segment follow where the last one ended? */
static bool follows(const struct wal_scan *s, const struct wal_page_header *h)
{
	const struct wal_page_header *first = &s->state.first;

	return s->state.position > 0 && s->state.why == WAL_END_NONE && h->lsn == s->state.position &&
	       h->system_id == first->system_id && h->version == first->version &&
	       h->segment_bytes == first->segment_bytes && h->page_bytes == first->page_bytes &&
	       h->timeline >= s->state.timeline;
}

static void forget_segments(struct wal_scan *s, const struct wal_page_header *h)
{
	s->state = (struct wal_scan_state){.position = h->lsn, .timeline = h->timeline};
	s->phase = PHASE_REST;
	s->padding = 0;
}

static int take_first_page(struct wal_scan *s, struct wal_page_header *ret, struct error *err)
{
	int r = wal_first_page_check(s->header, sizeof(s->header), &s->name, &s->options.expected, ret, err);

	if (r < 0)
		return r;
	if (!follows(s, ret))
		forget_segments(s, ret);
	else if (s->phase == PHASE_SWITCHED)
		expect_record(s, ret->lsn);
	s->state.first = *ret;
	s->state.segment_lsn = ret->lsn;
	s->meant_to = ret->lsn;
	s->is_new_segment = false;
	return 0;
}

/* A page within the segment: what is wrong with it ends the records, and is no error. */
static int take_further_page(struct wal_scan *s, struct wal_page_header *ret)
{
	struct error err = {0};

	if (wal_page_header_decode(s->header, sizeof(s->header), ret, &err) < 0)
		return end_at_page(s, WAL_END_PAGE, "is none");
	if (ret->version != s->state.first.version || ret->is_long)
		return end_at_page(s, WAL_END_PAGE, "is one of another file");
	if (ret->lsn != s->state.position)
		return end_at_page(s, WAL_END_PAGE, "is an old one of another place");
	if (ret->timeline < s->state.timeline || ret->timeline > s->name.timeline)
		return end_at_page(s, WAL_END_PAGE, "is of another timeline");
	return 0;
}

/* Does what goes on here go on from the last page? */
static int check_continuation(struct wal_scan *s, const struct wal_page_header *h)
{
	if (s->phase == PHASE_REST) {
		s->skip = h->is_continued ? h->rest_bytes : 0;
		return 0;
	}
	if (is_in_record(s)) {
		/* The server crashed before it had written the rest, and went on from here: as if the record had never begun. */
		if (h->is_overwriting) {
			expect_record(s, 0);
			return 0;
		}
		if (!h->is_continued || h->rest_bytes == 0 ||
		    h->rest_bytes != s->record.bytes - s->record.have)
			return end_at_page(s, WAL_END_REST, "does not go on with the record before it");
		return 0;
	}
	return h->is_continued ? end_at_page(s, WAL_END_REST, "goes on with a record that has not begun") : 0;
}

static int take_wal_page(struct wal_scan *s, struct error *err)
{
	struct wal_page_header h;
	int r = s->is_new_segment ? take_first_page(s, &h, err) : take_further_page(s, &h);

	if (r == 0)
		r = check_continuation(s, &h);
	if (r != 0)
		return r;
	s->state.timeline = h.timeline;
	s->state.position += s->header_have;
	s->page_end = h.lsn + s->state.first.page_bytes;
	s->header_have = 0;
	if (s->phase == PHASE_REST && s->skip == 0)
		expect_record(s, 0);
	return 0;
}

/* Bytes of the header of a page. */
static int feed_page_header(struct wal_scan *s, const uint8_t **at, size_t *len, struct error *err)
{
	size_t all = s->is_new_segment ? WAL_LONG_PAGE_HEADER_BYTES : WAL_PAGE_HEADER_BYTES;
	size_t taken = all - s->header_have;

	if (taken > *len)
		taken = *len;
	memcpy(s->header + s->header_have, *at, taken);
	s->header_have += taken;
	*at += taken;
	*len -= taken;
	return s->header_have == all ? take_wal_page(s, err) : 0;
}

/* --- what pages hold --- */

static void pass_wal_bytes(struct wal_scan *s, const uint8_t **at, size_t *len, size_t bytes)
{
	*at += bytes;
	*len -= bytes;
	s->state.position += bytes;
}

static size_t bytes_at_most(size_t len, uint64_t most)
{
	return most < len ? (size_t)most : len;
}

static uint32_t padding_at(uint64_t lsn)
{
	return (uint32_t)(-lsn & (ALIGNMENT - 1));
}

static void note_wal_record(struct wal_scan *s, struct wal_record *r)
{
	uint64_t segment_end = s->state.segment_lsn + s->state.first.segment_bytes;

	if (r->timeline)
		s->state.timeline = r->timeline;
	else
		r->timeline = s->state.timeline;
	if (!r->old_timeline)
		r->old_timeline = r->timeline;
	s->meant_to = s->state.position;
	s->padding = padding_at(s->state.position);
	r->end = s->state.position + s->padding;
	if (r->kind == WAL_RECORD_SWITCH) {
		r->end = segment_end;
		s->phase = PHASE_SWITCHED;
		s->padding = 0;
	}
	s->state.last_record = r->lsn;
	s->state.end = r->end;
	s->state.open_record = 0;
	/* One that began in an earlier segment is none of this one. */
	if (s->state.first_record == 0 && r->lsn >= s->state.segment_lsn)
		s->state.first_record = r->lsn;
}

static int end_wal_record(struct wal_scan *s, struct error *err)
{
	struct wal_record r;
	enum wal_scan_end why = wal_assembly_finish(&s->record, &r);
	int result;

	if (why != WAL_END_NONE)
		return end_at_record(s, why);
	note_wal_record(s, &r);
	if (s->phase == PHASE_RECORD)
		expect_record(s, 0);
	result = s->options.record ? s->options.record(s->options.arg, &r, err) : 0;
	return result < 0 ? result : 0;
}

/* The record's own header says where the one before it began. Of the first one that is read that is not known. */
static bool follows_last(const struct wal_scan *s)
{
	return s->state.last_record ? s->record.previous == s->state.last_record
	                            : s->record.previous < s->record.lsn;
}

static int feed_wal_record(struct wal_scan *s, const uint8_t **at, size_t *len, size_t in_page,
                           struct error *err)
{
	enum wal_scan_end why = WAL_END_NONE;
	size_t taken;

	if (s->record.have == 0)
		s->record.lsn = s->state.position;
	s->state.open_record = s->record.lsn;
	if (s->record.have < WAL_RECORD_HEADER_BYTES) {
		taken = wal_assembly_header(&s->record, *at, in_page, &why);
		if (why == WAL_END_NONE && s->record.have == WAL_RECORD_HEADER_BYTES && !follows_last(s))
			why = WAL_END_PREVIOUS;
	} else {
		taken = wal_assembly_body(&s->record, *at, in_page);
	}
	if (why != WAL_END_NONE)
		return end_at_record(s, why);
	pass_wal_bytes(s, at, len, taken);
	return s->record.have >= WAL_RECORD_HEADER_BYTES && s->record.have == s->record.bytes
	               ? end_wal_record(s, err)
	               : 0;
}

static int feed_wal_rest(struct wal_scan *s, const uint8_t **at, size_t *len, size_t in_page)
{
	size_t passed = bytes_at_most(in_page, s->skip);

	pass_wal_bytes(s, at, len, passed);
	s->skip -= passed;
	s->meant_to = s->state.position;
	if (s->skip == 0) {
		s->padding = padding_at(s->state.position);
		expect_record(s, 0);
	}
	return 0;
}

/* The next bytes that are of one kind. */
static int feed_some(struct wal_scan *s, const uint8_t **at, size_t *len, struct error *err)
{
	size_t in_page;

	if (s->phase == PHASE_SWITCHED && !s->is_new_segment) {
		pass_wal_bytes(s, at, len, *len);
		return 0;
	}
	if (s->is_new_segment || s->state.position == s->page_end)
		return feed_page_header(s, at, len, err);
	in_page = bytes_at_most(*len, s->page_end - s->state.position);
	if (s->padding > 0) {
		size_t passed = bytes_at_most(in_page, s->padding);

		s->padding -= (uint32_t)passed;
		pass_wal_bytes(s, at, len, passed);
		return 0;
	}
	return s->phase == PHASE_REST ? feed_wal_rest(s, at, len, in_page)
	                              : feed_wal_record(s, at, len, in_page, err);
}

static int refuse_more(const struct wal_scan *s, struct error *err)
{
	char name[WAL_NAME_BYTES];

	wal_name_format(&s->name, name);
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s: it has more than the %" PRIu32 " bytes of a segment", name,
	                 s->state.first.segment_bytes);
}

int wal_scan_feed(struct wal_scan *s, const void *data, size_t len, struct error *err)
{
	const uint8_t *at = data;
	int r = 0;

	if (!s->is_new_segment && s->state.why != WAL_END_NONE)
		return WAL_SCAN_ENDED;
	while (len > 0 && r == 0) {
		if (!s->is_new_segment && s->state.position - s->state.segment_lsn + s->header_have + len >
		                                  s->state.first.segment_bytes)
			return refuse_more(s, err);
		r = feed_some(s, &at, &len, err);
	}
	return r;
}
