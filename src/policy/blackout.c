// SPDX-License-Identifier: Apache-2.0
/* See policy/blackout.h. The windows are a bit for each minute of a week, which begins on Sunday. */
#include <keepfs/policy/blackout.h>

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#define DAY_MINUTES  1440
#define WEEK_MINUTES (7 * DAY_MINUTES)
#define EVERY_DAY    0x7fU

struct blackout {
	uint8_t minutes[WEEK_MINUTES / 8];
};

static bool is_dark(const struct blackout *b, int minute)
{
	return b->minutes[minute / 8] & 1U << minute % 8;
}

static void darken(struct blackout *b, int minute)
{
	b->minutes[minute / 8] |= (uint8_t)(1U << minute % 8);
}

/* The text. */

#define ALLOWED "allowed are windows like 22:00-06:00 or mon-fri 08:00-18:00, with commas between them"

static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

/* Moves *@at behind the name of a day; -1: there is none. */
static int take_day(const char **at)
{
	for (int day = 0; day < 7; day++)
		if (strncasecmp(*at, day_names[day], 3) == 0) {
			*at += 3;
			return day;
		}
	return -1;
}

/* "mon", "fri-mon": the bits of the days; 0: it is neither. */
static unsigned days_of_word(const char *word)
{
	const char *at = word;
	int from = take_day(&at), to = from;
	unsigned days = 0;

	if (from >= 0 && *at == '-') {
		at++;
		to = take_day(&at);
	}
	if (from < 0 || to < 0 || *at)
		return 0;
	for (int day = from;; day = (day + 1) % 7) {
		days |= 1U << day;
		if (day == to)
			return days;
	}
}

/* "8:00", "24:00": the minute of the day; -1. */
static int take_clock(const char **at)
{
	char *end;
	long hour, minute;

	if (**at < '0' || **at > '9')
		return -1;
	hour = strtol(*at, &end, 10);
	if (end - *at > 2 || *end != ':' || strspn(end + 1, "0123456789") != 2)
		return -1;
	minute = strtol(end + 1, &end, 10);
	*at = end;
	return hour < 24 && minute < 60    ? (int)(hour * 60 + minute)
	       : hour == 24 && minute == 0 ? DAY_MINUTES
	                                   : -1;
}

/* "08:00-18:00": from the minute of a day to one of the same or of the next. */
static bool take_times_of_day(const char *word, int *ret_from, int *ret_to)
{
	const char *at = word;
	int from = take_clock(&at), to;

	if (from < 0 || from == DAY_MINUTES || *at++ != '-')
		return false;
	to = take_clock(&at);
	if (to < 0 || *at || to == from)
		return false;
	*ret_from = from;
	*ret_to = to > from ? to : to + DAY_MINUTES;
	return true;
}

static void add_window(struct blackout *b, unsigned days, int from, int to)
{
	for (int day = 0; day < 7; day++)
		for (int minute = from; days & 1U << day && minute < to; minute++)
			darken(b, (day * DAY_MINUTES + minute) % WEEK_MINUTES);
}

/* What stands between two commas. @days: those of items before it that had nothing else. */
static int parse_window(struct blackout *b, char *item, unsigned *days, struct error *err)
{
	_cleanup(free) char *whole = mem_strdup(item);
	char *rest = item, *word;
	bool is_whole = false;
	int from, to;

	while ((word = strsep(&rest, " \t"))) {
		unsigned more = days_of_word(word);

		if (!*word)
			continue;
		if (is_whole || (!more && !take_times_of_day(word, &from, &to)))
			return error_set(err, ERROR_USAGE, EINVAL, "\"%s\" is no window: " ALLOWED, whole);
		*days |= more;
		is_whole = !more;
	}
	if (is_whole) {
		add_window(b, *days ? *days : EVERY_DAY, from, to);
		*days = 0;
	} else if (!*days) {
		return error_set(err, ERROR_USAGE, EINVAL, "there is an empty window: " ALLOWED);
	}
	return 0;
}

static int check_windows(const struct blackout *b, unsigned days_left, struct error *err)
{
	if (days_left)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "it ends with days that have no times (all of a day is 00:00-24:00): " ALLOWED);
	for (int minute = 0; minute < WEEK_MINUTES; minute++)
		if (!is_dark(b, minute))
			return 0;
	return error_set(err, ERROR_USAGE, EINVAL,
	                 "the windows leave no minute of the week, so nothing could ever begin: " ALLOWED);
}

int blackout_parse(const char *text, struct blackout **ret, struct error *err)
{
	_cleanup(blackout) struct blackout *b = mem_alloc(sizeof(*b));
	_cleanup(free) char *copy = mem_strdup(text);
	char *rest = copy, *item;
	unsigned days = 0;
	int r = 0;

	if (!text[strspn(text, " \t")]) {
		*ret = NULL;
		return 0;
	}
	while (r == 0 && (item = strsep(&rest, ",")))
		r = parse_window(b, item, &days, err);
	if (r == 0)
		r = check_windows(b, days, err);
	if (r == 0)
		*ret = take_ptr(&b);
	return r;
}

struct blackout *blackout_free(struct blackout *b)
{
	free(b);
	return NULL;
}

/* The end, and the beginning. */

/* How many minutes from that one on are dark, or are not, to a week at most. */
static int minutes_alike(const struct blackout *b, int minute, bool dark)
{
	int count = 0;

	while (count < WEEK_MINUTES && is_dark(b, (minute + count) % WEEK_MINUTES) == dark)
		count++;
	return count;
}

static int minute_of_week(int64_t local_s)
{
	struct zone_day d = zone_day_of(local_s);

	return d.weekday * DAY_MINUTES + (int)((local_s - zone_local_midnight(d.year, d.month, d.day)) / 60);
}

/* The first moment that is not as dark as @dark says. */
static int64_t skip_minutes(const struct blackout *b, const struct zone *z, int64_t at_s, bool dark)
{
	while (b) {
		int64_t until_s, local_s = at_s + zone_offset_s(z, at_s, &until_s);
		int minutes = minutes_alike(b, minute_of_week(local_s), dark);
		int64_t end_s = at_s - ((local_s % 60) + 60) % 60 + (int64_t)minutes * 60;

		if (minutes == 0)
			break;
		/* Where clocks are changed on the way, what they show then decides. */
		at_s = end_s < until_s ? end_s : until_s;
	}
	return at_s;
}

int64_t blackout_end(const struct blackout *b, const struct zone *z, int64_t at_s)
{
	return skip_minutes(b, z, at_s, true);
}

int64_t blackout_begin(const struct blackout *b, const struct zone *z, int64_t at_s)
{
	return skip_minutes(b, z, at_s, false);
}
