// SPDX-License-Identifier: Apache-2.0
/* What receivers are sent: mails, and what templates make, of texts that mean harm. */
#include "../../src/notify/notify_private.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define AT_US         INT64_C(1795140000000000) /* 2026-11-20T02:00:00Z */
#define HOSTILE       "@everyone <!channel> \"}]} `\\ \x1b[2J \r\nBcc: all@example.com\n.\nFrom: x \xff \xc3\xbc"
#define TEMPLATES_DIR TEST_DATA "/../../../data/templates/"

static void make(struct message *m, const char *title, const char *text)
{
	const struct conf conf = {.store = {.url = (char *)"dir:/s"}, .mountpoint = (char *)"/mnt/keep"};
	_cleanup(json) struct json *facts = json_object_new();
	_cleanup(str) struct str written = {0};
	_cleanup(batch) struct batch b = {0};
	struct catalog_notice n = {.id = 17, .at_us = AT_US};
	struct json *log = json_array_new();

	json_append_string(log, text);
	json_set_string(facts, "event", "failed");
	json_set_string(facts, "level", "CRIT");
	json_set_string(facts, "beat", "failure");
	json_set_string(facts, "state", "failed");
	json_set_string(facts, "job", "full");
	json_set_string(facts, "database", text);
	json_set_string(facts, "title", title);
	json_set_string(facts, "text", text);
	json_set_string(facts, "what_to_do", text);
	json_set_string(facts, "note", text);
	json_set_string(facts, "error", text);
	json_set_time(facts, "since", AT_US);
	json_set_int(facts, "run", 3);
	json_set(facts, "log", log);
	json_write(facts, 0, &written);
	n.facts = str_text(&written);
	batch_add(&b, &n);
	message_make(&b, &conf, m);
}

/* Lines end in CR LF, none is long, and none is a dot that a server could take for the end. */
static void assert_sound_lines(const char *mail)
{
	for (const char *p = mail; *p;) {
		const char *end = strstr(p, "\r\n");

		assert_non_null(end);
		assert_null(memchr(p, '\n', (size_t)(end - p)));
		assert_null(memchr(p, '\r', (size_t)(end - p)));
		assert_true(end - p <= 78);
		for (const char *c = p; c < end; c++)
			assert_true((*c >= ' ' && *c <= '~') || *c == '\t');
		p = end + 2;
	}
}

static size_t count_headers(const char *mail, const char *name)
{
	const char *end = strstr(mail, "\r\n\r\n");
	size_t count = 0;

	for (const char *p = mail; p < end; p = strstr(p, "\r\n") + 2)
		count += strncasecmp(p, name, strlen(name)) == 0;
	return count;
}

static void a_mail(void **state)
{
	_cleanup(message) struct message m;
	_cleanup(free) char *mail = NULL;

	make(&m, "job full failed", "the disk is full");
	mail = mail_make(&m, "keepfs@db1.example.com", "ops@example.com", AT_US);
	assert_sound_lines(mail);
	assert_non_null(strstr(mail, "Date: Fri, 20 Nov 2026 02:00:00 +0000\r\n"));
	assert_non_null(strstr(mail, "From: keepfs <keepfs@db1.example.com>\r\nTo: <ops@example.com>\r\n"));
	assert_non_null(strstr(mail, "Message-ID: <keepfs.1795140000000000.17-17@db1.example.com>\r\n"));
	assert_non_null(strstr(mail, "Auto-Submitted: auto-generated\r\n"));
	assert_non_null(strstr(mail, "Importance: high\r\n"));
	assert_non_null(strstr(mail, "\r\n  the disk is full\r\n"));
	assert_non_null(strstr(m.subject, ": full, the disk is full: failed (since 2026-11-20 02:00 UTC)"));
}

static void a_mail_with_hostile_texts(void **state)
{
	static const char *const once[] = {
	        "Date:",       "From:",         "To:",           "Subject:",
	        "Message-ID:", "MIME-Version:", "Content-Type:", "Content-Transfer-Encoding:"};
	_cleanup(message) struct message m;
	_cleanup(free) char *mail = NULL;

	make(&m, HOSTILE, HOSTILE);
	mail = mail_make(&m, "keepfs@h", "ops@example.com", AT_US);
	assert_sound_lines(mail);
	for (size_t i = 0; i < ARRAY_SIZE(once); i++)
		assert_int_equal(count_headers(mail, once[i]), 1);
	assert_int_equal(count_headers(mail, "Bcc:"), 0);
	assert_null(strstr(mail, "\r\nBcc"));
	assert_null(strstr(mail, "\r\n.\r\n"));
	assert_non_null(strstr(mail, "Subject: =?UTF-8?Q?"));
	assert_null(strchr(m.subject, '\n'));
}

/* Each piece of a subject that is folded is whole characters. */
static void a_long_subject(void **state)
{
	_cleanup(message) struct message m;
	_cleanup(free) char *mail = NULL;
	_cleanup(str) struct str title = {0};
	const char *p;

	for (int i = 0; i < 60; i++)
		str_append(&title, "\xf0\x9f\x92\xbe");
	make(&m, str_text(&title), "x");
	mail = mail_make(&m, "keepfs@h", "ops@example.com", AT_US);
	assert_sound_lines(mail);
	p = strstr(mail, "\r\n =?UTF-8?Q?");
	assert_non_null(p);
	for (; p; p = strstr(p + 1, "\r\n =?UTF-8?Q?"))
		assert_memory_equal(p + strlen("\r\n =?UTF-8?Q?"), "=F0=9F=92=BE", 12);
}

static void several_in_one(void **state)
{
	const struct conf conf = {.store = {.url = (char *)"dir:/s"}};
	const struct catalog_notice notices[] = {
	        {.id = 4,
	         .at_us = AT_US,
	         .facts = "{\"event\":\"recovered\",\"level\":\"OK\",\"title\":\"a is well\"}"},
	        {.id = 9,
	         .at_us = AT_US,
	         .facts = "{\"event\":\"failed\",\"level\":\"WARN\",\"title\":\"b failed\"}"},
	        {.id = 10, .at_us = AT_US, .facts = "no JSON"},
	};
	_cleanup(batch) struct batch b = {0};
	_cleanup(message) struct message m;

	for (size_t i = 0; i < ARRAY_SIZE(notices); i++)
		batch_add(&b, &notices[i]);
	b.dropped = 7;
	b.dropped_from_us = b.dropped_to_us = AT_US;
	b.given_up = 2;
	message_make(&b, &conf, &m);
	assert_string_equal(m.event, "several");
	assert_string_equal(m.level, "WARN");
	assert_non_null(strstr(m.subject, "3 notices: a is well; b failed; "));
	assert_non_null(strstr(m.text, "7 earlier notices, of 2026-11-20 02:00 UTC to"));
	assert_non_null(strstr(m.text, "2 earlier notices were refused"));
	assert_non_null(strstr(m.id, ".4-10"));
	assert_int_equal(json_count(json_get(m.json, "events")), 3);
}

/* Templates. */

static struct json *filled(const char *name, const struct message *m, const char *to)
{
	_cleanup(free) char *path = mem_printf("%s%s.json", TEMPLATES_DIR, name), *text = NULL, *base = NULL;
	_cleanup(free) struct template_value *values =
	        template_values_of(m, to, "https://hc.example/ping/?status=up&msg=OK&ping=", &base);
	_cleanup(json) struct json *parsed = NULL;
	struct error err = {0};
	struct json *j;

	assert_int_equal(template_load(path, &text, &err), 0);
	parsed = json_parse(text, strlen(text), &err);
	assert_non_null(parsed);
	j = template_fill_json(parsed, values, &err);
	if (!j)
		fail_msg("%s: %s", name, err.message);
	return j;
}

/* What comes out is JSON, and says the same when it is read again. */
static void assert_whole(const struct json *j)
{
	_cleanup(str) struct str a = {0}, b = {0};
	_cleanup(json) struct json *again = NULL;

	json_write(j, 0, &a);
	again = json_parse(str_text(&a), a.len, NULL);
	assert_non_null(again);
	json_write(again, 0, &b);
	assert_string_equal(str_text(&a), str_text(&b));
}

static void every_template(void **state)
{
	static const char *const names[] = {"slack",  "discord", "teams",        "telegram",    "mattermost",
	                                    "gotify", "ntfy",    "healthchecks", "uptime-kuma", "cronitor"};
	_cleanup(message) struct message m;

	make(&m, HOSTILE, HOSTILE);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		_cleanup(json) struct json *j = filled(names[i], &m, "backups");
		_cleanup(str) struct str text = {0};

		assert_whole(j);
		json_write(j, 0, &text);
		if (strstr(str_text(&text), "{{"))
			fail_msg("%s leaves a placeholder", names[i]);
	}
}

static void templates_call_nobody(void **state)
{
	_cleanup(message) struct message m;
	_cleanup(json) struct json *slack = NULL, *mattermost = NULL, *discord = NULL, *telegram = NULL;
	const char *text;

	make(&m, HOSTILE, HOSTILE);
	slack = filled("slack", &m, NULL);
	text = json_get_string(slack, "text");
	assert_null(strpbrk(text, "<>"));
	assert_null(strstr(text, "@everyone"));
	mattermost = filled("mattermost", &m, NULL);
	assert_null(strstr(json_get_string(mattermost, "text"), "@everyone"));
	telegram = filled("telegram", &m, "-100");
	assert_null(strstr(json_get_string(telegram, "text"), "@everyone"));
	assert_null(json_get_string(telegram, "parse_mode"));
	discord = filled("discord", &m, NULL);
	assert_int_equal(json_count(json_get(json_get(discord, "allowed_mentions"), "parse")), 0);
	assert_non_null(json_get(json_get(discord, "allowed_mentions"), "parse"));
}

#define MARKUP                                                                                               \
	"*a* _b_ __c__ ~~d~~ ||e|| `f` ``` # g [h](http://h) http://i <http://j|k> <!channel> <@U1> @here :x: \\*l\\* **m** > n"

/* The subject in code, and the text in a block of it: nothing ends either before its end. */
static void assert_all_code(const char *text)
{
	const char *subject_end = strchr(text + 1, '`'), *block;

	assert_int_equal(text[0], '`');
	assert_true(subject_end > text + 1);
	assert_true(str_starts(subject_end, "`\n```"));
	block = subject_end + strlen("`\n```");
	assert_string_equal(strchr(block, '`'), "```");
	assert_null(memchr(text, '\n', (size_t)(subject_end - text)));
}

static void no_text_is_markup(void **state)
{
	static const char *const services[] = {"slack", "mattermost", "discord"};
	static const char *const hostile[] = {MARKUP, "`", "``", "\\", "\\`", "```\n@here\n```", "x\n# y"};

	for (size_t i = 0; i < ARRAY_SIZE(hostile); i++) {
		_cleanup(message) struct message m;

		make(&m, hostile[i], hostile[i]);
		for (size_t k = 0; k < ARRAY_SIZE(services); k++) {
			_cleanup(json) struct json *j = filled(services[k], &m, NULL);
			const char *text = json_get_string(j, k < 2 ? "text" : "content");

			assert_all_code(text);
			if (k < 2) {
				assert_null(strstr(text, "@here"));
				assert_null(strstr(text, "<!"));
				assert_null(strstr(text, "<http"));
				assert_null(strstr(text, "<@"));
			}
			if (k == 0) {
				assert_null(strpbrk(text, "<>"));
				assert_null(strstr(text, "http://"));
			}
		}
	}
}

/* What the services take. */
static void templates_are_short_enough(void **state)
{
	_cleanup(str) struct str text = {0};
	_cleanup(message) struct message m;
	_cleanup(json) struct json *discord = NULL, *telegram = NULL, *ntfy = NULL;

	for (int i = 0; i < 30000; i++)
		str_append(&text, "\xc3\xbc");
	make(&m, str_text(&text), str_text(&text));
	discord = filled("discord", &m, NULL);
	assert_true(strlen(json_get_string(discord, "content")) < 2000);
	telegram = filled("telegram", &m, "1");
	assert_true(strlen(json_get_string(telegram, "text")) < 4096);
	ntfy = filled("ntfy", &m, "t");
	assert_true(strlen(json_get_string(ntfy, "message")) < 4096);
}

static void heartbeats(void **state)
{
	_cleanup(message) struct message m;
	_cleanup(json) struct json *hc = NULL, *kuma = NULL;

	make(&m, "x", "a b&c=\xc3\xbc\n#");
	hc = filled("healthchecks", &m, NULL);
	assert_string_equal(json_get_string(json_get(hc, "start"), "url"), "https://hc.example/ping/start");
	assert_string_equal(json_get_string(json_get(hc, "failure"), "url"), "https://hc.example/ping/1");
	assert_non_null(strstr(json_get_string(json_get(hc, "failure"), "body"), "a b&c="));
	kuma = filled("uptime-kuma", &m, NULL);
	assert_string_equal(json_get_string(json_get(kuma, "failure"), "url"),
	                    "https://hc.example/ping?status=down&msg=a%20b%26c%3D%C3%BC%20%7C%20%23&ping=0");
}

static void assert_filled(const char *text, const char *want)
{
	const struct template_value values[] = {{"a", "x@y <z>"},
	                                        {"n", "5"},
	                                        {"long", "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc"},
	                                        {"none", NULL},
	                                        {NULL, NULL}};
	_cleanup(str) struct str out = {0};
	struct error err = {0};

	if (template_fill(text, values, &out, &err) < 0)
		str_appendf(&out, "! %s", err.message);
	assert_string_equal(str_text(&out), want);
}

static void placeholders(void **state)
{
	assert_filled("", "");
	assert_filled("{ {{n}} }} {{", "{ 5 }} {{");
	assert_filled("{{none}}{{n}}", "5");
	assert_filled("{{a|slack}}", "x@\xe2\x80\x8by &lt;z&gt;");
	assert_filled("{{a|mattermost}}", "x@\xe2\x80\x8by <\xe2\x80\x8bz>");
	assert_filled("{{long|cut:7}}", "\xc3\xbc\xc3\xbc...");
	assert_filled("{{long|cut:8}}", "\xc3\xbc\xc3\xbc\xc3\xbc\xc3\xbc");
	assert_filled("{{long|cut:5|url}}", "%C3%BC...");
	assert_filled("{{b}}", "! there is no placeholder {{b}}; allowed: a, n, long, none");
	assert_filled(
	        "{{a|shout}}",
	        "! there is no filter 'shout'; allowed: cut:N, line, quiet, slack, mattermost, code, url, number");
	assert_filled(
	        "{{a|cut}}",
	        "! there is no filter 'cut'; allowed: cut:N, line, quiet, slack, mattermost, code, url, number");
	assert_filled(
	        "{{a|quiet:3}}",
	        "! there is no filter 'quiet:3'; allowed: cut:N, line, quiet, slack, mattermost, code, url, number");
	assert_filled("{{}}", "! there is no placeholder {{}}; allowed: a, n, long, none");
}

static void files(void **state)
{
	_cleanup(free) char *text = NULL;
	struct error err = {0};

	assert_int_equal(template_load("/nonexistent.json", &text, &err), -ENOENT);
	assert_non_null(strstr(err.message, "the template /nonexistent.json cannot be read"));
	assert_true(template_load("no-such", &text, &err) < 0);
	assert_non_null(
	        strstr(err.message, "there is no template no-such; those that came with keepfs are in /"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_mail),
	        cmocka_unit_test(a_mail_with_hostile_texts),
	        cmocka_unit_test(a_long_subject),
	        cmocka_unit_test(several_in_one),
	        cmocka_unit_test(every_template),
	        cmocka_unit_test(templates_call_nobody),
	        cmocka_unit_test(no_text_is_markup),
	        cmocka_unit_test(templates_are_short_enough),
	        cmocka_unit_test(heartbeats),
	        cmocka_unit_test(placeholders),
	        cmocka_unit_test(files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
