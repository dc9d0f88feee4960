// SPDX-License-Identifier: Apache-2.0
/*
 * Moving into another storage class. S3 has no other way than to copy an object onto itself. It is done as an upload in parts that the store copies, whatever the size: so there is no largest object, each
 * request is short, and a server that does not know how to copy makes no object at all, where it might take a CopyObject for a put without bytes.
 *
 * Before the upload is completed nothing has changed, and completing it replaces the object at once. Whether it is what it should be is asked afterwards: class, size, and the ETag, which is the MD5 of the
 * parts' MD5s where the server makes such. Then it gets the lock that the artifact has. What was replaced stays as an earlier version where the bucket keeps versions,
 * until its lock ends, or somebody deletes it.
 */
#include "artifact_private.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/uio.h>

#include <keepfs/artifact/class.h>
#include <keepfs/base/clock.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/classes.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/catalog/locks.h>
#include <keepfs/catalog/parts.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/name.h>
#include <keepfs/policy/classes.h>

#define ASK_US      (INT64_C(600) * US_PER_S)
#define ASK_THAW_US (INT64_C(60) * US_PER_S)
#define SPARE_US    (INT64_C(300) * US_PER_S) /* what is thawed for less is not begun with */

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), n = strlen(end);

	return len >= n && strcmp(text + len - n, end) == 0;
}

/* The counts are read to compare, to list and to rehearse. */
static bool is_of_counts(const struct manifest *m, size_t number)
{
	for (size_t i = 0; i < m->file_count; i++)
		if (m->files[i].object == number && ends_with(m->files[i].name, "tables.csv"))
			return true;
	return false;
}

bool artifact_is_moved(const struct manifest *m, size_t number)
{
	const struct manifest_object *o = &m->objects[number];

	/* What somebody else has put is never moved by us. */
	if (o->role || o->stored_bytes < CLASS_LEAST_BYTES || manifest_adopted_in(o->key, NULL))
		return false;
	return m->is_directory ? !is_of_counts(m, number) : manifest_own_object(m) == o;
}

struct moving {
	struct repository *repo;
	struct artifact_move *how;
	struct store_call call;
	struct store *store;
	struct manifest m;
	struct store_lock lock; /* of the artifact */
	struct store_features features;
	struct catalog_class row;
	uint64_t bytes;                  /* that are in the class, moved now or before */
	bool is_frozen;                  /* some of it cannot be read any more, as the store says */
	char archive[STORE_CLASS_BYTES]; /* something else has moved an object there; "": nothing has */
};

static void cleanup_moving(struct moving *v)
{
	manifest_finish(&v->m);
	store_free(v->store);
}

/* Pieces of one object. */

struct copying_pieces {
	struct moving *v;
	const struct store_class *was;
	struct store_upload *up; /* NULL: it is completed, or was not begun */
	struct store_part *parts;
	size_t count;
	uint64_t piece_bytes;
};

static void cleanup_copying_pieces(struct copying_pieces *c)
{
	const struct store_call call = {.deadline_ms = clock_mono_ms() + 15000};

	if (c->up)
		store_upload_abort(c->v->store, &call, c->was->object.key, store_upload_id(c->up), NULL);
	store_upload_free(c->up);
	free(c->parts);
}

static void plan_pieces(struct copying_pieces *c)
{
	const struct artifact_move *how = c->v->how;
	const struct store_features *f = &c->v->features;
	unsigned most = how->max_parts && how->max_parts < f->max_parts ? how->max_parts : f->max_parts;
	uint64_t bytes = c->was->object.bytes, piece = how->part_bytes;

	if (piece < f->min_part_bytes)
		piece = f->min_part_bytes;
	if (bytes / most >= piece)
		piece = bytes / most + 1;
	c->piece_bytes = piece;
	c->parts = mem_array((size_t)(bytes / piece) + 1, sizeof(*c->parts));
}

static int copy_pieces(struct copying_pieces *c, struct error *err)
{
	const struct store_object *object = &c->was->object;
	int r = 0;

	for (uint64_t at = 0; r == 0 && at < object->bytes; at += c->piece_bytes) {
		uint64_t left = object->bytes - at;
		const struct store_range from = {.key = object->key,
		                                 .offset = at,
		                                 .bytes = left < c->piece_bytes ? left : c->piece_bytes,
		                                 .if_match = object->etag[0] ? object->etag : NULL,
		                                 .is_whole = left <= c->piece_bytes && at == 0};

		r = store_upload_copy(c->up, &c->v->call, (unsigned)c->count + 1, &from, &c->parts[c->count],
		                      err);
		c->count += r == 0;
	}
	return r;
}

static bool decode_md5(const char *hex, uint8_t ret[static MD5_BYTES])
{
	static const char digits[] = "0123456789abcdef";

	if (strspn(hex, digits) != 2 * (size_t)MD5_BYTES || strlen(hex) != 2 * (size_t)MD5_BYTES)
		return false;
	for (size_t i = 0; i < MD5_BYTES; i++)
		ret[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) << 4 |
		                   (strchr(digits, hex[2 * i + 1]) - digits));
	return true;
}

/* "": it has none that says anything. */
static void etag_of_pieces(const struct copying_pieces *c, char ret[static STORE_ETAG_BYTES])
{
	_cleanup(free) uint8_t *sums = mem_array(c->count + 1, MD5_BYTES);
	const struct iovec iov = {sums, c->count * MD5_BYTES};
	uint8_t digest[MD5_BYTES];
	char hex[2 * MD5_BYTES + 1];

	ret[0] = '\0';
	for (size_t i = 0; i < c->count; i++)
		if (!decode_md5(c->parts[i].etag, sums + i * MD5_BYTES))
			return;
	md5_iov(&iov, 1, digest);
	hex_encode(digest, sizeof(digest), hex);
	snprintf(ret, STORE_ETAG_BYTES, "%s-%zu", hex, c->count);
}

static int check_what_came(const struct copying_pieces *c, const struct store_class *now, struct error *err)
{
	const struct store_object *was = &c->was->object, *is = &now->object;
	char expected[STORE_ETAG_BYTES];

	if (is->bytes != was->bytes)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "%s had %llu bytes, and has %llu since the store was asked to move it",
		                 was->key, (unsigned long long)was->bytes, (unsigned long long)is->bytes);
	if (!str_equal(now->name, c->v->how->class))
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the store has taken %s for %s and keeps it in %s: it does not know that class, so take it out of class_after",
		        was->key, c->v->how->class, now->name);
	etag_of_pieces(c, expected);
	if (expected[0] && now->etag_is_md5 && strchr(is->etag, '-') && !str_equal(is->etag, expected))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "%s has the ETag %s since it was moved, and its parts make %s: it is not what it was",
		        was->key, is->etag, expected);
	return 0;
}

/* The new version begins without the lock of the one that it has replaced. */
static int lock_what_came(const struct moving *v, const char *key, struct error *err)
{
	struct store_lock there = {0};
	int r = 0;

	if (v->lock.mode == STORE_LOCK_NONE && !v->lock.hold)
		return 0;
	r = store_lock_get(v->store, &v->call, key, &there, err);
	if (r == 0 && v->lock.mode != STORE_LOCK_NONE && there.until_us < v->lock.until_us) {
		const struct store_lock wanted = {.mode = there.mode > v->lock.mode ? there.mode
		                                                                    : v->lock.mode,
		                                  .until_us = v->lock.until_us};

		r = store_lock_extend(v->store, &v->call, key, &there, &wanted, err);
	}
	if (r == 0 && v->lock.hold && !there.hold)
		r = store_legal_hold(v->store, &v->call, key, true, err);
	if (r < 0)
		error_prefix(err, "%s was moved, and could not be locked as before", key);
	return r;
}

/* What is to be locked or held is noted in the catalog before the first object is, and the manifest comes last: so one of the two tells, also while the tidier is at it. */
static int learn_lock(struct moving *v, struct error *err)
{
	struct catalog_lock known = {0};
	int64_t most_us;
	int r = artifact_stored_lock(v->repo, v->store, &v->call, v->m.path, &v->lock, err);

	if (r < 0 || v->features.lock_mode == STORE_LOCK_NONE)
		return r;
	v->lock.hold = v->lock.hold || catalog_is_held(v->repo->catalog, v->row.ino, v->how->now_us);
	(void)catalog_lock_of(v->repo->catalog, v->row.ino, &known);
	most_us = (v->features.clock_us ? v->features.clock_us : v->how->now_us) + v->features.lock_max_us;
	most_us = known.wanted_us < most_us ? known.wanted_us : most_us;
	if (v->lock.mode != STORE_LOCK_NONE && v->lock.until_us < most_us)
		v->lock.until_us = most_us;
	return 0;
}

/* While the store copied it may have been locked for longer, or held: that is on what was replaced. */
static int lock_as_it_is_now(struct moving *v, struct error *err)
{
	struct store_lock was = v->lock;
	int r = v->how->objects > 0 ? learn_lock(v, err) : 0;

	if (was.mode == v->lock.mode && was.until_us >= v->lock.until_us && was.hold >= v->lock.hold)
		return r;
	for (size_t i = 0; r == 0 && i < v->m.object_count; i++)
		if (artifact_is_moved(&v->m, i))
			r = lock_what_came(v, v->m.objects[i].key, err);
	return r;
}

static bool is_locked_now(const struct moving *v)
{
	int64_t now_us = v->features.clock_us ? v->features.clock_us : v->how->now_us;

	return v->lock.hold || (v->lock.mode != STORE_LOCK_NONE && v->lock.until_us > now_us);
}

/* What was replaced. That it could not be deleted is no failure: it is told. */
static void drop_replaced(struct moving *v, const struct store_class *was)
{
	struct error why = {0};

	if (!was->version[0])
		return;
	if (v->how->delete_versions && !is_locked_now(v) &&
	    store_version_remove(v->store, &v->call, was->object.key, was->version, &why) == 0)
		return;
	if (why.message[0])
		log_warning("%s is in %s now, and its earlier version is still stored: %s", was->object.key,
		            v->how->class, why.message);
	v->how->left++;
}

static int complete_pieces(struct copying_pieces *c, struct store_class *now, struct error *err)
{
	int r = store_upload_complete(c->up, &c->v->call, c->parts, c->count, err);

	if (r < 0)
		return r;
	c->up = store_upload_free(c->up);
	r = store_class_get(c->v->store, &c->v->call, c->was->object.key, now, err);
	return r < 0 ? r : check_what_came(c, now, err);
}

static int move_object(struct moving *v, const struct store_class *was, struct error *err)
{
	_cleanup(copying_pieces) struct copying_pieces c = {.v = v, .was = was};
	struct store_class now;
	int r;

	plan_pieces(&c);
	r = store_upload_begin_in(v->store, &v->call, was->object.key, v->how->class, &c.up, err);
	if (r == 0)
		r = copy_pieces(&c, err);
	if (r == 0)
		r = complete_pieces(&c, &now, err);
	if (r == 0)
		r = lock_what_came(v, was->object.key, err);
	if (r < 0)
		return r;
	v->how->objects++;
	v->how->bytes += was->object.bytes;
	v->is_frozen = v->is_frozen || now.is_frozen;
	drop_replaced(v, was);
	return 0;
}

static int look_and_move(struct moving *v, const struct manifest_object *o, struct error *err)
{
	struct store_class was;
	int r = store_class_get(v->store, &v->call, o->key, &was, err);

	if (r < 0)
		return r;
	if (was.object.bytes != o->stored_bytes)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s has %llu bytes, its manifest says %llu",
		                 o->key, (unsigned long long)was.object.bytes,
		                 (unsigned long long)o->stored_bytes);
	v->bytes += was.object.bytes;
	v->is_frozen = v->is_frozen || was.is_frozen;
	/* It was moved before a crash, perhaps right before it would have been locked. */
	if (str_equal(was.name, v->how->class))
		return lock_what_came(v, o->key, err);
	if (class_is_archive(was.name)) {
		str_copy(v->archive, sizeof(v->archive), was.name);
		return 0;
	}
	return move_object(v, &was, err);
}

static int set_class_row(struct moving *v, struct error *err)
{
	return catalog_set_class(v->repo->catalog, &v->row, err);
}

static int move_all(struct moving *v, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < v->m.object_count; i++) {
		if (cancel_is_set(v->call.cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		if (artifact_is_moved(&v->m, i))
			r = look_and_move(v, &v->m.objects[i], err);
	}
	return r == 0 ? lock_as_it_is_now(v, err) : r;
}

/* What was moved by then stays there, and whoever reads has to know. */
static void note_moved(struct moving *v, bool whole)
{
	struct catalog_class *row = &v->row;

	row->is_frozen = v->is_frozen || (row->is_frozen && !whole);
	if (whole || row->is_frozen) {
		if (v->bytes > 0)
			str_copy(row->name, sizeof(row->name), v->archive[0] ? v->archive : v->how->class);
		row->bytes = v->bytes;
		row->since_us = v->how->now_us;
	}
	if (!whole)
		return;
	str_copy(row->wanted, sizeof(row->wanted), v->how->class);
	row->moving[0] = row->why[0] = '\0';
	row->failures = row->next_try_us = 0;
}

static int move_claimed(struct moving *v, struct error *err)
{
	char date[CLOCK_ISO_BYTES];
	int r = set_class_row(v, err);

	if (r == 0)
		r = move_all(v, err);
	note_moved(v, r == 0);
	if (is_locked_now(v) && v->how->left > 0)
		str_copy(v->how->locked_until, sizeof(v->how->locked_until),
		         v->lock.mode == STORE_LOCK_NONE ? "a legal hold is taken off"
		                                         : clock_format_iso(v->lock.until_us, date));
	if (r < 0) {
		set_class_row(v, NULL);
		return r;
	}
	return set_class_row(v, err);
}

static int begin_moving(struct moving *v, uint64_t ino, struct error *err)
{
	_cleanup(free) char *path = catalog_path(v->repo->catalog, ino);
	int r = catalog_class_of(v->repo->catalog, ino, &v->row);

	if (!path)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "it is not there any more");
	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (r == -ENOENT)
		v->row = (struct catalog_class){.ino = ino};
	r = repository_store_of(v->repo, path, &v->store, err);
	if (r == 0)
		r = artifact_fetch(v->repo, v->store, &v->call, path, &v->m, err);
	if (r > 0)
		r = -EBADMSG;
	if (r == 0)
		r = store_features(v->store, &v->features, err);
	if (r == 0)
		r = learn_lock(v, err);
	if (r == 0 && v->row.moving[0])
		r = artifact_abort_uploads(v->store, &v->call, path, err);
	str_copy(v->row.moving, sizeof(v->row.moving), v->how->class);
	return r;
}

int artifact_move(struct repository *repo, uint64_t ino, struct artifact_move *how, struct error *err)
{
	_cleanup(moving) struct moving v = {.repo = repo, .how = how, .call = {.cancel = how->cancel}};
	int r = begin_moving(&v, ino, err);

	if (r == 0)
		r = artifact_claim_move(repo, ino, v.m.path, class_is_archive(how->class), err);
	if (r < 0)
		return r;
	r = move_claimed(&v, err);
	artifact_let_go(repo, ino, ARTIFACT_MOVES);
	return r;
}

int artifact_end_move(struct repository *repo, const struct catalog_class *row, struct cancel *cancel,
                      struct error *err)
{
	const struct store_call call = {.cancel = cancel};
	_cleanup(store) struct store *store = NULL;
	struct catalog_class now = *row;
	int r = repository_store_of(repo, row->path, &store, err);

	if (r == 0)
		r = artifact_abort_uploads(store, &call, row->path, err);
	now.moving[0] = '\0';
	return r < 0 ? r : catalog_set_class(repo->catalog, &now, err);
}

/* Thawing. */

struct thawing {
	struct repository *repo;
	struct store_call call;
	struct store *store;
	struct manifest m;
};

static void thawing_finish(struct thawing *t)
{
	manifest_finish(&t->m);
	store_free(t->store);
}

static void cleanup_thawing(struct thawing *t)
{
	thawing_finish(t);
}

static int begin_thawing(struct thawing *t, uint64_t ino, struct error *err)
{
	_cleanup(free) char *path = catalog_path(t->repo->catalog, ino);
	int r;

	if (!path)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "it is not there any more");
	r = repository_store_of(t->repo, path, &t->store, err);
	if (r == 0)
		r = artifact_fetch(t->repo, t->store, &t->call, path, &t->m, err);
	return r > 0 ? -EBADMSG : r;
}

static int thaw_object(struct thawing *t, const struct manifest_object *o, struct artifact_thaw *io,
                       struct error *err)
{
	struct store_class class;
	int r = store_class_get(t->store, &t->call, o->key, &class, err);

	if (r < 0 || (!class.is_frozen && class.ready_until_us == 0))
		return r;
	io->objects++;
	io->bytes += o->stored_bytes;
	str_copy(io->class, sizeof(io->class), class.name);
	io->thawing += class.is_thawing;
	io->done += !class.is_frozen;
	if (io->plan || class.is_thawing)
		return 0;
	return store_class_thaw(t->store, &t->call, o->key, &io->how, NULL, err);
}

/* Asked for anew, how it stands is asked of the store by whoever reads next. */
static int note_thaw(struct repository *repo, uint64_t ino, const struct artifact_thaw *io, uint64_t bytes,
                     struct error *err)
{
	struct catalog_class row;
	int r = catalog_class_of(repo->catalog, ino, &row);

	if (r < 0 && r != -ENOENT)
		return error_system(err, -r, "the catalog cannot be read");
	if (r == -ENOENT)
		row = (struct catalog_class){.ino = ino, .since_us = clock_now_us()};
	row.is_frozen = true;
	row.bytes = bytes;
	str_copy(row.name, sizeof(row.name), io->class);
	row.thaw_at_us = clock_now_us();
	row.thaw_days = io->how.days;
	str_copy(row.thaw_tier, sizeof(row.thaw_tier), store_thaw_tier_name(io->how.tier));
	row.asked_at_us = row.ready_until_us = 0;
	return catalog_set_class(repo->catalog, &row, err);
}

static int thaw_all(struct thawing *t, struct artifact_thaw *io, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < t->m.object_count; i++) {
		if (cancel_is_set(t->call.cancel))
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		/* A lifecycle rule moves what lies beside, too, but nothing that is small. */
		if (t->m.objects[i].stored_bytes > 0 && !manifest_adopted_in(t->m.objects[i].key, NULL))
			r = thaw_object(t, &t->m.objects[i], io, err);
	}
	return r;
}

int artifact_thaw(struct repository *repo, uint64_t ino, struct artifact_thaw *io, struct error *err)
{
	_cleanup(thawing) struct thawing t = {.repo = repo, .call = {.cancel = io->cancel}};
	uint64_t bytes = io->bytes, objects = io->objects;
	int r = begin_thawing(&t, ino, err);

	if (r == 0)
		r = thaw_all(&t, io, err);
	if (r < 0 || io->plan || io->objects == objects)
		return r;
	return note_thaw(repo, ino, io, io->bytes - bytes, err);
}

/* Can it be read? */

struct frozen_look {
	unsigned frozen, thawing;
	char name[STORE_CLASS_BYTES]; /* of what was looked at last */
	int64_t ready_until_us;       /* the first end; 0: nothing is thawed */
};

/* One that is frozen is enough to know that it cannot be read. */
static int look_at_objects(struct thawing *t, struct frozen_look *l, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && l->frozen == 0 && i < t->m.object_count; i++) {
		struct store_class class;

		if (t->m.objects[i].stored_bytes == 0 || manifest_adopted_in(t->m.objects[i].key, NULL))
			continue;
		r = store_class_get(t->store, &t->call, t->m.objects[i].key, &class, err);
		if (r < 0)
			return r;
		str_copy(l->name, sizeof(l->name), class.name);
		l->frozen += class.is_frozen;
		l->thawing += class.is_frozen && class.is_thawing;
		if (class.ready_until_us && (!l->ready_until_us || class.ready_until_us < l->ready_until_us))
			l->ready_until_us = class.ready_until_us;
	}
	return r;
}

static int ask_how_it_stands(struct repository *repo, struct catalog_class *row, int64_t now_us,
                             struct cancel *cancel, struct error *err)
{
	_cleanup(thawing) struct thawing t = {.repo = repo, .call = {.cancel = cancel}};
	struct frozen_look l = {0};
	int r = begin_thawing(&t, row->ino, err);

	if (r == 0)
		r = look_at_objects(&t, &l, err);
	if (r < 0)
		return r;
	row->asked_at_us = now_us;
	row->ready_until_us = l.frozen ? 0 : l.ready_until_us;
	/* Somebody has moved it, or it never was. What class_after wants was done all the same, and is not done against him. */
	if (l.frozen == 0 && l.ready_until_us == 0) {
		row->is_frozen = false;
		row->thaw_at_us = 0;
		str_copy(row->name, sizeof(row->name), l.name);
	}
	/* Its time is over, or somebody else asks. */
	if (l.frozen && !l.thawing && now_us - row->thaw_at_us > ASK_US)
		row->thaw_at_us = 0;
	if (l.thawing && row->thaw_at_us == 0)
		row->thaw_at_us = now_us;
	return catalog_set_class(repo->catalog, row, err);
}

static bool is_worth_asking(const struct catalog_class *row, int64_t now_us)
{
	int64_t pause_us = row->thaw_at_us ? ASK_THAW_US : ASK_US;

	return row->ready_until_us < now_us + SPARE_US &&
	       (row->asked_at_us > now_us || now_us - row->asked_at_us >= pause_us);
}

static int tell_frozen(const struct catalog_class *row, struct error *err)
{
	char at[CLOCK_ISO_BYTES];
	const char *name = tree_short(row->path);

	if (row->thaw_at_us)
		error_set(
		        err, ERROR_UNAVAILABLE, EIO,
		        "%s is frozen in the storage class %s; thawing it was asked for at %s, and is not done yet: try again later (status/thaws)",
		        name, row->name, clock_format_iso(row->thaw_at_us, at));
	else
		error_set(
		        err, ERROR_USAGE, EIO,
		        "%s is frozen in the storage class %s, and cannot be read before it is thawed: echo '%s' > control/thaw, or keepfs thaw %s, and try again when it is ready (status/thaws)",
		        name, row->name, name, name);
	if (err)
		str_copy(err->storage_class, sizeof(err->storage_class), row->name);
	return ARTIFACT_FROZEN;
}

int artifact_look_frozen(struct repository *repo, uint64_t ino, struct cancel *cancel,
                         struct catalog_class *ret, struct error *err)
{
	int64_t now_us = clock_now_us();
	struct catalog_class row;
	int r;

	(void)catalog_artifact_of(repo->catalog, ino, &ino);
	r = catalog_class_of(repo->catalog, ino, &row);
	if (r == -ENOENT || (r == 0 && !row.is_frozen))
		return 0;
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	if (is_worth_asking(&row, now_us))
		r = ask_how_it_stands(repo, &row, now_us, cancel, err);
	if (r < 0)
		return r;
	if (ret)
		*ret = row;
	if (!row.is_frozen || row.ready_until_us > now_us)
		return 0;
	return tell_frozen(&row, err);
}

bool artifact_note_frozen(struct repository *repo, uint64_t ino, const struct error *why)
{
	struct catalog_class row;
	struct error err = {0};

	if (!why || !why->storage_class[0])
		return false;
	(void)catalog_artifact_of(repo->catalog, ino, &ino);
	/* It is known, as a rule: nothing has to be written for each read. */
	if (catalog_class_of(repo->catalog, ino, &row) == 0 && row.is_frozen && row.ready_until_us == 0 &&
	    str_equal(row.name, why->storage_class))
		return true;
	if (catalog_note_frozen(repo->catalog, ino, why->storage_class, clock_now_us(), &err) < 0)
		log_warning("that a backup is frozen could not be noted: %s", err.message);
	return true;
}
