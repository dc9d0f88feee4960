// SPDX-License-Identifier: Apache-2.0
/* Sorted runs in a file, merged when they are read. */
#include <keepfs/base/sorter.h>

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/spool.h>

#define ALIGNMENT  sizeof(uint64_t)
#define READ_BYTES ((size_t)64 << 10) /* of a run at a time; more than any record */

/* Before each record, in memory and in the file. */
struct record_head {
	uint64_t bytes; /* with this, and with what aligns the next */
};

struct run {
	uint64_t at, end; /* in the file: what is not in the buffer yet */
	char *buf;        /* READ_BYTES */
	size_t from, to;  /* in it: what was not given */
};

struct sorter {
	int (*compare)(const void *a, const void *b);
	struct spool *spool;
	char *memory;
	size_t used;
	const void **records; /* in memory */
	size_t count, given;
	struct run *runs;
	size_t run_count;
	struct run *last; /* that the last record was of */
};

struct sorter *sorter_new(const char *directory, int (*compare)(const void *a, const void *b))
{
	struct sorter *s = mem_alloc(sizeof(*s));

	*s = (struct sorter){.compare = compare,
	                     .spool = spool_new_small(directory, 0),
	                     .memory = mem_alloc(SORT_MEMORY_BYTES)};
	return s;
}

struct sorter *sorter_free(struct sorter *s)
{
	if (!s)
		return NULL;
	for (size_t i = 0; i < s->run_count; i++)
		free(s->runs[i].buf);
	free(s->runs);
	free(s->records);
	free(s->memory);
	spool_free(s->spool);
	free(s);
	return NULL;
}

static int compare_by_pointer(const void *a, const void *b, void *arg)
{
	const struct sorter *s = arg;

	return s->compare(*(const void *const *)a, *(const void *const *)b);
}

static void sort_memory(struct sorter *s)
{
	if (s->count > 0)
		qsort_r(s->records, s->count, sizeof(*s->records), compare_by_pointer, s);
}

static const struct record_head *head_of(const void *record)
{
	return (const struct record_head *)record - 1;
}

static int write_run(struct sorter *s, struct error *err)
{
	uint64_t begin = spool_size(s->spool);
	int r = 0;

	sort_memory(s);
	for (size_t i = 0; r == 0 && i < s->count; i++)
		r = spool_put(s->spool, head_of(s->records[i]), head_of(s->records[i])->bytes, err);
	s->runs = mem_resize(s->runs, s->run_count + 1, sizeof(*s->runs));
	s->runs[s->run_count++] = (struct run){.at = begin, .end = spool_size(s->spool)};
	s->used = s->count = 0;
	return r;
}

int sorter_add(struct sorter *s, const void *head, size_t head_len, const void *tail, size_t tail_len,
               struct error *err)
{
	size_t bytes =
	        (sizeof(struct record_head) + head_len + tail_len + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
	char *at;
	int r = s->used + bytes > SORT_MEMORY_BYTES ? write_run(s, err) : 0;

	if (r < 0)
		return r;
	at = s->memory + s->used;
	memset(at, 0, bytes);
	*(struct record_head *)(void *)at = (struct record_head){.bytes = bytes};
	at += sizeof(struct record_head);
	memcpy(at, head, head_len);
	if (tail_len > 0)
		memcpy(at + head_len, tail, tail_len);
	if ((s->count & (s->count - 1)) == 0)
		s->records = mem_resize(s->records, s->count ? 2 * s->count : 1, sizeof(*s->records));
	s->records[s->count++] = at;
	s->used += bytes;
	return 0;
}

int sorter_end(struct sorter *s, struct error *err)
{
	int r = 0;

	if (s->run_count == 0) {
		sort_memory(s);
		return 0;
	}
	if (s->count > 0)
		r = write_run(s, err);
	free(s->memory);
	s->memory = NULL;
	for (size_t i = 0; i < s->run_count; i++)
		s->runs[i].buf = mem_alloc(READ_BYTES);
	return r;
}

/* A whole record of it is in the buffer, unless it has ended. */
static int fill_run(struct sorter *s, struct run *run, struct error *err)
{
	size_t left = run->to - run->from, len;
	int r;

	if (left >= sizeof(struct record_head) &&
	    left >= ((const struct record_head *)(const void *)(run->buf + run->from))->bytes)
		return 0;
	memmove(run->buf, run->buf + run->from, left);
	len = run->end - run->at < READ_BYTES - left ? (size_t)(run->end - run->at) : READ_BYTES - left;
	r = len > 0 ? spool_get(s->spool, run->buf + left, len, run->at, err) : 0;
	run->at += len;
	run->from = 0;
	run->to = left + len;
	return r;
}

static const void *first_of_run(const struct run *run)
{
	return run->from == run->to ? NULL : run->buf + run->from + sizeof(struct record_head);
}

static int next_of_runs(struct sorter *s, const void **ret_record, struct error *err)
{
	const void *least = NULL;

	if (s->last)
		s->last->from += head_of(first_of_run(s->last))->bytes;
	s->last = NULL;
	for (size_t i = 0; i < s->run_count; i++) {
		const void *record;
		int r = fill_run(s, &s->runs[i], err);

		if (r < 0)
			return r;
		record = first_of_run(&s->runs[i]);
		if (record && (!least || s->compare(record, least) < 0)) {
			least = record;
			s->last = &s->runs[i];
		}
	}
	*ret_record = least;
	return least != NULL;
}

int sorter_next(struct sorter *s, const void **ret_record, struct error *err)
{
	if (s->run_count > 0)
		return next_of_runs(s, ret_record, err);
	if (s->given == s->count)
		return 0;
	*ret_record = s->records[s->given++];
	return 1;
}
