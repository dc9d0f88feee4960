// SPDX-License-Identifier: Apache-2.0
/*
 * From an answer that is an error to a struct error: what failed, why, what to do, and the server's own words
 * with its request id, for whoever operates it.
 */
#include "cause.h"
#include "s3.h"

#include <errno.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <stdio.h>
#include <string.h>

#define RETRY_AFTER_MAX_S INT64_C(86400)

static int month_number(const char *name)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

	for (int i = 0; i < 12; i++)
		if (!strncmp(months + i * 3, name, 3))
			return i + 1;
	return 0;
}

int s3_date_parse(const char *text, int64_t *ret_at_us)
{
	char month[4], iso[80];
	int day, year, hour, minute, second, end = 0;

	if (sscanf(text, "%*3[A-Za-z], %2d %3[A-Za-z] %4d %2d:%2d:%2d GMT%n", &day, month, &year, &hour,
	           &minute, &second, &end) != 6 ||
	    !end || text[end] || !month_number(month) || year < 1970 || day < 1 || hour < 0 || minute < 0 ||
	    second < 0)
		return -EINVAL;
	snprintf(iso, sizeof(iso), "%04d-%02d-%02dT%02d:%02d:%02dZ", year, month_number(month), day, hour,
	         minute, second);
	return clock_parse_iso(iso, ret_at_us);
}

static int64_t retry_after_ms(const struct net_response *answer)
{
	char text[64], *end;
	int64_t at_us, seconds;

	net_header_find(answer, "retry-after", text, sizeof(text));
	if (!*text)
		return 0;
	if (!s3_date_parse(text, &at_us)) {
		seconds = (at_us - clock_now_us()) / US_PER_S + 1;
	} else {
		errno = 0;
		seconds = strtoll(text, &end, 10);
		if (errno || *end)
			return 0;
	}
	if (seconds < 0)
		return 0;
	return (seconds < RETRY_AFTER_MAX_S ? seconds : RETRY_AFTER_MAX_S) * 1000;
}

static const char *key_source(const struct s3_failure *f)
{
	return f->credentials && f->credentials->source ? f->credentials->source : "the configuration";
}

static const char *access_key(const struct s3_failure *f)
{
	return f->credentials ? f->credentials->access_key : "";
}

static void explain_region(const struct s3_failure *f, const struct s3xml_error *e, struct str *out)
{
	char region[64];

	net_header_find(f->answer, "x-amz-bucket-region", region, sizeof(region));
	if (!*region)
		str_copy(region, sizeof(region), e->region);
	str_appendf(out, "the bucket is not in region %s", f->s->place.region);
	if (*region && !str_equal(region, f->s->place.region))
		str_appendf(out, " but in %s: set [store] region = %s", region, region);
	else
		str_append(out, ": set [store] region to the bucket's");
	if (*e->endpoint)
		str_appendf(out, " (endpoint: %s)", e->endpoint);
}

static void explain_clock(const struct s3_failure *f, const struct s3xml_error *e, struct str *out)
{
	char date[64];
	int64_t server_us, off_s;

	net_header_find(f->answer, "date", date, sizeof(date));
	if (clock_parse_iso(e->server_time, &server_us) && s3_date_parse(date, &server_us)) {
		str_append(out, "this host's clock differs too much from the server's: set it (NTP)");
		return;
	}
	off_s = (clock_now_us() - server_us) / US_PER_S;
	str_appendf(out, "this host's clock is %lld s %s the server's: set it (NTP)",
	            (long long)(off_s < 0 ? -off_s : off_s), off_s < 0 ? "behind" : "ahead of");
}

static bool has_query(const struct s3_request *r, const char *name)
{
	for (size_t i = 0; i < r->query_count; i++)
		if (str_equal(r->query[i].name, name))
			return true;
	return false;
}

static bool has_s3_header(const struct s3_request *r, const char *name)
{
	for (size_t i = 0; i < r->header_count; i++)
		if (str_starts(r->headers[i].name, name))
			return true;
	return false;
}

static void explain_rights(const struct s3_failure *f, struct str *out)
{
	str_appendf(out, "access key %s (from %s) may not do this; it needs ", access_key(f), key_source(f));
	if (has_query(f->request, "retention") || has_query(f->request, "legal-hold"))
		str_appendf(out, "s3:%sObject%s on the objects%s",
		            str_equal(f->request->method, "GET") ? "Get" : "Put",
		            has_query(f->request, "retention") ? "Retention" : "LegalHold",
		            str_equal(f->request->method, "GET")
		                    ? ""
		                    : "; or what is locked would be locked for a shorter time");
	else if (has_query(f->request, "object-lock") || has_query(f->request, "versioning"))
		str_append(out,
		           "s3:GetBucketVersioning and s3:GetBucketObjectLockConfiguration on the bucket");
	else if (has_query(f->request, "versions"))
		str_append(out, "s3:ListBucketVersions on the bucket");
	else if (has_query(f->request, "restore"))
		str_append(out, "s3:RestoreObject on the objects");
	else if (has_query(f->request, "versionId"))
		str_append(out, "s3:DeleteObjectVersion on the objects; or this version is locked");
	else if (!f->request->key || str_equal(f->request->method, "HEAD"))
		str_append(out, "s3:ListBucket and s3:ListBucketMultipartUploads on the bucket");
	else if (has_s3_header(f->request, "x-amz-copy-source"))
		str_append(
		        out,
		        "s3:GetObject on the objects that are copied, and s3:PutObject on those that come of them");
	else if (str_equal(f->request->method, "GET"))
		str_append(
		        out,
		        "s3:GetObject on the objects, and s3:ListBucket, without which a missing object looks like this");
	else if (str_equal(f->request->method, "DELETE"))
		str_append(out, "s3:DeleteObject and s3:AbortMultipartUpload on the objects");
	else
		str_append(out, "s3:PutObject on the objects");
}

static bool asked_for_encryption(const struct s3_request *r)
{
	return has_s3_header(r, "x-amz-server-side-encryption");
}

static void explain_access_key(const struct s3_failure *f, struct str *out)
{
	str_appendf(out, "the server does not know access key %s (from %s): mend it, or [store] endpoint",
	            access_key(f), key_source(f));
	/* Ceph says InvalidAccessKeyId for a KMS key that it cannot get, too. */
	if (asked_for_encryption(f->request) && f->s->conf->sse == CONF_SSE_KMS)
		str_append(out, ", or sse_kms_key");
}

static void explain(const struct s3_failure *f, const struct s3_cause *cause, const struct s3xml_error *e,
                    struct str *out)
{
	switch (cause->advice) {
	case S3_ADVICE_TEXT:
		str_append(out, cause->text);
		break;
	case S3_ADVICE_ACCESS_KEY:
		explain_access_key(f, out);
		break;
	case S3_ADVICE_SECRET_KEY:
		str_appendf(
		        out,
		        "the secret key does not belong to access key %s (both from %s): mend secret_key, or access_key",
		        access_key(f), key_source(f));
		break;
	case S3_ADVICE_TOKEN:
		str_appendf(
		        out,
		        "the session token (from %s) has expired or is wrong: renew the credentials; a changed credentials file is read again without a remount",
		        key_source(f));
		break;
	case S3_ADVICE_RIGHTS:
		explain_rights(f, out);
		break;
	case S3_ADVICE_BUCKET:
		str_appendf(out,
		            "there is no bucket %s at %s. keepfs never creates a bucket: create it, or mend "
		            "[store] url or endpoint",
		            f->s->place.bucket, f->s->place.base);
		break;
	case S3_ADVICE_REGION:
		explain_region(f, e, out);
		break;
	case S3_ADVICE_CLOCK:
		explain_clock(f, e, out);
		break;
	case S3_ADVICE_FROZEN:
		str_appendf(
		        out,
		        "it is frozen in the storage class %s, and cannot be read before it is thawed: write the backup's name to control/thaw, or run keepfs thaw, and read it again when it is ready (status/thaws)",
		        *e->storage_class ? e->storage_class : "of an archive");
		break;
	case S3_ADVICE_ENCRYPTION:
		str_append(out, asked_for_encryption(f->request)
		                        ? "the server does not know the encryption that [store] sse asks for"
		                        : "the server does not know this request");
		break;
	}
}

/* A refusal of credentials that are no longer the ones in force says nothing about those that are. */
static bool credentials_changed(const struct s3_failure *f)
{
	return f->credentials && aws_outdated(f->s->aws, f->credentials);
}

/* Credentials that their source gave for longer than the server takes them: it may have others by now. */
static bool are_worth_renewing(const struct s3_failure *f, const struct s3_cause *cause)
{
	return f->credentials &&
	       (cause->advice == S3_ADVICE_TOKEN || cause->advice == S3_ADVICE_ACCESS_KEY) &&
	       aws_refused(f->s->aws, f->credentials);
}

static void quote_server(const struct s3_failure *f, const struct s3xml_error *e, struct str *out)
{
	str_appendf(out, " (HTTP %d", f->answer->status);
	if (*e->code)
		str_appendf(out, " %s", e->code);
	if (*e->message && !str_equal(e->message, e->code))
		str_appendf(out, ": %s", e->message);
	if (*e->request_id)
		str_appendf(out, "; request id %s", e->request_id);
	str_append_char(out, ')');
}

int s3_fail(const struct s3_failure *f, struct error *err)
{
	const struct s3_request *r = f->request;
	_cleanup(str) struct str text = {0};
	const struct s3_cause *cause;
	struct s3xml_error e;

	s3xml_parse_error(str_text(&f->answer->text), f->answer->text.len, &e);
	if (!*e.request_id)
		net_header_find(f->answer, "x-amz-request-id", e.request_id, sizeof(e.request_id));
	cause = s3_cause_find(e.code, f->answer->status);

	str_appendf(&text, "%s %s%s%s: ", r->method, f->s->store.name, r->key ? "/" : "",
	            r->key ? r->key : "");
	explain(f, cause, &e, &text);
	quote_server(f, &e, &text);
	error_set(err, cause->class, cause->errnum, "%s", str_text(&text));
	err->retry = cause->retry || (cause->class == ERROR_DENIED && credentials_changed(f)) ||
	             are_worth_renewing(f, cause);
	err->http_status = f->answer->status;
	err->retry_after_ms = retry_after_ms(f->answer);
	if (cause->advice == S3_ADVICE_FROZEN)
		str_copy(err->storage_class, sizeof(err->storage_class),
		         *e.storage_class ? e.storage_class : "GLACIER");
	str_copy(err->code, sizeof(err->code), e.code);
	str_copy(err->request_id, sizeof(err->request_id), e.request_id);
	return -cause->errnum;
}

int s3_fail_late(struct s3 *s, const struct s3_request *r, const struct net_response *answer,
                 struct error *err)
{
	struct s3xml_error e;

	if (s3xml_parse_error(str_text(&answer->text), answer->text.len, &e) && *e.code)
		return s3_fail(&(struct s3_failure){.s = s, .request = r, .answer = answer}, err);
	error_set(err, ERROR_UNAVAILABLE, EPROTO, "%s %s/%s: the server's answer makes no sense (HTTP %d)",
	          r->method, s->store.name, r->key, answer->status);
	err->retry = true;
	return -EPROTO;
}
