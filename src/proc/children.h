// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The children that have a keeper, so that nobody else takes their status. Any thread. */
#include <spawn.h>
#include <sys/types.h>

struct child { /* the owner's memory */
	pid_t pid;
	struct child *next;
};

/** children_spawn() - posix_spawn() that no stranger's reaper can come before; a positive errno, as that. */
int children_spawn(struct child *child, const char *path, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *attr, char *const argv[], char *const env[]);
/** children_reaped() - its status was taken: its number may be another's from now on. */
void children_reaped(struct child *child);
