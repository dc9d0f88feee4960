// SPDX-License-Identifier: Apache-2.0
/*
 * What is due begins by itself. Each unit of the timetable has the moment at which it is to be looked at next; the earliest of
 * them is when the thread wakes up, unless it is woken: by a reload, a switch, the end of a run, or a clock that was set (the
 * kernel tells: TFD_TIMER_CANCEL_ON_SET). A plain array is enough: ten thousand are looked through in some ten microseconds.
 *
 * That something is dealt with is written together with its run. So whoever dies in between has done both or neither, and what
 * is in memory here is only what the catalog says, too.
 */
#include "timer.h"

#include "job_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>
#include <keepfs/base/str.h>
#include <keepfs/report/timetable.h>
#include <keepfs/use.h>

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define RETRY_S      60              /* when the catalog cannot be written */
#define CLOCK_SET_US (60 * US_PER_S) /* smaller steps are those of a clock that is kept right */

struct slot {            /* of the unit with the same index */
	int64_t look_s;  /* when to look at it next; TIMER_NEVER */
	bool is_waiting; /* it is due, and its job has a run */
	bool is_unsaved; /* what it remembers is not in the catalog */
};

struct timer {
	struct jobs *jobs;
	struct conf_live *live;
	struct jobs_clock clock;
	int wake_fd, timer_fd;
	atomic_uint woken; /* TIMER_…: not seen yet */
	atomic_llong watched_s;
	pthread_t thread;
	bool has_thread;

	/* The thread's own. */
	const struct conf *conf; /* of the table */
	struct timetable *table;
	struct slot *slots;
	int64_t seen_us, seen_mono_us; /* at the last look; 0: there was none */
	bool is_failing;               /* the catalog; that was said */
};

int64_t timer_watched_s(struct timer *t)
{
	return atomic_load(&t->watched_s);
}

void timer_wake(struct timer *t, unsigned why)
{
	uint64_t one = 1;

	atomic_fetch_or(&t->woken, why);
	(void)!write(t->wake_fd, &one, sizeof(one));
}

static struct catalog *catalog_of(const struct timer *t)
{
	return t->jobs->options.ctx->repository->catalog;
}

/* The catalog, or memory of a thread: said once, and tried again. */
static void tell_timer_failure(struct timer *t, const char *what, const struct error *err)
{
	if (!t->is_failing)
		log_error("%s: %s; that is tried again each minute", what, err->message);
	t->is_failing = true;
}

static size_t count_slots(const struct timer *t)
{
	return t->table->count + t->table->drill_count;
}

static void look_at_all(struct timer *t)
{
	for (size_t i = 0; t->table && i < count_slots(t); i++)
		t->slots[i].look_s = INT64_MIN;
}

static void tell_clock_set(struct timer *t)
{
	log_info("the clock was set, or the host slept: schedules go by the time of now");
	if (t->clock.was_set)
		t->clock.was_set(t->clock.arg);
}

/* What begins now was not seen coming when a clock was set, or the host slept. */
static void watch_clock(struct timer *t, int64_t now_us, int64_t mono_us)
{
	int64_t step_us = (now_us - t->seen_us) - (mono_us - t->seen_mono_us), now_s = now_us / US_PER_S;

	if (t->seen_us == 0 || step_us > CLOCK_SET_US || step_us < -CLOCK_SET_US ||
	    now_s < timer_watched_s(t)) {
		if (t->seen_us != 0)
			tell_clock_set(t);
		atomic_store(&t->watched_s, now_s);
		look_at_all(t);
	}
	t->seen_us = now_us;
	t->seen_mono_us = mono_us;
}

/* The timetable. */

static void forget_strangers(struct timer *t)
{
	for (size_t i = 0; i < t->table->stranger_count; i++) {
		const struct catalog_schedule *s = &t->table->strangers[i];
		struct error err = {0};

		if (catalog_drop_schedule(catalog_of(t), s->job, s->class, &err) < 0)
			tell_timer_failure(t, "what a schedule that is gone has left cannot be forgotten",
			                   &err);
	}
}

/* What is new, or is due at other times than before, has missed nothing. */
static void begin_new_units(struct timer *t, int64_t now_s)
{
	for (size_t i = 0; i < count_slots(t); i++) {
		struct timetable_unit *u = timetable_unit_at(t->table, i);

		if (u->is_known || schedule_is_off(&u->schedule))
			continue;
		u->is_known = true;
		u->remembered_s = now_s;
		t->slots[i].is_unsaved = true;
	}
}

static void drop_table(struct timer *t)
{
	t->table = timetable_free(t->table);
	t->conf = conf_unref(t->conf);
	free(t->slots);
	t->slots = NULL;
}

/* What could not be saved in time is lost with the table: it is only what needed no run. */
static int load_timetable(struct timer *t, int64_t now_us)
{
	const struct conf *conf = conf_live_ref(t->live);
	struct timetable *table;
	int r = timetable_new(conf, catalog_of(t), now_us, &table);

	if (r < 0) {
		struct error err = {0};

		conf_unref(conf);
		error_system(&err, -r, "the catalog cannot be read");
		tell_timer_failure(t, "schedules are not known", &err);
		return r;
	}
	drop_table(t);
	t->conf = conf;
	t->table = table;
	t->slots = mem_array(table->count + table->drill_count, sizeof(*t->slots));
	look_at_all(t);
	forget_strangers(t);
	begin_new_units(t, now_us / US_PER_S);
	return 0;
}

/* One unit. */

static void remember_dealt_with(struct timer *t, size_t i, int64_t due_s)
{
	timetable_unit_at(t->table, i)->remembered_s = due_s;
	t->slots[i].is_unsaved = true;
}

static void tell_lost(struct timer *t, size_t i, int64_t due_s)
{
	const struct timetable_unit *u = timetable_unit_at(t->table, i);
	_cleanup(free) char *note = timetable_missed_note(u, due_s);

	bool is_drill = str_equal(u->class, TIMETABLE_DRILL);

	log_warning("job %s%s%s: a %s was %s and is not made up for: that is longer ago than catch_up says",
	            u->job->name, *u->class && !is_drill ? ", class " : "", is_drill ? "" : u->class,
	            is_drill ? "drill" : "run", note);
}

static int order_run(struct timer *t, const struct timetable_unit *u, const struct due *due,
                     struct error *err)
{
	_cleanup(free) char *note = due->is_missed ? timetable_missed_note(u, due->due_s) : NULL;
	struct catalog_schedule memory;
	const struct jobs_order order = {
	        .job = u->job,
	        .conf = t->conf,
	        .note = note,
	        .class = *u->class ? u->class : NULL,
	        .own_schedule = !*u->class,
	        .due = &memory,
	};

	timetable_remember(u, due->due_s, &memory);
	return jobs_submit(t->jobs, &order, "scheduled", NULL, err);
}

/* One backup of the job, whose turn it is, is restored for a trial. */
static int order_drill(struct timer *t, const struct timetable_unit *u, const struct due *due,
                       struct error *err)
{
	_cleanup(free) char *note = due->is_missed ? timetable_missed_note(u, due->due_s) : NULL;
	_cleanup(free) char *text = mem_printf("backups/%s pick=rotate", u->job->name);
	_cleanup(jobs_order) struct jobs_order order = {0};
	struct catalog_schedule memory;
	int r = jobs_order_parse_work(&use_drill, text, &order, err);

	if (r < 0)
		return r;
	timetable_remember(u, due->due_s, &memory);
	order.conf = t->conf;
	order.note = note;
	order.due = &memory;
	return jobs_submit(t->jobs, &order, "scheduled", NULL, err);
}

/* It is due now; when to look at it again. */
static int64_t begin_due(struct timer *t, size_t i, const struct due *due, int64_t now_s)
{
	struct timetable_unit *u = timetable_unit_at(t->table, i);
	struct error err = {0};
	bool is_drill = str_equal(u->class, TIMETABLE_DRILL);
	int r = is_drill ? order_drill(t, u, due, &err) : order_run(t, u, due, &err);

	if (r == -EBUSY) {
		t->slots[i].is_waiting = true;
		return TIMER_NEVER;
	}
	if (r == -ESHUTDOWN)
		return TIMER_NEVER;
	/* There is nothing yet that could be restored: the next time there may be. */
	if (r == -EINVAL && is_drill) {
		log_info("job %s: no drill: %s", u->job->name, err.message);
		remember_dealt_with(t, i, due->due_s);
		return INT64_MIN;
	}
	if (r < 0) {
		_cleanup(free) char *what =
		        mem_printf("the scheduled run of job %s cannot be queued", u->job->name);

		tell_timer_failure(t, what, &err);
		return now_s + RETRY_S;
	}
	u->remembered_s = due->due_s;
	t->slots[i].is_unsaved = false;
	return INT64_MIN;
}

/* What was remembered while the clock was wrong would count again as soon as it is less than DUE_AHEAD_S ahead. */
static void forget_other_clock(struct timer *t, size_t i, int64_t now_s)
{
	const struct timetable_unit *u = timetable_unit_at(t->table, i);

	if (u->is_known && u->remembered_s > now_s + DUE_AHEAD_S)
		remember_dealt_with(t, i, timer_watched_s(t));
}

/* When to look at it again; INT64_MIN: at once, for something was changed. */
static int64_t look_at(struct timer *t, size_t i, int64_t now_s)
{
	const struct timetable_unit *u = timetable_unit_at(t->table, i);
	struct due due;

	t->slots[i].is_waiting = false;
	if (schedule_is_off(&u->schedule))
		return TIMER_NEVER;
	if (u->off)
		return u->off->until_us ? u->off->until_us / US_PER_S : TIMER_NEVER;
	forget_other_clock(t, i, now_s);
	timetable_decide(u, now_s, timer_watched_s(t), &due);
	if (due.lost_s != SCHEDULE_NEVER) {
		tell_lost(t, i, due.lost_s);
		remember_dealt_with(t, i, due.lost_s);
		return INT64_MIN;
	}
	return due.begin_s <= now_s ? begin_due(t, i, &due, now_s) : due.begin_s;
}

static void look_at_due(struct timer *t, int64_t now_s, bool run_ended)
{
	for (size_t i = 0; i < count_slots(t); i++) {
		struct slot *slot = &t->slots[i];

		if (slot->look_s > now_s && !(run_ended && slot->is_waiting))
			continue;
		do
			slot->look_s = look_at(t, i, now_s);
		while (slot->look_s == INT64_MIN);
	}
}

/* Switches that ended by themselves. */
static bool has_ended_switch(const struct timer *t, int64_t now_s)
{
	for (size_t i = 0; i < count_slots(t); i++) {
		const struct timetable_unit *u = timetable_unit_at(t->table, i);

		if (u->off && u->off->until_us && u->off->until_us / US_PER_S <= now_s)
			return true;
	}
	return false;
}

/* All of them in one transaction: ten thousand new jobs wait for the disk once. */
static int save_memories(struct timer *t)
{
	_cleanup(free) struct catalog_schedule *memories = NULL;
	struct error err = {0};
	size_t count = 0;

	for (size_t i = 0; i < count_slots(t); i++) {
		if (!t->slots[i].is_unsaved)
			continue;
		if ((count & (count - 1)) == 0)
			memories = mem_resize(memories, count ? 2 * count : 1, sizeof(*memories));
		timetable_remember(timetable_unit_at(t->table, i),
		                   timetable_unit_at(t->table, i)->remembered_s, &memories[count++]);
	}
	if (count > 0 && catalog_set_schedules(catalog_of(t), memories, count, &err) < 0) {
		tell_timer_failure(t, "what schedules are dealt with cannot be kept", &err);
		return -EIO;
	}
	for (size_t i = 0; i < count_slots(t); i++)
		t->slots[i].is_unsaved = false;
	return 0;
}

static int64_t earliest(const struct timer *t)
{
	int64_t look_s = TIMER_NEVER;

	for (size_t i = 0; i < count_slots(t); i++)
		if (t->slots[i].look_s < look_s)
			look_s = t->slots[i].look_s;
	return look_s;
}

int64_t timer_look(struct timer *t, int64_t now_us, int64_t mono_us)
{
	unsigned why = atomic_fetch_and(&t->woken, TIMER_ENDS);
	int64_t now_s = now_us / US_PER_S, next_s;

	watch_clock(t, now_us, mono_us);
	/* Which classes there are, and of how many databases, is known when a run has asked the registry. */
	if (!t->table || why & TIMER_CHANGED || (why & TIMER_RUN_ENDED && t->conf->class_count > 0)) {
		if (load_timetable(t, now_us) < 0) {
			atomic_fetch_or(&t->woken, TIMER_CHANGED);
			return now_s + RETRY_S;
		}
	} else if (has_ended_switch(t, now_s)) {
		timetable_apply_switches(t->table, now_us);
		look_at_all(t);
	}
	look_at_due(t, now_s, why & TIMER_RUN_ENDED);
	next_s = earliest(t);
	if (save_memories(t) < 0)
		return next_s < now_s + RETRY_S ? next_s : now_s + RETRY_S;
	t->is_failing = t->is_failing && next_s == now_s + RETRY_S;
	return next_s;
}

/* The thread. */

/* False when a clock was set meanwhile: what @next_s was computed from holds no more. */
static bool arm(struct timer *t, int64_t next_s)
{
	struct itimerspec at = {0};

	if (next_s != TIMER_NEVER)
		at.it_value.tv_sec = next_s > 0 ? next_s : 1;
	return timerfd_settime(t->timer_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &at, NULL) == 0;
}

static void sleep_until_woken(struct timer *t)
{
	struct pollfd fds[] = {{.fd = t->wake_fd, .events = POLLIN}, {.fd = t->timer_fd, .events = POLLIN}};
	uint64_t ignored;

	while (poll(fds, ARRAY_SIZE(fds), -1) < 0 && errno == EINTR)
		;
	if (fds[0].revents)
		(void)!read(t->wake_fd, &ignored, sizeof(ignored));
	/* ECANCELED: a clock was set. It is looked at in any case. */
	if (fds[1].revents)
		(void)!read(t->timer_fd, &ignored, sizeof(ignored));
}

static void *timer_main(void *arg)
{
	struct timer *t = arg;

	while (!(atomic_load(&t->woken) & TIMER_ENDS)) {
		int64_t next_s = timer_look(t, clock_now_us(), clock_mono_us());

		if (arm(t, next_s))
			sleep_until_woken(t);
	}
	return NULL;
}

int timer_new(struct jobs *j, struct conf_live *live, struct timer **ret, struct error *err)
{
	struct timer *t = mem_alloc(sizeof(*t));

	t->jobs = j;
	t->live = live;
	t->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	t->timer_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
	if (t->wake_fd < 0 || t->timer_fd < 0) {
		int r = error_system(err, errno, "a timer for schedules cannot be had");

		timer_free(t);
		return r;
	}
	*ret = t;
	return 0;
}

int timer_start(struct timer *t, const struct jobs_clock *clock, struct error *err)
{
	int r;

	t->clock = *clock;
	r = thread_start(&t->thread, "timer", timer_main, t);

	t->has_thread = r == 0;
	if (r == 0)
		return 0;
	timer_free(t);
	return error_system(err, -r, "a thread for schedules cannot be started");
}

struct timer *timer_free(struct timer *t)
{
	if (!t)
		return NULL;
	if (t->has_thread) {
		timer_wake(t, TIMER_ENDS);
		pthread_join(t->thread, NULL);
	}
	drop_table(t);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	if (t->timer_fd >= 0)
		close(t->timer_fd);
	free(t);
	return NULL;
}
