// SPDX-License-Identifier: Apache-2.0
/*
 * The runs are merged, so that all records of one digest come together, those of A first: each of A is left over, until one of B comes and takes one
 * of them away. Which of them does not matter, since they are equal. A digest may be that of so many rows that they cannot be remembered: then they
 * are looked up in the runs once more.
 */
#include "unmatched_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define REMEMBERED   1024 /* rows of one digest */
#define LOOKED_AT    4096 /* records between two looks at whether it was cancelled */
#define RECORD_BYTES sizeof(struct unmatched_record)

struct merge_cursor {          /* in one run */
	uint64_t offset, left; /* of what was not read yet */
	struct unmatched_record *items;
	size_t at, count;
};

struct merging {
	const struct unmatched_merge *merge;
	struct merge_cursor *cursors;
	size_t *heap; /* the run with the first record of all is heap[0] */
	size_t heap_count;
	size_t room; /* records that a cursor reads at once */
	struct unmatched_record *buffer;
	/* The digest that is merged. */
	struct unmatched_record group;
	uint64_t of_a, taken;         /* rows of A, and how many of them have an equal in B */
	uint64_t numbers[REMEMBERED]; /* of the first ones of A */
};

static void cleanup_merging(struct merging *m)
{
	free(m->cursors);
	free(m->heap);
	free(m->buffer);
}

/* Cursors. */

static int fill_cursor(struct merging *m, struct merge_cursor *c, struct error *err)
{
	size_t count = c->left < m->room ? (size_t)c->left : m->room;
	int r = count > 0 ? spool_get(m->merge->spilled, c->items, count * RECORD_BYTES, c->offset, err) : 0;

	c->at = 0;
	c->count = r < 0 ? 0 : count;
	c->left -= c->count;
	c->offset += c->count * RECORD_BYTES;
	return r;
}

static const struct unmatched_record *first_of(const struct merging *m, size_t cursor)
{
	return &m->cursors[cursor].items[m->cursors[cursor].at];
}

static void sink_heap(struct merging *m, size_t at)
{
	size_t moved = m->heap[at];

	for (size_t child; (child = 2 * at + 1) < m->heap_count; at = child) {
		if (child + 1 < m->heap_count &&
		    unmatched_before(first_of(m, m->heap[child + 1]), first_of(m, m->heap[child])))
			child++;
		if (!unmatched_before(first_of(m, m->heap[child]), first_of(m, moved)))
			break;
		m->heap[at] = m->heap[child];
	}
	m->heap[at] = moved;
}

static int begin_merge(struct merging *m, struct error *err)
{
	const struct unmatched_merge *o = m->merge;
	int r = 0;

	m->room = o->memory_bytes / RECORD_BYTES / o->run_count;
	m->room = m->room > 0 ? m->room : 1;
	m->buffer = mem_array(m->room * o->run_count, RECORD_BYTES);
	m->cursors = mem_array(o->run_count, sizeof(*m->cursors));
	m->heap = mem_array(o->run_count, sizeof(*m->heap));
	for (size_t i = 0; r == 0 && i < o->run_count; i++) {
		m->cursors[i] = (struct merge_cursor){.offset = o->runs[i].offset,
		                                      .left = o->runs[i].count,
		                                      .items = m->buffer + i * m->room};
		r = fill_cursor(m, &m->cursors[i], err);
		if (r == 0 && m->cursors[i].count > 0)
			m->heap[m->heap_count++] = i;
	}
	for (size_t i = m->heap_count / 2; r == 0 && i > 0; i--)
		sink_heap(m, i - 1);
	return r;
}

/* The first record of all runs was taken. */
static int advance_merge(struct merging *m, struct error *err)
{
	struct merge_cursor *c = &m->cursors[m->heap[0]];
	int r = 0;

	c->at++;
	if (c->at == c->count)
		r = fill_cursor(m, c, err);
	if (r == 0 && c->count == 0)
		m->heap[0] = m->heap[--m->heap_count];
	if (r == 0 && m->heap_count > 0)
		sink_heap(m, 0);
	return r;
}

/* Too many rows of one digest. */

/* The first record of a run that does not come before @wanted: its place in the run. */
static int find_in_run(const struct merging *m, const struct unmatched_run *run,
                       const struct unmatched_record *wanted, uint64_t *ret, struct error *err)
{
	uint64_t low = 0, high = run->count;
	int r = 0;

	while (r == 0 && low < high) {
		uint64_t middle = low + (high - low) / 2;
		struct unmatched_record found;

		r = spool_get(m->merge->spilled, &found, sizeof(found), run->offset + middle * RECORD_BYTES,
		              err);
		if (r == 0 && unmatched_before(&found, wanted))
			low = middle + 1;
		else
			high = middle;
	}
	*ret = low;
	return r;
}

static int clear_in_run(struct merging *m, const struct unmatched_run *run, struct error *err)
{
	struct unmatched_record wanted = m->group, found;
	uint64_t at;
	int r;

	wanted.tag = 0;
	r = find_in_run(m, run, &wanted, &at, err);
	for (; r == 0 && m->taken > 0 && at < run->count; at++) {
		r = spool_get(m->merge->spilled, &found, sizeof(found), run->offset + at * RECORD_BYTES, err);
		if (r < 0 || !unmatched_same(&found, &wanted) || found.tag >= UNMATCHED_TAG_B)
			break;
		unmatched_bits_clear(&m->merge->bits[UNMATCHED_A], found.tag);
		m->taken--;
	}
	return r;
}

/* Groups. */

static int end_group(struct merging *m, struct error *err)
{
	int r = 0;

	if (m->taken <= REMEMBERED)
		for (; m->taken > 0; m->taken--)
			unmatched_bits_clear(&m->merge->bits[UNMATCHED_A], m->numbers[m->taken - 1]);
	for (size_t i = 0; r == 0 && m->taken > 0 && i < m->merge->run_count; i++)
		r = clear_in_run(m, &m->merge->runs[i], err);
	m->of_a = m->taken = 0;
	return r;
}

static void add_to_group(struct merging *m, const struct unmatched_record *record)
{
	if (record->tag >= UNMATCHED_TAG_B) {
		if (m->taken < m->of_a)
			m->taken++;
		else
			unmatched_bits_set(&m->merge->bits[UNMATCHED_B], record->tag - UNMATCHED_TAG_B);
		return;
	}
	if (m->of_a < REMEMBERED)
		m->numbers[m->of_a] = record->tag;
	m->of_a++;
	unmatched_bits_set(&m->merge->bits[UNMATCHED_A], record->tag);
}

static int merge_next(struct merging *m, struct error *err)
{
	const struct unmatched_record *record = first_of(m, m->heap[0]);
	int r = 0;

	if (!unmatched_same(record, &m->group)) {
		r = end_group(m, err);
		m->group = *record;
	}
	add_to_group(m, record);
	return r < 0 ? r : advance_merge(m, err);
}

static int merge_all(struct merging *m, struct error *err)
{
	int r = begin_merge(m, err);

	for (uint64_t n = 0; r == 0 && m->heap_count > 0; n++) {
		if (n % LOOKED_AT == 0 && cancel_is_set(m->merge->cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "the comparison was cancelled");
		r = merge_next(m, err);
	}
	return r < 0 ? r : end_group(m, err);
}

int unmatched_merge_runs(const struct unmatched_merge *merge, struct error *err)
{
	struct merging *m = mem_alloc(sizeof(*m));
	int r;

	m->merge = merge;
	r = merge_all(m, err);
	cleanup_merging(m);
	free(m);
	return r;
}
