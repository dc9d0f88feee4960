// SPDX-License-Identifier: Apache-2.0
/* Orders that nobody may give, because they hold a password, and those that not everybody may. */
#include <keepfs/use.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define OWN 990

static void passwords(void **state)
{
	static const char *const with[] = {
	        "full server='host=h password=x'",
	        "full server='host=h  PASSWORD = x'",
	        "full server=postgresql://u:x@h/d",
	        "full server='postgresql://u:a?b\"c@h/d'",
	        "full server=postgresql://h/d?user=u&password=x",
	        "full server=postgresql://h/d?%70assword=x",
	        "full server=postgresql://h/d?sslpassword=x",
	        "full pre_hook='PGPASSWORD=x psql -c checkpoint'",
	        "full check='SELECT dblink(\"password=x\")' server=service=s",
	        "full post_hook='curl https://u:x@h/'",
	        "full password=x",
	        "exports/acme set=users.email=x database='host=h password=x'",
	        "full server='postgresql://u:x@h",
	        "full server='password=x",
	};
	static const char *const without[] = {
	        "full/latest.dump into=shop",
	        "full server=postgresql://u@h:5432/d?sslmode=require",
	        "full server=service=staging",
	        "full server='host=h passfile=/etc/pgpass'",
	        "full note='after the password was changed'",
	        "exports/acme set=users.password=! set=users.password_hash='a b'",
	        "full check='SELECT count(*) > 1 FROM t'",
	};

	for (size_t i = 0; i < sizeof(with) / sizeof(with[0]); i++)
		if (!use_has_password(with[i]))
			fail_msg("not seen: %s", with[i]);
	for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++)
		if (use_has_password(without[i]))
			fail_msg("there is none: %s", without[i]);
}

static void who_may_order_what(void **state)
{
	struct conf_job jobs[] = {
	        {.kind = CONF_JOB_FILES, .drill_server = ""},
	        {.kind = CONF_JOB_DUMP, .drill_server = "service=trial", .dump.database = "service=shop"}};
	const struct conf conf = {.jobs = jobs, .job_count = 2};
	static const char *const anybody[] = {"full/latest.dump into=x", "full server=service=shop",
	                                      "full server=service=trial", "forget to=/srv", "'no command"},
	                         *const owner[] = {"full server=service=other", "full server=",
	                                           "full check='SELECT true'",  "full pre_hook=true",
	                                           "full post_hook=true",       "media/latest.tar to=/srv"};
	struct error err = {0};

	for (size_t i = 0; i < sizeof(anybody) / sizeof(anybody[0]); i++)
		assert_int_equal(use_check_rights(&conf, &use_restore, anybody[i], 1000, OWN, &err), 0);
	for (size_t i = 0; i < sizeof(owner) / sizeof(owner[0]); i++) {
		assert_int_equal(use_check_rights(&conf, &use_restore, owner[i], 1000, OWN, &err), -EPERM);
		assert_non_null(strstr(err.message, "only that user, and root, may give it"));
		assert_int_equal(use_check_rights(&conf, &use_restore, owner[i], OWN, OWN, &err), 0);
		assert_int_equal(use_check_rights(&conf, &use_restore, owner[i], 0, OWN, &err), 0);
	}
}

static void who_may_have_objects_written(void **state)
{
	const struct conf conf = {0};
	struct error err = {0};

	assert_int_equal(use_check_rights(&conf, &use_drill, "site level=3", 1000, OWN, &err), 0);
	assert_int_equal(use_check_rights(&conf, &use_drill, "clear", 1000, OWN, &err), 0);
	assert_int_equal(use_check_rights(&conf, &use_drill, "site mirror=s3://x", 1000, OWN, &err), -EPERM);
	assert_int_equal(use_check_rights(&conf, &use_drill, "site mirror=s3://x", OWN, OWN, &err), 0);
}

static void who_may_import_what(void **state)
{
	struct conf_job jobs[] = {
	        {.kind = CONF_JOB_DUMP, .drill_server = "", .dump.database = "service=other"},
	        {.kind = CONF_JOB_EXPORT, .drill_server = "", .export.database = "service=shop"}};
	const struct conf conf = {.jobs = jobs, .job_count = 2};
	static const char *const anybody[] = {"exports/acme/latest.json.gz tenant=copy",
	                                      "exports/acme database=service=shop dry-run=yes"},
	                         *const owner[] = {"/etc/shadow", "exports/acme database=service=other",
	                                           "exports/acme database=", "exports/acme /etc/shadow",
	                                           "exports/acme server=service=third"};
	struct error err = {0};

	for (size_t i = 0; i < sizeof(anybody) / sizeof(anybody[0]); i++)
		assert_int_equal(use_check_rights(&conf, &use_import, anybody[i], 1000, OWN, &err), 0);
	for (size_t i = 0; i < sizeof(owner) / sizeof(owner[0]); i++) {
		assert_int_equal(use_check_rights(&conf, &use_import, owner[i], 1000, OWN, &err), -EPERM);
		assert_non_null(strstr(err.message, "only that user, and root"));
		assert_int_equal(use_check_rights(&conf, &use_import, owner[i], OWN, OWN, &err), 0);
		assert_int_equal(use_check_rights(&conf, &use_import, owner[i], 0, OWN, &err), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(passwords),
	        cmocka_unit_test(who_may_order_what),
	        cmocka_unit_test(who_may_have_objects_written),
	        cmocka_unit_test(who_may_import_what),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
