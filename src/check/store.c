// SPDX-License-Identifier: Apache-2.0
/*
 * The store: a small object is written, created once more (which must not replace it), read back and
 * compared, deleted, and gone. Its name is new each time, below state/, where no artifact is ever looked for;
 * whatever happens after it was written, it is deleted.
 */
#include "check_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/probes.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#define PROBE_BYTES       256
#define PROBE_DEADLINE_MS 15000
#define CLEAN_UP_MS       5000
#define NO_PART_LIMIT     ((uint64_t)1 << 50) /* what is larger limits nobody */

struct object {
	struct store_call call; /* a person waits: one deadline for all of it */
	char key[64];
	char data[PROBE_BYTES];
};

struct findings {
	int64_t put_ms, get_ms, remove_ms;
	bool exclusive;
};

static int object_init(struct object *o, struct cancel *cancel, struct error *err)
{
	uint8_t random[8];
	char hex[2 * sizeof(random) + 1];

	if (getrandom(random, sizeof(random), 0) != sizeof(random) ||
	    getrandom(o->data, sizeof(o->data), 0) != sizeof(o->data))
		return error_system(err, errno, "random bytes cannot be had");
	o->call = (struct store_call){.deadline_ms = clock_mono_ms() + PROBE_DEADLINE_MS, .cancel = cancel};
	hex_encode(random, sizeof(random), hex);
	snprintf(o->key, sizeof(o->key), "state/probe-%s", hex);
	return 0;
}

static int write_object(struct store *s, const struct object *o, struct error *err)
{
	const struct store_put_options create = {.only_if_absent = true};
	int r = store_put_bytes(s, &o->call, o->key, o->data, sizeof(o->data), &create, err);

	if (r == STORE_EXISTS)
		return error_set(
		        err, ERROR_CORRUPT, EIO,
		        "the store says that an object of a name that is new is there already: its answers cannot be relied on");
	if (r < 0)
		error_prefix(err, "a small object cannot be written");
	return r;
}

/* Create it again, with the same bytes: does the store keep to 'only if absent'? */
static int write_again(struct store *s, const struct object *o, bool *ret_exclusive, struct error *err)
{
	const struct store_put_options create = {.only_if_absent = true};
	int r = store_put_bytes(s, &o->call, o->key, o->data, sizeof(o->data), &create, err);

	if (r < 0) {
		error_prefix(err, "an object that exists cannot be told from one that does not");
		return r;
	}
	*ret_exclusive = r == STORE_EXISTS;
	return 0;
}

static int read_back(struct store *s, const struct object *o, struct error *err)
{
	char found[PROBE_BYTES];
	const struct iovec iov = {found, sizeof(found)};
	const struct store_get_options options = {0};
	int r = store_get(s, &o->call, o->key, 0, &iov, 1, &options, err);

	if (r < 0) {
		error_prefix(err, "the object was written but cannot be read back");
		return r;
	}
	if (memcmp(found, o->data, sizeof(found)) != 0)
		return error_set(
		        err, ERROR_CORRUPT, EIO,
		        "the object that was written is read back with other bytes: the store damages or overwrites what it is given, do not use it");
	return 0;
}

static int remove_object(struct store *s, const struct object *o, struct error *err)
{
	struct store_object found;
	int r = store_remove(s, &o->call, o->key, err);

	if (r < 0) {
		error_prefix(err, "the object %s was written but cannot be deleted", o->key);
		return r;
	}
	r = store_head(s, &o->call, o->key, &found, err);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return r;
	return error_set(
	        err, ERROR_CONFLICT, EBUSY,
	        "the object %s is still there after it was deleted: the store locks or retains objects, so backups could never be removed",
	        o->key);
}

/* After a failure: the object may be there, even when the answer to its put was lost. */
static void clean_up(struct store *s, const struct object *o)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + CLEAN_UP_MS};

	store_remove(s, &call, o->key, NULL);
}

static int try_object(struct store *s, const struct object *o, struct findings *f, struct error *err)
{
	int64_t began_ms = clock_mono_ms();
	int r = write_object(s, o, err);

	f->put_ms = clock_mono_ms() - began_ms;
	if (r == 0)
		r = write_again(s, o, &f->exclusive, err);
	began_ms = clock_mono_ms();
	if (r == 0)
		r = read_back(s, o, err);
	f->get_ms = clock_mono_ms() - began_ms;
	began_ms = clock_mono_ms();
	if (r == 0)
		r = remove_object(s, o, err);
	else
		clean_up(s, o);
	f->remove_ms = clock_mono_ms() - began_ms;
	return r;
}

static void describe_features(struct store *s, struct str *out)
{
	struct store_features f = {0};
	char available[32], capacity[32];

	if (store_features(s, &f, NULL) < 0)
		return;
	if (f.max_part_bytes < NO_PART_LIMIT)
		str_appendf(out, "; up to %u parts of up to %s", f.max_parts,
		            str_format_bytes(capacity, sizeof(capacity), f.max_part_bytes));
	if (f.available_bytes != STORE_UNKNOWN && f.capacity_bytes != STORE_UNKNOWN)
		str_appendf(out, "; %s of %s are free",
		            str_format_bytes(available, sizeof(available), f.available_bytes),
		            str_format_bytes(capacity, sizeof(capacity), f.capacity_bytes));
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

void probe_store(struct probe *p, const struct conf_store *conf, struct store *store,
                 const struct error *store_err)
{
	struct findings f = {0};
	struct error err = {0};
	_cleanup(str) struct str features = {0};
	struct object o;
	int r;

	if (!store) {
		if (store_err && store_err->message[0])
			add_store_failure(p, conf, store_err, "");
		else
			probe_add(p, false, "store", "it could not be opened");
		return;
	}
	r = object_init(&o, NULL, &err);
	if (r == 0)
		r = try_object(store, &o, &f, &err);
	if (r < 0) {
		if (!err.message[0])
			error_system(&err, -r, "the store failed");
		add_store_failure(p, conf, &err, store->name);
		return;
	}
	describe_features(store, &features);
	probe_add(p, true, "store", "%s: written (%lld ms), read back (%lld ms), deleted (%lld ms); %s%s",
	          store->name, (long long)f.put_ms, (long long)f.get_ms, (long long)f.remove_ms,
	          f.exclusive ? "it never replaces what is there"
	                      : "it cannot create exclusively: use this place from one keepfs only",
	          str_text(&features));
}

int check_verify_store(struct store *store, const char *store_url, struct catalog *catalog,
                       struct cancel *cancel, struct error *err)
{
	struct findings f = {0};
	struct object o;
	int r = object_init(&o, cancel, err);

	if (r == 0)
		r = try_object(store, &o, &f, err);
	return r < 0 ? r : catalog_set_store_verified(catalog, store_url, clock_now_us(), err);
}
