// SPDX-License-Identifier: Apache-2.0
/* A disk that takes long: the time of a call ends between the bytes and their name, and with it maybe the right to write. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "../support/tree.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/store.h>

static int64_t slow_until_ms; /* clock_mono_ms(): no fsync ends before */

/* In the library's place. */
int fsync(int fd)
{
	while (clock_mono_ms() < slow_until_ms)
		sched_yield();
	return (int)syscall(SYS_fsync, fd);
}

struct fixture {
	char directory[64];
	struct store *store;
};

static int set_up(void **state)
{
	static struct fixture f;

	slow_until_ms = 0;
	str_copy(f.directory, sizeof(f.directory), "/tmp/keepfs-late-XXXXXX");
	assert_non_null(mkdtemp(f.directory));
	assert_int_equal(store_dir_new(f.directory, &f.store, NULL), 0);
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	slow_until_ms = 0;
	f->store = store_free(f->store);
	remove_tree(f->directory);
	return 0;
}

static int put(struct fixture *f, const char *text, const struct store_put_options *options, bool is_late)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + (is_late ? 200 : 600000)};
	struct error err = {0};
	int r;

	slow_until_ms = is_late ? call.deadline_ms : 0;
	r = store_put_bytes(f->store, &call, "a/key", text, strlen(text), options, &err);
	if (r < 0)
		assert_true(err.message[0] != '\0');
	return r;
}

static void assert_stored(struct fixture *f, const char *text)
{
	char *there = NULL;
	size_t len = 0;
	int r = store_get_all(f->store, NULL, "a/key", 100, &there, &len, NULL);

	if (text) {
		assert_int_equal(r, 0);
		assert_string_equal(there, text);
	} else {
		assert_int_equal(r, -ENOENT);
	}
	free(there);
}

static void what_is_late_gets_no_name(void **state)
{
	const struct store_put_options absent = {.only_if_absent = true};
	struct fixture *f = *state;

	assert_int_equal(put(f, "one", NULL, true), -ETIMEDOUT);
	assert_stored(f, NULL);
	assert_int_equal(put(f, "one", &absent, true), -ETIMEDOUT);
	assert_stored(f, NULL);
	assert_int_equal(put(f, "one", &absent, false), 0);
	assert_stored(f, "one");
}

static void what_is_late_replaces_nothing(void **state)
{
	char etag[STORE_ETAG_BYTES] = "";
	const struct store_put_options first = {.ret_etag = etag}, over = {.if_match = etag};
	struct fixture *f = *state;

	assert_int_equal(put(f, "one", &first, false), 0);
	assert_int_equal(put(f, "two", NULL, true), -ETIMEDOUT);
	assert_stored(f, "one");
	assert_int_equal(put(f, "two", &over, true), -ETIMEDOUT);
	assert_stored(f, "one");
	assert_int_equal(put(f, "two", &over, false), 0);
	assert_stored(f, "two");
}

static void an_upload_that_is_late_is_no_object(void **state)
{
	struct fixture *f = *state;
	struct store_upload *up = NULL;
	struct store_part part = {.number = 1};
	struct iovec iov = {(char[]){"part"}, 4};
	struct store_call call = {0};

	assert_int_equal(store_upload_begin(f->store, NULL, "a/key", &up, NULL), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &iov, 1, &part, NULL), 0);
	call.deadline_ms = slow_until_ms = clock_mono_ms() + 200;
	assert_int_equal(store_upload_complete(up, &call, &part, 1, NULL), -ETIMEDOUT);
	assert_stored(f, NULL);
	slow_until_ms = 0;
	assert_int_equal(store_upload_complete(up, NULL, &part, 1, NULL), 0);
	assert_stored(f, "part");
	store_upload_free(up);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(what_is_late_gets_no_name),
	        TEST(what_is_late_replaces_nothing),
	        TEST(an_upload_that_is_late_is_no_object),
	};

	return cmocka_run_group_tests_name("store_dir_late", tests, NULL, NULL);
}
