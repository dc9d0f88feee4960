// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/alarm.h>

#include <errno.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/cleanup.h>

int alarm_open(struct alarm *a)
{
	int r;

	a->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	a->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (a->wake_fd >= 0 && a->timer_fd >= 0)
		return 0;
	r = -errno;
	alarm_close(a);
	return r;
}

void alarm_close(struct alarm *a)
{
	if (a->wake_fd >= 0)
		close(a->wake_fd);
	if (a->timer_fd >= 0)
		close(a->timer_fd);
	a->wake_fd = a->timer_fd = -1;
}

/* False: the clock was set since the timer was last armed. */
static bool arm_alarm(struct alarm *a, int64_t at_us)
{
	struct itimerspec at = {0};

	if (at_us != ALARM_NEVER)
		at.it_value = clock_to_timespec(at_us > 0 ? at_us : 1);
	return timerfd_settime(a->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) == 0;
}

void alarm_sleep(struct alarm *a, int64_t at_us)
{
	struct pollfd fds[] = {{.fd = a->wake_fd, .events = POLLIN}, {.fd = a->timer_fd, .events = POLLIN}};
	uint64_t ignored;

	if (!arm_alarm(a, at_us))
		return;
	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		(void)!read(a->wake_fd, &ignored, sizeof(ignored));
	/* ECANCELED: a clock was set. */
	if (fds[1].revents)
		(void)!read(a->timer_fd, &ignored, sizeof(ignored));
}

void alarm_wake(struct alarm *a)
{
	uint64_t one = 1;

	(void)!write(a->wake_fd, &one, sizeof(one));
}
