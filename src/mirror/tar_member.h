// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The headers of a member of a pack: POSIX pax (IEEE Std 1003.1, pax, "pax Interchange Format"). Pure. */
#include <keepfs/base/str.h>
#include <stdint.h>

#define TAR_BLOCK ((size_t)512)

/** tar_member_append() - append all headers of a file of @bytes, a whole number of blocks; its bytes come next, and then tar_member_padding() zeros. */
void tar_member_append(struct str *out, const char *name, uint64_t bytes, int64_t modified_us);
size_t tar_member_padding(uint64_t bytes);
