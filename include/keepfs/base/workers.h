// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A fixed set of threads that run tasks in the order they came. Signals are blocked in all of them. */
struct workers;

/** workers_new() - @count threads named "<name>" (at most 15 characters); NULL when none could be started. */
struct workers *workers_new(const char *name, unsigned count);
/** workers_free() - run what is queued, then join. NULL is allowed; returns NULL. */
struct workers *workers_free(struct workers *w);
/** workers_add() - queue @run(@arg); never blocks. */
void workers_add(struct workers *w, void (*run)(void *arg), void *arg);
/** thread_start() - one named thread with all signals blocked; 0 or a negative errno. */
#include <pthread.h>
int thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *arg), void *arg);
