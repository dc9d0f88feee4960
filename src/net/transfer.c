// SPDX-License-Identifier: Apache-2.0
/*
 * One exchange through a curl handle.
 *
 * Bytes move between the socket and the caller's buffers without a stop in between: uploads are read from the
 * request's iovecs (and can be rewound, because curl repeats a request whose kept connection turns out to be
 * dead), answers go into the caller's iovecs. An answer that is no success is text for people, and must never
 * land in those buffers, which is why the status is asked for at each piece.
 *
 * Time: curl watches over the connection's start; the deadline and the stall are watched by the transfer
 * thread, which knows them for transfers that wait for a free connection too. A stall counts from the last
 * byte in either direction, and only once there is a connection; until the answer begins, it may have a limit
 * of its own.
 */
#include "transfer.h"

#include "config.h"
#include <errno.h>
#include <fcntl.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/iov.h>
#include <keepfs/base/mem.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define PROXY_DENIES      407
#define CURL_BUFFER_BYTES (256L << 10)

/* Copies up to @len bytes out of or into the cursor's buffers; returns how many there was room for. */
static size_t cursor_move(struct iov_cursor *c, char *data, size_t len, bool to_cursor)
{
	size_t moved = 0;

	while (moved < len && c->at < c->count) {
		char *here = (char *)c->iov[c->at].iov_base + c->offset;
		size_t room = c->iov[c->at].iov_len - c->offset;
		size_t step = room < len - moved ? room : len - moved;

		if (step)
			memcpy(to_cursor ? here : data + moved, to_cursor ? data + moved : here, step);
		moved += step;
		c->offset += step;
		if (c->offset == c->iov[c->at].iov_len) {
			c->at++;
			c->offset = 0;
		}
	}
	c->passed += moved;
	return moved;
}

static void cursor_seek(struct iov_cursor *c, uint64_t position)
{
	*c = (struct iov_cursor){.iov = c->iov, .count = c->count};
	while (c->at < c->count && position - c->passed >= c->iov[c->at].iov_len)
		c->passed += c->iov[c->at++].iov_len;
	if (c->at < c->count) {
		c->offset = position - c->passed;
		c->passed = position;
	}
}

static size_t on_read(char *to, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;

	t->moved_at_ms = clock_mono_ms();
	return cursor_move(&t->body, to, size * count, false);
}

static int on_seek(void *arg, curl_off_t offset, int origin)
{
	struct transfer *t = arg;

	if (origin != SEEK_SET || offset < 0)
		return CURL_SEEKFUNC_FAIL;
	cursor_seek(&t->body, (uint64_t)offset);
	return CURL_SEEKFUNC_OK;
}

/* What came so far. */
static void tell_what_came(struct transfer *t)
{
	long status = 0;

	if (!t->easy) /* it never left the queue */
		return;
	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	t->out->status = (int)status;
	t->out->into_bytes = t->into.passed;
}

static bool is_success(const struct transfer *t)
{
	long status = 0;

	curl_easy_getinfo(t->easy, CURLINFO_RESPONSE_CODE, &status);
	return status >= 200 && status < 300;
}

static size_t into_buffers(struct transfer *t, char *data, size_t len)
{
	size_t moved = cursor_move(&t->into, data, len, true);

	t->too_large = moved < len;
	if (t->req->into_filled) {
		tell_what_came(t);
		t->req->into_filled(t->req->into_arg, t->out);
		/* What that took is not the server's silence. */
		t->moved_at_ms = clock_mono_ms();
	}
	return moved;
}

static size_t on_write(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * count;

	t->moved_at_ms = clock_mono_ms();
	if (t->req->into && is_success(t))
		return into_buffers(t, data, len);
	if (t->out->text.len + len > NET_TEXT_MAX) {
		t->too_large = true;
		return 0;
	}
	str_append_bytes(&t->out->text, data, len);
	return len;
}

static void append_header(struct str *headers, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);

	if (!colon)
		return;
	str_append_bytes(headers, line, len);
	str_append_char(headers, '\n');
	for (char *c = headers->data + headers->len - len - 1; *c != ':'; c++)
		*c = *c >= 'A' && *c <= 'Z' ? (char)(*c - 'A' + 'a') : *c;
}

static size_t on_header(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *t = arg;
	size_t len = size * count, text = len;

	t->moved_at_ms = clock_mono_ms();
	t->answered = true;
	/* A status line begins a new set: what came before belonged to an interim answer (100). */
	if (len >= 5 && !memcmp(data, "HTTP/", 5)) {
		str_clear(&t->out->headers);
		return len;
	}
	while (text && (data[text - 1] == '\r' || data[text - 1] == '\n'))
		text--;
	append_header(&t->out->headers, data, text);
	return len;
}

/* on_read() tells when curl's buffer was filled; this, when it was emptied: on a slow line that makes the
 * difference. */
static int on_progress(void *arg, curl_off_t to_load, curl_off_t loaded, curl_off_t to_send, curl_off_t sent)
{
	struct transfer *t = arg;

	(void)to_load;
	(void)loaded;
	(void)to_send;
	if (sent != t->sent_bytes && t->moved_at_ms)
		t->moved_at_ms = clock_mono_ms();
	t->sent_bytes = sent;
	return 0;
}

static int on_connected(void *arg, char *remote, char *local, int remote_port, int local_port)
{
	struct transfer *t = arg;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	t->moved_at_ms = clock_mono_ms();
	return CURL_PREREQFUNC_OK;
}

/* curl's own sockets would be inherited by child processes. */
static curl_socket_t on_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct transfer *t = arg;

	(void)purpose;
	*t->socket_fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
	return *t->socket_fd;
}

static bool has_body(const struct net_request *req)
{
	return req->body_count > 0 || str_equal(req->method, "PUT") || str_equal(req->method, "POST");
}

static int add_header(struct transfer *t, const char *name, const char *value)
{
	/* "Name;" is curl's way of saying a header without a value; "Name:" would remove it. */
	char *line = *value ? mem_printf("%s: %s", name, value) : mem_printf("%s;", name);
	struct curl_slist *longer = curl_slist_append(t->headers, line);

	explicit_bzero(line, strlen(line));
	free(line);
	if (!longer)
		return -ENOMEM;
	t->headers = longer;
	return 0;
}

static int set_headers(struct transfer *t)
{
	/* A round trip before each body would cost more than a refused body does; "Expect:" takes curl's
	 * out. */
	struct curl_slist *first = curl_slist_append(NULL, "Expect:");
	int r = first ? 0 : -ENOMEM;

	t->headers = first;
	for (size_t i = 0; !r && i < t->req->header_count; i++)
		r = add_header(t, t->req->headers[i].name, t->req->headers[i].value);
	return r;
}

static void set_callbacks(struct transfer *t)
{
	curl_easy_setopt(t->easy, CURLOPT_WRITEFUNCTION, on_write);
	curl_easy_setopt(t->easy, CURLOPT_WRITEDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_HEADERFUNCTION, on_header);
	curl_easy_setopt(t->easy, CURLOPT_HEADERDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(t->easy, CURLOPT_XFERINFODATA, t);
	curl_easy_setopt(t->easy, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(t->easy, CURLOPT_PREREQFUNCTION, on_connected);
	curl_easy_setopt(t->easy, CURLOPT_PREREQDATA, t);
	curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETFUNCTION, on_socket);
	curl_easy_setopt(t->easy, CURLOPT_OPENSOCKETDATA, t);
}

static void set_connection(struct transfer *t)
{
	const struct net_request *req = t->req;

	curl_easy_setopt(t->easy, CURLOPT_PRIVATE, t);
	curl_easy_setopt(t->easy, CURLOPT_URL, req->url);
	curl_easy_setopt(t->easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(t->easy, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(t->easy, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	curl_easy_setopt(t->easy, CURLOPT_NOSIGNAL, 1L);
	/* Else whoever is stopped while its host's name is looked up would hold up all others until that is
	 * done. */
	curl_easy_setopt(t->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(t->easy, CURLOPT_ERRORBUFFER, t->curl_text);
	curl_easy_setopt(t->easy, CURLOPT_USERAGENT, "keepfs/" KEEPFS_VERSION);
	curl_easy_setopt(t->easy, CURLOPT_TCP_KEEPALIVE, 1L);
	curl_easy_setopt(t->easy, CURLOPT_BUFFERSIZE, CURL_BUFFER_BYTES);
	curl_easy_setopt(t->easy, CURLOPT_UPLOAD_BUFFERSIZE, CURL_BUFFER_BYTES);
	curl_easy_setopt(t->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(t->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (t->ca_file)
		curl_easy_setopt(t->easy, CURLOPT_CAINFO, t->ca_file);
	if (req->connect_timeout_ms > 0)
		curl_easy_setopt(t->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)req->connect_timeout_ms);
}

static void set_method(struct transfer *t)
{
	const struct net_request *req = t->req;

	if (str_equal(req->method, "HEAD")) {
		curl_easy_setopt(t->easy, CURLOPT_NOBODY, 1L);
		return;
	}
	if (has_body(req)) {
		curl_easy_setopt(t->easy, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(t->easy, CURLOPT_INFILESIZE_LARGE,
		                 (curl_off_t)iov_bytes(req->body, req->body_count));
		curl_easy_setopt(t->easy, CURLOPT_READFUNCTION, on_read);
		curl_easy_setopt(t->easy, CURLOPT_READDATA, t);
		curl_easy_setopt(t->easy, CURLOPT_SEEKFUNCTION, on_seek);
		curl_easy_setopt(t->easy, CURLOPT_SEEKDATA, t);
	}
	curl_easy_setopt(t->easy, CURLOPT_CUSTOMREQUEST, req->method);
}

int transfer_begin(struct transfer *t, CURLSH *share)
{
	t->body = (struct iov_cursor){.iov = t->req->body, .count = t->req->body_count};
	t->into = (struct iov_cursor){.iov = t->req->into, .count = t->req->into_count};
	t->easy = curl_easy_init();
	if (!t->easy || set_headers(t)) {
		t->result = error_system(t->err, ENOMEM, "cannot begin an HTTP request");
		return t->result;
	}
	set_connection(t);
	curl_easy_setopt(t->easy, CURLOPT_SHARE, share);
	set_callbacks(t);
	set_method(t);
	curl_easy_setopt(t->easy, CURLOPT_HTTPHEADER, t->headers);
	return 0;
}

void transfer_release(struct transfer *t)
{
	if (t->easy)
		curl_easy_cleanup(t->easy);
	curl_slist_free_all(t->headers);
	t->easy = NULL;
	t->headers = NULL;
}

/*
 * A server without TCP_NODELAY (Ceph's gateway) sends an answer's head, and holds its short body back until the
 * head is acknowledged, which the kernel delays by 40 ms on a connection that was idle. The kernel forgets
 * TCP_QUICKACK, so it is set for each answer.
 */
void transfer_hurry(struct transfer *t)
{
	const int on = 1;

	if (t->into.passed == 0 && t->out->text.len == 0 && *t->socket_fd >= 0)
		(void)setsockopt(*t->socket_fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
}

/* "https://host:port" of the URL: its path and query may hold what is nobody's business. */
static void server_name(const struct transfer *t, char *buf, size_t buf_bytes)
{
	const char *host = strstr(t->req->url, "://");
	size_t len =
	        host ? (size_t)(host - t->req->url) + 3 + strcspn(host + 3, "/?") : strcspn(t->req->url, "?");

	str_copy(buf, len + 1 < buf_bytes ? len + 1 : buf_bytes, t->req->url);
}

static int unavailable(struct transfer *t, int errnum, const char *what)
{
	_cleanup(free) char *proxy =
	        proxy_is_meant(t->req->url, t->curl_text) ? proxy_name(t->req->url) : NULL;
	char server[256];

	server_name(t, server, sizeof(server));
	if (proxy)
		error_set(t->err, ERROR_UNAVAILABLE, errnum,
		          "%s %s, which leads to %s: %s; mend the proxy, or name the server in NO_PROXY",
		          what, proxy, server, t->curl_text);
	else
		error_set(t->err, ERROR_UNAVAILABLE, errnum, "%s %s: %s", what, server, t->curl_text);
	if (t->err)
		t->err->retry = true;
	return -errnum;
}

/* 407, from whom only a proxy says it. */
static int refused_by_proxy(struct transfer *t)
{
	_cleanup(free) char *proxy = proxy_name(t->req->url);
	char server[256];

	server_name(t, server, sizeof(server));
	return error_set(
	        t->err, ERROR_DENIED, EACCES,
	        "%s, which leads to %s, refuses its user or password (HTTP 407): mend them in that variable, or name the server in NO_PROXY",
	        proxy ? proxy : "a proxy", server);
}

static int not_trusted(struct transfer *t)
{
	char server[256];

	server_name(t, server, sizeof(server));
	return error_set(
	        t->err, ERROR_DENIED, EACCES,
	        "the TLS certificate of %s is not trusted: %s. If the server belongs to you, name the PEM file of its certification authority as ca_file (now: %s); "
	        "else somebody may be between you and it",
	        server, t->curl_text, t->ca_file ? t->ca_file : "the system's");
}

static int timed_out(struct transfer *t, const char *what)
{
	char server[256];

	server_name(t, server, sizeof(server));
	error_set(t->err, ERROR_TIMEOUT, ETIMEDOUT, "%s: %s", server, what);
	if (t->err)
		t->err->retry = true;
	return -ETIMEDOUT;
}

/* curl does not say with whom: a proxy that is configured is named. */
static int not_connected(struct transfer *t)
{
	_cleanup(free) char *proxy = proxy_name(t->req->url);
	_cleanup(free) char *text = mem_printf("no connection within the time for connecting%s%s",
	                                       proxy ? ", neither to it nor to " : "", proxy ? proxy : "");

	return timed_out(t, text);
}

static int transfer_failure(struct transfer *t, CURLcode code)
{
	long connect_status = 0;

	if (!t->curl_text[0])
		str_copy(t->curl_text, sizeof(t->curl_text), curl_easy_strerror(code));
	if (t->too_large)
		return error_set(t->err, ERROR_INTERNAL, EMSGSIZE,
		                 "the server's answer is larger than what was asked for");
	curl_easy_getinfo(t->easy, CURLINFO_HTTP_CONNECTCODE, &connect_status);
	if (connect_status == PROXY_DENIES)
		return refused_by_proxy(t);
	switch (code) {
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
		return unavailable(t, EHOSTUNREACH, "cannot find");
	case CURLE_COULDNT_CONNECT:
		return unavailable(t, ECONNREFUSED, "cannot connect to");
	case CURLE_OPERATION_TIMEDOUT:
		return not_connected(t);
	case CURLE_SSL_CONNECT_ERROR:
		return unavailable(t, EPROTO, "cannot agree on TLS with");
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return not_trusted(t);
	case CURLE_SSL_CACERT_BADFILE:
		return error_set(t->err, ERROR_USAGE, EINVAL, "cannot use the CA file %s: %s",
		                 t->ca_file ? t->ca_file : "of the system", t->curl_text);
	case CURLE_URL_MALFORMAT:
		return error_set(t->err, ERROR_USAGE, EINVAL, "not a URL: %s", t->curl_text);
	case CURLE_OUT_OF_MEMORY:
		return error_system(t->err, ENOMEM, "HTTP request");
	case CURLE_UNSUPPORTED_PROTOCOL: /* for an answer that is not HTTP/1.x; the URL's scheme is checked
	                                    before */
	case CURLE_WEIRD_SERVER_REPLY:
		return unavailable(t, EPROTO, "no HTTP is spoken by");
	default:
		return unavailable(t, ECONNRESET, "lost the connection to");
	}
}

void transfer_end(struct transfer *t, CURLcode code)
{
	tell_what_came(t);
	if (code == CURLE_OK && t->out->status == PROXY_DENIES)
		t->result = refused_by_proxy(t);
	else
		t->result = code == CURLE_OK ? 0 : transfer_failure(t, code);
}

/* How long no byte may move, as it stands. */
static int64_t silence_ms(const struct transfer *t)
{
	return !t->answered && t->req->first_byte_timeout_ms > 0 ? t->req->first_byte_timeout_ms
	                                                         : t->req->stall_timeout_ms;
}

int64_t transfer_due_ms(const struct transfer *t)
{
	int64_t due = t->req->deadline_ms ? t->req->deadline_ms : INT64_MAX;
	int64_t silence = silence_ms(t);

	if (t->moved_at_ms && silence > 0 && t->moved_at_ms + silence < due)
		due = t->moved_at_ms + silence;
	return due;
}

void transfer_timeout(struct transfer *t)
{
	char text[128];

	tell_what_came(t);
	t->fell_silent = !t->req->deadline_ms || clock_mono_ms() < t->req->deadline_ms;
	if (!t->fell_silent)
		snprintf(text, sizeof(text), "the request was not done by its deadline");
	else
		snprintf(text, sizeof(text), "no byte %s for %.1f s",
		         t->answered ? "moved" : "of an answer came", (double)silence_ms(t) / 1000);
	t->result = timed_out(t, text);
}

void transfer_cancel(struct transfer *t)
{
	tell_what_came(t);
	t->result = error_set(t->err, ERROR_CANCELLED, ECANCELED, "the request was cancelled");
}
