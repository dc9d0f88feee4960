// SPDX-License-Identifier: Apache-2.0
/* The age format: its texts, headers, cells, small objects and armor. The published vectors are in test_age_testkit.c. */
#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Of the format's own description. */
#define SECRET    "AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEX"
#define RECIPIENT "age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwj"
#define OTHER     "age1cj7t5nd3wdp8z2djv44hdy69gpv9wzwnfa0fscx0wallyyhw9qws3ra836"
#define EASY      4U /* a work factor for tests */

struct keys {
	struct age_recipients *to;
	struct age_identities *with;
};

static int set_up(void **state)
{
	struct keys *k = mem_alloc(sizeof(*k));

	k->to = age_recipients_new();
	k->with = age_identities_new();
	*state = k;
	return 0;
}

static int tear_down(void **state)
{
	struct keys *k = *state;

	age_recipients_free(k->to);
	age_identities_free(k->with);
	free(k);
	return 0;
}

/* A pair of the format's example. */
static void use_example(struct keys *k)
{
	assert_int_equal(age_recipients_add(k->to, RECIPIENT, NULL), 0);
	assert_int_equal(age_identities_add(k->with, SECRET, NULL), 0);
}

static void expect_error(int r, int errnum, enum error_class class, const struct error *err, const char *text)
{
	if (r != -errnum || err->errnum != errnum || err->class != class || !strstr(err->message, text))
		fail_msg("%d instead of %d, %s instead of \"%s\"", r, -errnum, err->message, text);
}

/* Recipients. */

static void test_recipients_of_texts(void **state)
{
	struct keys *k = *state;
	struct error err = {0};

	assert_int_equal(age_recipients_count(k->to), 0);
	assert_int_equal(age_recipients_add(k->to, RECIPIENT, &err), 0);
	assert_int_equal(age_recipients_add(k->to, " " RECIPIENT ",," OTHER ", ", &err), 0);
	assert_int_equal(age_recipients_add(k->to,
	                                    "# ours, age1 and others\r\n" OTHER
	                                    "# in the safe\r\n\r\n\t" RECIPIENT "\n",
	                                    &err),
	                 0);
	assert_int_equal(age_recipients_count(k->to), 2);
	assert_string_equal(age_recipients_name(k->to, 0), RECIPIENT);
	assert_string_equal(age_recipients_name(k->to, 1), OTHER);
}

struct refused {
	const char *text, *message;
};

static void test_refused_recipients(void **state)
{
	static const struct refused refused[] = {
	        {"", "there is no recipient"},
	        {" ,\n# age1\n", "there is no recipient"},
	        {"age1yubikey1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t",
	         "age1yubikey1qwt50d05nh5v… is a recipient of the age plug-in \"yubikey\", and keepfs runs no plug-ins"},
	        {"age1tag1qwt50d05nh5vutpdzmlg5wn80xq5negm4uj9ghv0snvdd3yysf5yw3rhl3t", "plug-in \"tag\""},
	        {"age1pq1x34nzsvr0rxjsgdn8zgyhfe8j7ceq5r9rdelkjuh3y235jz", "is a post-quantum recipient"},
	        {"ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIPD me@host", "this is an SSH key"},
	        {"ssh-rsa AAAAB3NzaC1yc2E", "this is an SSH key"},
	        {"ecdsa-sha2-nistp256 AAAA", "this is an SSH key"},
	        {SECRET, "this is a SECRET key of age"},
	        {"age-secret-key-1gfpyy", "this is a SECRET key of age"},
	        {"AGE-PLUGIN-YUBIKEY-1Q", "this is a SECRET key of age"},
	        {"AGE1ZVKYG2LQZRAA2LNJVQEJ32NKUU0UES2S82HZRYE869XEEXVN73EQUNUJWJ", "all in lower case"},
	        {"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujwk",
	         "its checksum or its length"},
	        {"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujw",
	         "its checksum or its length"},
	        {RECIPIENT "j", "its checksum or its length"},
	        {"age1zvkyg2lqzraa2lnjvqej32nkuu0ues2s82hzrye869xeexvn73equnujbj",
	         "its checksum or its length"},
	        {"age1", "its checksum or its length"},
	        {"hunter2", "this is no recipient of age"},
	        {"age", "this is no recipient of age"},
	        {RECIPIENT "\n\n" OTHER "\nhunter2\n", "line 4: this is no recipient of age"},
	        {"age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq5cu47z", "nothing would be secret"},
	};
	struct keys *k = *state;

	assert_int_equal(age_recipients_add(k->to, RECIPIENT, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct error err = {0};

		expect_error(age_recipients_add(k->to, refused[i].text, &err), EINVAL, ERROR_USAGE, &err,
		             refused[i].message);
		assert_int_equal(age_recipients_count(k->to), 1);
		/* What may be a secret is not repeated. */
		assert_null(strstr(err.message, "GFPYYS"));
		assert_null(strstr(err.message, "hunter2"));
	}
}

static void append_new_recipient(struct str *out)
{
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];

	age_identity_generate(secret, recipient);
	str_append(out, recipient);
	str_append_char(out, '\n');
}

static void test_too_many_recipients(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	for (unsigned i = 0; i < AGE_RECIPIENTS_MAX; i++)
		append_new_recipient(&text);
	assert_int_equal(age_recipients_add(k->to, str_text(&text), &err), 0);
	assert_int_equal(age_recipients_add(k->to, str_text(&text), &err), 0);
	str_clear(&text);
	append_new_recipient(&text);
	expect_error(age_recipients_add(k->to, str_text(&text), &err), EINVAL, ERROR_USAGE, &err,
	             "more than 128 recipients");
	assert_int_equal(age_recipients_count(k->to), AGE_RECIPIENTS_MAX);
}

static void test_a_passphrase_stands_alone(void **state)
{
	struct keys *k = *state;
	struct error err = {0};

	expect_error(age_recipients_add_passphrase(k->to, "", EASY, &err), EINVAL, ERROR_USAGE, &err,
	             "is empty");
	assert_int_equal(age_recipients_add_passphrase(k->to, "first", EASY, &err), 0);
	assert_int_equal(age_recipients_add_passphrase(k->to, "correct horse", EASY, &err), 0);
	assert_int_equal(age_recipients_count(k->to), 1);
	assert_string_equal(age_recipients_name(k->to, 0), "passphrase");
	expect_error(age_recipients_add(k->to, RECIPIENT, &err), EINVAL, ERROR_USAGE, &err, "stands alone");
	age_recipients_free(k->to);
	k->to = age_recipients_new();
	assert_int_equal(age_recipients_add(k->to, RECIPIENT, &err), 0);
	expect_error(age_recipients_add_passphrase(k->to, "correct horse", EASY, &err), EINVAL, ERROR_USAGE,
	             &err, "and there are 1");
	assert_null(strstr(err.message, "horse"));
}

/* Identities. */

static void test_identities_of_texts(void **state)
{
	struct keys *k = *state;
	struct error err = {0};

	assert_int_equal(age_identities_add(k->with,
	                                    "# created: 2026-11-30T10:00:00Z\n# public key: " RECIPIENT
	                                    "\n" SECRET "\n",
	                                    &err),
	                 0);
	assert_int_equal(age_identities_add(k->with, "\r\n  " SECRET " \r\n", &err), 0);
	assert_int_equal(age_identities_count(k->with), 1);
	assert_string_equal(age_identities_recipient(k->with, 0), RECIPIENT);
	assert_false(age_identities_have_passphrase(k->with));
	expect_error(age_identities_add_passphrase(k->with, "", &err), EINVAL, ERROR_USAGE, &err, "is empty");
	assert_int_equal(age_identities_add_passphrase(k->with, "one", &err), 0);
	assert_int_equal(age_identities_add_passphrase(k->with, "another", &err), 0);
	assert_true(age_identities_have_passphrase(k->with));
	assert_int_equal(age_identities_count(k->with), 1);
}

static void test_refused_identities(void **state)
{
	static const struct refused refused[] = {
	        {"", "there is no identity"},
	        {"\n# " SECRET "\n", "there is no identity"},
	        {RECIPIENT, "line 1: this is a recipient, which is public"},
	        {"AGE-PLUGIN-YUBIKEY-1QGFPYYS", "an identity of an age plug-in"},
	        {"AGE-SECRET-KEY-PQ-1XX76JRALNLXDMEW0CRK45QMCCH4X06", "a post-quantum identity"},
	        {"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA", "a key of SSH or OpenSSL"},
	        {"-----BEGIN AGE ENCRYPTED FILE-----\nYWdlLWVuY3J5cHRpb24", "encrypted itself"},
	        {"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAEY",
	         "its checksum"},
	        {"AGE-SECRET-KEY-1GFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPYYSJZGFPQ4EGAE", "its checksum"},
	        {SECRET "X", "its checksum"},
	        {SECRET " " SECRET, "its checksum"},
	        {"age-secret-key-1gfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpyysjzgfpq4egaex",
	         "its checksum"},
	        {"\n" SECRET "\nhunter2\n", "line 3: this is no identity of age"},
	};
	struct keys *k = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct error err = {0};

		expect_error(age_identities_add(k->with, refused[i].text, &err), EINVAL, ERROR_USAGE, &err,
		             refused[i].message);
		assert_int_equal(age_identities_count(k->with), 0);
		assert_null(strstr(err.message, "GFPYYS"));
		assert_null(strstr(err.message, "gfpyys"));
		assert_null(strstr(err.message, "hunter2"));
	}
}

static void test_new_identities(void **state)
{
	struct keys *k = *state;
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES], second[AGE_SECRET_TEXT_BYTES];
	struct error err = {0};

	age_identity_generate(second, recipient);
	age_identity_generate(secret, recipient);
	assert_string_not_equal(secret, second);
	assert_int_equal(strlen(secret), AGE_SECRET_TEXT_BYTES - 1);
	assert_int_equal(strlen(recipient), AGE_RECIPIENT_BYTES - 1);
	assert_int_equal(age_identities_add(k->with, secret, &err), 0);
	assert_string_equal(age_identities_recipient(k->with, 0), recipient);
	assert_int_equal(age_recipients_add(k->to, recipient, &err), 0);
}

static void test_too_many_identities(void **state)
{
	struct keys *k = *state;
	struct error err = {0};
	int r = 0;

	for (unsigned i = 0; r == 0 && i <= AGE_IDENTITIES_MAX; i++) {
		char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];

		age_identity_generate(secret, recipient);
		r = age_identities_add(k->with, secret, &err);
	}
	expect_error(r, EINVAL, ERROR_USAGE, &err, "more than 128 identities");
	assert_int_equal(age_identities_count(k->with), AGE_IDENTITIES_MAX);
}

/* Headers. */

static void expect_same_keys(const struct age_key *a, const struct age_key *b)
{
	assert_memory_equal(a->file_key, b->file_key, sizeof(a->file_key));
	assert_memory_equal(a->nonce, b->nonce, sizeof(a->nonce));
	assert_memory_equal(a->payload_key, b->payload_key, sizeof(a->payload_key));
	assert_int_equal(a->head_bytes, b->head_bytes);
}

static void test_a_header_for_several(void **state)
{
	struct keys *k = *state;
	char secrets[3][AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	_cleanup(str) struct str head = {0};
	struct age_header_facts facts;
	struct age_key made, opened;
	struct error err = {0};

	for (unsigned i = 0; i < 3; i++) {
		age_identity_generate(secrets[i], recipient);
		assert_int_equal(age_recipients_add(k->to, recipient, &err), 0);
	}
	assert_int_equal(age_header_make(k->to, &head, &made, &err), 0);
	assert_int_equal(head.len, made.head_bytes);
	assert_true(age_is_header(head.data, head.len));
	assert_int_equal(age_header_look(head.data, head.len, &facts, &err), 0);
	assert_int_equal(facts.head_bytes, made.head_bytes);
	assert_int_equal(facts.stanzas, 3);
	assert_false(facts.passphrase);
	for (unsigned i = 0; i < 3; i++) {
		_cleanup(age_identities) struct age_identities *with = age_identities_new();

		/* One that is not among them, and one that is. */
		assert_int_equal(age_identities_add(with, SECRET, &err), 0);
		assert_int_equal(age_identities_add(with, secrets[i], &err), 0);
		assert_int_equal(age_header_open(head.data, head.len, with, &opened, &err), 0);
		expect_same_keys(&opened, &made);
	}
	age_key_wipe(&opened);
	assert_int_equal(opened.head_bytes, 0);
}

static void test_keys_are_fresh(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str a = {0}, b = {0};
	struct age_key first, second;

	use_example(k);
	assert_int_equal(age_header_make(k->to, &a, &first, NULL), 0);
	assert_int_equal(age_header_make(k->to, &b, &second, NULL), 0);
	assert_memory_not_equal(first.file_key, second.file_key, sizeof(first.file_key));
	assert_memory_not_equal(first.nonce, second.nonce, sizeof(first.nonce));
	assert_memory_not_equal(first.payload_key, second.payload_key, sizeof(first.payload_key));
	assert_string_not_equal(a.data, b.data);
}

static void test_nobody(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str head = {0};
	struct age_key key;
	struct error err = {0};

	expect_error(age_header_make(k->to, &head, &key, &err), EINVAL, ERROR_USAGE, &err,
	             "nobody to encrypt it to");
	assert_int_equal(head.len, 0);
}

/* All that begins it is not enough, but it is not wrong either. */
static void test_a_header_that_is_cut_off(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str head = {0};
	struct age_key made, opened;

	use_example(k);
	assert_int_equal(age_recipients_add(k->to, OTHER, NULL), 0);
	assert_int_equal(age_header_make(k->to, &head, &made, NULL), 0);
	for (size_t len = 0; len < head.len; len++) {
		/* What is behind is not read: that is the sanitizer's to say. */
		_cleanup(free) char *part = mem_alloc(len + 1);
		struct age_header_facts facts;
		struct error err = {0};

		memcpy(part, head.data, len);
		part = mem_resize(part, len ? len : 1, 1);
		expect_error(age_header_open(part, len, k->with, &opened, &err), EAGAIN, ERROR_CORRUPT, &err,
		             "cut off");
		expect_error(age_header_look(part, len, &facts, &err), EAGAIN, ERROR_CORRUPT, &err,
		             "cut off");
	}
}

static void expect_no_header(struct keys *k, const char *text, size_t len, const char *message)
{
	struct age_header_facts facts;
	struct age_key key;
	struct error err = {0};

	expect_error(age_header_open(text, len, k->with, &key, &err), EBADMSG, ERROR_CORRUPT, &err, message);
	expect_error(age_header_look(text, len, &facts, &err), EBADMSG, ERROR_CORRUPT, &err, message);
}

static void test_no_headers(void **state)
{
	static const struct refused refused[] = {
	        {"PGDMP", "this is not encrypted by age"},
	        {"age-encryption.com", "this is not encrypted by age"},
	        {"age-encryption.org/v2\n", "this is version v2 of age's format"},
	        {"age-encryption.org/\n", "this is version "},
	        {"age-encryption.org/v1 \n", "line 1 has a character that no version has"},
	        {"-----BEGIN AGE ENCRYPTED FILE-----\n", "this is age's armor"},
	        {"age-encryption.org/v1\n--- 43\n", "line 2 ends it, and there was no recipient"},
	        {"age-encryption.org/v1\n-> X\n\n\n", "line 4 begins neither a recipient nor the MAC"},
	        {"age-encryption.org/v1\n-> X  Y\n\n", "line 2 has an empty argument"},
	        {"age-encryption.org/v1\n-> \n\n", "line 2 has an empty argument"},
	        {"age-encryption.org/v1\n-> X\tY\n\n", "line 2 has a character that no argument has"},
	        {"age-encryption.org/v1\n-> X\n!\n", "line 3 is not canonical base64"},
	        {"age-encryption.org/v1\n-> X\nAB\n", "line 3 is not canonical base64"},
	        {"age-encryption.org/v1\n-> X\nAA==\n", "line 3 is not canonical base64"},
	        {"age-encryption.org/v1\n-> X\nA\n", "line 3 is not canonical base64"},
	        {"age-encryption.org/v1\n-> X\nAAAAA\n", "line 3 is not canonical base64"},
	        {"age-encryption.org/v1\n-> X25519\n\n", "line 3 ends a recipient of kind X25519"},
	        {"age-encryption.org/v1\n-> scrypt\n\n", "line 3 ends a recipient of kind scrypt"},
	};
	struct keys *k = *state;

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
		expect_no_header(k, refused[i].text, strlen(refused[i].text), refused[i].message);
}

/* What a header can cost is bounded. */
static void test_headers_without_an_end(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str text = {0};

	str_append(&text, "age-encryption.org/v1\n");
	for (unsigned i = 0; i <= AGE_STANZAS_MAX; i++)
		str_append(&text, "-> grease\n\n");
	expect_no_header(k, text.data, text.len, "more than 256 recipients");
	str_clear(&text);
	str_append(&text, "age-encryption.org/v1\n-> ");
	while (text.len < AGE_HEADER_MAX_BYTES)
		str_append_char(&text, 'x');
	expect_no_header(k, text.data, text.len, "more than 65536 bytes");
	str_clear(&text);
	str_append(&text, "age-encryption.org/v1\n-> x\n");
	while (text.len < AGE_HEADER_MAX_BYTES)
		str_append(&text, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n");
	expect_no_header(k, text.data, text.len, "more than 65536 bytes");
}

/* As many of the longest kind as are written here are read again. */
static void test_the_longest_header(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str text = {0}, head = {0};
	struct age_key made, opened;

	for (unsigned i = 1; i < AGE_RECIPIENTS_MAX; i++)
		append_new_recipient(&text);
	assert_int_equal(age_recipients_add(k->to, str_text(&text), NULL), 0);
	use_example(k);
	assert_int_equal(age_header_make(k->to, &head, &made, NULL), 0);
	assert_true(head.len < AGE_HEADER_MAX_BYTES / 2);
	assert_int_equal(age_header_open(head.data, head.len, k->with, &opened, NULL), 0);
}

static void test_another_identity(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str head = {0};
	struct age_key key;
	struct error err = {0};

	assert_int_equal(age_recipients_add(k->to, OTHER, &err), 0);
	assert_int_equal(age_header_make(k->to, &head, &key, &err), 0);
	expect_error(age_header_open(head.data, head.len, k->with, &key, &err), ENOKEY, ERROR_DENIED, &err,
	             "it needs one of their identities");
	assert_int_equal(age_identities_add(k->with, SECRET, &err), 0);
	expect_error(age_header_open(head.data, head.len, k->with, &key, &err), ENOKEY, ERROR_DENIED, &err,
	             "none of the 1 identities opens it: it is encrypted to 1 recipients");
}

static void test_a_changed_header(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str head = {0}, changed = {0};
	struct age_key key;
	struct error err = {0};

	use_example(k);
	assert_int_equal(age_header_make(k->to, &head, &key, &err), 0);
	/* Whoever adds a recipient that nobody asked for changes what the MAC is of. */
	str_append(&changed, "age-encryption.org/v1\n-> grease\n\n");
	str_append_bytes(&changed, strstr(head.data, "-> X25519"),
	                 head.len - (size_t)(strstr(head.data, "-> X25519") - head.data));
	expect_error(age_header_open(changed.data, changed.len, k->with, &key, &err), EBADMSG, ERROR_CORRUPT,
	             &err, "its MAC is of another one");
}

static void test_passphrases(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str head = {0};
	struct age_header_facts facts;
	struct age_key made, opened;
	struct error err = {0};

	assert_int_equal(age_recipients_add_passphrase(k->to, "correct horse", EASY, &err), 0);
	assert_int_equal(age_header_make(k->to, &head, &made, &err), 0);
	assert_int_equal(age_header_look(head.data, head.len, &facts, &err), 0);
	assert_true(facts.passphrase);
	assert_int_equal(facts.stanzas, 1);
	assert_int_equal(age_identities_add(k->with, SECRET, &err), 0);
	expect_error(age_header_open(head.data, head.len, k->with, &opened, &err), ENOKEY, ERROR_DENIED, &err,
	             "encrypted with a passphrase, and there is none");
	assert_int_equal(age_identities_add_passphrase(k->with, "battery staple", &err), 0);
	expect_error(age_header_open(head.data, head.len, k->with, &opened, &err), EKEYREJECTED, ERROR_DENIED,
	             &err, "this is another one");
	assert_null(strstr(err.message, "staple"));
	assert_int_equal(age_identities_add_passphrase(k->with, "correct horse", &err), 0);
	assert_int_equal(age_header_open(head.data, head.len, k->with, &opened, &err), 0);
	expect_same_keys(&opened, &made);
}

static void test_work_factors(void **state)
{
	static const struct refused refused[] = {
	        {"21", "a work factor of more than 20"},
	        {"99", "a work factor of more than 20"},
	        {"100", "a work factor of more than 20"},
	        {"18446744073709551617", "a work factor of more than 20"},
	        {"0", "no number"},
	        {"01", "no number"},
	        {"-1", "no number"},
	        {"1x", "no number"},
	};
	struct keys *k = *state;

	assert_int_equal(age_identities_add_passphrase(k->with, "any", NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup(str) struct str text = {0};

		str_appendf(&text,
		            "age-encryption.org/v1\n-> scrypt AAAAAAAAAAAAAAAAAAAAAA %s\n"
		            "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
		            refused[i].text);
		expect_no_header(k, text.data, text.len, refused[i].message);
	}
}

/* The payload stays, and the new header opens it for others. */
static void test_rewrap(void **state)
{
	struct keys *k = *state;
	_cleanup(age_recipients) struct age_recipients *others = age_recipients_new();
	_cleanup(age_identities) struct age_identities *with = age_identities_new();
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	_cleanup(str) struct str stored = {0}, rewrapped = {0}, plain = {0};
	struct age_key key, again;
	struct error err = {0};

	use_example(k);
	age_identity_generate(secret, recipient);
	assert_int_equal(age_recipients_add(others, recipient, &err), 0);
	assert_int_equal(age_recipients_add(others, OTHER, &err), 0);
	assert_int_equal(age_identities_add(with, secret, &err), 0);
	assert_int_equal(age_encrypt(k->to, "the payload", 11, &stored, &err), 0);
	assert_int_equal(age_header_open(stored.data, stored.len, k->with, &key, &err), 0);
	assert_int_equal(age_header_rewrap(&key, others, &rewrapped, &again, &err), 0);
	assert_int_equal(again.head_bytes, rewrapped.len);
	assert_int_not_equal(again.head_bytes, key.head_bytes);
	str_append_bytes(&rewrapped, stored.data + key.head_bytes, stored.len - key.head_bytes);
	assert_int_equal(age_decrypt(rewrapped.data, rewrapped.len, k->with, &plain, &err), -ENOKEY);
	assert_int_equal(age_decrypt(rewrapped.data, rewrapped.len, with, &plain, &err), 0);
	assert_string_equal(plain.data, "the payload");
	/* In place. */
	assert_int_equal(age_header_rewrap(&key, others, &rewrapped, &key, &err), 0);
	expect_same_keys(&key, &again);
}

/* Cells. */

static struct age_cipher *new_cipher(struct keys *k, struct age_key *ret_key)
{
	_cleanup(str) struct str head = {0};

	use_example(k);
	assert_int_equal(age_header_make(k->to, &head, ret_key, NULL), 0);
	return age_cipher_new(ret_key);
}

static void expect_cell_fails(struct age_cipher *c, uint64_t cell, bool last, const void *stored, size_t len,
                              const char *text)
{
	_cleanup(free) char *plain = mem_alloc(AGE_CELL_STORED_BYTES);
	_cleanup(free) char *same = mem_alloc(AGE_CELL_STORED_BYTES);
	struct error err = {0};

	expect_error(age_open_cell(c, cell, last, stored, len, plain, &err), EBADMSG, ERROR_CORRUPT, &err,
	             text);
	if (len > AGE_CELL_STORED_BYTES)
		return;
	memcpy(same, stored, len);
	expect_error(age_open_cell(c, cell, last, same, len, same, &err), EBADMSG, ERROR_CORRUPT, &err, text);
	/* Nothing that was decrypted in vain is left. */
	for (size_t i = 0; len >= AGE_TAG_BYTES && i < len - AGE_TAG_BYTES; i++)
		assert_true(plain[i] == 0 && (same[i] == 0 || strstr(err.message, "empty") ||
		                              strstr(err.message, "can only have")));
}

static void expect_cell(struct age_cipher *c, uint64_t cell, bool last, size_t len)
{
	_cleanup(free) char *plain = mem_alloc(len + 1), *stored = mem_alloc(len + AGE_TAG_BYTES);
	_cleanup(free) char *again = mem_alloc(len + AGE_TAG_BYTES);

	memset(plain, 'p', len);
	age_seal_cell(c, cell, last, plain, len, stored);
	/* In place it is the same. */
	memcpy(again, plain, len);
	age_seal_cell(c, cell, last, again, len, again);
	assert_memory_equal(again, stored, len + AGE_TAG_BYTES);
	assert_int_equal(age_open_cell(c, cell, last, stored, len + AGE_TAG_BYTES, again, NULL), 0);
	assert_memory_equal(again, plain, len);
	memcpy(again, stored, len + AGE_TAG_BYTES);
	assert_int_equal(age_open_cell(c, cell, last, again, len + AGE_TAG_BYTES, again, NULL), 0);
	assert_memory_equal(again, plain, len);
	expect_cell_fails(c, cell + 1, last, stored, len + AGE_TAG_BYTES,
	                  len ? "in another's place" : "empty");
	if (last)
		return;
	expect_cell_fails(c, cell, true, stored, len + AGE_TAG_BYTES,
	                  "the end of what age encrypted is missing");
	expect_cell_fails(c, cell, false, stored, len + AGE_TAG_BYTES - 1, "and can only have 65552");
}

static void test_cells(void **state)
{
	struct age_key key;
	_cleanup(age_cipher) struct age_cipher *c = new_cipher(*state, &key);
	const size_t sizes[] = {1, 15, 16, 17, AGE_CELL_PLAIN_BYTES - 1, AGE_CELL_PLAIN_BYTES};
	const uint64_t numbers[] = {0, 1, 255, 256, UINT32_MAX, (uint64_t)UINT32_MAX + 1, UINT64_MAX - 1};

	expect_cell(c, 0, true, 0);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_cell(c, 7, true, sizes[i]);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		expect_cell(c, numbers[i], false, AGE_CELL_PLAIN_BYTES);
		expect_cell(c, numbers[i], true, 100);
	}
}

static void test_wrong_cells(void **state)
{
	struct age_key key;
	_cleanup(age_cipher) struct age_cipher *c = new_cipher(*state, &key);
	_cleanup(free) char *stored = mem_alloc(AGE_CELL_STORED_BYTES + 1);
	char plain[100] = "some bytes";

	age_seal_cell(c, 3, true, plain, sizeof(plain), stored);
	for (size_t i = 0; i < sizeof(plain) + AGE_TAG_BYTES; i++) {
		stored[i] ^= 16;
		expect_cell_fails(c, 3, true, stored, sizeof(plain) + AGE_TAG_BYTES, "its tag is wrong");
		stored[i] ^= 16;
	}
	for (size_t len = 0; len < AGE_TAG_BYTES; len++)
		expect_cell_fails(c, 3, true, stored, len, "cut off within cell 3");
	for (size_t len = AGE_TAG_BYTES + 1; len < sizeof(plain) + AGE_TAG_BYTES; len++)
		expect_cell_fails(c, 3, true, stored, len, "its tag is wrong");
	age_seal_cell(c, 3, true, plain, 0, stored);
	expect_cell_fails(c, 3, true, stored, AGE_TAG_BYTES, "is empty");
	expect_cell_fails(c, 3, true, stored, AGE_CELL_STORED_BYTES + 1, "and can only have 65552");
}

/* Small objects. */

static void make_plain(struct str *out, size_t len)
{
	for (size_t i = 0; i < len; i++)
		str_append_char(out, (char)(i * 31 + i / 251));
}

static void test_small_objects(void **state)
{
	struct keys *k = *state;
	const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 131073, 200000};
	struct error err = {0};

	use_example(k);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup(str) struct str plain = {0}, stored = {0}, again = {0}, armored = {0};
		struct age_key key;

		make_plain(&plain, sizes[i]);
		assert_int_equal(age_encrypt(k->to, plain.data, plain.len, &stored, &err), 0);
		assert_int_equal(age_header_open(stored.data, stored.len, k->with, &key, &err), 0);
		assert_int_equal(stored.len,
		                 cells_stored_bytes(&(struct cells){key.head_bytes, AGE_CELL_PLAIN_BYTES,
		                                                    AGE_CELL_STORED_BYTES},
		                                    plain.len));
		assert_int_equal(age_decrypt(stored.data, stored.len, k->with, &again, &err), 0);
		/* What is there already stays. */
		age_armor(stored.data, stored.len, &armored);
		assert_int_equal(age_decrypt(armored.data, armored.len, k->with, &again, &err), 0);
		assert_int_equal(again.len, 2 * plain.len);
		if (plain.len > 0) {
			assert_memory_equal(again.data, plain.data, plain.len);
			assert_memory_equal(again.data + plain.len, plain.data, plain.len);
		}
		assert_int_equal(again.data[again.len], '\0');
		/* Every byte that is missing is missed. */
		for (size_t len = 0; len < stored.len; len += len < 400 ? 1 : 4099)
			assert_int_equal(age_decrypt(stored.data, len, k->with, &again, &err), -EBADMSG);
		str_append_char(&stored, 'x');
		assert_int_equal(age_decrypt(stored.data, stored.len, k->with, &again, &err), -EBADMSG);
		assert_int_equal(again.len, 2 * plain.len);
	}
}

static void test_small_objects_for_nobody(void **state)
{
	struct keys *k = *state;
	_cleanup(str) struct str stored = {0};
	struct error err = {0};

	expect_error(age_encrypt(k->to, "x", 1, &stored, &err), EINVAL, ERROR_USAGE, &err, "nobody");
	assert_int_equal(stored.len, 0);
	expect_error(age_decrypt("x", 1, k->with, &stored, &err), EBADMSG, ERROR_CORRUPT, &err,
	             "not encrypted");
	expect_error(age_decrypt(NULL, 0, k->with, &stored, &err), EBADMSG, ERROR_CORRUPT, &err, "cut off");
}

/* Armor. */

static void test_armor_of_any_length(void **state)
{
	for (size_t len = 0; len < 200; len++) {
		_cleanup(str) struct str bytes = {0}, text = {0}, again = {0}, crlf = {0};
		struct error err = {0};

		make_plain(&bytes, len);
		str_append(&text, "  \r\n");
		age_armor(bytes.data, bytes.len, &text);
		assert_true(age_is_armor(text.data, text.len));
		assert_int_equal(age_dearmor(text.data, text.len, &again, &err), 0);
		assert_int_equal(again.len, len);
		for (const char *p = text.data; *p; p++) {
			if (*p == '\n')
				str_append_char(&crlf, '\r');
			str_append_char(&crlf, *p);
		}
		str_append(&crlf, "\r\n \t");
		assert_int_equal(age_dearmor(crlf.data, crlf.len, &again, &err), 0);
		assert_int_equal(again.len, 2 * len);
		if (len > 0)
			assert_memory_equal(again.data + len, bytes.data, len);
	}
}

#define BEGIN "-----BEGIN AGE ENCRYPTED FILE-----\n"
#define END   "-----END AGE ENCRYPTED FILE-----\n"

static void test_damaged_armor(void **state)
{
	static const struct refused refused[] = {
	        {"", "line 1 is missing"},
	        {"\n\nage-encryption.org/v1\n", "line 3 is not -----BEGIN AGE"},
	        {"-----BEGIN AGE ENCRYPTED FILE----- \n" END, "line 1 is not -----BEGIN AGE"},
	        {BEGIN, "line 2 is missing"},
	        {BEGIN "AAAA\n", "line 3 is missing"},
	        {BEGIN "AAAA\n-----END AGE ENCRYPTED FILE----\n", "line 3 follows one that is shorter"},
	        {BEGIN "AAA\n" END, "line 2 is not base64"},
	        {BEGIN "AB==\n" END, "line 2 is not base64"},
	        {BEGIN "A===\n" END, "line 2 is not base64"},
	        {BEGIN "AA=A\n" END, "line 2 is not base64"},
	        {BEGIN "AAAA\n\n" END, "line 3 follows one that is shorter"},
	        {BEGIN "\n" END, "line 2 is empty"},
	        {BEGIN "AAAA\nAAAA\n" END, "line 3 follows one that is shorter"},
	        {BEGIN "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n" END,
	         "line 2 is not base64 in at most 64"},
	        {BEGIN " AAA\n" END, "line 2 is not base64"},
	        {BEGIN "AAAA\n" END "\nx", "line 5 follows the end"},
	        {BEGIN "AAAA\n" END BEGIN, "line 4 follows the end"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		_cleanup(str) struct str out = {0};
		struct error err = {0};

		str_append(&out, "before");
		expect_error(age_dearmor(refused[i].text, strlen(refused[i].text), &out, &err), EBADMSG,
		             ERROR_CORRUPT, &err, refused[i].message);
		assert_string_equal(out.data, "before");
	}
	assert_false(age_is_armor("-----BEGIN AGE", 14));
	assert_false(age_is_armor("", 0));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_recipients_of_texts),
	        TEST(test_refused_recipients),
	        TEST(test_too_many_recipients),
	        TEST(test_a_passphrase_stands_alone),
	        TEST(test_identities_of_texts),
	        TEST(test_refused_identities),
	        TEST(test_new_identities),
	        TEST(test_too_many_identities),
	        TEST(test_a_header_for_several),
	        TEST(test_keys_are_fresh),
	        TEST(test_nobody),
	        TEST(test_a_header_that_is_cut_off),
	        TEST(test_no_headers),
	        TEST(test_headers_without_an_end),
	        TEST(test_the_longest_header),
	        TEST(test_another_identity),
	        TEST(test_a_changed_header),
	        TEST(test_passphrases),
	        TEST(test_work_factors),
	        TEST(test_rewrap),
	        TEST(test_cells),
	        TEST(test_wrong_cells),
	        TEST(test_small_objects),
	        TEST(test_small_objects_for_nobody),
	        TEST(test_armor_of_any_length),
	        TEST(test_damaged_armor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
