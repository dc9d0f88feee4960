// SPDX-License-Identifier: Apache-2.0
/*
 * Deletion. The tombstone comes first: from then on nobody sees the artifact, and every start goes on where
 * this stopped. The manifest goes before the object, since an object without a manifest is a leftover, and a
 * manifest without its object a backup that cannot be read.
 */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/catalog/artifacts.h>

int artifact_remove(struct store *store, struct catalog *catalog, uint64_t ino, struct error *err)
{
	_cleanup(manifest) struct manifest m = {0};
	int r = catalog_manifest(catalog, ino, &m);

	if (r == -ENOENT)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "there is no such backup");
	if (r < 0)
		return error_set(err, ERROR_INTERNAL, -r, "the catalog cannot be read");
	r = catalog_entomb_artifact(catalog, ino, true, err);
	if (r < 0)
		return r;
	r = artifact_delete(store, NULL, m.path, m.extents_key != NULL, err);
	if (r < 0) {
		error_prefix(err,
		             "%s is no longer listed; its deletion from the store goes on at the next start",
		             m.path);
		return r;
	}
	return catalog_drop_artifact(catalog, ino, err);
}
