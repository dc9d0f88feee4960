// SPDX-License-Identifier: Apache-2.0
/*
 * Any bytes at all, as what credentials come in: as either of AWS's shared files, and as the answer of a container's
 * agent, of the metadata service and of a program. What is refused is refused with a message in which nothing of a secret
 * stands; what is taken has a key and a secret, and no white space at their ends.
 */
#include "../../src/aws/source.h"
#include "fuzz.h"

#include <keepfs/base/mem.h>

#include <ctype.h>
#include <string.h>

#define SECRET_MIN_BYTES 8 /* a shorter one may be anywhere by chance */

/* One of small letters alone may be a word of the message: "credentia" was. */
static bool is_a_word(const char *secret)
{
	while (islower((unsigned char)*secret) || *secret == ' ')
		secret++;
	return *secret == '\0';
}

static void must_be_trimmed(const char *text)
{
	size_t len = strlen(text);

	fuzz_must(len > 0 && !isspace((unsigned char)text[0]) && !isspace((unsigned char)text[len - 1]),
	          "no white space at its ends", text);
}

/* Where a secret is in the answer once, it is told nowhere. */
static void must_hide(const char *secret, const uint8_t *data, size_t size, const char *told)
{
	size_t len = secret ? strlen(secret) : 0;
	const uint8_t *at = len >= SECRET_MIN_BYTES ? memmem(data, size, secret, len) : NULL;

	if (at && !is_a_word(secret) && !memmem(at + 1, size - (size_t)(at + 1 - data), secret, len))
		fuzz_must(!strstr(told, secret), "a secret is not shown", told);
}

static void take_answer(const uint8_t *data, size_t size, const struct aws_answer_names *names)
{
	struct aws_credentials c = {0};
	struct error err = {0};
	int r = aws_answer_parse((const char *)data, size, names, &c, &err);

	if (r < 0) {
		fuzz_must_refuse(r, &err);
		must_hide(c.secret_key, data, size, err.message);
	} else {
		must_be_trimmed(c.access_key);
		must_be_trimmed(c.secret_key);
		fuzz_must(c.renewable, "they may be asked for again", NULL);
	}
	aws_credentials_clear(&c);
}

static void take_files(const uint8_t *data, size_t size)
{
	static const char *const profiles[] = {"default", "a", "spa ced"};
	static const char *const keys[] = {"aws_access_key_id", "aws_secret_access_key", "region", "role_arn",
	                                   "credential_process"};
	_cleanup(conf_profiles) struct conf_profiles *p =
	        conf_profiles_parse((const char *)data, size, (const char *)data, size);

	for (size_t i = 0; i < ARRAY_SIZE(profiles); i++) {
		for (size_t k = 0; k < ARRAY_SIZE(keys); k++) {
			const char *value = conf_profiles_get(p, profiles[i], keys[k]);

			fuzz_must(!value || *value, "a value is not empty", NULL);
			fuzz_must(!value || conf_profiles_has(p, CONF_PROFILES_CREDENTIALS, profiles[i]) ||
			                  conf_profiles_has(p, CONF_PROFILES_CONFIG, profiles[i]),
			          "who has a key is there", profiles[i]);
			fuzz_must(!value || !strpbrk(value, "\r\n"), "a value is of one line", value);
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct aws_answer_names instance = {
	        .token = "Token", .marker = "Code", .expected = "Success", .what = "the instance"};
	static const struct aws_answer_names program = {.token = "SessionToken",
	                                                .marker = "Version",
	                                                .expected = "1",
	                                                .must_have_marker = true,
	                                                .what = "the program"};

	take_answer(data, size, &instance);
	take_answer(data, size, &program);
	take_files(data, size);
	return 0;
}
