// SPDX-License-Identifier: Apache-2.0
/*
 * The calls. One lock guards what is in which slot; no I/O is done with it. Whoever reads a slot pins it,
 * whoever fills or empties one has it alone (SLOT_FILLING, SLOT_LEAVING), so bytes that are on their way to a
 * reader are never another piece's. What is forgotten while somebody uses it cannot be found from then on,
 * and is emptied by the last who does.
 *
 * A free slot is empty on the disk, and one that holds a piece has no more than that piece's bytes: nothing
 * of a deleted backup is left in corners. On the disk a record is cleared before its slot gets other bytes,
 * and written when they are there.
 *
 * A disk that fails is tried again after 1, 2, 4, … calls that do nothing, so that a dying one cannot hold up
 * every read. A full one is not grown into: the oldest piece makes room instead.
 */
#include "cache_private.h"

#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define WRITERS_MAX   4    /* more would only wait for the disk, and for one another */
#define SKIP_MAX      1024 /* calls that are not tried after failures in a row */
#define REFRESH_PART  8    /* a record's tick is written anew when it is off by this part of the slots */
#define FORGET_CHUNK  64
#define SCAN_CHUNK    ((uint32_t)16384) /* slots that are looked at with the lock held */
#define WRITTEN_SLOTS 8                 /* most recently filled: the disk is given time to take them */

struct backoff {
	unsigned skip;  /* calls still to be left out */
	unsigned width; /* how many were, the last time */
};

struct cache {
	struct disk disk;
	pthread_mutex_t lock; /* for all that follows */
	struct slots slots;
	struct backoff reading, writing, growing;
	unsigned writers;
	uint32_t written[WRITTEN_SLOTS]; /* a ring */
	unsigned written_count;
	struct cache_stats stats; /* but for what slots and disk know */
};

static bool backoff_may(struct backoff *b)
{
	if (b->skip == 0)
		return true;
	b->skip--;
	return false;
}

static void backoff_note(struct backoff *b, bool worked)
{
	if (worked)
		b->width = 0;
	else if (b->width < SKIP_MAX)
		b->width = b->width ? 2 * b->width : 1;
	b->skip = b->width;
}

int cache_open(const char *dir, uint64_t max_bytes, struct cache **ret_cache, struct error *err)
{
	uint64_t count = max_bytes / CACHE_SLOT_BYTES;
	struct cache *c;
	int r;

	if (count < 1 || count >= UINT32_MAX)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the disk cache in %s cannot have %llu bytes: from 1 MiB to 4 PiB is possible", dir,
		        (unsigned long long)max_bytes);
	c = mem_alloc(sizeof(*c));
	r = disk_open(&c->disk, dir, err);
	if (r < 0) {
		free(c);
		return r;
	}
	pthread_mutex_init(&c->lock, NULL);
	c->stats.max_bytes = count * CACHE_SLOT_BYTES;
	r = slots_init(&c->slots, (uint32_t)count);
	if (r < 0)
		error_system(err, -r, "no memory for a disk cache of %llu bytes in %s",
		             (unsigned long long)max_bytes, dir);
	else
		r = table_load(&c->disk, &c->slots, err);
	if (r < 0) {
		cache_free(c);
		return r;
	}
	*ret_cache = c;
	return 0;
}

struct cache *cache_free(struct cache *c)
{
	if (!c)
		return NULL;
	if (c->slots.items && !disk_check_gone(&c->disk))
		table_save(&c->disk, &c->slots);
	slots_finish(&c->slots);
	disk_close(&c->disk);
	pthread_mutex_destroy(&c->lock);
	free(c);
	return NULL;
}

static struct table_entry entry_of(const struct slot *slot)
{
	struct table_entry entry = {.piece = {.offset = slot->offset, .bytes = slot->bytes},
	                            .tick = slot->tick};

	memcpy(entry.piece.id, slot->id, CACHE_ID_BYTES);
	return entry;
}

/* Empty a slot that is SLOT_LEAVING; all of it, since blocks that are emptied in part stay. Without the
 * lock. */
static void empty_slot(struct cache *c, struct slot *slot)
{
	uint32_t number = slots_number(&c->slots, slot);

	table_clear(&c->disk, number);
	disk_empty(&c->disk, (uint64_t)number * CACHE_SLOT_BYTES, CACHE_SLOT_BYTES);
	pthread_mutex_lock(&c->lock);
	slots_give(&c->slots, slot);
	pthread_mutex_unlock(&c->lock);
}

/* It can be found no more. Return: true: nobody uses it, and the caller is to empty it. With the lock. */
static bool forget_slot(struct cache *c, struct slot *slot)
{
	slots_unset(&c->slots, slot);
	slot->forgotten = true;
	if (slot->state == SLOT_FILLING || slot->pins > 0)
		return false;
	slots_lru_remove(&c->slots, slot);
	slot->state = SLOT_LEAVING;
	return true;
}

/* Find and pin; @ret_entry is what its record should say, when that is worth writing (else its bytes are
 * 0). */
static struct slot *pin(struct cache *c, const struct cache_piece *piece, struct table_entry *ret_entry)
{
	struct slot *slot;

	*ret_entry = (struct table_entry){0};
	pthread_mutex_lock(&c->lock);
	slot = slots_find(&c->slots, piece);
	if (slot && (slot->state != SLOT_READY || !backoff_may(&c->reading)))
		slot = NULL;
	if (slot) {
		if (slot->pins++ == 0)
			slots_lru_remove(&c->slots, slot);
		slot->tick = ++c->slots.tick;
		if ((uint32_t)slot->tick - slot->stored > c->slots.count / REFRESH_PART) {
			slot->stored = (uint32_t)slot->tick;
			*ret_entry = entry_of(slot);
		}
	} else {
		c->stats.misses++;
	}
	pthread_mutex_unlock(&c->lock);
	return slot;
}

/* @bytes of it were read; 0: the disk failed. */
static void unpin(struct cache *c, struct slot *slot, uint64_t bytes)
{
	bool empty = false, worked = bytes > 0;

	pthread_mutex_lock(&c->lock);
	backoff_note(&c->reading, worked);
	if (worked) {
		c->stats.hits++;
		c->stats.hit_bytes += bytes;
	} else {
		c->stats.misses++;
	}
	if (!worked && !slot->forgotten)
		forget_slot(c, slot);
	if (--slot->pins == 0) {
		empty = slot->forgotten;
		if (empty)
			slot->state = SLOT_LEAVING;
		else
			slots_lru_add(&c->slots, slot);
	}
	pthread_mutex_unlock(&c->lock);
	if (empty)
		empty_slot(c, slot);
}

bool cache_read(struct cache *c, const struct cache_piece *piece, uint32_t skip, const struct iovec *iov,
                int count)
{
	struct table_entry entry;
	struct slot *slot;
	uint32_t number;
	bool worked;

	if (atomic_load(&c->disk.gone))
		return false;
	slot = pin(c, piece, &entry);
	if (!slot)
		return false;
	number = slots_number(&c->slots, slot);
	worked = disk_read(&c->disk, number, skip, iov, count) == 0;
	if (worked && entry.piece.bytes > 0)
		table_write(&c->disk, number, &entry);
	unpin(c, slot, worked ? iov_bytes(iov, count) : 0);
	return worked;
}

/* A slot for @piece, or NULL. @ret_old: the bytes of the piece that has to go from it, or 0. */
static struct slot *begin_write(struct cache *c, const struct cache_piece *piece,
                                struct table_entry *ret_entry, uint32_t *ret_old)
{
	struct slot *slot = NULL;

	*ret_old = 0;
	pthread_mutex_lock(&c->lock);
	if (c->writers < WRITERS_MAX && !slots_find(&c->slots, piece) && backoff_may(&c->writing)) {
		if (backoff_may(&c->growing))
			slot = slots_take_free(&c->slots);
		if (!slot)
			slot = slots_take_oldest(&c->slots, ret_old);
	}
	if (slot) {
		c->writers++;
		c->stats.evictions += *ret_old > 0;
		slots_set(&c->slots, slot, piece, SLOT_FILLING);
		slot->stored = (uint32_t)slot->tick;
		*ret_entry = entry_of(slot);
	}
	pthread_mutex_unlock(&c->lock);
	return slot;
}

static int fill_slots(struct cache *c, uint32_t number, const struct table_entry *entry,
                      const struct iovec *iov, int count, uint32_t old_bytes)
{
	uint32_t bytes = entry->piece.bytes;
	int r = old_bytes ? table_clear(&c->disk, number) : 0;

	if (r == 0)
		r = disk_write(&c->disk, number, iov, count, bytes);
	if (r == 0 && bytes < old_bytes)
		disk_empty(&c->disk, (uint64_t)number * CACHE_SLOT_BYTES + bytes, old_bytes - bytes);
	return r < 0 ? r : table_write(&c->disk, number, entry);
}

/* Remember that @number was filled; the slot that was filled some time ago, or @number when there is none. */
static uint32_t note_written(struct cache *c, uint32_t number)
{
	uint32_t *at = &c->written[c->written_count % WRITTEN_SLOTS];
	uint32_t before = c->written_count++ < WRITTEN_SLOTS ? number : *at;

	*at = number;
	return before;
}

static void end_write(struct cache *c, struct slot *slot, int r, uint32_t old_bytes)
{
	uint32_t number = slots_number(&c->slots, slot), drop = number, bytes = slot->bytes;
	bool empty;

	pthread_mutex_lock(&c->lock);
	c->writers--;
	backoff_note(disk_is_full(r) ? &c->growing : &c->writing, r == 0);
	if (r == 0 && old_bytes == 0)
		backoff_note(&c->growing, true);
	if (r < 0 && !slot->forgotten)
		forget_slot(c, slot);
	empty = slot->forgotten;
	if (empty) {
		slot->state = SLOT_LEAVING;
	} else {
		slot->state = SLOT_READY;
		slots_lru_add(&c->slots, slot);
		c->stats.written_bytes += bytes;
		drop = note_written(c, number);
	}
	pthread_mutex_unlock(&c->lock);
	if (empty)
		empty_slot(c, slot);
	else if (drop != number)
		disk_drop(&c->disk, drop);
}

void cache_write(struct cache *c, const struct cache_piece *piece, const struct iovec *iov, int count)
{
	struct table_entry entry;
	uint32_t old_bytes;
	struct slot *slot;
	int r;

	assert(piece->bytes > 0 && piece->bytes <= CACHE_SLOT_BYTES);
	if (disk_check_gone(&c->disk))
		return;
	slot = begin_write(c, piece, &entry, &old_bytes);
	if (!slot)
		return;
	r = fill_slots(c, slots_number(&c->slots, slot), &entry, iov, count, old_bytes);
	end_write(c, slot, r, old_bytes);
}

void cache_forget(struct cache *c, const struct cache_piece *piece)
{
	struct slot *slot;
	bool empty;

	pthread_mutex_lock(&c->lock);
	slot = slots_find(&c->slots, piece);
	c->stats.wrong += slot != NULL;
	empty = slot && forget_slot(c, slot);
	pthread_mutex_unlock(&c->lock);
	if (empty)
		empty_slot(c, slot);
}

/* From slot *@at on, forget those of @id; stops when @list is full. Return: how many are to be emptied. */
static unsigned forget_some(struct cache *c, const uint8_t *id, uint32_t *at, struct slot **list)
{
	struct slots *s = &c->slots;
	unsigned count = 0;

	pthread_mutex_lock(&c->lock);
	for (uint32_t end = *at + SCAN_CHUNK; *at < s->fresh && *at < end && count < FORGET_CHUNK; ++*at) {
		struct slot *slot = &s->items[*at];

		if ((slot->state != SLOT_READY && slot->state != SLOT_FILLING) || slot->forgotten ||
		    memcmp(slot->id, id, CACHE_ID_BYTES) != 0)
			continue;
		if (forget_slot(c, slot))
			list[count++] = slot;
	}
	if (*at >= s->fresh)
		*at = UINT32_MAX;
	pthread_mutex_unlock(&c->lock);
	return count;
}

void cache_forget_file(struct cache *c, const uint8_t id[static CACHE_ID_BYTES])
{
	struct slot *list[FORGET_CHUNK];

	for (uint32_t at = 0; at != UINT32_MAX;) {
		unsigned count = forget_some(c, id, &at, list);

		for (unsigned i = 0; i < count; i++)
			empty_slot(c, list[i]);
	}
}

void cache_stats(struct cache *c, struct cache_stats *ret)
{
	bool gone = atomic_load(&c->disk.gone);

	pthread_mutex_lock(&c->lock);
	*ret = c->stats;
	ret->used_bytes = gone ? 0 : c->slots.used_bytes;
	ret->pieces = gone ? 0 : c->slots.used;
	pthread_mutex_unlock(&c->lock);
	ret->failures = atomic_load(&c->disk.failures);
}
