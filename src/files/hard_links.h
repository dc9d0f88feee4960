// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Which name a file got that has further ones. A file is forgotten when all its names were seen. */
#include <stddef.h>
#include <stdint.h>

struct hard_links { /* start with {0} */
	struct hard_link **buckets;
	size_t bucket_count, count;
	struct hard_link
	        *seen; /* the last one of which all names were seen: what was returned stays for one call */
};

/** hard_links_see() - the name under which the file is in the archive, borrowed until the next call; NULL when this is the
 * first. */
const char *hard_links_see(struct hard_links *l, uint64_t device, uint64_t inode);
/** hard_links_add() - the file is in the archive as @path, and has @others further names. */
void hard_links_add(struct hard_links *l, uint64_t device, uint64_t inode, const char *path, uint64_t others);
void hard_links_finish(struct hard_links *l);
