// SPDX-License-Identifier: Apache-2.0
/* The way back: a backup is made anew from its replica. */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/stream/readback.h>

#include <errno.h>

static int follow_back(void *arg, uint64_t done_bytes, uint64_t stored_bytes, struct error *err)
{
	const struct replica_order *o = arg;

	if (o->done_bytes)
		atomic_store(o->done_bytes, done_bytes);
	return o->wait ? o->wait(o->arg, err) : 0;
}

static int check_repaired(void *arg, const struct manifest *manifest, struct error *err)
{
	return replica_check_as_listed(arg, manifest, err);
}

static int check_way_back(const struct replica_order *o, const char *path, bool repair,
                          struct catalog_replica *row, struct error *err)
{
	struct catalog *catalog = o->repository->catalog;
	int r = catalog_replica(catalog, path, o->store, row);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (r == -ENOENT || (row->state != REPLICA_WHOLE && row->state != REPLICA_REMOVED))
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s has no whole copy of %s: 'keepfs replicate --list' shows what it has",
		                 o->named->name, path);
	if (!repair && replica_is_listed_now(catalog, path))
		return error_set(err, ERROR_CONFLICT, EEXIST,
		                 "%s is listed: with repair=yes what is wrong with it is made anew", path);
	if (!repair && catalog_knows(catalog, path) > 0)
		return error_set(
		        err, ERROR_CONFLICT, EEXIST,
		        "%s is in the trash, or is just being deleted: bring it back with 'keepfs undelete'",
		        path);
	if (repair && !replica_is_listed_now(catalog, path))
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s is not listed: bring it back without repair", path);
	return 0;
}

/* Its row says what its manifest does, which was true where it was made: so it is locked as long here, too. What fails is found out by who asks the store, and done by the rules. */
static int list_brought_back(const struct replica_order *o, struct store *from, const struct manifest *m,
                             bool is_released, struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	struct error why = {0};
	bool ignored;
	int r = is_released ? 0
	                    : artifact_copy_holds(from, repository_store(o->repository), &call, m->path, true,
	                                          &ignored, err);

	if (r == 0)
		r = artifact_adopt(o->repository, m, o->cancel, err);
	if (r < 0)
		return r;
	if (artifact_lock_again(o->repository, m, o->cancel, &why) < 0)
		log_warning("%s", why.message);
	artifact_locks_changed(o->repository);
	return 0;
}

static int bring_back_there(const struct replica_order *o, const char *path, bool repair,
                            struct catalog_replica *row, struct error *err)
{
	_cleanup(store) struct store *from = NULL;
	struct replica_copy copy;
	int r = repository_open_store(o->repository, o->store, &from, err);

	if (r < 0)
		return r;
	copy = replica_copy_of(o, from, repository_store(o->repository), path);
	copy.is_ours = copy.had_manifest = repair;
	copy.from_sha256 = row->manifest_sha256;
	copy.check = repair ? check_repaired : NULL;
	/* What the store of the catalog has under that name is the artifact that is listed, if it is the same one. */
	copy.progress = follow_back;
	copy.arg = (void *)o;
	r = replica_copy(&copy, err);
	if (r == 0)
		r = repair ? artifact_lock_again(o->repository, &copy.manifest, o->cancel, err)
		           : list_brought_back(o, from, &copy.manifest, row->is_released, err);
	if (r == 0) {
		replica_change_state(row, REPLICA_WHOLE);
		str_copy(row->manifest_sha256, sizeof(row->manifest_sha256), copy.sha256);
		log_info("%s is %s from %s", path, repair ? "repaired" : "brought back", o->named->name);
	}
	manifest_finish(&copy.manifest);
	return r;
}

/* A catalog may have the row of the copy, and not yet, or not any more, what its manifest says: without that it would seem to need no packs. */
static int learn_what_it_needs(const struct replica_order *o, const char *path, struct error *err)
{
	struct catalog *catalog = o->repository->catalog;
	const struct store_call call = {.cancel = o->cancel};
	_cleanup(store) struct store *from = NULL;
	_cleanup(manifest) struct manifest m = {0};
	int r = tree_is_pack(path) ? 1 : catalog_has_copy_tree(catalog, o->store, path);

	if (r != 0)
		return r < 0 ? error_system(err, -r, "the catalog cannot be read") : 0;
	r = repository_open_store(o->repository, o->store, &from, err);
	if (r == 0)
		r = artifact_fetch(o->repository, from, &call, path, &m, err);
	if (r != 0)
		return r < 0 ? r : -EBADMSG;
	return catalog_set_copy_tree(catalog, o->store, &m, err);
}

/* Packs first, which nobody removes before what needs them is listed. */
static int bring_back_whole(const struct replica_order *o, const char *path, bool repair,
                            struct catalog_replica *row, struct error *err)
{
	_cleanup(str) struct str pinned = {0};
	int r = learn_what_it_needs(o, path, err);

	if (r < 0)
		return r;
	r = replica_pin_packs(o, path, &pinned);
	if (r < 0)
		error_system(err, -r, "the catalog cannot be read");
	else
		r = replica_bring_back_packs(o, path, err);
	if (r == 0)
		r = bring_back_there(o, path, repair, row, err);
	replica_unpin_packs(o, &pinned);
	return r;
}

int replica_bring_back(const struct replica_order *o, const char *path, bool repair, struct error *err)
{
	struct catalog_replica row;
	int r = replica_claim(path, o->store, o->cancel, err);

	if (r < 0)
		return r;
	r = check_way_back(o, path, repair, &row, err);
	if (r == 0)
		r = bring_back_whole(o, path, repair, &row, err);
	if (r == 0)
		r = replica_note(o, &row, err);
	if (r == 0 && repair)
		r = catalog_forget_replica_read(o->repository->catalog, path, 0, err);
	replica_end_claim(path, o->store);
	return r;
}
