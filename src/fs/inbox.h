// SPDX-License-Identifier: Apache-2.0
#pragma once
/* inbox/: a directory for each [inbox NAME] of the configuration; what is written into it becomes a backup (keepfs/inbox.h). */
#include "node.h"

/** inbox_has() - is that the number of something below inbox/? Pure. */
bool inbox_has(uint64_t ino);
int inbox_load(struct fs *fs, uint64_t ino, struct node *ret);
