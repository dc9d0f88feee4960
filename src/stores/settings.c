// SPDX-License-Identifier: Apache-2.0
/*
 * How to get into a store of which the catalog has the address: by the section of the configuration that has the same address (it may have another name by now), or,
 * where a query has named it, by the file of credentials. What a query has named is never entered with anything else.
 */
#include "stores_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/conf/provider.h>

#include <errno.h>
#include <string.h>

/* Of what struct conf_store points to. */
#define TEXTS 14
static void list_texts(struct conf_store *s, char **ret[static TEXTS])
{
	struct conf_secret *secret = &s->secret_key, *token = &s->session_token;
	char **slots[TEXTS] = {&s->url,          &s->endpoint,  &s->region,   &s->access_key, &s->profile,
	                       &s->sse_kms_key,  &s->ca_file,   &s->faults,   &secret->value, &secret->file,
	                       &secret->command, &token->value, &token->file, &token->command};

	memcpy(ret, slots, sizeof(slots));
}

void settings_finish(struct settings *s)
{
	char **slots[TEXTS];

	list_texts(&s->conf, slots);
	for (size_t i = 0; i < TEXTS; i++) {
		if (*slots[i])
			explicit_bzero(*slots[i], strlen(*slots[i]));
		free(*slots[i]);
	}
	*s = (struct settings){0};
}

static void copy_settings(const struct conf_store *from, struct settings *ret)
{
	char **slots[TEXTS];

	ret->conf = *from;
	list_texts(&ret->conf, slots);
	for (size_t i = 0; i < TEXTS; i++)
		*slots[i] = mem_strdup(str_or_empty(*slots[i]));
}

/* What [store] says of all. */
static void take_common(const struct conf_store *main, struct conf_store *s)
{
	unsigned max_parts = conf_provider_of(s)->max_parts;

	s->part_bytes = main->part_bytes;
	s->max_parts = main->max_parts < (int64_t)max_parts ? main->max_parts : (int64_t)max_parts;
	s->read_only = main->read_only;
	s->capacity_bytes = 0;
	s->scrub_within_ms = 0;
	s->scrub_rate_bytes = 0;
}

static void note_mark(struct settings *s)
{
	struct sha256 *h = sha256_new();
	struct conf_store plain = s->conf;
	char **slots[TEXTS];

	list_texts(&s->conf, slots);
	for (size_t i = 0; i < TEXTS; i++)
		sha256_update(h, *slots[i], strlen(*slots[i]) + 1);
	list_texts(&plain, slots);
	for (size_t i = 0; i < TEXTS; i++)
		*slots[i] = NULL;
	sha256_update(h, &plain.addressing, sizeof(plain.addressing));
	sha256_update(h, &plain.allow_http, sizeof(plain.allow_http));
	sha256_update(h, &plain.sse, sizeof(plain.sse));
	sha256_update(h, &plain.provider, sizeof(plain.provider));
	sha256_update(h, &plain.conditional_puts, sizeof(plain.conditional_puts));
	sha256_update(h, &plain.equal_parts, sizeof(plain.equal_parts));
	sha256_update(h, &plain.delete_versions, sizeof(plain.delete_versions));
	sha256_update(h, &plain.object_lock, sizeof(plain.object_lock));
	sha256_update(h, &plain.lock_min_ms, sizeof(plain.lock_min_ms));
	sha256_update(h, &plain.lock_max_ms, sizeof(plain.lock_max_ms));
	sha256_update(h, &plain.connect_timeout_ms, sizeof(plain.connect_timeout_ms));
	sha256_update(h, &plain.first_byte_timeout_ms, sizeof(plain.first_byte_timeout_ms));
	sha256_update(h, &plain.stall_timeout_ms, sizeof(plain.stall_timeout_ms));
	sha256_update(h, &plain.retry_deadline_ms, sizeof(plain.retry_deadline_ms));
	sha256_update(h, &plain.read_only, sizeof(plain.read_only));
	sha256_final(h, s->mark);
	sha256_free(h);
}

void settings_read_only(struct settings *s)
{
	s->conf.read_only = true;
	note_mark(s);
}

static void copy_secret(struct conf_secret *to, const struct conf_secret *from)
{
	mem_replace_string(&to->value, str_or_empty(from->value));
	mem_replace_string(&to->file, str_or_empty(from->file));
	mem_replace_string(&to->command, str_or_empty(from->command));
}

static void set_secret_value(struct conf_secret *to, char *value)
{
	copy_secret(to, &(struct conf_secret){.value = value});
}

static void take_keys(struct stores_credentials *c, struct conf_store *s)
{
	mem_replace_string(&s->access_key, c->access_key);
	set_secret_value(&s->secret_key, c->secret_key);
	set_secret_value(&s->session_token, c->session_token);
}

static bool is_bucket_of(const char *url, const char *bucket)
{
	const char *at = url + strlen("s3://");

	return strlen(bucket) == strcspn(at, "/") && strncmp(at, bucket, strlen(bucket)) == 0;
}

/* A file that says what it is for is for nothing else. */
static int check_purpose(const struct stores_credentials *c, const char *where, const struct conf_store *s,
                         struct error *err)
{
	if (c->endpoint && !str_equal(c->endpoint, s->endpoint))
		return error_set(err, ERROR_DENIED, EPERM,
		                 "%s is for the endpoint %.300s, and not for %s: it is not sent there", where,
		                 c->endpoint, *s->endpoint ? s->endpoint : "AWS");
	if (c->bucket && !is_bucket_of(s->url, c->bucket))
		return error_set(err, ERROR_DENIED, EPERM,
		                 "%s is for the bucket %.100s, and not for %s: it is not used there", where,
		                 c->bucket, s->url);
	return 0;
}

/* A section. */

static bool has_address(const struct conf_store *s, const struct catalog_store *at)
{
	return str_equal(s->url, at->url) && str_equal(str_or_empty(s->endpoint), str_or_empty(at->endpoint));
}

static const struct conf_named_store *section_at(const struct conf *conf, const struct catalog_store *at)
{
	const struct conf_named_store *same = conf_find_store(conf, at->name);

	if (same && has_address(&same->store, at))
		return same;
	for (size_t i = 0; i < conf->store_count; i++)
		if (has_address(&conf->stores[i].store, at))
			return &conf->stores[i];
	return NULL;
}

static bool has_keys(const struct conf_named_store *named)
{
	return *str_or_empty(named->store.access_key) || *str_or_empty(named->store.profile) ||
	       *str_or_empty(named->credentials_file);
}

static int read_named_file(const struct conf_named_store *named, struct settings *ret, struct error *err)
{
	_cleanup(stores_credentials) struct stores_credentials c = {0};
	int r = stores_read_credentials(named->credentials_file, &c, err);

	if (r == 0)
		r = check_purpose(&c, named->credentials_file, &ret->conf, err);
	if (r == 0)
		take_keys(&c, &ret->conf);
	return r;
}

static int settings_of_section(const struct conf *conf, const struct conf_named_store *named,
                               struct settings *ret, struct error *err)
{
	copy_settings(&named->store, ret);
	take_common(&conf->store, &ret->conf);
	if (*str_or_empty(named->credentials_file))
		return read_named_file(named, ret, err);
	/* conf has seen to it that it is the same server. */
	if (!has_keys(named) && str_equal(ret->conf.endpoint, str_or_empty(conf->store.endpoint))) {
		mem_replace_string(&ret->conf.access_key, str_or_empty(conf->store.access_key));
		copy_secret(&ret->conf.secret_key, &conf->store.secret_key);
		copy_secret(&ret->conf.session_token, &conf->store.session_token);
		mem_replace_string(&ret->conf.profile, str_or_empty(conf->store.profile));
	}
	return 0;
}

static int refuse_unknown_section(const struct conf *conf, const struct catalog_store *at, struct error *err)
{
	const struct conf_named_store *moved = conf_find_store(conf, at->name);

	if (moved)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "[store %s] is %s now: what was made before is where it was, so give that address a section [store NAME] of its own",
		        at->name, moved->store.url);
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "no section [store NAME] has its address any more: what is there is found again when one has");
}

/* What a query has named. */

static int check_tenant(const struct stores_credentials *c, const char *where, const struct catalog_store *at,
                        struct error *err)
{
	if (!stores_matches(c->tenants, at->tenant))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s %s: what is of %s is not written or read with it; if it is right, add the slug to its line tenants",
		        where, c->tenants ? "is for other tenants" : "does not say for which tenants it is",
		        at->tenant);
	if (!c->endpoint && *str_or_empty(at->endpoint))
		return error_set(
		        err, ERROR_DENIED, EPERM,
		        "%s does not say for which endpoint it is, so it is used at AWS alone: add endpoint = %.300s if it is right",
		        where, at->endpoint);
	return 0;
}

static int settings_by_query(const struct conf *conf, const struct catalog_store *at, struct settings *ret,
                             struct error *err)
{
	const struct conf_export *export = conf_find_export(conf);
	const char *directory = export ? str_or_empty(export->store_credentials_dir) : "";
	_cleanup(free) char *path = mem_printf("%s/%s", directory, at->credentials);
	_cleanup(stores_credentials) struct stores_credentials c = {0};
	struct conf_store plain = conf->store;
	int r;

	if (!*directory)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "[export] store_credentials_dir does not say any more where the file %s is",
		                 at->credentials);
	r = stores_read_credentials(path, &c, err);
	if (r == 0)
		r = check_tenant(&c, path, at, err);
	if (r < 0)
		return r;
	plain.url = at->url;
	plain.endpoint = at->endpoint;
	plain.region = at->region;
	/* These are of the one store. */
	plain.access_key = plain.profile = NULL;
	plain.secret_key = plain.session_token = (struct conf_secret){0};
	plain.sse_kms_key = plain.faults = NULL;
	plain.sse = CONF_SSE_NONE;
	plain.addressing = CONF_ADDRESSING_AUTO;
	/* Whose it is its endpoint tells. */
	plain.provider = CONF_PROVIDER_AUTO;
	plain.conditional_puts = CONF_CONDITIONAL_AUTO;
	plain.equal_parts = CONF_EQUAL_PARTS_AUTO;
	plain.delete_versions = false;
	plain.object_lock = 0;
	plain.allow_http = str_starts(at->endpoint, "http://");
	copy_settings(&plain, ret);
	take_common(&conf->store, &ret->conf);
	r = check_purpose(&c, path, &ret->conf, err);
	if (r == 0)
		take_keys(&c, &ret->conf);
	return r;
}

void settings_move(struct settings *s, const char *url)
{
	mem_replace_string(&s->conf.url, url);
	note_mark(s);
}

int settings_of(const struct conf *conf, const struct catalog_store *at, struct settings *ret,
                struct error *err)
{
	const struct conf_named_store *named;
	struct settings s = {0};
	int r;

	named = *str_or_empty(at->tenant) ? NULL : section_at(conf, at);
	if (named)
		r = settings_of_section(conf, named, &s, err);
	else if (*str_or_empty(at->tenant))
		r = settings_by_query(conf, at, &s, err);
	else
		r = refuse_unknown_section(conf, at, err);
	if (r < 0) {
		settings_finish(&s);
		/* An object must never look as if it were not there. */
		return r == -ENOENT ? -EINVAL : r;
	}
	note_mark(&s);
	*ret = s;
	return 0;
}
