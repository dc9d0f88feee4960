// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Sets of keys. Of each key there is a hash of 64 bits, so that memory does not depend on how long keys are; two keys with one hash let a row too many through
 * (past_value.h says why that does no harm). One thread.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct past_memory { /* of all sets together */
	uint64_t used_bytes, max_bytes;
};

struct past_keys {       /* zeroed: empty */
	uint64_t *slots; /* 0: free */
	size_t count, slot_count;
};
void past_keys_finish(struct past_keys *k, struct past_memory *m);
/** past_key_hash() - of the bytes of a key; never 0. */
uint64_t past_key_hash(const void *bytes, size_t len);
bool past_keys_has(const struct past_keys *k, uint64_t hash);
/** past_keys_add() - -E2BIG (ERROR_USAGE): the memory of all sets is used up. */
int past_keys_add(struct past_keys *k, struct past_memory *m, uint64_t hash, struct error *err);
