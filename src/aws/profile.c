// SPDX-License-Identifier: Apache-2.0
/* What the profiles of the shared files say of credentials. */
#include "source.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

/* What a profile can ask for, and keepfs cannot do. */
static const struct {
	const char *key, *what;
} unsupported[] = {
        {"sso_session", "IAM Identity Center"},
        {"sso_start_url", "IAM Identity Center"},
        {"sso_account_id", "IAM Identity Center"},
        {"login_session", "a session of 'aws login'"},
        {"mfa_serial", "a code of an MFA device, which nobody is there to type"},
};

static const char *value_of(const struct aws_ask *ask, const struct aws_names *names, const char *key)
{
	return conf_profiles_get(ask->profiles, names->name, key);
}

static int refuse_unsupported(const struct aws_ask *ask, const char *profile, struct error *err)
{
	for (size_t i = 0; i < ARRAY_SIZE(unsupported); i++) {
		_cleanup(free) char *place =
		        conf_profiles_place_of(ask->profiles, profile, unsupported[i].key);

		if (conf_profiles_get(ask->profiles, profile, unsupported[i].key))
			return aws_fail(
			        err,
			        "%s asks for %s (%s), which keepfs does not support: use another profile, or one with credential_process = aws configure export-credentials --profile %s --format process",
			        place, unsupported[i].what, unsupported[i].key, profile);
	}
	return -ENOENT;
}

static bool is_named_anywhere(const struct aws_ask *ask, const char *profile)
{
	return conf_profiles_has(ask->profiles, CONF_PROFILES_CREDENTIALS, profile) ||
	       conf_profiles_has(ask->profiles, CONF_PROFILES_CONFIG, profile);
}

/* Whoever may assume the role. */

static int from_named_source(const struct aws_ask *ask, const char *source, const char *place,
                             struct aws_credentials *ret, struct error *err)
{
	static const struct {
		const char *name;
		int (*get)(const struct aws_ask *, struct aws_credentials *, struct error *);
	} sources[] = {
	        {"Environment", aws_from_environment},
	        {"EcsContainer", aws_from_container},
	        {"Ec2InstanceMetadata", aws_from_instance},
	};
	int r;

	for (size_t i = 0; i < ARRAY_SIZE(sources); i++) {
		if (!str_equal(source, sources[i].name))
			continue;
		r = sources[i].get(ask, ret, err);
		if (r != -ENOENT)
			return r;
		r = aws_fail(err, "%s says credential_source = %s, but there are no credentials%s", place,
		             source, str_text(ask->tried));
		if (err)
			err->retry = sources[i].get == aws_from_instance;
		return r;
	}
	return aws_fail(
	        err,
	        "%s says credential_source = %s, which is unknown; allowed: Environment, EcsContainer or Ec2InstanceMetadata",
	        place, source);
}

static bool is_looked_at(const struct aws_names *names, const char *profile)
{
	for (; names; names = names->outer)
		if (str_equal(names->name, profile))
			return true;
	return false;
}

/* A profile may name itself: then its own keys are meant. */
static int from_source_profile(const struct aws_ask *ask, const struct aws_names *names, const char *source,
                               const char *place, struct aws_credentials *ret, struct error *err)
{
	const struct aws_names inner = {source, names};
	bool itself = str_equal(source, names->name);
	int r = -ENOENT;

	if (!is_named_anywhere(ask, source))
		return aws_fail(err, "%s says source_profile = %s, but neither file has such a profile",
		                place, source);
	if (!itself && is_looked_at(names, source))
		return aws_fail(err, "%s says source_profile = %s, which leads back to itself", place,
		                source);
	if (!itself)
		r = aws_from_role(ask, &inner, ret, err);
	if (!itself && r == -ENOENT)
		r = aws_from_web_identity(ask, &inner, ret, err);
	if (r == -ENOENT)
		r = aws_from_keys(ask, &inner, ret, err);
	if (r == -ENOENT)
		r = aws_fail(err, "%s says source_profile = %s, which has no credentials", place, source);
	return r;
}

static int from_who_may(const struct aws_ask *ask, const struct aws_names *names, const char *place,
                        struct aws_credentials *ret, struct error *err)
{
	const char *profile = value_of(ask, names, "source_profile");
	const char *source = value_of(ask, names, "credential_source");

	if (!profile == !source)
		return aws_fail(
		        err,
		        "%s has a role_arn with %s: set one of source_profile, credential_source and web_identity_token_file",
		        place, profile ? "both source_profile and credential_source" : "nobody to assume it");
	return source ? from_named_source(ask, source, place, ret, err)
	              : from_source_profile(ask, names, profile, place, ret, err);
}

static struct aws_role role_of(const struct aws_ask *ask, const struct aws_names *names, const char *place)
{
	return (struct aws_role){.arn = value_of(ask, names, "role_arn"),
	                         .session_name = value_of(ask, names, "role_session_name"),
	                         .external_id = value_of(ask, names, "external_id"),
	                         .duration_s = value_of(ask, names, "duration_seconds"),
	                         .profile = names->name,
	                         .place = place};
}

int aws_from_role(const struct aws_ask *ask, const struct aws_names *names, struct aws_credentials *ret,
                  struct error *err)
{
	_cleanup(free) char *place = conf_profiles_place_of(ask->profiles, names->name, "role_arn");
	const struct aws_role role = role_of(ask, names, place);
	struct aws_credentials by = {0};
	int r;

	if (!role.arn || value_of(ask, names, "web_identity_token_file"))
		return -ENOENT;
	if (value_of(ask, names, "mfa_serial"))
		return refuse_unsupported(ask, names->name, err);
	r = from_who_may(ask, names, place, &by, err);
	if (r == 0)
		r = aws_assume_role(ask, &role, &by, ret, err);
	aws_credentials_clear(&by);
	return r;
}

/* Web identities. */

int aws_from_web_identity(const struct aws_ask *ask, const struct aws_names *names,
                          struct aws_credentials *ret, struct error *err)
{
	const char *token_file = value_of(ask, names, "web_identity_token_file");
	_cleanup(free) char *place =
	        conf_profiles_place_of(ask->profiles, names->name, "web_identity_token_file");
	struct aws_role role = role_of(ask, names, place);

	if (!token_file)
		return -ENOENT;
	if (!role.arn)
		return aws_fail(err, "%s has a web_identity_token_file, but no role_arn: set both", place);
	role.external_id = NULL;
	return aws_assume_role_by_token(ask, &role, token_file, ret, err);
}

int aws_from_web_identity_environment(const struct aws_ask *ask, struct aws_credentials *ret,
                                      struct error *err)
{
	_cleanup(free) char *token_file = aws_variable("AWS_WEB_IDENTITY_TOKEN_FILE");
	_cleanup(free) char *arn = aws_variable("AWS_ROLE_ARN");
	_cleanup(free) char *session_name = aws_variable("AWS_ROLE_SESSION_NAME");
	const struct aws_role role = {.arn = arn,
	                              .session_name = session_name,
	                              .profile = conf_profile_name(ask->conf, NULL),
	                              .place = "AWS_ROLE_ARN"};

	if (!token_file)
		return -ENOENT;
	if (!arn)
		return aws_fail(
		        err,
		        "the environment variable AWS_WEB_IDENTITY_TOKEN_FILE is set, but AWS_ROLE_ARN is not: set both, or none");
	return aws_assume_role_by_token(ask, &role, token_file, ret, err);
}

/* Keys. */

static int incomplete(struct error *err, const struct conf_profiles_state *file, const char *what)
{
	int r = aws_fail(err, "the shared credentials file %s %s%s%s%s; complete it%s", file->path, what,
	                 file->bad_line ? " (" : "", str_or_empty(file->bad_line), file->bad_line ? ")" : "",
	                 file->just_changed ? ", if it is not being written right now" : "");

	if (err)
		err->retry = file->just_changed;
	return r;
}

static int keys_in(const struct aws_ask *ask, enum conf_profiles_file which, const char *profile,
                   struct aws_credentials *ret, struct error *err)
{
	const char *id = conf_profiles_get_in(ask->profiles, which, profile, "aws_access_key_id");
	const char *secret = conf_profiles_get_in(ask->profiles, which, profile, "aws_secret_access_key");
	const char *token = conf_profiles_get_in(ask->profiles, which, profile, "aws_session_token");
	const struct conf_profiles_state file = conf_profiles_state(ask->profiles, which);
	_cleanup(free) char *what = NULL;

	if (!id && !secret)
		return -ENOENT;
	if (!id || !secret) {
		what = mem_printf("has no %s in its profile [%s]",
		                  id ? "aws_secret_access_key" : "aws_access_key_id", profile);
		return incomplete(err, &file, what);
	}
	if (!token)
		token = conf_profiles_get_in(ask->profiles, which, profile, "aws_security_token");
	aws_set(&ret->access_key, id);
	aws_set(&ret->secret_key, secret);
	aws_set(&ret->session_token, token);
	ret->source = conf_profiles_place(ask->profiles, which, profile);
	return 0;
}

/* A file that is there and cannot be read may hold what was meant. */
static int refuse_unreadable(const struct aws_ask *ask, struct error *err)
{
	for (enum conf_profiles_file which = 0; which < CONF_PROFILES_FILES; which++) {
		const struct conf_profiles_state file = conf_profiles_state(ask->profiles, which);

		if (file.error && file.error != -ENOENT && file.error != -ENOTDIR)
			return aws_fail(err, "the shared %s file %s cannot be read: %s",
			                which == CONF_PROFILES_CREDENTIALS ? "credentials" : "config",
			                file.path, strerror(-file.error));
	}
	return -ENOENT;
}

/* A credentials file that another program is writing. */
static int refuse_half_written(const struct aws_ask *ask, const char *profile, struct error *err)
{
	const struct conf_profiles_state file = conf_profiles_state(ask->profiles, CONF_PROFILES_CREDENTIALS);
	_cleanup(free) char *what = NULL;

	if (file.error || !file.just_changed)
		return -ENOENT;
	if (file.bytes == 0)
		return incomplete(err, &file, "is empty");
	if (!conf_profiles_has(ask->profiles, CONF_PROFILES_CREDENTIALS, profile))
		return -ENOENT;
	what = mem_printf("has no aws_access_key_id in its profile [%s]", profile);
	return incomplete(err, &file, what);
}

/* A profile that somebody chose, and that has nothing: what is found elsewhere would be somebody else. */
static int refuse_chosen(const struct aws_ask *ask, const char *profile, struct error *err)
{
	const struct conf_profiles_state credentials =
	        conf_profiles_state(ask->profiles, CONF_PROFILES_CREDENTIALS);
	const struct conf_profiles_state config = conf_profiles_state(ask->profiles, CONF_PROFILES_CONFIG);
	const char *chosen_by;

	if (!str_equal(conf_profile_name(ask->conf, &chosen_by), profile) || !chosen_by ||
	    is_named_anywhere(ask, profile))
		return -ENOENT;
	return aws_fail(
	        err,
	        "no S3 credentials: neither in the configuration ([store] access_key and secret_key), nor in the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), and the shared credentials file %s has no profile [%s], nor has %s a [profile %s] (it is chosen by %s)",
	        str_or_empty(credentials.path), profile, str_or_empty(config.path), profile, chosen_by);
}

int aws_from_keys(const struct aws_ask *ask, const struct aws_names *names, struct aws_credentials *ret,
                  struct error *err)
{
	const char *profile = names->name;
	int r = keys_in(ask, CONF_PROFILES_CREDENTIALS, profile, ret, err);

	if (r == -ENOENT)
		r = aws_from_process(ask, profile, ret, err);
	if (r == -ENOENT)
		r = keys_in(ask, CONF_PROFILES_CONFIG, profile, ret, err);
	if (r == -ENOENT)
		r = refuse_unsupported(ask, profile, err);
	if (r == -ENOENT)
		r = refuse_unreadable(ask, err);
	if (r == -ENOENT)
		r = refuse_half_written(ask, profile, err);
	return r == -ENOENT ? refuse_chosen(ask, profile, err) : r;
}
