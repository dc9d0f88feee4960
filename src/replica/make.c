// SPDX-License-Identifier: Apache-2.0
/* One replica is made, and what the catalog says of it. */
#include "replica_private.h"

#include <keepfs/artifact/stored.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/compare.h>
#include <keepfs/catalog/copy_tree.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/needs.h>
#include <keepfs/catalog/stores.h>
#include <keepfs/codec/name.h>
#include <keepfs/stores.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <string.h>

#define NOTE_EVERY_MS  5000
#define AGAIN_FIRST_US (INT64_C(60) * US_PER_S)
#define AGAIN_MOST_US  (INT64_C(3600) * US_PER_S)

/* Rows. */

int replica_store(struct catalog *catalog, const struct conf_named_store *named, uint64_t *ret_id,
                  struct error *err)
{
	_cleanup(catalog_store) struct catalog_store at = {0};

	stores_at_section(named, &at);
	return catalog_note_store(catalog, &at, ret_id, err);
}

void replica_describe(const struct manifest *m, struct catalog_replica *row)
{
	str_copy(row->path, sizeof(row->path), m->path);
	str_copy(row->job, sizeof(row->job), m->job);
	str_copy(row->class, sizeof(row->class), str_or_empty(m->class));
	row->ino = ino_of_artifact(m->path);
	row->started_at_us = m->started_at_us;
	row->finished_at_us = m->finished_at_us;
	row->keep_until_us = m->keep_until_us;
	row->partial = m->partial;
	row->stored_bytes = manifest_stored_bytes(m);
}

int replica_note(const struct replica_order *o, const struct catalog_replica *row, struct error *err)
{
	struct error why = {0};
	int r = catalog_set_replica(o->repository->catalog, row, &why);

	if (r < 0)
		log_warning("what became of the copy of %s in %s could not be noted: %s", row->path,
		            o->named->name, why.message);
	if (r < 0 && err)
		*err = why;
	if (row->state == REPLICA_LOST || row->state == REPLICA_WRONG)
		replica_pack_is_not_right(o->repository, row);
	return r;
}

void replica_show(const struct replica_order *o, const struct manifest *m, bool anew)
{
	struct catalog *catalog = o->repository->catalog;
	struct error why = {0};

	if (!anew && catalog_has_copy_tree(catalog, o->store, m->path) != 0)
		return;
	if (catalog_set_copy_tree(catalog, o->store, m, &why) < 0)
		log_warning("the copy of %s in %s is not shown in copies/ yet: %s", m->path, o->named->name,
		            why.message);
}

bool replica_is_listed_now(struct catalog *catalog, const char *path)
{
	struct catalog_entry entry;

	return catalog_entry_by_ino(catalog, ino_of_artifact(path), &entry) == 0;
}

void replica_change_state(struct catalog_replica *row, enum replica_state state)
{
	if (row->state != state)
		row->since_us = clock_now_us();
	row->state = state;
}

void replica_want_again_if_rewrapped(const struct replica_order *o, struct catalog_replica *row,
                                     const struct manifest *there)
{
	if (row->state != REPLICA_WHOLE || !replica_is_listed_now(o->repository->catalog, row->path) ||
	    artifact_is_as_listed(o->repository, there))
		return;
	replica_change_state(row, REPLICA_WANTED);
	row->done_bytes = 0;
	(void)replica_note(o, row, NULL);
}

static bool is_same_object(const struct manifest_object *a, const struct manifest_object *b)
{
	return str_equal(a->key, b->key) && a->stored_bytes == b->stored_bytes &&
	       str_equal(a->stored_sha256, b->stored_sha256) && a->extents.count == b->extents.count &&
	       (a->extents.count == 0 || memcmp(a->extents.items, b->extents.items,
	                                        a->extents.count * sizeof(*a->extents.items)) == 0);
}

/* Manifests need not be signed: so one counts only as long as it says what was listed here. Else whoever may write in one of the stores would have his bytes put into the others, in the place of
 * the right ones. */
int replica_check_as_listed(const struct replica_order *o, const struct manifest *m, struct error *err)
{
	/* It is being rewrapped, which will be told; or somebody has put an older manifest back, by which what is in force would go from the other store, too. */
	if (!artifact_is_as_listed(o->repository, m))
		return error_set(
		        err, ERROR_CONFLICT, EAGAIN,
		        "the manifest of %s names other objects than the catalog lists, so it is not copied: it is being rewrapped, or somebody has put another manifest there",
		        m->path);
	for (size_t i = 0; i < m->file_count; i++) {
		_cleanup(manifest_object) struct manifest_object known = {0};
		_cleanup(free) char *path = NULL;
		int r;

		if (m->files[i].object == MANIFEST_NO_OBJECT)
			continue;
		path = manifest_file_path(m, &m->files[i]);
		r = catalog_object(o->repository->catalog, ino_of_artifact(path), &known);
		if (r < 0 && r != -ENOENT)
			return error_system(err, -r, "the catalog cannot be read");
		if (r < 0 || !is_same_object(&known, &m->objects[m->files[i].object]))
			return error_set(
			        err, ERROR_CORRUPT, EBADMSG,
			        "the manifest of %s says something else of %s than what was listed here: find out who has written it; nothing of it is copied",
			        m->path, path);
	}
	return 0;
}

/* Making. */

struct making {
	const struct replica_order *order;
	struct catalog_replica row;
	int64_t note_at_ms;
	uint64_t counted;
};

static int follow_copy(void *arg, uint64_t done_bytes, uint64_t stored_bytes, struct error *err)
{
	struct making *m = arg;
	const struct replica_order *o = m->order;

	m->row.done_bytes = done_bytes;
	m->row.stored_bytes = stored_bytes;
	if (o->done_bytes)
		atomic_fetch_add(o->done_bytes, done_bytes - m->counted);
	m->counted = done_bytes;
	if (clock_mono_ms() >= m->note_at_ms) {
		(void)replica_note(o, &m->row, NULL);
		m->note_at_ms = clock_mono_ms() + NOTE_EVERY_MS;
	}
	return o->wait ? o->wait(o->arg, err) : 0;
}

static int64_t again_at_us(unsigned attempts)
{
	int64_t pause_us = AGAIN_FIRST_US;

	for (unsigned i = 1; i < attempts && pause_us < AGAIN_MOST_US; i++)
		pause_us *= 2;
	return clock_now_us() + (pause_us < AGAIN_MOST_US ? pause_us : AGAIN_MOST_US);
}

static void judge_copy(struct catalog_replica *row, const struct replica_copy *copy, int r,
                       const struct error *why)
{
	if (r < 0 && row->state == REPLICA_WHOLE) {
		row->done_bytes = row->stored_bytes;
		return;
	}
	if (copy->manifest.path)
		replica_describe(&copy->manifest, row);
	if (r == 0) {
		replica_change_state(row, REPLICA_WHOLE);
		str_copy(row->manifest_sha256, sizeof(row->manifest_sha256), copy->sha256);
		row->verified_at_us = clock_now_us();
		row->done_bytes = row->stored_bytes;
		row->attempts = 0;
		row->next_try_us = 0;
		row->error[0] = '\0';
		return;
	}
	/* It goes on at once after the next start. */
	if (r == -ECANCELED)
		return;
	str_cut(row->error, sizeof(row->error), why->message);
	if (r == REPLICA_CONFLICT) {
		replica_change_state(row, REPLICA_WRONG);
		return;
	}
	row->attempts++;
	row->next_try_us = again_at_us(row->attempts);
}

struct replica_copy replica_copy_of(const struct replica_order *o, struct store *from, struct store *to,
                                    const char *path)
{
	const struct conf_store *main = &o->conf->store;

	return (struct replica_copy){.repository = o->repository,
	                             .from = from,
	                             .to = to,
	                             .path = path,
	                             .part_bytes = main->part_bytes,
	                             .max_parts = main->max_parts > 0 ? (unsigned)main->max_parts : 0,
	                             .rate = o->rate,
	                             .cancel = o->cancel};
}

/* It was rewrapped, and its replica is now what it is: what that had before goes. */
static int remove_replaced(const struct replica_order *o, struct store *to, const struct manifest *m,
                           struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};
	struct error why = {0};
	int r = artifact_remove_old_objects(to, &call, m, &why);

	if (r < 0 && artifact_is_forbidden(r, &why)) {
		log_info("%s: what the copy of %s had before stays as long as the copy: %s", o->named->name,
		         m->path, why.message);
		return 0;
	}
	if (r < 0 && err)
		*err = why;
	return r;
}

/* What was whole once, or was begun, is ours: so it is noted as begun not before it is known that nobody else has anything there. And one that is whole stays so until some of it is
 * replaced: it may be the only one that is right. */
static int begin_copy(void *arg, struct error *err)
{
	struct making *m = arg;

	replica_change_state(&m->row, REPLICA_COPYING);
	m->row.done_bytes = 0;
	return replica_note(m->order, &m->row, err);
}

/* Who holds it is said beside the copy, too: it may be the only one that is left. */
static int copy_holds(const struct replica_order *o, struct store *to, struct replica_copy *copy,
                      struct error *err)
{
	const struct store_call call = {.cancel = o->cancel};

	if (!catalog_was_held(o->repository->catalog, ino_of_artifact(copy->path)))
		return 0;
	return artifact_copy_holds(copy->from, to, &call, copy->path, false, &copy->to_failed, err);
}

static int check_made(void *arg, const struct manifest *manifest, struct error *err)
{
	const struct making *m = arg;

	return replica_check_as_listed(m->order, manifest, err);
}

static int copy_to_store(struct making *m, struct store *to, bool *target_failed, struct error *err)
{
	const struct replica_order *o = m->order;
	struct replica_copy copy = replica_copy_of(o, repository_store(o->repository), to, m->row.path);
	bool was_begun = m->row.manifest_sha256[0] || m->row.state == REPLICA_COPYING;
	struct error why = {0};
	int r;

	copy.is_ours = was_begun;
	copy.had_manifest = m->row.manifest_sha256[0] != '\0';
	copy.manifest_sha256 = m->row.manifest_sha256;
	copy.progress = follow_copy;
	copy.begin = begin_copy;
	copy.check = check_made;
	copy.arg = m;
	r = replica_copy(&copy, &why);
	if (r == 0 && was_begun && !str_equal(m->row.manifest_sha256, copy.sha256)) {
		r = remove_replaced(o, to, &copy.manifest, &why);
		copy.to_failed = r < 0;
	}
	if (r == 0)
		r = copy_holds(o, to, &copy, &why);
	*target_failed = copy.to_failed;
	judge_copy(&m->row, &copy, r, &why);
	if (r == 0)
		replica_lock(o, to, &m->row, &copy.manifest, copy.has_put);
	if (r == 0)
		replica_show(o, &copy.manifest, copy.has_put);
	if (r == 0 && copy.copied_bytes > 0)
		log_info("%s is copied to %s, whole and read back: %llu bytes", m->row.path, o->named->name,
		         (unsigned long long)copy.copied_bytes);
	if (r == 0) {
		r = replica_note(o, &m->row, &why);
		replica_want_again_if_rewrapped(o, &m->row, &copy.manifest);
	}
	manifest_finish(&copy.manifest);
	if (r != 0 && err)
		*err = why;
	return r;
}

/* Only what is not right would be replaced; but what somebody reads is his until he has done. */
static int put_off_for_reader(struct making *m, struct error *err)
{
	m->row.next_try_us = clock_now_us() + AGAIN_FIRST_US;
	(void)replica_note(m->order, &m->row, NULL);
	return error_set(err, ERROR_CONFLICT, EBUSY,
	                 "the copy of %s in %s is being read by itself: it is looked at when that is done",
	                 m->row.path, m->order->named->name);
}

static void note_failed_making(struct making *m, const struct error *why)
{
	m->row.attempts++;
	m->row.next_try_us = again_at_us(m->row.attempts);
	str_cut(m->row.error, sizeof(m->row.error), why->message);
}

static int make_opened(struct making *m, bool *target_failed, struct error *err)
{
	const struct replica_order *o = m->order;
	_cleanup(store) struct store *to = NULL;
	struct error why = {0};
	int r = repository_open_store(o->repository, o->store, &to, &why);

	*target_failed = r < 0;
	if (r == 0 && catalog_needs_packs(o->repository->catalog, m->row.ino))
		r = replica_make_packs(o, m->row.path, target_failed, &why);
	if (r < 0 && r != -ECANCELED)
		note_failed_making(m, &why);
	if (r == 0)
		r = copy_to_store(m, to, target_failed, &why);
	if (r != 0)
		(void)replica_note(o, &m->row, NULL);
	if (r != 0 && err)
		*err = why;
	return r;
}

/* Begun, it may have been removed meanwhile, and then its row may be gone: what is noted now says that something is there. */
static int make_claimed(const struct replica_order *o, const char *path, bool *target_failed,
                        struct error *err)
{
	struct making m = {.order = o, .note_at_ms = clock_mono_ms() + NOTE_EVERY_MS};
	struct catalog *catalog = o->repository->catalog;
	int r = catalog_want_replica(catalog, ino_of_artifact(path), o->store, clock_now_us(), err);

	if (r == 0)
		r = catalog_replica(catalog, path, o->store, &m.row);
	if (r == -ENOENT || (r == 0 && !m.row.is_listed))
		return error_set(err, ERROR_NOT_FOUND, ENOENT,
		                 "%s is not listed, so there is nothing to copy", path);
	if (r < 0)
		return r;
	if (!replica_begin_change(path, o->store))
		return put_off_for_reader(&m, err);
	r = make_opened(&m, target_failed, err);
	replica_end_change(path, o->store);
	return r;
}

int replica_make(const struct replica_order *o, const char *path, bool *target_failed, struct error *err)
{
	bool ignored;
	int r = replica_claim(path, o->store, o->cancel, err);

	if (r < 0)
		return r;
	if (!target_failed)
		target_failed = &ignored;
	*target_failed = false;
	r = make_claimed(o, path, target_failed, err);
	replica_end_claim(path, o->store);
	return r;
}

/* Who holds them. */

struct following_holds {
	const struct replica_order *order;
	struct store *to; /* opened when somebody holds one */
	bool *target_failed;
};

static int follow_holds_of(void *arg, const struct catalog_replica *row, struct error *err)
{
	struct following_holds *f = arg;
	const struct replica_order *o = f->order;
	const struct store_call call = {.cancel = o->cancel};
	int r;

	if (row->state != REPLICA_WHOLE || !row->is_listed ||
	    !catalog_was_held(o->repository->catalog, row->ino))
		return 0;
	r = f->to ? 0 : repository_open_store(o->repository, o->store, &f->to, err);
	if (r < 0) {
		*f->target_failed = true;
		return r;
	}
	return artifact_copy_holds(repository_store(o->repository), f->to, &call, row->path, false,
	                           f->target_failed, err);
}

int replica_follow_holds(const struct replica_order *o, bool *target_failed, struct error *err)
{
	struct following_holds f = {.order = o, .target_failed = target_failed};
	int r;

	*target_failed = false;
	r = catalog_each_replica(o->repository->catalog, NULL, o->store, follow_holds_of, &f, err);
	store_free(f.to);
	return r;
}
