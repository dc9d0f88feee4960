// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A state of a mirror, brought back into the bucket or directory that it is of, or into another one (keepfs/mirror/back.h): the plan is told first, and what is there is replaced, or
 * removed, only when that was confirmed.
 */
#include <keepfs/inside/backup.h>
#include "restore_order.h"

struct restore_mirror {                 /* borrowed */
	const struct make_context *ctx; /* of the run */
	/* Of the backup, where that is read from a copy; its pool is of MIRROR_BACK_POOL_BYTES, and used for nothing else meanwhile. NULL: ctx is, and so is its pool. */
	const struct make_context *reading;
	const struct make_order *order;
	const struct restore_order *wanted;
	struct backup *backup;
	const char *below; /* as it is shown: only what is so called, or below it; NULL: all */
};

/** restore_mirror_is() - is it a state of a mirror, or such a part of a bundle? */
bool restore_mirror_is(const struct backup *b);
/** restore_mirror_is_one() - the same of an entry of the catalog. */
bool restore_mirror_is_one(struct catalog *c, const struct catalog_entry *entry);
/**
 * restore_mirror_find() - "backups/documents/20261120T020000Z/a/b": the state, and what is below it
 * @ret_below: heap: "a/b"
 * Return: 0; -ENOENT: it does not lie in a state of a mirror; negative errno.
 */
int restore_mirror_find(struct catalog *c, const char *path, struct catalog_entry *ret, char **ret_below);
/** restore_mirror_look() - what can be said before anything is read: -EINVAL: the words do not fit. *@ret_claim: heap: what no other run may have meanwhile. */
int restore_mirror_look(const struct restore_mirror *m, char **ret_claim, struct error *err);
/** restore_mirror_run() - do it, or with plan=yes tell what would be done. */
int restore_mirror_run(const struct restore_mirror *m, struct error *err);
