// SPDX-License-Identifier: Apache-2.0
/* Where a request goes, and with which headers, when these are secrets from elsewhere. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/notify/target.h"
#include "../../src/secret/secret_private.h"
#include "../support/tree.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct fixture {
	char dir[64];
	char *url, *headers, *key;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	strcpy(f->dir, "/tmp/keepfs-target-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->url = mem_printf("%s/url", f->dir);
	f->headers = mem_printf("%s/headers", f->dir);
	f->key = mem_printf("%s/host.key", f->dir);
	secret_set_host_key(f->key);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	secret_set_host_key(NULL);
	remove_tree(f->dir);
	free(f->url);
	free(f->headers);
	free(f->key);
	free(f);
	return 0;
}

static void write_secret(const char *path, const char *text)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, text, strlen(text)), 0);
}

static void expect_target(const struct target_conf *conf, const char *url, const char *first,
                          const char *second)
{
	_cleanup(target) struct target t = {0};
	struct error err = {0};
	char *const *headers;

	if (target_open(conf, NULL, &t, &err) < 0)
		fail_msg("%s", err.message);
	assert_string_equal(t.url.data, url);
	headers = target_headers(&t, conf);
	assert_string_equal(headers[0], first);
	if (first && second)
		assert_string_equal(headers[1], second);
	else
		assert_null(headers[1]);
}

static void refuse_target(const struct target_conf *conf, const char *why)
{
	_cleanup(target) struct target t = {0};
	struct error err = {0};

	assert_true(target_open(conf, NULL, &t, &err) < 0);
	if (!str_starts(err.message, "[webhook chat] ") || !strstr(err.message, why))
		fail_msg("%s does not say: %s", err.message, why);
	assert_null(strstr(err.message, "planted"));
}

static void test_from_everywhere(void **state)
{
	struct fixture *f = *state;
	char *plain_headers[] = {"A: 1", NULL};
	const struct conf_secret none = {0}, in_file = {.file = f->url}, lines = {.file = f->headers},
	                         plain = {.value = (char *)"https://h/x"},
	                         printed = {.command = (char *)"echo https://h/printed"};
	_cleanup(secret_text) struct secret_text text = {0};
	_cleanup(str) struct str sealed = {0};
	char *sealed_headers[] = {NULL, NULL};

	expect_target(&(struct target_conf){"[webhook chat]", &plain, &none, plain_headers}, "https://h/x",
	              "A: 1", NULL);
	write_secret(f->url, "https://h/in-file\n");
	write_secret(f->headers, "B: 2\nC: 3\n");
	expect_target(&(struct target_conf){"[webhook chat]", &in_file, &lines, NULL}, "https://h/in-file",
	              "B: 2", "C: 3");
	expect_target(&(struct target_conf){"[webhook chat]", &printed, &none, plain_headers},
	              "https://h/printed", "A: 1", NULL);
	secret_text_set(&text, "D: 4\nE: 5", 9);
	assert_int_equal(secret_seal_value(&text, &sealed, NULL), 0);
	sealed_headers[0] = sealed.data;
	expect_target(&(struct target_conf){"[webhook chat]", &plain, &none, sealed_headers}, "https://h/x",
	              "D: 4", "E: 5");
}

static void test_wrong(void **state)
{
	struct fixture *f = *state;
	const struct conf_secret none = {0}, in_file = {.file = f->url}, lines = {.file = f->headers},
	                         plain = {.value = (char *)"https://h/x"},
	                         failing = {.command = (char *)"echo planted; exit 1"};

	refuse_target(&(struct target_conf){"[webhook chat]", &in_file, &none, NULL}, "url_file = ");
	write_secret(f->url, "planted-no-url\n");
	refuse_target(&(struct target_conf){"[webhook chat]", &in_file, &none, NULL},
	              "does not begin with https://");
	write_secret(f->url, "https://planted@h/\n");
	refuse_target(&(struct target_conf){"[webhook chat]", &in_file, &none, NULL}, "holds a user");
	refuse_target(&(struct target_conf){"[webhook chat]", &failing, &none, NULL}, "url_command: ");
	write_secret(f->headers, "A: 1\nplanted\n");
	refuse_target(&(struct target_conf){"[webhook chat]", &plain, &lines, NULL},
	              "its line 2 is no header");
	write_secret(f->headers, "A: 1\nB: \x01planted\n");
	refuse_target(&(struct target_conf){"[webhook chat]", &plain, &lines, NULL},
	              "its line 2 is no header");
}

static int64_t target_now_ms;

static int64_t target_clock_ms(void)
{
	return target_now_ms;
}

/* Who is not known to the receiver may be so with what a command prints now: for another status, or a value, nothing is asked. */
static void test_asking_anew(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command =
	        mem_printf("echo x >> %s; echo https://h/$(wc -l < %s)", f->url, f->url);
	const struct conf_secret none = {0}, printed = {.command = command},
	                         plain = {.value = (char *)"https://h/x"};
	const struct target_conf conf = {"[webhook chat]", &printed, &none, (char *[]){"A: 1", NULL}},
	                         fixed = {"[webhook chat]", &plain, &none, NULL};
	const struct error refused = {.http_status = 403}, busy = {.http_status = 503};

	target_now_ms = 1000000;
	secret_use_clock(target_clock_ms);
	expect_target(&conf, "https://h/1", "A: 1", NULL);
	assert_false(target_asks_anew(&conf, &refused));
	target_now_ms += SECRET_FORGET_AFTER_MS;
	assert_false(target_asks_anew(&conf, &busy));
	assert_false(target_asks_anew(&fixed, &refused));
	expect_target(&conf, "https://h/1", "A: 1", NULL);
	assert_true(target_asks_anew(&conf, &refused));
	expect_target(&conf, "https://h/2", "A: 1", NULL);
	secret_use_clock(clock_mono_ms);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_from_everywhere),
	        TEST(test_wrong),
	        TEST(test_asking_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
