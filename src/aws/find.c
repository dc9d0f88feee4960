// SPDX-License-Identifier: Apache-2.0
/* The order of the sources, what is wrong with what they give, and the message when none has any. */
#include "source.h"

#include <keepfs/base/mem.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <string.h>

#define WHITE_SPACE " \t\r\n\v\f"

int aws_fail(struct error *err, const char *fmt, ...)
{
	_cleanup(str) struct str text = {0};
	va_list args;

	va_start(args, fmt);
	str_vappendf(&text, fmt, args);
	va_end(args);
	return error_set(err, ERROR_DENIED, ENOKEY, "%s", str_text(&text));
}

void aws_set(char **field, const char *text)
{
	size_t len;

	mem_free_secret(take_ptr(field));
	if (!text)
		return;
	text += strspn(text, WHITE_SPACE);
	len = strlen(text);
	while (len > 0 && strchr(WHITE_SPACE, text[len - 1]))
		len--;
	if (len > 0)
		*field = mem_printf("%.*s", (int)len, text);
}

char *aws_variable(const char *name)
{
	char *value = NULL;

	aws_set(&value, getenv(name));
	return value;
}

void aws_credentials_clear(struct aws_credentials *c)
{
	mem_free_secret(take_ptr(&c->access_key));
	mem_free_secret(take_ptr(&c->secret_key));
	mem_free_secret(take_ptr(&c->session_token));
	free(take_ptr(&c->source));
}

static int set_from_secret(const struct aws_ask *ask, const struct conf_secret *secret, const char *what,
                           char **field, struct error *err)
{
	_cleanup(secret_text) struct secret_text text = {0};
	int r = secret_get(secret, &(struct secret_use){.what = what}, ask->cancel, &text, err);

	if (r == 0)
		aws_set(field, text.data);
	return r < 0 ? r : 0;
}

/* The section is not known here: further stores have such keys, too, and put their names before each message. */
static int from_conf(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	const struct conf_store *conf = ask->conf;
	bool at_hand = secret_is_at_hand(&conf->secret_key) && secret_is_at_hand(&conf->session_token);
	bool may_change = secret_may_change(&conf->secret_key) || secret_may_change(&conf->session_token);
	int r;

	aws_set(&ret->access_key, conf->access_key);
	if (!ret->access_key || !conf_secret_is_set(&conf->secret_key))
		return -ENOENT;
	if (!ask->net && !at_hand)
		return -EAGAIN;
	r = set_from_secret(ask, &conf->secret_key, "[store] secret_key", &ret->secret_key, err);
	if (r == 0)
		r = set_from_secret(ask, &conf->session_token, "[store] session_token", &ret->session_token,
		                    err);
	if (r < 0)
		return r == -ENOENT ? -EINVAL : r;
	if (!ret->secret_key)
		return aws_fail(err, "[store] secret_key is blank");
	ret->source = mem_strdup("[store] access_key");
	ret->renewable = may_change;
	ret->from_command = secret_is_printed(&conf->secret_key) || secret_is_printed(&conf->session_token);
	return 0;
}

int aws_from_environment(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	aws_set(&ret->access_key, getenv("AWS_ACCESS_KEY_ID"));
	aws_set(&ret->secret_key, getenv("AWS_SECRET_ACCESS_KEY"));
	aws_set(&ret->session_token, getenv("AWS_SESSION_TOKEN"));
	if (!ret->session_token)
		aws_set(&ret->session_token, getenv("AWS_SECURITY_TOKEN"));
	if (!ret->access_key && !ret->secret_key)
		return -ENOENT;
	if (!ret->access_key || !ret->secret_key)
		return aws_fail(err, "the environment variable %s is set, but %s is not: set both, or none",
		                ret->access_key ? "AWS_ACCESS_KEY_ID" : "AWS_SECRET_ACCESS_KEY",
		                ret->access_key ? "AWS_SECRET_ACCESS_KEY" : "AWS_ACCESS_KEY_ID");
	ret->source = mem_strdup("AWS_ACCESS_KEY_ID");
	return 0;
}

/* The profile that applies. */

static struct aws_names applying(const struct aws_ask *ask)
{
	return (struct aws_names){.name = conf_profile_name(ask->conf, NULL)};
}

static int from_role_that_applies(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	const struct aws_names names = applying(ask);

	return aws_from_role(ask, &names, ret, err);
}

static int from_web_identity_that_applies(const struct aws_ask *ask, struct aws_credentials *ret,
                                          struct error *err)
{
	const struct aws_names names = applying(ask);

	return aws_from_web_identity(ask, &names, ret, err);
}

static int from_keys_that_apply(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	const struct aws_names names = applying(ask);

	return aws_from_keys(ask, &names, ret, err);
}

typedef int source_fn(const struct aws_ask *, struct aws_credentials *, struct error *);

static source_fn *const usual_order[] = {
        from_conf,
        aws_from_environment,
        from_role_that_applies,
        aws_from_web_identity_environment,
        from_web_identity_that_applies,
        from_keys_that_apply,
        aws_from_container,
        aws_from_instance,
        NULL,
};

/* With [store] profile: what somebody wrote down for keepfs comes before what is in the environment for everybody. */
static source_fn *const chosen_order[] = {
        from_conf,
        from_role_that_applies,
        from_web_identity_that_applies,
        from_keys_that_apply,
        aws_from_environment,
        aws_from_web_identity_environment,
        aws_from_container,
        aws_from_instance,
        NULL,
};

static int refuse_character(const struct aws_credentials *c, const char *what, char character,
                            struct error *err)
{
	return aws_fail(
	        err,
	        "the %s from %s holds %s (0x%02x), which cannot be a part of it: it was cut wrongly, or two lines became one",
	        what, c->source,
	        character == ' '    ? "a space"
	        : character == '\n' ? "a line feed"
	        : character == '\r' ? "a carriage return"
	                            : "a character",
	        (unsigned char)character);
}

/* The key's id and the token are sent in headers; the secret is signed with, and some servers let it be any text. */
static int check_characters(const struct aws_credentials *c, struct error *err)
{
	const char *p;

	for (p = c->access_key; *p; p++)
		if (*p <= ' ' || *p > '~')
			return refuse_character(c, "access key id", *p, err);
	for (p = str_or_empty(c->session_token); *p; p++)
		if (*p <= ' ' || *p > '~')
			return refuse_character(c, "session token", *p, err);
	for (p = c->secret_key; *p; p++)
		if ((unsigned char)*p < ' ' || *p == '\x7f')
			return refuse_character(c, "secret key", *p, err);
	return 0;
}

static void append_file(const struct aws_ask *ask, enum conf_profiles_file which, const char *profile,
                        struct str *out)
{
	const struct conf_profiles_state file = conf_profiles_state(ask->profiles, which);

	if (!file.path)
		str_append(out, "~/.aws (HOME is not set)");
	else if (file.error)
		str_appendf(out, "%s (cannot be read: %s)", file.path, strerror(-file.error));
	else if (conf_profiles_has(ask->profiles, which, profile))
		str_appendf(out, "%s (its profile [%s] has none)", file.path, profile);
	else
		str_appendf(out, "%s (it has no profile [%s])", file.path, profile);
}

static int found_nothing(const struct aws_ask *ask, struct error *err)
{
	const char *profile = conf_profile_name(ask->conf, NULL);
	_cleanup(str) struct str files = {0};

	append_file(ask, CONF_PROFILES_CREDENTIALS, profile, &files);
	str_append(&files, " and ");
	append_file(ask, CONF_PROFILES_CONFIG, profile, &files);
	return aws_fail(
	        err,
	        "no S3 credentials: neither in the configuration ([store] access_key and secret_key), nor in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), nor in the shared files %s%s",
	        str_text(&files), str_text(ask->tried));
}

int aws_find(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err)
{
	source_fn *const *order = *str_or_empty(ask->conf->profile) ? chosen_order : usual_order;
	int r = -ENOENT;

	for (; *order && r == -ENOENT; order++) {
		aws_credentials_clear(ret);
		r = (*order)(ask, ret, err);
	}
	if (r == -ENOENT)
		return found_nothing(ask, err);
	return r == 0 ? check_characters(ret, err) : r;
}
