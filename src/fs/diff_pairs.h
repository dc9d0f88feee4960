// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Pairs of dumps that somebody looks at in diff/, and their numbers. The number of a pair is a hash, so that the same pair has the same number
 * after a remount; which pair a number stands for is kept in memory, of the last some thousand pairs.
 */
#include <keepfs/codec/name.h>

#include <stdbool.h>
#include <stdint.h>

#define DIFF_PAIR_NUMBER_BITS 23

/** diff_pair_name_parse() - "20261119T020000Z..20261120T020000Z": the names of two dumps up to their first '.', which have none themselves, and are not
 * empty. -EINVAL: it is no such name. Pure. */
int diff_pair_name_parse(const char *name, char ret_a[static NAME_MAX_BYTES],
                         char ret_b[static NAME_MAX_BYTES]);
/** diff_pair_name_format() - the inverse, of the names of dumps, which may have suffixes; false: it would be too long for a name. Pure. */
bool diff_pair_name_format(const char *a, const char *b, char ret[static NAME_MAX_BYTES]);

struct diff_pair_id {     /* a dump is another one when it was finished at another time */
	uint64_t inos[2]; /* of the artifacts, by enum diff_side */
	int64_t finished_at_us[2];
};
/** diff_pair_id_equal() - pure. */
bool diff_pair_id_equal(const struct diff_pair_id *x, const struct diff_pair_id *y);

struct diff_pairs;
struct diff_pairs *diff_pairs_new(void);
struct diff_pairs *diff_pairs_free(struct diff_pairs *p); /* NULL allowed; returns NULL */
/** diff_pairs_number() - the number that a pair has, or would get. Any thread. */
uint32_t diff_pairs_number(struct diff_pairs *p, const struct diff_pair_id *id);
/** diff_pairs_add() - the same, and from now on it can be found by it. Of very many pairs the one that nobody has used for longest is forgotten. */
uint32_t diff_pairs_add(struct diff_pairs *p, const struct diff_pair_id *id);
/** diff_pairs_find() - which pair has @number; false: none, or it was forgotten. */
bool diff_pairs_find(struct diff_pairs *p, uint32_t number, struct diff_pair_id *ret);
