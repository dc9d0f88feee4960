// SPDX-License-Identifier: Apache-2.0
/* What looks like a secret, by the name of its column and by its value, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "tenancy_test.h"

#include <keepfs/policy/redaction.h>

/* By names: through a plan of one table, as nobody else sees them. */
static const char *suspicion_within(const char *table, const char *name, char category)
{
	char model[] = "t id* col:text";
	_cleanup(tenancy_model) struct tenancy_model m = model_of(model);
	_cleanup(tenancy_plan) struct tenancy_plan plan = {0};
	_cleanup(redaction_plan) struct redaction_plan p = {0};
	const struct tenancy_rules rules = {.kind = TENANCY_DATABASE};
	const struct redaction_rules none = {0};

	model_rename(&m, "t", "col", name);
	model_rename(&m, "t", NULL, table);
	m.tables[0].columns[1].category = category;
	assert_int_equal(tenancy_decide(&m, &rules, NULL, &plan, NULL), 0);
	assert_int_equal(redaction_decide(&m, &plan, &none, &p, NULL), 0);
	assert_int_equal(p.suspicious, p.columns[0][1].suspicion != NULL);
	return p.columns[0][1].suspicion;
}

static const char *suspicion_of(const char *name, char category)
{
	return suspicion_within("t", name, category);
}

static void names_that_give_secrets_away(void **state)
{
	static const char *const names[] = {"password",
	                                    "password_hash",
	                                    "encrypted_password",
	                                    "PasswordHash",
	                                    "passwd",
	                                    "pwd",
	                                    "user_pwd",
	                                    "secret",
	                                    "client_secret",
	                                    "clientSecret",
	                                    "CLIENT_SECRET",
	                                    "webhook_secret",
	                                    "token",
	                                    "access_token",
	                                    "refreshToken",
	                                    "reset_password_token",
	                                    "api_key",
	                                    "apiKey",
	                                    "APIKey",
	                                    "apikey",
	                                    "api_key_hash",
	                                    "private_key",
	                                    "ssh_private_key_pem",
	                                    "access_key",
	                                    "secret_access_key",
	                                    "credential",
	                                    "credentials",
	                                    "aws_credentials",
	                                    "otp_secret",
	                                    "otp",
	                                    "totp_seed",
	                                    "mfa_seed",
	                                    "salt",
	                                    "password_salt",
	                                    "session_key",
	                                    "pin",
	                                    "pin_code",
	                                    "card_pin",
	                                    "cvv",
	                                    "encryptedpassword",
	                                    "authtoken",
	                                    "clientsecret",
	                                    "recovery_codes",
	                                    "seed_phrase",
	                                    "mnemonic",
	                                    "signing_key",
	                                    "jwt",
	                                    "token2",
	                                    "2fa_secret",
	                                    "passphrase",
	                                    "token_value",
	                                    "old-password",
	                                    "oauth.token",
	                                    "tokens"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!suspicion_of(names[i], 'S'))
			fail_msg("%s looks like a secret", names[i]);
	assert_string_equal(suspicion_of("user_password", 'S'), "its name says password");
	assert_string_equal(suspicion_of("apiKeys", 'U'), "its name says API key");
	assert_non_null(suspicion_of("pin", 'N'));
	assert_non_null(suspicion_of("cvc", 'N'));
	assert_non_null(suspicion_of("secret", 'A'));
}

static void names_that_do_not(void **state)
{
	static const char *const names[] = {"token_count",
	                                    "max_tokens",
	                                    "secretary",
	                                    "secretary_name",
	                                    "password_changed_at",
	                                    "password_changed_by",
	                                    "passworded_at",
	                                    "is_secret",
	                                    "has_password",
	                                    "token_type",
	                                    "token_id",
	                                    "access_key_id",
	                                    "secret_name",
	                                    "public_key",
	                                    "key",
	                                    "primary_key",
	                                    "foreign_key",
	                                    "keyboard",
	                                    "monkey",
	                                    "pinned",
	                                    "pin_color",
	                                    "spin",
	                                    "map_pin_icon",
	                                    "tokenizer",
	                                    "basalt",
	                                    "salted_butter",
	                                    "hash",
	                                    "digest",
	                                    "author",
	                                    "api_version",
	                                    "mfa_enabled",
	                                    "otp_verified",
	                                    "mfa_method",
	                                    "description",
	                                    "password_policy",
	                                    "token_expires_at",
	                                    "num_tokens",
	                                    "credentials_count",
	                                    "accession",
	                                    "compass",
	                                    "passenger",
	                                    "passport",
	                                    "code",
	                                    "zip_code",
	                                    "signature",
	                                    "session_id",
	                                    "secretion",
	                                    "public_token",
	                                    "credit",
	                                    "access",
	                                    "token_symbol",
	                                    "",
	                                    "_",
	                                    "\xc3\xa9t\xc3\xa9",
	                                    "private",
	                                    "stoken_"};

	for (size_t i = 0; i + 1 < ARRAY_SIZE(names); i++)
		if (suspicion_of(names[i], 'S'))
			fail_msg("%s: %s", names[i], suspicion_of(names[i], 'S'));
	assert_null(suspicion_of("password", 'B'));
	assert_null(suspicion_of("token", 'D'));
	assert_null(suspicion_of("token", 'E'));
	assert_null(suspicion_of("tokens", 'N'));
}

static void contents_of_tables_of_secrets(void **state)
{
	assert_string_equal(suspicion_within("api_keys", "key", 'S'),
	                    "its table's name says that secrets are in it");
	assert_non_null(suspicion_within("password_resets", "code", 'S'));
	assert_non_null(suspicion_within("ApiKeys", "hash", 'U'));
	assert_non_null(suspicion_within("tokens", "value", 'S'));
	assert_null(suspicion_within("tokens", "owner", 'S'));
	assert_null(suspicion_within("tokens", "data", 'B'));
	assert_null(suspicion_within("tokens", "value", 'N'));
	assert_null(suspicion_within("token_types", "value", 'S'));
	assert_null(suspicion_within("settings", "value", 'S'));
	assert_null(suspicion_within("keys", "key", 'S'));
}

static void names_of_any_length(void **state)
{
	char name[400];

	memset(name, 'x', sizeof(name));
	memcpy(name + 200, "_password_", 10);
	name[399] = '\0';
	assert_non_null(suspicion_of(name, 'S'));
	for (size_t i = 0; i < 399; i++)
		name[i] = i % 2 ? '_' : 'a';
	assert_null(suspicion_of(name, 'S'));
}

static const char *value_suspicion(const char *text)
{
	return redaction_value_suspicion(text, strlen(text));
}

/* The keys are put together here, so that whoever searches sources for keys does not find these. */
#define JOIN(a, b) a b

static void values_that_are_secrets(void **state)
{
	static const char *const values[] = {
	        JOIN("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc"),
	        JOIN("  ghp_", "16C7e42F292c6912E7710c838347Ae178B4a\n"),
	        JOIN("AKIA", "IOSFODNN7EXAMPLE"),
	        JOIN("glpat-", "abcdefghij0123456789"),
	        JOIN("xoxb-", "2345678901-2345678901234-abcdefghijklmnop"),
	        JOIN("Bearer ", "abcdef0123456789abcdef"),
	        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U",
	        "$2b$12$LQv3c1yqBWVHxkd0LHAkCOYz6TtxMQJqhN8/LewdBPj4J/8Kz9Zci",
	        "$argon2id$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$RdescudvJCsgt3ub+b1dWRWJTmaaVw",
	        "pbkdf2_sha256$260000$abcdefghijkl$0123456789abcdefghijkl=",
	        "SCRAM-SHA-256$4096:c2FsdA==$abc:def",
	        "-----BEGIN RSA PRIVATE KEY-----\nMIIE\n",
	        "-----BEGIN OPENSSH PRIVATE KEY-----",
	        "postgres://app:hunter2@db.example.com/app",
	        "https://user:pass@example.com/",
	        "Xk9Qw2LmZ7tR4vBn8JpYc3HdFs6GaUe1ToWi5Kq0",
	        "mFzQ8/kW3v+Tn7RrLp2Xy9Jc0dHbVg5sEoAu1iK6tMw=",
	        "k3j4h5g6f7d8s9a0q1w2e3r4t5y6u7i8o9p0zx",
	        "f3b1c9d2e4a6f8b0c1d3e5f7a9b1c3d5e7f9a1b3c5d7e9f1",
	        "Zm9vYmFyQmF6UXV4MTIzNDU2Nzg5MGFiY2RlZmdoaWo",
	        "tqTRvOSgz1xgjJIOCPMQ8CmQ0bpAq3x_Y2l-5dXz7Ew",
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (!value_suspicion(values[i]))
			fail_msg("%s looks like a secret", values[i]);
}

/* Each of them, though most values are told to be none by their first bytes. */
static void prefixes_of_secrets(void **state)
{
	static const char *const prefixes[] = {
	        "sk_live_",    "sk_test_", "rk_live_",       "rk_test_", "whsec_",
	        "ghp_",        "gho_",     "ghu_",           "ghs_",     "ghr_",
	        "github_pat_", "glpat-",   "xoxb-",          "xoxp-",    "xoxa-",
	        "xoxr-",       "xoxs-",    "xapp-",          "AKIA",     "ASIA",
	        "AIza",        "ya29.",    "sk-ant-",        "sk-proj-", "SG.",
	        "npm_",        "pypi-",    "dop_v1_",        "hf_",      "shpat_",
	        "shpss_",      "sq0atp-",  "sq0csp-",        "Bearer ",  "AGE-SECRET-KEY-",
	        "$2a$",        "$2b$",     "$2y$",           "$argon2",  "$scrypt$",
	        "$pbkdf2",     "$5$",      "pbkdf2_sha",     "$6$",      "$1$",
	        "$y$",         "{SSHA}",   "{SSHA512}",      "{CRYPT}",  "{BCRYPT}",
	        "{bcrypt}",    "{argon2}", "SCRAM-SHA-256$", "bcrypt$",  "argon2$",
	        "$P$",         "$H$",      "-----BEGIN X"};

	for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++) {
		_cleanup(free) char *value = mem_printf("\t%saaaabbbbccccdddd", prefixes[i]);
		_cleanup(free) char *other = mem_printf("%.2s~aaaabbbbccccdddd", prefixes[i]);

		if (!value_suspicion(value))
			fail_msg("%s looks like a secret", value);
		if (value_suspicion(other))
			fail_msg("%s: %s", other, value_suspicion(other));
	}
}

static void values_that_are_none(void **state)
{
	static const char *const values[] = {
	        "",
	        "short",
	        "Hello, this is a sentence with 32 characters or more in it, and it is no secret.",
	        "https://example.com/a/path?query=string&page=2",
	        "https://user@example.com/path",
	        "https://cdn.example.com/f3b1c9d2e4a6f8b0c1d3e5f7a9b1c3d5e7f9a1b3c5d7e9f1",
	        "/srv/data/uploads/2024/01/01/k3j4h5g6f7d8s9a0q1w2e3r4t5y6u7i8o9p0.jpeg",
	        "uploads/2024/01/IMG_20240101_123456_HDR.jpeg",
	        "IMG_20240101_123456_HDR-Edited-final-version.jpeg",
	        "123e4567-e89b-12d3-a456-426614174000",
	        "user_123e4567-e89b-12d3-a456-426614174000_avatar",
	        "d41d8cd98f00b204e9800998ecf8427e",
	        "da39a3ee5e6b4b0d3255bfef95601890afd80709",
	        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
	        "2026-11-20T02:00:00.123456+00:00",
	        "01234567890123456789012345678901234567890",
	        "product-2024-winter-jacket-size-42-blue-edition",
	        "com.example.service.impl.UserAuthenticationServiceImplV2",
	        "this_is_a_very_long_identifier_for_something_with_2_digits",
	        "DonaudampfschifffahrtsgesellschaftskapitaenswitweNummer12",
	        "01ARZ3NDEKTSV4RRFFQ69G5FAV",
	        "someone.with.a.long.name1234567890@mail.example-company.com",
	        "ip-10-0-12-34.eu-central-1.compute.internal.example.com",
	        "-----BEGIN CERTIFICATE-----\nMIIE\n",
	        "-----BEGIN PUBLIC KEY-----\nMIIE\n",
	        "sk_live_ is how keys of Stripe begin, says the manual",
	        "sk_live_",
	        "Bearer of bad news and other tidings",
	        "AKIA is a name",
	        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa11",
	        "$100 for the one who finds it",
	        "M\xc3\xbcnchner-Freiheit-Stra\xc3\x9f"
	        "e-12a-Hinterhaus-3-Stock",
	        "{\"a\": 1, \"b\": [2, 3], \"c\": \"xxxxxxxxxxxxxxxxxxxxx\"}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(values); i++)
		if (value_suspicion(values[i]))
			fail_msg("%s: %s", values[i], value_suspicion(values[i]));
}

/* Nothing is read behind the end, however long it is; a long text is none. */
static void values_of_any_length(void **state)
{
	static const char key[] = JOIN("sk_live_", "4eC39HqLyjWDarjtT1zdp7dc");

	for (size_t len = 0; len <= sizeof(key) - 1; len++) {
		_cleanup(free) char *exact = mem_alloc(len + (len == 0));

		memcpy(exact, key, len);
		assert_true((redaction_value_suspicion(exact, len) != NULL) == (len >= 24));
	}
	{
		_cleanup(free) char *all = mem_alloc(100000);

		for (size_t i = 0; i < 100000; i++)
			all[i] = key[8 + i * 7 % 24];
		assert_null(redaction_value_suspicion(all, 100000));
		for (size_t b = 0; b < 256; b++) {
			memset(all, (int)b, 64);
			assert_null(redaction_value_suspicion(all, 64));
		}
	}
}

/* Words of 40 random letters and digits are found, nearly all of them; words out of a dictionary are not. */
static void random_words(void **state)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	static const char *const words[] = {"Order", "item", "invoice", "Customer", "2024",  "north",
	                                    "Depot", "17",   "pallet",  "return",   "Label", "v3"};
	uint64_t seed = 42;
	size_t found = 0, wrong = 0;

	for (size_t n = 0; n < 2000; n++) {
		_cleanup(str) struct str random = {0}, named = {0};

		for (size_t i = 0; i < 40; i++) {
			seed = seed * 6364136223846793005u + 1442695040888963407u;
			str_append_char(&random, letters[(seed >> 33) % 62]);
			if (i < 7)
				str_appendf(&named, "%s%s", i && n % 2 ? "_" : "",
				            words[(seed >> 40) % ARRAY_SIZE(words)]);
		}
		found += value_suspicion(str_text(&random)) != NULL;
		wrong += value_suspicion(str_text(&named)) != NULL;
	}
	if (found < 1900 || wrong > 20)
		fail_msg("%zu of 2000 found, %zu wrongly", found, wrong);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(names_that_give_secrets_away),
	        cmocka_unit_test(names_that_do_not),
	        cmocka_unit_test(contents_of_tables_of_secrets),
	        cmocka_unit_test(names_of_any_length),
	        cmocka_unit_test(values_that_are_secrets),
	        cmocka_unit_test(prefixes_of_secrets),
	        cmocka_unit_test(values_that_are_none),
	        cmocka_unit_test(values_of_any_length),
	        cmocka_unit_test(random_words),
	};

	return cmocka_run_group_tests_name("secrets", tests, NULL, NULL);
}
