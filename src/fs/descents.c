// SPDX-License-Identifier: Apache-2.0
/* See descents.h. There are as many as directories of backups are open, few: a list. */
#include "descents.h"

#include <keepfs/base/mem.h>

#include <pthread.h>
#include <stdlib.h>

struct descent { /* of one process, into one backup */
	uint64_t artifact;
	pid_t pid;
	size_t handles; /* open directories; 0: it is dropped */
	bool from_top;
	int verdict; /* DESCENT_UNKNOWN, DESCENT_TAKEN, or a negative errno */
	struct descent *next;
};

struct descent_handle {
	struct descent *of;
	struct descent_handle *next, **link;
};

struct descents {
	pthread_mutex_t lock;
	struct descent *first;          /* lock */
	struct descent_handle *handles; /* lock */
};

struct descents *descents_new(void)
{
	struct descents *d = mem_alloc(sizeof(*d));

	pthread_mutex_init(&d->lock, NULL);
	return d;
}

struct descents *descents_free(struct descents *d)
{
	if (!d)
		return NULL;
	while (d->handles)
		descents_leave(d, d->handles);
	pthread_mutex_destroy(&d->lock);
	free(d);
	return NULL;
}

/* With the lock. */
static struct descent *descent_of(struct descents *d, uint64_t artifact, pid_t pid)
{
	struct descent *found = d->first;

	while (found && (found->artifact != artifact || found->pid != pid))
		found = found->next;
	return found;
}

/* With the lock. */
static struct descent *begin_descent(struct descents *d, uint64_t artifact, pid_t pid)
{
	struct descent *made = mem_alloc(sizeof(*made));

	*made = (struct descent){
	        .artifact = artifact, .pid = pid, .verdict = DESCENT_UNKNOWN, .next = d->first};
	d->first = made;
	return made;
}

struct descent_handle *descents_enter(struct descents *d, uint64_t artifact, pid_t pid, bool is_top)
{
	struct descent_handle *h = mem_alloc(sizeof(*h));

	pthread_mutex_lock(&d->lock);
	h->of = descent_of(d, artifact, pid);
	if (!h->of)
		h->of = begin_descent(d, artifact, pid);
	h->of->handles++;
	h->of->from_top |= is_top;
	h->next = d->handles;
	h->link = &d->handles;
	if (h->next)
		h->next->link = &h->next;
	d->handles = h;
	pthread_mutex_unlock(&d->lock);
	return h;
}

/* With the lock. */
static void drop_descent(struct descents *d, struct descent *gone)
{
	struct descent **at = &d->first;

	while (*at != gone)
		at = &(*at)->next;
	*at = gone->next;
	free(gone);
}

void descents_leave(struct descents *d, struct descent_handle *h)
{
	if (!h)
		return;
	pthread_mutex_lock(&d->lock);
	*h->link = h->next;
	if (h->next)
		h->next->link = h->link;
	if (--h->of->handles == 0)
		drop_descent(d, h->of);
	pthread_mutex_unlock(&d->lock);
	free(h);
}

static int told_of(const struct descent *found)
{
	return found && found->from_top ? found->verdict : DESCENT_NONE;
}

/* Of a process that cannot be seen nobody knows what it has open. */
int descents_find(struct descents *d, uint64_t artifact, pid_t pid)
{
	int told;

	if (pid <= 0)
		return DESCENT_NONE;
	pthread_mutex_lock(&d->lock);
	told = told_of(descent_of(d, artifact, pid));
	pthread_mutex_unlock(&d->lock);
	return told;
}

int descents_judge(struct descents *d, uint64_t artifact, pid_t pid, int verdict)
{
	struct descent *found;
	int told;

	pthread_mutex_lock(&d->lock);
	found = descent_of(d, artifact, pid);
	if (found && found->from_top)
		found->verdict = verdict;
	told = told_of(found);
	pthread_mutex_unlock(&d->lock);
	return told;
}
