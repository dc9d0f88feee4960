// SPDX-License-Identifier: Apache-2.0
/*
 * One object with another header. What is behind the header (the payload) stays as it is, byte for byte, so the checksums of its extents do, too: they only move. That is
 * how the new object is proven when it is read back. Those in which the old header was are made anew, since an extent has to end where a cell does.
 */
#include "rewrap.h"

#include <errno.h>
#include <string.h>

#include <keepfs/artifact/sealed.h>
#include <keepfs/base/log.h>
#include <keepfs/base/mem.h>
#include <keepfs/stream.h>
#include <keepfs/stream/readback.h>

struct rewrapping_object {
	struct rewrap_object *o;
	struct age_key old_key;
	struct str head; /* new: header and nonce */
	size_t first;    /* how many of the old extents hold the old header */
	char *beginning; /* the bytes of these */
	size_t beginning_bytes, filled;
	struct stream_object *object; /* that is written; NULL: nothing is */
};

static void rewrapping_object_finish(struct rewrapping_object *w)
{
	stream_object_free(w->object);
	age_key_wipe(&w->old_key);
	str_finish(&w->head);
	free(w->beginning);
}

static void cleanup_rewrapping_object(struct rewrapping_object *w)
{
	rewrapping_object_finish(w);
}

static int open_old(struct rewrapping_object *w, struct error *err)
{
	struct rewrap_object *o = w->o;
	const struct sealed_object sealed = {.repo = o->repo,
	                                     .store = o->store,
	                                     .object = o->old,
	                                     .what = o->path,
	                                     .encrypted_to = o->encrypted_to,
	                                     .cancel = o->how->cancel};
	const struct extents *x = &o->old->extents;
	struct age_key key;
	int r = sealed_key(&sealed, &w->old_key, err);

	if (r == 0)
		r = age_header_rewrap(&w->old_key, o->how->recipients, &w->head, &key, err);
	if (r < 0)
		return r;
	age_key_wipe(&key);
	w->first = extents_find(x, w->old_key.head_bytes - 1) + 1;
	if (w->first > x->count)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s ends within its header", o->old->key);
	w->beginning_bytes = (size_t)(x->items[w->first - 1].offset + x->items[w->first - 1].length);
	w->beginning = mem_alloc(w->beginning_bytes);
	return 0;
}

/* What of the old extents' first bytes is payload. */
static size_t payload_begin_bytes(const struct rewrapping_object *w)
{
	return w->beginning_bytes - w->old_key.head_bytes;
}

#define MOST_CELLS_BYTES (EXTENT_MAX_BYTES / AGE_CELL_STORED_BYTES * AGE_CELL_STORED_BYTES)

/* The header with the first cell, and what else was in the extents of the old header. */
static void describe_beginning(const struct rewrapping_object *w, struct extents *x)
{
	const char *cells = w->beginning + w->old_key.head_bytes;
	size_t rest = payload_begin_bytes(w), n = rest < AGE_CELL_STORED_BYTES ? rest : AGE_CELL_STORED_BYTES;

	extents_append(x, (uint32_t)(w->head.len + n),
	               crc32c(crc32c(0, w->head.data, w->head.len), cells, n));
	for (size_t at = n; at < rest; at += n) {
		n = rest - at < MOST_CELLS_BYTES ? rest - at : MOST_CELLS_BYTES;
		extents_append(x, (uint32_t)n, crc32c(0, cells + at, n));
	}
}

static void describe_new(struct rewrapping_object *w)
{
	struct rewrap_object *o = w->o;
	const struct extents *x = &o->old->extents;
	struct manifest_object *made = &o->made;

	*made = (struct manifest_object){.key = mem_strdup(o->key),
	                                 .role = mem_strdup(o->old->role),
	                                 .cipher = mem_strdup(o->old->cipher)};
	describe_beginning(w, &made->extents);
	for (size_t i = w->first; i < x->count; i++)
		extents_append(&made->extents, x->items[i].length, x->items[i].crc32c);
	made->extents_count = made->extents.count;
	made->stored_bytes = made->extents.total_bytes;
}

static void count_rewrapped(atomic_uint_least64_t *count, uint64_t bytes)
{
	if (count)
		atomic_fetch_add(count, bytes);
}

static int write_beginning(struct rewrapping_object *w, struct error *err)
{
	size_t rest = payload_begin_bytes(w);
	int r = stream_object_write(w->object, w->head.data, w->head.len, err);

	if (r == 0 && rest > 0)
		r = stream_object_write(w->object, w->beginning + w->old_key.head_bytes, rest, err);
	return r;
}

/* Checked bytes of the old object, in order. */
static int take_old_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct rewrapping_object *w = arg;
	size_t missing = w->beginning_bytes - w->filled, n = len < missing ? len : missing;
	int r = 0;

	count_rewrapped(w->o->how->read_bytes, len);
	memcpy(w->beginning + w->filled, data, n);
	w->filled += n;
	if (n > 0 && w->filled == w->beginning_bytes)
		r = write_beginning(w, err);
	if (r == 0 && len > n)
		r = stream_object_write(w->object, (const char *)data + n, len - n, err);
	return r;
}

static int check_old_sum(const struct manifest_object *old, const char *found, struct error *err)
{
	if (!old->stored_sha256[0] || strcmp(old->stored_sha256, found) == 0)
		return 0;
	error_set(err, ERROR_CORRUPT, EBADMSG, "the SHA-256 of %s is %s, and not %s", old->key, found,
	          old->stored_sha256);
	error_note_damage(err);
	return -EBADMSG;
}

/* Through this host, and not decrypted. */
static int pass_through(struct rewrapping_object *w, struct error *err)
{
	struct rewrap_object *o = w->o;
	const struct stream_object_options options = {.store = o->store,
	                                              .pool = o->pool,
	                                              .key = o->key,
	                                              .part_bytes = o->part_bytes,
	                                              .max_parts = o->how->max_parts,
	                                              .cancel = o->how->cancel,
	                                              .sent_bytes = o->how->sent_bytes};
	const struct readback_options reading = {.store = o->store,
	                                         .pool = o->pool,
	                                         .key = o->old->key,
	                                         .extents = &o->old->extents,
	                                         .cancel = o->how->cancel,
	                                         .take = take_old_bytes,
	                                         .arg = w};
	struct stream_facts facts = {0};
	char found[SHA256_HEX_BYTES];
	int r = stream_object_new(&options, &w->object, err);

	if (r == 0)
		r = stream_readback(&reading, found, err);
	if (r == 0)
		r = check_old_sum(o->old, found, err);
	if (r == 0)
		r = stream_object_finish(w->object, NULL, &facts, err);
	extents_finish(&facts.extents);
	/* Its memory is needed for reading back. */
	w->object = stream_object_free(w->object);
	if (r == 0)
		describe_new(w);
	return r;
}

/* Copied by the store, but for the first part: the header, and as much behind it as a part has to have. */

#define COPY_PIECE_BYTES ((uint64_t)64 << 20)
#define LEAST_PART_BYTES ((uint64_t)5 << 20)

struct copying_object {
	struct rewrapping_object *w;
	struct store_upload *up;
	struct store_part *parts; /* heap */
	size_t part_count;
	size_t extents; /* so many of the old ones pass through this host */
	char *bytes;    /* theirs; heap */
	size_t room, filled;
	uint64_t piece_bytes; /* of what the store copies at once */
};

static void copying_object_finish(struct copying_object *c)
{
	const struct store_call call = {0};

	/* What was completed is not open any more. */
	if (c->up)
		store_upload_abort(c->w->o->store, &call, c->w->o->key, store_upload_id(c->up), NULL);
	store_upload_free(c->up);
	free(c->parts);
	free(c->bytes);
}

static void cleanup_copying_object(struct copying_object *c)
{
	copying_object_finish(c);
}

/* -ENOTSUP: it is not worth it, or the store cannot. */
static int plan_copying(struct copying_object *c, struct error *err)
{
	const struct rewrapping_object *w = c->w;
	const struct extents *x = &w->o->old->extents;
	struct store_features f = {0};
	uint64_t least, left;
	unsigned parts;
	int r = store_features(w->o->store, &f, err);

	if (r < 0)
		return r;
	least = w->old_key.head_bytes +
	        (f.min_part_bytes > LEAST_PART_BYTES ? f.min_part_bytes : LEAST_PART_BYTES);
	for (c->extents = w->first; c->extents < x->count && c->room < least; c->extents++)
		c->room = (size_t)(x->items[c->extents].offset + x->items[c->extents].length);
	parts = w->o->how->max_parts && w->o->how->max_parts < f.max_parts ? w->o->how->max_parts
	                                                                   : f.max_parts;
	left = x->total_bytes - c->room;
	if (f.equal_parts || parts < 2 || left == 0 || c->room < least)
		return error_set(err, ERROR_USAGE, ENOTSUP, "it is not copied by the store");
	c->piece_bytes = left / (parts - 1) >= COPY_PIECE_BYTES ? left / (parts - 1) + 1 : COPY_PIECE_BYTES;
	c->parts = mem_array((size_t)(left / c->piece_bytes) + 2, sizeof(*c->parts));
	c->bytes = mem_alloc(c->room);
	return 0;
}

static int take_first_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct copying_object *c = arg;

	count_rewrapped(c->w->o->how->read_bytes, len);
	memcpy(c->bytes + c->filled, data, len);
	c->filled += len;
	return 0;
}

static int read_first_bytes(struct copying_object *c, struct error *err)
{
	struct rewrapping_object *w = c->w;
	const struct readback_options reading = {.store = w->o->store,
	                                         .pool = w->o->pool,
	                                         .key = w->o->old->key,
	                                         .extents = &w->o->old->extents,
	                                         .count = c->extents,
	                                         .cancel = w->o->how->cancel,
	                                         .take = take_first_bytes,
	                                         .arg = c};
	char ignored[SHA256_HEX_BYTES];
	int r = stream_readback(&reading, ignored, err);

	if (r == 0)
		memcpy(w->beginning, c->bytes, w->beginning_bytes);
	return r;
}

static int send_first_part(struct copying_object *c, const struct store_call *call, struct error *err)
{
	const struct rewrapping_object *w = c->w;
	const struct iovec iov[] = {{w->head.data, w->head.len},
	                            {c->bytes + w->old_key.head_bytes, c->room - w->old_key.head_bytes}};
	int r = store_upload_part(c->up, call, 1, iov, 2, &c->parts[0], err);

	if (r == 0)
		count_rewrapped(w->o->how->sent_bytes, iov[0].iov_len + iov[1].iov_len);
	c->part_count = 1;
	return r;
}

static int copy_rest(struct copying_object *c, const struct store_call *call, struct error *err)
{
	struct rewrap_object *o = c->w->o;
	uint64_t end = o->old->extents.total_bytes, at = c->room;
	int r = 0;

	while (r == 0 && at < end) {
		const struct store_range from = {.key = o->old->key,
		                                 .offset = at,
		                                 .bytes = end - at < c->piece_bytes ? end - at
		                                                                    : c->piece_bytes};

		r = store_upload_copy(c->up, call, (unsigned)c->part_count + 1, &from,
		                      &c->parts[c->part_count], err);
		c->part_count++;
		at += from.bytes;
		if (r == 0)
			count_rewrapped(o->how->sent_bytes, from.bytes);
	}
	return r;
}

static int copy_by_store(struct rewrapping_object *w, struct error *err)
{
	_cleanup(copying_object) struct copying_object c = {.w = w};
	const struct store_call call = {.cancel = w->o->how->cancel};
	int r = plan_copying(&c, err);

	if (r == 0)
		r = read_first_bytes(&c, err);
	if (r == 0)
		r = store_upload_begin(w->o->store, &call, w->o->key, &c.up, err);
	if (r == 0)
		r = send_first_part(&c, &call, err);
	if (r == 0)
		r = copy_rest(&c, &call, err);
	if (r == 0)
		r = store_upload_complete(c.up, &call, c.parts, c.part_count, err);
	if (r < 0)
		return r;
	c.up = store_upload_free(c.up);
	describe_new(w);
	return 0;
}

/* The old object's SHA-256, by its header and the payload of the new one. Checksums of extents alone anybody can make fit: what comes out must not be vouched for anew if it is not what was. */
struct summing_old {
	struct sha256 *sha256;
	size_t head_bytes; /* of the new one, that are still to come */
};

static int sum_payload(void *arg, const void *data, size_t len, struct error *err)
{
	struct summing_old *s = arg;
	size_t n = len < s->head_bytes ? len : s->head_bytes;

	s->head_bytes -= n;
	sha256_update(s->sha256, (const char *)data + n, len - n);
	return 0;
}

static int read_new_and_sum(struct rewrapping_object *w, struct summing_old *s, struct error *err)
{
	struct rewrap_object *o = w->o;
	const struct readback_options reading = {.store = o->store,
	                                         .pool = o->pool,
	                                         .key = o->key,
	                                         .extents = &o->made.extents,
	                                         .cancel = o->how->cancel,
	                                         .done_bytes = o->how->verified_bytes,
	                                         .take = sum_payload,
	                                         .arg = s};
	char found[SHA256_HEX_BYTES];
	uint8_t digest[SHA256_BYTES];
	int r;

	sha256_update(s->sha256, w->beginning, w->old_key.head_bytes);
	r = stream_readback(&reading, o->made.stored_sha256, err);
	if (r < 0)
		return r;
	sha256_final(s->sha256, digest);
	hex_encode(digest, sizeof(digest), found);
	return check_old_sum(o->old, found, err);
}

static int read_new_back(struct rewrapping_object *w, struct error *err)
{
	struct summing_old s = {.sha256 = sha256_new(), .head_bytes = w->head.len};
	int r = read_new_and_sum(w, &s, err);

	sha256_free(s.sha256);
	return r < 0 ? error_prefix(err, "what was written is not what it should be"), r : 0;
}

/* There are servers that do not know it, or do something else: then what comes out is not what it should be, or nothing does. It costs time, and is tried in the
 * other way. */
static int make_by_store(struct rewrapping_object *w)
{
	struct rewrap_object *o = w->o;
	struct error why = {0};
	int r = o->how->no_copying ? -ENOTSUP : copy_by_store(w, &why);

	if (r == 0)
		r = read_new_back(w, &why);
	if (r == 0) {
		o->how->copied_bytes += o->made.stored_bytes;
		return 0;
	}
	manifest_object_finish(&o->made);
	o->made = (struct manifest_object){0};
	if (r != -ENOTSUP && r != -ECANCELED) {
		log_info("%s is read and written by this host, since the store has not copied it: %s",
		         o->old->key, why.message);
		o->how->no_copying = true;
	}
	return r;
}

int rewrap_object_make(struct rewrap_object *o, struct error *err)
{
	_cleanup(rewrapping_object) struct rewrapping_object w = {.o = o};
	int r = open_old(&w, err);

	if (r < 0 || make_by_store(&w) == 0)
		return r;
	if (cancel_is_set(o->how->cancel))
		return error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	r = pass_through(&w, err);
	return r < 0 ? r : read_new_back(&w, err);
}
