// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Bytes in their order: of a file, or of what is compressed in it. One thread; blocks on the file. */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct bytes {
	/* Up to @len bytes, at least one unless the end has come: how many; 0: the end, and all was right; negative errno. */
	ssize_t (*read)(struct bytes *b, void *buf, size_t len, struct error *err);
	void (*free)(struct bytes *b);
};

/** bytes_of_file() - of @fd from its beginning, by pread(). */
struct bytes *bytes_of_file(int fd, struct cancel *cancel);
/** bytes_of_gzip() - what is in the gzip file @file, which it owns. -EBADMSG: a wrong checksum, cut off, or something behind the
 * end, be it another gzip file: keepfs writes one. */
struct bytes *bytes_of_gzip(struct bytes *file);
struct bytes *bytes_free(struct bytes *b); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(bytes, struct bytes *, bytes_free)
