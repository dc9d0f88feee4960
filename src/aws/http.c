// SPDX-License-Identifier: Apache-2.0
/* Requests for credentials: small ones, each with a time limit of its own, because whoever waits for them wants to
 * make another request. They are not tried again here: the retry wrapper of the store does that. */
#include "source.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

int aws_request(const struct aws_ask *ask, const struct aws_request *request, struct net_response *answer,
                struct error *err)
{
	const struct iovec body = {(void *)request->body, request->body ? strlen(request->body) : 0};
	int64_t due_ms = clock_mono_ms() + request->timeout_ms;
	const struct net_request req = {
	        .method = request->method,
	        .url = request->url,
	        .headers = request->headers,
	        .header_count = request->header_count,
	        .body = &body,
	        .body_count = request->body ? 1 : 0,
	        .connect_timeout_ms = request->timeout_ms,
	        .stall_timeout_ms = request->timeout_ms,
	        .deadline_ms = ask->deadline_ms && ask->deadline_ms < due_ms ? ask->deadline_ms : due_ms,
	        .cancel = ask->cancel,
	};
	int r;

	*answer = (struct net_response){0};
	if (!ask->net)
		return -EAGAIN;
	r = net_perform(ask->net, &req, answer, err);
	if (r < 0)
		error_prefix(err, "%s %s, for credentials", request->method, request->url);
	return r;
}

void aws_response_finish(struct net_response *answer)
{
	if (answer->text.data)
		explicit_bzero(answer->text.data, answer->text.cap);
	net_response_finish(answer);
}

int aws_status_fails(const struct net_response *answer, const char *url, const char *words, struct error *err)
{
	bool passes = answer->status >= 500 || answer->status == 429;
	int r = error_set(err, passes ? ERROR_UNAVAILABLE : ERROR_DENIED, passes ? EAGAIN : ENOKEY,
	                  "%s gives no credentials: HTTP %d%s%s", url, answer->status, *words ? ", " : "",
	                  words);

	if (err) {
		err->retry = passes;
		err->http_status = answer->status;
	}
	return r;
}

/* What is behind "://", up to the port; "" where a name and a password come first: they would hide who is asked. */
static char *host_of(const char *url)
{
	const char *host = strstr(url, "://");
	size_t len;

	if (!host)
		return mem_strdup("");
	host += 3;
	if (memchr(host, '@', strcspn(host, "/?")))
		return mem_strdup("");
	len = *host == '[' ? strcspn(host, "]") + 1 : strcspn(host, ":/?");
	return mem_printf("%.*s", (int)len, host);
}

static bool is_of_this_host(const char *host)
{
	/* The last three are link-local: the agents of ECS and EKS on the same machine. */
	static const char *const hosts[] = {"localhost", "[::1]", "169.254.170.2", "169.254.170.23",
	                                    "[fd00:ec2::23]"};
	size_t digits = strspn(host, "0123456789.");

	for (size_t i = 0; i < ARRAY_SIZE(hosts); i++)
		if (str_equal(host, hosts[i]))
			return true;
	return str_starts(host, "127.") && !host[digits];
}

bool aws_clear_text_ok(const struct conf_store *conf, const char *url)
{
	_cleanup(free) char *host = host_of(url);

	if (str_starts(url, "https://"))
		return *host;
	return str_starts(url, "http://") && (conf->allow_http || is_of_this_host(host));
}
