// SPDX-License-Identifier: Apache-2.0
/* The index at the end of an object: its last bytes are got, and of an encrypted one its header, and its last cells. */
#include "wal_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_index_frame.h>
#include <keepfs/keyring.h>

#include <errno.h>

/* Of the end at first, and of the begin of an encrypted object: nearly always enough. */
#define TAIL_BYTES ((uint64_t)4 << 10)
#define HEAD_BYTES ((uint64_t)2 << 10)

static int get_bytes(const struct wal_fetching *f, uint64_t at, void *buf, size_t len, struct error *err)
{
	const struct store_call call = {.cancel = f->cancel};
	const struct iovec iov = {.iov_base = buf, .iov_len = len};

	return store_get(f->store, &call, f->key, at, &iov, 1, &(struct store_get_options){0}, err);
}

/* The last @wanted bytes of the object, or all of them; heap. */
static int get_end(const struct wal_fetching *f, uint64_t wanted, struct str *ret, struct error *err)
{
	size_t len = (size_t)(wanted < f->stored_bytes ? wanted : f->stored_bytes);
	_cleanup(free) char *buf = mem_alloc(len + 1);
	int r = get_bytes(f, f->stored_bytes - len, buf, len, err);

	str_clear(ret);
	if (r == 0)
		str_append_bytes(ret, buf, len);
	return r;
}

static int open_tail(const struct wal_fetching *f, struct age_key *ret, struct error *err)
{
	static const uint64_t lengths[] = {HEAD_BYTES, AGE_HEAD_MAX_BYTES};
	int r = -EAGAIN;

	for (size_t i = 0; r == -EAGAIN && i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		size_t len = (size_t)(lengths[i] < f->stored_bytes ? lengths[i] : f->stored_bytes);
		_cleanup(free) uint8_t *head = mem_alloc(len + 1);
		uint8_t id[SHA256_BYTES];
		const struct keyring_object object = {.id = id, .what = f->key};

		r = get_bytes(f, 0, head, len, err);
		if (r < 0)
			return r;
		sha256_once(head, len, id);
		r = keyring_open(f->keyring, &object, head, len, f->cancel, ret, err);
	}
	return r == -EAGAIN ? -EBADMSG : r;
}

/* Cells @first to the last one. */
static int open_last_cells(const struct wal_fetching *f, const struct age_key *key, uint64_t first,
                           struct str *ret, struct error *err)
{
	_cleanup(age_cipher) struct age_cipher *cipher = age_cipher_new(key);
	uint64_t at = key->head_bytes + first * AGE_CELL_STORED_BYTES;
	size_t len = (size_t)(f->stored_bytes - at);
	_cleanup(free) uint8_t *stored = mem_alloc(len + 1);
	int r = get_bytes(f, at, stored, len, err);

	str_clear(ret);
	for (size_t done = 0; r == 0 && done < len; first++) {
		size_t one = len - done < AGE_CELL_STORED_BYTES ? len - done : AGE_CELL_STORED_BYTES;

		if (one < AGE_TAG_BYTES)
			return error_set(err, ERROR_CORRUPT, EBADMSG, "its end is missing");
		r = age_open_cell(cipher, first, done + one == len, stored + done, one, stored + done, err);
		if (r == 0)
			str_append_bytes(ret, stored + done, one - AGE_TAG_BYTES);
		done += one;
	}
	return r;
}

/* The cells that have the last @wanted bytes. */
static int get_sealed_end(const struct wal_fetching *f, const struct age_key *key, uint64_t wanted,
                          bool *ret_all, struct str *ret, struct error *err)
{
	uint64_t payload, cells, needed;

	if (f->stored_bytes < key->head_bytes + AGE_TAG_BYTES)
		return error_set(err, ERROR_CORRUPT, EBADMSG, "its end is missing");
	payload = f->stored_bytes - key->head_bytes;
	cells = (payload + AGE_CELL_STORED_BYTES - 1) / AGE_CELL_STORED_BYTES;
	/* The last one may have one byte only. */
	needed = 1 + (wanted + AGE_CELL_PLAIN_BYTES - 1) / AGE_CELL_PLAIN_BYTES;
	needed = needed < cells ? needed : cells;
	*ret_all = needed == cells;
	return open_last_cells(f, key, cells - needed, ret, err);
}

static int find_index(const struct wal_fetching *f, const struct age_key *key, struct wal_index *ret,
                      struct error *err)
{
	_cleanup(str) struct str end = {0};
	uint64_t wanted = TAIL_BYTES;
	size_t needed = 0;
	int r = -EAGAIN;

	for (int i = 0; r == -EAGAIN && i < 2; i++) {
		bool all = !key && wanted >= f->stored_bytes;

		r = key ? get_sealed_end(f, key, wanted, &all, &end, err) : get_end(f, wanted, &end, err);
		if (r == 0)
			r = wal_index_find(end.data, end.len, all, ret, &needed, err);
		wanted = needed;
	}
	return r == -EAGAIN ? -EBADMSG : r;
}

/* A line that is of another segment is as good as none. */
static bool is_index_of(const struct wal_index *x, const struct wal_fetching *f)
{
	struct wal_key key;
	char name[WAL_NAME_BYTES];

	wal_name_format(&x->name, name);
	return wal_key_parse(f->key, &key) == 0 && str_equal(key.name, name) && key.system_id == x->system_id;
}

int wal_fetch_index(const struct wal_fetching *f, struct wal_index *ret, struct error *err)
{
	_cleanup(wal_index) struct wal_index x = {0};
	struct age_key key = {0};
	bool is_sealed = wal_key_is_sealed(f->key);
	int r = is_sealed ? open_tail(f, &key, err) : 0;

	if (r == 0)
		r = find_index(f, is_sealed ? &key : NULL, &x, err);
	age_key_wipe(&key);
	if (r == 0 && !is_index_of(&x, f))
		r = error_set(err, ERROR_CORRUPT, EBADMSG, "the index at its end is of another segment");
	if (r < 0) {
		error_prefix(err, "the object %s", f->key);
		return r;
	}
	wal_index_finish(ret);
	*ret = x;
	x = (struct wal_index){0};
	return 0;
}
