// SPDX-License-Identifier: Apache-2.0
/* Where the rows of a table are, and where they can be entered. */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>

#define BLOCK_HEAD_BYTES 6

/* Points. */

void inside_known_get(struct inside_dump *d, struct inside_member *m)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < INSIDE_KNOWN; i++) {
		struct inside_known *k = &d->known[i];

		if (!k->surveyed || k->key != m->key)
			continue;
		k->tick = ++d->known_tick;
		inside_points_unref(m->points);
		m->points = inside_points_ref(k->points);
		m->surveyed = true;
		m->is_kept = k->is_kept;
		if (m->key & INSIDE_KEY_BLOB && k->bytes != INSIDE_NOT_KNOWN)
			m->bytes = k->bytes;
		break;
	}
	pthread_mutex_unlock(&d->lock);
}

void inside_known_put(struct inside_dump *d, uint64_t key, const struct inside_surveyed *x)
{
	struct inside_known *place;

	pthread_mutex_lock(&d->lock);
	place = &d->known[0];
	for (unsigned i = 0; i < INSIDE_KNOWN; i++) {
		if (d->known[i].surveyed && d->known[i].key == key) {
			place = &d->known[i];
			break;
		}
		if (d->known[i].tick < place->tick)
			place = &d->known[i];
	}
	inside_points_unref(place->points);
	*place = (struct inside_known){.key = key,
	                               .tick = ++d->known_tick,
	                               .surveyed = true,
	                               .is_kept = x->is_kept,
	                               .bytes = x->bytes,
	                               .points = inside_points_ref(x->points)};
	pthread_mutex_unlock(&d->lock);
}

void inside_known_drop(struct inside_dump *d, uint64_t key)
{
	pthread_mutex_lock(&d->lock);
	for (unsigned i = 0; i < INSIDE_KNOWN; i++) {
		if (!d->known[i].surveyed || d->known[i].key != key)
			continue;
		inside_points_unref(d->known[i].points);
		d->known[i] = (struct inside_known){0};
	}
	pthread_mutex_unlock(&d->lock);
}

/* Of the index, unless something was found by reading. */
void inside_find_points(struct inside_dump *d, size_t record, size_t count, struct inside_member *m)
{
	_cleanup(inside_surveyed) struct inside_surveyed x = {.bytes = INSIDE_NOT_KNOWN};

	inside_known_get(d, m);
	if (m->surveyed || count == 0)
		return;
	x.points = inside_points_of_records(&d->toc.segments.items[record], count);
	inside_known_put(d, m->key, &x);
	m->points = inside_points_ref(x.points);
	m->surveyed = true;
}

/* Files. */

static enum compression_method method_of_name(const char *name)
{
	if (str_ends(name, ".gz"))
		return COMPRESSION_GZIP;
	return str_ends(name, ".zst") ? COMPRESSION_ZSTD : COMPRESSION_NONE;
}

static void be_file(const struct catalog_entry *file, struct inside_member *m)
{
	m->file_ino = file->ino;
	m->end = file->size_bytes;
	m->method = method_of_name(file->name);
}

int inside_member_of_file(const struct inside_dump *d, const char *name, struct inside_member *ret,
                          struct error *err)
{
	struct catalog_entry file;
	int r = backup_find_data(&d->backup, name, &file, err);

	if (r < 0)
		return inside_blame(d, r, err);
	be_file(&file, ret);
	return 0;
}

int inside_member_of_text(const struct inside_dump *d, struct inside_member *ret, struct error *err)
{
	struct catalog_entry own;
	int r = backup_own(&d->backup, &own);

	if (r < 0)
		return inside_blame(d, error_system(err, -r, "the backup cannot be found in the catalog"),
		                    err);
	*ret = (struct inside_member){.bytes = INSIDE_NOT_KNOWN};
	be_file(&own, ret);
	return 0;
}

/* Archives without offsets: where the blocks begin. */

struct locating {
	struct inside_dump *dump;
	struct pg_archive_scan *scan;
	size_t next;
};

static int note_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	struct locating *l = arg;
	struct inside_toc *t = &l->dump->toc;
	struct inside_entry *e = &t->entries[l->next];
	uint64_t at = pg_archive_scan_offset(l->scan) - BLOCK_HEAD_BYTES;

	if (l->next == t->count || e->dump_id != dump_id)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the archive's block of entry %d is not where the table of contents says",
		                 dump_id);
	pthread_mutex_lock(&l->dump->lock);
	e->offset = at;
	e->end = t->object_bytes;
	e->has_offset = true;
	if (l->next++ > 0)
		e[-1].end = at;
	pthread_mutex_unlock(&l->dump->lock);
	return 0;
}

static int scan_for_blocks(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

/* Where it ends too early those before it are known all the same. */
static int find_blocks(struct inside_dump *d, struct cancel *cancel, struct error *err)
{
	struct locating l = {.dump = d};
	const struct pg_archive_events events = {.block = note_block, .arg = &l};
	int r;

	l.scan = pg_archive_scan_new(&events);
	r = inside_read_stored(d, 0, d->toc.object_bytes, cancel, scan_for_blocks, l.scan, err);
	if (r == 0)
		r = pg_archive_scan_end(l.scan, err);
	pg_archive_scan_free(l.scan);
	if (r == 0 && l.next == d->toc.count)
		inside_keep_blocks(d);
	return r;
}

static bool is_located(struct inside_dump *d, const struct inside_entry *e)
{
	bool located;

	pthread_mutex_lock(&d->lock);
	located = e->has_offset;
	pthread_mutex_unlock(&d->lock);
	return located;
}

bool inside_is_located(struct inside_dump *d, const struct inside_entry *e)
{
	return d->is_text || d->backup.is_directory || is_located(d, e);
}

static int locate_block(struct inside_dump *d, const struct inside_entry *e, struct cancel *cancel,
                        struct error *err)
{
	struct error why = {0};
	int r;

	if (is_located(d, e))
		return 0;
	r = inside_once_begin(d, &d->surveying, cancel, err);
	if (r < 0)
		return r;
	r = is_located(d, e) || inside_kept_blocks(d) ? 0 : find_blocks(d, cancel, &why);
	inside_once_end(d, &d->surveying);
	if (r == 0 || is_located(d, e))
		return 0;
	if (err)
		*err = why;
	return inside_blame(d, r, err);
}

/* Tables. */

static enum compression_method method_of_archive(const struct inside_dump *d)
{
	switch (d->toc.facts.compression) {
	case PG_ARCHIVE_GZIP:
		return COMPRESSION_GZIP;
	case PG_ARCHIVE_ZSTD:
		return COMPRESSION_ZSTD;
	default:
		return COMPRESSION_NONE;
	}
}

int inside_member_of_block(struct inside_dump *d, struct inside_entry *e, struct cancel *cancel,
                           struct inside_member *ret, struct error *err)
{
	int r = locate_block(d, e, cancel, err);

	if (r < 0)
		return r;
	pthread_mutex_lock(&d->lock);
	ret->begin = e->offset;
	ret->end = e->end;
	pthread_mutex_unlock(&d->lock);
	ret->file_ino = d->ino;
	ret->method = method_of_archive(d);
	ret->chunks = true;
	return 0;
}

static int find_rows_place(struct inside_dump *d, struct inside_entry *e, struct cancel *cancel,
                           struct inside_member *m, struct error *err)
{
	_cleanup(inside_texts) struct inside_texts texts = {0};
	int r;

	m->has_end_mark = true;
	if (!d->backup.is_directory) {
		m->block_id = e->dump_id;
		return inside_member_of_block(d, e, cancel, m, err);
	}
	r = inside_toc_texts(&d->toc, e, &texts, err);
	return r < 0 ? r : inside_member_of_file(d, texts.file_name, m, err);
}

/* It is a range of the text, which has points for all of it. */
static int find_range(struct inside_dump *d, const struct inside_entry *e, struct inside_member *m,
                      struct error *err)
{
	int r = inside_member_of_text(d, m, err);

	if (r < 0)
		return r;
	m->raw_from = e->offset;
	m->bytes = e->expected.bytes;
	m->points = inside_points_ref(d->text_points);
	m->surveyed = true;
	m->is_kept = d->text_is_kept;
	return 0;
}

int inside_member_of_table(struct inside_dump *d, uint32_t number, struct cancel *cancel,
                           struct inside_member *ret, struct error *err)
{
	struct inside_entry *e = inside_entry_of(d, number);
	_cleanup(inside_member) struct inside_member m = {.key = number, .bytes = INSIDE_NOT_KNOWN};
	int r;

	if (!e)
		return error_set(err, ERROR_NOT_FOUND, ENOENT, "the dump has no table of that number");
	r = d->is_text ? find_range(d, e, &m, err) : find_rows_place(d, e, cancel, &m, err);
	if (r < 0)
		return r;
	if (!d->is_text) {
		pthread_mutex_lock(&d->lock);
		m.bytes = e->has_counts ? e->expected.bytes : INSIDE_NOT_KNOWN;
		pthread_mutex_unlock(&d->lock);
		inside_find_points(d, e->record, e->record_count, &m);
	}
	*ret = m;
	m.points = NULL;
	return 0;
}
