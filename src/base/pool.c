// SPDX-License-Identifier: Apache-2.0
/*
 * The pool is one anonymous mapping, cut into buffers. Pages come into being when first written. When nobody
 * holds a buffer any more, they go back to the system, but for those of the first few buffers, which are then
 * the next to be taken: who takes one buffer now and then (the first read of a file) does not wait each time
 * until the system has cleared a huge page for it. Reservations are granted first come, first served: a large
 * one that waits is not overtaken for ever by small ones.
 */
#include <keepfs/base/mem.h>
#include <keepfs/base/pool.h>

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define HUGE_PAGE_BYTES ((size_t)2 << 20)
#define WARM_BUFFERS    8 /* that keep their pages while nobody holds one; whole huge pages */

struct waiter {
	struct pool *pool;
	struct waiter *next; /* pool->lock */
	bool cancelled;      /* pool->lock */
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	char *mapping; /* has room for @memory to begin at a huge page */
	size_t mapped_bytes;
	char *memory;
	size_t count;
	struct pool *trunk;   /* in which its buffers are reserved; NULL: it is no branch */
	size_t reserved;      /* lock */
	size_t kept;          /* lock: of these */
	size_t taken;         /* lock */
	size_t touched;       /* lock: those behind so many from the beginning have no pages */
	size_t free_count;    /* lock */
	void **free_buffers;  /* lock: a stack, the most recently used on top */
	struct waiter *first; /* lock: reservations that wait, in the order they came */
};

/* All of them are free: the first one is the next. */
static void stack_buffers(struct pool *pool)
{
	for (size_t i = 0; i < pool->count; i++)
		pool->free_buffers[pool->count - 1 - i] = pool->memory + i * POOL_BUFFER_BYTES;
	pool->free_count = pool->count;
}

struct pool *pool_new(uint64_t bytes)
{
	struct pool *pool = mem_alloc(sizeof(*pool));

	pool->count = (size_t)(bytes / POOL_BUFFER_BYTES);
	if (pool->count == 0)
		pool->count = 1;
	pool->mapped_bytes = pool->count * POOL_BUFFER_BYTES + HUGE_PAGE_BYTES;
	pool->mapping = mmap(NULL, pool->mapped_bytes, PROT_READ | PROT_WRITE,
	                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (pool->mapping == MAP_FAILED) {
		free(pool);
		return NULL;
	}
	pool->memory = pool->mapping + (-(uintptr_t)pool->mapping & (HUGE_PAGE_BYTES - 1));
	/* Else every transfer of a few MiB takes a thousand page faults, a tenth of its processor time. */
	madvise(pool->memory, pool->count * POOL_BUFFER_BYTES, MADV_HUGEPAGE);
	pthread_mutex_init(&pool->lock, NULL);
	pthread_cond_init(&pool->changed, NULL);
	pool->free_buffers = mem_array(pool->count, sizeof(void *));
	stack_buffers(pool);
	return pool;
}

struct pool *pool_free(struct pool *pool)
{
	if (!pool)
		return NULL;
	assert(pool->taken == 0);
	if (pool->trunk)
		pool_unreserve(pool->trunk, pool->count);
	munmap(pool->mapping, pool->mapped_bytes);
	pthread_cond_destroy(&pool->changed);
	pthread_mutex_destroy(&pool->lock);
	free(pool->free_buffers);
	free(pool);
	return NULL;
}

/* @count buffers of @pool are reserved for it. */
static struct pool *branch_off(struct pool *pool, size_t count)
{
	struct pool *branch = pool_new(count * POOL_BUFFER_BYTES);

	if (branch)
		branch->trunk = pool;
	else
		pool_unreserve(pool, count);
	return branch;
}

struct pool *pool_branch(struct pool *pool, size_t count, size_t spare)
{
	assert(count > 0);
	if (!pool_try_reserve(pool, count + spare))
		return NULL;
	pool_unreserve(pool, spare);
	return branch_off(pool, count);
}

int pool_branch_wait(struct pool *pool, size_t count, struct cancel *cancel, struct pool **ret)
{
	struct pool *branch;
	int r;

	assert(count > 0);
	r = pool_reserve(pool, count, cancel);
	if (r < 0)
		return r;
	branch = branch_off(pool, count);
	if (!branch)
		return -ENOMEM;
	*ret = branch;
	return 0;
}

size_t pool_buffers(const struct pool *pool)
{
	return pool->count;
}

static void enqueue_waiter(struct pool *pool, struct waiter *waiter)
{
	struct waiter **at = &pool->first;

	while (*at)
		at = &(*at)->next;
	*at = waiter;
}

static void dequeue_waiter(struct pool *pool, struct waiter *waiter)
{
	struct waiter **at = &pool->first;

	while (*at != waiter)
		at = &(*at)->next;
	*at = waiter->next;
}

static void give_up_waiting(void *arg)
{
	struct waiter *waiter = arg;

	pthread_mutex_lock(&waiter->pool->lock);
	waiter->cancelled = true;
	pthread_cond_broadcast(&waiter->pool->changed);
	pthread_mutex_unlock(&waiter->pool->lock);
}

int pool_reserve(struct pool *pool, size_t count, struct cancel *cancel)
{
	struct waiter waiter = {.pool = pool};
	struct cancel_hook hook = {.wake = give_up_waiting, .arg = &waiter};
	int r = 0;

	if (count > pool->count)
		return -ENOSPC;
	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&pool->lock);
	enqueue_waiter(pool, &waiter);
	while (!waiter.cancelled && (pool->first != &waiter || pool->reserved + count > pool->count))
		pthread_cond_wait(&pool->changed, &pool->lock);
	dequeue_waiter(pool, &waiter);
	if (waiter.cancelled)
		r = -ECANCELED;
	else
		pool->reserved += count;
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
	cancel_remove_hook(cancel, &hook);
	return r;
}

bool pool_try_reserve(struct pool *pool, size_t count)
{
	bool granted;

	pthread_mutex_lock(&pool->lock);
	granted = !pool->first && pool->reserved + count <= pool->count;
	if (granted)
		pool->reserved += count;
	pthread_mutex_unlock(&pool->lock);
	return granted;
}

bool pool_try_keep(struct pool *pool, size_t count)
{
	if (!pool_try_reserve(pool, count))
		return false;
	pthread_mutex_lock(&pool->lock);
	pool->kept += count;
	pthread_mutex_unlock(&pool->lock);
	return true;
}

void pool_unkeep(struct pool *pool, size_t count)
{
	pthread_mutex_lock(&pool->lock);
	pool->kept -= count;
	pthread_mutex_unlock(&pool->lock);
	pool_unreserve(pool, count);
}

size_t pool_shared(struct pool *pool)
{
	size_t shared;

	pthread_mutex_lock(&pool->lock);
	shared = pool->count - pool->kept;
	pthread_mutex_unlock(&pool->lock);
	return shared;
}

void pool_unreserve(struct pool *pool, size_t count)
{
	pthread_mutex_lock(&pool->lock);
	assert(pool->reserved >= count);
	pool->reserved -= count;
	assert(pool->taken <= pool->reserved);
	pthread_cond_broadcast(&pool->changed);
	pthread_mutex_unlock(&pool->lock);
}

void *pool_take(struct pool *pool)
{
	char *buffer;
	size_t end;

	pthread_mutex_lock(&pool->lock);
	assert(pool->taken < pool->reserved);
	pool->taken++;
	buffer = pool->free_buffers[--pool->free_count];
	end = (size_t)(buffer - pool->memory) / POOL_BUFFER_BYTES + 1;
	if (end > pool->touched)
		pool->touched = end;
	pthread_mutex_unlock(&pool->lock);
	return buffer;
}

/* With the lock, and nobody holding a buffer. */
static void become_idle(struct pool *pool)
{
	stack_buffers(pool);
	if (pool->touched <= WARM_BUFFERS)
		return;
	madvise(pool->memory + WARM_BUFFERS * POOL_BUFFER_BYTES,
	        (pool->touched - WARM_BUFFERS) * POOL_BUFFER_BYTES, MADV_DONTNEED);
	pool->touched = WARM_BUFFERS;
}

void pool_give(struct pool *pool, void *buffer)
{
	pthread_mutex_lock(&pool->lock);
	pool->free_buffers[pool->free_count++] = buffer;
	if (--pool->taken == 0)
		become_idle(pool);
	pthread_mutex_unlock(&pool->lock);
}
