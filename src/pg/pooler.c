// SPDX-License-Identifier: Apache-2.0
/*
 * Whether a pooler stands before the server, and whether it keeps sessions apart. pg_dump sets what it needs
 * for its session, before its transaction begins: a pooler that hands each transaction to any session of the
 * server loses that (rows under row security would be left out, in silence), and leaves it to others.
 *
 * The number of its process is told by the server twice: in the greeting, which a pooler answers by itself,
 * and by a function, which only the server answers. Where they differ, two connections are asked for it while
 * both are open: in a session of its own each has one number, which does not change and which the other has
 * not.
 */
#include "session.h"

#include <errno.h>
#include <stdlib.h>

#define ANSWER_LIMIT_MS 10000

static const char which_process[] = "SELECT pg_catalog.pg_backend_pid()";

static int ask_process(struct pg_session *s, const char *sql, int *ret_pid, struct error *err)
{
	_cleanup(pg_result) PGresult *result = NULL;
	const struct session_query query = {.sql = sql, .limit_ms = ANSWER_LIMIT_MS};
	int r = session_ask(s, &query, &result, err);

	if (r == 0)
		*ret_pid = (int)strtol(PQgetvalue(result, 0, 0), NULL, 10);
	return r;
}

/* @other stays in a transaction while @s is asked again: who shares its session has to get another one. */
static int compare_sessions(struct pg_session *s, struct pg_session *other, int pid, bool *ret_apart,
                            struct error *err)
{
	int of_other = 0, now = 0;
	int r = ask_process(other, "BEGIN; SELECT pg_catalog.pg_backend_pid()", &of_other, err);

	if (r < 0)
		return r;
	*ret_apart = of_other != pid;
	if (*ret_apart) {
		r = ask_process(s, which_process, &now, err);
		*ret_apart = now == pid;
	}
	return r < 0 ? r : pg_session_run(other, "COMMIT", err);
}

int session_find_pooler(struct pg_session *s, const struct session_place *place, int pid, enum pg_pooler *ret,
                        struct error *err)
{
	struct pg_session other;
	bool apart = true;
	int now = 0, r;

	*ret = PG_POOLER_NONE;
	if (pid == PQbackendPID(s->conn))
		return 0;
	/* A pooler that takes its sessions in turn has given another one by now. */
	r = ask_process(s, which_process, &now, err);
	if (r == 0 && now == pid)
		r = session_connect(&other, place->conninfo, place->database, "keepfs", place->cancel, err);
	if (r == 0 && now == pid) {
		r = compare_sessions(s, &other, pid, &apart, err);
		session_disconnect(&other);
	}
	if (r < 0) {
		if (r != -ECANCELED)
			error_prefix(
			        err,
			        "a pooler stands before PostgreSQL, and whether it keeps sessions apart cannot be found out over a second connection");
		return r;
	}
	*ret = apart && now == pid ? PG_POOLER_OF_SESSIONS : PG_POOLER_OF_TRANSACTIONS;
	return 0;
}
