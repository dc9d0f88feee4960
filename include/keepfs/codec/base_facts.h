// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What the manifest of a base backup (kind "base") says of the write-ahead log that it needs, among its facts (docs/formats.md, "Base backups"):
 *
 *	"system_identifier":"7301234567890123456","timeline":1,"start_lsn":"3/7A000028","stop_lsn":"3/7A0001B8","segment_bytes":16777216,
 *	"stopped_at":"2026-11-20T02:10:00.000000Z"
 *
 * A recovery from the base begins at the start, and the cluster is consistent from the stop on. Pure; any thread.
 */
#include <keepfs/base/error.h>
#include <stdint.h>

struct manifest;

struct base_facts {
	uint64_t system_id; /* pg_controldata: "Database system identifier" */
	uint32_t timeline;  /* that it began and ended on */
	uint64_t start_lsn, stop_lsn;
	uint32_t segment_bytes; /* of the cluster's WAL */
	int64_t stopped_us;     /* by the clock of keepfs's host: when the server had said where it stops */
};

/** base_facts_set() - into the facts of @m. */
void base_facts_set(struct manifest *m, const struct base_facts *f);
/** base_facts_get() - of the manifest of a base. -EBADMSG (ERROR_CORRUPT): one is missing, or makes no sense; the message names it. */
int base_facts_get(const struct manifest *m, struct base_facts *ret, struct error *err);
