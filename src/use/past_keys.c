// SPDX-License-Identifier: Apache-2.0
/* Open addressing, never more than two thirds full. */
#include "past_keys.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <stdlib.h>

#define SLOTS_MIN ((size_t)16)

void past_keys_finish(struct past_keys *k, struct past_memory *m)
{
	m->used_bytes -= k->slot_count * sizeof(*k->slots);
	free(k->slots);
	*k = (struct past_keys){0};
}

static size_t slot_of(const struct past_keys *k, uint64_t hash)
{
	size_t at = hash & (k->slot_count - 1);

	while (k->slots[at] != 0 && k->slots[at] != hash)
		at = (at + 1) & (k->slot_count - 1);
	return at;
}

bool past_keys_has(const struct past_keys *k, uint64_t hash)
{
	return k->count > 0 && k->slots[slot_of(k, hash)] == hash;
}

static int grow_keys(struct past_keys *k, struct past_memory *m, struct error *err)
{
	struct past_keys larger = {.slot_count = k->slot_count ? 2 * k->slot_count : SLOTS_MIN};
	uint64_t bytes = larger.slot_count * sizeof(*larger.slots);
	char most[16];

	if (m->used_bytes + bytes > m->max_bytes)
		return error_set(
		        err, ERROR_USAGE, E2BIG,
		        "the keys of the tenant's rows need more than %s of memory: make [export] keys_memory larger",
		        str_format_bytes(most, sizeof(most), m->max_bytes));
	larger.slots = mem_array(larger.slot_count, sizeof(*larger.slots));
	for (size_t i = 0; i < k->slot_count; i++)
		if (k->slots[i] != 0)
			larger.slots[slot_of(&larger, k->slots[i])] = k->slots[i];
	larger.count = k->count;
	m->used_bytes += bytes;
	past_keys_finish(k, m);
	*k = larger;
	return 0;
}

int past_keys_add(struct past_keys *k, struct past_memory *m, uint64_t hash, struct error *err)
{
	size_t at;

	if (k->slot_count == 0 || 3 * (k->count + 1) > 2 * k->slot_count) {
		int r = grow_keys(k, m, err);

		if (r < 0)
			return r;
	}
	at = slot_of(k, hash);
	if (k->slots[at] == 0) {
		k->slots[at] = hash;
		k->count++;
	}
	return 0;
}

uint64_t past_key_hash(const void *bytes, size_t len)
{
	uint64_t hash = hash_quickly(bytes, len);

	return hash ? hash : 1;
}
