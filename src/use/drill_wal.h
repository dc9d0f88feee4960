// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * WAL for a throw-away server that recovers: its restore_command asks for a file through a named pipe in the scratch place, and a thread of ours brings that out of the store, one at a time, as the server wants them. So the server's user needs no
 * right to read anything of keepfs, and no more than one file takes room beside what the server itself has.
 *
 * What the store does not have the server is told at once ("it is the end of the archive"); when it cannot be read, the recovery ends with a failure, never as if that were the end.
 */
#include <keepfs/pg/scratch.h>
#include <keepfs/wal.h>

/** DRILL_WAL_COMMAND - the restore_command; the server's working directory is the data directory, which lies in the scratch place. */
#define DRILL_WAL_COMMAND                                                                                    \
	"echo %f >../keepfs-wal.ask && read -r a <../keepfs-wal.answer || exit 200; case $a in got) mv ../keepfs-wal.file \"%p\" || exit 200;; none) exit 1;; *) exit 200;; esac"

struct drill_wal;
/** drill_wal_new() - @how: its cancel, write and arg are not looked at; the rest is borrowed until drill_wal_free(), as @job is. Copies what it needs of @f. */
int drill_wal_new(const struct pg_scratch_filling *f, const struct wal_get *how, const char *job,
                  struct drill_wal **ret, struct error *err);
/** drill_wal_end() - nobody asks any more. @ret_files: how many were brought. Return: 0; negative, with @err: why one could not be. */
int drill_wal_end(struct drill_wal *w, uint64_t *ret_files, struct error *err);
struct drill_wal *drill_wal_free(struct drill_wal *w); /* NULL allowed; returns NULL */
