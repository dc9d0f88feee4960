// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What the tests of net share: a small server of their own, with TLS where it is told to, that answers
 * as a test tells it, and a world of a server, a net and a request for it. */
#include <keepfs/base/clock.h>
#include <keepfs/base/str.h>
#include <keepfs/net.h>

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

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

static inline ssize_t receive(struct connection *c, char *buf, size_t len)
{
	return c->tls ? SSL_read(c->tls, buf, (int)len) : recv(c->fd, buf, len, 0);
}

static inline bool send_bytes(struct connection *c, const char *data, size_t len)
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

static inline bool send_text(struct connection *c, const char *text)
{
	return send_bytes(c, text, strlen(text));
}

static inline bool read_request(struct connection *c)
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

static inline void *serve_connection(void *arg)
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

static inline void *serve(void *arg)
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

static inline int counted(struct server *s, const int *counter)
{
	int value;

	pthread_mutex_lock(&s->lock);
	value = *counter;
	pthread_mutex_unlock(&s->lock);
	return value;
}

static inline void server_start(struct server *s, reply_fn reply, SSL_CTX *tls)
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

static inline void server_stop(struct server *s)
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

static inline void wait_for_requests(struct server *s, int count)
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

static inline void world_begin(struct world *w, reply_fn reply, unsigned max_connections)
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

static inline int perform(struct world *w)
{
	net_response_finish(&w->answer);
	w->err = (struct error){0};
	return net_perform(w->net, &w->req, &w->answer, &w->err);
}

static inline void *perform_in_thread(void *arg)
{
	return (void *)(intptr_t)perform(arg);
}

static inline void world_end(struct world *w)
{
	net_response_finish(&w->answer);
	w->net = net_free(w->net);
	server_stop(&w->server);
}

static inline void expect_timeout(struct world *w, const char *text)
{
	assert_int_equal(perform(w), -ETIMEDOUT);
	assert_int_equal(w->err.class, ERROR_TIMEOUT);
	assert_true(w->err.retry);
	assert_non_null(strstr(w->err.message, text));
}

static inline bool reply_hello(struct connection *c)
{
	return send_text(
	               c,
	               "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-Odd:  two words \r\nETag: \"e\"\r\n\r\n") &&
	       (!strncmp(str_text(&c->request), "HEAD", 4) || send_text(c, "hello"));
}

/* The body of the request, and before it an interim answer whose header must not be seen. */
static inline bool reply_echo(struct connection *c)
{
	size_t len = c->request.len - c->head_len;
	char head[160];

	snprintf(head, sizeof(head),
	         "HTTP/1.1 102 Processing\r\nX-Interim: 1\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: "
	         "%zu\r\n\r\n",
	         len);
	return send_text(c, head) && send_bytes(c, str_text(&c->request) + c->head_len, len);
}

/* Sends the beginning of an answer, then waits until the client gives up. */
static inline bool reply_stall(struct connection *c)
{
	char byte;

	send_text(c, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nx");
	while (receive(c, &byte, 1) > 0)
		;
	return false;
}

static inline bool reply_at_gate(struct connection *c)
{
	struct server *s = c->server;

	pthread_mutex_lock(&s->lock);
	while (!s->open_gate)
		pthread_cond_wait(&s->changed, &s->lock);
	pthread_mutex_unlock(&s->lock);
	return reply_hello(c);
}

static inline void open_gate(struct server *s)
{
	pthread_mutex_lock(&s->lock);
	s->open_gate = true;
	pthread_cond_broadcast(&s->changed);
	pthread_mutex_unlock(&s->lock);
}

/* @count requests at the same time, at least three of which wait at the gate before it is opened; all are
 * answered. */
static inline void perform_at_once(struct world *w, size_t count)
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
