// SPDX-License-Identifier: Apache-2.0
/* The audit: who did what, for ever. */
#include "access.h"

#include <keepfs/catalog/audit.h>

int catalog_add_audit(struct catalog *c, const struct catalog_audit *entry, struct error *err)
{
	static const char sql[] =
	        "INSERT INTO audit (at_us, uid, pid, command, action, object, result, detail)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

	return write_run(c, err, sql,
	                 VALUES(int_value(entry->at_us), int_value(entry->uid), int_value(entry->pid),
	                        text_value(entry->command), text_value(entry->action),
	                        text_value(entry->object), text_value(entry->result),
	                        text_value(entry->detail)));
}

static int read_audits(struct query *query, void (*row)(void *arg, const struct catalog_audit *entry),
                       void *arg)
{
	while (query_next(query)) {
		struct catalog_audit entry = {
		        .id = sqlite3_column_int64(query->row, 0),
		        .at_us = sqlite3_column_int64(query->row, 1),
		        .uid = sqlite3_column_int64(query->row, 2),
		        .pid = sqlite3_column_int64(query->row, 3),
		};

		column_text(query->row, 4, entry.command, sizeof(entry.command));
		column_text(query->row, 5, entry.action, sizeof(entry.action));
		column_text(query->row, 6, entry.object, sizeof(entry.object));
		column_text(query->row, 7, entry.result, sizeof(entry.result));
		column_text(query->row, 8, entry.detail, sizeof(entry.detail));
		row(arg, &entry);
	}
	return query->result;
}

#define AUDITS "SELECT id, at_us, uid, pid, command, action, object, result, detail FROM audit"

int catalog_audits(struct catalog *c, void (*row)(void *arg, const struct catalog_audit *entry), void *arg)
{
	static const char sql[] = AUDITS " ORDER BY id DESC";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	return read_audits(&query, row, arg);
}

int catalog_audits_since(struct catalog *c, int64_t after, size_t max,
                         void (*row)(void *arg, const struct catalog_audit *entry), void *arg)
{
	static const char sql[] = AUDITS " WHERE id > ?1 ORDER BY id LIMIT ?2";
	_cleanup(query) struct query query =
	        query_begin(c, sql, VALUES(int_value(after), int_value((int64_t)max)));

	return read_audits(&query, row, arg);
}
