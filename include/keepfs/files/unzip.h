// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A ZIP archive that others may have made, read entry by entry: by its list of entries, which it has at its end. What an entry unpacks to is given in pieces, so its size
 * does not matter; its length and its CRC-32 are checked at its end. One thread. Blocks on the file.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stddef.h>
#include <sys/types.h>

struct unzip;
/** unzip_new() - @fd: a regular file, read with pread() alone, and borrowed. -EBADMSG (ERROR_CORRUPT): it is no archive. */
int unzip_new(int fd, struct cancel *cancel, struct unzip **ret, struct error *err);
struct unzip *unzip_free(struct unzip *u); /* NULL allowed; returns NULL */
DEFINE_CLEANUP(unzip, struct unzip *, unzip_free)
/** unzip_next() - on to the next file; what was not read of the one before is passed over. @ret_name: borrowed until the next call, UTF-8. 1; 0: there are no more; -EBADMSG;
 * -ECANCELED. Directories are left out. */
int unzip_next(struct unzip *u, const char **ret_name, struct error *err);
/** unzip_read() - up to @len bytes of it, at least one: how many; 0: its end, and it is whole; -EBADMSG, -ECANCELED. */
ssize_t unzip_read(struct unzip *u, void *buf, size_t len, struct error *err);
