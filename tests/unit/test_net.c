// SPDX-License-Identifier: Apache-2.0
/* The transfer thread against a small server of its own that does what servers and networks do on bad
 * days. */
#include <keepfs/net.h>

#include <arpa/inet.h>
#include <dlfcn.h>
#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <netdb.h>
#include <netinet/in.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <semaphore.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <cmocka.h>

#define CONNECTIONS_MAX 32
#define LONG_MS         30000
#define TLS_HANDSHAKE   0x16

struct server;

struct connection {
	struct server *server;
	pthread_t thread;
	int fd;
	SSL *tls;
	struct str request; /* head and body of the current one */
	size_t head_len;
};

/* Answers the request in @c; false: close the connection. */
typedef bool (*reply_fn)(struct connection *c);

struct server {
	int listener;
	int port;
	pthread_t thread;
	reply_fn reply;
	SSL_CTX *tls;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	int requests;     /* lock */
	int at_once;      /* lock: being answered now */
	int most_at_once; /* lock */
	bool open_gate;   /* lock: reply_at_gate() answers */
	int silent;       /* lock: so many of the first connections do not answer any more */
	int closed;       /* lock: connections whose client has closed them, of the silent ones */
	int accepted;     /* lock */
	struct connection connections[CONNECTIONS_MAX];
};

static ssize_t receive(struct connection *c, char *buf, size_t len)
{
	return c->tls ? SSL_read(c->tls, buf, (int)len) : recv(c->fd, buf, len, 0);
}

static bool send_bytes(struct connection *c, const char *data, size_t len)
{
	while (len) {
		ssize_t sent =
		        c->tls ? SSL_write(c->tls, data, (int)len) : send(c->fd, data, len, MSG_NOSIGNAL);

		if (sent <= 0)
			return false;
		data += sent;
		len -= (size_t)sent;
	}
	return true;
}

static bool send_text(struct connection *c, const char *text)
{
	return send_bytes(c, text, strlen(text));
}

static bool read_request(struct connection *c)
{
	char buf[65536], *head_end, *length;
	size_t body = 0;

	str_clear(&c->request);
	for (;;) {
		ssize_t got;

		head_end = c->request.len ? strstr(str_text(&c->request), "\r\n\r\n") : NULL;
		if (head_end) {
			c->head_len = (size_t)(head_end - str_text(&c->request)) + 4;
			length = strcasestr(str_text(&c->request), "Content-Length: ");
			body = length && length < head_end ? strtoul(length + 16, NULL, 10) : 0;
			if (c->request.len >= c->head_len + body)
				return true;
		}
		got = receive(c, buf, sizeof(buf));
		if (got <= 0)
			return false;
		str_append_bytes(&c->request, buf, (size_t)got);
		if (buf[0] ==
		    TLS_HANDSHAKE) /* to one that speaks none: it answers what it does not understand */
			return true;
	}
}

static void *serve_connection(void *arg)
{
	struct connection *c = arg;
	struct server *s = c->server;
	bool more = true;

	if (s->tls) {
		c->tls = SSL_new(s->tls);
		SSL_set_fd(c->tls, c->fd);
		more = SSL_accept(c->tls) == 1;
	}
	while (more && read_request(c)) {
		pthread_mutex_lock(&s->lock);
		s->requests++;
		s->at_once++;
		if (s->at_once > s->most_at_once)
			s->most_at_once = s->at_once;
		pthread_cond_broadcast(&s->changed);
		pthread_mutex_unlock(&s->lock);
		more = s->reply(c);
		pthread_mutex_lock(&s->lock);
		s->at_once--;
		pthread_mutex_unlock(&s->lock);
	}
	pthread_mutex_lock(&s->lock);
	s->closed += c - s->connections < s->silent;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
	SSL_free(c->tls);
	shutdown(c->fd, SHUT_RDWR);
	str_finish(&c->request);
	return NULL;
}

static void *serve(void *arg)
{
	struct server *s = arg;
	int fd, number = 0;

	while (number < CONNECTIONS_MAX && (fd = accept(s->listener, NULL, NULL)) >= 0) {
		struct connection *c = &s->connections[number++];

		c->server = s;
		c->fd = fd;
		pthread_mutex_lock(&s->lock);
		s->accepted = number;
		pthread_mutex_unlock(&s->lock);
		assert_int_equal(pthread_create(&c->thread, NULL, serve_connection, c), 0);
	}
	return NULL;
}

static int counted(struct server *s, const int *counter)
{
	int value;

	pthread_mutex_lock(&s->lock);
	value = *counter;
	pthread_mutex_unlock(&s->lock);
	return value;
}

static void server_start(struct server *s, reply_fn reply, SSL_CTX *tls)
{
	struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t len = sizeof(address);

	memset(s, 0, sizeof(*s));
	s->reply = reply;
	s->tls = tls;
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->changed, NULL);
	s->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(s->listener, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(s->listener, 64), 0);
	assert_int_equal(getsockname(s->listener, (struct sockaddr *)&address, &len), 0);
	s->port = ntohs(address.sin_port);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

static void server_stop(struct server *s)
{
	shutdown(s->listener, SHUT_RDWR);
	pthread_join(s->thread, NULL);
	close(s->listener);
	for (int i = 0; i < s->accepted; i++) {
		shutdown(s->connections[i].fd, SHUT_RDWR);
		pthread_join(s->connections[i].thread, NULL);
		close(s->connections[i].fd);
	}
	pthread_cond_destroy(&s->changed);
	pthread_mutex_destroy(&s->lock);
}

static void wait_for_requests(struct server *s, int count)
{
	pthread_mutex_lock(&s->lock);
	while (s->requests < count)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
}

/* What a test needs: a server, a net and a request for it. */
struct world {
	struct server server;
	struct net *net;
	char url[64];
	struct net_request req;
	struct net_response answer;
	struct error err;
};

static void world_begin(struct world *w, reply_fn reply, unsigned max_connections)
{
	const struct net_options options = {.max_connections = max_connections};

	server_start(&w->server, reply, NULL);
	assert_int_equal(net_new(&options, &w->net, &w->err), 0);
	snprintf(w->url, sizeof(w->url), "http://127.0.0.1:%d/a/../b", w->server.port);
	w->req = (struct net_request){.method = "GET",
	                              .url = w->url,
	                              .connect_timeout_ms = LONG_MS,
	                              .stall_timeout_ms = LONG_MS,
	                              .deadline_ms = clock_mono_ms() + LONG_MS};
	w->answer = (struct net_response){0};
	w->err = (struct error){0};
}

static int perform(struct world *w)
{
	net_response_finish(&w->answer);
	w->err = (struct error){0};
	return net_perform(w->net, &w->req, &w->answer, &w->err);
}

static void world_end(struct world *w)
{
	net_response_finish(&w->answer);
	w->net = net_free(w->net);
	server_stop(&w->server);
}

static bool reply_hello(struct connection *c)
{
	return send_text(
	               c,
	               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Odd:  two words \r\nETag: \"e\"\r\n\r\n") &&
	       (!strncmp(str_text(&c->request), "HEAD", 4) || send_text(c, "hello"));
}

/* The body of the request, and before it an interim answer whose header must not be seen. */
static bool reply_echo(struct connection *c)
{
	size_t len = c->request.len - c->head_len;
	char head[160];

	snprintf(head, sizeof(head),
	         "HTTP/1.1 102 Processing\r\nX-Interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
	         "%zu\r\n\r\n",
	         len);
	return send_text(c, head) && send_bytes(c, str_text(&c->request) + c->head_len, len);
}

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

/* Sends the beginning of an answer, then waits until the client gives up. */
static bool reply_stall(struct connection *c)
{
	char byte;

	send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
	while (receive(c, &byte, 1) > 0)
		;
	return false;
}

static void expect_timeout(struct world *w, const char *text)
{
	assert_int_equal(perform(w), -ETIMEDOUT);
	assert_int_equal(w->err.class, ERROR_TIMEOUT);
	assert_true(w->err.retry);
	assert_non_null(strstr(w->err.message, text));
}

static void test_stall(void **state)
{
	struct world w;

	world_begin(&w, reply_stall, 4);
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
	w.req.stall_timeout_ms = 30;
	expect_timeout(&w, "no byte moved");
	assert_int_equal(w.answer.status, 200);
	assert_int_equal(w.answer.into_bytes, 1);
	assert_memory_equal(buf, "x", 1);
	world_end(&w);
}

static void *perform_in_thread(void *arg)
{
	return (void *)(intptr_t)perform(arg);
}

static bool reply_at_gate(struct connection *c)
{
	struct server *s = c->server;

	pthread_mutex_lock(&s->lock);
	while (!s->open_gate)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return reply_hello(c);
}

static void open_gate(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->open_gate = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
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

/* @count requests at the same time, at least three of which wait at the gate before it is opened; all are
 * answered. */
static void perform_at_once(struct world *w, size_t count)
{
	struct world each[12];
	pthread_t threads[ARRAY_SIZE(each)];
	void *result;

	for (size_t i = 0; i < count; i++) {
		each[i] = (struct world){.net = w->net, .req = w->req};
		assert_int_equal(pthread_create(&threads[i], NULL, perform_in_thread, &each[i]), 0);
	}
	wait_for_requests(&w->server, 3);
	open_gate(&w->server);
	for (size_t i = 0; i < count; i++) {
		pthread_join(threads[i], &result);
		assert_int_equal((intptr_t)result, 0);
		assert_string_equal(str_text(&each[i].answer.text), "hello");
		net_response_finish(&each[i].answer);
	}
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

/* A certificate for 127.0.0.1 that signs itself. */
static SSL_CTX *self_signed(const char *pem_path)
{
	SSL_CTX *tls = SSL_CTX_new(TLS_server_method());
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *cert = X509_new();
	X509V3_CTX context;
	X509_EXTENSION *name;
	FILE *pem = fopen(pem_path, "w");

	X509_set_version(cert, 2);
	ASN1_INTEGER_set(X509_get_serialNumber(cert), 1);
	X509_gmtime_adj(X509_getm_notBefore(cert), -3600);
	X509_gmtime_adj(X509_getm_notAfter(cert), 3600);
	X509_set_pubkey(cert, key);
	X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_ASC,
	                           (const unsigned char *)"t", -1, -1, 0);
	X509_set_issuer_name(cert, X509_get_subject_name(cert));
	X509V3_set_ctx(&context, cert, cert, NULL, NULL, 0);
	name = X509V3_EXT_conf_nid(NULL, &context, NID_subject_alt_name, "IP:127.0.0.1");
	X509_add_ext(cert, name, -1);
	X509_EXTENSION_free(name);
	assert_true(X509_sign(cert, key, EVP_sha256()) > 0);
	assert_int_equal(SSL_CTX_use_certificate(tls, cert), 1);
	assert_int_equal(SSL_CTX_use_PrivateKey(tls, key), 1);
	assert_non_null(pem);
	assert_int_equal(PEM_write_X509(pem, cert), 1);
	fclose(pem);
	X509_free(cert);
	EVP_PKEY_free(key);
	return tls;
}

static int perform_tls(const char *ca_file, const char *host, int port, struct error *err)
{
	const struct net_options options = {.ca_file = ca_file, .max_connections = 1};
	struct net_request req = {
	        .method = "GET", .connect_timeout_ms = LONG_MS, .stall_timeout_ms = LONG_MS};
	_cleanup(net_response) struct net_response answer = {0};
	_cleanup(free) char *url = mem_printf("https://%s:%d/", host, port);
	struct net *net;
	int rc;

	req.url = url;
	*err = (struct error){0};
	assert_int_equal(net_new(&options, &net, err), 0);
	rc = net_perform(net, &req, &answer, err);
	net_free(net);
	return rc;
}

static void test_tls_is_verified(void **state)
{
	char pem[] = "/tmp/test_net_XXXXXX";
	struct server server;
	struct error err;
	SSL_CTX *tls;

	close(mkstemp(pem));
	tls = self_signed(pem);
	server_start(&server, reply_hello, tls);
	assert_int_equal(perform_tls(NULL, "127.0.0.1", server.port, &err), -EACCES);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_false(err.retry);
	assert_non_null(strstr(err.message, "ca_file"));
	assert_int_equal(perform_tls(pem, "127.0.0.1", server.port, &err), 0);
	assert_int_equal(perform_tls(pem, "localhost", server.port, &err),
	                 -EACCES); /* trusted, but another's */
	assert_int_equal(perform_tls("/nonexistent.pem", "127.0.0.1", server.port, &err), -EINVAL);
	assert_int_equal(err.class, ERROR_USAGE);
	server_stop(&server);
	SSL_CTX_free(tls);
	unlink(pem);
}

static void test_no_tls_is_spoken(void **state)
{
	struct server server;
	struct error err;

	server_start(&server, reply_hello, NULL);
	assert_int_equal(perform_tls(NULL, "127.0.0.1", server.port, &err), -EPROTO);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "cannot agree on TLS with https://127.0.0.1:"));
	server_stop(&server);
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
	        cmocka_unit_test(test_kept_connection_dies),
	        cmocka_unit_test(test_refused),
	        cmocka_unit_test(test_closed_without_answer),
	        cmocka_unit_test(test_closed_in_the_body),
	        cmocka_unit_test(test_garbage),
	        cmocka_unit_test(test_stall),
	        cmocka_unit_test(test_stall_tells_what_came),
	        cmocka_unit_test(test_first_byte),
	        cmocka_unit_test(test_a_silent_server_costs_one_timeout),
	        cmocka_unit_test(test_a_lookup_that_hangs),
	        cmocka_unit_test(test_too_large),
	        cmocka_unit_test(test_text_is_limited),
	        cmocka_unit_test(test_cancel),
	        cmocka_unit_test(test_cancel_while_waiting_for_a_connection),
	        cmocka_unit_test(test_free_ends_what_runs),
	        cmocka_unit_test(test_many_on_few_connections),
	        cmocka_unit_test(test_other_schemes),
	        cmocka_unit_test(test_tls_is_verified),
	        cmocka_unit_test(test_no_tls_is_spoken),
	};

	signal(SIGPIPE, SIG_IGN);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
