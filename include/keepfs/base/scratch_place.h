// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Scratch places: directories that are made for a while, by a process that may be killed. In the directory in which they lie each has NAME.lock, which is locked as long as its
 * maker lives, and NAME/, which nobody but its owner can enter. What the dead have left scratch_place_clear() finds by their locks.
 *
 *   scratch_open()              the directory in which they lie
 *   scratch_place_new()         a place of its own; scratch_place_add(), scratch_place_add_elsewhere(): directories of it
 *   scratch_place_remove()      all of it, then scratch_place_finish()
 *   scratch_place_clear()       those whose makers are dead
 *
 * The owner may be another user, whose links lead anywhere: everything is looked at and removed by descriptors, and no link is followed. All block on the local disk.
 */
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define SCRATCH_PREFIX "scratch-"

struct scratch_place {
	int dir_fd;      /* of the directory in which it lies: scratch_open() */
	int lock_fd;     /* of NAME.lock, locked */
	char name[64];   /* "scratch-1f0e…" */
	char *path;      /* of NAME/ */
	char *elsewhere; /* a further directory with a short path, outside of it; NULL: none */
};

/** scratch_open() - the directory in which places lie: a descriptor; -ENOENT, without @err, when it is missing and not @make, else it is made with mode 0711. */
int scratch_open(const char *directory, bool make, struct error *err);
/**
 * scratch_place_new() - under a name of its own, locked; NAME/ belongs to @uid and @gid
 * @ret: dir_fd is set, lock_fd is -1; the caller's scratch_place_remove() and scratch_place_finish(), also after a failure, when lock_fd is not -1
 */
int scratch_place_new(const char *directory, uid_t uid, gid_t gid, struct scratch_place *ret,
                      struct error *err);
/** scratch_place_add() - the directory @name in NAME/, 0700. Negative errno. */
int scratch_place_add(struct scratch_place *p, const char *name, uid_t uid, gid_t gid);
/** scratch_place_add_elsewhere() - p->elsewhere, 0700, for what needs a short path; it is removed with the place, also when its maker was killed. Negative errno. */
int scratch_place_add_elsewhere(struct scratch_place *p, uid_t uid, gid_t gid);
/** scratch_place_remove() - end the processes that work in it, remove all of it, unlock. */
int scratch_place_remove(struct scratch_place *p, struct error *err);
/** scratch_place_finish() - forget it; what is there stays there. */
void scratch_place_finish(struct scratch_place *p);
/** scratch_place_clear() - end and remove what makers that are dead have left in @directory. Return: how many; 0 also when there is no such directory; negative with @err: something could not be removed. */
int scratch_place_clear(const char *directory, struct error *err);

/** scratch_remove() - the directory @name, with all that is in it, however deep. 0 also when there is none; negative errno. */
int scratch_remove(int dir_fd, const char *name);
/** scratch_measure() - the bytes that the files below a directory take. */
uint64_t scratch_measure(int dir_fd, const char *name);
/** scratch_end_processes() - of the processes of the user who owns @path those that have their working directory there or below: SIGQUIT, and after 5 s SIGKILL. */
void scratch_end_processes(const char *path);
