// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Records of rows, and how they are sorted; the bits of what is left. */
#include "unmatched.h"

#include <keepfs/base/spool.h>

struct unmatched_record {
	uint64_t high, low; /* of the digest */
	uint64_t tag;       /* the side in its highest bit, and the number of the row */
};
_Static_assert(sizeof(struct unmatched_record) == 24, "operations.md says how much a row needs");

#define UNMATCHED_TAG_B (UINT64_C(1) << 63)

/** unmatched_sort() - by digest, and then by tag: rows of A come before those of B. In place. */
void unmatched_sort(struct unmatched_record *records, size_t count);
/** unmatched_drop_pairs() - of sorted records: those of A and of B that are equal go in pairs; how many are left. */
size_t unmatched_drop_pairs(struct unmatched_record *records, size_t count);

static inline bool unmatched_same(const struct unmatched_record *x, const struct unmatched_record *y)
{
	return x->high == y->high && x->low == y->low;
}

static inline bool unmatched_before(const struct unmatched_record *x, const struct unmatched_record *y)
{
	if (x->high != y->high)
		return x->high < y->high;
	return x->low != y->low ? x->low < y->low : x->tag < y->tag;
}

struct unmatched_bits { /* of one side; zeroed: none */
	uint8_t *map;   /* NULL: there are no rows, or none is left */
	size_t bytes;
	uint64_t rows, count;
};

/** unmatched_bits_open() - of @rows rows, none set. The space is taken at once: writing never fails. */
int unmatched_bits_open(struct unmatched_bits *b, const char *directory, uint64_t rows, struct error *err);
void unmatched_bits_finish(struct unmatched_bits *b);
void unmatched_bits_set(struct unmatched_bits *b, uint64_t number);
void unmatched_bits_clear(struct unmatched_bits *b, uint64_t number);
bool unmatched_bits_has(const struct unmatched_bits *b, uint64_t number);

struct unmatched_run { /* sorted records in the spool */
	uint64_t offset, count;
};

struct unmatched_merge { /* all borrowed */
	const struct spool *spilled;
	const struct unmatched_run *runs;
	size_t run_count;
	size_t memory_bytes;         /* for reading */
	struct unmatched_bits *bits; /* two */
	struct cancel *cancel;
};
/** unmatched_merge_runs() - set the bit of each row that is left over. */
int unmatched_merge_runs(const struct unmatched_merge *merge, struct error *err);
