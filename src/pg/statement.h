// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Statements over a session, and what stands in them. Private to this room: no other one holds SQL. */
#include <keepfs/pg/session.h>

/** pg_session_run() - statements without a result that matters; several may be separated by ';'. */
int pg_session_run(struct pg_session *s, const char *sql, struct error *err);
/** pg_session_value() - heap: the first column of the first row; NULL for a NULL or no row (returns 0). */
int pg_session_value(struct pg_session *s, const char *sql, char **ret_value, struct error *err);

/** struct pg_row - borrowed for the call; values in text format, NUL-terminated, NULL for NULL. */
struct pg_row {
	int columns;
	const char *const *values;
	const int *lengths;
};
typedef int (*pg_take_row)(void *arg, const struct pg_row *row, struct error *err);
/** pg_session_rows() - @take for each row of the result, which is held in memory whole: @take may use the
 * session itself. A negative return of @take ends it, and is returned; the session can still be used. */
int pg_session_rows(struct pg_session *s, const char *sql, pg_take_row take, void *arg, struct error *err);
/** pg_session_rows_binary() - the same with values in binary format: bytea as its bytes, int4/oid as 4 bytes
 * big-endian. One statement only. */
int pg_session_rows_binary(struct pg_session *s, const char *sql, pg_take_row take, void *arg,
                           struct error *err);

/** pg_quote_literal() - heap. It means the same whatever the session's settings are. */
char *pg_quote_literal(const char *text);
