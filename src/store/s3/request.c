// SPDX-License-Identifier: Apache-2.0
/*
 * One request: the URL, the hash of the body, the signature, the exchange.
 *
 * All headers that we send are signed, and the body by its real SHA-256: what the server stored is what was
 * meant. Credentials are asked for at each signing (two stat(2), as long as they stay the same), so that a renewed
 * session token or a rotated key is used at once.
 */
#include "s3.h"

#include <assert.h>
#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <string.h>

#define OWN_HEADERS 5 /* with Authorization */

void s3_add_query(struct s3_request *request, const char *name, const char *value)
{
	assert(request->query_count < S3_QUERY_MAX);
	request->query[request->query_count++] = (struct sigv4_pair){name, value};
}

void s3_add_header(struct s3_request *request, const char *name, const char *value)
{
	assert(request->header_count < S3_HEADER_MAX);
	request->headers[request->header_count++] = (struct sigv4_pair){name, value};
}

void s3_add_encryption(struct s3 *s, struct s3_request *request)
{
	if (s->conf->sse == CONF_SSE_NONE)
		return;
	s3_add_header(request, "x-amz-server-side-encryption",
	              s->conf->sse == CONF_SSE_KMS ? "aws:kms" : "AES256");
	if (s->conf->sse == CONF_SSE_KMS && s->conf->sse_kms_key && *s->conf->sse_kms_key)
		s3_add_header(request, "x-amz-server-side-encryption-aws-kms-key-id", s->conf->sse_kms_key);
}

void s3_check_encryption(struct s3 *s, const struct net_response *answer)
{
	const char *want = s->conf->sse == CONF_SSE_KMS ? "aws:kms" : "AES256";
	char got[64];

	if (s->conf->sse == CONF_SSE_NONE)
		return;
	net_header_find(answer, "x-amz-server-side-encryption", got, sizeof(got));
	if (str_equal(got, want) || atomic_exchange(&s->warned_encryption, true))
		return;
	log_warning(
	        "%s: asked for encryption at rest with %s, but the server %s%s: find out whether it encrypts",
	        s->store.name, want, *got ? "reports " : "reports none", got);
}

static void hash_body(const struct s3_request *request, char ret_hex[static SHA256_HEX_BYTES])
{
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];

	for (int i = 0; i < request->body_count; i++)
		sha256_update(h, request->body[i].iov_base, request->body[i].iov_len);
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), ret_hex);
}

struct signing { /* a request on its way: what is signed and what is sent are made of the same pieces */
	char hash[SHA256_HEX_BYTES];
	char time[CLOCK_NAME_BYTES];
	struct sigv4_pair *headers;
	size_t header_count;
	char *path;
	struct str url;
	struct str authorization;
};

static void cleanup_signing(struct signing *g)
{
	free(g->path);
	free(g->headers);
	str_finish(&g->url);
	str_finish(&g->authorization);
}

/* The day's key is derived once. */
static void get_key(struct s3 *s, const struct aws_credentials *credentials,
                    const struct sigv4_credentials *cred, int64_t now_us, struct sigv4_key *ret)
{
	pthread_mutex_lock(&s->lock);
	if (s->key_serial != credentials->serial)
		s->key = (struct sigv4_key){0};
	s->key_serial = credentials->serial;
	sigv4_key_init(&s->key, cred, now_us);
	*ret = s->key;
	pthread_mutex_unlock(&s->lock);
}

static void sign(struct s3 *s, const struct s3_request *request, const struct aws_credentials *aws,
                 struct signing *g)
{
	struct sigv4_key key;
	struct sigv4_credentials cred = {
	        .access_key = aws->access_key,
	        .secret_key = aws->secret_key,
	        .session_token = aws->session_token,
	        .region = s->place.region,
	        .service = "s3",
	};
	struct sigv4_request req = {
	        .method = request->method, .query = request->query, .query_count = request->query_count};
	int64_t now_us = clock_now_us();

	hash_body(request, g->hash);
	clock_format_name(now_us, g->time);
	g->path = request->key ? mem_printf("%s%s%s", s->place.root, s->place.prefix, request->key)
	                       : mem_strdup(s->place.root);
	g->headers =
	        mem_array(request->header_count + request->more_count + OWN_HEADERS, sizeof(*g->headers));
	g->headers[g->header_count++] = (struct sigv4_pair){"host", s->place.host};
	g->headers[g->header_count++] = (struct sigv4_pair){"x-amz-content-sha256", g->hash};
	g->headers[g->header_count++] = (struct sigv4_pair){"x-amz-date", g->time};
	if (aws->session_token && *aws->session_token)
		g->headers[g->header_count++] =
		        (struct sigv4_pair){"x-amz-security-token", aws->session_token};
	for (size_t i = 0; i < request->header_count; i++)
		g->headers[g->header_count++] = request->headers[i];
	for (size_t i = 0; i < request->more_count; i++)
		g->headers[g->header_count++] = request->more[i];

	req.path = g->path;
	req.headers = g->headers;
	req.header_count = g->header_count;
	req.payload_sha256 = g->hash;
	get_key(s, aws, &cred, now_us, &key);
	cred.key = &key;
	sigv4_authorization(&req, &cred, now_us, &g->authorization);
	explicit_bzero(&key, sizeof(key));

	str_append(&g->url, s->place.base);
	sigv4_uri_encode(g->path, 1, &g->url);
	if (request->query_count)
		str_append_char(&g->url, '?');
	sigv4_query(request->query, request->query_count, &g->url);
}

/* 0: none; then the timeouts of connecting and of silence are all that ends it. */
static int64_t request_deadline_ms(const struct s3 *s, const struct store_call *call)
{
	if (call && call->deadline_ms)
		return call->deadline_ms;
	return s->conf->retry_deadline_ms ? clock_mono_ms() + s->conf->retry_deadline_ms : 0;
}

static int exchange(struct s3 *s, const struct store_call *call, int64_t deadline_ms,
                    const struct s3_request *request, const struct signing *g, struct net_response *answer,
                    struct error *err)
{
	_cleanup(free) struct net_header *headers = mem_array(g->header_count + 1, sizeof(*headers));
	struct net_request req = {
	        .method = request->method,
	        .url = str_text(&g->url),
	        .headers = headers,
	        .body = request->body,
	        .body_count = request->body_count,
	        .into = request->into,
	        .into_count = request->into_count,
	        .into_filled = request->into_filled,
	        .into_arg = request->into_arg,
	        .connect_timeout_ms = s->conf->connect_timeout_ms,
	        .stall_timeout_ms = s->conf->stall_timeout_ms,
	        .first_byte_timeout_ms = request->into ? s->conf->first_byte_timeout_ms : 0,
	        .deadline_ms = deadline_ms,
	        .cancel = call ? call->cancel : NULL,
	};

	for (size_t i = 0; i < g->header_count; i++)
		headers[req.header_count++] = (struct net_header){g->headers[i].name, g->headers[i].value};
	headers[req.header_count++] = (struct net_header){"Authorization", str_text(&g->authorization)};
	return net_perform(s->net, &req, answer, err);
}

/* Locks end by the server's clock, and are computed from it. */
static void note_clock(struct s3 *s, const struct net_response *answer, int64_t began_us)
{
	char date[64];
	int64_t at_us;

	net_header_find(answer, "date", date, sizeof(date));
	if (s3_date_parse(date, &at_us) < 0)
		return;
	pthread_mutex_lock(&s->lock);
	s->clock_us = at_us;
	s->clock_boot_us = clock_boot_us();
	s->clock_took_us = s->clock_boot_us - began_us;
	pthread_mutex_unlock(&s->lock);
}

int s3_perform(struct s3 *s, const struct store_call *call, const struct s3_request *request,
               struct net_response *answer, struct error *err)
{
	int64_t deadline_ms = request_deadline_ms(s, call);
	_cleanup(aws_credentials) const struct aws_credentials *credentials = NULL;
	_cleanup(signing) struct signing g = {0};
	int64_t began_us;
	int r = aws_get(s->aws, call ? call->cancel : NULL, deadline_ms, &credentials, err);

	*answer = (struct net_response){0};
	if (r)
		return r;
	sign(s, request, credentials, &g);
	began_us = clock_boot_us();
	r = exchange(s, call, deadline_ms, request, &g, answer, err);
	if (r) {
		error_prefix(err, "%s %s%s%s", request->method, s->store.name, request->key ? "/" : "",
		             request->key ? request->key : "");
		return r;
	}
	note_clock(s, answer, began_us);
	if (answer->status >= 200 && answer->status < 300)
		return 0;
	return s3_fail(&(struct s3_failure){s, request, credentials, answer}, err);
}
