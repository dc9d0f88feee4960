// SPDX-License-Identifier: Apache-2.0
/*
 * Clocks that a test moves. Preloaded into the program (LD_PRELOAD), stands before the C library's calls that read clocks or
 * wait for them, and adds what the file KEEPFS_TEST_CLOCKS says (struct clocks; tests/e2e/clocks.py writes it). So months
 * pass in seconds, hosts sleep, and somebody sets the clock, without the program knowing anything of tests.
 *
 * Each clock has an offset of its own. Time that just passes moves all of them; a host that sleeps moves CLOCK_REALTIME and
 * CLOCK_BOOTTIME; somebody who sets the clock moves CLOCK_REALTIME alone. The last two are told as the kernel tells them, to timers
 * with TFD_TIMER_CANCEL_ON_SET (timerfd_create(2)): they become readable, and read() fails with ECANCELED; so does
 * timerfd_settime() when it comes too late to be told that way.
 *
 * Absolute times are translated to those of the real clocks when a timer is armed, or a condition variable waited for.
 * When the file changes, a thread arms the timers anew and wakes whoever waits for a condition, which is allowed to
 * happen at any time. The thread begins with the first timer or timed wait, so a process that has neither, pg_dump for
 * instance, only reads clocks. Relative times (poll, nanosleep) are not changed: the program does not wait for hours by these.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_S    INT64_C(1000000000)
#define TIMERS      16
#define WAITERS     256
#define AGAIN_MS    1
#define MONO_LESS_S INT64_C(1000000000) /* a date of today is beyond, an uptime is not */

/* The file: written while @version is odd. */
struct clocks {
	_Atomic int64_t version;
	_Atomic int64_t real_ns, boot_ns, mono_ns;
	_Atomic int64_t sets; /* how often CLOCK_REALTIME was set, or the host has slept */
};

struct view {
	int64_t version, real_ns, boot_ns, mono_ns, sets;
};

struct timer {
	int fd; /* 0: none */
	int flags;
	struct itimerspec at; /* by the moved clock */
	int64_t sets;         /* that it knows of */
	bool is_cancelled;    /* read() has to say so */
};

struct waiter {
	pthread_cond_t *cond; /* NULL: none */
	int64_t version;      /* by which its deadline was translated */
};

static const struct clocks *file;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static bool is_watched;                /* lock */
static struct timer timers[TIMERS];    /* lock */
static struct waiter waiters[WAITERS]; /* lock */

static struct view look(void)
{
	struct view v = {0};

	if (!file)
		return v;
	do {
		v.version = file->version;
		v.real_ns = file->real_ns;
		v.boot_ns = file->boot_ns;
		v.mono_ns = file->mono_ns;
		v.sets = file->sets;
	} while (v.version % 2 || v.version != file->version);
	return v;
}

static int64_t offset_of(clockid_t id)
{
	switch (id) {
	case CLOCK_REALTIME:
	case CLOCK_REALTIME_COARSE:
		return look().real_ns;
	case CLOCK_BOOTTIME:
		return look().boot_ns;
	case CLOCK_MONOTONIC:
	case CLOCK_MONOTONIC_COARSE:
	case CLOCK_MONOTONIC_RAW:
		return look().mono_ns;
	default:
		return 0;
	}
}

static void add_ns(struct timespec *ts, int64_t ns)
{
	int64_t sum_ns = (int64_t)ts->tv_sec * NS_PER_S + ts->tv_nsec + ns;

	ts->tv_sec = (time_t)(sum_ns / NS_PER_S);
	ts->tv_nsec = (long)(sum_ns % NS_PER_S);
}

/* A time that is to come has to be one: 0 would disarm a timer. */
static struct timespec translated(const struct timespec *at, int64_t offset_ns)
{
	struct timespec ts = *at;

	add_ns(&ts, -offset_ns);
	if (ts.tv_sec < 0 || (ts.tv_sec == 0 && ts.tv_nsec < 1))
		ts = (struct timespec){.tv_nsec = 1};
	return ts;
}

/* Reading. */

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*_Atomic real)(clockid_t, struct timespec *);
	int r;

	if (!real)
		real = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
	r = real(id, ts);
	if (r == 0)
		add_ns(ts, offset_of(id));
	return r;
}

time_t time(time_t *ret)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	if (ret)
		*ret = ts.tv_sec;
	return ts.tv_sec;
}

int gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
	struct timespec ts;

	(void)tz;
	clock_gettime(CLOCK_REALTIME, &ts);
	*tv = (struct timeval){.tv_sec = ts.tv_sec, .tv_usec = ts.tv_nsec / 1000};
	return 0;
}

/* The thread. */

static int set_timer(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
	return (int)syscall(SYS_timerfd_settime, fd, flags, at, old);
}

static int arm(const struct timer *t, const struct view *v, struct itimerspec *old)
{
	struct itimerspec at = t->at;

	if (t->flags & TFD_TIMER_ABSTIME && (at.it_value.tv_sec || at.it_value.tv_nsec))
		at.it_value = translated(&t->at.it_value, v->real_ns);
	return set_timer(t->fd, t->flags, &at, old);
}

/* A set clock is told at once to whoever wants to know. */
static void tell_timer(struct timer *t, const struct view *v)
{
	const struct itimerspec now = {.it_value = {.tv_nsec = 1}};

	if (!(t->flags & TFD_TIMER_ABSTIME))
		return;
	t->is_cancelled = t->is_cancelled || (t->flags & TFD_TIMER_CANCEL_ON_SET && t->sets != v->sets);
	if (t->is_cancelled)
		set_timer(t->fd, TFD_TIMER_ABSTIME, &now, NULL);
	else
		arm(t, v, NULL);
	t->sets = v->sets;
}

static void tell_timers(const struct view *v)
{
	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < TIMERS; i++)
		if (timers[i].fd > 0)
			tell_timer(&timers[i], v);
	pthread_mutex_unlock(&lock);
}

/* Who has read the old clock may not be waiting yet: false until all have woken up. */
static bool wake_waiters(const struct view *v)
{
	bool all = true;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < WAITERS; i++) {
		if (!waiters[i].cond || waiters[i].version >= v->version)
			continue;
		pthread_cond_broadcast(waiters[i].cond);
		all = false;
	}
	pthread_mutex_unlock(&lock);
	return all;
}

static void *watch(void *arg)
{
	char events[4096];
	int fd = (int)(intptr_t)arg;

	/* What has changed before the file was watched is seen in the first round. */
	do {
		struct view v = look();

		tell_timers(&v);
		while (!wake_waiters(&v))
			poll(NULL, 0, AGAIN_MS);
	} while (read(fd, events, sizeof(events)) > 0 || errno == EINTR);
	return NULL;
}

/* A fork has no threads; neither what waited in them. */
static void forget_all(void)
{
	pthread_mutex_init(&lock, NULL);
	is_watched = false;
	for (size_t i = 0; i < WAITERS; i++)
		waiters[i].cond = NULL;
}

/* With the lock. */
static void begin_watching(void)
{
	int fd = is_watched || !file ? -1 : inotify_init1(IN_CLOEXEC);
	pthread_t thread;

	is_watched = true;
	if (fd < 0)
		return;
	inotify_add_watch(fd, getenv("KEEPFS_TEST_CLOCKS"), IN_MODIFY);
	if (pthread_create(&thread, NULL, watch, (void *)(intptr_t)fd) == 0)
		pthread_detach(thread);
}

__attribute__((constructor)) static void open_file(void)
{
	const char *path = getenv("KEEPFS_TEST_CLOCKS");
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof(*file), PROT_READ, MAP_SHARED, fd, 0);

	if (fd >= 0)
		close(fd);
	if (at != MAP_FAILED)
		file = at;
	pthread_atfork(NULL, NULL, forget_all);
}

/* Timers. */

/* With the lock: that of @fd, or a free one; NULL: there are more than a test has. */
static struct timer *find_timer(int fd)
{
	struct timer *found = NULL;

	for (size_t i = 0; i < TIMERS; i++) {
		if (timers[i].fd == fd)
			return &timers[i];
		if (timers[i].fd == 0 && !found)
			found = &timers[i];
	}
	return found;
}

int timerfd_create(int id, int flags)
{
	int fd = (int)syscall(SYS_timerfd_create, id, flags);
	struct timer *t;

	if (fd < 0 || id != CLOCK_REALTIME)
		return fd;
	pthread_mutex_lock(&lock);
	t = find_timer(fd);
	if (!t)
		abort();
	*t = (struct timer){.fd = fd, .sets = look().sets};
	begin_watching();
	pthread_mutex_unlock(&lock);
	return fd;
}

int timerfd_settime(int fd, int flags, const struct itimerspec *at, struct itimerspec *old)
{
	struct timer *t;
	struct view v;
	bool is_late;
	int r;

	pthread_mutex_lock(&lock);
	t = find_timer(fd);
	if (!t || t->fd != fd) {
		pthread_mutex_unlock(&lock);
		return set_timer(fd, flags, at, old);
	}
	v = look();
	is_late = flags & TFD_TIMER_CANCEL_ON_SET && (t->is_cancelled || t->sets != v.sets);
	*t = (struct timer){.fd = fd, .flags = flags, .at = *at, .sets = v.sets};
	r = arm(t, &v, old);
	pthread_mutex_unlock(&lock);
	if (r == 0 && is_late) {
		errno = ECANCELED;
		return -1;
	}
	return r;
}

/* Whether @fd is a timer that was cancelled, which is told once. */
static bool take_cancelled(int fd)
{
	struct timer *t;
	bool is_cancelled;

	pthread_mutex_lock(&lock);
	t = find_timer(fd);
	is_cancelled = t && t->fd == fd && t->is_cancelled;
	if (is_cancelled)
		t->is_cancelled = false;
	pthread_mutex_unlock(&lock);
	return is_cancelled;
}

ssize_t read(int fd, void *buf, size_t len)
{
	ssize_t n = syscall(SYS_read, fd, buf, len);

	if (n == sizeof(uint64_t) && fd > 0 && take_cancelled(fd)) {
		errno = ECANCELED;
		return -1;
	}
	return n;
}

int close(int fd)
{
	struct timer *t;

	if (fd > 0) {
		pthread_mutex_lock(&lock);
		t = find_timer(fd);
		if (t && t->fd == fd)
			*t = (struct timer){0};
		pthread_mutex_unlock(&lock);
	}
	return (int)syscall(SYS_close, fd);
}

/* Timed waits. */

static struct waiter *add_waiter(pthread_cond_t *cond, struct view *ret)
{
	struct waiter *found = NULL;

	pthread_mutex_lock(&lock);
	for (size_t i = 0; i < WAITERS && !found; i++)
		if (!waiters[i].cond)
			found = &waiters[i];
	if (!found)
		abort();
	*ret = look();
	*found = (struct waiter){cond, ret->version};
	begin_watching();
	pthread_mutex_unlock(&lock);
	return found;
}

static void drop_waiter(struct waiter *w)
{
	pthread_mutex_lock(&lock);
	w->cond = NULL;
	pthread_mutex_unlock(&lock);
}

int pthread_cond_timedwait(pthread_cond_t *restrict cond, pthread_mutex_t *restrict mutex,
                           const struct timespec *restrict until)
{
	static int (*_Atomic real)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *);
	struct timespec at;
	struct waiter *w;
	struct view v;
	int r;

	if (!real)
		real = (int (*)(pthread_cond_t *, pthread_mutex_t *, const struct timespec *))dlsym(
		        RTLD_NEXT, "pthread_cond_timedwait");
	if (!file)
		return real(cond, mutex, until);
	w = add_waiter(cond, &v);
	at = translated(until, until->tv_sec < MONO_LESS_S ? v.mono_ns : v.real_ns);
	r = real(cond, mutex, &at);
	drop_waiter(w);
	return r;
}
