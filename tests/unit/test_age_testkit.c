// SPDX-License-Identifier: Apache-2.0
/*
 * The published test vectors of age (data/age, see the README there), each of which is one way in which a file is right or wrong.
 * What is decrypted is compared up to where it goes wrong, and then all at once, when nothing comes out that is not all right.
 */
#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/hash.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

#include <cmocka.h>

#define INFLATED_BYTES ((size_t)20 << 20)

struct vector {
	const char *name;
	char expect[32], payload[SHA256_HEX_BYTES];
	struct age_identities *identities;
	bool compressed, armored;
	struct str file;
};

static void read_file(const char *path, struct str *out)
{
	char bytes[4096];
	FILE *f = fopen(path, "re");
	size_t n;

	assert_non_null(f);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		str_append_bytes(out, bytes, n);
	fclose(f);
}

static void read_field(struct vector *v, char *line)
{
	char *value = strstr(line, ": ");
	struct error err = {0};

	assert_non_null(value);
	*value = '\0';
	value += 2;
	if (strcmp(line, "expect") == 0)
		str_copy(v->expect, sizeof(v->expect), value);
	else if (strcmp(line, "payload") == 0)
		str_copy(v->payload, sizeof(v->payload), value);
	else if (strcmp(line, "identity") == 0)
		assert_int_equal(age_identities_add(v->identities, value, &err), 0);
	else if (strcmp(line, "passphrase") == 0)
		assert_int_equal(age_identities_add_passphrase(v->identities, value, &err), 0);
	else if (strcmp(line, "compressed") == 0)
		v->compressed = true;
	else if (strcmp(line, "armored") == 0)
		v->armored = true;
	else
		assert_true(strcmp(line, "file key") == 0 || strcmp(line, "comment") == 0);
}

static void inflate_file(struct vector *v)
{
	_cleanup(free) unsigned char *bytes = mem_alloc(INFLATED_BYTES);
	unsigned long len = INFLATED_BYTES;

	assert_int_equal(uncompress(bytes, &len, (const unsigned char *)v->file.data, v->file.len), Z_OK);
	str_clear(&v->file);
	str_append_bytes(&v->file, bytes, len);
}

static void read_vector(struct vector *v, const char *name)
{
	_cleanup(str) struct str bytes = {0};
	char path[512];
	char *at;

	*v = (struct vector){.name = name, .identities = age_identities_new()};
	snprintf(path, sizeof(path), TEST_DATA "/age/%s", name);
	read_file(path, &bytes);
	for (at = bytes.data; *at != '\n';) {
		char *end = strchr(at, '\n');

		*end = '\0';
		read_field(v, at);
		at = end + 1;
	}
	at++;
	str_append_bytes(&v->file, at, (size_t)(bytes.data + bytes.len - at));
	if (v->compressed)
		inflate_file(v);
}

static void finish_vector(struct vector *v)
{
	age_identities_free(v->identities);
	str_finish(&v->file);
}

/* In the terms of the vectors. */
static const char *what_header_says(int r, const struct error *err)
{
	if (r == 0)
		return "success";
	if (strstr(err->message, "its MAC is of another one"))
		return "HMAC failure";
	if (r == -ENOKEY || r == -EKEYREJECTED)
		return "no match";
	assert_true(r == -EBADMSG || r == -EAGAIN);
	return "header failure";
}

/* As one does who does not know where the end is: a cell is the last one if it opens as that. Return: 1: it is; 0; -EBADMSG. */
static int open_next_cell(struct age_cipher *c, uint64_t number, const char *stored, size_t n, char *plain)
{
	struct error err = {0};
	int r = age_open_cell(c, number, false, stored, n, plain, NULL);

	if (r == 0)
		return 0;
	assert_int_equal(r, -EBADMSG);
	r = age_open_cell(c, number, true, stored, n, plain, &err);
	if (r == 0)
		return 1;
	assert_int_equal(r, -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	return r;
}

/* What is decrypted before something is wrong. */
static const char *decrypt_cells(const struct age_key *k, const char *stored, size_t len, struct str *out)
{
	_cleanup(age_cipher) struct age_cipher *c = age_cipher_new(k);
	_cleanup(free) char *plain = mem_alloc(AGE_CELL_PLAIN_BYTES);
	uint64_t number = 0;
	size_t at = 0, n;
	int r = 0;

	for (; r == 0; at += n) {
		n = len - at < AGE_CELL_STORED_BYTES ? len - at : AGE_CELL_STORED_BYTES;
		r = open_next_cell(c, number++, stored + at, n, plain);
		if (r >= 0)
			str_append_bytes(out, plain, n - AGE_TAG_BYTES);
	}
	return r == 1 && at == len ? "success" : "payload failure";
}

static const char *decrypt(struct vector *v, struct str *out)
{
	_cleanup(str) struct str binary = {0};
	const struct str *stored = &v->file;
	struct age_key k;
	struct error err = {0};
	const char *what;
	int r;

	if (v->armored) {
		r = age_dearmor(v->file.data, v->file.len, &binary, &err);
		assert_true(r == 0 || (r == -EBADMSG && binary.len == 0));
		if (r < 0)
			return "armor failure";
		stored = &binary;
	}
	r = age_header_open(str_text(stored), stored->len, v->identities, &k, &err);
	what = what_header_says(r, &err);
	if (r == 0)
		what = decrypt_cells(&k, stored->data + k.head_bytes, stored->len - k.head_bytes, out);
	return what;
}

static void expect_hash(const struct vector *v, const struct str *plain)
{
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	if (!v->payload[0])
		return;
	sha256_once(str_text(plain), plain->len, digest);
	hex_encode(digest, sizeof(digest), hex);
	if (strcmp(hex, v->payload) != 0)
		fail_msg("%s: the bytes are other ones", v->name);
}

/* All at once it is all or nothing. */
static void expect_whole(const struct vector *v)
{
	_cleanup(str) struct str plain = {0};
	struct error err = {0};
	int r = age_decrypt(str_text(&v->file), v->file.len, v->identities, &plain, &err);

	if ((r == 0) != (strcmp(v->expect, "success") == 0))
		fail_msg("%s: %s, and age_decrypt() says %s", v->name, v->expect, err.message);
	if (r == 0)
		expect_hash(v, &plain);
	else
		assert_int_equal(plain.len, 0);
	if (r < 0)
		assert_true(err.message[0] && err.errnum == -r);
}

static void expect_vector(const char *name)
{
	_cleanup(str) struct str plain = {0};
	struct vector v;
	const char *what;

	read_vector(&v, name);
	what = decrypt(&v, &plain);
	if (strcmp(what, v.expect) != 0)
		fail_msg("%s: %s is expected, and it is %s", name, v.expect, what);
	expect_hash(&v, &plain);
	expect_whole(&v);
	finish_vector(&v);
}

static void test_vectors(void **state)
{
	struct dirent **names;
	int count = scandir(TEST_DATA "/age", &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		if (names[i]->d_name[0] != '.' && strcmp(names[i]->d_name, "README.md") != 0)
			expect_vector(names[i]->d_name);
		free(names[i]);
	}
	free(names);
	assert_true(count > 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_vectors)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
