// SPDX-License-Identifier: Apache-2.0
/* status/: a row for each of its files. What tells of the state of things is written by the room report. */
#include "comparisons.h"
#include "confirm.h"
#include "fs_private.h"
#include "made_file.h"
#include "text.h"
#include "thaws.h"

#include <keepfs/report/keys.h>
#include <keepfs/report/drills.h>
#include <keepfs/report/run.h>

#define RETENTION_AGE_US (60 * US_PER_S)
#define HEALTH_AGE_US    (10 * US_PER_S) /* ages and free space change without a write to the catalog */

static uint64_t health_generation(struct fs *fs, const struct node *node)
{
	return text_by_catalog(fs, node) << 32 ^ (uint64_t)(clock_mono_us() / HEALTH_AGE_US);
}

/* What waits is done after a time, and what is promised ends. */
static uint64_t retention_generation(struct fs *fs, const struct node *node)
{
	uint64_t conf = fs->ctx.live ? conf_live_generation(fs->ctx.live) : 0;

	return (text_by_catalog(fs, node) << 32 ^ conf << 24 ^
	        (uint64_t)(clock_now_us() / RETENTION_AGE_US)) |
	       1;
}

static uint64_t troubles_generation(struct fs *fs, const struct node *node)
{
	return report_troubles_generation(fs->ctx.troubles) + 1;
}

/* It shows the end of the audit, too. */
static uint64_t dashboard_generation(struct fs *fs, const struct node *node)
{
	return health_generation(fs, node) + (text_by_audit(fs, node) << 16);
}

static int write_config(struct fs *fs, const struct node *node, struct spool *out)
{
	const struct conf *conf = fs_conf_ref(fs);
	_cleanup(str) struct str text = {0};

	conf_write_effective(conf, &text);
	fs_conf_unref(fs, conf);
	spool_append(out, str_text(&text), text.len);
	return spool_error(out);
}

static int follow_last_error(struct fs *fs, const struct node *node, int64_t *position, struct spool *out)
{
	struct report_sources sources = status_sources(fs, fs->ctx.conf);

	return report_last_error_since(&sources, position, out);
}

static int follow_audit(struct fs *fs, const struct node *node, int64_t *position, struct spool *out)
{
	struct report_sources sources = status_sources(fs, fs->ctx.conf);

	return report_audit_since(&sources, position, out);
}

static int follow_backups(struct fs *fs, const struct node *node, int64_t *position, struct spool *out)
{
	struct report_sources sources = status_sources(fs, fs->ctx.conf);

	return report_backups_since(&sources, position, out);
}

static int write_diffs(struct fs *fs, const struct node *node, struct spool *out)
{
	return comparisons_write(fs->comparisons, out);
}

static bool live_progress(void *arg, int64_t run_id, struct report_progress *ret)
{
	const struct fs *fs = arg;

	return jobs_progress(fs->jobs, run_id, ret);
}

static uint64_t conf_generation(struct fs *fs, const struct node *node)
{
	return fs->ctx.live ? conf_live_generation(fs->ctx.live) + 1 : 1;
}

struct report_sources status_sources(struct fs *fs, const struct conf *conf)
{
	return (struct report_sources){
	        .catalog = fs->ctx.repository->catalog,
	        .conf = conf,
	        .now_us = clock_now_us(),
	        .watched_us = fs->jobs ? jobs_watched_since_us(fs->jobs) : 0,
	        .troubles = fs->ctx.troubles,
	        .store = repository_store(fs->ctx.repository),
	        .store_metrics = fs->ctx.store_metrics,
	        .reader_metrics = fs->ctx.reader_metrics,
	        .cache = fs->ctx.cache,
	        .wal = fs->ctx.wal,
	        .progress = live_progress,
	        .progress_arg = fs,
	};
}

static const struct made_file rows[] = {
        {.number = 0, .name = "health", .report = report_health, .generation = health_generation},
        {.number = 1, .name = "history.csv", .report = report_history_csv, .generation = text_by_catalog},
        {.number = 2, .name = "history.jsonl", .report = report_history_jsonl, .generation = text_by_catalog},
        {.number = 3, .name = "stats.json", .report = report_stats_json, .generation = text_by_catalog},
        {.number = 4, .name = "last-error", .follow = follow_last_error, .generation = troubles_generation},
        {.number = 5, .name = "config", .write = write_config, .generation = conf_generation},
        {.number = 6, .name = "audit.jsonl", .follow = follow_audit, .generation = text_by_audit},
        /* 7 to 9: control.c */
        {.number = 10, .name = "metrics.prom", .report = report_metrics, .generation = text_never_kept},
        {.number = 11, .name = "schedule", .report = report_schedule, .generation = text_never_kept},
        {.number = 12,
         .name = "retention",
         .report = report_retention,
         .generation = retention_generation,
         .is_costly = true},
        {.number = 13,
         .name = "dashboard.html",
         .report = report_dashboard,
         .generation = dashboard_generation},
        {.number = 14, .name = "diffs", .write = write_diffs, .generation = text_never_kept},
        {.number = 15,
         .name = "schedule.json",
         .report = report_schedule_json,
         .generation = text_never_kept},
        {.number = 16,
         .name = "backups.jsonl",
         .follow = follow_backups,
         .generation = text_by_catalog,
         .is_costly = true,
         .has_pages = true},
        {.number = 17, .name = "recovery", .report = report_recovery, .generation = text_never_kept},
        {.number = 19,
         .name = "keys",
         .report = report_keys,
         .generation = text_by_catalog,
         .is_costly = true},
        {.number = 41,
         .name = "replicas",
         .report = report_replicas,
         .generation = text_by_catalog,
         .is_costly = true},
        {.number = 42,
         .name = "replicas.jsonl",
         .report = report_replicas_jsonl,
         .generation = text_by_catalog,
         .is_costly = true},
        {.number = 45, .name = "confirmations", .write = write_confirmations, .generation = text_never_kept},
        {.number = 60,
         .name = "thaws",
         .write = write_thaws,
         .generation = text_never_kept,
         .is_costly = true},
};

const struct made_files status_files = {
        .rows = rows, .count = ARRAY_SIZE(rows), .text_class = &class_text, .first_ino = INO_FIXED};
