// SPDX-License-Identifier: Apache-2.0
#pragma once
/** What was asked for: the words of an import. Pure. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/codec/command_line.h>
#include <keepfs/pg/import.h>

struct import_order {         /* borrowed from the line, but for what is said */
	const char *file;     /* "/srv/acme.json.gz", "exports/acme/latest.json.gz" */
	const char *database; /* connection string, URI or name; NULL: not given */
	struct pg_import_options options;
	struct pg_import_setting *sets, *renames; /* heap; so are the columns in them */
	char **ignored, **references;             /* heap: of words of the line */
	bool dry_run;
};

/** import_order_read() - take the words; -EINVAL with what is allowed. @ret: the caller's import_order_finish(). */
int import_order_read(const struct command_line *line, struct import_order *ret, struct error *err);
/** import_order_is_path() - the file is named by where it lies on this machine, and not by its name in the store. */
bool import_order_is_path(const char *file);
void import_order_finish(struct import_order *o);
static inline void cleanup_import_order(struct import_order *o)
{
	import_order_finish(o);
}
