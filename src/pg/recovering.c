// SPDX-License-Identifier: Apache-2.0
#include <keepfs/base/str.h>
#include <keepfs/pg/recovering.h>

#include <string.h>

const char *pg_recovering_question(void)
{
	/* Whether it has paused is an error once it does not recover any more. */
	return "SELECT pg_is_in_recovery(), CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() ELSE false END, pg_last_xact_replay_timestamp()";
}

bool pg_recovering_has_paused(const char *answer)
{
	return str_starts(answer, "t|t|");
}

const char *pg_recovering_replayed(const char *answer)
{
	const char *last = strrchr(answer, '|');

	return last && last[1] ? last + 1 : NULL;
}
