// SPDX-License-Identifier: Apache-2.0
/*
 * What a reader does: take the next slice, and with it the next turn, both under one lock; read its pieces by
 * COPY, compress them on the way, hand over the segments. The first failure ends all of them: through the
 * turns those who make something, through a token of their own those who wait for the server.
 */
#include "table_reader.h"
#include "output.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/workers.h>

#include <errno.h>
#include <pthread.h>
#include <string.h>

#define BLOBS_AT_ONCE  1000
#define FEWEST_READERS 2

static const char end_of_rows[] = "\\.\n\n\n"; /* as pg_dump ends the data of a table */

struct reader {
	struct readers *all;
	struct pg_session *session;
	struct compressor *compressor;
	struct rows_scan *rows;
	uint8_t *raw; /* SEGMENT_RAW_BYTES */
	size_t raw_bytes;
	uint8_t *out;
	size_t out_bytes;
	struct turn *turn;
	struct rows counted; /* of the present piece */
	pthread_t thread;
	bool started;
};

struct readers {
	struct dump *dump;
	struct contents *contents;
	const char *snapshot, *server; /* while they are opened */
	struct cancel stop;
	struct cancel_hook outer_hook; /* the run's token sets ours */
	struct turns *turns;
	const struct tape *tape;
	pthread_mutex_t lock;
	size_t next_slice; /* lock */
	struct reader *items;
	unsigned count;
};

static int flush(struct reader *rd, struct error *err)
{
	struct segment segment;
	int r;

	if (rd->raw_bytes == 0)
		return 0;
	r = compressor_run(rd->compressor, rd->raw, rd->raw_bytes, rd->out, rd->out_bytes, &segment, err);
	rd->raw_bytes = 0;
	/* Here a reader waits for room. It does not read its connection meanwhile, so the server waits, too. */
	return r < 0 ? r : turn_segment(rd->turn, &segment, rd->out, err);
}

static int gather_rows(struct reader *rd, const void *data, size_t len, struct error *err)
{
	const uint8_t *p = data;

	while (len > 0) {
		size_t room = SEGMENT_RAW_BYTES - rd->raw_bytes;
		size_t n = len < room ? len : room;
		int r = 0;

		memcpy(rd->raw + rd->raw_bytes, p, n);
		rd->raw_bytes += n;
		p += n;
		len -= n;
		if (rd->raw_bytes == SEGMENT_RAW_BYTES)
			r = flush(rd, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_mark(struct reader *rd, enum mark what, uint64_t value, struct error *err)
{
	int r = flush(rd, err);

	return r < 0 ? r : turn_mark(rd->turn, what, value, err);
}

/* Tables. */

static int take_copied_rows(void *arg, const void *data, size_t len, struct error *err)
{
	struct reader *rd = arg;
	int r = draft_pace(rd->all->dump->draft, len, err);

	if (r < 0)
		return r;
	rows_scan_feed(rd->rows, data, len);
	return gather_rows(rd, data, len, err);
}

static int copy_rows(struct reader *rd, const struct piece *piece, const struct content_texts *texts,
                     struct error *err)
{
	const char *relation = piece->table->relation;
	_cleanup(free) char *sql =
	        pg_copy_statement(texts->copy_stmt, piece->table, piece->from_page, piece->to_page);
	int r;

	if (!sql)
		return error_set(err, ERROR_INTERNAL, EINVAL, "%s.%s cannot be read by: %s", texts->schema,
		                 texts->table, texts->copy_stmt);
	r = pg_lock_relation(rd->session, relation, err);
	if (r == 0)
		r = pg_session_copy(rd->session, sql, take_copied_rows, rd, err);
	if (r < 0)
		return r;
	if (!rows_scan_end(rd->rows, &rd->counted))
		return error_set(err, ERROR_CORRUPT, EBADMSG, "the data of %s ends within a row", relation);
	return 0;
}

static int read_table(struct reader *rd, const struct piece *piece, struct error *err)
{
	_cleanup(content_texts) struct content_texts texts = {0};
	int r = contents_texts(rd->all->contents, piece->content, &texts, err);

	if (r < 0)
		return r;
	r = copy_rows(rd, piece, &texts, err);
	if (r < 0) {
		error_prefix(err, "reading %s.%s", texts.schema, texts.table);
		return r;
	}
	return piece->last ? gather_rows(rd, end_of_rows, strlen(end_of_rows), err) : 0;
}

/* Large objects. */

static int mark_blob(void *arg, uint32_t oid, struct error *err)
{
	struct reader *rd = arg;

	rd->counted.count++;
	return put_mark(rd, MARK_BLOB, oid, err);
}

static int take_blob(void *arg, const void *data, size_t len, struct error *err)
{
	struct reader *rd = arg;
	int r = draft_pace(rd->all->dump->draft, len, err);

	rd->counted.bytes += len;
	return r < 0 ? r : gather_rows(rd, data, len, err);
}

static int mark_end_of_blob(void *arg, struct error *err)
{
	return put_mark(arg, MARK_BLOB_END, 0, err);
}

static int read_some_blobs(struct reader *rd, const uint32_t *oids, size_t count, struct error *err)
{
	const struct pg_large_object_sink sink = {
	        .begin = mark_blob, .data = take_blob, .end = mark_end_of_blob, .arg = rd};

	return pg_large_objects_read(rd->session, oids, count, &sink, err);
}

static int read_listed(struct reader *rd, const struct content *content, struct error *err)
{
	uint32_t oids[BLOBS_AT_ONCE];
	uint64_t at = 0;
	ssize_t n;

	while ((n = contents_listed(rd->all->contents, content, &at, oids, BLOBS_AT_ONCE, err)) > 0) {
		int r = read_some_blobs(rd, oids, (size_t)n, err);

		if (r < 0)
			return r;
	}
	return (int)n;
}

static int add_oid(void *arg, uint32_t oid, struct error *err)
{
	return spool_put(arg, &oid, sizeof(oid), err);
}

/* There may be millions: their numbers are not kept in memory. */
static int read_all_blobs(struct reader *rd, struct error *err)
{
	_cleanup(spool) struct spool *all = spool_new(rd->all->dump->ctx->conf->state_dir);
	uint32_t oids[BLOBS_AT_ONCE];
	int r = pg_large_objects(rd->session, add_oid, all, err);
	uint64_t size = spool_size(all);

	for (uint64_t at = 0, n; r == 0 && at < size; at += n) {
		n = size - at < sizeof(oids) ? size - at : sizeof(oids);
		r = spool_get(all, oids, (size_t)n, at, err);
		if (r == 0)
			r = read_some_blobs(rd, oids, (size_t)n / sizeof(*oids), err);
	}
	return r;
}

static int read_blobs(struct reader *rd, const struct content *content, struct error *err)
{
	return content->listed ? read_listed(rd, content, err) : read_all_blobs(rd, err);
}

/* Slices. */

static int read_table_piece(struct reader *rd, const struct piece *piece, struct error *err)
{
	int r = piece->first ? put_mark(rd, MARK_BLOCK, (uint64_t)piece->content->dump_id, err) : 0;

	rd->counted = (struct rows){0};
	if (r == 0)
		r = piece->content->blobs ? read_blobs(rd, piece->content, err) : read_table(rd, piece, err);
	if (r < 0)
		return r;
	contents_count_rows(rd->all->contents, piece->content, &rd->counted);
	return piece->last ? put_mark(rd, MARK_BLOCK_END, 0, err) : flush(rd, err);
}

static int read_slice(struct reader *rd, const struct slice *slice, struct error *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < slice->pieces; i++)
		r = read_table_piece(rd, &rd->all->tape->pieces[slice->first_piece + i], err);
	/* Before the turn ends: one that has ended counts as whole, so the thread of the run would go on to the next
	 * turn, and the file would have a hole where this slice broke off. */
	if (r < 0)
		turns_fail(rd->all->turns, r, err);
	turn_end(take_ptr(&rd->turn));
	return r;
}

/* The next slice and the turn for it; NULL when all were taken. */
static const struct slice *next_slice(struct reader *rd)
{
	struct readers *all = rd->all;
	const struct slice *slice = NULL;

	/* Slice and turn under one lock: the turns must begin in the order of the slices, because that is the order of
	 * the file. And the reader of the first turn must be at work, since all others may come to wait for it. */
	pthread_mutex_lock(&all->lock);
	if (all->next_slice < all->tape->slice_count && !cancel_is_set(&all->stop)) {
		slice = &all->tape->slices[all->next_slice++];
		rd->turn = turns_begin(all->turns);
		if (all->next_slice == all->tape->slice_count)
			turns_close(all->turns);
	}
	pthread_mutex_unlock(&all->lock);
	return slice;
}

static void *reader_main(void *arg)
{
	struct reader *rd = arg;
	const struct slice *slice;

	/* It does what pg_dump would do with that priority. */
	proc_lower_thread((int)rd->all->dump->job->nice, rd->all->dump->job->ionice);
	while ((slice = next_slice(rd))) {
		struct error err = {0};
		int r = read_slice(rd, slice, &err);

		if (r < 0) {
			cancel_set(&rd->all->stop);
			break;
		}
	}
	return NULL;
}

static void stop_readers(void *arg)
{
	cancel_set(&((struct readers *)arg)->stop);
}

static int open_reader(struct reader *rd, struct error *err)
{
	const struct readers *all = rd->all;
	struct dump *d = all->dump;
	int r = pg_session_open(d->conf->database, d->order->target->name, "keepfs", &rd->all->stop,
	                        &rd->session, err);

	return r < 0 ? r
	             : pg_snapshot_join(rd->session, all->snapshot, all->server, all->contents->encoding,
	                                d->conf->lock_wait_timeout_ms, err);
}

static int add_reader(struct readers *all, struct error *err)
{
	struct reader *rd = &all->items[all->count++];
	struct dump *d = all->dump;

	rd->all = all;
	rd->compressor = compressor_new(&d->compression, output_check(d));
	rd->rows = rows_scan_new();
	rd->raw = mem_alloc(SEGMENT_RAW_BYTES);
	rd->out_bytes = compressor_bound(&d->compression, SEGMENT_RAW_BYTES);
	rd->out = mem_alloc(rd->out_bytes);
	return open_reader(rd, err);
}

static void free_reader(struct reader *rd)
{
	pg_session_free(rd->session);
	compressor_free(rd->compressor);
	rows_scan_free(rd->rows);
	free(rd->raw);
	free(rd->out);
	*rd = (struct reader){0};
}

/* Those that were let in are enough, if they are more than one. */
static int open_as_many(struct readers *all, unsigned wanted, struct error *err)
{
	while (all->count < wanted) {
		struct error why = {0};
		int r = add_reader(all, &why);

		if (r == 0)
			continue;
		if (all->count <= FEWEST_READERS || r == -ECANCELED) {
			if (err)
				*err = why;
			return r;
		}
		free_reader(&all->items[--all->count]);
		make_say(all->dump->order, "no more than %u connections can be had: %s", all->count,
		         why.message);
		break;
	}
	return 0;
}

int readers_open(struct dump *d, struct contents *contents, const char *snapshot, const char *server,
                 unsigned *count, struct readers **ret_readers, struct error *err)
{
	struct readers *all = mem_alloc(sizeof(*all));
	int r;

	all->dump = d;
	all->contents = contents;
	all->snapshot = snapshot;
	all->server = server;
	pthread_mutex_init(&all->lock, NULL);
	cancel_init(&all->stop);
	all->outer_hook = (struct cancel_hook){.wake = stop_readers, .arg = all};
	cancel_add_hook(d->order->cancel, &all->outer_hook);
	all->items = mem_array(*count, sizeof(*all->items));
	r = open_as_many(all, *count, err);
	if (r < 0) {
		readers_free(all);
		return r;
	}
	*count = all->count;
	*ret_readers = all;
	return 0;
}

int readers_start(struct readers *all, const struct tape *tape, struct turns *turns, struct error *err)
{
	all->tape = tape;
	all->turns = turns;
	if (tape->slice_count == 0)
		turns_close(turns);
	for (unsigned i = 0; i < all->count; i++) {
		int r = thread_start(&all->items[i].thread, "dump-read", reader_main, &all->items[i]);

		if (r < 0)
			return error_system(err, -r, "a thread for a reader cannot be started");
		all->items[i].started = true;
	}
	return 0;
}

void readers_stop(struct readers *all, bool now)
{
	if (now)
		cancel_set(&all->stop);
	for (unsigned i = 0; i < all->count; i++) {
		if (all->items[i].started)
			pthread_join(all->items[i].thread, NULL);
		all->items[i].started = false;
	}
}

struct readers *readers_free(struct readers *all)
{
	if (!all)
		return NULL;
	cancel_remove_hook(all->dump->order->cancel, &all->outer_hook);
	for (unsigned i = 0; i < all->count; i++)
		free_reader(&all->items[i]);
	cancel_finish(&all->stop);
	pthread_mutex_destroy(&all->lock);
	free(all->items);
	free(all);
	return NULL;
}
