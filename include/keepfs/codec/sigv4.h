// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * AWS Signature Version 4 for S3: pure, no clock, no I/O.
 * Source: docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-authenticating-requests.html and its published
 * examples.
 */
#include <keepfs/base/str.h>
#include <stddef.h>
#include <stdint.h>

#define SIGV4_UNSIGNED_PAYLOAD "UNSIGNED-PAYLOAD"

struct sigv4_pair { /* a header or a query parameter; not encoded */
	const char *name;
	const char *value;
};

struct sigv4_request {
	const char *method;
	const char *path; /* not encoded, begins with '/' */
	const struct sigv4_pair *query;
	size_t query_count;
	const struct sigv4_pair
	        *headers; /* all that shall be signed, "host" among them; any case, any order */
	size_t header_count;
	const char *payload_sha256; /* hex, or SIGV4_UNSIGNED_PAYLOAD */
};

/** struct sigv4_key - what a secret key becomes for one day, region and service. As secret as that. */
struct sigv4_key {
	char date[9]; /* 20130524; "": none */
	uint8_t bytes[32];
};

struct sigv4_credentials {
	const char *access_key;
	const char *secret_key;
	const char *session_token; /* NULL: none. For headers the caller signs x-amz-security-token itself */
	const char *region;
	const char *service; /* "s3" */
	/* NULL, or sigv4_key_init()'s of these credentials: it spares four of five HMACs on its day, and is
	 * not used on others. */
	const struct sigv4_key *key;
};

/** sigv4_key_init() - derive the key for the day of @at_us, when @key is not of that day already. To be wiped
 * in the end. */
void sigv4_key_init(struct sigv4_key *key, const struct sigv4_credentials *cred, int64_t at_us);

/** sigv4_uri_encode() - append @text percent-encoded as SigV4 wants it; '/' stays when @keep_slash. */
void sigv4_uri_encode(const char *text, int keep_slash, struct str *out);
/** sigv4_query() - append the canonical (sorted, encoded) query string, without '?'. */
void sigv4_query(const struct sigv4_pair *query, size_t count, struct str *out);
/** sigv4_authorization() - append the value of the Authorization header for a request made at @at_us. */
void sigv4_authorization(const struct sigv4_request *req, const struct sigv4_credentials *cred, int64_t at_us,
                         struct str *out);
/** sigv4_presign_query() - append the whole query string, signature included, of a presigned request valid
 * @expires_s. */
void sigv4_presign_query(const struct sigv4_request *req, const struct sigv4_credentials *cred, int64_t at_us,
                         unsigned expires_s, struct str *out);
