// SPDX-License-Identifier: Apache-2.0
/* What the keys of one job that mirrors a bucket say about each other. Pure. */
#include "job_kinds.h"

#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>

bool conf_mirror_takes_everything(const struct conf_job *job)
{
	(void)job;
	return true;
}

static void check_mirrored_bucket(const struct conf_store *of, const struct conf_clashes *clashes)
{
	if (str_starts(of->endpoint, "http://") && !of->allow_http)
		conf_clash(clashes, "endpoint", "allow_http", "sends objects as clear text, but",
		           "https://, or allow_http = yes");
	if (!*str_or_empty(of->access_key) != !conf_secret_is_set(&of->secret_key))
		conf_clash(clashes, "access_key",
		           conf_secret_key(&of->secret_key, CONF_SECRET_KEYS("secret_key")),
		           "and its secret belong together, but", "both keys, or none of them");
	if (conf_secret_is_set(&of->session_token) && !*str_or_empty(of->access_key))
		conf_clash(clashes, conf_secret_key(&of->session_token, CONF_SECRET_KEYS("session_token")),
		           "access_key", "belongs to an access key, but",
		           "access_key, secret_key and session_token together");
}

static void check_mirrored_place(const struct conf_store *of, const struct conf_clashes *clashes)
{
	const struct conf_secret *secret = &of->secret_key, *token = &of->session_token;
	const struct {
		const char *key, *value;
	} keys[] = {
	        {"endpoint", of->endpoint},
	        {"access_key", of->access_key},
	        {"secret_key", secret->value},
	        {"secret_key_file", secret->file},
	        {"secret_key_command", secret->command},
	        {"session_token", token->value},
	        {"session_token_file", token->file},
	        {"session_token_command", token->command},
	        {"profile", of->profile},
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (*str_or_empty(keys[i].value))
			conf_clash(clashes, keys[i].key, "url", "is for a bucket only, but",
			           "this key with an s3:// url only");
}

void conf_mirror_check(const void *base, const struct conf_clashes *clashes)
{
	const struct conf_job *job = base;
	const struct conf_store *of = &job->mirror.from;

	conf_policy_check(&job->policy, clashes);
	conf_encryption_check(&job->encrypt, clashes);
	if (str_starts(str_or_empty(of->url), "s3://"))
		check_mirrored_bucket(of, clashes);
	else
		check_mirrored_place(of, clashes);
}
