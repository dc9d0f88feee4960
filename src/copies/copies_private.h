// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share: names, and the pace of the thread. */
#include <keepfs/codec/hash.h>
#include <keepfs/copies.h>

#define COPY_HASH_BYTES 8 /* of the SHA-256, in a name */
#define COPY_HASH_HEX   (2 * COPY_HASH_BYTES)

/** struct copy_name - what a name tells. */
struct copy_name {
	int64_t at_us; /* whole seconds */
	char hash[COPY_HASH_HEX + 1];
	bool is_sealed; /* encrypted */
};
/** copy_key() - heap: "catalog/20261120T020000Z-0123456789abcdef.sqlite.zst", with ".age" when it is encrypted. */
char *copy_key(const struct copy_name *name);
/** copy_name_parse() - false when @key is not the name of a copy. */
bool copy_name_parse(const char *key, struct copy_name *ret);

/** struct copy_list - all copies that the store has, the oldest first. */
struct copy_list {
	struct copy_name *items;
	size_t count;
	void (*strange)(void *arg,
	                const char *key); /* in: what lies there and is none; NULL: nobody wants to know */
	void *arg;
};
int copy_list_get(struct store *store, const struct store_call *call, struct copy_list *ret,
                  struct error *err);
static inline void cleanup_copy_list(struct copy_list *list)
{
	free(list->items);
}

/** copies_remove_old() - all but the newest @keep days. What cannot be removed is logged, and stays. */
void copies_remove_old(const struct copies_context *ctx, const struct store_call *call,
                       const struct copy_list *list, int64_t keep);

/** copies_now_us() - by the clock that was handed in. */
int64_t copies_now_us(const struct copies_context *ctx);

struct copies_pace { /* in milliseconds */
	int64_t first; /* from the start to the first copy, from copies_soon() to the next, from a failure to the next try */
	int64_t longest; /* between two tries */
};
/** copies_start() - copies_new() at another pace. */
int copies_start(const struct copies_context *ctx, const struct copies_pace *pace, struct copies **ret_copies,
                 struct error *err);
