// SPDX-License-Identifier: Apache-2.0
/* Calls that are cancelled or late do nothing and say so. */
#include "suite.h"

#include <keepfs/base/clock.h>

static void expect_refused(struct suite *t, const struct store_call *call, int errnum, enum error_class class)
{
	char key[STORE_KEY_BYTES], byte, *data = NULL;
	struct iovec iov = {&byte, 1};
	struct store_upload *up = NULL, *other = NULL;
	struct store_upload_info *uploads = NULL;
	struct store_object object, *objects = NULL;
	struct store_part part;
	size_t count = 0;
	bool more;

	suite_put(t, suite_key(t, key, "kept"), "x");
	assert_ok(store_upload_begin(t->store, NULL, key, &up, &err));
	assert_ok(store_upload_part(up, NULL, 1, &(struct iovec){"y", 1}, 1, &part, &err));
	assert_fails(errnum, class, store_put_bytes(t->store, call, key, "z", 1, NULL, &err));
	assert_fails(errnum, class, store_get(t->store, call, key, 0, &iov, 1, NULL, &err));
	assert_fails(errnum, class, store_get_all(t->store, call, key, 10, &data, &count, &err));
	assert_fails(errnum, class, store_head(t->store, call, key, &object, &err));
	assert_fails(errnum, class, store_remove(t->store, call, key, &err));
	assert_fails(errnum, class,
	             store_list(t->store, call, t->prefix, NULL, 1, &objects, &count, &more, &err));
	assert_fails(errnum, class, store_upload_begin(t->store, call, key, &other, &err));
	assert_fails(errnum, class, store_upload_part(up, call, 1, &iov, 1, &part, &err));
	assert_fails(errnum, class, store_upload_complete(up, call, &part, 1, &err));
	assert_fails(errnum, class, store_upload_abort(t->store, call, key, store_upload_id(up), &err));
	assert_fails(errnum, class, store_upload_list(t->store, call, t->prefix, &uploads, &count, &err));
	suite_expect(t, key, "x", 1);
	assert_ok(store_upload_complete(up, NULL, &part, 1, &err)); /* neither aborted nor changed */
	suite_expect(t, key, "y", 1);
	store_upload_free(up);
}

static void cancelled_calls(void **state)
{
	struct cancel cancel;
	struct store_call call = {.cancel = &cancel};

	cancel_init(&cancel);
	cancel_set(&cancel);
	expect_refused(*state, &call, ECANCELED, ERROR_CANCELLED);
	cancel_finish(&cancel);
}

static void passed_deadlines(void **state)
{
	struct store_call call = {.deadline_ms = clock_mono_ms() - 1};

	expect_refused(*state, &call, ETIMEDOUT, ERROR_TIMEOUT);
}

static void unset_tokens_and_far_deadlines(void **state)
{
	struct suite *t = *state;
	struct cancel cancel;
	struct store_call call = {.cancel = &cancel, .deadline_ms = clock_mono_ms() + 600000};
	char key[STORE_KEY_BYTES], *data = NULL;
	size_t len = 0;

	cancel_init(&cancel);
	assert_ok(store_put_bytes(t->store, &call, suite_key(t, key, "k"), "text", 4, NULL, &err));
	assert_ok(store_get_all(t->store, &call, key, 10, &data, &len, &err));
	assert_string_equal(data, "text");
	free(data);
	assert_ok(store_remove(t->store, &call, key, &err));
	cancel_finish(&cancel);
}

const struct CMUnitTest waiting_cases[] = {
        CASE(cancelled_calls),
        CASE(passed_deadlines),
        CASE(unset_tokens_and_far_deadlines),
};
const size_t waiting_case_count = ARRAY_SIZE(waiting_cases);
