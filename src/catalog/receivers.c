// SPDX-License-Identifier: Apache-2.0
/* What waits for each receiver of notices, and how sending it went. */
#include "access.h"

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/notices.h>

int catalog_receivers(struct catalog *c, void (*row)(void *arg, const struct catalog_receiver *receiver),
                      void *arg)
{
	static const char sql[] =
	        "SELECT name, failing_since_us, attempts, due_us, error, given_up, given_up_at_us, refusal,"
	        " dropped, dropped_from_us, dropped_to_us, sent_at_us, digest_us, failures,"
	        " (SELECT count(*) FROM notice WHERE receiver = name),"
	        " (SELECT at_us FROM notice WHERE receiver = name ORDER BY id LIMIT 1)"
	        " FROM notice_receiver ORDER BY name";
	_cleanup(query) struct query query = query_begin(c, sql, NULL, 0);

	while (query_next(&query)) {
		const struct catalog_receiver receiver = {
		        .name = column_borrowed(query.row, 0),
		        .failing_since_us = sqlite3_column_int64(query.row, 1),
		        .attempts = sqlite3_column_int64(query.row, 2),
		        .due_us = sqlite3_column_int64(query.row, 3),
		        .error = column_borrowed(query.row, 4),
		        .given_up = column_u64(query.row, 5),
		        .given_up_at_us = sqlite3_column_int64(query.row, 6),
		        .refusal = column_borrowed(query.row, 7),
		        .dropped = column_u64(query.row, 8),
		        .dropped_from_us = sqlite3_column_int64(query.row, 9),
		        .dropped_to_us = sqlite3_column_int64(query.row, 10),
		        .sent_at_us = sqlite3_column_int64(query.row, 11),
		        .digest_us = sqlite3_column_int64(query.row, 12),
		        .failures = column_u64(query.row, 13),
		        .waiting = column_u64(query.row, 14),
		        .oldest_at_us = sqlite3_column_int64(query.row, 15),
		};

		row(arg, &receiver);
	}
	return query.result;
}

/* Names on the heap; NULL-terminated. */
struct name_list {
	char **items;
	size_t count;
};

static void cleanup_name_list(struct name_list *n)
{
	for (size_t i = 0; i < n->count; i++)
		free(n->items[i]);
	free(n->items);
}

static bool is_kept_receiver(const char *name, const char *const *names, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return false;
}

static int list_strangers(struct connection *c, const char *const *names, size_t count, struct name_list *ret)
{
	static const char sql[] = "SELECT name FROM notice_receiver UNION SELECT receiver FROM notice_beat";
	_cleanup(query) struct query query = query_within(c, sql, NULL, 0);

	while (query_next(&query)) {
		const char *name = column_borrowed(query.row, 0);

		if (is_kept_receiver(name, names, count))
			continue;
		ret->items = mem_resize(ret->items, ret->count + 1, sizeof(*ret->items));
		ret->items[ret->count++] = mem_strdup(name);
	}
	return query.result;
}

static int forget_receiver(struct connection *c, const char *name, uint64_t *forgotten)
{
	static const char count_sql[] = "SELECT count(*) FROM notice WHERE receiver = ?1";
	static const char notices_sql[] = "DELETE FROM notice WHERE receiver = ?1";
	static const char beats_sql[] = "DELETE FROM notice_beat WHERE receiver = ?1";
	static const char receiver_sql[] = "DELETE FROM notice_receiver WHERE name = ?1";
	int64_t waiting = 0;
	int r = db_number(c, &waiting, count_sql, VALUES(text_value(name)));

	if (r == 0)
		r = db_run(c, notices_sql, VALUES(text_value(name)));
	if (r == 0)
		r = db_run(c, beats_sql, VALUES(text_value(name)));
	if (r == 0)
		r = db_run(c, receiver_sql, VALUES(text_value(name)));
	*forgotten += (uint64_t)waiting;
	return r;
}

static int keep_receivers(struct connection *c, const char *const *names, size_t count, uint64_t *forgotten)
{
	_cleanup(name_list) struct name_list strangers = {0};
	int r = list_strangers(c, names, count, &strangers);

	for (size_t i = 0; r == 0 && i < strangers.count; i++)
		r = forget_receiver(c, strangers.items[i], forgotten);
	return r;
}

int catalog_keep_receivers(struct catalog *c, const char *const *names, size_t count, uint64_t *ret_forgotten,
                           struct error *err)
{
	*ret_forgotten = 0;
	return TRANSACTION(c, err, keep_receivers(c->writer, names, count, ret_forgotten));
}

int catalog_waiting(struct catalog *c, const char *receiver,
                    bool (*row)(void *arg, const struct catalog_notice *notice), void *arg)
{
	static const char sql[] =
	        "SELECT id, kind, at_us, job, run_id, facts FROM notice WHERE receiver = ?1 ORDER BY id";
	_cleanup(query) struct query query = query_begin(c, sql, VALUES(text_value(receiver)));

	while (query_next(&query)) {
		const struct catalog_notice notice = {
		        .id = sqlite3_column_int64(query.row, 0),
		        .kind = (enum notice_kind)sqlite3_column_int(query.row, 1),
		        .receiver = receiver,
		        .at_us = sqlite3_column_int64(query.row, 2),
		        .job = column_borrowed(query.row, 3),
		        .run_id = sqlite3_column_int64(query.row, 4),
		        .facts = column_borrowed(query.row, 5),
		};

		if (!row(arg, &notice))
			break;
	}
	return query.result < 0 ? query.result : 0;
}

static int drop_notices(struct connection *c, const int64_t *ids, size_t count)
{
	static const char sql[] = "DELETE FROM notice WHERE id = ?1";
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++)
		r = db_run(c, sql, VALUES(int_value(ids[i])));
	return r;
}

static int notices_sent(struct connection *c, const char *receiver, const int64_t *ids, size_t count,
                        int64_t at_us)
{
	static const char sql[] =
	        "UPDATE notice_receiver SET sent_at_us = ?2, failing_since_us = 0, attempts = 0, due_us = 0,"
	        " error = '', given_up = 0, given_up_at_us = 0, refusal = '', dropped = 0, dropped_from_us = 0,"
	        " dropped_to_us = 0 WHERE name = ?1";
	int r = drop_notices(c, ids, count);

	return r < 0 ? r : db_run(c, sql, VALUES(text_value(receiver), int_value(at_us)));
}

int catalog_notices_sent(struct catalog *c, const char *receiver, const int64_t *ids, size_t count,
                         int64_t at_us, struct error *err)
{
	return TRANSACTION(c, err, notices_sent(c->writer, receiver, ids, count, at_us));
}

int catalog_notices_failed(struct catalog *c, const char *receiver, int64_t at_us, int64_t due_us,
                           const char *error, struct error *err)
{
	static const char sql[] =
	        "UPDATE notice_receiver SET attempts = attempts + 1, failures = failures + 1, due_us = ?3, error = ?4,"
	        " failing_since_us = iif(failing_since_us = 0, ?2, failing_since_us) WHERE name = ?1";

	return write_run(
	        c, err, sql,
	        VALUES(text_value(receiver), int_value(at_us), int_value(due_us), text_value(error)));
}

static int notices_refused(struct connection *c, const char *receiver, const int64_t *ids, size_t count,
                           int64_t at_us, const char *refusal)
{
	static const char sql[] =
	        "UPDATE notice_receiver SET given_up = given_up + ?2, given_up_at_us = ?3, refusal = ?4,"
	        " failures = failures + 1, failing_since_us = 0, attempts = 0, due_us = 0, error = '' WHERE name = ?1";
	int r = drop_notices(c, ids, count);

	return r < 0 ? r
	             : db_run(c, sql,
	                      VALUES(text_value(receiver), int_value((int64_t)count), int_value(at_us),
	                             text_value(refusal)));
}

int catalog_notices_refused(struct catalog *c, const char *receiver, const int64_t *ids, size_t count,
                            int64_t at_us, const char *refusal, struct error *err)
{
	return TRANSACTION(c, err, notices_refused(c->writer, receiver, ids, count, at_us, refusal));
}

int catalog_retry_notices(struct catalog *c, struct error *err)
{
	static const char sql[] = "UPDATE notice_receiver SET due_us = 0 WHERE due_us > 0";

	return write_run(c, err, sql, NULL, 0);
}
