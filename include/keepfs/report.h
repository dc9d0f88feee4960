// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Texts about the state of things, for status/, jobs/ and the command line. Each writes into a spool;
 * blocking on local disk only; any thread. Those that return int return 0, or the negative errno of the
 * catalog or of the spool: the text is not whole then, and must not be shown as if it were.
 */
#include <keepfs/base/error.h>
#include <keepfs/base/spool.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/conf.h>

struct catalog;

enum report_health { REPORT_OK, REPORT_WARN, REPORT_CRIT };

/** struct report_troubles - the last failures that users ran into (reads, removals, commands), in memory. */
struct report_troubles;
struct report_troubles *report_troubles_new(void);
struct report_troubles *report_troubles_free(struct report_troubles *t);
/** report_trouble() - note one, newest first, 32 are kept; @path may be NULL. The same again as the newest
 * only counts it up. */
void report_trouble(struct report_troubles *t, const char *path, int errnum, const char *message);
/** report_no_cache() - the disk cache that is configured cannot be used, for the reason @why: health says
 * so. */
void report_no_cache(struct report_troubles *t, const char *why);
/** report_last_error() - "2026-11-20T02:00:00Z EIO backups/full/….dump: why", newest first; empty when there
 * was none. One that came several times in a row ends in "(6 times)" and has the last one's time. The path
 * stands there once, also when the message begins with it. */
void report_last_error(struct report_troubles *t, struct spool *out);
/** report_troubles_generation() - grows with each. */
uint64_t report_troubles_generation(struct report_troubles *t);

/**
 * report_health() - "OK", "WARN" or "CRIT" and a summary, then a line per check, each with its own word;
 * returns the worst
 * @troubles: NULL without a mount
 * @now_us:   for ages
 *
 * job NAME (each configured one): its last run that completed or failed has failed: CRIT when the job has no
 * whole backup, else WARN; it completed with a warning: WARN; it has not run yet, was only cancelled, or its
 * whole backups are gone: WARN. Cancelled runs count for nothing else, and a run that its trigger made
 * smaller for no success: partial backups make no job healthy. store: WARN when neither `keepfs check` nor a
 * completed run has ever used it. check NAME: failed in the last probe, and no run (of the job that it names,
 * else any) has completed since: CRIT for the store, else WARN. damaged backup: reading showed that the store
 * does not hold its bytes any more: CRIT. reads: one failed in the last ten minutes: WARN. disk cache: one is
 * configured, and cannot be used (report_no_cache()): WARN. space for the catalog, space for backups (dir:
 * only): less than 64 MiB or 5 percent free: WARN. catalog: cannot be read: CRIT.
 */
enum report_health report_health(struct catalog *c, const struct conf *conf, struct report_troubles *troubles,
                                 int64_t now_us, struct spool *out);
/** report_history_csv() - every run, newest first: RFC 4180 with a header line; new columns come last. Times
 * are ISO 8601, UTC; empty when not known. */
int report_history_csv(struct catalog *c, struct spool *out);
/** report_history_jsonl() - the same, an object a line, by the same names; null when not known. */
int report_history_jsonl(struct catalog *c, struct spool *out);
/** report_stats_json() - {artifacts, stored_bytes, oldest, newest, newest_whole, last_success, last_failure,
 * runs: {STATE: count}, jobs: {NAME: the same}, store: {url, verified, capacity_bytes}}. newest_whole: of
 * those that are neither partial nor damaged. */
int report_stats_json(struct catalog *c, const struct conf *conf, struct spool *out);
/** report_audit_jsonl() - {at, uid, pid, command, action, object, result, detail} a line, newest first. */
int report_audit_jsonl(struct catalog *c, struct spool *out);
/** report_sums() - SHA256SUMS of a directory, as sha256sum writes and checks it; comments name what has no
 * known checksum. */
int report_sums(struct catalog *c, uint64_t directory_ino, struct spool *out);

struct report_progress { /* a live run's figures; zero for one that has ended */
	uint64_t read_bytes, sent_bytes, verified_bytes; /* sums over its databases so far */
	bool verifying; /* the current database was sent whole and is being read back from the store */
	uint64_t expected_bytes; /* from the last run; 0: not known */
	int64_t elapsed_ms;
	uint64_t rate_bytes_per_s;
	int64_t eta_s;    /* -1: not known */
	char target[256]; /* the label of the present one: a database, a directory */
	uint64_t targets_done;
};
/** report_run_status() - "key value" lines, in procfs's manner ("-" when not known), then a line "target
 * STATE BYTES PATH DATABASE[: ERROR]" for each database. */
int report_run_status(struct catalog *c, const struct catalog_run *run, struct spool *out);
/** report_run_progress() - one line of key=value pairs, for people and for `keepfs watch`: run, job, state;
 * while it lives the fields of @p by their names (eta_s only when known; verifying as phase=verifying or
 * phase=dumping, once it runs; spaces in database as %20), else size_bytes and elapsed_ms. */
void report_run_progress(const struct catalog_run *run, const struct report_progress *p, struct spool *out);
/** report_run_log() - "TIME line" lines, oldest first. */
int report_run_log(struct catalog *c, int64_t run_id, struct spool *out);
/** report_run_json() - one run as one line of JSON, as in history.jsonl. */
void report_run_json(const struct catalog_run *run, struct spool *out);

struct store;
struct store_metrics;
struct reader_metrics;
struct cache;

struct report_sources { /* what the metrics are of; all borrowed */
	struct catalog *catalog;
	const struct conf *conf;
	struct report_troubles *troubles;            /* NULL without a mount */
	struct store *store;                         /* its capacity; NULL: not told */
	const struct store_metrics *store_metrics;   /* NULL: not told */
	const struct reader_metrics *reader_metrics; /* NULL: not told */
	struct cache *cache;                         /* NULL: there is none */
	/* A live run's figures, as jobs_progress(); NULL: not told. */
	bool (*progress)(void *arg, int64_t run_id, struct report_progress *ret);
	void *progress_arg;
};
/**
 * report_metrics() - everything that monitoring may want to know, as Prometheus's text exposition (0.0.4)
 *
 * docs/operations.md lists the metrics: their names are a promise to those who have written alerts. What it
 * costs depends on the number of jobs, not on that of backups or runs.
 */
int report_metrics(const struct report_sources *from, struct spool *out);
