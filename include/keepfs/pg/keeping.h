// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What a server says of the WAL that it hands over: its archiver (pg_stat_archiver), and a replication slot (pg_replication_slots). Every role that may connect to a database may read both. PostgreSQL 13 to 18.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

struct pg_wal_keeping {
	uint64_t failed_count;    /* times that archive_command has failed, since the statistics were reset */
	char last_failed_wal[48]; /* "": it never has */
	bool is_failing;          /* the last time it was run it failed */
	bool has_slot;            /* there is one of that name */
	char wal_status
	        [16]; /* "reserved", "extended", "unreserved" (its WAL goes with the next checkpoint), "lost" (it has gone); "": the slot keeps none yet */
	bool has_limit;       /* max_slot_wal_keep_size is one */
	uint64_t limit_bytes; /* that limit */
	int64_t safe_bytes; /* so much may still be written before the slot may lose WAL; of one with a limit */
};
/** pg_wal_keeping() - @slot: NULL: none is asked for. Waits no longer than 10 s for each answer; blocks; any thread. */
int pg_wal_keeping(const char *conninfo, const char *slot, struct cancel *cancel, struct pg_wal_keeping *ret,
                   struct error *err);
