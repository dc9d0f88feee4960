// SPDX-License-Identifier: Apache-2.0
/*
 * Digests are spread evenly, so a radix sort by their bytes from the highest one on, in place (McIlroy, Bostic, McIlroy: Engineering Radix
 * Sort), has small groups after two or three of them.
 */
#include "unmatched_private.h"

#include <string.h>

#define KEY_BYTES   24u
#define SMALL       32
#define BYTE_VALUES 256

static unsigned byte_of(const struct unmatched_record *r, unsigned at)
{
	uint64_t word = at < 8 ? r->high : at < 16 ? r->low : r->tag;

	return (unsigned)(word >> (56 - 8 * (at % 8))) & 0xff;
}

static void sort_few(struct unmatched_record *records, size_t count)
{
	for (size_t i = 1; i < count; i++) {
		struct unmatched_record moved = records[i];
		size_t k = i;

		for (; k > 0 && unmatched_before(&moved, &records[k - 1]); k--)
			records[k] = records[k - 1];
		records[k] = moved;
	}
}

/* Each record to where those with its byte are; @end: where the records of each value end. */
static void distribute(struct unmatched_record *records, unsigned at, const size_t *end, size_t *next)
{
	for (unsigned value = 0; value < BYTE_VALUES; value++) {
		while (next[value] < end[value]) {
			struct unmatched_record moved = records[next[value]];
			unsigned to = byte_of(&moved, at);

			while (to != value) {
				struct unmatched_record other = records[next[to]];

				records[next[to]++] = moved;
				moved = other;
				to = byte_of(&moved, at);
			}
			records[next[value]++] = moved;
		}
	}
}

static void sort_from_byte(struct unmatched_record *records, size_t count, unsigned at)
{
	size_t end[BYTE_VALUES] = {0}, next[BYTE_VALUES], sum = 0;

	if (count <= SMALL || at == KEY_BYTES) {
		sort_few(records, count);
		return;
	}
	for (size_t i = 0; i < count; i++)
		end[byte_of(&records[i], at)]++;
	for (unsigned value = 0; value < BYTE_VALUES; value++) {
		next[value] = sum;
		sum += end[value];
		end[value] = sum;
	}
	distribute(records, at, end, next);
	for (unsigned value = 0; value < BYTE_VALUES; value++) {
		size_t begin = value > 0 ? end[value - 1] : 0;

		if (end[value] > begin)
			sort_from_byte(records + begin, end[value] - begin, at + 1);
	}
}

void unmatched_sort(struct unmatched_record *records, size_t count)
{
	sort_from_byte(records, count, 0);
}

/* The records [*io, …) that have one digest: @ret_b: where those of B begin. Moves *io to their end. */
static void next_group(const struct unmatched_record *records, size_t count, size_t *io, size_t *ret_b)
{
	size_t begin = *io, at = begin;

	while (at < count && unmatched_same(&records[at], &records[begin]) &&
	       records[at].tag < UNMATCHED_TAG_B)
		at++;
	*ret_b = at;
	while (at < count && unmatched_same(&records[at], &records[begin]))
		at++;
	*io = at;
}

size_t unmatched_drop_pairs(struct unmatched_record *records, size_t count)
{
	size_t kept = 0, at = 0;

	while (at < count) {
		size_t a = at, b, pairs, left;

		next_group(records, count, &at, &b);
		pairs = b - a < at - b ? b - a : at - b;
		left = b - a - pairs;
		memmove(records + kept, records + a + pairs, left * sizeof(*records));
		kept += left;
		left = at - b - pairs;
		memmove(records + kept, records + b + pairs, left * sizeof(*records));
		kept += left;
	}
	return kept;
}
