// SPDX-License-Identifier: Apache-2.0
/* The scan tells that the table of contents is complete in the middle of a piece that it is fed: what follows
 * in that piece is data already, and stays in the spool behind what is ever read. */
#include "toc.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <errno.h>

#define PIECE_BYTES ((size_t)64 << 10)

void toc_finish(struct toc *toc)
{
	spool_free(toc->spool);
	*toc = (struct toc){0};
}

int toc_write(const struct toc *toc, const struct pg_archive_head_options *options, struct error *err)
{
	struct pg_archive_head_options complete = *options;
	_cleanup(free) uint8_t *piece = mem_alloc(PIECE_BYTES);
	uint32_t crc = 0;
	int r = 0;

	complete.facts = toc->facts;
	_cleanup(pg_archive_head) struct pg_archive_head *head = pg_archive_head_new(&complete);
	for (uint64_t at = 0, n; r == 0 && at < toc->facts.toc_end; at += n) {
		uint64_t left = toc->facts.toc_end - at;

		n = left < PIECE_BYTES ? left : PIECE_BYTES;
		r = spool_get(toc->spool, piece, (size_t)n, at, err);
		if (r < 0)
			break;
		crc = crc32c(crc, piece, (size_t)n);
		r = pg_archive_head_feed(head, piece, (size_t)n, err);
	}
	if (r == 0 && crc != toc->crc32c)
		r = error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the table of contents was kept in a file under state_dir, and came back with other bytes: look at that disk");
	return r;
}

/* The first @len bytes of the piece that is fed belong to it. */
static void check_in_piece(struct toc_reader *t, uint64_t len)
{
	t->toc.crc32c = crc32c(t->toc.crc32c, t->piece, (size_t)len);
}

static int on_entry(void *arg, const struct pg_archive_entry *entry, struct error *err)
{
	struct toc_reader *t = arg;

	return contents_add(t->contents, entry, err);
}

static int on_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	struct toc_reader *t = arg;

	t->toc.facts = *facts;
	check_in_piece(t, facts->toc_end - t->piece_at);
	t->complete = true;
	contents_complete(t->contents);
	return t->on_complete ? t->on_complete(t, err) : 0;
}

void toc_reader_init(struct toc_reader *t, struct contents *contents, const char *directory,
                     const struct pg_archive_events *data)
{
	struct pg_archive_events events = data ? *data : (struct pg_archive_events){0};

	*t = (struct toc_reader){.contents = contents, .directory = directory, .max_bytes = TOC_MAX_BYTES};
	t->toc.spool = spool_new(directory);
	events.entry = on_entry;
	events.toc_end = on_toc_end;
	events.arg = t;
	t->scan = pg_archive_scan_new(&events);
}

void toc_reader_finish(struct toc_reader *t)
{
	pg_archive_scan_free(t->scan);
	toc_finish(&t->toc);
}

static int keep_toc(struct toc_reader *t, const void *data, size_t len, struct error *err)
{
	if (spool_size(t->toc.spool) + len > t->max_bytes)
		return error_set(
		        err, ERROR_USAGE, EFBIG,
		        "the table of contents of this database takes more than %llu MiB, which is all that one may take of the disk in %s: dump the database in parts (schemas, exclude_schemas)",
		        (unsigned long long)(t->max_bytes >> 20), t->directory);
	return spool_put(t->toc.spool, data, len, err);
}

int toc_reader_feed(struct toc_reader *t, const void *data, size_t len, struct error *err)
{
	int r;

	if (t->complete)
		return pg_archive_scan_feed(t->scan, data, len, err);
	t->piece = data;
	t->piece_at = spool_size(t->toc.spool);
	r = keep_toc(t, data, len, err);
	if (r == 0)
		r = pg_archive_scan_feed(t->scan, data, len, err);
	if (r == 0 && !t->complete)
		check_in_piece(t, len);
	return r;
}

struct toc toc_reader_take(struct toc_reader *t)
{
	struct toc toc = t->toc;

	t->toc = (struct toc){0};
	return toc;
}
