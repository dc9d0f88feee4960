// SPDX-License-Identifier: Apache-2.0
#pragma once
/** Digests, by OpenSSL and ISA-L. Pure; any thread. */
#include <stddef.h>
#include <stdint.h>

#define SHA256_BYTES     32
#define SHA256_HEX_BYTES 65 /* with NUL */

struct sha256; /* a running digest */

struct sha256 *sha256_new(void);
struct sha256 *sha256_free(struct sha256 *h);
void sha256_update(struct sha256 *h, const void *data, size_t len);
/** sha256_final() - the digest so far; @h must not be updated afterwards. */
void sha256_final(struct sha256 *h, uint8_t ret_digest[static SHA256_BYTES]);

#define MD5_BYTES 16
struct iovec;
/** md5_iov() - for Content-MD5, which S3 asks for in places; protects from accidents, and from nothing else. */
void md5_iov(const struct iovec *iov, int count, uint8_t ret_digest[static MD5_BYTES]);

struct md5; /* a running digest, as struct sha256 */

struct md5 *md5_new(void);
struct md5 *md5_free(struct md5 *h);
void md5_update(struct md5 *h, const void *data, size_t len);
void md5_final(struct md5 *h, uint8_t ret_digest[static MD5_BYTES]);

void sha256_once(const void *data, size_t len, uint8_t ret_digest[static SHA256_BYTES]);
void hmac_sha256(const void *key, size_t key_len, const void *data, size_t len,
                 uint8_t ret_mac[static SHA256_BYTES]);
/** struct hmac_key - a key for many hmac_sha256(): what depends on the key alone is done once. One thread at a time; wiped when it is freed. */
struct hmac_key;
struct hmac_key *hmac_key_new(const void *key, size_t key_len); /* @key_len: at most 64 */
struct hmac_key *hmac_key_free(struct hmac_key *k);             /* NULL allowed; returns NULL */
void hmac_key_sha256(struct hmac_key *k, const void *data, size_t len, uint8_t ret_mac[static SHA256_BYTES]);

/** hex_encode() - lower case, NUL-terminated: @out holds 2 * @len + 1 bytes. */
void hex_encode(const uint8_t *data, size_t len, char *out);
/** crc32c() - CRC-32C (Castagnoli), as in RFC 3720; start with @crc 0, continue with the last result. */
uint32_t crc32c(uint32_t crc, const void *data, size_t len);
/** crc32c_combine() - the CRC-32C of what has @first and, behind it, of @second_bytes bytes that have
 * @second. The method is that of zlib's crc32_combine(), by Mark Adler: the first one times x^(8 *
 * @second_bytes), modulo the polynomial, in some 64 steps at most, whatever the length. */
uint32_t crc32c_combine(uint32_t first, uint32_t second, uint64_t second_bytes);
/** hash64() - the first 8 bytes of the SHA-256 of @text, little-endian: stable for ever, used for inode
 * numbers. */
uint64_t hash64(const char *text);
/** hash_quickly() - XXH3-64: fast, and good for tables in memory; whoever wants can make bytes that have the same. */
uint64_t hash_quickly(const void *data, size_t len);
/** hash_seeded() - XXH3-64 with @seed: stable for ever, used for page sums. */
uint64_t hash_seeded(uint64_t seed, const void *data, size_t len);
/** base64_encode() - standard alphabet with padding; heap. */
char *base64_encode(const void *data, size_t len);
/** base64_decode() - heap, or NULL when @text is not base64; *@ret_len is its length. */
uint8_t *base64_decode(const char *text, size_t *ret_len);
