// SPDX-License-Identifier: Apache-2.0
/* The files that are coming in, from the first byte until nobody has them any more. */
#include "arrival.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <inttypes.h>

struct inbox_arrivals *inbox_arrivals_new(void)
{
	struct inbox_arrivals *a = mem_alloc(sizeof(*a));

	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->changed, NULL);
	return a;
}

struct inbox_arrivals *inbox_arrivals_free(struct inbox_arrivals *a)
{
	if (!a)
		return NULL;
	pthread_cond_destroy(&a->changed);
	pthread_mutex_destroy(&a->lock);
	free(a);
	return NULL;
}

struct inbox_arrival *inbox_arrive(struct inbox_arrivals *all, const struct inbox_arrival_options *options)
{
	struct inbox_arrival *a = mem_alloc(sizeof(*a));

	a->all = all;
	a->refs = 1;
	a->job = mem_strdup(options->job);
	a->name = mem_strdup(options->name);
	a->is_temporary = options->is_temporary;
	a->intake = intake_ref(options->intake);
	a->ended = options->ended;
	a->arg = options->arg;
	pthread_mutex_lock(&all->lock);
	a->number = ++all->last;
	a->next = all->first;
	all->first = a;
	pthread_mutex_unlock(&all->lock);
	return a;
}

static void strike_arrival(struct inbox_arrival *a)
{
	struct inbox_arrival **at = &a->all->first;

	while (*at != a)
		at = &(*at)->next;
	*at = a->next;
}

struct inbox_arrival *inbox_arrival_unref(struct inbox_arrival *a)
{
	struct inbox_arrivals *all;
	bool last;

	if (!a)
		return NULL;
	all = a->all;
	pthread_mutex_lock(&all->lock);
	last = --a->refs == 0;
	if (last)
		strike_arrival(a);
	pthread_cond_broadcast(&all->changed);
	pthread_mutex_unlock(&all->lock);
	if (!last)
		return NULL;
	intake_unref(a->intake);
	free(a->job);
	free(a->name);
	free(a);
	return NULL;
}

struct inbox_arrival *arrivals_find(struct inbox_arrivals *all, uint64_t number)
{
	struct inbox_arrival *a;

	pthread_mutex_lock(&all->lock);
	for (a = all->first; a && a->number != number; a = a->next)
		;
	if (a) {
		a->refs++;
		a->is_abandoned = false;
	}
	pthread_mutex_unlock(&all->lock);
	return a;
}

char *arrival_name(struct inbox_arrival *a, bool *ret_is_temporary)
{
	char *name;

	pthread_mutex_lock(&a->all->lock);
	name = mem_strdup(a->name);
	if (ret_is_temporary)
		*ret_is_temporary = a->is_temporary;
	pthread_mutex_unlock(&a->all->lock);
	return name;
}

void inbox_arrival_name(struct inbox_arrival *a, const char *name)
{
	char *old = mem_strdup(name);

	pthread_mutex_lock(&a->all->lock);
	{
		char *kept = a->name;

		a->name = old;
		old = kept;
	}
	a->is_temporary = false;
	pthread_mutex_unlock(&a->all->lock);
	free(old);
}

char *inbox_arrival_order(const struct inbox_arrival *a)
{
	_cleanup(free) char *name = arrival_name((struct inbox_arrival *)a, NULL);
	_cleanup(free) char *named = mem_printf("name=%s", name);
	_cleanup(free) char *number = mem_printf("number=%" PRIu64, a->number);
	struct str text = {0};

	command_line_append(&text, a->job);
	command_line_append(&text, named);
	command_line_append(&text, number);
	return str_take(&text);
}

static void end_arrival(struct inbox_arrival *a, int r, const char *path, const struct error *err)
{
	bool is_first;

	pthread_mutex_lock(&a->all->lock);
	is_first = !a->is_over;
	a->is_over = true;
	a->sha256[0] = '\0';
	pthread_cond_broadcast(&a->all->changed);
	pthread_mutex_unlock(&a->all->lock);
	if (!is_first)
		return;
	a->ended(a->arg, r, path, err);
	intake_finish(a->intake, r, err);
}

void inbox_arrival_end(struct inbox_arrival *a, int r, const struct error *err)
{
	end_arrival(a, r, NULL, err);
}

void arrival_succeed(struct inbox_arrival *a, const char *path, const char *what)
{
	struct error said = {0};

	str_copy(said.message, sizeof(said.message), what);
	end_arrival(a, 0, path, &said);
}

static void end_without_run(struct inbox_arrival *a)
{
	struct error err = {0};

	error_set(&err, ERROR_CANCELLED, ECANCELED, "the run that was to take it was cancelled");
	inbox_arrival_end(a, -ECANCELED, &err);
}

void arrival_abandon(struct inbox_arrival *a)
{
	bool is_queued;

	pthread_mutex_lock(&a->all->lock);
	a->is_abandoned = true;
	is_queued = a->is_queued;
	pthread_mutex_unlock(&a->all->lock);
	if (is_queued)
		end_without_run(a);
}

void inbox_arrival_queued(struct inbox_arrival *a)
{
	bool is_abandoned;

	pthread_mutex_lock(&a->all->lock);
	a->is_queued = true;
	is_abandoned = a->is_abandoned;
	pthread_mutex_unlock(&a->all->lock);
	if (is_abandoned)
		end_without_run(a);
}

struct content_wait { /* the lock of all arrivals */
	struct inbox_arrivals *all;
	bool cancelled;
};

static void wake_content_wait(void *arg)
{
	struct content_wait *wait = arg;

	pthread_mutex_lock(&wait->all->lock);
	wait->cancelled = true;
	pthread_cond_broadcast(&wait->all->changed);
	pthread_mutex_unlock(&wait->all->lock);
}

/* With the lock. */
static bool another_has(const struct inbox_arrival *a, const char *sha256)
{
	for (const struct inbox_arrival *other = a->all->first; other; other = other->next)
		if (other != a && !other->is_over && str_equal(other->job, a->job) &&
		    str_equal(other->sha256, sha256))
			return true;
	return false;
}

int arrival_claim_content(struct inbox_arrival *a, const char *sha256, struct cancel *cancel,
                          struct error *err)
{
	struct content_wait wait = {.all = a->all};
	struct cancel_hook hook = {.wake = wake_content_wait, .arg = &wait};

	cancel_add_hook(cancel, &hook);
	pthread_mutex_lock(&a->all->lock);
	while (!wait.cancelled && another_has(a, sha256))
		pthread_cond_wait(&a->all->changed, &a->all->lock);
	if (!wait.cancelled)
		str_copy(a->sha256, sizeof(a->sha256), sha256);
	pthread_mutex_unlock(&a->all->lock);
	cancel_remove_hook(cancel, &hook);
	return wait.cancelled ? error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled") : 0;
}
