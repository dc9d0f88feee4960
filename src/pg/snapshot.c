// SPDX-License-Identifier: Apache-2.0
/*
 * Transactions that see one state of a database. Everything is set within the transaction, in the one message
 * that begins it: a snapshot must be taken over before the first question, and no setting may stay with a
 * pooler's server. The settings are those under which pg_dump reads (setup_connection), so that rows come out
 * as it would write them; on top come those that make the server read a range of pages, and nothing more.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>
#include <limits.h>
#include <string.h>

/* None of it waits in the server. It does in a pooler that has no session left. */
#define JOIN_LIMIT_MS 10000

static const struct {
	int since; /* server's version */
	const char *name, *value;
} settings[] = {
        {0, "datestyle", "ISO"},
        {0, "intervalstyle", "postgres"},
        {0, "extra_float_digits", "3"},
        {0, "synchronize_seqscans", "off"},
        {0, "quote_all_identifiers", "off"},
        {0, "client_min_messages", "warning"},
        {0, "statement_timeout", "0"},
        {90500, "row_security", "off"},
        {90600, "idle_in_transaction_session_timeout", "0"},
        {170000, "transaction_timeout", "0"},
        /* A range of pages by a scan of just these pages. The costs of what is not wanted look enormous,
         * which must not make the server compile the query. */
        {0, "enable_seqscan", "off"},
        {0, "enable_indexscan", "off"},
        {90200, "enable_indexonlyscan", "off"},
        {0, "enable_bitmapscan", "off"},
        {0, "enable_tidscan", "on"},
        {90600, "max_parallel_workers_per_gather", "0"},
        {110000, "jit", "off"},
};

static const char begin[] = "BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY;";

void session_append_language(struct str *sql, int server_version)
{
	str_appendf(sql, " SELECT pg_catalog.set_config('lc_messages', 'C', true) WHERE %s;",
	            server_version >= FIRST_WITH_PARAMETER_RIGHTS
	                    ? "pg_catalog.has_parameter_privilege('lc_messages', 'SET')"
	                    : "pg_catalog.current_setting('is_superuser') = 'on'");
}

static void append_settings(struct str *sql, int server_version, int64_t lock_wait_timeout_ms)
{
	for (size_t i = 0; i < ARRAY_SIZE(settings); i++) {
		if (server_version >= settings[i].since)
			str_appendf(sql, " SET LOCAL %s = '%s';", settings[i].name, settings[i].value);
	}
	if (server_version >= 90300)
		str_appendf(sql, " SET LOCAL lock_timeout = %lld;", (long long)lock_wait_timeout_ms);
	str_append(sql, " SELECT pg_catalog.set_config('search_path', '', true);"
	                /* Newer minor versions of all majors have it. */
	                " SELECT pg_catalog.set_config(name, 'view, foreign-table', true)"
	                " FROM pg_catalog.pg_settings WHERE name = 'restrict_nonsystem_relation_kind';");
	session_append_language(sql, server_version);
}

char *session_begin(const struct pg_session *s, const char *joining, int64_t lock_wait_timeout_ms)
{
	struct str sql = {0};

	str_append(&sql, begin);
	if (joining)
		str_append(&sql, joining);
	append_settings(&sql, PQserverVersion(s->conn), lock_wait_timeout_ms);
	return str_take(&sql);
}

int session_roll_back(struct pg_session *s, int r)
{
	if (r != -ECANCELED && r != -ETIMEDOUT && PQtransactionStatus(s->conn) != PQTRANS_IDLE)
		(void)pg_session_run(s, "ROLLBACK", NULL);
	return r;
}

int pg_snapshot_export(struct pg_session *s, char **ret_snapshot, struct error *err)
{
	_cleanup(free) char *sql = session_begin(s, NULL, 0);
	char *snapshot = NULL;
	int r = pg_session_run(s, sql, err);

	if (r == 0)
		r = pg_session_value(s, "SELECT pg_catalog.pg_export_snapshot()", &snapshot, err);
	if (r == 0 && !snapshot)
		r = error_set(err, ERROR_INTERNAL, EPROTO, "PostgreSQL exports a snapshot without a name");
	if (r < 0)
		return session_roll_back(s, r);
	*ret_snapshot = snapshot;
	return 0;
}

int pg_server_mark(struct pg_session *s, char **ret_mark, struct error *err)
{
	/* A number before version 14 is written as the session's extra_float_digits says. */
	return pg_session_value(s,
	                        "SELECT extract(epoch FROM pg_catalog.pg_postmaster_start_time())::numeric",
	                        ret_mark, err);
}

/* A snapshot's name is made of small numbers: where one address leads to several servers, another one may
 * have exported its own under the same. */
static int check_mark(struct pg_session *s, const char *mark, struct error *err)
{
	_cleanup(free) char *found = NULL;
	int r = pg_server_mark(s, &found, err);

	if (r < 0 || str_equal(found, mark))
		return r;
	return error_set(err, ERROR_UNAVAILABLE, ESTALE,
	                 "this connection reached another server (one address for several, or a pooler)");
}

int session_join(struct pg_session *s, const char *sql, const char *mark, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = session_ask(s, &(struct session_query){.sql = sql, .limit_ms = JOIN_LIMIT_MS}, &result, err);

	if (r == 0)
		r = check_mark(s, mark, err);
	if (r == 0)
		return 0;
	error_prefix(err, "cannot read the same state of the database over another connection");
	return session_roll_back(s, r);
}

int pg_snapshot_join(struct pg_session *s, const char *snapshot, const char *mark, const char *encoding,
                     int64_t lock_wait_timeout_ms, struct error *err)
{
	_cleanup(free) char *snapshot_literal = pg_quote_literal(snapshot);
	_cleanup(free) char *encoding_literal = pg_quote_literal(encoding);
	_cleanup(free) char *joining =
	        mem_printf(" SET TRANSACTION SNAPSHOT %s; SET LOCAL client_encoding = %s;", snapshot_literal,
	                   encoding_literal);
	_cleanup(free) char *sql = session_begin(s, joining, lock_wait_timeout_ms);

	return session_join(s, sql, mark, err);
}

int pg_lock_relation(struct pg_session *s, const char *relation, struct error *err)
{
	_cleanup(str) struct str sql = {0};
	int r;

	str_appendf(&sql, "LOCK TABLE ONLY %s IN ACCESS SHARE MODE NOWAIT", relation);
	r = pg_session_run(s, str_text(&sql), err);
	if (r < 0)
		error_prefix(err, "cannot lock %s", relation);
	return r;
}

/* Only numbers that any role may read; for others a role sees no more than that they are there. */
static const char about_room[] =
        "SELECT pg_catalog.current_setting('max_connections')::int"
        " - pg_catalog.current_setting('superuser_reserved_connections')::int"
        " - COALESCE((SELECT setting::int FROM pg_catalog.pg_settings WHERE name = 'reserved_connections'), "
        "0)"
        " - (SELECT sum(numbackends) FROM pg_catalog.pg_stat_database),"
        " CASE WHEN r.rolconnlimit >= 0 AND NOT r.rolsuper THEN r.rolconnlimit - (SELECT count(*)"
        "  FROM pg_catalog.pg_stat_activity a WHERE a.usesysid = r.oid) END,"
        " CASE WHEN d.datconnlimit >= 0 AND NOT r.rolsuper THEN d.datconnlimit - (SELECT numbackends"
        "  FROM pg_catalog.pg_stat_database b WHERE b.datid = d.oid) END"
        " FROM pg_catalog.pg_roles r, pg_catalog.pg_database d"
        " WHERE r.rolname = session_user AND d.datname = pg_catalog.current_database()";

static int number_or(const char *text, int fallback)
{
	long number = text ? strtol(text, NULL, 10) : fallback;

	return number < 0 ? 0 : (int)number;
}

static int take_room(void *arg, const struct pg_row *row, struct error *err)
{
	struct pg_server_room *room = arg;
	int of_role = number_or(row->values[1], INT_MAX);
	int of_database = number_or(row->values[2], INT_MAX);
	int least = of_role < of_database ? of_role : of_database;

	room->free_connections = number_or(row->values[0], 0);
	room->role_limit = least == INT_MAX ? -1 : least;
	return 0;
}

int pg_server_room(struct pg_session *s, struct pg_server_room *ret, struct error *err)
{
	struct pg_server_room room = {.role_limit = -2};
	int r = pg_session_rows(s, about_room, take_room, &room, err);

	if (r == 0 && room.role_limit == -2)
		r = error_set(err, ERROR_INTERNAL, EPROTO, "PostgreSQL does not know the session's role");
	if (r == 0)
		*ret = room;
	return r;
}
