// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The disk cache's own: slots in memory (slots.c), the two files (disk.c), their table (table.c). */
#include <keepfs/cache.h>
#include <pthread.h>
#include <stdatomic.h>

enum slot_state {
	SLOT_FREE,    /* nothing in it; its place on the disk is empty */
	SLOT_FILLING, /* being written by one thread; can be found, but not read */
	SLOT_READY,   /* holds its piece */
	SLOT_LEAVING, /* being emptied by one thread */
};

/** struct slot - numbers of other slots are kept plus one: 0 is none, so zeroed memory is a table. */
struct slot {
	uint8_t id[CACHE_ID_BYTES];
	uint64_t offset;
	uint64_t tick;   /* of its last use */
	uint32_t bytes;  /* 0: holds nothing */
	uint32_t stored; /* the tick in its record on the disk, cut to 32 bits */
	uint32_t hash_next, prev, next;
	uint16_t pins;  /* threads that read it */
	uint8_t state;  /* enum slot_state */
	bool forgotten; /* cannot be found any more; the last thread that uses it empties it */
};

/** struct slots - what is in which slot. Guarded by the cache's lock. */
struct slots {
	struct slot *items;
	uint32_t *buckets;
	uint32_t count, bucket_count; /* bucket_count: a power of two */
	uint32_t fresh;               /* slots from this one on were never used */
	uint32_t free_first;
	uint32_t lru_first, lru_last; /* ready ones that nobody reads, least recently used first */
	uint32_t used;                /* hold a piece */
	uint64_t used_bytes;
	uint64_t tick;
};

/** slots_init() - @count empty slots; memory is taken as they come into use. Return: 0; -ENOMEM. */
int slots_init(struct slots *s, uint32_t count);
void slots_finish(struct slots *s);
static inline uint32_t slots_number(const struct slots *s, const struct slot *slot)
{
	return (uint32_t)(slot - s->items);
}
/** slots_find() - the slot that holds, or will hold, @piece; NULL. */
struct slot *slots_find(const struct slots *s, const struct cache_piece *piece);
/** slots_take_free() - a slot that is empty, now in no list; NULL when there is none. */
struct slot *slots_take_free(struct slots *s);
/** slots_take_oldest() - the least recently used one, without its piece; *@ret_bytes are still on the disk.
 * NULL when there is none. */
struct slot *slots_take_oldest(struct slots *s, uint32_t *ret_bytes);
/** slots_give() - to the free ones. */
void slots_give(struct slots *s, struct slot *slot);
/** slots_set() - @slot will hold @piece, and can be found. */
void slots_set(struct slots *s, struct slot *slot, const struct cache_piece *piece, enum slot_state state);
/** slots_unset() - it cannot be found any more, and is none of the used. */
void slots_unset(struct slots *s, struct slot *slot);
void slots_lru_add(struct slots *s, struct slot *slot);
void slots_lru_remove(struct slots *s, struct slot *slot);

enum disk_work { DISK_READ, DISK_WRITE, DISK_TABLE, DISK_EMPTY };

struct disk {
	char *dir;
	int data_fd, table_fd;
	atomic_uint told;       /* troubles that are in the log: a bit for each work and kind */
	atomic_ullong failures; /* troubles */
	atomic_bool gone;       /* the files were deleted: nothing is done any more */
};

/** disk_open() - directory and files, locked. Return: 0; -EBUSY; -errno. */
int disk_open(struct disk *d, const char *dir, struct error *err);
void disk_close(struct disk *d);
/** disk_trouble() - count, and tell the first of its kind; returns @r. */
int disk_trouble(struct disk *d, enum disk_work work, int r);
/** disk_is_full() - is @r of the kind that smaller or other writes could avoid? */
bool disk_is_full(int r);
/** disk_check_gone() - look whether the files still have names; when not, give their space back. */
bool disk_check_gone(struct disk *d);
/* Slots. 0 or a negative errno that was told; -ENODATA: the file was cut. @skip: bytes of the slot before
 * those. */
int disk_read(struct disk *d, uint32_t slot, uint32_t skip, const struct iovec *iov, int count);
int disk_write(struct disk *d, uint32_t slot, const struct iovec *iov, int count, uint32_t bytes);
int disk_empty(struct disk *d, uint64_t offset, uint64_t bytes);
/** disk_drop() - the system need not keep the slot in memory. */
void disk_drop(struct disk *d, uint32_t slot);

/** struct table_entry - what a record on the disk says. */
struct table_entry {
	struct cache_piece piece;
	uint64_t tick;
};

/** table_load() - fill @s from the disk; what makes no sense is dropped, and begun anew when all makes none.
 * Return: 0; -errno when not even an empty table can be made. */
int table_load(struct disk *d, struct slots *s, struct error *err);
int table_write(struct disk *d, uint32_t slot, const struct table_entry *entry);
int table_clear(struct disk *d, uint32_t slot);
/** table_save() - write those records whose tick is old. */
void table_save(struct disk *d, struct slots *s);
