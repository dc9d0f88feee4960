// SPDX-License-Identifier: Apache-2.0
/*
 * AWS Signature Version 4, as S3 wants it.
 *
 * S3's variant differs from the general one in two points, and both live here: the path is percent-encoded
 * once (not twice) and its dot segments are kept. What is signed is the canonical request: method, path,
 * sorted query, sorted headers, names of the headers, hash of the body. The same sigv4_query() gives the
 * query that is sent, so that what was signed and what goes over the wire cannot differ.
 */
#include <keepfs/codec/sigv4.h>

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define ALGORITHM "AWS4-HMAC-SHA256"

struct pairs { /* sorted copies: of the query (encoded) or of the headers (lower case, trimmed) */
	char **names;
	char **values;
	size_t count;
};

static void pairs_finish(struct pairs *p)
{
	for (size_t i = 0; i < p->count; i++) {
		free(p->names[i]);
		free(p->values[i]);
	}
	free(p->names);
	free(p->values);
}

static void cleanup_pairs(struct pairs *p)
{
	pairs_finish(p);
}

static int pairs_compare(const struct pairs *p, size_t a, const char *name, const char *value)
{
	int order = strcmp(p->names[a], name);

	return order ? order : strcmp(p->values[a], value);
}

/* Insertion sort: a request has about ten pairs. Both texts are consumed. Headers of one name keep their
 * order. */
static void pairs_insert(struct pairs *p, char *name, char *value, bool by_value)
{
	size_t at = p->count++;

	for (; at > 0; at--) {
		int order = by_value ? pairs_compare(p, at - 1, name, value) : strcmp(p->names[at - 1], name);

		if (order <= 0)
			break;
		p->names[at] = p->names[at - 1];
		p->values[at] = p->values[at - 1];
	}
	p->names[at] = name;
	p->values[at] = value;
}

static void pairs_init(struct pairs *p, size_t capacity)
{
	p->names = mem_array(capacity + 1, sizeof(char *));
	p->values = mem_array(capacity + 1, sizeof(char *));
	p->count = 0;
}

static bool is_unreserved(unsigned char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.' || c == '~';
}

void sigv4_uri_encode(const char *text, int keep_slash, struct str *out)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
		if (is_unreserved(*c) || (keep_slash && *c == '/'))
			str_append_char(out, (char)*c);
		else
			str_appendf(out, "%%%02X", *c);
	}
}

static char *encoded(const char *text)
{
	_cleanup(str) struct str out = {0};

	sigv4_uri_encode(text, 0, &out);
	return str_take(&out);
}

void sigv4_query(const struct sigv4_pair *query, size_t count, struct str *out)
{
	_cleanup(pairs) struct pairs sorted = {0};

	pairs_init(&sorted, count);
	for (size_t i = 0; i < count; i++)
		pairs_insert(&sorted, encoded(query[i].name), encoded(query[i].value), true);
	for (size_t i = 0; i < count; i++)
		str_appendf(out, "%s%s=%s", i ? "&" : "", sorted.names[i], sorted.values[i]);
}

static char *lower(const char *text)
{
	char *copy = mem_strdup(text);

	for (char *c = copy; *c; c++)
		if (*c >= 'A' && *c <= 'Z')
			*c = (char)(*c - 'A' + 'a');
	return copy;
}

/* Without blanks at both ends, and each run of blanks within as one space. */
static char *trimmed_header(const char *text)
{
	_cleanup(str) struct str out = {0};
	bool blank = false;

	for (; *text; text++) {
		if (*text == ' ' || *text == '\t') {
			blank = true;
			continue;
		}
		if (blank && out.len)
			str_append_char(&out, ' ');
		blank = false;
		str_append_char(&out, *text);
	}
	return str_take(&out);
}

static void sort_headers(const struct sigv4_request *req, struct pairs *ret)
{
	pairs_init(ret, req->header_count);
	for (size_t i = 0; i < req->header_count; i++)
		pairs_insert(ret, lower(req->headers[i].name), trimmed_header(req->headers[i].value), false);
}

static void append_signed_names(const struct pairs *headers, struct str *out)
{
	for (size_t i = 0; i < headers->count; i++)
		if (!i || strcmp(headers->names[i], headers->names[i - 1]) != 0)
			str_appendf(out, "%s%s", i ? ";" : "", headers->names[i]);
}

static void append_headers(const struct pairs *headers, struct str *out)
{
	for (size_t i = 0; i < headers->count; i++) {
		if (i && !strcmp(headers->names[i], headers->names[i - 1]))
			str_appendf(out, ",%s", headers->values[i]);
		else
			str_appendf(out, "%s%s:%s", i ? "\n" : "", headers->names[i], headers->values[i]);
	}
	str_append(out, headers->count ? "\n" : "");
}

static void canonical_request(const struct sigv4_request *req, const struct sigv4_pair *query,
                              size_t query_count, const struct pairs *headers, struct str *out)
{
	str_appendf(out, "%s\n", req->method);
	sigv4_uri_encode(req->path, 1, out);
	str_append_char(out, '\n');
	sigv4_query(query, query_count, out);
	str_append_char(out, '\n');
	append_headers(headers, out);
	str_append_char(out, '\n');
	append_signed_names(headers, out);
	str_appendf(out, "\n%s", req->payload_sha256);
}

static void derive_key(const struct sigv4_credentials *cred, const char *date,
                       uint8_t key[static SHA256_BYTES])
{
	const char *steps[] = {cred->region, cred->service, "aws4_request"};
	char *first = mem_printf("AWS4%s", cred->secret_key);
	uint8_t next[SHA256_BYTES];

	hmac_sha256(first, strlen(first), date, strlen(date), key);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		hmac_sha256(key, SHA256_BYTES, steps[i], strlen(steps[i]), next);
		memcpy(key, next, sizeof(next));
	}
	mem_free_secret(first);
	explicit_bzero(next, sizeof(next));
}

_Static_assert(sizeof(((struct sigv4_key *)NULL)->bytes) == SHA256_BYTES, "a key is a digest");

void sigv4_key_init(struct sigv4_key *key, const struct sigv4_credentials *cred, int64_t at_us)
{
	char time[CLOCK_NAME_BYTES], date[sizeof(key->date)];

	clock_format_name(at_us, time);
	str_copy(date, sizeof(date), time);
	if (strcmp(key->date, date) == 0)
		return;
	memcpy(key->date, date, sizeof(date));
	derive_key(cred, date, key->bytes);
}

struct stamp {
	char time[CLOCK_NAME_BYTES]; /* 20130524T000000Z */
	char date[9];
	char *scope; /* date/region/service/aws4_request */
};

static void cleanup_stamp(struct stamp *s)
{
	free(s->scope);
}

static void stamp_init(struct stamp *s, const struct sigv4_credentials *cred, int64_t at_us)
{
	clock_format_name(at_us, s->time);
	memcpy(s->date, s->time, sizeof(s->date) - 1);
	s->date[sizeof(s->date) - 1] = '\0';
	s->scope = mem_printf("%s/%s/%s/aws4_request", s->date, cred->region, cred->service);
}

static void signature(const struct stamp *stamp, const struct sigv4_credentials *cred,
                      const struct str *canonical, char ret_hex[static SHA256_HEX_BYTES])
{
	uint8_t digest[SHA256_BYTES], key[SHA256_BYTES];
	_cleanup(str) struct str text = {0};

	sha256_once(str_text(canonical), canonical->len, digest);
	hex_encode(digest, sizeof(digest), ret_hex);
	str_appendf(&text, ALGORITHM "\n%s\n%s\n%s", stamp->time, stamp->scope, ret_hex);
	if (cred->key && strcmp(cred->key->date, stamp->date) == 0)
		memcpy(key, cred->key->bytes, sizeof(key));
	else
		derive_key(cred, stamp->date, key);
	hmac_sha256(key, sizeof(key), str_text(&text), text.len, digest);
	hex_encode(digest, sizeof(digest), ret_hex);
	explicit_bzero(key, sizeof(key));
}

void sigv4_authorization(const struct sigv4_request *req, const struct sigv4_credentials *cred, int64_t at_us,
                         struct str *out)
{
	_cleanup(pairs) struct pairs headers = {0};
	_cleanup(stamp) struct stamp stamp = {0};
	_cleanup(str) struct str canonical = {0};
	char hex[SHA256_HEX_BYTES];

	stamp_init(&stamp, cred, at_us);
	sort_headers(req, &headers);
	canonical_request(req, req->query, req->query_count, &headers, &canonical);
	signature(&stamp, cred, &canonical, hex);

	str_appendf(out, ALGORITHM " Credential=%s/%s,SignedHeaders=", cred->access_key, stamp.scope);
	append_signed_names(&headers, out);
	str_appendf(out, ",Signature=%s", hex);
}

void sigv4_presign_query(const struct sigv4_request *req, const struct sigv4_credentials *cred, int64_t at_us,
                         unsigned expires_s, struct str *out)
{
	_cleanup(pairs) struct pairs headers = {0};
	_cleanup(stamp) struct stamp stamp = {0};
	_cleanup(str) struct str canonical = {0}, names = {0};
	_cleanup(free) struct sigv4_pair *query = mem_array(req->query_count + 6, sizeof(*query));
	_cleanup(free) char *credential = NULL;
	_cleanup(free) char *expires = mem_printf("%u", expires_s);
	size_t count = req->query_count;
	char hex[SHA256_HEX_BYTES];

	stamp_init(&stamp, cred, at_us);
	credential = mem_printf("%s/%s", cred->access_key, stamp.scope);
	sort_headers(req, &headers);
	append_signed_names(&headers, &names);
	if (count)
		memcpy(query, req->query, count * sizeof(*query));
	query[count++] = (struct sigv4_pair){"X-Amz-Algorithm", ALGORITHM};
	query[count++] = (struct sigv4_pair){"X-Amz-Credential", credential};
	query[count++] = (struct sigv4_pair){"X-Amz-Date", stamp.time};
	query[count++] = (struct sigv4_pair){"X-Amz-Expires", expires};
	query[count++] = (struct sigv4_pair){"X-Amz-SignedHeaders", str_text(&names)};
	if (cred->session_token)
		query[count++] = (struct sigv4_pair){"X-Amz-Security-Token", cred->session_token};

	canonical_request(req, query, count, &headers, &canonical);
	signature(&stamp, cred, &canonical, hex);
	sigv4_query(query, count, out);
	str_appendf(out, "&X-Amz-Signature=%s", hex);
}
