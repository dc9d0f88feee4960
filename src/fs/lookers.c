// SPDX-License-Identifier: Apache-2.0
/* See lookers.h. The workers' queue has what may begin; what has ended puts the next task about its thing there, behind what is queued about
 * others. */
#include "lookers.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct look {
	struct lookers *lookers;
	struct thing *thing;
	void (*run)(void *arg);
	void *arg;
	struct look *next; /* lock */
};

struct thing {
	uint64_t key;
	unsigned begun;             /* in the workers' queue, or at work; never 0 */
	struct look *first, **last; /* those that wait for one of these to end */
	struct thing *next;
};

struct lookers {
	pthread_mutex_t lock;
	struct thing *things; /* lock, with all that is in them */
	unsigned most;
	struct workers *workers;
};

struct lookers *lookers_new(const char *name, unsigned count, unsigned most)
{
	struct lookers *t = mem_alloc(sizeof(*t));

	pthread_mutex_init(&t->lock, NULL);
	t->most = most;
	t->workers = workers_new(name, count);
	return t->workers ? t : lookers_free(t);
}

struct lookers *lookers_free(struct lookers *t)
{
	if (!t)
		return NULL;
	workers_free(t->workers);
	pthread_mutex_destroy(&t->lock);
	free(t);
	return NULL;
}

static struct thing **find_thing(struct lookers *t, uint64_t key)
{
	struct thing **at = &t->things;

	while (*at && (*at)->key != key)
		at = &(*at)->next;
	return at;
}

/* One of @thing has ended: the one that begins now; NULL: none waits. With the lock. */
static struct look *take_next_look(struct lookers *t, struct thing *thing)
{
	struct look *look = thing->first;

	if (look) {
		thing->first = look->next;
		if (!thing->first)
			thing->last = &thing->first;
	} else if (--thing->begun == 0) {
		*find_thing(t, thing->key) = thing->next;
		free(thing);
	}
	return look;
}

static void run_look(void *arg)
{
	struct look *look = arg, *next;
	struct lookers *t = look->lookers;

	look->run(look->arg);
	pthread_mutex_lock(&t->lock);
	next = take_next_look(t, look->thing);
	pthread_mutex_unlock(&t->lock);
	if (next)
		workers_add(t->workers, run_look, next);
	free(look);
}

static struct thing *get_thing(struct lookers *t, uint64_t key)
{
	struct thing **at = find_thing(t, key);

	if (!*at) {
		*at = mem_alloc(sizeof(**at));
		(*at)->key = key;
		(*at)->last = &(*at)->first;
	}
	return *at;
}

void lookers_add(struct lookers *t, uint64_t key, void (*run)(void *arg), void *arg)
{
	struct look *look = mem_alloc(sizeof(*look));
	bool begins;

	*look = (struct look){.lookers = t, .run = run, .arg = arg};
	pthread_mutex_lock(&t->lock);
	look->thing = get_thing(t, key);
	begins = look->thing->begun < t->most;
	if (begins) {
		look->thing->begun++;
	} else {
		*look->thing->last = look;
		look->thing->last = &look->next;
	}
	pthread_mutex_unlock(&t->lock);
	if (begins)
		workers_add(t->workers, run_look, look);
}
