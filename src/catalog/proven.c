// SPDX-License-Identifier: Apache-2.0
/* What proofs add up to, and what is left when one turns out the other way. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/mem.h>
#include <keepfs/catalog/proofs.h>

int catalog_sum_unproven(struct catalog *c, int64_t before_us, int64_t now_us,
                         struct catalog_unproven_sum *ret)
{
#define LATE                                                                                                   \
	" FROM artifact INDEXED BY artifact_proven WHERE tomb = 0 AND damaged IS NULL AND finished_at_us < ?1" \
	" AND ino NOT IN (SELECT ino FROM storage_class WHERE is_frozen = 1)"
	/* Two ranges of the index, and not one condition, which would read all of it. */
	static const char sql[] =
	        "SELECT (SELECT coalesce(sum(artifacts), 0) FROM total),"
	        " (SELECT coalesce(sum(stored_bytes), 0) FROM total), count(*), coalesce(sum(bytes), 0) FROM ("
	        "SELECT stored_bytes + files_bytes AS bytes" LATE " AND verified_at_us < ?1 UNION ALL "
	        "SELECT stored_bytes + files_bytes" LATE " AND verified_at_us > ?2 + " PROOF_FUTURE_US ")";
#undef LATE
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(before_us), int_value(now_us)));
	int r = query_one(&query);

	if (r == 0)
		*ret = (struct catalog_unproven_sum){
		        .all_count = column_u64(query.row, 0),
		        .all_bytes = column_u64(query.row, 1),
		        .count = column_u64(query.row, 2),
		        .bytes = column_u64(query.row, 3),
		};
	return r;
}

int catalog_each_proven(struct catalog *c, void (*row)(void *arg, const struct catalog_proven *proven),
                        void *arg)
{
	/* Of each directory and level one search from its newest backup back, which mostly ends at the first. */
	static const char sql[] =
	        "SELECT d.path, b.name, p.level, p.at_us, b.finished_at_us,"
	        " (SELECT max(level) FROM proof WHERE artifact_ino = p.artifact_ino)"
	        " FROM directory d CROSS JOIN (SELECT 0 AS level UNION ALL SELECT 1 UNION ALL SELECT 2) l"
	        " CROSS JOIN proof p ON p.level = l.level AND p.artifact_ino ="
	        "  (SELECT q.artifact_ino FROM proof q INDEXED BY proof_newest CROSS JOIN artifact a ON a.ino = q.artifact_ino"
	        "   AND a.tomb = 0 AND a.damaged IS NULL WHERE q.directory_ino = d.ino AND q.level = l.level"
	        "   ORDER BY q.made_run DESC LIMIT 1)"
	        " CROSS JOIN artifact b ON b.ino = p.artifact_ino WHERE d.files > 0 ORDER BY d.path, p.level";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		const struct catalog_proven proven = {
		        .directory = column_borrowed(query.row, 0),
		        .name = column_borrowed(query.row, 1),
		        .level = (enum proof_level)sqlite3_column_int(query.row, 2),
		        .at_us = sqlite3_column_int64(query.row, 3),
		        .finished_at_us = sqlite3_column_int64(query.row, 4),
		        .highest = (enum proof_level)sqlite3_column_int(query.row, 5),
		};

		row(arg, &proven);
	}
	return query.result;
}

/* What is left. */

#define GOOD_COLUMNS                                                                                         \
	"d.path || '/' || b.name, b.started_at_us, b.finished_at_us, b.verified_at_us, b.run_id > a.run_id, b.kind"
#define DAMAGED_ONE "a.ino = coalesce((SELECT artifact_ino FROM artifact_file WHERE ino = ?1), ?1)"

static int take_good(struct catalog *c, const char *sql, uint64_t ino, struct catalog_good_copy *ret)
{
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(ino_value(ino)));
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret = (struct catalog_good_copy){
	        .started_at_us = sqlite3_column_int64(query.row, 1),
	        .finished_at_us = sqlite3_column_int64(query.row, 2),
	        .verified_at_us = sqlite3_column_int64(query.row, 3),
	        .is_newer = sqlite3_column_int(query.row, 4),
	};
	column_text(query.row, 0, ret->path, sizeof(ret->path));
	column_text(query.row, 5, ret->kind, sizeof(ret->kind));
	return 0;
}

int catalog_find_good(struct catalog *c, uint64_t ino, struct catalog_good_copy *ret)
{
	static const char beside_sql[] =
	        "SELECT " GOOD_COLUMNS " FROM artifact a JOIN artifact b ON b.directory_ino = a.directory_ino"
	        " JOIN directory d ON d.ino = b.directory_ino WHERE " DAMAGED_ONE
	        " AND b.ino <> a.ino AND b.tomb = 0 AND b.partial = 0 AND b.damaged IS NULL"
	        " ORDER BY b.run_id > a.run_id, abs(b.run_id - a.run_id) LIMIT 1";
	/* The same database: of the same name, of a server with the same identifier. Of each directory its newest is looked at. */
	static const char elsewhere_sql[] =
	        "SELECT " GOOD_COLUMNS " FROM artifact a CROSS JOIN directory d CROSS JOIN artifact b"
	        " ON b.directory_ino = d.ino AND b.sequence = (SELECT sequence FROM artifact INDEXED BY artifact_whole"
	        "  WHERE directory_ino = d.ino AND tomb = 0 AND partial = 0 AND damaged IS NULL"
	        "  AND trashed_at_us IS NULL ORDER BY run_id DESC, sequence DESC LIMIT 1)"
	        " WHERE " DAMAGED_ONE
	        " AND a.kind = 'dump' AND b.kind = 'dump' AND d.files > 0 AND d.ino <> a.directory_ino"
	        " AND json_extract(b.facts, '$.database') = json_extract(a.facts, '$.database')"
	        " AND json_extract(b.facts, '$.system_identifier') = json_extract(a.facts, '$.system_identifier')"
	        " ORDER BY b.run_id DESC LIMIT 1";
	int r = take_good(c, beside_sql, ino, ret);

	if (r != -ENOENT)
		return r;
	r = take_good(c, elsewhere_sql, ino, ret);
	if (r == 0)
		ret->is_of_another_job = true;
	return r;
}

char *catalog_good_beside(struct catalog *c, uint64_t ino)
{
	struct catalog_good_copy good;

	return catalog_find_good(c, ino, &good) == 0 ? mem_strdup(good.path) : NULL;
}
