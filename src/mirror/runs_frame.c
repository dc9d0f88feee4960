// SPDX-License-Identifier: Apache-2.0
/*
 * Frames. What a reader wants all of is decoded into his memory; the first and the last of a range, of which he wants a part, are kept: whoever reads on wants the rest. Frames
 * that follow each other are got from the reader by one request, as far as they fit into a decoder's memory. A frame that somebody decodes to keep it is waited for, but by nobody
 * who has one in hand himself.
 */
#include "runs_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

/* Frames that are kept; all with the lock. */

static struct kept_run_frame **bucket_of_frame(struct runs_reader *r, const struct open_run_pack *p,
                                               size_t index)
{
	uint64_t h = (((uintptr_t)p >> 4) + index) * UINT64_C(0x9E3779B97F4A7C15);

	return &r->buckets[(h >> 32) % RUNS_FRAME_BUCKETS];
}

static struct kept_run_frame *find_run_frame(struct runs_reader *r, const struct open_run_pack *p,
                                             size_t index)
{
	struct kept_run_frame *f = *bucket_of_frame(r, p, index);

	while (f && (f->pack != p || f->index != index))
		f = f->hash_next;
	return f;
}

static void unlist_run_frame(struct runs_reader *r, struct kept_run_frame *f)
{
	*(f->prev ? &f->prev->next : &r->frames) = f->next;
	*(f->next ? &f->next->prev : &r->frames_last) = f->prev;
	f->prev = f->next = NULL;
}

static void list_run_frame(struct runs_reader *r, struct kept_run_frame *f)
{
	f->next = r->frames;
	*(r->frames ? &r->frames->prev : &r->frames_last) = f;
	r->frames = f;
}

static void free_run_frame(struct kept_run_frame *f)
{
	free(f->data);
	free(f);
}

/* Out of all lists; freed, unless somebody uses it. */
static void drop_run_frame(struct runs_reader *r, struct kept_run_frame *f)
{
	struct kept_run_frame **at = bucket_of_frame(r, f->pack, f->index);

	while (*at != f)
		at = &(*at)->hash_next;
	*at = f->hash_next;
	*(f->pack_prev ? &f->pack_prev->pack_next : &f->pack->frames) = f->pack_next;
	if (f->pack_next)
		f->pack_next->pack_prev = f->pack_prev;
	if (f->is_ready) {
		unlist_run_frame(r, f);
		r->frames_bytes -= f->bytes;
	}
	f->is_gone = true;
	if (f->users == 0)
		free_run_frame(f);
}

void run_frames_drop(struct runs_reader *r, struct open_run_pack *p)
{
	while (p->frames)
		drop_run_frame(r, p->frames);
}

static void leave_run_frame(struct kept_run_frame *f)
{
	if (--f->users == 0 && f->is_gone)
		free_run_frame(f);
}

/* The caller decodes it. */
static struct kept_run_frame *claim_run_frame(struct runs_reader *r, struct open_run_pack *p, size_t index)
{
	struct kept_run_frame **bucket = bucket_of_frame(r, p, index), *f = mem_alloc(sizeof(*f));

	f->pack = p;
	f->index = index;
	f->users = 1;
	f->bytes = p->table.frames[index].plain;
	f->hash_next = *bucket;
	*bucket = f;
	f->pack_next = p->frames;
	if (p->frames)
		p->frames->pack_prev = f;
	p->frames = f;
	return f;
}

static void make_room_for_frames(struct runs_reader *r)
{
	struct kept_run_frame *f = r->frames_last, *before;

	for (; f && r->frames_bytes > r->frames_max; f = before) {
		before = f->prev;
		if (f->users == 0)
			drop_run_frame(r, f);
	}
}

/* It was decoded, or not. */
static void settle_run_frame(struct runs_reader *r, struct kept_run_frame *f, bool is_ready)
{
	if (!f->is_gone && is_ready) {
		f->is_ready = true;
		r->frames_bytes += f->bytes;
		list_run_frame(r, f);
	} else if (!f->is_gone) {
		drop_run_frame(r, f);
	}
	leave_run_frame(f);
	make_room_for_frames(r);
	pthread_cond_broadcast(&r->changed);
}

/* Frames that are decoded together. */

struct frames_batch {
	size_t first, count;
	/* The first and the last of them, when a part of them is wanted; NULL: all is. */
	struct kept_run_frame *head, *tail;
	uint32_t stored; /* bytes of all */
};

static uint64_t frame_end(const struct seekable_frame *f)
{
	return f->plain_at + f->plain;
}

static bool wants_all_of(const struct frames_wanted *w, const struct seekable_frame *f)
{
	return f->plain_at >= w->at && frame_end(f) <= w->at + w->len;
}

static bool is_frame_wanted(const struct frames_wanted *w, size_t index)
{
	const struct seekable_table *t = &w->pack->table;

	return index < t->count && t->frames[index].plain_at < w->at + w->len;
}

/* With the lock: which of those from @first on, which nobody has, the caller decodes now. */
static struct frames_batch claim_batch(struct runs_reader *r, const struct frames_wanted *w, size_t first)
{
	struct frames_batch b = {.first = first};

	for (size_t i = first; is_frame_wanted(w, i) && !b.tail; i++) {
		const struct seekable_frame *f = &w->pack->table.frames[i];

		if (b.count > 0 &&
		    (b.stored + f->stored > SEEKABLE_STORED_MAX || find_run_frame(r, w->pack, i)))
			break;
		if (!wants_all_of(w, f))
			*(i == first ? &b.head : &b.tail) = claim_run_frame(r, w->pack, i);
		b.stored += f->stored;
		b.count++;
	}
	r->counts.decoded += b.count;
	return b;
}

/* What is wanted of a frame that is at @data. */
static void copy_of_frame(const struct frames_wanted *w, const struct seekable_frame *f, const char *data)
{
	uint64_t from = f->plain_at > w->at ? f->plain_at : w->at;
	uint64_t end = frame_end(f) < w->at + w->len ? frame_end(f) : w->at + w->len;

	memcpy(w->to + (from - w->at), data + (from - f->plain_at), (size_t)(end - from));
}

static int decode_in_batch(const struct frames_wanted *w, const struct frames_batch *b, size_t index,
                           const char *stored, struct error *err)
{
	const struct seekable_frame *f = &w->pack->table.frames[index];
	struct kept_run_frame *kept = index == b->first                  ? b->head
	                              : index == b->first + b->count - 1 ? b->tail
	                                                                 : NULL;
	int result;

	if (!kept)
		return seekable_frame_decode(w->decoder->unpacker, f, stored, w->to + (f->plain_at - w->at),
		                             err);
	kept->data = mem_resize(NULL, f->plain, 1);
	result = seekable_frame_decode(w->decoder->unpacker, f, stored, kept->data, err);
	if (result == 0)
		copy_of_frame(w, f, kept->data);
	return result;
}

static int decode_batch(struct runs_reader *r, const struct frames_wanted *w, const struct frames_batch *b,
                        struct error *err)
{
	const struct seekable_frame *first = &w->pack->table.frames[b->first];
	int result =
	        run_pack_read(r, w->pack, w->cancel, first->stored_at, w->decoder->stored, b->stored, err);

	for (size_t i = b->first; result == 0 && i < b->first + b->count; i++) {
		const struct seekable_frame *f = &w->pack->table.frames[i];

		result =
		        decode_in_batch(w, b, i, w->decoder->stored + (f->stored_at - first->stored_at), err);
		if (result < 0)
			error_prefix(err, "the frame at %llu", (unsigned long long)f->stored_at);
	}
	return result;
}

/* With the lock, which is released meanwhile. */
static int read_frames_batch(struct runs_reader *r, const struct frames_wanted *w, size_t *index,
                             struct error *err)
{
	struct frames_batch b = claim_batch(r, w, *index);
	int result;

	pthread_mutex_unlock(&r->lock);
	result = decode_batch(r, w, &b, err);
	pthread_mutex_lock(&r->lock);
	if (b.head)
		settle_run_frame(r, b.head, result == 0);
	if (b.tail)
		settle_run_frame(r, b.tail, result == 0);
	*index += b.count;
	return result;
}

/* With the lock, which is released meanwhile: one that is kept, or that somebody decodes. False: he could not. */
static bool take_kept_frame(struct runs_reader *r, const struct frames_wanted *w, struct kept_run_frame *f,
                            const struct runs_waiting *waiting)
{
	bool is_ready;

	f->users++;
	while (!f->is_ready && !f->is_gone && !waiting->is_given_up)
		pthread_cond_wait(&r->changed, &r->lock);
	is_ready = f->is_ready;
	if (is_ready) {
		if (!f->is_gone) {
			unlist_run_frame(r, f);
			list_run_frame(r, f);
		}
		r->counts.kept++;
		pthread_mutex_unlock(&r->lock);
		copy_of_frame(w, &w->pack->table.frames[f->index], f->data);
		pthread_mutex_lock(&r->lock);
	}
	leave_run_frame(f);
	return is_ready;
}

int run_frames_read(struct runs_reader *r, const struct frames_wanted *w, struct error *err)
{
	const struct seekable_table *t = &w->pack->table;
	size_t index = seekable_table_find(t, w->at);
	struct runs_waiting waiting;
	int result = 0;

	if (w->len > t->plain_bytes || w->at > t->plain_bytes - w->len)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "it ends before what is said to be in it");
	runs_wait_begin(&waiting, r, w->cancel);
	pthread_mutex_lock(&r->lock);
	while (result == 0 && is_frame_wanted(w, index)) {
		struct kept_run_frame *f = find_run_frame(r, w->pack, index);

		if (waiting.is_given_up)
			result = error_set(err, ERROR_CANCELLED, ECANCELED, "reading was given up");
		else if (!f)
			result = read_frames_batch(r, w, &index, err);
		else if (take_kept_frame(r, w, f, &waiting))
			index++;
	}
	pthread_mutex_unlock(&r->lock);
	runs_wait_end(&waiting);
	return result;
}
