// SPDX-License-Identifier: Apache-2.0
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <stdlib.h>

#include <keepfs/catalog/facts.h>
#include <keepfs/codec/manifest.h>

void catalog_unlearned_finish(struct catalog_unlearned *u)
{
	free(u->key);
	free(u->cipher);
	free(u->encrypted_to);
	*u = (struct catalog_unlearned){0};
}

/* That object is only there when it has something to tell. */
int catalog_next_unlearned(struct catalog *c, uint64_t after, struct catalog_unlearned *ret)
{
	static const char sql[] =
	        "SELECT a.ino, o.key, o.cipher, a.encrypted_to FROM artifact a"
	        " JOIN artifact_object x ON x.artifact_ino = a.ino AND x.role = '" MANIFEST_ROLE_FACTS "'"
	        " JOIN object o ON o.id = x.object_id"
	        " WHERE a.ino > ?1 AND a.tomb = 0 AND a.encrypted_to <> ''"
	        " AND json_extract(a.facts, '$." MANIFEST_NAMING_FACT "') IS NULL ORDER BY a.ino LIMIT 1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(after)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	ret->ino = column_u64(query.row, 0);
	ret->key = column_string(query.row, 1);
	ret->cipher = sqlite3_column_type(query.row, 2) == SQLITE_NULL ? NULL : column_string(query.row, 2);
	ret->encrypted_to = column_string(query.row, 3);
	return 0;
}

int catalog_learn_facts(struct catalog *c, uint64_t ino, const char *facts, struct error *err)
{
	static const char sql[] = "UPDATE artifact SET facts = json_patch(facts, ?2) WHERE ino = ?1";

	return write_run(c, err, sql, VALUES(ino_value(ino), text_value(facts)));
}
