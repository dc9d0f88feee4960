// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What making and reading the index of a segment share. */
#include <keepfs/codec/wal_index.h>

#define WAL_INDEX_FORMAT "keepfs-wal"
/* The year 10000, which cannot be written. */
#define WAL_INDEX_TIME_END (INT64_C(253402300800) * 1000000)

/* wal_index_room() - room for one more behind @count. */
void *wal_index_room(void *items, size_t count, size_t item_bytes);
