// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as a name of a file of the log, as an LSN, as a segment, and as the bodies of records whose checksums are right: who
 * reads a segment is told the same whatever pieces it comes in, in the order of the log, and never of more than there is.
 */
#include "../support/wal_build.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define SEGMENT    (UINT32_C(1) << 20)
#define VERSIONS   6
#define BODY_BYTES 300

static void check_name(const char *text)
{
	struct wal_name name, same;
	char formatted[WAL_NAME_BYTES];

	if (wal_name_parse(text, &name) < 0)
		return;
	wal_name_format(&name, formatted);
	fuzz_must(str_equal(formatted, text), "a name is written in one way", formatted);
	for (uint32_t bytes = WAL_SEGMENT_BYTES_MIN; bytes <= WAL_SEGMENT_BYTES_MAX; bytes *= 2) {
		if (name.kind == WAL_NAME_HISTORY || !wal_name_fits(&name, bytes))
			continue;
		same = wal_name_of_lsn(name.timeline, wal_name_lsn(&name, bytes), bytes);
		fuzz_must(wal_name_compare_place(&same, &name) == 0, "a name has its place", text);
	}
}

static void check_lsn(const char *text)
{
	char formatted[WAL_LSN_BYTES];
	uint64_t lsn, again;

	if (wal_lsn_parse(text, &lsn) < 0)
		return;
	fuzz_must(wal_lsn_parse(wal_lsn_format(lsn, formatted), &again) == 0 && again == lsn, "an LSN is one",
	          text);
}

struct heard {
	struct str lines;
	uint64_t last;
};

static int hear(void *arg, const struct wal_record *r, struct error *err)
{
	struct heard *h = arg;

	fuzz_must(r->lsn > h->last && r->end > r->lsn, "records come in their order", NULL);
	fuzz_must(r->bytes >= WAL_RECORD_HEADER_BYTES && r->image_bytes < r->bytes, "a record has its parts",
	          NULL);
	fuzz_must(memchr(r->name, '\0', sizeof(r->name)), "a name ends", NULL);
	h->last = r->lsn;
	str_appendf(&h->lines, "%" PRIx64 " %" PRIx64 " %" PRIu32 " %d %" PRIu32 " %" PRId64 " %" PRIx64 "\n",
	            r->lsn, r->end, r->timeline, r->kind, r->transaction, r->at_us, r->redo);
	return 0;
}

static int scan(const uint8_t *data, size_t size, const struct wal_name *name, size_t piece, struct heard *h,
                struct wal_scan_state *ret_state)
{
	_cleanup(wal_scan) struct wal_scan *s =
	        wal_scan_new(&(struct wal_scan_options){.record = hear, .arg = h});
	struct error err = {0};
	int r = 0;

	wal_scan_begin(s, name);
	for (size_t at = 0; at < size && r == 0; at += piece)
		r = wal_scan_feed(s, data + at, piece < size - at ? piece : size - at, &err);
	if (r < 0)
		fuzz_must_refuse(r, &err);
	fuzz_must(wal_scan_meant_bytes(s) <= size, "no more means something than there is", NULL);
	*ret_state = *wal_scan_state(s);
	if (r >= 0)
		wal_put_state(&h->lines, ret_state);
	if (r >= 0)
		fuzz_must((r == WAL_SCAN_ENDED) == (ret_state->why != WAL_END_NONE) &&
		                  !*ret_state->message == (r == 0),
		          "an end says why", ret_state->message);
	return r;
}

static void check_segment(const uint8_t *data, size_t size, const struct wal_name *name)
{
	static const size_t pieces[] = {1, 7, 4097};
	struct heard first = {0};
	struct wal_scan_state state, again;
	int r = scan(data, size, name, SIZE_MAX / 2, &first, &state);

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		struct heard other = {0};

		fuzz_must(scan(data, size, name, pieces[i], &other, &again) == r, "pieces do not matter",
		          NULL);
		fuzz_must(str_equal(str_text(&other.lines), str_text(&first.lines)), "pieces tell the same",
		          str_text(&other.lines));
		str_finish(&other.lines);
	}
	str_finish(&first.lines);
}

/* As the segment that its first page says it is. */
static void check_file(const uint8_t *data, size_t size)
{
	struct wal_name name = {.kind = WAL_NAME_SEGMENT, .timeline = 2, .log = 0, .segment = 5};
	struct wal_page_header h;

	if (wal_page_header_decode(data, size, &h, NULL) == 0 && h.is_long)
		name = wal_name_of_lsn(h.timeline, h.lsn, h.segment_bytes);
	check_segment(data, size, &name);
}

/* Up to some bytes each, of the managers that are looked into: the first two bytes of each say which. */
static void check_bodies(const uint8_t *data, size_t size)
{
	_cleanup(wal_build) struct wal_build w;
	struct wal_name name;

	wal_build_start(&w, 13 + (size ? data[0] % VERSIONS : 0), SEGMENT, 5);
	for (size_t at = 0; at + 2 < size;) {
		size_t len = size - at - 2 < BODY_BYTES ? size - at - 2 : BODY_BYTES;

		wal_build_record(&w, data[at] & 1, data[at + 1], 3, data + at + 2, len);
		at += len + 2;
	}
	name = wal_build_name(&w, 0);
	check_segment((const uint8_t *)str_text(&w.out), w.out.len, &name);
}

/* With a length that its parts say, so that more of them are taken. */
static void check_main(const uint8_t *data, size_t size)
{
	_cleanup(wal_build) struct wal_build w;
	struct wal_name name;

	wal_build_start(&w, 13 + data[0] % VERSIONS, SEGMENT, 5);
	wal_build_main(&w, data[0] & 1, data[1], 3, data + 2, size - 2);
	name = wal_build_name(&w, 0);
	check_segment((const uint8_t *)str_text(&w.out), w.out.len, &name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup(free) char *text = fuzz_text(data, size);

	check_name(text);
	check_lsn(text);
	check_file(data, size);
	check_bodies(data, size);
	if (size >= 2)
		check_main(data, size);
	return 0;
}
