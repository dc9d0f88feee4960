// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Dumps that were looked into, and dumps as such: what the directory inside/ of the mount needs to know without reading any of them. A number
 * stands for a dump in inode numbers. It is given when somebody first looks into it, is never given to another one
 * as long as there are others, and goes with the dump; it is not in copies of the catalog. Sizes that cost a reading are
 * remembered under it. See keepfs/catalog.h for what is true of every function.
 */
#include <keepfs/base/error.h>
#include <keepfs/catalog/entries.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;

#define CATALOG_INSIDE_NUMBER_MAX ((UINT32_C(1) << 24) - 1)

/** catalog_dump_entries() - a page of the artifacts of a directory that are dumps (of the kind "dump", in any format), by sequence; with @bundles also those that have
 * parts. Otherwise as catalog_entries(). */
ssize_t catalog_dump_entries(struct catalog *c, uint64_t directory_ino, int64_t after, bool bundles,
                             struct catalog_entry *entries, size_t max);
/** catalog_dump_by_stem() - the dump of a directory whose name up to its first '.' is @stem; -ENOENT. */
int catalog_dump_by_stem(struct catalog *c, uint64_t directory_ino, const char *stem,
                         struct catalog_entry *ret);
/** catalog_inside_number() - the number of an artifact, from 1 to CATALOG_INSIDE_NUMBER_MAX; given now, if it has none. -ENOENT: there is no such
 * artifact. */
int catalog_inside_number(struct catalog *c, uint64_t artifact_ino, uint32_t *ret, struct error *err);
/** catalog_inside_artifact() - the inverse; -ENOENT: it is no number, or of an artifact that was removed. */
int catalog_inside_artifact(struct catalog *c, uint32_t number, uint64_t *ret_ino);
/** catalog_inside_bytes() - the size that was remembered of @part (the caller's own numbering) of that dump; -ENOENT: none was. */
int catalog_inside_bytes(struct catalog *c, uint32_t number, uint64_t part, uint64_t *ret);
/** catalog_set_inside_bytes() - remember it; nothing when the number is gone. */
int catalog_set_inside_bytes(struct catalog *c, uint32_t number, uint64_t part, uint64_t bytes,
                             struct error *err);
