// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A request to stop, shared by those who wait and the one who asks. Set once, never unset. Blocking calls of
 * stores, streams and children take one (NULL: cannot be cancelled) and return -ECANCELED soon after it was
 * set.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct cancel_hook {
	/* called once by cancel_set(), in the setter's thread, with the token's lock held: it must only
	 * wake */
	void (*wake)(void *arg);
	void *arg;
	struct cancel_hook *next;
};

struct cancel {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool set;                  /* lock */
	struct cancel_hook *hooks; /* lock */
};

void cancel_init(struct cancel *c);
void cancel_finish(struct cancel *c);
void cancel_set(struct cancel *c);
/** cancel_is_set() - false for NULL. */
bool cancel_is_set(struct cancel *c);
/** cancel_sleep_ms() - wait @ms, or until set: returns true when set. NULL sleeps the whole time. */
bool cancel_sleep_ms(struct cancel *c, int64_t ms);
/** cancel_add_hook() - have @hook->wake called when @c is set; at once when it is set already. NULL @c:
 * nothing. */
void cancel_add_hook(struct cancel *c, struct cancel_hook *hook);
/** cancel_remove_hook() - after it returns, @hook is not running and never will. */
void cancel_remove_hook(struct cancel *c, struct cancel_hook *hook);

struct cancel_fd { /* a token as a descriptor, for those who wait in poll() */
	int fd;    /* readable once the token is set, and from then on */
	struct cancel *cancel;
	struct cancel_hook hook;
};

/** cancel_fd_open() - 0 or negative errno. NULL @c: @ret->fd is never readable. @ret must stay where it is
 * until cancel_fd_close(). */
int cancel_fd_open(struct cancel_fd *ret, struct cancel *c);
void cancel_fd_close(struct cancel_fd *f);
