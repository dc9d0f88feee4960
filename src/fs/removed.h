// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What was removed: the facts that those need who have to be told, gathered before the removal, while the
 * catalog still knows them. Told are the kernel (notify.h) and the disk cache (here).
 */
#include "node.h"

#include <keepfs/cache.h>

struct removed {
	uint64_t ino;
	uint64_t directory_ino;       /* of the directory that showed it */
	uint64_t links_directory_ino; /* of what mirrors that in links/ */
	char *path;
	char **beside; /* names of the files that lay beside its own; those in a directory go with it */
	size_t beside_count;
};

/** removed_note() - the facts of artifact @node in @directory; -ENOENT: it is gone already. */
int removed_note(struct fs *fs, const struct node *directory, const struct node *node, struct removed *ret);
void removed_finish(struct removed *removed);
/** removed_name() - its name in its directory, borrowed. */
const char *removed_name(const struct removed *removed);

struct removed_cached { /* the names under which the disk cache knows its files */
	uint64_t ino;
	uint8_t (*ids)[CACHE_ID_BYTES];
	size_t count;
};

/** removed_note_cached() - the names of the files of artifact @ino; none without a cache. */
void removed_note_cached(struct fs *fs, uint64_t ino, struct removed_cached *ret);
/** removed_tell_cache() - the cache drops them, unless the catalog still lists the artifact. Frees what is in
 * @cached. */
void removed_tell_cache(struct fs *fs, struct removed_cached *cached);
