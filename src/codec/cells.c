// SPDX-License-Identifier: Apache-2.0
/* Division and multiplication; what is worth a comment stands in the header. */
#include <keepfs/codec/cells.h>
#include <keepfs/codec/extents.h>

#define HALF_BLOCK_BYTES (EXTENT_MAX_BYTES / 2)

/* What a cell's stored bytes are more than its plain ones, that of a short cell, too. */
static uint32_t added_bytes(const struct cells *c)
{
	return c->stored_bytes - c->plain_bytes;
}

bool cells_are_usable(const struct cells *c)
{
	return c->plain_bytes >= CELL_PLAIN_MIN_BYTES && c->stored_bytes >= c->plain_bytes &&
	       c->stored_bytes <= EXTENT_MAX_BYTES && c->head_bytes <= EXTENT_MAX_BYTES &&
	       cells_block_bytes(c) / c->stored_bytes * c->plain_bytes >= HALF_BLOCK_BYTES;
}

uint64_t cells_stored_bytes(const struct cells *c, uint64_t plain)
{
	uint64_t count = plain == 0 ? 1 : (plain - 1) / c->plain_bytes + 1;

	return c->head_bytes + plain + count * added_bytes(c);
}

uint64_t cells_plain_bytes(const struct cells *c, uint64_t stored)
{
	uint64_t plain = cells_plain_offset(c, stored);

	return cells_stored_bytes(c, plain) == stored ? plain : UINT64_MAX;
}

uint64_t cells_covering_bytes(const struct cells *c, uint64_t plain)
{
	return plain == 0 ? 0 : c->head_bytes + ((plain - 1) / c->plain_bytes + 1) * c->stored_bytes;
}

uint64_t cells_stored_offset(const struct cells *c, uint64_t plain)
{
	uint64_t before = plain / c->plain_bytes;

	return before == 0 ? 0 : c->head_bytes + before * c->stored_bytes;
}

uint64_t cells_plain_offset(const struct cells *c, uint64_t stored)
{
	uint64_t behind_head = stored < c->head_bytes ? 0 : stored - c->head_bytes;
	uint64_t rest = behind_head % c->stored_bytes;

	return behind_head / c->stored_bytes * c->plain_bytes +
	       (rest > added_bytes(c) ? rest - added_bytes(c) : 0);
}

bool cells_is_border(const struct cells *c, uint64_t stored)
{
	return stored == 0 || (stored > c->head_bytes && (stored - c->head_bytes) % c->stored_bytes == 0);
}

uint32_t cells_unit_bytes(const struct cells *c)
{
	return (EXTENT_MIN_BYTES + c->stored_bytes - 1) / c->stored_bytes * c->stored_bytes;
}

uint32_t cells_block_bytes(const struct cells *c)
{
	uint32_t unit = cells_unit_bytes(c);

	return (EXTENT_MAX_BYTES - c->head_bytes) / unit * unit;
}
