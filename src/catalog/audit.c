// SPDX-License-Identifier: Apache-2.0
/* The audit: who did what, and when. */
#include "access.h"
#include "catalog_private.h"

#include <errno.h>
#include <string.h>

#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/records.h>
#include <keepfs/codec/json.h>

static void set_number_or_null(struct json *j, const char *key, int64_t number)
{
	if (number >= 0)
		json_set_int(j, key, number);
	else
		json_set_string(j, key, NULL);
}

struct json *catalog_audit_object(const struct catalog_audit *entry)
{
	struct json *j = json_object_new();

	json_set_time(j, "at", entry->at_us);
	set_number_or_null(j, "uid", entry->uid);
	set_number_or_null(j, "pid", entry->pid);
	json_set_string(j, "command", entry->command);
	json_set_string(j, "action", entry->action);
	json_set_string(j, "object", entry->object);
	json_set_string(j, "result", entry->result);
	json_set_string(j, "detail", entry->detail);
	if (*entry->previous) {
		json_set_int(j, "number", entry->id);
		json_set_string(j, "previous", entry->previous);
	}
	return j;
}

static void hash_line(const struct catalog_audit *entry, char ret[static SHA256_HEX_BYTES])
{
	_cleanup(json) struct json *object = catalog_audit_object(entry);
	_cleanup(str) struct str line = {0};
	uint8_t digest[SHA256_BYTES];

	json_write(object, 0, &line);
	sha256_once(str_text(&line), line.len, digest);
	hex_encode(digest, sizeof(digest), ret);
}

static int read_head(struct query *query, struct catalog_audit_head *ret)
{
	int r = query_one(query);

	if (r < 0)
		return r;
	ret->number = sqlite3_column_int64(query->row, 0);
	column_text(query->row, 1, ret->hash, sizeof(ret->hash));
	return 0;
}

/* A line that something else than keepfs has put there must not hold up those that come: their numbers go on behind it. */
#define HEAD "SELECT max(number, coalesce((SELECT max(id) FROM audit), 0)), hash FROM audit_head"

static int head_within(struct connection *c, struct catalog_audit_head *ret)
{
	_cleanup(query) struct query query = query_within(c, HEAD, NULL, 0);

	return read_head(&query, ret);
}

int catalog_audit_head(struct catalog *c, struct catalog_audit_head *ret)
{
	_cleanup(query) struct query query = query_begin(c, HEAD, NULL, 0);

	return read_head(&query, ret);
}

static int set_head(struct connection *c, const struct catalog_audit_head *head)
{
	static const char sql[] = "UPDATE audit_head SET number = ?1, hash = ?2";

	return db_run(c, sql, VALUES(int_value(head->number), text_value(head->hash)));
}

static int insert_line(struct connection *c, const struct catalog_audit *entry)
{
	static const char sql[] =
	        "INSERT INTO audit (at_us, uid, pid, command, action, object, result, detail, id, previous)"
	        " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";

	return db_run(c, sql,
	              VALUES(int_value(entry->at_us), int_value(entry->uid), int_value(entry->pid),
	                     text_value(entry->command), text_value(entry->action), text_value(entry->object),
	                     text_value(entry->result), text_value(entry->detail), int_value(entry->id),
	                     text_value(entry->previous)));
}

int audit_add(struct connection *c, const struct catalog_audit *entry)
{
	struct catalog_audit line = *entry;
	struct catalog_audit_head head;
	int r = head_within(c, &head);

	if (r < 0)
		return r;
	line.id = ++head.number;
	memcpy(line.previous, head.hash, sizeof(line.previous));
	r = insert_line(c, &line);
	hash_line(&line, head.hash);
	return r < 0 ? r : set_head(c, &head);
}

static int raise_head(struct connection *c, const struct catalog_audit_head *to)
{
	struct catalog_audit_head head;
	int r = head_within(c, &head);

	return r == 0 && head.number < to->number ? set_head(c, to) : r;
}

int catalog_raise_audit_head(struct catalog *c, const struct catalog_audit_head *head, struct error *err)
{
	return TRANSACTION(c, err, raise_head(c->writer, head));
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

#define AUDIT "SELECT at_us, uid, pid, command, action, object, result, detail, id, previous FROM audit "

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
	column_text(row, 9, entry->previous, sizeof(entry->previous));
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
