// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * When is it time? A schedule is a set of minutes on a clock on the wall, in some time zone. It is written as a cron
 * expression ("30 2 * * mon-fri"; man 5 crontab), or as one of the names that schedule_names() has. Pure: the clock is
 * handed in.
 *
 * Where clocks are set forth or back, every moment that was asked for is there once: what would be due within the hour
 * that is left out is due at its end; what would be due twice, in the hour that is repeated, the first time only. A
 * schedule for every hour (`*`) follows the time that passes instead: it is due in both of the hours that have the same
 * name, and has nothing to make up for in the one that is left out.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/zone.h>
#include <stdbool.h>

struct schedule {
	uint64_t minutes;      /* bit 0 to 59 */
	uint32_t hours;        /* bit 0 to 23 */
	uint32_t days;         /* bit 1 to 31 */
	uint16_t months;       /* bit 1 to 12 */
	uint8_t weekdays;      /* bit 0 (Sunday) to 6 */
	bool is_every_hour;    /* the hour is "*" */
	bool is_every_day;     /* the day of the month begins with "*" */
	bool is_every_weekday; /* the day of the week begins with "*" */
};

/** SCHEDULE_NEVER - of schedule_next(): it is never due. Beyond every other moment. */
#define SCHEDULE_NEVER INT64_MAX

/** schedule_names() - the names that stand for expressions, each followed by what it stands for; NULL at the end. "disabled" is
 * one of them, and stands for "". */
const char *const (*schedule_names(void))[2];
/**
 * schedule_parse() - of what a user wrote
 *
 * Words are of any case. As in cron, a day fits when its number or its weekday does, if both are restricted. Return: 0, also
 * for "" and "disabled", which are never due; -EINVAL with a message that names the field, the value and what may stand
 * there. What can never be due, like 31 February, is such an error.
 */
int schedule_parse(const char *text, struct schedule *ret, struct error *err);
/** schedule_is_off() - it is never due. */
bool schedule_is_off(const struct schedule *s);
/** schedule_next() - the first moment behind @after_s, seconds since 1970 UTC, at which it is due; SCHEDULE_NEVER. Some
 * hundred nanoseconds, mostly. */
int64_t schedule_next(const struct schedule *s, const struct zone *z, int64_t after_s);
/** schedule_interval_s() - how far apart backups are around @at_s: the time between the last moment and the next one, or between the
 * last two, if that is more. After a weekend it is therefore still the weekend's for a day. 0: it is off. */
int64_t schedule_interval_s(const struct schedule *s, const struct zone *z, int64_t at_s);
/** schedule_last() - the last moment behind @after_s, and not behind @until_s, at which it is due; SCHEDULE_NEVER when there is
 * none between. As dear as some twenty of schedule_next(), however long ago it is. */
int64_t schedule_last(const struct schedule *s, const struct zone *z, int64_t after_s, int64_t until_s);
