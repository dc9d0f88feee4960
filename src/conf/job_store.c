// SPDX-License-Identifier: Apache-2.0
/* What the keys of a further store say about each other, and finding one. Pure. */
#include "job_kinds.h"
#include "load.h"

#include <string.h>

static void check_bucket_keys(const struct conf_named_store *s, const struct conf_clashes *c)
{
	const struct conf_secret *secret = &s->store.secret_key, *token = &s->store.session_token;
	const struct {
		const char *key, *value;
	} keys[] = {
	        {"endpoint", s->store.endpoint},         {"access_key", s->store.access_key},
	        {"secret_key", secret->value},           {"secret_key_file", secret->file},
	        {"secret_key_command", secret->command}, {"session_token", token->value},
	        {"session_token_file", token->file},     {"session_token_command", token->command},
	        {"profile", s->store.profile},           {"credentials_file", s->credentials_file},
	        {"sse_kms_key", s->store.sse_kms_key},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (*str_or_empty(keys[i].value))
			conf_clash(c, keys[i].key, "url", "is for a bucket only, but",
			           "this key with an s3:// url only");
}

static void check_keys_of_access(const struct conf_named_store *s, const struct conf_clashes *c)
{
	const struct conf_store *of = &s->store;

	if (!*of->access_key != !conf_secret_is_set(&of->secret_key))
		conf_clash(c, "access_key", conf_secret_key(&of->secret_key, CONF_SECRET_KEYS("secret_key")),
		           "and its secret belong together, but", "both keys, or none of them");
	if (conf_secret_is_set(&of->session_token) && !*of->access_key)
		conf_clash(c, conf_secret_key(&of->session_token, CONF_SECRET_KEYS("session_token")),
		           "access_key", "belongs to an access key, but",
		           "access_key, secret_key and session_token together");
}

void conf_named_store_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_named_store *s = base;

	conf_policy_check(&s->keeping, clashes);
	if (!str_starts(s->store.url, "s3://")) {
		check_bucket_keys(s, clashes);
		return;
	}
	if (str_starts(s->store.endpoint, "http://") && !s->store.allow_http)
		conf_clash(clashes, "endpoint", "allow_http", "sends backups as clear text, but",
		           "https://, or allow_http = yes");
	check_keys_of_access(s, clashes);
}

const struct conf_named_store *conf_find_store(const struct conf *c, const char *name)
{
	return name && *name ? conf_item_find(c, conf_named_stores, name) : NULL;
}

bool conf_has_copies(const struct conf_job *job, const char *name)
{
	for (size_t i = 0; job->copies && job->copies[i]; i++)
		if (str_equal(job->copies[i], name))
			return true;
	return false;
}

bool conf_is_for_copies(const struct conf *c, const char *name)
{
	for (size_t i = 0; i < c->job_count; i++)
		if (conf_has_copies(&c->jobs[i], name))
			return true;
	return false;
}

const struct conf_export *conf_find_export(const struct conf *c)
{
	for (size_t i = 0; i < c->job_count; i++)
		if (c->jobs[i].kind == CONF_JOB_EXPORT)
			return &c->jobs[i].export;
	return NULL;
}

/* What a store of a tenant has is his to read, and mostly to delete. */
const char *conf_whose_store(const struct conf *c, const struct conf_named_store *s)
{
	const struct conf_export *export = conf_find_export(c);

	if (s->tenants && s->tenants[0])
		return "its key tenants says that it is for exports of tenants";
	if (export && str_equal(str_or_empty(export->store), s->name))
		return "[export] store sends exports of tenants there";
	for (size_t i = 0; i < c->class_count; i++)
		if (str_equal(str_or_empty(c->classes[i].store), s->name))
			return "a [class NAME] store sends exports of tenants there";
	return NULL;
}
