// SPDX-License-Identifier: Apache-2.0
/* Objects that fit into memory, all at once. */
#include "age_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <string.h>

/* A cell that ends the object is the last: an object of whole cells has no empty one behind them. */
static bool ends(size_t at, size_t cell_bytes, size_t len)
{
	return len - at <= cell_bytes;
}

static void seal_cells(const struct age_key *k, const uint8_t *plain, size_t len, uint8_t *out)
{
	_cleanup(age_cipher) struct age_cipher *c = age_cipher_new(k);
	uint64_t cell = 0;
	bool last = false;

	for (size_t at = 0; !last; cell++, at += AGE_CELL_PLAIN_BYTES) {
		last = ends(at, AGE_CELL_PLAIN_BYTES, len);
		age_seal_cell(c, cell, last, plain + at, last ? len - at : AGE_CELL_PLAIN_BYTES,
		              out + cell * AGE_CELL_STORED_BYTES);
	}
}

int age_encrypt(const struct age_recipients *r, const void *plain, size_t len, struct str *ret,
                struct error *err)
{
	_cleanup(str) struct str head = {0};
	_cleanup(free) uint8_t *cells = NULL;
	struct age_key k;
	size_t bytes;
	int res = age_header_make(r, &head, &k, err);

	if (res < 0)
		return res;
	bytes = (size_t)cells_stored_bytes(
	        &(struct cells){.plain_bytes = AGE_CELL_PLAIN_BYTES, .stored_bytes = AGE_CELL_STORED_BYTES},
	        len);
	cells = mem_alloc(bytes);
	seal_cells(&k, len ? plain : cells, len, cells);
	age_key_wipe(&k);
	str_append_bytes(ret, head.data, head.len);
	str_append_bytes(ret, cells, bytes);
	return 0;
}

/* @out: room for @len bytes. */
static int open_cells(const struct age_key *k, const uint8_t *stored, size_t len, uint8_t *out,
                      size_t *ret_len, struct error *err)
{
	_cleanup(age_cipher) struct age_cipher *c = age_cipher_new(k);
	uint64_t cell = 0;
	bool last = false;
	int r = 0;

	*ret_len = 0;
	for (size_t at = 0; r == 0 && !last; cell++, at += AGE_CELL_STORED_BYTES) {
		size_t n;

		last = ends(at, AGE_CELL_STORED_BYTES, len);
		n = last ? len - at : AGE_CELL_STORED_BYTES;
		r = age_open_cell(c, cell, last, stored + at, n, out + *ret_len, err);
		*ret_len += r == 0 ? n - AGE_TAG_BYTES : 0;
	}
	return r;
}

/* Into a string that is empty without a copy of what may be secret. Consumes @plain, which has room for a NUL. */
static void hand_over_plain(struct str *ret, uint8_t *plain, size_t len, size_t room)
{
	if (ret->len == 0) {
		str_finish(ret);
		plain[len] = '\0';
		*ret = (struct str){.data = (char *)plain, .len = len, .cap = room};
		return;
	}
	str_append_bytes(ret, plain, len);
	explicit_bzero(plain, len);
	free(plain);
}

static int decrypt_binary(const uint8_t *stored, size_t len, const struct age_identities *i, struct str *ret,
                          struct error *err)
{
	uint8_t *plain;
	struct age_key k;
	size_t plain_len;
	int r = age_header_open(stored, len, i, &k, err);

	if (r == -EAGAIN && err)
		err->errnum = EBADMSG;
	if (r < 0)
		return r == -EAGAIN ? -EBADMSG : r;
	plain = mem_alloc(len);
	r = open_cells(&k, stored + k.head_bytes, len - k.head_bytes, plain, &plain_len, err);
	age_key_wipe(&k);
	if (r == 0) {
		hand_over_plain(ret, plain, plain_len, len);
		return 0;
	}
	explicit_bzero(plain, len);
	free(plain);
	return r;
}

int age_decrypt(const void *stored, size_t len, const struct age_identities *i, struct str *ret,
                struct error *err)
{
	_cleanup(str) struct str binary = {0};
	int r;

	if (!age_is_armor(stored, len))
		return decrypt_binary(stored, len, i, ret, err);
	r = age_dearmor(stored, len, &binary, err);
	return r < 0 ? r : decrypt_binary((const uint8_t *)binary.data, binary.len, i, ret, err);
}
