// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * One run: the files of jobs/<run>/, and its line of the history. Each function writes into a spool, may block on the
 * local disk only, and runs on any thread. Those that return int return 0, or the negative errno of the catalog or of
 * the spool: the text is not whole then. The others leave a failure in the spool (spool_error()).
 */
#include <keepfs/base/spool.h>
#include <keepfs/catalog.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/codec/json.h>
#include <keepfs/report/status.h>

#include <stdbool.h>
#include <stdint.h>

struct report_progress { /* a live run's figures; zero for one that has ended */
	uint64_t read_bytes, sent_bytes, verified_bytes; /* sums over its databases so far */
	bool verifying; /* the current database was sent whole and is being read back from the store */
	uint64_t expected_bytes; /* from the last run, or by the server's estimate; 0: not known */
	int64_t elapsed_ms;
	uint64_t rate_bytes_per_s;
	int64_t eta_s; /* until all is done; -1: not known */
	bool reads; /* expected_bytes is what is read: another work than a job's, or the copy of a cluster */
	char target[256]; /* the label of the present one: a database, a directory */
	uint64_t targets_done;
	char waits_for
	        [256]; /* of a pending one: what has to end before it begins, "run 12 (restore:full)"; "" */
};
/** report_run_status() - "key value" lines, in procfs's manner ("-" when not known), then a line "target
 * STATE BYTES PATH DATABASE[: ERROR]" for each database. @p: NULL or of one that has ended: nothing is known but what the catalog has. */
int report_run_status(struct catalog *c, const struct catalog_run *run, const struct report_progress *p,
                      struct spool *out);
/** report_run_progress() - one line of key=value pairs, for people and for `keepfs watch`: run, job, state;
 * while it lives the fields of @p by their names (eta_s and waits_for only when known; once it runs phase=verifying or
 * phase=dumping, of a base backup phase=copying, of other works phase=checking, restoring or drilling; spaces as %20), else size_bytes and elapsed_ms. */
void report_run_progress(const struct catalog_run *run, const struct report_progress *p, struct spool *out);
/** report_run_log() - "TIME line" lines, oldest first: those behind *@position, which is moved to the last one.
 * REPORT_WHOLE: all that there are. */
int report_run_log(struct catalog *c, int64_t run_id, int64_t *position, struct spool *out);
/**
 * report_run_record() - all that is known of a run, for when it leaves the catalog: the object of history.jsonl, and
 * behind its keys `databases`, an array of {target, state, size_bytes, path, error}, and `log`, an array of the lines of
 * jobs/<run>/log
 */
int report_run_record(struct catalog *c, const struct catalog_run *run, struct json **ret_record);
/** report_run_json() - one run as one line of JSON, as in history.jsonl. */
void report_run_json(const struct catalog_run *run, struct spool *out);
