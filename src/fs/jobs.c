// SPDX-License-Identifier: Apache-2.0
/* jobs/: what runs and what ran, a directory for each run. */
#include "command.h"
#include "dir.h"
#include "fs_private.h"
#include "made_file.h"
#include "tenant.h"
#include "text.h"
#include "watch.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/runs.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define PAGE_RUNS        32
#define NUMBER_BYTES     24
#define DIRECTORY_OF_RUN 0 /* where a file has its number and 1 */

static void node_of_run(const struct catalog_run *run, struct node *ret)
{
	*ret = (struct node){.ino = ino_of_run(run->id, DIRECTORY_OF_RUN),
	                     .class = &class_run,
	                     .run = *run,
	                     .files = &run_files};
}

int run_load(struct fs *fs, int64_t run_id, unsigned file, struct node *ret)
{
	const struct made_file *row = NULL;
	struct catalog_run run;
	struct node directory;
	int r;

	if (file != DIRECTORY_OF_RUN && !(row = made_file_at(&run_files, file - 1)))
		return -ENOENT;
	r = catalog_run(fs->ctx.repository->catalog, run_id, &run);
	if (r < 0)
		return r;
	node_of_run(&run, &directory);
	if (row)
		node_of_made_file(&directory, row, ret);
	else
		*ret = directory;
	return 0;
}

/* The files of a run. Those that tell of its row load it anew: the node is from before the text's generation was read,
 * and the run may have ended in between. */

static int write_status(struct fs *fs, const struct node *node, struct spool *out)
{
	struct report_progress progress;
	struct node now;
	int r = node_load(fs, node->ino, &now);

	if (r < 0)
		return r;
	jobs_progress(fs->jobs, now.run.id, &progress);
	return report_run_status(fs->ctx.repository->catalog, &now.run, &progress, out);
}

static int write_progress(struct fs *fs, const struct node *node, struct spool *out)
{
	struct report_progress progress;
	struct node now;
	int r = node_load(fs, node->ino, &now);

	if (r < 0)
		return r;
	jobs_progress(fs->jobs, now.run.id, &progress);
	report_run_progress(&now.run, &progress, out);
	return spool_error(out);
}

/* The figures of a run that lives change without the catalog. */
static uint64_t progress_generation(struct fs *fs, const struct node *node)
{
	struct report_progress progress;

	return jobs_progress(fs->jobs, node->run.id, &progress) ? GENERATION_NEVER
	                                                        : text_by_catalog(fs, node);
}

static int follow_log(struct fs *fs, const struct node *node, int64_t *position, struct spool *out)
{
	return report_run_log(fs->ctx.repository->catalog, node->run.id, position, out);
}

static int cancel(struct command *c, struct str *answer, struct error *err)
{
	int64_t id = c->node.run.id;
	_cleanup(free) char *object = mem_printf("jobs/%lld", (long long)id);
	int r;

	if (strcmp(c->text, "1") != 0)
		r = error_set(err, ERROR_USAGE, EINVAL,
		              "'%s' is not a command for cancel: write 1 to stop run %lld", c->text,
		              (long long)id);
	else
		r = jobs_cancel(c->fs->jobs, id, err);
	if (r == 0)
		str_appendf(answer, "%lld cancelling\n", (long long)id);
	audit(c->fs, &c->audit, "cancel", object, r, r < 0 ? err->message : "");
	return r;
}

static const struct made_file rows[] = {
        {.number = 0, .name = "status", .write = write_status, .generation = progress_generation},
        {.number = 1, .name = "progress", .write = write_progress, .generation = progress_generation},
        {.number = 2, .name = "log", .follow = follow_log, .generation = text_by_catalog},
        {.number = 3, .name = "cancel", .run = cancel, .help = "To stop a run: echo 1 > jobs/<run>/cancel\n"},
};

const struct made_files run_files = {.rows = rows, .count = ARRAY_SIZE(rows), .text_class = &class_run_text};

/* When a run last changed, as far as its row tells. */
static int64_t run_mtime_us(const struct catalog_run *run)
{
	if (run->finished_at_us)
		return run->finished_at_us;
	return run->started_at_us ? run->started_at_us : run->queued_at_us;
}

static int stat_for_admin(struct fs *fs, const struct node *node, struct stat *st)
{
	_cleanup(text) struct text *text = NULL;
	int r = tenant_run_text(fs, node, &text);

	/* The modes are the same whoever asks: the kernel remembers them. */
	st->st_mode |= fs->ctx.conf->file_mode & 0444;
	if (r == 0)
		st->st_size = (off_t)text_bytes(text);
	return r;
}

static int run_text_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	int r = node->for_admin ? stat_for_admin(fs, node, st) : text_file_stat(fs, node, st, mtime_us);

	*mtime_us = run_mtime_us(&node->run);
	return r;
}

static int run_text_open(fuse_req_t req, const struct node *node, const struct fuse_file_info *fi,
                         struct handle **ret_handle, struct error *err)
{
	struct fs *fs = fs_of(req);
	/* Watched from before the text is made: a change in between wakes the watcher once too often, never
	 * too seldom. */
	_cleanup(watch) struct watch *watch = watch_new(fs->watches, node->run.id);
	struct text *text;
	struct node now;
	int r = node_load(fs, node->ino, &now);

	if (r < 0)
		return r;
	if (now.run.finished_at_us)
		watch_settle(watch);
	r = node->for_admin ? tenant_run_text(fs, &now, &text) : text_open(fs, &now, &text);
	if (r < 0)
		return r;
	/* What a tenant's admin has opened becomes no text of others when it is read again. */
	if (node->for_admin)
		now.file = NULL;
	*ret_handle = text_handle_new(fs, &now, text, take_ptr(&watch));
	return 0;
}

const struct node_class class_run_text = {
        .type = S_IFREG,
        .name_s = ATTR_FOREVER_S,
        .stat = run_text_stat,
        .open = run_text_open,
};

/* The directory of a run. */

static uint64_t run_parent(const struct node *directory)
{
	return INO_JOBS;
}

static int run_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 2;
	*mtime_us = run_mtime_us(&node->run);
	return 0;
}

static char *run_path(struct fs *fs, const struct node *node)
{
	return mem_printf("jobs/%lld", (long long)node->run.id);
}

const struct node_class class_run = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .lookup = made_files_lookup,
        .list = made_files_list,
        .parent = run_parent,
        .stat = run_stat,
        .path = run_path,
};

/* The directory of all runs, newest first. */

static int jobs_lookup(struct fs *fs, const struct node *directory, const char *name, struct node *ret)
{
	char *end;
	long long id;

	/* Only the one way in which readdir writes a number: "017" and "+17" are no files. */
	if (name[0] < '1' || name[0] > '9')
		return -ENOENT;
	errno = 0;
	id = strtoll(name, &end, 10);
	if (errno || *end)
		return -ENOENT;
	return run_load(fs, id, DIRECTORY_OF_RUN, ret);
}

static int jobs_list(struct fs *fs, const struct node *directory, off_t after, struct listing *l)
{
	int64_t before = after >= OFFSET_NUMBERED ? after - OFFSET_NUMBERED : 0;
	size_t max = listing_max(l) < PAGE_RUNS ? listing_max(l) : PAGE_RUNS;
	_cleanup(free) struct catalog_run *page = mem_array(max, sizeof(*page));
	ssize_t count;

	/* The oldest run is number 1: "before 1" is the end, not the beginning. */
	if (after >= OFFSET_NUMBERED && before <= 1)
		return 0;
	while ((count = catalog_runs(fs->ctx.repository->catalog, NULL, before, page, max)) > 0) {
		for (ssize_t i = 0; i < count; i++) {
			char name[NUMBER_BYTES];
			struct node node;

			snprintf(name, sizeof(name), "%lld", (long long)page[i].id);
			node_of_run(&page[i], &node);
			if (!listing_add(l, name, &node, OFFSET_NUMBERED + page[i].id))
				return 0;
			before = page[i].id;
		}
		if (before <= 1)
			return 0;
	}
	return (int)count;
}

/* The number of runs is not counted for a stat: 1 tells find(1) that the link count says nothing. */
static int jobs_stat(struct fs *fs, const struct node *node, struct stat *st, int64_t *mtime_us)
{
	st->st_mode |= fs->ctx.conf->dir_mode;
	st->st_nlink = 1;
	return 0;
}

const struct node_class class_jobs = {
        .type = S_IFDIR,
        .name_s = ATTR_FOREVER_S,
        .attributes_s = ATTR_FOREVER_S,
        .lookup = jobs_lookup,
        .list = jobs_list,
        .stat = jobs_stat,
        .path = fixed_directory_path,
};
