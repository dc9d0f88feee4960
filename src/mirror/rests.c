// SPDX-License-Identifier: Apache-2.0
/*
 * What runs that broke off have packed. The members of each of their packs are in the order of their keys: so of all packs only those are in memory whose keys have come and are not over.
 */
#include "mirror_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/name.h>

#include <errno.h>
#include <string.h>

struct rest {
	char *path;
	char *first, *last;            /* keys */
	struct listing_entry *entries; /* NULL: they are not here now */
	size_t count, at;
	bool is_over;
};

struct rest_reading {
	struct rest *rest;
	struct listing_scan *scan;
	bool keeps;
};

static int take_rest_entry(void *arg, struct listing_entry *e, struct error *err)
{
	struct rest_reading *reading = arg;
	struct rest *rest = reading->rest;

	(void)err;
	if (!rest->first)
		rest->first = mem_strdup(e->key);
	mem_replace_string(&rest->last, e->key);
	if (!reading->keeps)
		return 0;
	if ((rest->count & (rest->count - 1)) == 0)
		rest->entries = mem_resize(rest->entries, rest->count ? 2 * rest->count : 1, sizeof(*e));
	rest->entries[rest->count++] = *e;
	*e = (struct listing_entry){0};
	return 0;
}

static int feed_rest(void *arg, const void *data, size_t len, struct error *err)
{
	return listing_scan_feed(((struct rest_reading *)arg)->scan, data, len, err);
}

static int read_rest_members(const struct rests *rests, struct rest *rest, bool keeps, struct error *err)
{
	struct rest_reading reading = {.rest = rest, .keeps = keeps};
	const struct listing_scan_to to = {.entry = take_rest_entry, .arg = &reading};
	_cleanup(manifest) struct manifest m = {0};
	const struct manifest_object *members;
	int r = artifact_read_manifest(rests->ctx->repository, rest->path, rests->cancel, &m, err);

	if (r < 0)
		return r;
	if (rests->is_encrypted && !m.encrypted_to)
		return error_set(err, ERROR_USAGE, ENOTSUP, "it is not encrypted");
	members = manifest_object_of_role(&m, MANIFEST_ROLE_MEMBERS);
	if (!members)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s: it has no list of its members",
		                 rest->path);
	reading.scan = listing_scan_new(&to);
	r = mirror_read_object(rests->ctx, rests->cancel, &m, members, feed_rest, &reading, err);
	if (r == 0)
		r = listing_scan_end(reading.scan, err);
	listing_scan_free(reading.scan);
	return r;
}

static void add_rest(void *arg, uint64_t ino, const char *path)
{
	struct rests *rests = arg;

	(void)ino;
	if ((rests->count & (rests->count - 1)) == 0)
		rests->items =
		        mem_resize(rests->items, rests->count ? 2 * rests->count : 1, sizeof(*rests->items));
	rests->items[rests->count++] = (struct rest){.path = mem_strdup(path)};
}

int rests_load(struct rests *rests, const struct draft *draft, const struct make_context *ctx,
               const struct make_order *order, int64_t after_run, struct error *err)
{
	int r;

	*rests = (struct rests){
	        .ctx = ctx, .cancel = order->cancel, .is_encrypted = draft_is_encrypted(draft)};
	r = catalog_each_pack_of_job(ctx->repository->catalog, order->job->name, after_run, add_rest, rests);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	for (size_t i = 0; i < rests->count; i++) {
		struct rest *rest = &rests->items[i];
		struct error why = {0};

		r = read_rest_members(rests, rest, false, &why);
		if (r == -ECANCELED) {
			if (err)
				*err = why;
			return r;
		}
		/* What it has is got once more. */
		rest->is_over = r < 0 || !rest->first;
		if (r < 0)
			make_say(order, "%s, of a run that broke off, is not used: %s", rest->path,
			         why.message);
	}
	if (rests->count > 0)
		make_say(order, "packs of a run that broke off: %zu", rests->count);
	return 0;
}

static void rest_forget_entries(struct rest *rest)
{
	for (size_t i = 0; i < rest->count; i++)
		listing_entry_finish(&rest->entries[i]);
	free(rest->entries);
	rest->entries = NULL;
	rest->count = rest->at = 0;
}

void rests_finish(struct rests *rests)
{
	for (size_t i = 0; i < rests->count; i++) {
		rest_forget_entries(&rests->items[i]);
		free(rests->items[i].path);
		free(rests->items[i].first);
		free(rests->items[i].last);
	}
	free(rests->items);
}

static bool has_come(struct rests *rests, struct rest *rest, const char *key)
{
	struct error why = {0};

	if (rest->is_over || strcmp(key, rest->first) < 0)
		return false;
	if (strcmp(key, rest->last) > 0) {
		rest_forget_entries(rest);
		rest->is_over = true;
		return false;
	}
	if (!rest->entries && read_rest_members(rests, rest, true, &why) < 0)
		rest->is_over = true;
	return !rest->is_over;
}

static bool is_object(const struct listing_entry *e, const struct source_object *o)
{
	return strcmp(e->key, o->key) == 0 && e->bytes == o->bytes && str_equal(e->etag, o->etag) &&
	       e->modified_us == o->modified_us;
}

int rests_find(struct rests *rests, const struct source_object *o, struct listing_entry *ret,
               struct error *err)
{
	if (cancel_is_set(rests->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	for (size_t i = 0; i < rests->count; i++) {
		struct rest *rest = &rests->items[i];

		if (!has_come(rests, rest, o->key))
			continue;
		while (rest->at < rest->count && strcmp(rest->entries[rest->at].key, o->key) < 0)
			rest->at++;
		if (rest->at == rest->count || !is_object(&rest->entries[rest->at], o))
			continue;
		*ret = rest->entries[rest->at];
		rest->entries[rest->at++] = (struct listing_entry){.key = mem_strdup(o->key)};
		return 1;
	}
	return 0;
}
