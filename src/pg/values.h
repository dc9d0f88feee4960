// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Values of one column, as they come from the server; private to this room. */
#include <keepfs/pg/session.h>

/** values_copy() - @take for each value but NULL of @sql, a COPY of one column to STDOUT in text format. */
int values_copy(struct pg_session *s, const char *sql,
                int (*take)(void *arg, const char *value, struct error *err), void *arg, struct error *err);
