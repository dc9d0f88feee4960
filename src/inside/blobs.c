// SPDX-License-Identifier: Apache-2.0
/*
 * Large objects. Which there are is found once, when somebody asks: in the segment index, where that has all of them; else by reading the heads of
 * what is in their blocks, or the lists of a directory. There may be millions: the list is in a file, by oid, and has 40 bytes of each
 * in memory only while it is made. Those of a text of SQL were found when it was opened (text_blobs.c).
 */
#include "inside_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog/entries.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct stored_blob {
	uint32_t oid;
	uint32_t entry;  /* of the table of contents, by its place */
	uint64_t begin;  /* of an archive: of its first chunk */
	uint64_t bytes;  /* INSIDE_NOT_KNOWN */
	uint64_t record; /* of the segment index, 0 of 0: it has none; of a text: of its runs */
	uint64_t records;
};

struct blob_list {
	struct inside_dump *dump;
	struct cancel *cancel;
	struct stored_blob *items;
	size_t count, cap;
	/* Of the index alone. */
	struct stored_blob *indexed; /* by oid */
	size_t indexed_count;
	/* While a block is read. */
	struct pg_archive_scan *scan;
	size_t entry;
	uint64_t ahead; /* of what the scan counts */
};

static void cleanup_blob_list(struct blob_list *l)
{
	free(l->items);
	free(l->indexed);
	pg_archive_scan_free(l->scan);
}

static int by_oid(const void *a, const void *b)
{
	const struct stored_blob *one = a, *other = b;

	return (one->oid > other->oid) - (one->oid < other->oid);
}

/* The index. */

static void list_indexed(struct blob_list *l)
{
	const struct segment_index *x = &l->dump->toc.segments;

	l->indexed = mem_array(x->count + 1, sizeof(*l->indexed));
	for (size_t i = 0; i < x->count; i++) {
		const struct segment_record *r = &x->items[i];
		struct stored_blob *last = l->indexed_count > 0 ? &l->indexed[l->indexed_count - 1] : NULL;

		if (r->oid == 0)
			continue;
		if (last && last->oid == r->oid && last->entry == r->entry) {
			last->bytes += r->raw_bytes;
			last->records++;
			continue;
		}
		l->indexed[l->indexed_count++] = (struct stored_blob){.oid = r->oid,
		                                                      .entry = r->entry,
		                                                      .begin = r->offset,
		                                                      .bytes = r->raw_bytes,
		                                                      .record = i,
		                                                      .records = 1};
	}
	if (l->indexed_count > 0)
		qsort(l->indexed, l->indexed_count, sizeof(*l->indexed), by_oid);
}

static void add_blob(struct blob_list *l, const struct stored_blob *blob)
{
	const struct stored_blob *known = l->indexed_count > 0 ? bsearch(blob, l->indexed, l->indexed_count,
	                                                                 sizeof(*l->indexed), by_oid)
	                                                       : NULL;
	struct stored_blob *to;

	if (l->count == l->cap) {
		l->cap = l->cap ? 2 * l->cap : 256;
		l->items = mem_resize(l->items, l->cap, sizeof(*l->items));
	}
	to = &l->items[l->count++];
	*to = *blob;
	if (!known || (blob->begin != 0 && known->begin != blob->begin))
		return;
	to->bytes = known->bytes;
	to->record = known->record;
	to->records = known->records;
}

/* All that were counted have a record: what is empty has none, and of very many some were left out. */
static bool take_indexed(struct blob_list *l, const struct inside_entry *e)
{
	size_t found = 0;

	for (size_t i = 0; i < l->indexed_count; i++)
		found += l->indexed[i].entry == (uint32_t)e->dump_id;
	if (!e->has_counts || found != e->expected.count || !e->has_offset)
		return false;
	for (size_t i = 0; i < l->indexed_count; i++) {
		struct stored_blob blob = l->indexed[i];

		if (blob.entry != (uint32_t)e->dump_id)
			continue;
		blob.entry = (uint32_t)(e - l->dump->toc.entries);
		add_blob(l, &blob);
	}
	return true;
}

/* Blocks of an archive. */

static int note_blob(void *arg, uint32_t oid, struct error *err)
{
	struct blob_list *l = arg;
	const struct stored_blob blob = {.oid = oid,
	                                 .entry = (uint32_t)l->entry,
	                                 .begin = pg_archive_scan_offset(l->scan) + l->ahead,
	                                 .bytes = INSIDE_NOT_KNOWN};

	add_blob(l, &blob);
	return 0;
}

static int scan_blobs(void *arg, const void *data, size_t len, struct error *err)
{
	return pg_archive_scan_feed(arg, data, len, err);
}

static int list_block(struct blob_list *l, size_t entry, struct error *err)
{
	struct inside_dump *d = l->dump;
	const struct pg_archive_events events = {.blob = note_blob, .arg = l};
	_cleanup(inside_member) struct inside_member m = {0};
	int r = inside_member_of_block(d, &d->toc.entries[entry], l->cancel, &m, err);
	if (r < 0)
		return r;
	l->entry = entry;
	l->ahead = m.begin - d->toc.facts.toc_end;
	pg_archive_scan_free(l->scan);
	l->scan = pg_archive_scan_new(&events);
	r = inside_toc_feed(&d->toc, l->scan, err);
	return r < 0 ? r : inside_read_stored(d, m.begin, m.end, l->cancel, scan_blobs, l->scan, err);
}

/* Lists of a directory: "16403 blob_16403.dat". */

static int keep_blob_lines(void *arg, const void *data, size_t len, struct error *err)
{
	return spool_put(arg, data, len, err);
}

static int take_listed(void *arg, uint32_t oid, const char *name, struct error *err)
{
	struct blob_list *l = arg;
	const struct stored_blob blob = {.entry = (uint32_t)l->entry, .oid = oid, .bytes = INSIDE_NOT_KNOWN};
	_cleanup(free) char *expected = mem_printf("blob_%u.dat", oid);

	if (!str_equal(name, expected))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "'%u %.40s' names no large object", oid, name);
	add_blob(l, &blob);
	return 0;
}

static int list_files(struct blob_list *l, size_t entry, struct error *err)
{
	struct inside_dump *d = l->dump;
	_cleanup(spool) struct spool *list = spool_new(d->ctx.conf->state_dir);
	_cleanup(inside_texts) struct inside_texts texts = {0};
	const struct backup_out out = {.write = keep_blob_lines, .arg = list};
	const struct backup_blobs blobs = {.each = take_listed, .arg = l};
	_cleanup(free) uint8_t *was_read = mem_alloc(d->backup.files / 8 + 1);
	struct backup b = inside_backup(d, l->cancel);
	struct catalog_entry file;
	int r = inside_toc_texts(&d->toc, &d->toc.entries[entry], &texts, err);

	b.was_read = was_read; /* it is one thread's */
	l->entry = entry;
	if (r == 0)
		r = backup_find_data(&b, texts.file_name, &file, err);
	if (r == 0)
		r = backup_read_plain(&b, &file, &out, err);
	return r < 0 ? r : backup_each_blob(list, &blobs, err);
}

/* A text. */

static int list_blobs_of_text(struct blob_list *l, struct error *err)
{
	const struct inside_text_blobs *b = &l->dump->text_blobs;
	uint64_t count = 0;
	int r = inside_text_blobs_count(b, &count, err);

	for (uint64_t i = 0; r == 0 && i < count; i++) {
		struct inside_text_blob blob;

		r = spool_get(b->objects, &blob, sizeof(blob), i * sizeof(blob), err);
		if (r < 0)
			break;
		add_blob(l, &(struct stored_blob){.oid = blob.oid,
		                                  .bytes = blob.bytes,
		                                  .record = blob.run,
		                                  .records = blob.runs});
	}
	return r;
}

/* In a text of other makers: psql would write them into one. Archives have each once, or pg_restore refuses them. */
static int check_blobs_differ(const struct blob_list *l, struct error *err)
{
	for (size_t i = 1; l->dump->is_text && i < l->count; i++)
		if (l->items[i].oid == l->items[i - 1].oid)
			return error_set(
			        err, ERROR_USAGE, ENOTSUP,
			        "the large objects of this text cannot be shown: it writes number %u in several places; psql restores it as it is",
			        l->items[i].oid);
	return 0;
}

/* The list. */

static int list_blobs_of_entry(struct blob_list *l, size_t entry, struct error *err)
{
	if (l->dump->backup.is_directory)
		return list_files(l, entry, err);
	return take_indexed(l, &l->dump->toc.entries[entry]) ? 0 : list_block(l, entry, err);
}

static int make_list(struct inside_dump *d, struct cancel *cancel, struct spool **ret, struct error *err)
{
	_cleanup(blob_list) struct blob_list l = {.dump = d, .cancel = cancel};
	_cleanup(spool) struct spool *list = spool_new(d->ctx.conf->state_dir);
	int r = 0;

	if (d->is_text)
		r = list_blobs_of_text(&l, err);
	else
		list_indexed(&l);
	for (size_t i = 0; r == 0 && !d->is_text && i < d->toc.count; i++)
		if (d->toc.entries[i].blobs)
			r = list_blobs_of_entry(&l, i, err);
	if (l.count > 0)
		qsort(l.items, l.count, sizeof(*l.items), by_oid);
	if (r == 0)
		r = check_blobs_differ(&l, err);
	for (size_t i = 0; r == 0 && i < l.count; i++)
		r = spool_put(list, &l.items[i], sizeof(l.items[i]), err);
	if (r == 0)
		*ret = take_ptr(&list);
	return r;
}

static uint32_t count_of(const struct spool *list)
{
	return (uint32_t)(spool_size(list) / sizeof(struct stored_blob));
}

static int get_stored(const struct spool *list, uint32_t index, struct stored_blob *ret, struct error *err)
{
	return spool_get(list, ret, sizeof(*ret), (uint64_t)index * sizeof(*ret), err);
}

/* On the disk: of an archive of which the index says nothing, since all that is in its blocks was read for it. */

static bool is_blob_list_kept(const struct inside_dump *d)
{
	return !d->is_text && !d->backup.is_directory && d->toc.segments.count == 0;
}

static void keep_blob_list(struct inside_dump *d, const struct spool *list)
{
	struct kept_name name;
	struct kept_writer w;
	bool whole = true;

	if (!is_blob_list_kept(d) || count_of(list) == 0 ||
	    !inside_kept_name(d, KEPT_BLOBS, 0, d->ino, &name) || !inside_kept_begin(d, &name, &w))
		return;
	kept_put_u32(&w, count_of(list));
	for (uint32_t i = 0; whole && i < count_of(list); i++) {
		struct stored_blob blob = {0};

		whole = get_stored(list, i, &blob, NULL) == 0;
		kept_put_u32(&w, blob.oid);
		kept_put_u32(&w, blob.entry);
		kept_put_u64(&w, blob.begin);
	}
	if (whole)
		inside_kept_end(d, &w);
	else
		kept_end(&w, false);
}

static bool can_be_blob(const struct inside_toc *t, const struct stored_blob *blob, uint32_t last_oid)
{
	return blob->oid > last_oid && blob->entry < t->count && t->entries[blob->entry].blobs &&
	       blob->begin > t->facts.toc_end && blob->begin < t->object_bytes;
}

static bool get_kept_blob_list(const struct inside_dump *d, struct kept_reader *r, struct spool *list)
{
	uint32_t count = kept_get_u32(r), last_oid = 0;

	for (uint32_t i = 0; i < count; i++) {
		struct stored_blob blob = {.bytes = INSIDE_NOT_KNOWN, .oid = kept_get_u32(r)};

		blob.entry = kept_get_u32(r);
		blob.begin = kept_get_u64(r);
		if (!can_be_blob(&d->toc, &blob, last_oid) || spool_put(list, &blob, sizeof(blob), NULL) < 0)
			return false;
		last_oid = blob.oid;
	}
	return true;
}

static struct spool *kept_blob_list(struct inside_dump *d)
{
	_cleanup(spool) struct spool *list = spool_new(d->ctx.conf->state_dir);
	struct kept_name name;
	struct kept_reader r;

	if (!is_blob_list_kept(d) || !inside_kept_name(d, KEPT_BLOBS, 0, d->ino, &name) ||
	    !kept_open(d->in->kept, &name, &r))
		return NULL;
	return kept_close(&r, get_kept_blob_list(d, &r, list)) ? take_ptr(&list) : NULL;
}

static int find_blob_list(struct inside_dump *d, struct cancel *cancel, struct spool **ret, struct error *err)
{
	int r;

	*ret = kept_blob_list(d);
	if (*ret)
		return 0;
	r = make_list(d, cancel, ret, err);
	if (r == 0)
		keep_blob_list(d, *ret);
	return r;
}

static struct spool *list_if_made(struct inside_dump *d)
{
	struct spool *list;

	pthread_mutex_lock(&d->lock);
	list = d->blobs;
	pthread_mutex_unlock(&d->lock);
	return list;
}

/* Once it is there it stays as long as the dump does. */
static int get_list(struct inside_dump *d, struct cancel *cancel, struct spool **ret, struct error *err)
{
	struct spool *list = NULL;
	int r;

	*ret = list_if_made(d);
	if (*ret)
		return 0;
	r = inside_once_begin(d, &d->listing, cancel, err);
	if (r < 0)
		return r;
	*ret = list_if_made(d);
	r = *ret ? 0 : find_blob_list(d, cancel, &list, err);
	if (list) {
		pthread_mutex_lock(&d->lock);
		*ret = d->blobs = list;
		pthread_mutex_unlock(&d->lock);
	}
	inside_once_end(d, &d->listing);
	return r < 0 ? inside_blame(d, r, err) : 0;
}

bool inside_lists_blobs(struct inside_dump *d)
{
	return list_if_made(d);
}

static int no_such_blob(struct error *err)
{
	return error_set(err, ERROR_NOT_FOUND, ENOENT, "the dump has no such large object");
}

static int find_stored(const struct spool *list, uint32_t oid, struct stored_blob *ret, struct error *err)
{
	uint32_t low = 0, high = count_of(list);

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		int r = get_stored(list, middle, ret, err);

		if (r < 0)
			return r;
		if (ret->oid == oid)
			return 0;
		if (ret->oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	return no_such_blob(err);
}

bool inside_knows_blob(struct inside_dump *d, uint32_t oid)
{
	const struct spool *list = list_if_made(d);
	struct inside_member known = {.key = INSIDE_KEY_BLOB | oid, .bytes = INSIDE_NOT_KNOWN};
	struct stored_blob stored;

	if (!list)
		return false;
	if (find_stored(list, oid, &stored, NULL) < 0 || stored.bytes != INSIDE_NOT_KNOWN)
		return true;
	inside_known_get(d, &known);
	inside_points_unref(known.points);
	return known.bytes != INSIDE_NOT_KNOWN;
}

int inside_blobs(struct inside_dump *d, struct cancel *cancel, uint32_t *ret_count, struct error *err)
{
	struct spool *list;
	int r = get_list(d, cancel, &list, err);

	if (r == 0)
		*ret_count = count_of(list);
	return r;
}

int inside_blob(struct inside_dump *d, uint32_t index, struct cancel *cancel, struct inside_blob *ret,
                struct error *err)
{
	struct stored_blob stored;
	struct spool *list;
	int r = get_list(d, cancel, &list, err);

	if (r == 0)
		r = index < count_of(list) ? get_stored(list, index, &stored, err) : no_such_blob(err);
	if (r == 0)
		*ret = (struct inside_blob){.oid = stored.oid, .bytes = stored.bytes};
	return r;
}

/* Reading. */

static int be_chunks(struct inside_dump *d, const struct stored_blob *stored, struct cancel *cancel,
                     struct inside_member *m, struct error *err)
{
	int r = inside_member_of_block(d, &d->toc.entries[stored->entry], cancel, m, err);

	m->begin = stored->begin;
	return r;
}

int inside_member_of_blob(struct inside_dump *d, uint32_t oid, struct cancel *cancel,
                          struct inside_member *ret, struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {.key = INSIDE_KEY_BLOB | oid};
	_cleanup(free) char *name = mem_printf("blob_%u.dat", oid);
	struct stored_blob stored;
	struct spool *list;
	int r = get_list(d, cancel, &list, err);

	if (r == 0)
		r = find_stored(list, oid, &stored, err);
	if (r == 0)
		r = d->backup.is_directory ? inside_member_of_file(d, name, &m, err)
		                           : be_chunks(d, &stored, cancel, &m, err);
	if (r < 0)
		return r;
	m.bytes = stored.bytes;
	inside_find_points(d, (size_t)stored.record, (size_t)stored.records, &m);
	*ret = m;
	m.points = NULL;
	return 0;
}

static int measure_blob(struct inside_dump *d, struct inside_member *m, struct cancel *cancel,
                        struct error *err)
{
	int r = m->bytes == INSIDE_NOT_KNOWN ? inside_once_begin(d, &d->surveying, cancel, err) : 0;

	if (r < 0 || m->bytes != INSIDE_NOT_KNOWN)
		return r;
	inside_known_get(d, m);
	if (m->bytes == INSIDE_NOT_KNOWN)
		r = inside_learn_member(d, m, cancel, &m->bytes, err);
	inside_once_end(d, &d->surveying);
	inside_known_get(d, m);
	return r;
}

static int find_in_text(struct inside_dump *d, uint32_t oid, struct cancel *cancel,
                        struct inside_text_blob *ret, struct error *err)
{
	struct stored_blob stored;
	struct spool *list;
	int r = get_list(d, cancel, &list, err);

	if (r == 0)
		r = find_stored(list, oid, &stored, err);
	if (r == 0)
		*ret = (struct inside_text_blob){
		        .oid = oid, .bytes = stored.bytes, .run = stored.record, .runs = stored.records};
	return r;
}

static ssize_t read_in_text(struct inside_dump *d, uint32_t oid, struct cancel *cancel, void *buf, size_t len,
                            uint64_t offset, struct error *err)
{
	struct inside_text_blob blob;
	int r = find_in_text(d, oid, cancel, &blob, err);

	if (r < 0)
		return r;
	if (offset >= blob.bytes)
		return 0;
	if (len > blob.bytes - offset)
		len = (size_t)(blob.bytes - offset);
	r = inside_text_blob_pread(d, &blob, cancel, buf, len, offset, err);
	return r < 0 ? r : (ssize_t)len;
}

int inside_find_blob(struct inside_dump *d, uint32_t oid, struct cancel *cancel, struct inside_blob *ret,
                     struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	struct inside_text_blob blob;
	int r;

	if (d->is_text) {
		r = find_in_text(d, oid, cancel, &blob, err);
		if (r == 0)
			*ret = (struct inside_blob){.oid = oid, .bytes = blob.bytes};
		return r;
	}
	r = inside_member_of_blob(d, oid, cancel, &m, err);
	if (r == 0)
		r = measure_blob(d, &m, cancel, err);
	if (r == 0)
		*ret = (struct inside_blob){.oid = oid, .bytes = m.bytes};
	return r;
}

bool inside_blob_pread_is_long(struct inside_dump *d, uint32_t oid, uint64_t offset)
{
	_cleanup(inside_member) struct inside_member m = {0};
	struct inside_text_blob blob;

	if (!inside_knows_blob(d, oid))
		return true;
	if (d->is_text)
		return find_in_text(d, oid, NULL, &blob, NULL) == 0 &&
		       inside_text_blob_is_far(d, &blob, offset);
	return inside_member_of_blob(d, oid, NULL, &m, NULL) == 0 && inside_seat_read_is_long(d, &m, offset);
}

ssize_t inside_blob_pread(struct inside_dump *d, uint32_t oid, struct cancel *cancel, void *buf, size_t len,
                          uint64_t offset, struct error *err)
{
	_cleanup(inside_member) struct inside_member m = {0};
	int r;

	if (d->is_text)
		return read_in_text(d, oid, cancel, buf, len, offset, err);
	r = inside_member_of_blob(d, oid, cancel, &m, err);
	if (r == 0)
		r = measure_blob(d, &m, cancel, err);
	return r < 0 ? r : inside_seat_read(d, &m, cancel, buf, len, offset, err);
}
