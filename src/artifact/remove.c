// SPDX-License-Identifier: Apache-2.0
/*
 * Deletion. The tombstone comes first: from then on nobody sees the artifact, and whatever stops the rest, the tidier
 * or the next start goes on with it. The manifest goes before the object, since an object without a manifest is a
 * leftover, and a manifest without its object a backup that cannot be read.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/mem.h>

struct beside {
	char **names;
	size_t count;
};

static void note_beside(void *arg, const char *name, uint64_t size_bytes, const char *sha256)
{
	struct beside *b = arg;

	b->names = mem_resize(b->names, b->count + 2, sizeof(*b->names));
	b->names[b->count++] = mem_strdup(name);
	b->names[b->count] = NULL;
}

static void free_beside(struct beside *b)
{
	for (size_t i = 0; i < b->count; i++)
		free(b->names[i]);
	free(b->names);
}

static void tell_removing(const struct repository *repo, uint64_t ino)
{
	for (struct artifact_events *e = repo->events; e; e = e->next)
		if (e->removing)
			e->removing(e->arg, ino);
}

static void tell_removed(const struct repository *repo, const struct artifact_removed *what)
{
	for (struct artifact_events *e = repo->events; e; e = e->next)
		if (e->removed)
			e->removed(e->arg, what);
}

/* From the tombstone on it is gone for everybody, whatever becomes of the rest. */
static int hide(struct repository *repo, uint64_t ino, const struct manifest *m, struct error *err)
{
	static const char *const none[] = {NULL};
	struct beside beside = {0};
	struct artifact_removed what = {.ino = ino, .path = m->path, .is_directory = m->is_directory};
	int r;

	tell_removing(repo, ino);
	if (!m->is_directory)
		catalog_files(repo->catalog, ino, note_beside, &beside);
	r = catalog_entomb_artifact(repo->catalog, ino, true, err);
	what.beside = beside.names ? (const char *const *)beside.names : none;
	if (r == 0)
		tell_removed(repo, &what);
	free_beside(&beside);
	return r;
}

int artifact_remove(struct repository *repo, uint64_t ino, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_manifest(repo->catalog, ino, &m);

	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	if (r < 0)
		return error_set(err, ERROR_INTERNAL, -r, "the catalog cannot be read");
	r = hide(repo, ino, &m, err);
	if (r < 0)
		return r;
	r = artifact_delete(repository_store(repo), NULL, m.path, err);
	if (r < 0) {
		error_prefix(err, "%s is no longer listed; its deletion from the store is tried again later",
		             m.path);
		artifact_left(repo);
		return r;
	}
	return catalog_drop_artifact(repo->catalog, ino, err);
}
