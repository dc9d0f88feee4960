// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Is what comes in whole? The bytes pass by once: they are decompressed where the file is compressed, and what is in it is read to its end. What has no end that could be known is taken as it is. One thread.
 */
#include "looks.h"

#include <keepfs/base/error.h>
#include <keepfs/dump/counts.h>

struct inbox_content;
/** inbox_content_new() - @look: borrowed; @directory: for what of an archive is kept on the disk */
struct inbox_content *inbox_content_new(const struct inbox_look *look, const char *directory);
struct inbox_content *inbox_content_free(struct inbox_content *c); /* NULL allowed; returns NULL */
/** inbox_content_feed() - the next @len bytes of the file. -EBADMSG (ERROR_CORRUPT): they are not what they should be. */
int inbox_content_feed(struct inbox_content *c, const void *data, size_t len, struct error *err);
/** inbox_content_end() - that was all: -EBADMSG when it is cut off. */
int inbox_content_end(struct inbox_content *c, struct error *err);
/** inbox_content_has_end() - would it have been seen that it is cut off? */
bool inbox_content_has_end(const struct inbox_content *c);
/** inbox_content_counts() - of an archive that is not compressed as a whole, and of a version that is known; else NULL. Borrowed. */
const struct archive_counts *inbox_content_counts(const struct inbox_content *c);
/** inbox_content_entries() - of a tar, after its end. */
uint64_t inbox_content_entries(const struct inbox_content *c);
