// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The rows of a table as CSV, at any place. Rows are turned into CSV one behind the other, so a place is reached from the last
 * place behind the end of a row that is known; the first way there knows only the beginning. One thread at a time.
 */
#include <keepfs/inside.h>

struct inside_csv;

#define INSIDE_CSV_BLOCK_BYTES (UINT64_C(1) << 20)
#define INSIDE_CSV_PLACES_MAX  1024

/** inside_csv_new() - of table @number of @dump (borrowed until it is freed); @block_bytes: how far places are apart at first, in the rows: INSIDE_CSV_BLOCK_BYTES, but for tests.
 * Return: 0; as inside_table(), and -EBADMSG. */
int inside_csv_new(struct inside_dump *dump, uint32_t number, uint64_t block_bytes, struct inside_csv **ret,
                   struct error *err);
/** inside_csv_take_kept() - begin with the places that the library has kept; before it is read, or not at all. */
void inside_csv_take_kept(struct inside_csv *c);
struct inside_csv *inside_csv_free(struct inside_csv *c); /* NULL allowed; returns NULL */
/** inside_csv_pread() - as inside_pread(), of the CSV. */
ssize_t inside_csv_pread(struct inside_csv *c, struct cancel *cancel, void *buf, size_t len, uint64_t offset,
                         struct error *err);
/** inside_csv_pread_is_long() - would that take as long as reading a large part of the table? Does not block. */
bool inside_csv_pread_is_long(const struct inside_csv *c, uint64_t offset);
/** inside_csv_measure() - how long it is: reads all rows. Return: 0; as inside_read_rows(). */
int inside_csv_measure(struct inside_dump *dump, uint32_t number, struct cancel *cancel, uint64_t *ret,
                       struct error *err);
