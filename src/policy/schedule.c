// SPDX-License-Identifier: Apache-2.0
/* See policy/schedule.h. Fields, and how the two kinds of days go together: man 5 crontab (Debian's cron). */
#include <keepfs/policy/schedule.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#define MINUTE_S 60
/* 29 February can be eight years away (1896 to 1904, 2096 to 2104). */
#define MONTHS_AHEAD (9 * 12)

/* The names. */

static const char *const names[][2] = {
        {"daily-2am", "0 2 * * *"},      {"daily-3am", "0 3 * * *"},
        {"daily-7am", "0 7 * * *"},      {"every-12h", "0 */12 * * *"},
        {"weekly-sun-2am", "0 2 * * 0"}, {"weekly-sun-3am", "0 3 * * 0"},
        {"hourly", "0 * * * *"},         {"disabled", ""},
        {"@hourly", "0 * * * *"},        {"@daily", "0 0 * * *"},
        {"@midnight", "0 0 * * *"},      {"@weekly", "0 0 * * 0"},
        {"@monthly", "0 0 1 * *"},       {"@yearly", "0 0 1 1 *"},
        {"@annually", "0 0 1 1 *"},      {NULL, NULL},
};

const char *const (*schedule_names(void))[2]
{
	return names;
}

static const char *expression_of(const char *text)
{
	for (size_t i = 0; names[i][0]; i++)
		if (strcasecmp(text, names[i][0]) == 0)
			return names[i][1];
	return text;
}

/* The fields. */

struct field {
	const char *name;
	unsigned least, most;
	const char *const *words; /* for the values from @least on; NULL-ended; NULL: numbers alone */
};

enum { MINUTE, HOUR, DAY, MONTH, WEEKDAY, FIELDS };

static const char *const month_words[] = {"jan", "feb", "mar", "apr", "may", "jun", "jul",
                                          "aug", "sep", "oct", "nov", "dec", NULL};
static const char *const weekday_words[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat", NULL};
static const struct field fields[FIELDS] = {
        [MINUTE] = {"minute", 0, 59, NULL},
        [HOUR] = {"hour", 0, 23, NULL},
        [DAY] = {"day of the month", 1, 31, NULL},
        [MONTH] = {"month", 1, 12, month_words},
        [WEEKDAY] = {"day of the week", 0, 7, weekday_words}, /* 7 is Sunday, too */
};

static int refuse_field(const struct field *f, const char *text, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "\"%s\" is no %s: allowed are %u to %u%s, *, ranges (a-b), steps (*/n, a-b/n) and lists of these (a,b)",
	        text, f->name, f->least, f->most, f->words ? ", their English names of three letters" : "");
}

/* A number or a word; moves *@at behind it. */
static bool take_value(const struct field *f, const char **at, unsigned *ret)
{
	unsigned value = 0;
	size_t len = strspn(*at, "0123456789");

	if (len > 0 && len <= 2) {
		for (size_t i = 0; i < len; i++)
			value = value * 10 + (unsigned)(*at)[i] - '0';
		*at += len;
		*ret = value;
		return value >= f->least && value <= f->most;
	}
	for (unsigned i = 0; f->words && f->words[i]; i++) {
		if (strncasecmp(*at, f->words[i], 3) != 0)
			continue;
		*at += 3;
		*ret = f->least + i;
		return true;
	}
	return false;
}

/* "*", "5", "1-5", "*" "/2", "10-50/10", "7/2" (to the end) */
static bool take_range(const struct field *f, const char *text, uint64_t *bits)
{
	unsigned from = f->least, to = f == &fields[WEEKDAY] ? 6 : f->most, step = 1;
	const char *at = text;

	if (*at == '*') {
		at++;
	} else {
		if (!take_value(f, &at, &from))
			return false;
		if (*at == '-') {
			at++;
			if (!take_value(f, &at, &to) || to < from)
				return false;
		} else if (*at != '/') {
			to = from;
		}
	}
	if (*at == '/') {
		size_t len = strspn(++at, "0123456789");

		if (len == 0 || len > 2)
			return false;
		for (step = 0; len > 0; len--)
			step = step * 10 + (unsigned)*at++ - '0';
		if (step == 0)
			return false;
	}
	for (unsigned value = from; value <= to; value += step)
		*bits |= UINT64_C(1) << value;
	return !*at;
}

static int parse_schedule_field(const struct field *f, const char *text, uint64_t *ret_bits,
                                struct error *err)
{
	_cleanup(free) char *list = mem_strdup(text);
	char *rest = list, *item;

	*ret_bits = 0;
	while ((item = strsep(&rest, ",")))
		if (!take_range(f, item, ret_bits))
			return refuse_field(f, text, err);
	return 0;
}

static bool month_has_day(unsigned month, uint32_t days)
{
	unsigned most = month == 2 ? 29 : (unsigned)zone_month_days(2001, (int)month);

	for (unsigned day = 1; day <= most; day++)
		if (days & UINT32_C(1) << day)
			return true;
	return false;
}

/* A weekday comes in every month. */
static bool can_be_due(const struct schedule *s)
{
	if (!s->is_every_weekday)
		return true;
	for (unsigned month = 1; month <= 12; month++)
		if (s->months & 1U << month && month_has_day(month, s->days))
			return true;
	return false;
}

static int parse_fields(char *const words[FIELDS], struct schedule *s, struct error *err)
{
	uint64_t bits[FIELDS];

	for (int i = 0; i < FIELDS; i++) {
		int r = parse_schedule_field(&fields[i], words[i], &bits[i], err);

		if (r < 0)
			return r;
	}
	*s = (struct schedule){
	        .minutes = bits[MINUTE],
	        .hours = (uint32_t)bits[HOUR],
	        .days = (uint32_t)bits[DAY],
	        .months = (uint16_t)bits[MONTH],
	        .weekdays = (uint8_t)((bits[WEEKDAY] & 0x7f) | bits[WEEKDAY] >> 7),
	        .is_every_hour = str_equal(words[HOUR], "*"),
	        .is_every_day = words[DAY][0] == '*',
	        .is_every_weekday = words[WEEKDAY][0] == '*',
	};
	return 0;
}

int schedule_parse(const char *text, struct schedule *ret, struct error *err)
{
	_cleanup(free) char *copy = mem_strdup(expression_of(text));
	char *rest = copy, *word, *words[FIELDS];
	int count = 0, r;

	*ret = (struct schedule){0};
	while ((word = strsep(&rest, " \t"))) {
		if (!*word)
			continue;
		if (count < FIELDS)
			words[count] = word;
		count++;
	}
	if (count == 0)
		return 0;
	if (count == 1 || words[0][0] == '@')
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "\"%s\" is no schedule: it is five fields (minute, hour, day of the month, month, day of the week), or a name like daily-2am, hourly, @weekly, disabled",
		        text);
	if (count != FIELDS)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "\"%s\" has %d fields, and a schedule five: minute, hour, day of the month, month, day of the week",
		        text, count);
	r = parse_fields(words, ret, err);
	if (r == 0 && !can_be_due(ret))
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "\"%s\" can never be due: none of its months has such a day", text);
	if (r < 0)
		*ret = (struct schedule){0};
	return r;
}

bool schedule_is_off(const struct schedule *s)
{
	return s->minutes == 0;
}

/* The next moment. */

static bool is_day(const struct schedule *s, unsigned day, unsigned weekday)
{
	bool by_number = s->days & UINT32_C(1) << day, by_weekday = s->weekdays & 1U << weekday;

	if (s->is_every_day || s->is_every_weekday)
		return by_number && by_weekday;
	return by_number || by_weekday;
}

/* The first that is set in @bits from @from on; 64: none. */
static unsigned next_bit(uint64_t bits, unsigned from)
{
	bits = from < 64 ? bits & ~UINT64_C(0) << from : 0;
	return bits ? (unsigned)__builtin_ctzll(bits) : 64;
}

/* The first minute from the @from-th of the day on; -1: none. */
static int minute_of_day(const struct schedule *s, int from)
{
	unsigned hour = (unsigned)from / 60, minute = 60;

	if (from >= 24 * 60)
		return -1;
	if (s->hours & UINT32_C(1) << hour)
		minute = next_bit(s->minutes, (unsigned)from % 60);
	if (minute >= 60) {
		hour = next_bit(s->hours, hour + 1);
		minute = next_bit(s->minutes, 0);
	}
	return hour < 24 ? (int)(hour * 60 + minute) : -1;
}

/* The first local time from @from_s on; SCHEDULE_NEVER. */
static int64_t next_local(const struct schedule *s, int64_t from_s)
{
	struct zone_day d = zone_day_of(from_s);
	int64_t midnight_s = zone_local_midnight(d.year, d.month, d.day);
	int minute = (int)((from_s - midnight_s + MINUTE_S - 1) / MINUTE_S);

	for (int months = 0; months < MONTHS_AHEAD; months++) {
		int days = zone_month_days(d.year, d.month);

		for (; s->months & 1U << d.month && d.day <= days; d.day++) {
			int found = is_day(s, (unsigned)d.day, (unsigned)d.weekday) ? minute_of_day(s, minute)
			                                                            : -1;

			if (found >= 0)
				return zone_local_midnight(d.year, d.month, d.day) +
				       found * (int64_t)MINUTE_S;
			minute = 0;
			d.weekday = (d.weekday + 1) % 7;
		}
		d = zone_day_of(zone_local_midnight(d.year, d.month, days + 1));
		minute = 0;
	}
	return SCHEDULE_NEVER;
}

/* In the time that passes, from one change of the clocks to the next. */
static int64_t next_of_every_hour(const struct schedule *s, const struct zone *z, int64_t after_s)
{
	int64_t from_s = after_s + 1;

	for (;;) {
		int64_t until_s, local_s;
		int32_t offset_s = zone_offset_s(z, from_s, &until_s);

		local_s = next_local(s, from_s + offset_s);
		if (local_s == SCHEDULE_NEVER || local_s - offset_s < until_s)
			return local_s == SCHEDULE_NEVER ? local_s : local_s - offset_s;
		from_s = until_s;
	}
}

/* On the wall: the first moments of local times, and the ends of hours that are left out, come in the order of the local
 * times. So what is due later has a later local time than now. */
static int64_t next_on_the_wall(const struct schedule *s, const struct zone *z, int64_t after_s)
{
	int64_t local_s = after_s + zone_offset_s(z, after_s, NULL), at_s[2];

	do {
		local_s = next_local(s, local_s + 1);
		if (local_s == SCHEDULE_NEVER)
			return SCHEDULE_NEVER;
		zone_from_local(z, local_s, at_s);
	} while (at_s[0] <= after_s);
	return at_s[0];
}

int64_t schedule_next(const struct schedule *s, const struct zone *z, int64_t after_s)
{
	if (schedule_is_off(s))
		return SCHEDULE_NEVER;
	return s->is_every_hour ? next_of_every_hour(s, z, after_s) : next_on_the_wall(s, z, after_s);
}

/* The interval. A schedule can only be followed forth, so the last moments are looked for from further and further back. */

#define LOOK_BACK_FIRST_S (2 * MINUTE_S)
#define LOOK_BACK_MOST_S  (INT64_C(20) * 366 * 86400) /* 29 February, twice */

struct last_moments {
	int64_t last_s, before_s; /* SCHEDULE_NEVER: not found */
};

static struct last_moments last_moments_since(const struct schedule *s, const struct zone *z, int64_t from_s,
                                              int64_t until_s)
{
	struct last_moments found = {SCHEDULE_NEVER, SCHEDULE_NEVER};
	int64_t at_s = schedule_next(s, z, from_s);

	for (; at_s <= until_s; at_s = schedule_next(s, z, at_s))
		found = (struct last_moments){.last_s = at_s, .before_s = found.last_s};
	return found;
}

int64_t schedule_interval_s(const struct schedule *s, const struct zone *z, int64_t at_s)
{
	struct last_moments found = {SCHEDULE_NEVER, SCHEDULE_NEVER};
	int64_t next_s = schedule_next(s, z, at_s), ahead_s, before_s;

	if (schedule_is_off(s))
		return 0;
	for (int64_t back_s = LOOK_BACK_FIRST_S;
	     back_s <= LOOK_BACK_MOST_S && found.before_s == SCHEDULE_NEVER; back_s *= 2)
		found = last_moments_since(s, z, at_s - back_s, at_s);
	if (found.before_s == SCHEDULE_NEVER)
		return 0;
	ahead_s = next_s == SCHEDULE_NEVER ? 0 : next_s - found.last_s;
	before_s = found.last_s - found.before_s;
	return ahead_s > before_s ? ahead_s : before_s;
}

int64_t schedule_last(const struct schedule *s, const struct zone *z, int64_t after_s, int64_t until_s)
{
	int64_t at_s = schedule_next(s, z, after_s), past_s = until_s;

	if (at_s > until_s)
		return SCHEDULE_NEVER;
	/* at_s: it is due; behind past_s, up to @until_s, it is not. */
	while (past_s > at_s) {
		int64_t middle_s = at_s + (past_s - at_s) / 2, next_s = schedule_next(s, z, middle_s);

		if (next_s <= until_s)
			at_s = next_s;
		else
			past_s = middle_s;
	}
	return at_s;
}
