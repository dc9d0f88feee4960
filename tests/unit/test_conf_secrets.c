// SPDX-License-Identifier: Apache-2.0
/* Secrets in the configuration: in one of three places, masked, and not for children. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "conf_test.h"

#define S3     "[store]\nurl = s3://bucket\naccess_key = A\n"
#define SEALED "sealed:YWdlLWVuY3J5cHRpb24ub3JnL3YxCg=="
#define MAIL   "[mail]\nto = a@b\nserver = smtps://h\nuser = u\n"

static void test_places(void **state)
{
	struct fixture *f = *state;

	accept(f, S3 "secret_key_file = /etc//keepfs/key\nsession_token_command = pass show token\n");
	assert_string_equal(f->conf.store.secret_key.value, "");
	assert_string_equal(f->conf.store.secret_key.file, "/etc/keepfs/key");
	assert_string_equal(f->conf.store.session_token.command, "pass show token");
	assert_true(conf_secret_is_set(&f->conf.store.secret_key));
	accept(f, S3 "secret_key_command = cat key\n");
	accept(f, S3 "secret_key_file = credential:s3-key\n");
	assert_string_equal(f->conf.store.secret_key.file, "credential:s3-key");
	accept(f, S3 "secret_key = " SEALED "\n");
	assert_string_equal(f->conf.store.secret_key.value, SEALED);
	accept(f, "[store]\nsecret_key =\nsecret_key_file =\n");
	assert_false(conf_secret_is_set(&f->conf.store.secret_key));
	accept(f, "[store other]\nurl = s3://other\naccess_key = A\nsecret_key_command = cat key\n");
	accept(f, MAIL "password_command = pass show mail\n");
	accept(f, "[webhook w]\nurl_file = /url\nheaders_command = cat headers\n");
	assert_string_equal(f->conf.webhooks[0].url.value, "");
	assert_string_equal(f->conf.webhooks[0].more_headers.command, "cat headers");
	accept(f,
	       "[webhook w]\nurl = " SEALED "\nheaders = " SEALED "\n[heartbeat h]\nurl_command = cat url\n");
	assert_string_equal(f->conf.webhooks[0].headers[0], SEALED);
	assert_null(f->conf.webhooks[0].headers[1]);
	accept(f,
	       "[keepfs]\nerasure_key = 0123456789abcdef0123456789abcdef\nhost_key_file = credential:host\n");
	assert_string_equal(f->conf.host_key_file, "credential:host");
	accept(f, "[keepfs]\nstate_dir = /srv/state\n");
	assert_string_equal(f->conf.host_key_file, "/srv/state/host.key");
	/* As it was before there were three: the file comes first. */
	accept(f, MAIL "password = old\npassword_file = /nonexistent/mail\n");
	assert_string_equal(f->conf.mail.password.file, "/nonexistent/mail");
}

static void test_wrong_places(void **state)
{
	struct fixture *f = *state;
	static const struct {
		const char *text, *expected;
	} cases[] = {
	        {S3 "secret_key = HIDDEN\nsecret_key_file = /key\n",
	         ":5: [store] secret_key_file = /key: stands beside [store] secret_key = ******** ("},
	        {S3 "secret_key = HIDDEN\nsecret_key_file = /key\n",
	         "keepfs.conf:4); allowed: one of secret_key, secret_key_file and secret_key_command"},
	        {S3 "secret_key_command = cat x\nsecret_key_file = /key\n", "stands beside"},
	        {S3 "secret_key_command = cat x\nsecret_key = HIDDEN\n",
	         ":4: [store] secret_key_command = cat x: stands beside [store] secret_key = ********"},
	        {S3 "secret_key = s\nsession_token = HIDDEN\nsession_token_file = /t\n", "stands beside"},
	        {MAIL "password = HIDDEN\npassword_command = cat x\n",
	         "[mail] password_command = cat x: stands beside"},
	        {MAIL "password_file = /x\npassword_command = cat x\n", "stands beside [mail] password_file"},
	        {"[webhook w]\nurl = http://h/HIDDEN\nurl_file = /u\n",
	         "[webhook w] url_file = /u: stands beside"},
	        {"[webhook w]\nurl = http://h\nheaders = \"a: HIDDEN\"\nheaders_file = /u\n",
	         "[webhook w] headers_file = /u: stands beside [webhook w] headers = ********"},
	        {"[webhook w]\n", ":1: [webhook w] url: is not set; allowed: "},
	        {"[webhook w]\n", "; or url_file or url_command in its place"},
	        {"[webhook w]\nurl_file =\n", "[webhook w] url: is not set"},
	        {"[keepfs]\nerasure_key = HIDDEN\nerasure_key_file = /k\n",
	         "[keepfs] erasure_key_file = /k: stands beside"},
	        {"[store]\nurl = s3://bucket\nsecret_key_file = /key\n",
	         ":3: [store] secret_key_file = /key: needs its id, but [store] access_key = "},
	        {"[store]\nurl = dir:/srv/x\nsecret_key_command = cat x\n",
	         "secret_key_command = cat x: is for a bucket only"},
	        {"[store]\nsession_token_file = /t\nurl = s3://bucket\n",
	         "session_token_file = /t: belongs to an access key"},
	        {S3, ":3: [store] access_key = A: needs its secret"},
	        {S3 "secret_key_file = key\n", "secret_key_file = key: is not an absolute path"},
	        {S3 "secret_key_file = credential:\n", "names no credential of systemd; allowed: "},
	        {S3 "secret_key_file = credential:../x\n", "names no credential of systemd"},
	        {S3 "secret_key_file = credential:a/b\n", "names no credential of systemd"},
	        {S3 "secret_key = sealed:HIDDEN\n",
	         "secret_key = ********: begins as a sealed value, but is none"},
	        {S3 "secret_key = sealed:YWdlLWVuY3J5cHRpb24ub3JnL3YxC\n",
	         "begins as a sealed value, but is none, or is cut"},
	        {S3 "secret_key = sealed:YWdlLWVuY3J5cHRpb24ub3JnL3Yx HIDDEN=\n", "begins as a sealed value"},
	        {"[webhook w]\nurl = sealed:\n", "begins as a sealed value"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		refuse(f, cases[i].text, cases[i].expected);
		assert_null(strstr(str_text(&f->problems), "HIDDEN"));
	}
}

/* What is in a variable is a place, too. */
static void test_places_in_variables(void **state)
{
	struct fixture *f = *state;

	setenv("KEEPFS_STORE_SECRET_KEY_FILE", "/run/secrets/key", 1);
	accept(f, S3);
	assert_string_equal(f->conf.store.secret_key.file, "/run/secrets/key");
	refuse(f, S3 "secret_key = s\n",
	       "KEEPFS_STORE_SECRET_KEY_FILE: [store] secret_key_file = /run/secrets/key: stands beside");
	unsetenv("KEEPFS_STORE_SECRET_KEY_FILE");
	setenv("KEEPFS_WEBHOOK_CHAT_URL_COMMAND", "cat url", 1);
	accept(f, "");
	assert_string_equal(f->conf.webhooks[0].url.command, "cat url");
	unsetenv("KEEPFS_WEBHOOK_CHAT_URL_COMMAND");
	assert_true(conf_variable_is_private("KEEPFS_STORE_SECRET_KEY=x"));
	assert_true(conf_variable_is_private("KEEPFS_ERASURE_KEY=x"));
	assert_true(conf_variable_is_private("KEEPFS_EXPORT_REDACT_KEY=x"));
	assert_true(conf_variable_is_private("KEEPFS_WEBHOOK_X_HEADERS=x"));
	assert_true(conf_variable_is_private("KEEPFS_STORES_OTHER_SECRET_KEY=x"));
	assert_false(conf_variable_is_private("KEEPFS_STORE_SECRET_KEY_FILE=x"));
}

static void count_secrets(void *arg, const char *title, const struct conf_secret *secret)
{
	str_appendf(arg, "%s%s; ", title, conf_secret_is_set(secret) ? " is set" : "");
}

static void test_each_secret(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str seen = {0};

	accept(f, S3 "secret_key_file = /key\n[webhook w]\nurl = http://h\nheaders_command = cat x\n");
	conf_each_secret(&f->conf, count_secrets, &seen);
	assert_non_null(strstr(str_text(&seen), "[keepfs] erasure_key; "));
	assert_non_null(strstr(str_text(&seen), "[store] secret_key is set; [store] session_token; "));
	assert_non_null(strstr(str_text(&seen), "[webhook w] url is set; [webhook w] headers is set; "));
}

static void test_shown(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str shown = {0};

	accept(f, S3 "secret_key = " SEALED "\nsession_token_file = /token\n"
	             "[keepfs]\nerasure_key = HIDDEN-HIDDEN-HIDDEN-HIDDEN-HIDDEN\n"
	             "[webhook w]\nurl = http://h/HIDDEN\nheaders = \"a: HIDDEN\"\n");
	conf_write_effective(&f->conf, &shown);
	assert_null(strstr(str_text(&shown), "HIDDEN"));
	assert_null(strstr(str_text(&shown), "sealed:"));
	assert_non_null(strstr(str_text(&shown), "\nsession_token_file = /token  # "));
	assert_non_null(strstr(str_text(&shown), "\nsecret_key = ********  # "));
}

/* Everybody may read a sealed value, and a sealed file. */
static void test_no_warning_of_what_is_sealed(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = mem_printf("%s/config", f->dir),
	                    *text = mem_printf(S3 "secret_key = " SEALED "\nsession_token_file = %s\n", path);

	write_text(path, "-----BEGIN AGE ENCRYPTED FILE-----\n", 35, 0644);
	write_text(f->file, text, strlen(text), 0644);
	reset(f);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_string_equal(str_text(&f->problems), "");
	write_text(path, "plain\n", 6, 0644);
	reset(f);
	assert_int_equal(conf_load(f->file, &f->conf, &f->problems), 0);
	assert_non_null(strstr(str_text(&f->problems),
	                       "[store] session_token_file: every user of this system can read"));
}

static void test_headers_of_lines(void **state)
{
	static const struct {
		const char *text, *wrong;
	} bad[] = {
	        {"a", "line 1"},          {"a: b\n\nno header\n", "line 3"},
	        {"a: b\x01\n", "line 1"}, {": b", "line 1"},
	        {"a b: c", "line 1"},
	};
	char *wrong = NULL, **headers = conf_headers_parse_lines("A: b, \"c\"\r\n\nX-Y:z", &wrong);

	assert_non_null(headers);
	assert_string_equal(headers[0], "A: b, \"c\"");
	assert_string_equal(headers[1], "X-Y:z");
	assert_null(headers[2]);
	conf_headers_free(headers);
	headers = conf_headers_parse_lines("", &wrong);
	assert_null(headers[0]);
	conf_headers_free(headers);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wrong = NULL;
		assert_null(conf_headers_parse_lines(bad[i].text, &wrong));
		assert_non_null(strstr(wrong, bad[i].wrong));
		free(wrong);
	}
}

static void test_urls(void **state)
{
	static const char *const bad[] = {"", "ftp://h", "http://", "http://h/a b", "https://u:HIDDEN@h/",
	                                  "h"};
	char *wrong = conf_web_url_wrong("https://h:1/x?y");

	assert_null(wrong);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		wrong = conf_web_url_wrong(bad[i]);
		assert_non_null(wrong);
		assert_null(strstr(wrong, "HIDDEN"));
		free(wrong);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_places),
	        CONF_TEST(test_wrong_places),
	        CONF_TEST(test_places_in_variables),
	        CONF_TEST(test_each_secret),
	        CONF_TEST(test_shown),
	        CONF_TEST(test_no_warning_of_what_is_sealed),
	        CONF_TEST(test_headers_of_lines),
	        CONF_TEST(test_urls),
	};

	return RUN_CONF_TESTS(tests);
}
