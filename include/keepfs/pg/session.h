// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A connection for a backup's own reading: COPY to the client as a stream. A session belongs to one thread.
 * Every wait ends with -ECANCELED when the session's token is set; there is no other limit, since a query
 * over a large table may take hours. Failures: negative errno and @err with the server's words, its SQLSTATE
 * in err->code, and a hint where there is one (pg_hint()).
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>

struct pg_session;

/** pg_session_open() - as pg_learn() connects, with its limits for connecting. @application: shown in
 * pg_stat_activity, unless the connection string or the environment names another. */
int pg_session_open(const char *conninfo, const char *database, const char *application,
                    struct cancel *cancel, struct pg_session **ret_session, struct error *err);
/** pg_session_free() - disconnect; a statement that still runs is cancelled at the server first, over a
 * connection of its own, which is waited for one second at most. NULL allowed; returns NULL. */
struct pg_session *pg_session_free(struct pg_session *s);
DEFINE_CLEANUP(pg_session, struct pg_session *, pg_session_free)

typedef int (*pg_take_data)(void *arg, const void *data, size_t len, struct error *err);
/**
 * pg_session_copy() - "COPY … TO STDOUT": @take for each message of data (in text format: one row with its
 * line end)
 * Other statements may stand before and behind it, separated by ';'. 0 means that the server said it was
 * complete. A negative return of @take ends it, and is returned; the session can then only be freed, as after
 * -ECANCELED. After a failure that the server told, the session can still be used.
 */
int pg_session_copy(struct pg_session *s, const char *sql, pg_take_data take, void *arg, struct error *err);
