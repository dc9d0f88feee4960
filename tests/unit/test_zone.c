// SPDX-License-Identifier: Apache-2.0
/* Time zones, held to what libc says of them: every zone that has ever done anything odd, by the hour. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>

#define HOUR_S INT64_C(3600)
#define DAY_S  (24 * HOUR_S)

/* Half hours, quarters; half an hour of summer time; Ramadan; winter time that is said as negative summer time; a day that
 * was left out; midnight as the time of change; the southern half; rules with hours beyond a day. */
static const char *const names[] = {
        "UTC",
        "Europe/Berlin",
        "Europe/Dublin",
        "America/New_York",
        "America/St_Johns",
        "America/Sao_Paulo",
        "America/Asuncion",
        "America/Nuuk",
        "America/Caracas",
        "Africa/Casablanca",
        "Africa/Cairo",
        "Asia/Kathmandu",
        "Asia/Jerusalem",
        "Asia/Gaza",
        "Asia/Tehran",
        "Asia/Pyongyang",
        "Australia/Lord_Howe",
        "Australia/Eucla",
        "Antarctica/Troll",
        "Pacific/Apia",
        "Pacific/Chatham",
        "Pacific/Kiritimati",
};

static struct zone *load(const char *name)
{
	struct zone *z = NULL;
	struct error err = {0};

	if (zone_load(name, &z, &err) < 0)
		fail_msg("%s", err.message);
	return z;
}

static int64_t local_of(struct tm *tm)
{
	return zone_local_midnight(tm->tm_year + 1900, tm->tm_mon + 1, tm->tm_mday) + tm->tm_hour * HOUR_S +
	       tm->tm_min * 60 + tm->tm_sec;
}

static void offsets_are_those_of_libc(void **state)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		_cleanup(zone) struct zone *z = load(names[i]);

		setenv("TZ", names[i], 1);
		tzset();
		/* 1950 to 2100, at odd times of the day */
		for (time_t at = -631152000; at < 4102444800; at += 41 * HOUR_S + 1799) {
			struct tm tm;

			assert_non_null(localtime_r(&at, &tm));
			if (zone_offset_s(z, at, NULL) != tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, libc says %ld", names[i], (long long)at,
				         zone_offset_s(z, at, NULL), tm.tm_gmtoff);
		}
	}
}

/* Each moment of four years has a local time that leads back to it; and what leads nowhere is left out by the clock. */
static void local_times_lead_back(void **state)
{
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		_cleanup(zone) struct zone *z = load(names[i]);
		int64_t before_local_s = INT64_MIN;

		setenv("TZ", names[i], 1);
		tzset();
		for (time_t at = 1230768000; at < 1356998400; at += 900) { /* 2009 to 2013 */
			struct tm tm;
			int64_t local_s, at_s[2];
			int count;

			localtime_r(&at, &tm);
			local_s = local_of(&tm);
			count = zone_from_local(z, local_s, at_s);
			assert_in_range(count, 1, 2);
			if (at_s[0] != at && (count < 2 || at_s[1] != at))
				fail_msg("%s: %lld is not among the moments of its local time", names[i],
				         (long long)at);
			/* What was jumped over. */
			for (int64_t gone_s = before_local_s + 900;
			     before_local_s > INT64_MIN && gone_s < local_s; gone_s += 900) {
				assert_int_equal(zone_from_local(z, gone_s, at_s), 0);
				assert_in_range(at_s[0], at - 899, at); /* St John's: at 00:01 */
			}
			before_local_s = local_s > before_local_s ? local_s : before_local_s;
		}
	}
}

static void changes_are_known_ahead(void **state)
{
	_cleanup(zone) struct zone *berlin = load("Europe/Berlin"), *utc = load("UTC");
	int64_t until_s;

	assert_int_equal(zone_offset_s(berlin, 1798761600, &until_s), 3600); /* 2027-01-01 */
	assert_int_equal(until_s, 1806195600);                               /* 2027-03-28 01:00 */
	assert_int_equal(zone_offset_s(berlin, until_s, &until_s), 7200);
	assert_int_equal(until_s, 1824944400 + 0); /* 2027-10-31 01:00 */
	assert_int_equal(zone_offset_s(utc, 0, &until_s), 0);
	assert_int_equal(until_s, INT64_MAX);
}

static void rules_of_posix(void **state)
{
	static const char *const rules[] = {"CET-1CEST,M3.5.0,M10.5.0/3",
	                                    "EST5EDT,M3.2.0,M11.1.0",
	                                    "<+1030>-10:30<+11>-11,M10.1.0,M4.1.0",
	                                    "IST-2IDT,M3.4.4/26,M10.5.0",
	                                    "<-02>2<-01>,M3.5.0/-1,M10.5.0/0",
	                                    "XXX3YYY2,59/2,300/2",
	                                    "EST5",
	                                    "XXX-3:30:15"};

	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		_cleanup(zone) struct zone *z = load(rules[i]);

		setenv("TZ", rules[i], 1);
		tzset();
		for (time_t at = 946684800; at < 2524608000; at += 17 * HOUR_S + 1799) { /* 2000 to 2050 */
			struct tm tm;

			localtime_r(&at, &tm);
			if (zone_offset_s(z, at, NULL) != tm.tm_gmtoff)
				fail_msg("%s at %lld: %d, libc says %ld", rules[i], (long long)at,
				         zone_offset_s(z, at, NULL), tm.tm_gmtoff);
		}
	}
}

/* From one year's first second to its last (RFC 9636). */
static void summer_time_all_year(void **state)
{
	_cleanup(zone) struct zone *z = load("WART4WARST,J1/0,J365/25");

	for (int64_t at = 946684800; at < 2524608000; at += 7 * HOUR_S)
		assert_int_equal(zone_offset_s(z, at, NULL), -3 * HOUR_S);
}

static void the_zone_of_the_process(void **state)
{
	_cleanup(zone) struct zone *named = NULL, *with_colon = NULL, *of_file = NULL, *none = NULL;

	setenv("TZ", "Asia/Kathmandu", 1);
	named = load(NULL);
	assert_int_equal(zone_offset_s(named, 1700000000, NULL), 20700);
	setenv("TZ", ":Asia/Kathmandu", 1);
	with_colon = load(NULL);
	assert_int_equal(zone_offset_s(with_colon, 1700000000, NULL), 20700);
	setenv("TZ", "/usr/share/zoneinfo/Asia/Kathmandu", 1);
	of_file = load(NULL);
	assert_int_equal(zone_offset_s(of_file, 1700000000, NULL), 20700);
	setenv("TZ", "", 1);
	none = load(NULL);
	assert_int_equal(zone_offset_s(none, 1700000000, NULL), 0);
}

static void other_names_are_refused(void **state)
{
	static const struct {
		const char *name;
		int errnum;
	} cases[] = {{"Europe/Nowhere", ENOENT},  {"Berlin", ENOENT},       {"../../etc/passwd", EINVAL},
	             {"Europe/Berlin x", EINVAL}, {"/etc/passwd", EBADMSG}, {"/none", ENOENT},
	             {"CET-1CEST,M3", EINVAL},    {"zone.tab", EINVAL}};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct error err = {0};
		struct zone *z = NULL;

		assert_int_equal(zone_load(cases[i].name, &z, &err), -cases[i].errnum);
		assert_non_null(strstr(err.message, cases[i].name));
	}
}

/* Cut anywhere, and with any byte changed, it is refused or taken, and nothing breaks. */
static void damaged_files(void **state)
{
	char path[] = "/tmp/keepfs-zone-XXXXXX";
	int fd = mkstemp(path);
	FILE *source = fopen("/usr/share/zoneinfo/America/St_Johns", "rb");
	char data[8192];
	size_t len;

	assert_true(fd >= 0);
	assert_non_null(source);
	len = fread(data, 1, sizeof(data), source);
	fclose(source);
	for (size_t cut = 0; cut < len; cut += 7) {
		struct zone *z = NULL;

		assert_int_equal(ftruncate(fd, 0), 0);
		assert_int_equal(pwrite(fd, data, cut, 0), cut);
		assert_int_equal(zone_load(path, &z, NULL), -EBADMSG);
	}
	for (size_t at = 0; at < len; at += 3) {
		_cleanup(zone) struct zone *z = NULL;
		int64_t at_s[2];

		data[at] = (char)~data[at];
		assert_int_equal(pwrite(fd, data, len, 0), len);
		data[at] = (char)~data[at];
		if (zone_load(path, &z, NULL) == 0) {
			zone_offset_s(z, 1700000000, NULL);
			zone_from_local(z, 1700000000, at_s);
		}
	}
	close(fd);
	unlink(path);
}

static void days_of_the_calendar(void **state)
{
	for (time_t at = -62135596800; at < 253402300800; at += 40 * DAY_S + 12345) { /* years 1 to 9999 */
		struct tm tm;
		struct zone_day d = zone_day_of(at);

		gmtime_r(&at, &tm);
		assert_int_equal(d.year, tm.tm_year + 1900);
		assert_int_equal(d.month, tm.tm_mon + 1);
		assert_int_equal(d.day, tm.tm_mday);
		assert_int_equal(d.weekday, tm.tm_wday);
		assert_int_equal(zone_local_midnight(d.year, d.month, d.day),
		                 at - (((at % DAY_S) + DAY_S) % DAY_S));
	}
	assert_int_equal(zone_month_days(2024, 2), 29);
	assert_int_equal(zone_month_days(2100, 2), 28);
	assert_int_equal(zone_month_days(2026, 12), 31);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(offsets_are_those_of_libc), cmocka_unit_test(local_times_lead_back),
	        cmocka_unit_test(changes_are_known_ahead),   cmocka_unit_test(rules_of_posix),
	        cmocka_unit_test(summer_time_all_year),      cmocka_unit_test(the_zone_of_the_process),
	        cmocka_unit_test(other_names_are_refused),   cmocka_unit_test(damaged_files),
	        cmocka_unit_test(days_of_the_calendar),
	};

	if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0) {
		puts("1..0 # SKIP there is no tzdata");
		return 0;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}
