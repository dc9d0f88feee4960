#pragma once
/** A connection whose every wait has a limit and can be cancelled. Private to this room; one thread. */
#include "conninfo.h"

#include <keepfs/base/cancel.h>
#include <stdint.h>

DEFINE_CLEANUP(pq_result, PGresult *, PQclear)

struct session {
	PGconn *conn;
	struct cancel_fd cancel;
};

/** session_open() - as pg_learn() says; after 0 session_close() must follow, and @ret stay where it is. */
int session_open(struct session *ret, const char *conninfo, const char *database, struct cancel *cancel,
                 struct error *err);
void session_close(struct session *s);
/**
 * session_ask() - one or several statements; the result is that of the last one
 * Return: 0; -ETIMEDOUT when no answer came within @limit_ms, -ECANCELED: the session can only be closed
 * then; else what the server said, with its SQLSTATE in @err->code.
 */
int session_ask(struct session *s, const char *sql, int64_t limit_ms, PGresult **ret_result,
                struct error *err);
