// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The room's own: the sources of credentials. Each takes what was asked and fills empty credentials. It returns 0;
 * -ENOENT when it has none (nothing is told then); -EAGAIN when they would have to be waited for, and must not be; or
 * another error with its message: then nobody looks further. After a failure the credentials may be filled in part.
 */
#include <keepfs/aws.h>
#include <keepfs/base/str.h>
#include <keepfs/conf.h>
#include <keepfs/conf/profiles.h>
#include <keepfs/net.h>

struct aws_ask {
	const struct conf_store *conf;
	struct net *net; /* NULL: nothing may be waited for */
	const struct conf_profiles *profiles;
	struct cancel *cancel;
	int64_t deadline_ms; /* clock_mono_ms(); 0: none */
	/* why a source that could have been had was not: for the message that there are none */
	struct str *tried;
};

struct aws_names { /* profiles that are being looked at, the innermost first */
	const char *name;
	const struct aws_names *outer;
};

/** aws_new_with_clock() - aws_new() with another clock, which says what has ended and when to ask anew: for tests. */
struct aws *aws_new_with_clock(const struct conf_store *conf, struct net *net, int64_t (*now_us)(void));

/** aws_fail() - -ENOKEY with a message, ERROR_DENIED. */
int aws_fail(struct error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/** aws_set() - a field, wiped before and without white space at its ends; NULL when there is nothing else. */
void aws_set(char **field, const char *text);
void aws_credentials_clear(struct aws_credentials *c);
/** aws_variable() - the environment variable without white space at its ends: heap, NULL when it is not set or empty. */
char *aws_variable(const char *name);

/** aws_find() - by the order of keepfs/aws.h; never -ENOENT. */
int aws_find(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err);

int aws_from_environment(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err);
int aws_from_container(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err);
int aws_from_instance(const struct aws_ask *ask, struct aws_credentials *ret, struct error *err);
int aws_from_web_identity_environment(const struct aws_ask *ask, struct aws_credentials *ret,
                                      struct error *err);

/* Those of a profile; @names: of which the first is the profile. */
int aws_from_role(const struct aws_ask *ask, const struct aws_names *names, struct aws_credentials *ret,
                  struct error *err);
int aws_from_web_identity(const struct aws_ask *ask, const struct aws_names *names,
                          struct aws_credentials *ret, struct error *err);
/** aws_from_keys() - also says what is wrong with a profile that was chosen and gives no credentials, or is not there. */
int aws_from_keys(const struct aws_ask *ask, const struct aws_names *names, struct aws_credentials *ret,
                  struct error *err);
int aws_from_process(const struct aws_ask *ask, const char *profile, struct aws_credentials *ret,
                     struct error *err);

struct aws_role {
	const char *arn;
	const char *session_name; /* NULL: one is made up */
	const char *external_id;  /* NULL: none */
	const char *duration_s;   /* NULL: the service's default */
	const char *profile;      /* whose endpoint_url applies; NULL: none */
	const char *place;        /* for messages: where the role is named */
};

/** aws_assume_role() - ask STS, as @by. */
int aws_assume_role(const struct aws_ask *ask, const struct aws_role *role, const struct aws_credentials *by,
                    struct aws_credentials *ret, struct error *err);
/** aws_assume_role_by_token() - ask STS with the token in @token_file, which is read now. */
int aws_assume_role_by_token(const struct aws_ask *ask, const struct aws_role *role, const char *token_file,
                             struct aws_credentials *ret, struct error *err);

/** struct aws_answer_names - how a source's JSON calls the token, and what it must say beside. */
struct aws_answer_names {
	const char *token;  /* "Token", "SessionToken" */
	const char *marker; /* NULL, or a key that, when it is there, is @expected ("Code": "Success") */
	const char *expected;
	bool must_have_marker;
	const char *what; /* for messages: "the instance metadata service" */
};

/** aws_answer_parse() - the credentials in a JSON text: AccessKeyId, SecretAccessKey, a token, Expiration. Pure.
 * Return: 0; -ENOKEY with a message that shows nothing of the text but the service's own words of an error. */
int aws_answer_parse(const char *text, size_t len, const struct aws_answer_names *names,
                     struct aws_credentials *ret, struct error *err);
/** aws_time_parse() - "2026-11-20T02:00:00Z", or with an offset in place of the Z. 0 or -EINVAL. */
int aws_time_parse(const char *text, int64_t *ret_at_us);

struct aws_request {
	const char *method, *url;
	const struct net_header *headers;
	size_t header_count;
	const char *body;   /* NULL: none */
	int64_t timeout_ms; /* for all of it */
};

/** aws_request() - one HTTP exchange; @answer is to be ended with aws_response_finish() in every case. */
int aws_request(const struct aws_ask *ask, const struct aws_request *request, struct net_response *answer,
                struct error *err);
/** aws_response_finish() - it may hold secrets. */
void aws_response_finish(struct net_response *answer);
static inline void cleanup_aws_response(struct net_response *answer)
{
	aws_response_finish(answer);
}
/** aws_status_fails() - an error from a status that is no 2xx; what may pass says retry. @words: the service's own. */
int aws_status_fails(const struct net_response *answer, const char *url, const char *words,
                     struct error *err);
/** aws_clear_text_ok() - may secrets go to @url: https://, or http:// where it does not leave the host or is allowed. */
bool aws_clear_text_ok(const struct conf_store *conf, const char *url);
