// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * backup_manifest, read as its bytes come: which files a base backup has, and what they are like
 * (https://www.postgresql.org/docs/current/backup-manifest-format.html), with CRC32C as checksums. It is JSON, of which PostgreSQL 13 to 18 write one file on each line; what is
 * not written so is refused, and so is one whose own checksum is wrong. Memory: one line. Pure; one thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <stdint.h>

/** BASE_MANIFEST_LINE_BYTES - longer lines are refused. */
#define BASE_MANIFEST_LINE_BYTES ((size_t)16 << 10)

struct base_manifest_file {
	const char *
	        path; /* from the data directory on, in the bytes of the file system; borrowed for the call */
	uint64_t bytes;
	uint32_t crc32c; /* as crc32c() gives it */
};

/** struct base_manifest_to - who is told; a negative return ends it, and is returned. */
struct base_manifest_to {
	int (*file)(void *arg, const struct base_manifest_file *f, struct error *err);
	void *arg;
};
struct base_manifest;
struct base_manifest *base_manifest_new(const struct base_manifest_to *to); /* copied */
struct base_manifest *base_manifest_free(struct base_manifest *m);          /* NULL allowed; returns NULL */
DEFINE_CLEANUP(base_manifest, struct base_manifest *, base_manifest_free)
/** base_manifest_feed() - the next bytes. -EBADMSG (ERROR_CORRUPT): it is none, the message has the number of the line; -ENOTSUP (ERROR_USAGE): of a version that is not known. */
int base_manifest_feed(struct base_manifest *m, const void *data, size_t len, struct error *err);
/** base_manifest_end() - that was all. -EBADMSG: it was cut off. Only now what it said of files is sure. */
int base_manifest_end(struct base_manifest *m, struct error *err);
