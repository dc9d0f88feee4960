// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a store has of an artifact, whatever the catalog says: for whoever copies between stores. Names are what an artifact owns in a store: the
 * manifest, what lies beside it, and all below its stem.
 */
#include <keepfs/artifact.h>

#define ARTIFACT_UNUSABLE 1

/**
 * artifact_fetch() - the manifest of @path, with its extents
 * Return: 0; ARTIFACT_UNUSABLE when it, or its table, is there but cannot be used, or is not believed (chain_believe(); @err says why); -ENOTSUP when a
 * newer keepfs has written it; -ENOENT when there is no manifest; another negative errno when the store failed. Only
 * the first says that there is nothing to keep.
 */
int artifact_fetch(const struct repository *repo, struct store *store, const struct store_call *call,
                   const char *path, struct manifest *ret, struct error *err);
/** artifact_decode() - the same of a manifest that was read already: @text of @len bytes, under the key of @path. */
int artifact_decode(const struct repository *repo, struct store *store, const struct store_call *call,
                    const char *path, const char *text, size_t len, struct manifest *ret, struct error *err);
/** artifact_delete() - manifest, what lies beside it, then every object below the stem of @path: in this order. What
 * is not there is success. */
int artifact_delete(struct store *store, const struct store_call *call, const char *path, struct error *err);
/** artifact_delete_copy() - the same in a store of copies, with what was adopted elsewhere, and has its copy there under a key that nothing but its manifest tells. */
int artifact_delete_copy(struct store *store, const struct store_call *call, const char *path,
                         struct error *err);
/** artifact_abort_uploads() - drop all open uploads below the stem of @path, until none is listed. */
int artifact_abort_uploads(struct store *store, const struct store_call *call, const char *path,
                           struct error *err);
/** artifact_find_published() - is there a manifest below the stem of @path? 1 and its artifact's path (heap),
 * one of another path before @path itself; 0; negative errno. */
int artifact_find_published(struct store *store, const struct store_call *call, const char *path,
                            char **ret_path, struct error *err);
/**
 * artifact_copy_holds() - have @to say who holds @path, as @from does
 * @only_if_absent: what @to says already stays; else it is replaced
 * @ret_to_failed: whether it was @to that failed
 *
 * Nothing is done where @from has no object for that. For whoever copies between stores: else a copy that is the only one left would be held by nobody.
 */
int artifact_copy_holds(struct store *from, struct store *to, const struct store_call *call, const char *path,
                        bool only_if_absent, bool *ret_to_failed, struct error *err);
/** artifact_is_held_there() - does what @store has, its manifest included, say that somebody holds @path at @now_us? 1; 0, also when there is nothing; negative errno. */
int artifact_is_held_there(const struct repository *repo, struct store *store, const struct store_call *call,
                           const char *path, int64_t now_us, struct error *err);
/** artifact_drop_holds() - @store has @path no more: neither who holds it. What is not there is success. */
int artifact_drop_holds(struct store *store, const struct store_call *call, const char *path,
                        struct error *err);
/** artifact_adopt() - the store that the catalog belongs to has the artifact @m, whole: list it, with what the store knows of it beside its manifest, and tell that; and, where it was removed once,
 * have the chain say that it is there again (chain_returned()). 0,
 * also when it was listed already; -EEXIST: another one has its place. */
int artifact_adopt(struct repository *repo, const struct manifest *m, struct cancel *cancel,
                   struct error *err);
