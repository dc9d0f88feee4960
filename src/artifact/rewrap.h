// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files about rewrapping share. */
#include "artifact_private.h"

#include <keepfs/base/pool.h>

/** struct rewrap_object - one object that gets another header; all borrowed, but for what is out. */
struct rewrap_object {
	const struct repository *repo;
	struct artifact_rewrap *how;
	struct store *store;
	struct pool *pool;
	uint64_t part_bytes;
	const char *path;                  /* of the artifact */
	const char *encrypted_to;          /* as its manifest has it */
	const struct manifest_object *old; /* with its extents */
	const char *key;                   /* of the new one */
	struct manifest_object made;       /* out: manifest_object_finish() */
};
/** rewrap_object_make() - write it, read it back, and say what it is. What a failure leaves under the key is for whoever clears up. */
int rewrap_object_make(struct rewrap_object *o, struct error *err);

/** rewrap_take_over() - the store has the manifest @m, which names other objects than the catalog lists: the chain is told, it is listed so, and that is told. */
int rewrap_take_over(struct repository *repo, const struct chain_at *at, const struct manifest *m,
                     struct cancel *cancel, struct error *err);
/** rewrap_settle_one() - of the artifact @ino, whose rewrapping is in the catalog, and at which nobody is. 0: it is settled; 1: old objects have to stay for now, and the
 * catalog says why. */
int rewrap_settle_one(struct repository *repo, const struct store_call *call, uint64_t ino, const char *path,
                      struct error *err);
