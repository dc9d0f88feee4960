/*
 * Tables whose rows a snapshot does not show any more. TRUNCATE, and whatever writes a table anew, gives it
 * another file, which holds nothing for older snapshots: they see an empty table, without any failure. Which
 * file a table had is part of the snapshot, since it stands in pg_class; which one it has now is what
 * pg_relation_filenode() says, which does not look through the snapshot.
 */
#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>

#define TABLES_PER_QUERY 5000

static const char about_files[] =
        "SELECT pg_catalog.quote_ident(s.nspname) || '.' || pg_catalog.quote_ident(c.relname)"
        " FROM pg_catalog.unnest('{%s}'::oid[]) o(oid)"
        " JOIN pg_catalog.pg_class c ON c.oid = o.oid"
        " JOIN pg_catalog.pg_namespace s ON s.oid = c.relnamespace"
        " WHERE c.relkind IN ('r', 'm') AND c.relfilenode <> 0"
        " AND c.relfilenode IS DISTINCT FROM pg_catalog.pg_relation_filenode(c.oid) LIMIT 1";

static int check_batch(struct pg_session *s, const struct pg_table *tables, size_t count, struct error *err)
{
	_cleanup(str) struct str oids = {0}, sql = {0};
	_cleanup(free) char *relation = NULL;
	int r;

	for (size_t i = 0; i < count; i++)
		str_appendf(&oids, "%s%u", i > 0 ? "," : "", tables[i].oid);
	str_appendf(&sql, about_files, str_text(&oids));
	r = pg_session_value(s, str_text(&sql), &relation, err);
	if (r < 0 || !relation)
		return r;
	return error_set(
	        err, ERROR_CONFLICT, ESTALE,
	        "%s was truncated or rewritten just after the snapshot was taken, which would show it empty",
	        relation);
}

int pg_tables_check(struct pg_session *s, const struct pg_table *tables, size_t count, struct error *err)
{
	int r = 0;

	for (size_t done = 0; done < count && r == 0; done += TABLES_PER_QUERY)
		r = check_batch(s, tables + done,
		                count - done < TABLES_PER_QUERY ? count - done : TABLES_PER_QUERY, err);
	return r;
}
