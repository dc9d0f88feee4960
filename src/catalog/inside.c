// SPDX-License-Identifier: Apache-2.0
/*
 * The numbers of dumps that were looked into. A row is of an artifact by its inode number, which a rebuild gives the same artifact
 * again, and so that another one of that name has none of it, by when it was finished. No reader of a text depends on these
 * rows, and no copy has them: a change of them is none for anybody else.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/inside.h>

/* Of a part it is when that was finished. */
#define NUMBER_OF                                                                                            \
	"SELECT i.number FROM inside_dump i JOIN artifact a ON a.ino = i.artifact_ino"                       \
	" AND a.finished_at_us = i.finished_at_us WHERE a.tomb = 0 AND a.ino = ?1"                           \
	" UNION ALL SELECT i.number FROM inside_dump i JOIN artifact_part p ON p.ino = i.artifact_ino"       \
	" AND p.finished_at_us = i.finished_at_us JOIN artifact a ON a.ino = p.artifact_ino"                 \
	" WHERE a.tomb = 0 AND p.ino = ?1"                                                                   \
	" UNION ALL SELECT i.number FROM inside_dump i JOIN copy_tree t ON t.ino = i.artifact_ino"           \
	" AND t.mtime_us = i.finished_at_us WHERE t.listing > 0 AND t.ino = ?1"

static int find_dump_number(struct catalog *c, uint64_t artifact_ino, uint32_t *ret)
{
	static const char sql[] = NUMBER_OF;
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(artifact_ino)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (uint32_t)column_u64(query.row, 0);
	return r;
}

/* After so many that none is left: the smallest of one that is gone. */
static int take_free_number(struct connection *c, uint64_t artifact_ino)
{
	static const char sql[] =
	        "UPDATE inside_dump SET number = (SELECT min(n.number) + 1"
	        "  FROM (SELECT 0 AS number UNION ALL SELECT number FROM inside_dump) n"
	        "  WHERE NOT EXISTS (SELECT 1 FROM inside_dump m WHERE m.number = n.number + 1))"
	        " WHERE artifact_ino = ?1";

	return db_run(c, sql, VALUES(ino_value(artifact_ino)));
}

static int give_number(struct connection *c, uint64_t artifact_ino, uint32_t *ret)
{
	static const char number_sql[] = NUMBER_OF;
	static const char insert_sql[] =
	        "INSERT INTO inside_dump (artifact_ino, finished_at_us)"
	        " SELECT ino, finished_at_us FROM artifact WHERE ino = ?1 AND tomb = 0"
	        " UNION ALL SELECT p.ino, p.finished_at_us FROM artifact_part p"
	        " JOIN artifact a ON a.ino = p.artifact_ino WHERE p.ino = ?1 AND a.tomb = 0"
	        " UNION ALL SELECT ino, mtime_us FROM copy_tree WHERE ino = ?1 AND listing > 0";
	int64_t number = 0;
	int r = db_number(c, &number, number_sql, VALUES(ino_value(artifact_ino)));

	if (r == -ENOENT) {
		r = inside_forget(c, artifact_ino);
		if (r == 0)
			r = db_run(c, insert_sql, VALUES(ino_value(artifact_ino)));
		if (r == 0)
			r = db_number(c, &number, number_sql, VALUES(ino_value(artifact_ino)));
	}
	if (r == 0 && number > CATALOG_INSIDE_NUMBER_MAX) {
		r = take_free_number(c, artifact_ino);
		if (r == 0)
			r = db_number(c, &number, number_sql, VALUES(ino_value(artifact_ino)));
	}
	if (r == 0)
		*ret = (uint32_t)number;
	return r;
}

static int number_step(struct catalog *c, uint64_t artifact_ino, uint32_t *ret)
{
	write_touches(c, 0);
	return give_number(c->writer, artifact_ino, ret);
}

int catalog_inside_number(struct catalog *c, uint64_t artifact_ino, uint32_t *ret, struct error *err)
{
	int r = find_dump_number(c, artifact_ino, ret);

	return r == -ENOENT ? TRANSACTION(c, err, number_step(c, artifact_ino, ret)) : r;
}

int catalog_inside_artifact(struct catalog *c, uint32_t number, uint64_t *ret_ino)
{
	static const char sql[] =
	        "SELECT a.ino FROM inside_dump i JOIN artifact a ON a.ino = i.artifact_ino"
	        " AND a.finished_at_us = i.finished_at_us WHERE a.tomb = 0 AND i.number = ?1"
	        " UNION ALL SELECT p.ino FROM inside_dump i JOIN artifact_part p ON p.ino = i.artifact_ino"
	        " AND p.finished_at_us = i.finished_at_us JOIN artifact a ON a.ino = p.artifact_ino"
	        " WHERE a.tomb = 0 AND i.number = ?1"
	        " UNION ALL SELECT t.ino FROM inside_dump i JOIN copy_tree t ON t.ino = i.artifact_ino"
	        " AND t.mtime_us = i.finished_at_us WHERE t.listing > 0 AND i.number = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(number)));
	int r = query_one(&query);

	if (r == 0)
		*ret_ino = column_u64(query.row, 0);
	return r;
}

int catalog_inside_bytes(struct catalog *c, uint32_t number, uint64_t part, uint64_t *ret)
{
	static const char sql[] = "SELECT bytes FROM inside_size WHERE number = ?1 AND part = ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(number), int_value((int64_t)part)));
	int r = query_one(&query);

	if (r == 0)
		*ret = column_u64(query.row, 0);
	return r;
}

static int set_bytes(struct catalog *c, uint32_t number, uint64_t part, uint64_t bytes)
{
	static const char sql[] = "INSERT OR REPLACE INTO inside_size (number, part, bytes)"
	                          " SELECT number, ?2, ?3 FROM inside_dump WHERE number = ?1";

	write_touches(c, 0);
	return db_run(c->writer, sql,
	              VALUES(int_value(number), int_value((int64_t)part), int_value((int64_t)bytes)));
}

int catalog_set_inside_bytes(struct catalog *c, uint32_t number, uint64_t part, uint64_t bytes,
                             struct error *err)
{
	return TRANSACTION(c, err, set_bytes(c, number, part, bytes));
}

int inside_forget(struct connection *c, uint64_t artifact_ino)
{
	static const char sql[] = "DELETE FROM inside_dump WHERE artifact_ino = ?1 OR artifact_ino IN"
	                          " (SELECT ino FROM artifact_part WHERE artifact_ino = ?1)";

	return db_run(c, sql, VALUES(ino_value(artifact_ino)));
}

int inside_forget_gone(struct connection *c)
{
	static const char sql[] = "DELETE FROM inside_dump WHERE artifact_ino NOT IN"
	                          " (SELECT ino FROM artifact UNION ALL SELECT ino FROM artifact_part"
	                          "  UNION ALL SELECT ino FROM copy_tree WHERE listing > 0)";

	return db_run(c, sql, NULL, 0);
}
