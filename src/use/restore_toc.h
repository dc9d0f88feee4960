// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The table of contents of a dump that is restored: as files for pg_restore, and which of its entries are wanted: a bit for each. */
#include "restore_database.h"

#include <keepfs/inside/toc.h>

struct restore_toc {
	struct inside_toc base;
	struct inside_toc_place place; /* for pg_restore; what follows is in there, too */
	char *list, *data_list,
	        *database_list; /* for its -L: all that is wanted; of that what has no data; what is of the database itself */
	uint8_t *wanted; /* a bit for each number of an entry */
};

/** restore_toc_open() - fetch, read, choose; @t is zeroed. -ENOTSUP: the archive has a version or a compression that is not known here. */
int restore_toc_open(struct restore_toc *t, const struct restore_database_options *o, struct error *err);
void restore_toc_finish(struct restore_toc *t);
static inline void cleanup_restore_toc(struct restore_toc *t)
{
	restore_toc_finish(t);
}
