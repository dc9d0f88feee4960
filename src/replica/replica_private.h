// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share. */
#include <keepfs/replica.h>

/** replica_claim() - from here on, until replica_end_claim(), nobody else of this process works on the replica of @path in @store, or brings it back; one
 * who does is waited for. -ECANCELED. */
int replica_claim(const char *path, uint64_t store, struct cancel *cancel, struct error *err);
/** replica_try_claim() - the same, or false: somebody else is at it. */
bool replica_try_claim(const char *path, uint64_t store);
void replica_end_claim(const char *path, uint64_t store);
/** replica_check_manifest() - is what @store has still the manifest that was put there? -EBADMSG: it is another one, or there is none; of a copy that was found there nobody knows: 0. */
int replica_check_manifest(struct store *store, const struct store_call *call,
                           const struct catalog_replica *row, struct error *err);
/** replica_begin_change() - false: somebody reads the copy by itself (replica_view_new()), so it is neither removed nor replaced. Else nobody begins that until replica_end_change(), which is given the
 * same string. Whoever changes it has claimed it, or is the one who removes. */
bool replica_begin_change(const char *path, uint64_t store);
void replica_end_change(const char *path, uint64_t store);
/** replica_describe() - fill of @row what a manifest tells. */
void replica_describe(const struct manifest *m, struct catalog_replica *row);
/** replica_note() - write @row; what prevents that is logged. Returns 0, or what did. */
int replica_note(const struct replica_order *order, const struct catalog_replica *row, struct error *err);
/** replica_lock() - lock the copy of @row, whose manifest is @m and which is whole in @store, and note that; what prevents it is logged, noted and tried again. Nothing is done where nothing is locked.
 * @anew: some of its objects were put just now, so all are locked, whatever its manifest is. */
void replica_lock(const struct replica_order *order, struct store *store, const struct catalog_replica *row,
                  const struct manifest *m, bool anew);
/** REPLICA_LOCKED - the store lets nobody delete it yet: that is noted. */
#define REPLICA_LOCKED 2
/** replica_check_unlocked() - may the copy of @path, which no rule keeps any more, be removed now? A legal hold of ours is taken off. Return: 0; REPLICA_LOCKED; negative errno. */
int replica_check_unlocked(const struct replica_order *order, struct store *store, const char *path,
                           struct error *err);
/** replica_show() - that store has all of @m: copies/ shows it; what prevents that is logged. @anew: also when it is shown already. */
void replica_show(const struct replica_order *order, const struct manifest *m, bool anew);
/** replica_is_listed_now() - is there an artifact of that path? */
bool replica_is_listed_now(struct catalog *catalog, const char *path);
/** replica_change_state() - of @row, which is then to be noted: since when is told when it is another one. */
void replica_change_state(struct catalog_replica *row, enum replica_state state);
/** replica_make_packs() - have the further store hold all packs that @path needs, which is listed; what its copy needs is noted before. As replica_make(); -ENOENT: some are not listed here. */
int replica_make_packs(const struct replica_order *order, const char *path, bool *target_failed,
                       struct error *err);
/** replica_bring_back_packs() - list the packs that the copy of @path needs, as far as they are not, or are damaged here: from the further store. Nobody removes them between replica_pin_packs() and
 * replica_unpin_packs(). */
int replica_bring_back_packs(const struct replica_order *order, const char *path, struct error *err);
/** replica_pin_packs() - @ret: the jobs whose packs are pinned, for replica_unpin_packs(), also when it fails. */
int replica_pin_packs(const struct replica_order *order, const char *path, struct str *ret);
void replica_unpin_packs(const struct replica_order *order, const struct str *pinned);
/** replica_pack_is_not_right() - @row was changed: when it is that of a pack which is not whole any more, the copies there that need it are not either. What prevents noting that is logged. */
void replica_pack_is_not_right(const struct repository *repository, const struct catalog_replica *row);
/** replica_each_pack_of_copy() - call @each for each pack that the copy of @path in @store needs and that store has whole; what it returns ends it, if it is not 0. */
int replica_each_pack_of_copy(struct catalog *catalog, const char *path, uint64_t store,
                              int (*each)(void *arg, const char *pack, struct error *err), void *arg,
                              struct error *err);
/** replica_each_pack_to_lock() - call @each for each pack that the copy of @path needs and that is not known to be locked there until @until_us; what it returns ends it, if it is not 0. */
int replica_each_pack_to_lock(const struct replica_order *order, const char *path, int64_t until_us,
                              int (*each)(void *arg, const char *pack, struct error *err), void *arg,
                              struct error *err);
/** replica_each_unneeded_pack() - call @remove for each pack in the further store that no copy there needs any more, and nothing here; never when it is not known of each copy there what it needs. */
int replica_each_unneeded_pack(const struct replica_order *order,
                               int (*remove)(void *arg, const char *pack, struct error *err), void *arg,
                               struct error *err);
/** replica_check_as_listed() - does @m name the objects that the catalog lists, with their sums? -EAGAIN: others, it may be rewrapped just now; -EBADMSG: somebody has written another one. */
int replica_check_as_listed(const struct replica_order *order, const struct manifest *m, struct error *err);
/** replica_copy_of() - a copy of @path from one store to another, by the configuration; what else it needs is the caller's to set. */
struct replica_copy replica_copy_of(const struct replica_order *order, struct store *from, struct store *to,
                                    const char *path);
/** replica_want_again_if_rewrapped() - @row, whose replica is whole as @there says, is wanted once more when the artifact was rewrapped while somebody looked: then it is not what it is to be any more. */
void replica_want_again_if_rewrapped(const struct replica_order *order, struct catalog_replica *row,
                                     const struct manifest *there);
