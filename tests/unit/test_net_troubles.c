// SPDX-License-Identifier: Apache-2.0
/* What servers and networks do on bad days, and who gives up: within which time, and with which error. */
#include "net_test.h"

#include <dlfcn.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Says that it keeps the connection, and does not: each request on a kept one must be sent again on a new
 * one. */
static bool reply_and_leave(struct connection *c)
{
	reply_echo(c);
	return false;
}

static void test_kept_connection_dies(void **state)
{
	const struct iovec body[] = {{(char *)"abc", 3}, {(char *)"def", 3}};
	struct world w;

	world_begin(&w, reply_and_leave, 4);
	w.req.method = "PUT";
	w.req.body = body;
	w.req.body_count = 2;
	for (int i = 0; i < 10; i++) {
		assert_int_equal(perform(&w), 0);
		assert_string_equal(str_text(&w.answer.text), "abcdef");
	}
	world_end(&w);
}

static void expect_unavailable(struct world *w)
{
	assert_true(perform(w) < 0);
	assert_int_equal(w->err.class, ERROR_UNAVAILABLE);
	assert_true(w->err.retry);
	assert_non_null(strstr(w->err.message, "http://127.0.0.1:"));
	assert_null(strstr(w->err.message, "/b")); /* a path and query are nobody's business */
}

/* How often an answer was to be acknowledged at once. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned count; /* lock */
} quick_acks = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

/* Stands before the C library's, and counts. */
int setsockopt(int fd, int level, int name, const void *value, socklen_t len)
{
	if (level == IPPROTO_TCP && name == TCP_QUICKACK && *(const int *)value == 1) {
		pthread_mutex_lock(&quick_acks.lock);
		quick_acks.count++;
		pthread_cond_broadcast(&quick_acks.changed);
		pthread_mutex_unlock(&quick_acks.lock);
	}
	return (int)syscall(SYS_setsockopt, fd, level, name, value, len);
}

/* As a server without TCP_NODELAY does: the body comes when the head was acknowledged. */
static bool reply_when_acknowledged(struct connection *c)
{
	send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
	pthread_mutex_lock(&quick_acks.lock);
	while (quick_acks.count == 0)
		pthread_cond_wait(&quick_acks.changed, &quick_acks.lock);
	quick_acks.count = 0;
	pthread_mutex_unlock(&quick_acks.lock);
	return send_text(c, "hello");
}

/* The kernel forgets it, so it is asked for before each answer, also on a kept connection. */
static void test_answers_are_acknowledged_at_once(void **state)
{
	struct world w;

	world_begin(&w, reply_when_acknowledged, 1);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(perform(&w), 0);
		assert_string_equal(str_text(&w.answer.text), "hello");
	}
	assert_int_equal(w.server.accepted, 1);
	world_end(&w);
}

static bool reply_nothing(struct connection *c)
{
	return false;
}

static void test_refused(void **state)
{
	struct world w;

	world_begin(&w, reply_nothing, 4);
	server_stop(&w.server);
	assert_int_equal(perform(&w), -ECONNREFUSED);
	assert_int_equal(w.err.class, ERROR_UNAVAILABLE);
	assert_true(w.err.retry);
	net_free(w.net);
}

static bool reply_proxy_denies(struct connection *c)
{
	send_text(c, "HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic realm=\"x\"\r\n"
	             "Content-Length: 0\r\nConnection: close\r\n\r\n");
	return false;
}

static bool reply_proxy_fails(struct connection *c)
{
	send_text(c, "HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	return false;
}

/* @proxy: of the server on @port, or of nobody's name; @words: of the message, which never has the password. */
static void expect_proxy_named(reply_fn reply, bool is_down, const char *url, int errnum, const char *words)
{
	const char *variable = str_starts(url, "https") ? "https_proxy" : "http_proxy";
	char proxy[64], name[80];
	struct world w;

	world_begin(&w, reply, 4);
	snprintf(proxy, sizeof(proxy), "http://user:hush-hush@127.0.0.1:%d/", w.server.port);
	snprintf(name, sizeof(name), "the proxy http://127.0.0.1:%d (from %s)", w.server.port, variable);
	setenv(variable, proxy, 1);
	w.req.url = url;
	if (is_down)
		server_stop(&w.server);
	assert_int_equal(perform(&w), -errnum);
	unsetenv(variable);
	if (!strstr(w.err.message, name) || !strstr(w.err.message, words) ||
	    !strstr(w.err.message, "which leads to http") || strstr(w.err.message, "hush"))
		fail_msg("%s", w.err.message);
	net_response_finish(&w.answer);
	w.net = net_free(w.net);
	if (!is_down)
		server_stop(&w.server);
}

static void test_a_proxy_is_named(void **state)
{
	static const char *const urls[] = {"http://store.invalid/b", "https://store.invalid/b"};

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		expect_proxy_named(reply_nothing, true, urls[i], ECONNREFUSED, "cannot connect to the proxy");
		expect_proxy_named(reply_proxy_denies, false, urls[i], EACCES,
		                   "refuses its user or password (HTTP 407)");
	}
	expect_proxy_named(reply_proxy_fails, false, urls[1], ECONNRESET, "502");
}

static void test_a_proxy_that_cannot_be_found_is_named(void **state)
{
	struct world w;

	world_begin(&w, reply_nothing, 4);
	setenv("https_proxy", "user:hush-hush@proxy.invalid:3128", 1);
	w.req.url = "https://store.invalid/b";
	assert_int_equal(perform(&w), -EHOSTUNREACH);
	assert_non_null(strstr(w.err.message,
	                       "cannot find the proxy proxy.invalid:3128 (from https_proxy), which leads to "
	                       "https://store.invalid: "));
	/* What does not go through it does not speak of it. */
	setenv("NO_PROXY", "127.0.0.1", 1);
	w.req.url = "https://127.0.0.1:1/b";
	assert_int_equal(perform(&w), -ECONNREFUSED);
	assert_null(strstr(w.err.message, "proxy"));
	unsetenv("NO_PROXY");
	unsetenv("https_proxy");
	world_end(&w);
}

static void test_closed_without_answer(void **state)
{
	struct world w;

	world_begin(&w, reply_nothing, 4);
	expect_unavailable(&w);
	world_end(&w);
}

static bool reply_cut(struct connection *c)
{
	send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	return false;
}

static void test_closed_in_the_body(void **state)
{
	struct world w;
	char buf[100];
	const struct iovec into[] = {{buf, sizeof(buf)}};

	world_begin(&w, reply_cut, 4);
	expect_unavailable(&w);
	w.req.into = into;
	w.req.into_count = 1;
	expect_unavailable(&w);
	world_end(&w);
}

static bool reply_garbage(struct connection *c)
{
	send_text(c, "220 mail.example.com ESMTP\r\n");
	return false;
}

static void test_garbage(void **state)
{
	struct world w;

	world_begin(&w, reply_garbage, 4);
	expect_unavailable(&w);
	world_end(&w);
}

static void test_stall(void **state)
{
	struct world w;

	world_begin(&w, reply_stall, 4);
	w.req.first_byte_timeout_ms =
	        LONG_MS; /* the server may be slow to begin: what is tried comes behind that */
	w.req.stall_timeout_ms = 30;
	expect_timeout(&w, "no byte moved");
	w.req.stall_timeout_ms = LONG_MS;
	w.req.deadline_ms = clock_mono_ms() + 30;
	expect_timeout(&w, "deadline");
	w.req.deadline_ms = clock_mono_ms() - 1;
	expect_timeout(&w, "deadline");
	world_end(&w);
}

/* An exchange that is stopped tells what had come until then. */
static void test_stall_tells_what_came(void **state)
{
	char buf[10];
	const struct iovec into = {buf, sizeof(buf)};
	struct world w;

	world_begin(&w, reply_stall, 4);
	w.req.into = &into;
	w.req.into_count = 1;
	w.req.first_byte_timeout_ms = LONG_MS;
	w.req.stall_timeout_ms = 30;
	expect_timeout(&w, "no byte moved");
	assert_int_equal(w.answer.status, 200);
	assert_int_equal(w.answer.into_bytes, 1);
	assert_memory_equal(buf, "x", 1);
	world_end(&w);
}

static bool reply_never(struct connection *c)
{
	char byte;

	while (receive(c, &byte, 1) > 0)
		;
	return false;
}

static void test_first_byte(void **state)
{
	struct world w;

	world_begin(&w, reply_never, 4);
	w.req.first_byte_timeout_ms = 30;
	expect_timeout(&w, "no byte of an answer came for 0.0 s");
	assert_int_equal(w.answer.status, 0);
	world_end(&w);
	world_begin(&w, reply_stall, 4); /* once there is one, it may take its time */
	w.req.first_byte_timeout_ms = LONG_MS;
	w.req.stall_timeout_ms = 30;
	expect_timeout(&w, "no byte moved");
	world_end(&w);
}

static bool reply_unless_silent(struct connection *c)
{
	struct server *s = c->server;
	bool silent;

	pthread_mutex_lock(&s->lock);
	silent = c - s->connections < s->silent;
	pthread_mutex_unlock(&s->lock);
	return silent ? reply_never(c) : reply_at_gate(c);
}

/* Several kept connections whose server goes without a word: one costs a timeout, not each of them. */
static void test_a_silent_server_costs_one_timeout(void **state)
{
	struct world w;

	world_begin(&w, reply_unless_silent, 4);
	perform_at_once(&w, 3);
	assert_int_equal(counted(&w.server, &w.server.accepted), 3);
	pthread_mutex_lock(&w.server.lock);
	w.server.silent = 3;
	pthread_mutex_unlock(&w.server.lock);
	w.req.first_byte_timeout_ms = 30;
	expect_timeout(&w, "no byte of an answer");
	w.req.first_byte_timeout_ms = LONG_MS;
	assert_int_equal(perform(&w), 0);
	assert_int_equal(perform(&w), 0);
	assert_int_equal(counted(&w.server, &w.server.requests), 6);
	assert_int_equal(counted(&w.server, &w.server.accepted), 4); /* the new one is kept */
	pthread_mutex_lock(&w.server.lock);                          /* and the old ones are not */
	while (w.server.closed < 3)
		pthread_cond_wait(&w.server.changed, &w.server.lock);
	pthread_mutex_unlock(&w.server.lock);
	world_end(&w);
}

/* Names that end in ".hangs" are looked up until the test lets them fail. */
static struct {
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int waiting; /* lock */
	bool fail;   /* lock */
} lookups = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

/* curl finds this one before the C library's. */
int getaddrinfo(const char *restrict name, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret)
{
	typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *,
	                              struct addrinfo **);
	getaddrinfo_fn real = (getaddrinfo_fn)dlsym(RTLD_NEXT, "getaddrinfo");

	if (!name || !str_ends(name, ".hangs"))
		return real(name, service, hints, ret);
	pthread_mutex_lock(&lookups.lock);
	lookups.waiting++;
	pthread_cond_broadcast(&lookups.changed);
	while (!lookups.fail)
		pthread_cond_wait(&lookups.changed, &lookups.lock);
	lookups.waiting--;
	pthread_cond_broadcast(&lookups.changed);
	pthread_mutex_unlock(&lookups.lock);
	return EAI_AGAIN;
}

static void wait_for_lookups(int count)
{
	pthread_mutex_lock(&lookups.lock);
	while (lookups.waiting != count)
		pthread_cond_wait(&lookups.changed, &lookups.lock);
	pthread_mutex_unlock(&lookups.lock);
}

static void lookups_fail(bool fail)
{
	pthread_mutex_lock(&lookups.lock);
	lookups.fail = fail;
	pthread_cond_broadcast(&lookups.changed);
	pthread_mutex_unlock(&lookups.lock);
	if (fail)
		wait_for_lookups(0);
}

/* A name server that does not answer holds up neither those who are stopped nor anybody else. */
static void test_a_lookup_that_hangs(void **state)
{
	struct cancel cancel;
	struct world w, other;
	pthread_t thread;
	void *result;

	cancel_init(&cancel);
	world_begin(&w, reply_hello, 4);
	other = (struct world){.net = w.net, .req = w.req};
	w.req.url = "http://one.hangs/";
	w.req.cancel = &cancel;
	assert_int_equal(pthread_create(&thread, NULL, perform_in_thread, &w), 0);
	wait_for_lookups(1);
	assert_int_equal(perform(&other), 0);
	cancel_set(&cancel);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
	assert_int_equal(perform(&other), 0);
	w.req.cancel = NULL;
	w.req.connect_timeout_ms = 30;
	expect_timeout(&w, "no connection within the time for connecting");
	wait_for_lookups(2);
	w.req.connect_timeout_ms = LONG_MS;
	w.req.deadline_ms = clock_mono_ms() + 30;
	expect_timeout(&w, "deadline");
	assert_int_equal(perform(&other), 0);
	lookups_fail(true);
	w.req.deadline_ms = clock_mono_ms() + LONG_MS;
	assert_int_equal(perform(&w), -EHOSTUNREACH);
	assert_int_equal(w.err.class, ERROR_UNAVAILABLE);
	assert_true(w.err.retry);
	assert_non_null(strstr(w.err.message, "cannot find http://one.hangs"));
	lookups_fail(false);
	net_response_finish(&other.answer);
	world_end(&w);
	cancel_finish(&cancel);
}

static void test_cancel(void **state)
{
	struct cancel cancel;
	struct world w;
	pthread_t thread;
	void *result;

	cancel_init(&cancel);
	world_begin(&w, reply_stall, 4);
	w.req.cancel = &cancel;
	assert_int_equal(pthread_create(&thread, NULL, perform_in_thread, &w), 0);
	wait_for_requests(&w.server, 1);
	cancel_set(&cancel);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
	assert_int_equal(w.err.class, ERROR_CANCELLED);
	assert_int_equal(perform(&w), -ECANCELED); /* set before it began */
	assert_int_equal(counted(&w.server, &w.server.requests), 1);
	world_end(&w);
	cancel_finish(&cancel);
}

static void test_cancel_while_waiting_for_a_connection(void **state)
{
	struct cancel cancel;
	struct world w, second;
	pthread_t thread, other;
	void *result;

	cancel_init(&cancel);
	world_begin(&w, reply_stall, 1);
	second = (struct world){.net = w.net, .req = w.req};
	w.req.cancel = &cancel;
	assert_int_equal(pthread_create(&thread, NULL, perform_in_thread, &w), 0);
	wait_for_requests(&w.server, 1);
	second.req.deadline_ms =
	        clock_mono_ms() + 30; /* waits behind the first, and is still ended in time */
	assert_int_equal(pthread_create(&other, NULL, perform_in_thread, &second), 0);
	pthread_join(other, &result);
	assert_int_equal((intptr_t)result, -ETIMEDOUT);
	cancel_set(&cancel);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
	assert_int_equal(counted(&w.server, &w.server.requests), 1);
	world_end(&w);
	cancel_finish(&cancel);
}

static void test_free_ends_what_runs(void **state)
{
	struct world w;
	pthread_t thread;
	void *result;

	world_begin(&w, reply_stall, 4);
	assert_int_equal(pthread_create(&thread, NULL, perform_in_thread, &w), 0);
	wait_for_requests(&w.server, 1);
	w.net = net_free(w.net);
	pthread_join(thread, &result);
	assert_int_equal((intptr_t)result, -ECANCELED);
	world_end(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_kept_connection_dies),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_answers_are_acknowledged_at_once),
	        cmocka_unit_test(test_a_proxy_is_named),
	        cmocka_unit_test(test_a_proxy_that_cannot_be_found_is_named),
	        cmocka_unit_test(test_closed_without_answer),
	        cmocka_unit_test(test_closed_in_the_body),
	        cmocka_unit_test(test_garbage),
	        cmocka_unit_test(test_stall),
	        cmocka_unit_test(test_stall_tells_what_came),
	        cmocka_unit_test(test_first_byte),
	        cmocka_unit_test(test_a_silent_server_costs_one_timeout),
	        cmocka_unit_test(test_a_lookup_that_hangs),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_cancel_while_waiting_for_a_connection),
	        cmocka_unit_test(test_free_ends_what_runs),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests_name("net_troubles", tests, NULL, NULL);
}
