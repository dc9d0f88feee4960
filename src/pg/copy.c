// SPDX-License-Identifier: Apache-2.0
/*
 * COPY to the client. All rows that have arrived are handed on before the next look at the socket, and the
 * socket is read before it is waited for: a server that is faster than us costs no wait at all, one that is
 * slower costs one per wake-up, not one per row. Since there may never be a wait, the cancel token is looked
 * at before every read.
 */
#include "session.h"

#include <errno.h>
#include <poll.h>

/* Return: 1 when there may be more to take, 0 when nothing will come any more. */
static int read_more(const struct pg_session *s, bool wait, struct error *err)
{
	int r;

	if (cancel_is_set(s->cancel.cancel))
		return session_fail_cancelled(err);
	r = wait ? session_wait(s, POLLIN, 0, err) : 1;
	if (r < 0)
		return r;
	return PQconsumeInput(s->conn);
}

int session_take_copy(const struct pg_session *s, pg_take_data take, void *arg, struct error *err)
{
	bool wait = false; /* what was read last held no whole message */
	int more = 1;

	for (;;) {
		char *data = NULL;
		int n = PQgetCopyData(s->conn, &data, 1);
		int r = 0;

		/* The end, or why there is none, is the next result. libpq itself would give 0 for ever when
		 * the connection is gone. */
		if (n < 0 || (n == 0 && more == 0))
			return 0;
		if (n > 0) {
			r = take(arg, data, (size_t)n, err);
			PQfreemem(data);
		} else {
			more = r = read_more(s, wait, err);
		}
		if (r < 0)
			return r;
		wait = n == 0;
	}
}

/* What a copy's results say, one after the other. */
struct copying {
	bool began;
	bool complete;    /* the server said so, and nothing failed since */
	PGresult *failed; /* the first: behind it libpq may say that the connection is gone */
};

static inline void cleanup_copying(struct copying *c)
{
	PQclear(c->failed);
}

static int take_result(const struct pg_session *s, struct copying *c, PGresult *result, pg_take_data take,
                       void *arg, struct error *err)
{
	ExecStatusType status = PQresultStatus(result);

	if (status == PGRES_COPY_OUT && !c->began) {
		c->began = true;
		PQclear(result);
		return session_take_copy(s, take, arg, err);
	}
	if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK) {
		c->complete |= c->began;
		PQclear(result);
		return 0;
	}
	if (c->failed)
		PQclear(result);
	else
		c->failed = result;
	/* Another copy: nobody would take its data, and no result comes before they are taken. */
	if (status != PGRES_FATAL_ERROR)
		return error_set(err, ERROR_INTERNAL, EINVAL, "not one COPY to the client: %s",
		                 PQresStatus(status));
	return 0;
}

int pg_session_copy(struct pg_session *s, const char *sql, pg_take_data take, void *arg, struct error *err)
{
	_cleanup(copying) struct copying copying = {0};

	if (!PQsendQuery(s->conn, sql))
		return session_fail_query(s, NULL, err);
	for (;;) {
		int r = session_wait_result(s, 0, 0, err);
		PGresult *result;

		if (r < 0)
			return r;
		result = PQgetResult(s->conn);
		if (!result)
			break;
		r = take_result(s, &copying, result, take, arg, err);
		if (r < 0)
			return r;
	}
	if (copying.failed || PQstatus(s->conn) == CONNECTION_BAD)
		return session_fail_query(s, copying.failed, err);
	if (!copying.complete)
		return error_set(err, ERROR_INTERNAL, EINVAL, "not a COPY to the client: %s", sql);
	return 0;
}
