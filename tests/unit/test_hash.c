// SPDX-License-Identifier: Apache-2.0
/* Digests against published values. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/hash.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static void sha256_of_published_texts(void **state)
{
	/* FIPS 180-2, appendix B.1. */
	struct sha256 *h = sha256_new();
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_update(h, "a", 1);
	sha256_update(h, "bc", 2);
	sha256_final(h, digest);
	sha256_free(h);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	sha256_once("", 0, digest);
	hex_encode(digest, sizeof(digest), hex);
	assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

static void hmac_of_rfc_4231(void **state)
{
	uint8_t mac[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	hmac_sha256("Jefe", 4, "what do ya want for nothing?", 28, mac);
	hex_encode(mac, sizeof(mac), hex);
	assert_string_equal(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
}

/* RFC 4231, test cases 1 to 4, with each key for many texts. */
static void hmac_key_is_the_same(void **state)
{
	static const char *const keys[] = {
	        "Jefe", "\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b\x0b",
	        "", "a key that is exactly as long as one block of SHA-256, 64 bytes."};
	static const char *const texts[] = {
	        "what do ya want for nothing?", "Hi There", "",
	        "a text that is longer than one block, and so is hashed in several steps, whatever the key"};

	for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
		struct hmac_key *key = hmac_key_new(keys[k], strlen(keys[k]));

		for (size_t t = 0; t < 2 * ARRAY_SIZE(texts); t++) {
			const char *text = texts[t % ARRAY_SIZE(texts)];
			uint8_t mac[SHA256_BYTES], expected[SHA256_BYTES];

			hmac_key_sha256(key, text, strlen(text), mac);
			hmac_sha256(keys[k], strlen(keys[k]), text, strlen(text), expected);
			assert_memory_equal(mac, expected, sizeof(mac));
		}
		assert_null(hmac_key_free(key));
	}
	assert_null(hmac_key_free(NULL));
}

static void crc32c_of_rfc_3720(void **state)
{
	uint8_t bytes[32];

	memset(bytes, 0, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x8a9136aa);
	memset(bytes, 0xff, sizeof(bytes));
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x62a8ab43);
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	assert_int_equal(crc32c(0, bytes, sizeof(bytes)), 0x46dd794e);
	assert_int_equal(crc32c(crc32c(0, bytes, 7), bytes + 7, 25), 0x46dd794e);
	assert_int_equal(crc32c(0, "123456789", 9), 0xe3069283);
}

static void crc32c_of_what_is_joined(void **state)
{
	static uint8_t bytes[300000];
	uint32_t x = 1;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = (uint8_t)(x >> 24);
	}
	for (size_t first = 0; first <= sizeof(bytes); first = first * 3 + 1) {
		for (size_t len = 0; len <= sizeof(bytes) - first; len = len * 2 + (len < 70 ? 1 : 7)) {
			uint32_t a = crc32c(0, bytes, first), b = crc32c(0, bytes + first, len);

			assert_int_equal(crc32c_combine(a, b, len), crc32c(a, bytes + first, len));
		}
	}
	/* In three steps of any grouping, and of lengths that no memory has: zeros behind zeros. */
	for (unsigned shift = 3; shift < 63; shift++) {
		uint64_t half = UINT64_C(1) << shift;
		uint32_t a = crc32c(0, bytes, 5), zeros = crc32c(0, (uint8_t[8]){0}, 8), twice;

		for (unsigned i = 3; i < shift; i++)
			zeros = crc32c_combine(zeros, zeros, UINT64_C(1) << i);
		twice = crc32c_combine(zeros, zeros, half);
		assert_int_equal(crc32c_combine(crc32c_combine(a, zeros, half), zeros, half),
		                 crc32c_combine(a, twice, 2 * half));
	}
}

static void base64_of_rfc_4648(void **state)
{
	static const char *const pairs[][2] = {
	        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"foobar", "Zm9vYmFy"}};

	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		_cleanup(free) char *text = base64_encode(pairs[i][0], strlen(pairs[i][0]));
		_cleanup(free) uint8_t *back = NULL;
		size_t len = 99;

		assert_string_equal(text, pairs[i][1]);
		back = base64_decode(text, &len);
		assert_non_null(back);
		assert_int_equal(len, strlen(pairs[i][0]));
		assert_memory_equal(back, pairs[i][0], len);
	}
}

static void what_is_no_base64_is_refused(void **state)
{
	static const char *const bad[] = {
	        "Z", "Zg=", "Zg", "Z===", "Zg==Zg==", "Z g=", "Zm9v\n", "====", "Zm9*"};
	size_t len;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_null(base64_decode(bad[i], &len));
}

static void hash64_never_changes(void **state)
{
	/* Inode numbers are made from it: another value would be another file to rsync and tar. */
	assert_int_equal(hash64(""), UINT64_C(0x141cfc9842c4b0e3));
	assert_int_not_equal(hash64("a"), hash64("b"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(sha256_of_published_texts),    cmocka_unit_test(hmac_of_rfc_4231),
	        cmocka_unit_test(hmac_key_is_the_same),         cmocka_unit_test(crc32c_of_rfc_3720),
	        cmocka_unit_test(base64_of_rfc_4648),           cmocka_unit_test(crc32c_of_what_is_joined),
	        cmocka_unit_test(what_is_no_base64_is_refused), cmocka_unit_test(hash64_never_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
