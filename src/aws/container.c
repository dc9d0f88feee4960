// SPDX-License-Identifier: Apache-2.0
/* The credentials of a container, from the agent of ECS or EKS beside it. */
#include "source.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

#define AGENT_OF_ECS    "http://169.254.170.2"
#define TIMEOUT_MS      10000
#define TOKEN_MAX_BYTES ((size_t)64 << 10)

/* The value of the Authorization header, NULL for none; the file is rotated, so it is read each time. */
static int read_authorization(char **ret, struct error *err)
{
	_cleanup(free) char *path = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
	struct str text = {0};
	int r = 0;

	*ret = NULL;
	if (!path) {
		*ret = aws_variable("AWS_CONTAINER_AUTHORIZATION_TOKEN");
		return 0;
	}
	r = fd_read_file(path, TOKEN_MAX_BYTES, &text);
	if (r < 0)
		aws_fail(err, "the file %s (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE) cannot be read: %s", path,
		         strerror(-r));
	else
		aws_set(ret, str_text(&text));
	if (text.data)
		explicit_bzero(text.data, text.cap);
	str_finish(&text);
	return r < 0 ? -ENOKEY : 0;
}

static int ask_agent(const struct aws_ask *ask, const char *url, struct aws_credentials *ret,
                     struct error *err)
{
	const struct aws_answer_names names = {.token = "Token", .what = url};
	_cleanup(aws_response) struct net_response answer = {0};
	_cleanup(free) char *authorization = NULL;
	struct net_header headers[2] = {{"Accept", "application/json"}};
	struct aws_request request = {
	        .method = "GET", .url = url, .headers = headers, .header_count = 1, .timeout_ms = TIMEOUT_MS};
	int r = read_authorization(&authorization, err);

	if (r == 0 && authorization && strpbrk(authorization, "\r\n"))
		r = aws_fail(err,
		             "the token of AWS_CONTAINER_AUTHORIZATION_TOKEN[_FILE] has a line end in it");
	if (r == 0 && authorization)
		headers[request.header_count++] = (struct net_header){"Authorization", authorization};
	if (r == 0)
		r = aws_request(ask, &request, &answer, err);
	mem_free_secret(take_ptr(&authorization));
	if (r < 0)
		return r;
	if (answer.status < 200 || answer.status > 299)
		return aws_status_fails(&answer, url, "", err);
	ret->source = mem_strdup(url);
	return aws_answer_parse(str_text(&answer.text), answer.text.len, &names, ret, err);
}

int aws_from_container(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	_cleanup(free) char *path = aws_variable("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
	_cleanup(free) char *url = aws_variable("AWS_CONTAINER_CREDENTIALS_FULL_URI");

	if (!path && !url)
		return -ENOENT;
	if (!ask->net)
		return -EAGAIN;
	if (path) {
		free(url);
		url = mem_printf("%s%s%s", AGENT_OF_ECS, *path == '/' ? "" : "/", path);
	}
	if (!aws_clear_text_ok(ask->conf, url))
		return aws_fail(
		        err,
		        "AWS_CONTAINER_CREDENTIALS_FULL_URI = %s: credentials would cross the network unencrypted; allowed: https://, or http:// to this host (127.0.0.1, localhost, 169.254.170.2, 169.254.170.23)",
		        url);
	return ask_agent(ask, url, ret, err);
}
