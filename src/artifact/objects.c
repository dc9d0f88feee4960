/*
 * The objects of one artifact. A store that fails and an artifact that is damaged are told apart everywhere:
 * the first must never lead to a deletion.
 */
#include "internal.h"

#include <errno.h>
#include <string.h>

#define MANIFEST_MAX_BYTES ((size_t)64 << 20) /* 100,000 files */
#define EXTENTS_MAX_BYTES  ((size_t)64 << 20) /* 8 TiB in extents of 1 MiB */
#define ABORT_ROUNDS       5

/* -EFBIG is store_get_all()'s own: the object is there, and is not what we wrote. */
static int unusable(int r)
{
	return r == -EFBIG ? ARTIFACT_UNUSABLE : r;
}

static int fetch_extents(struct store *store, const struct store_call *call, struct manifest *m,
                         struct error *err)
{
	_cleanup(free) char *data = NULL;
	size_t len;
	int r = store_get_all(store, call, m->extents_key, EXTENTS_MAX_BYTES, &data, &len, err);

	if (r == -ENOENT) {
		error_set(err, ERROR_CORRUPT, EBADMSG, "%s: its extent table %s is missing", m->path,
		          m->extents_key);
		return ARTIFACT_UNUSABLE;
	}
	if (r < 0)
		return unusable(r);
	return manifest_load_extents(m->extents_key, (const uint8_t *)data, len, m, err) < 0
	               ? ARTIFACT_UNUSABLE
	               : 0;
}

int artifact_fetch(struct store *store, const struct store_call *call, const char *path, struct manifest *ret,
                   struct error *err)
{
	_cleanup(free) char *key = manifest_key(path), *data = NULL;
	_cleanup(manifest) struct manifest m = {0};
	size_t len;
	int r = store_get_all(store, call, key, MANIFEST_MAX_BYTES, &data, &len, err);

	if (r < 0)
		return unusable(r);
	if (manifest_decode(key, data, len, &m, err) < 0)
		return ARTIFACT_UNUSABLE;
	if (strcmp(m.path, path) != 0) {
		error_set(err, ERROR_CORRUPT, EBADMSG, "%s: it is the manifest of another artifact, %s", key,
		          m.path);
		return ARTIFACT_UNUSABLE;
	}
	if (m.extents_key)
		r = fetch_extents(store, call, &m, err);
	if (r != 0)
		return r;
	*ret = m;
	m = (struct manifest){0};
	return 0;
}

int artifact_delete(struct store *store, const struct store_call *call, const char *path,
                    bool has_extents_object, struct error *err)
{
	_cleanup(free) char *manifest = manifest_key(path), *extents = manifest_extents_key(path);
	int r = store_remove(store, call, manifest, err);

	if (r == 0 && has_extents_object)
		r = store_remove(store, call, extents, err);
	if (r == 0)
		r = store_remove(store, call, path, err);
	return r;
}

int artifact_stored_bytes(struct store *store, const struct store_call *call, const char *path,
                          uint64_t *ret_bytes, struct error *err)
{
	struct store_object object;
	int r = store_head(store, call, path, &object, err);

	if (r == 0)
		*ret_bytes = object.bytes;
	return r;
}

/* Returns how many uploads of @path there were. */
static int abort_listed(struct store *store, const struct store_call *call, const char *path,
                        struct error *err)
{
	struct store_upload_info *uploads = NULL;
	size_t count = 0;
	int found = 0, r = store_upload_list(store, call, path, &uploads, &count, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (strcmp(uploads[i].key, path) != 0)
			continue;
		found++;
		r = store_upload_abort(store, call, path, uploads[i].upload_id, err);
	}
	store_upload_list_free(uploads, count);
	return r < 0 ? r : found;
}

int artifact_abort_uploads(struct store *store, const struct store_call *call, const char *path,
                           struct error *err)
{
	/* An abort may be overtaken by a part that was still on its way: only an empty list is the end. */
	for (int round = 0; round < ABORT_ROUNDS; round++) {
		int found = abort_listed(store, call, path, err);

		if (found <= 0)
			return found;
	}
	return error_set(err, ERROR_UNAVAILABLE, EBUSY,
	                 "%s: uploads of %s are listed again after they were aborted", store->name, path);
}

int listing_peek(struct listing *l, const struct store_object **ret_object, struct error *err)
{
	_cleanup(free) struct store_object *before = NULL;
	const char *start_after = NULL;
	bool more = false;
	int r;

	if (l->at == l->count && !l->ended) {
		before = take_ptr(&l->page);
		if (before)
			start_after = before[l->count - 1].key;
		l->at = l->count = 0;
		r = store_list(l->store, l->call, l->prefix, start_after, 1000, &l->page, &l->count, &more,
		               err);
		if (r < 0)
			return r;
		l->ended = !more || l->count == 0;
	}
	*ret_object = l->at < l->count ? &l->page[l->at] : NULL;
	return 0;
}

void listing_pop(struct listing *l)
{
	l->at++;
}

void listing_finish(struct listing *l)
{
	free(l->page);
	*l = (struct listing){0};
}
