// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * More than fits into memory, in order: records of any length are taken in any order, and come back sorted. So many bytes as SORT_MEMORY_BYTES are in memory; what goes beyond is in runs,
 * each sorted, in an unlinked file. One thread at a time.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>

#define SORT_MEMORY_BYTES ((size_t)4 << 20)

struct sorter;
/** sorter_new() - @directory: for that file (copied); @compare: of two records, as qsort() has it. */
struct sorter *sorter_new(const char *directory, int (*compare)(const void *a, const void *b));
struct sorter *sorter_free(struct sorter *s); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(sorter, struct sorter *, sorter_free)
/** sorter_add() - @head and @tail, one behind the other, are a record; it is aligned as a struct is. Negative errno: the file could not be written. */
int sorter_add(struct sorter *s, const void *head, size_t head_len, const void *tail, size_t tail_len,
               struct error *err);
/** sorter_end() - all came. */
int sorter_end(struct sorter *s, struct error *err);
/** sorter_next() - 1 and the next record, borrowed until the next call; 0: that were all; negative errno. */
int sorter_next(struct sorter *s, const void **ret_record, struct error *err);
