// SPDX-License-Identifier: Apache-2.0
/* The copy of the catalog in the store. */
#include "exposition.h"
#include "metrics.h"

#include <keepfs/catalog/copy.h>

#include <errno.h>

int metrics_copy(const struct report_sources *from, struct spool *out)
{
	static const char name[] = "keepfs_catalog_copy_timestamp_seconds";
	struct catalog_copy_state state;
	int r = catalog_copy_state(from->catalog, &state);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	if (!state.key[0])
		return 0;
	expose_family(
	        out, name, "gauge",
	        "Of when the store has a copy of the catalog: when the newest was last found to be no older than the "
	        "catalog, in seconds since the Unix epoch.");
	expose_seconds(out, name, NO_LABELS, state.current_us);
	return 0;
}
