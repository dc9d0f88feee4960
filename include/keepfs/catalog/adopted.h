// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What lies in places of others (keepfs/stores.h, stores_open_place()), as far as it was looked at: each object once, as long as its size and its etag stay the same. What became an artifact, what
 * became none and why; also when that artifact was removed since, so that what stays in its place does not come back. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdint.h>

struct catalog;

/** struct catalog_adopted - one object; of what is asked for all texts are heap. */
struct catalog_adopted {
	char *place, *key; /* "old", "2024/shop.dump" */
	uint64_t bytes;
	char *etag;
	char *path; /* of its artifact, or of the one that has the same content; "": it was not taken */
	char *why;  /* it was not; "" */
};
void catalog_adopted_finish(struct catalog_adopted *a);
static inline void cleanup_catalog_adopted(struct catalog_adopted *a)
{
	catalog_adopted_finish(a);
}
/** catalog_get_adopted() - what is known of that object; -ENOENT: nothing. */
int catalog_get_adopted(struct catalog *c, const char *place, const char *key, struct catalog_adopted *ret);
/** catalog_note_adopted() - in place of what was known of it. */
int catalog_note_adopted(struct catalog *c, const struct catalog_adopted *a, struct error *err);
/** catalog_learn_adopted() - what artifacts that are listed say of @place (their fact "adopted_etag"), and is not known: a catalog that was made anew knows of them by their manifests alone. */
int catalog_learn_adopted(struct catalog *c, const char *place, struct error *err);
/** catalog_adopted_object() - heap: the key of the artifact's own object, when it was adopted ("adopted/old/2024/shop.dump"), and @ret_etag (heap): as a store of that place tells it (the fact "adopted_object"); also of an artifact that was removed.
 * -ENOENT: it was not. */
int catalog_adopted_object(struct catalog *c, uint64_t ino, char **ret_key, char **ret_etag,
                           uint64_t *ret_bytes);
