// SPDX-License-Identifier: Apache-2.0
/* What is tried again, when, and for how long. The clock moves only when the wrapper waits. */
#include "../../src/store/wrap/retry.h"
#include "store_test.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/str.h>

#include <errno.h>

#define MOST_WAITS 64
#define MOST_GETS  16

/* One answer: @bytes of @object come, then @result. */
struct get_step {
	const char *object, *etag;
	size_t bytes;
	int result;
	bool final; /* no `retry` in the error */
	int64_t retry_after_ms, takes_ms;
	bool forgets; /* after the failure it does not say what came */
};

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
	int64_t deadline_ms; /* that the last call was given */
	int then;            /* what the calls after that return */
	/* The store whose get breaks off. */
	const struct get_step *steps; /* one for each get */
	size_t gets, get_count;
	char asked[MOST_GETS][64]; /* "offset+bytes if_match", of each get */
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
	world->deadline_ms = call->deadline_ms;
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

/* As [store] retry_deadline = 0 wants it: no deadline at all, not one that has passed. */
static void without_a_deadline_there_is_one_try(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 0, &timing);
	struct store_object object;
	struct error err = {0};

	assert_int_equal(store_head(s, NULL, "k", &object, &err), 0);
	assert_int_equal(world->deadline_ms, 0);
	world->failures = UINT32_MAX;
	assert_int_equal(store_head(s, NULL, "k", &object, &err), -EAGAIN);
	assert_int_equal(world->heads, 2);
	assert_int_equal(world->wait_count, 0);
	assert_string_equal(err.message, "SlowDown, call 2");
}

static void one_try_has_the_callers_deadline(void **state)
{
	_cleanup(store) struct store *s = retry_new(new_flaky(), 0, &timing);
	struct store_call call = {.deadline_ms = world->now_ms + 60000};
	struct store_object object;

	assert_int_equal(store_head(s, &call, "k", &object, NULL), 0);
	assert_int_equal(world->deadline_ms, call.deadline_ms);
}

static void one_try_is_enough_for_a_real_store(void **state)
{
	_cleanup(store) struct store *s = store_retry_new(new_faulty("put:3:unavailable"), 0);
	struct error err = {0};

	assert_int_equal(put(s, "k", "one", false), 0);
	expect(s, "k", "one");
	assert_int_equal(put(s, "k", "two", true), STORE_EXISTS);
	assert_int_equal(store_put_bytes(s, NULL, "k", "three", 5, NULL, &err), -EAGAIN);
	assert_string_equal(err.message, "put of k: the store is unavailable (a rehearsed fault)");
	expect(s, "k", "one");
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

static int breaking_get(struct store *s, const struct store_call *call, const char *key, uint64_t offset,
                        const struct iovec *iov, int count, const struct store_get_options *options,
                        struct error *err)
{
	const struct get_step *step = &world->steps[world->gets];
	uint64_t want = iov_bytes(iov, count), at = 0;

	assert_true(world->gets < world->get_count);
	world->now_ms += step->takes_ms;
	assert_non_null(options->ret_filled);
	assert_string_equal(options->ret_etag, "");
	assert_int_equal(*options->ret_filled, 0);
	snprintf(world->asked[world->gets++], sizeof(world->asked[0]), "%llu+%llu %s",
	         (unsigned long long)offset, (unsigned long long)want,
	         options->if_match ? options->if_match : "-");
	for (int i = 0; i < count; i++) {
		for (size_t j = 0; j < iov[i].iov_len; j++, at++)
			((char *)iov[i].iov_base)[j] = at < step->bytes ? step->object[offset + at] : '?';
	}
	if (step->bytes && !step->forgets)
		store_get_tell(options, step->etag, step->bytes);
	/* Not always all of it: what is told of is never more than what came. */
	if (options->arrived && *step->etag) {
		options->arrived(options->arrived_arg, step->bytes / 2, step->etag);
		options->arrived(options->arrived_arg, step->bytes - step->bytes % 2, step->etag);
	}
	if (step->result < 0) {
		error_set(err, ERROR_UNAVAILABLE, -step->result, "broken off by %d", step->result);
		err->retry = !step->final;
		err->retry_after_ms = step->retry_after_ms;
	}
	return step->result;
}

static struct store *new_breaking(const struct get_step *steps, size_t count)
{
	static const struct store_ops ops = {.get = breaking_get, .free = flaky_free};
	struct store *s = mem_alloc(sizeof(*s));

	*s = (struct store){&ops, mem_strdup("breaking:")};
	world->steps = steps;
	world->get_count = count;
	return retry_new(s, 60000, &timing);
}

#define OLD "0123456789"
#define NEW "abcdefghij"

struct get {
	char told[64]; /* what arrived, in its order: "bytes@etag " */
	char bytes[9];
	char etag[STORE_ETAG_BYTES];
	uint64_t filled;
	struct error err;
	int result;
};

/* Eight bytes from the second on, into several buffers. */
static struct get get_eight(struct store *s, const char *if_match)
{
	struct get g = {0};
	const struct iovec iov[] = {{g.bytes, 3}, {g.bytes + 3, 0}, {g.bytes + 3, 1}, {g.bytes + 4, 4}};
	const struct store_get_options options = {
	        .if_match = if_match, .ret_etag = g.etag, .ret_filled = &g.filled};

	g.result = store_get(s, NULL, "k", 1, iov, 4, &options, &g.err);
	return g;
}

#define BEGIN(s, ...)                                                                                        \
	static const struct get_step steps_[] = {__VA_ARGS__};                                               \
	_cleanup(store) struct store *s = new_breaking(steps_, ARRAY_SIZE(steps_))

static void expect_whole(const struct get *g, const char *object, const char *etag)
{
	assert_int_equal(g->result, 0);
	assert_memory_equal(g->bytes, object + 1, 8);
	assert_string_equal(g->etag, etag);
	assert_int_equal(g->filled, 8);
	assert_int_equal(world->gets, world->get_count);
}

static void a_get_goes_on_where_it_broke_off(void **state)
{
	BEGIN(s, {OLD, "e", 2, -ECONNRESET}, {OLD, "e", 0, -ETIMEDOUT}, {OLD, "e", 5, -ECONNRESET},
	      {OLD, "e", 1, 0});
	struct get g = get_eight(s, NULL);

	expect_whole(&g, OLD, "e");
	assert_string_equal(world->asked[0], "1+8 -");
	assert_string_equal(world->asked[1], "3+6 e");
	assert_string_equal(world->asked[2], "3+6 e");
	assert_string_equal(world->asked[3], "8+1 e");
}

static void a_get_goes_on_with_the_callers_etag(void **state)
{
	BEGIN(s, {OLD, "", 4, -ECONNRESET}, {OLD, "", 4, 0}); /* the server says none itself */
	struct get g = get_eight(s, "mine");

	expect_whole(&g, OLD, "mine");
	assert_string_equal(world->asked[0], "1+8 mine");
	assert_string_equal(world->asked[1], "5+4 mine");
}

static void what_broke_off_behind_the_last_byte_is_whole(void **state)
{
	BEGIN(s, {OLD, "e", 8, -ECONNRESET});
	struct get g = get_eight(s, NULL);

	expect_whole(&g, OLD, "e");
}

/* Another object in mid-get: its bytes must not follow those of the first. */
static void a_get_of_a_replaced_object_begins_again(void **state)
{
	BEGIN(s, {OLD, "e", 4, -ECONNRESET}, {NEW, "n", 0, -ESTALE, true}, {NEW, "n", 3, -ECONNRESET},
	      {NEW, "n", 5, 0});
	struct get g = get_eight(s, NULL);

	expect_whole(&g, NEW, "n");
	assert_string_equal(world->asked[1], "5+4 e");
	assert_string_equal(world->asked[2], "1+8 -");
	assert_string_equal(world->asked[3], "4+5 n");
}

/* By a shorter one, at a server that looks at the range first. */
static void a_get_past_the_end_of_a_replaced_object_begins_again(void **state)
{
	BEGIN(s, {OLD, "e", 4, -ECONNRESET}, {"ab", "n", 0, -ERANGE, true}, {"ab", "n", 0, -ERANGE, true});
	struct get g = get_eight(s, NULL);

	assert_int_equal(g.result, -ERANGE);
	assert_int_equal(g.filled, 0);
	assert_string_equal(g.etag, "");
	assert_string_equal(world->asked[2], "1+8 -");
}

static void a_replaced_object_is_the_business_of_who_named_it(void **state)
{
	BEGIN(s, {OLD, "e", 4, -ECONNRESET}, {NEW, "n", 0, -ESTALE, true});
	struct get g = get_eight(s, "e");

	assert_int_equal(g.result, -ESTALE);
	assert_int_equal(g.filled, 4);
	assert_string_equal(g.etag, "e");
	assert_memory_equal(g.bytes, OLD + 1, 4);
}

static void without_an_etag_a_get_begins_again(void **state)
{
	BEGIN(s, {OLD, "", 4, -ECONNRESET}, {NEW, "", 7, -ECONNRESET}, {NEW, "", 8, 0});
	struct get g = get_eight(s, NULL);

	expect_whole(&g, NEW, "");
	assert_string_equal(world->asked[1], "1+8 -");
	assert_string_equal(world->asked[2], "1+8 -");
}

static void on_arrived(void *arg, uint64_t filled, const char *etag)
{
	struct get *g = arg;
	size_t len = strlen(g->told);

	snprintf(g->told + len, sizeof(g->told) - len, "%.*s@%s ", (int)filled, g->bytes, etag);
}

/* The same as get_eight(), told of what arrives. */
static void get_eight_as_it_arrives(struct store *s, const char *if_match, struct get *g)
{
	const struct iovec iov = {g->bytes, 8};
	const struct store_get_options options = {.if_match = if_match,
	                                          .ret_etag = g->etag,
	                                          .ret_filled = &g->filled,
	                                          .arrived = on_arrived,
	                                          .arrived_arg = g};

	*g = (struct get){0};
	g->result = store_get(s, NULL, "k", 1, &iov, 1, &options, &g->err);
}

static void what_arrives_is_told_over_all_tries(void **state)
{
	BEGIN(s, {OLD, "e", 2, -ECONNRESET}, {OLD, "e", 0, -ETIMEDOUT}, {OLD, "e", 6, 0});
	struct get g;

	get_eight_as_it_arrives(s, NULL, &g);
	expect_whole(&g, OLD, "e");
	assert_string_equal(g.told, "1@e 12@e 12@e 12@e 12345@e 12345678@e ");
}

/* Somebody has the first bytes already: they are not written again, whatever the last try said of them. */
static void what_was_told_of_is_kept(void **state)
{
	BEGIN(s, {OLD, "e", 4, -ECONNRESET, .forgets = true}, {OLD, "e", 4, 0});
	struct get g;

	get_eight_as_it_arrives(s, NULL, &g);
	expect_whole(&g, OLD, "e");
	assert_string_equal(world->asked[1], "5+4 e");
}

static void a_get_that_has_told_does_not_begin_again(void **state)
{
	BEGIN(s, {OLD, "e", 4, -ECONNRESET}, {NEW, "n", 0, -ESTALE, true});
	struct get g;

	get_eight_as_it_arrives(s, NULL, &g);
	assert_int_equal(g.result, -ESTALE);
	assert_memory_equal(g.bytes, OLD + 1, 4);
	assert_int_equal(world->gets, 2);
}

static void without_an_etag_nothing_is_told(void **state)
{
	BEGIN(s, {OLD, "", 4, -ECONNRESET}, {NEW, "", 8, 0});
	struct get g;

	get_eight_as_it_arrives(s, NULL, &g);
	expect_whole(&g, NEW, "");
	assert_string_equal(g.told, "");
}

static void bytes_end_the_doubling_of_waits(void **state)
{
	static const int64_t expected[] = {100, 200, 100, 200, 100, 7000};
	BEGIN(s, {OLD, "e", 0, -ETIMEDOUT}, {OLD, "e", 0, -ETIMEDOUT}, {OLD, "e", 1, -ETIMEDOUT},
	      {OLD, "e", 0, -ETIMEDOUT}, {OLD, "e", 1, -ETIMEDOUT}, {OLD, "e", 1, -EAGAIN, false, 7000},
	      {OLD, "e", 5, 0});
	struct get g = get_eight(s, NULL);

	expect_whole(&g, OLD, "e");
	assert_int_equal(world->wait_count, ARRAY_SIZE(expected));
	assert_memory_equal(world->waits, expected, sizeof(expected));
}

/* One byte at each try, and yet no longer than allowed. */
static void bytes_move_no_deadline(void **state)
{
	BEGIN(s, {OLD, "e", 1, -ETIMEDOUT, false, 25000}, {OLD, "e", 1, -ETIMEDOUT, false, 25000},
	      {OLD, "e", 1, -ETIMEDOUT, false, 25000});
	int64_t began_ms = world->now_ms;
	struct get g = get_eight(s, NULL);

	assert_int_equal(g.result, -ETIMEDOUT);
	assert_int_equal(world->gets, 3);
	assert_true(world->now_ms - began_ms < 60000);
	assert_int_equal(g.filled, 3);
	assert_string_equal(g.etag, "e");
	assert_memory_equal(g.bytes, OLD + 1, 3);
	assert_string_equal(g.err.message, "gave up after 3 tries in 50.0 s: broken off by -110");
}

/* A transfer that its deadline ended says `retry`, like every timeout. */
static void a_transfer_that_the_deadline_ended_keeps_the_earlier_words(void **state)
{
	BEGIN(s, {OLD, "e", 1, -EAGAIN, false, 40000}, {OLD, "e", 1, -ETIMEDOUT, false, 0, 30000});
	struct get g = get_eight(s, NULL);

	assert_int_equal(g.result, -EAGAIN);
	assert_string_equal(g.err.message, "gave up after 2 tries in 70.0 s: broken off by -11");
	assert_int_equal(g.filled, 2);
}

static void a_get_goes_on_over_a_real_store(void **state)
{
	_cleanup(store) struct store *s =
	        retry_new(new_faulty("get:1:timeout,get:2:unavailable,get:3:timeout"), 60000, &timing);
	struct get g;

	assert_int_equal(put(s, "k", OLD, false), 0);
	g = get_eight(s, NULL);
	assert_int_equal(g.result, 0);
	assert_memory_equal(g.bytes, OLD + 1, 8);
	assert_string_not_equal(g.etag, "");
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
	        TEST(without_a_deadline_there_is_one_try),
	        TEST(one_try_has_the_callers_deadline),
	        TEST(one_try_is_enough_for_a_real_store),
	        TEST(a_late_try_keeps_the_earlier_words),
	        TEST(waiting_can_be_cancelled),
	        TEST(an_own_object_is_recognised),
	        TEST(anothers_object_is_not_taken_for_ours),
	        TEST(a_large_object_is_not_compared),
	        TEST(an_object_that_cannot_be_compared_is_an_error),
	        TEST(an_own_completion_is_recognised),
	        TEST(a_lost_upload_is_not_taken_for_completed),
	        TEST(a_get_goes_on_where_it_broke_off),
	        TEST(a_get_goes_on_with_the_callers_etag),
	        TEST(what_broke_off_behind_the_last_byte_is_whole),
	        TEST(a_get_of_a_replaced_object_begins_again),
	        TEST(a_get_past_the_end_of_a_replaced_object_begins_again),
	        TEST(a_replaced_object_is_the_business_of_who_named_it),
	        TEST(without_an_etag_a_get_begins_again),
	        TEST(what_arrives_is_told_over_all_tries),
	        TEST(what_was_told_of_is_kept),
	        TEST(a_get_that_has_told_does_not_begin_again),
	        TEST(without_an_etag_nothing_is_told),
	        TEST(bytes_end_the_doubling_of_waits),
	        TEST(bytes_move_no_deadline),
	        TEST(a_transfer_that_the_deadline_ended_keeps_the_earlier_words),
	        TEST(a_get_goes_on_over_a_real_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
