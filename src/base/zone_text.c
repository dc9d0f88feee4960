// SPDX-License-Identifier: Apache-2.0
/* Moments of a time zone as people write them. */
#include <keepfs/base/zone.h>

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <keepfs/base/mem.h>

#define ZONEINFO "zoneinfo/"

char *zone_format(const struct zone *z, int64_t at_s, char buf[static ZONE_TEXT_BYTES])
{
	int64_t local_s = at_s + zone_offset_s(z, at_s, NULL);
	struct zone_day d = zone_day_of(local_s);
	unsigned minute = (unsigned)((local_s - zone_local_midnight(d.year, d.month, d.day)) / 60);

	snprintf(buf, ZONE_TEXT_BYTES, "%04u-%02u-%02u %02u:%02u", (unsigned)d.year % 10000,
	         (unsigned)d.month % 100, (unsigned)d.day % 100, minute / 60 % 100, minute % 60);
	return buf;
}

/* Just @digits of them; moves *@at behind them, or makes it NULL. */
static int take_digits(const char **at, size_t digits)
{
	int value = 0;

	if (!*at || strspn(*at, "0123456789") < digits) {
		*at = NULL;
		return 0;
	}
	for (; digits > 0; digits--)
		value = value * 10 + *(*at)++ - '0';
	return value;
}

static void take_char(const char **at, const char *allowed)
{
	if (*at && **at && strchr(allowed, **at))
		(*at)++;
	else
		*at = NULL;
}

/* "T06:00", " 06:00:30", ""; the seconds of the day. */
static int64_t take_time_of_day(const char **at)
{
	int hour, minute, second = 0;

	if (!*at || !**at)
		return 0;
	take_char(at, "T ");
	hour = take_digits(at, 2);
	take_char(at, ":");
	minute = take_digits(at, 2);
	if (*at && **at == ':') {
		(*at)++;
		second = take_digits(at, 2);
	}
	if (hour > 23 || minute > 59 || second > 59)
		*at = NULL;
	return hour * INT64_C(3600) + minute * INT64_C(60) + second;
}

int zone_parse(const struct zone *z, const char *text, int64_t *ret_at_s)
{
	const char *at = text;
	int year = take_digits(&at, 4), month, day;
	int64_t local_s, moments[2];

	take_char(&at, "-");
	month = take_digits(&at, 2);
	take_char(&at, "-");
	day = take_digits(&at, 2);
	if (!at || year < 1970 || month < 1 || month > 12 || day < 1 || day > zone_month_days(year, month))
		return -EINVAL;
	local_s = zone_local_midnight(year, month, day) + take_time_of_day(&at);
	if (at && strcmp(at, "Z") == 0) {
		*ret_at_s = local_s;
		return 0;
	}
	if (!at || *at)
		return -EINVAL;
	zone_from_local(z, local_s, moments);
	*ret_at_s = moments[0];
	return 0;
}

char *zone_process_name(void)
{
	const char *name = getenv("TZ"), *zoneinfo;
	char target[PATH_MAX];
	ssize_t len;

	if (name && *name)
		return mem_strdup(name + (*name == ':'));
	if (name)
		return mem_strdup("UTC");
	len = readlink("/etc/localtime", target, sizeof(target) - 1);
	if (len < 0)
		return mem_strdup(errno == ENOENT ? "UTC" : "local time");
	target[len] = '\0';
	zoneinfo = strstr(target, ZONEINFO);
	return mem_strdup(zoneinfo ? zoneinfo + strlen(ZONEINFO) : "local time");
}
