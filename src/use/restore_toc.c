// SPDX-License-Identifier: Apache-2.0
/*
 * The table of contents is read several times from its file: so that what is chosen by schema or table can take in what hangs on that,
 * and nothing of it has to be in memory but a bit for each entry.
 */
#include "restore_toc.h"

#include "expected.h"
#include "restore_choose.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define READ_BYTES     65536
#define OFFSET_SET     2
#define OFFSET_MAX     8
#define DIRECTORY_NAME "restore-XXXXXX"

/* Fetching. */

struct fetching {
	struct restore_toc *toc;
	struct pg_archive_scan *scan;
	uint64_t written;
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
	int r = f->ended ? 0 : pg_archive_scan_feed(f->scan, data, len, err);

	if (r < 0 && !f->ended)
		return r;
	/* What follows the table of contents in the same piece was scanned, too. */
	if (f->ended) {
		uint64_t end = pg_archive_scan_facts(f->scan)->toc_end;

		len = end > f->written ? (size_t)(end - f->written) : 0;
	}
	r = fd_pwrite_all(f->toc->fd, data, len, (off_t)f->written);
	f->written += len;
	if (r < 0)
		return error_system(err, -r, "the table of contents cannot be kept in %s", f->toc->directory);
	return f->ended && pg_archive_scan_facts(f->scan)->format == PG_ARCHIVE_CUSTOM ? -EXFULL : 0;
}

static int fetch_toc(struct restore_toc *t, struct backup *b, struct error *err)
{
	struct fetching f = {.toc = t};
	const struct pg_archive_events events = {.toc_end = note_toc_end, .arg = &f};
	const struct backup_out out = {.write = keep_fetched_toc, .arg = &f};
	struct catalog_entry file;
	struct error why = {0};
	int r = b->is_directory ? backup_find(b, "toc.dat", &file) : backup_own(b, &file);

	if (r < 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the backup has no table of contents");
	f.scan = pg_archive_scan_new(&events);
	r = backup_read(b, &file, &out, &why);
	if (f.ended && r == -EXFULL)
		r = 0;
	else if (r == 0 && !f.ended)
		r = error_set(&why, ERROR_CORRUPT, EBADMSG, "the table of contents is cut off");
	t->facts = *pg_archive_scan_facts(f.scan);
	t->object_bytes = file.size_bytes;
	pg_archive_scan_free(f.scan);
	if (r < 0 && err)
		*err = why;
	return r;
}

static int make_files(struct restore_toc *t, const struct backup *b, struct error *err)
{
	t->directory = mem_printf("%s/" DIRECTORY_NAME, b->ctx->conf->state_dir);
	if (!mkdtemp(t->directory)) {
		int r = error_system(err, errno, "a directory for the table of contents cannot be made in %s",
		                     b->ctx->conf->state_dir);

		free(take_ptr(&t->directory));
		return r;
	}
	t->archive = b->is_directory ? mem_strdup(t->directory) : mem_printf("%s/toc.dump", t->directory);
	t->list = mem_printf("%s/list", t->directory);
	t->data_list = mem_printf("%s/data_list", t->directory);
	t->database_list = mem_printf("%s/database_list", t->directory);
	if (b->is_directory) {
		_cleanup(free) char *toc = mem_printf("%s/toc.dat", t->directory);

		t->fd = open(toc, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	} else {
		t->fd = open(t->archive, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	}
	return t->fd < 0 ? error_system(err, errno, "a file cannot be made in %s", t->directory) : 0;
}

/* Reading it again. */

int restore_toc_feed(const struct restore_toc *t, struct pg_archive_scan *scan, struct error *err)
{
	_cleanup(free) char *buf = mem_alloc(READ_BYTES);
	off_t at = 0;
	ssize_t n;
	int r = 0;

	while (r == 0 && (n = pread(t->fd, buf, READ_BYTES, at)) != 0) {
		if (n < 0)
			return error_system(err, errno, "the table of contents cannot be read");
		r = pg_archive_scan_feed(scan, buf, (size_t)n, err);
		at += n;
	}
	return r;
}

int restore_toc_each(const struct restore_toc *t, const struct pg_archive_events *events, struct error *err)
{
	struct pg_archive_scan *scan = pg_archive_scan_new(events);
	int r = restore_toc_feed(t, scan, err);

	pg_archive_scan_free(scan);
	return r;
}

/* The entries with data. */

static int keep_entry_texts(struct restore_toc *t, struct restore_entry *e,
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

int restore_toc_texts(const struct restore_toc *t, const struct restore_entry *e, struct restore_texts *ret,
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
	struct restore_toc *t = arg;
	struct restore_entry *e;

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
	*e = (struct restore_entry){.dump_id = entry->dump_id,
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
static int read_offset(struct restore_toc *t, struct restore_entry *e, struct error *err)
{
	uint8_t field[1 + OFFSET_MAX] = {0};
	uint64_t offset = 0;

	if (pread(t->fd, field, 1 + t->facts.offset_bytes, (off_t)e->offset) <
	    1 + (ssize_t)t->facts.offset_bytes)
		return error_system(err, EIO, "the table of contents cannot be read");
	for (unsigned i = t->facts.offset_bytes; i > 0; i--)
		offset = offset << 8 | field[i];
	e->has_offset = field[0] == OFFSET_SET && offset >= t->facts.toc_end && offset < t->object_bytes;
	e->offset = offset;
	return 0;
}

static int read_offsets(struct restore_toc *t, struct error *err)
{
	int r = 0;

	t->has_offsets = t->facts.format == PG_ARCHIVE_CUSTOM;
	for (size_t i = 0; r == 0 && t->has_offsets && i < t->count; i++) {
		struct restore_entry *e = &t->entries[i];

		r = read_offset(t, e, err);
		t->has_offsets = e->has_offset && (i == 0 || e->offset > e[-1].offset);
		if (i > 0)
			e[-1].end = e->offset;
		e->end = t->object_bytes;
	}
	return r;
}

static int check_known(const struct restore_toc *t, struct error *err)
{
	if (t->facts.compression != PG_ARCHIVE_LZ4)
		return 0;
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "the archive is compressed with lz4, which is not read here: restore this one with pg_restore from the mount");
}

static int read_entries(struct restore_toc *t, struct error *err)
{
	const struct pg_archive_events events = {.entry = take_data_entry, .arg = t};
	int r = check_known(t, err);

	if (r == 0)
		r = restore_toc_each(t, &events, err);
	return r < 0 ? r : read_offsets(t, err);
}

/* What was counted when it was made. */

static int take_counts(struct restore_toc *t, struct backup *b, struct error *err)
{
	_cleanup(expected) struct expected x = {0};
	int r = expected_load(&x, b, err);

	if (r < 0 || !x.lines)
		return r;
	for (size_t i = 0; i < t->count; i++) {
		_cleanup(expected_line) struct expected_line line = {0};

		r = expected_next(&x, &line, err);
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
	return expected_check_end(&x, err);
}

int restore_toc_open(struct restore_toc *t, const struct restore_database_options *o, struct error *err)
{
	struct backup *b = o->backup;
	int r;

	t->fd = -1;
	t->texts = spool_new(b->ctx->conf->state_dir);
	r = make_files(t, b, err);
	if (r == 0)
		r = fetch_toc(t, b, err);
	if (r == 0)
		r = read_entries(t, err);
	if (r == 0 && !o->counts_later)
		r = take_counts(t, b, err);
	return r < 0 ? r : restore_choose(t, o, err);
}

static void remove_files(const struct restore_toc *t)
{
	_cleanup(free) char *toc = mem_printf("%s/toc.dat", t->directory);

	unlink(toc);
	unlink(t->archive);
	unlink(t->list);
	unlink(t->data_list);
	unlink(t->database_list);
	rmdir(t->directory);
}

void restore_toc_finish(struct restore_toc *t)
{
	if (t->fd >= 0)
		close(take_fd(&t->fd));
	if (t->directory)
		remove_files(t);
	free(t->directory);
	free(t->archive);
	free(t->list);
	free(t->data_list);
	free(t->database_list);
	free(t->entries);
	free(t->wanted);
	str_finish(&t->settings);
	segment_index_finish(&t->segments);
	spool_free(t->texts);
}
