// SPDX-License-Identifier: Apache-2.0
/*
 * Slots in memory: found by a hash, kept in the order of their last use. A slot is in exactly one place:
 * never used (from `fresh` on), in the free list, in the list of the least recently used (ready, not pinned),
 * or with the threads that read, fill or empty it. So whoever takes the oldest can never take one whose bytes
 * are on their way to somebody.
 *
 * All zero bytes are an empty table. The memory comes from the system untouched, and is had as slots come
 * into use: a large limit on a small disk costs nothing.
 */
#include "cache_private.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

static void *map_zeroed(size_t bytes)
{
	void *p =
	        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

int slots_init(struct slots *s, uint32_t count)
{
	*s = (struct slots){.count = count, .bucket_count = 16};
	while (s->bucket_count < count)
		s->bucket_count *= 2;
	s->items = map_zeroed(count * sizeof(*s->items));
	s->buckets = map_zeroed(s->bucket_count * sizeof(*s->buckets));
	if (s->items && s->buckets)
		return 0;
	slots_finish(s);
	return -ENOMEM;
}

void slots_finish(struct slots *s)
{
	if (s->items)
		munmap(s->items, s->count * sizeof(*s->items));
	if (s->buckets)
		munmap(s->buckets, s->bucket_count * sizeof(*s->buckets));
	*s = (struct slots){0};
}

static struct slot *at(const struct slots *s, uint32_t number_plus_one)
{
	return number_plus_one ? &s->items[number_plus_one - 1] : NULL;
}

static uint32_t link_to(const struct slots *s, const struct slot *slot)
{
	return slots_number(s, slot) + 1;
}

static uint32_t *bucket_of_slot(const struct slots *s, const uint8_t id[static CACHE_ID_BYTES],
                                uint64_t offset)
{
	uint64_t h;

	memcpy(&h, id, sizeof(h));
	h = (h ^ offset) * UINT64_C(0x9E3779B97F4A7C15);
	h = (h ^ (h >> 32)) * UINT64_C(0x9E3779B97F4A7C15);
	return &s->buckets[(h >> 32) & (s->bucket_count - 1)];
}

struct slot *slots_find(const struct slots *s, const struct cache_piece *piece)
{
	struct slot *slot = at(s, *bucket_of_slot(s, piece->id, piece->offset));

	while (slot && (slot->offset != piece->offset || slot->bytes != piece->bytes ||
	                memcmp(slot->id, piece->id, CACHE_ID_BYTES) != 0))
		slot = at(s, slot->hash_next);
	return slot;
}

void slots_set(struct slots *s, struct slot *slot, const struct cache_piece *piece, enum slot_state state)
{
	uint32_t *first = bucket_of_slot(s, piece->id, piece->offset);

	*slot = (struct slot){.offset = piece->offset,
	                      .bytes = piece->bytes,
	                      .tick = ++s->tick,
	                      .hash_next = *first,
	                      .state = (uint8_t)state};
	memcpy(slot->id, piece->id, CACHE_ID_BYTES);
	*first = link_to(s, slot);
	s->used++;
	s->used_bytes += piece->bytes;
}

void slots_unset(struct slots *s, struct slot *slot)
{
	uint32_t *link = bucket_of_slot(s, slot->id, slot->offset);

	while (*link != link_to(s, slot))
		link = &at(s, *link)->hash_next;
	*link = slot->hash_next;
	slot->hash_next = 0;
	s->used--;
	s->used_bytes -= slot->bytes;
}

void slots_lru_add(struct slots *s, struct slot *slot)
{
	struct slot *last = at(s, s->lru_last);

	slot->prev = s->lru_last;
	slot->next = 0;
	s->lru_last = link_to(s, slot);
	*(last ? &last->next : &s->lru_first) = s->lru_last;
}

void slots_lru_remove(struct slots *s, struct slot *slot)
{
	struct slot *prev = at(s, slot->prev), *next = at(s, slot->next);

	*(prev ? &prev->next : &s->lru_first) = slot->next;
	*(next ? &next->prev : &s->lru_last) = slot->prev;
	slot->prev = slot->next = 0;
}

struct slot *slots_take_free(struct slots *s)
{
	struct slot *slot = at(s, s->free_first);

	if (slot)
		s->free_first = slot->next;
	else if (s->fresh < s->count)
		slot = &s->items[s->fresh++];
	return slot;
}

struct slot *slots_take_oldest(struct slots *s, uint32_t *ret_bytes)
{
	struct slot *slot = at(s, s->lru_first);

	if (!slot)
		return NULL;
	assert(slot->state == SLOT_READY && slot->pins == 0);
	*ret_bytes = slot->bytes;
	slots_lru_remove(s, slot);
	slots_unset(s, slot);
	return slot;
}

void slots_give(struct slots *s, struct slot *slot)
{
	*slot = (struct slot){.next = s->free_first};
	s->free_first = link_to(s, slot);
}
