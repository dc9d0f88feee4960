// SPDX-License-Identifier: Apache-2.0
/* A request of a webhook, or of a heartbeat. Its URL may be a secret, so nothing of it but the server is told. */
#include "notify_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/net.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define CONNECT_MS   INT64_C(10000)
#define ANSWER_MS    INT64_C(30000)
#define ANSWER_SHOWN 200
#define RETRY_MAX_S  3600

struct header_list {
	struct net_header *items;
	char **texts; /* of items, split */
	size_t count;
};

static void cleanup_header_list(struct header_list *l)
{
	for (size_t i = 0; i < l->count; i++)
		mem_free_secret(l->texts[i]);
	free(l->texts);
	free(l->items);
}

static void add_header_line(struct header_list *l, const char *line)
{
	char *text = mem_strdup(line), *value = strchr(text, ':');

	*value++ = '\0';
	l->items = mem_resize(l->items, l->count + 1, sizeof(*l->items));
	l->texts = mem_resize(l->texts, l->count + 1, sizeof(*l->texts));
	l->items[l->count] = (struct net_header){.name = text, .value = value + strspn(value, " \t")};
	l->texts[l->count++] = text;
}

static bool has_header(char *const *headers, const char *name)
{
	for (; headers && *headers; headers++)
		if (strncasecmp(*headers, name, strlen(name)) == 0 && (*headers)[strlen(name)] == ':')
			return true;
	return false;
}

static void make_headers(const struct http_message *h, struct header_list *ret)
{
	if (h->body && !has_header(h->headers, "Content-Type")) {
		_cleanup(free) char *type = mem_printf("Content-Type: %s", h->content_type);

		add_header_line(ret, type);
	}
	for (char *const *line = h->headers; line && *line; line++)
		add_header_line(ret, *line);
}

/* 408 and 429 mean: later. */
static bool is_refused_for_good(int status)
{
	return status >= 300 && status < 500 && status != 408 && status != 425 && status != 429;
}

static int64_t asked_to_wait_ms(const struct net_response *answer)
{
	char value[32];
	long seconds = strtol(net_header_find(answer, "retry-after", value, sizeof(value)), NULL, 10);

	return seconds < 0 ? 0 : (seconds < RETRY_MAX_S ? seconds : RETRY_MAX_S) * INT64_C(1000);
}

/* "https://host:port" */
static char *server_of(const char *url)
{
	const char *host = strstr(url, "://");

	return host ? mem_printf("%.*s", (int)(host + 3 - url + (ptrdiff_t)strcspn(host + 3, "/?#")), url)
	            : mem_strdup("the server");
}

static int judge_reply(const struct http_message *h, const struct net_response *answer,
                       struct delivery_result *ret, struct error *err)
{
	_cleanup(free) char *server = server_of(h->url);
	_cleanup(str) struct str words = {0};
	char shown[ANSWER_SHOWN];

	if (answer->status >= 200 && answer->status < 300)
		return 0;
	str_append_line(&words, str_text(&answer->text));
	str_cut(shown, sizeof(shown), str_text(&words));
	ret->refused = is_refused_for_good(answer->status);
	ret->retry_after_ms = asked_to_wait_ms(answer);
	if (answer->status >= 300 && answer->status < 400)
		return error_set(
		        err, ERROR_USAGE, EPROTO,
		        "%s answers with a redirection (HTTP %d), which is not followed: set the url to where it leads",
		        server, answer->status);
	error_set(err, ret->refused ? ERROR_DENIED : ERROR_UNAVAILABLE, EIO, "%s answers HTTP %d%s%s%s",
	          server, answer->status, *shown ? ": " : "", shown,
	          ret->refused ? "; look at url, headers and template of this section" : "");
	err->http_status = answer->status;
	return -EIO;
}

int http_send(const struct http_message *h, struct cancel *cancel, struct delivery_result *ret,
              struct error *err)
{
	const struct net_options options = {.ca_file = h->ca_file, .max_connections = 1};
	const struct iovec body = {.iov_base = (char *)str_or_empty(h->body),
	                           .iov_len = strlen(str_or_empty(h->body))};
	_cleanup(header_list) struct header_list headers = {0};
	_cleanup(net_response) struct net_response answer = {0};
	struct net_request request = {
	        .method = h->method,
	        .url = h->url,
	        .body = &body,
	        .body_count = h->body ? 1 : 0,
	        .connect_timeout_ms = CONNECT_MS,
	        .stall_timeout_ms = ANSWER_MS,
	        .deadline_ms = clock_mono_ms() + CONNECT_MS + ANSWER_MS,
	        .cancel = cancel,
	};
	struct net *net = NULL;
	int r = net_new(&options, &net, err);

	if (r < 0)
		return r;
	make_headers(h, &headers);
	request.headers = headers.items;
	request.header_count = headers.count;
	r = net_perform(net, &request, &answer, err);
	if (r == 0)
		r = judge_reply(h, &answer, ret, err);
	net_free(net);
	return r;
}
