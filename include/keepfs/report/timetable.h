// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The timetable: everything of a configuration that can be due by itself, and what the catalog remembers of it. The timer
 * (room job) acts by it; status/schedule, health, metrics and the dashboard tell of it.
 *
 * A unit is a job, or a class of a job's databases that has a schedule of its own (conf_class_has_schedule()).
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/catalog/schedules.h>
#include <keepfs/conf.h>
#include <keepfs/policy/due.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct timetable_zone;

#define TIMETABLE_DRILL ":drill" /* as a class; of that name there is none */

struct timetable_unit {
	const struct conf_job *job;
	const char *class;  /* "": the job itself; TIMETABLE_DRILL */
	uint64_t databases; /* of the class, as a registry last named them; 0 of the job itself */
	struct conf_policy policy;
	const char *zone_name; /* for people */
	char *rule;            /* what struct catalog_schedule calls so; "" without a schedule */
	struct schedule schedule;
	struct blackout *blackout;
	struct due_rules rules;

	/* What the catalog has of it. */
	bool is_known;  /* @remembered is of this rule; else it is new, and nothing in the past is due */
	bool was_known; /* … of any rule */
	int64_t remembered_s; /* up to then everything is dealt with, if is_known */
	int64_t off_until_s;  /* what was due before was not to be made; INT64_MIN */
	const struct catalog_switch
	        *off; /* what switches it off now: the job's own, else that of all; NULL: nothing */
};

struct timetable {
	const struct conf *conf;
	struct timetable_unit *units; /* in the order of the file; of a job first itself, then its classes */
	size_t count;
	struct timetable_unit *
	        drills; /* of each job whose restores are rehearsed by a schedule; policy.schedule is that one */
	size_t drill_count;
	struct catalog_switch *switches; /* of all first, if there is one */
	size_t switch_count;
	struct timetable_zone *zones;
	struct catalog_schedule
	        *strangers; /* what the catalog remembers of units that are not there or have no schedule */
	size_t stranger_count;
};

/**
 * timetable_new() - all units of @conf, with what @catalog has of them (NULL: nothing) at @now_us
 * @ret: heap, the caller's timetable_free(); @conf is borrowed until then
 * Blocks on the local disk; any thread. Return: 0; negative errno of the catalog.
 */
int timetable_new(const struct conf *conf, struct catalog *catalog, int64_t now_us, struct timetable **ret);
struct timetable *timetable_free(struct timetable *t);
DEFINE_CLEANUP(timetable, struct timetable *, timetable_free)

/** timetable_unit_at() - all units, and then all drills; NULL: there is no further one. */
struct timetable_unit *timetable_unit_at(struct timetable *t, size_t i);
/** timetable_decide() - what is to be done about @unit; @watched_s: of struct due_facts. Not of one that is off. */
void timetable_decide(const struct timetable_unit *unit, int64_t now_s, int64_t watched_s, struct due *ret);
/** timetable_master() - the switch of all, if it is off at @now_us; NULL. */
const struct catalog_switch *timetable_master(const struct timetable *t, int64_t now_us);
/** timetable_switch() - the last word about a job; NULL. */
const struct catalog_switch *timetable_switch(const struct timetable *t, const char *job);
/** timetable_is_off() - is @job switched off at @now_us, by what @catalog has: by itself, or with all others? The same answer as
 * that of its unit, without the rest of the timetable. 1: *@ret is what was said; 0: no; negative errno of the catalog. */
int timetable_is_off(struct catalog *catalog, const char *job, int64_t now_us, struct catalog_switch *ret);
/** timetable_apply_switches() - set what the units have of the switches, as of @now_us: again when one has ended by itself. */
void timetable_apply_switches(struct timetable *t, int64_t now_us);
/** timetable_remember() - what the catalog is to have when @unit is dealt with up to @due_s. */
void timetable_remember(const struct timetable_unit *unit, int64_t due_s, struct catalog_schedule *ret);
/** timetable_missed_note() - "missed at 2026-11-20 02:00 (Europe/Berlin)"; heap. */
char *timetable_missed_note(const struct timetable_unit *unit, int64_t due_s);
