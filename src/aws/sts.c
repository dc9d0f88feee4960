// SPDX-License-Identifier: Apache-2.0
/*
 * The Security Token Service: the credentials of a role, for those of somebody who may assume it, or for a token of an
 * identity provider. Source: docs.aws.amazon.com/STS/latest/APIReference (AssumeRole, AssumeRoleWithWebIdentity).
 */
#include "source.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/s3xml.h>
#include <keepfs/codec/sigv4.h>

#include <errno.h>
#include <string.h>
#include <strings.h>

#define TIMEOUT_MS      20000
#define TOKEN_MAX_BYTES ((size_t)64 << 10)
#define FORM            "application/x-www-form-urlencoded; charset=utf-8"

static const char *region_of(const struct aws_ask *ask)
{
	return *str_or_empty(ask->conf->region) ? ask->conf->region : "us-east-1";
}

/* What is configured in place of AWS's own, as aws does; NULL when nothing is. */
static char *configured_endpoint(const struct aws_ask *ask, const char *profile)
{
	_cleanup(free) char *ignored = aws_variable("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
	char *url;

	if (ignored && strcasecmp(ignored, "true") == 0)
		return NULL;
	url = aws_variable("AWS_ENDPOINT_URL_STS");
	if (!url)
		url = aws_variable("AWS_ENDPOINT_URL");
	if (!url && profile)
		url = mem_strdup(conf_profiles_get(ask->profiles, profile, "endpoint_url"));
	return url;
}

/* Ends with '/'. */
static int sts_url(const struct aws_ask *ask, const char *profile, char **ret, struct error *err)
{
	_cleanup(free) char *url = configured_endpoint(ask, profile);
	const char *region = region_of(ask);

	if (!url)
		url = mem_printf("https://sts.%s.amazonaws.com%s", region,
		                 str_starts(region, "cn-") ? ".cn" : "");
	if (!aws_clear_text_ok(ask->conf, url) || strpbrk(strstr(url, "://") + 3, "?#@ "))
		return aws_fail(
		        err,
		        "the endpoint of STS, %s (AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL or endpoint_url), cannot be used: allowed: https://HOST, or http:// to this host or with [store] allow_http = yes",
		        url);
	*ret = mem_printf("%s%s", url, str_ends(url, "/") ? "" : "/");
	return 0;
}

static void add_field(struct str *form, const char *name, const char *value)
{
	if (!value)
		return;
	str_appendf(form, "%s%s=", form->len ? "&" : "", name);
	sigv4_uri_encode(value, 0, form);
}

static void add_role(struct str *form, const char *action, const struct aws_role *role)
{
	_cleanup(free) char *made_up = mem_printf("keepfs-%lld", (long long)(clock_now_us() / US_PER_S));

	add_field(form, "Action", action);
	add_field(form, "Version", "2011-06-15");
	add_field(form, "RoleArn", role->arn);
	add_field(form, "RoleSessionName", role->session_name ? role->session_name : made_up);
	add_field(form, "ExternalId", role->external_id);
	add_field(form, "DurationSeconds", role->duration_s);
}

struct sts_signing {
	char hash[SHA256_HEX_BYTES];
	char time[CLOCK_NAME_BYTES];
	char *host;
	struct str authorization;
};

static void cleanup_sts_signing(struct sts_signing *g)
{
	free(g->host);
	str_finish(&g->authorization);
}

/* AssumeRole is signed by who assumes it. @headers: room for four. */
static size_t sign_request(const struct aws_ask *ask, const char *url, const char *form,
                           const struct aws_credentials *by, struct sts_signing *g,
                           struct net_header *headers)
{
	const char *host = strstr(url, "://") + 3, *path = host + strcspn(host, "/");
	const struct sigv4_credentials cred = {.access_key = by->access_key,
	                                       .secret_key = by->secret_key,
	                                       .session_token = by->session_token,
	                                       .region = region_of(ask),
	                                       .service = "sts"};
	struct sigv4_pair pairs[4];
	struct sigv4_request req = {
	        .method = "POST", .path = path, .headers = pairs, .payload_sha256 = g->hash};
	int64_t now_us = clock_now_us();
	uint8_t digest[SHA256_BYTES];
	size_t count = 0;

	sha256_once(form, strlen(form), digest);
	hex_encode(digest, sizeof(digest), g->hash);
	clock_format_name(now_us, g->time);
	g->host = mem_printf("%.*s", (int)(path - host), host);
	pairs[req.header_count++] = (struct sigv4_pair){"content-type", FORM};
	pairs[req.header_count++] = (struct sigv4_pair){"host", g->host};
	pairs[req.header_count++] = (struct sigv4_pair){"x-amz-date", g->time};
	if (by->session_token)
		pairs[req.header_count++] = (struct sigv4_pair){"x-amz-security-token", by->session_token};
	sigv4_authorization(&req, &cred, now_us, &g->authorization);
	for (size_t i = 1; i < req.header_count; i++)
		headers[count++] = (struct net_header){pairs[i].name, pairs[i].value};
	headers[count++] = (struct net_header){"Authorization", str_text(&g->authorization)};
	return count;
}

/* The service's own words for an error; what is only busy, or cannot reach an identity provider, is worth another try. */
static int sts_fails(const struct net_response *answer, const char *url, const struct aws_role *role,
                     struct error *err)
{
	struct s3xml_error e;
	_cleanup(free) char *words = NULL;
	int r;

	s3xml_parse_error(str_text(&answer->text), answer->text.len, &e);
	words = mem_printf("%s: %s", e.code, e.message);
	r = aws_status_fails(answer, url, *e.code ? words : "", err);
	error_prefix(err, "the role %s of %s cannot be assumed", role->arn, role->place);
	if (err) {
		err->retry = err->retry || str_starts(e.code, "Throttl") ||
		             str_equal(e.code, "IDPCommunicationError");
		str_copy(err->code, sizeof(err->code), e.code);
		str_copy(err->request_id, sizeof(err->request_id), e.request_id);
	}
	return r;
}

static int take_answer(const struct net_response *answer, const struct aws_role *role,
                       struct aws_credentials *ret, struct error *err)
{
	struct s3xml_credentials found = {0};
	int r = s3xml_parse_credentials(str_text(&answer->text), answer->text.len, &found, err);

	if (r == 0) {
		aws_set(&ret->access_key, found.access_key);
		aws_set(&ret->secret_key, found.secret_key);
		aws_set(&ret->session_token, found.session_token);
		ret->renewable = true;
		ret->source = mem_printf("the role %s of %s", role->arn, role->place);
		if (found.expiration && aws_time_parse(found.expiration, &ret->expires_at_us) < 0)
			r = aws_fail(err, "STS gives credentials with an Expiration that is no time: %.60s",
			             found.expiration);
	}
	s3xml_credentials_finish(&found);
	return r;
}

static int ask_sts(const struct aws_ask *ask, const struct aws_role *role, const char *form,
                   const struct aws_credentials *by, struct aws_credentials *ret, struct error *err)
{
	_cleanup(aws_response) struct net_response answer = {0};
	_cleanup(sts_signing) struct sts_signing g = {0};
	_cleanup(free) char *url = NULL;
	struct net_header headers[6] = {{"Content-Type", FORM}, {"Accept", "text/xml"}};
	struct aws_request request = {.method = "POST",
	                              .headers = headers,
	                              .header_count = 2,
	                              .body = form,
	                              .timeout_ms = TIMEOUT_MS};
	int r = sts_url(ask, role->profile, &url, err);

	if (r < 0)
		return r;
	request.url = url;
	if (by)
		request.header_count += sign_request(ask, url, form, by, &g, headers + 2);
	r = aws_request(ask, &request, &answer, err);
	if (r < 0) {
		error_prefix(err, "the role %s of %s", role->arn, role->place);
		return r;
	}
	if (answer.status < 200 || answer.status > 299)
		return sts_fails(&answer, url, role, err);
	return take_answer(&answer, role, ret, err);
}

int aws_assume_role(const struct aws_ask *ask, const struct aws_role *role, const struct aws_credentials *by,
                    struct aws_credentials *ret, struct error *err)
{
	_cleanup(str) struct str form = {0};

	if (!ask->net)
		return -EAGAIN;
	add_role(&form, "AssumeRole", role);
	return ask_sts(ask, role, str_text(&form), by, ret, err);
}

int aws_assume_role_by_token(const struct aws_ask *ask, const struct aws_role *role, const char *token_file,
                             struct aws_credentials *ret, struct error *err)
{
	_cleanup(str) struct str form = {0}, text = {0};
	_cleanup(free) char *token = NULL;
	int r;

	if (!ask->net)
		return -EAGAIN;
	r = fd_read_file(token_file, TOKEN_MAX_BYTES, &text);
	aws_set(&token, str_text(&text));
	if (r < 0 || !token)
		return aws_fail(err, "the file of the web identity token, %s (of %s), %s%s", token_file,
		                role->place, r < 0 ? "cannot be read: " : "is empty",
		                r < 0 ? strerror(-r) : "");
	add_role(&form, "AssumeRoleWithWebIdentity", role);
	add_field(&form, "WebIdentityToken", token);
	r = ask_sts(ask, role, str_text(&form), NULL, ret, err);
	explicit_bzero(text.data, text.cap);
	explicit_bzero(form.data, form.cap);
	mem_free_secret(take_ptr(&token));
	return r;
}
