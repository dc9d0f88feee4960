// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The copy of the catalog that lies in the store, for a host that has lost its own: what no manifest tells (runs, the audit,
 * probe results, holds, switches, and whatever else has a table), but not the list of backups, which is made anew from the
 * manifests and is by far the larger part, nor what people were told, or were to be told (keepfs/catalog/notices.h). See keepfs/catalog.h for what is true of every function.
 *
 * A copy is a SQLite file with the tables of the catalog itself, in the same format: a catalog becomes of it by
 * catalog_copy_install() and catalog_open(), which migrates it as any other. It is marked as one that was restored then,
 * and not bound to a store, so that nothing but a rebuild goes on with it:
 *
 *	catalog_restored_begin() → artifact_rebuild() → catalog_drop_recorded() → catalog_restored_end()
 *
 * Each can be repeated when one behind it failed.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <keepfs/catalog/records.h>
#include <stdbool.h>
#include <stdint.h>

struct catalog;

/** How often a copy is made when something has changed; health allows for twice that. */
#define CATALOG_COPY_INTERVAL_US (INT64_C(86400) * 1000000)

/* Making one. */

/**
 * catalog_copy_make() - a copy of what the catalog holds now, in an unlinked file of state_dir
 *
 * Writers do not wait for it, and it takes at most half of the space that is free there. Equal catalogs give equal bytes.
 * Return: 0 with a descriptor at the beginning of the file; -ENOSPC; -ECANCELED; another negative errno.
 */
int catalog_copy_make(struct catalog *c, struct cancel *cancel, int *ret_fd, struct error *err);
/** catalog_copy_clean() - remove what a crash left in @state_dir. Only by the holder of catalog_lock(). */
void catalog_copy_clean(const char *state_dir);

/** struct catalog_copy_state - what is known of the copies in the store. */
struct catalog_copy_state {
	char key[128]; /* of the newest; "": none was made yet */
	int64_t current_us; /* when the newest was last found to be no older than the catalog; before the first: when it
	                     * was begun to make copies */
	char failure[512]; /* why there is no newer one; "": nothing is wrong */
};
/** catalog_copy_state() - 0; -ENOENT: this catalog was never to be copied. */
int catalog_copy_state(struct catalog *c, struct catalog_copy_state *ret);
/** catalog_copy_begin() - from now on copies are to be made; does nothing when that is known. */
int catalog_copy_begin(struct catalog *c, int64_t now_us, struct error *err);
/** catalog_copy_note() - the copy at @key is no older than the catalog was at @now_us. */
int catalog_copy_note(struct catalog *c, const char *key, int64_t now_us, struct error *err);
/** catalog_copy_failed() - none could be made. */
int catalog_copy_failed(struct catalog *c, const char *why, struct error *err);

/* Using one. */

/** catalog_is_new() - 1 when it has no backup, no run, no line of the audit, and was bound to no store; 0; negative
 * errno. */
int catalog_is_new(struct catalog *c);
/** catalog_copy_receive() - a file in @state_dir to write a copy into: a descriptor; negative errno. */
int catalog_copy_receive(const char *state_dir, struct error *err);
/**
 * catalog_copy_look() - is what was written there a sound copy, and of what?
 * @ret_store_url: heap: the store of the catalog that it was made of
 * @why: what is wrong with it, on -EBADMSG and -ENOTSUP (a newer keepfs has made it)
 */
int catalog_copy_look(const char *state_dir, char **ret_store_url, struct error *why);
/** catalog_copy_install() - it becomes the catalog of @state_dir, which nobody may have open: what was there is gone. */
int catalog_copy_install(const char *state_dir, struct error *err);

/** catalog_is_restored() - 1 between catalog_copy_install() and catalog_restored_end(); 0; negative errno. */
int catalog_is_restored(struct catalog *c);
/** catalog_restored_begin() - what was under way when the copy was made may have ended since: the manifests decide. What
 * waited to be told then is not told any more. */
int catalog_restored_begin(struct catalog *c, struct error *err);
/** struct catalog_recorded - a row as a record in the store tells of it: the number and time of a line of the audit, or the
 * number of a run and when it was queued. */
struct catalog_recorded {
	int64_t id;
	int64_t at_us;
};
/** catalog_drop_recorded() - of @rows drop those that the catalog has, too: they were moved into the store after the copy
 * was made. A run that has a backup stays. How many runs there ever were does not change. */
int catalog_drop_recorded(struct catalog *c, enum record_kind kind, const struct catalog_recorded *rows,
                          size_t count, struct error *err);
struct catalog_restored {
	/* Of all manifests there was none that could not be listed. So holds of backups that are not listed are dropped; else
	 * they stay, since such a backup may be mended. */
	bool all_listed;
	/* A hold of a backup that is not listed. */
	void (*hold)(void *arg, const char *name, const char *reason);
	void *arg;
};
/** catalog_restored_end() - all is compared: from now on it is a catalog as any other. */
int catalog_restored_end(struct catalog *c, const struct catalog_restored *restored, struct error *err);
