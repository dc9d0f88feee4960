// SPDX-License-Identifier: Apache-2.0
/* What the catalog knows of its copies in the store. */
#include "access.h"

#include <errno.h>

#include <keepfs/catalog/copy.h>

int catalog_copy_state(struct catalog *c, struct catalog_copy_state *ret)
{
	static const char sql[] = "SELECT key, current_us, failure FROM copy";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_copy_state){.current_us = sqlite3_column_int64(query.row, 1)};
	column_text(query.row, 0, ret->key, sizeof(ret->key));
	column_text(query.row, 2, ret->failure, sizeof(ret->failure));
	return 0;
}

int catalog_copy_begin(struct catalog *c, int64_t now_us, struct error *err)
{
	static const char sql[] = "INSERT OR IGNORE INTO copy (one, current_us) VALUES (1, ?1)";

	return write_run(c, err, sql, VALUES(int_value(now_us)));
}

int catalog_copy_note(struct catalog *c, const char *key, int64_t now_us, struct error *err)
{
	static const char sql[] =
	        "INSERT INTO copy (one, key, current_us) VALUES (1, ?1, ?2) ON CONFLICT (one)"
	        " DO UPDATE SET key = excluded.key, current_us = excluded.current_us, failure = ''";

	return write_run(c, err, sql, VALUES(text_value(key), int_value(now_us)));
}

int catalog_copy_failed(struct catalog *c, const char *why, struct error *err)
{
	static const char sql[] = "UPDATE copy SET failure = ?1";

	return write_run(c, err, sql, VALUES(text_value(why)));
}
