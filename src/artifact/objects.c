// SPDX-License-Identifier: Apache-2.0
/*
 * The objects of one artifact. A store that fails and an artifact that is damaged are told apart everywhere:
 * the first must never lead to a deletion.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define EXTENTS_MAX_BYTES ((size_t)64 << 20) /* 8 TiB in extents of 1 MiB */
#define ABORT_ROUNDS      5

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

int artifact_fetch_object(const struct repository *repo, struct store *store, const struct store_call *call,
                          const char *path, struct manifest *ret, struct store_object *ret_object,
                          struct error *err)
{
	_cleanup(free) char *key = manifest_key(path), *data = NULL;
	int r = store_get_object(store, call, key, MANIFEST_MAX_BYTES, &data, ret_object, err);

	return r < 0 ? unusable(r)
	             : artifact_decode(repo, store, call, path, data, (size_t)ret_object->bytes, ret, err);
}

int artifact_fetch(const struct repository *repo, struct store *store, const struct store_call *call,
                   const char *path, struct manifest *ret, struct error *err)
{
	struct store_object object;

	return artifact_fetch_object(repo, store, call, path, ret, &object, err);
}

int artifact_decode(const struct repository *repo, struct store *store, const struct store_call *call,
                    const char *path, const char *text, size_t len, struct manifest *ret, struct error *err)
{
	_cleanup(free) char *key = manifest_key(path);
	_cleanup(manifest) struct manifest m = {0};
	int r = manifest_decode(key, text, len, &m, err);

	if (r < 0)
		return r == -ENOTSUP ? r : ARTIFACT_UNUSABLE;
	if (strcmp(m.path, path) != 0) {
		error_set(err, ERROR_CORRUPT, EBADMSG, "%s: it is the manifest of another artifact, %s", key,
		          m.path);
		return ARTIFACT_UNUSABLE;
	}
	r = chain_believe(repo->chain, &m, text, len, err);
	if (r < 0)
		return r == -EBADMSG ? ARTIFACT_UNUSABLE : r;
	if (m.extents_key)
		r = fetch_extents(store, call, &m, err);
	if (r != 0)
		return r;
	*ret = m;
	m = (struct manifest){0};
	return 0;
}

int artifact_read_manifest(struct repository *repo, const char *path, struct cancel *cancel,
                           struct manifest *ret, struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(store) struct store *store = NULL;
	int r = repository_store_of(repo, path, &store, err);

	if (r == 0)
		r = artifact_fetch(repo, store, &call, path, ret, err);
	return r == ARTIFACT_UNUSABLE ? -EBADMSG : r;
}

/* Of the manifests below a stem the one that tells more: another artifact's. */
static void choose(char **chosen, const char *path, char **found)
{
	if (*chosen && strcmp(*chosen, path) != 0)
		return;
	free(*chosen);
	*chosen = take_ptr(found);
}

int artifact_find_published(struct store *store, const struct store_call *call, const char *path,
                            char **ret_path, struct error *err)
{
	_cleanup(free) char *stem = manifest_stem(path), *prefix = NULL, *chosen = NULL;
	_cleanup(listing) struct listing l = {.store = store, .call = call};
	const struct store_object *object;
	int r;

	/* That of a directory is <stem>.json, the others are <stem>.<suffix>.json. */
	prefix = mem_printf("manifests/%s.", stem);
	l.prefix = prefix;
	while ((r = listing_peek(&l, &object, err)) == 0 && object) {
		_cleanup(free) char *found = manifest_path_of_key(object->key);

		if (found)
			choose(&chosen, path, &found);
		listing_pop(&l);
	}
	if (r < 0 || !chosen)
		return r;
	*ret_path = take_ptr(&chosen);
	return 1;
}

int artifact_is_foreign(const struct repository *repo, struct store *store, const struct store_call *call,
                        const char *path, int64_t run_id, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(free) char *published = NULL;
	int r = artifact_find_published(store, call, path, &published, err);

	if (r <= 0)
		return r;
	if (strcmp(published, path) != 0)
		return 1;
	r = artifact_fetch(repo, store, call, path, &m, err);
	if (r == -ENOENT)
		return 0;
	/* Whose it is cannot be told: one of ours was written whole. */
	if (r == ARTIFACT_UNUSABLE)
		return -EBADMSG;
	return r < 0 ? r : m.run_id != run_id;
}

/* Returns how many uploads of keys that begin with @own were listed under @prefix. */
static int abort_listed(struct store *store, const struct store_call *call, const char *own,
                        const char *prefix, struct error *err)
{
	struct store_upload_info *uploads = NULL;
	size_t count = 0;
	int found = 0, r = store_upload_list(store, call, prefix, &uploads, &count, err);

	if (r < 0)
		return r;
	for (size_t i = 0; r == 0 && i < count; i++) {
		if (!str_starts(uploads[i].key, own))
			continue;
		found++;
		r = store_upload_abort(store, call, uploads[i].key, uploads[i].upload_id, err);
	}
	store_upload_list_free(uploads, count);
	return r < 0 ? r : found;
}

int artifact_abort_uploads(struct store *store, const struct store_call *call, const char *path,
                           struct error *err)
{
	_cleanup(free) char *stem = manifest_stem(path), *prefix = artifact_prefix(path);

	/* An abort may be overtaken by a part that was still on its way: only an empty list is the end. */
	for (int round = 0; round < ABORT_ROUNDS; round++) {
		int below = abort_listed(store, call, prefix, stem, err), own = 0;

		/* MinIO lists the uploads of a key only when it is asked for the whole key. */
		if (below == 0 && strcmp(stem, path) != 0)
			own = abort_listed(store, call, prefix, path, err);
		if (below < 0 || own < 0)
			return below < 0 ? below : own;
		if (below + own == 0)
			return 0;
	}
	return error_set(err, ERROR_UNAVAILABLE, EBUSY,
	                 "%s: uploads of %s are listed again after they were aborted", store->name, path);
}
