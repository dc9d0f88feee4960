// SPDX-License-Identifier: Apache-2.0
/* The store, tried with a small object (store_try()), and what mends it. */
#include "check_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/probes.h>

#include <errno.h>
#include <string.h>

#define PROBE_DEADLINE_MS 15000
#define NO_PART_LIMIT     ((uint64_t)1 << 50) /* what is larger limits nobody */

static void describe_features(const struct conf_store *conf, struct store *s, struct str *out)
{
	struct store_features f = {0};
	char available[32], capacity[32], largest[32];

	if (store_features(s, &f, NULL) < 0)
		return;
	if (f.max_part_bytes < NO_PART_LIMIT)
		str_appendf(out, "; up to %u parts of up to %s", f.max_parts,
		            str_format_bytes(capacity, sizeof(capacity), f.max_part_bytes));
	if (f.equal_parts)
		str_appendf(
		        out,
		        "; all parts of an upload have one size, part_size, so no file of a backup can be larger than %s",
		        str_format_bytes(largest, sizeof(largest), conf->part_bytes * f.max_parts));
	if (f.available_bytes != STORE_UNKNOWN && f.capacity_bytes != STORE_UNKNOWN)
		str_appendf(out, "; %s of %s are free",
		            str_format_bytes(available, sizeof(available), f.available_bytes),
		            str_format_bytes(capacity, sizeof(capacity), f.capacity_bytes));
	if (!f.atomic_match)
		str_append(
		        out,
		        "; it has no conditional replacing: two keepfs that begin at the same moment could both take the lease for some seconds");
	if (f.weaker[0])
		str_appendf(out, "; weaker in this place: %s", f.weaker);
}

/* What lets the key do what keepfs does, as a statement of a policy of AWS's. */
static char *fix_rights(const char *bucket, const char *prefix)
{
	return mem_printf(
	        "a policy for the key: {\"Effect\":\"Allow\",\"Action\":[\"s3:PutObject\",\"s3:GetObject\",\"s3:DeleteObject\",\"s3:AbortMultipartUpload\","
	        "\"s3:ListMultipartUploadParts\"],\"Resource\":\"arn:aws:s3:::%s%s/*\"},{\"Effect\":\"Allow\",\"Action\":[\"s3:ListBucket\","
	        "\"s3:ListBucketMultipartUploads\"],\"Resource\":\"arn:aws:s3:::%s\"}",
	        bucket, prefix, bucket);
}

static char *fix_bucket(const struct conf_store *conf, const struct error *err)
{
	const char *at = conf->url + strlen("s3://"), *prefix = at + strcspn(at, "/");
	_cleanup(free) char *bucket = mem_printf("%.*s", (int)(prefix - at), at);
	const char *endpoint = conf->endpoint && *conf->endpoint ? conf->endpoint : NULL;

	if (str_equal(err->code, "NoSuchBucket"))
		return mem_printf("aws s3api create-bucket --bucket %s%s%s", bucket,
		                  endpoint ? " --endpoint-url " : "", str_or_empty(endpoint));
	if (err->errnum == ENOKEY)
		return mem_strdup("aws configure (as the user that keepfs runs as)");
	if (str_equal(err->code, "AccessDenied") || err->http_status == 403)
		return fix_rights(bucket, prefix);
	return NULL;
}

static char *fix_store(const struct conf_store *conf, const struct error *err)
{
	if (str_starts(conf->url, "s3://"))
		return fix_bucket(conf, err);
	if (str_starts(conf->url, "dir:") && (err->errnum == ENODEV || err->class == ERROR_DENIED))
		return make_directory_command(conf->url + strlen("dir:"));
	return NULL;
}

static void add_store_failure(struct probe *p, const struct conf_store *conf, const struct error *err,
                              const char *name)
{
	_cleanup(free) char *fix = fix_store(conf, err);

	probe_add_failure(p, "store", fix, "%s%s%s", name, *name ? ": " : "", err->message);
}

static bool is_store_open(struct probe *p, const struct conf_store *conf, const struct store *store,
                          const struct error *store_err)
{
	if (store)
		return true;
	if (store_err && store_err->message[0])
		add_store_failure(p, conf, store_err, "");
	else
		probe_add(p, false, "store", "it could not be opened");
	return false;
}

static int try_reading(struct store *store, bool *ret_any, struct error *err)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + PROBE_DEADLINE_MS};
	_cleanup(free) struct store_object *found = NULL;
	char byte;
	const struct iovec iov = {&byte, 1};
	size_t count = 0;
	bool more;
	int r = store_list(store, &call, "manifests/", NULL, 1, &found, &count, &more, err);

	*ret_any = r == 0 && count > 0 && found[0].bytes > 0;
	return *ret_any ? store_get(store, &call, found[0].key, 0, &iov, 1, NULL, err) : r;
}

void probe_reading(struct probe *p, const struct conf_store *conf, struct store *store,
                   const struct error *store_err)
{
	struct error err = {0};
	bool any;

	if (!is_store_open(p, conf, store, store_err))
		return;
	if (try_reading(store, &any, &err) < 0)
		add_store_failure(p, conf, &err, store->name);
	else
		probe_add(p, true, "store",
		          "%s: it can be listed%s; nothing was written, since this keepfs is a reader",
		          store->name, any ? ", and read" : "; it holds no backup yet");
}

void probe_store(struct probe *p, const struct conf_store *conf, struct store *store,
                 const struct error *store_err)
{
	struct store_tried f = {0};
	struct error err = {0};
	_cleanup(str) struct str features = {0};
	int r;

	if (!is_store_open(p, conf, store, store_err))
		return;
	r = store_try(store, PROBE_DEADLINE_MS, NULL, &f, &err);
	if (r < 0) {
		if (!err.message[0])
			error_system(&err, -r, "the store failed");
		add_store_failure(p, conf, &err, store->name);
		return;
	}
	describe_features(conf, store, &features);
	probe_add(p, true, "store", "%s: written (%lld ms), read back (%lld ms), deleted (%lld ms); %s%s",
	          store->name, (long long)f.put_ms, (long long)f.get_ms, (long long)f.remove_ms,
	          f.exclusive ? "it never replaces what is there"
	                      : "it cannot create exclusively: use this place from one keepfs only",
	          str_text(&features));
}

int check_verify_store(struct store *store, const char *store_url, struct catalog *catalog,
                       struct cancel *cancel, struct error *err)
{
	struct store_tried f = {0};
	int r = store_try(store, PROBE_DEADLINE_MS, cancel, &f, err);

	return r < 0 ? r : catalog_set_store_verified(catalog, store_url, clock_now_us(), err);
}
