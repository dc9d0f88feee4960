// SPDX-License-Identifier: Apache-2.0
/*
 * Restoring: a work that a run does. Each target is a backup. All of it is read and checked before anything is changed at the server, so
 * what is damaged is refused while the old database is still there.
 */
#include "copied.h"
#include "proving.h"
#include "restore_bundle.h"
#include "restore_cluster.h"
#include "restore_dump.h"
#include "restore_files.h"
#include "restore_mirror.h"
#include "restore_target.h"
#include "words.h"
#include "restore_tenant.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/artifacts.h>
#include <keepfs/catalog/drills.h>
#include <keepfs/catalog/proofs.h>
#include <keepfs/catalog/restores.h>
#include <keepfs/catalog/runs.h>
#include <keepfs/mirror/back.h>
#include <keepfs/pg.h>
#include <keepfs/use.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PAGE_TARGETS 32

/* What is restored. */

static void add_restored(struct catalog *c, const struct catalog_entry *entry, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);

	t->name = catalog_path(c, entry->ino);
	t->label = mem_strdup(t->name);
	t->directory = mem_strdup(t->name);
	t->expected_bytes = entry->size_bytes * 2; /* read to be checked, and again to be restored */
	t->stays_ino = entry->artifact_ino;
}

/* It is kept by whoever reads it: nothing of this store is. */
static int add_named_copy(struct catalog *c, const char *word, struct make_targets *ret, struct error *err)
{
	struct make_target *t = NULL;
	int r = copied_add_target(c, word, ret, &t, err);

	if (r == 0)
		t->expected_bytes *= 2;
	return r;
}

/* "documents/latest/a/b": what is in a state of a mirror, which no catalog lists. */
static bool add_named_below(struct catalog *c, const char *word, struct make_targets *ret)
{
	_cleanup(free) char *path = words_path(word), *below = NULL, *state = NULL;
	struct catalog_entry entry;
	struct make_target *t;

	if (words_find_backup(c, path, &entry) != -ENOENT ||
	    restore_mirror_find(c, path, &entry, &below) < 0 || !restore_mirror_is_one(c, &entry))
		return false;
	add_restored(c, &entry, ret);
	t = &ret->items[ret->count - 1];
	state = take_ptr(&t->name);
	t->name = mem_printf("%s/%s", state, below);
	free(t->label);
	t->label = mem_strdup(t->name);
	return true;
}

static int add_named_backup(struct catalog *c, const char *word, struct make_targets *ret, struct error *err)
{
	struct catalog_entry entry;
	int r;

	if (copied_is_word(word))
		return add_named_copy(c, word, ret, err);
	if (add_named_below(c, word, ret))
		return 0;
	r = words_find_to_restore(c, word, &entry, err);

	if (r == 0)
		add_restored(c, &entry, ret);
	return r;
}

static void add_missing(const struct catalog_target *of_run, struct str *missing)
{
	str_appendf(missing, "%s%s (%s)", missing->len > 0 ? ", " : "",
	            of_run->path[0] ? of_run->path : of_run->label,
	            of_run->path[0] ? "it is not there any more" : "that run could not make it");
}

static int add_target_of_run(struct catalog *c, const struct catalog_target *of_run, struct str *missing,
                             struct make_targets *ret)
{
	struct catalog_entry entry;
	int r = of_run->path[0] ? words_find_backup(c, of_run->path, &entry) : -ENOENT;

	if (r == 0)
		add_restored(c, &entry, ret);
	else if (r == -ENOENT)
		add_missing(of_run, missing);
	return r == -ENOENT ? 0 : r;
}

static int add_of_run(struct catalog *c, int64_t run_id, struct make_targets *ret, struct error *err)
{
	_cleanup(free) struct catalog_target *page = mem_array(PAGE_TARGETS, sizeof(*page));
	_cleanup(str) struct str missing = {0};
	size_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = catalog_run_targets(c, run_id, at, page, PAGE_TARGETS)) != 0) {
		r = n < 0 ? (int)n : 0;
		for (ssize_t i = 0; r == 0 && i < n; i++)
			r = add_target_of_run(c, &page[i], &missing, ret);
		at += n > 0 ? (size_t)n : 0;
	}
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (ret->count == 0)
		return error_set(err, ERROR_USAGE, EINVAL,
		                 "run=%" PRId64 ": that run has made no backup that is still there", run_id);
	if (missing.len > 0)
		ret->failure =
		        mem_printf("not all of run %" PRId64
		                   " can be restored; these have no backup of it, and stay as they are: %s",
		                   run_id, str_text(&missing));
	return 0;
}

/* It changes nothing, so it need not wait for one that does. */
static bool only_plans(const struct command_line *line)
{
	return str_equal(words_pair(line, "plan"), "yes") || str_equal(words_pair(line, "dry-run"), "yes");
}

static enum make_lane restore_lane(const struct command_line *line)
{
	if (restore_order_forgets(line))
		return MAKE_LANE_LOOK;
	/* Of files all of the archive is read for it. */
	if (only_plans(line))
		return words_pair(line, "to") ? MAKE_LANE_VERIFY : MAKE_LANE_LOOK;
	return MAKE_LANE_RESTORE;
}

static void add_forgotten(const struct restore_order *order, struct make_targets *ret)
{
	struct make_target *t = make_targets_add(ret);

	t->name = mem_strdup("forget");
	t->label = mem_strdup(order->into ? order->into : order->to ? order->to : "all");
	t->directory = mem_strdup("");
}

static int find_what_to_restore(struct catalog *c, const struct restore_order *order,
                                struct make_targets *ret, struct error *err)
{
	int r = order->of_run ? add_of_run(c, order->of_run, ret, err) : 0;

	for (size_t i = 0; r == 0 && i < order->line->word_count; i++)
		r = add_named_backup(c, order->line->words[i], ret, err);
	return r;
}

/* Where to. */

/* @copy is set when it is one, and @b is read from it then; *@ret_below: heap: what is meant of a state of a mirror. */
static int find_and_open(struct backup *b, const char *path, struct copied *copy, char **ret_below,
                         struct error *err)
{
	struct catalog_entry entry;
	int r;

	if (copied_is_word(path)) {
		r = copied_open(b->ctx, path, b->cancel, copy, err);
		if (r < 0)
			return r;
		b->ctx = &copy->ctx;
		return backup_open(b, ino_of_artifact(copy->path), err);
	}
	r = words_find_backup(b->ctx->repository->catalog, path, &entry);
	if (r == -ENOENT)
		r = restore_mirror_find(b->ctx->repository->catalog, path, &entry, ret_below);
	if (r < 0)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "%s is not there any more", path);
	return backup_open(b, entry.ino, err);
}

static const struct copied *copy_or_null(const struct copied *copy)
{
	return copy->view ? copy : NULL;
}

static bool is_for_files(const struct backup *b, const struct restore_order *order)
{
	return order->to || str_equal(b->m.kind, "files");
}

/* They are of no other backup. */
static int check_words_of_mirror(const struct backup *b, const struct restore_order *order, const char *below,
                                 struct error *err)
{
	if (restore_mirror_is(b) || (!order->place && !order->remove && !order->rate_bytes && !below))
		return 0;
	return error_set(
	        err, ERROR_USAGE, EINVAL,
	        "%s is no state of a mirror: delete=, rate=, to=s3://…, to=dir:/… and names below it are of these alone",
	        b->path);
}

/* They are of base backups alone. */
static int check_words_of_cluster(const struct backup *b, const struct restore_order *order,
                                  struct error *err)
{
	for (size_t i = 0; !restore_cluster_is(b) && i < order->line->pair_count; i++)
		if (restore_cluster_is_word(order->line->pairs[i].key))
			return error_set(
			        err, ERROR_USAGE, EINVAL,
			        "%s=: %s is no base backup of a [cluster NAME], which alone can be recovered to a moment",
			        order->line->pairs[i].key, b->path);
	return 0;
}

static int accept_mirror(const struct make_context *ctx, struct backup *b, const struct restore_order *order,
                         struct make_target *target, const char *below, struct error *err)
{
	const struct restore_mirror m = {.ctx = ctx, .wanted = order, .backup = b, .below = below};
	_cleanup(free) char *claim = NULL;
	int r = restore_mirror_look(&m, &claim, err);

	if (r == 0 && !order->plan)
		target->claim = take_ptr(&claim);
	if (r == 0)
		target->expected_bytes = b->m.size_bytes;
	return r;
}

static int accept_cluster(const struct make_context *ctx, struct backup *b, const struct restore_order *order,
                          struct make_target *target, const struct copied *copy, struct error *err)
{
	const struct make_order nobody = {.cancel = b->cancel};
	const struct restore_cluster c = {
	        .ctx = ctx, .order = &nobody, .wanted = order, .backup = b, .copy = copy};
	int r = restore_cluster_accept(&c, target, err);

	if (r == 0)
		target->expected_bytes = b->m.size_bytes;
	return r;
}

/* Before a run is queued: what is wrong with the words, and whether what exists was confirmed. */
static int accept_with_pool(const struct make_context *ctx, const struct restore_order *order,
                            struct make_target *target, struct cancel *cancel, struct error *err)
{
	const struct make_order nobody = {.cancel = cancel};
	_cleanup(copied) struct copied copy = {0};
	_cleanup(backup) struct backup b = {.ctx = ctx, .cancel = cancel};
	_cleanup(restore_target) struct restore_target t = {
	        .ctx = ctx, .order = &nobody, .wanted = order, .backup = &b};
	const struct restore_files files = {.ctx = ctx, .order = &nobody, .wanted = order, .backup = &b};
	_cleanup(free) char *below = NULL;
	bool is_files;
	int r = find_and_open(&b, target->name, &copy, &below, err);

	if (r == 0 && restore_bundle_is(&b))
		return restore_bundle_accept(&t, target, err);
	if (r == 0)
		r = check_words_of_mirror(&b, order, below, err);
	if (r == 0)
		r = check_words_of_cluster(&b, order, err);
	if (r < 0)
		return r;
	if (restore_cluster_is(&b))
		return accept_cluster(ctx, &b, order, target, copy_or_null(&copy), err);
	if (restore_mirror_is(&b))
		return accept_mirror(ctx, &b, order, target, below, err);
	is_files = is_for_files(&b, order);
	r = is_files ? restore_files_look(&files, err) : restore_dump_choose(&t, err);
	if (r < 0)
		return r;
	if (order->plan && !is_files)
		target->stays_ino = 0;
	if (!order->plan)
		target->claim = is_files ? restore_files_claim(order->to) : restore_dump_claim(&t);
	if (!is_files)
		target->expected_us = restore_dump_time(&t);
	return 0;
}

/* Whoever makes backups has all of the other pool. */
static int accept_target(const struct make_context *ctx, const struct restore_order *order,
                         struct make_target *target, struct cancel *cancel, struct error *err)
{
	struct make_context own = *ctx;
	int r;

	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the backup");
	r = accept_with_pool(&own, order, target, cancel, err);
	pool_free(own.pool);
	return r;
}

/* What is found is what is restored, also when it waits: a newer backup may be one of the very thing that is to be undone. */
static int restore_prepare(const struct make_context *ctx, const struct make_wanted *wanted,
                           struct make_targets *ret, struct error *err)
{
	_cleanup(restore_order) struct restore_order order = {0};
	int r = restore_order_read(wanted->line, &order, err);

	if (r == 0 && restore_order_forgets(wanted->line))
		add_forgotten(&order, ret);
	else if (r == 0)
		r = find_what_to_restore(ctx->repository->catalog, &order, ret, err);
	for (size_t i = 0; r == 0 && !restore_order_forgets(wanted->line) && i < ret->count; i++)
		r = accept_target(ctx, &order, &ret->items[i], wanted->cancel, err);
	return r;
}

/* Doing it. */

static int restore_one_archive(const struct restore_target *t, struct error *err)
{
	_cleanup(restore_files) struct restore_files files = {
	        .ctx = t->ctx, .order = t->order, .wanted = t->wanted, .backup = t->backup, .copy = t->copy};

	return restore_files_run(&files, err);
}

static int restore_one_mirror(const struct restore_target *t, const char *below, struct error *err)
{
	struct make_context reading = *t->backup->ctx;
	const struct restore_mirror m = {.ctx = t->ctx,
	                                 .reading = &reading,
	                                 .order = t->order,
	                                 .wanted = t->wanted,
	                                 .backup = t->backup,
	                                 .below = below};
	int r;

	/* Other objects than those that are damaged come back all the same. */
	if (t->backup->damage)
		make_warn(t->order, "%s is marked as damaged: %s", t->backup->path, t->backup->damage);
	reading.pool = pool_new(MIRROR_BACK_POOL_BYTES);
	if (!reading.pool)
		return error_system(err, ENOMEM, "there is no memory for bringing objects back");
	r = restore_mirror_run(&m, err);
	pool_free(reading.pool);
	return r;
}

static unsigned jobs_of(const struct restore_order *wanted)
{
	return wanted->jobs && wanted->jobs < CLUSTER_BACK_JOBS_MAX ? wanted->jobs
	                                                            : CLUSTER_BACK_JOBS_MAX / 4;
}

static int restore_one_cluster(const struct restore_target *t, struct error *err)
{
	struct make_context reading = *t->backup->ctx;
	const struct restore_cluster c = {.ctx = t->ctx,
	                                  .reading = &reading,
	                                  .order = t->order,
	                                  .wanted = t->wanted,
	                                  .backup = t->backup,
	                                  .copy = t->copy};
	int r;

	if (t->backup->damage)
		make_warn(t->order, "%s is marked as damaged: %s", t->backup->path, t->backup->damage);
	reading.pool = pool_new(CLUSTER_BACK_POOL_BYTES * jobs_of(t->wanted));
	if (!reading.pool)
		return error_system(err, ENOMEM, "there is no memory for bringing files back");
	r = restore_cluster_run(&c, err);
	pool_free(reading.pool);
	return r;
}

static int forget(const struct make_context *ctx, const struct make_order *order,
                  const struct restore_order *wanted, struct error *err)
{
	const struct catalog_restore_which which = {.run_id = wanted->of_run,
	                                            .target = wanted->into ? wanted->into : wanted->to};
	uint64_t count = 0;
	int r = catalog_forget_restores(ctx->repository->catalog, &which, &count, err);

	if (r == 0)
		make_say(order, "%" PRIu64 " restores that had left something are settled", count);
	return r;
}

static int restore_make(const struct make_context *ctx, const struct make_order *order, struct manifest *ret,
                        struct error *err)
{
	struct make_context own = *ctx;
	_cleanup(restore_order) struct restore_order wanted = {0};
	_cleanup(copied) struct copied copy = {0};
	_cleanup(backup) struct backup b = {.ctx = &own, .cancel = order->cancel};
	_cleanup(restore_target) struct restore_target t = {
	        .ctx = &own, .order = order, .wanted = &wanted, .backup = &b};
	_cleanup(free) char *below = NULL;
	int r = restore_order_read(order->line, &wanted, err);

	if (r < 0 || restore_order_forgets(order->line))
		return r < 0 ? r : forget(ctx, order, &wanted, err);
	own.pool = pool_new(PROVING_POOL_BYTES);
	if (!own.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the backup");
	r = find_and_open(&b, order->target->name, &copy, &below, err);
	t.copy = copy_or_null(&copy);
	if (t.copy)
		make_say(order, "%s is read from its copy in %s alone", copy.path, copy.store);
	if (r == 0 && restore_bundle_is(&b))
		r = restore_bundle_run(&t, err);
	else if (r == 0 && restore_cluster_is(&b))
		r = restore_one_cluster(&t, err);
	else if (r == 0 && restore_mirror_is(&b))
		r = restore_one_mirror(&t, below, err);
	else if (r == 0)
		r = is_for_files(&b, &wanted) ? restore_one_archive(&t, err) : restore_dump_run(&t, err);
	copy.ctx.pool = own.pool = pool_free(own.pool);
	return r;
}

const struct make_kind use_restore = {
        .name = "restore",
        .targets_name = "backups",
        .tells_state = true,
        .lane = restore_lane,
        .prepare = restore_prepare,
        .make = restore_make,
};

/* After a crash. */

static void clear_directory(const char *path)
{
	static const char *const files[] = {"toc.dump", "toc.dat", "list", "data_list", "database_list"};

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		_cleanup(free) char *file = mem_printf("%s/%s", path, files[i]);

		unlink(file);
	}
	rmdir(path);
}

/* As mkdtemp() made it, for a restore, for looking into a dump, or for reading a copy. */
static bool is_left_place(const char *name, const char *prefix)
{
	return str_starts(name, prefix) && strlen(name) == strlen(prefix) + strlen("XXXXXX");
}

static void clear_left_files(const char *state_dir)
{
	DIR *dir = opendir(state_dir);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup(free) char *path = mem_printf("%s/%s", state_dir, entry->d_name);

		if (is_left_place(entry->d_name, "restore-") || is_left_place(entry->d_name, "inside-"))
			clear_directory(path);
		if (is_left_place(entry->d_name, REPLICA_VIEW_PREFIX))
			replica_view_clear(path);
		tenant_file_clear(state_dir, entry->d_name);
	}
	if (dir)
		closedir(dir);
}

struct left_stages {
	struct catalog_restore *items;
	size_t count;
};

static void take_stage(void *arg, const struct catalog_restore *x)
{
	struct left_stages *left = arg;

	if (x->is_over || (x->phase != RESTORE_PHASE_FILES && x->phase != RESTORE_PHASE_FILES_OVER))
		return;
	left->items = mem_resize(left->items, left->count + 1, sizeof(*left->items));
	left->items[left->count++] = *x;
}

/* What has not got its name yet. That of a further file system below it is told of, since nobody knows where it is. */
static int clear_stages(struct catalog *catalog, struct error *err)
{
	struct left_stages left = {0};
	int r = catalog_each_restore(catalog, take_stage, &left);

	if (r < 0)
		error_system(err, -r, "the catalog cannot be read");
	for (size_t i = 0; r == 0 && i < left.count; i++) {
		const struct catalog_restore *x = &left.items[i];
		const struct catalog_restore_which which = {
		        .run_id = x->run_id, .target = x->target, .server = x->server};
		int cleared = files_stage_clear(x->target, x->made);
		_cleanup(free) char *problem =
		        cleared == 0 || cleared == -ENOENT
		                ? mem_strdup("keepfs ended in the middle of it")
		                : mem_printf("keepfs ended in the middle of it, and %s/%s is left there: %s",
		                             x->target, x->made, strerror(-cleared));

		r = catalog_leave_restore(catalog, &which, problem, err);
	}
	free(left.items);
	return r;
}

int use_restore_recover(struct catalog *catalog, const char *state_dir, struct error *err)
{
	int r;

	clear_left_files(state_dir);
	r = clear_stages(catalog, err);
	return r < 0 ? r : catalog_interrupt_restores(catalog, err);
}
