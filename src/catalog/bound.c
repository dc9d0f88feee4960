// SPDX-License-Identifier: Apache-2.0
/*
 * Which store this catalog is an index of. Under another address its artifacts would be ghosts: listed, and
 * not there. And up to which lease it lists what others have done there.
 */
#include "access.h"

#include <errno.h>

int catalog_set_store_url(struct catalog *c, const char *store_url, struct error *err)
{
	static const char sql[] = "INSERT INTO bound_store (one, url) VALUES (1, ?1)"
	                          " ON CONFLICT (one) DO UPDATE SET url = excluded.url";

	return write_run(c, err, sql, VALUES(text_value(store_url)));
}

char *catalog_store_url(struct catalog *c)
{
	static const char sql[] = "SELECT url FROM bound_store";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	if (query_one(&query) < 0)
		return NULL;
	return column_string(query.row, 0);
}

int catalog_set_fence(struct catalog *c, uint64_t fence, struct error *err)
{
	static const char sql[] = "INSERT INTO known_fence (one, fence) VALUES (1, ?1)"
	                          " ON CONFLICT (one) DO UPDATE SET fence = excluded.fence";

	return write_run(c, err, sql, VALUES(int_value((int64_t)fence)));
}

int catalog_fence(struct catalog *c, uint64_t *ret)
{
	static const char sql[] = "SELECT fence FROM known_fence";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	*ret = r == 0 ? (uint64_t)sqlite3_column_int64(query.row, 0) : 0;
	return r == -ENOENT ? 0 : r;
}
