// SPDX-License-Identifier: Apache-2.0
#pragma once
/*
 * The timer: one thread that sleeps until something is due, or something that it goes by has changed. What is due is decided
 * by policy/due.h, of the units of report/timetable.h. Tests make one without a thread, and look at times of their own.
 */
#include <keepfs/base/error.h>

#include <stdint.h>

struct conf_live;
struct jobs;
struct jobs_clock;
struct timer;

/* What the timer is woken for: bits. */
#define TIMER_CHANGED   1U /* the configuration, a switch */
#define TIMER_RUN_ENDED 2U /* what waits for it may begin */
#define TIMER_ENDS      4U

/* timer_new() - without a thread; all is borrowed. */
int timer_new(struct jobs *j, struct conf_live *live, struct timer **ret, struct error *err);
/* timer_start() - its thread; when it fails @t is freed. */
int timer_start(struct timer *t, const struct jobs_clock *clock, struct error *err);
/* timer_free() - after TIMER_ENDS; NULL allowed; returns NULL. Waits for the thread. */
struct timer *timer_free(struct timer *t);
/* timer_wake() - never blocks; any thread. */
void timer_wake(struct timer *t, unsigned why);
/* timer_watched_s() - struct due_facts. Any thread. */
int64_t timer_watched_s(struct timer *t);

#define TIMER_NEVER INT64_MAX
/*
 * timer_look() - one look: begin what is due at @now_us
 * @mono_us: of a clock that nobody sets, and that stands still while the host sleeps
 * Return: when to look again, seconds since 1970; TIMER_NEVER: not before timer_wake(). On the timer's thread, or of a test
 * that has none.
 */
int64_t timer_look(struct timer *t, int64_t now_us, int64_t mono_us);
