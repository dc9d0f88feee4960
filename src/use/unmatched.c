// SPDX-License-Identifier: Apache-2.0
#include "unmatched_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <stdlib.h>

#define RECORD_BYTES  sizeof(struct unmatched_record)
#define LEAST_RECORDS 64
#define PUT_RECORDS   ((size_t)2048) /* at once, into the spool */

struct unmatched {
	struct unmatched_options options;
	struct unmatched_record *records; /* NULL after unmatched_settle() */
	size_t count, capacity;
	struct spool *spilled;
	struct unmatched_run *runs;
	size_t run_count;
	uint64_t rows[2];
	struct unmatched_bits bits[2];
};

struct unmatched *unmatched_new(const struct unmatched_options *options)
{
	struct unmatched *u = mem_alloc(sizeof(*u));

	u->options = *options;
	u->capacity = options->memory_bytes / RECORD_BYTES;
	if (u->capacity < LEAST_RECORDS)
		u->capacity = LEAST_RECORDS;
	u->records = malloc(u->capacity * RECORD_BYTES);
	if (!u->records) {
		free(u);
		return NULL;
	}
	u->spilled = spool_new(options->directory);
	return u;
}

struct unmatched *unmatched_free(struct unmatched *u)
{
	if (!u)
		return NULL;
	unmatched_bits_finish(&u->bits[UNMATCHED_A]);
	unmatched_bits_finish(&u->bits[UNMATCHED_B]);
	spool_free(u->spilled);
	free(u->runs);
	free(u->records);
	free(u);
	return NULL;
}

size_t unmatched_capacity(const struct unmatched *u)
{
	return u->capacity;
}

uint64_t unmatched_count(const struct unmatched *u, enum unmatched_side side)
{
	return u->bits[side].count;
}

uint64_t unmatched_rows(const struct unmatched *u, enum unmatched_side side)
{
	return u->rows[side];
}

bool unmatched_has(const struct unmatched *u, enum unmatched_side side, uint64_t number)
{
	return unmatched_bits_has(&u->bits[side], number);
}

uint64_t unmatched_spilled(const struct unmatched *u)
{
	return u->run_count > 0 ? spool_size(u->spilled) : 0;
}

/* Space. */

static int tell_disk_full(const struct unmatched *u, struct error *err)
{
	char used[16];

	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "the disk of %s is full, after %s of rows that have no equal yet: free some space there, or set state_dir to a larger disk",
	        u->options.directory, str_format_bytes(used, sizeof(used), spool_size(u->spilled)));
}

static int check_space(const struct unmatched *u, uint64_t more, struct error *err)
{
	char most[16];

	if (spool_size(u->spilled) + more <= u->options.space_bytes)
		return 0;
	return error_set(
	        err, ERROR_NO_SPACE, ENOSPC,
	        "so many rows differ that comparing them needs more than %s of temporary files in %s: raise [keepfs] diff_space (24 bytes for each row that differs are enough)",
	        str_format_bytes(most, sizeof(most), u->options.space_bytes), u->options.directory);
}

/* All records in memory, which are sorted, as one run. */
static int spill_run(struct unmatched *u, struct error *err)
{
	const struct unmatched_run run = {.offset = spool_size(u->spilled), .count = u->count};
	int r = check_space(u, u->count * RECORD_BYTES, err);

	for (size_t at = 0; r == 0 && at < u->count; at += PUT_RECORDS) {
		size_t count = u->count - at < PUT_RECORDS ? u->count - at : PUT_RECORDS;

		r = spool_put(u->spilled, u->records + at, count * RECORD_BYTES, err);
	}
	if (r < 0)
		return spool_error(u->spilled) == -ENOSPC ? tell_disk_full(u, err) : r;
	u->runs = mem_resize(u->runs, u->run_count + 1, sizeof(*u->runs));
	u->runs[u->run_count++] = run;
	u->count = 0;
	return 0;
}

static void drop_equals(struct unmatched *u)
{
	unmatched_sort(u->records, u->count);
	u->count = unmatched_drop_pairs(u->records, u->count);
}

int unmatched_add(struct unmatched *u, enum unmatched_side side, const struct row_digest *digest,
                  struct error *err)
{
	int r = 0;

	if (u->count == u->capacity) {
		drop_equals(u);
		/* Else the next sorting would come soon, and bring little. */
		if (u->count > u->capacity / 2)
			r = spill_run(u, err);
	}
	if (r < 0)
		return r;
	u->records[u->count++] = (struct unmatched_record){
	        .high = digest->high,
	        .low = digest->low,
	        .tag = u->rows[side]++ | (side == UNMATCHED_B ? UNMATCHED_TAG_B : 0)};
	return 0;
}

static void set_bits_of_records(struct unmatched *u)
{
	for (size_t i = 0; i < u->count; i++) {
		const struct unmatched_record *record = &u->records[i];
		bool is_b = record->tag >= UNMATCHED_TAG_B;

		unmatched_bits_set(&u->bits[is_b ? UNMATCHED_B : UNMATCHED_A],
		                   record->tag & ~UNMATCHED_TAG_B);
	}
}

static int open_bits(struct unmatched *u, struct error *err)
{
	int r = check_space(u, (u->rows[UNMATCHED_A] + u->rows[UNMATCHED_B]) / 8 + 2, err);

	if (r < 0)
		return r;
	for (int side = 0; r == 0 && side < 2; side++)
		r = unmatched_bits_open(&u->bits[side], u->options.directory, u->rows[side], err);
	return r == -ENOSPC ? tell_disk_full(u, err) : r;
}

static int merge_spilled(struct unmatched *u, struct cancel *cancel, struct error *err)
{
	struct unmatched_merge merge = {
	        .spilled = u->spilled,
	        .memory_bytes = u->capacity * RECORD_BYTES,
	        .bits = u->bits,
	        .cancel = cancel,
	};
	int r = spill_run(u, err);

	if (r < 0)
		return r;
	free(take_ptr(&u->records));
	merge.runs = u->runs;
	merge.run_count = u->run_count;
	return unmatched_merge_runs(&merge, err);
}

int unmatched_settle(struct unmatched *u, struct cancel *cancel, struct error *err)
{
	int r;

	drop_equals(u);
	/* Tables that are equal need no files. */
	if (u->run_count == 0 && u->count == 0)
		r = 0;
	else
		r = open_bits(u, err);
	if (r == 0 && u->run_count > 0)
		r = merge_spilled(u, cancel, err);
	else if (r == 0)
		set_bits_of_records(u);
	free(take_ptr(&u->records));
	return r;
}
