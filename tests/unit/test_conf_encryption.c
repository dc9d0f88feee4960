// SPDX-License-Identifier: Apache-2.0
/* conf: for whom something is encrypted. Each mistake has a message with file and line, and none of them repeats a secret key. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <keepfs/codec/age.h>

#include "conf_test.h"

static void refuse_with(struct fixture *f, const char *section, const char *keys, const char *expected)
{
	_cleanup(free) char *text = mem_printf("[%s]\n%s\n", section, keys);

	refuse(f, text, expected);
}

static void test_what_is_no_recipient_is_refused(void **state)
{
	struct fixture *f = *state;
	static const char *const sections[] = {"keepfs", "backup full"};
	static const struct {
		const char *keys, *expected;
	} cases[] = {
	        {"encrypt_to = age1nonsense", "] encrypt_to = age1nonsense: "},
	        {"encrypt_to = age1yubikey1qwxyz0ld4s", "plug-in"},
	        {"encrypt_to = ssh-ed25519", "SSH"},
	        {"encrypt_to = none, age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p",
	         "has recipients beside 'none'"},
	        {"encrypt_to = age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p\nencrypt_passphrase = SECRET",
	         "a passphrase stands alone"},
	        {"encrypt_to_file = /etc/r\nencrypt_passphrase = SECRET", "a passphrase stands alone"},
	        {"encrypt_to = none\nencrypt_to_file = /etc/r", "says that nothing is encrypted"},
	};

	for (size_t s = 0; s < ARRAY_SIZE(sections); s++) {
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			refuse_with(f, sections[s], cases[i].keys, cases[i].expected);
			assert_null(strstr(str_text(&f->problems), "SECRET"));
			assert_non_null(strstr(str_text(&f->problems), f->file));
		}
	}
}

static void test_a_secret_key_is_not_repeated(void **state)
{
	struct fixture *f = *state;
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	_cleanup(free) char *keys = NULL;

	age_identity_generate(secret, recipient);
	keys = mem_printf("encrypt_to = %s", secret);
	refuse_with(f, "keepfs", keys, "[keepfs] encrypt_to = ********");
	assert_non_null(strstr(str_text(&f->problems), "the secret one"));
	assert_null(strstr(str_text(&f->problems), secret + 20));
}

static void test_what_is_right_is_taken(void **state)
{
	struct fixture *f = *state;
	char secret[AGE_SECRET_TEXT_BYTES], one[AGE_RECIPIENT_BYTES], two[AGE_RECIPIENT_BYTES];
	_cleanup(free) char *text = NULL;

	age_identity_generate(secret, one);
	age_identity_generate(secret, two);
	text = mem_printf("[keepfs]\nencrypt_to = %s, %s\n[backup full]\nencrypt_to = none\n[backup other]\n",
	                  one, two);
	accept(f, text);
	assert_string_equal(f->conf.encrypt.to[0], one);
	assert_string_equal(f->conf.encrypt.to[1], two);
	assert_string_equal(f->conf.jobs[0].encrypt.to[0], CONF_ENCRYPT_NONE);
	assert_null(f->conf.jobs[1].encrypt.to[0]);
}

static void test_an_identity_that_others_can_read(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *path = mem_printf("%s/credentials", f->dir),
	                    *text = mem_printf("[keepfs]\nidentity_file = %s\n", path);

	write_text(path, "x", 1, 0644);
	accept(f, text);
	assert_non_null(
	        strstr(str_text(&f->problems), "every user of this system can read the secret in this file"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        CONF_TEST(test_what_is_no_recipient_is_refused),
	        CONF_TEST(test_a_secret_key_is_not_repeated),
	        CONF_TEST(test_what_is_right_is_taken),
	        CONF_TEST(test_an_identity_that_others_can_read),
	};

	return RUN_CONF_TESTS(tests);
}
