// SPDX-License-Identifier: Apache-2.0
#include "prove_segments.h"

#include "proving.h"

#include <errno.h>

struct note { /* of a segment */
	struct rows_piece piece;
	uint32_t check;
};

_Static_assert(sizeof(struct note) <= UNPACK_NOTE_BYTES, "it has to fit");

static void look_at_rows(const void *raw, size_t len, void *note)
{
	rows_piece_count(raw, len, &((struct note *)note)->piece);
}

static void look_at_zlib(const void *raw, size_t len, void *note)
{
	((struct note *)note)->check = segment_check_of(SEGMENT_CHECK_ADLER32, raw, len);
	look_at_rows(raw, len, note);
}

static void look_at_gzip(const void *raw, size_t len, void *note)
{
	((struct note *)note)->check = segment_check_of(SEGMENT_CHECK_CRC32, raw, len);
	look_at_rows(raw, len, note);
}

static int count_segment(void *arg, const void *raw, size_t len, const void *note, struct error *err)
{
	struct segment_proof *p = arg;
	const struct note *n = note;

	p->found_bytes += len;
	if (p->check != SEGMENT_CHECK_NONE)
		p->found = segment_check_join(p->check, p->found, n->check, len);
	if (p->counting.blobs)
		p->counting.found.bytes += len;
	else
		rows_scan_add(p->counting.rows, raw, len, &n->piece);
	return 0;
}

static int check_member(const struct segment_proof *p, uint64_t stored, struct error *err)
{
	uint64_t found = p->check == SEGMENT_CHECK_CRC32 ? p->found_bytes << 32 | p->found : p->found;

	if (p->check == SEGMENT_CHECK_NONE || stored == found)
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "the data of an entry is not what was compressed: its checksum is wrong");
}

static int take_proof_mark(void *arg, int what, uint64_t value, struct error *err)
{
	struct segment_proof *p = arg;
	int r = 0;

	switch ((enum proof_mark)what) {
	case PROOF_MARK_ROWS:
	case PROOF_MARK_BLOBS:
		p->counting.blobs = what == PROOF_MARK_BLOBS;
		break;
	case PROOF_MARK_BLOB:
		p->counting.found.count++;
		break;
	case PROOF_MARK_MEMBER:
		p->found = segment_check_empty(p->check);
		p->found_bytes = 0;
		break;
	case PROOF_MARK_MEMBER_END:
		r = check_member(p, value, err);
		break;
	case PROOF_MARK_ENTRY_END:
		r = counting_end(&p->counting, p->expected, err);
		break;
	}
	p->is_wrong = p->is_wrong || r < 0;
	return r;
}

int segment_proof_open(struct segment_proof *p, struct backup *b, enum compression_method method,
                       enum segment_check check, struct error *err)
{
	const struct unpack_options options = {
	        .method = method,
	        .threads = PROVING_THREADS,
	        .pool = b->ctx->pool,
	        .cancel = b->cancel,
	        .look = check == SEGMENT_CHECK_ADLER32 ? look_at_zlib
	                : check == SEGMENT_CHECK_CRC32 ? look_at_gzip
	                                               : look_at_rows,
	        .segment = count_segment,
	        .mark = take_proof_mark,
	        .arg = p,
	};

	p->check = check;
	return unpack_new(&options, &p->unpack, err);
}
