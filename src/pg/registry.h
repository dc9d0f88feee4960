// SPDX-License-Identifier: Apache-2.0
#pragma once
/** An administrator's query, of databases or of tenants. Private to this room. */
#include "session.h"

/** registry_take - a piece of the answer, borrowed; also the empty one at its end, which has the columns, too. A negative return ends
 * it, and is returned. */
typedef int (*registry_take)(void *arg, const PGresult *rows, struct error *err);
/** registry_ask() - connect, ask, disconnect, as pg_ask_registry() says (keepfs/pg/databases.h). */
int registry_ask(const char *conninfo, const char *database, const char *query, struct cancel *cancel,
                 registry_take take, void *arg, struct error *err);
