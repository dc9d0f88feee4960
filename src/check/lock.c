// SPDX-License-Identifier: Apache-2.0
/* Whether the bucket keeps the locks that [store] object_lock asks for: tried with a canary (keepfs/store/canary.h). */
#include "check_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/report/health.h>
#include <keepfs/store/canary.h>
#include <keepfs/stores.h>

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

/* "object lock", or "object lock [store NAME]". */
static void try_locks(struct probe *p, const char *name, const struct conf_store *conf, struct store *store)
{
	struct store_lock_tried tried = {0};
	_cleanup(str) struct str text = {0};
	_cleanup(free) char *fix = NULL;
	struct error err = {0};

	if (store_try_lock(store, LOCK_DEADLINE_MS, NULL, &tried, &err) == 0) {
		describe_locks(conf, &tried, &text);
		probe_add(p, true, name, "%s", str_text(&text));
		return;
	}
	fix = fix_lock(conf, &err);
	probe_add_failure(p, name, fix, "%s", err.message);
}

static void try_named_locks(struct probe *p, struct stores *stores, const struct conf_named_store *named)
{
	_cleanup(free) char *name = mem_printf(CATALOG_PROBE_OBJECT_LOCK " [store %s]", named->name);
	_cleanup(catalog_store) struct catalog_store at = {0};
	_cleanup(store) struct store *store = NULL;
	struct error err = {0};

	stores_at_section(named, &at);
	if (stores_open_at(stores, &at, &store, &err) < 0) {
		probe_add(p, false, name, "%s", err.message);
		return;
	}
	try_locks(p, name, &named->store, store);
	probe_clock(p, store);
}

void probe_locks(struct probe *p, const struct conf *conf, struct store *store)
{
	_cleanup(stores) struct stores *stores =
	        stores_new(&(struct stores_options){.conf = conf, .retry_deadline_ms = LOCK_DEADLINE_MS});

	if (store && conf->store.object_lock != STORE_LOCK_NONE)
		try_locks(p, CATALOG_PROBE_OBJECT_LOCK, &conf->store, store);
	for (size_t i = 0; i < conf->store_count; i++)
		if (conf->stores[i].store.object_lock != STORE_LOCK_NONE)
			try_named_locks(p, stores, &conf->stores[i]);
}

void probe_clock(struct probe *p, struct store *store)
{
	struct store_features f = {0};
	_cleanup(str) struct str differ = {0};

	if (!store || store_features(store, &f, NULL) < 0)
		return;
	if (!clocks_differ_text(store_clock_ahead_us(&f, clock_now_us()), store->name, &differ))
		return;
	probe_add_failure(p, "clock", "timedatectl set-ntp true", "%s", str_text(&differ));
}
