// SPDX-License-Identifier: Apache-2.0
/*
 * Where a bucket is: from the configuration to the parts that a request is put together from.
 *
 * Virtual-host addressing (bucket.host) is what AWS wants; path addressing (host/bucket) is what everybody
 * else understands without DNS of their own, and what a bucket with a dot in its name needs, since no
 * wildcard certificate covers bucket.with.dots.host.
 */
#include "s3.h"

#include <errno.h>
#include <keepfs/base/mem.h>
#include <keepfs/conf/provider.h>
#include <string.h>

#define BUCKET_MAX 255

struct endpoint {
	char *scheme; /* "https" */
	char *host;   /* host[:port], without the scheme's own port */
	char *path;   /* "" or "/some/path" */
};

static void cleanup_endpoint(struct endpoint *e)
{
	free(e->scheme);
	free(e->host);
	free(e->path);
}

static int usage(struct error *err, const char *key, const char *value, const char *why)
{
	return error_set(err, ERROR_USAGE, EINVAL, "[store] %s = %s: %s", key, value, why);
}

static bool is_bucket(const char *name)
{
	size_t len = strlen(name);

	if (!len || len > BUCKET_MAX)
		return false;
	return strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:") == len;
}

static int parse_store_url(struct s3_place *place, const char *url, struct error *err)
{
	_cleanup(free) char *prefix = NULL;
	const char *rest = url + strlen("s3://");
	size_t len;

	if (!str_starts(url, "s3://"))
		return usage(err, "url", url, "not of the form s3://bucket/prefix");
	len = strcspn(rest, "/");
	place->bucket = mem_printf("%.*s", (int)len, rest);
	if (!is_bucket(place->bucket))
		return usage(err, "url", url, "no name of a bucket after s3://");
	rest += len;
	rest += strspn(rest, "/");
	len = strlen(rest);
	while (len && rest[len - 1] == '/')
		len--;
	prefix = mem_printf("%.*s", (int)len, rest);
	place->prefix = len ? mem_printf("%s/", prefix) : mem_strdup("");
	/* What is left of S3's 1,024 bytes must hold the longest key of the contract. */
	if (len + 1 > S3_KEY_BYTES - STORE_KEY_BYTES)
		return usage(err, "url", url, "the prefix is too long (at most 123 bytes)");
	if (len && store_key_check(prefix, NULL))
		return usage(err, "url", url, "the prefix has an empty part, or one that is . or ..");
	return 0;
}

static bool is_default_port(const char *scheme, const char *host)
{
	return str_ends(host, str_equal(scheme, "https") ? ":443" : ":80");
}

static int parse_endpoint(struct endpoint *e, const struct conf_store *conf, struct error *err)
{
	const char *text = conf->endpoint, *rest = strstr(text, "://");
	size_t len;

	if (!rest)
		return usage(err, "endpoint", text, "not of the form https://host[:port]");
	e->scheme = mem_printf("%.*s", (int)(rest - text), text);
	rest += 3;
	if (!str_equal(e->scheme, "https") && !str_equal(e->scheme, "http"))
		return usage(err, "endpoint", text, "begins neither with https:// nor with http://");
	if (str_equal(e->scheme, "http") && !conf->allow_http)
		return usage(
		        err, "endpoint", text,
		        "backups would cross the network unencrypted: use https://, or set allow_http = yes when the network is trusted");
	len = strcspn(rest, "/");
	e->host = mem_printf("%.*s", (int)len, rest);
	if (!len || strpbrk(rest, "?#@ "))
		return usage(err, "endpoint", text, "not of the form https://host[:port]");
	if (is_default_port(e->scheme, e->host))
		*strrchr(e->host, ':') = '\0';
	rest += len;
	len = strlen(rest);
	while (len && rest[len - 1] == '/')
		len--;
	e->path = mem_printf("%.*s", (int)len, rest);
	return 0;
}

static void aws_endpoint(struct endpoint *e, const char *region)
{
	e->scheme = mem_strdup("https");
	e->host = mem_printf("s3.%s.amazonaws.com%s", region, str_starts(region, "cn-") ? ".cn" : "");
	e->path = mem_strdup("");
}

static bool wants_virtual_host(const struct s3_place *place, const struct conf_store *conf)
{
	enum conf_addressing of_provider = conf_provider_of(conf)->addressing;

	if (conf->addressing != CONF_ADDRESSING_AUTO)
		return conf->addressing == CONF_ADDRESSING_VIRTUAL;
	if (of_provider != CONF_ADDRESSING_AUTO)
		return of_provider == CONF_ADDRESSING_VIRTUAL;
	return !(conf->endpoint && *conf->endpoint) && !strpbrk(place->bucket, "._:");
}

int s3_place_init(struct s3_place *place, const struct conf_store *conf, struct error *err)
{
	_cleanup(endpoint) struct endpoint e = {0};
	int r = parse_store_url(place, conf->url, err);

	if (r)
		return r;
	place->region = mem_strdup(conf->region && *conf->region ? conf->region : "us-east-1");
	if (conf->endpoint && *conf->endpoint)
		r = parse_endpoint(&e, conf, err);
	else
		aws_endpoint(&e, place->region);
	if (r)
		return r;
	if (wants_virtual_host(place, conf)) {
		place->host = mem_printf("%s.%s", place->bucket, e.host);
		place->root = mem_printf("%s/", e.path);
	} else {
		place->host = mem_strdup(e.host);
		place->root = mem_printf("%s/%s/", e.path, place->bucket);
	}
	place->base = mem_printf("%s://%s", e.scheme, place->host);
	place->server = mem_printf("%s://%s%s", e.scheme, e.host, e.path);
	return 0;
}

void s3_place_finish(struct s3_place *place)
{
	free(place->bucket);
	free(place->prefix);
	free(place->base);
	free(place->server);
	free(place->host);
	free(place->root);
	free(place->region);
	*place = (struct s3_place){0};
}
