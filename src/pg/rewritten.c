// SPDX-License-Identifier: Apache-2.0
/*
 * Tables whose rows a snapshot does not show any more, or not under their names. TRUNCATE, and whatever
 * writes a table anew, gives it another file, which holds nothing for older snapshots: they see an empty
 * table, without any failure. A table that took another one's name is locked and read in its stead, and what
 * it was filled with later is not seen either; that happens before the locks, and with a schema's name, which
 * no lock protects, at any time. Which file and name a table had is part of the snapshot, since both stand in
 * pg_class; which file it has now is what pg_relation_filenode() says, and whose its name is now
 * to_regclass(): they do not look through the snapshot.
 */
#include "statement.h"

#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>

#define TABLES_PER_QUERY 5000

static const char about_tables[] =
        "SELECT t.name || CASE WHEN t.moved THEN ' was renamed or dropped, or its schema was, after the "
        "snapshot"
        " was taken: its name does not lead to it any more'"
        " ELSE ' was truncated or rewritten just after the snapshot was taken, which would show it empty' END"
        " FROM (SELECT n.name, pg_catalog.to_regclass(n.name)::oid IS DISTINCT FROM c.oid AS moved,"
        " c.relkind IN ('r', 'm') AND c.relfilenode <> 0"
        " AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid) AS rewritten"
        " FROM pg_catalog.unnest('{%s}'::oid[]) o(oid)"
        " JOIN pg_catalog.pg_class c ON c.oid = o.oid"
        " JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace,"
        " LATERAL (SELECT pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(c.relname)) "
        "n(name)) t"
        " WHERE t.moved OR t.rewritten LIMIT 1";

static int check_batch(struct pg_session *s, const struct pg_table *tables, size_t count, struct error *err)
{
	_cleanup(str) struct str oids = {0}, sql = {0};
	_cleanup(free) char *wrong = NULL;
	int r;

	for (size_t i = 0; i < count; i++)
		str_appendf(&oids, "%s%u", i > 0 ? "," : "", tables[i].oid);
	str_appendf(&sql, about_tables, str_text(&oids));
	r = pg_session_value(s, str_text(&sql), &wrong, err);
	return r < 0 || !wrong ? r : error_set(err, ERROR_CONFLICT, ESTALE, "%s", wrong);
}

int pg_tables_check(struct pg_session *s, const struct pg_table *tables, size_t count, struct error *err)
{
	int r = 0;

	for (size_t done = 0; done < count && r == 0; done += TABLES_PER_QUERY)
		r = check_batch(s, tables + done,
		                count - done < TABLES_PER_QUERY ? count - done : TABLES_PER_QUERY, err);
	return r;
}
