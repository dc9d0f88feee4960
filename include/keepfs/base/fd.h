// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Descriptors: whole reads and writes, whole files. All return 0 or a negative errno unless they say
 * otherwise. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <keepfs/base/str.h>

int fd_write_all(int fd, const void *data, size_t len);
int fd_pwrite_all(int fd, const void *data, size_t len, off_t offset);
/** fd_pread_full() - exactly @len bytes; -ENODATA when the file ends before. */
int fd_pread_full(int fd, void *data, size_t len, off_t offset);
/** fd_read_file() - append the whole file @path to @out, at most @max_bytes (else -EFBIG). */
int fd_read_file(const char *path, size_t max_bytes, struct str *out);
/** fd_make_dirs() - mkdir -p with @mode; an existing directory is success. */
int fd_make_dirs(const char *path, mode_t mode);
/** fd_open_unlinked() - a new file in @directory that has no name, to read and to write: it is gone when it is closed. A descriptor, or
 * negative errno. */
int fd_open_unlinked(const char *directory);
