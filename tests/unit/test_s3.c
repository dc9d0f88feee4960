// SPDX-License-Identifier: Apache-2.0
/*
 * The S3 driver against a script: answers that a real server gives on its bad days only, or not on demand.
 * What servers do on good days, signatures included, tests/contract tries on real ones.
 */
#include <keepfs/conf.h>
#include <keepfs/net.h>
#include <keepfs/store.h>

#include <arpa/inet.h>
#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#define REQUESTS_MAX 16

/* Gives one answer of the script to each request, and closes the connection behind it. */
struct script {
	const char *const *answers;
	int listener;
	int port;
	pthread_t thread;
	int requests;
	struct str seen[REQUESTS_MAX]; /* read by the test after the calls that made them returned */
};

static void read_request(int fd, struct str *request)
{
	char buf[4096];

	for (;;) {
		const char *head_end = strstr(str_text(request), "\r\n\r\n");
		const char *length = strstr(str_text(request), "\r\nContent-Length: ");
		size_t body = length ? strtoul(length + 18, NULL, 10) : 0;
		ssize_t got;

		if (head_end && request->len >= (size_t)(head_end - str_text(request)) + 4 + body)
			return;
		got = recv(fd, buf, sizeof(buf), 0);
		if (got <= 0)
			return;
		str_append_bytes(request, buf, (size_t)got);
	}
}

static void *run_script(void *arg)
{
	struct script *s = arg;
	int fd;

	while (s->answers[s->requests] && (fd = accept(s->listener, NULL, NULL)) >= 0) {
		const char *answer = s->answers[s->requests];

		read_request(fd, &s->seen[s->requests++]);
		send(fd, "HTTP/1.1 ", 9, MSG_NOSIGNAL);
		send(fd, answer, strlen(answer), MSG_NOSIGNAL);
		close(fd);
	}
	return NULL;
}

struct world {
	struct script script;
	struct conf_store conf;
	struct net *net;
	struct store *store;
	struct error err;
	char endpoint[64];
};

static void world_open_store(struct world *w)
{
	assert_int_equal(store_s3_new(&w->conf, w->net, &w->store, &w->err), 0);
}

static void world_begin(struct world *w, const char *const *answers)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	const struct net_options options = {.max_connections = 2};
	socklen_t len = sizeof(address);
	struct script *s = &w->script;

	memset(w, 0, sizeof(*w));
	s->answers = answers;
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, 16), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &len), 0);
	s->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, run_script, s), 0);
	snprintf(w->endpoint, sizeof(w->endpoint), "http://127.0.0.1:%d", s->port);
	w->conf = (struct conf_store){.url = (char *)"s3://bucket/pre",
	                              .endpoint = w->endpoint,
	                              .region = (char *)"us-east-1",
	                              .access_key = (char *)"AKIA",
	                              .secret_key = (char *)"hush-hush",
	                              .session_token = (char *)"",
	                              .profile = (char *)"",
	                              .ca_file = (char *)"",
	                              .sse_kms_key = (char *)"",
	                              .allow_http = true,
	                              .connect_timeout_ms = 10000,
	                              .stall_timeout_ms = 10000,
	                              .retry_deadline_ms = 20000,
	                              .max_parts = 1000};
	assert_int_equal(net_new(&options, &w->net, &w->err), 0);
	world_open_store(w);
}

/* Every answer of the script must have been asked for. */
static void world_end(struct world *w)
{
	struct script *s = &w->script;

	store_free(w->store);
	net_free(w->net);
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	assert_null(s->answers[s->requests]);
	for (int i = 0; i < s->requests; i++)
		str_finish(&s->seen[i]);
}

static void assert_seen(const struct world *w, int request, const char *text)
{
	if (!strstr(str_text(&w->script.seen[request]), text))
		fail_msg("request %d has no \"%s\": %s", request, text, str_text(&w->script.seen[request]));
}

static void assert_not_seen(const struct world *w, int request, const char *text)
{
	assert_null(strstr(str_text(&w->script.seen[request]), text));
}

#define SCRIPT(...)                                                                                          \
	(const char *const[])                                                                                \
	{                                                                                                    \
		__VA_ARGS__, NULL                                                                            \
	}
#define ERROR_XML(code, more)                                                                                \
	"<?xml version=\"1.0\"?><Error><Code>" code "</Code><Message>words</Message>" more                   \
	"<RequestId>R1</RequestId></Error>"
#define OK         "200 OK\r\nContent-Length: 0\r\n\r\n"
#define NO_CONTENT "204 No Content\r\n\r\n"
#define NO_KEY     "404 Not Found\r\n\r\n" ERROR_XML("NoSuchKey", "")
#define NO_UPLOAD  "404 Not Found\r\n\r\n" ERROR_XML("NoSuchUpload", "")
#define HEAD_404   "404 Not Found\r\nContent-Length: 200\r\n\r\n"

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
	w.conf.session_token = (char *)"token";
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

static void test_settings(void **state)
{
	static const struct {
		const char *url, *endpoint;
		bool allow_http;
		const char *message; /* NULL: right */
	} cases[] = {
	        {"s3://bucket", "", false, NULL},
	        {"s3://bucket/a/b/", "https://h:443/base/", false, NULL},
	        {"s3://bucket", "http://h", false, "allow_http"},
	        {"s3://bucket", "http://h", true, NULL},
	        {"s3://bucket", "ftp://h", true, "https://"},
	        {"s3://bucket", "h:9000", true, "https://host"},
	        {"s3://bucket", "https://", true, "https://host"},
	        {"s3://bucket", "https://u@h", true, "https://host"},
	        {"s3://", "", true, "bucket"},
	        {"s3:///x", "", true, "bucket"},
	        {"s3://bu cket", "", true, "bucket"},
	        {"http://bucket", "", true, "s3://"},
	        {"s3://bucket/a//b", "", true, "prefix"},
	        {"s3://bucket/../b", "", true, "prefix"},
	};
	struct conf_store conf = {.region = (char *)"us-east-1"};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error err = {0};
		struct store *s = NULL;
		int rc;

		conf.url = (char *)cases[i].url;
		conf.endpoint = (char *)cases[i].endpoint;
		conf.allow_http = cases[i].allow_http;
		rc = store_s3_new(&conf, NULL, &s, &err);
		assert_int_equal(rc, cases[i].message ? -EINVAL : 0);
		if (cases[i].message) {
			assert_int_equal(err.class, ERROR_USAGE);
			assert_non_null(strstr(err.message, cases[i].message));
		}
		store_free(s);
	}
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

static void test_upload_lists(void **state)
{
	struct store_upload_info *uploads;
	struct world w;
	size_t count;

#define UPLOADS         "200 OK\r\n\r\n<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
#define UPLOAD(key, id) "<Upload><Key>" key "</Key><UploadId>" id "</UploadId></Upload>"
	world_begin(&w,
	            SCRIPT(UPLOADS UPLOAD("pre/a", "1") UPLOAD("pre/a", "2") "</ListMultipartUploadsResult>",
	                   "200 OK\r\n\r\n<ListMultipartUploadsResult>" UPLOAD(
	                           "pre/b", "3") "</ListMultipartUploadsResult>",
	                   UPLOADS "</ListMultipartUploadsResult>"));
	assert_int_equal(store_upload_list(w.store, NULL, "", &uploads, &count, &w.err), 0);
	assert_int_equal(count, 3);
	assert_string_equal(uploads[2].key, "b");
	store_upload_list_free(uploads, count);
	assert_seen(&w, 1, "GET /bucket/?key-marker=pre%2Fa&prefix=pre%2F&upload-id-marker=2&uploads= HTTP");
	/* A list that does not go on must not be asked for for ever. */
	assert_int_equal(store_upload_list(w.store, NULL, "", &uploads, &count, &w.err), -EPROTO);
	world_end(&w);
}

#define BEGUN                                                                                                \
	"200 "                                                                                               \
	"OK\r\n\r\n<InitiateMultipartUploadResult><UploadId>u/1</UploadId></InitiateMultipartUploadResult>"
#define PART "200 OK\r\nETag: \"p1\"\r\nContent-Length: 0\r\n\r\n"

/* Begins an upload and sends one part of four bytes. */
static void upload_one_part(struct world *w, struct store_upload **ret_up, struct store_part *ret_part)
{
	struct iovec iov = {(char *)"data", 4};

	assert_int_equal(store_upload_begin(w->store, NULL, "a", ret_up, &w->err), 0);
	assert_int_equal(store_upload_part(*ret_up, NULL, 3, &iov, 1, ret_part, &w->err), 0);
}

static int complete_after(const char *const *answers, struct error *err)
{
	struct store_upload *up;
	struct store_part part;
	struct world w;
	int rc;

	world_begin(&w, answers);
	upload_one_part(&w, &up, &part);
	assert_seen(&w, 0, "POST /bucket/pre/a?uploads= HTTP");
	assert_seen(&w, 1, "PUT /bucket/pre/a?partNumber=3&uploadId=u%2F1 HTTP");
	rc = store_upload_complete(up, NULL, &part, 1, &w.err);
	assert_seen(&w, 2, "<Part><PartNumber>3</PartNumber><ETag>&quot;p1&quot;</ETag></Part>");
	*err = w.err;
	store_upload_free(up);
	world_end(&w);
	return rc;
}

static void test_complete(void **state)
{
	struct error err;

	assert_int_equal(
	        complete_after(SCRIPT(BEGUN, PART, "200 OK\r\n\r\n  <CompleteMultipartUploadResult/>"), &err),
	        0);

	/* 200 first, the failure later. */
	assert_int_equal(
	        complete_after(SCRIPT(BEGUN, PART, "200 OK\r\n\r\n" ERROR_XML("SlowDown", "")), &err),
	        -EAGAIN);
	assert_true(err.retry);
	assert_string_equal(err.code, "SlowDown");
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, "200 OK\r\n\r\n  "), &err), -EPROTO);
	assert_true(err.retry);

	/* The first answer was lost: what the object looks like decides. */
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD,
	                                       "200 OK\r\nContent-Length: 4\r\nETag: \"x-1\"\r\n\r\n"),
	                                &err),
	                 0);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD,
	                                       "200 OK\r\nContent-Length: 5\r\nETag: \"x-1\"\r\n\r\n"),
	                                &err),
	                 -ENOENT);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD,
	                                       "200 OK\r\nContent-Length: 4\r\nETag: \"x-2\"\r\n\r\n"),
	                                &err),
	                 -ENOENT);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD, HEAD_404, NO_KEY), &err), -ENOENT);
	assert_int_equal(complete_after(SCRIPT(BEGUN, PART, NO_UPLOAD, "503 x\r\n\r\n"), &err), -EIO);
	assert_true(err.retry);
}

static void test_upload_answers(void **state)
{
	struct iovec iov = {(char *)"data", 4};
	struct store_upload *up;
	struct store_part part;
	struct world w;

	world_begin(&w, SCRIPT("200 OK\r\n\r\n<html/>", BEGUN, OK));
	assert_int_equal(store_upload_begin(w.store, NULL, "a", &up, &w.err), -EPROTO);
	assert_true(w.err.retry);
	assert_int_equal(store_upload_begin(w.store, NULL, "a", &up, &w.err), 0);
	assert_int_equal(store_upload_part(up, NULL, 1, &iov, 1, &part, &w.err), -EPROTO); /* no ETag */
	store_upload_free(up);
	world_end(&w);
}

/* Repeated until the server does not know the upload any more. */
static void test_abort(void **state)
{
	const char *parts = "200 OK\r\n\r\n<ListPartsResult/>";
	struct world w;

	world_begin(&w, SCRIPT(NO_CONTENT, parts, NO_CONTENT, NO_UPLOAD, NO_UPLOAD, NO_CONTENT,
	                       "403 Forbidden\r\n\r\n" ERROR_XML("AccessDenied", ""), "503 x\r\n\r\n"));
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), 0);
	assert_seen(&w, 2, "DELETE /bucket/pre/a?uploadId=u HTTP");
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), 0);
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), 0);
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), -EIO);
	world_end(&w);

	world_begin(&w, SCRIPT(NO_CONTENT, parts, NO_CONTENT, parts, NO_CONTENT, parts, NO_CONTENT, parts));
	assert_int_equal(store_upload_abort(w.store, NULL, "a", "u", &w.err), -EBUSY);
	assert_true(w.err.retry);
	world_end(&w);
}

static void write_credentials(const char *path, const char *key)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fprintf(f, "[default]\naws_access_key_id = %s\naws_secret_access_key = s\naws_session_token = t-%s\n",
	        key, key);
	fclose(f);
}

static void test_changed_credentials_are_read_again(void **state)
{
	char path[] = "/tmp/test_s3_XXXXXX";
	struct world w;

	close(mkstemp(path));
	write_credentials(path, "FIRST");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_PROFILE");
	world_begin(&w, SCRIPT(NO_CONTENT, NO_CONTENT, NO_CONTENT));
	w.conf.access_key = w.conf.secret_key = (char *)"";
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), 0);
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), 0);
	write_credentials(path, "SECOND");
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), 0);
	assert_seen(&w, 1, "Credential=FIRST/");
	assert_seen(&w, 2, "Credential=SECOND/");
	assert_seen(&w, 2, "x-amz-security-token: t-SECOND\r\n");
	unlink(path);
	assert_int_equal(store_remove(w.store, NULL, "a", &w.err), -ENOKEY);
	world_end(&w);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
}

/* Made without a request: the script has no answer. */
static char *presigned(struct world *w, int64_t ttl_ms)
{
	struct str url = {0};

	assert_int_equal(store_presign(w->store, "a/b c=.dump", ttl_ms, &url, &w->err), 0);
	return str_take(&url);
}

static void test_presigned(void **state)
{
	_cleanup(free) char *by_path = NULL, *by_host = NULL, *begin = NULL;
	struct world w;

	world_begin(&w, (const char *const[]){NULL});
	by_path = presigned(&w, 900999);
	begin = mem_printf("%s/bucket/pre/a/b%%20c%%3D.dump?X-Amz-Algorithm=AWS4-HMAC-SHA256&"
	                   "X-Amz-Credential=AKIA%%2F",
	                   w.endpoint);
	assert_true(str_starts(by_path, begin));
	assert_non_null(strstr(by_path, "%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date="));
	assert_non_null(strstr(by_path, "&X-Amz-Expires=900&X-Amz-SignedHeaders=host&X-Amz-Signature="));
	assert_null(strstr(by_path, "hush"));

	store_free(w.store);
	w.conf.addressing = CONF_ADDRESSING_VIRTUAL;
	w.conf.session_token = (char *)"to/ken";
	world_open_store(&w);
	by_host = presigned(&w, 604800000);
	free(begin);
	begin = mem_printf("http://bucket.127.0.0.1:%d/pre/a/b%%20c%%3D.dump?", w.script.port);
	assert_true(str_starts(by_host, begin));
	assert_non_null(strstr(by_host, "&X-Amz-Expires=604800&X-Amz-Security-Token=to%2Fken&"));
	world_end(&w);
}

static void test_presigned_with_the_credentials_in_force(void **state)
{
	_cleanup(free) char *first = NULL, *second = NULL;
	_cleanup(str) struct str none = {0};
	char path[] = "/tmp/test_s3_XXXXXX";
	struct world w;

	close(mkstemp(path));
	write_credentials(path, "FIRST");
	setenv("AWS_SHARED_CREDENTIALS_FILE", path, 1);
	unsetenv("AWS_ACCESS_KEY_ID");
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("AWS_PROFILE");
	world_begin(&w, (const char *const[]){NULL});
	w.conf.access_key = w.conf.secret_key = (char *)"";
	first = presigned(&w, 1000);
	write_credentials(path, "SECOND");
	second = presigned(&w, 1000);
	assert_non_null(strstr(first, "Credential=FIRST%2F"));
	assert_non_null(strstr(second, "Credential=SECOND%2F"));
	assert_non_null(strstr(second, "Security-Token=t-SECOND&"));
	unlink(path);
	assert_int_equal(store_presign(w.store, "a", 1000, &none, &w.err), -ENOKEY);
	assert_int_equal(none.len, 0);
	world_end(&w);
	unsetenv("AWS_SHARED_CREDENTIALS_FILE");
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
	        cmocka_unit_test(test_settings),
	        cmocka_unit_test(test_no_conditional_put),
	        cmocka_unit_test(test_conditional_put),
	        cmocka_unit_test(test_head_asks_why),
	        cmocka_unit_test(test_lists),
	        cmocka_unit_test(test_upload_lists),
	        cmocka_unit_test(test_complete),
	        cmocka_unit_test(test_upload_answers),
	        cmocka_unit_test(test_abort),
	        cmocka_unit_test(test_changed_credentials_are_read_again),
	        cmocka_unit_test(test_presigned),
	        cmocka_unit_test(test_presigned_with_the_credentials_in_force),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
