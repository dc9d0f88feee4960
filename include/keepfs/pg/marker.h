// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * A moment that can be proven: two transactions, and a time between them. A server that was recovered up to that time has the first one, and has not the second.
 *
 *   pg_marker_write()   at the server that is backed up
 *   pg_marker_look()    at the one that was recovered, before anything else is written there
 *
 * Nothing of it stays in any table: each transaction writes one message into the log (pg_logical_emit_message(), which every role may call), which logical decoding alone would see. That a transaction is there is what
 * pg_xact_status() says, by which the visibility of each row is decided, too. PostgreSQL 13 to 18.
 */
#include <keepfs/base/cancel.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stdint.h>

/** PG_MARKER_STANDBY - the server recovers, and takes no transactions. */
#define PG_MARKER_STANDBY 1

struct pg_marker {
	uint64_t before_xid, after_xid; /* with their epochs; 0: none was written */
	int64_t moment_us;              /* since 1970, by the clock of the server */
	char last_segment
	        [32]; /* of the log, which has the end of the second transaction: "000000010000000000000007" */
	bool is_switched;   /* that segment is full, and goes to the archive now */
	char superuser[64]; /* a role that may log in, and may do everything; "": none is known */
};
/**
 * pg_marker_write() - write both, and have the segment archived, if the role may (pg_switch_wal())
 * @text: what stands in the messages
 * Return: 0; PG_MARKER_STANDBY, with the superuser set; else what the server said. Waits no longer than PG_MARKER_LIMIT_MS for each answer; blocks; any thread.
 */
#define PG_MARKER_LIMIT_MS 30000
int pg_marker_write(const char *conninfo, const char *text, struct cancel *cancel, struct pg_marker *ret,
                    struct error *err);

struct pg_marker_seen {
	bool has_before, has_after;
	int64_t replayed_us; /* when the last transaction that was replayed ended, since 1970; 0: none was */
};
/** pg_marker_look() - @m: NULL: only what was replayed is asked for. @conninfo: of the recovered server. */
int pg_marker_look(const char *conninfo, const struct pg_marker *m, struct cancel *cancel,
                   struct pg_marker_seen *ret, struct error *err);
