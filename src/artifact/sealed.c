// SPDX-License-Identifier: Apache-2.0
/* See sealed.h. */
#include <keepfs/artifact/sealed.h>

#include <keepfs/base/mem.h>
#include <keepfs/keyring.h>
#include <keepfs/reader/age.h>
#include <keepfs/stream/readback.h>

#include <errno.h>
#include <string.h>

bool sealed_is_known(const struct manifest_object *o)
{
	return !o->cipher || str_equal(o->cipher, MANIFEST_CIPHER_AGE);
}

int sealed_refuse_unknown(const struct manifest_object *o, const char *what, struct error *err)
{
	return error_set(
	        err, ERROR_USAGE, ENOTSUP,
	        "%s is kept in a way that this keepfs does not know%s%s: use the newer one that made it",
	        what, o->cipher ? ", by the cipher " : "", o->cipher ? o->cipher : "");
}

/* The first bytes of the object, whole extents, of which the CRC-32C is right. */

static int wrong_head(const struct sealed_object *o, bool is_short, struct error *err)
{
	error_set(err, ERROR_CORRUPT, EBADMSG, "%s is damaged in the store: %s; do not rely on it",
	          o->object->key,
	          is_short ? "its end is missing"
	                   : "its first bytes, which say who can decrypt it, are not those that were sent");
	error_note_damage(err);
	return -EBADMSG;
}

static bool is_as_sent(const struct extents *x, size_t count, const char *data)
{
	for (size_t i = 0; i < count; i++)
		if (crc32c(0, data + x->items[i].offset, x->items[i].length) != x->items[i].crc32c)
			return false;
	return true;
}

static int get_head(const struct sealed_object *o, size_t count, char **ret, size_t *ret_len,
                    struct error *err)
{
	const struct extents *x = &o->object->extents;
	const struct store_call call = {.cancel = o->cancel};
	size_t len = (size_t)(x->items[count - 1].offset + x->items[count - 1].length);
	_cleanup(free) char *data = mem_alloc(len);
	struct iovec iov = {data, len};
	int r = 0;

	/* They may have been spoilt on their way. */
	for (unsigned tries = 0; r == 0 && tries < 2; tries++) {
		r = store_get(o->store, &call, o->object->key, 0, &iov, 1, NULL, err);
		if (r < 0 || is_as_sent(x, count, data))
			break;
		if (tries == 1)
			r = wrong_head(o, false, err);
	}
	if (r == -ERANGE)
		r = wrong_head(o, true, err);
	if (r < 0 && err && err->class == ERROR_NOT_FOUND)
		error_note_damage(err);
	if (r < 0)
		return r;
	*ret = take_ptr(&data);
	*ret_len = len;
	return 0;
}

static int open_head(const struct sealed_object *o, const struct keyring_object *k, size_t count,
                     struct age_key *ret, struct error *err)
{
	_cleanup(free) char *head = NULL;
	size_t len = 0;
	int r = get_head(o, count, &head, &len, err);

	return r < 0 ? r : keyring_open(o->repo->keyring, k, head, len, o->cancel, ret, err);
}

/* What the header begins in, mostly the first extent; a long list of recipients takes more. */
static int open_object(const struct sealed_object *o, const struct keyring_object *k, struct age_key *ret,
                       struct error *err)
{
	const struct extents *x = &o->object->extents;
	size_t count = 1;
	int r;

	if (x->count == 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "%s is empty, where it should be encrypted",
		                 k->what);
	r = open_head(o, k, count, ret, err);
	while (count < x->count && x->items[count].offset < AGE_HEAD_MAX_BYTES)
		count++;
	if (r == -EAGAIN && count > 1)
		r = open_head(o, k, count, ret, err);
	return r == -EAGAIN ? -EBADMSG : r;
}

int sealed_key(const struct sealed_object *o, struct age_key *ret, struct error *err)
{
	uint8_t id[CACHE_ID_BYTES];
	const struct keyring_object k = {
	        .id = id, .what = o->what ? o->what : o->object->key, .encrypted_to = o->encrypted_to};

	_Static_assert(CACHE_ID_BYTES == SHA256_BYTES, "what names the bytes of an object");
	if (!sealed_is_known(o->object))
		return sealed_refuse_unknown(o->object, k.what, err);
	/* Nothing need be asked of the store for that. */
	if (!keyring_can_read(o->repo->keyring))
		return keyring_open(o->repo->keyring, &k, NULL, 0, o->cancel, ret, err);
	reader_cache_id(o->object->stored_sha256, &o->object->extents, id);
	return keyring_find(o->repo->keyring, id, ret) == 0 ? 0 : open_object(o, &k, ret, err);
}

int sealed_layout(const struct sealed_object *o, struct reader_layout **ret, struct error *err)
{
	struct age_key key;
	int r;

	*ret = NULL;
	if (!o->object->cipher)
		return 0;
	r = sealed_key(o, &key, err);
	if (r == 0)
		*ret = reader_age_layout(&key);
	if (r == 0)
		age_key_wipe(&key);
	return r;
}

/* In order. */

struct sealed_opener {
	struct sealed_opener_options options;
	struct age_cipher *cipher;
	struct cells cells;
	struct sha256 *sha256;
	uint64_t at;   /* of the object: what comes next */
	uint64_t cell; /* that begins next, or has begun */
	size_t filled; /* of a cell that came in several pieces */
	char stored[AGE_CELL_STORED_BYTES], plain[AGE_CELL_STORED_BYTES];
};

struct sealed_opener *sealed_opener_new(const struct sealed_opener_options *options)
{
	struct sealed_opener *o = mem_alloc(sizeof(*o));

	o->options = *options;
	o->options.key = NULL;
	o->cells = age_key_cells(options->key);
	o->cipher = age_cipher_new(options->key);
	o->sha256 = sha256_new();
	o->at = options->begin;
	if (o->at > o->cells.head_bytes)
		o->cell = (o->at - o->cells.head_bytes) / o->cells.stored_bytes;
	return o;
}

struct sealed_opener *sealed_opener_free(struct sealed_opener *o)
{
	if (!o)
		return NULL;
	age_cipher_free(o->cipher);
	sha256_free(o->sha256);
	explicit_bzero(o->plain, sizeof(o->plain));
	free(o);
	return NULL;
}

static int note_bad_cell(const struct sealed_opener *o, struct error *err)
{
	error_prefix(err, "%s", o->options.what);
	error_note_damage(err);
	return -EBADMSG;
}

/* How many bytes the cell that begins at the object's byte @begin has. */
static size_t cell_bytes(const struct sealed_opener *o, uint64_t begin)
{
	uint64_t left = o->options.end - begin;

	return left < o->cells.stored_bytes ? (size_t)left : o->cells.stored_bytes;
}

static uint64_t cell_begin(const struct sealed_opener *o)
{
	return o->cells.head_bytes + o->cell * o->cells.stored_bytes;
}

static int open_cell(struct sealed_opener *o, const void *stored, size_t len, struct error *err)
{
	bool last = cell_begin(o) + len == o->options.end;
	size_t plain = len - AGE_TAG_BYTES;

	if (len < AGE_TAG_BYTES) {
		error_set(err, ERROR_CORRUPT, EBADMSG, "it ends in the middle of an encrypted cell");
		return note_bad_cell(o, err);
	}
	if (age_open_cell(o->cipher, o->cell, last, stored, len, o->plain, err) < 0)
		return note_bad_cell(o, err);
	o->cell++;
	sha256_update(o->sha256, o->plain, plain);
	return o->options.take && plain > 0 ? o->options.take(o->options.arg, o->plain, plain, err) : 0;
}

/* The bytes of one cell that are in @data; returns how many these were. */
static ssize_t feed_cell(struct sealed_opener *o, const char *data, size_t len, struct error *err)
{
	size_t whole = cell_bytes(o, cell_begin(o)), missing = whole - o->filled;
	size_t n = len < missing ? len : missing;
	int r = 0;

	if (o->filled == 0 && n == whole) {
		r = open_cell(o, data, whole, err);
	} else {
		memcpy(o->stored + o->filled, data, n);
		o->filled += n;
		if (o->filled == whole) {
			o->filled = 0;
			r = open_cell(o, o->stored, whole, err);
		}
	}
	return r < 0 ? r : (ssize_t)n;
}

int sealed_opener_feed(void *arg, const void *data, size_t len, struct error *err)
{
	struct sealed_opener *o = arg;
	const char *from = data;

	if (o->at < o->cells.head_bytes) {
		uint64_t left = o->cells.head_bytes - o->at;
		size_t n = len < left ? len : (size_t)left;

		from += n;
		len -= n;
		o->at += n;
	}
	while (len > 0) {
		ssize_t n = feed_cell(o, from, len, err);

		if (n < 0)
			return (int)n;
		if (n == 0) {
			error_set(err, ERROR_CORRUPT, EBADMSG, "it is longer than it should be");
			return note_bad_cell(o, err);
		}
		from += n;
		len -= (size_t)n;
		o->at += (uint64_t)n;
	}
	return 0;
}

int sealed_opener_end(struct sealed_opener *o, char ret_sha256[static SHA256_HEX_BYTES], struct error *err)
{
	uint8_t digest[SHA256_BYTES];

	/* Each file has one cell at least, and none begins that does not end. */
	if (o->filled > 0 || o->cell == 0) {
		error_set(err, ERROR_CORRUPT, EBADMSG, "it ends in the middle of an encrypted cell");
		return note_bad_cell(o, err);
	}
	sha256_final(o->sha256, digest);
	hex_encode(digest, sizeof(digest), ret_sha256);
	return 0;
}

/* Reading. */

struct ranging { /* of what extents hold, what is in the range */
	const struct sealed_reading *reading;
	uint64_t at; /* of the file: what comes next */
};

/* Extents and cells begin and end where they like: what is before the range, and behind it, is others'. */
static int clip_range(void *arg, const void *data, size_t len, struct error *err)
{
	struct ranging *x = arg;
	const struct sealed_reading *reading = x->reading;
	const char *at = data;
	uint64_t from = x->at, to = x->at + len;

	x->at = to;
	if (to > reading->end)
		to = reading->end;
	if (from < reading->begin) {
		at += reading->begin - from < len ? reading->begin - from : len;
		from = reading->begin;
	}
	return from < to ? reading->take(reading->arg, at, (size_t)(to - from), err) : 0;
}

/* The extents that have the range, of an object whose cells are these; NULL: its bytes are those of the file. */
static int find_extents(const struct sealed_reading *reading, const struct cells *cells,
                        struct readback_options *options, struct error *err)
{
	const struct extents *x = &reading->of.object->extents;
	uint64_t begin = cells ? cells_stored_offset(cells, reading->begin) : reading->begin,
	         end = cells ? cells_stored_offset(cells, reading->end - 1) : reading->end - 1;
	size_t first = extents_find(x, begin), last = extents_find(x, end);

	if (reading->begin >= reading->end || first == x->count || last == x->count ||
	    (cells && reading->end > cells_plain_bytes(cells, x->total_bytes)))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "the archive is shorter than its table of contents says");
	options->first = first;
	options->count = last - first + 1;
	return 0;
}

static int read_sealed(const struct sealed_reading *reading, struct readback_options *options,
                       struct ranging *ranging, struct sealed_digests *ret, struct error *err)
{
	const struct extents *x = options->extents;
	struct sealed_opener_options opening = {.end = x->total_bytes,
	                                        .what = reading->of.what ? reading->of.what : options->key,
	                                        .take = options->take,
	                                        .arg = options->arg};
	_cleanup(sealed_opener) struct sealed_opener *opener = NULL;
	char ignored[SHA256_HEX_BYTES];
	struct age_key key;
	struct cells cells;
	int r = sealed_key(&reading->of, &key, err);

	if (r < 0)
		return r;
	cells = age_key_cells(&key);
	if (reading->is_range)
		r = find_extents(reading, &cells, options, err);
	if (r == 0 && reading->is_range) {
		opening.begin = x->items[options->first].offset;
		ranging->at = cells_plain_offset(&cells, opening.begin);
	}
	opening.key = &key;
	opener = sealed_opener_new(&opening);
	age_key_wipe(&key);
	options->take = sealed_opener_feed;
	options->arg = opener;
	if (r == 0)
		r = stream_readback(options, ret ? ret->stored : ignored, err);
	return r < 0 ? r : sealed_opener_end(opener, ret ? ret->plain : ignored, err);
}

static int read_as_it_is(const struct sealed_reading *reading, struct readback_options *options,
                         struct ranging *ranging, struct sealed_digests *ret, struct error *err)
{
	char found[SHA256_HEX_BYTES];
	int r = reading->is_range ? find_extents(reading, NULL, options, err) : 0;

	if (r == 0 && reading->is_range)
		ranging->at = options->extents->items[options->first].offset;
	if (r == 0)
		r = stream_readback(options, found, err);
	if (r == 0 && ret) {
		memcpy(ret->plain, found, sizeof(found));
		memcpy(ret->stored, found, sizeof(found));
	}
	return r;
}

int sealed_read(const struct sealed_reading *reading, struct sealed_digests *ret, struct error *err)
{
	const struct sealed_object *of = &reading->of;
	struct ranging ranging = {.reading = reading};
	struct readback_options options = {
	        .store = of->store,
	        .pool = reading->pool,
	        .key = of->object->key,
	        .extents = &of->object->extents,
	        .cancel = of->cancel,
	        .done_bytes = reading->done_bytes,
	        .take = reading->as_stored  ? NULL
	                : reading->is_range ? clip_range
	                                    : reading->take,
	        .arg = reading->is_range ? (void *)&ranging : reading->arg,
	};

	return of->object->cipher && !reading->as_stored
	               ? read_sealed(reading, &options, &ranging, ret, err)
	               : read_as_it_is(reading, &options, &ranging, ret, err);
}
