// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * AWS's credentials: found where `aws` finds them, in its order, kept for all threads, and renewed before they end.
 *
 *  1. [store] access_key, secret_key and session_token (these two from where keepfs/secret.h finds them)
 *  2. AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN; behind 5 when [store] profile names a profile, as
 *     with --profile
 *  3. the profile's role_arn, assumed (STS) with the credentials of source_profile or credential_source
 *  4. a web identity: AWS_WEB_IDENTITY_TOKEN_FILE and AWS_ROLE_ARN, or the profile's web_identity_token_file and role_arn
 *  5. the profile's keys in the credentials file, its credential_process, its keys in the config file
 *  6. the container's: AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or …_FULL_URI
 *  7. the instance's: its metadata service, version 2
 *
 * What a profile asks for and keepfs cannot do (IAM Identity Center, `aws login`, MFA) is an error that names it, not a
 * reason to look further, since another identity would be found there.
 *
 * Order: aws_new(), then aws_get() by any thread for each request; aws_free() after the last.
 * Source: docs.aws.amazon.com/sdkref/latest/guide/standardized-credentials.html, and botocore where it says nothing.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct conf_store;
struct net;
struct aws;

/** struct aws_credentials - never changed once they were handed out. */
struct aws_credentials {
	char *access_key;
	char *secret_key;
	char *session_token; /* NULL: none */
	/* for messages: "[store] access_key", "AWS_ACCESS_KEY_ID", "/root/.aws/credentials [default]" */
	char *source;
	int64_t expires_at_us; /* 0: nobody says that they end */
	bool renewable;        /* asking their source again may bring others */
	bool from_command; /* of [store]: asked for again after SECRET_COMMAND_LIFE_MS, and good until there are others */
	/* aws.c's: */
	uint64_t serial; /* another for each that were got */
	uint64_t stamp;  /* of all files that they may be in, before they were looked for */
	int64_t got_at_us;
	atomic_uint refs;
};

/** aws_new() - nothing is looked for yet. @conf and @net are borrowed; @net NULL: what needs a request cannot be had. */
struct aws *aws_new(const struct conf_store *conf, struct net *net);
/** aws_free() - no call may be running. NULL allowed; returns NULL. */
struct aws *aws_free(struct aws *a);
DEFINE_CLEANUP(aws, struct aws *, aws_free)

/**
 * aws_get() - the credentials in force, to be unref'ed
 *
 * Mostly at once. Where they have to be asked for, one thread asks, and the others wait for it, unless what they have is
 * good still; they are asked for anew before they end, and when one of the shared files has changed. May block: not for
 * the threads of the mount. What failed is not asked for again within a second.
 *
 * @cancel:      NULL: cannot be cancelled
 * @deadline_ms: clock_mono_ms() at which to give up; 0: when the source's own time limits are over
 * Return: 0; -ENOKEY with a message that lists where it looked, or names what is wrong there; -ECANCELED; -ETIMEDOUT and
 * other errors of the network, with error.retry where trying again can help.
 */
int aws_get(struct aws *a, struct cancel *cancel, int64_t deadline_ms, const struct aws_credentials **ret,
            struct error *err);
/**
 * aws_get_at_hand() - credentials that need no request: good for telling how long a signature is, not for signing
 * Those that were got last, in force or not; when the shared files have changed, what stands there now. NULL when there
 * are none. Never waits for a network or a program.
 */
const struct aws_credentials *aws_get_at_hand(struct aws *a);
void aws_credentials_unref(const struct aws_credentials *c);
DEFINE_CLEANUP(aws_credentials, const struct aws_credentials *, aws_credentials_unref)

/** aws_outdated() - @c are not those that aws_get() would give now, as far as that is known: others were got, or a shared
 * file has changed. */
bool aws_outdated(struct aws *a, const struct aws_credentials *c);
/** aws_refused() - a server says that @c are none, or have ended: true when it is worth asking their source again, which
 * the next aws_get() does then. */
bool aws_refused(struct aws *a, const struct aws_credentials *c);
