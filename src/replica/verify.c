// SPDX-License-Identifier: Apache-2.0
/* One replica is read, and held against what it is to be. */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/sign.h>
#include <keepfs/stream/readback.h>

#include <errno.h>

/* Whoever makes copies need not wait until he looks again. */
static void tell_copy_lost(const struct repository *repository, const struct catalog_replica *row)
{
	if (row->state != REPLICA_LOST)
		return;
	for (struct artifact_events *e = repository->events; e; e = e->next)
		if (e->copy_lost)
			e->copy_lost(e->arg, row->path);
}

static int look_paced(void *arg, const void *data, size_t len, struct error *err)
{
	const struct replica_order *o = arg;

	if (o->done_bytes)
		atomic_fetch_add(o->done_bytes, len);
	if (rate_take(o->rate, len, o->cancel) < 0)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return o->wait ? o->wait(o->arg, err) : 0;
}

static int verify_replica_object(const struct replica_order *o, struct store *store, struct pool *pool,
                                 const struct manifest_object *object, struct error *err)
{
	const struct readback_options options = {.store = store,
	                                         .pool = pool,
	                                         .key = object->key,
	                                         .extents = &object->extents,
	                                         .cancel = o->cancel,
	                                         .take = look_paced,
	                                         .arg = (void *)o};
	char found[SHA256_HEX_BYTES];
	int r = stream_readback(&options, found, err);

	if (r < 0 || !object->stored_sha256[0] || str_equal(found, object->stored_sha256))
		return r == -ENOENT ? -EBADMSG : r;
	return error_set(err, ERROR_CORRUPT, EBADMSG, "%s: the SHA-256 of %s is %s, and not %s", store->name,
	                 object->key, found, object->stored_sha256);
}

int replica_check_manifest(struct store *store, const struct store_call *call,
                           const struct catalog_replica *row, struct error *err)
{
	_cleanup(free) char *key = manifest_key(row->path), *text = NULL;
	char found[SHA256_HEX_BYTES] = "";
	size_t len = 0;
	int r = 0;

	if (row->manifest_sha256[0])
		r = store_get_all(store, call, key, MANIFEST_MAX_BYTES, &text, &len, err);
	if (r < 0 && r != -ENOENT && r != -EFBIG)
		return r;
	if (r == 0 && row->manifest_sha256[0])
		sign_hash(text, len, found);
	if (str_equal(found, row->manifest_sha256))
		return 0;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s: %s is not the manifest any more that keepfs has put there", store->name, key);
}

int replica_fetch(const struct repository *repository, struct store *store, uint64_t id,
                  const struct store_call *call, const char *path, struct manifest *ret, struct error *err)
{
	_cleanup(free) char *key = manifest_key(path), *text = NULL;
	struct catalog_replica row;
	char found[SHA256_HEX_BYTES];
	size_t len;
	int r = catalog_replica(repository->catalog, path, id, &row);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	/* What is just being made may have another one than before. */
	if (r == -ENOENT || !row.manifest_sha256[0] ||
	    (row.state != REPLICA_WHOLE && row.state != REPLICA_REMOVED))
		return artifact_fetch(repository, store, call, path, ret, err);
	r = store_get_all(store, call, key, MANIFEST_MAX_BYTES, &text, &len, err);
	if (r < 0)
		return r;
	sign_hash(text, len, found);
	if (str_equal(found, row.manifest_sha256))
		return artifact_decode(repository, store, call, path, text, len, ret, err);
	error_set(err, ERROR_CORRUPT, EBADMSG,
	          "%s: %s is not the manifest any more that keepfs has put there", store->name, key);
	return ARTIFACT_UNUSABLE;
}

static int verify_there(const struct replica_order *o, struct store *store, const char *path,
                        struct manifest *m, struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	struct pool *pool;
	int r = artifact_fetch(o->repository, store, &call, path, m, err);

	if (r == ARTIFACT_UNUSABLE || r == -ENOENT)
		return -EBADMSG;
	if (r < 0)
		return r;
	pool = pool_new((uint64_t)16 << 20);
	if (!pool)
		return error_system(err, ENOMEM, "there is no memory for reading %s", path);
	for (size_t i = 0; r == 0 && i < m->object_count; i++)
		r = verify_replica_object(o, store, pool, &m->objects[i], err);
	pool_free(pool);
	return r;
}

static int verify_claimed(const struct replica_order *o, const char *path, struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	_cleanup(store) struct store *store = NULL;
	_cleanup(manifest) struct manifest there = {0};
	struct catalog_replica row;
	struct error why = {0};
	int r = catalog_replica(o->repository->catalog, path, o->store, &row);

	if (r == -ENOENT || (r == 0 && row.state != REPLICA_WHOLE && row.state != REPLICA_REMOVED))
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s has no whole copy of %s", o->named->name,
		                 path);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = repository_open_store(o->repository, o->store, &store, err);
	if (r < 0)
		return r;
	r = replica_check_manifest(store, &call, &row, &why);
	if (r == 0)
		r = verify_there(o, store, path, &there, &why);
	if (r == 0) {
		row.verified_at_us = clock_now_us();
		row.error[0] = '\0';
	} else if (r == -EBADMSG) {
		log_error("the copy of %s in %s is not right: %s", path, o->named->name, why.message);
		str_cut(row.error, sizeof(row.error), why.message);
		/* Of one that was removed there is nothing it could be made of. */
		replica_change_state(&row, row.is_listed ? REPLICA_LOST : REPLICA_WRONG);
		row.next_try_us = 0;
	}
	if (r != 0 && err)
		*err = why;
	if (r == 0 || r == -EBADMSG)
		(void)replica_note(o, &row, NULL);
	tell_copy_lost(o->repository, &row);
	if (r == 0)
		replica_want_again_if_rewrapped(o, &row, &there);
	return r;
}

void replica_found_wrong(const struct repository *repository, const char *path, uint64_t store,
                         const char *why)
{
	struct catalog_replica row;
	struct error err = {0};

	if (catalog_replica(repository->catalog, path, store, &row) < 0 ||
	    (row.state != REPLICA_WHOLE && row.state != REPLICA_REMOVED))
		return;
	str_cut(row.error, sizeof(row.error), why);
	replica_change_state(&row, row.is_listed ? REPLICA_LOST : REPLICA_WRONG);
	row.next_try_us = 0;
	if (catalog_set_replica(repository->catalog, &row, &err) < 0) {
		log_warning("that the copy of %s is not right could not be noted: %s", path, err.message);
		return;
	}
	replica_pack_is_not_right(repository, &row);
	tell_copy_lost(repository, &row);
}

int replica_verify(const struct replica_order *o, const char *path, struct error *err)
{
	int r = replica_claim(path, o->store, o->cancel, err);

	if (r < 0)
		return r;
	r = verify_claimed(o, path, err);
	replica_end_claim(path, o->store);
	return r;
}
