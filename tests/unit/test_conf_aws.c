// SPDX-License-Identifier: Apache-2.0
/* conf: AWS's variables and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

static void test_aws_environment(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *config = mem_printf("%s/config", f->dir);
	static const char text[] =
	        "[default]\nregion = us-west-2\n[profile backup]\noutput = json\n"
	        "region = ap-south-1 # near\ns3 =\n  max_concurrent_requests = 20\n[profile x]\n";

	write_text(config, text, strlen(text), 0600);
	setenv("AWS_CONFIG_FILE", config, 1);
	setenv("AWS_ENDPOINT_URL", "https://any:1", 1);
	setenv("AWS_CA_BUNDLE", "/ca.pem", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "us-west-2");
	assert_string_equal(f->conf.store.endpoint, "https://any:1");
	assert_string_equal(f->conf.store.ca_file, "/ca.pem");
	setenv("AWS_PROFILE", "backup", 1);
	setenv("AWS_ENDPOINT_URL_S3", "https://s3:1", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "ap-south-1");
	assert_string_equal(f->conf.store.endpoint, "https://s3:1");
	accept(f, "[store]\nurl = s3://bucket\nprofile = x\nendpoint = https://file:1\n");
	assert_string_equal(f->conf.store.region, "us-east-1");
	assert_string_equal(f->conf.store.endpoint, "https://file:1");
	setenv("AWS_DEFAULT_REGION", "d", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "d");
	setenv("AWS_REGION", "r", 1);
	accept(f, "[store]\nurl = s3://bucket\n");
	assert_string_equal(f->conf.store.region, "r");
	/* A directory does not care for any of them. */
	accept(f, "[store]\nurl = dir:/o\n");
	assert_string_equal(f->conf.store.endpoint, "");
	setenv("AWS_ENDPOINT_URL_S3", "http://plain", 1);
	refuse(f, "[store]\nurl = s3://bucket\n",
	       "AWS_ENDPOINT_URL_S3: [store] endpoint = http://plain: sends backups as clear text, but "
	       "[store] "
	       "allow_http = no (default)");
	setenv("AWS_ENDPOINT_URL_S3", "plain", 1);
	refuse(f, "[store]\nurl = s3://bucket\n",
	       "AWS_ENDPOINT_URL_S3: [store] endpoint = plain: does not begin");
}

static void test_aws_credentials_order(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = mem_printf("%s/credentials", f->dir);
	struct conf_store conf = {0};
	struct aws_credentials c = {0};
	struct error err = {0};
	static const char text[] =
	        "[default]\naws_access_key_id = FILE\naws_secret_access_key = FS\n"
	        "[other]\naws_access_key_id=O\naws_secret_access_key=OS\naws_session_token=OT\n";

	assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "[store] access_key"));
	assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID"));
	assert_non_null(strstr(err.message, "/.aws/credentials"));
	assert_false(err.retry);
	assert_int_equal(aws_credentials_stamp(&conf), 0);

	setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
	write_text(file, text, strlen(text), 0600);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "FILE");
	assert_string_equal(c.secret_key, "FS");
	assert_null(c.session_token);
	assert_true(str_ends(c.source, "/credentials [default]"));
	aws_credentials_finish(&c);

	conf.profile = (char *)"other";
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "O");
	assert_string_equal(c.session_token, "OT");
	aws_credentials_finish(&c);
	conf.profile = (char *)"";
	setenv("AWS_PROFILE", "missing", 1);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "has no profile [missing]"));
	assert_false(err.retry);

	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not"));
	setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
	setenv("AWS_SESSION_TOKEN", "ET", 1);
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "ENV");
	assert_string_equal(c.session_token, "ET");
	assert_string_equal(c.source, "AWS_ACCESS_KEY_ID");
	aws_credentials_finish(&c);

	conf.access_key = (char *)"CONF";
	conf.secret_key = (char *)"CS";
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "CONF");
	assert_null(c.session_token);
	assert_string_equal(c.source, "[store] access_key");
	aws_credentials_finish(&c);
}

/* The file while it is written in place, byte after byte: never wrong credentials for right ones. */
static void test_aws_rotation(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *file = mem_printf("%s/credentials", f->dir);
	struct conf_store conf = {0};
	struct aws_credentials c = {0};
	struct error err = {0};
	static const char text[] = "[default]\naws_access_key_id = NEW\naws_secret_access_key = S\n";
	uint64_t before, after;

	setenv("AWS_SHARED_CREDENTIALS_FILE", file, 1);
	write_text(file, text, strlen(text), 0600);
	before = aws_credentials_stamp(&conf);
	assert_int_equal(aws_credentials_stamp(&conf), before);
	for (size_t len = 0; len < strlen(text) - 1; len++) {
		write_text(file, text, len, 0600);
		assert_int_equal(aws_credentials_load(&conf, &c, &err), -ENOKEY);
		assert_null(c.access_key);
		if (len == 0 || len > strlen("[default]"))
			assert_true(err.retry);
	}
	assert_non_null(strstr(err.message, "has no aws_secret_access_key in its profile [default]"));
	write_text(file, text, strlen(text), 0600);
	after = aws_credentials_stamp(&conf);
	assert_true(after != before && after != 0); /* the time of change differs */
	assert_int_equal(aws_credentials_load(&conf, &c, &err), 0);
	assert_string_equal(c.access_key, "NEW");
	aws_credentials_finish(&c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_aws_environment),
	        CONF_TEST(test_aws_credentials_order),
	        CONF_TEST(test_aws_rotation),
	};

	return RUN_CONF_TESTS(tests);
}
