// SPDX-License-Identifier: Apache-2.0
/* Targets of a recovery as people write them, the settings that a server reads, and the begin of its control file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/codec/pg_control.h>
#include <keepfs/codec/recovery_settings.h>

static struct zone *berlin(void)
{
	struct error err = {0};
	struct zone *z = NULL;

	if (zone_load("CET-1CEST,M3.5.0,M10.5.0/3", &z, &err) < 0)
		fail_msg("%s", err.message);
	return z;
}

static void expect_target(const char *text, const char *formatted)
{
	_cleanup(zone) struct zone *z = berlin();
	_cleanup(str) struct str out = {0};
	struct recovery_goal t;
	struct error err = {0};

	if (recovery_goal_parse(text, z, &t, &err) < 0)
		fail_msg("%s: %s", text, err.message);
	recovery_goal_format(&t, &out);
	assert_string_equal(str_text(&out), formatted);
}

static void targets_are_read_as_people_write_them(void **state)
{
	expect_target("latest", "latest");
	expect_target("immediate", "immediate");
	expect_target("lsn:0/3000028", "lsn:0/3000028");
	expect_target("xid:1234", "xid:1234");
	expect_target("name:before_upgrade", "name:before_upgrade");
	expect_target("name:über 'x'", "name:über 'x'");
	/* By the zone: summer and winter. */
	expect_target("2026-11-20 10:00", "2026-11-20T09:00:00Z");
	expect_target("2026-07-20 10:00:30", "2026-07-20T08:00:30Z");
	expect_target("2026-11-20", "2026-11-19T23:00:00Z");
	expect_target("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z");
	expect_target("2026-11-20 10:00:00.25", "2026-11-20T09:00:00.250000Z");
	expect_target("2026-11-20 10:00:00.123456Z", "2026-11-20T10:00:00.123456Z");
	/* As a server shows them. */
	expect_target("2026-11-20 10:00:00.123456+00", "2026-11-20T10:00:00.123456Z");
	expect_target("2026-11-20 10:00:00+05:30", "2026-11-20T04:30:00Z");
	expect_target("2026-11-20 10:00:00-0800", "2026-11-20T18:00:00Z");
	expect_target("2026-11-20 10:00 +01", "2026-11-20T09:00:00Z");
}

static void what_is_no_target_is_refused_and_told_how_to_write_one(void **state)
{
	static const char *const wrong[] = {
	        "",
	        "yesterday",
	        "LATEST",
	        "lsn:",
	        "lsn:xyz",
	        "lsn:0/3000028 ",
	        "xid:",
	        "xid:-3",
	        "xid:2",
	        "xid:12a",
	        "xid:99999999999999999999999",
	        "name:",
	        "name:a\nb",
	        "name:0123456789012345678901234567890123456789012345678901234567890123",
	        "2026-11-20 10:00:00.1234567",
	        "2026-11-20 10:00:00.",
	        "2026-11-20 10:00:00+1",
	        "2026-11-20 10:00:00+01:60",
	        "2026-11-20 10:00:00+99",
	        "2026-11-31 10:00",
	        "2026-11-20 25:00"};
	_cleanup(zone) struct zone *z = berlin();

	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct recovery_goal t;
		struct error err = {0};

		if (recovery_goal_parse(wrong[i], z, &t, &err) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_non_null(strstr(err.message, "lsn:0/3000028"));
	}
}

static struct recovery_settings settings_to(const char *target)
{
	_cleanup(zone) struct zone *z = berlin();
	struct recovery_settings s = {.restore_command = "'/opt/a b/keepfs' wal-get main %f %p",
	                              .timeline = "latest",
	                              .action = "promote"};

	assert_int_equal(recovery_goal_parse(target, z, &s.target, NULL), 0);
	return s;
}

static void expect_settings(const char *old, const struct recovery_settings *s, const char *expected)
{
	_cleanup(str) struct str out = {0};

	recovery_settings_write(old, s, &out);
	assert_string_equal(str_text(&out), expected);
}

#define BEGIN "# keepfs restore: what follows, up to the end of these lines, is of a recovery\n"
/* What a standby's postgresql.conf may have. */
#define QUIET                                                                                                \
	"archive_cleanup_command = ''\n"                                                                     \
	"recovery_end_command = ''\n"                                                                        \
	"recovery_min_apply_delay = '0'\n"
#define END "# keepfs restore: the end of these lines\n"

static void settings_name_one_target_and_forget_others(void **state)
{
	struct recovery_settings s = settings_to("2026-11-20 10:00:00.5Z");

	expect_settings(NULL, &s,
	                BEGIN "restore_command = '''/opt/a b/keepfs'' wal-get main %f %p'\n" QUIET
	                      "recovery_target = ''\n"
	                      "recovery_target_name = ''\n"
	                      "recovery_target_xid = ''\n"
	                      "recovery_target_lsn = ''\n"
	                      "recovery_target_time = '2026-11-20 10:00:00.500000+00'\n"
	                      "recovery_target_inclusive = 'on'\n"
	                      "recovery_target_timeline = 'latest'\n"
	                      "recovery_target_action = 'promote'\n" END);
	s = settings_to("latest");
	s.archive_off = true;
	s.timeline = "3";
	expect_settings("", &s,
	                BEGIN "restore_command = '''/opt/a b/keepfs'' wal-get main %f %p'\n" QUIET
	                      "recovery_target = ''\n"
	                      "recovery_target_name = ''\n"
	                      "recovery_target_time = ''\n"
	                      "recovery_target_xid = ''\n"
	                      "recovery_target_lsn = ''\n"
	                      "recovery_target_inclusive = 'on'\n"
	                      "recovery_target_timeline = '3'\n"
	                      "recovery_target_action = 'promote'\n"
	                      "archive_mode = 'off'\n" END);
}

static void what_was_there_stays_but_for_what_is_of_a_recovery(void **state)
{
	static const char old[] = "# Do not edit this file manually!\n"
	                          "work_mem = '64MB'\n"
	                          "  Recovery_Target_Time = 'x'\n"
	                          "restore_command='cp /a/%f %p'\n"
	                          "recovery_min_apply_delay = '4h'\n"
	                          "recovery_targeted = 'no such thing, and not ours'\n" BEGIN
	                          "archive_mode = 'off'\n" END "archive_mode = 'on'";
	struct recovery_settings s = settings_to("immediate");
	_cleanup(str) struct str out = {0}, again = {0};

	recovery_settings_write(old, &s, &out);
	assert_true(str_starts(str_text(&out), "# Do not edit this file manually!\n"
	                                       "work_mem = '64MB'\n"
	                                       "recovery_targeted = 'no such thing, and not ours'\n"
	                                       "archive_mode = 'on'\n" BEGIN));
	recovery_settings_write(str_text(&out), &s, &again);
	assert_string_equal(str_text(&again), str_text(&out));
}

static void quotes_and_backslashes_reach_the_server(void **state)
{
	struct recovery_settings s = settings_to("name:it's a \\ point");
	_cleanup(str) struct str out = {0};

	recovery_settings_write(NULL, &s, &out);
	assert_non_null(strstr(str_text(&out), "recovery_target_name = 'it''s a \\\\ point'\n"));
}

static void a_control_file_says_which_cluster_it_is_of(void **state)
{
	unsigned char head[PG_CONTROL_HEAD_BYTES] = {0x0c, 0x2f, 0x7d, 0x5a, 0x5e, 0x22, 0x54,
	                                             0x65, 0x14, 0x05, 0,    0,    0x99, 0x1f,
	                                             0x0c, 0x0c, 5,    0,    0,    0};
	struct pg_control c;
	struct error err = {0};

	assert_int_equal(pg_control_decode(head, sizeof(head), &c, &err), 0);
	assert_int_equal(c.system_id, UINT64_C(0x6554225e5a7d2f0c));
	assert_int_equal(c.version, 1300);
	assert_int_equal(c.state, PG_CONTROL_IN_ARCHIVE_RECOVERY);
	assert_int_equal(pg_control_decode(head, sizeof(head) - 1, &c, &err), -EBADMSG);
	head[16] = 7;
	assert_int_equal(pg_control_decode(head, sizeof(head), &c, &err), -EBADMSG);
	head[16] = 5;
	memset(head, 0, 8);
	assert_int_equal(pg_control_decode(head, sizeof(head), &c, &err), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(targets_are_read_as_people_write_them),
	        cmocka_unit_test(what_is_no_target_is_refused_and_told_how_to_write_one),
	        cmocka_unit_test(settings_name_one_target_and_forget_others),
	        cmocka_unit_test(what_was_there_stays_but_for_what_is_of_a_recovery),
	        cmocka_unit_test(quotes_and_backslashes_reach_the_server),
	        cmocka_unit_test(a_control_file_says_which_cluster_it_is_of),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
