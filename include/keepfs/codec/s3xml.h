// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The XML of S3's answers and requests, and of STS's answers, over expat. Pure. Unknown elements are ignored; DTDs and entities
 * are refused. */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct s3xml_error {
	char code[64];
	char message[512];
	char request_id[96];
	char region[64];        /* AuthorizationHeaderMalformed, PermanentRedirect */
	char endpoint[256];     /* PermanentRedirect */
	char server_time[40];   /* RequestTimeTooSkewed: <ServerTime> */
	char storage_class[32]; /* InvalidObjectState */
};

/** s3xml_parse_error() - false when @xml is not an <Error> document, nor STS's <ErrorResponse>; fields that are absent
 * are "". */
bool s3xml_parse_error(const char *xml, size_t len, struct s3xml_error *ret);

/** struct s3xml_object - an object as it is listed; borrowed for the call. */
struct s3xml_object {
	const char *key, *etag;
	uint64_t bytes;
	int64_t modified_us;       /* 0: it is not said, or not understood */
	const char *storage_class; /* "": it is not said */
};

/**
 * struct s3xml_list - ListObjectsV2, ListMultipartUploads: called for each entry, in document order
 *
 * Keys and key markers are decoded when the server says <EncodingType>url</EncodingType>. After a failure the
 * callbacks may have been called for the entries before the fault. The caller frees the heap fields in every
 * case.
 */
struct s3xml_list {
	/* With all that a listing of objects says of it; NULL. */
	void (*described)(void *arg, const struct s3xml_object *o);
	void (*object)(void *arg, const char *key, uint64_t bytes, const char *etag);
	void (*upload)(void *arg, const char *key, const char *upload_id);
	void *arg;
	bool truncated;           /* out */
	char *next_token;         /* out, heap: NextContinuationToken */
	char *next_key_marker;    /* out, heap: NextKeyMarker */
	char *next_upload_marker; /* out, heap: NextUploadIdMarker */
};

int s3xml_parse_list(const char *xml, size_t len, struct s3xml_list *list, struct error *err);
/** struct s3xml_versions - ListObjectVersions: called for each version and delete marker, in document order. Keys
 * are taken as they are: ask for no encoding. */
struct s3xml_versions {
	void (*version)(void *arg, const char *key, const char *version_id, bool is_marker);
	void *arg;
};
int s3xml_parse_versions(const char *xml, size_t len, struct s3xml_versions *list, struct error *err);
/** struct s3xml_lock - what the documents <Retention>, <LegalHold>, <ObjectLockConfiguration> and <VersioningConfiguration> say; "" and 0:
 * nothing. */
struct s3xml_lock {
	char mode[16];       /* "GOVERNANCE"; of a bucket: what it locks by itself */
	char until[48];      /* RetainUntilDate */
	char status[16];     /* of a legal hold: "ON"; of versioning: "Enabled" */
	char enabled[16];    /* of a bucket: "Enabled" */
	int64_t days, years; /* of a bucket: for how long it locks by itself */
};
int s3xml_parse_lock(const char *xml, size_t len, struct s3xml_lock *ret, struct error *err);
/** s3xml_parse_upload_id() - heap: <UploadId> of InitiateMultipartUpload; NULL with @err when absent. */
char *s3xml_parse_upload_id(const char *xml, size_t len, struct error *err);
/**
 * s3xml_parse_complete_etag() - heap: <ETag> of CompleteMultipartUpload's success, "" when the server says
 * none (Ceph 16 does not); NULL when it is no success.
 */
char *s3xml_parse_complete_etag(const char *xml, size_t len);
/** s3xml_parse_copied_etag() - heap: <ETag> of UploadPartCopy's success; NULL when it is none. */
char *s3xml_parse_copied_etag(const char *xml, size_t len);
struct s3xml_credentials { /* all heap; NULL when absent */
	char *access_key, *secret_key, *session_token;
	char *expiration; /* as it stands there */
};
/** s3xml_parse_credentials() - of STS's answers AssumeRoleResponse and AssumeRoleWithWebIdentityResponse: @ret has key and
 * secret at least. -EPROTO with @err when @xml is no such document. */
int s3xml_parse_credentials(const char *xml, size_t len, struct s3xml_credentials *ret, struct error *err);
/** s3xml_credentials_finish() - wiped. */
void s3xml_credentials_finish(struct s3xml_credentials *c);
struct s3xml_part {
	unsigned number;
	const char *etag;
};
/** s3xml_write_complete() - the body of CompleteMultipartUpload. */
void s3xml_write_complete(const struct s3xml_part *parts, size_t count, struct str *out);
