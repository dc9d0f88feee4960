// SPDX-License-Identifier: Apache-2.0
/* From a descriptor into a sink. */
#include "stream_test.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

struct writer {
	int fd;
	const struct str *data;
};

static void *write_and_close(void *arg)
{
	struct writer *w = arg;

	fd_write_all(w->fd, w->data->data, w->data->len);
	close(w->fd);
	return NULL;
}

static void test_pump(void **state)
{
	_cleanup(str) struct str data = {0};
	_cleanup(str) struct str kept = {0};
	atomic_uint_least64_t read_bytes = 0;
	bool finished = false;
	struct sink *sink = keeper_new(&kept, &finished, 0);
	struct writer writer = {.data = &data};
	pthread_t thread;
	int ends[2];

	make_data(&data, 1000000);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	writer.fd = ends[1];
	assert_int_equal(thread_start(&thread, "test", write_and_close, &writer), 0);
	assert_int_equal(stream_pump(ends[0], sink, NULL, &read_bytes, NULL), 0);
	pthread_join(thread, NULL);
	close(ends[0]);
	assert_false(finished);
	assert_int_equal(read_bytes, data.len);
	assert_int_equal(kept.len, data.len);
	assert_int_equal(memcmp(kept.data, data.data, data.len), 0);
	sink_free(sink);
}

static void test_pump_tells_the_sinks_failure(void **state)
{
	_cleanup(str) struct str kept = {0};
	bool finished = false;
	struct sink *sink = keeper_new(&kept, &finished, -EXDEV);
	struct error err = {0};
	int ends[2];

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "x", 1), 1);
	assert_int_equal(stream_pump(ends[0], sink, NULL, NULL, &err), -EXDEV);
	assert_string_equal(err.message, "the keeper fails");
	close(ends[0]);
	close(ends[1]);
	sink_free(sink);
}

static void *set_cancel(void *arg)
{
	cancel_set(arg);
	return NULL;
}

static void test_pump_is_cancelled_while_silent(void **state)
{
	_cleanup(str) struct str kept = {0};
	bool finished = false;
	struct sink *sink = keeper_new(&kept, &finished, 0);
	struct cancel cancel;
	struct error err = {0};
	pthread_t thread;
	int ends[2];

	cancel_init(&cancel);
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(thread_start(&thread, "test", set_cancel, &cancel), 0);
	assert_int_equal(stream_pump(ends[0], sink, &cancel, NULL, &err), -ECANCELED);
	assert_int_equal(err.class, ERROR_CANCELLED);
	pthread_join(thread, NULL);
	close(ends[0]);
	close(ends[1]);
	sink_free(sink);
	cancel_finish(&cancel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_pump),
	        cmocka_unit_test(test_pump_tells_the_sinks_failure),
	        cmocka_unit_test(test_pump_is_cancelled_while_silent),
	};

	return cmocka_run_group_tests_name("pump", tests, NULL, NULL);
}
