// SPDX-License-Identifier: Apache-2.0
/* URLs for others: what somebody can do with one who knows nothing else of the store. */
#include "suite.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/net.h>

#define TEXT         "bytes for somebody else"
#define TTL_MS       (INT64_C(10) * 60 * 1000)
#define A_WEEK_MS    (INT64_C(7) * 24 * 3600 * 1000)
#define EXPIRY_MS    60000 /* a URL of one second is refused before that */
#define HTTP_OK      200
#define HTTP_PART    206
#define HTTP_DENIED  403
#define HTTP_MISSING 404

/* As curl would: the URL, perhaps a range, no credentials. Returns the status; the body in *@ret_body
 * (heap). */
static int http(const char *method, const char *url, const char *range, char **ret_body)
{
	const struct net_header headers[] = {{"Range", range}};
	_cleanup(net_response) struct net_response answer = {0};
	struct net_request request = {.method = method,
	                              .url = url,
	                              .headers = headers,
	                              .header_count = range ? 1 : 0,
	                              .connect_timeout_ms = 10000,
	                              .stall_timeout_ms = 30000,
	                              .deadline_ms = clock_mono_ms() + 60000};
	struct iovec body = {(void *)"overwritten", strlen("overwritten")};
	struct net *net = NULL;

	if (str_equal(method, "PUT")) {
		request.body = &body;
		request.body_count = 1;
	}
	assert_ok(net_new(&(struct net_options){.max_connections = 1}, &net, &err));
	assert_ok(net_perform(net, &request, &answer, &err));
	net_free(net);
	if (ret_body)
		*ret_body = str_take(&answer.text);
	return answer.status;
}

static char *presigned(struct suite *t, const char *key, int64_t ttl_ms)
{
	struct str url = {0};

	assert_ok(store_presign(t->store, key, ttl_ms, &url, &err));
	return str_take(&url);
}

static void the_url_gives_the_bytes(void **state)
{
	static const char *const names[] = {"20261120T020000Z.dump", "a b/c=d&e?f#g%h+i'j;k/\xc3\xa4~"};
	struct suite *t = *state;

	for (size_t i = 0; t->remote && i < ARRAY_SIZE(names); i++) {
		_cleanup(free) char *url = NULL, *whole = NULL, *part = NULL;
		char key[STORE_KEY_BYTES];

		suite_put(t, suite_key(t, key, names[i]), TEXT);
		url = presigned(t, key, TTL_MS);
		assert_int_equal(http("GET", url, NULL, &whole), HTTP_OK);
		assert_string_equal(whole, TEXT);
		assert_int_equal(http("GET", url, "bytes=6-8", &part), HTTP_PART);
		assert_string_equal(part, "for");
	}
}

static void the_url_is_for_reading_that_object_only(void **state)
{
	struct suite *t = *state;
	_cleanup(free) char *url = NULL, *absent = NULL, *other = NULL;
	char key[STORE_KEY_BYTES], *name;

	if (!t->remote)
		return;
	suite_put(t, suite_key(t, key, "one"), TEXT);
	url = presigned(t, key, TTL_MS);
	assert_int_equal(http("PUT", url, NULL, NULL), HTTP_DENIED);
	assert_int_equal(http("DELETE", url, NULL, NULL), HTTP_DENIED);
	suite_expect(t, key, TEXT, strlen(TEXT));
	suite_put(t, suite_key(t, key, "two"), TEXT);
	other = mem_strdup(url);
	name = strstr(other, "/one?");
	assert_non_null(name);
	memcpy(name, "/two?", strlen("/two?"));
	assert_int_equal(http("GET", other, NULL, NULL), HTTP_DENIED);
	/* No request is made, so nobody notices that there is nothing. */
	absent = presigned(t, suite_key(t, key, "absent"), TTL_MS);
	assert_int_equal(http("GET", absent, NULL, NULL), HTTP_MISSING);
}

static void the_url_ends(void **state)
{
	struct suite *t = *state;
	_cleanup(free) char *url = NULL;
	char key[STORE_KEY_BYTES];
	int64_t give_up_ms = clock_mono_ms() + EXPIRY_MS;
	int status = 0;

	if (!t->remote)
		return;
	suite_put(t, suite_key(t, key, "o"), TEXT);
	url = presigned(t, key, 1999);
	assert_non_null(strstr(url, "&X-Amz-Expires=1&"));
	while (status != HTTP_DENIED && clock_mono_ms() < give_up_ms)
		status = http("GET", url, NULL, NULL);
	assert_int_equal(status, HTTP_DENIED);
}

static void limits(void **state)
{
	struct suite *t = *state;
	_cleanup(free) char *week = NULL;
	_cleanup(str) struct str url = {0};
	char key[STORE_KEY_BYTES];

	suite_key(t, key, "o");
	assert_fails(EINVAL, ERROR_USAGE, store_presign(t->store, key, 999, &url, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_presign(t->store, key, -TTL_MS, &url, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_presign(t->store, key, A_WEEK_MS + 1, &url, &err));
	assert_fails(EINVAL, ERROR_USAGE, store_presign(t->store, "a//b", TTL_MS, &url, &err));
	if (t->remote) {
		suite_put(t, key, TEXT);
		week = presigned(t, key, A_WEEK_MS);
		assert_int_equal(http("GET", week, NULL, NULL), HTTP_OK);
	} else {
		assert_fails(ENOTSUP, ERROR_USAGE, store_presign(t->store, key, TTL_MS, &url, &err));
	}
	assert_int_equal(url.len, 0);
}

const struct CMUnitTest presign_cases[] = {
        CASE(the_url_gives_the_bytes),
        CASE(the_url_is_for_reading_that_object_only),
        CASE(the_url_ends),
        CASE(limits),
};
const size_t presign_case_count = ARRAY_SIZE(presign_cases);
