// SPDX-License-Identifier: Apache-2.0
/*
 * What pg_dump was refused, it tells in the server's words, and these are in the server's language. So its statement is
 * asked once more here, where the refusal comes with its SQLSTATE. It is as harmless as it was: the same role, a
 * transaction that only reads, and little time for it.
 */
#include "session.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <errno.h>
#include <string.h>

#define LOCK_LIMIT_MS   100   /* who has held it until now holds it still */
#define ANSWER_LIMIT_MS 10000 /* the server ends it before that */

#define QUERY_CANCELED "57014"

static const char time_limit[] = "SET LOCAL statement_timeout = '5s'";

static int take_nothing(void *arg, const void *data, size_t len, struct error *err)
{
	return 0;
}

static int ask_again(struct pg_session *s, const struct pg_attempt *attempt, struct error *err)
{
	_cleanup(free) char *large_object =
	        mem_printf("SELECT pg_catalog.lo_get(%u, 0, 1)", attempt->large_object);
	const char *sql = attempt->sql ? attempt->sql : large_object;
	const struct session_query query = {.sql = sql, .limit_ms = ANSWER_LIMIT_MS};
	_cleanup(free) char *start = session_begin(s, NULL, LOCK_LIMIT_MS);
	_cleanup(pg_result) PGresult *result = NULL;
	int r = pg_session_run(s, start, err);

	if (r == 0)
		r = pg_session_run(s, time_limit, err);
	if (r < 0)
		return r;
	if (str_starts(sql, "COPY "))
		return pg_session_copy(s, sql, take_nothing, NULL, err);
	return session_ask(s, &query, &result, err);
}

/* Only what the server said is an answer, and not that we have ended it ourselves. */
static int judge_repetition(int r, const struct error *err, struct pg_repetition *ret)
{
	if (r < 0 && (!err->code[0] || str_equal(err->code, QUERY_CANCELED)))
		return r;
	*ret = (struct pg_repetition){.refused = r < 0, .hint = err->hint};
	str_copy(ret->state, sizeof(ret->state), err->code);
	return 0;
}

int pg_repeat(const char *conninfo, const char *database, const struct pg_attempt *attempt,
              struct cancel *cancel, struct pg_repetition *ret)
{
	struct pg_session *s = NULL;
	struct error err = {0};
	int r = pg_session_open(conninfo, database, "keepfs", cancel, &s, &err);

	if (r == 0 && (attempt->sql || attempt->large_object > 0))
		r = ask_again(s, attempt, &err);
	pg_session_free(s);
	return judge_repetition(r, &err, ret);
}
