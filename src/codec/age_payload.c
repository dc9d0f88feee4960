// SPDX-License-Identifier: Apache-2.0
/*
 * The payload: cells, each encrypted on its own, with its number and whether it is the last in the nonce (STREAM,
 * https://eprint.iacr.org/2015/189). A payload that was cut at a cell's border therefore ends in a cell that does not open as the
 * last one, but does as another: so what is cut off can be told from what is damaged.
 */
#include "age_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>

#define NONCE_BYTES 12U

enum { OPENING, SEALING };

struct age_cipher {
	EVP_CIPHER_CTX *ctx[2]; /* by OPENING and SEALING; they have the key */
};

static void must_encrypt(bool ok)
{
	if (!ok)
		abort();
}

struct age_cipher *age_cipher_new(const struct age_key *k)
{
	struct age_cipher *c = mem_alloc(sizeof(*c));

	for (int way = OPENING; way <= SEALING; way++) {
		c->ctx[way] = EVP_CIPHER_CTX_new();
		must_encrypt(c->ctx[way] && EVP_CipherInit_ex2(c->ctx[way], EVP_chacha20_poly1305(),
		                                               k->payload_key, NULL, way, NULL) == 1);
	}
	return c;
}

struct age_cipher *age_cipher_free(struct age_cipher *c)
{
	if (!c)
		return NULL;
	EVP_CIPHER_CTX_free(c->ctx[OPENING]);
	EVP_CIPHER_CTX_free(c->ctx[SEALING]);
	free(c);
	return NULL;
}

/* The number is big-endian, of 11 bytes. */
static void begin_cell(EVP_CIPHER_CTX *ctx, uint64_t cell, bool last)
{
	uint8_t nonce[NONCE_BYTES] = {0};

	for (size_t i = 0; i < sizeof(cell); i++)
		nonce[NONCE_BYTES - 2 - i] = (uint8_t)(cell >> 8 * i);
	nonce[NONCE_BYTES - 1] = last;
	must_encrypt(EVP_CipherInit_ex2(ctx, NULL, NULL, nonce, -1, NULL) == 1);
}

static void run_cell(EVP_CIPHER_CTX *ctx, const void *in, size_t len, void *out)
{
	int n = 0;

	must_encrypt(len == 0 || (EVP_CipherUpdate(ctx, out, &n, in, (int)len) == 1 && (size_t)n == len));
}

void age_seal_cell(struct age_cipher *c, uint64_t cell, bool last, const void *plain, size_t len,
                   void *ret_stored)
{
	EVP_CIPHER_CTX *ctx = c->ctx[SEALING];
	uint8_t *out = ret_stored;
	int n;

	begin_cell(ctx, cell, last);
	run_cell(ctx, plain, len, out);
	must_encrypt(EVP_CipherFinal_ex(ctx, out + len, &n) == 1 &&
	             EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_BYTES, out + len) == 1);
}

static bool try_cell(struct age_cipher *c, uint64_t cell, bool last, const uint8_t *in, size_t len,
                     const uint8_t tag[static AGE_TAG_BYTES], void *out)
{
	EVP_CIPHER_CTX *ctx = c->ctx[OPENING];
	uint8_t expected[AGE_TAG_BYTES], rest[AGE_TAG_BYTES];
	int n;

	memcpy(expected, tag, sizeof(expected));
	begin_cell(ctx, cell, last);
	must_encrypt(EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(expected), expected) == 1);
	run_cell(ctx, in, len, out);
	return EVP_CipherFinal_ex(ctx, rest, &n) == 1;
}

/* Whether the cell is right but for being the last. What is in @out was decrypted in vain: the cipher is its own inverse, so it is
 * encrypted back where nothing else has the stored bytes any more. */
static bool is_right_but_for_last(struct age_cipher *c, uint64_t cell, bool last, const void *stored,
                                  size_t len, uint8_t *out)
{
	const uint8_t *in = stored, *tag = in + len;
	bool opened;

	if (out == stored)
		try_cell(c, cell, last, out, len, tag, out);
	opened = try_cell(c, cell, !last, in, len, tag, out);
	if (len > 0)
		memset(out, 0, len);
	return opened;
}

static int refuse_cell(uint64_t cell, bool last, bool but_for_last, struct error *err)
{
	unsigned long long number = cell;

	if (!but_for_last)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "cell %llu of what age encrypted is damaged, or in another's place: its tag is wrong",
		        number);
	if (last)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the end of what age encrypted is missing: cell %llu is its last here, and was not the last one",
		        number);
	return error_set(err, ERROR_CORRUPT, EBADMSG,
	                 "something was put behind the end of what age encrypted: cell %llu was the last one",
	                 number);
}

static int check_cell_size(uint64_t cell, bool last, size_t len, struct error *err)
{
	if (len < AGE_TAG_BYTES)
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "what age encrypted is cut off within cell %llu: there are %zu bytes, and a tag has 16",
		        (unsigned long long)cell, len);
	if (len == AGE_TAG_BYTES && cell > 0)
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "cell %llu of what age encrypted is empty: there is none of this kind",
		                 (unsigned long long)cell);
	if (len > AGE_CELL_STORED_BYTES || (!last && len != AGE_CELL_STORED_BYTES))
		return error_set(err, ERROR_CORRUPT, EBADMSG,
		                 "cell %llu of what age encrypted has %zu bytes, and can only have %u",
		                 (unsigned long long)cell, len, AGE_CELL_STORED_BYTES);
	return 0;
}

int age_open_cell(struct age_cipher *c, uint64_t cell, bool last, const void *stored, size_t len,
                  void *ret_plain, struct error *err)
{
	const uint8_t *in = stored;
	int r = check_cell_size(cell, last, len, err);

	if (r < 0)
		return r;
	len -= AGE_TAG_BYTES;
	if (try_cell(c, cell, last, in, len, in + len, ret_plain))
		return 0;
	return refuse_cell(cell, last, is_right_but_for_last(c, cell, last, stored, len, ret_plain), err);
}
