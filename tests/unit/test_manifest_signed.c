// SPDX-License-Identifier: Apache-2.0
/* Manifests with a signature: what is signed, how it is read again, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>

#include <keepfs/base/mem.h>

#include "../support/manifests.h"
#include "manifest_support.h"

static const char private_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                  "-----END PRIVATE KEY-----\n";

static void make(struct manifest *m)
{
	size_t len;

	manifest_describe(m, "backups/full/20261120T020000Z.dump", 5, "shop");
	manifest_put_own(m, 1000, 1, "");
	m->started_at_us = m->finished_at_us = INT64_C(1795140000000000);
	free(manifest_seal_extents(m, &len));
	str_copy(m->chain.id, sizeof(m->chain.id), "0123456789abcdef");
	m->chain.sequence = 7;
	memset(m->chain.previous, 'a', SHA256_HEX_BYTES - 1);
}

static void encode_signed(struct manifest *m, struct sign_public *ret_public, struct str *text)
{
	struct sign_key *k = NULL;
	struct signature s;

	assert_int_equal(sign_key_parse("k", private_pem, strlen(private_pem), &k, NULL), 0);
	manifest_encode(m, text);
	sign_hash(text->data, text->len, m->chain.hash);
	sign_make(k, text->data, text->len, &s);
	signature_append(text, &s, NULL);
	*ret_public = *sign_key_public(k);
	sign_key_free(k);
}

static void what_is_signed_is_read_again(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	struct sign_public key;
	struct error err = {0};

	make(&m);
	encode_signed(&m, &key, &text);
	if (manifest_decode(SOURCE, text.data, text.len, &back, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(back.chain.sequence, 7);
	assert_string_equal(back.chain.id, m.chain.id);
	assert_string_equal(back.chain.previous, m.chain.previous);
	assert_string_equal(back.chain.hash, m.chain.hash);
	assert_string_equal(back.signature.key, key.id);
	assert_null(back.unknown);
	assert_false(back.is_proven);
	assert_true(manifest_is_signed_by(&back, &key, text.data, text.len));
}

static void a_change_is_seen(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};
	struct sign_public key;
	char *at;

	make(&m);
	encode_signed(&m, &key, &text);
	at = strstr(text.data, "\"triggered_by\": \"");
	at[strlen("\"triggered_by\": \"")] ^= 1;
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_false(manifest_is_signed_by(&back, &key, text.data, text.len));
	key.id[0] ^= 1;
	assert_false(manifest_is_signed_by(&back, &key, text.data, text.len));
}

static void one_without_a_signature_is_as_ever(void **state)
{
	_cleanup(manifest) struct manifest m = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	make(&m);
	m.chain = (struct chain_place){0};
	manifest_encode(&m, &text);
	assert_true(str_ends(text.data, "\n  ]\n}\n"));
	assert_int_equal(manifest_decode(SOURCE, text.data, text.len, &back, NULL), 0);
	assert_int_equal(back.chain.sequence, 0);
	assert_string_equal(back.signature.key, "");
}

static void a_signature_of_a_wrong_form_is_damage(void **state)
{
	_cleanup(manifest) struct manifest m = {0};
	_cleanup(str) struct str text = {0};
	struct sign_public key;

	make(&m);
	encode_signed(&m, &key, &text);
	assert_refused(text.data, "\"ed25519\":\"", "\"ed25519\":\" ", EBADMSG, "not of the form");
	assert_refused(text.data, "\"ed25519\"", "\"ed448\"", EBADMSG, "not of the form");
	assert_refused(text.data, "\"signature\":{", "\"signature\": {", EBADMSG, "not of the form");
	assert_refused(text.data, "\"signature\":{", "\"signed\":{", EBADMSG, "\"signature\" is missing");
	assert_refused(text.data, "\"signature\":{", " \"signature\":{", EBADMSG, "not its last line");
	assert_refused(text.data, "\"chain\"", "\"chin\"", EBADMSG, "\"chain\" is missing");
	assert_refused(text.data, "\"sequence\": 7", "\"sequence\": 0", EBADMSG, "\"sequence\" from 1 on");
	assert_refused(text.data, "\"sequence\": 7", "\"sequence\": 1", EBADMSG, "\"previous\" of 64");
	assert_refused(text.data, "\"0123456789abcdef\"", "\"0123456789abcdeF\"", EBADMSG, "no \"id\"");
	assert_refused(text.data, "\"aaaa", "\"", EBADMSG, "\"previous\" of 64");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_is_signed_is_read_again),
	        cmocka_unit_test(a_change_is_seen),
	        cmocka_unit_test(one_without_a_signature_is_as_ever),
	        cmocka_unit_test(a_signature_of_a_wrong_form_is_damage),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
