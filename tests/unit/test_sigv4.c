// SPDX-License-Identifier: Apache-2.0
/* The signer against the examples that AWS publishes: sig-v4-header-based-auth.html,
 * sigv4-query-string-auth.html. */
#include <keepfs/codec/sigv4.h>

#include <keepfs/base/clock.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <cmocka.h>

#define AT_US      (INT64_C(1369353600) * US_PER_S) /* 2013-05-24T00:00:00Z */
#define EMPTY_HASH "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
#define HOST                                                                                                 \
	{                                                                                                    \
		"Host", "examplebucket.s3.amazonaws.com"                                                     \
	}
#define DATE                                                                                                 \
	{                                                                                                    \
		"x-amz-date", "20130524T000000Z"                                                             \
	}
#define SCOPE "AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request"

static const struct sigv4_credentials example = {
        .access_key = "AKIAIOSFODNN7EXAMPLE",
        .secret_key = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        .region = "us-east-1",
        .service = "s3",
};

static void check(const struct sigv4_request *req, const char *names, const char *signature)
{
	_cleanup(str) struct str want = {0};
	struct sigv4_key key = {0}, yesterdays = {0};
	const struct sigv4_key *const keys[] = {NULL, &key, &yesterdays};

	str_appendf(&want, "AWS4-HMAC-SHA256 Credential=" SCOPE ",SignedHeaders=%s,Signature=%s", names,
	            signature);
	sigv4_key_init(&key, &example, AT_US + 1);
	sigv4_key_init(&yesterdays, &example, AT_US - 1);
	for (int i = 0; i < 3; i++) {
		_cleanup(str) struct str got = {0};
		struct sigv4_credentials cred = example;

		cred.key = keys[i];
		sigv4_authorization(req, &cred, AT_US, &got);
		assert_string_equal(str_text(&got), str_text(&want));
	}
}

/* It is made anew for another day, and only then. */
static void test_key(void **state)
{
	struct sigv4_credentials other = example;
	struct sigv4_key key = {0}, first;

	sigv4_key_init(&key, &example, AT_US);
	assert_string_equal(key.date, "20130524");
	first = key;
	other.secret_key = "another";
	sigv4_key_init(&key, &other, AT_US + INT64_C(86399) * US_PER_S);
	assert_memory_equal(key.bytes, first.bytes, sizeof(key.bytes));
	sigv4_key_init(&key, &example, AT_US + INT64_C(86400) * US_PER_S);
	assert_string_equal(key.date, "20130525");
	assert_memory_not_equal(key.bytes, first.bytes, sizeof(key.bytes));
}

static void test_get_object(void **state)
{
	const struct sigv4_pair headers[] = {
	        HOST, {"Range", "bytes=0-9"}, {"x-amz-content-sha256", EMPTY_HASH}, DATE};
	const struct sigv4_request req = {.method = "GET",
	                                  .path = "/test.txt",
	                                  .headers = headers,
	                                  .header_count = 4,
	                                  .payload_sha256 = EMPTY_HASH};

	check(&req, "host;range;x-amz-content-sha256;x-amz-date",
	      "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41");
}

static void test_put_object(void **state)
{
	const char *hash = "44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072";
	/* In another order than the signed one, with blanks that must not count. */
	const struct sigv4_pair headers[] = {{"x-amz-storage-class", "  REDUCED_REDUNDANCY "},
	                                     {"Date", "Fri, 24 May   2013 00:00:00 GMT"},
	                                     DATE,
	                                     {"X-Amz-Content-SHA256", hash},
	                                     HOST};
	const struct sigv4_request req = {.method = "PUT",
	                                  .path = "/test$file.text",
	                                  .headers = headers,
	                                  .header_count = 5,
	                                  .payload_sha256 = hash};

	check(&req, "date;host;x-amz-content-sha256;x-amz-date;x-amz-storage-class",
	      "98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd");
}

static void test_get_lifecycle(void **state)
{
	const struct sigv4_pair headers[] = {HOST, {"x-amz-content-sha256", EMPTY_HASH}, DATE};
	const struct sigv4_pair query[] = {{"lifecycle", ""}};
	const struct sigv4_request req = {.method = "GET",
	                                  .path = "/",
	                                  .query = query,
	                                  .query_count = 1,
	                                  .headers = headers,
	                                  .header_count = 3,
	                                  .payload_sha256 = EMPTY_HASH};

	check(&req, "host;x-amz-content-sha256;x-amz-date",
	      "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543");
}

static void test_list_objects(void **state)
{
	const struct sigv4_pair headers[] = {HOST, {"x-amz-content-sha256", EMPTY_HASH}, DATE};
	const struct sigv4_pair query[] = {{"prefix", "J"}, {"max-keys", "2"}};
	const struct sigv4_request req = {.method = "GET",
	                                  .path = "/",
	                                  .query = query,
	                                  .query_count = 2,
	                                  .headers = headers,
	                                  .header_count = 3,
	                                  .payload_sha256 = EMPTY_HASH};

	check(&req, "host;x-amz-content-sha256;x-amz-date",
	      "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7");
}

#define PRESIGNED_PREFIX                                                                                     \
	"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%"     \
	"2Fs3%2F"                                                                                            \
	"aws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&"

static void test_presigned(void **state)
{
	const struct sigv4_pair headers[] = {HOST};
	const struct sigv4_request req = {.method = "GET",
	                                  .path = "/test.txt",
	                                  .headers = headers,
	                                  .header_count = 1,
	                                  .payload_sha256 = SIGV4_UNSIGNED_PAYLOAD};
	_cleanup(str) struct str got = {0};

	sigv4_presign_query(&req, &example, AT_US, 86400, &got);
	assert_string_equal(str_text(&got), PRESIGNED_PREFIX
	                    "X-Amz-SignedHeaders=host&X-Amz-Signature="
	                    "aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404");
}

static void test_presigned_with_token(void **state)
{
	const struct sigv4_pair headers[] = {HOST};
	const struct sigv4_request req = {.method = "GET",
	                                  .path = "/",
	                                  .headers = headers,
	                                  .header_count = 1,
	                                  .payload_sha256 = SIGV4_UNSIGNED_PAYLOAD};
	struct sigv4_credentials cred = example;
	_cleanup(str) struct str got = {0};

	cred.session_token = "a/b+c=";
	sigv4_presign_query(&req, &cred, AT_US, 86400, &got);
	assert_true(
	        str_starts(str_text(&got), PRESIGNED_PREFIX
	                   "X-Amz-Security-Token=a%2Fb%2Bc%3D&X-Amz-SignedHeaders=host&X-Amz-Signature="));
}

static void test_uri_encode(void **state)
{
	_cleanup(str) struct str out = {0};

	sigv4_uri_encode("/a b/~.-_/\xc3\xa4+%*", 1, &out);
	assert_string_equal(str_text(&out), "/a%20b/~.-_/%C3%A4%2B%25%2A");
	str_clear(&out);
	sigv4_uri_encode("a/b", 0, &out);
	assert_string_equal(str_text(&out), "a%2Fb");
}

static void test_query_order(void **state)
{
	const struct sigv4_pair query[] = {
	        {"prefix", "x&y="}, {"a", "2"}, {"Z", ""}, {"a", "1"}, {"a-b", "0"}};
	_cleanup(str) struct str out = {0};

	sigv4_query(query, 5, &out);
	assert_string_equal(str_text(&out), "Z=&a=1&a=2&a-b=0&prefix=x%26y%3D");
	str_clear(&out);
	sigv4_query(NULL, 0, &out);
	assert_string_equal(str_text(&out), "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_key),
	        cmocka_unit_test(test_get_object),
	        cmocka_unit_test(test_put_object),
	        cmocka_unit_test(test_get_lifecycle),
	        cmocka_unit_test(test_list_objects),
	        cmocka_unit_test(test_presigned),
	        cmocka_unit_test(test_presigned_with_token),
	        cmocka_unit_test(test_uri_encode),
	        cmocka_unit_test(test_query_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
