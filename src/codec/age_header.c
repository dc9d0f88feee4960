// SPDX-License-Identifier: Apache-2.0
/* Headers: made for recipients, opened with identities, looked at without. */
#include "age_private.h"

#include <keepfs/base/mem.h>

#include <errno.h>
#include <openssl/crypto.h>
#include <string.h>

void age_key_wipe(struct age_key *k)
{
	explicit_bzero(k, sizeof(*k));
}

struct cells age_key_cells(const struct age_key *k)
{
	return (struct cells){.head_bytes = k->head_bytes,
	                      .plain_bytes = AGE_CELL_PLAIN_BYTES,
	                      .stored_bytes = AGE_CELL_STORED_BYTES};
}

static void append_stanza_body(struct str *out, const uint8_t body[static AGE_BODY_BYTES])
{
	str_append_char(out, '\n');
	age_base64_append(out, body, AGE_BODY_BYTES);
	str_append_char(out, '\n');
}

static void append_x25519(struct str *out, const struct age_key *k, const struct age_recipient *to)
{
	uint8_t secret[AGE_KEY_BYTES], share[AGE_KEY_BYTES], shared[AGE_KEY_BYTES], wrap[AGE_KEY_BYTES];
	uint8_t body[AGE_BODY_BYTES];

	age_random(secret, sizeof(secret));
	age_x25519_public(secret, share);
	/* Of a recipient of low order nothing would be secret: none is added (age_recipients_add()). */
	if (!age_x25519(secret, to->public, shared))
		abort();
	age_x25519_wrap_key(shared, share, to->public, wrap);
	age_wrap(wrap, k->file_key, body);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(wrap, sizeof(wrap));
	str_append(out, "-> X25519 ");
	age_base64_append(out, share, sizeof(share));
	append_stanza_body(out, body);
}

static int append_scrypt(struct str *out, const struct age_key *k, const struct age_recipients *r,
                         struct error *err)
{
	uint8_t salt[AGE_SALT_BYTES], wrap[AGE_KEY_BYTES], body[AGE_BODY_BYTES];
	int res;

	age_random(salt, sizeof(salt));
	res = age_scrypt(r->passphrase, salt, r->log_n, wrap, err);
	if (res < 0)
		return res;
	age_wrap(wrap, k->file_key, body);
	explicit_bzero(wrap, sizeof(wrap));
	str_append(out, "-> scrypt ");
	age_base64_append(out, salt, sizeof(salt));
	str_appendf(out, " %u", r->log_n);
	append_stanza_body(out, body);
	return 0;
}

static int append_stanzas(struct str *out, const struct age_key *k, const struct age_recipients *r,
                          struct error *err)
{
	if (r->passphrase)
		return append_scrypt(out, k, r, err);
	if (r->count == 0)
		return error_set(err, ERROR_USAGE, EINVAL, "there is nobody to encrypt it to");
	for (size_t i = 0; i < r->count; i++)
		append_x25519(out, k, &r->items[i]);
	return 0;
}

int age_header_rewrap(const struct age_key *k, const struct age_recipients *r, struct str *ret_head,
                      struct age_key *ret_key, struct error *err)
{
	_cleanup(str) struct str text = {0};
	uint8_t mac[AGE_KEY_BYTES];
	int res;

	str_append(&text, "age-encryption.org/v1\n");
	res = append_stanzas(&text, k, r, err);
	if (res < 0)
		return res;
	str_append(&text, "---");
	age_header_mac(k, text.data, text.len, mac);
	str_append_char(&text, ' ');
	age_base64_append(&text, mac, sizeof(mac));
	str_append_char(&text, '\n');
	str_append_bytes(&text, k->nonce, sizeof(k->nonce));
	*ret_key = *k;
	ret_key->head_bytes = (uint32_t)text.len;
	str_append_bytes(ret_head, text.data, text.len);
	return 0;
}

int age_header_make(const struct age_recipients *r, struct str *ret_head, struct age_key *ret_key,
                    struct error *err)
{
	struct age_key k;
	int res;

	age_random(k.file_key, sizeof(k.file_key));
	age_random(k.nonce, sizeof(k.nonce));
	age_make_payload_key(&k);
	res = age_header_rewrap(&k, r, ret_head, ret_key, err);
	age_key_wipe(&k);
	return res;
}

/* Return: 1: it is the file key; 0: it is for somebody else; -EBADMSG. */
static int unwrap_x25519(const struct age_stanza *st, const struct age_identity *i,
                         uint8_t ret[static AGE_FILE_KEY_BYTES], struct error *err)
{
	uint8_t shared[AGE_KEY_BYTES], wrap[AGE_KEY_BYTES];
	bool opened;

	if (!age_x25519(i->secret, st->share, shared))
		return error_set(
		        err, ERROR_CORRUPT, EBADMSG,
		        "the age header is damaged: the share of a recipient is one with which nothing would be secret");
	age_x25519_wrap_key(shared, st->share, i->recipient.public, wrap);
	opened = age_unwrap(wrap, st->body, ret);
	explicit_bzero(shared, sizeof(shared));
	explicit_bzero(wrap, sizeof(wrap));
	return opened;
}

static int refuse_all_identities(const struct age_header *h, const struct age_identities *i,
                                 struct error *err)
{
	if (i->count == 0)
		return error_set(
		        err, ERROR_DENIED, ENOKEY,
		        "it is encrypted to %u recipients and not with a passphrase: it needs one of their identities",
		        h->stanzas);
	return error_set(
	        err, ERROR_DENIED, ENOKEY,
	        "none of the %zu identities opens it: it is encrypted to %u recipients, and theirs are others",
	        i->count, h->stanzas);
}

static int open_x25519(const struct age_header *h, const struct age_identities *i,
                       uint8_t ret[static AGE_FILE_KEY_BYTES], struct error *err)
{
	for (size_t n = 0; n < i->count; n++)
		for (unsigned s = 0; s < h->count; s++) {
			int r = unwrap_x25519(&h->items[s], &i->items[n], ret, err);

			if (r != 0)
				return r < 0 ? r : 0;
		}
	return refuse_all_identities(h, i, err);
}

static int open_scrypt(const struct age_header *h, const struct age_identities *i,
                       uint8_t ret[static AGE_FILE_KEY_BYTES], struct error *err)
{
	uint8_t wrap[AGE_KEY_BYTES];
	bool opened;
	int r;

	if (!i->passphrase)
		return error_set(err, ERROR_DENIED, ENOKEY,
		                 "it is encrypted with a passphrase, and there is none to open it with");
	r = age_scrypt(i->passphrase, h->salt, h->log_n, wrap, err);
	if (r < 0)
		return r;
	opened = age_unwrap(wrap, h->body, ret);
	explicit_bzero(wrap, sizeof(wrap));
	if (opened)
		return 0;
	return error_set(err, ERROR_DENIED, EKEYREJECTED,
	                 "it is encrypted with a passphrase, and this is another one");
}

static int check_header_mac(const struct age_header *h, const void *bytes, const struct age_key *k,
                            struct error *err)
{
	uint8_t mac[AGE_KEY_BYTES];

	age_header_mac(k, bytes, h->mac_bytes, mac);
	if (CRYPTO_memcmp(mac, h->mac, sizeof(mac)) == 0)
		return 0;
	return error_set(
	        err, ERROR_CORRUPT, EBADMSG,
	        "the age header is damaged: its MAC is of another one; it was changed after it was made");
}

static int need_nonce(const struct age_header *h, size_t len, struct error *err)
{
	if (len - h->bytes >= AGE_NONCE_BYTES)
		return 0;
	return error_set(err, ERROR_CORRUPT, EAGAIN,
	                 "it is cut off behind its age header: the nonce is not all there");
}

static int open_file_key(const struct age_header *h, const uint8_t *bytes, size_t len,
                         const struct age_identities *i, struct age_key *k, struct error *err)
{
	int r = h->scrypt ? open_scrypt(h, i, k->file_key, err) : open_x25519(h, i, k->file_key, err);

	if (r == 0)
		r = check_header_mac(h, bytes, k, err);
	if (r == 0)
		r = need_nonce(h, len, err);
	if (r < 0)
		return r;
	memcpy(k->nonce, bytes + h->bytes, sizeof(k->nonce));
	age_make_payload_key(k);
	k->head_bytes = h->bytes + AGE_NONCE_BYTES;
	return 0;
}

int age_header_open(const void *bytes, size_t len, const struct age_identities *i, struct age_key *ret_key,
                    struct error *err)
{
	struct age_header h = {0};
	struct age_key k;
	int r = age_header_read(bytes, len, &h, err);

	if (r == 0)
		r = open_file_key(&h, bytes, len, i, &k, err);
	if (r == 0)
		*ret_key = k;
	age_key_wipe(&k);
	age_header_finish(&h);
	return r;
}

int age_header_look(const void *bytes, size_t len, struct age_header_facts *ret, struct error *err)
{
	struct age_header h = {0};
	int r = age_header_read(bytes, len, &h, err);

	if (r == 0)
		r = need_nonce(&h, len, err);
	if (r == 0)
		*ret = (struct age_header_facts){.head_bytes = h.bytes + AGE_NONCE_BYTES,
		                                 .stanzas = h.stanzas,
		                                 .passphrase = h.scrypt};
	age_header_finish(&h);
	return r;
}
