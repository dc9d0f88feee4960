// SPDX-License-Identifier: Apache-2.0
/* If-Match on a put, and If-None-Match on a get, by what servers make of them. */
#include "s3_test.h"

#define MADE(etag)  "200 OK\r\nContent-Length: 0\r\nETag: \"" etag "\"\r\n\r\n"
#define FOUND(etag) "200 OK\r\nContent-Length: 4\r\nETag: \"" etag "\"\r\n\r\n"
#define FAILED      "412 Precondition Failed\r\n\r\n" ERROR_XML("PreconditionFailed", "")
#define DELETED     "204 No Content\r\n\r\n"
#define PROBE_WORKS MADE("probe"), FAILED, MADE("probe"), DELETED

static int put_over(struct world *w, const char *etag)
{
	const struct store_put_options over = {.if_match = etag};

	w->err = (struct error){0};
	return store_put_bytes(w->store, NULL, "state/lease.json", "data", 4, &over, &w->err);
}

static bool matches(struct world *w)
{
	struct store_features features;

	assert_int_equal(store_features(w->store, &features, &w->err), 0);
	return features.atomic_match;
}

/* It is tried once, on an object of our own, and believed then. */
static void a_server_that_keeps_conditions(void **state)
{
	char etag[STORE_ETAG_BYTES] = "?";
	const struct store_put_options over = {.if_match = "one", .ret_etag = etag};
	struct world w;

	world_begin(&w, SCRIPT(PROBE_WORKS, MADE("two"), FAILED, NO_KEY));
	assert_int_equal(store_put_bytes(w.store, NULL, "state/lease.json", "data", 4, &over, &w.err), 0);
	assert_string_equal(etag, "two");
	assert_seen(&w, 0, "PUT /bucket/pre/state/probe-");
	assert_not_seen(&w, 0, "if-match");
	assert_seen(&w, 1, "if-match: \"00000000000000000000000000000000\"");
	assert_seen(&w, 2, "if-match: \"probe\"");
	assert_seen(&w, 3, "DELETE /bucket/pre/state/probe-");
	assert_seen(&w, 4, "if-match: \"one\"");
	assert_int_equal(put_over(&w, "one"), -ESTALE);
	assert_int_equal(w.err.class, ERROR_CONFLICT);
	/* It is gone. */
	assert_int_equal(put_over(&w, "two"), -ESTALE);
	assert_true(matches(&w));
	world_end(&w);
}

/* It overwrites, whatever is asked of it: never again with the header, but after a look. */
static void a_server_that_ignores_conditions(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(MADE("probe"), MADE("probe"), DELETED, FOUND("one"), MADE("two"), FOUND("two"),
	                       HEAD_404, NO_KEY));
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(put_over(&w, "one"), 0);
	log_set_level(LOG_LEVEL_INFO);
	assert_seen(&w, 3, "HEAD /bucket/pre/state/lease.json");
	assert_not_seen(&w, 4, "if-match");
	assert_int_equal(put_over(&w, "one"), -ESTALE);
	assert_int_equal(put_over(&w, "one"), -ESTALE);
	assert_false(matches(&w));
	world_end(&w);
}

/* Ceph: the etag has to come without its quotes. */
static void a_server_that_wants_it_bare(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(MADE("probe"), FAILED, FAILED, MADE("probe"), DELETED, MADE("two"), FAILED));
	assert_int_equal(put_over(&w, "one"), 0);
	assert_seen(&w, 2, "if-match: \"probe\"");
	assert_seen(&w, 3, "if-match: probe\r\n");
	assert_seen(&w, 5, "if-match: one\r\n");
	assert_int_equal(put_over(&w, "one"), -ESTALE);
	assert_true(matches(&w));
	world_end(&w);
}

/* Whatever it is told, it refuses. */
static void a_server_that_takes_none(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(MADE("probe"), FAILED, FAILED, FAILED, DELETED, FOUND("one"), MADE("two")));
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(put_over(&w, "one"), 0);
	log_set_level(LOG_LEVEL_INFO);
	assert_false(matches(&w));
	world_end(&w);
}

static void a_server_that_does_not_know_them(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(MADE("probe"), "501 No\r\n\r\n" ERROR_XML("NotImplemented", ""), DELETED,
	                       FOUND("one"), MADE("two")));
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(put_over(&w, "one"), 0);
	log_set_level(LOG_LEVEL_INFO);
	assert_false(matches(&w));
	world_end(&w);
}

/* Nothing is known then: the next call tries again. */
static void a_probe_that_fails_decides_nothing(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(MADE("probe"), "503 Slow\r\n\r\n" ERROR_XML("SlowDown", ""), DELETED,
	                       PROBE_WORKS, MADE("two")));
	assert_int_equal(put_over(&w, "one"), -EAGAIN);
	assert_true(w.err.retry);
	assert_int_equal(put_over(&w, "one"), 0);
	assert_true(matches(&w));
	world_end(&w);
}

static int get_new(struct world *w, const char *known, char *got, uint64_t *filled)
{
	const struct iovec iov = {got, 16};
	const struct store_get_options options = {
	        .if_none_match = known, .to_the_end = true, .ret_filled = filled};

	return store_get(w->store, NULL, "state/head.json", 0, &iov, 1, &options, &w->err);
}

static void what_is_not_new_is_one_request(void **state)
{
	uint64_t filled = 7;
	char got[16];
	struct world w;

	world_begin(
	        &w,
	        SCRIPT("304 Not Modified\r\nETag: \"one\"\r\n\r\n",
	               /* It ignores the condition, and sends what we have. */
	               "206 Partial\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\nETag: \"one\"\r\n\r\nsame",
	               "206 Partial\r\nContent-Range: bytes 0-3/4\r\nContent-Length: 4\r\nETag: \"two\"\r\n\r\nnew!",
	               "200 OK\r\nContent-Length: 5\r\nETag: \"three\"\r\n\r\nwhole",
	               "206 Partial\r\nContent-Range: bytes 0-3/9\r\nContent-Length: 4\r\nETag: \"four\"\r\n\r\npart"));
	assert_int_equal(get_new(&w, "one", got, &filled), STORE_NOT_CHANGED);
	assert_int_equal(filled, 0);
	assert_seen(&w, 0, "if-none-match: \"one\"");
	assert_int_equal(get_new(&w, "one", got, &filled), STORE_NOT_CHANGED);
	assert_int_equal(get_new(&w, "one", got, &filled), 0);
	assert_int_equal(filled, 4);
	assert_memory_equal(got, "new!", 4);
	assert_int_equal(get_new(&w, "two", got, &filled), 0);
	assert_int_equal(filled, 5);
	/* Less than there is is not the end. */
	assert_int_equal(get_new(&w, "three", got, &filled), -EPROTO);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_server_that_keeps_conditions),
	        cmocka_unit_test(a_server_that_ignores_conditions),
	        cmocka_unit_test(a_server_that_wants_it_bare),
	        cmocka_unit_test(a_server_that_takes_none),
	        cmocka_unit_test(a_server_that_does_not_know_them),
	        cmocka_unit_test(a_probe_that_fails_decides_nothing),
	        cmocka_unit_test(what_is_not_new_is_one_request),
	};

	return cmocka_run_group_tests_name("s3_match", tests, NULL, NULL);
}
