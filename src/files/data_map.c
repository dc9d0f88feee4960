// SPDX-License-Identifier: Apache-2.0
#include "data_map.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define MOST_PIECES ((size_t)1 << 16)

static bool joins(const struct data_map *d, struct data_piece a, struct data_piece b)
{
	uint64_t hole = b.at - (a.at + a.bytes);

	return hole == 0 || hole < d->min_hole;
}

static void put_data_piece(struct data_map *d, struct data_piece e)
{
	struct data_piece *last = d->count > 0 ? &d->rows[d->count - 1] : NULL;

	if (last && joins(d, *last, e)) {
		last->bytes = e.at + e.bytes - last->at;
		return;
	}
	d->rows[d->count++] = e;
}

/* Doubles the size of what counts as a hole until a quarter is free. */
static void give_up_small_holes(struct data_map *d)
{
	while (d->count > MOST_PIECES / 4 * 3) {
		size_t count = d->count;

		d->min_hole = d->min_hole ? d->min_hole * 2 : 4096;
		d->count = 0;
		for (size_t i = 0; i < count; i++)
			put_data_piece(d, d->rows[i]);
	}
}

void data_map_add(struct data_map *d, struct data_piece e)
{
	if (d->count == MOST_PIECES)
		give_up_small_holes(d);
	if (d->count == d->room) {
		d->room = d->room ? d->room * 2 : 16;
		d->rows = mem_resize(d->rows, d->room, sizeof(*d->rows));
	}
	put_data_piece(d, e);
}

void data_map_find(struct data_map *d, int fd, uint64_t size)
{
	uint64_t at = 0;

	while (at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO) /* nothing but a hole up to the end */
			return;
		/* Whatever else is wrong shows when the bytes are read. */
		if (data < 0 || (uint64_t)data < at)
			data = (off_t)at;
		if ((uint64_t)data >= size)
			return;
		hole = lseek(fd, data, SEEK_HOLE);
		if (hole <= data || (uint64_t)hole > size)
			hole = (off_t)size;
		data_map_add(d, (struct data_piece){(uint64_t)data, (uint64_t)(hole - data)});
		at = (uint64_t)hole;
	}
}

uint64_t data_map_bytes(const struct data_map *d)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < d->count; i++)
		bytes += d->rows[i].bytes;
	return bytes;
}

void data_map_finish(struct data_map *d)
{
	free(d->rows);
}
