// SPDX-License-Identifier: Apache-2.0
/*
 * Ed25519 by OpenSSL's EVP, and keys from PEM. What a PEM is not is told by its first line before OpenSSL is asked, because the messages of its
 * decoders say nothing to a person.
 */
#include <keepfs/codec/sign.h>

#include <errno.h>
#include <limits.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>

#define BEGIN "-----BEGIN "

struct sign_key {
	EVP_PKEY *pkey;
	struct sign_public public;
};

static int refuse_pem(const char *source, const char *why, struct error *err)
{
	return error_set(err, ERROR_USAGE, EINVAL, "%s: %s", source, why);
}

/* Nobody is asked for a passphrase. */
static int no_passphrase(char *buf, int size, int rwflag, void *arg)
{
	return -1;
}

/* What stands behind "-----BEGIN " of the first block, compared with @what. */
static bool begins_with(const char *pem, const char *what)
{
	const char *begin = pem ? strstr(pem, BEGIN) : NULL;

	return begin && str_starts(begin + strlen(BEGIN), what);
}

static int take_ed25519(const char *source, EVP_PKEY *pkey, struct sign_public *ret, struct error *err)
{
	uint8_t raw[SIGN_PUBLIC_BYTES];
	size_t len = sizeof(raw);

	if (!pkey)
		return refuse_pem(source, "the key in it is damaged, so OpenSSL cannot read it", err);
	if (EVP_PKEY_base_id(pkey) != EVP_PKEY_ED25519)
		return error_set(
		        err, ERROR_USAGE, EINVAL,
		        "%s: it is a key of the kind %s, and signatures are made with Ed25519: openssl genpkey -algorithm ed25519",
		        source, str_or_empty(EVP_PKEY_get0_type_name(pkey)));
	if (EVP_PKEY_get_raw_public_key(pkey, raw, &len) != 1 || len != sizeof(raw))
		return refuse_pem(source, "its public half cannot be found", err);
	sign_public_from_raw(raw, ret);
	return 0;
}

/* A copy with a NUL behind it. */
static char *pem_text_of(const char *pem, size_t len)
{
	char *text = mem_alloc(len + 1);

	memcpy(text, pem, len);
	return text;
}

static int check_private(const char *source, const char *text, struct error *err)
{
	if (begins_with(text, "PUBLIC KEY"))
		return refuse_pem(source, "it is the public half of a key, and signing needs the private one",
		                  err);
	if (begins_with(text, "ENCRYPTED PRIVATE KEY") || (text && strstr(text, "Proc-Type: 4,ENCRYPTED")))
		return refuse_pem(
		        source,
		        "the key is encrypted with a passphrase, which nobody can type here: decrypt it with 'openssl pkey -in FILE -out FILE', and protect it by its mode or with 'keepfs seal'",
		        err);
	if (!text || !strstr(text, BEGIN))
		return refuse_pem(
		        source,
		        "it holds no key in PEM: make one with 'openssl genpkey -algorithm ed25519 -out FILE'",
		        err);
	return 0;
}

int sign_key_parse(const char *source, const char *pem, size_t len, struct sign_key **ret, struct error *err)
{
	char *text = pem_text_of(pem, len);
	struct sign_public public = {0};
	EVP_PKEY *pkey = NULL;
	BIO *bio;
	int r = check_private(source, text, err);

	if (r == 0) {
		bio = BIO_new_mem_buf(text, len > INT_MAX ? INT_MAX : (int)len);
		pkey = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
		BIO_free(bio);
		r = take_ed25519(source, pkey, &public, err);
	}
	explicit_bzero(text, len);
	free(text);
	if (r < 0) {
		EVP_PKEY_free(pkey);
		return r;
	}
	*ret = mem_alloc(sizeof(**ret));
	**ret = (struct sign_key){.pkey = pkey, .public = public};
	return 0;
}

struct sign_key *sign_key_free(struct sign_key *k)
{
	if (!k)
		return NULL;
	EVP_PKEY_free(k->pkey);
	free(k);
	return NULL;
}

const struct sign_public *sign_key_public(const struct sign_key *k)
{
	return &k->public;
}

int sign_public_parse(const char *source, const char *pem, size_t len, struct sign_public *ret,
                      struct error *err)
{
	_cleanup(free) char *text = pem_text_of(pem, len);
	EVP_PKEY *pkey;
	BIO *bio;
	int r;

	if (strstr(text, "PRIVATE KEY-----")) {
		explicit_bzero(text, len);
		return refuse_pem(
		        source,
		        "it is a private key, and verifying needs the public one alone: openssl pkey -in FILE -pubout",
		        err);
	}
	if (!strstr(text, BEGIN))
		return refuse_pem(
		        source, "it holds no public key in PEM: openssl pkey -in PRIVATE -pubout writes one",
		        err);
	bio = BIO_new_mem_buf(text, len > INT_MAX ? INT_MAX : (int)len);
	pkey = bio ? PEM_read_bio_PUBKEY(bio, NULL, no_passphrase, NULL) : NULL;
	BIO_free(bio);
	r = take_ed25519(source, pkey, ret, err);
	EVP_PKEY_free(pkey);
	return r;
}

void sign_public_from_raw(const uint8_t raw[static SIGN_PUBLIC_BYTES], struct sign_public *ret)
{
	uint8_t digest[SHA256_BYTES];

	memcpy(ret->raw, raw, SIGN_PUBLIC_BYTES);
	sha256_once(raw, SIGN_PUBLIC_BYTES, digest);
	hex_encode(digest, (SIGN_ID_BYTES - 1) / 2, ret->id);
}

/* OpenSSL fails here only when the process has no memory, or a policy forbids Ed25519. */
static void must_sign(int ok)
{
	if (ok != 1)
		abort();
}

static EVP_PKEY *pkey_of(const struct sign_public *p)
{
	EVP_PKEY *pkey = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, p->raw, sizeof(p->raw));

	must_sign(pkey != NULL);
	return pkey;
}

void sign_public_write(const struct sign_public *p, struct str *out)
{
	EVP_PKEY *pkey = pkey_of(p);
	BIO *bio = BIO_new(BIO_s_mem());
	char *text = NULL;
	long len;

	must_sign(bio && PEM_write_bio_PUBKEY(bio, pkey));
	len = BIO_get_mem_data(bio, &text);
	str_append_bytes(out, text, (size_t)len);
	BIO_free(bio);
	EVP_PKEY_free(pkey);
}

void sign_make(const struct sign_key *k, const void *data, size_t len, struct signature *ret)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	size_t made = sizeof(ret->bytes);

	must_sign(ctx && EVP_DigestSignInit(ctx, NULL, NULL, NULL, k->pkey) == 1);
	must_sign(EVP_DigestSign(ctx, ret->bytes, &made, data, len));
	EVP_MD_CTX_free(ctx);
	str_copy(ret->key, sizeof(ret->key), k->public.id);
}

bool sign_verify(const struct sign_public *p, const void *data, size_t len, const struct signature *s)
{
	EVP_PKEY *pkey = pkey_of(p);
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	bool fits;

	must_sign(ctx && EVP_DigestVerifyInit(ctx, NULL, NULL, NULL, pkey) == 1);
	fits = EVP_DigestVerify(ctx, s->bytes, sizeof(s->bytes), data, len) == 1;
	EVP_MD_CTX_free(ctx);
	EVP_PKEY_free(pkey);
	return fits;
}
