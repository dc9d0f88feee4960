// SPDX-License-Identifier: Apache-2.0
/* What no manifest tells of an artifact: it is kept aside while all artifacts are listed anew, and goes into the copy of the
 * catalog in place of their rows. */
#include "access.h"
#include "catalog_private.h"

#define KNOWN_COLUMNS "ino, tiers, class, keep_until_us, trashed_at_us, locked_until_us"
#define IS_KNOWN                                                                                             \
	" WHERE tomb = 0 AND (tiers > 0 OR class <> '' OR keep_until_us <> 0 OR trashed_at_us IS NOT NULL"   \
	" OR locked_until_us <> 0)"

int known_keep(struct connection *c)
{
	static const char sql[] = "INSERT OR REPLACE INTO artifact_known (" KNOWN_COLUMNS
	                          ") SELECT " KNOWN_COLUMNS " FROM artifact" IS_KNOWN;

	return db_run(c, sql, NULL, 0);
}

int known_copy(struct connection *c)
{
	static const char sql[] = "INSERT OR REPLACE INTO main.artifact_known (" KNOWN_COLUMNS
	                          ") SELECT " KNOWN_COLUMNS " FROM source.artifact" IS_KNOWN " ORDER BY ino";

	return db_run(c, sql, NULL, 0);
}

int known_give_back(struct connection *c, uint64_t ino)
{
	static const char sql[] =
	        "UPDATE artifact SET (tiers, class, keep_until_us, trashed_at_us, locked_until_us) ="
	        " (SELECT max(artifact.tiers, k.tiers), iif(artifact.class = '', k.class, artifact.class),"
	        "  max(artifact.keep_until_us, k.keep_until_us), k.trashed_at_us, max(artifact.locked_until_us, k.locked_until_us) FROM artifact_known k"
	        "  WHERE ino = ?1)"
	        " WHERE ino = ?1 AND ?1 IN (SELECT ino FROM artifact_known)";

	return db_run(c, sql, VALUES(ino_value(ino)));
}

int known_forget(struct connection *c)
{
	static const char sql[] = "DELETE FROM artifact_known";

	return db_run(c, sql, NULL, 0);
}
