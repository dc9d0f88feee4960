// SPDX-License-Identifier: Apache-2.0
#pragma once
/** A server that recovers: what it is asked, by psql as whoever may get in, how far it has come. Pure; any thread. */
#include <stdbool.h>

/** pg_recovering_question() - static: a statement for psql -At, whose answer pg_recovering_has_paused() and pg_recovering_replayed() read: "t|t|2026-11-20 10:00:00+00". PostgreSQL 13 to 18. */
const char *pg_recovering_question(void);
/** pg_recovering_has_paused() - it recovers, and has paused where it was told to. */
bool pg_recovering_has_paused(const char *answer);
/** pg_recovering_replayed() - within @answer: when the last transaction that was replayed had ended; NULL: none was. */
const char *pg_recovering_replayed(const char *answer);
