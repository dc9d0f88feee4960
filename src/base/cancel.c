// SPDX-License-Identifier: Apache-2.0
/*
 * A stop token. Waiters either sleep on it or add a hook that wakes them where they sleep. Hooks run under
 * the token's lock: that is what makes "after cancel_remove_hook() it is not running" true without another
 * handshake.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/clock.h>

#include <errno.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

void cancel_init(struct cancel *c)
{
	*c = (struct cancel){0};
	pthread_mutex_init(&c->lock, NULL);
	clock_cond_init(&c->changed);
}

void cancel_finish(struct cancel *c)
{
	pthread_cond_destroy(&c->changed);
	pthread_mutex_destroy(&c->lock);
}

void cancel_set(struct cancel *c)
{
	pthread_mutex_lock(&c->lock);
	if (!c->set) {
		c->set = true;
		for (struct cancel_hook *hook = c->hooks; hook; hook = hook->next)
			hook->wake(hook->arg);
		pthread_cond_broadcast(&c->changed);
	}
	pthread_mutex_unlock(&c->lock);
}

bool cancel_is_set(struct cancel *c)
{
	bool set;

	if (!c)
		return false;
	pthread_mutex_lock(&c->lock);
	set = c->set;
	pthread_mutex_unlock(&c->lock);
	return set;
}

bool cancel_sleep_ms(struct cancel *c, int64_t ms)
{
	int64_t until_ms = clock_mono_ms() + ms;
	bool set;

	if (!c) {
		struct timespec ts = clock_to_timespec(ms * 1000);

		while (nanosleep(&ts, &ts) < 0)
			;
		return false;
	}
	pthread_mutex_lock(&c->lock);
	while (!c->set && clock_mono_ms() < until_ms)
		clock_cond_wait_ms(&c->changed, &c->lock, until_ms - clock_mono_ms());
	set = c->set;
	pthread_mutex_unlock(&c->lock);
	return set;
}

void cancel_add_hook(struct cancel *c, struct cancel_hook *hook)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	hook->next = c->hooks;
	c->hooks = hook;
	if (c->set)
		hook->wake(hook->arg);
	pthread_mutex_unlock(&c->lock);
}

void cancel_remove_hook(struct cancel *c, struct cancel_hook *hook)
{
	if (!c)
		return;
	pthread_mutex_lock(&c->lock);
	for (struct cancel_hook **at = &c->hooks; *at; at = &(*at)->next) {
		if (*at == hook) {
			*at = hook->next;
			break;
		}
	}
	pthread_mutex_unlock(&c->lock);
}

static void make_readable(void *arg)
{
	const struct cancel_fd *f = arg;
	uint64_t one = 1;

	(void)!write(f->fd, &one, sizeof(one));
}

int cancel_fd_open(struct cancel_fd *ret, struct cancel *c)
{
	ret->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ret->fd < 0)
		return -errno;
	ret->cancel = c;
	ret->hook = (struct cancel_hook){.wake = make_readable, .arg = ret};
	cancel_add_hook(c, &ret->hook);
	return 0;
}

void cancel_fd_close(struct cancel_fd *f)
{
	cancel_remove_hook(f->cancel, &f->hook);
	close(f->fd);
}
