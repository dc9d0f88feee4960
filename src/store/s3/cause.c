// SPDX-License-Identifier: Apache-2.0
/*
 * The table of S3's error codes.
 *
 * It holds the codes whose meaning for keepfs is another than that of their HTTP status alone. A code that is
 * not here is judged by the status: what may pass (429, most of 5xx) is tried again, what cannot is not. A
 * status of 404 alone is never "no such object": a wrong endpoint, a proxy or a missing bucket answer 404 as
 * well, and a backup that seems absent may be dropped from an index, or end a recovery.
 */
#include "cause.h"

#include <errno.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>

static const char busy[] = "the server is busy or in trouble";
static const char damaged[] = "what arrived at the server is not what was sent";
static const char full[] =
        "the server has no room left, or the account's quota is used up: free some, or raise it";
static const char kms[] = "the key of [store] sse_kms_key cannot be used: mend it, or its policy";

/* clang-format off */
static const struct s3_cause causes[] = {
	{"AccessDenied", ERROR_DENIED, EACCES, false, S3_ADVICE_RIGHTS, NULL},
	{"AllAccessDisabled", ERROR_DENIED, EACCES, false, S3_ADVICE_RIGHTS, NULL},
	{"AccountProblem", ERROR_DENIED, EACCES, false, S3_ADVICE_TEXT, "the account is not in order: ask its provider"},
	{"AuthorizationHeaderMalformed", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL},
	{"AuthorizationQueryParametersError", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL},
	{"BadDigest", ERROR_CORRUPT, EIO, true, S3_ADVICE_TEXT, damaged},
	{"ConditionalRequestConflict", ERROR_UNAVAILABLE, EBUSY, true, S3_ADVICE_TEXT, "another request writes the same object"},
	{"EntityTooLarge", ERROR_USAGE, EFBIG, false, S3_ADVICE_TEXT, "the server takes no bodies of this size: lower part_size"},
	{"EntityTooSmall", ERROR_USAGE, EINVAL, false, S3_ADVICE_TEXT, "a part is smaller than the server's minimum: raise part_size"},
	{"ExpiredToken", ERROR_DENIED, EACCES, false, S3_ADVICE_TOKEN, NULL},
	{"IncompleteBody", ERROR_UNAVAILABLE, EIO, true, S3_ADVICE_TEXT, damaged},
	{"IllegalLocationConstraintException", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL},
	{"InsufficientStorage", ERROR_NO_SPACE, ENOSPC, false, S3_ADVICE_TEXT, full},
	{"InternalError", ERROR_UNAVAILABLE, EIO, true, S3_ADVICE_TEXT, busy},
	{"InvalidAccessKeyId", ERROR_DENIED, EACCES, false, S3_ADVICE_ACCESS_KEY, NULL},
	{"InvalidBucketName", ERROR_USAGE, EINVAL, false, S3_ADVICE_TEXT, "the server allows no such name of a bucket: mend [store] url"},
	{"InvalidObjectState", ERROR_USAGE, EIO, false, S3_ADVICE_FROZEN, NULL},
	{"InvalidRange", ERROR_USAGE, ERANGE, false, S3_ADVICE_TEXT, "the object ends before the bytes that were asked for"},
	{"InvalidRegionName", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL},
	{"InvalidStorageClass", ERROR_USAGE, EINVAL, false, S3_ADVICE_TEXT, "the server has no such storage class: mend class_after"},
	{"InvalidSecurity", ERROR_DENIED, EACCES, false, S3_ADVICE_SECRET_KEY, NULL},
	{"InvalidToken", ERROR_DENIED, EACCES, false, S3_ADVICE_TOKEN, NULL},
	{"KMS.DisabledException", ERROR_USAGE, EINVAL, false, S3_ADVICE_TEXT, kms},
	{"KMS.NotFoundException", ERROR_USAGE, EINVAL, false, S3_ADVICE_TEXT, kms},
	{"InvalidRetentionPeriod", ERROR_USAGE, EINVAL, false, S3_ADVICE_TEXT, "the server takes no lock of this length: see [store] lock_max"},
	{"GlacierExpeditedRetrievalNotAvailable", ERROR_UNAVAILABLE, EAGAIN, false, S3_ADVICE_TEXT, "there is no room for expedited thawing at the moment: try again later, or with tier=standard"},
	{"NoSuchBucket", ERROR_USAGE, ENODEV, false, S3_ADVICE_BUCKET, NULL},
	{"NoSuchKey", ERROR_NOT_FOUND, ENOENT, false, S3_ADVICE_TEXT, "there is no such object"},
	{"NoSuchUpload", ERROR_NOT_FOUND, ENOENT, false, S3_ADVICE_TEXT, "there is no such upload: it was aborted or completed"},
	{"NoSuchVersion", ERROR_NOT_FOUND, ENOENT, false, S3_ADVICE_TEXT, "there is no such version"},
	{"NotImplemented", ERROR_USAGE, EOPNOTSUPP, false, S3_ADVICE_ENCRYPTION, NULL},
	{"NoSuchObjectLockConfiguration", ERROR_NOT_FOUND, ENODATA, false, S3_ADVICE_TEXT, "there is no lock"},
	{"ObjectLockConfigurationNotFoundError", ERROR_NOT_FOUND, ENODATA, false, S3_ADVICE_TEXT, "there is no object lock"},
	{"OperationAborted", ERROR_UNAVAILABLE, EBUSY, true, S3_ADVICE_TEXT, "another request is in the way"},
	{"PermanentRedirect", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL},
	{"PreconditionFailed", ERROR_CONFLICT, ESTALE, false, S3_ADVICE_TEXT, "the object is another one now"},
	{"QuotaExceeded", ERROR_NO_SPACE, ENOSPC, false, S3_ADVICE_TEXT, full},
	{"RequestTimeTooSkewed", ERROR_DENIED, EACCES, false, S3_ADVICE_CLOCK, NULL},
	{"RequestTimeout", ERROR_UNAVAILABLE, ETIMEDOUT, true, S3_ADVICE_TEXT, "the body arrived too slowly"},
	{"ServiceUnavailable", ERROR_UNAVAILABLE, EAGAIN, true, S3_ADVICE_TEXT, busy},
	{"SignatureDoesNotMatch", ERROR_DENIED, EACCES, false, S3_ADVICE_SECRET_KEY, NULL},
	{"SlowDown", ERROR_UNAVAILABLE, EAGAIN, true, S3_ADVICE_TEXT, "the server asks for fewer requests"},
	{"TemporaryRedirect", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL},
	{"TokenRefreshRequired", ERROR_DENIED, EACCES, false, S3_ADVICE_TOKEN, NULL},
	{"XAmzContentSHA256Mismatch", ERROR_CORRUPT, EIO, true, S3_ADVICE_TEXT, damaged},
	{"XMinioStorageFull", ERROR_NO_SPACE, ENOSPC, false, S3_ADVICE_TEXT, full},
};

static const struct {
	int status;
	struct s3_cause cause;
} statuses[] = {
	{301, {"", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL}},
	{307, {"", ERROR_USAGE, EINVAL, false, S3_ADVICE_REGION, NULL}},
	{401, {"", ERROR_DENIED, EACCES, false, S3_ADVICE_RIGHTS, NULL}},
	{403, {"", ERROR_DENIED, EACCES, false, S3_ADVICE_RIGHTS, NULL}},
	{404, {"", ERROR_USAGE, EPROTO, false, S3_ADVICE_TEXT, "the server does not say what is missing: is [store] endpoint an S3 server?"}},
	{408, {"", ERROR_UNAVAILABLE, ETIMEDOUT, true, S3_ADVICE_TEXT, busy}},
	{412, {"", ERROR_CONFLICT, ESTALE, false, S3_ADVICE_TEXT, "the object is another one now"}},
	{416, {"", ERROR_USAGE, ERANGE, false, S3_ADVICE_TEXT, "the object ends before the bytes that were asked for"}},
	{429, {"", ERROR_UNAVAILABLE, EAGAIN, true, S3_ADVICE_TEXT, busy}},
	{501, {"", ERROR_USAGE, EOPNOTSUPP, false, S3_ADVICE_ENCRYPTION, NULL}},
	{505, {"", ERROR_USAGE, EOPNOTSUPP, false, S3_ADVICE_TEXT, "the server does not speak HTTP/1.1"}},
	{507, {"", ERROR_NO_SPACE, ENOSPC, false, S3_ADVICE_TEXT, full}},
};
/* clang-format on */

static const struct s3_cause trouble = {"", ERROR_UNAVAILABLE, EIO, true, S3_ADVICE_TEXT, busy};
static const struct s3_cause refused = {"",    ERROR_USAGE,    EINVAL,
                                        false, S3_ADVICE_TEXT, "the server does not accept the request"};

const struct s3_cause *s3_cause_find(const char *code, int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(causes); i++)
		if (str_equal(causes[i].code, code))
			return &causes[i];
	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		if (statuses[i].status == status)
			return &statuses[i].cause;
	return status >= 500 ? &trouble : &refused;
}
