// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What begins by itself, and when: for status/schedule, metrics, the dashboard, and whoever else tells of it.
 */
#include <keepfs/report/timetable.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct report_sources;

enum schedule_state {
	SCHEDULE_STATE_NONE,    /* it has no schedule: nothing is made by itself */
	SCHEDULE_STATE_OFF,     /* switched off */
	SCHEDULE_STATE_ON,      /* it waits for @next_us */
	SCHEDULE_STATE_WAITING, /* it is due, and begins when the job's run has ended */
	SCHEDULE_STATE_DUE,     /* it is due, and begins now, or would if a mount served */
};
/** schedule_state_name() - "none", "off", "on", "waiting", "due": static, and a promise (status/schedule.json). */
const char *schedule_state_name(enum schedule_state state);

struct schedule_status {
	const struct timetable_unit *unit; /* the job, class, policy, zone; .off: who switched it off */
	enum schedule_state state;
	/* When the next run begins, jitter and blackout applied, and for which moment; of what is off for some time, after that.
	 * 0: it never will. */
	int64_t next_us, next_due_us;
	bool next_is_missed; /* it makes up for one that was missed */
	int64_t last_due_us; /* up to then everything that was due is dealt with; 0: nothing was */
	int64_t interval_s; /* the longest time between two that are due around now: schedule_interval_s(); 0: none */
	int64_t last_success_us; /* of the job: its newest whole backup was made then; 0: there is none */
	int64_t last_run;        /* of the job; 0: none */
	int last_result;         /* enum run_state of it */
};

struct schedule_statuses { /* in the order of the timetable */
	struct timetable *timetable;
	struct schedule_status *items;
	size_t count;
};

/** schedule_gather() - of all units of @from->conf. Uses catalog, conf, now_us and watched_us. Blocks on the local disk; any
 * thread. What it costs depends on the number of jobs alone. Return: 0; negative errno of the catalog. */
int schedule_gather(const struct report_sources *from, struct schedule_statuses *ret);
void schedule_statuses_finish(struct schedule_statuses *s);
static inline void cleanup_schedule_statuses(struct schedule_statuses *s)
{
	schedule_statuses_finish(s);
}
/** schedule_next_of() - the soonest next run of @job, of its own schedule or of one of its classes; microseconds, 0: none. */
int64_t schedule_next_of(const struct schedule_statuses *s, const char *job);
