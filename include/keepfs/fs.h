// SPDX-License-Identifier: Apache-2.0
#pragma once
/** The mount: the tree of docs/, served over libfuse's low-level API (which no other room includes). */
#include <keepfs/artifact.h>
#include <keepfs/base/error.h>
#include <keepfs/conf.h>
#include <keepfs/copies.h>
#include <keepfs/job.h>
#include <keepfs/reader.h>
#include <keepfs/records.h>
#include <keepfs/report/troubles.h>
#include <keepfs/store.h>

struct catalog;
struct fs;
struct inside;
struct make_context;
struct notify;
struct wal;

struct fs_context {              /* all borrowed */
	const struct conf *conf; /* as it was at the start: for what a reload does not change */
	struct conf_live *live;  /* for the rest, jobs above all; NULL: @conf stays in force */
	struct repository *repository;
	struct reader *reader;
	struct wal *wal; /* what archives WAL, for wal/; NULL: nothing does */
	struct inside
	        *inside; /* looks into dumps, for inside/; NULL: nothing can be seen there but their names */
	const struct make_context
	        *make;       /* what reads the counts of tables, for history/; NULL: nothing does */
	struct cache *cache; /* of @reader; deleted backups leave it; NULL: there is none */
	struct report_troubles *troubles;
	struct records
	        *records; /* told when something was added to the audit or the history; NULL: nobody is */
	struct copies *
	        copies; /* told when a command has changed what only a copy of the catalog keeps; NULL: nobody is */
	struct notify *notify;                       /* told when a run has ended; NULL: nobody is */
	const struct store_metrics *store_metrics;   /* for status/metrics.prom; NULL: not told */
	const struct reader_metrics *reader_metrics; /* likewise */
	const char *mount_options;                   /* of -o, for the kernel; NULL */
};

/** fs_new() - the tree, not mounted yet. */
int fs_new(const struct fs_context *ctx, struct fs **ret_fs, struct error *err);
/** fs_set_jobs() - who runs triggers; before fs_mount(). Not owned. */
void fs_set_jobs(struct fs *fs, struct jobs *jobs);
/** fs_events() - what jobs_new() is to be given, so that the kernel learns of changes. */
const struct jobs_events *fs_events(struct fs *fs);
/** fs_mount() - replace a stale mount, mount, start serving on threads of its own; serves when it returns 0.
 * -ENOTEMPTY (ERROR_USAGE): @mountpoint (absolute, without links) holds something, and mount_options has no
 * "nonempty". */
int fs_mount(struct fs *fs, const char *mountpoint, struct error *err);
/** fs_reloaded() - the configuration in force is another one. On the thread that called fs_mount(). May wait for a directory service of users. */
void fs_reloaded(struct fs *fs);
/** fs_wait_fd() - an eventfd that becomes readable when the mount has ended by itself: mostly by umount. */
int fs_wait_fd(const struct fs *fs);
/** fs_end() - once it is readable: 0 when it was unmounted; negative errno when the kernel's requests can be read no more. */
int fs_end(const struct fs *fs);
/** fs_unmount() - answer what is pending, unmount (lazily when busy), stop serving. Idempotent; blocks
 * briefly. */
void fs_unmount(struct fs *fs);
/** fs_finish_commands() - wait for the commands and removals that were under way at fs_unmount(): only then
 * may the jobs go. */
void fs_finish_commands(struct fs *fs);
struct fs *fs_free(struct fs *fs);
