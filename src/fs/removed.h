// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * What was removed, by rm or by keepfs itself: a copy of what the artifact's event tells, kept until the kernel and the
 * disk cache have been told on a thread of their own.
 */
#include "node.h"

#include <keepfs/artifact.h>

struct removed {
	uint64_t directory_ino;       /* of the directory that showed it */
	uint64_t links_directory_ino; /* of what mirrors that in links/; 0: nothing does */
	char *path;
	char **beside; /* names of the files that lay beside its own; those in a directory go with it */
	size_t beside_count;
	uint8_t (*cache_ids)[CACHE_ID_BYTES];
	size_t cache_id_count;
};

void removed_init(struct removed *removed, const struct artifact_removed *what);
void removed_finish(struct removed *removed);
/** removed_name() - its name in its directory, borrowed. */
const char *removed_name(const struct removed *removed);
