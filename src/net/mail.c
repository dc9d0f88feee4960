// SPDX-License-Identifier: Apache-2.0
/* Mail through a curl handle of its own: messages are few, and a server that is left alone for minutes closes its end. */
#include "transfer.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/net/mail.h>

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REPLY_MAX_BYTES 400
#define SOCKETS_MAX     8

struct delivery {
	const struct net_mail *mail;
	CURL *easy;
	CURLM *multi;
	struct curl_slist *to;
	size_t sent;              /* of the message */
	int sockets[SOCKETS_MAX]; /* that curl has open: while it connects it may try several addresses */
	size_t socket_count;
	char curl_text[CURL_ERROR_SIZE];
	struct str reply; /* the server's last, which may be of several lines */
	char code[4];     /* its code; "" */
};

static size_t on_message_wanted(char *to, size_t size, size_t count, void *arg)
{
	struct delivery *d = arg;
	size_t left = strlen(d->mail->message) - d->sent, len = size * count < left ? size * count : left;

	memcpy(to, d->mail->message + d->sent, len);
	d->sent += len;
	return len;
}

/* A line of what the server says: "250-SIZE 1000", "550 5.1.1 no such user". */
static size_t on_reply(char *data, size_t size, size_t count, void *arg)
{
	struct delivery *d = arg;
	size_t len = size * count;
	bool is_code = len >= 4 && isdigit((unsigned char)data[0]) && isdigit((unsigned char)data[1]) &&
	               isdigit((unsigned char)data[2]);

	/* 221 answers the QUIT that curl sends after a failure, and tells nothing of it. */
	if (!is_code || memcmp(data, "221", 3) == 0)
		return len;
	if (memcmp(d->code, data, 3) != 0)
		str_clear(&d->reply);
	memcpy(d->code, data, 3);
	if (d->reply.len > 0)
		str_append_char(&d->reply, ' ');
	if (d->reply.len < REPLY_MAX_BYTES)
		str_append_bytes(&d->reply, data + (d->reply.len > 0 ? 4 : 0),
		                 len - (d->reply.len > 0 ? 4 : 0));
	while (d->reply.len > 0 && strchr("\r\n", d->reply.data[d->reply.len - 1]))
		d->reply.data[--d->reply.len] = '\0';
	return len;
}

static curl_socket_t on_mail_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *address)
{
	struct delivery *d = arg;
	int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);

	(void)purpose;
	if (fd >= 0 && d->socket_count < SOCKETS_MAX)
		d->sockets[d->socket_count++] = fd;
	return fd;
}

static int on_mail_socket_closed(void *arg, curl_socket_t fd)
{
	struct delivery *d = arg;

	for (size_t i = 0; i < d->socket_count; i++)
		if (d->sockets[i] == fd)
			d->sockets[i] = d->sockets[--d->socket_count];
	return close(fd);
}

/* Who closes says goodbye, and curl waits for the answer: not from one that has none. */
static void cut_sockets(const struct delivery *d)
{
	for (size_t i = 0; i < d->socket_count; i++)
		(void)shutdown(d->sockets[i], SHUT_RDWR);
}

static void set_security(const struct delivery *d)
{
	const struct net_mail *m = d->mail;

	curl_easy_setopt(d->easy, CURLOPT_USE_SSL, m->clear_text ? CURLUSESSL_NONE : CURLUSESSL_ALL);
	curl_easy_setopt(d->easy, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(d->easy, CURLOPT_SSL_VERIFYPEER, 1L);
	curl_easy_setopt(d->easy, CURLOPT_SSL_VERIFYHOST, 2L);
	if (m->ca_file && *m->ca_file)
		curl_easy_setopt(d->easy, CURLOPT_CAINFO, m->ca_file);
	if (m->user && *m->user) {
		curl_easy_setopt(d->easy, CURLOPT_USERNAME, m->user);
		curl_easy_setopt(d->easy, CURLOPT_PASSWORD, str_or_empty(m->password));
	}
}

static int set_envelope(struct delivery *d)
{
	_cleanup(free) char *from = mem_printf("<%s>", d->mail->from), *to = mem_printf("<%s>", d->mail->to);

	if (!d->mail->message) {
		curl_easy_setopt(d->easy, CURLOPT_CONNECT_ONLY, 1L);
		return 0;
	}
	d->to = curl_slist_append(NULL, to);
	if (!d->to)
		return -ENOMEM;
	curl_easy_setopt(d->easy, CURLOPT_MAIL_FROM, from);
	curl_easy_setopt(d->easy, CURLOPT_MAIL_RCPT, d->to);
	curl_easy_setopt(d->easy, CURLOPT_UPLOAD, 1L);
	curl_easy_setopt(d->easy, CURLOPT_READFUNCTION, on_message_wanted);
	curl_easy_setopt(d->easy, CURLOPT_READDATA, d);
	return 0;
}

static int prepare_delivery(struct delivery *d)
{
	net_init_curl();
	d->multi = curl_multi_init();
	d->easy = curl_easy_init();
	if (!d->multi || !d->easy)
		return -ENOMEM;
	curl_easy_setopt(d->easy, CURLOPT_URL, d->mail->server);
	curl_easy_setopt(d->easy, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
	curl_easy_setopt(d->easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(d->easy, CURLOPT_QUICK_EXIT, 1L);
	curl_easy_setopt(d->easy, CURLOPT_ERRORBUFFER, d->curl_text);
	curl_easy_setopt(d->easy, CURLOPT_HEADERFUNCTION, on_reply);
	curl_easy_setopt(d->easy, CURLOPT_HEADERDATA, d);
	curl_easy_setopt(d->easy, CURLOPT_OPENSOCKETFUNCTION, on_mail_socket);
	curl_easy_setopt(d->easy, CURLOPT_OPENSOCKETDATA, d);
	curl_easy_setopt(d->easy, CURLOPT_CLOSESOCKETFUNCTION, on_mail_socket_closed);
	curl_easy_setopt(d->easy, CURLOPT_CLOSESOCKETDATA, d);
	curl_easy_setopt(d->easy, CURLOPT_CONNECTTIMEOUT_MS, (long)d->mail->connect_timeout_ms);
	curl_easy_setopt(d->easy, CURLOPT_TIMEOUT_MS, (long)d->mail->timeout_ms);
	curl_easy_setopt(d->easy, CURLOPT_SERVER_RESPONSE_TIMEOUT, (long)(d->mail->timeout_ms / 1000 + 1));
	set_security(d);
	return set_envelope(d);
}

static void finish_delivery(struct delivery *d)
{
	if (d->easy && d->multi)
		curl_multi_remove_handle(d->multi, d->easy);
	if (d->easy)
		curl_easy_cleanup(d->easy);
	if (d->multi)
		curl_multi_cleanup(d->multi);
	curl_slist_free_all(d->to);
	str_finish(&d->reply);
}

static void wake_delivery(void *arg)
{
	struct delivery *d = arg;

	curl_multi_wakeup(d->multi);
}

/* Until curl is done; CURLE_ABORTED_BY_CALLBACK when it was cancelled. */
static CURLcode drive_delivery(struct delivery *d)
{
	int left;

	if (curl_multi_add_handle(d->multi, d->easy) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;
	while (!cancel_is_set(d->mail->cancel)) {
		CURLMsg *message;

		curl_multi_perform(d->multi, &left);
		message = curl_multi_info_read(d->multi, &left);
		if (message && message->msg == CURLMSG_DONE)
			return message->data.result;
		/* curl itself knows when its next timeout is due. */
		curl_multi_poll(d->multi, NULL, 0, INT_MAX, NULL);
	}
	return CURLE_ABORTED_BY_CALLBACK;
}

static int mail_unavailable(const struct delivery *d, enum error_class class, int errnum, const char *what,
                            struct error *err)
{
	error_set(err, class, errnum, "%s %s: %s", what, d->mail->server,
	          d->reply.len > 0 && d->code[0] == '4' ? str_text(&d->reply) : d->curl_text);
	if (err)
		err->retry = true;
	return -errnum;
}

static int certificate_refused(const struct delivery *d, struct error *err)
{
	const char *ca_file = d->mail->ca_file;

	return error_set(
	        err, ERROR_DENIED, EACCES,
	        "the TLS certificate of %s is not trusted: %s. If the server belongs to you, name the PEM file of its certification authority as [mail] ca_file (now: %s); "
	        "else somebody may be between you and it",
	        d->mail->server, d->curl_text, ca_file && *ca_file ? ca_file : "the system's");
}

/* What the server said no to, once there was a connection. */
static int refused_by_server(const struct delivery *d, struct error *err)
{
	return error_set(
	        err, ERROR_DENIED, EPERM,
	        "%s refuses the mail from %s to %s: %s; mend the address, or have the server's operator take it",
	        d->mail->server, d->mail->from, d->mail->to, str_text(&d->reply));
}

static int login_refused(const struct delivery *d, struct error *err)
{
	return error_set(err, ERROR_DENIED, EACCES,
	                 "%s refuses the user %s or its password%s%s; mend [mail] user and password",
	                 d->mail->server, str_or_empty(d->mail->user), d->reply.len > 0 ? ": " : "",
	                 str_text(&d->reply));
}

static int mail_failure(const struct delivery *d, CURLcode code, struct error *err)
{
	switch (code) {
	case CURLE_ABORTED_BY_CALLBACK:
		return error_set(err, ERROR_CANCELLED, ECANCELED, "the mail was cancelled");
	case CURLE_COULDNT_RESOLVE_HOST:
		return mail_unavailable(d, ERROR_UNAVAILABLE, EHOSTUNREACH, "cannot find", err);
	case CURLE_COULDNT_CONNECT:
		return mail_unavailable(d, ERROR_UNAVAILABLE, ECONNREFUSED, "cannot connect to", err);
	case CURLE_OPERATION_TIMEDOUT:
		return mail_unavailable(d, ERROR_TIMEOUT, ETIMEDOUT, "no answer in time from", err);
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_ISSUER_ERROR:
		return certificate_refused(d, err);
	case CURLE_SSL_CACERT_BADFILE:
		return error_set(err, ERROR_USAGE, EINVAL, "cannot use the CA file %s: %s", d->mail->ca_file,
		                 d->curl_text);
	case CURLE_USE_SSL_FAILED:
		return error_set(
		        err, ERROR_USAGE, EPROTO,
		        "%s has no STARTTLS: use smtps:// and its port, or tls = none where clear text is no danger",
		        d->mail->server);
	case CURLE_SSL_CONNECT_ERROR:
		return mail_unavailable(d, ERROR_UNAVAILABLE, EPROTO, "cannot agree on TLS with", err);
	case CURLE_LOGIN_DENIED:
		return login_refused(d, err);
	case CURLE_OUT_OF_MEMORY:
		return error_system(err, ENOMEM, "mail");
	default:
		return d->code[0] == '5' ? refused_by_server(d, err)
		                         : mail_unavailable(d, ERROR_UNAVAILABLE, ECONNRESET,
		                                            "the mail was not taken by", err);
	}
}

int net_send_mail(const struct net_mail *mail, struct error *err)
{
	struct delivery d = {.mail = mail};
	struct cancel_hook hook = {.wake = wake_delivery, .arg = &d};
	int r = prepare_delivery(&d);
	CURLcode code;

	if (r < 0) {
		finish_delivery(&d);
		return error_system(err, -r, "mail cannot be sent");
	}
	cancel_add_hook(mail->cancel, &hook);
	code = drive_delivery(&d);
	cancel_remove_hook(mail->cancel, &hook);
	if (code == CURLE_ABORTED_BY_CALLBACK || code == CURLE_OPERATION_TIMEDOUT)
		cut_sockets(&d);
	if (code != CURLE_OK) {
		if (!d.curl_text[0])
			str_copy(d.curl_text, sizeof(d.curl_text), curl_easy_strerror(code));
		r = mail_failure(&d, code, err);
		if (err)
			str_copy(err->code, sizeof(err->code), d.code);
	}
	finish_delivery(&d);
	return r;
}
