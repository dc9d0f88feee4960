// SPDX-License-Identifier: Apache-2.0
/* sealed: what is encrypted is read in order, whole or a range of it, by whoever has an identity; what is damaged, cut or put together anew
 * is told as damage, and what cannot be opened is not. */
#include "layout_test.h"

#include <keepfs/artifact/sealed.h>
#include <keepfs/keyring.h>
#include <keepfs/stream/age.h>

#include <errno.h>
#include <sys/stat.h>

struct secret {
	struct age_recipients *recipients;
	struct stream_age age; /* of the object that was written last */
	char text[AGE_SECRET_TEXT_BYTES], other[AGE_SECRET_TEXT_BYTES];
	struct conf conf;
	struct keyring *keyring;
	struct repository repo;
	struct manifest_object object;
};

static struct stream_stage encrypt_anew(struct fixture *f)
{
	struct secret *s = f->secret;
	struct stream_stage stage;

	stream_age_finish(&s->age);
	assert_int_equal(stream_age_init(&s->age, s->recipients, NULL), 0);
	stage = stream_age_stage(&s->age);
	f->cells = stage.cells;
	return stage;
}

static int set_up(void **state)
{
	struct fixture *f = new_fixture();
	struct secret *s = mem_alloc(sizeof(*s));
	char recipient[AGE_RECIPIENT_BYTES];

	if (!f)
		return -1;
	s->recipients = age_recipients_new();
	age_identity_generate(s->other, recipient);
	age_identity_generate(s->text, recipient);
	assert_int_equal(age_recipients_add(s->recipients, recipient, NULL), 0);
	s->conf.identity.value = s->text;
	s->keyring = keyring_new(&s->conf);
	f->secret = s;
	f->stage = encrypt_anew;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;

	keyring_free(s->keyring);
	stream_age_finish(&s->age);
	age_recipients_free(s->recipients);
	explicit_bzero(s, sizeof(*s));
	free(s);
	return free_fixture(f);
}

static int append_all(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static struct sealed_reading reading_of(struct fixture *f, struct str *plain)
{
	struct secret *s = f->secret;
	static char key[] = KEY, cipher[] = MANIFEST_CIPHER_AGE;

	s->repo = (struct repository){.store = f->store, .keyring = s->keyring};
	s->object = (struct manifest_object){.key = key,
	                                     .cipher = cipher,
	                                     .stored_bytes = f->facts.stored_bytes,
	                                     .extents = f->facts.extents,
	                                     .extents_count = f->facts.extents.count};
	str_copy(s->object.stored_sha256, sizeof(s->object.stored_sha256), f->facts.stored_sha256);
	return (struct sealed_reading){.of = {.repo = &s->repo,
	                                      .store = f->store,
	                                      .object = &s->object,
	                                      .what = "backups/full/x.dump"},
	                               .pool = f->pool,
	                               .take = append_all,
	                               .arg = plain};
}

static void expect_whole(struct fixture *f)
{
	_cleanup(str) struct str plain = {0};
	const struct sealed_reading reading = reading_of(f, &plain);
	struct sealed_digests digests;
	struct error err = {0};
	char stored[SHA256_HEX_BYTES];

	if (sealed_read(&reading, &digests, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(plain.len, f->plain.len);
	if (plain.len > 0)
		assert_memory_equal(plain.data, f->plain.data, plain.len);
	hex_of(f->stored, f->facts.stored_bytes, stored);
	assert_string_equal(digests.plain, f->sha256);
	assert_string_equal(digests.stored, stored);
}

static void expect_ranges(struct fixture *f)
{
	const uint64_t begins[] = {0,
	                           1,
	                           AGE_CELL_PLAIN_BYTES - 1,
	                           AGE_CELL_PLAIN_BYTES,
	                           3 * AGE_CELL_PLAIN_BYTES + 7,
	                           f->plain.len - 1};
	const uint64_t lengths[] = {
	        1,           100, AGE_CELL_PLAIN_BYTES, AGE_CELL_PLAIN_BYTES + 1, 5 * AGE_CELL_PLAIN_BYTES,
	        f->plain.len};

	for (size_t b = 0; b < ARRAY_SIZE(begins); b++) {
		for (size_t l = 0; l < ARRAY_SIZE(lengths); l++) {
			_cleanup(str) struct str plain = {0};
			struct sealed_reading reading = reading_of(f, &plain);
			struct error err = {0};

			reading.is_range = true;
			reading.begin = begins[b];
			reading.end =
			        begins[b] + lengths[l] < f->plain.len ? begins[b] + lengths[l] : f->plain.len;
			if (reading.begin >= reading.end)
				continue;
			if (sealed_read(&reading, NULL, &err) < 0)
				fail_msg("%s", err.message);
			assert_int_equal(plain.len, reading.end - reading.begin);
			assert_memory_equal(plain.data, f->plain.data + reading.begin, plain.len);
		}
	}
}

static void test_whole_and_ranges(void **state)
{
	struct fixture *f = *state;
	const size_t sizes[] = {0, 1, AGE_CELL_PLAIN_BYTES, AGE_CELL_PLAIN_BYTES + 1, 3 * MIB + 777};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		write_object(f, sizes[i], 0, 50021);
		expect_whole(f);
		if (sizes[i] > 0)
			expect_ranges(f);
	}
	/* The first bytes came last, so that no SHA-256 was known. */
	write_object(f, 3 * MIB + 777, 700, 50021);
	expect_whole(f);
	expect_ranges(f);
}

static void test_behind_the_end(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str plain = {0};
	struct sealed_reading reading;
	struct error err = {0};

	write_object(f, 100000, 0, 50021);
	reading = reading_of(f, &plain);
	reading.is_range = true;
	reading.begin = 99999;
	reading.end = 100001;
	assert_int_equal(sealed_read(&reading, NULL, &err), -EBADMSG);
}

static int read_all(struct fixture *f, struct error *err)
{
	_cleanup(str) struct str plain = {0};
	const struct sealed_reading reading = reading_of(f, &plain);
	struct sealed_digests digests;

	*err = (struct error){0};
	return sealed_read(&reading, &digests, err);
}

static void test_every_flip_is_damage(void **state)
{
	struct fixture *f = *state;
	struct error err;

	write_object(f, 300000, 0, 50021);
	for (unsigned right_crc = 0; right_crc < 2; right_crc++) {
		const uint64_t places[] = {3, f->cells.head_bytes - 1, f->cells.head_bytes, 100000,
		                           f->facts.stored_bytes - 1};

		for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
			struct secret *s = f->secret;

			/* As somebody who has never opened it. */
			keyring_free(s->keyring);
			s->keyring = keyring_new(&s->conf);
			flip(f, places[i], right_crc);
			assert_int_equal(read_all(f, &err), -EBADMSG);
			assert_int_equal(err.class, ERROR_CORRUPT);
			flip(f, places[i], right_crc);
		}
	}
	assert_int_equal(read_all(f, &err), 0);
}

static void test_what_cannot_be_opened_is_no_damage(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;
	struct reader_layout *layout;
	struct sealed_reading reading;
	struct error err = {0};

	write_object(f, 300000, 0, 50021);
	s->conf.identity.value = s->other;
	keyring_follow(s->keyring, &s->conf);
	assert_int_equal(read_all(f, &err), -ENOKEY);
	assert_int_equal(err.class, ERROR_DENIED);
	assert_false(err.damage);
	assert_non_null(strstr(err.message, "backups/full/x.dump"));
	s->conf.identity.value = NULL;
	keyring_follow(s->keyring, &s->conf);
	assert_int_equal(read_all(f, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "this host has no identity"));
	reading = reading_of(f, NULL);
	assert_int_equal(sealed_layout(&reading.of, &layout, &err), -ENOKEY);
	assert_null(layout);
}

static void test_stored_bytes_need_no_key(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;
	struct sealed_reading reading;
	struct sealed_digests digests;
	struct error err = {0};
	char stored[SHA256_HEX_BYTES];

	write_object(f, 300000, 0, 50021);
	s->conf.identity.value = NULL;
	keyring_follow(s->keyring, &s->conf);
	reading = reading_of(f, NULL);
	reading.as_stored = true;
	assert_int_equal(sealed_read(&reading, &digests, &err), 0);
	hex_of(f->stored, f->facts.stored_bytes, stored);
	assert_string_equal(digests.stored, stored);
	flip(f, 100000, false);
	assert_int_equal(sealed_read(&reading, &digests, &err), -EBADMSG);
	assert_true(err.damage);
}

static void test_another_cipher_is_not_known(void **state)
{
	struct fixture *f = *state;
	static char cipher[] = "rot13";
	struct sealed_reading reading;
	struct sealed_digests digests;
	struct error err = {0};

	write_object(f, 100, 0, 50021);
	reading = reading_of(f, NULL);
	((struct secret *)f->secret)->object.cipher = cipher;
	assert_int_equal(sealed_read(&reading, &digests, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "rot13"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_whole_and_ranges, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_behind_the_end, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_every_flip_is_damage, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_what_cannot_be_opened_is_no_damage, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_stored_bytes_need_no_key, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_another_cipher_is_not_known, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
