// SPDX-License-Identifier: Apache-2.0
#pragma once
/* An integer as archives hold it: the byte of its sign, and 4 bytes of its magnitude, the low one first.
 * Source: pg_backup_archiver.c (WriteInt). */
#include <stdint.h>

#define PG_ARCHIVE_INT_BYTES 5

static inline void pg_archive_put_int(uint8_t buf[static PG_ARCHIVE_INT_BYTES], int value)
{
	uint32_t magnitude = value < 0 ? 0U - (uint32_t)value : (uint32_t)value;

	buf[0] = value < 0;
	for (unsigned i = 0; i < 4; i++)
		buf[1 + i] = (uint8_t)(magnitude >> (8 * i));
}
