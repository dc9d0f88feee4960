// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which packs the copies in a further store need: rows that come with a copy, before the first of its packs is put there, and go with the row of its replica. They are from its manifest, so that they outlive the
 * artifact here, and are learnt again from what the store has (catalog_set_copy_tree()). See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/catalog/replicas.h>
#include <sys/types.h>

/** struct catalog_pack_path - of a pack: "packs/documents/20261120T020000Z/00001.tar". */
struct catalog_pack_path {
	char path[REPLICA_PATH_BYTES];
};

/** catalog_note_copy_needs() - what the artifact @path needs, which is listed, its copy in @store needs from now on. */
int catalog_note_copy_needs(struct catalog *c, const char *path, uint64_t store, struct error *err);

/*
 * Pages: up to @max paths behind @after ("": from the first one), in their order. Return: how many; 0: there are no more; negative errno.
 */
/** catalog_packs_to_copy() - that the copy of the artifact @path needs, that are listed here, and that @store does not have whole. */
ssize_t catalog_packs_to_copy(struct catalog *c, const char *path, uint64_t store, const char *after,
                              struct catalog_pack_path *ret, size_t max);
/** catalog_packs_to_bring_back() - that the copy of @path in @store needs, that the store has whole, and that are not listed here, or are damaged. */
ssize_t catalog_packs_to_bring_back(struct catalog *c, const char *path, uint64_t store, const char *after,
                                    struct catalog_pack_path *ret, size_t max);
/** catalog_packs_of_copy() - that the copy of @path in @store needs and the store has whole. */
ssize_t catalog_packs_of_copy(struct catalog *c, const char *path, uint64_t store, const char *after,
                              struct catalog_pack_path *ret, size_t max);
/** catalog_packs_to_lock() - likewise, as far as they are not known to be locked there until @until_us. */
ssize_t catalog_packs_to_lock(struct catalog *c, const char *path, uint64_t store, int64_t until_us,
                              const char *after, struct catalog_pack_path *ret, size_t max);
/** catalog_unneeded_copies() - packs that @store has whole, that are not listed here, and that neither a copy there nor an artifact here needs. */
ssize_t catalog_unneeded_copies(struct catalog *c, uint64_t store, const char *after,
                                struct catalog_pack_path *ret, size_t max);

/** catalog_is_unneeded_copy() - is the pack @path one of catalog_unneeded_copies()? False also when that cannot be known. */
bool catalog_is_unneeded_copy(struct catalog *c, const char *path, uint64_t store);
/** catalog_missing_copies() - of how many packs that the copy of @path needs @store has no whole copy. */
int catalog_missing_copies(struct catalog *c, const char *path, uint64_t store, uint64_t *ret);
/** catalog_missing_packs() - how many packs that the copy of @path in @store needs are neither listed here nor whole there. */
int catalog_missing_packs(struct catalog *c, const char *path, uint64_t store, uint64_t *ret);

/** catalog_each_job_of_needs() - call @row with each job whose packs the copy of @path in @store needs. */
int catalog_each_job_of_needs(struct catalog *c, const char *path, uint64_t store,
                              void (*row)(void *arg, const char *job), void *arg);

/** catalog_copies_are_known() - is it known of each copy in @store whose artifact is not listed what it needs? False also when that cannot be found out. */
bool catalog_copies_are_known(struct catalog *c, uint64_t store);

/** catalog_copies_lack_pack() - the copy of the pack @pack in @store is not right any more: so the copies there that need it are not whole. Those of what is listed are made again (REPLICA_LOST), others are REPLICA_WRONG. */
int catalog_copies_lack_pack(struct catalog *c, const char *pack, uint64_t store, int64_t now_us,
                             struct error *err);

/** catalog_pack_copy_lock() - until when the copies in @store that need the pack @pack are locked there, at most; 0: none of them is. */
int catalog_pack_copy_lock(struct catalog *c, const char *pack, uint64_t store, int64_t *ret_us);
