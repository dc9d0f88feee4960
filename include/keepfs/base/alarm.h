// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A thread's alarm: it sleeps until a time of the wall's clock, or until it is woken, and no other moment: a clock that somebody
 * sets wakes it, too (timerfd_create(2), TFD_TIMER_CANCEL_ON_SET). One thread sleeps; any may wake it.
 */
#include <stdint.h>

struct alarm {
	int timer_fd, wake_fd;
};

#define ALARM_NEVER INT64_MAX

/** alarm_open() - 0, or a negative errno: then it is closed. */
int alarm_open(struct alarm *a);
/** alarm_close() - also what is zeroed with both descriptors -1. */
void alarm_close(struct alarm *a);
/** alarm_sleep() - until @at_us (ALARM_NEVER), a wake, or a clock that was set. What woke it before it slept does so at once. */
void alarm_sleep(struct alarm *a, int64_t at_us);
/** alarm_wake() - never blocks. */
void alarm_wake(struct alarm *a);
