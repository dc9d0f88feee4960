// SPDX-License-Identifier: Apache-2.0
/* What age does with keys, by OpenSSL. HKDF is two lines of HMAC, since all of age's keys have the length of one digest. */
#include "age_private.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <string.h>

_Static_assert(AGE_KEY_BYTES == SHA256_BYTES, "a key is one digest");

#define SCRYPT_LABEL "age-encryption.org/v1/scrypt"
#define SCRYPT_R     8U
#define SCRYPT_P     1U

DEFINE_CLEANUP(pkey, EVP_PKEY *, EVP_PKEY_free)
DEFINE_CLEANUP(pkey_ctx, EVP_PKEY_CTX *, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(cipher_ctx, EVP_CIPHER_CTX *, EVP_CIPHER_CTX_free)

/* They fail when the process has no memory, or a policy forbids the cipher: nothing can be encrypted then. */
static void must_derive(bool ok)
{
	if (!ok)
		abort();
}

void age_random(void *ret, size_t len)
{
	must_derive(RAND_bytes(ret, (int)len) == 1);
}

void age_hkdf(const void *key, size_t key_len, const void *salt, size_t salt_len, const char *info,
              uint8_t ret[static AGE_KEY_BYTES])
{
	_cleanup(str) struct str message = {0};
	uint8_t extracted[AGE_KEY_BYTES];

	str_append(&message, info);
	str_append_char(&message, 1);
	hmac_sha256(salt, salt_len, key, key_len, extracted);
	hmac_sha256(extracted, sizeof(extracted), message.data, message.len, ret);
	explicit_bzero(extracted, sizeof(extracted));
}

static EVP_PKEY *private_key(const uint8_t *secret)
{
	EVP_PKEY *key = EVP_PKEY_new_raw_private_key(EVP_PKEY_X25519, NULL, secret, AGE_KEY_BYTES);

	must_derive(key != NULL);
	return key;
}

void age_x25519_public(const uint8_t secret[static AGE_KEY_BYTES], uint8_t ret[static AGE_KEY_BYTES])
{
	_cleanup(pkey) EVP_PKEY *key = private_key(secret);
	size_t len = AGE_KEY_BYTES;

	must_derive(EVP_PKEY_get_raw_public_key(key, ret, &len) == 1 && len == AGE_KEY_BYTES);
}

bool age_x25519(const uint8_t secret[static AGE_KEY_BYTES], const uint8_t peer[static AGE_KEY_BYTES],
                uint8_t ret[static AGE_KEY_BYTES])
{
	_cleanup(pkey) EVP_PKEY *key = private_key(secret);
	_cleanup(pkey) EVP_PKEY *other =
	        EVP_PKEY_new_raw_public_key(EVP_PKEY_X25519, NULL, peer, AGE_KEY_BYTES);
	_cleanup(pkey_ctx) EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new(key, NULL);
	size_t len = AGE_KEY_BYTES;

	must_derive(other && ctx && EVP_PKEY_derive_init(ctx) == 1 &&
	            EVP_PKEY_derive_set_peer(ctx, other) == 1);
	/* OpenSSL refuses a result that is all zero, as RFC 7748, section 6.1, allows and age demands. */
	return EVP_PKEY_derive(ctx, ret, &len) == 1 && len == AGE_KEY_BYTES;
}

/* Each takes up to 1 GiB: so there is one at a time. */
static pthread_mutex_t scrypt_lock = PTHREAD_MUTEX_INITIALIZER;

int age_scrypt(const char *passphrase, const uint8_t salt[static AGE_SALT_BYTES], unsigned log_n,
               uint8_t ret[static AGE_KEY_BYTES], struct error *err)
{
	uint8_t labelled[sizeof(SCRYPT_LABEL) - 1 + AGE_SALT_BYTES];
	uint64_t n = UINT64_C(1) << log_n;
	/* What OpenSSL counts: 128 * r bytes for each of N and p, and some more. */
	uint64_t memory = 128U * SCRYPT_R * (n + SCRYPT_P) + 65536;
	int ok;

	memcpy(labelled, SCRYPT_LABEL, sizeof(SCRYPT_LABEL) - 1);
	memcpy(labelled + sizeof(SCRYPT_LABEL) - 1, salt, AGE_SALT_BYTES);
	pthread_mutex_lock(&scrypt_lock);
	ok = EVP_PBE_scrypt(passphrase, strlen(passphrase), labelled, sizeof(labelled), n, SCRYPT_R, SCRYPT_P,
	                    memory, ret, AGE_KEY_BYTES);
	pthread_mutex_unlock(&scrypt_lock);
	if (ok == 1)
		return 0;
	return error_set(err, ERROR_UNAVAILABLE, ENOMEM,
	                 "no memory for a passphrase of work factor %u: scrypt needs %llu MiB", log_n,
	                 (unsigned long long)(memory >> 20));
}

static const uint8_t zero_nonce[12];

void age_wrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t file_key[static AGE_FILE_KEY_BYTES],
              uint8_t ret[static AGE_BODY_BYTES])
{
	_cleanup(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	int len, rest;

	must_derive(ctx && EVP_EncryptInit_ex2(ctx, EVP_chacha20_poly1305(), key, zero_nonce, NULL) == 1 &&
	            EVP_EncryptUpdate(ctx, ret, &len, file_key, AGE_FILE_KEY_BYTES) == 1 &&
	            EVP_EncryptFinal_ex(ctx, ret + len, &rest) == 1 &&
	            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, AGE_TAG_BYTES,
	                                ret + AGE_FILE_KEY_BYTES) == 1);
}

bool age_unwrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t body[static AGE_BODY_BYTES],
                uint8_t ret[static AGE_FILE_KEY_BYTES])
{
	_cleanup(cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
	uint8_t tag[AGE_TAG_BYTES];
	int len, rest;

	memcpy(tag, body + AGE_FILE_KEY_BYTES, sizeof(tag));
	must_derive(ctx && EVP_DecryptInit_ex2(ctx, EVP_chacha20_poly1305(), key, zero_nonce, NULL) == 1 &&
	            EVP_DecryptUpdate(ctx, ret, &len, body, AGE_FILE_KEY_BYTES) == 1 &&
	            EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1);
	if (EVP_DecryptFinal_ex(ctx, ret + len, &rest) == 1)
		return true;
	explicit_bzero(ret, AGE_FILE_KEY_BYTES);
	return false;
}

void age_x25519_wrap_key(const uint8_t shared[static AGE_KEY_BYTES],
                         const uint8_t share[static AGE_KEY_BYTES],
                         const uint8_t recipient[static AGE_KEY_BYTES], uint8_t ret[static AGE_KEY_BYTES])
{
	uint8_t salt[2 * AGE_KEY_BYTES];

	memcpy(salt, share, AGE_KEY_BYTES);
	memcpy(salt + AGE_KEY_BYTES, recipient, AGE_KEY_BYTES);
	age_hkdf(shared, AGE_KEY_BYTES, salt, sizeof(salt), "age-encryption.org/v1/X25519", ret);
}

void age_make_payload_key(struct age_key *k)
{
	age_hkdf(k->file_key, sizeof(k->file_key), k->nonce, sizeof(k->nonce), "payload", k->payload_key);
}

void age_header_mac(const struct age_key *k, const void *header, size_t len,
                    uint8_t ret[static AGE_KEY_BYTES])
{
	uint8_t key[AGE_KEY_BYTES];

	age_hkdf(k->file_key, sizeof(k->file_key), "", 0, "header", key);
	hmac_sha256(key, sizeof(key), header, len, ret);
	explicit_bzero(key, sizeof(key));
}
