// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Who has gone down into a backup that is a directory. `rm -r`, `find -delete` and their like hold a directory open while they remove what is in it, `rm FILE` does not:
 * so a process that has opened the directory of a backup, and since then has never had all directories of it closed, removes all of it. What it unlinks is answered as done, without
 * any effect, and the rmdir(2) of the backup's own directory removes the backup, as it always does. Whoever breaks off has removed nothing.
 *
 *   descents_enter()   opendir(3)
 *   descents_find()    unlink(2), rmdir(2) within: is the caller one of these, and may the backup go?
 *   descents_judge()   that was found out: once for each descent
 *   descents_leave()   closedir(3)
 *
 * Pure, but for a lock. Any thread; nothing blocks. Memory: some 100 bytes for each directory of a backup that somebody has open.
 */
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct descents;
struct descents *descents_new(void);
/** descents_free() - with all handles that nobody has given back. NULL allowed; returns NULL. */
struct descents *descents_free(struct descents *d);

/** struct descent_handle - a directory that is open. */
struct descent_handle;
/**
 * descents_enter() - process @pid has opened a directory
 * @artifact: the inode number of the backup that it is in, or is
 * @is_top: it is the directory of the backup itself
 * Return: the caller's descents_leave().
 */
struct descent_handle *descents_enter(struct descents *d, uint64_t artifact, pid_t pid, bool is_top);
/** descents_leave() - it was closed. NULL allowed. */
void descents_leave(struct descents *d, struct descent_handle *h);

/** What becomes of what is removed within: descents_find() returns one of these, or the negative errno with which the backup is refused. */
#define DESCENT_TAKEN 0 /* answer it as done */
#define DESCENT_NONE                                                                                         \
	1 /* the caller has not gone down from the top: it is refused, as that of a part of a backup */
#define DESCENT_UNKNOWN 2 /* he has; may the backup go? descents_judge() */
int descents_find(struct descents *d, uint64_t artifact, pid_t pid);
/**
 * descents_judge() - 0: it may go; negative errno: it may not
 * Return: as descents_find(), afterwards: DESCENT_NONE when all was closed meanwhile.
 */
int descents_judge(struct descents *d, uint64_t artifact, pid_t pid, int verdict);
