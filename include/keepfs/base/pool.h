// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The buffer pool: the one memory limit of the daemon. It owns a fixed number of buffers of
 * POOL_BUFFER_BYTES; whoever moves bytes of backups takes them from here, and waits when there is none. That
 * waiting is the back-pressure: a pipe is not read, a transfer is not begun, memory does not grow.
 *
 * So that two users who each hold half of what they need cannot wait for each other for ever, buffers are
 * taken only within a reservation: reserve first (may wait), then take (never waits, never fails). When the
 * last buffer is given back, the memory of all but a few goes back to the system (MADV_DONTNEED), so that an
 * idle daemon is small.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define POOL_BUFFER_BYTES ((size_t)1 << 20)

struct pool;

/** pool_new() - a pool of @bytes / POOL_BUFFER_BYTES buffers (at least one); NULL when the address space
 * cannot be had. */
struct pool *pool_new(uint64_t bytes);
/**
 * pool_branch() - a pool of its own of @count buffers, which are reserved in @pool for as long as it is there
 * @spare: so many more must be free in @pool now, and stay so
 *
 * For work that goes on beside whoever ordered it: it waits for nobody who might wait for it. Never waits.
 * Return: NULL when they are not free. pool_free() of the branch, before that of @pool, ends the reservation. Any thread.
 */
struct pool *pool_branch(struct pool *pool, size_t count, size_t spare);
/** pool_branch_wait() - the same, and waits for them as pool_reserve() does. 0; -ECANCELED; -ENOSPC; -ENOMEM: the address space cannot be had. */
int pool_branch_wait(struct pool *pool, size_t count, struct cancel *cancel, struct pool **ret);
/** pool_free() - every buffer must have been given back. NULL is allowed; returns NULL. */
struct pool *pool_free(struct pool *pool);
DEFINE_CLEANUP(pool, struct pool *, pool_free)
/** pool_buffers() - how many buffers the pool has in all. */
size_t pool_buffers(const struct pool *pool);

/**
 * pool_reserve() - wait until @count more buffers can be promised, then promise them
 * Return: 0; -ECANCELED; -ENOSPC when @count is more than the whole pool.
 */
int pool_reserve(struct pool *pool, size_t count, struct cancel *cancel);
/** pool_try_reserve() - the same without waiting: false when they are not free now. */
bool pool_try_reserve(struct pool *pool, size_t count);
/** pool_try_keep() - as pool_try_reserve(), for as long as the daemon lives: what these buffers are for is no sharing with others. pool_unkeep() ends it. */
bool pool_try_keep(struct pool *pool, size_t count);
void pool_unkeep(struct pool *pool, size_t count);
/** pool_shared() - how many buffers there are in all beside those that are kept: whoever takes no more than his share counts by them. */
size_t pool_shared(struct pool *pool);
/** pool_unreserve() - end the promise; the buffers taken under it must have been given back. */
void pool_unreserve(struct pool *pool, size_t count);

/** pool_take() - one buffer within the caller's reservation; contents undefined. Never NULL. */
void *pool_take(struct pool *pool);
void pool_give(struct pool *pool, void *buffer);
