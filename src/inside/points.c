// SPDX-License-Identifier: Apache-2.0
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#define APART_BYTES ((uint64_t)256 << 10) /* at least, between two points that were found */

struct inside_points *inside_points_new(size_t count)
{
	struct inside_points *p = mem_alloc(sizeof(*p) + count * sizeof(p->items[0]));

	atomic_init(&p->refs, 1);
	p->count = count;
	return p;
}

struct inside_points *inside_points_ref(struct inside_points *p)
{
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

struct inside_points *inside_points_unref(struct inside_points *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1)
		free(p);
	return NULL;
}

struct inside_points *inside_points_of_records(const struct segment_record *records, size_t count)
{
	struct inside_points *p;
	uint64_t raw = 0;

	if (count < 2)
		return NULL;
	p = inside_points_new(count - 1);
	for (size_t i = 1; i < count; i++) {
		raw += records[i - 1].raw_bytes;
		p->items[i - 1] = (struct inside_point){.offset = records[i].offset, .raw = raw};
	}
	return p;
}

const struct inside_point *inside_points_find(const struct inside_points *p, uint64_t raw)
{
	size_t low = 0, high = p ? p->count : 0;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (p->items[middle].raw <= raw)
			low = middle + 1;
		else
			high = middle;
	}
	return low > 0 ? &p->items[low - 1] : NULL;
}

/* Every second one stays. */
static void thin_found(struct inside_found *f)
{
	size_t kept = 0;

	for (size_t i = 1; i < f->count; i += 2)
		f->items[kept++] = f->items[i];
	f->count = kept;
	f->apart *= 2;
}

void inside_found_add(struct inside_found *f, uint64_t offset, uint64_t raw)
{
	uint64_t last = f->count > 0 ? f->items[f->count - 1].raw : 0;

	if (f->apart == 0)
		f->apart = APART_BYTES;
	if (raw < last + f->apart)
		return;
	if (f->count == INSIDE_POINTS_MAX)
		thin_found(f);
	if (f->count == f->cap) {
		f->cap = f->cap ? 2 * f->cap : 64;
		f->items = mem_resize(f->items, f->cap, sizeof(*f->items));
	}
	f->items[f->count++] = (struct inside_point){.offset = offset, .raw = raw};
	f->check_left = INSIDE_CHECK_BYTES;
}

void inside_found_bytes(struct inside_found *f, const void *data, size_t len)
{
	size_t n = len < f->check_left ? len : f->check_left;

	if (n == 0)
		return;
	f->items[f->count - 1].check = crc32c(f->items[f->count - 1].check, data, n);
	f->check_left -= (unsigned)n;
}

struct inside_points *inside_found_take(struct inside_found *f)
{
	struct inside_points *p = f->count > 0 ? inside_points_new(f->count) : NULL;

	for (size_t i = 0; i < f->count; i++)
		p->items[i] = f->items[i];
	return p;
}
