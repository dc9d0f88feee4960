// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The tars in which PostgreSQL sends base backups, read as their bytes come: ustar (IEEE Std 1003.1, pax, "ustar Interchange Format"), as src/port/tar.c of PostgreSQL writes
 * it: regular files, directories and symbolic links, names without prefix, sizes of 8 GiB and more in base 256. Anything else is refused. Memory: one block. Pure; one thread.
 *
 *   struct tar_stream t = {.to = …};  tar_stream_feed() …  tar_stream_end()
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAR_STREAM_BLOCK     512
#define TAR_STREAM_NAME_SIZE 101 /* with NUL */

enum tar_stream_type { TAR_STREAM_FILE, TAR_STREAM_DIRECTORY, TAR_STREAM_LINK };

struct tar_stream_member {
	char name
	        [TAR_STREAM_NAME_SIZE]; /* relative, without ".." and empty parts, without a "./" before it and a "/" at its end */
	char target[TAR_STREAM_NAME_SIZE]; /* of a link; as it is */
	enum tar_stream_type type;
	uint64_t bytes; /* of a file; 0 of others */
	unsigned mode;  /* permission bits, 07777 */
	uint32_t uid, gid;
	int64_t modified_s;
};

/** struct tar_stream_to - who is told; a negative return ends it, and is returned. */
struct tar_stream_to {
	int (*member)(void *arg, const struct tar_stream_member *m, struct error *err); /* borrowed */
	int (*data)(void *arg, const void *data, size_t len, struct error *err); /* of that file, in order */
	int (*end)(void *arg, struct error *err); /* all bytes of that member came */
	void *arg;
};

/** struct tar_stream - in the caller's memory; zeroed but for @to. Holds nothing to free. */
struct tar_stream {
	struct tar_stream_to to;
	unsigned char block[TAR_STREAM_BLOCK];
	size_t have;    /* of the block that is gathered */
	uint64_t left;  /* bytes of the file that are still to come */
	size_t padding; /* bytes behind it that are none of it */
	unsigned zeros; /* blocks of zeros so far: two end a tar */
	bool is_in_member;
	char name[TAR_STREAM_NAME_SIZE]; /* of the last member, for messages */
};

/** tar_stream_feed() - the next bytes. -EBADMSG (ERROR_CORRUPT): it is no such tar; the message names the member. */
int tar_stream_feed(struct tar_stream *t, const void *data, size_t len, struct error *err);
/** tar_stream_end() - that was all: at the end of a member (PostgreSQL 13 and 14 leave out what ends a tar) or behind two blocks of zeros. -EBADMSG: it was cut off. */
int tar_stream_end(struct tar_stream *t, struct error *err);
