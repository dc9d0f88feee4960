// SPDX-License-Identifier: Apache-2.0
/* Which calls fail, by which rule, and how. And how store_open() puts the wrappers together. */
#include "store_test.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/conf.h>

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

static void wrong_rules_are_named(void **state)
{
	static const char *const specs[] = {
	        "put",
	        "put:1",
	        "put:1:",
	        ":1:eio",
	        "put::eio",
	        "puts:1:eio",
	        "put:0:eio",
	        "put:-1:eio",
	        "put:1-:eio",
	        "put:+:eio",
	        "put:%:eio",
	        "put:101%:eio",
	        "put:0%:eio",
	        "put:99999999999999999999:eio",
	        "put:1:eios",
	        "put:1:slow",
	        "put:1:slow:",
	        "put:1:slow:x",
	        "put:1:slow:0",
	        "put:1:slow:5s",
	        "put:1:slow:99999999999",
	        "put:1:eio,",
	        ",put:1:eio",
	        "put:1:eio,get",
	        " put:1:eio",
	        "put:1:eio:1",
	        "put:1 :eio",
	};

	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		struct store *s = NULL, *faulty = NULL;
		struct error err = {0};

		assert_int_equal(store_dir_new(root, &s, &err), 0);
		assert_int_equal(store_fault_new(s, specs[i], &faulty, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_true(str_starts(err.message, "fault rule \""));
		assert_null(faulty);
	}
}

/* Which of six heads fail. */
static void expect_heads(const char *spec, const char *pattern)
{
	_cleanup(store) struct store *s = new_faulty(spec);
	struct store_object object;

	assert_int_equal(put(s, "k", "x", false), 0);
	for (const char *p = pattern; *p; p++)
		assert_int_equal(store_head(s, NULL, "k", &object, NULL), *p == 'x' ? -EIO : 0);
}

static void rules_count_their_calls(void **state)
{
	expect_heads("", "......");
	expect_heads("head:1:eio", "x.....");
	expect_heads("head:3:eio", "..x...");
	expect_heads("head:3+:eio", "..xxxx");
	expect_heads("head:100%:eio", "xxxxxx");
	expect_heads("head:2:eio,head:4:eio", ".x.x..");
	expect_heads("*:2:eio", "x....."); /* the put was its first */
	expect_heads("get:1+:eio,remove:1+:eio,list:1+:eio,begin:1+:eio", "......");
	expect_heads("head:1:slow:1,head:1:eio", "x.....");
	expect_heads("head:1:eio,head:2:corrupt", "xx....");
}

struct counting {
	struct store *s;
	atomic_int failed;
};

static void *count_heads(void *arg)
{
	struct counting *c = arg;
	struct store_object object;

	for (int i = 0; i < 100; i++) {
		if (store_head(c->s, NULL, "k", &object, NULL) == -EIO)
			atomic_fetch_add(&c->failed, 1);
	}
	return NULL;
}

static void rules_count_across_threads(void **state)
{
	struct counting c = {.s = new_faulty("head:351+:eio")};
	pthread_t threads[4];

	assert_int_equal(put(c.s, "k", "x", false), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(thread_start(&threads[i], "heads", count_heads, &c), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(c.failed, 50);
	store_free(c.s);
}

static void every_call_can_fail(void **state)
{
	_cleanup(store) struct store *s = new_faulty("*:2+:nospace");
	_cleanup(store_upload) struct store_upload *up = NULL;
	struct store_upload *other = NULL;
	struct store_object object, *objects = NULL;
	struct store_upload_info *uploads = NULL;
	struct store_part part;
	struct error err = {0};
	struct iovec iov = {&object, 1};
	size_t count;
	bool more;

	assert_int_equal(store_upload_begin(s, NULL, "k", &up, &err), 0);
	assert_int_equal(store_put(s, NULL, "k", NULL, 0, NULL, &err), -ENOSPC);
	assert_int_equal(err.class, ERROR_NO_SPACE);
	assert_false(err.retry);
	assert_string_equal(err.message, "put of k: no space left in the store (a rehearsed fault)");
	assert_int_equal(store_get(s, NULL, "k", 0, &iov, 1, NULL, &err), -ENOSPC);
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -ENOSPC);
	assert_int_equal(store_remove(s, NULL, "k", &err), -ENOSPC);
	assert_int_equal(store_list(s, NULL, "", NULL, 1, &objects, &count, &more, &err), -ENOSPC);
	assert_int_equal(store_upload_begin(s, NULL, "k", &other, &err), -ENOSPC);
	assert_int_equal(store_upload_part(up, NULL, 1, &iov, 1, &part, &err), -ENOSPC);
	part = (struct store_part){.number = 1};
	assert_int_equal(store_upload_complete(up, NULL, &part, 1, &err), -ENOSPC);
	assert_int_equal(store_upload_abort(s, NULL, "k", store_upload_id(up), &err), -ENOSPC);
	assert_int_equal(store_upload_list(s, NULL, "", &uploads, &count, &err), -ENOSPC);
}

static void corrupt_flips_one_byte(void **state)
{
	_cleanup(store) struct store *s = new_faulty("get:1:corrupt");
	char got[9] = "";
	struct iovec iov[] = {{got, 1}, {got + 1, 0}, {got + 1, 7}};
	int wrong = 0;

	assert_int_equal(put(s, "k", "01234567", false), 0);
	assert_int_equal(store_get(s, NULL, "k", 0, iov, 3, NULL, NULL), 0);
	for (int i = 0; i < 8; i++)
		wrong += got[i] != '0' + i;
	assert_int_equal(wrong, 1);
	expect(s, "k", "01234567");
}

static void a_get_breaks_off_in_the_middle(void **state)
{
	_cleanup(store) struct store *s = new_faulty("get:1:timeout,get:2:unavailable");
	char got[8] = "", etag[STORE_ETAG_BYTES];
	struct iovec iov[] = {{got, 1}, {got + 1, 0}, {got + 1, 6}};
	uint64_t filled = 0;
	struct store_get_options tell = {.ret_etag = etag, .ret_filled = &filled};
	struct store_object object;

	assert_int_equal(put(s, "k", "01234567", false), 0);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), 0);
	assert_int_equal(store_get(s, NULL, "k", 1, iov, 3, &tell, NULL), -ETIMEDOUT);
	assert_int_equal(filled, 3);
	assert_string_equal(etag, object.etag);
	assert_memory_equal(got, "123\0\0\0\0", 7);
	assert_int_equal(store_get(s, NULL, "k", 1, iov, 3, &tell, NULL), -EAGAIN);
	assert_int_equal(filled, 0);
	assert_string_equal(etag, "");
	assert_int_equal(store_get(s, NULL, "k", 1, iov, 3, &tell, NULL), 0);
	assert_int_equal(filled, 7);
	assert_string_equal(got, "1234567");
}

static void lost_answers_are_of_calls_that_were_made(void **state)
{
	_cleanup(store) struct store *s =
	        new_faulty("put:1:timeout,remove:1:timeout,begin:1:timeout,list:1:timeout");
	struct store_upload *up = NULL;
	struct store_upload_info *uploads = NULL;
	struct store_object object, *objects = NULL;
	struct error err = {0};
	size_t count = 0;
	bool more;

	assert_int_equal(store_put_bytes(s, NULL, "k", "x", 1, NULL, &err), -ETIMEDOUT);
	assert_true(err.retry);
	assert_int_equal(err.class, ERROR_TIMEOUT);
	expect(s, "k", "x");
	assert_int_equal(store_list(s, NULL, "", NULL, 10, &objects, &count, &more, NULL), -ETIMEDOUT);
	assert_null(objects);
	assert_int_equal(store_remove(s, NULL, "k", NULL), -ETIMEDOUT);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), -ENOENT);
	assert_int_equal(store_upload_begin(s, NULL, "k", &up, NULL), -ETIMEDOUT);
	assert_null(up);
	assert_int_equal(store_upload_list(s, NULL, "", &uploads, &count, NULL), 0);
	assert_int_equal(count, 1); /* nobody has its handle */
	assert_int_equal(store_upload_abort(s, NULL, "k", uploads[0].upload_id, NULL), 0);
	store_upload_list_free(uploads, count);
}

static void *cancel_it(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void slow_calls_can_be_ended(void **state)
{
	_cleanup(store) struct store *s = new_faulty("head:1+:slow:3600000");
	struct store_call late = {.deadline_ms = clock_mono_ms() + 5};
	struct cancel cancel;
	struct store_call cancelled = {.cancel = &cancel};
	struct store_object object;
	pthread_t thread;

	assert_int_equal(store_head(s, &late, "k", &object, NULL), -ETIMEDOUT);
	cancel_init(&cancel);
	assert_int_equal(thread_start(&thread, "canceller", cancel_it, &cancel), 0);
	assert_int_equal(store_head(s, &cancelled, "k", &object, NULL), -ECANCELED);
	pthread_join(thread, NULL);
	cancel_finish(&cancel);
}

static void crash_kills_the_process(void **state)
{
	_cleanup(store) struct store *s = new_faulty("put:1:crash");
	struct store_object object;
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		put(s, "k", "x", false);
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), -ENOENT);
}

static void open_puts_faults_below_retries(void **state)
{
	_cleanup(free) char *url = mem_printf("dir:%s", root);
	struct conf_store conf = {
	        .url = url, .faults = "put:1:unavailable,head:1:eio", .retry_deadline_ms = 60000};
	_cleanup(store) struct store *s = NULL;
	struct store_object object;
	struct error err = {0};

	assert_int_equal(store_open(&conf, NULL, NULL, &s, &err), 0);
	assert_string_equal(s->name, url);
	assert_int_equal(put(s, "k", "x", false), 0);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), -EIO);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), 0);
}

static void open_refuses_what_is_no_store(void **state)
{
	static const char *const urls[] = {"",           "dir:relative", "dir:", "/tmp", "s3://bucket",
	                                   "ftp://host", "DIR:/tmp"};
	struct store *s = NULL;
	struct error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		struct conf_store conf = {.url = (char *)urls[i], .faults = "", .retry_deadline_ms = 1000};

		assert_int_equal(store_open(&conf, NULL, NULL, &s, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_non_null(strstr(err.message, "dir:/"));
	}
	assert_null(s);
}

static void open_refuses_wrong_rules(void **state)
{
	_cleanup(free) char *url = mem_printf("dir:%s", root);
	struct conf_store conf = {.url = url, .faults = "put:1:explode", .retry_deadline_ms = 1000};
	struct store *s = NULL;
	struct error err = {0};

	assert_int_equal(store_open(&conf, NULL, NULL, &s, &err), -EINVAL);
	assert_non_null(strstr(err.message, "put:1:explode"));
	assert_null(s);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, root_setup, root_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(wrong_rules_are_named),
	        TEST(rules_count_their_calls),
	        TEST(rules_count_across_threads),
	        TEST(every_call_can_fail),
	        TEST(corrupt_flips_one_byte),
	        TEST(a_get_breaks_off_in_the_middle),
	        TEST(lost_answers_are_of_calls_that_were_made),
	        TEST(slow_calls_can_be_ended),
	        TEST(crash_kills_the_process),
	        TEST(open_puts_faults_below_retries),
	        TEST(open_refuses_what_is_no_store),
	        TEST(open_refuses_wrong_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
