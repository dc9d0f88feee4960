// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which rows of two tables have no equal in the other one: the difference of two multisets, by the digests of their rows, in memory that
 * does not grow with them.
 *
 *   unmatched_new()
 *   unmatched_add()       each row of both, in any order; faster when equal rows come soon after one another
 *   unmatched_settle()    once, when all were added
 *   unmatched_count(), unmatched_has()
 *
 * Records are gathered in memory. When that is full they are sorted, each pair of equals of the two sides is dropped, and when that made too little room
 * the rest goes to a file without a name as one sorted run. At the end the runs are merged. What is left are bits: one for each row of either
 * side, in files without names that are mapped into memory, which the system takes back when it needs it. A row that one side has several times is left as often as it
 * is there more often than on the other side. One thread at a time.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/codec/row_digests.h>
#include <stdbool.h>

enum unmatched_side { UNMATCHED_A, UNMATCHED_B, UNMATCHED_SIDES };

struct unmatched_options {
	const char *directory; /* where its files are; borrowed */
	size_t memory_bytes;   /* of the records in memory; at least some thousand */
	uint64_t space_bytes;  /* of all its files together, at most */
};

struct unmatched;

/** unmatched_new() - NULL: the memory cannot be had. */
struct unmatched *unmatched_new(const struct unmatched_options *options);
struct unmatched *unmatched_free(struct unmatched *u); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(unmatched, struct unmatched *, unmatched_free)
/** unmatched_capacity() - so many records are in memory at most. */
size_t unmatched_capacity(const struct unmatched *u);
/**
 * unmatched_add() - the next row of @side; the first is its number 0. May write to a file.
 * Return: 0; -ENOSPC (ERROR_NO_SPACE): space_bytes are used up, or the disk is full; @err says what to do.
 */
int unmatched_add(struct unmatched *u, enum unmatched_side side, const struct row_digest *digest,
                  struct error *err);
/** unmatched_settle() - all were added; the memory for records is given back. -ENOSPC; -ECANCELED. */
int unmatched_settle(struct unmatched *u, struct cancel *cancel, struct error *err);
/** unmatched_count() - how many rows of @side are left. */
uint64_t unmatched_count(const struct unmatched *u, enum unmatched_side side);
/** unmatched_rows() - how many of @side were added. */
uint64_t unmatched_rows(const struct unmatched *u, enum unmatched_side side);
/** unmatched_has() - is row @number of @side left? False for numbers that were not added. Any thread, after unmatched_settle(). */
bool unmatched_has(const struct unmatched *u, enum unmatched_side side, uint64_t number);
/** unmatched_spilled() - how many bytes went to files so far, without the bits. */
uint64_t unmatched_spilled(const struct unmatched *u);
