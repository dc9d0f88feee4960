// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A backup that is read from its copy in a further store alone, named as the mount shows it: "copies/offsite/full/20261120T020000Z.dump", or "copies/offsite/full", the one that
 * was made last. So one can be restored, tried and verified that was removed here, or whose own store is lost, and what is read is what that store has.
 *
 * Whoever works on one has two contexts: his own, whose catalog is told what he does, and the copy's, from which the backup is read (struct backup.ctx). In the latter's catalog is that
 * backup alone, and what is noted there is forgotten.
 */
#include <keepfs/make.h>
#include <keepfs/replica.h>
#include <keepfs/use/erasures.h>

struct copied {
	struct make_context ctx; /* of the copy; its pool is the caller's */
	struct replica_view *view;
	char *path;  /* of the artifact: "backups/full/20261120T020000Z.dump" */
	char *store; /* as [store NAME] is called */
};

/** copied_is_word() - does @word begin as what is in copies/ does? Pure. */
bool copied_is_word(const char *word);
/** copied_path() - heap: what follows behind the name of the store in such a word, as a path of the tree; "" when there is nothing. Pure. */
char *copied_path(const char *word);
/** copied_find() - heap: the whole name of the copy that @word names, "copies/offsite/backups/full/20261120T020000Z.dump"; @ret_row (NULL: not wanted): what is known of it. -EINVAL (ERROR_USAGE): there is none that is
 * whole. */
int copied_find(struct catalog *c, const char *word, char **ret_name, struct catalog_replica *ret_row,
                struct error *err);
/** copied_add_target() - what a run has to do with the copy that @word names, as copied_find(): a target of its whole name, the caller's to complete. As copied_find(). */
int copied_add_target(struct catalog *c, const char *word, struct make_targets *ret,
                      struct make_target **ret_target, struct error *err);
/**
 * copied_each() - call @each with the whole name of every whole copy that @word names, or that lies in the directory that it names; "copies/offsite": all of that store
 *
 * It may call the catalog; what it returns ends it, if it is not 0, and is returned. Return: 0; -EINVAL (ERROR_USAGE): there is none.
 */
int copied_each(struct catalog *c, const char *word,
                int (*each)(void *arg, const char *name, struct error *err), void *arg, struct error *err);
/** copied_open() - read the copy of that whole name. As replica_view_new(); the caller's copied_close(). */
int copied_open(const struct make_context *ctx, const char *name, struct cancel *cancel, struct copied *ret,
                struct error *err);
/** copied_erasures() - erasures_load() by @ctx, for a restore that reads @copy (NULL: it reads no copy): where the register of [store] cannot be read, that of the further store, as
 * erasures_load_copy() has it, and @order is told so. */
int copied_erasures(const struct make_context *ctx, const struct copied *copy, const struct make_order *order,
                    struct erasures **ret, struct error *err);
/** copied_found_wrong() - @path: what is wrong, the backup or a pack that it needs. @c NULL allowed: nothing is done. */
void copied_found_wrong(const struct copied *c, const char *path, const char *why);
/** copied_found_right() - all of its bytes were read, and are: the copy counts as verified. */
void copied_found_right(const struct copied *c);
/** copied_close() - also of one that is zeroed. */
void copied_close(struct copied *c);
static inline void cleanup_copied(struct copied *c)
{
	copied_close(c);
}
