// SPDX-License-Identifier: Apache-2.0
/*
 * The init of a container is the parent of all that lost theirs: what a hook left running, above all. Nobody else will
 * take their status. waitid() is asked who has ended without taking anything (WNOWAIT), and only the status of a
 * stranger is taken then: not one that a keeper waits for, and not one of our own process group, which a library has
 * forked and waits for itself. The kernel names one of them at a time: a stranger behind a child that has a keeper is found when
 * that keeper is done.
 */
#include "children.h"

#include <keepfs/proc.h>

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static pthread_mutex_t children_lock = PTHREAD_MUTEX_INITIALIZER;
static struct child *kept;        /* children_lock */
static atomic_bool has_strangers; /* proc_reap_strangers() was called */

int children_spawn(struct child *child, const char *path, const posix_spawn_file_actions_t *actions,
                   const posix_spawnattr_t *attr, char *const argv[], char *const env[])
{
	int errnum;

	pthread_mutex_lock(&children_lock);
	errnum = posix_spawn(&child->pid, path, actions, attr, argv, env);
	if (errnum == 0) {
		child->next = kept;
		kept = child;
	}
	pthread_mutex_unlock(&children_lock);
	return errnum;
}

void children_reaped(struct child *child)
{
	struct child **at = &kept;

	pthread_mutex_lock(&children_lock);
	while (*at != child)
		at = &(*at)->next;
	*at = child->next;
	pthread_mutex_unlock(&children_lock);
	if (atomic_load(&has_strangers))
		proc_reap_strangers();
}

/* With the lock. */
static bool is_stranger(pid_t pid)
{
	for (const struct child *child = kept; child; child = child->next)
		if (child->pid == pid)
			return false;
	return getpgid(pid) != getpgrp();
}

/* 0: none has ended. */
static pid_t ended_child(void)
{
	siginfo_t info = {0};

	return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0 ? info.si_pid : 0;
}

void proc_reap_strangers(void)
{
	pid_t pid;

	atomic_store(&has_strangers, true);
	pthread_mutex_lock(&children_lock);
	while ((pid = ended_child()) > 0 && is_stranger(pid))
		if (waitpid(pid, NULL, WNOHANG) <= 0)
			break;
	pthread_mutex_unlock(&children_lock);
}
