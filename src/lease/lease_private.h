// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the files of this room share. */
#include <keepfs/lease.h>

#include <pthread.h>

/** lease_process() - "boot/namespace/start" of the process @pid of this host; "" when it is not known. @ret_gone: surely no such process. */
void lease_process_of_self(char *buf, size_t buf_bytes);
/** lease_process_is_gone() - did the process that calls itself @process and @pid run here, and has it ended? False when that is not sure. */
bool lease_process_is_gone(const char *process, int64_t pid);
/** lease_instance() - the word in <state_dir>/instance, which is made when it is not there. */
int lease_instance(const char *state_dir, char *buf, size_t buf_bytes, struct error *err);
/** lease_clock_ms() - CLOCK_BOOTTIME. */
int64_t lease_clock_ms(void);

struct lease {
	struct store *store;
	int64_t length_ms;
	struct store_fence fence;
	struct lease_text own; /* written by whoever takes or renews: one thread at a time */
	char etag[STORE_ETAG_BYTES];
	atomic_llong sure_until_ms; /* lease_clock_ms(); 0: never was */
	atomic_ullong number;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool stopping;          /* lock */
	bool poked;             /* lock: renew now */
	bool is_lost;           /* lock */
	char why[512];          /* lock: of is_lost, or of the last failure */
	enum error_class class; /* lock: of `why` */
	bool may_pass;          /* lock: by itself */
	int64_t trouble_us;     /* lock: since when; 0: there is none */
	pthread_mutex_t listener_lock;
	void (*listener)(void *arg); /* listener_lock */
	void *listener_arg;          /* listener_lock */
	enum lease_phase told;       /* the thread's: what the listener was told of last */
	bool saw_another;            /* whoever takes it: another one's lease was there */
	bool is_late; /* the thread's: the start could not take it, so nobody looks at what another one did */
	struct cancel cancel; /* set by lease_free() */
	pthread_t thread;
	bool started;
};

/** lease_read() - the object, its etag. -ENOENT: there is none. */
int lease_read(struct lease *l, const struct store_call *call, struct lease_text *ret,
               char ret_etag[static STORE_ETAG_BYTES], struct error *err);
/** lease_write() - l->own, over the object with the etag @over (NULL: there is none). On success l->etag is set; the fence stays as it is.
 * -ESTALE: another one was faster. */
int lease_write(struct lease *l, const struct store_call *call, const char *over, int64_t *ret_sure_until_ms,
                struct error *err);
/** lease_open_fence() - until then, with the number of l->own. */
void lease_open_fence(struct lease *l, int64_t sure_until_ms);
/** lease_is_own() - is that what this lease has written? */
bool lease_is_own(const struct lease *l, const struct lease_text *t);
/** lease_is_of_here() - was it written by a keepfs with this state_dir, on a host of this name? */
bool lease_is_of_here(const struct lease *l, const struct lease_text *t);
/** lease_lose() - @t has it, or had it: for good. Returns -ESTALE. */
int lease_lose(struct lease *l, const struct lease_text *t, struct error *err);
/** lease_may_come_later() - is the failure @r one of the store alone, which says nothing of who has it? */
bool lease_may_come_later(int r);
/** lease_who() - "db1 (pid 4711)". */
void lease_who(const struct lease_text *t, char buf[static LEASE_WHO_BYTES]);
/** lease_take_once() - lease_take() without a thread. */
int lease_take_once(struct lease *l, const struct lease_wait *wait, struct error *err);
