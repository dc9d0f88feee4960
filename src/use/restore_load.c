// SPDX-License-Identifier: Apache-2.0
/*
 * Bytes of the archive become rows of tables and bytes of large objects. Every byte was held against its CRC-32C before it comes here;
 * what it decompresses to is counted and hashed on its way to the server, and held against what was counted when the backup was made,
 * and the number of rows against what the server says that it took.
 */
#include "restore_load_private.h"

#include "proving.h"

#include <keepfs/base/mem.h>
#include <keepfs/pg/load.h>

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* What is smaller is not worth to ask the server whether it may be frozen. */
#define FROZEN_BYTES ((uint64_t)8 << 20)
/* How much of a large object is written at once. */
#define BLOB_PIECE_BYTES ((size_t)1 << 20)

static void say_of_load(const struct loader *l, const char *text)
{
	if (loader_options(l)->say)
		loader_options(l)->say(loader_options(l)->arg, text);
}

static int open_load_session(struct loader *l, struct error *err)
{
	const struct restore_database_options *o = loader_options(l);
	const struct pg_load_settings settings = {.statements = str_text(&l->options.data->toc->settings),
	                                          .no_triggers = l->options.data->no_triggers};
	int r;

	l->session = pg_session_free(l->session);
	r = pg_session_open(o->server, o->database, "keepfs restore", l->options.cancel, &l->session, err);
	return r < 0 ? r : pg_load_begin(l->session, &settings, err);
}

/* Of one table something is wrong that the server has told: others may be right. */
static bool is_passed_over(const struct loader *l, const struct error *err)
{
	return loader_options(l)->keep_going && err->code[0] && err->class != ERROR_UNAVAILABLE &&
	       err->class != ERROR_CANCELLED && !cancel_is_set(l->options.cancel);
}

/* 0: the entry is given up, and the next ones are loaded. */
static int pass_over_refused(struct loader *l, int r, struct error *err)
{
	_cleanup(inside_texts) struct inside_texts texts = {0};
	_cleanup(free) char *line = NULL;

	if (inside_toc_texts(l->options.data->toc, l->entry, &texts, NULL) < 0)
		return r;
	error_prefix(err, "the data of %s.%s", texts.schema, texts.name);
	if (!is_passed_over(l, err))
		return r;
	line = mem_printf("error: %s", err->message);
	say_of_load(l, line);
	l->failed = true;
	l->totals.errors++;
	*err = (struct error){0};
	return open_load_session(l, err);
}

/* An entry. */

static int begin_rows(struct loader *l, const char *copy_stmt, struct error *err)
{
	const struct inside_entry *e = l->entry;

	/* Others have rows of it, too. */
	if (l->is_part || !e->own_table || e->expected.bytes < FROZEN_BYTES)
		return pg_load_copy(l->session, copy_stmt, err);
	return pg_load_copy_frozen(l->session, copy_stmt, err);
}

int loader_begin_entry(struct loader *l, const struct inside_entry *e, struct error *err)
{
	_cleanup(inside_texts) struct inside_texts texts = {0};
	int r;

	l->entry = e;
	l->found = (struct rows){0};
	l->failed = !e->wanted;
	if (!e->wanted)
		return 0;
	r = inside_toc_texts(l->options.data->toc, e, &texts, err);
	if (r == 0)
		r = e->blobs ? pg_load_blobs_begin(l->session, err) : begin_rows(l, texts.copy_stmt, err);
	return r < 0 ? pass_over_refused(l, r, err) : 0;
}

int loader_write_blob(struct loader *l, struct error *err)
{
	int r = 0;

	if (l->piece.len > 0 && !l->failed)
		r = pg_load_blob(l->session, l->oid, l->blob_at, l->piece.data, l->piece.len, err);
	l->blob_at += l->piece.len;
	str_clear(&l->piece);
	return r < 0 ? pass_over_refused(l, r, err) : 0;
}

static int load_blob_data(struct loader *l, const char *data, size_t len, struct error *err)
{
	int r = 0;

	l->found.bytes += len;
	while (r == 0 && len > 0) {
		size_t room = BLOB_PIECE_BYTES - l->piece.len, n = len < room ? len : room;

		str_append_bytes(&l->piece, data, n);
		data += n;
		len -= n;
		if (l->piece.len == BLOB_PIECE_BYTES)
			r = loader_write_blob(l, err);
	}
	return r;
}

/* Decompressed bytes of the entry. */
int loader_take_plain(void *arg, const void *data, size_t len, struct error *err)
{
	struct loader *l = arg;
	int r;

	if (!l->entry->wanted)
		return 0;
	if (l->entry->blobs)
		return load_blob_data(l, data, len, err);
	rows_scan_feed(l->rows, data, len);
	if (l->failed)
		return 0;
	r = pg_load_data(l->session, data, len, err);
	return r < 0 ? pass_over_refused(l, r, err) : 0;
}

int loader_begin_blob(struct loader *l, uint32_t oid, struct error *err)
{
	int r = 0;

	l->oid = oid;
	l->blob_at = 0;
	l->found.count++;
	if (l->options.data->empties_blobs && !l->failed)
		r = pg_load_blob_empty(l->session, oid, err);
	return r < 0 ? pass_over_refused(l, r, err) : 0;
}

static int wrong_counts(const struct loader *l, const struct inside_texts *texts, struct error *err)
{
	const struct rows *expected = &l->entry->expected;

	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "%s.%s holds %" PRIu64 " %s of %" PRIu64 " bytes, and %" PRIu64 " of %" PRIu64
	        " bytes were counted when the backup was made%s",
	        texts->schema, texts->name, l->found.count, l->entry->blobs ? "large objects" : "rows",
	        l->found.bytes, expected->count, expected->bytes,
	        l->found.count == expected->count && l->found.bytes == expected->bytes ? ", with another hash"
	                                                                               : "");
}

static int check_counts(const struct loader *l, struct error *err)
{
	const struct inside_entry *e = l->entry;
	_cleanup(inside_texts) struct inside_texts texts = {0};
	bool same = l->found.count == e->expected.count && l->found.bytes == e->expected.bytes &&
	            (!e->has_hash || l->found.hash == e->expected.hash);
	int r;

	if (!e->has_counts || same)
		return 0;
	r = inside_toc_texts(l->options.data->toc, e, &texts, err);
	return r < 0 ? r : wrong_counts(l, &texts, err);
}

/* The server has fewer of them: a rule or trigger of the target has eaten some. */
static int check_taken(const struct loader *l, uint64_t taken, struct error *err)
{
	_cleanup(inside_texts) struct inside_texts texts = {0};
	int r;

	if (taken >= l->found.count)
		return 0;
	r = inside_toc_texts(l->options.data->toc, l->entry, &texts, err);
	if (r < 0)
		return r;
	return error_set(err, ERROR_CONFLICT, EBADMSG,
	                 "of %" PRIu64 " rows of %s.%s the server has taken %" PRIu64
	                 ": is there a rule or a trigger that leaves out the others?",
	                 l->found.count, texts.schema, texts.name, taken);
}

static int end_rows(struct loader *l, struct error *err)
{
	uint64_t taken = 0;
	int r = 0;

	if (!rows_scan_end(l->rows, &l->found))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the rows of a table are cut off");
	if (!l->failed)
		r = pg_load_end(l->session, &taken, err);
	if (r < 0)
		return pass_over_refused(l, r, err);
	if (l->failed)
		return 0;
	l->totals.rows += taken;
	return check_taken(l, taken, err);
}

int loader_end_entry(struct loader *l, struct error *err)
{
	int r;

	if (!l->entry->wanted)
		return 0;
	if (!l->entry->blobs) {
		r = end_rows(l, err);
	} else {
		r = l->failed ? 0 : pg_load_blobs_end(l->session, err);
		if (r < 0)
			r = pass_over_refused(l, r, err);
	}
	if (r == 0)
		r = check_counts(l, err);
	if (!l->failed)
		l->totals.bytes += l->found.bytes;
	return r;
}

int loader_end_part(struct loader *l, struct rows *ret, struct error *err)
{
	int r = end_rows(l, err);

	l->is_part = false;
	l->totals.bytes += l->found.bytes;
	*ret = l->found;
	return r;
}

int loader_check_parts(struct loader *l, size_t entry, const struct rows *found, struct error *err)
{
	int r;

	l->entry = &l->options.data->toc->entries[entry];
	l->found = *found;
	r = check_counts(l, err);
	if (r < 0)
		error_prefix(err, "loaded in parts, by the segment index, which jobs=1 does without");
	return r;
}

/* A loader. */

static int open_loader(struct loader *l, struct error *err)
{
	const struct restore_database_options *o = loader_options(l);
	int r;

	l->ctx = *o->backup->ctx;
	l->ctx.pool = pool_new(PROVING_POOL_BYTES);
	if (!l->ctx.pool)
		return error_system(err, ENOMEM, "there is no memory for reading the backup");
	l->backup = (struct backup){.ctx = &l->ctx,
	                            .cancel = l->options.cancel,
	                            .rate = o->backup->rate,
	                            .done_bytes = o->done_bytes};
	r = backup_open(&l->backup, o->backup->ino, err);
	if (r == 0 && !l->backup.is_directory)
		r = loader_open_custom(l, err);
	return r < 0 ? r : open_load_session(l, err);
}

int loader_new(const struct load_options *options, struct loader **ret, struct error *err)
{
	_cleanup(loader) struct loader *l = mem_alloc(sizeof(*l));
	int r;

	l->options = *options;
	l->rows = rows_scan_new();
	r = open_loader(l, err);
	if (r == 0)
		*ret = take_ptr(&l);
	return r;
}

struct loader *loader_free(struct loader *l)
{
	if (!l)
		return NULL;
	pg_session_free(l->session);
	decompressor_free(l->decompressor);
	pg_archive_scan_free(l->scan);
	manifest_object_finish(&l->object);
	backup_finish(&l->backup);
	rows_scan_free(l->rows);
	str_finish(&l->piece);
	pool_free(l->ctx.pool);
	free(l);
	return NULL;
}

void loader_add_totals(const struct loader *l, struct load_totals *io)
{
	io->rows += l->totals.rows;
	io->bytes += l->totals.bytes;
	io->errors += l->totals.errors;
}
