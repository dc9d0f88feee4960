// SPDX-License-Identifier: Apache-2.0
/*
 * What a further store keeps of what the store of the catalog does not have any more. All replicas of one directory are planned by its rules, those of
 * artifacts that are listed among them, since they are the newest ones mostly; but only what was removed is ever deleted. So neither a mistake
 * nor somebody with the rights of keepfs's mount can have a copy deleted before its time by removing a backup.
 */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/zone.h>
#include <keepfs/catalog/audit.h>
#include <keepfs/catalog/replica_locks.h>
#include <keepfs/policy/retention.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct kept_copy {
	char *path;
	const char *content; /* those of another one are never compared */
	char *job, *class;
	struct retention_backup backup;
	int64_t started_us; /* two of one second have an order, too */
	bool is_partial, is_removed;
};

struct keeping {
	const struct replica_order *order;
	struct store *store; /* opened when something is to go */
	char *directory;     /* that is being gathered */
	struct kept_copy *copies;
	size_t count;
	uint64_t removed;
};

static void forget_copies(struct keeping *k)
{
	for (size_t i = 0; i < k->count; i++) {
		free(k->copies[i].path);
		free(k->copies[i].job);
		free(k->copies[i].class);
	}
	free(k->copies);
	free(k->directory);
	k->copies = NULL;
	k->count = 0;
	k->directory = NULL;
}

static int by_time(const void *a, const void *b)
{
	const struct kept_copy *x = a, *y = b;

	return (x->started_us > y->started_us) - (x->started_us < y->started_us);
}

static void audit_removal(const struct replica_order *o, const char *path, int r, const char *why)
{
	struct catalog_audit entry = {
	        .at_us = clock_now_us(), .uid = -1, .pid = -1, .command = "keepfs", .action = "remove-copy"};

	str_cut(entry.object, sizeof(entry.object), path);
	str_copy(entry.result, sizeof(entry.result), r < 0 ? "failed" : "ok");
	snprintf(entry.detail, sizeof(entry.detail), "from %.60s: %.400s", o->named->name, why);
	(void)catalog_add_audit(o->repository->catalog, &entry, NULL);
}

static int remove_unread_copy(struct keeping *k, const char *path, struct error *err)
{
	const struct replica_order *o = k->order;
	const struct store_call call = {.cancel = o->cancel};
	int r = k->store ? 0 : repository_open_store(o->repository, o->store, &k->store, err);

	if (r == 0)
		r = replica_check_unlocked(o, k->store, path, err);
	if (r == REPLICA_LOCKED)
		return 0;
	if (r == 0)
		r = artifact_delete(k->store, &call, path, err);
	audit_removal(o, path, r, r < 0 && err ? err->message : "no rule of its store keeps it any more");
	if (r == 0) {
		k->removed++;
		log_info("the copy of %s is removed from %s: no rule of that store keeps it any more", path,
		         o->named->name);
		r = catalog_forget_replica(o->repository->catalog, path, o->store, err);
	}
	return r;
}

/* One that somebody reads by itself is looked at the next day. */
static int remove_kept_copy(struct keeping *k, const char *path, struct error *err)
{
	int r;

	if (!replica_begin_change(path, k->order->store))
		return 0;
	r = remove_unread_copy(k, path, err);
	replica_end_change(path, k->order->store);
	return r;
}

/* What its lock alone keeps is put off, and told. */
static int carry_out_copy(struct keeping *k, const struct kept_copy *copy, unsigned reasons,
                          struct error *err)
{
	struct catalog *catalog = k->order->repository->catalog;
	struct catalog_replica_lock lock;
	int r;

	if (!copy->is_removed)
		return 0;
	if (reasons == 0)
		return remove_kept_copy(k, copy->path, err);
	r = catalog_replica_lock(catalog, copy->path, k->order->store, &lock);
	if (r == -ENOENT || (r == 0 && lock.is_put_off == (reasons == RETENTION_LOCKED)))
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	lock.is_put_off = reasons == RETENTION_LOCKED;
	return catalog_set_replica_lock(catalog, copy->path, k->order->store, &lock, err);
}

static bool are_compared(const struct kept_copy *a, const struct kept_copy *b)
{
	return a->is_partial == b->is_partial && str_equal(a->content, b->content);
}

/* What those of one content with @first make of the rules; of the other ones nothing is touched. The rules are of a job that is configured: of one
 * that is gone nobody says what may go. */
static int plan_copies(struct keeping *k, const struct kept_copy *first, struct error *err)
{
	const struct conf *conf = k->order->conf;
	const struct conf_job *job = conf_find_job(conf, first->job);
	_cleanup(free) struct retention_backup *backups = mem_array(k->count, sizeof(*backups));
	_cleanup(zone) struct zone *zone = NULL;
	struct retention_rules rules;
	size_t count = 0;
	int r;

	if (!job)
		return 0;
	conf_copy_rules(conf, job, first->class, k->order->named, &rules);
	r = zone_load(conf_zone_name(conf, job), &zone, err);
	if (r < 0)
		return r;
	for (size_t i = 0; i < k->count; i++)
		if (are_compared(first, &k->copies[i]))
			backups[count++] = k->copies[i].backup;
	retention_plan(&rules, zone, clock_now_us() / US_PER_S, backups, count);
	for (size_t i = 0, at = 0; r == 0 && i < k->count; i++) {
		const struct kept_copy *copy = &k->copies[i];

		if (are_compared(first, copy))
			r = carry_out_copy(k, copy, backups[at++].reasons, err);
	}
	return r;
}

/* A content is planned once: with the first copy of it that could go. */
static bool is_planned_before(const struct keeping *k, size_t at)
{
	for (size_t i = 0; i < at; i++)
		if (k->copies[i].is_removed && are_compared(&k->copies[i], &k->copies[at]))
			return true;
	return false;
}

static int plan_directory(struct keeping *k, struct error *err)
{
	int r = 0;

	if (k->count > 0)
		qsort(k->copies, k->count, sizeof(*k->copies), by_time);
	for (size_t i = 0; r == 0 && i < k->count; i++)
		if (k->copies[i].is_removed && !is_planned_before(k, i))
			r = plan_copies(k, &k->copies[i], err);
	forget_copies(k);
	return r;
}

/* Rows come by path, so those of a directory come together. */
static int take_copy(void *arg, const struct catalog_replica *row, struct error *err)
{
	struct keeping *k = arg;
	const char *name = strrchr(row->path, '/') + 1;
	_cleanup(free) char *directory = mem_printf("%.*s", (int)(name - row->path), row->path);
	struct catalog_replica_lock lock = {0};
	int r = 0;

	if (row->state != REPLICA_WHOLE && row->state != REPLICA_REMOVED)
		return 0;
	if (!str_equal(directory, k->directory)) {
		r = plan_directory(k, err);
		k->directory = take_ptr(&directory);
	}
	(void)catalog_replica_lock(k->order->repository->catalog, row->path, row->store, &lock);
	k->copies = mem_resize(k->copies, k->count + 1, sizeof(*k->copies));
	k->copies[k->count++] = (struct kept_copy){
	        .path = mem_strdup(row->path),
	        .content = artifact_content(name),
	        .job = mem_strdup(row->job),
	        .class = mem_strdup(row->class),
	        .backup = {.at_s = row->started_at_us / US_PER_S,
	                   .keep_until_s = row->keep_until_us / US_PER_S,
	                   .locked_until_s = (lock.until_us + US_PER_S - 1) / US_PER_S},
	        .started_us = row->started_at_us,
	        .is_partial = row->partial,
	        .is_removed = row->state == REPLICA_REMOVED && !row->is_listed,
	};
	return r;
}

int replica_clean(const struct replica_order *o, uint64_t *ret, struct error *err)
{
	struct keeping k = {.order = o};
	struct artifact_time time;
	int r;

	/* Never by a clock that is doubtful. */
	artifact_read_clock(&time);
	r = artifact_check_clock(o->repository, &time, err);
	if (r == 0)
		r = catalog_each_replica(o->repository->catalog, NULL, o->store, take_copy, &k, err);
	if (r == 0)
		r = plan_directory(&k, err);
	forget_copies(&k);
	store_free(k.store);
	*ret = k.removed;
	return r;
}
