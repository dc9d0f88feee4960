// SPDX-License-Identifier: Apache-2.0
/*
 * The table of contents is read several times from its file: so that what is asked of it can depend on all of it, and nothing of it has
 * to be in memory but what each entry with data needs.
 */
#include <keepfs/inside/toc.h>

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/inside/expected.h>

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define READ_BYTES        65536
#define FIRST_FETCH_BYTES ((uint64_t)128 << 10)
#define OFFSET_SET        2
#define OFFSET_MAX        8

/* Fetching. */

struct fetching {
	struct inside_toc *toc;
	struct pg_archive_scan *scan;
	bool ended; /* and the rest is not wanted */
};

static int note_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	((struct fetching *)arg)->ended = true;
	return 0;
}

static int keep_fetched_toc(void *arg, const void *data, size_t len, struct error *err)
{
	struct fetching *f = arg;
	uint64_t written = spool_size(f->toc->bytes);
	int r = f->ended ? 0 : pg_archive_scan_feed(f->scan, data, len, err);

	if (r < 0 && !f->ended)
		return r;
	/* What follows the table of contents in the same piece was scanned, too. */
	if (f->ended) {
		uint64_t end = pg_archive_scan_facts(f->scan)->toc_end;

		len = end > written ? (size_t)(end - written) : 0;
	}
	r = spool_put(f->toc->bytes, data, len, err);
	if (r < 0)
		return r;
	return f->ended && pg_archive_scan_facts(f->scan)->format == PG_ARCHIVE_CUSTOM ? -EXFULL : 0;
}

static int fetch_file(struct backup *b, const struct backup_out *out, uint64_t *ret_bytes, struct error *err)
{
	struct catalog_entry file;
	int r = backup_find(b, "toc.dat", &file);

	if (r < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the backup has no table of contents");
	*ret_bytes = file.size_bytes;
	return backup_read(b, &file, out, err);
}

/* No more than is needed: what is damaged behind it is no harm. */
static int fetch_begin(struct backup *b, const struct backup_out *out, uint64_t *ret_bytes, struct error *err)
{
	_cleanup(manifest_object) struct manifest_object object = {0};
	struct backup_range range = {.object = &object, .take = out->write, .arg = out->arg};
	uint64_t len = FIRST_FETCH_BYTES;
	struct catalog_entry own;
	int r = backup_object(b, b->ino, b->path, &object, err);

	if (r < 0)
		return r;
	r = backup_own(b, &own);
	if (r < 0)
		return error_system(err, -r, "the catalog cannot be read");
	*ret_bytes = own.size_bytes;
	for (; r == 0 && range.end < *ret_bytes; len *= 2) {
		range.begin = range.end;
		range.end = *ret_bytes - range.begin > len ? range.begin + len : *ret_bytes;
		r = backup_read_range(b, &range, err);
	}
	return r;
}

static int fetch_toc(struct inside_toc *t, struct backup *b, struct error *err)
{
	struct fetching f = {.toc = t};
	const struct pg_archive_events events = {.toc_end = note_toc_end, .arg = &f};
	const struct backup_out out = {.write = keep_fetched_toc, .arg = &f};
	struct error why = {0};
	int r;

	f.scan = pg_archive_scan_new(&events);
	r = b->is_directory ? fetch_file(b, &out, &t->object_bytes, &why)
	                    : fetch_begin(b, &out, &t->object_bytes, &why);
	if (f.ended && r == -EXFULL)
		r = 0;
	else if (r == 0 && !f.ended)
		r = error_set(&why, ERROR_CORRUPT, EBADMSG, "the table of contents is cut off");
	t->facts = *pg_archive_scan_facts(f.scan);
	pg_archive_scan_free(f.scan);
	if (r < 0 && err)
		*err = why;
	return r;
}

/* Reading it again. */

int inside_toc_feed(const struct inside_toc *t, struct pg_archive_scan *scan, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(READ_BYTES);
	uint64_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = spool_read(t->bytes, buf, READ_BYTES, at)) != 0) {
		if (n < 0)
			return error_system(err, (int)-n, "the table of contents cannot be read");
		r = pg_archive_scan_feed(scan, buf, (size_t)n, err);
		at += (uint64_t)n;
	}
	return r;
}

int inside_toc_each(const struct inside_toc *t, const struct pg_archive_events *events, struct error *err)
{
	struct pg_archive_scan *scan = pg_archive_scan_new(events);
	int r = inside_toc_feed(t, scan, err);

	pg_archive_scan_free(scan);
	return r;
}

/* The entries with data. */

static int keep_entry_texts(struct inside_toc *t, struct inside_entry *e,
                            const struct pg_archive_entry *entry, struct error *err)
{
	const char *const texts[] = {entry->namespace, entry->tag, entry->copy_stmt, entry->file_name};
	int r = 0;

	e->texts_at = spool_size(t->texts);
	for (size_t i = 0; r == 0 && i < ARRAY_SIZE(texts); i++)
		r = spool_put(t->texts, texts[i], strlen(texts[i]) + 1, err);
	e->texts_bytes = (uint32_t)(spool_size(t->texts) - e->texts_at);
	return r;
}

int inside_toc_texts(const struct inside_toc *t, const struct inside_entry *e, struct inside_texts *ret,
                     struct error *err)
{
	int r;

	ret->schema = mem_alloc(e->texts_bytes);
	r = spool_get(t->texts, ret->schema, e->texts_bytes, e->texts_at, err);
	if (r < 0)
		return r;
	ret->name = ret->schema + strlen(ret->schema) + 1;
	ret->copy_stmt = ret->name + strlen(ret->name) + 1;
	ret->file_name = ret->copy_stmt + strlen(ret->copy_stmt) + 1;
	return 0;
}

static int take_data_entry(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct inside_toc *t = arg;
	struct inside_entry *e;

	if (entry->dump_id > t->last_id)
		t->last_id = entry->dump_id;
	if (str_equal(entry->desc, "ENCODING") || str_equal(entry->desc, "STDSTRINGS"))
		str_append(&t->settings, entry->defn);
	if (!entry->has_data)
		return 0;
	if (t->count == t->cap) {
		t->cap = t->cap ? t->cap * 2 : 64;
		t->entries = mem_resize(t->entries, t->cap, sizeof(*t->entries));
	}
	e = &t->entries[t->count++];
	*e = (struct inside_entry){.dump_id = entry->dump_id,
	                           .blobs = str_equal(entry->desc, "BLOBS"),
	                           .offset = entry->place_at};
	if (!e->blobs && !entry->copy_stmt[0])
		return error_set(
		        err, ERROR_USAGE, ENOTSUP,
		        "the data of %s.%s are no COPY (pg_dump --inserts): restore this one with pg_restore from the mount",
		        entry->namespace, entry->tag);
	return keep_entry_texts(t, e, entry, err);
}

/* Where its block is. Without that the blocks come one after the other. */
static int read_offset(struct inside_toc *t, struct inside_entry *e, struct error *err)
{
	uint8_t field[1 + OFFSET_MAX] = {0};
	uint64_t offset = 0;

	int r = spool_get(t->bytes, field, 1 + t->facts.offset_bytes, e->offset, err);

	if (r < 0)
		return r;
	for (unsigned i = t->facts.offset_bytes; i > 0; i--)
		offset = offset << 8 | field[i];
	e->has_offset = field[0] == OFFSET_SET && offset >= t->facts.toc_end && offset < t->object_bytes;
	e->offset = offset;
	return 0;
}

static int read_offsets(struct inside_toc *t, struct error *err)
{
	int r = 0;

	t->has_offsets = t->facts.format == PG_ARCHIVE_CUSTOM;
	for (size_t i = 0; r == 0 && t->has_offsets && i < t->count; i++) {
		struct inside_entry *e = &t->entries[i];

		r = read_offset(t, e, err);
		t->has_offsets = e->has_offset && (i == 0 || e->offset > e[-1].offset);
		if (i > 0)
			e[-1].end = e->offset;
		e->end = t->object_bytes;
	}
	return r;
}

static int check_known(const struct inside_toc *t, struct error *err)
{
	if (t->facts.compression != PG_ARCHIVE_LZ4)
		return 0;
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the archive is compressed with lz4, which is not read here: restore this one with pg_restore from the mount");
}

static int read_entries(struct inside_toc *t, struct error *err)
{
	const struct pg_archive_events events = {.entry = take_data_entry, .arg = t};
	int r = check_known(t, err);

	if (r == 0)
		r = inside_toc_each(t, &events, err);
	return r < 0 ? r : read_offsets(t, err);
}

/* What was counted when it was made. */

static void forget_counts(struct inside_toc *t)
{
	for (size_t i = 0; i < t->count; i++)
		t->entries[i].has_counts = t->entries[i].has_hash = false;
}

static int read_counts(struct inside_toc *t, struct expected *x, struct error *err)
{
	for (size_t i = 0; i < t->count; i++) {
		_cleanup(expected_line) struct expected_line line = {0};
		int r = expected_next(x, &line, err);

		if (r == 0)
			return error_set(
			        err, ERROR_CORRUPT, EBADMSG,
			        "the archive has data of more tables than were counted when it was made");
		if (r < 0)
			return r;
		t->entries[i].expected = line.rows;
		t->entries[i].has_counts = true;
		t->entries[i].has_hash = line.has_hash;
	}
	return expected_check_end(x, err);
}

int inside_toc_take_counts(struct inside_toc *t, struct backup *b, struct error *err)
{
	_cleanup(expected) struct expected x = {0};
	int r = expected_load(&x, b, err);

	if (r < 0 || !x.lines)
		return r;
	r = read_counts(t, &x, err);
	if (r < 0)
		forget_counts(t);
	return r;
}

int inside_toc_open(struct inside_toc *t, struct backup *b, struct error *err)
{
	int r;

	t->bytes = spool_new(b->ctx->conf->state_dir);
	t->texts = spool_new(b->ctx->conf->state_dir);
	r = fetch_toc(t, b, err);
	return r < 0 ? r : read_entries(t, err);
}

void inside_toc_finish(struct inside_toc *t)
{
	spool_free(t->bytes);
	spool_free(t->texts);
	free(t->entries);
	str_finish(&t->settings);
	segment_index_finish(&t->segments);
}

/* As files. */

static int copy_to_place(const struct inside_toc *t, const char *path, struct error *err)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	_cleanup(free) char *buf = mem_alloc(READ_BYTES);
	uint64_t at = 0;
	ssize_t n;
	int r = fd < 0 ? -errno : 0;

	while (r == 0 && (n = spool_read(t->bytes, buf, READ_BYTES, at)) != 0) {
		r = n < 0 ? (int)n : fd_pwrite_all(fd, buf, (size_t)n, (off_t)at);
		at += n > 0 ? (uint64_t)n : 0;
	}
	return r < 0 ? error_system(err, -r, "the table of contents cannot be written to %s", path) : 0;
}

static char *file_of_place(const struct inside_toc_place *place)
{
	return mem_printf("%s/%s", place->directory,
	                  str_equal(place->archive, place->directory) ? "toc.dat" : "toc.dump");
}

int inside_toc_place_make(const struct inside_toc *t, const char *state_dir, const char *prefix,
                          struct inside_toc_place *ret, struct error *err)
{
	_cleanup(free) char *path = NULL;

	*ret = (struct inside_toc_place){.directory = mem_printf("%s/%sXXXXXX", state_dir, prefix)};
	if (!mkdtemp(ret->directory)) {
		int r = error_system(err, errno, "a directory for the table of contents cannot be made in %s",
		                     state_dir);

		free(take_ptr(&ret->directory));
		return r;
	}
	ret->archive = t->facts.format == PG_ARCHIVE_DIRECTORY ? mem_strdup(ret->directory)
	                                                       : mem_printf("%s/toc.dump", ret->directory);
	path = file_of_place(ret);
	return copy_to_place(t, path, err);
}

void inside_toc_place_remove(struct inside_toc_place *place)
{
	_cleanup(free) char *path = place->directory ? file_of_place(place) : NULL;

	if (path) {
		unlink(path);
		rmdir(place->directory);
	}
	free(take_ptr(&place->directory));
	free(take_ptr(&place->archive));
}
