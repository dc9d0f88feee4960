// SPDX-License-Identifier: Apache-2.0
/* aws: credentials that need no request: their order, what is wrong with them, and files that change. */
#include "../../src/aws/source.h"
#include "../../src/secret/secret_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <cmocka.h>

#include "conf_test.h"

struct world {
	struct fixture *f;
	struct conf_store conf;
	struct net *net;
	struct aws *aws;
	char *credentials, *config;
	const struct aws_credentials *got;
	struct error err;
};

static int begin(void **state)
{
	const struct net_options options = {.max_connections = 1};
	struct world *w = mem_alloc(sizeof(*w));

	if (setup(state) < 0 || net_new(&options, &w->net, &w->err) < 0)
		return -1;
	w->f = *state;
	w->conf = (struct conf_store){.profile = (char *)"", .region = (char *)"us-east-1"};
	w->aws = aws_new(&w->conf, w->net);
	w->credentials = mem_printf("%s/credentials", w->f->dir);
	w->config = mem_printf("%s/config", w->f->dir);
	setenv("AWS_SHARED_CREDENTIALS_FILE", w->credentials, 1);
	setenv("AWS_CONFIG_FILE", w->config, 1);
	setenv("AWS_EC2_METADATA_DISABLED", "true", 1);
	*state = w;
	return 0;
}

static int end(void **state)
{
	struct world *w = *state;

	aws_credentials_unref(w->got);
	aws_free(w->aws);
	net_free(w->net);
	free(w->credentials);
	free(w->config);
	*state = w->f;
	free(w);
	return teardown(state);
}

static int get(struct world *w)
{
	aws_credentials_unref(w->got);
	w->got = NULL;
	w->err = (struct error){0};
	return aws_get(w->aws, NULL, 0, &w->got, &w->err);
}

static void write_file(const char *path, const char *text)
{
	write_text(path, text, strlen(text), 0600);
}

/* The files have these texts, and it is @key from @source. */
static void expect(struct world *w, const char *credentials, const char *config, const char *key,
                   const char *source)
{
	write_file(w->credentials, credentials);
	write_file(w->config, config);
	if (get(w) < 0)
		fail_msg("%s\n%s: %s", credentials, config, w->err.message);
	assert_string_equal(w->got->access_key, key);
	if (!str_ends(w->got->source, source))
		fail_msg("from %s, not %s", w->got->source, source);
}

static void refuse_with(struct world *w, const char *credentials, const char *config, const char *message)
{
	write_file(w->credentials, credentials);
	write_file(w->config, config);
	assert_int_equal(get(w), -ENOKEY);
	if (!strstr(w->err.message, message))
		fail_msg("want: %s\ngot: %s", message, w->err.message);
	assert_int_equal(w->err.class, ERROR_DENIED);
}

#define KEYS(id) "aws_access_key_id = " id "\naws_secret_access_key = S" id "\n"

static void test_order(void **state)
{
	struct world *w = *state;

	assert_int_equal(get(w), -ENOKEY);
	assert_non_null(strstr(w->err.message, "[store] access_key"));
	assert_non_null(strstr(w->err.message, "AWS_ACCESS_KEY_ID"));
	assert_non_null(
	        strstr(w->err.message, "/credentials (cannot be read: No such file or directory) and "));
	assert_non_null(strstr(w->err.message, "AWS_EC2_METADATA_DISABLED is set"));
	assert_false(w->err.retry);

	expect(w, "", "[default]\n" KEYS("CONFIG"), "CONFIG", "/config [default]");
	assert_string_equal(w->got->secret_key, "SCONFIG");
	assert_null(w->got->session_token);
	expect(w, "[default]\n" KEYS("FILE") "aws_session_token = T\n", "[default]\n" KEYS("CONFIG"), "FILE",
	       "/credentials [default]");
	assert_string_equal(w->got->session_token, "T");
	expect(w, "[default]\n" KEYS("FILE") "aws_security_token = OLD\n", "", "FILE",
	       "/credentials [default]");
	assert_string_equal(w->got->session_token, "OLD");
	assert_false(w->got->renewable);

	setenv("AWS_DEFAULT_PROFILE", "old", 1);
	expect(w, "", "[profile old]\n" KEYS("OLD"), "OLD", "/config [profile old]");
	setenv("AWS_PROFILE", "other", 1);
	expect(w, "[other]\n" KEYS("OTHER"), "[profile old]\n" KEYS("OLD"), "OTHER", "/credentials [other]");
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	refuse_with(w, "", "", "AWS_ACCESS_KEY_ID is set, but AWS_SECRET_ACCESS_KEY is not");
	setenv("AWS_SECRET_ACCESS_KEY", " ES\r\n", 1);
	setenv("AWS_SESSION_TOKEN", "ET\n", 1);
	expect(w, "[other]\n" KEYS("OTHER"), "", "ENV", "AWS_ACCESS_KEY_ID");
	assert_string_equal(w->got->secret_key, "ES");
	assert_string_equal(w->got->session_token, "ET");

	/* A profile that was written down for keepfs comes before the environment. */
	w->conf.profile = (char *)"own";
	expect(w, "[own]\n" KEYS("OWN"), "", "OWN", "/credentials [own]");
	expect(w, "[x]\n", "[profile own]\nregion = r\n", "ENV", "AWS_ACCESS_KEY_ID");

	w->conf.access_key = (char *)"CONF";
	w->conf.secret_key.value = (char *)"CS";
	expect(w, "[own]\n" KEYS("OWN"), "", "CONF", "[store] access_key");
	assert_null(w->got->session_token);
}

/* The secret in a file: another one is in force with the next request. */
static void test_secret_in_a_file(void **state)
{
	struct world *w = *state;

	w->conf.access_key = (char *)"CONF";
	w->conf.secret_key.file = w->credentials;
	w->conf.session_token.file = w->config;
	write_file(w->credentials, "first\n");
	write_file(w->config, "token\n");
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "first");
	assert_string_equal(w->got->session_token, "token");
	assert_true(w->got->renewable);
	assert_false(aws_outdated(w->aws, w->got));
	write_file(w->credentials, "the second\n");
	assert_true(aws_outdated(w->aws, w->got));
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "the second");
	/* One that is wrong is told, and not passed over for another identity. */
	setenv("AWS_ACCESS_KEY_ID", "ENV", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "ES", 1);
	assert_int_equal(chmod(w->credentials, 0644), 0);
	write_text(w->credentials, "a third one\n", 12, 0644);
	assert_int_equal(get(w), -EPERM);
	assert_true(str_starts(w->err.message, "[store] secret_key_file = "));
	assert_null(strstr(w->err.message, "third"));
	assert_int_equal(remove(w->credentials), 0);
	assert_int_equal(get(w), -EINVAL);
}

static void test_secret_of_a_command(void **state)
{
	struct world *w = *state;
	_cleanup(aws_credentials) const struct aws_credentials *at_hand = NULL;

	w->conf.access_key = (char *)"CONF";
	w->conf.secret_key.command = (char *)"echo of-a-command # test_aws";
	/* Nobody waits for a program who only wants to know how long a link is. */
	assert_null(aws_get_at_hand(w->aws));
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "of-a-command");
	assert_true(w->got->renewable && w->got->from_command);
	at_hand = aws_get_at_hand(w->aws);
	assert_non_null(at_hand);
	w->conf.secret_key.command = (char *)"echo hidden; echo the vault is sealed >&2; exit 1";
	aws_free(w->aws);
	w->aws = aws_new(&w->conf, w->net);
	assert_true(get(w) < 0);
	assert_non_null(strstr(w->err.message, "[store] secret_key_command: "));
	assert_non_null(strstr(w->err.message, "the vault is sealed"));
	assert_null(strstr(w->err.message, "hidden"));
	assert_true(w->err.retry);
}

static int64_t ahead_ms;

static int64_t ahead_now_us(void)
{
	return clock_now_us() + ahead_ms * 1000;
}

static int64_t ahead_mono_ms(void)
{
	return clock_mono_ms() + ahead_ms;
}

/* What a command printed is asked for anew when a server refuses it, and after its time; while that fails, the old one is used. */
static void test_secret_of_a_command_renewed(void **state)
{
	struct world *w = *state;
	_cleanup(free) char *count = mem_printf("%s/keepfs.conf", w->f->dir),
	                    *stop = mem_printf("%s/.config", w->f->dir),
	                    *command = mem_printf("[ ! -e %s ] && echo x >> %s && wc -l < %s", stop, count,
	                                          count);

	w->conf.access_key = (char *)"CONF";
	w->conf.secret_key.command = command;
	aws_free(w->aws);
	w->aws = aws_new_with_clock(&w->conf, w->net, ahead_now_us);
	secret_use_clock(ahead_mono_ms);
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "1");
	assert_false(aws_refused(w->aws, w->got));
	ahead_ms += 60000;
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "1");
	assert_true(aws_refused(w->aws, w->got));
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "2");
	ahead_ms += SECRET_COMMAND_LIFE_MS;
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "3");
	write_file(stop, "");
	ahead_ms += SECRET_COMMAND_LIFE_MS;
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "3");
	assert_int_equal(remove(stop), 0);
	ahead_ms += 31000;
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->secret_key, "4");
	secret_use_clock(clock_mono_ms);
}

static void test_profile_that_is_missing(void **state)
{
	struct world *w = *state;

	setenv("AWS_PROFILE", "missing", 1);
	refuse_with(w, "[default]\n" KEYS("A"), "[missing]\n" KEYS("A"),
	            "has no profile [missing], nor has ");
	assert_non_null(strstr(w->err.message, "/config a [profile missing] (it is chosen by AWS_PROFILE)"));
	assert_false(w->err.retry);
}

/* What cannot be done is said at once, and nobody else's credentials are taken instead. */
static void test_unsupported(void **state)
{
	struct world *w = *state;
	static const char *const keys[] = {"sso_session = x", "sso_start_url = https://x",
	                                   "sso_account_id = 1", "login_session = arn:x",
	                                   "mfa_serial = arn:x"};

	setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/never-asked", 1);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup(free) char *config = mem_printf("[default]\n%s\n", keys[i]);
		_cleanup(free) char *name = mem_printf("(%.*s), which keepfs does not support",
		                                       (int)strcspn(keys[i], " "), keys[i]);

		refuse_with(w, "", config, name);
		assert_non_null(strstr(w->err.message, "/config [default] asks for "));
		assert_non_null(
		        strstr(w->err.message, "aws configure export-credentials --profile default "));
		assert_false(w->err.retry);
	}
	refuse_with(w, "[a]\n" KEYS("A"), "[default]\nrole_arn = r\nsource_profile = a\nmfa_serial = m\n",
	            "(mfa_serial), which keepfs does not support");
	/* Keys that somebody wrote for such a profile are credentials. */
	expect(w, "[default]\n" KEYS("FILE"), "[default]\nsso_session = x\n", "FILE",
	       "/credentials [default]");
}

static void test_wrong_roles(void **state)
{
	struct world *w = *state;
	static const struct {
		const char *config, *message;
	} cases[] = {
	        {"[default]\nrole_arn = r\n", "/config [default] has a role_arn with nobody to assume it"},
	        {"[default]\nrole_arn = r\nsource_profile = a\ncredential_source = Environment\n",
	         "with both source_profile and credential_source"},
	        {"[default]\nrole_arn = r\nsource_profile = a\n",
	         "source_profile = a, but neither file has such a profile"},
	        {"[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nregion = x\n",
	         "source_profile = a, which has no credentials"},
	        {"[default]\nrole_arn = r\nsource_profile = a\n[profile a]\nrole_arn = s\nsource_profile = default\n",
	         "/config [profile a] says source_profile = default, which leads back to itself"},
	        {"[default]\nrole_arn = r\nsource_profile = default\n",
	         "source_profile = default, which has no"},
	        {"[default]\nrole_arn = r\ncredential_source = Moon\n",
	         "credential_source = Moon, which is unknown"},
	        {"[default]\nrole_arn = r\ncredential_source = Environment\n",
	         "credential_source = Environment, but there are no credentials"},
	        {"[default]\nrole_arn = r\ncredential_source = Ec2InstanceMetadata\n",
	         "but there are no credentials; the instance metadata service: AWS_EC2_METADATA_DISABLED is set"},
	        {"[default]\nweb_identity_token_file = /t\n",
	         "has a web_identity_token_file, but no role_arn"},
	        {"[default]\nrole_arn = r\nweb_identity_token_file = /nonexistent\n",
	         "the file of the web identity token, /nonexistent (of "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		refuse_with(w, "[x]\n", cases[i].config, cases[i].message);
	setenv("AWS_WEB_IDENTITY_TOKEN_FILE", "/t", 1);
	refuse_with(w, "", "", "AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not");
}

/* The end of a line, or a space, at the ends of a secret are taken off; within it they are named, and it is not shown. */
static void test_characters(void **state)
{
	struct world *w = *state;

	setenv("AWS_ACCESS_KEY_ID", "\tAKIA\r\n", 1);
	setenv("AWS_SECRET_ACCESS_KEY", "sec ret\n \n", 1);
	expect(w, "", "", "AKIA", "AWS_ACCESS_KEY_ID");
	assert_string_equal(w->got->secret_key, "sec ret");
	setenv("AWS_SECRET_ACCESS_KEY", "hid\nden", 1);
	refuse_with(w, "", "",
	            "the secret key from AWS_ACCESS_KEY_ID holds a line feed (0x0a), which cannot be");
	assert_null(strstr(w->err.message, "hid"));
	setenv("AWS_SECRET_ACCESS_KEY", "S", 1);
	setenv("AWS_SESSION_TOKEN", "hid den", 1);
	refuse_with(w, "", "", "the session token from AWS_ACCESS_KEY_ID holds a space (0x20)");
	assert_null(strstr(w->err.message, "hid"));
	setenv("AWS_ACCESS_KEY_ID", "AK\xc2\xa0IA", 1);
	refuse_with(w, "", "", "the access key id from AWS_ACCESS_KEY_ID holds a character (0xc2)");
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	refuse_with(
	        w,
	        "[default]\naws_access_key_id = A\naws_secret_access_key = hid\x01"
	        "den\n",
	        "",
	        "has no aws_secret_access_key in its profile [default] (line 3 holds a control character (0x01))");
}

/* The file while it is written in place, byte after byte: never wrong credentials for right ones. */
static void test_rotation(void **state)
{
	struct world *w = *state;
	static const char text[] = "[default]\naws_access_key_id = NEW\naws_secret_access_key = S\n";
	const struct timeval long_ago[2] = {{1, 0}, {1, 0}};

	for (size_t len = 0; len < strlen(text) - 1; len++) {
		write_text(w->credentials, text, len, 0600);
		assert_int_equal(get(w), -ENOKEY);
		if (len == 0 || len > strlen("[default]"))
			assert_true(w->err.retry);
	}
	assert_non_null(strstr(w->err.message, "has no aws_secret_access_key in its profile [default]"));
	write_file(w->credentials, text);
	assert_int_equal(get(w), 0);
	assert_string_equal(w->got->access_key, "NEW");
	assert_false(aws_outdated(w->aws, w->got));
	write_file(w->credentials, "[default]\naws_access_key_id = HALF\n");
	assert_true(aws_outdated(w->aws, w->got));
	assert_int_equal(get(w), -ENOKEY);
	assert_true(w->err.retry);
	/* Nobody writes for so long: then it is wrong, and trying again is in vain. */
	assert_int_equal(utimes(w->credentials, long_ago), 0);
	assert_int_equal(get(w), -ENOKEY);
	assert_false(w->err.retry);
}

static void test_file_that_cannot_be_read(void **state)
{
	struct world *w = *state;

	setenv("AWS_SHARED_CREDENTIALS_FILE", w->f->dir, 1);
	assert_int_equal(get(w), -ENOKEY);
	assert_non_null(strstr(w->err.message, "the shared credentials file "));
	assert_non_null(strstr(w->err.message, " cannot be read: Is a directory"));
}

static void test_process(void **state)
{
	struct world *w = *state;
	const struct aws_credentials *again = NULL;

	/* It gets AWS's variables, which other children do not. */
	setenv("AWS_TEST_WORD", "from-aws", 1);
	expect(w, "",
	       "[default]\ncredential_process = printf '{\"Version\": 1, \"AccessKeyId\": \"%s\", \"SecretAccessKey\": "
	       "\"S\", \"SessionToken\": \"T\", \"Expiration\": \"2099-01-01T01:00:00+01:00\"}' \"$AWS_TEST_WORD\"\n"
	       "aws_access_key_id = C\naws_secret_access_key = C\n",
	       "from-aws", "/config [default]");
	assert_true(str_starts(w->got->source, "the credential_process of "));
	assert_string_equal(w->got->session_token, "T");
	assert_int_equal(w->got->expires_at_us, 4070908800 * US_PER_S);
	assert_true(w->got->renewable);
	assert_int_equal(aws_get(w->aws, NULL, 0, &again, NULL), 0);
	assert_ptr_equal(again, w->got);
	aws_credentials_unref(again);
	/* Keys in the credentials file come first. */
	expect(w, "[default]\n" KEYS("FILE"), "[default]\ncredential_process = exit 1\n", "FILE",
	       "[default]");

	refuse_with(w, "", "[default]\ncredential_process = echo '{}'\n", "its answer has no \"Version\": 1");
	refuse_with(w, "", "[default]\ncredential_process = echo hush\n", "its answer is no JSON object");
	assert_null(strstr(w->err.message, "hush"));
	refuse_with(w, "",
	            "[default]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"hush\"}'\n",
	            "/config [default] gives no credentials: its answer has no SecretAccessKey");
	assert_null(strstr(w->err.message, "hush"));
	write_file(w->config, "[default]\ncredential_process = echo Log in first >&2; exit 3\n");
	assert_int_equal(get(w), -EIO);
	assert_non_null(strstr(w->err.message, "the credential_process of "));
	assert_non_null(strstr(w->err.message, "Log in first"));
	write_file(w->config,
	           "[default]\ncredential_process = echo '{\"Version\": 1, \"AccessKeyId\": \"A\", "
	           "\"SecretAccessKey\": \"S\", \"Expiration\": \"2020-01-01T00:00:00Z\"}'\n");
	assert_int_equal(get(w), -ENOKEY);
	assert_non_null(strstr(w->err.message, "have ended when they come"));
}

/* A child that has left the program's group keeps the pipe for as long as it lives. */
static void test_process_whose_child_stays(void **state)
{
	struct world *w = *state;
	_cleanup(free) char *pid_file = mem_printf("%s.pid", w->config), *config = NULL;
	_cleanup(str) struct str text = {0};
	struct error err = {0};
	pid_t child;

	config = mem_printf("[default]\ncredential_process = setsid sleep 1000 & echo $! > '%s'; echo '{}'\n",
	                    pid_file);
	write_file(w->credentials, "");
	write_file(w->config, config);
	assert_true(aws_get(w->aws, NULL, clock_mono_ms() + 5000, &w->got, &err) < 0);
	assert_int_equal(fd_read_file(pid_file, 64, &text), 0);
	child = (pid_t)strtol(str_text(&text), NULL, 10);
	assert_true(child > 1);
	/* It was not waited for. */
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(remove(pid_file), 0);
}

/* What a length is told by does not wait for anybody. */
static void test_at_hand(void **state)
{
	struct world *w = *state;

	write_file(w->credentials, "");
	write_file(w->config, "[default]\ncredential_process = exec sleep 1000\n");
	assert_null(aws_get_at_hand(w->aws));
	write_file(w->credentials, "[default]\n" KEYS("A"));
	w->got = aws_get_at_hand(w->aws);
	assert_string_equal(w->got->access_key, "A");
	assert_int_equal(get(w), 0);
	write_file(w->credentials, "");
	aws_credentials_unref(w->got);
	w->got = aws_get_at_hand(w->aws);
	assert_string_equal(w->got->access_key, "A");
	write_file(w->credentials, "[default]\n" KEYS("B"));
	aws_credentials_unref(w->got);
	w->got = aws_get_at_hand(w->aws);
	assert_string_equal(w->got->access_key, "B");
	/* Where nothing can be waited for there are none. */
	write_file(w->config, "");
	write_file(w->credentials, "[default]\n");
	assert_null(aws_get_at_hand(w->aws));
}

static void test_times(void **state)
{
	static const struct {
		const char *text;
		int64_t at_s; /* -1: no time */
	} cases[] = {
	        {"2026-11-20T02:00:00Z", 1795140000},
	        {"2026-11-20T02:00:00.123Z", 1795140000},
	        {"2026-11-20T02:00:00+00:00", 1795140000},
	        {"2026-11-20T04:30:00+02:30", 1795140000},
	        {"2026-11-19T23:00:00-03:00", 1795140000},
	        {"", -1},
	        {"soon", -1},
	        {"2026-11-20T02:00:00+ 1:00", -1},
	        {"+02:30", -1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t at_us = 0;

		assert_int_equal(aws_time_parse(cases[i].text, &at_us), cases[i].at_s < 0 ? -EINVAL : 0);
		if (cases[i].at_s >= 0)
			assert_int_equal(at_us / US_PER_S, cases[i].at_s);
	}
}

#define AWS_TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        AWS_TEST(test_order),
	        AWS_TEST(test_secret_in_a_file),
	        AWS_TEST(test_secret_of_a_command),
	        AWS_TEST(test_secret_of_a_command_renewed),
	        AWS_TEST(test_profile_that_is_missing),
	        AWS_TEST(test_unsupported),
	        AWS_TEST(test_wrong_roles),
	        AWS_TEST(test_characters),
	        AWS_TEST(test_rotation),
	        AWS_TEST(test_process),
	        AWS_TEST(test_process_whose_child_stays),
	        AWS_TEST(test_file_that_cannot_be_read),
	        AWS_TEST(test_at_hand),
	        AWS_TEST(test_times),
	};

	return RUN_CONF_TESTS(tests);
}
