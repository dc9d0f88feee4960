// SPDX-License-Identifier: Apache-2.0
/*
 * A base: every line of its listing, and every byte of every file, out of the packs' frames, whose checksums zstd compares, held against the CRC-32C of the listing. Files are read in the order
 * in which they lie in the packs, whatever the order of their names, so that no pack is got twice for that. The packs themselves are proven behind it, as artifacts of their own.
 */
#include "prove.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/sorter.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/listing.h>
#include <keepfs/mirror/runs.h>

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define READER_BUFFERS 16U /* fewer, where the pool is small */
#define READER_THREADS 4U
#define AHEAD_BYTES    ((uint64_t)8 << 20)
#define RUNS_BUFFERS   4U
#define RUNS_THREADS   1U
#define PIECE_BYTES    ((size_t)1 << 20)

struct placed_file { /* a record to be sorted: behind it the name of its first pack, with NUL, and its line */
	uint64_t place;
	size_t pack_bytes, line_bytes;
	char pack[];
};

struct proving_base {
	struct backup *b;
	struct listing_scan *scan;
	struct sorter *files;
	struct str record;
	char *job;
	struct pool *pool; /* of what is reserved of that of all */
	size_t reserved;
	struct reader *reader;
	struct reader_metrics metrics;
	struct repository_packs packs;
	struct runs_reader *runs;
	char *piece;
};

static int compare_placed_files(const void *a, const void *b)
{
	const struct placed_file *x = a, *y = b;
	int order = strcmp(x->pack, y->pack);

	return order ? order : x->place < y->place ? -1 : x->place > y->place;
}

static int take_head_of_base(void *arg, const struct listing_head *head, struct error *err)
{
	struct proving_base *p = arg;

	(void)err;
	mem_replace_string(&p->job, head->job);
	return 0;
}

static const struct listing_run *first_in_pack(const struct listing_entry *e)
{
	for (size_t i = 0; i < e->run_count; i++)
		if (e->runs[i].pack)
			return &e->runs[i];
	return NULL;
}

/* What has no bytes in any pack is read all the same: it is zeros, or empty, and has a CRC-32C. */
static int add_placed_file(void *arg, struct listing_entry *e, struct error *err)
{
	struct proving_base *p = arg;
	const struct listing_run *first = first_in_pack(e);
	struct placed_file head = {.place = first ? first->place : 0};

	if (e->is_directory)
		return 0;
	if (e->format != LISTING_BASE)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "its listing is none of a base");
	str_clear(&p->record);
	str_append(&p->record, first ? first->pack : "");
	head.pack_bytes = p->record.len + 1;
	str_append_char(&p->record, '\0');
	listing_entry_encode(e, &p->record);
	head.line_bytes = p->record.len - head.pack_bytes;
	return sorter_add(p->files, &head, offsetof(struct placed_file, pack), p->record.data, p->record.len,
	                  err);
}

static int feed_base_listing(void *arg, const void *data, size_t len, struct error *err)
{
	return listing_scan_feed(((struct proving_base *)arg)->scan, data, len, err);
}

static int read_base_listing(struct proving_base *p, struct error *err)
{
	const struct listing_scan_to to = {.head = take_head_of_base, .entry = add_placed_file, .arg = p};
	_cleanup(manifest) struct manifest m = {0};
	const struct manifest_object *listing;
	int r = backup_read_manifest(p->b, &m, err);

	if (r < 0)
		return r;
	listing = manifest_object_of_role(&m, MANIFEST_ROLE_LISTING);
	if (!listing)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "its manifest names no listing");
	p->scan = listing_scan_new(&to);
	r = backup_check_object(p->b, listing, feed_base_listing, p, err);
	/* Without a key the packs alone can be looked at. */
	if (r == 0 && p->b->as_stored && listing->cipher)
		return 1;
	if (r == 0)
		r = listing_scan_end(p->scan, err);
	return r < 0 ? r : sorter_end(p->files, err);
}

/* Half of what there is for all that is not kept. */
static size_t buffers_of_reader(struct pool *pool)
{
	size_t buffers = pool_shared(pool) / 2;

	if (buffers < READER_BUFFERS_MIN)
		return READER_BUFFERS_MIN;
	return buffers < READER_BUFFERS ? buffers : READER_BUFFERS;
}

static int begin_base_reading(struct proving_base *p, struct error *err)
{
	const struct make_context *ctx = p->b->ctx;
	struct reader_options reading = {.store = repository_store(ctx->repository),
	                                 .threads = READER_THREADS,
	                                 .ahead_bytes = AHEAD_BYTES,
	                                 .metrics = &p->metrics};
	struct runs_options runs = {
	        .buffers = RUNS_BUFFERS, .threads = RUNS_THREADS, .ahead_bytes = AHEAD_BYTES};
	size_t buffers = buffers_of_reader(ctx->pool) + RUNS_BUFFERS;
	int r = pool_reserve(ctx->pool, buffers, p->b->cancel);

	if (r < 0)
		return error_system(err, -r, "the files of a base need %zu MiB of [keepfs] memory", buffers);
	p->reserved = buffers;
	p->pool = pool_new(buffers * POOL_BUFFER_BYTES);
	reading.buffers = buffers - RUNS_BUFFERS;
	if (!p->pool)
		return error_system(err, ENOMEM, "memory for the files of a base cannot be had");
	reading.pool = runs.pool = p->pool;
	p->packs.repository = ctx->repository;
	runs.packs = runs_packs_of_repository(&p->packs);
	r = reader_new(&reading, &p->reader, err);
	runs.reader = p->reader;
	p->piece = mem_resize(NULL, PIECE_BYTES, 1);
	return r < 0 ? r : runs_reader_new(&runs, &p->runs, err);
}

static void end_base_reading(struct proving_base *p)
{
	runs_reader_free(p->runs);
	reader_free(p->reader);
	pool_free(p->pool);
	if (p->reserved > 0)
		pool_unreserve(p->b->ctx->pool, p->reserved);
	listing_scan_free(p->scan);
	sorter_free(p->files);
	str_finish(&p->record);
	free(p->piece);
	free(p->job);
}

static int sum_file_of_base(struct proving_base *p, const struct listing_entry *e, uint32_t *ret_crc32c,
                            struct error *err)
{
	struct runs_read what = {.job = p->job, .entry = e, .buf = p->piece, .cancel = p->b->cancel};
	uint32_t crc = 0;
	int r = 0;

	for (; r == 0 && what.at < e->bytes; what.at += what.len) {
		what.len = e->bytes - what.at < PIECE_BYTES ? (size_t)(e->bytes - what.at) : PIECE_BYTES;
		if (rate_take(p->b->rate, what.len, p->b->cancel) < 0)
			return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
		r = runs_reader_read(p->runs, &what, NULL, err);
		if (r == 0)
			crc = crc32c(crc, p->piece, what.len);
	}
	*ret_crc32c = crc;
	return r;
}

static int prove_file_of_base(struct proving_base *p, const struct placed_file *file, struct error *err)
{
	_cleanup(listing_entry) struct listing_entry e = {0};
	char found[LISTING_CRC32C_BYTES];
	uint32_t crc = 0;
	int r = listing_entry_decode(file->pack + file->pack_bytes, file->line_bytes, &e, err);

	if (r == 0)
		r = sum_file_of_base(p, &e, &crc, err);
	if (r < 0) {
		error_prefix(err, "%s", e.key ? e.key : "a file");
		return r;
	}
	snprintf(found, sizeof(found), "%08" PRIx32, crc);
	if (!e.crc32c[0] || strcmp(found, e.crc32c) == 0)
		return 0;
	p->b->is_unsound = true;
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "%s: its CRC-32C is %s, and not %s, as the server sent it", e.key, found, e.crc32c);
}

static int prove_files_of_base(struct proving_base *p, struct error *err)
{
	const void *file;
	int r;

	while ((r = sorter_next(p->files, &file, err)) == 1) {
		r = prove_file_of_base(p, file, err);
		if (r < 0)
			return r;
	}
	return r;
}

int prove_base(struct backup *b, struct error *err)
{
	struct proving_base p = {.b = b};
	int r;

	p.files = sorter_new(b->ctx->conf->state_dir, compare_placed_files);
	r = read_base_listing(&p, err);
	if (r == 0)
		r = begin_base_reading(&p, err);
	if (r == 0)
		r = prove_files_of_base(&p, err);
	end_base_reading(&p);
	return r;
}
