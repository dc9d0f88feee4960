// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Where a file has data: everything else is a hole, zeros that take no room and need not be read. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct data_piece {
	uint64_t at, bytes;
};

struct data_map { /* start with {0} */
	struct data_piece *rows;
	size_t count, room;
	uint64_t min_hole; /* smaller holes are taken for data */
};

/** data_map_add() - the next one, behind all others. Never holds more than 65536: smaller and smaller holes are given up. */
void data_map_add(struct data_map *d, struct data_piece e);
/** data_map_find() - ask the file system about @fd, of @size bytes. A file system that knows no holes has one piece. */
void data_map_find(struct data_map *d, int fd, uint64_t size);
uint64_t data_map_bytes(const struct data_map *d);
void data_map_finish(struct data_map *d);
