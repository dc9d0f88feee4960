// SPDX-License-Identifier: Apache-2.0
/* conf: AWS's variables and files. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#include <keepfs/conf/profiles.h>

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

static struct conf_profiles *parse(const char *credentials, const char *config)
{
	return conf_profiles_parse(credentials, strlen(credentials), config, strlen(config));
}

static void assert_value(const struct conf_profiles *p, const char *profile, const char *key,
                         const char *expected)
{
	const char *value = conf_profiles_get(p, profile, key);

	if (!str_equal(value, expected))
		fail_msg("[%s] %s is %s, not %s", profile, key, value ? value : "absent",
		         expected ? expected : "absent");
}

/* However `aws` takes it, keepfs does. */
static void test_profiles(void **state)
{
	_cleanup(conf_profiles) struct conf_profiles *p = parse(
	        "[ default ]\r\n"
	        "AWS_ACCESS_KEY_ID = \"AKIA\"\r\n"
	        "  aws_secret_access_key : 'se#cret'  # near\r\n"
	        "nonsense\n"
	        "['spa ced']\naws_access_key_id=S\n"
	        "[profile p]\naws_access_key_id=none of the config's\n"
	        "[both]\naws_access_key_id = CRED\n",
	        "\xEF\xBB\xBF[profile both]\naws_access_key_id = CONFIG\nregion = r\n"
	        "[ profile \"spa ced\" ]\nRegion=x\ncredential_process = \"/opt/a b\" \"--c\"\n"
	        "[profilex]\nregion = no\n[sso-session y]\nregion = no\n"
	        "[profile p]\n\tregion = first\n\ts3 =\n\t\tregion = nested\n\t\tendpoint_url = nested\n\toutput = json\n"
	        "[profile p]\nregion = last\nempty =\n"
	        "[profile 'd']\n[profile]\n[default]\nregion = d\n");
	_cleanup(free) char *credentials = conf_profiles_place_of(p, "both", "aws_access_key_id");
	_cleanup(free) char *config = conf_profiles_place_of(p, "both", "region");

	assert_value(p, "default", "aws_access_key_id", "AKIA");
	/* Indented deeper than the key above: a part of that one. */
	assert_value(p, "default", "aws_secret_access_key", NULL);
	assert_value(p, "default", "region", "d");
	assert_value(p, "spa ced", "aws_access_key_id", "S");
	assert_value(p, "spa ced", "region", "x");
	assert_value(p, "spa ced", "credential_process", "\"/opt/a b\" \"--c\"");
	assert_value(p, "both", "aws_access_key_id", "CRED");
	assert_string_equal(conf_profiles_get_in(p, CONF_PROFILES_CONFIG, "both", "aws_access_key_id"),
	                    "CONFIG");
	assert_value(p, "both", "region", "r");
	assert_value(p, "x", "region", NULL);
	assert_value(p, "p", "region", "last");
	assert_value(p, "p", "output", "json");
	assert_value(p, "p", "endpoint_url", NULL);
	assert_value(p, "p", "aws_access_key_id", NULL);
	assert_value(p, "p", "empty", NULL);
	assert_true(conf_profiles_has(p, CONF_PROFILES_CONFIG, "d"));
	assert_false(conf_profiles_has(p, CONF_PROFILES_CREDENTIALS, "d"));
	assert_string_equal(credentials, "~/.aws/credentials [both]");
	assert_string_equal(config, "~/.aws/config [profile both]");
	assert_true(
	        str_starts(conf_profiles_state(p, CONF_PROFILES_CREDENTIALS).bad_line, "line 4 has no '='"));
	assert_null(conf_profiles_state(p, CONF_PROFILES_CONFIG).bad_line);
}

static void test_profile_name(void **state)
{
	struct conf_store conf = {.profile = (char *)""};
	const char *by;

	assert_string_equal(conf_profile_name(&conf, &by), "default");
	assert_null(by);
	setenv("AWS_DEFAULT_PROFILE", "old", 1);
	assert_string_equal(conf_profile_name(&conf, &by), "old");
	assert_string_equal(by, "AWS_DEFAULT_PROFILE");
	setenv("AWS_PROFILE", "env", 1);
	assert_string_equal(conf_profile_name(&conf, &by), "env");
	assert_string_equal(by, "AWS_PROFILE");
	conf.profile = (char *)"file";
	assert_string_equal(conf_profile_name(&conf, &by), "file");
	assert_string_equal(by, "[store] profile");
	conf.profile = NULL;
	assert_string_equal(conf_profile_name(&conf, NULL), "env");
}

static void test_files_and_stamp(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *credentials = mem_printf("%s/credentials", f->dir);
	_cleanup(free) char *config = mem_printf("%s/config", f->dir);
	struct conf_profiles *p = conf_profiles_read();
	uint64_t before;

	assert_int_equal(conf_profiles_stamp(), 0);
	assert_int_equal(conf_profiles_state(p, CONF_PROFILES_CREDENTIALS).error, -ENOENT);
	assert_true(str_ends(conf_profiles_state(p, CONF_PROFILES_CONFIG).path, "/.aws/config"));
	conf_profiles_free(p);
	setenv("AWS_SHARED_CREDENTIALS_FILE", "~/credentials", 1);
	setenv("AWS_CONFIG_FILE", config, 1);
	write_text(credentials, "[default]\n", 10, 0600);
	before = conf_profiles_stamp();
	assert_int_not_equal(before, 0);
	assert_int_equal(conf_profiles_stamp(), before);
	write_text(config, "[default]\n", 10, 0600);
	assert_int_not_equal(conf_profiles_stamp(), before);
	p = conf_profiles_read();
	assert_int_equal(conf_profiles_state(p, CONF_PROFILES_CREDENTIALS).error, 0);
	assert_int_equal(conf_profiles_state(p, CONF_PROFILES_CREDENTIALS).bytes, 10);
	assert_true(conf_profiles_state(p, CONF_PROFILES_CREDENTIALS).just_changed);
	assert_true(conf_profiles_has(p, CONF_PROFILES_CONFIG, "default"));
	conf_profiles_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_aws_environment),
	        CONF_TEST(test_profiles),
	        CONF_TEST(test_profile_name),
	        CONF_TEST(test_files_and_stamp),
	};

	return RUN_CONF_TESTS(tests);
}
