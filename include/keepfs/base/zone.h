// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Time zones by their names in the IANA database (package tzdata), several at once: libc knows one for the whole
 * process. Local times are seconds, too: those that a clock on the wall would have counted since 1970, every day
 * 86,400 of them. Format of the files: RFC 9636; of rules: POSIX.1, "TZ", with the hours that the RFC adds.
 *
 * A zone never changes once it is loaded: any thread.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdint.h>

struct zone;

/**
 * zone_load() - read a time zone
 * @name: "Europe/Berlin", "UTC"; what TZ may hold as well: ":Europe/Berlin", a file's absolute path, or a rule:
 *        "CET-1CEST,M3.5.0,M10.5.0/3"; NULL: that of the process (TZ, else /etc/localtime, else UTC)
 *
 * Blocks for a file below TZDIR or /usr/share/zoneinfo. Return: 0; -ENOENT when there is none of that name, -EINVAL when
 * the name can be none, -EBADMSG when the file is none of a time zone, or -errno; with a message.
 */
int zone_load(const char *name, struct zone **ret_zone, struct error *err);
/** zone_free() - NULL is allowed; returns NULL. */
struct zone *zone_free(struct zone *z);
DEFINE_CLEANUP(zone, struct zone *, zone_free)

/** zone_offset_s() - how far local time is ahead of UTC at @at_s, seconds since 1970 UTC; that holds until *@ret_until_s
 * (may be NULL), INT64_MAX: for ever. */
int32_t zone_offset_s(const struct zone *z, int64_t at_s, int64_t *ret_until_s);
/**
 * zone_from_local() - when does a clock on the wall show @local_s?
 * @ret_at_s: the moments, in their order
 *
 * Return: how many: 1 on nearly all days, 2 within the hour that is repeated when clocks are set back. 0 within the one
 * that is left out when they are set forth: *@ret_at_s is then the moment at which that is done.
 */
int zone_from_local(const struct zone *z, int64_t local_s, int64_t ret_at_s[static 2]);

/** struct zone_day - a day of the calendar. */
struct zone_day {
	int year, month, day; /* month 1 to 12, day 1 to 31 */
	int weekday;          /* 0: Sunday */
};

/** zone_day_of() - the day in whose 86,400 seconds @local_s lies. */
struct zone_day zone_day_of(int64_t local_s);
/** zone_local_midnight() - the local time at which a day begins; a @day past the month's end counts on. */
int64_t zone_local_midnight(int year, int month, int day);
/** zone_month_days() - 28 to 31. */
int zone_month_days(int year, int month);

#define ZONE_TEXT_BYTES 17 /* "2026-11-20 02:00" and its NUL */
/** zone_format() - what calendar and clock on the wall show at @at_s: "2026-11-20 02:00"; returns @buf. */
char *zone_format(const struct zone *z, int64_t at_s, char buf[static ZONE_TEXT_BYTES]);
/**
 * zone_parse() - when do calendar and clock on the wall show @text: "2026-12-01" (its first moment), "2026-12-01T06:00",
 * "2026-12-01 06:00:30"? With a Z at its end it is UTC.
 *
 * Of a moment that is there twice, the first; of one that is left out, when clocks are set forth. Return: 0; -EINVAL.
 */
int zone_parse(const struct zone *z, const char *text, int64_t *ret_at_s);
/** zone_process_name() - heap: what the zone of zone_load(NULL) is called: TZ, or what /etc/localtime is a link to; "local
 * time" where that cannot be told. */
char *zone_process_name(void);
