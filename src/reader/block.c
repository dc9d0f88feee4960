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
 *
 * All of it is called with the lock, by callers and fetchers alike. A pin is what keeps a block where it is while
 * the lock is not held: a request's from its admission until its answer was told, a thread's while it works on it. A
 * block that is loading needs no pin.
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

void block_table_init(struct reader *reader)
{
	reader->bucket_count = 16;
	while (reader->bucket_count < 2 * reader->block_count)
		reader->bucket_count *= 2;
	reader->buckets = mem_array(reader->bucket_count, sizeof(*reader->buckets));
	reader->blocks = mem_array(reader->block_count, sizeof(*reader->blocks));
	for (size_t i = 0; i < reader->block_count; i++)
		list_add(&reader->free, &reader->blocks[i]);
	reader->available = reader->block_count;
}

void block_table_finish(struct reader *reader)
{
	assert(reader->available == reader->block_count && reader->free.count == reader->block_count);
	free(reader->blocks);
	free(reader->buckets);
}

static struct block **bucket_of_block(struct reader *reader, const struct artifact *a, size_t first_extent)
{
	uint64_t h = ((uintptr_t)a >> 4) * UINT64_C(0x9E3779B97F4A7C15) + first_extent;

	h *= UINT64_C(0x9E3779B97F4A7C15);
	return &reader->buckets[(h >> 32) & (reader->bucket_count - 1)];
}

struct block *block_find(struct reader *reader, const struct artifact *a, size_t first_extent)
{
	struct block *b = *bucket_of_block(reader, a, first_extent);

	while (b && (b->artifact != a || b->span.first != first_extent))
		b = b->hash_next;
	return b;
}

static void unhash(struct reader *reader, struct block *b)
{
	struct block **at = bucket_of_block(reader, b->artifact, b->span.first);

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
static bool is_expendable(const struct reader *reader, const struct block *b)
{
	return reader->tick - b->tick > reader->block_count;
}

/* The slot to use next: free, or taken from the block that is needed least. */
static struct block *find_slot(struct reader *reader, bool for_request)
{
	struct block *b = reader->idle.first;

	if (reader->spent.last)
		return reader->spent.last;
	if (reader->scraps.count > SCRAPS_KEPT || (reader->scraps.count > 0 && !reader->free.first))
		return reader->scraps.first;
	if (reader->free.first)
		return reader->free.first;
	while (b && !is_expendable(reader, b))
		b = b->next;
	if (b || !for_request)
		return b;
	if (reader->idle.first)
		return reader->idle.first;
	for (b = reader->ahead.last; b && !block_is_available(b); b = b->prev)
		;
	return b;
}

/* The slot without its block, in no list; its buffer is the caller's. */
static char *empty(struct reader *reader, struct block *b)
{
	char *buffer = b->buffer;

	list_remove(b);
	unhash(reader, b);
	whole_lost(reader, b);
	atomic_fetch_sub(&reader->metrics->used_buffers, 1);
	*b = (struct block){0};
	return buffer;
}

struct block *block_make(struct reader *reader, struct artifact *a, const struct span *span, bool for_request)
{
	struct block *b = find_slot(reader, for_request);
	struct block **at;
	char *buffer;

	if (!b)
		return NULL;
	list_remove(b);
	buffer = b->artifact ? empty(reader, b) : pool_take(reader->pool);
	at = bucket_of_block(reader, a, span->first);
	*b = (struct block){.artifact = a,
	                    .span = *span,
	                    .buffer = buffer,
	                    .tick = ++reader->tick,
	                    .pins = 1,
	                    .hash_next = *at};
	*at = b;
	reader->available--;
	atomic_fetch_add(&reader->metrics->used_buffers, 1);
	return b;
}

static struct block_list *list_of(struct reader *reader, const struct block *b)
{
	if (b->wanted)
		return &reader->wanted;
	if (b->ahead)
		return &reader->ahead;
	if (b->pins || b->loading)
		return NULL;
	if (b->used_bytes >= b->span.bytes)
		return &reader->spent;
	return b->used_bytes >=
	                       span_parts_bytes(&b->artifact->extents, b->artifact->cells, &b->span, b->ready)
	               ? &reader->scraps
	               : &reader->idle;
}

void block_changed(struct reader *reader, struct block *b)
{
	bool available = block_is_available(b);
	struct block_list *list = list_of(reader, b);

	if (available && !b->available)
		reader->available++;
	if (!available && b->available)
		reader->available--;
	b->available = available;
	if (available && !b->ready && !b->ahead) {
		pool_give(reader->pool, empty(reader, b));
		list_add(&reader->free, b);
		return;
	}
	if (list == b->list)
		return;
	list_remove(b);
	if (list)
		list_add(list, b);
}

void block_pin(struct reader *reader, struct block *b)
{
	b->pins++;
	block_changed(reader, b);
}

void block_unpin(struct reader *reader, struct block *b)
{
	/* Who wanted something had it pinned. */
	if (--b->pins == 0 && b->wanted) {
		b->wanted = 0;
		whole_lost(reader, b);
	}
	block_changed(reader, b);
}

void block_want(struct reader *reader, struct block *b, parts_t parts)
{
	b->wanted |= parts & ~(b->ready | b->loading);
	b->ahead &= ~b->wanted;
	if (!b->wanted)
		return;
	block_changed(reader, b);
	fetch_wake(reader);
}

void block_want_ahead(struct reader *reader, struct block *b, parts_t parts)
{
	parts &= ~(b->ready | b->loading | b->wanted | b->ahead);
	if (!parts)
		return;
	b->ahead |= parts;
	block_changed(reader, b);
	fetch_wake(reader);
}

void block_clear(struct reader *reader, struct block *b)
{
	b->ready = b->wanted = b->ahead = 0;
	block_changed(reader, b);
}
