// SPDX-License-Identifier: Apache-2.0
/*
 * The credentials of the machine itself, from the instance metadata service of EC2, version 2: a token first, then the
 * name of the role, then its credentials. Version 1, which any request that somebody talked a program into could read,
 * is not asked.
 */
#include "source.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define ENDPOINT      "http://169.254.169.254"
#define ENDPOINT_IPV6 "http://[fd00:ec2::254]"
#define ROLES         "/latest/meta-data/iam/security-credentials/"
#define TOKEN_TTL_S   "21600"
#define TOKEN_HEADER  "X-aws-ec2-metadata-token"
#define TIMEOUT_S     1 /* as in aws: where there is no such service, nobody answers */
#define TIMEOUT_MAX_S 60
/* When the service is in trouble it gives credentials that have ended, which AWS accepts then. */
#define EXTENSION_US (10 * 60 * US_PER_S)

static char *setting(const struct aws_ask *ask, const char *variable, const char *key)
{
	char *value = aws_variable(variable);

	return value ? value
	             : mem_strdup(conf_profiles_get(ask->profiles, conf_profile_name(ask->conf, NULL), key));
}

static bool is_disabled(void)
{
	_cleanup(free) char *disabled = aws_variable("AWS_EC2_METADATA_DISABLED");

	return disabled && strcasecmp(disabled, "true") == 0;
}

/* Without a '/' at its end. */
static char *endpoint(const struct aws_ask *ask)
{
	char *url = setting(ask, "AWS_EC2_METADATA_SERVICE_ENDPOINT", "ec2_metadata_service_endpoint");
	_cleanup(free) char *mode =
	        setting(ask, "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE", "ec2_metadata_service_endpoint_mode");

	if (!url)
		return mem_strdup(mode && strcasecmp(mode, "IPv6") == 0 ? ENDPOINT_IPV6 : ENDPOINT);
	for (size_t len = strlen(url); len > 0 && url[len - 1] == '/'; len--)
		url[len - 1] = '\0';
	return url;
}

static int64_t timeout_ms(const struct aws_ask *ask)
{
	_cleanup(free) char *text = setting(ask, "AWS_METADATA_SERVICE_TIMEOUT", "metadata_service_timeout");
	long seconds = text ? strtol(text, NULL, 10) : TIMEOUT_S;

	return (seconds >= 1 && seconds <= TIMEOUT_MAX_S ? seconds : TIMEOUT_S) * 1000;
}

struct instance {
	const struct aws_ask *ask;
	char *endpoint;
	char *token;
};

static void cleanup_instance(struct instance *i)
{
	free(i->endpoint);
	mem_free_secret(i->token);
}

/* The body of a 2xx answer, which is one line of text or JSON; -ENOENT for a 404. */
static int ask_metadata(const struct instance *i, const char *method, const char *path, struct str *out,
                        struct error *err)
{
	_cleanup(aws_response) struct net_response answer = {0};
	_cleanup(free) char *url = mem_printf("%s%s", i->endpoint, path);
	struct net_header header = {TOKEN_HEADER, i->token};
	const struct aws_request request = {.method = method,
	                                    .url = url,
	                                    .headers = &header,
	                                    .header_count = 1,
	                                    .timeout_ms = timeout_ms(i->ask)};
	int r;

	if (!i->token)
		header = (struct net_header){TOKEN_HEADER "-ttl-seconds", TOKEN_TTL_S};
	r = aws_request(i->ask, &request, &answer, err);
	if (r < 0)
		return r;
	if (answer.status == 404)
		return -ENOENT;
	if (answer.status < 200 || answer.status > 299)
		return aws_status_fails(&answer, url, "", err);
	str_append_bytes(out, answer.text.data, answer.text.len);
	return 0;
}

/* Where nobody answers there is no such service, which is the same for all machines that are none of EC2's. */
static int get_token(struct instance *i, struct error *err)
{
	_cleanup(str) struct str text = {0};
	struct error why = {0};
	int r = ask_metadata(i, "PUT", "/latest/api/token", &text, &why);

	if (r == 0) {
		aws_set(&i->token, str_text(&text));
		explicit_bzero(text.data, text.cap);
		return i->token ? 0 : -ENOENT;
	}
	if (r == -ECANCELED || r == -EAGAIN) {
		if (err)
			*err = why;
		return r;
	}
	str_appendf(
	        i->ask->tried,
	        "; the instance metadata service: %s (in a container, a hop limit of 1 keeps its answer away)",
	        r == -ENOENT ? "it has no tokens of version 2" : why.message);
	return -ENOENT;
}

static int get_role(const struct instance *i, char **ret_path, struct error *err)
{
	_cleanup(str) struct str text = {0};
	int r = ask_metadata(i, "GET", ROLES, &text, err);
	size_t len = strcspn(str_text(&text), "\r\n");

	if (r == -ENOENT || (r == 0 && len == 0)) {
		str_append(i->ask->tried, "; the instance metadata service: the instance has no role");
		return -ENOENT;
	}
	if (r == 0)
		*ret_path = mem_printf("%s%.*s", ROLES, (int)len, str_text(&text));
	return r;
}

static int get_credentials(const struct instance *i, const char *path, struct aws_credentials *ret,
                           struct error *err)
{
	_cleanup(free) char *source = mem_printf("%s%s", i->endpoint, path);
	const struct aws_answer_names names = {
	        .token = "Token", .marker = "Code", .expected = "Success", .what = source};
	_cleanup(str) struct str text = {0};
	int r = ask_metadata(i, "GET", path, &text, err);

	if (r == -ENOENT)
		return aws_fail(err, "%s gives no credentials: HTTP 404", source);
	if (r == 0)
		r = aws_answer_parse(str_text(&text), text.len, &names, ret, err);
	if (text.data)
		explicit_bzero(text.data, text.cap);
	if (r < 0)
		return r;
	if (ret->expires_at_us && ret->expires_at_us <= clock_now_us())
		ret->expires_at_us = clock_now_us() + EXTENSION_US;
	ret->source = take_ptr(&source);
	return 0;
}

int aws_from_instance(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	_cleanup(instance) struct instance i = {.ask = ask};
	_cleanup(free) char *path = NULL;
	int r;

	if (is_disabled()) {
		str_append(ask->tried, "; the instance metadata service: AWS_EC2_METADATA_DISABLED is set");
		return -ENOENT;
	}
	if (!ask->net)
		return -EAGAIN;
	i.endpoint = endpoint(ask);
	r = get_token(&i, err);
	if (r == 0)
		r = get_role(&i, &path, err);
	return r == 0 ? get_credentials(&i, path, ret, err) : r;
}
