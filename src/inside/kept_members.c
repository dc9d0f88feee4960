// SPDX-License-Identifier: Apache-2.0
/*
 * What was found out about members by reading them, as it is kept on the disk: the points, how long a member is, and what was counted of rows; and where
 * the blocks of an archive begin that does not say so itself. What is kept of a member is for that very range of that very file only, and is
 * taken when all of it can be true.
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <string.h>

#define WORTH_BYTES                                                                                          \
	((uint64_t)256 << 10) /* stored ones: what is less is read again as soon as it is looked up */

_Static_assert(COMPRESSION_NONE == 0 && COMPRESSION_GZIP == 1 && COMPRESSION_ZSTD == 2,
               "files have these numbers");

/* Names. */

bool inside_kept_name(const struct inside_dump *d, enum kept_kind kind, uint64_t key, uint64_t file_ino,
                      struct kept_name *ret)
{
	_cleanup(manifest_object) struct manifest_object object = {0};

	if (catalog_object(d->ctx.repository->catalog, file_ino, &object) < 0)
		return false;
	*ret = (struct kept_name){
	        .dump_ino = d->ino, .finished_at_us = d->backup.m.finished_at_us, .kind = kind, .key = key};
	reader_cache_id(object.stored_sha256, &object.extents, ret->id);
	return true;
}

bool inside_kept_begin(struct inside_dump *d, const struct kept_name *name, struct kept_writer *ret)
{
	if (inside_is_gone(d))
		return false;
	kept_begin(d->in->kept, name, ret);
	return true;
}

/* Whoever removed it meanwhile may have looked before the file was there. */
void inside_kept_end(struct inside_dump *d, struct kept_writer *w)
{
	const struct kept_name name = w->name;

	kept_end(w, true);
	if (inside_is_gone(d))
		kept_forget(d->in->kept, &name);
}

/* Members. */

void inside_kept_put_rows(struct kept_writer *w, const struct rows *rows)
{
	kept_put_u64(w, rows->count);
	kept_put_u64(w, rows->bytes);
	kept_put_u64(w, rows->hash);
}

void inside_kept_get_rows(struct kept_reader *r, struct rows *ret)
{
	ret->count = kept_get_u64(r);
	ret->bytes = kept_get_u64(r);
	ret->hash = kept_get_u64(r);
}

static void put_member(struct kept_writer *w, const struct inside_member *m, const struct inside_surveyed *x)
{
	size_t count = x->points ? x->points->count : 0;

	kept_put_u64(w, m->begin);
	kept_put_u64(w, m->end);
	kept_put_u32(w, (uint32_t)m->method);
	kept_put_u32(w, m->chunks);
	kept_put_u64(w, x->bytes);
	kept_put_u32(w, x->has_rows);
	kept_put_u32(w, (uint32_t)count);
	inside_kept_put_rows(w, &x->rows);
	for (size_t i = 0; i < count; i++) {
		kept_put_u64(w, x->points->items[i].offset);
		kept_put_u64(w, x->points->items[i].raw);
		kept_put_u32(w, x->points->items[i].check);
	}
}

static bool is_worth_it(const struct inside_member *m)
{
	return m->end - m->begin >= WORTH_BYTES;
}

bool inside_keep_member(struct inside_dump *d, const struct inside_member *m, const struct inside_surveyed *x)
{
	struct kept_name name;
	struct kept_writer w;

	if (!is_worth_it(m) || !inside_kept_name(d, KEPT_MEMBER, m->key, m->file_ino, &name) ||
	    !inside_kept_begin(d, &name, &w))
		return false;
	put_member(&w, m, x);
	inside_kept_end(d, &w);
	return true;
}

static bool is_same_member(struct kept_reader *r, const struct inside_member *m)
{
	bool same = kept_get_u64(r) == m->begin;

	same = kept_get_u64(r) == m->end && same;
	same = kept_get_u32(r) == (uint32_t)m->method && same;
	return kept_get_u32(r) == m->chunks && same;
}

/* Each lies behind the one before, and within the member. */
static bool get_points(struct kept_reader *r, const struct inside_member *m, uint64_t bytes,
                       struct inside_points *points)
{
	struct inside_point last = {.offset = m->begin};

	for (size_t i = 0; i < points->count; i++) {
		struct inside_point *p = &points->items[i];

		p->offset = kept_get_u64(r);
		p->raw = kept_get_u64(r);
		p->check = kept_get_u32(r);
		if (p->offset <= last.offset || p->offset > m->end || p->raw <= last.raw || p->raw > bytes)
			return false;
		last = *p;
	}
	return true;
}

static bool get_member(struct kept_reader *r, const struct inside_member *m, struct inside_surveyed *ret)
{
	bool sound = is_same_member(r, m);
	uint32_t count;

	ret->bytes = kept_get_u64(r);
	ret->has_rows = kept_get_u32(r) != 0;
	count = kept_get_u32(r);
	inside_kept_get_rows(r, &ret->rows);
	if (!sound || count > INSIDE_POINTS_MAX ||
	    (ret->has_rows && ret->rows.bytes + INSIDE_END_BYTES != ret->bytes) ||
	    (m->has_end_mark && m->bytes != INSIDE_NOT_KNOWN && m->bytes + INSIDE_END_BYTES != ret->bytes))
		return false;
	ret->points = count > 0 ? inside_points_new(count) : NULL;
	return !ret->points || get_points(r, m, ret->bytes, ret->points);
}

bool inside_kept_member(struct inside_dump *d, const struct inside_member *m, struct inside_surveyed *ret)
{
	struct inside_surveyed found = {.is_kept = true};
	struct kept_name name;
	struct kept_reader r;

	if (!is_worth_it(m) || !inside_kept_name(d, KEPT_MEMBER, m->key, m->file_ino, &name) ||
	    !kept_open(d->in->kept, &name, &r))
		return false;
	if (!kept_close(&r, get_member(&r, m, &found))) {
		inside_points_unref(found.points);
		return false;
	}
	inside_known_put(d, m->key, &found);
	*ret = found;
	return true;
}

static void forget_kept_member(struct inside_dump *d, const struct inside_member *m)
{
	uint64_t key = d->is_text ? INSIDE_KEY_TEXT : m->key;
	struct kept_name name;

	inside_known_drop(d, key);
	if (inside_kept_name(d, KEPT_MEMBER, key, m->file_ino, &name))
		kept_forget(d->in->kept, &name);
	if (d->is_text && inside_kept_name(d, KEPT_TEXT, 0, d->ino, &name))
		kept_forget(d->in->kept, &name);
}

/* A text has no others while it is open. */
void inside_do_without_kept(struct inside_dump *d, struct inside_member *m)
{
	forget_kept_member(d, m);
	if (d->is_text)
		inside_outdate(d);
	m->points = inside_points_unref(m->points);
	m->is_kept = false;
	m->surveyed = d->is_text;
}

/* Blocks of an archive. */

void inside_keep_blocks(struct inside_dump *d)
{
	const struct inside_toc *t = &d->toc;
	struct kept_name name;
	struct kept_writer w;

	if (t->object_bytes < WORTH_BYTES || !inside_kept_name(d, KEPT_BLOCKS, 0, d->ino, &name) ||
	    !inside_kept_begin(d, &name, &w))
		return;
	kept_put_u32(&w, (uint32_t)t->count);
	for (size_t i = 0; i < t->count; i++) {
		kept_put_u32(&w, (uint32_t)t->entries[i].dump_id);
		kept_put_u64(&w, t->entries[i].offset);
	}
	inside_kept_end(d, &w);
}

static bool get_offsets(struct kept_reader *r, const struct inside_toc *t, uint64_t *offsets)
{
	uint64_t last = 0;

	if (kept_get_u32(r) != t->count)
		return false;
	for (size_t i = 0; i < t->count; i++) {
		bool same = kept_get_u32(r) == (uint32_t)t->entries[i].dump_id;

		offsets[i] = kept_get_u64(r);
		if (!same || offsets[i] < t->facts.toc_end || offsets[i] <= last ||
		    offsets[i] >= t->object_bytes)
			return false;
		last = offsets[i];
	}
	return true;
}

static void set_offsets(struct inside_dump *d, const uint64_t *offsets)
{
	struct inside_toc *t = &d->toc;

	pthread_mutex_lock(&d->lock);
	for (size_t i = 0; i < t->count; i++) {
		t->entries[i].offset = offsets[i];
		t->entries[i].end = i + 1 < t->count ? offsets[i + 1] : t->object_bytes;
		t->entries[i].has_offset = true;
	}
	pthread_mutex_unlock(&d->lock);
}

bool inside_kept_blocks(struct inside_dump *d)
{
	_cleanup(free) uint64_t *offsets = mem_array(d->toc.count + 1, sizeof(*offsets));
	struct kept_name name;
	struct kept_reader r;

	if (!inside_kept_name(d, KEPT_BLOCKS, 0, d->ino, &name) || !kept_open(d->in->kept, &name, &r))
		return false;
	if (!kept_close(&r, get_offsets(&r, &d->toc, offsets)))
		return false;
	set_offsets(d, offsets);
	return true;
}
