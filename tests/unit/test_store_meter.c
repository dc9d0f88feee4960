// SPDX-License-Identifier: Apache-2.0
/* What the meter counts of each call, what it takes for a failure, and that each try counts. */
#include "store_test.h"

#include <keepfs/conf.h>

#include <errno.h>
#include <stdlib.h>

static struct store_metrics metrics;

static int metrics_setup(void **state)
{
	memset(&metrics, 0, sizeof(metrics));
	return root_setup(state);
}

static struct store *new_metered(const char *faults)
{
	return store_meter_new(new_faulty(faults), &metrics);
}

static void expect_counts(enum store_call_kind kind, uint64_t calls, uint64_t failures, uint64_t bytes)
{
	uint64_t timed = 0;

	for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
		timed += atomic_load(&metrics.of[kind].duration.buckets[i]);
	assert_int_equal(atomic_load(&metrics.of[kind].calls), calls);
	assert_int_equal(atomic_load(&metrics.of[kind].failures), failures);
	assert_int_equal(atomic_load(&metrics.of[kind].bytes), bytes);
	assert_int_equal(timed, calls);
}

static void expect_failures(enum error_class class, uint64_t failures)
{
	for (unsigned i = 0; i < ERROR_CLASSES; i++)
		assert_int_equal(atomic_load(&metrics.failures_by_class[i]), i == class ? failures : 0);
}

/* Each call once, with the result @r; 3 bytes are sent or received by those that carry content. */
static void call_each(struct store *s, int r)
{
	_cleanup(free) struct store_object *objects = NULL;
	_cleanup(store_upload) struct store_upload *up = NULL;
	struct store_upload *begun = NULL;
	struct store_upload_info *uploads = NULL;
	struct store_bucket bucket;
	struct store_object object;
	struct store_part part;
	char got[3];
	struct iovec iov[] = {{got, 1}, {got + 1, 2}};
	size_t count = 0;
	bool more;

	assert_int_equal(store_upload_begin(s, NULL, "up", &up, NULL), 0); /* the first call never fails */
	assert_int_equal(put(s, "k", "abc", false), r);
	assert_int_equal(store_get(s, NULL, "k", 0, iov, 2, NULL, NULL), r);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), r);
	assert_int_equal(store_remove(s, NULL, "k", NULL), r);
	assert_int_equal(store_list(s, NULL, "", NULL, 1, &objects, &count, &more, NULL), r);
	assert_int_equal(store_upload_begin(s, NULL, "up", &begun, NULL), r);
	store_upload_free(begun);
	store_upload_announce(up, 1, 3);
	assert_int_equal(store_upload_part(up, NULL, 1, iov, 2, &part, NULL), r);
	part = r == 0 ? part : (struct store_part){.number = 1};
	assert_int_equal(store_upload_list(s, NULL, "", &uploads, &count, NULL), r);
	if (r == 0)
		store_upload_list_free(uploads, count);
	assert_int_equal(store_upload_complete(up, NULL, &part, 1, NULL), r);
	assert_int_equal(store_upload_abort(s, NULL, "up", store_upload_id(up), NULL), r);
	assert_int_equal(store_bucket(s, NULL, &bucket, NULL), r);
}

static void each_call_counts_for_itself(void **state)
{
	_cleanup(store) struct store *s = new_metered("");

	call_each(s, 0);
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++) {
		bool content = kind == STORE_CALL_PUT || kind == STORE_CALL_GET || kind == STORE_CALL_PART;

		expect_counts(kind, kind == STORE_CALL_BEGIN ? 2 : 1, 0, content ? 3 : 0);
	}
	expect_failures(ERROR_NONE, 0);
}

/* Nobody wants to know why here: the meter does. */
static void each_call_can_fail(void **state)
{
	_cleanup(store) struct store *s = new_metered("*:2+:nospace");

	call_each(s, -ENOSPC);
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++)
		expect_counts(kind, kind == STORE_CALL_BEGIN ? 2 : 1, 1, 0);
	expect_failures(ERROR_NO_SPACE, STORE_CALL_KINDS);
}

static void answers_are_no_failures(void **state)
{
	_cleanup(store) struct store *s = new_metered("");
	struct store_get_options options = {.if_match = "another"};
	struct store_object object;
	struct cancel cancel;
	struct store_call cancelled = {.cancel = &cancel};
	struct error err = {0};
	char got[8];
	struct iovec iov = {got, sizeof(got)};

	assert_int_equal(put(s, "k", "abc", false), 0);
	assert_int_equal(put(s, "k", "xyz", true), STORE_EXISTS);
	assert_int_equal(store_get(s, NULL, "none", 0, &iov, 1, NULL, &err), -ENOENT);
	assert_int_equal(err.class, ERROR_NOT_FOUND);
	assert_int_equal(store_get(s, NULL, "k", 0, &iov, 1, NULL, NULL), -ERANGE);
	assert_int_equal(store_get(s, NULL, "k", 0, &iov, 1, &options, NULL), -ESTALE);
	assert_int_equal(store_head(s, NULL, "none", &object, NULL), -ENOENT);
	expect_counts(STORE_CALL_PUT, 2, 0, 3);
	expect_counts(STORE_CALL_GET, 3, 0, 0);
	expect_counts(STORE_CALL_HEAD, 1, 0, 0);
	/* Below the front, which would refuse it before it is a call. */
	cancel_init(&cancel);
	cancel_set(&cancel);
	s = store_free(s);
	s = new_metered("head:1+:slow:3600000");
	assert_int_equal(s->ops->head(s, &cancelled, "k", &object, NULL), -ECANCELED);
	cancel_finish(&cancel);
	expect_counts(STORE_CALL_HEAD, 2, 0, 0);
	expect_failures(ERROR_NONE, 0);
}

/* What came before a get broke off counts: nobody asks for it again. */
static void what_came_counts(void **state)
{
	_cleanup(store) struct store *s = new_metered("get:1:timeout,get:2:eio");
	uint64_t filled = 0;
	struct store_get_options options = {.ret_filled = &filled};
	char got[8];
	struct iovec iov = {got, sizeof(got)};

	assert_int_equal(put(s, "k", "01234567", false), 0);
	assert_int_equal(store_get(s, NULL, "k", 0, &iov, 1, &options, NULL), -ETIMEDOUT);
	assert_in_range(filled, 1, 7);
	expect_counts(STORE_CALL_GET, 1, 1, filled);
	assert_int_equal(store_get(s, NULL, "k", 0, &iov, 1, &options, NULL), -EIO);
	assert_int_equal(filled, 0);
	assert_int_equal(store_get(s, NULL, "k", 0, &iov, 1, &options, NULL), 0);
	expect_counts(STORE_CALL_GET, 3, 2, 4 + 8);
}

/* An upload that is gone is no answer that anybody hopes for. */
static void a_lost_upload_is_a_failure(void **state)
{
	_cleanup(store) struct store *s = new_metered("");
	_cleanup(store_upload) struct store_upload *up = NULL;
	struct iovec iov = {(char *)"abc", 3};
	struct store_part part;
	struct error err = {0};

	assert_int_equal(store_upload_begin(s, NULL, "up", &up, NULL), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &iov, 1, &part, NULL), 0);
	assert_int_equal(store_upload_abort(s, NULL, "up", store_upload_id(up), NULL), 0);
	assert_int_equal(store_upload_complete(up, NULL, &part, 1, &err), -ENOENT);
	expect_counts(STORE_CALL_COMPLETE, 1, 1, 0);
	expect_failures(err.class, 1);
}

static void each_try_counts(void **state)
{
	_cleanup(free) char *url = mem_printf("dir:%s", root);
	struct conf_store conf = {.url = url,
	                          .faults = "put:1:unavailable,put:2:timeout,head:1:eio",
	                          .retry_deadline_ms = 60000};
	_cleanup(store) struct store *s = NULL;
	struct store_object object;
	struct store_features features;

	assert_int_equal(store_open(&conf, NULL, &metrics, &s, NULL), 0);
	assert_string_equal(s->name, url);
	assert_int_equal(put(s, "k", "abc", false), 0);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), -EIO);
	assert_int_equal(store_features(s, &features, NULL), 0);
	assert_true(features.capacity_bytes > 0);
	expect_counts(STORE_CALL_PUT, 3, 2, 3);
	expect_counts(STORE_CALL_HEAD, 1, 1, 0);
	assert_int_equal(atomic_load(&metrics.failures_by_class[ERROR_UNAVAILABLE]), 1);
	assert_int_equal(atomic_load(&metrics.failures_by_class[ERROR_TIMEOUT]), 1);
	assert_int_equal(atomic_load(&metrics.failures_by_class[ERROR_INTERNAL]), 1);
}

static void the_names_are_those_of_fault_rules(void **state)
{
	for (unsigned kind = 0; kind < STORE_CALL_KINDS; kind++) {
		_cleanup(free) char *rule = mem_printf("%s:1:eio", store_call_name(kind));

		store_free(new_faulty(rule));
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, metrics_setup, root_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(each_call_counts_for_itself),
	        TEST(each_call_can_fail),
	        TEST(what_came_counts),
	        TEST(answers_are_no_failures),
	        TEST(a_lost_upload_is_a_failure),
	        TEST(each_try_counts),
	        TEST(the_names_are_those_of_fault_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
