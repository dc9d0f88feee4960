// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A connection whose every wait can be cancelled. What this room's files share; private to it. */
#include "conninfo.h"
#include "statement.h"

#include <keepfs/base/cancel.h>
#include <keepfs/pg.h>
#include <keepfs/pg/session.h>
#include <stdint.h>

#define FIRST_WITH_PARAMETER_RIGHTS 150000 /* has_parameter_privilege() */

DEFINE_CLEANUP(pg_result, PGresult *, PQclear)

struct pg_session {
	PGconn *conn;
	struct cancel_fd cancel;
	int64_t limit_ms; /* for each answer to a query that has no limit of its own; 0: none */
	bool tells_keys; /* of a row that a key, unique or foreign, refuses, failures tell the values of its columns */
};

/** session_connect() - as pg_learn() says; after 0 session_disconnect() must follow, and @ret stay where it
 * is. */
int session_connect(struct pg_session *ret, const char *conninfo, const char *database,
                    const char *application, struct cancel *cancel, struct error *err);
/** session_connect_to_replicate() - the same, of a session for replication commands (the walsender's protocol), which has no database. */
int session_connect_to_replicate(struct pg_session *ret, const char *conninfo, const char *application,
                                 struct cancel *cancel, struct error *err);
struct pg_server_place;
/** session_open_at() - a session of a place (keepfs/pg/manage.h), with its limit. @database: NULL: "postgres", else "template1". */
int session_open_at(const struct pg_server_place *place, const char *database, struct pg_session **ret,
                    struct error *err);
/** session_disconnect() - say goodbye, and wait a moment until the server has ended the session; does not end
 * a statement. */
void session_disconnect(struct pg_session *s);

/** struct session_place - where another session like it is opened, as session_connect() takes it */
struct session_place {
	const char *conninfo, *database;
	struct cancel *cancel;
};
/**
 * session_find_pooler() - what stands between @s and the server; @pid: what pg_backend_pid() said in @s
 * @s: not within a transaction. Opens a second session for a moment when there is a pooler. Waits for at most
 * 10 s for each answer.
 * Return: 0; negative errno when that second session gives no answer: @s can only be closed then.
 */
int session_find_pooler(struct pg_session *s, const struct session_place *place, int pid, enum pg_pooler *ret,
                        struct error *err);

/** struct session_query - what is asked, and for how long an answer is waited for */
struct session_query {
	const char *sql;
	bool binary;      /* values of the result; one statement only then */
	bool alone;       /* one statement only: the server refuses what stands behind a ';' */
	int64_t limit_ms; /* 0: that of the session */
};

/**
 * session_ask() - one or several statements; the result is that of the last one
 * Return: 0; -ETIMEDOUT when no answer came within the limit, -ECANCELED: the session can only be closed
 * then; else what the server said, with its SQLSTATE in @err->code.
 */
int session_ask(struct pg_session *s, const struct session_query *query, PGresult **ret_result,
                struct error *err);
/**
 * session_commit() - COMMIT, and be sure of what became of it
 * @advice: what to do where nobody knows: ": order the same once more …"; "": nothing
 *
 * Only a server that is ready for the next statement has said what became of this one: it may wait for a standby, or end for another reason, when it has committed.
 * 0: committed; -EINPROGRESS (ERROR_UNAVAILABLE): it is not known whether it was; else it was not.
 */
int session_commit(struct pg_session *s, const char *advice, struct error *err);

/** session_begin() - heap: the statements that begin a transaction which reads with pg_dump's settings
 * @joining: statements that have to come first in it; NULL: none
 * @lock_wait_timeout_ms: 0: none */
char *session_begin(const struct pg_session *s, const char *joining, int64_t lock_wait_timeout_ms);
/** session_append_language() - append the statement after which the server's words can be searched for, where the role may
 * have it so. */
struct str;
void session_append_language(struct str *sql, int server_version);
/** session_join() - run @sql, which begins a transaction in the snapshot of another session's; @mark: of that one's server
 * (keepfs/pg/snapshot.h). Waits for 10 s; after a failure it was rolled back. */
int session_join(struct pg_session *s, const char *sql, const char *mark, struct error *err);
/** session_roll_back() - return @r; what began may have failed halfway: the next one must not find a transaction that is aborted. */
int session_roll_back(struct pg_session *s, int r);

/** session_wait() - 1 when the connection has @events (of poll()), 0 when the time is over (@until_ms of the
 * monotonic clock, 0: never), -ECANCELED, other negative errno. */
int session_wait(const struct pg_session *s, short events, int64_t until_ms, struct error *err);
/** session_wait_result() - 0 when a result can be taken, or libpq knows that none will come. @limit_ms: 0:
 * none; counted to @until_ms. */
int session_wait_result(const struct pg_session *s, int64_t limit_ms, int64_t until_ms, struct error *err);

/** session_take_copy() - all data of the COPY to the client whose result was taken: @take for each message. 0: no more of them come; why, is what the next result says. */
int session_take_copy(const struct pg_session *s, pg_take_data take, void *arg, struct error *err);

/** session_fail() - fill @err with "<what>: <words on one line> (<hint>)", and its code. Return: -@errnum. */
int session_fail(struct error *err, enum error_class class, int errnum, const char *what,
                 const struct pg_complaint *complaint);
/** session_fail_query() - what became of a statement; @result: the failed one, NULL: none came. */
int session_fail_query(const struct pg_session *s, const PGresult *result, struct error *err);
/** session_fail_cancelled() - -ECANCELED. */
int session_fail_cancelled(struct error *err);
/** session_tell_silence() - "host …, port …, gave no answer within N s". */
void session_tell_silence(struct str *words, const struct pg_session *s, bool taken, int64_t limit_ms);

/** session_stop_statement() - ask the server to end what it does for @s; waits for it, but not for long. */
void session_stop_statement(const struct pg_session *s);
