// SPDX-License-Identifier: Apache-2.0
#pragma once
/**
 * Signatures by Ed25519 (RFC 8032), by OpenSSL, and the line of a text that holds them. Pure; any thread.
 *
 * A signed text is JSON whose last line is its signature. What is signed are all bytes before that line, so whoever has openssl, head and jq can
 * verify it (docs/formats.md, "Signatures"):
 *
 *   "signature":{"key":"<id>","ed25519":"<base64>"}}
 *
 * Keys are PEM files as openssl writes them: PKCS #8 (RFC 8410) for the key that signs, SubjectPublicKeyInfo for one that verifies.
 */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/error.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIGN_PUBLIC_BYTES    32
#define SIGN_SIGNATURE_BYTES 64
#define SIGN_ID_BYTES                                                                                        \
	17 /* of the name of a key, with NUL: the first 16 hexadecimal digits of the SHA-256 of its 32 public bytes */

/** struct sign_public - a key that verifies, with its name. */
struct sign_public {
	uint8_t raw[SIGN_PUBLIC_BYTES];
	char id[SIGN_ID_BYTES];
};

/** struct signature - what a text says of who signed it. */
struct signature {
	char key[SIGN_ID_BYTES]; /* "": there is none */
	uint8_t bytes[SIGN_SIGNATURE_BYTES];
};

/** struct sign_key - a key that signs. Any number of threads may use one at once. */
struct sign_key;

/**
 * sign_key_parse() - a private key from its PEM
 * @source: what to call it in messages: the name of the file
 *
 * -EINVAL (ERROR_USAGE), with what is wrong and what to do: no PEM, encrypted, a public key, a key of another kind, damaged.
 */
int sign_key_parse(const char *source, const char *pem, size_t len, struct sign_key **ret, struct error *err);
/** sign_key_free() - wiped. NULL allowed; returns NULL. */
struct sign_key *sign_key_free(struct sign_key *k);
DEFINE_CLEANUP(sign_key, struct sign_key *, sign_key_free)
/** sign_key_public() - its other half: borrowed. */
const struct sign_public *sign_key_public(const struct sign_key *k);
/** sign_public_parse() - a public key from its PEM; errors as of sign_key_parse(). A private key is refused: it has no business where
 * signatures are verified. */
int sign_public_parse(const char *source, const char *pem, size_t len, struct sign_public *ret,
                      struct error *err);
/** sign_public_from_raw() - with its name, of the 32 bytes themselves. */
void sign_public_from_raw(const uint8_t raw[static SIGN_PUBLIC_BYTES], struct sign_public *ret);
/** sign_public_write() - append its PEM, as `openssl pkey -pubout` writes it. */
void sign_public_write(const struct sign_public *p, struct str *out);

/** sign_make() - of all of @data. */
void sign_make(const struct sign_key *k, const void *data, size_t len, struct signature *ret);
/** sign_verify() - is @s the signature of @data by @p? The name of the key in @s is not looked at. */
bool sign_verify(const struct sign_public *p, const void *data, size_t len, const struct signature *s);

/** sign_hash() - in hexadecimal digits: of all of @data, by which the next link names this one. */
void sign_hash(const void *data, size_t len, char ret_hex[static SHA256_HEX_BYTES]);

/** signature_append() - the last line of a signed text, behind what was signed, which ends with ",\n". @second: of a second key, which signed
 * the same bytes; NULL: there is none. */
void signature_append(struct str *out, const struct signature *s, const struct signature *second);
/**
 * signature_find() - the last line of a text
 * @ret_second: its key is "" when there is no second one; NULL: the text may have none
 *
 * Return: 1 with the length of what was signed; 0: the last line is no signature; -EBADMSG (ERROR_CORRUPT): it is one of a wrong form, named in @err
 * without the source.
 */
int signature_find(const char *text, size_t len, size_t *ret_signed, struct signature *ret,
                   struct signature *ret_second, struct error *err);
