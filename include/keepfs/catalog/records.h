// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * What has grown old and leaves the catalog for the store: lines of the audit, and runs. See keepfs/catalog.h for what
 * is true of every function.
 *
 * - What may leave: catalog_audit_span() and catalog_audits_after(), catalog_old_runs().
 * - catalog_begin_record(): the record, as it will be stored, is kept beside the rows that it tells of.
 * - The caller puts it into the store.
 * - catalog_end_record(): the rows and the record are dropped, in one transaction.
 *
 * So there is no moment at which the rows are in neither place. After a crash catalog_record() says what was begun; to
 * put the same bytes under the same key once more changes nothing. One record of each kind is under way at a time.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct catalog;
struct catalog_audit;

enum record_kind { RECORD_AUDIT, RECORD_HISTORY };
#define RECORD_KINDS (RECORD_HISTORY + 1)

struct catalog_record {
	char *key;     /* of its object */
	void *content; /* of the object: bytes */
	size_t bytes;
};
/** catalog_record_finish() - free what it owns. */
void catalog_record_finish(struct catalog_record *record);
static inline void cleanup_catalog_record(struct catalog_record *record)
{
	catalog_record_finish(record);
}

/** catalog_begin_record() - keep @record (borrowed) with the numbers of the rows that it tells of. -EBUSY: one of its
 * kind is under way. */
int catalog_begin_record(struct catalog *c, enum record_kind kind, const struct catalog_record *record,
                         const int64_t *ids, size_t count, struct error *err);
/** catalog_record() - the one that is under way; -ENOENT: there is none. */
int catalog_record(struct catalog *c, enum record_kind kind, struct catalog_record *ret);
/** catalog_end_record() - the store has it: drop it and its rows; of runs their databases and logs, too. How many runs
 * there ever were (catalog_run_totals()) does not change. */
int catalog_end_record(struct catalog *c, enum record_kind kind, struct error *err);

/** catalog_audit_span() - the numbers of the oldest and the newest line, without gaps between; -ENOENT: there is no
 * line. */
int catalog_audit_span(struct catalog *c, int64_t *ret_first, int64_t *ret_last);

/** struct catalog_run_age - which runs are old. One is when either says so. */
struct catalog_run_age {
	uint64_t keep;     /* it is none of these newest; 0: says nothing */
	int64_t before_us; /* it was queued before; 0: says nothing */
	/* None of these newest of each job leaves, however old: health looks at them. At least 1. */
	uint64_t keep_of_job;
};
/** catalog_old_runs() - the numbers of runs that are old, have ended and have no backup any more, oldest first, at most
 * @max; returns how many. */
ssize_t catalog_old_runs(struct catalog *c, const struct catalog_run_age *age, int64_t *ids, size_t max);
