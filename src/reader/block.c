/*
 * Blocks: the unit of fetching, sharing and forgetting. Memory is a fixed array of slots, one for each buffer
 * of the reader's reservation, so nothing here grows with an artifact.
 *
 * Which extents form a block must follow from the extent table alone, without a list of blocks. The file is
 * cut into cells of one buffer; the extents that begin in one cell form one block, or, when they are longer
 * than a buffer together, two: all but the last (they end within the cell's length of its first) and the
 * last. With extents of exactly 1 MiB that is one extent a block; small ones are fetched together.
 *
 * A buffer is taken from the least recently used block that nobody needs. Blocks that read-ahead brought and
 * nobody has seen yet are spared while they are young, or two sequential readers would throw out each other's
 * next block for ever; a request that waits may take them all the same.
 */
#include "reader_private.h"

#include <keepfs/base/mem.h>

#include <assert.h>
#include <errno.h>

#define CELL_BYTES ((uint64_t)POOL_BUFFER_BYTES)

static uint64_t extents_span_bytes(const struct extents *x, size_t first, size_t last)
{
	return x->items[last].offset + x->items[last].length - x->items[first].offset;
}

struct span block_span(const struct extents *x, uint64_t offset)
{
	size_t here = extents_find(x, offset);
	uint64_t cell = x->items[here].offset / CELL_BYTES * CELL_BYTES;
	size_t first = extents_find(x, cell);
	size_t last = extents_find(x, cell + CELL_BYTES - 1);

	if (x->items[first].offset < cell)
		first++;
	if (last == x->count)
		last--;
	if (extents_span_bytes(x, first, last) > CELL_BYTES) {
		if (here == last)
			first = last;
		else
			last--;
	}
	return (struct span){.first = first,
	                     .count = last - first + 1,
	                     .offset = x->items[first].offset,
	                     .bytes = (size_t)extents_span_bytes(x, first, last)};
}

static void list_add(struct block_list *list, struct block *b)
{
	b->prev = list->last;
	b->next = NULL;
	*(list->last ? &list->last->next : &list->first) = b;
	list->last = b;
	list->count++;
}

static void list_remove(struct block_list *list, struct block *b)
{
	*(b->prev ? &b->prev->next : &list->first) = b->next;
	*(b->next ? &b->next->prev : &list->last) = b->prev;
	b->prev = b->next = NULL;
	list->count--;
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
}

void block_table_finish(struct reader *r)
{
	assert(r->free.count == r->block_count);
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

size_t block_available(const struct reader *r)
{
	return r->free.count + r->unpinned.count + r->ahead.count;
}

bool block_is_available(const struct block *b)
{
	return (b->state == BLOCK_READY && b->pins == 0) || (b->state == BLOCK_QUEUED && !b->demanded);
}

/* Is it unlikely that somebody will want @b soon? Age is counted in blocks made since, not in time. */
static bool is_expendable(const struct reader *r, const struct block *b)
{
	return b->used || r->tick - b->tick > r->block_count;
}

/* The slot to use next: free, or taken from the block that is needed least. */
static struct block *find_slot(struct reader *r, bool for_request)
{
	struct block *b = r->unpinned.first;

	if (r->free.first)
		return r->free.first;
	while (b && !is_expendable(r, b))
		b = b->next;
	if (!b && for_request)
		b = r->unpinned.first ? r->unpinned.first : r->ahead.last;
	return b;
}

static void leave_list(struct reader *r, struct block *b)
{
	if (b->state == BLOCK_FREE)
		list_remove(&r->free, b);
	else if (b->state == BLOCK_QUEUED)
		list_remove(b->demanded ? &r->demanded : &r->ahead, b);
	else if (b->state == BLOCK_READY && b->pins == 0)
		list_remove(&r->unpinned, b);
}

struct block *block_make(struct reader *r, struct artifact *a, const struct span *span, bool for_request)
{
	struct block *b = find_slot(r, for_request);
	struct block **at;
	char *buffer;

	if (!b)
		return NULL;
	leave_list(r, b);
	if (b->state != BLOCK_FREE)
		unhash(r, b);
	buffer = b->buffer ? b->buffer : pool_take(r->pool);
	at = bucket(r, a, span->first);
	*b = (struct block){
	        .artifact = a, .span = *span, .buffer = buffer, .tick = ++r->tick, .hash_next = *at};
	*at = b;
	return b;
}

void block_queue(struct reader *r, struct block *b, bool demanded)
{
	b->state = BLOCK_QUEUED;
	b->demanded = demanded;
	list_add(demanded ? &r->demanded : &r->ahead, b);
	pthread_cond_signal(&r->work);
}

void block_unqueue(struct reader *r, struct block *b)
{
	leave_list(r, b);
	b->state = BLOCK_LOADING;
	b->artifact->loading++;
}

void block_pin(struct reader *r, struct block *b)
{
	if (b->state == BLOCK_READY && b->pins == 0)
		list_remove(&r->unpinned, b);
	b->pins++;
	/* What read-ahead had queued is urgent now. */
	if (b->state == BLOCK_QUEUED && !b->demanded) {
		leave_list(r, b);
		block_queue(r, b, true);
	}
}

void block_unpin(struct reader *r, struct block *b)
{
	if (--b->pins > 0)
		return;
	if (b->state == BLOCK_READY)
		list_add(&r->unpinned, b);
	else if (b->state == BLOCK_QUEUED)
		block_drop(r, b);
}

void block_ready(struct reader *r, struct block *b)
{
	b->state = BLOCK_READY;
	if (b->pins == 0)
		list_add(&r->unpinned, b);
}

void block_drop(struct reader *r, struct block *b)
{
	assert(b->pins == 0 && b->state != BLOCK_FREE);
	leave_list(r, b);
	unhash(r, b);
	pool_give(r->pool, b->buffer);
	*b = (struct block){.state = BLOCK_FREE};
	list_add(&r->free, b);
}
