// SPDX-License-Identifier: Apache-2.0
/*
 * A zone is a list of transitions, each with the offset that holds from then on. The rule at the end of a file, which
 * says how it goes on, is written out as transitions up to RULE_UNTIL_YEAR: so one search answers for all times.
 */
#include <keepfs/base/zone.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#define DAY_S           86400
#define RULE_FROM_YEAR  1900
#define RULE_UNTIL_YEAR 2200
#define FILE_MAX_BYTES  ((size_t)1 << 20) /* the largest of tzdata has 4 KB */
#define OFFSET_MAX_S    (26 * 3600)       /* RFC 9636: from -25:59:59 to +26:00:00 */

struct transition {
	int64_t at_s;
	int32_t offset_s; /* from then on */
};

struct zone {
	struct transition *transitions; /* the first is at INT64_MIN */
	size_t count;
};

/* The calendar. */

/* Days since 1970-01-01. Years begin in March here, so that the odd day is the last one. */
static int64_t days_of(int year, int month, int day)
{
	int64_t y = month <= 2 ? (int64_t)year - 1 : year;
	int64_t era = (y >= 0 ? y : y - 399) / 400;
	int64_t year_of_era = y - era * 400;
	int64_t day_of_year = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719468;
}

struct zone_day zone_day_of(int64_t local_s)
{
	int64_t days = local_s / DAY_S - (local_s % DAY_S < 0), z = days + 719468;
	int64_t era = (z >= 0 ? z : z - 146096) / 146097, day_of_era = z - era * 146097;
	int64_t year_of_era =
	        (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
	int64_t day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
	int64_t month_from_march = (5 * day_of_year + 2) / 153;
	struct zone_day d = {.day = (int)(day_of_year - (153 * month_from_march + 2) / 5 + 1),
	                     .month = (int)(month_from_march + (month_from_march < 10 ? 3 : -9)),
	                     .weekday = (int)(((days + 4) % 7 + 7) % 7)};

	d.year = (int)(year_of_era + era * 400 + (d.month <= 2));
	return d;
}

int64_t zone_local_midnight(int year, int month, int day)
{
	return days_of(year, month, day) * DAY_S;
}

int zone_month_days(int year, int month)
{
	return (int)(month == 12 ? 31 : days_of(year, month + 1, 1) - days_of(year, month, 1));
}

/* Transitions. */

static void add_transition(struct zone *z, int64_t at_s, int32_t offset_s)
{
	if ((z->count & (z->count - 1)) == 0)
		z->transitions =
		        mem_resize(z->transitions, z->count ? 2 * z->count : 1, sizeof(*z->transitions));
	z->transitions[z->count++] = (struct transition){at_s, offset_s};
}

/* Of the last that is not behind @at_s. */
static size_t find_transition(const struct zone *z, int64_t at_s)
{
	size_t low = 0, high = z->count;

	while (high - low > 1) {
		size_t middle = low + (high - low) / 2;

		if (z->transitions[middle].at_s <= at_s)
			low = middle;
		else
			high = middle;
	}
	return low;
}

int32_t zone_offset_s(const struct zone *z, int64_t at_s, int64_t *ret_until_s)
{
	size_t i = find_transition(z, at_s);

	if (ret_until_s)
		*ret_until_s = i + 1 < z->count ? z->transitions[i + 1].at_s : INT64_MAX;
	return z->transitions[i].offset_s;
}

int zone_from_local(const struct zone *z, int64_t local_s, int64_t ret_at_s[static 2])
{
	size_t i = find_transition(z, local_s - OFFSET_MAX_S);
	int count = 0;

	for (; i < z->count && (i == 0 || z->transitions[i].at_s <= local_s + OFFSET_MAX_S); i++) {
		const struct transition *t = &z->transitions[i];
		int64_t at_s = local_s - t->offset_s;
		bool has_begun = at_s >= t->at_s;

		if (has_begun && count < 2 && (i + 1 == z->count || at_s < t[1].at_s))
			ret_at_s[count++] = at_s;
		/* Past the end of what was before, and before the beginning of this. */
		if (!has_begun && count == 0 && local_s - t[-1].offset_s >= t->at_s) {
			ret_at_s[0] = t->at_s;
			return 0;
		}
	}
	return count;
}

/* Rules: "CET-1CEST,M3.5.0,M10.5.0/3". */

struct rule_day {
	char kind; /* 'M': of a week in a month; 'J': 1 to 365 without 29 February; '0': 0 to 365 */
	int month, week, day;
	int32_t at_s; /* of that day, in local time */
};

struct rule {
	int32_t standard_s, summer_s;
	bool has_summer;
	struct rule_day begin, end; /* of summer time */
};

/* Reads go on until one fails; then `at` is NULL. */
static int rule_number(const char **at, int least, int most)
{
	int value = 0;

	if (!*at || **at < '0' || **at > '9') {
		*at = NULL;
		return least;
	}
	while (**at >= '0' && **at <= '9' && value <= most)
		value = value * 10 + *(*at)++ - '0';
	if (value < least || value > most)
		*at = NULL;
	return value;
}

static bool rule_skip(const char **at, char c)
{
	if (!*at || **at != c)
		return false;
	(*at)++;
	return true;
}

static void rule_expect(const char **at, char c)
{
	if (!rule_skip(at, c))
		*at = NULL;
}

/* "CET", "<+0330>" */
static void rule_name(const char **at)
{
	const char *begin = *at;

	if (rule_skip(at, '<')) {
		while (*at && **at && **at != '>')
			(*at)++;
		rule_expect(at, '>');
		return;
	}
	while (*at && ((**at >= 'A' && **at <= 'Z') || (**at >= 'a' && **at <= 'z')))
		(*at)++;
	if (*at && *at - begin < 3)
		*at = NULL;
}

/* "-1", "3:30", "26:00:00" */
static int32_t rule_time(const char **at, int most_hours)
{
	int sign = rule_skip(at, '-') ? -1 : 1;
	int32_t seconds;

	if (sign > 0)
		rule_skip(at, '+');
	seconds = rule_number(at, 0, most_hours) * 3600;
	if (rule_skip(at, ':'))
		seconds += rule_number(at, 0, 59) * 60;
	if (rule_skip(at, ':'))
		seconds += rule_number(at, 0, 59);
	return sign * seconds;
}

static struct rule_day rule_day(const char **at)
{
	struct rule_day d = {.kind = '0', .at_s = 2 * 3600};

	rule_expect(at, ',');
	if (rule_skip(at, 'M')) {
		d.kind = 'M';
		d.month = rule_number(at, 1, 12);
		rule_expect(at, '.');
		d.week = rule_number(at, 1, 5);
		rule_expect(at, '.');
		d.day = rule_number(at, 0, 6);
	} else if (rule_skip(at, 'J')) {
		d.kind = 'J';
		d.day = rule_number(at, 1, 365);
	} else {
		d.day = rule_number(at, 0, 365);
	}
	if (rule_skip(at, '/'))
		d.at_s = rule_time(at, 167);
	return d;
}

static bool parse_zone_rule(const char *text, struct rule *ret)
{
	const char *at = text;

	*ret = (struct rule){0};
	rule_name(&at);
	ret->standard_s = -rule_time(&at, 24);
	if (at && *at) {
		ret->has_summer = true;
		rule_name(&at);
		ret->summer_s = ret->standard_s + 3600;
		if (at && *at && *at != ',')
			ret->summer_s = -rule_time(&at, 24);
		ret->begin = rule_day(&at);
		ret->end = rule_day(&at);
	}
	return at && !*at;
}

/* In local time. */
static int64_t rule_moment(const struct rule_day *d, int year)
{
	int64_t first = zone_local_midnight(year, d->kind == 'M' ? d->month : 1, 1);
	bool is_leap = zone_month_days(year, 2) == 29;
	int day;

	if (d->kind == 'M') {
		day = (d->day - zone_day_of(first).weekday + 7) % 7 + (d->week - 1) * 7;
		while (day >= zone_month_days(year, d->month))
			day -= 7;
	} else if (d->kind == 'J') {
		day = d->day - 1 + (is_leap && d->day >= 60);
	} else {
		day = d->day;
	}
	return first + (int64_t)day * DAY_S + d->at_s;
}

static void add_rule_transition(struct zone *z, int64_t at_s, int32_t offset_s)
{
	struct transition *last = &z->transitions[z->count - 1];

	if (at_s > last->at_s && offset_s != last->offset_s)
		add_transition(z, at_s, offset_s);
	/* Summer time all year: it ends when the next one begins. */
	else if (at_s == last->at_s)
		last->offset_s = offset_s;
}

/* What @r says of the time behind the last transition. */
static void write_rule_out(struct zone *z, const struct rule *r)
{
	int64_t last_s = z->transitions[z->count - 1].at_s;
	int year = RULE_FROM_YEAR;

	if (last_s >= zone_local_midnight(RULE_UNTIL_YEAR, 1, 1))
		return;
	if (last_s > zone_local_midnight(RULE_FROM_YEAR, 1, 1))
		year = zone_day_of(last_s).year;
	/* Without summer time it only says again what holds already. */
	for (; r->has_summer && year <= RULE_UNTIL_YEAR; year++) {
		int64_t begin_s = rule_moment(&r->begin, year) - r->standard_s;
		int64_t end_s = rule_moment(&r->end, year) - r->summer_s;

		if (begin_s < end_s)
			add_rule_transition(z, begin_s, r->summer_s);
		add_rule_transition(z, end_s, r->standard_s);
		if (begin_s > end_s)
			add_rule_transition(z, begin_s, r->summer_s);
	}
}

/* Files. */

struct tzif {
	const unsigned char *at, *end;
	uint32_t times, types, chars, leaps, standards, universals;
};

static uint64_t big_endian(const unsigned char *at, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value = value << 8 | at[i];
	return value;
}

/* The counts; false when there is no header with counts that such a file can have. */
static bool take_zone_header(struct tzif *f)
{
	if (f->end - f->at < 44 || memcmp(f->at, "TZif", 4) != 0)
		return false;
	f->universals = (uint32_t)big_endian(f->at + 20, 4);
	f->standards = (uint32_t)big_endian(f->at + 24, 4);
	f->leaps = (uint32_t)big_endian(f->at + 28, 4);
	f->times = (uint32_t)big_endian(f->at + 32, 4);
	f->types = (uint32_t)big_endian(f->at + 36, 4);
	f->chars = (uint32_t)big_endian(f->at + 40, 4);
	f->at += 44;
	return f->universals <= 256 && f->standards <= 256 && f->leaps <= 65536 && f->times <= 65536 &&
	       f->types > 0 && f->types <= 256 && f->chars <= 65536;
}

static size_t block_bytes(const struct tzif *f, size_t time_bytes)
{
	return f->times * (time_bytes + 1) + f->types * (size_t)6 + f->chars + f->leaps * (time_bytes + 4) +
	       f->standards + f->universals;
}

static bool take_times(struct zone *z, const struct tzif *f)
{
	const unsigned char *types_at = f->at + f->times * (size_t)8, *offsets = types_at + f->times;

	/* Before the first one, the first type holds. */
	add_transition(z, INT64_MIN, (int32_t)big_endian(offsets, 4));
	for (uint32_t i = 0; i < f->times; i++) {
		int64_t at_s = (int64_t)big_endian(f->at + i * (size_t)8, 8);
		uint32_t type = types_at[i];
		int32_t offset_s;

		if (type >= f->types || (i > 0 && at_s <= z->transitions[z->count - 1].at_s))
			return false;
		offset_s = (int32_t)big_endian(offsets + type * (size_t)6, 4);
		if (offset_s < -OFFSET_MAX_S || offset_s > OFFSET_MAX_S)
			return false;
		if (at_s > INT64_MIN)
			add_transition(z, at_s, offset_s);
	}
	return true;
}

/* "\nCET-1CEST,M3.5.0,M10.5.0/3\n"; an empty one says nothing. */
static bool take_footer(struct zone *z, const struct tzif *f)
{
	const unsigned char *line_end;
	_cleanup(free) char *text = NULL;
	struct rule rule;

	if (f->end - f->at < 2 || *f->at != '\n' ||
	    !(line_end = memchr(f->at + 1, '\n', (size_t)(f->end - f->at - 1))))
		return false;
	if (line_end == f->at + 1)
		return true;
	text = mem_printf("%.*s", (int)(line_end - f->at - 1), f->at + 1);
	if (!parse_zone_rule(text, &rule))
		return false;
	write_rule_out(z, &rule);
	return true;
}

static bool decode_file(struct zone *z, const char *data, size_t len)
{
	struct tzif f = {.at = (const unsigned char *)data, .end = (const unsigned char *)data + len};

	if (len < 5 || data[4] < '2' || !take_zone_header(&f) || (size_t)(f.end - f.at) < block_bytes(&f, 4))
		return false;
	f.at += block_bytes(&f, 4); /* the same with 32 bits, for old readers */
	if (!take_zone_header(&f) || (size_t)(f.end - f.at) < block_bytes(&f, 8) || !take_times(z, &f))
		return false;
	f.at += block_bytes(&f, 8);
	return take_footer(z, &f);
}

static int load_zone_file(const char *name, const char *path, struct zone **ret_zone, struct error *err)
{
	_cleanup(zone) struct zone *z = mem_alloc(sizeof(*z));
	_cleanup(str) struct str data = {0};
	int r = fd_read_file(path, FILE_MAX_BYTES, &data);

	if (r == -ENOENT || r == -ENOTDIR)
		return error_set(
		        err, ERROR_USAGE, ENOENT,
		        "%s: there is no time zone of that name (no file %s; package tzdata has them)", name,
		        path);
	if (r < 0)
		return error_system(err, -r, "the time zone %s cannot be read from %s", name, path);
	if (!decode_file(z, str_text(&data), data.len))
		return error_set(err, ERROR_USAGE, EBADMSG, "%s: %s is no file of a time zone", name, path);
	*ret_zone = take_ptr(&z);
	return 0;
}

static bool is_zone_name(const char *name)
{
	for (const char *p = name; *p; p++)
		if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+-/", *p))
			return false;
	return *name && *name != '/';
}

static struct zone *zone_of_rule(const struct rule *r)
{
	struct zone *z = mem_alloc(sizeof(*z));

	add_transition(z, INT64_MIN, r->standard_s);
	write_rule_out(z, r);
	return z;
}

static int load_named(const char *name, struct zone **ret_zone, struct error *err)
{
	const char *tzdir = getenv("TZDIR");
	_cleanup(free) char *path =
	        mem_printf("%s/%s", tzdir && *tzdir ? tzdir : "/usr/share/zoneinfo", name);

	return load_zone_file(name, path, ret_zone, err);
}

int zone_load(const char *name, struct zone **ret_zone, struct error *err)
{
	static const struct rule utc = {0};
	struct rule rule;

	if (!name)
		name = getenv("TZ");
	if (!name)
		return load_zone_file("localtime", "/etc/localtime", ret_zone, NULL) == 0
		               ? 0
		               : zone_load("UTC", ret_zone, err);
	name += *name == ':';
	/* Without tzdata, too: it is what containers have. */
	if (!*name || str_equal(name, "UTC") || str_equal(name, "Etc/UTC")) {
		*ret_zone = zone_of_rule(&utc);
		return 0;
	}
	if (*name == '/')
		return load_zone_file(name, name, ret_zone, err);
	if (parse_zone_rule(name, &rule)) {
		*ret_zone = zone_of_rule(&rule);
		return 0;
	}
	if (!is_zone_name(name))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "\"%s\" is no time zone: it has names like Europe/Berlin, America/New_York or UTC",
		        name);
	return load_named(name, ret_zone, err);
}

struct zone *zone_free(struct zone *z)
{
	if (!z)
		return NULL;
	free(z->transitions);
	free(z);
	return NULL;
}
