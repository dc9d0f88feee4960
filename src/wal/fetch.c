// SPDX-License-Identifier: Apache-2.0
/*
 * An object of an archive, and back to what it was made of. It is got by one request, into buffers of the pool; cells are decrypted one after the other, and what is unpacked goes on in order.
 *
 * An outage is waited out for longer than the store's wrapper does: what a server is told in a recovery of a file that cannot be read now it takes for the end of the archive.
 */
#include "wal_private.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/decompression.h>
#include <keepfs/codec/hash.h>
#include <keepfs/keyring.h>

#include <errno.h>
#include <string.h>

/* Between two requests, each of which was tried again and again for as long as the store's retry_deadline says. */
#define AGAIN_MS 1000

struct unpacking {
	struct decompressor *decompressor;
};

static int unpack_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	return decompressor_write(((struct unpacking *)arg)->decompressor, data, len, err);
}

static int open_sealed_wal(const struct wal_fetching *f, const struct pages *stored, struct age_key *ret,
                           struct error *err)
{
	size_t len = stored->bytes < AGE_HEAD_MAX_BYTES ? (size_t)stored->bytes : AGE_HEAD_MAX_BYTES;
	_cleanup(free) uint8_t *head = mem_alloc(len + 1);
	uint8_t id[SHA256_BYTES];
	const struct keyring_object object = {.id = id, .what = f->key};
	int r;

	if (f->age_key) {
		*ret = *f->age_key;
		return 0;
	}
	pages_copy(stored, 0, head, len);
	sha256_once(head, len, id);
	r = keyring_open(f->keyring, &object, head, len, f->cancel, ret, err);
	return r == -EAGAIN ? -EBADMSG : r;
}

static int decrypt_cells(struct age_cipher *cipher, const struct pages *stored, uint64_t at,
                         struct unpacking *u, struct error *err)
{
	_cleanup(free) uint8_t *cell = mem_alloc(AGE_CELL_STORED_BYTES);
	uint64_t number = 0;
	int r = 0;

	for (; r == 0 && at < stored->bytes; number++) {
		uint64_t left = stored->bytes - at;
		size_t len = left < AGE_CELL_STORED_BYTES ? (size_t)left : AGE_CELL_STORED_BYTES;

		if (len < AGE_TAG_BYTES)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "its end is missing");
		pages_copy(stored, at, cell, len);
		r = age_open_cell(cipher, number, len == left, cell, len, cell, err);
		if (r == 0)
			r = unpack_bytes(u, cell, len - AGE_TAG_BYTES, err);
		at += len;
	}
	return r;
}

static int unpack_sealed(const struct wal_fetching *f, const struct pages *stored, struct unpacking *u,
                         struct error *err)
{
	struct age_key key = {0};
	int r = open_sealed_wal(f, stored, &key, err);

	if (r == 0) {
		_cleanup(age_cipher) struct age_cipher *cipher = age_cipher_new(&key);

		r = decrypt_cells(cipher, stored, key.head_bytes, u, err);
	}
	age_key_wipe(&key);
	return r;
}

int wal_unpack(const struct wal_fetching *f, const struct pages *stored,
               int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
               struct error *err)
{
	const struct decompressor_out out = {.write = write, .arg = arg};
	_cleanup(decompressor) struct decompressor *d = decompressor_new(COMPRESSION_ZSTD, &out);
	struct unpacking u = {.decompressor = d};
	int r = wal_key_is_sealed(f->key) ? unpack_sealed(f, stored, &u, err)
	                                  : pages_each(stored, unpack_bytes, &u, err);

	if (r == 0)
		r = decompressor_finish(d, err);
	if (r < 0)
		error_prefix(err, "the object %s", f->key);
	return r;
}

static bool is_outage(int r, const struct error *err)
{
	return r < 0 && r != -ENOENT && r != -ECANCELED &&
	       (err->retry || err->class == ERROR_UNAVAILABLE || err->class == ERROR_TIMEOUT);
}

bool wal_tries_again(struct cancel *cancel, int64_t until_ms, int *r, struct error *err)
{
	if (!is_outage(*r, err) || clock_mono_ms() >= until_ms)
		return false;
	if (!cancel_sleep_ms(cancel, AGAIN_MS))
		return true;
	*r = error_set(err, ERROR_CANCELLED, ECANCELED, "cancelled");
	return false;
}

static int get_patiently(const struct wal_fetching *f, const struct iovec *iov, int count, struct error *err)
{
	const struct store_call call = {.cancel = f->cancel};
	int64_t until_ms = clock_mono_ms() + f->patience_ms;
	struct error why = {0};
	int r;

	do {
		r = store_get(f->store, &call, f->key, 0, iov, count,
		              &(struct store_get_options){.elsewhere = f->elsewhere}, &why);
	} while (wal_tries_again(f->cancel, until_ms, &r, &why));
	if (r < 0 && err)
		*err = why;
	return r;
}

int wal_fetch(const struct wal_fetching *f,
              int (*write)(void *arg, const void *data, size_t len, struct error *err), void *arg,
              struct error *err)
{
	_cleanup(pages) struct pages stored = {0};
	_cleanup(free) struct iovec *iov = NULL;
	int count = 0, r = 0;

	if (f->is_reserved)
		pages_take_over(&stored, f->pool, f->stored_bytes);
	else
		r = pages_reserve(&stored, f->pool, f->stored_bytes, 0,
		                  f->at_once ? PAGES_AT_ONCE : f->cancel);
	if (r == -ENOSPC)
		return error_set(
		        err, ERROR_USAGE, ENOSPC,
		        "the object %s is larger than the buffers that there are for it: [keepfs] memory has to be more",
		        f->key);
	if (r == -EAGAIN)
		return error_set(err, ERROR_CONFLICT, EBUSY,
		                 "other transfers have all buffers: try again later");
	if (r < 0)
		return error_set(err, ERROR_CANCELLED, -r, "cancelled");
	r = pages_room(&stored, f->stored_bytes);
	iov = pages_iov(&stored, &count);
	if (r == 0)
		r = get_patiently(f, iov, count, err);
	return r < 0 ? r : wal_unpack(f, &stored, write, arg, err);
}

/* Frames that are missing at its end are missed by nobody who only decompresses it. */
static int check_segment_file(const struct wal_name *name, const uint8_t *head, uint64_t bytes,
                              struct error *err)
{
	size_t len = bytes < WAL_LONG_PAGE_HEADER_BYTES ? (size_t)bytes : WAL_LONG_PAGE_HEADER_BYTES;
	struct wal_page_header page = {0};
	int r = wal_first_page_check(head, len, name, NULL, &page, err);

	if (r == 0 && bytes != page.segment_bytes)
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "it has %llu bytes, and should have %llu",
		              (unsigned long long)bytes, (unsigned long long)page.segment_bytes);
	return r;
}

int wal_check_file(const char *key, const struct wal_name *name,
                   const uint8_t head[static WAL_LONG_PAGE_HEADER_BYTES], uint64_t bytes, struct error *err)
{
	struct error why = {0};
	int r = 0;

	if (bytes == 0)
		r = error_set(&why, ERROR_CORRUPT, EBADMSG, "it is empty");
	else if (name->kind == WAL_NAME_SEGMENT || name->kind == WAL_NAME_PARTIAL)
		r = check_segment_file(name, head, bytes, &why);
	return r < 0 ? error_set(err, ERROR_CORRUPT, EBADMSG, "the object %s is not what was archived: %s",
	                         key, why.message)
	             : 0;
}

struct summing {
	struct sha256 *sha256;
	struct wal_sums *sums;
};

static int sum_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	struct summing *s = arg;
	struct wal_sums *sums = s->sums;

	(void)err;
	if (sums->bytes < sizeof(sums->head)) {
		size_t room = sizeof(sums->head) - (size_t)sums->bytes;

		memcpy(sums->head + sums->bytes, data, len < room ? len : room);
	}
	sums->bytes += len;
	sha256_update(s->sha256, data, len);
	return 0;
}

int wal_fetch_sums(const struct wal_fetching *f, struct wal_sums *ret, struct error *err)
{
	struct wal_sums sums = {0};
	struct summing s = {.sha256 = sha256_new(), .sums = &sums};
	uint8_t digest[SHA256_BYTES];
	int r = wal_fetch(f, sum_bytes, &s, err);

	sha256_final(s.sha256, digest);
	sha256_free(s.sha256);
	if (r < 0)
		return r;
	hex_encode(digest, sizeof(digest), sums.sha256);
	*ret = sums;
	return 0;
}
