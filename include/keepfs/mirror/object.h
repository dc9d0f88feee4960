// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the next state, or the next base, takes from the one before: objects that are read whole, such as its listing, and packs. */
#include <keepfs/make.h>

/** mirror_read_object() - all plain bytes of the object @o of the artifact @m, in order; blocks on the store. What @take returns but 0 ends it. Return: as sealed_read(). */
int mirror_read_object(const struct make_context *ctx, struct cancel *cancel, const struct manifest *m,
                       const struct manifest_object *o,
                       int (*take)(void *arg, const void *data, size_t len, struct error *err), void *arg,
                       struct error *err);

struct catalog;
/** struct pack_needed - of the pack @path so many bytes are needed, of all that its fact @fact says. @is_encrypted: what is made now is. */
struct pack_needed {
	const char *path, *fact;
	uint64_t bytes;
	bool is_encrypted;
};
/** mirror_leaves_pack() - whether what is needed of it is better stored anew: it is gone, damaged, or hardly needed (less than a quarter); or plain, where the new one is encrypted: whoever encrypts a job
 * must find nothing of it that is not. */
bool mirror_leaves_pack(struct catalog *catalog, const struct pack_needed *needed);
