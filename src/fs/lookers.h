// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * Workers whose tasks are each about something, which a key names. About one thing a few are at work at a time, and the others wait
 * in a queue of their own that takes no thread: so that what takes long about one thing holds up nothing that is about another.
 */
#include <stdint.h>

struct lookers;

/** lookers_new() - @count threads named @name, at most @most of them about one thing; NULL when none could be started. */
struct lookers *lookers_new(const char *name, unsigned count, unsigned most);
/** lookers_free() - run all that is queued, then join. NULL allowed; returns NULL. */
struct lookers *lookers_free(struct lookers *t);
/** lookers_add() - queue @run(@arg), which is about @key; never blocks. Any thread. Of one key they begin in the order they came. */
void lookers_add(struct lookers *t, uint64_t key, void (*run)(void *arg), void *arg);
