// SPDX-License-Identifier: Apache-2.0
/*
 * Probes: the last result of `keepfs check`, and when the check of each store last passed. The second
 * outlives the first: a store that is down today was verified all the same.
 */
#include "access.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/probes.h>

#define STORE_CHECK "store"

static const char verified_sql[] = "INSERT INTO store_verified (url, at_us) VALUES (?1, ?2)"
                                   " ON CONFLICT (url) DO UPDATE SET at_us = excluded.at_us";

static int set_probe(struct connection *c, size_t position, const struct catalog_probe *probe,
                     const char *store_url)
{
	static const char probe_sql[] =
	        "INSERT INTO probe (position, name, ok, at_us, detail, fix) VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
	int r = db_run(c, probe_sql,
	               VALUES(int_value((int64_t)position), text_value(probe->check), int_value(probe->ok),
	                      int_value(probe->at_us), text_value(probe->detail), text_value(probe->fix)));

	if (r == 0 && probe->ok && strcmp(probe->check, STORE_CHECK) == 0)
		r = db_run(c, verified_sql, VALUES(text_value(store_url), int_value(probe->at_us)));
	return r;
}

static int set_probes(struct connection *c, const char *store_url, const struct catalog_probe *probes,
                      size_t count)
{
	static const char clear_sql[] = "DELETE FROM probe";
	int r = db_run(c, clear_sql, NULL, 0);

	for (size_t i = 0; r == 0 && i < count; i++)
		r = set_probe(c, i, &probes[i], store_url);
	return r;
}

int catalog_set_probes(struct catalog *c, const char *store_url, const struct catalog_probe *probes,
                       size_t count, struct error *err)
{
	return TRANSACTION(c, err, set_probes(c->writer, store_url, probes, count));
}

ssize_t catalog_probes(struct catalog *c, struct catalog_probe *probes, size_t max)
{
	static const char sql[] = "SELECT name, ok, at_us, detail, fix FROM probe ORDER BY position LIMIT ?1";
	size_t count = 0;
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value((int64_t)max)));

	while (count < max && query_next(&query)) {
		struct catalog_probe *probe = &probes[count++];

		*probe = (struct catalog_probe){
		        .ok = sqlite3_column_int(query.row, 1),
		        .at_us = sqlite3_column_int64(query.row, 2),
		};
		column_text(query.row, 0, probe->check, sizeof(probe->check));
		column_text(query.row, 3, probe->detail, sizeof(probe->detail));
		column_text(query.row, 4, probe->fix, sizeof(probe->fix));
	}
	return query.result < 0 ? query.result : (ssize_t)count;
}

int catalog_set_store_verified(struct catalog *c, const char *store_url, int64_t at_us, struct error *err)
{
	return write_run(c, err, verified_sql, VALUES(text_value(store_url), int_value(at_us)));
}

int64_t catalog_store_verified(struct catalog *c, const char *store_url)
{
	static const char sql[] = "SELECT at_us FROM store_verified WHERE url = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(store_url)));

	if (query_one(&query) < 0)
		return 0;
	return sqlite3_column_int64(query.row, 0);
}
