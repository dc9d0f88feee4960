// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A ZIP archive (https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) that is written as its entries come: files alone, compressed with deflate. Sizes and
 * checksums stand behind each entry, and all of them, with the names, at the end; both in ZIP64's form, so that nothing has a limit. Names are UTF-8.
 *
 *   zip_writer_new()
 *   zip_writer_entry(), zip_writer_write() …; for each entry
 *   zip_writer_end()
 *   zip_writer_free()
 *
 * One thread at a time. Memory: some 300 KiB, and some hundred bytes for each entry, which the end repeats.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct zip_options {
	int level;              /* of deflate, 1 to 9 */
	int64_t modified_at_us; /* of all entries */
	/* Where the archive goes, in its order. A failure ends it, and is returned as it was told. */
	int (*write)(void *arg, const void *data, size_t len, struct error *err);
	void *arg;
};

struct zip_writer;
int zip_writer_new(const struct zip_options *options, struct zip_writer **ret, struct error *err);
struct zip_writer *zip_writer_free(struct zip_writer *w); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(zip_writer, struct zip_writer *, zip_writer_free)
/** zip_writer_entry() - the next file; the one before has ended. @name: UTF-8, without '/'. */
int zip_writer_entry(struct zip_writer *w, const char *name, struct error *err);
/** zip_writer_write() - the next bytes of it. */
int zip_writer_write(struct zip_writer *w, const void *data, size_t len, struct error *err);
/** zip_writer_end() - that was all; everything was written. */
int zip_writer_end(struct zip_writer *w, struct error *err);

struct zip_size {
	uint64_t entries;
	uint64_t bytes;         /* of their content */
	uint64_t archive_bytes; /* that were written */
};
/** zip_writer_size() - what there was, up to now. */
struct zip_size zip_writer_size(const struct zip_writer *w);

/**
 * struct zip_check - is an archive that zip_writer_end() has ended whole? Each entry is unpacked, which checks its length and its CRC-32. A thread of its
 * own does that, 2 MiB behind at most.
 */
struct zip_check;
/** zip_check_new() - of an archive that is of this size. */
int zip_check_new(const struct zip_size *size, struct zip_check **ret, struct error *err);
struct zip_check *zip_check_free(struct zip_check *c); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(zip_check, struct zip_check *, zip_check_free)
/** zip_check_write() - the next bytes. What is wrong is told by zip_check_end(). */
int zip_check_write(struct zip_check *c, const void *data, size_t len, struct error *err);
/** zip_check_end() - that was all. -EBADMSG (ERROR_CORRUPT). */
int zip_check_end(struct zip_check *c, struct error *err);
