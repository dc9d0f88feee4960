// SPDX-License-Identifier: Apache-2.0
/* Receivers of notices in the configuration: their values, what contradicts what, and what is never shown. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conf_test.h"

#include <keepfs/conf/events.h>

#define MAIL "[mail]\nto = a@b.example\nserver = smtps://h\n"

static void test_mail(void **state)
{
	struct fixture *f = *state;

	accept(f, "");
	assert_null(f->conf.mail.to[0]);
	assert_int_equal(f->conf.webhook_count + f->conf.command_count + f->conf.heartbeat_count, 0);
	accept(f,
	       "[mail]\nto = ops@example.com dba+x@example.com,root\nserver = smtp://mail.example.com:587\nuser = u\n"
	       "password_file = /etc/p\nevents = failed, recovered\ngather = none\ndigest = disabled\n");
	assert_string_equal(f->conf.mail.to[1], "dba+x@example.com");
	assert_string_equal(f->conf.mail.to[2], "root");
	assert_int_equal(f->conf.mail.events, 1U << EVENT_FAILED | 1U << EVENT_RECOVERED);
	assert_int_equal(f->conf.mail.gather_ms, 0);
	accept(f, MAIL);
	assert_int_equal(f->conf.mail.events, CONF_EVENTS_ALL);
	assert_int_equal(f->conf.mail.gather_ms, 300000);
	assert_string_equal(f->conf.mail.digest, "daily-7am");
}

static void test_bad_mail(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	        {"[mail]\nto = a@b\n", "needs a server that takes mail, but [mail] server ="},
	        {"[mail]\nserver = smtp://h\n", "is for mail to somebody, but [mail] to ="},
	        {"[mail]\nto = a b <c@d>\nserver = smtp://h\n", "holds '<c@d>', which is no address"},
	        {"[mail]\nto = -x@y\nserver = smtp://h\n", "holds '-x@y', which is no address"},
	        {"[mail]\nto = a@b\nserver = mail.example.com\n", "does not begin with smtps:// or smtp://"},
	        {"[mail]\nto = a@b\nserver = smtp://u:pw@h\n", "user and password are keys of their own"},
	        {"[mail]\nto = a@b\nserver = smtp://h/x\n", "is no server"},
	        {"[mail]\nto = a@b\nserver = smtp://h:\n", "is no server"},
	        {MAIL "tls = none\n", "contradicts [mail] server = smtps://h"},
	        {MAIL "user = u\n", "needs its password"},
	        {MAIL "password = hidden\n", "belongs to a user, but [mail] user ="},
	        {"[mail]\nto = a@b\nserver = smtp://h\ntls = none\nuser = u\npassword = hidden\n",
	         "would send the password as clear text"},
	        {MAIL "events = failed, exploded\n",
	         "names the event 'exploded', which there is not; allowed: all, failed, recovered,"},
	        {MAIL "events = fialed\n", "(did you mean failed?)"},
	        {MAIL "digest = sometimes\n", "is no schedule"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f = *state;

		assert_int_equal(load(f, cases[i].text), -EINVAL);
		if (!strstr(str_text(&f->problems), cases[i].want))
			fail_msg("%s\nwant: %s\ngot: %s", cases[i].text, cases[i].want,
			         str_text(&f->problems));
		assert_null(strstr(str_text(&f->problems), "hidden"));
		reset(f);
	}
}

static void test_events(void **state)
{
	static const struct {
		const char *text, *again;
		uint32_t events;
	} cases[] = {
	        {"all", "all", CONF_EVENTS_ALL},
	        {"failed", "failed", 1U << EVENT_FAILED},
	        {"all, !hold-added", "all, !hold-added", CONF_EVENTS_ALL & ~(1U << EVENT_HOLD_ADDED)},
	        {"!hold-ended !failed", "all, !failed, !hold-ended",
	         CONF_EVENTS_ALL & ~(1U << EVENT_HOLD_ENDED) & ~(1U << EVENT_FAILED)},
	        {"", "", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup(str) struct str wrong = {0}, again = {0};
		uint32_t events = 7;

		assert_int_equal(conf_events_parse(cases[i].text, &events, &wrong), 0);
		assert_int_equal(events, cases[i].events);
		conf_events_format(events, &again);
		assert_string_equal(str_text(&again), cases[i].again);
	}
	/* Words are promises: a change of this list has to be told to whoever wrote a configuration. */
	assert_int_equal(EVENT_COUNT, 17);
	assert_string_equal(conf_event_name(EVENT_STORE_GOOD), "store-good");
}

static void test_others(void **state)
{
	struct fixture *f = *state;

	accept(f,
	       "[webhook chat]\nurl = https://h:8443/hooks/TOKEN?x=1\nheaders = \"Authorization: Bearer a,b\", X-Y:z\n"
	       "template = slack\nto = backups\nevents = failed\n"
	       "[command chat]\ncommand = /usr/local/bin/page\ntimeout = 5s\n"
	       "[heartbeat chat]\njobs = full\nurl = https://hc/1\n[backup full]\n");
	assert_string_equal(f->conf.webhooks[0].headers[0], "Authorization: Bearer a,b");
	assert_string_equal(f->conf.webhooks[0].headers[1], "X-Y:z");
	assert_int_equal(f->conf.commands[0].timeout_ms, 5000);
	assert_string_equal(f->conf.heartbeats[0].jobs[0], "full");
	assert_string_equal(f->conf.heartbeats[0].template_name, "healthchecks");
}

static void test_bad_others(void **state)
{
	static const struct {
		const char *text, *want;
	} cases[] = {
	        {"[webhook a]\n", "[webhook a] url: is not set"},
	        {"[webhook a]\nurl = ftp://hidden\n", "[webhook a] url = ********: does not begin with"},
	        {"[webhook a]\nurl = https://u:hidden@h/\n", "holds a user before its host"},
	        {"[webhook a]\nurl = https:///hidden\n", "is no URL"},
	        {"[webhook a]\nurl = https://h/hid den\n", "holds a blank"},
	        {"[webhook a]\nurl = https://h\nheaders = hidden\n",
	         "headers = ********: is no list of headers"},
	        {"[webhook a]\nurl = https://h\nheaders = \"A: hidden\", \"A: hidden\"\n",
	         "is no list of headers"},
	        {"[webhook a]\nurl = https://h\ntemplate = ../x\n", "neither a name nor an absolute path"},
	        {"[webhook a]\nurl = https://h\nmethod = get\ntemplate = slack\n",
	         "makes the body of a request, but there is none with"},
	        {"[command a]\n", "[command a] command: is not set"},
	        {"[heartbeat a]\nurl = https://h\njobs = nightly\n", "there is no job nightly"},
	        {"[webhook -a]\nurl = https://h\n", "begins with '.' or '-'"},
	        {"[webhook a]\nurl = https://h\n[webhook a]\nurl = https://h\n",
	         "a webhook of this name begins on line 1"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *f = *state;

		assert_int_equal(load(f, cases[i].text), -EINVAL);
		if (!strstr(str_text(&f->problems), cases[i].want))
			fail_msg("%s\nwant: %s\ngot: %s", cases[i].text, cases[i].want,
			         str_text(&f->problems));
		assert_null(strstr(str_text(&f->problems), "hidden"));
		reset(f);
	}
}

/* Neither shown, nor given to children. */
static void test_secrets(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str shown = {0};

	accept(f, MAIL "user = u\npassword = hidden1\n"
	               "[webhook a]\nurl = https://h/hidden2\nheaders = \"A: hidden3\"\n"
	               "[heartbeat a]\nurl = https://h/hidden4\nheaders = \"A: hidden5\"\n");
	conf_write_effective(&f->conf, &shown);
	assert_null(strstr(str_text(&shown), "hidden"));
	assert_non_null(strstr(str_text(&shown), "password = ********"));
	assert_true(conf_variable_is_private("KEEPFS_MAIL_PASSWORD=x"));
	assert_true(conf_variable_is_private("KEEPFS_WEBHOOK_OPS_URL=x"));
	assert_true(conf_variable_is_private("KEEPFS_WEBHOOK_OPS_HEADERS=x"));
	assert_true(conf_variable_is_private("KEEPFS_HEARTBEAT_OPS_URL=x"));
	assert_false(conf_variable_is_private("KEEPFS_MAIL_TO=x"));
	assert_false(conf_variable_is_private("KEEPFS_WEBHOOK_OPS_EVENTS=x"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_mail),   CONF_TEST(test_bad_mail),   CONF_TEST(test_events),
	        CONF_TEST(test_others), CONF_TEST(test_bad_others), CONF_TEST(test_secrets),
	};

	return RUN_CONF_TESTS(tests);
}
