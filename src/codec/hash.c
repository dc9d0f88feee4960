// SPDX-License-Identifier: Apache-2.0
/* Digests: OpenSSL's EVP and ISA-L do the work; this file only gives them one shape. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <isa-l/crc.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <xxhash.h>

/* The digests of OpenSSL fail only when the process has no memory, or a policy forbids SHA-256: no backup can
 * be made then. */
static void must_digest(int ok)
{
	if (!ok)
		abort();
}

struct sha256 *sha256_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must_digest(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL));
	return (struct sha256 *)ctx;
}

struct sha256 *sha256_free(struct sha256 *h)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
	return NULL;
}

void sha256_update(struct sha256 *h, const void *data, size_t len)
{
	must_digest(EVP_DigestUpdate((EVP_MD_CTX *)h, data, len));
}

void sha256_final(struct sha256 *h, uint8_t ret_digest[static SHA256_BYTES])
{
	must_digest(EVP_DigestFinal_ex((EVP_MD_CTX *)h, ret_digest, NULL));
}

void sha256_once(const void *data, size_t len, uint8_t ret_digest[static SHA256_BYTES])
{
	must_digest(EVP_Digest(data, len, ret_digest, NULL, EVP_sha256(), NULL));
}

struct md5 *md5_new(void)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	must_digest(ctx && EVP_DigestInit_ex(ctx, EVP_md5(), NULL));
	return (struct md5 *)ctx;
}

struct md5 *md5_free(struct md5 *h)
{
	EVP_MD_CTX_free((EVP_MD_CTX *)h);
	return NULL;
}

void md5_update(struct md5 *h, const void *data, size_t len)
{
	must_digest(EVP_DigestUpdate((EVP_MD_CTX *)h, data, len));
}

void md5_final(struct md5 *h, uint8_t ret_digest[static MD5_BYTES])
{
	must_digest(EVP_DigestFinal_ex((EVP_MD_CTX *)h, ret_digest, NULL));
}

void md5_iov(const struct iovec *iov, int count, uint8_t ret_digest[static MD5_BYTES])
{
	struct md5 *h = md5_new();

	for (int i = 0; i < count; i++)
		md5_update(h, iov[i].iov_base, iov[i].iov_len);
	md5_final(h, ret_digest);
	md5_free(h);
}

void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t ret_mac[static SHA256_BYTES])
{
	must_digest(HMAC(EVP_sha256(), key, (int)key_len, data, len, ret_mac, NULL) != NULL);
}

/* RFC 2104: the hash of the outer pad and of the hash of the inner pad and the text. A pad is the key with each byte changed, and one block long. */
#define BLOCK_BYTES 64
#define INNER_PAD   0x36
#define OUTER_PAD   0x5c

struct hmac_key {
	EVP_MD_CTX *inner, *outer; /* that have had their pad */
	EVP_MD_CTX *running;
};

static EVP_MD_CTX *begin_with_pad(const unsigned char *key, size_t key_len, unsigned char pad)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	unsigned char block[BLOCK_BYTES];

	for (size_t i = 0; i < sizeof(block); i++)
		block[i] = (i < key_len ? key[i] : 0) ^ pad;
	must_digest(ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) &&
	            EVP_DigestUpdate(ctx, block, sizeof(block)));
	explicit_bzero(block, sizeof(block));
	return ctx;
}

struct hmac_key *hmac_key_new(const void *key, size_t key_len)
{
	struct hmac_key *k = mem_alloc(sizeof(*k));

	must_digest(key_len <= BLOCK_BYTES);
	k->inner = begin_with_pad(key, key_len, INNER_PAD);
	k->outer = begin_with_pad(key, key_len, OUTER_PAD);
	k->running = EVP_MD_CTX_new();
	must_digest(k->running != NULL);
	return k;
}

struct hmac_key *hmac_key_free(struct hmac_key *k)
{
	if (!k)
		return NULL;
	EVP_MD_CTX_free(k->inner);
	EVP_MD_CTX_free(k->outer);
	EVP_MD_CTX_free(k->running);
	free(k);
	return NULL;
}

void hmac_key_sha256(struct hmac_key *k, const void *data, size_t len, uint8_t ret_mac[static SHA256_BYTES])
{
	uint8_t digest[SHA256_BYTES];

	must_digest(EVP_MD_CTX_copy_ex(k->running, k->inner) && EVP_DigestUpdate(k->running, data, len) &&
	            EVP_DigestFinal_ex(k->running, digest, NULL));
	must_digest(EVP_MD_CTX_copy_ex(k->running, k->outer) &&
	            EVP_DigestUpdate(k->running, digest, sizeof(digest)) &&
	            EVP_DigestFinal_ex(k->running, ret_mac, NULL));
}

void hex_encode(const uint8_t *data, size_t len, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < len; i++) {
		out[2 * i] = digits[data[i] >> 4];
		out[2 * i + 1] = digits[data[i] & 15];
	}
	out[2 * len] = '\0';
}

uint32_t crc32c(uint32_t crc, const void *data, size_t len)
{
	const unsigned char *p = data;

	/* ISA-L takes an int length, and the register's value, which is the inverted CRC. */
	crc = ~crc;
	while (len > 0) {
		size_t step = len < INT_MAX ? len : INT_MAX;

		crc = crc32_iscsi((unsigned char *)p, (int)step, crc);
		p += step;
		len -= step;
	}
	return ~crc;
}

/*
 * Polynomials modulo that of CRC-32C, over GF(2). Bit 31 is the coefficient of x^0, and bit 0 that of x^31:
 * the order in which the CRC's register has them.
 */
#define CRC32C_POLYNOMIAL UINT32_C(0x82f63b78)
#define X_TO_THE_0        UINT32_C(0x80000000)
#define X_TO_THE_8        UINT32_C(0x00800000)

static uint32_t multiply_modulo(uint32_t a, uint32_t b)
{
	uint32_t product = 0;

	for (; a; a <<= 1) {
		if (a & X_TO_THE_0)
			product ^= b;
		b = b & 1 ? b >> 1 ^ CRC32C_POLYNOMIAL : b >> 1;
	}
	return product;
}

uint32_t crc32c_combine(uint32_t first, uint32_t second, uint64_t second_bytes)
{
	uint32_t power = X_TO_THE_8;

	/* The bits that the CRC inverts before and behind cancel each other out, so that nothing is said of
	 * them here. */
	for (uint64_t bits = second_bytes; bits; bits >>= 1) {
		if (bits & 1)
			first = multiply_modulo(power, first);
		power = multiply_modulo(power, power);
	}
	return first ^ second;
}

uint64_t hash64(const char *text)
{
	uint8_t digest[SHA256_BYTES];
	uint64_t value = 0;

	sha256_once(text, strlen(text), digest);
	for (int i = 7; i >= 0; i--)
		value = value << 8 | digest[i];
	return value;
}

uint64_t hash_quickly(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}

uint64_t hash_seeded(uint64_t seed, const void *data, size_t len)
{
	return XXH3_64bits_withSeed(data, len, seed);
}

char *base64_encode(const void *data, size_t len)
{
	char *text = mem_alloc((len + 2) / 3 * 4 + 1);

	EVP_EncodeBlock((unsigned char *)text, data, (int)len);
	return text;
}

uint8_t *base64_decode(const char *text, size_t *ret_len)
{
	size_t len = strlen(text), padding = 0;
	uint8_t *data;
	int n;

	if (len % 4 != 0 || len > INT_MAX)
		return NULL;
	/* EVP_DecodeBlock() skips white space and counts padding as data: neither is wanted. */
	if (strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") + 2 < len)
		return NULL;
	while (padding < 2 && padding < len && text[len - 1 - padding] == '=')
		padding++;
	data = mem_alloc(len / 4 * 3 + 1);
	n = EVP_DecodeBlock(data, (const unsigned char *)text, (int)len);
	if (n < 0 || (size_t)n < padding) {
		free(data);
		return NULL;
	}
	*ret_len = (size_t)n - padding;
	return data;
}
