// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Cells: how the bytes of a file lie in the object that holds them when they are stored transformed, for
 * example encrypted. The object begins with some bytes of the transformation's own; behind them each cell of
 * the file has become a cell of the object, always of the same size, which can be made and undone without
 * the others. age's chunks of 64 KiB are cells of 65,536 bytes that are stored as 65,552. Pure; any thread.
 *
 * "Plain" bytes are those of the file, "stored" bytes those of the object. The last cell may be shorter, by
 * as many stored bytes as plain ones. An empty file has one empty cell, no other file has an empty one.
 */
#include <stdbool.h>
#include <stdint.h>

#define CELL_PLAIN_MIN_BYTES 4096

struct cells {
	uint32_t head_bytes;   /* stored before the first cell */
	uint32_t plain_bytes;  /* of a whole cell, at least CELL_PLAIN_MIN_BYTES */
	uint32_t stored_bytes; /* of a whole cell, at least plain_bytes */
};

/** cells_are_usable() - can they be written and read here? A piece of 1 MiB holds the head and enough whole
 * cells: those of 512 KiB of the file. */
bool cells_are_usable(const struct cells *c);
/** cells_stored_bytes() - the size of the object of a file of @plain bytes. */
uint64_t cells_stored_bytes(const struct cells *c, uint64_t plain);
/** cells_plain_bytes() - the size of the file whose object has @stored bytes; UINT64_MAX: no file's has. */
uint64_t cells_plain_bytes(const struct cells *c, uint64_t stored);
/** cells_covering_bytes() - the stored size of head and whole cells that hold @plain bytes; 0 for 0. */
uint64_t cells_covering_bytes(const struct cells *c, uint64_t plain);
/** cells_stored_offset() - where in the object the cell begins that holds the file's byte @plain. The head
 * belongs to the first cell: of that one it is 0. */
uint64_t cells_stored_offset(const struct cells *c, uint64_t plain);
/** cells_plain_offset() - where in the file the cell begins that begins at @stored; of the end of the object,
 * the end of the file. */
uint64_t cells_plain_offset(const struct cells *c, uint64_t stored);
/** cells_is_border() - does a cell begin at @stored, or did one end there? */
bool cells_is_border(const struct cells *c, uint64_t stored);
/** cells_unit_bytes() - the stored size of as few whole cells as make up an extent. */
uint32_t cells_unit_bytes(const struct cells *c);
/** cells_block_bytes() - the stored size of as many units as fit into 1 MiB with the head. */
uint32_t cells_block_bytes(const struct cells *c);
