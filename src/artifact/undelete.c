// SPDX-License-Identifier: Apache-2.0
/*
 * What was removed is listed again. Whether it can be is told by the store, never by a clock: as long as the manifest is there
 * nothing else was deleted, whether its time in the trash is over or not, but what was adopted, which is looked for. Whoever deletes it claims it first, and so does
 * whoever brings it back, so no deletion begins in between.
 */
#include "artifact_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/log.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/trash.h>
#include <keepfs/codec/name.h>

/* No tomb has that path. */
static int refuse_unknown(struct repository *repo, const char *path, struct error *err)
{
	struct catalog_entry entry;

	if (catalog_entry_by_ino(repo->catalog, ino_of_artifact(path), &entry) == 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "it is listed: it was not removed");
	return error_set(
	        err, ERROR_NOT_FOUND, ENOENT,
	        "it is neither listed nor in the trash: no backup had this path, or its time in the trash is over and it was deleted for good; status/retention lists what can be brought back");
}

static int refuse_purged(struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, ENOENT,
	                 "it was deleted for good: the store has it no more, so it cannot be brought back");
}

/* What was adopted goes before the manifest where it goes at all, or somebody has removed it. A place that cannot be reached says nothing. */
static void look_for_adopted(struct store *store, const struct manifest *m, struct error *problem)
{
	for (size_t i = 0; i < m->object_count && !problem->message[0]; i++) {
		const struct manifest_object *o = &m->objects[i];
		struct store_object there;
		int r = manifest_adopted_in(o->key, NULL) ? store_head(store, NULL, o->key, &there, NULL)
		                                          : -EAGAIN;

		if (r == -ENOENT || (r == 0 && there.bytes != o->stored_bytes))
			error_set(problem, ERROR_CORRUPT, EBADMSG, "%s: the file that was adopted is %s",
			          o->key, r == 0 ? "another one now" : "there no more");
	}
}

/* ARTIFACT_DAMAGED: not all of it, @problem says what is missing. */
static int look_for_objects(struct store *store, const struct manifest *m, struct error *problem,
                            struct error *err)
{
	struct artifact_match match = {0};
	int r = artifact_check_objects(store, NULL, m, &match, err);

	if (r == 0 && match.broken) {
		error_set(problem, ERROR_CORRUPT, EBADMSG, "%s", str_text(&match.problem));
		r = ARTIFACT_DAMAGED;
	}
	str_finish(&match.problem);
	if (r == 0)
		look_for_adopted(store, m, problem);
	return r == 0 && problem->message[0] ? ARTIFACT_DAMAGED : r;
}

/* Is it still there? 0; ARTIFACT_DAMAGED: it is, but not whole; negative errno. */
static int look_into_store(struct repository *repo, const char *path, const struct catalog_tomb *tomb,
                           struct error *problem, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(store) struct store *store = NULL;
	int r = repository_store_of(repo, path, &store, err);

	if (r < 0)
		return r;
	r = artifact_fetch(repo, store, NULL, path, &m, problem);
	if (r == -ENOENT || (r == 0 && m.run_id != tomb->run_id))
		return refuse_purged(err);
	if (r == ARTIFACT_UNUSABLE)
		return ARTIFACT_DAMAGED;
	if (r == 0)
		return look_for_objects(store, &m, problem, err);
	if (err)
		*err = *problem;
	return r;
}

int artifact_list_again(struct repository *repo, uint64_t ino, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_untrash(repo->catalog, ino, err);

	if (r == -ENOENT) /* It was removed without a trash. */
		r = catalog_give_up_removal(repo->catalog, ino, err);
	if (r == 0 && catalog_manifest(repo->catalog, ino, &m) == 0)
		artifact_tell_listed(repo, &m);
	return r;
}

/* Whoever was at telling the store that it is in the trash may have done so after the mark was removed. */
static void remove_late_mark(struct repository *repo, const char *path)
{
	struct error err = {0};

	if (artifact_trash_unmark(repo, path, &err) < 0)
		log_warning("trash/%s.json may be there again; see that it is not: %s", path, err.message);
}

static int bring_back_claimed(struct repository *repo, const char *path, struct error *err)
{
	uint64_t ino = ino_of_artifact(path);
	struct catalog_tomb tomb;
	struct error problem = {0};
	int r = catalog_tomb(repo->catalog, ino, &tomb), found;

	if (r == -ENOENT)
		return refuse_unknown(repo, path, err);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	found = look_into_store(repo, path, &tomb, &problem, err);
	if (found < 0)
		return found;
	r = tomb.is_trashed ? artifact_trash_unmark(repo, path, err) : 0;
	/* Before it is listed: nobody should take it for a good one meanwhile. */
	if (r == 0 && found == ARTIFACT_DAMAGED)
		r = catalog_mark_damaged(repo->catalog, ino, problem.message, err);
	if (r == 0)
		r = artifact_list_again(repo, ino, err);
	if (r < 0)
		return r == -ENOENT ? refuse_unknown(repo, path, err) : r;
	if (tomb.is_trashed)
		remove_late_mark(repo, path);
	if (found == ARTIFACT_DAMAGED && err)
		*err = problem;
	return found;
}

int artifact_undelete(struct repository *repo, const char *path, struct error *err)
{
	uint64_t ino = ino_of_artifact(path);
	int r;

	if (!artifact_removal_try(repo, ino))
		return error_set(
		        err, ERROR_CONFLICT, EBUSY,
		        "it is being deleted just now, or somebody else brings it back; try again in a minute to see what has become of it");
	r = bring_back_claimed(repo, path, err);
	artifact_removal_end(repo, ino);
	/* The tidier has left it alone meanwhile. */
	if (r < 0 && r != -ENOENT)
		artifact_left(repo);
	return r;
}
