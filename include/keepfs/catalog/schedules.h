// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What runs by itself: up to when everything that was due has been dealt with, who switched it off, and the latest time that
 * was ever seen. See keepfs/catalog.h for what is true of every function.
 *
 * A run and the moment for which it is made are written in one transaction: after a crash there are both, or neither.
 */
#include <keepfs/base/error.h>
#include <keepfs/codec/name.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct catalog;
struct catalog_run;

#define CATALOG_RULE_BYTES 512

/** struct catalog_schedule - of a job, or of those databases of it that are of a class. */
struct catalog_schedule {
	char job[NAME_MAX_BYTES];
	char class[NAME_MAX_BYTES]; /* "": the job's own */
	int64_t due_us;             /* the last moment that was dealt with; all before it are, too */
	char rule
	        [CATALOG_RULE_BYTES]; /* by which schedule, in which zone: what another one asks for was not due then */
};

/** catalog_schedules() - call @row for each that is known. */
int catalog_schedules(struct catalog *c, void (*row)(void *arg, const struct catalog_schedule *schedule),
                      void *arg);
/** catalog_set_schedules() - what was due up to then is dealt with, without a run; all of them, or none. */
int catalog_set_schedules(struct catalog *c, const struct catalog_schedule *schedules, size_t count,
                          struct error *err);
/** catalog_drop_schedule() - forget it: when it is there again, it begins anew. 0 also when it is not known. */
int catalog_drop_schedule(struct catalog *c, const char *job, const char *class, struct error *err);
/** catalog_add_due_run() - catalog_add_run(), and catalog_set_schedules() of that one for which it is made. */
int catalog_add_due_run(struct catalog *c, const struct catalog_run *run, const struct catalog_schedule *due,
                        int64_t *ret_id, struct error *err);

/** catalog_classes() - call @row for each job and class of which a registry names databases, and with how many. */
int catalog_classes(struct catalog *c,
                    void (*row)(void *arg, const char *job, const char *class, uint64_t databases),
                    void *arg);

/** struct catalog_switch - the last word on whether anything runs by itself. */
struct catalog_switch {
	char job[NAME_MAX_BYTES]; /* "": of all jobs */
	bool is_off;
	int64_t until_us; /* is_off: on again by itself; 0: never */
	char by[128];
	int64_t at_us; /* when it was said */
	char note[256];
};

/** catalog_switches() - call @row for each word that was said and not replaced by another. */
int catalog_switches(struct catalog *c, void (*row)(void *arg, const struct catalog_switch *s), void *arg);
/** catalog_switches_of() - the same of those two that concern @job: what was said of all jobs, and of this one. Whether it is off
 * by them is report/timetable.h's to say. */
int catalog_switches_of(struct catalog *c, const char *job,
                        void (*row)(void *arg, const struct catalog_switch *s), void *arg);
/** catalog_set_switch() - replaces the last word about that job, or about all. */
int catalog_set_switch(struct catalog *c, const struct catalog_switch *s, struct error *err);
