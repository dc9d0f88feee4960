// SPDX-License-Identifier: Apache-2.0
/* Acknowledged items of health. */
#include "access.h"

#include <errno.h>

#include <keepfs/catalog/acks.h>

int catalog_set_ack(struct catalog *c, const struct catalog_ack *ack, struct error *err)
{
	static const char sql[] =
	        "INSERT OR REPLACE INTO ack (check_name, subject, level, until_us, said_by, at_us, note)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";

	return write_run(c, err, sql,
	                 VALUES(text_value(ack->check), text_value(ack->subject), int_value(ack->level),
	                        int_value(ack->until_us), text_value(ack->said_by), int_value(ack->at_us),
	                        text_value(ack->note)));
}

static int drop_ack(struct connection *c, const char *check, const char *subject)
{
	static const char sql[] = "DELETE FROM ack WHERE check_name = ?1 AND subject = ?2";
	int r = db_run(c, sql, VALUES(text_value(check), text_value(subject)));

	if (r == 0 && sqlite3_changes64(c->db) == 0)
		r = error_set(&c->error, ERROR_NOT_FOUND, ENOENT, "%s%s%s is not acknowledged", check,
		              *subject ? "/" : "", subject);
	return r;
}

int catalog_drop_ack(struct catalog *c, const char *check, const char *subject, struct error *err)
{
	return TRANSACTION(c, err, drop_ack(c->writer, check, subject));
}

int catalog_each_ack(struct catalog *c, void (*row)(void *arg, const struct catalog_ack *ack), void *arg)
{
	static const char sql[] =
	        "SELECT check_name, subject, level, until_us, said_by, at_us, note FROM ack ORDER BY check_name, subject";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		struct catalog_ack ack = {
		        .level = sqlite3_column_int(query.row, 2),
		        .until_us = sqlite3_column_int64(query.row, 3),
		        .at_us = sqlite3_column_int64(query.row, 5),
		};

		column_text(query.row, 0, ack.check, sizeof(ack.check));
		column_text(query.row, 1, ack.subject, sizeof(ack.subject));
		column_text(query.row, 4, ack.said_by, sizeof(ack.said_by));
		column_text(query.row, 6, ack.note, sizeof(ack.note));
		row(arg, &ack);
	}
	return query.result;
}
