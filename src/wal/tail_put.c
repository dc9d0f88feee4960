// SPDX-License-Identifier: Apache-2.0
/* Making pieces of tails, and removing them. The others go when the one that has all of it is durable, so there is no moment without a tail that goes as far as what the server was told. */
#include "tail.h"

#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/keyring.h>
#include <keepfs/stream/age.h>

#include <errno.h>
#include <stdlib.h>

struct packing_tail {
	const struct wal_tail_put *put;
	struct compressor *compressor;
	struct sink *chain;
	uint8_t *raw, *packed;
};

static int pack_tail_bytes(const struct packing_tail *p, struct error *err)
{
	int r = 0;

	for (uint32_t at = p->put->from; r == 0 && at < p->put->to;) {
		size_t n = p->put->to - at < SEGMENT_RAW_BYTES ? p->put->to - at : SEGMENT_RAW_BYTES;
		struct segment segment;

		pages_copy(p->put->raw, at, p->raw, n);
		r = compressor_run(p->compressor, p->raw, n, p->packed, POOL_BUFFER_BYTES, &segment, err);
		if (r == 0)
			r = sink_write(p->chain, p->packed, segment.bytes, err);
		at += (uint32_t)n;
	}
	return r < 0 ? r : sink_finish(p->chain, err);
}

/* @stored: with room. */
static int pack_tail(const struct wal_tail_put *put, const struct age_recipients *recipients,
                     struct pages *stored, struct error *err)
{
	struct stream_age age = {0};
	struct pages_sink last;
	struct packing_tail p = {.put = put, .chain = &last.sink};
	int r = recipients ? stream_age_init(&age, recipients, err) : 0;

	if (r < 0)
		return r;
	pages_sink_init(&last, stored);
	if (recipients) {
		const struct stream_stage stage = stream_age_stage(&age);

		p.chain = stage.new(p.chain, 0, stage.arg);
	}
	p.compressor = compressor_new(&wal_compression, SEGMENT_CHECK_NONE);
	p.raw = pool_take(put->pool);
	p.packed = pool_take(put->pool);
	r = pack_tail_bytes(&p, err);
	pool_give(put->pool, p.raw);
	pool_give(put->pool, p.packed);
	compressor_free(p.compressor);
	sink_free(p.chain);
	stream_age_finish(&age);
	return r;
}

static int tail_recipients(const struct wal_tail_put *put, const struct wal_tail *t,
                           struct age_recipients **ret, struct error *err)
{
	const struct conf *conf = wal_conf_ref(put->w);
	const struct conf_job *job = conf_find_job(conf, t->job);
	int r = job ? keyring_recipients(conf, job, put->cancel, ret, err)
	            : error_set(err, ERROR_CANCELLED, ECANCELED, "[cluster %s] is gone", t->job);

	wal_conf_unref(put->w, conf);
	return r;
}

/* Over what may be there: a piece of the same places is of a server that lived before this one did. */
static int put_tail_piece(const struct wal_tail_put *put, const struct wal_tail *t,
                          struct wal_tail_piece *piece, const struct pages *stored, struct error *err)
{
	_cleanup(free) char *key = wal_tail_key_format(t, piece);
	_cleanup(free) struct iovec *iov = NULL;
	const struct store_call call = {.cancel = put->cancel};
	const struct store_put_options options = {.content_type = piece->is_sealed ? NULL : WAL_CONTENT_TYPE};
	int count;

	piece->stored_bytes = stored->bytes;
	iov = pages_iov(stored, &count);
	return store_put(repository_store(put->w->options.repository), &call, key, iov, count, &options, err);
}

static bool is_same_piece(const struct wal_tail_piece *a, const struct wal_tail_piece *b)
{
	return a->begin == b->begin && a->end == b->end && a->is_sealed == b->is_sealed;
}

/* All of @t but @spared. */
static void remove_pieces(struct wal *w, const struct wal_tail *t, const struct wal_tail_piece *spared,
                          struct cancel *cancel)
{
	const struct store_call call = {.cancel = cancel};

	for (size_t i = 0; i < t->count; i++) {
		_cleanup(free) char *key = wal_tail_key_format(t, &t->pieces[i]);
		struct error err = {0};
		int r;

		if (spared && is_same_piece(&t->pieces[i], spared))
			continue;
		r = store_remove(repository_store(w->options.repository), &call, key, &err);
		if (r == 0)
			wal_tails_strike(w, t, &t->pieces[i]);
		else if (r != -ECANCELED)
			log_warning("%s is not needed any more, and could not be removed: %s", key,
			            err.message);
	}
}

void wal_tail_remove(struct wal *w, const struct wal_tail *t, struct cancel *cancel)
{
	remove_pieces(w, t, NULL, cancel);
}

int wal_tail_put(const struct wal_tail_put *put, const struct wal_tail *t, struct error *err)
{
	_cleanup(wal_tail) struct wal_tail others = {0};
	_cleanup(pages) struct pages stored = {0};
	struct age_recipients *recipients = NULL;
	struct wal_tail_piece piece = {.begin = put->from, .end = put->to};
	int r = pages_reserve(&stored, put->pool, wal_packed_bytes_max(put->to - put->from), WAL_PIECES,
	                      put->cancel);

	if (r < 0)
		return error_set(err, ERROR_CANCELLED, -r, "cancelled");
	r = tail_recipients(put, t, &recipients, err);
	piece.is_sealed = recipients;
	if (r == 0)
		r = pack_tail(put, recipients, &stored, err);
	age_recipients_free(recipients);
	pool_unreserve(put->pool, WAL_PIECES);
	if (r == 0)
		r = put_tail_piece(put, t, &piece, &stored, err);
	if (r < 0)
		return r;
	wal_tails_note(put->w, t, &piece);
	if (piece.begin == 0 && wal_tails_find(put->w, t->job, &t->name, &others) == 0)
		remove_pieces(put->w, &others, &piece, put->cancel);
	return 0;
}
