// SPDX-License-Identifier: Apache-2.0
/* conf: jobs that make one backup of several jobs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#define JOBS "[backup db]\n[files etc]\npath = /etc/app\n"
#define KEY  "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p"

static void test_bundle_defaults(void **state)
{
	struct fixture *f = *state;
	const struct conf_job *job, *part;

	accept(f, JOBS "[bundle site]\nparts = etc, db\n");
	job = conf_find_job(&f->conf, "site");
	part = conf_find_job(&f->conf, "db");
	assert_int_equal(job->kind, CONF_JOB_BUNDLE);
	assert_string_equal(job->bundle.parts[0], "etc");
	assert_string_equal(job->bundle.parts[1], "db");
	assert_null(job->bundle.parts[2]);
	assert_string_equal(conf_bundle_name(job), "site");
	assert_string_equal(job->bundle.version_command, "");
	assert_false(job->bundle.allow_plain_secrets);
	assert_true(conf_bundle_has_part(job, "db"));
	assert_false(conf_bundle_has_part(job, "site"));
	assert_false(conf_bundle_has_part(part, "db"));
	assert_ptr_equal(conf_bundle_of(&f->conf, part), job);
	assert_null(conf_bundle_of(&f->conf, job));
}

static void test_a_part_with_a_schedule_is_expected(void **state)
{
	static const char *const promises[] = {"schedule = daily-2am", "expected_interval = 1d", "rpo = 1d"};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(promises); i++) {
		_cleanup(free) char *text = mem_printf(
		        "[backup db]\n%s\n[bundle site]\nparts = db\nname = acme.example.com\n", promises[i]);

		accept(f, text);
		assert_null(conf_bundle_of(&f->conf, conf_find_job(&f->conf, "db")));
		assert_string_equal(conf_bundle_name(conf_find_job(&f->conf, "site")), "acme.example.com");
	}
}

static void test_parts_that_are_none(void **state)
{
	struct fixture *f = *state;

	refuse(f, JOBS "[bundle site]\n", "parts");
	refuse(f, JOBS "[bundle site]\nparts =\n", "parts");
	refuse(f, JOBS "[bundle site]\nparts = etc, missing\n",
	       "keepfs.conf:5: [bundle site] parts: there is no job 'missing'");
	refuse(f, JOBS "[bundle site]\nparts = site\n", "'site' is a bundle itself");
	refuse(f, JOBS "[cluster main]\n[bundle site]\nparts = main\n",
	       "'main' makes base backups of a whole server");
	refuse(f, JOBS "[inbox old]\n[bundle site]\nparts = old\n", "'old' is an inbox");
	refuse(f, JOBS "[bundle site]\nparts = etc, etc\n", "etc");
	refuse(f, JOBS "[bundle site]\nparts = etc\nversion_command = a\nversion_file = /b\n", "version_");
	/* How bytes are made is said by the jobs that make them. */
	refuse(f, JOBS "[bundle site]\nparts = etc\ncompression = small\n", "compression");
}

static void test_no_more_mirrors_than_are_shown(void **state)
{
	_cleanup(str) struct str text = {0}, parts = {0};
	struct fixture *f = *state;

	for (int i = 0; i <= CONF_BUNDLE_MIRRORS_MAX; i++) {
		_cleanup(free) char *conf = NULL;

		str_appendf(&text, "[mirror m%d]\nurl = dir:/srv/%d\n", i, i);
		str_appendf(&parts, "%sm%d", i > 0 ? ", " : "", i);
		conf = mem_printf("%s[bundle site]\nparts = %s\n", str_text(&text), str_text(&parts));
		if (i == CONF_BUNDLE_MIRRORS_MAX)
			refuse(f, conf, "33 mirrors, and at most 32 can be shown in one bundle");
		else
			accept(f, conf);
	}
}

static void test_secrets_are_encrypted(void **state)
{
	struct fixture *f = *state;

#define SECRETS JOBS "secret = yes\n[bundle site]\nparts = db, etc\n"
	refuse(f, SECRETS, "keepfs.conf:6: [bundle site] parts: 'etc' is secret");
	accept(f, SECRETS "allow_plain_secrets = yes\n");
	accept(f, SECRETS "encrypt_to = " KEY "\n");
	accept(f, SECRETS "[keepfs]\nencrypt_to = " KEY "\n");
	/* What counts is what is said of the bundle. */
	refuse(f, SECRETS "encrypt_to = none\n[keepfs]\nencrypt_to = " KEY "\n", "is secret");
	refuse(f, JOBS "secret = yes\nencrypt_to = " KEY "\n[bundle site]\nparts = db, etc\n", "is secret");
	accept(f, JOBS "secret = yes\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_bundle_defaults),       CONF_TEST(test_a_part_with_a_schedule_is_expected),
	        CONF_TEST(test_parts_that_are_none),   CONF_TEST(test_no_more_mirrors_than_are_shown),
	        CONF_TEST(test_secrets_are_encrypted),
	};

	return RUN_CONF_TESTS(tests);
}
