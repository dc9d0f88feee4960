// SPDX-License-Identifier: Apache-2.0
/* One artifact that is whole in the store, and that the catalog is to list, without looking for others. */
#include "artifact_private.h"

#include <errno.h>

#include <keepfs/base/clock.h>
#include <keepfs/catalog/compare.h>

int artifact_adopt(struct repository *repo, const struct manifest *m, struct cancel *cancel,
                   struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	struct store *store = repository_store(repo);
	const struct chain_at at = {.store = store, .call = &call};
	struct marks_lookup names = {
	        .holds = {.store = store, .call = &call, .prefix = "holds/"},
	        .trash = {.store = store, .call = &call, .prefix = "trash/"},
	};
	_cleanup(artifact_marks) struct artifact_marks marks = {0};
	int r = artifact_marks_read(store, &call, m, clock_now_us(), &names, &marks, err);

	lookup_finish(&names.holds);
	lookup_finish(&names.trash);
	if (r == 0)
		r = chain_returned(repo->chain, &at, m, err);
	if (r == 0)
		r = catalog_adopt_artifact(repo->catalog, m, &marks.known, err);
	if (r != 0)
		return r < 0 ? r : 0;
	artifact_marks_clear(store, &call, m->path, &marks);
	if (!marks.known.trash)
		artifact_tell_listed(repo, m);
	return 0;
}
