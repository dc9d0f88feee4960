// SPDX-License-Identifier: Apache-2.0
/* Whether the bucket keeps the locks that [store] object_lock asks for: tried with a canary (keepfs/store/canary.h). */
#include "check_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/store/canary.h>

#include <errno.h>
#include <string.h>

#define LOCK_DEADLINE_MS 15000

static char *fix_lock(const struct conf_store *conf, const struct error *err)
{
	const char *at = conf->url + strlen("s3://");
	_cleanup(free) char *bucket = mem_printf("%.*s", (int)strcspn(at, "/"), at);
	const char *endpoint = conf->endpoint && *conf->endpoint ? conf->endpoint : NULL;

	if (err->errnum == ENOTSUP)
		return mem_printf(
		        "aws s3api create-bucket --object-lock-enabled-for-bucket --bucket %s%s%s (a new one)",
		        bucket, endpoint ? " --endpoint-url " : "", str_or_empty(endpoint));
	if (err->class == ERROR_DENIED)
		return mem_printf(
		        "a policy for the key: {\"Effect\":\"Allow\",\"Action\":[\"s3:PutObjectRetention\",\"s3:GetObjectRetention\",\"s3:PutObjectLegalHold\","
		        "\"s3:GetObjectLegalHold\"],\"Resource\":\"arn:aws:s3:::%s/*\"},{\"Effect\":\"Allow\",\"Action\":[\"s3:GetBucketVersioning\","
		        "\"s3:GetBucketObjectLockConfiguration\",\"s3:ListBucketVersions\"],\"Resource\":\"arn:aws:s3:::%s\"}",
		        bucket, bucket);
	return NULL;
}

static void describe_locks(const struct conf_store *conf, const struct store_lock_tried *tried,
                           struct str *out)
{
	str_appendf(out, "%s: what is locked cannot be deleted, which was tried",
	            store_lock_mode_name((enum store_lock_mode)conf->object_lock));
	if (tried->left)
		str_appendf(
		        out,
		        "; %u objects of earlier tries are locked yet, or keepfs may not delete versions: they go later, or by a lifecycle rule",
		        tried->left);
	if (tried->bucket.default_mode != STORE_LOCK_NONE)
		str_appendf(
		        out,
		        "; the bucket also locks by itself all that is put, for %lld days, also what keepfs rewrites: whatever is not a backup piles up for so long",
		        (long long)tried->bucket.default_days);
}

void probe_lock(struct probe *p, const struct conf_store *conf, struct store *store)
{
	struct store_lock_tried tried = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *fix = NULL;
	struct error err = {0};

	if (!store || conf->object_lock == STORE_LOCK_NONE)
		return;
	if (store_try_lock(store, LOCK_DEADLINE_MS, NULL, &tried, &err) == 0) {
		describe_locks(conf, &tried, &text);
		probe_add(p, true, CATALOG_PROBE_OBJECT_LOCK, "%s", str_text(&text));
		return;
	}
	fix = fix_lock(conf, &err);
	probe_add_failure(p, CATALOG_PROBE_OBJECT_LOCK, fix, "%s", err.message);
}
