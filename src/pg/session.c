// SPDX-License-Identifier: Apache-2.0
/*
 * Statements and their results. A statement is sent whole and each of its results is taken before the next
 * one begins, so after a failure that the server told the session can still be used; after a wait that ended
 * early it cannot, and whoever frees it has the server stop.
 */
#include "session.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

static int send_query(const struct pg_session *s, const struct session_query *query)
{
	if (!query->binary && !query->alone)
		return PQsendQuery(s->conn, query->sql);
	return PQsendQueryParams(s->conn, query->sql, 0, NULL, NULL, NULL, NULL, query->binary);
}

static bool is_copy(ExecStatusType status)
{
	return status == PGRES_COPY_OUT || status == PGRES_COPY_IN || status == PGRES_COPY_BOTH;
}

static bool is_failed_result(const PGresult *result)
{
	ExecStatusType status = PQresultStatus(result);

	return result && status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK;
}

int session_ask(struct pg_session *s, const struct session_query *query, PGresult **ret_result,
                struct error *err)
{
	int64_t limit_ms = query->limit_ms > 0 ? query->limit_ms : s->limit_ms;
	int64_t until_ms = limit_ms > 0 ? clock_mono_ms() + limit_ms : 0;
	_cleanup(pg_result) PGresult *last = NULL;

	if (!send_query(s, query))
		return session_fail_query(s, NULL, err);
	for (;;) {
		PGresult *next;
		int r = session_wait_result(s, limit_ms, until_ms, err);

		if (r < 0)
			return r;
		next = PQgetResult(s->conn);
		if (!next)
			break;
		/* Behind what the server said last, libpq may say that the connection is gone. */
		if (is_failed_result(last)) {
			PQclear(next);
			continue;
		}
		PQclear(last);
		last = next;
		/* libpq would give that result again and again until its data are taken. */
		if (is_copy(PQresultStatus(last)))
			return error_set(err, ERROR_INTERNAL, EINVAL,
			                 "a COPY where a statement was meant: %s", query->sql);
	}
	if (!last || is_failed_result(last))
		return session_fail_query(s, last, err);
	*ret_result = take_ptr(&last);
	return 0;
}

int session_commit(struct pg_session *s, const char *advice, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	struct error why = {0};
	int r;

	if (cancel_is_set(s->cancel.cancel))
		return session_fail_cancelled(err);
	r = session_ask(s, &(struct session_query){.sql = "COMMIT"}, &result, &why);
	if (r == 0 && !str_equal(PQcmdStatus(result), "COMMIT"))
		return error_set(err, ERROR_INTERNAL, EIO,
		                 "the server has rolled back what it was to commit");
	if (r < 0 && (PQstatus(s->conn) == CONNECTION_BAD || PQtransactionStatus(s->conn) != PQTRANS_IDLE))
		return error_set(err, ERROR_UNAVAILABLE, EINPROGRESS,
		                 "the server was to commit, and it is not known whether it has%s (%s)",
		                 advice, why.message);
	if (r < 0 && err)
		*err = why;
	return r;
}

int pg_session_open(const char *conninfo, const char *database, const char *application,
                    struct cancel *cancel, struct pg_session **ret_session, struct error *err)
{
	struct pg_session *s = mem_alloc(sizeof(*s));
	int r = session_connect(s, conninfo, database, application, cancel, err);

	if (r < 0)
		free(s);
	else
		*ret_session = s;
	return r;
}

struct pg_session *pg_session_free(struct pg_session *s)
{
	if (!s)
		return NULL;
	session_stop_statement(s);
	session_disconnect(s);
	free(s);
	return NULL;
}

int pg_session_run(struct pg_session *s, const char *sql, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;

	return session_ask(s, &(struct session_query){.sql = sql}, &result, err);
}

int pg_session_value(struct pg_session *s, const char *sql, char **ret_value, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = session_ask(s, &(struct session_query){.sql = sql}, &result, err);
	bool there;

	if (r < 0)
		return r;
	there = PQntuples(result) > 0 && PQnfields(result) > 0 && !PQgetisnull(result, 0, 0);
	*ret_value = there ? mem_strdup(PQgetvalue(result, 0, 0)) : NULL;
	return 0;
}

static int take_result_rows(const PGresult *result, pg_take_row take, void *arg, struct error *err)
{
	int columns = PQnfields(result), r = 0;
	_cleanup(free) const char **values = mem_array((size_t)columns + 1, sizeof(*values));
	_cleanup(free) int *lengths = mem_array((size_t)columns + 1, sizeof(*lengths));
	const struct pg_row row = {.columns = columns, .values = values, .lengths = lengths};

	for (int n = 0; n < PQntuples(result) && r >= 0; n++) {
		for (int i = 0; i < columns; i++) {
			values[i] = PQgetisnull(result, n, i) ? NULL : PQgetvalue(result, n, i);
			lengths[i] = PQgetlength(result, n, i);
		}
		r = take(arg, &row, err);
	}
	return r < 0 ? r : 0;
}

static int ask_rows(struct pg_session *s, const struct session_query *query, pg_take_row take, void *arg,
                    struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	int r = session_ask(s, query, &result, err);

	return r < 0 ? r : take_result_rows(result, take, arg, err);
}

int pg_session_rows(struct pg_session *s, const char *sql, pg_take_row take, void *arg, struct error *err)
{
	return ask_rows(s, &(struct session_query){.sql = sql}, take, arg, err);
}

int pg_session_rows_binary(struct pg_session *s, const char *sql, pg_take_row take, void *arg,
                           struct error *err)
{
	return ask_rows(s, &(struct session_query){.sql = sql, .binary = true}, take, arg, err);
}
