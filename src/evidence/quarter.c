// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/clock.h>
#include <keepfs/evidence.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

static int64_t first_of_month_us(int year, int month)
{
	struct tm tm = {.tm_year = year - 1900, .tm_mon = month, .tm_mday = 1};

	return (int64_t)timegm(&tm) * US_PER_S;
}

static void fill_quarter(int year, int number, struct quarter *ret)
{
	*ret = (struct quarter){
	        .year = year,
	        .number = number,
	        .from_us = first_of_month_us(year, 3 * (number - 1)),
	        .until_us = first_of_month_us(year, 3 * number),
	};
}

bool quarter_parse(const char *text, struct quarter *ret)
{
	int year = 0;

	if (strlen(text) != strlen("2026-Q4") || text[4] != '-' || text[5] != 'Q' || text[6] < '1' ||
	    text[6] > '4')
		return false;
	for (int i = 0; i < 4; i++) {
		if (text[i] < '0' || text[i] > '9')
			return false;
		year = 10 * year + (text[i] - '0');
	}
	if (year < 2000)
		return false;
	fill_quarter(year, text[6] - '0', ret);
	return true;
}

void quarter_of(int64_t at_us, struct quarter *ret)
{
	time_t at_s = (time_t)(at_us / US_PER_S);
	struct tm tm;

	gmtime_r(&at_s, &tm);
	fill_quarter(tm.tm_year + 1900, tm.tm_mon / 3 + 1, ret);
}

const char *quarter_name(const struct quarter *q, char buf[static QUARTER_NAME_BYTES])
{
	snprintf(buf, QUARTER_NAME_BYTES, "%04d-Q%d", q->year % 10000, q->number);
	return buf;
}
