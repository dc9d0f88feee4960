// SPDX-License-Identifier: Apache-2.0
/* Ed25519, keys in PEM, the line that holds a signature, and the links of a chain. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/link.h>
#include <keepfs/codec/sign.h>

/* RFC 8032, 7.1, test 1, as PKCS #8 and SubjectPublicKeyInfo. */
static const char private_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                  "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                                  "-----END PRIVATE KEY-----\n";
static const char public_pem[] = "-----BEGIN PUBLIC KEY-----\n"
                                 "MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=\n"
                                 "-----END PUBLIC KEY-----\n";
static const char encrypted_pem[] = "-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
                                    "MIGbMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAgq\n"
                                    "-----END ENCRYPTED PRIVATE KEY-----\n";
static const char x25519_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                 "MC4CAQAwBQYDK2VuBCIEIHcHbQpzGKV9PBbBclGyZkXfTC+H68CZKrF3+6UdwSwq\n"
                                 "-----END PRIVATE KEY-----\n";

static struct sign_key *key_of(const char *pem)
{
	struct sign_key *k = NULL;
	struct error err = {0};

	if (sign_key_parse("signing.pem", pem, strlen(pem), &k, &err) < 0)
		fail_msg("%s", err.message);
	return k;
}

static void test_a_signature_is_that_of_the_rfc(void **state)
{
	static const uint8_t expected[SIGN_SIGNATURE_BYTES] = {
	        0xe5, 0x56, 0x43, 0x00, 0xc3, 0x60, 0xac, 0x72, 0x90, 0x86, 0xe2, 0xcc, 0x80,
	        0x6e, 0x82, 0x8a, 0x84, 0x87, 0x7f, 0x1e, 0xb8, 0xe5, 0xd9, 0x74, 0xd8, 0x73,
	        0xe0, 0x65, 0x22, 0x49, 0x01, 0x55, 0x5f, 0xb8, 0x82, 0x15, 0x90, 0xa3, 0x3b,
	        0xac, 0xc6, 0x1e, 0x39, 0x70, 0x1c, 0xf9, 0xb4, 0x6b, 0xd2, 0x5b, 0xf5, 0xf0,
	        0x59, 0x5b, 0xbe, 0x24, 0x65, 0x51, 0x41, 0x43, 0x8e, 0x7a, 0x10, 0x0b};
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	struct sign_public public;
	struct signature s;

	sign_make(k, "", 0, &s);
	assert_memory_equal(s.bytes, expected, sizeof(expected));
	assert_int_equal(sign_public_parse("pub.pem", public_pem, strlen(public_pem), &public, NULL), 0);
	assert_string_equal(public.id, sign_key_public(k)->id);
	assert_memory_equal(public.raw, sign_key_public(k)->raw, sizeof(public.raw));
	assert_string_equal(s.key, public.id);
	assert_true(sign_verify(&public, "", 0, &s));
	assert_false(sign_verify(&public, "x", 1, &s));
	s.bytes[3] ^= 1;
	assert_false(sign_verify(&public, "", 0, &s));
}

static void test_a_public_key_is_written_as_openssl_does(void **state)
{
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	_cleanup(str) struct str out = {0};

	sign_public_write(sign_key_public(k), &out);
	assert_string_equal(str_text(&out), public_pem);
}

static void assert_no_key(const char *pem, bool is_public, const char *word)
{
	struct sign_key *k = NULL;
	struct sign_public public;
	struct error err = {0};
	int r = is_public ? sign_public_parse("the file", pem, strlen(pem), &public, &err)
	                  : sign_key_parse("the file", pem, strlen(pem), &k, &err);

	assert_int_equal(r, -EINVAL);
	assert_null(k);
	assert_int_equal(err.class, ERROR_USAGE);
	assert_true(str_starts(err.message, "the file: "));
	if (!strstr(err.message, word))
		fail_msg("no '%s' in: %s", word, err.message);
}

static void test_other_keys_are_refused_with_advice(void **state)
{
	assert_no_key("", false, "openssl genpkey");
	assert_no_key("AGE-SECRET-KEY-1", false, "no key in PEM");
	assert_no_key(public_pem, false, "public half");
	assert_no_key(encrypted_pem, false, "encrypted with a passphrase");
	assert_no_key(x25519_pem, false, "of the kind X25519");
	assert_no_key("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", false, "damaged");
	assert_no_key("", true, "no public key");
	assert_no_key(private_pem, true, "it is a private key");
	assert_no_key(encrypted_pem, true, "it is a private key");
	assert_no_key("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", true, "damaged");
}

static void sign_text(const struct sign_key *k, const struct sign_key *second, struct str *text)
{
	struct signature s, t = {0};

	sign_make(k, str_text(text), text->len, &s);
	if (second)
		sign_make(second, str_text(text), text->len, &t);
	signature_append(text, &s, second ? &t : NULL);
}

static void test_the_line_is_found(void **state)
{
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	_cleanup(str) struct str text = {0};
	struct signature s, second = {0};
	size_t len = 0;

	str_append(&text, "{\"a\":1,\n");
	sign_text(k, NULL, &text);
	assert_int_equal(signature_find(text.data, text.len, &len, &s, NULL, NULL), 1);
	assert_int_equal(len, strlen("{\"a\":1,\n"));
	assert_true(sign_verify(sign_key_public(k), text.data, len, &s));
	assert_int_equal(signature_find(text.data, text.len, &len, &s, &second, NULL), 1);
	assert_string_equal(second.key, "");
	str_clear(&text);
	str_append(&text, "{\"a\":1,\n");
	sign_text(k, k, &text);
	assert_int_equal(signature_find(text.data, text.len, &len, &s, &second, NULL), 1);
	assert_true(sign_verify(sign_key_public(k), text.data, len, &second));
	assert_int_equal(signature_find(text.data, text.len, &len, &s, NULL, NULL), -EBADMSG);
	assert_int_equal(signature_find("", 0, &len, &s, NULL, NULL), 0);
	assert_int_equal(signature_find("{}\n", 3, &len, &s, NULL, NULL), 0);
}

/* Each byte of the line, changed or left out. */
static void test_there_is_one_way_to_write_the_line(void **state)
{
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	_cleanup(str) struct str text = {0};
	struct signature s;
	size_t len, begin = strlen("{\"a\":1,\n");

	str_append(&text, "{\"a\":1,\n");
	sign_text(k, NULL, &text);
	for (size_t i = begin + strlen("\"signature\":"); i < text.len; i++) {
		_cleanup(str) struct str changed = {0};
		struct error err = {0};
		int r;

		str_append_bytes(&changed, text.data, text.len);
		changed.data[i] = (char)(changed.data[i] ^ 0x80);
		r = signature_find(changed.data, changed.len, &len, &s, NULL, &err);
		assert_int_equal(r, -EBADMSG);
		assert_non_null(strstr(err.message, "\"signature\" is not of the form"));
		changed.data[i] = ' ';
		assert_int_equal(signature_find(changed.data, changed.len, &len, &s, NULL, &err), -EBADMSG);
		assert_int_equal(signature_find(text.data, i, &len, &s, NULL, &err), -EBADMSG);
	}
	str_append(&text, "\n");
	assert_int_equal(signature_find(text.data, text.len, &len, &s, NULL, NULL), 0);
}

static void fill(struct link *l, enum link_type type)
{
	const struct link none = {0};

	*l = none;
	l->type = type;
	l->at_us = INT64_C(1795140000000000);
	str_copy(l->place.id, sizeof(l->place.id), "0123456789abcdef");
	l->place.sequence = 7;
	memset(l->place.previous, 'a', SHA256_HEX_BYTES - 1);
}

static void test_links_are_read_as_they_were_written(void **state)
{
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	_cleanup(link) struct link l, back = {0};
	_cleanup(str) struct str text = {0};
	struct link_entry *e;
	struct error err = {0};

	fill(&l, LINK_REMOVED);
	e = link_add(&l, "backups/full/20261120T020000Z.dump");
	e->sequence = 3;
	memset(e->hash, 'b', SHA256_HEX_BYTES - 1);
	link_add(&l, "backups/full/20261020T020000Z.dump")->run_id = 9;
	link_encode(&l, &text);
	sign_text(k, NULL, &text);
	if (link_decode("chain/x", text.data, text.len, &back, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(back.type, LINK_REMOVED);
	assert_int_equal(back.place.sequence, 7);
	assert_string_equal(back.place.previous, l.place.previous);
	assert_int_equal(back.count, 2);
	assert_int_equal(back.entries[0].sequence, 3);
	assert_string_equal(back.entries[0].hash, l.entries[0].hash);
	assert_int_equal(back.entries[1].sequence, 0);
	assert_int_equal(back.entries[1].run_id, 9);
	assert_true(link_is_signed_by(&back.signature, sign_key_public(k), text.data, text.len));
	text.data[5] = ' ';
	assert_false(link_is_signed_by(&back.signature, sign_key_public(k), text.data, text.len));
}

static void test_a_rotation_names_both_keys(void **state)
{
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	_cleanup(link) struct link l, back = {0};
	_cleanup(str) struct str text = {0};

	fill(&l, LINK_ROTATED);
	l.key = l.old = *sign_key_public(k);
	link_encode(&l, &text);
	sign_text(k, k, &text);
	assert_int_equal(link_decode("chain/x", text.data, text.len, &back, NULL), 0);
	assert_string_equal(back.old.id, l.old.id);
	assert_true(link_is_signed_by(&back.second, &back.old, text.data, text.len));
}

static void assert_no_link(struct str *text, const char *from, const char *to, int errnum, const char *word)
{
	_cleanup(sign_key) struct sign_key *k = key_of(private_pem);
	_cleanup(str) struct str changed = {0};
	_cleanup(link) struct link back = {0};
	struct error err = {0};
	const char *at = strstr(str_text(text), from);

	assert_non_null(at);
	str_append_bytes(&changed, text->data, (size_t)(at - text->data));
	str_append(&changed, to);
	str_append(&changed, at + strlen(from));
	sign_text(k, NULL, &changed);
	if (link_decode("chain/x", changed.data, changed.len, &back, &err) != -errnum)
		fail_msg("with %s: %s", to, err.message);
	if (!strstr(err.message, word) || !str_starts(err.message, "chain/x"))
		fail_msg("no '%s' in: %s", word, err.message);
}

static void test_damaged_ranges_are_refused(void **state)
{
	_cleanup(link) struct link l;
	_cleanup(str) struct str text = {0};
	struct link_entry *e;

	fill(&l, LINK_COMPACTED);
	l.to = 6;
	memset(l.to_hash, 'c', SHA256_HEX_BYTES - 1);
	link_add(&l, "backups/full/20261120T020000Z.dump")->run_id = 5;
	for (int64_t sequence = 2; sequence <= 4; sequence += 2) {
		e = link_add(&l, "backups/full/20261121T020000Z.dump");
		e->sequence = sequence;
		memset(e->hash, 'b', SHA256_HEX_BYTES - 1);
	}
	link_encode(&l, &text);
	assert_no_link(&text, "\"to\": 6", "\"to\": 7", EBADMSG, "\"to\"");
	assert_no_link(&text, "\"to\": 6", "\"to\": 0", EBADMSG, "\"to\"");
	assert_no_link(&text, "\"to\": 6", "\"to\": 3", EBADMSG, "comes before");
	assert_no_link(&text, "\"to\": 6", "\"until\": 6", EBADMSG, "\"to\"");
	assert_no_link(&text, "cccc\"", "cccC\"", EBADMSG, "hash");
	assert_no_link(&text, "\"sequence\": 2", "\"sequence\": 4", EBADMSG, "order");
	assert_no_link(&text, "\"sequence\": 2", "\"sequence\": 5", EBADMSG, "order");
	assert_no_link(&text, "\"run\": 5", "\"ran\": 5", EBADMSG, "neither");
}

static void test_unsigned_ones_need_a_hash(void **state)
{
	_cleanup(link) struct link l;
	_cleanup(str) struct str text = {0};
	struct link_entry *e;

	fill(&l, LINK_UNSIGNED);
	e = link_add(&l, "backups/full/20261120T020000Z.dump");
	e->run_id = 5;
	memset(e->now, 'b', SHA256_HEX_BYTES - 1);
	link_encode(&l, &text);
	assert_no_link(&text, "\"manifest\"", "\"manifold\"", EBADMSG, "hash");
	assert_no_link(&text, "\"run\": 5", "\"run\": \"5\"", EBADMSG, "no run");
	assert_no_link(&text, "\"size\": 0", "\"size\": -1", EBADMSG, "no size");
}

static void test_damaged_links_are_refused(void **state)
{
	_cleanup(link) struct link l;
	_cleanup(str) struct str text = {0};
	struct link_entry *e;

	fill(&l, LINK_VOID);
	e = link_add(&l, "backups/full/20261120T020000Z.dump");
	e->sequence = 3;
	memset(e->hash, 'b', SHA256_HEX_BYTES - 1);
	link_encode(&l, &text);
	assert_no_link(&text, "\"version\": 1", "\"version\": 2", ENOTSUP, "newer keepfs");
	assert_no_link(&text, "\"version\": 1", "\"version\": \"1\"", EBADMSG, "version");
	assert_no_link(&text, "\"void\"", "\"vapour\"", ENOTSUP, "vapour");
	assert_no_link(&text, "\"void\"", "\"begun\"", EBADMSG, "contradict");
	assert_no_link(&text, "\"void\"", "\"rotated\"", EBADMSG, "32 bytes");
	assert_no_link(&text, "\"at\"", "\"when\"", EBADMSG, "time");
	assert_no_link(&text, "\"id\":", "\"it\":", EBADMSG, "chain");
	assert_no_link(&text, "\"sequence\": 7", "\"sequence\": 0", EBADMSG, "chain");
	assert_no_link(&text, "\"sequence\": 7", "\"sequence\": 1000000000000", EBADMSG, "chain");
	assert_no_link(&text, "\"sequence\": 7", "\"sequence\": 3", EBADMSG, "comes before");
	assert_no_link(&text, "aaaa\"", "AAAA\"", EBADMSG, "chain");
	assert_no_link(&text, "bbbb\"", "bbb\"", EBADMSG, "hash");
	assert_no_link(&text, "\"path\"", "\"part\"", EBADMSG, "path");
	assert_no_link(&text, "\"artifacts\": [", "\"artifacts\": [[],", EBADMSG, "path");
	assert_no_link(&text, "{", "{{", EBADMSG, "JSON");
}

static void test_keys_of_links(void **state)
{
	_cleanup(free) char *key = link_key(42);

	assert_string_equal(key, "chain/000000000042.json");
	assert_int_equal(link_sequence_of_key(key), 42);
	assert_int_equal(link_sequence_of_key("chain/42.json"), 0);
	assert_int_equal(link_sequence_of_key("chain/000000000042.jso"), 0);
	assert_int_equal(link_sequence_of_key("chain/0000000000421.json"), 0);
	assert_int_equal(link_sequence_of_key("chai"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_a_signature_is_that_of_the_rfc),
	        cmocka_unit_test(test_a_public_key_is_written_as_openssl_does),
	        cmocka_unit_test(test_other_keys_are_refused_with_advice),
	        cmocka_unit_test(test_the_line_is_found),
	        cmocka_unit_test(test_there_is_one_way_to_write_the_line),
	        cmocka_unit_test(test_links_are_read_as_they_were_written),
	        cmocka_unit_test(test_a_rotation_names_both_keys),
	        cmocka_unit_test(test_damaged_links_are_refused),
	        cmocka_unit_test(test_damaged_ranges_are_refused),
	        cmocka_unit_test(test_unsigned_ones_need_a_hash),
	        cmocka_unit_test(test_keys_of_links),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
