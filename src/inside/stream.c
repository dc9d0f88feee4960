// SPDX-License-Identifier: Apache-2.0
/*
 * The plain bytes of a member, in order, from a point on. What is read is asked for in pieces that grow, so that a short read
 * fetches little, and a long one has the reader's read-ahead before it. It is decompressed straight into the memory of whoever reads.
 *
 * A survey begins anew at each place that looks like one where this is possible: what is wrong about it fails then, and is no point.
 */
#include "inside_private.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/mem.h>
#include <keepfs/catalog/entries.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <string.h>

#define FIRST_ASK_BYTES  ((size_t)128 << 10)
#define LEAST_ASK_BYTES  ((size_t)16 << 10)
#define FLUSH_BYTES      4U /* "00 00 ff ff": an empty block of deflate, stored, which a flush ends with */
#define BLOCK_HEAD_BYTES 6U /* what it holds, rows; and the number of its entry */
#define BLOCK_OF_ROWS    1

/* Getting. */

struct getting {
	struct reader_request request; /* is first */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool answered; /* lock */
	uint8_t *to;
	int r;
	struct error err;
};

static void take_gotten(struct reader_request *request, int r, const struct iovec *iov, int count,
                        const struct error *err)
{
	struct getting *g = (struct getting *)request;
	uint8_t *to = g->to;

	for (int i = 0; r == 0 && i < count; i++) {
		memcpy(to, iov[i].iov_base, iov[i].iov_len);
		to += iov[i].iov_len;
	}
	if (r < 0 && err)
		g->err = *err;
	pthread_mutex_lock(&g->lock);
	g->r = r < 0 ? r : (int)(to - g->to);
	g->answered = true;
	pthread_cond_broadcast(&g->changed);
	pthread_mutex_unlock(&g->lock);
}

static int wait_for_answer(struct getting *g, struct reader_file *file, struct cancel *cancel)
{
	struct inside_waiter w;
	int r = 0;

	inside_waiter_begin(&w, &g->lock, &g->changed, cancel);
	while (r == 0 && !g->answered)
		r = inside_waiter_wait(&w);
	inside_waiter_end(&w);
	/* It answers before that returns, or is about to. */
	if (r < 0)
		reader_cancel(file, g->request.tag);
	pthread_mutex_lock(&g->lock);
	while (!g->answered)
		pthread_cond_wait(&g->changed, &g->lock);
	pthread_mutex_unlock(&g->lock);
	return g->r;
}

/* What the store has is not what was sent, or there is nothing: the backup is damaged, however the reader puts it. */
static int judge_failed_get(int r, const struct error *why, struct error *err)
{
	bool damage = why->class == ERROR_CORRUPT || why->class == ERROR_NOT_FOUND;

	if (err)
		*err = *why;
	if (damage)
		error_note_damage(err);
	if (err && err->class == ERROR_NOT_FOUND)
		err->class = ERROR_CORRUPT;
	return damage ? -EBADMSG : r;
}

static int get_piece(struct inside_stream *s, size_t len, struct cancel *cancel, struct error *err)
{
	struct getting g = {.request = {.offset = s->at, .len = len, .tag = 1, .done = take_gotten},
	                    .to = s->in};
	int r;

	if (cancel_is_set(cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	pthread_mutex_init(&g.lock, NULL);
	pthread_cond_init(&g.changed, NULL);
	reader_read(s->file, &g.request);
	r = wait_for_answer(&g, s->file, cancel);
	pthread_cond_destroy(&g.changed);
	pthread_mutex_destroy(&g.lock);
	if (r == -ECANCELED)
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return r < 0 ? judge_failed_get(r, &g.err, err) : r;
}

static size_t bytes_to_ask(const struct inside_stream *s)
{
	uint64_t left = s->m.end - s->at;
	size_t len = s->ask < s->in_cap ? s->ask : s->in_cap;

	if (len > READER_REQUEST_BYTES)
		len = READER_REQUEST_BYTES;
	return len > left ? (size_t)left : len;
}

/* The next bytes of the file behind those in @s->in, all of which were taken. What is damaged may be no more than the end of what was asked for. */
static int get_more(struct inside_stream *s, struct cancel *cancel, struct error *err)
{
	struct error why = {0};
	int r = get_piece(s, bytes_to_ask(s), cancel, &why);

	if (r == -EBADMSG && s->ask > LEAST_ASK_BYTES) {
		s->ask = LEAST_ASK_BYTES;
		r = get_piece(s, bytes_to_ask(s), cancel, &why);
	}
	if (r == 0)
		r = error_set(&why, ERROR_CORRUPT, EBADMSG,
		              "a file of the backup is shorter than it should be");
	if (r < 0) {
		if (err)
			*err = why;
		return r;
	}
	s->at += (uint64_t)r;
	s->in_at = 0;
	s->in_len = (size_t)r;
	if (s->ask < s->in_cap)
		s->ask *= 2;
	return 0;
}

static int open_file(struct inside_stream *s, uint64_t ino, struct error *err)
{
	_cleanup(manifest_object) struct manifest_object object = {0};
	const struct backup *b = &s->dump->backup;
	struct sealed_object sealed = {.repo = s->dump->ctx.repository,
	                               .object = &object,
	                               .what = b->path,
	                               .encrypted_to = b->m.encrypted_to};
	struct reader_what what = {.ino = ino};
	int r;

	if (s->file && s->file_ino == ino)
		return 0;
	inside_stream_finish(s);
	r = backup_object(b, ino, b->path, &object, err);
	if (r == 0)
		r = repository_reading_store_of_ino(s->dump->ctx.repository, ino, &what.store, err);
	if (r < 0)
		return r;
	sealed.store = what.store;
	r = sealed_layout(&sealed, &what.layout, err);
	if (r < 0) {
		store_free(what.store);
		return r;
	}
	what.key = object.key;
	what.stored_sha256 = object.stored_sha256;
	what.extents = &object.extents;
	r = reader_open(s->dump->in->reader, &what, &s->file, err);
	s->file_ino = ino;
	return r;
}

void inside_stream_finish(struct inside_stream *s)
{
	if (s->file)
		reader_close(take_ptr(&s->file), NULL);
	s->decompressor = decompressor_free(s->decompressor);
	s->m.points = inside_points_unref(s->m.points);
}

/* Entering. */

static struct decompressor *new_decompressor(const struct inside_member *m, bool at_begin)
{
	if (m->method == COMPRESSION_NONE)
		return NULL;
	if (!at_begin)
		return decompressor_new_segments(m->method, NULL);
	return m->method == COMPRESSION_GZIP && m->chunks ? decompressor_new_zlib(NULL)
	                                                  : decompressor_new(m->method, NULL);
}

int inside_stream_enter(struct inside_stream *s, const struct inside_member *m, uint64_t raw,
                        struct error *err)
{
	struct inside_points *points = inside_points_ref(m->points);
	const struct inside_point *point = inside_points_find(points, raw);
	int r = open_file(s, m->file_ino, err);

	inside_points_unref(s->m.points);
	s->m = *m;
	s->m.points = points;
	if (r < 0)
		return r;
	decompressor_free(s->decompressor);
	s->decompressor = new_decompressor(m, !point);
	s->at = point ? point->offset : m->begin;
	s->raw_at = point ? point->raw : 0;
	/* What is stored as it is can be entered anywhere. */
	if (m->method == COMPRESSION_NONE && !m->chunks) {
		s->at = m->begin + raw;
		s->raw_at = raw;
	}
	s->in_at = s->in_len = 0;
	s->head_bytes = s->flush_bytes = 0;
	s->chunk_left = 0;
	s->ask = FIRST_ASK_BYTES;
	s->check_left = point && m->is_kept ? INSIDE_CHECK_BYTES : 0;
	s->check = 0;
	s->check_wanted = point ? point->check : 0;
	s->pending = s->ended = false;
	s->block_left = !point && m->block_id ? BLOCK_HEAD_BYTES : 0;
	return 0;
}

/* Surveys. */

/* Everything up to here was taken, and what comes next is at @offset: it is entered. */
static void enter_anew(struct inside_stream *s, uint64_t offset)
{
	uint64_t raw = s->raw_at;
	size_t count = s->found->count;

	if (s->decompressor && !decompressor_is_between(s->decompressor))
		return;
	inside_found_add(s->found, offset, raw);
	if (s->found->count == count || !s->decompressor)
		return;
	decompressor_free(s->decompressor);
	s->decompressor = new_decompressor(&s->m, false);
	s->may_enter = true;
}

/* Up to the end of the flush, if there is one in these bytes. */
static size_t cut_at_flush(struct inside_stream *s, const uint8_t *data, size_t len)
{
	static const uint8_t flush[FLUSH_BYTES] = {0, 0, 0xff, 0xff};
	const uint8_t *found;

	/* One that began in the piece before. */
	for (size_t i = 0; s->flush_bytes > 0 && i < len && i < FLUSH_BYTES; i++) {
		if (data[i] != flush[s->flush_bytes])
			s->flush_bytes = data[i] == 0 ? (s->flush_bytes == 2 ? 2 : 1) : 0;
		else if (++s->flush_bytes == FLUSH_BYTES)
			return i + 1;
	}
	s->flush_bytes = 0;
	found = memmem(data, len, flush, FLUSH_BYTES);
	if (found) {
		s->flush_bytes = FLUSH_BYTES;
		return (size_t)(found - data) + FLUSH_BYTES;
	}
	for (unsigned n = FLUSH_BYTES - 1; n > 0 && s->flush_bytes == 0; n--)
		if (len >= n && memcmp(data + len - n, flush, n) == 0)
			s->flush_bytes = n;
	return len;
}

static uint64_t offset_of_next(const struct inside_stream *s)
{
	return s->at - (s->in_len - s->in_at);
}

/* Input. */

static int take_block_head(struct inside_stream *s, struct error *err)
{
	uint32_t id = (uint32_t)s->m.block_id;
	const uint8_t head[BLOCK_HEAD_BYTES] = {
	        BLOCK_OF_ROWS, 0, (uint8_t)id, (uint8_t)(id >> 8), (uint8_t)(id >> 16), (uint8_t)(id >> 24)};

	for (; s->block_left > 0 && s->in_at < s->in_len; s->block_left--)
		if (s->in[s->in_at++] != head[BLOCK_HEAD_BYTES - s->block_left])
			return error_set(
			        err, ERROR_CORRUPT, EBADMSG,
			        "the archive's block of entry %d is not where the table of contents says",
			        s->m.block_id);
	return 0;
}

/* Return: 1: the next chunk's length is known, or that there is none; 0: more has to be got; negative. */
static int take_length_of_chunk(struct inside_stream *s, struct error *err)
{
	while (s->head_bytes < sizeof(s->head) && s->in_at < s->in_len)
		s->head[s->head_bytes++] = s->in[s->in_at++];
	if (s->head_bytes < sizeof(s->head))
		return 0;
	s->head_bytes = 0;
	if (s->head[0] != 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the length of a piece of the archive is wrong");
	s->chunk_left = s->head[1] | (uint64_t)s->head[2] << 8 | (uint64_t)s->head[3] << 16 |
	                (uint64_t)s->head[4] << 24;
	s->ended = s->chunk_left == 0;
	if (s->found && !s->ended)
		enter_anew(s, offset_of_next(s) - sizeof(s->head));
	return 1;
}

static int end_of_file(struct inside_stream *s, struct error *err)
{
	if (s->m.chunks)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the data of a table or large object is cut off");
	s->ended = true;
	return 0;
}

/* So many bytes at s->in + s->in_at are the next ones; 0 only once it has ended. */
static ssize_t have_input(struct inside_stream *s, struct cancel *cancel, struct error *err)
{
	size_t len;
	int r = 0;

	while (r == 0 && !s->ended) {
		if (s->in_at == s->in_len) {
			r = s->at < s->m.end ? get_more(s, cancel, err) : end_of_file(s, err);
			continue;
		}
		if (s->block_left > 0) {
			r = take_block_head(s, err);
			continue;
		}
		if (s->m.chunks && s->chunk_left == 0) {
			r = take_length_of_chunk(s, err);
			r = r > 0 ? 0 : r;
			continue;
		}
		len = s->in_len - s->in_at;
		if (s->m.chunks && len > s->chunk_left)
			len = (size_t)s->chunk_left;
		return (ssize_t)len;
	}
	return r;
}

static void took_input(struct inside_stream *s, size_t len)
{
	s->in_at += len;
	if (s->m.chunks)
		s->chunk_left -= len;
}

/* Output. */

static ssize_t copy_stored(struct inside_stream *s, char *to, size_t room, struct cancel *cancel,
                           struct error *err)
{
	ssize_t n = have_input(s, cancel, err);

	if (n <= 0)
		return n;
	if ((size_t)n > room)
		n = (ssize_t)room;
	memcpy(to, s->in + s->in_at, (size_t)n);
	took_input(s, (size_t)n);
	return n;
}

static bool looks_for_flushes(const struct inside_stream *s)
{
	return s->found && s->m.method == COMPRESSION_GZIP && !s->m.chunks;
}

/* May be 0 before the end. */
static ssize_t decompress_some(struct inside_stream *s, char *to, size_t room, struct cancel *cancel,
                               struct error *err)
{
	struct decompressor_piece p = {.data = s->in, .out = to, .room = room};
	size_t given;
	ssize_t n = 0;
	int r;

	if (!s->pending) {
		n = have_input(s, cancel, err);
		if (n < 0)
			return n;
		p.data = s->in + s->in_at;
		p.len = (size_t)n;
	}
	if (n > 0 && looks_for_flushes(s))
		p.len = cut_at_flush(s, p.data, p.len);
	given = p.len;
	r = n == 0 && !s->pending ? decompressor_finish(s->decompressor, err)
	                          : decompressor_run(s->decompressor, &p, err);
	if (r < 0)
		return r;
	took_input(s, given - p.len);
	/* What looked like a flush was not reached. */
	if (p.len > 0)
		s->flush_bytes = 0;
	s->pending = p.written == room;
	return (ssize_t)p.written;
}

/* Where a flush was, or a frame ended. */
static void look_for_point(struct inside_stream *s)
{
	bool flushed = looks_for_flushes(s) && s->flush_bytes == FLUSH_BYTES;
	bool framed = s->found && s->m.method == COMPRESSION_ZSTD && !s->m.chunks;

	if (s->pending || !(flushed || framed))
		return;
	s->flush_bytes = 0;
	enter_anew(s, offset_of_next(s));
}

/* The first bytes behind a point that was kept are those that were found there, or it is none. */
static int check_point(struct inside_stream *s, const char *data, size_t len, struct error *err)
{
	size_t n = len < s->check_left ? len : s->check_left;

	if (s->check_left == 0)
		return 0;
	s->check = crc32c(s->check, data, n);
	s->check_left -= (unsigned)n;
	if (len > 0 && s->check_left > 0)
		return 0;
	s->check_left = 0;
	return s->check == s->check_wanted
	               ? 0
	               : error_set(err, ERROR_CORRUPT, EBADMSG,
	                           "a place where the data can be entered was not kept right");
}

ssize_t inside_stream_read(struct inside_stream *s, void *buf, size_t len, struct cancel *cancel,
                           struct error *err)
{
	size_t got = 0;
	bool over = false;

	while (got < len && !over) {
		char *to = (char *)buf + got;
		ssize_t n = s->decompressor ? decompress_some(s, to, len - got, cancel, err)
		                            : copy_stored(s, to, len - got, cancel, err);

		if (n < 0)
			return n;
		got += (size_t)n;
		s->raw_at += (uint64_t)n;
		over = n == 0 && s->ended;
		if ((n > 0 || over) && check_point(s, to, (size_t)n, err) < 0)
			return -EBADMSG;
		if (s->found) {
			inside_found_bytes(s->found, to, (size_t)n);
			look_for_point(s);
		}
	}
	return (ssize_t)got;
}
