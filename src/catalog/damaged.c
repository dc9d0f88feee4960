// SPDX-License-Identifier: Apache-2.0
/*
 * What reading has shown: that a backup is right, or damaged. A file in an artifact that is a directory is a
 * part of it, so the artifact is damaged as well; a file beside an artifact is not, and leaves it as good as
 * it was.
 */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/proofs.h>

/* Wrong bytes are worse than a manifest that is missing, which may come back. */
#define NOT_YET(table) "(" table "damaged IS NULL OR " table "damaged = '" MISSING_REASON "')"

static int mark_file(struct connection *c, uint64_t ino, const char *reason)
{
	static const char file_sql[] =
	        "UPDATE artifact_file SET damaged = ?2 WHERE ino = ?1 AND damaged IS NULL";
	static const char artifact_sql[] =
	        "UPDATE artifact SET damaged = f.name || ': ' || ?2, damaged_level = 0 FROM artifact_file f WHERE f.ino = ?1"
	        " AND artifact.ino = f.artifact_ino AND artifact.is_directory = 1 AND " NOT_YET("artifact.");
	int r = db_run(c, file_sql, VALUES(ino_value(ino), text_value(reason)));

	return r < 0 ? r : db_run(c, artifact_sql, VALUES(ino_value(ino), text_value(reason)));
}

static int mark_entry(struct connection *c, uint64_t ino, enum proof_level level, const char *reason)
{
	static const char sql[] =
	        "UPDATE artifact SET damaged = ?2, damaged_level = ?3 WHERE ino = ?1 AND " NOT_YET("");
	int r = db_run(c, sql, VALUES(ino_value(ino), text_value(reason), int_value(level)));

	/* A rebuild forgets the mark, and must not have a proof in its place. */
	if (r == 0)
		r = proofs_forget(c, ino);
	return r < 0 ? r : mark_file(c, ino, reason);
}

int catalog_mark_damaged(struct catalog *c, uint64_t ino, const char *reason, struct error *err)
{
	return TRANSACTION(c, err, mark_entry(c->writer, ino, PROOF_BYTES, reason));
}

int catalog_mark_unsound(struct catalog *c, uint64_t ino, enum proof_level level, const char *reason,
                         struct error *err)
{
	return TRANSACTION(c, err, mark_entry(c->writer, ino, level, reason));
}

int catalog_set_verified(struct catalog *c, uint64_t ino, int64_t at_us, struct error *err)
{
	static const char sql[] =
	        "UPDATE artifact SET verified_at_us = ?2 WHERE ino = ?1 AND is_directory = 0"
	        " AND damaged IS NULL AND verified_at_us < ?2";

	return TRANSACTION(c, err, db_run(c->writer, sql, VALUES(ino_value(ino), int_value(at_us))));
}

bool catalog_is_damaged(struct catalog *c, uint64_t ino)
{
	static const char sql[] =
	        "SELECT 1 FROM artifact WHERE ino = ?1 AND damaged IS NOT NULL"
	        " UNION ALL SELECT 1 FROM artifact_file WHERE ino = ?1 AND damaged IS NOT NULL";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return query_one(&query) == 0;
}

int catalog_damaged(struct catalog *c,
                    void (*row)(void *arg, uint64_t ino, const char *path, const char *reason), void *arg)
{
	static const char sql[] =
	        "SELECT a.ino, d.path || '/' || a.name, a.damaged FROM artifact a"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE a.damaged IS NOT NULL AND a.tomb = 0"
	        " UNION ALL SELECT f.ino, d.path || '/' || f.name, f.damaged FROM artifact_file f"
	        " CROSS JOIN artifact a ON a.ino = f.artifact_ino"
	        " CROSS JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE f.damaged IS NOT NULL AND a.tomb = 0 AND a.is_directory = 0";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query))
		row(arg, column_u64(query.row, 0), column_borrowed(query.row, 1),
		    column_borrowed(query.row, 2));
	return query.result;
}
