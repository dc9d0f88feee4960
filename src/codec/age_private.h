// SPDX-License-Identifier: Apache-2.0
#pragma once
/* What the files of age share: its texts (base64, Bech32), its primitives, and what recipients and identities consist of. */
#include <keepfs/codec/age.h>

#define AGE_KEY_BYTES                                                                                        \
	32U /* of X25519, secret and public, of HKDF's and scrypt's results, and of HMAC-SHA-256 */
#define AGE_BODY_BYTES     (AGE_FILE_KEY_BYTES + AGE_TAG_BYTES) /* of the stanzas that are known here */
#define AGE_SALT_BYTES     16U
#define AGE_BASE64_COLUMNS 64U
#define AGE_LINE_BYTES     48U /* what a full line of base64 holds */

/* Base64. Without padding, and canonical, as the header has it: RFC 4648, sections 3.5 and 4. */

void age_base64_append(struct str *out, const void *bytes, size_t len);
/* @ret: at least (@len * 3) / 4 bytes; a false return: not canonical base64 without padding. */
bool age_base64_decode(const char *text, size_t len, uint8_t *ret, size_t *ret_len);

/* Bech32 of 32 bytes, BIP 173. All of it is lower case, or all of it upper case, as @prefix is. */

/* @ret: room for the prefix, 59 characters, and a NUL. */
void age_bech32_encode(const char *prefix, const uint8_t key[static AGE_KEY_BYTES], char *ret);
bool age_bech32_decode(const char *text, size_t len, const char *prefix, uint8_t ret[static AGE_KEY_BYTES]);

/* Primitives. They end the process when OpenSSL has no memory, or a policy forbids its ciphers, as those of hash.h do. */

void age_random(void *ret, size_t len);
/* HKDF-SHA-256, RFC 5869, of 32 bytes. @key_len: of @key. */
void age_hkdf(const void *key, size_t key_len, const void *salt, size_t salt_len, const char *info,
              uint8_t ret[static AGE_KEY_BYTES]);
void age_x25519_public(const uint8_t secret[static AGE_KEY_BYTES], uint8_t ret[static AGE_KEY_BYTES]);
/* A false return: @peer is a point of low order, with which every secret would have the same result. */
bool age_x25519(const uint8_t secret[static AGE_KEY_BYTES], const uint8_t peer[static AGE_KEY_BYTES],
                uint8_t ret[static AGE_KEY_BYTES]);
/* -ENOMEM (ERROR_UNAVAILABLE). */
int age_scrypt(const char *passphrase, const uint8_t salt[static AGE_SALT_BYTES], unsigned log_n,
               uint8_t ret[static AGE_KEY_BYTES], struct error *err);
/* ChaCha20-Poly1305 of a file key, with the nonce 0: a wrapping key is used once. */
void age_wrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t file_key[static AGE_FILE_KEY_BYTES],
              uint8_t ret[static AGE_BODY_BYTES]);
bool age_unwrap(const uint8_t key[static AGE_KEY_BYTES], const uint8_t body[static AGE_BODY_BYTES],
                uint8_t ret[static AGE_FILE_KEY_BYTES]);
/* The key that wraps a file key for an X25519 recipient: the same on both sides. */
void age_x25519_wrap_key(const uint8_t shared[static AGE_KEY_BYTES],
                         const uint8_t share[static AGE_KEY_BYTES],
                         const uint8_t recipient[static AGE_KEY_BYTES], uint8_t ret[static AGE_KEY_BYTES]);
void age_make_payload_key(struct age_key *k);
void age_header_mac(const struct age_key *k, const void *header, size_t len,
                    uint8_t ret[static AGE_KEY_BYTES]);

struct age_recipient {
	uint8_t public[AGE_KEY_BYTES];
	char name[AGE_RECIPIENT_BYTES];
};

struct age_recipients {
	struct age_recipient *items;
	size_t count;
	char *passphrase; /* NULL: none; else there are no items */
	unsigned log_n;
};

struct age_identity {
	uint8_t secret[AGE_KEY_BYTES];
	struct age_recipient recipient; /* its public side */
};

struct age_identities {
	struct age_identity
	        *items; /* AGE_IDENTITIES_MAX of them: what is secret is never moved by a resize */
	size_t count;
	char *passphrase; /* NULL: none */
};

void age_recipient_init(struct age_recipient *r, const uint8_t public[static AGE_KEY_BYTES]);

/* A header as it is read. */
struct age_stanza {
	uint8_t share[AGE_KEY_BYTES]; /* the ephemeral one */
	uint8_t body[AGE_BODY_BYTES];
};

struct age_header {
	uint32_t bytes;     /* without the nonce */
	uint32_t mac_bytes; /* of these, the MAC is of so many */
	uint8_t mac[AGE_KEY_BYTES];
	unsigned stanzas; /* of all kinds */
	unsigned count;   /* of X25519 */
	struct age_stanza *items;
	bool scrypt; /* it stands alone, and its body is here */
	uint8_t salt[AGE_SALT_BYTES];
	unsigned log_n;
	uint8_t body[AGE_BODY_BYTES];
};

/* -EAGAIN and -EBADMSG as of age_header_open(), the nonce not counted. age_header_finish() in every case. */
int age_header_read(const void *bytes, size_t len, struct age_header *ret, struct error *err);
void age_header_finish(struct age_header *h);
