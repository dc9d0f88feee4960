// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A tar archive (POSIX pax, as libarchive writes it) of texts that keepfs makes: files alone, each of a known length. The archives of directories that are
 * backed up are made by other code (src/files/tar.c). One thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/spool.h>
#include <stdint.h>

struct packed_tar;
/** packed_tar_new() - into @out, which is borrowed. @modified_at_us: of all entries. */
int packed_tar_new(struct spool *out, int64_t modified_at_us, struct packed_tar **ret, struct error *err);
struct packed_tar *packed_tar_free(struct packed_tar *t); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(packed_tar, struct packed_tar *, packed_tar_free)
/** packed_tar_add() - a file of mode 0600. @name: a path, UTF-8. */
int packed_tar_add(struct packed_tar *t, const char *name, const struct spool *content, struct error *err);
/** packed_tar_end() - that was all. */
int packed_tar_end(struct packed_tar *t, struct error *err);
