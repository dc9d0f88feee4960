// SPDX-License-Identifier: Apache-2.0
/*
 * Blocks: the unit of memory, of sharing and of forgetting; their parts are what is fetched. Memory is a
 * fixed array of slots, one for each buffer of the reader's reservation, so nothing here grows with an
 * artifact.
 *
 * Each slot is in the one list that its state says, and block_changed() sees to that; whoever changes a block
 * calls it. A buffer is taken first from the block that was handed out whole last: nobody is likely to ask
 * for it again, since the kernel's page cache has it, and it is still in the processor's caches. Then from
 * what random reads left, blocks of which all that was fetched was handed out, but for the latest few: they,
 * too, use the same memory again and again instead of all of it in turn. Then from those that were never
 * used, then from the least recently used block that nobody needs. Blocks of which nobody has seen everything
 * yet are spared while they are young, or sequential readers would throw out each other's next block for
 * ever; a request that waits may take them all the same.
 */
#include "reader_private.h"

#include <keepfs/base/mem.h>

#include <assert.h>

#define SCRAPS_KEPT 8

static void list_add(struct block_list *list, struct block *b)
{
	list->count++;
	b->list = list;
	b->prev = list->last;
	b->next = NULL;
	*(list->last ? &list->last->next : &list->first) = b;
	list->last = b;
}

static void list_remove(struct block *b)
{
	if (!b->list)
		return;
	b->list->count--;
	*(b->prev ? &b->prev->next : &b->list->first) = b->next;
	*(b->next ? &b->next->prev : &b->list->last) = b->prev;
	b->prev = b->next = NULL;
	b->list = NULL;
}

void block_table_init(struct reader *r)
{
	r->bucket_count = 16;
	while (r->bucket_count < 2 * r->block_count)
		r->bucket_count *= 2;
	r->buckets = mem_array(r->bucket_count, sizeof(*r->buckets));
	r->blocks = mem_array(r->block_count, sizeof(*r->blocks));
	for (size_t i = 0; i < r->block_count; i++)
		list_add(&r->free, &r->blocks[i]);
	r->available = r->block_count;
}

void block_table_finish(struct reader *r)
{
	assert(r->available == r->block_count && r->free.count == r->block_count);
	free(r->blocks);
	free(r->buckets);
}

static struct block **bucket(struct reader *r, const struct artifact *a, size_t first_extent)
{
	uint64_t h = ((uintptr_t)a >> 4) * UINT64_C(0x9E3779B97F4A7C15) + first_extent;

	h *= UINT64_C(0x9E3779B97F4A7C15);
	return &r->buckets[(h >> 32) & (r->bucket_count - 1)];
}

struct block *block_find(struct reader *r, const struct artifact *a, size_t first_extent)
{
	struct block *b = *bucket(r, a, first_extent);

	while (b && (b->artifact != a || b->span.first != first_extent))
		b = b->hash_next;
	return b;
}

static void unhash(struct reader *r, struct block *b)
{
	struct block **at = bucket(r, b->artifact, b->span.first);

	while (*at != b)
		at = &(*at)->hash_next;
	*at = b->hash_next;
}

bool block_is_available(const struct block *b)
{
	return !b->pins && !b->loading && !b->wanted;
}

/* Is it unlikely that somebody will still want what was not handed out of @b? Age is counted in blocks made
 * since, not in time. */
static bool is_expendable(const struct reader *r, const struct block *b)
{
	return r->tick - b->tick > r->block_count;
}

/* The slot to use next: free, or taken from the block that is needed least. */
static struct block *find_slot(struct reader *r, bool for_request)
{
	struct block *b = r->idle.first;

	if (r->spent.last)
		return r->spent.last;
	if (r->scraps.count > SCRAPS_KEPT || (r->scraps.count > 0 && !r->free.first))
		return r->scraps.first;
	if (r->free.first)
		return r->free.first;
	while (b && !is_expendable(r, b))
		b = b->next;
	if (b || !for_request)
		return b;
	if (r->idle.first)
		return r->idle.first;
	for (b = r->ahead.last; b && !block_is_available(b); b = b->prev)
		;
	return b;
}

/* The slot without its block, in no list; its buffer is the caller's. */
static char *empty(struct reader *r, struct block *b)
{
	char *buffer = b->buffer;

	list_remove(b);
	unhash(r, b);
	whole_lost(r, b);
	atomic_fetch_sub(&r->metrics->used_buffers, 1);
	*b = (struct block){0};
	return buffer;
}

struct block *block_make(struct reader *r, struct artifact *a, const struct span *span, bool for_request)
{
	struct block *b = find_slot(r, for_request);
	struct block **at;
	char *buffer;

	if (!b)
		return NULL;
	list_remove(b);
	buffer = b->artifact ? empty(r, b) : pool_take(r->pool);
	at = bucket(r, a, span->first);
	*b = (struct block){.artifact = a,
	                    .span = *span,
	                    .buffer = buffer,
	                    .tick = ++r->tick,
	                    .pins = 1,
	                    .hash_next = *at};
	*at = b;
	r->available--;
	atomic_fetch_add(&r->metrics->used_buffers, 1);
	return b;
}

static struct block_list *list_of(struct reader *r, const struct block *b)
{
	if (b->wanted)
		return &r->wanted;
	if (b->ahead)
		return &r->ahead;
	if (b->pins || b->loading)
		return NULL;
	if (b->used_bytes >= b->span.bytes)
		return &r->spent;
	return b->used_bytes >= span_parts_bytes(&b->artifact->extents, &b->span, b->ready) ? &r->scraps
	                                                                                    : &r->idle;
}

void block_changed(struct reader *r, struct block *b)
{
	bool available = block_is_available(b);
	struct block_list *list = list_of(r, b);

	if (available && !b->available)
		r->available++;
	if (!available && b->available)
		r->available--;
	b->available = available;
	if (available && !b->ready && !b->ahead) {
		pool_give(r->pool, empty(r, b));
		list_add(&r->free, b);
		return;
	}
	if (list == b->list)
		return;
	list_remove(b);
	if (list)
		list_add(list, b);
}

void block_pin(struct reader *r, struct block *b)
{
	b->pins++;
	block_changed(r, b);
}

void block_unpin(struct reader *r, struct block *b)
{
	/* Who wanted something had it pinned. */
	if (--b->pins == 0 && b->wanted) {
		b->wanted = 0;
		whole_lost(r, b);
	}
	block_changed(r, b);
}

void block_want(struct reader *r, struct block *b, parts_t parts)
{
	b->wanted |= parts & ~(b->ready | b->loading);
	b->ahead &= ~b->wanted;
	if (!b->wanted)
		return;
	block_changed(r, b);
	fetch_wake(r);
}

void block_want_ahead(struct reader *r, struct block *b, parts_t parts)
{
	parts &= ~(b->ready | b->loading | b->wanted | b->ahead);
	if (!parts)
		return;
	b->ahead |= parts;
	block_changed(r, b);
	fetch_wake(r);
}

void block_clear(struct reader *r, struct block *b)
{
	b->ready = b->wanted = b->ahead = 0;
	block_changed(r, b);
}
