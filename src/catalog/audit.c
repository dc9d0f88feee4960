// SPDX-License-Identifier: Apache-2.0
/* The audit: who did what, and when. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/records.h>

int audit_add(struct connection *c, const struct catalog_audit *entry)
{
	static const char sql[] =
	        "INSERT INTO audit (at_us, uid, pid, command, action, object, result, detail)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

	return db_run(c, sql,
	              VALUES(int_value(entry->at_us), int_value(entry->uid), int_value(entry->pid),
	                     text_value(entry->command), text_value(entry->action), text_value(entry->object),
	                     text_value(entry->result), text_value(entry->detail)));
}

static int add_audit(struct catalog *c, const struct catalog_audit *entry)
{
	write_touches(c, TOUCHES_AUDIT);
	return audit_add(c->writer, entry);
}

int catalog_add_audit(struct catalog *c, const struct catalog_audit *entry, struct error *err)
{
	return TRANSACTION(c, err, add_audit(c, entry));
}

#define AUDIT "SELECT at_us, uid, pid, command, action, object, result, detail, id FROM audit "

static void read_audit(sqlite3_stmt *row, struct catalog_audit *entry)
{
	*entry = (struct catalog_audit){
	        .at_us = sqlite3_column_int64(row, 0),
	        .uid = sqlite3_column_int64(row, 1),
	        .pid = sqlite3_column_int64(row, 2),
	        .id = sqlite3_column_int64(row, 8),
	};
	column_text(row, 3, entry->command, sizeof(entry->command));
	column_text(row, 4, entry->action, sizeof(entry->action));
	column_text(row, 5, entry->object, sizeof(entry->object));
	column_text(row, 6, entry->result, sizeof(entry->result));
	column_text(row, 7, entry->detail, sizeof(entry->detail));
}

int catalog_audits(struct catalog *c, uint64_t max, void (*row)(void *arg, const struct catalog_audit *entry),
                   void *arg)
{
	static const char sql[] = AUDIT "ORDER BY id DESC LIMIT ?1";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(max ? (int64_t)max : -1)));

	while (query_next(&query)) {
		struct catalog_audit entry;

		read_audit(query.row, &entry);
		row(arg, &entry);
	}
	return query.result;
}

int catalog_audit_span(struct catalog *c, int64_t *ret_first, int64_t *ret_last)
{
	/* Two searches of the index; min() and max() in one statement would be a walk. */
	static const char sql[] = "SELECT (SELECT min(id) FROM audit), (SELECT max(id) FROM audit)"
	                          " WHERE EXISTS (SELECT 1 FROM audit)";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);
	int r = query_one(&query);

	if (r < 0)
		return r;
	*ret_first = sqlite3_column_int64(query.row, 0);
	*ret_last = sqlite3_column_int64(query.row, 1);
	return 0;
}

int catalog_audits_after(struct catalog *c, int64_t after,
                         bool (*row)(void *arg, const struct catalog_audit *entry), void *arg)
{
	static const char sql[] = AUDIT "WHERE id > ?1 ORDER BY id";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(int_value(after)));

	while (query_next(&query)) {
		struct catalog_audit entry;

		read_audit(query.row, &entry);
		if (!row(arg, &entry))
			break;
	}
	return query.result < 0 ? query.result : 0;
}
