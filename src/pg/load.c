// SPDX-License-Identifier: Apache-2.0
/*
 * Loading. libpq keeps what it is given and grows: so each piece is flushed before the next one is taken, and while the socket does not
 * take more, what the server says is read, since a server that complains may not read on.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/pg/load.h>

#include <arpa/inet.h>
#include <endian.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#define COPY_PIECE_BYTES ((size_t)256 << 10)

/* A limit that this server does not know is none. */
static const char settings_sql[] =
        "SET xmloption = content; SET client_min_messages = warning; SET row_security = off; SET synchronous_commit = off; SET default_transaction_read_only = off; "
        "SELECT pg_catalog.set_config('search_path', '', false); "
        "SELECT pg_catalog.set_config(name, '0', false) FROM pg_catalog.pg_settings WHERE name IN "
        "('statement_timeout', 'lock_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout', 'idle_session_timeout')";
static const char no_triggers_sql[] = "SET session_replication_role = replica";

int pg_load_begin(struct pg_session *s, const struct pg_load_settings *settings, struct error *err)
{
	int r;

	/* DETAIL and CONTEXT hold what is in rows, and messages go into logs, the history and mails. */
	PQsetErrorVerbosity(s->conn, PQERRORS_TERSE);
	r = pg_session_run(s, settings_sql, err);
	if (r == 0 && settings->statements[0])
		r = pg_session_run(s, settings->statements, err);
	if (r == 0 && settings->no_triggers)
		r = pg_session_run(s, no_triggers_sql, err);
	return r;
}

/* A commit waits for the disk only when its transaction has written something: any role may make a large object, and it is gone again. */
int pg_load_flush(struct pg_session *s, struct error *err)
{
	int r = pg_session_run(s, "SET synchronous_commit = on", err);

	return r < 0 ? r : pg_session_run(s, "SELECT pg_catalog.lo_unlink(pg_catalog.lo_create(0))", err);
}

/* COPY. */

/* Until all was sent, or the server said something. */
static int send_all(struct pg_session *s, struct error *err)
{
	int unsent;

	while ((unsent = PQflush(s->conn)) > 0) {
		int r = session_wait(s, POLLIN | POLLOUT, 0, err);

		if (r < 0)
			return r;
		if (!PQconsumeInput(s->conn))
			break;
	}
	if (cancel_is_set(s->cancel.cancel))
		return session_fail_cancelled(err);
	return unsent < 0 || PQstatus(s->conn) == CONNECTION_BAD ? session_fail_query(s, NULL, err) : 0;
}

/* The result of a COPY, or why there is none. */
static int take_copy_result(struct pg_session *s, ExecStatusType wanted, PGresult **ret_result,
                            struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = session_wait_result(s, 0, 0, err);

	if (r < 0)
		return r;
	result = PQgetResult(s->conn);
	if (PQresultStatus(result) != wanted)
		return session_fail_query(s, result, err);
	*ret_result = take_ptr(&result);
	return 0;
}

int pg_load_copy(struct pg_session *s, const char *copy_stmt, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;

	if (!PQsendQuery(s->conn, copy_stmt))
		return session_fail_query(s, NULL, err);
	return take_copy_result(s, PGRES_COPY_IN, &result, err);
}

/* How many bytes its name has: up to the first blank outside of quotes. */
static size_t name_bytes(const char *text)
{
	bool quoted = false;
	size_t n = 0;

	for (; text[n] && (quoted || text[n] != ' '); n++)
		quoted ^= text[n] == '"';
	return n;
}

/* COPY FREEZE is for tables alone, not for what is partitioned (pg_dump --load-via-partition-root) or foreign. */
static int may_freeze(struct pg_session *s, const char *name, bool *ret, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	char *literal = PQescapeLiteral(s->conn, name, strlen(name));
	_cleanup(free) char *sql = NULL;
	int r;

	if (!literal)
		return session_fail_query(s, NULL, err);
	sql = mem_printf(
	        "SELECT FROM pg_catalog.pg_class WHERE oid = %s::pg_catalog.regclass AND relkind = 'r' AND pg_catalog.has_table_privilege(oid, 'TRUNCATE')",
	        literal);
	PQfreemem(literal);
	r = session_ask(s, &(struct session_query){.sql = sql}, &result, err);
	*ret = r == 0 && PQntuples(result) == 1;
	return r;
}

int pg_load_copy_frozen(struct pg_session *s, const char *copy_stmt, struct error *err)
{
	static const char begin[] = "COPY ", end[] = " FROM stdin;\n";
	size_t len = strlen(copy_stmt);
	_cleanup(free) char *name = NULL, *truncate = NULL, *frozen = NULL;
	bool may;
	int r;

	if (len < sizeof(begin) + sizeof(end) || !str_starts(copy_stmt, begin) ||
	    !str_equal(copy_stmt + len - strlen(end), end))
		return pg_load_copy(s, copy_stmt, err);
	copy_stmt += strlen(begin);
	len -= strlen(begin) + strlen(end);
	name = mem_printf("%.*s", (int)name_bytes(copy_stmt), copy_stmt);
	r = may_freeze(s, name, &may, err);
	if (r < 0)
		return r;
	if (!may)
		return pg_load_copy(s, copy_stmt - strlen(begin), err);
	truncate = mem_printf("BEGIN; TRUNCATE TABLE ONLY %s", name);
	frozen = mem_printf("COPY %.*s FROM stdin WITH (FREEZE)", (int)len, copy_stmt);
	r = pg_session_run(s, truncate, err);
	return r < 0 ? r : pg_load_copy(s, frozen, err);
}

static int put_piece(struct pg_session *s, const char *data, size_t len, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int n = PQputCopyData(s->conn, data, (int)len);

	/* It has ended the COPY: its result says why. */
	if (n < 0)
		return take_copy_result(s, PGRES_COPY_BOTH, &result, err);
	return n == 0 ? error_set(err, ERROR_INTERNAL, ENOMEM,
	                          "no memory for rows on their way to PostgreSQL")
	              : send_all(s, err);
}

int pg_load_data(struct pg_session *s, const void *data, size_t len, struct error *err)
{
	const char *at = data;
	int r = 0;

	while (r == 0 && len > 0) {
		size_t n = len < COPY_PIECE_BYTES ? len : COPY_PIECE_BYTES;

		r = put_piece(s, at, n, err);
		at += n;
		len -= n;
	}
	return r;
}

static int end_results(struct pg_session *s, struct error *err)
{
	for (;;) {
		_cleanup(pg_result) PGresult *next = NULL;
		int r = session_wait_result(s, 0, 0, err);

		if (r < 0)
			return r;
		next = PQgetResult(s->conn);
		if (!next)
			return 0;
		if (PQresultStatus(next) != PGRES_COMMAND_OK)
			return session_fail_query(s, next, err);
	}
}

int pg_load_end_within(struct pg_session *s, uint64_t *ret_rows, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r;

	if (PQputCopyEnd(s->conn, NULL) < 0)
		return take_copy_result(s, PGRES_COPY_BOTH, &result, err);
	r = send_all(s, err);
	if (r == 0)
		r = take_copy_result(s, PGRES_COMMAND_OK, &result, err);
	if (r < 0)
		return r;
	*ret_rows = strtoull(PQcmdTuples(result), NULL, 10);
	return end_results(s, err);
}

int pg_load_end(struct pg_session *s, uint64_t *ret_rows, struct error *err)
{
	int r = pg_load_end_within(s, ret_rows, err);

	return r == 0 && PQtransactionStatus(s->conn) == PQTRANS_INTRANS ? pg_session_run(s, "COMMIT", err)
	                                                                 : r;
}

/* Large objects. */

int pg_load_blobs_begin(struct pg_session *s, struct error *err)
{
	return pg_session_run(s, "BEGIN", err);
}

int pg_load_blobs_end(struct pg_session *s, struct error *err)
{
	return pg_session_run(s, "COMMIT", err);
}

int pg_load_blob_empty(struct pg_session *s, uint32_t oid, struct error *err)
{
	_cleanup(free) char *sql =
	        mem_printf("SELECT pg_catalog.lo_create(%u) WHERE NOT EXISTS (SELECT FROM pg_catalog"
	                   ".pg_largeobject_metadata WHERE oid = %u); "
	                   "SELECT pg_catalog.lo_truncate(pg_catalog.lo_open(%u, 131072), 0)", /* INV_WRITE */
	                   oid, oid, oid);

	return pg_session_run(s, sql, err);
}

int pg_load_blob(struct pg_session *s, uint32_t oid, uint64_t offset, const void *data, size_t len,
                 struct error *err)
{
	const uint32_t oid_sent = htonl(oid);
	const uint64_t offset_sent = htobe64(offset);
	const Oid types[] = {26, 20, 17}; /* oid, int8, bytea */
	const char *const values[] = {(const char *)&oid_sent, (const char *)&offset_sent, data};
	const int lengths[] = {sizeof(oid_sent), sizeof(offset_sent), (int)len}, binary[] = {1, 1, 1};
	_cleanup(pg_result) PGresult *result = NULL;
	int r;

	if (!PQsendQueryParams(s->conn, "SELECT pg_catalog.lo_put($1, $2, $3)", ARRAY_SIZE(types), types,
	                       values, lengths, binary, 0))
		return session_fail_query(s, NULL, err);
	r = take_copy_result(s, PGRES_TUPLES_OK, &result, err);
	return r < 0 ? r : end_results(s, err);
}
