// SPDX-License-Identifier: Apache-2.0
/*
 * The table on the disk: a header, then a record of the same size for each slot, little-endian, each with a
 * CRC-32C of its own that covers the slot's number too. A record that is damaged, was written by half, or
 * stands in another slot's place is dropped alone. All zero bytes are an empty slot. Whether the bytes in the
 * slot are those of the piece is not said here: whoever reads them checks them.
 */
#include "cache_private.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <endian.h>
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>

#define TABLE_MAGIC   "keepfs-c"
#define TABLE_VERSION 1
#define RECORD_BYTES  ((size_t)64)
#define CHUNK         ((uint32_t)1024) /* records that are read or written together */
#define PAGE          UINT64_C(4096)

struct header {
	char magic[8];
	uint32_t version, record_bytes;
	uint64_t slot_bytes, slots;
	uint8_t zero[28];
	uint32_t check;
};
_Static_assert(sizeof(struct header) == RECORD_BYTES, "the header has the size of a record");
_Static_assert(sizeof(TABLE_MAGIC) - 1 == sizeof(((struct header *)0)->magic), "the magic fills its field");
_Static_assert(offsetof(struct header, version) == 8 && offsetof(struct header, slot_bytes) == 16 &&
                       offsetof(struct header, slots) == 24 && offsetof(struct header, check) == 60,
               "the header is as docs/formats.md says");
_Static_assert(CACHE_SLOT_BYTES == 1 << 20, "a slot is 1 MiB: another size is another TABLE_VERSION");

struct record {
	uint8_t id[CACHE_ID_BYTES];
	uint64_t offset, tick;
	uint32_t bytes, zero[2];
	uint32_t check;
};
_Static_assert(sizeof(struct record) == RECORD_BYTES, "a record has no gaps");
_Static_assert(offsetof(struct record, offset) == 32 && offsetof(struct record, tick) == 40 &&
                       offsetof(struct record, bytes) == 48 && offsetof(struct record, check) == 60,
               "a record is as docs/formats.md says");

static const struct record empty_record;

static off_t record_place(uint32_t slot)
{
	return ((off_t)slot + 1) * (off_t)RECORD_BYTES;
}

static struct header make_header(uint32_t slots)
{
	struct header h = {.magic = TABLE_MAGIC,
	                   .version = htole32(TABLE_VERSION),
	                   .record_bytes = htole32(RECORD_BYTES),
	                   .slot_bytes = htole64(CACHE_SLOT_BYTES),
	                   .slots = htole64(slots)};

	h.check = htole32(crc32c(0, &h, offsetof(struct header, check)));
	return h;
}

static uint32_t record_check(uint32_t slot, const struct record *rec)
{
	uint32_t number = htole32(slot);

	return htole32(crc32c(crc32c(0, &number, sizeof(number)), rec, offsetof(struct record, check)));
}

static void encode(struct record *rec, uint32_t slot, const uint8_t *id, uint64_t offset, uint32_t bytes,
                   uint64_t tick)
{
	*rec = (struct record){.offset = htole64(offset), .tick = htole64(tick), .bytes = htole32(bytes)};
	memcpy(rec->id, id, CACHE_ID_BYTES);
	rec->check = record_check(slot, rec);
}

static bool decode(const struct record *rec, uint32_t slot, struct table_entry *ret)
{
	if (rec->check != record_check(slot, rec))
		return false;
	memcpy(ret->piece.id, rec->id, CACHE_ID_BYTES);
	ret->piece.offset = le64toh(rec->offset);
	ret->piece.bytes = le32toh(rec->bytes);
	ret->tick = le64toh(rec->tick);
	return ret->piece.bytes > 0 && ret->piece.bytes <= CACHE_SLOT_BYTES;
}

static int put_record(struct disk *d, const void *data, size_t len, off_t offset)
{
	int r = fd_pwrite_all(d->table_fd, data, len, offset);

	return r < 0 ? disk_trouble(d, DISK_TABLE, r) : 0;
}

int table_write(struct disk *d, uint32_t slot, const struct table_entry *entry)
{
	struct record rec;

	encode(&rec, slot, entry->piece.id, entry->piece.offset, entry->piece.bytes, entry->tick);
	return put_record(d, &rec, sizeof(rec), record_place(slot));
}

int table_clear(struct disk *d, uint32_t slot)
{
	return put_record(d, &empty_record, sizeof(empty_record), record_place(slot));
}

void table_save(struct disk *d, struct slots *s)
{
	_cleanup(free) struct record *records = mem_array(CHUNK, sizeof(*records));

	for (uint32_t first = 0; first < s->fresh; first += CHUNK) {
		uint32_t count = s->fresh - first < CHUNK ? s->fresh - first : CHUNK;
		bool old = false;

		memset(records, 0, count * sizeof(*records));
		for (uint32_t i = 0; i < count; i++) {
			const struct slot *slot = &s->items[first + i];

			if (slot->state != SLOT_READY)
				continue;
			encode(&records[i], first + i, slot->id, slot->offset, slot->bytes, slot->tick);
			old = old || slot->stored != (uint32_t)slot->tick;
		}
		if (old && put_record(d, records, count * sizeof(*records), record_place(first)) < 0)
			return;
	}
}

static int begin_anew(struct disk *d, uint32_t slots, struct error *err)
{
	struct header h = make_header(slots);

	if (ftruncate(d->data_fd, 0) < 0 || ftruncate(d->table_fd, 0) < 0)
		return error_system(err, errno, "cannot empty the disk cache in %s", d->dir);
	/* A full disk is no reason not to start: until it has space the cache is not kept over a restart. */
	(void)put_record(d, &h, sizeof(h), 0);
	return 0;
}

/* Is the table one of this size and version? Says why not. */
static bool header_fits(struct disk *d, uint32_t slots)
{
	struct header want = make_header(slots), have = {0};
	int r = fd_pread_full(d->table_fd, &have, sizeof(have), 0);
	const char *why = "its table is damaged";

	if (r == 0 && memcmp(&have, &want, sizeof(have)) == 0)
		return true;
	if (r == 0 && have.check == htole32(crc32c(0, &have, offsetof(struct header, check))) &&
	    memcmp(have.magic, want.magic, sizeof(have.magic)) == 0)
		why = have.version == want.version ? "it has another size now"
		                                   : "another version of keepfs made it";
	log_info("the disk cache in %s is begun anew: %s", d->dir, why);
	return false;
}

/* Take a record over, if it makes sense and its bytes can be there. */
static bool adopt(struct slots *s, uint32_t number, const struct record *rec, uint64_t data_bytes)
{
	struct table_entry entry;
	struct slot *slot = &s->items[number];

	if (!decode(rec, number, &entry) || slots_find(s, &entry.piece) ||
	    (uint64_t)number * CACHE_SLOT_BYTES + entry.piece.bytes > data_bytes)
		return false;
	slots_set(s, slot, &entry.piece, SLOT_READY);
	slot->tick = entry.tick;
	slot->stored = (uint32_t)entry.tick;
	s->fresh = number + 1;
	return true;
}

/* Return: how many records were dropped; the disk's errors end the table where they are. */
static uint32_t load_records(struct disk *d, struct slots *s, uint64_t table_bytes, uint64_t data_bytes)
{
	_cleanup(free) struct record *records = mem_array(CHUNK, sizeof(*records));
	uint64_t in_file = table_bytes / RECORD_BYTES - 1;
	uint32_t total = in_file < s->count ? (uint32_t)in_file : s->count, dropped = 0;

	for (uint32_t first = 0; first < total; first += CHUNK) {
		uint32_t count = total - first < CHUNK ? total - first : CHUNK;
		int r = fd_pread_full(d->table_fd, records, count * sizeof(*records), record_place(first));

		if (r < 0) {
			disk_trouble(d, DISK_READ, r);
			break;
		}
		for (uint32_t i = 0; i < count; i++) {
			if (memcmp(&records[i], &empty_record, sizeof(empty_record)) == 0 ||
			    adopt(s, first + i, &records[i], data_bytes))
				continue;
			dropped++;
			table_clear(d, first + i);
		}
	}
	return dropped;
}

static int by_tick(const void *a, const void *b, void *arg)
{
	const struct slot *items = arg, *x = &items[*(const uint32_t *)a], *y = &items[*(const uint32_t *)b];

	return (x->tick > y->tick) - (x->tick < y->tick);
}

static void order(struct slots *s)
{
	_cleanup(free) uint32_t *numbers = mem_array(s->used + 1, sizeof(*numbers));
	uint32_t count = 0;

	for (uint32_t i = s->fresh; i-- > 0;) {
		if (s->items[i].state == SLOT_READY)
			numbers[count++] = i;
		else
			slots_give(s, &s->items[i]);
	}
	qsort_r(numbers, count, sizeof(*numbers), by_tick, s->items);
	for (uint32_t i = 0; i < count; i++)
		slots_lru_add(s, &s->items[numbers[i]]);
	s->tick = count ? s->items[numbers[count - 1]].tick : 0;
}

/* What no record speaks of was left by a crash, and may be of a backup that was deleted. */
static int empty_rest(struct disk *d, const struct slots *s, uint64_t data_bytes, struct error *err)
{
	uint64_t end = 0; /* of the last piece */

	for (uint32_t i = 0; i < s->fresh; i++) {
		const struct slot *slot = &s->items[i];
		uint64_t start = (uint64_t)i * CACHE_SLOT_BYTES;

		if (slot->state != SLOT_READY)
			continue;
		/* Whole pages only: to zero a part of one would have to read it. */
		end = (end + PAGE - 1) / PAGE * PAGE;
		if (end < start && disk_empty(d, end, start - end) < 0)
			break;
		end = start + slot->bytes;
	}
	end = s->fresh ? (uint64_t)(s->fresh - 1) * CACHE_SLOT_BYTES + s->items[s->fresh - 1].bytes : 0;
	if ((end < data_bytes && ftruncate(d->data_fd, (off_t)end) < 0) ||
	    ftruncate(d->table_fd, record_place(s->fresh)) < 0)
		return error_system(err, errno, "cannot shorten the disk cache in %s", d->dir);
	return 0;
}

int table_load(struct disk *d, struct slots *s, struct error *err)
{
	struct stat data, table;
	uint32_t dropped;

	if (fstat(d->data_fd, &data) < 0 || fstat(d->table_fd, &table) < 0)
		return error_system(err, errno, "cannot look at the disk cache in %s", d->dir);
	if (table.st_size == 0 || !header_fits(d, s->count))
		return begin_anew(d, s->count, err);
	dropped = load_records(d, s, (uint64_t)table.st_size, (uint64_t)data.st_size);
	order(s);
	if (dropped > 0)
		log_info(
		        "the disk cache in %s: %u of its pieces were dropped, because their records or places are damaged",
		        d->dir, dropped);
	return empty_rest(d, s, (uint64_t)data.st_size, err);
}
