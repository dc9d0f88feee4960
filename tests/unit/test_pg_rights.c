// SPDX-License-Identifier: Apache-2.0
/* What mends a lack of rights and a refused connection: the statements. What they bring about is tried on real servers. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/rights.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Of one thing after the other that is missing. */
static void test_fix_of_rights(void **state)
{
	static const struct {
		struct pg_facts facts;
		bool large_objects;
		const char *fix;
	} cases[] = {
	        {{.version_num = 150000, .user = "a\"b", .unreadable_table = "s.t"},
	         true,
	         "GRANT pg_read_all_data TO \"a\"\"b\";"},
	        {{.version_num = 130000, .user = "u", .unreadable_table = "\"a.b\".t"},
	         true,
	         "GRANT USAGE ON SCHEMA \"a.b\" TO \"u\"; GRANT SELECT ON ALL TABLES IN SCHEMA \"a.b\" TO \"u\"; "
	         "GRANT SELECT ON ALL SEQUENCES IN SCHEMA \"a.b\" TO \"u\";"},
	        {{.version_num = 150000, .user = "u", .rls_table = "s.t", .unreadable_large_object = "7"},
	         true,
	         "ALTER ROLE \"u\" BYPASSRLS;"},
	        {{.version_num = 170000, .user = "u", .unreadable_large_object = "7"},
	         true,
	         "ALTER ROLE \"u\" SET lo_compat_privileges = on;"},
	        {{.version_num = 190000, .user = "u", .unreadable_large_object = "7"},
	         true,
	         "GRANT pg_read_all_data TO \"u\";"},
	        {{.version_num = 150000, .user = "u", .unreadable_large_object = "7"}, false, NULL},
	        {{.version_num = 150000, .user = "u"}, true, NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *fix = pg_fix_rights(&cases[i].facts, cases[i].large_objects);

		if (cases[i].fix)
			assert_string_equal(fix, cases[i].fix);
		else
			assert_null(fix);
	}
}

static void test_fix_of_a_refusal(void **state)
{
	static const struct {
		const char *conninfo;
		struct error err;
		const char *words;
	} cases[] = {
	        {"host=h user=u dbname=d",
	         {.code = "28P01", .message = "password authentication failed"},
	         "h:5432:*:u:PASSWORD"},
	        {"host=/srv/pg port=5433 user=u dbname=d",
	         {.code = "28P01", .message = "password authentication failed"},
	         " /srv/pg:5433:*:u:PASSWORD"},
	        {"host=/tmp user=u dbname=d",
	         {.class = ERROR_DENIED, .message = "no password supplied"},
	         " /tmp:5432:*:u:PASSWORD"},
	        {"host=/var/run/postgresql user=u dbname=d",
	         {.code = "28P01", .message = "password authentication failed"},
	         " localhost:5432:*:u:PASSWORD"},
	        {"host=::1 user='a:b\\\\c' dbname=d",
	         {.code = "28P01", .message = "password authentication failed"},
	         " \\:\\:1:5432:*:a\\:b\\\\c:PASSWORD"},
	        {"host=h port=5433 user=u dbname=d",
	         {.code = "28000", .message = "no pg_hba.conf entry for host \"10.1.2.3\", user \"u\""},
	         "host \"d\" \"u\" 10.1.2.3/32 scram-sha-256"},
	        {"host=/tmp user=u dbname=d",
	         {.code = "28000", .message = "Peer authentication failed for user \"u\""},
	         "map=keepfs"},
	        {"host=/tmp user=u",
	         {.code = "28000", .message = "role \"u\" is not permitted to log in"},
	         "ALTER ROLE \"u\" LOGIN;"},
	        {"host=/tmp user=u",
	         {.code = "28000", .message = "role \"u\" does not exist"},
	         "CREATE ROLE \"u\" LOGIN;"},
	        {"host=/tmp user=u dbname=d",
	         {.code = "42501", .message = "no"},
	         "GRANT CONNECT ON DATABASE \"d\" TO \"u\";"},
	        {"host=/tmp user=u",
	         {.class = ERROR_UNAVAILABLE, .message = "refused"},
	         "systemctl start postgresql"},
	        {"host=far user=u", {.class = ERROR_UNAVAILABLE, .message = "refused"}, NULL},
	        {"host=far user=u",
	         {.code = "53300", .class = ERROR_UNAVAILABLE, .message = "too many"},
	         NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(free) char *fix = pg_fix_refusal(cases[i].conninfo, NULL, &cases[i].err);

		if (cases[i].words)
			assert_non_null(strstr(str_or_empty(fix), cases[i].words));
		else
			assert_null(fix);
		assert_null(strchr(str_or_empty(fix), '\n'));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_fix_of_rights),
	        cmocka_unit_test(test_fix_of_a_refusal),
	};

	return cmocka_run_group_tests_name("pg_rights", tests, NULL, NULL);
}
