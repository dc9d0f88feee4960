// SPDX-License-Identifier: Apache-2.0
/*
 * Where a tenant's exports go. What the query says is whatever somebody wrote into a database: it is held against what the configuration allows, word by
 * word, before it becomes an address.
 */
#include "stores_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>
#include <keepfs/conf/provider.h>

#include <errno.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

bool stores_matches(char *const *patterns, const char *word)
{
	for (size_t i = 0; patterns && patterns[i]; i++)
		if (fnmatch(patterns[i], word, 0) == 0)
			return true;
	return false;
}

static bool says_anything(const char *word)
{
	return word && *word;
}

static bool says_address(const struct stores_wanted *w)
{
	return says_anything(w->url) || says_anything(w->bucket) || says_anything(w->endpoint) ||
	       says_anything(w->region) || says_anything(w->credentials) || says_anything(w->provider);
}

void stores_at_section(const struct conf_named_store *named, struct catalog_store *ret)
{
	*ret = (struct catalog_store){
	        .name = mem_strdup(named->name),
	        .tenant = mem_strdup(""),
	        .url = mem_strdup(named->store.url),
	        .endpoint = mem_strdup(str_or_empty(named->store.endpoint)),
	        .region = mem_strdup(str_or_empty(named->store.region)),
	        .credentials = mem_strdup(""),
	};
}

/* A section that the query names. */

static int choose_named(const struct conf *conf, const struct stores_wanted *w, struct catalog_store *ret,
                        struct error *err)
{
	const struct conf_named_store *named = conf_find_store(conf, w->store);
	bool may;

	if (says_address(w))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the query names both a store and an address (store_url, store_bucket, store_endpoint, store_region, store_credentials or store_provider): only one of them can hold");
	if (!named)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "the query names the store %.200s, and there is no section [store %.200s]",
		                 w->store, w->store);
	if (!str_starts(named->store.url, "s3://"))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the query names the store %s, which is a directory of this host: no query may do so; [export] store or [class NAME] store may",
		        named->name);
	if (conf_is_for_copies(conf, named->name))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the query names the store %s, which has copies of backups: no tenant's exports go there",
		        named->name);
	may = named->tenants && named->tenants[0] ? stores_matches(named->tenants, w->tenant)
	                                          : str_equal(named->name, w->tenant);
	if (!may)
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the query names the store %s, which is not for this tenant: if it is right, add the slug to [store %s] tenants",
		        named->name, named->name);
	stores_at_section(named, ret);
	return 0;
}

/* An address that the query names. */

static int refuse_query_column(struct error *err, const char *column, const char *value, const char *why)
{
	return error_set(err, ERROR_USAGE, EINVAL, "the query's %s = %.300s: %s", column, value, why);
}

/* Names of S3: they become parts of a host's name. */
static bool is_plain_bucket(const char *name, size_t len)
{
	return len >= 3 && len <= 63 && strspn(name, LOWER DIGITS ".-") >= len && *name != '.' &&
	       *name != '-' && name[len - 1] != '.' && name[len - 1] != '-' &&
	       !memmem(name, len, "..", strlen(".."));
}

static int choose_url(const struct stores_wanted *w, char **ret, struct error *err)
{
	const char *bucket = says_anything(w->bucket) ? w->bucket : w->url;
	_cleanup(free) char *prefix = NULL;
	size_t len;

	if (says_anything(w->url) && says_anything(w->bucket))
		return refuse_query_column(err, "store_bucket", w->bucket,
		                           "store_url says already which bucket it is: give one of them");
	if (!says_anything(bucket))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the query gives an address, but neither store_url nor store_bucket: which bucket is it?");
	if (bucket == w->url && !str_starts(w->url, "s3://"))
		return refuse_query_column(
		        err, "store_url", w->url,
		        "a query can name buckets only: s3://BUCKET or s3://BUCKET/PREFIX");
	bucket += bucket == w->url ? strlen("s3://") : 0;
	len = bucket == w->bucket ? strlen(bucket) : strcspn(bucket, "/");
	if (!is_plain_bucket(bucket, len))
		return refuse_query_column(err, "store_url", says_anything(w->url) ? w->url : w->bucket,
		                           "no name of a bucket: 3 to 63 of a-z 0-9 . -");
	prefix = mem_strdup(bucket + len + strspn(bucket + len, "/"));
	while (*prefix && str_ends(prefix, "/"))
		prefix[strlen(prefix) - 1] = '\0';
	if (*prefix && (strlen(prefix) > 122 || store_key_check(prefix, NULL) < 0))
		return refuse_query_column(
		        err, "store_url", w->url,
		        "the prefix is too long, or has an empty part, or one that is . or ..");
	*ret = mem_printf("s3://%.*s%s%s", (int)len, bucket, *prefix ? "/" : "", prefix);
	return 0;
}

/* "https://host[:port]", and nothing that could be read in two ways. */
static bool is_plain_endpoint(const char *endpoint)
{
	const char *host = strstr(endpoint, "://"), *port;

	if (!str_starts(endpoint, "https://") && !str_starts(endpoint, "http://"))
		return false;
	host += strlen("://");
	port = host + strspn(host, LOWER "ABCDEFGHIJKLMNOPQRSTUVWXYZ" DIGITS ".-");
	if (port == host)
		return false;
	return !*port || (*port == ':' && port[1] && !port[1 + strspn(port + 1, DIGITS)]);
}

/* The endpoint of the provider that the query names, and whose an endpoint is that it names as well. */
static int choose_provided(const struct stores_wanted *w, char **ret, struct error *err)
{
	const struct conf_provider_info *p =
	        says_anything(w->provider) ? conf_provider_find(w->provider) : NULL;
	const struct conf_provider_info *at =
	        says_anything(w->endpoint) ? conf_provider_at(w->endpoint) : NULL;
	const char *region;

	*ret = NULL;
	if (!says_anything(w->provider))
		return 0;
	if (!p)
		return refuse_query_column(
		        err, "store_provider", w->provider,
		        "no provider that is known here; [store] provider in keepfs.conf(5) lists them");
	if (says_anything(w->endpoint))
		return !at || at == p ? 0
		                      : refuse_query_column(err, "store_provider", w->provider,
		                                            "store_endpoint is another provider's");
	region = says_anything(w->region) ? w->region : str_or_empty(p->region);
	*ret = conf_provider_endpoint(p, region);
	return *ret ? 0
	            : refuse_query_column(err, "store_provider", w->provider,
	                                  p->endpoint ? "store_region must say in which region the bucket is"
	                                              : "store_endpoint must say where its server is");
}

static int choose_endpoint(const struct conf_export *export, const struct stores_wanted *w, char **ret,
                           struct error *err)
{
	_cleanup(free) char *endpoint = NULL;
	int r = choose_provided(w, &endpoint, err);

	if (r < 0)
		return r;
	if (!endpoint)
		endpoint = mem_strdup(str_or_empty(w->endpoint));
	if (*endpoint && str_ends(endpoint, "/"))
		endpoint[strlen(endpoint) - 1] = '\0';
	if (*endpoint && !is_plain_endpoint(endpoint))
		return refuse_query_column(err, "store_endpoint", endpoint,
		                           "not of the form https://HOST[:PORT]");
	if (*endpoint && !stores_matches(export->store_endpoints, endpoint))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the query's store_endpoint = %.300s is none of those that it may name: if it is right, add it to [export] store_endpoints",
		        endpoint);
	*ret = take_ptr(&endpoint);
	return 0;
}

/* Said, or as the endpoint has it, or what its provider takes. */
static char *region_at(const struct stores_wanted *w, const char *endpoint)
{
	const struct conf_provider_info *p = *endpoint ? conf_provider_at(endpoint) : NULL;
	char *region = p ? conf_provider_region(p, endpoint) : NULL;

	if (says_anything(w->region))
		mem_replace_string(&region, w->region);
	if (!region)
		region = mem_strdup(p && *str_or_empty(p->region) ? p->region : "us-east-1");
	return region;
}

static int choose_region(const struct stores_wanted *w, const char *endpoint, char **ret, struct error *err)
{
	_cleanup(free) char *region = region_at(w, endpoint);

	if (strlen(region) > 64 || strspn(region, LOWER DIGITS "-") != strlen(region))
		return refuse_query_column(err, "store_region", region, "no name of a region: a-z 0-9 -");
	*ret = take_ptr(&region);
	return 0;
}

static int choose_credentials(const struct conf_export *export, const struct stores_wanted *w, char **ret,
                              struct error *err)
{
	if (!says_anything(w->credentials))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the query gives an address, but no store_credentials: the credentials of [store] are for no other place, so the name of a file in [export] store_credentials_dir is needed");
	if (!*str_or_empty(export->store_credentials_dir))
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "the query gives store_credentials, but [export] store_credentials_dir does not say where such files are");
	if (!name_is_safe(w->credentials))
		return refuse_query_column(
		        err, "store_credentials", w->credentials,
		        "not the plain name of a file: A-Z a-z 0-9 . _ -, not beginning with '.' or '-'");
	*ret = mem_strdup(w->credentials);
	return 0;
}

static int choose_address(const struct conf *conf, const struct stores_wanted *w, struct catalog_store *ret,
                          struct error *err)
{
	_cleanup(catalog_store) struct catalog_store at = {.name = mem_strdup(""),
	                                                   .tenant = mem_strdup(w->tenant)};
	const struct conf_export *export = conf_find_export(conf);
	int r = choose_url(w, &at.url, err);

	if (!export)
		return error_set(err, ERROR_USAGE, EINVAL, "there is no section [export]");
	if (r == 0)
		r = choose_endpoint(export, w, &at.endpoint, err);
	if (r == 0)
		r = choose_region(w, at.endpoint, &at.region, err);
	if (r == 0)
		r = choose_credentials(export, w, &at.credentials, err);
	if (r < 0)
		return r;
	*ret = at;
	at = (struct catalog_store){0};
	return 0;
}

/* What the configuration says. */
static int choose_by_conf(const struct conf *conf, const struct stores_wanted *w, struct catalog_store *ret,
                          struct error *err)
{
	const struct conf_class *class = conf_find_class(conf, w->class);
	const struct conf_export *export = conf_find_export(conf);
	const char *name = class && says_anything(class->store)     ? class->store
	                   : export && says_anything(export->store) ? export->store
	                                                            : NULL;
	const struct conf_named_store *named = conf_find_store(conf, name);

	if (name && !named)
		return error_set(err, ERROR_USAGE, EINVAL, "there is no section [store %s]", name);
	/* Which class it is the query says. */
	if (named && class && says_anything(class->store) && named->tenants && named->tenants[0] &&
	    !stores_matches(named->tenants, w->tenant))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "the tenant's class %s sends it to the store %s, which is not for this tenant: if it is right, add the slug to [store %s] tenants",
		        class->name, name, name);
	if (named)
		stores_at_section(named, ret);
	return 0;
}

int stores_choose(const struct conf *conf, const struct stores_wanted *wanted, struct catalog_store *ret,
                  struct error *err)
{
	*ret = (struct catalog_store){0};
	if (says_anything(wanted->store))
		return choose_named(conf, wanted, ret, err);
	if (says_address(wanted))
		return choose_address(conf, wanted, ret, err);
	return choose_by_conf(conf, wanted, ret, err);
}

void stores_describe(const struct catalog_store *at, struct str *out)
{
	if (says_anything(at->name))
		str_appendf(out, "%s (", at->name);
	str_append(out, at->url);
	if (says_anything(at->endpoint))
		str_appendf(out, " at %s", at->endpoint);
	if (says_anything(at->name))
		str_append_char(out, ')');
}

/* What may be there. */

/* A section into which the configuration itself sends tenants has exports of anybody. */
static bool is_store_of_many(const struct conf *conf, const struct conf_named_store *named)
{
	const struct conf_export *export = conf_find_export(conf);

	if (export && str_equal(str_or_empty(export->store), named->name))
		return true;
	for (size_t i = 0; i < conf->class_count; i++)
		if (str_equal(str_or_empty(conf->classes[i].store), named->name))
			return true;
	return false;
}

/* The slug that name_from_database() made @directory of; of one that was cut some beginning of it. */
static char *slug_of_directory(const char *directory, size_t len)
{
	char *slug = mem_alloc(len + 1);
	size_t count = 0;

	for (size_t i = 0; i < len; i++) {
		char hex[3] = {0};
		char *end = hex;

		if (directory[i] == '=' && len - i > 2)
			memcpy(hex, directory + i + 1, 2);
		slug[count] = (char)strtoul(hex, &end, 16);
		if (end == hex + 2 && slug[count])
			i += 2;
		else
			slug[count] = directory[i];
		count++;
	}
	return slug;
}

static bool may_have_of(const struct conf *conf, const struct conf_named_store *named, const char *slug)
{
	if (named->tenants && named->tenants[0])
		return stores_matches(named->tenants, slug) || is_store_of_many(conf, named);
	return str_equal(named->name, slug) || is_store_of_many(conf, named);
}

/* Any of those with that address, since each may be the one by which it came there. */
static bool may_section_have(const struct conf *conf, const struct catalog_store *at, const char *slug)
{
	for (size_t i = 0; i < conf->store_count; i++) {
		const struct conf_named_store *named = &conf->stores[i];

		if (str_equal(named->store.url, at->url) &&
		    str_equal(str_or_empty(named->store.endpoint), str_or_empty(at->endpoint)) &&
		    may_have_of(conf, named, slug))
			return true;
	}
	return false;
}

bool stores_may_have(const struct conf *conf, const struct catalog_store *at, const char *path,
                     const char *job)
{
	const char *directory = path + strlen(CONF_EXPORTS "/");
	_cleanup(free) char *name = NULL, *slug = NULL;
	size_t len;

	if (!str_equal(job, CONF_EXPORTS) || !str_starts(path, CONF_EXPORTS "/"))
		return false;
	len = strcspn(directory, "/");
	if (says_anything(at->tenant)) {
		name = name_from_database(at->tenant);
		return strlen(name) == len && strncmp(directory, name, len) == 0;
	}
	slug = slug_of_directory(directory, len);
	return may_section_have(conf, at, slug);
}
