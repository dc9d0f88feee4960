// SPDX-License-Identifier: Apache-2.0
/* The list of all backups. Runs are walked by their index from the newest back, so nothing is sorted or gathered. */
#include "access.h"

#include <keepfs/catalog/backups.h>

static struct catalog_backup backup_of(sqlite3_stmt *row)
{
	return (struct catalog_backup){
	        .path = column_borrowed(row, 0),
	        .job = column_borrowed(row, 1),
	        .kind = column_borrowed(row, 2),
	        .target = column_borrowed(row, 3),
	        .facts = column_borrowed(row, 4),
	        .note = column_borrowed(row, 5),
	        .damaged = column_borrowed(row, 6),
	        .holds = column_borrowed(row, 7),
	        .run_id = sqlite3_column_int64(row, 8),
	        .started_at_us = sqlite3_column_int64(row, 9),
	        .finished_at_us = sqlite3_column_int64(row, 10),
	        .verified_at_us = sqlite3_column_int64(row, 11),
	        .size_bytes = column_u64(row, 12),
	        .stored_bytes = column_u64(row, 13),
	        .tiers = (unsigned)sqlite3_column_int(row, 14),
	        .partial = sqlite3_column_int(row, 15),
	        .store = column_borrowed(row, 16),
	        .copies = column_borrowed(row, 17),
	        .encrypted_to = column_borrowed(row, 18),
	        .chain_sequence = sqlite3_column_int64(row, 19),
	};
}

int catalog_backups(struct catalog *c, int64_t now_us, int64_t before_run,
                    bool (*row)(void *arg, const struct catalog_backup *backup), void *arg)
{
	/* The files of a directory are its bytes; those beside a file come on top, as in the totals. */
	static const char sql[] =
	        "SELECT d.path || '/' || a.name, a.job, a.kind, a.target, a.facts, a.note, a.damaged,"
	        " (SELECT json_group_array(h.name) FROM hold h WHERE h.artifact_ino = a.ino"
	        "  AND (h.until_us = 0 OR h.until_us > ?1)),"
	        " a.run_id, a.started_at_us, a.finished_at_us, a.verified_at_us, a.size_bytes,"
	        " a.stored_bytes + a.files_bytes, max(a.tiers, 0), a.partial,"
	        " (SELECT iif(s.name = '', '', s.name || ' (') || s.url || iif(s.endpoint = '', '', ' at ' || s.endpoint)"
	        "  || iif(s.name = '', '', ')') FROM store s WHERE s.id = a.store),"
	        " (SELECT json_group_object(s.name, CASE r.state WHEN 0 THEN 'wanted' WHEN 1 THEN 'copying'"
	        "   WHEN 2 THEN 'whole' WHEN 3 THEN 'wrong' WHEN 4 THEN 'lost' ELSE 'removed' END)"
	        "  FROM replica r JOIN store s ON s.id = r.store WHERE r.ino = a.ino),"
	        " a.encrypted_to, (SELECT max(l.sequence) FROM chain_link l"
	        "  WHERE l.store = a.store AND l.artifact_ino = a.ino AND l.artifact_ino <> 0)"
	        " FROM artifact a JOIN directory d ON d.ino = a.directory_ino"
	        " WHERE a.tomb = 0 AND a.trashed_at_us IS NULL AND a.run_id < ?2"
	        " ORDER BY a.run_id DESC, a.directory_ino DESC, a.sequence DESC";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(now_us), int_value(before_run)));

	while (query_next(&query)) {
		const struct catalog_backup backup = backup_of(query.row);

		if (!row(arg, &backup))
			return 0;
	}
	return query.result;
}
