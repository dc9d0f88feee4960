// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the tests of the S3 driver share: a script of answers that a real server gives on its bad days
 * only, or not on demand, and a store that asks for them. What servers do on good days, signatures
 * included, tests/contract tries on real ones.
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

static inline void read_request(int fd, struct str *request)
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

static inline void *run_script(void *arg)
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

static inline void world_open_store(struct world *w)
{
	assert_int_equal(store_s3_new(&w->conf, w->net, &w->store, &w->err), 0);
}

static inline void world_begin(struct world *w, const char *const *answers)
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
	                              .secret_key.value = (char *)"hush-hush",
	                              .session_token.value = (char *)"",
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
static inline void world_end(struct world *w)
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

static inline void assert_seen(const struct world *w, int request, const char *text)
{
	if (!strstr(str_text(&w->script.seen[request]), text))
		fail_msg("request %d has no \"%s\": %s", request, text, str_text(&w->script.seen[request]));
}

static inline void assert_not_seen(const struct world *w, int request, const char *text)
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
