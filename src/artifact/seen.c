// SPDX-License-Identifier: Apache-2.0
/*
 * Which object a manifest was when it was read. Whoever rewraps a backup writes its manifest anew, under the same name: only by its etag does another keepfs see, in the listing
 * that it makes anyway, that it has to be read again.
 */
#include "artifact_private.h"

#include <inttypes.h>
#include <stdio.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>

#define AT_ONCE 256

_Static_assert(CATALOG_MARK_BYTES >= STORE_ETAG_BYTES, "an etag is kept whole");

void artifact_mark_object(const struct store_object *object, struct catalog_manifest_mark *ret)
{
	if (object->etag[0])
		str_copy(ret->mark, sizeof(ret->mark), object->etag);
	else
		snprintf(ret->mark, sizeof(ret->mark), "bytes %" PRIu64, object->bytes);
}

int artifact_seen_add(struct repository *repo, struct artifact_seen *seen,
                      const struct catalog_manifest_mark *mark, struct error *err)
{
	if (!seen->marks)
		seen->marks = mem_array(AT_ONCE, sizeof(*seen->marks));
	seen->marks[seen->count++] = *mark;
	return seen->count == AT_ONCE ? artifact_seen_flush(repo, seen, err) : 0;
}

int artifact_seen_flush(struct repository *repo, struct artifact_seen *seen, struct error *err)
{
	size_t count = seen->count;

	seen->count = 0;
	return count ? catalog_note_manifests(repo->catalog, seen->marks, count, err) : 0;
}

void artifact_seen_finish(struct artifact_seen *seen)
{
	free(seen->marks);
	*seen = (struct artifact_seen){0};
}
