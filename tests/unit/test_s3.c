// SPDX-License-Identifier: Apache-2.0
/* The S3 driver: what it asks, and what it makes of the answers. */
#include "s3_test.h"

struct refusal {
	const char *answer;
	int errnum;
	enum error_class class;
	bool retry;
	const char *message; /* a part of it */
};

static const struct refusal refusals[] = {
        {"403 Forbidden\r\n\r\n" ERROR_XML("InvalidAccessKeyId", ""), EACCES, ERROR_DENIED, false,
         "does not know access key AKIA (from "},
        {"403 Forbidden\r\n\r\n" ERROR_XML("SignatureDoesNotMatch", ""), EACCES, ERROR_DENIED, false,
         "secret key does not belong"},
        {"403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", ""), EACCES, ERROR_DENIED, false, "s3:GetObject"},
        {"403 Forbidden\r\n\r\n", EACCES, ERROR_DENIED, false, "(HTTP 403)"},
        {"400 Bad Request\r\n\r\n" ERROR_XML("ExpiredToken", ""), EACCES, ERROR_DENIED, false,
         "session token (from "},
        {"404 Not Found\r\n\r\n" ERROR_XML("NoSuchBucket", ""), ENODEV, ERROR_USAGE, false,
         "keepfs never creates a bucket"},
        {NO_KEY, ENOENT, ERROR_NOT_FOUND, false, "no such object"},
        {"404 Not Found\r\n\r\n<html>nginx</html>", EPROTO, ERROR_USAGE, false,
         "is [store] endpoint an S3 server?"},
        {"400 Bad Request\r\n\r\n" ERROR_XML("AuthorizationHeaderMalformed", "<Region>eu-west-3</Region>"),
         EINVAL, ERROR_USAGE, false, "set [store] region = eu-west-3"},
        {"301 Moved Permanently\r\nx-amz-bucket-region: ap-east-1\r\n\r\n" ERROR_XML(
                 "PermanentRedirect", "<Endpoint>e.example</Endpoint>"),
         EINVAL, ERROR_USAGE, false, "set [store] region = ap-east-1 (endpoint: e.example)"},
        {"403 Forbidden\r\n\r\n" ERROR_XML("RequestTimeTooSkewed",
                                           "<ServerTime>2001-01-01T00:00:00Z</ServerTime>"),
         EACCES, ERROR_DENIED, false, " s ahead of the server's"},
        {"403 Forbidden\r\nDate: Fri, 20 Nov 2093 02:00:00 GMT\r\n\r\n" ERROR_XML("RequestTimeTooSkewed", ""),
         EACCES, ERROR_DENIED, false, " s behind the server's"},
        {"403 Forbidden\r\nDate: yesterday\r\n\r\n" ERROR_XML("RequestTimeTooSkewed", ""), EACCES,
         ERROR_DENIED, false, "clock differs too much"},
        {"503 Slow Down\r\n\r\n" ERROR_XML("SlowDown", ""), EAGAIN, ERROR_UNAVAILABLE, true,
         "HTTP 503 SlowDown: words; request id R1"},
        {"500 Oops\r\n\r\n" ERROR_XML("InternalError", ""), EIO, ERROR_UNAVAILABLE, true,
         "HTTP 500 InternalError"},
        {"502 Bad Gateway\r\n\r\n<html/>", EIO, ERROR_UNAVAILABLE, true, "(HTTP 502)"},
        {"504 Gateway Timeout\r\nx-amz-request-id: R2\r\n\r\n", EIO, ERROR_UNAVAILABLE, true,
         "request id R2"},
        {"429 Too Many Requests\r\n\r\n", EAGAIN, ERROR_UNAVAILABLE, true, "(HTTP 429)"},
        {"400 Bad Request\r\n\r\n" ERROR_XML("RequestTimeout", ""), ETIMEDOUT, ERROR_UNAVAILABLE, true,
         "too slowly"},
        {"409 Conflict\r\n\r\n" ERROR_XML("ConditionalRequestConflict", ""), EBUSY, ERROR_UNAVAILABLE, true,
         "another request"},
        {"400 Bad Request\r\n\r\n" ERROR_XML("XAmzContentSHA256Mismatch", ""), EIO, ERROR_CORRUPT, true,
         "not what was sent"},
        {"403 Forbidden\r\n\r\n" ERROR_XML("QuotaExceeded", ""), ENOSPC, ERROR_NO_SPACE, false, "quota"},
        {"400 Bad Request\r\n\r\n", EINVAL, ERROR_USAGE, false, "does not accept"},
        {"412 Precondition Failed\r\n\r\n", ESTALE, ERROR_CONFLICT, false, "another one now"},
        {"416 Range\r\n\r\n" ERROR_XML("InvalidRange", ""), ERANGE, ERROR_USAGE, false, "ends before"},
        /* No refusals, but no good answers either. */
        {"200 OK\r\nContent-Length: 5\r\n\r\nhello", EPROTO, ERROR_UNAVAILABLE, true,
         "seems to ignore ranges"},
        {"206 Partial\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/10\r\n\r\nhell", EPROTO,
         ERROR_UNAVAILABLE, true, "another range"},
        {"206 Partial\r\nContent-Length: 4\r\n\r\nhell", EPROTO, ERROR_UNAVAILABLE, true, "another range"},
        {"206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 1-4/10\r\n\r\nhe", EPROTO,
         ERROR_UNAVAILABLE, true, "length"},
        {"206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/3\r\n\r\nel", ERANGE, ERROR_USAGE,
         false, "ends at byte 3"},
        /* Fewer bytes say nothing about where the object ends, unless they say it. */
        {"206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/30\r\n\r\nel", EPROTO,
         ERROR_UNAVAILABLE, true, "fewer bytes"},
        {"206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/*\r\n\r\nel", EPROTO,
         ERROR_UNAVAILABLE, true, "fewer bytes"},
        {"206 Partial\r\nContent-Length: 2\r\nContent-Range: bytes 1-4/5\r\n\r\nel", EPROTO,
         ERROR_UNAVAILABLE, true, "length"},
        {"200 OK\r\nContent-Length: 3\r\n\r\nhel", EPROTO, ERROR_UNAVAILABLE, true, "ignores ranges"},
};

static void test_refusals(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		const struct refusal *r = &refusals[i];
		char buf[4];
		struct iovec iov = {buf, sizeof(buf)};
		struct world w;

		world_begin(&w, SCRIPT(r->answer));
		assert_int_equal(store_get(w.store, NULL, "a/b", 1, &iov, 1, NULL, &w.err), -r->errnum);
		if (!strstr(w.err.message, r->message))
			fail_msg("\"%s\" is not in: %s", r->message, w.err.message);
		assert_non_null(strstr(w.err.message, "s3://bucket/pre/a/b"));
		assert_null(strstr(w.err.message, "hush"));
		assert_int_equal(w.err.class, r->class);
		assert_int_equal(w.err.retry, r->retry);
		world_end(&w);
	}
}

#define ETAG "ETag: \"e1\"\r\n"

struct breakage {
	const char *answer;
	const char *if_match;
	uint64_t offset, filled;
	const char *etag; /* what is told; of nothing when nothing came */
};

/* Four bytes from @offset are asked for, and the connection closes too early. */
static const struct breakage breakages[] = {
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nab", NULL, 1, 2, "e1"},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nab", "e1", 1, 2, "e1"},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n\r\nab", NULL, 1, 2, ""},
        /* A weak one names no bytes. */
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\nETag: W/\"e1\"\r\n\r\nab", NULL, 1, 2,
         ""},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\n", NULL, 1, 0, ""},
        /* The object ends before what was asked for, and the connection before that. */
        {"206 x\r\nContent-Length: 3\r\nContent-Range: bytes 1-3/4\r\n" ETAG "\r\nab", NULL, 1, 2, "e1"},
        {"200 OK\r\nContent-Length: 4\r\n" ETAG "\r\nab", NULL, 0, 2, "e1"},
        /* Other bytes than those asked for, or of another object. */
        {"200 OK\r\nContent-Length: 4\r\n" ETAG "\r\nab", NULL, 1, 0, ""},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/9\r\n" ETAG "\r\nab", NULL, 1, 0, ""},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-1/9\r\n" ETAG "\r\nab", NULL, 1, 0, ""},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes\r\n" ETAG "\r\nab", NULL, 1, 0, ""},
        {"206 x\r\nContent-Length: 4\r\n" ETAG "\r\nab", NULL, 1, 0, ""},
        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nab", "e0", 1, 0, ""},
        {"500 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nab", NULL, 1, 0, ""},
};

static void test_what_came_before_a_break(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(breakages); i++) {
		const struct breakage *b = &breakages[i];
		char buf[4], etag[STORE_ETAG_BYTES] = "?";
		uint64_t filled = 77;
		struct iovec iov = {buf, sizeof(buf)};
		struct store_get_options options = {
		        .if_match = b->if_match, .ret_etag = etag, .ret_filled = &filled};
		struct world w;

		world_begin(&w, SCRIPT(b->answer));
		assert_int_equal(store_get(w.store, NULL, "a", b->offset, &iov, 1, &options, &w.err),
		                 -ECONNRESET);
		assert_true(w.err.retry);
		assert_int_equal(filled, b->filled);
		assert_string_equal(etag, b->etag);
		assert_memory_equal(buf, "ab", b->filled);
		world_end(&w);
	}
}

/* An answer that is whole but shorter than what was asked for is a part of it, when it says so. */
static void test_a_short_answer_is_a_part(void **state)
{
	static const struct breakage answers[] = {
	        {"206 x\r\nContent-Length: 2\r\nContent-Range: bytes 1-2/9\r\n" ETAG "\r\nab", NULL, 1, 2,
	         "e1"},
	        {"206 x\r\nContent-Length: 2\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nab", NULL, 1, 0,
	         ""},
	        {"206 x\r\nContent-Length: 2\r\nContent-Range: bytes 0-1/9\r\n" ETAG "\r\nab", NULL, 1, 0,
	         ""},
	        {"200 OK\r\nContent-Length: 2\r\n" ETAG "\r\nab", NULL, 0, 0, ""},
	};

	for (size_t i = 0; i < ARRAY_SIZE(answers); i++) {
		char buf[4], etag[STORE_ETAG_BYTES] = "?";
		uint64_t filled = 77;
		struct iovec iov = {buf, sizeof(buf)};
		struct store_get_options options = {.ret_etag = etag, .ret_filled = &filled};
		struct world w;

		world_begin(&w, SCRIPT(answers[i].answer));
		assert_int_equal(store_get(w.store, NULL, "a", answers[i].offset, &iov, 1, &options, &w.err),
		                 -EPROTO);
		assert_true(w.err.retry);
		assert_int_equal(filled, answers[i].filled);
		assert_string_equal(etag, answers[i].etag);
		world_end(&w);
	}
}

struct arrival {
	const char *answer;
	const char *if_match;
	const char *told; /* the last that is told, "bytes etag" */
	int result;
};

static void on_arrived(void *arg, uint64_t filled, const char *etag)
{
	snprintf(arg, 32, "%llu %s", (unsigned long long)filled, etag);
}

/* What a get tells of while it runs: only bytes that the answer says are the ones. Four from 1 are asked
 * for. */
static void test_arrivals(void **state)
{
	static const struct arrival arrivals[] = {
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nabcd", NULL, "4 e1",
	         0},
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nabcd", "e1", "4 e1",
	         0},
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nab", NULL, "2 e1",
	         -ECONNRESET},
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-3/9\r\n" ETAG "\r\nabcd", NULL, "3 e1",
	         0},
	        /* Another object, at a server that does not know If-Match; nobody knows which; others'
	         * bytes. */
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nabcd", "e0", "",
	         -ESTALE},
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n\r\nabcd", NULL, "", 0},
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\nETag: W/\"e1\"\r\n\r\nabcd",
	         NULL, "", 0},
	        {"206 x\r\nContent-Length: 4\r\nContent-Range: bytes 0-3/9\r\n" ETAG "\r\nabcd", NULL, "",
	         -EPROTO},
	        {"206 x\r\nContent-Length: 4\r\n" ETAG "\r\nabcd", NULL, "", -EPROTO},
	        {"200 OK\r\nContent-Length: 4\r\n" ETAG "\r\nabcd", NULL, "", -EPROTO},
	        {"404 x\r\nContent-Length: 4\r\nContent-Range: bytes 1-4/9\r\n" ETAG "\r\nabcd", NULL, "",
	         -EPROTO},
	};

	for (size_t i = 0; i < ARRAY_SIZE(arrivals); i++) {
		const struct arrival *a = &arrivals[i];
		char buf[4], told[32] = "";
		struct iovec iov = {buf, sizeof(buf)};
		struct store_get_options options = {
		        .if_match = a->if_match, .arrived = on_arrived, .arrived_arg = told};
		struct world w;

		world_begin(&w, SCRIPT(a->answer));
		assert_int_equal(store_get(w.store, NULL, "a", 1, &iov, 1, &options, &w.err), a->result);
		assert_string_equal(told, a->told);
		world_end(&w);
	}
}

static void test_retry_after(void **state)
{
	struct store_call call = {NULL, clock_mono_ms() + 10000};
	struct world w;

	world_begin(&w, SCRIPT("503 x\r\nRetry-After: 7\r\n\r\n",
	                       "503 x\r\nRetry-After: Fri, 20 Nov 2093 02:00:00 GMT\r\n\r\n",
	                       "503 x\r\nRetry-After: soon\r\n\r\n", "503 x\r\nRetry-After: -5\r\n\r\n"));
	assert_int_equal(store_remove(w.store, &call, "a", &w.err), -EIO);
	assert_int_equal(w.err.retry_after_ms, 7000);
	assert_int_equal(w.err.http_status, 503);
	assert_int_equal(store_remove(w.store, &call, "a", &w.err), -EIO);
	assert_int_equal(w.err.retry_after_ms, 86400000);
	assert_int_equal(store_remove(w.store, &call, "a", &w.err), -EIO);
	assert_int_equal(w.err.retry_after_ms, 0);
	assert_int_equal(store_remove(w.store, &call, "a", &w.err), -EIO);
	assert_int_equal(w.err.retry_after_ms, 0);
	world_end(&w);
}

static void test_what_is_sent(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(OK, OK));
	assert_int_equal(store_put_bytes(w.store, NULL, "a/b c", "data", 4, NULL, &w.err), 0);
	assert_seen(&w, 0, "PUT /bucket/pre/a/b%20c HTTP/1.1\r\n");
	assert_seen(&w, 0, "Authorization: AWS4-HMAC-SHA256 Credential=AKIA/");
	assert_seen(&w, 0,
	            "/us-east-1/s3/"
	            "aws4_request,SignedHeaders=content-type;host;x-amz-content-sha256;x-amz-date,");
	assert_seen(
	        &w, 0,
	        "x-amz-content-sha256: 3a6eb0790f39ac87c94f3856b2dd2c5d110e6811602261a9a923d3bb23adc8b7\r\n");
	assert_seen(&w, 0, "\r\n\r\ndata");
	assert_not_seen(&w, 0, "security-token");
	assert_not_seen(&w, 0, "Expect");

	store_free(w.store);
	w.conf.session_token.value = (char *)"token";
	w.conf.sse = CONF_SSE_KMS;
	w.conf.sse_kms_key = (char *)"key-1";
	w.conf.addressing = CONF_ADDRESSING_VIRTUAL;
	snprintf(w.endpoint, sizeof(w.endpoint), "http://localhost:%d/", w.script.port);
	world_open_store(&w);
	log_set_level(LOG_LEVEL_ERROR); /* it warns that the answer confirms no encryption */
	assert_int_equal(store_put_bytes(w.store, NULL, "a", "", 0, NULL, &w.err), 0);
	log_set_level(LOG_LEVEL_INFO);
	assert_seen(&w, 1, "PUT /pre/a HTTP/1.1\r\n");
	assert_seen(&w, 1, "Host: bucket.localhost:");
	assert_seen(&w, 1, "x-amz-security-token: token\r\n");
	assert_seen(&w, 1, "x-amz-server-side-encryption: aws:kms\r\n");
	assert_seen(&w, 1, "x-amz-server-side-encryption-aws-kms-key-id: key-1\r\n");
	world_end(&w);
}

/* A server that knows no conditional writes is asked once; then objects are looked for first. */
static void test_no_conditional_put(void **state)
{
	const struct store_put_options absent = {.only_if_absent = true};
	struct store_features features;
	struct world w;

	world_begin(&w, SCRIPT("501 No\r\n\r\n" ERROR_XML("NotImplemented", ""), HEAD_404, NO_KEY, OK,
	                       "200 OK\r\nContent-Length: 4\r\nETag: \"e\"\r\n\r\n"));
	log_set_level(LOG_LEVEL_ERROR);
	assert_int_equal(store_features(w.store, &features, &w.err), 0);
	assert_true(features.atomic_absent);
	assert_int_equal(store_put_bytes(w.store, NULL, "a", "data", 4, &absent, &w.err), 0);
	log_set_level(LOG_LEVEL_INFO);
	assert_seen(&w, 0, "if-none-match: *");
	assert_seen(&w, 1, "HEAD /");
	assert_not_seen(&w, 3, "if-none-match");
	assert_int_equal(store_put_bytes(w.store, NULL, "a", "data", 4, &absent, &w.err), STORE_EXISTS);
	assert_int_equal(store_features(w.store, &features, &w.err), 0);
	assert_false(features.atomic_absent);
	world_end(&w);
}

static void test_conditional_put(void **state)
{
	const struct store_put_options absent = {.only_if_absent = true};
	struct world w;

	world_begin(&w, SCRIPT("412 Precondition Failed\r\n\r\n" ERROR_XML("PreconditionFailed", ""),
	                       "409 Conflict\r\n\r\n" ERROR_XML("ConditionalRequestConflict", "")));
	assert_int_equal(store_put_bytes(w.store, NULL, "a", "data", 4, &absent, &w.err), STORE_EXISTS);
	assert_int_equal(store_put_bytes(w.store, NULL, "a", "data", 4, &absent, &w.err), -EBUSY);
	assert_true(w.err.retry);
	world_end(&w);
}

/* HEAD's answers have no body: why it failed is asked for by a GET. */
static void test_head_asks_why(void **state)
{
	struct store_object object;
	struct world w;

	world_begin(&w, SCRIPT(HEAD_404, "404 Not Found\r\n\r\n" ERROR_XML("NoSuchBucket", ""), HEAD_404,
	                       "206 Partial\r\nContent-Length: 1\r\nContent-Range: bytes 0-0/7\r\n\r\nx",
	                       "200 OK\r\nContent-Length: 7\r\nETag: \"e7\"\r\n\r\n", "200 OK\r\n\r\n"));
	assert_int_equal(store_head(w.store, NULL, "a", &object, &w.err), -ENODEV);
	assert_int_equal(w.err.class, ERROR_USAGE);
	assert_int_equal(store_head(w.store, NULL, "a", &object, &w.err), 0); /* it came to be in between */
	assert_int_equal(object.bytes, 7);
	assert_string_equal(object.etag, "e7");
	assert_int_equal(store_head(w.store, NULL, "a", &object, &w.err), -EPROTO);
	world_end(&w);
}

#define LIST(more)  "200 OK\r\n\r\n<ListBucketResult>" more "</ListBucketResult>"
#define OBJECT(key) "<Contents><Key>" key "</Key><Size>1</Size></Contents>"

static void test_lists(void **state)
{
	struct store_object *objects;
	struct world w;
	size_t count;
	bool more;

	/* Fewer than asked for, none at all, foreign ones: a page is filled all the same. */
	world_begin(&w,
	            SCRIPT(LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>t "
	                        "1</NextContinuationToken>"),
	                   LIST("<IsTruncated>true</IsTruncated><NextContinuationToken>t2</"
	                        "NextContinuationToken>" OBJECT("pre/") OBJECT("pre/a") OBJECT("pre/d//e")),
	                   LIST(OBJECT("pre/f")), LIST(OBJECT("pre/b") OBJECT("pre/a")),
	                   LIST("<IsTruncated>true</IsTruncated>" OBJECT("pre/b"))));
	assert_int_equal(store_list(w.store, NULL, "", "A", 10, &objects, &count, &more, &w.err), 0);
	assert_int_equal(count, 2);
	assert_string_equal(objects[0].key, "a");
	assert_string_equal(objects[1].key, "f");
	assert_false(more);
	free(objects);
	assert_seen(
	        &w, 0,
	        "GET /bucket/?encoding-type=url&list-type=2&max-keys=10&prefix=pre%2F&start-after=pre%2FA "
	        "HTTP");
	assert_seen(&w, 1, "?continuation-token=t%201&");
	assert_seen(&w, 2, "&max-keys=9&");
	assert_int_equal(store_list(w.store, NULL, "", NULL, 10, &objects, &count, &more, &w.err), -EPROTO);
	assert_non_null(strstr(w.err.message, "byte order"));
	assert_int_equal(store_list(w.store, NULL, "", NULL, 10, &objects, &count, &more, &w.err), -EPROTO);
	world_end(&w);
}

/* retry_deadline = 0 is one try without a deadline, not one whose deadline has passed. */
static void test_a_request_needs_no_deadline(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(NO_CONTENT, NO_CONTENT));
	w.conf.retry_deadline_ms = 0;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
	assert_int_equal(store_remove(w.store, &(struct store_call){0}, "k", &w.err), 0);
	world_end(&w);
}

#define DELETED_WITH_MARKER "204 No Content\r\nx-amz-delete-marker: true\r\nx-amz-version-id: m2\r\n\r\n"
#define VERSION(key, id)    "<Version><Key>" key "</Key><VersionId>" id "</VersionId></Version>"
#define MARKER(key, id)     "<DeleteMarker><Key>" key "</Key><VersionId>" id "</VersionId></DeleteMarker>"
#define VERSIONS(entries)                                                                                    \
	"200 OK\r\n\r\n<?xml version=\"1.0\"?><ListVersionsResult><IsTruncated>false</IsTruncated>" entries  \
	"</ListVersionsResult>"

static struct store_features features_of(struct world *w)
{
	struct store_features features = {0};

	assert_int_equal(store_features(w->store, &features, &w->err), 0);
	return features;
}

/* Where none are kept, a deletion is one request; and so it is where they shall stay. */
static void test_versions_stay_unless_told(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(NO_CONTENT, DELETED_WITH_MARKER));
	w.conf.delete_versions = true;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
	assert_string_equal(features_of(&w).weaker, "");
	w.conf.delete_versions = false;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
	assert_non_null(strstr(features_of(&w).weaker, "the bucket keeps versions"));
	assert_string_equal(features_of(&w).left, "");
	world_end(&w);
}

/* Neither another key's, nor what somebody put there since; and the markers last. */
static void test_versions_are_deleted(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(DELETED_WITH_MARKER,
	                       VERSIONS(VERSION("pre/k", "new") MARKER("pre/k", "m2") VERSION("pre/k", "v1")
	                                        MARKER("pre/k", "m0") VERSION("pre/k.more", "other")),
	                       NO_CONTENT,
	                       VERSIONS(VERSION("pre/k", "new") MARKER("pre/k", "m2") MARKER("pre/k", "m0")),
	                       "404 Not Found\r\n\r\n" ERROR_XML("NoSuchVersion", ""), NO_CONTENT));
	w.conf.delete_versions = true;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
	assert_seen(&w, 0, "DELETE /bucket/pre/k HTTP");
	assert_seen(&w, 1, "GET /bucket/?prefix=pre%2Fk&versions= HTTP");
	assert_seen(&w, 2, "DELETE /bucket/pre/k?versionId=v1 HTTP");
	assert_seen(&w, 4, "DELETE /bucket/pre/k?versionId=m2 HTTP");
	assert_seen(&w, 5, "DELETE /bucket/pre/k?versionId=m0 HTTP");
	assert_string_equal(features_of(&w).weaker, "");
	assert_string_equal(features_of(&w).left, "");
	world_end(&w);
}

/* It is deleted all the same, and its marker stays, or it would be there again. */
static void test_a_locked_version_is_told(void **state)
{
	static const char *const refusals_of_versions[][4] = {
	        {DELETED_WITH_MARKER, VERSIONS(MARKER("pre/k", "m2") VERSION("pre/k", "v1")),
	         "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", ""), NULL},
	        {DELETED_WITH_MARKER, "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", ""), NULL},
	};
	static const char *const words[] = {
	        "s3:DeleteObjectVersion on the objects; or this version is locked", "s3:ListBucketVersions"};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		struct world w;

		world_begin(&w, refusals_of_versions[i]);
		w.conf.delete_versions = true;
		assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
		assert_non_null(
		        strstr(features_of(&w).left, "versions of 1 deleted objects are still stored"));
		assert_non_null(strstr(features_of(&w).left, words[i]));
		world_end(&w);
	}
}

/* In a bucket whose versioning was suspended an object and a marker have the same id, "null". */
static void test_what_was_put_under_the_id_of_the_marker_stays(void **state)
{
	struct world w;

	world_begin(&w,
	            SCRIPT("204 No Content\r\nx-amz-delete-marker: true\r\nx-amz-version-id: null\r\n\r\n",
	                   VERSIONS(VERSION("pre/k", "null") VERSION("pre/k", "v1"))));
	w.conf.delete_versions = true;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
	assert_non_null(strstr(features_of(&w).left, "its delete marker is not there any more"));
	world_end(&w);
	/* Another one has deleted all of it by now: nothing is left that could be told of. */
	world_begin(&w, SCRIPT(DELETED_WITH_MARKER, VERSIONS(VERSION("pre/k.more", "other"))));
	w.conf.delete_versions = true;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), 0);
	assert_string_equal(features_of(&w).left, "");
	world_end(&w);
}

static void test_versions_are_tried_again(void **state)
{
	struct world w;

	world_begin(&w, SCRIPT(DELETED_WITH_MARKER, "503 Slow Down\r\n\r\n" ERROR_XML("SlowDown", "")));
	w.conf.delete_versions = true;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), -EAGAIN);
	assert_true(w.err.retry);
	assert_string_equal(features_of(&w).left, "");
	world_end(&w);
	world_begin(&w, SCRIPT(DELETED_WITH_MARKER, VERSIONS("<Version><Key>pre/k</Key></Version>")));
	w.conf.delete_versions = true;
	assert_int_equal(store_remove(w.store, NULL, "k", &w.err), -EPROTO);
	assert_non_null(strstr(w.err.message, "a version has no key or no id"));
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_refusals),
	        cmocka_unit_test(test_what_came_before_a_break),
	        cmocka_unit_test(test_a_short_answer_is_a_part),
	        cmocka_unit_test(test_arrivals),
	        cmocka_unit_test(test_retry_after),
	        cmocka_unit_test(test_what_is_sent),
	        cmocka_unit_test(test_no_conditional_put),
	        cmocka_unit_test(test_conditional_put),
	        cmocka_unit_test(test_head_asks_why),
	        cmocka_unit_test(test_lists),
	        cmocka_unit_test(test_versions_stay_unless_told),
	        cmocka_unit_test(test_versions_are_deleted),
	        cmocka_unit_test(test_a_locked_version_is_told),
	        cmocka_unit_test(test_what_was_put_under_the_id_of_the_marker_stays),
	        cmocka_unit_test(test_versions_are_tried_again),
	        cmocka_unit_test(test_a_request_needs_no_deadline),
	};

	return cmocka_run_group_tests_name("s3", tests, NULL, NULL);
}
