// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The data of a dump that keepfs has written, whose segments (codec/compression.h) several threads decompress and count at once. Entries come one
 * after the other: a mark for the kind of each, its members (the rows of a table, or each of its large objects), each of which is its
 * segments between two marks, and its end. What was found comes out in that order, on the caller's thread.
 */
#include "counting.h"

#include <keepfs/codec/compression.h>
#include <keepfs/stream/ordered.h>

enum proof_mark {
	PROOF_MARK_ROWS,  /* an entry begins, which holds the rows of a table, */
	PROOF_MARK_BLOBS, /* or large objects, */
	PROOF_MARK_BLOB,  /* of which here is one */
	PROOF_MARK_MEMBER,
	PROOF_MARK_MEMBER_END, /* its value is what stands behind it: the checksum; of a gzip file in its upper half the length, too */
	PROOF_MARK_ENTRY_END,
};

struct segment_proof {
	struct counting counting;  /* the caller sets and frees its rows */
	struct expected *expected; /* borrowed */
	enum segment_check check;  /* SEGMENT_CHECK_NONE: nothing stands behind a member */
	uint32_t found;            /* checksum of the member that is counted */
	uint64_t found_bytes;      /* of it */
	bool is_wrong;             /* what was counted is; else the segments are none that keepfs has made */
	struct unpack *
	        unpack; /* NULL until segment_proof_open(); the caller frees it, and finishes it at the end */
};

/** segment_proof_open() - @p: counting and expected are set. It stays where it is. */
int segment_proof_open(struct segment_proof *p, struct backup *b, enum compression_method method,
                       enum segment_check check, struct error *err);
