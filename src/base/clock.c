// SPDX-License-Identifier: Apache-2.0
/* Time: the system's clocks, and the two ways in which keepfs writes a point in time. */
#include <keepfs/base/clock.h>

#include <ctype.h>
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

static int64_t read_clock_us(clockid_t id)
{
	struct timespec ts;

	clock_gettime(id, &ts);
	return (int64_t)ts.tv_sec * US_PER_S + ts.tv_nsec / 1000;
}

int64_t clock_now_us(void)
{
	return read_clock_us(CLOCK_REALTIME);
}

int64_t clock_mono_us(void)
{
	return read_clock_us(CLOCK_MONOTONIC);
}

int64_t clock_boot_us(void)
{
	return read_clock_us(CLOCK_BOOTTIME);
}

int64_t clock_mono_ms(void)
{
	return clock_mono_us() / 1000;
}

static void split(int64_t at_us, struct tm *tm)
{
	time_t seconds = (time_t)(at_us / US_PER_S);

	gmtime_r(&seconds, tm);
}

char *clock_format_name(int64_t at_us, char buf[static CLOCK_NAME_BYTES])
{
	struct tm tm;

	split(at_us, &tm);
	strftime(buf, CLOCK_NAME_BYTES, "%Y%m%dT%H%M%SZ", &tm);
	return buf;
}

char *clock_format_iso(int64_t at_us, char buf[static CLOCK_ISO_BYTES])
{
	struct tm tm;

	split(at_us, &tm);
	strftime(buf, CLOCK_ISO_BYTES, "%Y-%m-%dT%H:%M:%SZ", &tm);
	return buf;
}

/* Reads exactly @digits decimal digits; -1 when one of them is none. */
static int parse_fixed_digits(const char *text, int digits)
{
	int value = 0;

	for (int i = 0; i < digits; i++) {
		if (!isdigit((unsigned char)text[i]))
			return -1;
		value = value * 10 + (text[i] - '0');
	}
	return value;
}

static int join_fields(int year, int month, int day, int hour, int minute, int second, int64_t *ret_at_us)
{
	struct tm tm = {.tm_year = year - 1900,
	                .tm_mon = month - 1,
	                .tm_mday = day,
	                .tm_hour = hour,
	                .tm_min = minute,
	                .tm_sec = second};
	struct tm check;
	time_t seconds;

	if (year < 1970 || month < 1 || day < 1 || hour < 0 || minute < 0 || second < 0)
		return -EINVAL;
	seconds = timegm(&tm);
	gmtime_r(&seconds, &check);
	/* timegm() accepts the 31st of June: what does not come back the same was no date. */
	if (check.tm_mon != month - 1 || check.tm_mday != day || check.tm_hour != hour ||
	    check.tm_min != minute || check.tm_sec != second)
		return -EINVAL;
	*ret_at_us = (int64_t)seconds * US_PER_S;
	return 0;
}

int clock_parse_name(const char *text, int64_t *ret_at_us)
{
	if (strnlen(text, CLOCK_NAME_BYTES - 1) < CLOCK_NAME_BYTES - 1 || text[8] != 'T' || text[15] != 'Z')
		return -EINVAL;
	return join_fields(parse_fixed_digits(text, 4), parse_fixed_digits(text + 4, 2),
	                   parse_fixed_digits(text + 6, 2), parse_fixed_digits(text + 9, 2),
	                   parse_fixed_digits(text + 11, 2), parse_fixed_digits(text + 13, 2), ret_at_us);
}

int clock_parse_iso(const char *text, int64_t *ret_at_us)
{
	int64_t at_us, fraction_us = 0, unit_us = US_PER_S / 10;
	const char *rest;
	int r;

	if (strnlen(text, CLOCK_ISO_BYTES - 1) < CLOCK_ISO_BYTES - 1 || text[4] != '-' || text[7] != '-' ||
	    text[10] != 'T' || text[13] != ':' || text[16] != ':')
		return -EINVAL;
	r = join_fields(parse_fixed_digits(text, 4), parse_fixed_digits(text + 5, 2),
	                parse_fixed_digits(text + 8, 2), parse_fixed_digits(text + 11, 2),
	                parse_fixed_digits(text + 14, 2), parse_fixed_digits(text + 17, 2), &at_us);
	if (r < 0)
		return r;
	rest = text + 19;
	if (*rest == '.') {
		if (!isdigit((unsigned char)rest[1]))
			return -EINVAL;
		for (rest++; isdigit((unsigned char)*rest); rest++, unit_us /= 10)
			fraction_us += (*rest - '0') * unit_us;
	}
	if (strcmp(rest, "Z") != 0)
		return -EINVAL;
	*ret_at_us = at_us + fraction_us;
	return 0;
}

struct timespec clock_to_timespec(int64_t at_us)
{
	return (struct timespec){.tv_sec = (time_t)(at_us / US_PER_S),
	                         .tv_nsec = (long)(at_us % US_PER_S) * 1000};
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool clock_cond_wait_ms(pthread_cond_t *cond, pthread_mutex_t *lock, int64_t ms)
{
	struct timespec until = clock_to_timespec(clock_mono_us() + (ms > 0 ? ms : 0) * 1000);

	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}
