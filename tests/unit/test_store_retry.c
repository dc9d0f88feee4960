/* What is tried again, when, and for how long. The clock moves only when the wrapper waits. */
#include "../../src/store/wrap/retry.h"
#include "store_test.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>

#include <errno.h>

#define MOST_WAITS 64

struct world {
	/* The clock. */
	int64_t now_ms, waits[MOST_WAITS];
	size_t wait_count;
	bool dice_low;                 /* throws the lowest number, else the highest */
	struct cancel *cancel_at_wait; /* set when it waits */
	/* The store whose head fails. */
	unsigned heads, failures; /* calls made; how many of the first ones fail */
	int64_t head_takes_ms, retry_after_ms;
	bool retry;
	int then; /* what the calls after that return */
};

static struct world *world;

static int64_t now_ms(void *arg)
{
	return world->now_ms;
}

static bool sleep_ms(void *arg, struct cancel *cancel, int64_t ms)
{
	assert_true(world->wait_count < MOST_WAITS);
	world->waits[world->wait_count++] = ms;
	world->now_ms += ms;
	if (world->cancel_at_wait)
		cancel_set(world->cancel_at_wait);
	return cancel_is_set(cancel);
}

static int64_t dice(void *arg, int64_t most)
{
	return world->dice_low ? 0 : most;
}

static const struct retry_timing timing = {now_ms, sleep_ms, dice, NULL};

static int flaky_head(struct store *s, const struct store_call *call, const char *key,
                      struct store_object *ret, struct error *err)
{
	unsigned call_number = ++world->heads;

	world->now_ms += world->head_takes_ms;
	if (call_number > world->failures) {
		if (world->then < 0)
			error_set(err, ERROR_TIMEOUT, -world->then, "the deadline has passed");
		return world->then;
	}
	error_set(err, ERROR_UNAVAILABLE, EAGAIN, "SlowDown, call %u", call_number);
	err->retry = world->retry;
	err->retry_after_ms = world->retry_after_ms;
	err->http_status = 503;
	return -EAGAIN;
}

static struct store *flaky_free(struct store *s)
{
	free(s->name);
	free(s);
	return NULL;
}

/* A store of which only head is used. */
static struct store *new_flaky(void)
{
	static const struct store_ops ops = {.head = flaky_head, .free = flaky_free};
	struct store *s = mem_alloc(sizeof(*s));

	*s = (struct store){&ops, mem_strdup("flaky:")};
	return s;
}

static int setup(void **state)
{
	world = mem_alloc(sizeof(*world));
	world->now_ms = clock_mono_ms();
	world->retry = true;
	return root_setup(state);
}

static int teardown(void **state)
{
	free(world);
	return root_teardown(state);
}

static void waits_double_up_to_a_bound(void **state)
{
	static const int64_t expected[] = {100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000};
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct store_object object;

	world->failures = ARRAY_SIZE(expected);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), 0);
	assert_int_equal(world->heads, ARRAY_SIZE(expected) + 1);
	assert_int_equal(world->wait_count, ARRAY_SIZE(expected));
	assert_memory_equal(world->waits, expected, sizeof(expected));
}

static void waits_are_random_from_nothing(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct store_object object;

	world->dice_low = true;
	world->failures = 5;
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), 0);
	assert_int_equal(world->wait_count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(world->waits[i], 0);
}

static void waits_for_what_the_server_asked(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct store_object object;

	world->failures = 3;
	world->retry_after_ms = 250;
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), 0);
	assert_int_equal(world->waits[0], 250);
	assert_int_equal(world->waits[1], 250);
	assert_int_equal(world->waits[2], 400);
}

static void what_is_not_to_be_retried_is_passed_on(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct store_object object;
	struct error err = {0};

	world->failures = 1;
	world->retry = false;
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -EAGAIN);
	assert_int_equal(world->heads, 1);
	assert_string_equal(err.message, "SlowDown, call 1");
	assert_int_equal(err.http_status, 503);
}

static void gives_up_at_its_deadline(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 1000, &timing);
	struct store_object object;
	struct error err = {0};

	world->failures = UINT32_MAX; /* waits 100, 200 and 400 ms; 800 more would be too late */
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -EAGAIN);
	assert_int_equal(world->heads, 4);
	assert_string_equal(err.message, "gave up after 4 tries in 0.7 s: SlowDown, call 4");
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_int_equal(err.http_status, 503);
	assert_int_equal(store_head(s, NULL, "k", &object, NULL), -EAGAIN); /* nobody wants to know why */
}

static void gives_up_at_once_when_the_server_asks_for_more_time(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 1000, &timing);
	struct store_object object;
	struct error err = {0};

	world->failures = 1;
	world->retry_after_ms = 60000;
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -EAGAIN);
	assert_int_equal(world->wait_count, 0);
	assert_string_equal(err.message, "gave up after 1 try in 0.0 s: SlowDown, call 1");
}

static void gives_up_at_the_callers_deadline(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct store_call call = {.deadline_ms = world->now_ms + 60000};
	struct store_object object;

	world->failures = UINT32_MAX;
	assert_int_equal(store_head(s, &call, "k", &object, NULL), -EAGAIN);
	assert_true(world->now_ms <= call.deadline_ms);
	assert_true(world->now_ms > call.deadline_ms - 11000);
}

/* The last try ends by the deadline; what was wrong, the one before it said. */
static void a_late_try_keeps_the_earlier_words(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct store_object object;
	struct error err = {0};

	world->failures = 2;
	world->then = -ETIMEDOUT;
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -EAGAIN);
	assert_string_equal(err.message, "gave up after 3 tries in 0.3 s: SlowDown, call 2");
	world->failures = 0;
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -ETIMEDOUT);
	assert_string_equal(err.message, "the deadline has passed");
}

static void waiting_can_be_cancelled(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 3600000, &timing);
	struct cancel cancel;
	struct store_call call = {.cancel = &cancel};
	struct store_object object;
	struct error err = {0};

	cancel_init(&cancel);
	world->failures = UINT32_MAX;
	world->cancel_at_wait = &cancel;
	assert_int_equal(store_head(s, &call, "k", &object, &err), -ECANCELED);
	assert_int_equal(world->heads, 1);
	assert_int_equal(err.class, ERROR_CANCELLED);
	assert_string_equal(err.message, "cancelled after 1 try in 0.1 s: SlowDown, call 1");
	cancel_finish(&cancel);
}

/* The first put succeeds, its answer is lost; the second meets what the first made. */
static void an_own_object_is_recognised(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_faulty("put:1:timeout"), 60000, &timing);

	assert_int_equal(put(s, "own", "mine", true), 0);
	assert_int_equal(world->wait_count, 1);
	expect(s, "own", "mine");
	assert_int_equal(put(s, "own", "mine", true), STORE_EXISTS); /* nothing failed: it was there before */
}

static void anothers_object_is_not_taken_for_ours(void **state)
{
	static const char *const texts[] = {"mime", "mine too", "min", ""};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		_cleanup(store) struct store *s = retry_new(new_faulty("put:2:unavailable"), 60000, &timing);

		assert_int_equal(put(s, "other", texts[i], false), 0);
		assert_int_equal(put(s, "other", "mine", true), STORE_EXISTS);
		expect(s, "other", texts[i]);
	}
}

static void a_large_object_is_not_compared(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_faulty("put:1:timeout,get:1+:eio"), 60000, &timing);
	_cleanup(free) char *data = mem_alloc(((size_t)1 << 20) + 1);
	const struct store_put_options absent = {.only_if_absent = true};

	assert_int_equal(store_put_bytes(s, NULL, "large", data, ((size_t)1 << 20) + 1, &absent, NULL),
	                 STORE_EXISTS);
}

static void an_object_that_cannot_be_compared_is_an_error(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_faulty("put:1:timeout,get:1+:eio"), 60000, &timing);
	struct error err = {0};

	assert_int_equal(
	        store_put_bytes(s, NULL, "k", "mine", 4, &(struct store_put_options){true, NULL}, &err),
	        -EIO);
	assert_true(str_starts(err.message, "cannot tell whether k was written by us: "));
}

static int complete_one(struct store *s, const char *key)
{
	_cleanup(store_upload) struct store_upload *up = NULL;
	struct store_part part;

	assert_int_equal(store_upload_begin(s, NULL, key, &up, NULL), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &(struct iovec){"part", 4}, 1, &part, NULL), 0);
	return store_upload_complete(up, NULL, &part, 1, NULL);
}

static void an_own_completion_is_recognised(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_faulty("complete:1:timeout"), 60000, &timing);

	assert_int_equal(complete_one(s, "up"), 0);
	expect(s, "up", "part");
}

static void a_lost_upload_is_not_taken_for_completed(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_faulty("complete:1:unavailable"), 60000, &timing);
	_cleanup(store_upload) struct store_upload *up = NULL;
	struct store_part part;

	assert_int_equal(put(s, "up", "older and longer", false), 0);
	assert_int_equal(store_upload_begin(s, NULL, "up", &up, NULL), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &(struct iovec){"part", 4}, 1, &part, NULL), 0);
	assert_int_equal(store_upload_abort(s, NULL, "up", store_upload_id(up), NULL), 0);
	assert_int_equal(store_upload_complete(up, NULL, &part, 1, NULL), -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(waits_double_up_to_a_bound),
	        TEST(waits_are_random_from_nothing),
	        TEST(waits_for_what_the_server_asked),
	        TEST(what_is_not_to_be_retried_is_passed_on),
	        TEST(gives_up_at_its_deadline),
	        TEST(gives_up_at_once_when_the_server_asks_for_more_time),
	        TEST(gives_up_at_the_callers_deadline),
	        TEST(a_late_try_keeps_the_earlier_words),
	        TEST(waiting_can_be_cancelled),
	        TEST(an_own_object_is_recognised),
	        TEST(anothers_object_is_not_taken_for_ours),
	        TEST(a_large_object_is_not_compared),
	        TEST(an_object_that_cannot_be_compared_is_an_error),
	        TEST(an_own_completion_is_recognised),
	        TEST(a_lost_upload_is_not_taken_for_completed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
