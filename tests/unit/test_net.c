// SPDX-License-Identifier: Apache-2.0
/* What is sent, and where the bytes of an answer go. */
#include "net_test.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <semaphore.h>
#include <signal.h>

static void test_get_into_buffers(void **state)
{
	struct world w;
	char first[2], rest[3], value[32];
	const struct iovec into[] = {{first, 2}, {NULL, 0}, {rest, 3}};

	world_begin(&w, reply_hello, 4);
	w.req.into = into;
	w.req.into_count = 3;
	for (int i = 0; i < 3; i++) {
		memset(rest, 0, sizeof(rest));
		assert_int_equal(perform(&w), 0);
		assert_int_equal(w.answer.status, 200);
		assert_int_equal(w.answer.into_bytes, 5);
		assert_memory_equal(first, "he", 2);
		assert_memory_equal(rest, "llo", 3);
		assert_int_equal(w.answer.text.len, 0);
	}
	assert_string_equal(net_header_find(&w.answer, "x-odd", value, sizeof(value)), "two words");
	assert_string_equal(net_header_find(&w.answer, "etag", value, sizeof(value)), "\"e\"");
	assert_string_equal(net_header_find(&w.answer, "x-od", value, sizeof(value)), "");
	assert_string_equal(net_header_find(&w.answer, "x-odd", value, 4), "two");
	assert_int_equal(counted(&w.server, &w.server.requests), 3);
	assert_int_equal(counted(&w.server, &w.server.accepted), 1); /* the connection was kept */
	world_end(&w);
}

struct filling {
	char seen[64];
};

static sem_t piece_seen;

static void on_filled(void *arg, const struct net_response *so_far)
{
	struct filling *f = arg;
	size_t len = strlen(f->seen);
	char etag[8];

	net_header_find(so_far, "etag", etag, sizeof(etag));
	snprintf(f->seen + len, sizeof(f->seen) - len, "%d %s %llu;", so_far->status, etag,
	         (unsigned long long)so_far->into_bytes);
	if (so_far->into_bytes == 2)
		sem_post(&piece_seen);
}

/* The second piece is sent when the first was seen. */
static bool reply_in_pieces(struct connection *c)
{
	if (!send_text(c, "HTTP/1.1 206 x\r\nContent-Length: 5\r\nETag: e\r\n\r\nhe"))
		return false;
	sem_wait(&piece_seen);
	return send_text(c, "llo");
}

static void test_buffers_fill(void **state)
{
	struct filling f = {0};
	struct world w;
	char first[2], rest[3];
	const struct iovec into[] = {{first, 2}, {rest, 3}};

	sem_init(&piece_seen, 0, 0);
	world_begin(&w, reply_in_pieces, 4);
	w.req.into = into;
	w.req.into_count = 2;
	w.req.into_filled = on_filled;
	w.req.into_arg = &f;
	assert_int_equal(perform(&w), 0);
	assert_string_equal(f.seen, "206 e 2;206 e 5;");
	world_end(&w);
	sem_destroy(&piece_seen);
}

static bool reply_request(struct connection *c)
{
	char head[64];

	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", c->request.len);
	return send_text(c, head) && send_bytes(c, str_text(&c->request), c->request.len);
}

static void test_what_is_sent(void **state)
{
	const struct net_header headers[] = {{"X-One", "1"}, {"X-Empty", ""}};
	const char *text;
	struct world w;

	world_begin(&w, reply_request, 4);
	w.req.method = "POST";
	w.req.headers = headers;
	w.req.header_count = 2;
	assert_int_equal(perform(&w), 0);
	text = str_text(&w.answer.text);
	assert_true(str_starts(text, "POST /a/../b HTTP/1.1\r\n"));
	assert_non_null(strstr(text, "\r\nX-One: 1\r\n"));
	assert_non_null(strstr(text, "\r\nX-Empty:\r\n"));
	assert_non_null(strstr(text, "\r\nContent-Length: 0\r\n"));
	assert_non_null(strstr(text, "\r\nUser-Agent: keepfs/"));
	assert_null(strstr(text, "Expect:"));
	world_end(&w);
}

static void test_put_from_buffers(void **state)
{
	size_t big = (size_t)3 << 20;
	_cleanup(free) char *data = mem_alloc(big), *back = mem_alloc(big + 6);
	const struct iovec body[] = {{(char *)"abc", 3}, {data, big}, {NULL, 0}, {(char *)"def", 3}};
	const struct iovec into[] = {{back, big + 6}};
	struct world w;
	char value[8];

	for (size_t i = 0; i < big; i++)
		data[i] = (char)(i * 31 >> 3);
	world_begin(&w, reply_echo, 4);
	w.req.method = "PUT";
	w.req.body = body;
	w.req.body_count = 4;
	w.req.into = into;
	w.req.into_count = 1;
	assert_int_equal(perform(&w), 0);
	assert_int_equal(w.answer.into_bytes, big + 6);
	assert_memory_equal(back, "abc", 3);
	assert_memory_equal(back + 3, data, big);
	assert_memory_equal(back + 3 + big, "def", 3);
	assert_string_equal(net_header_find(&w.answer, "x-interim", value, sizeof(value)), "");
	world_end(&w);
}

static void test_head(void **state)
{
	struct world w;
	char value[8];

	world_begin(&w, reply_hello, 4);
	w.req.method = "HEAD";
	assert_int_equal(perform(&w), 0);
	assert_string_equal(net_header_find(&w.answer, "content-length", value, sizeof(value)), "5");
	assert_int_equal(w.answer.text.len, 0);
	world_end(&w);
}

static bool reply_404(struct connection *c)
{
	return send_text(c, "HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<gone>");
}

static void test_error_text_stays_out_of_buffers(void **state)
{
	struct world w;
	char buf[16] = "untouched";
	const struct iovec into[] = {{buf, sizeof(buf)}};

	world_begin(&w, reply_404, 4);
	w.req.into = into;
	w.req.into_count = 1;
	assert_int_equal(perform(&w), 0);
	assert_int_equal(w.answer.status, 404);
	assert_int_equal(w.answer.into_bytes, 0);
	assert_string_equal(buf, "untouched");
	assert_string_equal(str_text(&w.answer.text), "<gone>");
	world_end(&w);
}

static void test_too_large(void **state)
{
	struct world w;
	char buf[4];
	const struct iovec into[] = {{buf, sizeof(buf)}};

	world_begin(&w, reply_hello, 4);
	w.req.into = into;
	w.req.into_count = 1;
	assert_int_equal(perform(&w), -EMSGSIZE);
	assert_false(w.err.retry);
	/* A server that answers wrongly says nothing about the object: it must not pass for a damaged
	 * backup. */
	assert_int_equal(w.err.class, ERROR_INTERNAL);
	assert_memory_equal(buf, "hell", 4);
	world_end(&w);
}

static bool reply_endless(struct connection *c)
{
	char block[4096];

	memset(block, 'x', sizeof(block));
	send_text(c, "HTTP/1.1 200 OK\r\n\r\n");
	while (send_bytes(c, block, sizeof(block)))
		;
	return false;
}

static void test_text_is_limited(void **state)
{
	struct world w;

	world_begin(&w, reply_endless, 4);
	assert_int_equal(perform(&w), -EMSGSIZE);
	world_end(&w);
}

static void test_many_on_few_connections(void **state)
{
	struct world w;

	world_begin(&w, reply_at_gate, 3);
	perform_at_once(&w, 12);
	assert_int_equal(counted(&w.server, &w.server.requests), 12);
	assert_int_equal(counted(&w.server, &w.server.most_at_once), 3);
	world_end(&w);
}

static void test_other_schemes(void **state)
{
	struct world w;

	world_begin(&w, reply_hello, 1);
	w.req.url = "file:///etc/passwd";
	assert_int_equal(perform(&w), -EINVAL);
	w.req.url = "http://a b/";
	assert_int_equal(perform(&w), -EINVAL);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_get_into_buffers),
	        cmocka_unit_test(test_buffers_fill),
	        cmocka_unit_test(test_what_is_sent),
	        cmocka_unit_test(test_put_from_buffers),
	        cmocka_unit_test(test_head),
	        cmocka_unit_test(test_error_text_stays_out_of_buffers),
	        cmocka_unit_test(test_too_large),
	        cmocka_unit_test(test_text_is_limited),
	        cmocka_unit_test(test_many_on_few_connections),
	        cmocka_unit_test(test_other_schemes),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
