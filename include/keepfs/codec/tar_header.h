// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The header of a member of a tar, as POSIX.1-2001 (pax, "ustar Interchange Format") has it. */
#include <assert.h>

/** TAR_HEADER_BYTES - of a header, which is one block. */
#define TAR_HEADER_BYTES 512

/** struct tar_header - as it stands in the archive. Numbers are octal, with zeros in front and a NUL or a space behind; a size that has no room so is binary, with the top bit of its first byte
 * set (GNU, and PostgreSQL). Texts that fill their field have no NUL. */
struct tar_header {
	char name[100];
	char mode[8], uid[8], gid[8];
	char size[12], mtime[12];
	char checksum[8];
	char type;
	char link[100];
	char magic[6], version[2];
	char uname[32], gname[32];
	char major[8], minor[8];
	char prefix[155];
	char unused[12];
};
static_assert(sizeof(struct tar_header) == TAR_HEADER_BYTES, "a header is one block");
