#pragma once
/** What the files of this room share: an artifact's objects in the store. */
#include <keepfs/artifact.h>

#define ARTIFACT_UNUSABLE 1

/**
 * artifact_fetch() - the manifest of @path, with its extents
 * Return: 0; ARTIFACT_UNUSABLE when it, or its table, is there but cannot be used (@err says why); -ENOENT
 * when there is no manifest; another negative errno when the store failed, which says nothing about the
 * artifact.
 */
int artifact_fetch(struct store *store, const struct store_call *call, const char *path, struct manifest *ret,
                   struct error *err);
/** artifact_delete() - manifest, [extents object], object: in this order. What is not there is success. */
int artifact_delete(struct store *store, const struct store_call *call, const char *path,
                    bool has_extents_object, struct error *err);
/** artifact_is_foreign() - 1 when the manifest under @path is another keepfs's, as far as the number of its
 * run tells; 0 when it is not, or there is none. */
int artifact_is_foreign(struct store *store, const struct store_call *call, const char *path, int64_t run_id,
                        struct error *err);
/** artifact_abort_uploads() - drop all open uploads of exactly @path, until none is listed. */
int artifact_abort_uploads(struct store *store, const struct store_call *call, const char *path,
                           struct error *err);
/** artifact_stored_bytes() - size of the object of @path; -ENOENT. */
int artifact_stored_bytes(struct store *store, const struct store_call *call, const char *path,
                          uint64_t *ret_bytes, struct error *err);

/** struct listing - the objects under a prefix, one after the other, a page in memory. */
struct listing {
	struct store *store;
	const struct store_call *call;
	const char *prefix;
	struct store_object *page;
	size_t count, at;
	bool ended;
};

/** listing_peek() - the next object (borrowed until listing_pop()), or NULL at the end. */
int listing_peek(struct listing *l, const struct store_object **ret_object, struct error *err);
void listing_pop(struct listing *l);
void listing_finish(struct listing *l);
static inline void cleanup_listing(struct listing *l)
{
	listing_finish(l);
}
