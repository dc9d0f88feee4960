// SPDX-License-Identifier: Apache-2.0
/* What base backups need of the write-ahead log. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/base/str.h>
#include <keepfs/catalog/bases.h>
#include <keepfs/codec/listing.h>

int bases_insert(struct connection *c, const struct manifest *m)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO base (ino, job, system_id, timeline, start_lsn, stop_lsn, segment_bytes, stopped_us)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
	struct base_facts f;
	int r;

	if (!str_equal(m->kind, LISTING_KIND_BASE))
		return 0;
	r = base_facts_get(m, &f, &c->error);
	return r < 0 ? r
	             : db_run(c, sql,
	                      VALUES(ino_value(ino_of_artifact(m->path)), text_value(m->job),
	                             int_value((int64_t)f.system_id), int_value(f.timeline),
	                             int_value((int64_t)f.start_lsn), int_value((int64_t)f.stop_lsn),
	                             int_value(f.segment_bytes), int_value(f.stopped_us)));
}

static void read_base(sqlite3_stmt *row, struct catalog_base *b)
{
	b->ino = column_u64(row, 0);
	column_text(row, 1, b->path, sizeof(b->path));
	b->facts = (struct base_facts){
	        .system_id = column_u64(row, 2),
	        .timeline = (uint32_t)sqlite3_column_int64(row, 3),
	        .start_lsn = column_u64(row, 4),
	        .stop_lsn = column_u64(row, 5),
	        .segment_bytes = (uint32_t)sqlite3_column_int64(row, 6),
	        .stopped_us = sqlite3_column_int64(row, 7),
	};
	b->is_removed = sqlite3_column_int(row, 8) != 0;
	b->is_damaged = sqlite3_column_int(row, 9) != 0;
	b->content_bytes = column_u64(row, 10);
}

int catalog_each_base(struct catalog *c, const char *job, int (*row)(void *arg, const struct catalog_base *b),
                      void *arg)
{
	/* No LSN has its highest bit: that would be after 8 EiB of log. */
	static const char sql[] =
	        "SELECT b.ino, d.path || '/' || a.name, b.system_id, b.timeline, b.start_lsn, b.stop_lsn, b.segment_bytes,"
	        " b.stopped_us, a.tomb <> 0, a.damaged IS NOT NULL, coalesce(json_extract(a.facts, '$.content_bytes'), 0) FROM base b JOIN artifact a ON a.ino = b.ino"
	        " JOIN directory d ON d.ino = a.directory_ino WHERE b.job = ?1 ORDER BY b.start_lsn, b.ino";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(job)));
	int r = 0;

	while (r == 0 && query_next(&query)) {
		struct catalog_base b;

		read_base(query.row, &b);
		r = row(arg, &b);
	}
	return r ? r : query.result;
}
