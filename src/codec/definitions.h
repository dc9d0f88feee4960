// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Which types the columns of tables have, as the SQL of a dump says: CREATE TABLE, CREATE FOREIGN TABLE, CREATE TYPE … AS (…). The columns that a table has from others (INHERITS,
 * OF, PARTITION OF) are looked up there. Of each table 24 bytes are in memory, the rest is in a spool.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>

struct definitions;
struct definitions *definitions_new(const char *directory);  /* as spool_new() */
struct definitions *definitions_free(struct definitions *d); /* NULL allowed; returns NULL */

/** definitions_feed() - the next bytes of the text. Return: 0; 1: rows begin, nothing that comes is looked at; -ENOSPC and the like. */
int definitions_feed(struct definitions *d, const void *data, size_t len, struct error *err);

/** struct definition - what was found of one table, with those that it has columns from. */
struct definition {
	struct str *records;
	size_t count;
};
/** definitions_load() - Return: 0, with nothing in it when the text has no such table; or why it cannot be read. definition_finish() in any case. */
int definitions_load(struct definitions *d, const char *schema, const char *table, struct definition *ret,
                     struct error *err);
void definition_finish(struct definition *d);
static inline void cleanup_definition(struct definition *d)
{
	definition_finish(d);
}
/** definition_type() - of the column, as SQL; borrowed. NULL: not known. @ret_collation: as SQL, "" for that of the type. */
const char *definition_type(const struct definition *d, const char *column, const char **ret_collation);
