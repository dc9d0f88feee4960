// SPDX-License-Identifier: Apache-2.0
/*
 * Proofs. That the bytes are right (PROOF_BYTES) is also a column of the artifact, which the manifest gives at first, and which is
 * searched by; the others are rows of their own. Rows are by inode number, which a rebuild gives the same artifact again.
 */
#include "access.h"
#include "catalog_private.h"

#include <keepfs/catalog/proofs.h>

_Static_assert(PROOF_BYTES == 0 && PROOF_EQUAL == 3 && PROOF_YOURS == 5 && PROOF_MOMENT == 6,
               "catalogs hold these numbers");

static int add_proofs(struct connection *c, uint64_t ino, enum proof_level level, int64_t at_us,
                      int64_t run_id)
{
	static const char sql[] =
	        "INSERT INTO proof (artifact_ino, level, at_us, run_id, directory_ino, made_run)"
	        " SELECT ?1, ?2, ?3, ?4, directory_ino, run_id FROM artifact WHERE ino = ?1"
	        " ON CONFLICT DO UPDATE SET at_us = excluded.at_us, run_id = excluded.run_id"
	        " WHERE excluded.at_us > at_us OR at_us > excluded.at_us + " PROOF_FUTURE_US;
	static const char artifact_sql[] =
	        "UPDATE artifact SET verified_at_us = iif(verified_at_us > ?2 + " PROOF_FUTURE_US
	        ", ?2, max(verified_at_us, ?2)) WHERE ino = ?1";
	/* A restore reads what it needs, and not all that there is. */
	bool is_of_restore = level >= PROOF_RESTORED;
	int r = 0;

	for (int i = is_of_restore ? PROOF_RESTORED : PROOF_BYTES; r == 0 && i <= (int)level; i++)
		r = db_run(c, sql, VALUES(ino_value(ino), int_value(i), int_value(at_us), int_value(run_id)));
	return r < 0 || is_of_restore ? r : db_run(c, artifact_sql, VALUES(ino_value(ino), int_value(at_us)));
}

static int set_proof(struct connection *c, uint64_t ino, enum proof_level level, int64_t at_us,
                     int64_t run_id, const char *damage)
{
	/* That the manifest is missing in the store is another thing than what the bytes are. */
	static const char mend_sql[] =
	        "UPDATE artifact SET damaged = NULL WHERE ino = ?1 AND tomb = 0 AND damaged = ?2 AND damaged_level <= ?3"
	        " AND damaged <> '" MISSING_REASON "'";
	static const char known_sql[] = "SELECT damaged IS NULL FROM artifact WHERE ino = ?1 AND tomb = 0";
	int64_t is_good = 0;
	int r = db_find(c, known_sql, VALUES(ino_value(ino)));

	if (r == 0 && damage && level < PROOF_RESTORED)
		r = db_run(c, mend_sql, VALUES(ino_value(ino), text_value(damage), int_value(level)));
	if (r == 0)
		r = db_number(c, &is_good, known_sql, VALUES(ino_value(ino)));
	return r < 0 || !is_good ? r : add_proofs(c, ino, level, at_us, run_id);
}

int catalog_set_proof(struct catalog *c, uint64_t ino, enum proof_level level, int64_t at_us, int64_t run_id,
                      const char *damage, struct error *err)
{
	return TRANSACTION(c, err, set_proof(c->writer, ino, level, at_us, run_id, damage));
}

/* Of each file that is marked its number and the mark, between separators that no mark has. */
#define FILE_MARK "char(30) || ino || ' ' || damaged || char(30)"

char *catalog_files_damage(struct catalog *c, uint64_t ino)
{
	static const char sql[] = "SELECT group_concat(" FILE_MARK
	                          ", '') FROM artifact_file WHERE artifact_ino = ?1 AND damaged IS NOT NULL";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return query_one(&query) == 0 ? column_string(query.row, 0) : NULL;
}

int catalog_mend_files(struct catalog *c, uint64_t ino, const char *damage, struct error *err)
{
	static const char sql[] =
	        "UPDATE artifact_file SET damaged = NULL WHERE artifact_ino = ?1 AND damaged IS NOT NULL"
	        " AND instr(?2, " FILE_MARK ") > 0";

	return write_run(c, err, sql, VALUES(ino_value(ino), text_value(damage)));
}

char *catalog_damage(struct catalog *c, uint64_t ino)
{
	static const char sql[] = "SELECT damaged FROM artifact WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	return query_one(&query) == 0 ? column_string(query.row, 0) : NULL;
}

int catalog_proofs(struct catalog *c, uint64_t ino, int64_t ret_at_us[static PROOF_LEVELS])
{
	static const char sql[] = "SELECT level, at_us FROM proof WHERE artifact_ino = ?1"
	                          " UNION ALL SELECT 0, verified_at_us FROM artifact WHERE ino = ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));

	for (int i = 0; i < PROOF_LEVELS; i++)
		ret_at_us[i] = 0;
	while (query_next(&query)) {
		int level = sqlite3_column_int(query.row, 0);
		int64_t at_us = sqlite3_column_int64(query.row, 1);

		if (level >= 0 && level < PROOF_LEVELS && at_us > ret_at_us[level])
			ret_at_us[level] = at_us;
	}
	return query.result;
}

int catalog_least_proven(struct catalog *c, const struct catalog_unproven *after,
                         struct catalog_unproven *ret)
{
	static const char sql[] =
	        "SELECT a.ino, a.verified_at_us, a.finished_at_us, a.stored_bytes + a.files_bytes, d.path || '/' || a.name"
	        " FROM artifact a INDEXED BY artifact_proven JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE a.tomb = 0 AND a.damaged IS NULL AND (a.verified_at_us, a.ino) > (?1, ?2)"
	        /* What is frozen cannot be read before somebody has paid for it. */
	        " AND a.ino NOT IN (SELECT ino FROM storage_class WHERE is_frozen = 1)"
	        " ORDER BY a.verified_at_us, a.ino LIMIT 1";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(after->proven_at_us), ino_value(after->ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_unproven){
	        .ino = column_u64(query.row, 0),
	        .proven_at_us = sqlite3_column_int64(query.row, 1),
	        .finished_at_us = sqlite3_column_int64(query.row, 2),
	        .stored_bytes = column_u64(query.row, 3),
	};
	column_text(query.row, 4, ret->path, sizeof(ret->path));
	return 0;
}

int proofs_forget(struct connection *c, uint64_t ino)
{
	static const char sql[] = "DELETE FROM proof WHERE artifact_ino = ?1";

	return db_run(c, sql, VALUES(ino_value(ino)));
}

int proofs_give_back(struct connection *c, uint64_t ino)
{
	/* One that is older than the artifact is of another that had its name. */
	static const char others_sql[] =
	        "DELETE FROM proof WHERE artifact_ino = ?1 AND at_us < (SELECT finished_at_us FROM artifact WHERE ino = ?1)";
	static const char sql[] =
	        "UPDATE artifact SET verified_at_us = max(verified_at_us, coalesce((SELECT at_us FROM proof"
	        " WHERE artifact_ino = ?1 AND level = 0), 0)) WHERE ino = ?1";
	static const char place_sql[] =
	        "UPDATE proof SET (directory_ino, made_run) = (SELECT directory_ino, run_id FROM artifact WHERE ino = ?1)"
	        " WHERE artifact_ino = ?1";
	int r = db_run(c, others_sql, VALUES(ino_value(ino)));

	if (r == 0)
		r = db_run(c, place_sql, VALUES(ino_value(ino)));
	return r < 0 ? r : db_run(c, sql, VALUES(ino_value(ino)));
}

int proofs_forget_gone(struct connection *c)
{
	static const char sql[] = "DELETE FROM proof WHERE artifact_ino NOT IN (SELECT ino FROM artifact)";

	return db_run(c, sql, NULL, 0);
}
