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
#include <keepfs/codec/name.h>
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
	uint64_t removed, refused;
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

/* Of one that was found to be lost, or was never read there, nobody knows yet whether it is right: it is read next. */
static int note_still_there(const struct replica_order *o, struct catalog_replica *row, struct error *err)
{
	if (row->state == REPLICA_LOST || row->verified_at_us == 0)
		row->verified_at_us = 1;
	row->state = REPLICA_REMOVED;
	row->since_us = clock_now_us();
	return replica_note(o, row, err);
}

/* Without its manifest it is no copy any more, whatever is left. */
static int delete_copy(const struct replica_order *o, struct store *store, struct catalog_replica *row,
                       struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	_cleanup(free) char *published = NULL;
	struct error why = {0}, ignored = {0};
	int r = artifact_delete_copy(store, &call, row->path, &why), found;

	if (r == 0)
		r = artifact_drop_holds(store, &call, row->path, &why);
	if (r == 0)
		return catalog_forget_replica(o->repository->catalog, row->path, o->store, err);
	if (err)
		*err = why;
	if (!artifact_is_forbidden(r, &why))
		return r;
	found = artifact_find_published(store, &call, row->path, &published, &ignored);
	if (found == 0) {
		log_warning("%s: what is left of the copy of %s cannot be removed: %s", o->named->name,
		            row->path, why.message);
		return catalog_forget_replica(o->repository->catalog, row->path, o->store, err);
	}
	str_cut(row->error, sizeof(row->error), why.message);
	if (found > 0)
		(void)note_still_there(o, row, NULL);
	return r;
}

static const char *why_copy_goes(const char *path)
{
	return tree_is_pack(path) ? "no copy in that store needs it any more"
	                          : "no rule of its store keeps it any more";
}

/* It is noted as begun before anything of it goes: so what a crash leaves is removed by replica_drop_abandoned(), and is not forgotten when the names are compared. */
static int remove_unlocked_copy(struct keeping *k, struct catalog_replica *row, struct error *err)
{
	const struct replica_order *o = k->order;
	struct error why = {0};
	int r;

	row->state = REPLICA_COPYING;
	row->since_us = clock_now_us();
	r = replica_note(o, row, err);
	if (r < 0)
		return r;
	r = delete_copy(o, k->store, row, &why);
	audit_removal(o, row->path, r, r < 0 ? why.message : why_copy_goes(row->path));
	if (r == 0) {
		k->removed++;
		log_info("the copy of %s is removed from %s: %s", row->path, o->named->name,
		         why_copy_goes(row->path));
		return 0;
	}
	/* Who may write there need not be who may delete: that holds up no copy. */
	if (artifact_is_forbidden(r, &why)) {
		if (k->refused++ == 0)
			log_warning(
			        "the copy of %s stays in %s, which does not let it go, and no rule of that store keeps it any more: %s",
			        row->path, o->named->name, why.message);
		return 0;
	}
	if (err)
		*err = why;
	return r;
}

static int remove_kept_copy(struct keeping *k, const char *path, struct error *err)
{
	const struct replica_order *o = k->order;
	const struct store_call call = {.cancel = o->cancel};
	struct catalog_replica row;
	int r = catalog_replica(o->repository->catalog, path, o->store, &row);

	/* Somebody has brought it back meanwhile. */
	if (r == -ENOENT || (r == 0 && (row.state != REPLICA_REMOVED || row.is_listed)))
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = k->store ? 0 : repository_open_store(o->repository, o->store, &k->store, err);
	/* It was held when it was lost here: nobody has ended that, and nobody could have removed it. */
	if (r == 0 && !row.is_released)
		r = artifact_is_held_there(o->repository, k->store, &call, path, clock_now_us(), err);
	if (r == 0)
		r = replica_check_unlocked(o, k->store, path, err);
	if (r != 0)
		return r > 0 ? 0 : r;
	return remove_unlocked_copy(k, &row, err);
}

/* One that somebody is at, who brings it back perhaps, or reads it by itself, is looked at the next day. */
static int remove_unclaimed_copy(struct keeping *k, const char *path, struct error *err)
{
	uint64_t store = k->order->store;
	int r = 0;

	if (!replica_try_claim(path, store))
		return 0;
	if (replica_begin_change(path, store)) {
		r = remove_kept_copy(k, path, err);
		replica_end_change(path, store);
	}
	replica_end_claim(path, store);
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
		return remove_unclaimed_copy(k, copy->path, err);
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

static int remove_unneeded_copy(void *arg, const char *pack, struct error *err)
{
	return remove_unclaimed_copy(arg, pack, err);
}

/* Of those nobody else begins to need one meanwhile: what is copied needs what is listed, and these are not. */
static int remove_packs(struct keeping *k, struct error *err)
{
	const struct replica_order *o = k->order;

	return o->unsure && !*o->unsure ? replica_each_unneeded_pack(o, remove_unneeded_copy, k, err) : 0;
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
	if (r == 0)
		r = remove_packs(&k, err);
	forget_copies(&k);
	store_free(k.store);
	*ret = k.removed;
	return r;
}

/* What was begun, and is nobody's any more. */

static int drop_claimed(const struct replica_order *o, struct store *store, const char *path,
                        struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	_cleanup(free) char *published = NULL;
	struct catalog_replica row;
	int r = catalog_replica(o->repository->catalog, path, o->store, &row);

	if (r == -ENOENT ||
	    (r == 0 && ((row.state != REPLICA_COPYING && row.state != REPLICA_LOST) || row.is_listed)))
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	r = artifact_find_published(store, &call, path, &published, err);
	if (r > 0)
		return note_still_there(o, &row, err);
	if (r == 0)
		r = artifact_abort_uploads(store, &call, path, err);
	return r < 0 ? r : delete_copy(o, store, &row, err);
}

int replica_drop_abandoned(const struct replica_order *o, struct error *err)
{
	struct catalog *catalog = o->repository->catalog;
	_cleanup(store) struct store *store = NULL;
	struct catalog_replica row;
	int r;

	while ((r = catalog_abandoned_replica(catalog, o->store, &row)) == 0) {
		/* Who is at it finds out that it is not listed any more, or ends what he does; this is due again. */
		if (!replica_try_claim(row.path, o->store))
			return 0;
		r = store ? 0 : repository_open_store(o->repository, o->store, &store, err);
		if (r == 0)
			r = drop_claimed(o, store, row.path, err);
		replica_end_claim(row.path, o->store);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : error_system(err, -r, "the catalog cannot be read");
}
