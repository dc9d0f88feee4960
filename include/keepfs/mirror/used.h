// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Which packs a listing needs, and how many bytes of each. Pure. */
#include <keepfs/codec/json.h>
#include <stddef.h>
#include <stdint.h>

struct used_pack {
	char *name; /* "20261120T020000Z/00001" */
	uint64_t bytes;
};

struct used {
	struct used_pack *packs; /* in the order in which they came */
	size_t count;
	size_t *table; /* of `room` places: the number of a pack, from 1 on; 0: none */
	size_t room;
};

void used_finish(struct used *u);
static inline void cleanup_used(struct used *u)
{
	used_finish(u);
}
/** used_add() - @bytes more of @pack. */
void used_add(struct used *u, const char *pack, uint64_t bytes);
/** used_find() - borrowed until the next used_add(), its name until used_finish(); NULL: nothing of it. */
const struct used_pack *used_find(const struct used *u, const char *pack);
/** used_needs() - what a manifest says of it, for the packs of @job; NULL: there are none. Sorts the packs. */
struct json *used_needs(struct used *u, const char *job);
