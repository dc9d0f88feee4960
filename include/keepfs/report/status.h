// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * The files of status/ that tell of the state of things. Each has one function, and all functions have the same
 * signature, so that the mount holds them as rows of a table.
 *
 * Each writes the whole text into @out. It may block on the local disk, and runs on any thread; nothing is kept
 * between two calls. It returns 0, or the negative errno of the catalog or of the spool: the text is not whole then,
 * and must not be shown as if it were.
 */
#include <keepfs/base/spool.h>
#include <keepfs/catalog.h>
#include <keepfs/conf.h>

#include <stdbool.h>
#include <stdint.h>

struct cache;
struct wal;
struct catalog_audit;
struct json;
struct reader_metrics;
struct report_progress;
struct report_troubles;
struct store;
struct store_metrics;
struct wal;

/** struct report_sources - whom the texts ask. All is borrowed; a text uses what it needs, and has no lines about what
 * is NULL. */
struct report_sources {
	struct catalog *catalog;
	const struct conf *conf;
	int64_t now_us;                   /* since the epoch: what ages are counted from */
	int64_t watched_us;               /* jobs_watched_since_us(); 0: nothing watches what is due */
	struct report_troubles *troubles; /* NULL without a mount */
	struct store *store;              /* it is asked for its capacity */
	const struct store_metrics *store_metrics;   /* of @store */
	const struct reader_metrics *reader_metrics; /* of the mount's reader */
	struct cache *cache;
	struct wal *
	        wal; /* of the mount: it knows how far servers are, and its receivers are asked; NULL without one */
	/* The figures of a live run, as jobs_progress() tells them: false when the run has none. */
	bool (*progress)(void *arg, int64_t run_id, struct report_progress *ret);
	void *progress_arg;
};

/** report_health() - the items of health (report/health.h) as health_write() puts them. A catalog that cannot be read
 * is an item, not an error. */
int report_health(const struct report_sources *from, struct spool *out);
/** report_rows_shown() - how many of the newest rows a text tells of at most, of which @keep are to be kept (0:
 * all): a tenth more, so that old ones can be moved to the store many at once. */
uint64_t report_rows_shown(int64_t keep);
/** report_history_csv() - the newest runs, as many as history_keep says, newest first: RFC 4180 with a header line; new columns come last. Times
 * are ISO 8601, UTC; empty when not known. */
int report_history_csv(const struct report_sources *from, struct spool *out);
/** report_history_jsonl() - the same, an object a line, by the same names; null when not known. */
int report_history_jsonl(const struct report_sources *from, struct spool *out);
/**
 * report_all_backups_jsonl() - all backups, of all jobs, an object a line, the newest first
 *
 * {path, job, kind, target, run, started, finished, source_bytes, size_bytes, stored_bytes, partial, depends_on, tiers, holds,
 * verified, damaged, note}: docs/formats.md says what each is; it is a promise.
 */
int report_all_backups_jsonl(const struct report_sources *from, struct spool *out);
/** report_stats_json() - {artifacts, stored_bytes, trash_artifacts, trash_bytes, oldest, newest, newest_whole, last_success, last_failure,
 * runs: {STATE: count}, jobs: {NAME: the same}, store: {url, verified, capacity_bytes, catalog_copy}}. newest_whole: of
 * those that are neither partial nor damaged. */
int report_stats_json(const struct report_sources *from, struct spool *out);
/** report_dashboard() - everything at a glance: one page of HTML without anything from elsewhere (src/report/dashboard.h). Below two
 * megabytes, however much there is to tell; docs/operations.md says what is left out then. */
int report_dashboard(const struct report_sources *from, struct spool *out);
/** report_schedule() - what begins by itself, and when: a table for people, a line for each job and each of its classes
 * that has a schedule of its own. */
int report_schedule(const struct report_sources *from, struct spool *out);
/** report_schedule_json() - the same for programs; docs/formats.md says what is in it. */
int report_schedule_json(const struct report_sources *from, struct spool *out);
/** report_retention() - of each directory what stays and why, what may go and since when, what waits or is suspended; what is in
 * the trash; what was removed and is in the store still. */
int report_retention(const struct report_sources *from, struct spool *out);
/** report_replicas(), report_replicas_jsonl() - what further stores have of backups, or are to have, also of those that were removed: a table for people, and {path, store, state, listed, job,
 * finished, since, verified, stored_bytes, done_bytes, next_try, error} a line. */
int report_replicas(const struct report_sources *from, struct spool *out);
int report_replicas_jsonl(const struct report_sources *from, struct spool *out);
/** report_copies_of() - append "primary:whole, offsite:copying 43%"; false when nothing is known of further stores. */
bool report_copies_of(struct catalog *catalog, const char *path, bool damaged, struct str *out);
/** report_replica_percent() - how much of it is there: 0 to 100. */
struct catalog_replica;
int report_replica_percent(const struct catalog_replica *replica);
/** report_recovery_json() - what can be recovered of each [cluster NAME], as one array: docs/formats.md says what is in it. */
int report_recovery_json(const struct report_sources *from, struct spool *out);
/** report_last_error() - "2026-11-20T02:00:00Z EIO backups/full/….dump: why", newest first; empty when there
 * was none. One that came several times in a row ends in "(6 times)" and has the last one's time. The path
 * stands there once, also when the message begins with it. */
int report_last_error(const struct report_sources *from, struct spool *out);
/** report_audit_jsonl() - {at, uid, pid, command, action, object, result, detail} a line, newest first, as many as
 * audit_keep says. */
int report_audit_jsonl(const struct report_sources *from, struct spool *out);

/**
 * What can be followed (tail -f). With *@position = REPORT_WHOLE it is the text of the same name above; else what came
 * behind *@position, the oldest first, perhaps not all of it at once. *@position is moved behind what was written. As
 * new lines stand before the others in the whole text, it is longer by just what follows, but for lines that were dropped
 * from its end, or only counted up.
 */
#define REPORT_WHOLE (-1)
int report_audit_since(const struct report_sources *from, int64_t *position, struct spool *out);
int report_last_error_since(const struct report_sources *from, int64_t *position, struct spool *out);
/**
 * report_backups_since() - report_all_backups_jsonl() a page at a time, however many there are
 *
 * With *@position = REPORT_WHOLE the newest 10000, else the next 1000 or so behind *@position: nothing, at the end. A page has
 * all backups of each of its runs. What is made meanwhile is in none of the later pages; what is removed meanwhile is missing.
 */
int report_backups_since(const struct report_sources *from, int64_t *position, struct spool *out);
/**
 * report_metrics() - everything that monitoring may want to know, as Prometheus's text exposition (0.0.4)
 *
 * docs/operations.md lists the metrics: their names are a promise to those who have written alerts. What it
 * costs depends on the number of jobs, not on that of backups or runs.
 */
int report_metrics(const struct report_sources *from, struct spool *out);
