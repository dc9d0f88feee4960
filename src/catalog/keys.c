// SPDX-License-Identifier: Apache-2.0
#include "access.h"
#include "catalog_private.h"

#include <keepfs/catalog/keys.h>

int catalog_each_keys(struct catalog *c, int (*each)(void *arg, const struct catalog_keys *keys), void *arg)
{
	static const char sql[] =
	        "SELECT encrypted_to, count(*), sum(stored_bytes + files_bytes), min(finished_at_us), max(finished_at_us)"
	        " FROM artifact WHERE tomb = 0 GROUP BY encrypted_to ORDER BY encrypted_to";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = 0;

	while (r == 0 && query_next(&query)) {
		const struct catalog_keys keys = {
		        .encrypted_to = column_borrowed(query.row, 0),
		        .artifacts = column_u64(query.row, 1),
		        .stored_bytes = column_u64(query.row, 2),
		        .first_us = sqlite3_column_int64(query.row, 3),
		        .newest_us = sqlite3_column_int64(query.row, 4),
		};

		r = each(arg, &keys);
	}
	return query.result < 0 ? query.result : r;
}
