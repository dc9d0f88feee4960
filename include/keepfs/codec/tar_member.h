// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The headers of a member of a tar that keepfs writes piece by piece: POSIX pax (IEEE Std 1003.1, pax, "pax Interchange Format"). Pure. */
#include <keepfs/base/str.h>
#include <keepfs/codec/tar_header.h>
#include <stdbool.h>
#include <stdint.h>

#define TAR_BLOCK ((size_t)TAR_HEADER_BYTES)
/** TAR_END_BYTES - of zeros behind the last member. */
#define TAR_END_BYTES (2 * TAR_BLOCK)

/** struct tar_member - a regular file, or a directory; borrowed */
struct tar_member {
	const char *
	        name; /* any length. Of a directory without '/' at its end, which is written; "": the directory itself, "./" */
	bool is_directory;
	uint64_t bytes; /* of a file */
	int64_t modified_us;
	unsigned mode; /* 07777 */
	uint32_t uid, gid;
	const char *
	        owner; /* the name of both, which goes before their numbers where there is one of that name; NULL: none */
};
/** tar_member_append() - append all headers of a member, a whole number of blocks; its bytes come next, and then tar_member_padding() zeros. */
void tar_member_append(struct str *out, const struct tar_member *m);
size_t tar_member_padding(uint64_t bytes);
