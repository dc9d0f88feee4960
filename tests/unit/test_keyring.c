// SPDX-License-Identifier: Apache-2.0
/* keyring: for whom something is encrypted, as the configuration says, and with what it is opened: each way in which that fails has its own
 * message, and what was opened is kept within bounds. */
#include <keepfs/base/mem.h>
#include <keepfs/keyring.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct fixture {
	char directory[64];
	struct conf conf;
	struct conf_job job;
	char *to[4];
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	char other_secret[AGE_SECRET_TEXT_BYTES], other[AGE_RECIPIENT_BYTES];
	char *identity_path;
};

static void put_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	str_copy(f->directory, sizeof(f->directory), "/tmp/keepfs-keyring-XXXXXX");
	assert_non_null(mkdtemp(f->directory));
	age_identity_generate(f->secret, f->recipient);
	age_identity_generate(f->other_secret, f->other);
	f->identity_path = mem_printf("%s/identity", f->directory);
	f->to[0] = f->recipient;
	f->conf.encrypt.to = f->to;
	f->conf.jobs = &f->job;
	f->conf.job_count = 1;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	unlink(f->identity_path);
	rmdir(f->directory);
	free(f->identity_path);
	free(f);
	return 0;
}

/* An object for those that the configuration names. */
static void make_object(struct fixture *f, struct str *ret)
{
	_cleanup(age_recipients) struct age_recipients *r = NULL;
	struct error err = {0};

	assert_int_equal(keyring_recipients(&f->conf, &f->job, NULL, &r, &err), 0);
	assert_non_null(r);
	assert_int_equal(age_encrypt(r, "hello", 5, ret, &err), 0);
}

static int open_object(struct keyring *k, const struct str *object, uint8_t number, struct error *err)
{
	uint8_t id[SHA256_BYTES] = {number};
	const struct keyring_object o = {
	        .id = id, .what = "backups/full/x.dump", .encrypted_to = "age1somebody"};
	struct age_key key;
	int r = keyring_open(k, &o, object->data, object->len, NULL, &key, err);

	if (r == 0)
		age_key_wipe(&key);
	return r;
}

static void test_a_job_says_it_for_itself(void **state)
{
	struct fixture *f = *state;
	char *none[] = {CONF_ENCRYPT_NONE, NULL}, *own[] = {f->other, NULL};
	_cleanup(age_recipients) struct age_recipients *r = NULL;
	struct error err = {0};

	assert_true(keyring_is_encrypting(&f->conf, NULL));
	assert_true(keyring_is_encrypting(&f->conf, &f->job));
	f->job.encrypt.to = none;
	assert_false(keyring_is_encrypting(&f->conf, &f->job));
	assert_int_equal(keyring_recipients(&f->conf, &f->job, NULL, &r, &err), 0);
	assert_null(r);
	f->job.encrypt.to = own;
	assert_int_equal(keyring_recipients(&f->conf, &f->job, NULL, &r, &err), 0);
	assert_int_equal(age_recipients_count(r), 1);
	assert_string_equal(age_recipients_name(r, 0), f->other);
}

static void test_a_file_of_recipients(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *text = mem_printf("# us\n%s\n", f->other),
	                    *wrong = mem_printf("# us\nssh-ed25519 AAAA\n");
	_cleanup(age_recipients) struct age_recipients *r = NULL, *none = NULL;
	_cleanup(str) struct str names = {0};
	struct error err = {0};

	put_file(f->identity_path, text);
	f->conf.encrypt.to_file = f->identity_path;
	assert_int_equal(keyring_recipients(&f->conf, NULL, NULL, &r, &err), 0);
	keyring_recipients_text(r, &names);
	assert_int_equal(age_recipients_count(r), 2);
	assert_non_null(strstr(str_text(&names), f->other));
	put_file(f->identity_path, wrong);
	assert_true(keyring_recipients(&f->conf, NULL, NULL, &none, &err) < 0);
	assert_non_null(strstr(err.message, f->identity_path));
	assert_non_null(strstr(err.message, "line 2"));
	unlink(f->identity_path);
	assert_true(keyring_recipients(&f->conf, NULL, NULL, &none, &err) < 0);
	assert_null(none);
}

static void test_each_failure_has_a_message_of_its_own(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str object = {0};
	_cleanup(keyring) struct keyring *locked = keyring_new(&f->conf), *k = NULL;
	struct error err = {0};

	make_object(f, &object);
	assert_false(keyring_can_read(NULL));
	assert_false(keyring_can_read(locked));
	assert_int_equal(open_object(locked, &object, 1, &err), -ENOKEY);
	assert_non_null(strstr(err.message, "this host has no identity"));
	assert_non_null(strstr(err.message, "age1somebody"));
	assert_int_equal(err.class, ERROR_DENIED);

	f->conf.identity.file = f->identity_path;
	k = keyring_new(&f->conf);
	assert_true(keyring_can_read(k));
	err = (struct error){0};
	assert_true(open_object(k, &object, 1, &err) < 0);
	assert_non_null(strstr(err.message, "[keepfs] identity_file"));

	put_file(f->identity_path, f->other_secret);
	err = (struct error){0};
	assert_int_equal(open_object(k, &object, 1, &err), -ENOKEY);
	assert_null(strstr(err.message, "this host has no identity"));

	put_file(f->identity_path, "nothing of the kind\n");
	err = (struct error){0};
	assert_true(open_object(k, &object, 1, &err) < 0);
	assert_non_null(strstr(err.message, "identity_file"));

	/* A file that is right by now is read without anybody's doing. */
	put_file(f->identity_path, f->secret);
	assert_int_equal(open_object(k, &object, 1, &err), 0);
	object.data[40] ^= 1;
	err = (struct error){0};
	assert_true(open_object(k, &object, 2, &err) < 0);
	object.data[40] ^= 1;
	object.len = 60;
	assert_int_equal(open_object(k, &object, 3, &err), -EAGAIN);
}

static void test_a_passphrase_reads_what_it_wrote(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str object = {0}, plain = {0};
	_cleanup(age_recipients) struct age_recipients *r = age_recipients_new();
	_cleanup(keyring) struct keyring *k = NULL;
	uint8_t id[SHA256_BYTES] = {7};
	const struct keyring_object o = {.id = id, .what = "x"};
	char right[] = "correct horse", wrong[] = "wrong horse";
	struct error err = {0};

	assert_int_equal(age_recipients_add_passphrase(r, right, 8, &err), 0);
	assert_int_equal(age_encrypt(r, "hello", 5, &object, &err), 0);
	f->conf.encrypt.to = NULL;
	f->conf.encrypt.passphrase.value = wrong;
	k = keyring_new(&f->conf);
	assert_true(keyring_can_read(k));
	assert_int_equal(open_object(k, &object, 1, &err), -EKEYREJECTED);
	/* That of a job, of several, which a reload brings. */
	f->job.encrypt.passphrase.value = right;
	assert_int_equal(open_object(k, &object, 1, &err), -EKEYREJECTED);
	assert_non_null(strstr(err.message, "[keepfs] identity_passphrase"));
	keyring_follow(k, &f->conf);
	assert_int_equal(keyring_decrypt(k, &o, object.data, object.len, NULL, &plain, &err), 0);
	assert_int_equal(plain.len, 5);
	assert_memory_equal(plain.data, "hello", 5);
	object.data[object.len - 1] ^= 1;
	assert_int_equal(keyring_decrypt(k, &o, object.data, object.len, NULL, &plain, &err), -EBADMSG);
	assert_int_equal(plain.len, 5);
}

static void test_what_was_opened_is_kept_within_bounds(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str object = {0};
	_cleanup(keyring) struct keyring *k = NULL;
	struct age_key key;
	struct error err = {0};

	make_object(f, &object);
	put_file(f->identity_path, f->secret);
	f->conf.identity.file = f->identity_path;
	k = keyring_new(&f->conf);
	for (unsigned i = 0; i < KEYRING_KEPT + 10; i++) {
		uint8_t id[SHA256_BYTES] = {(uint8_t)i, (uint8_t)(i >> 8)};
		const struct keyring_object o = {.id = id, .what = "x"};

		assert_int_equal(keyring_open(k, &o, object.data, object.len, NULL, &key, &err), 0);
		assert_int_equal(keyring_find(k, id, &key), 0);
	}
	assert_int_equal(keyring_find(k, (uint8_t[SHA256_BYTES]){3}, &key), -ENOENT);
	assert_int_equal(keyring_find(k, (uint8_t[SHA256_BYTES]){20}, &key), 0);
	age_key_wipe(&key);
}

static void test_passphrases_within_bounds(void **state)
{
	struct fixture *f = *state;
	struct conf_job jobs[KEYRING_PASSPHRASES_MAX + 4] = {0};
	char texts[ARRAY_SIZE(jobs)][24];
	_cleanup(str) struct str object = {0};
	_cleanup(age_recipients) struct age_recipients *r = age_recipients_new();
	_cleanup(keyring) struct keyring *k = NULL;
	struct error err = {0};
	size_t count = 0;

	assert_int_equal(age_recipients_add_passphrase(r, "the last one", 8, &err), 0);
	assert_int_equal(age_encrypt(r, "hello", 5, &object, &err), 0);
	f->conf.jobs = jobs;
	f->conf.job_count = ARRAY_SIZE(jobs);
	/* Many jobs with the same one are one. */
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		snprintf(texts[i], sizeof(texts[i]), "the same");
		jobs[i].encrypt.passphrase.value = texts[i];
	}
	snprintf(texts[ARRAY_SIZE(jobs) - 1], sizeof(texts[0]), "the last one");
	k = keyring_new(&f->conf);
	assert_int_equal(keyring_check(k, NULL, &count, &err), 0);
	assert_int_equal(count, 2);
	assert_int_equal(open_object(k, &object, 1, &err), 0);
	/* What is not tried is said. */
	for (size_t i = 0; i + 1 < ARRAY_SIZE(jobs); i++)
		snprintf(texts[i], sizeof(texts[i]), "number %zu", i);
	keyring_follow(k, &f->conf);
	assert_int_equal(keyring_check(k, NULL, &count, &err), -E2BIG);
	assert_non_null(strstr(err.message, "more than 16 different passphrases"));
	assert_int_equal(open_object(k, &object, 2, &err), -EKEYREJECTED);
	assert_non_null(strstr(err.message, "4 of other jobs were not tried"));
	f->conf.identity_passphrase.value = texts[ARRAY_SIZE(jobs) - 1];
	keyring_follow(k, &f->conf);
	assert_int_equal(open_object(k, &object, 3, &err), 0);
}

static void test_a_reload_forgets_what_is_not_in_force(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str object = {0};
	_cleanup(keyring) struct keyring *k = NULL;
	uint8_t id[SHA256_BYTES] = {1};
	struct age_key key;
	struct error err = {0};
	bool ours = true;

	make_object(f, &object);
	put_file(f->identity_path, f->secret);
	k = keyring_new(&f->conf);
	assert_false(keyring_can_read(k));
	f->conf.identity.file = f->identity_path;
	keyring_follow(k, &f->conf);
	assert_true(keyring_can_read(k));
	assert_int_equal(open_object(k, &object, 1, &err), 0);
	assert_int_equal(keyring_find(k, id, &key), 0);
	age_key_wipe(&key);
	assert_int_equal(keyring_is_for_us(k, f->recipient, NULL, &ours, &err), 0);
	assert_true(ours);
	assert_int_equal(keyring_is_for_us(k, f->other, NULL, &ours, &err), 0);
	assert_false(ours);
	assert_int_equal(keyring_is_for_us(k, KEYRING_PASSPHRASE, NULL, &ours, &err), 0);
	assert_false(ours);
	f->conf.identity.file = NULL;
	keyring_follow(k, &f->conf);
	assert_false(keyring_can_read(k));
	assert_int_equal(keyring_find(k, id, &key), -ENOENT);
	assert_int_equal(open_object(k, &object, 1, &err), -ENOKEY);
	f->conf.identity.file = f->directory;
	keyring_follow(k, &f->conf);
	assert_int_equal(keyring_is_for_us(k, f->recipient, NULL, &ours, &err), -EACCES);
}

/* What it would open may be as right as ever: nobody is to mark it as damaged, or to take an older one for it. */
static void test_identities_that_cannot_be_read_say_nothing_of_an_object(void **state)
{
	static const char *const wrong[] = {"-----BEGIN AGE ENCRYPTED FILE-----\n!!!\n",
	                                    "AGE-SECRET-KEY-1X\n"};
	struct fixture *f = *state;
	_cleanup(free) char *host_key = mem_printf("%s/host.key", f->directory);
	_cleanup(keyring) struct keyring *k = NULL;
	_cleanup(str) struct str object = {0}, plain = {0};
	uint8_t id[SHA256_BYTES] = {1};
	const struct keyring_object o = {.id = id, .what = "catalog/x"};

	make_object(f, &object);
	put_file(host_key, f->other_secret);
	secret_set_host_key(host_key);
	f->conf.identity.file = f->identity_path;
	k = keyring_new(&f->conf);
	for (size_t i = 0; i <= ARRAY_SIZE(wrong); i++) {
		struct error err = {0};

		if (i < ARRAY_SIZE(wrong))
			put_file(f->identity_path, wrong[i]);
		else
			unlink(f->identity_path);
		assert_int_equal(open_object(k, &object, 1, &err), -EACCES);
		assert_true(err.class != ERROR_CORRUPT && err.class != ERROR_NOT_FOUND && !err.damage);
		assert_non_null(strstr(err.message, "[keepfs] identity_file"));
		assert_int_equal(keyring_decrypt(k, &o, object.data, object.len, NULL, &plain, &err),
		                 -EACCES);
	}
	put_file(f->identity_path, f->secret);
	assert_int_equal(open_object(k, &object, 1, &(struct error){0}), 0);
	secret_set_host_key(NULL);
	unlink(host_key);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_a_job_says_it_for_itself, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_file_of_recipients, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_each_failure_has_a_message_of_its_own, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_passphrase_reads_what_it_wrote, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_what_was_opened_is_kept_within_bounds, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_passphrases_within_bounds, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_a_reload_forgets_what_is_not_in_force, setup, teardown),
	        cmocka_unit_test_setup_teardown(test_identities_that_cannot_be_read_say_nothing_of_an_object,
	                                        setup, teardown),
	};

	return cmocka_run_group_tests_name("keyring", tests, NULL, NULL);
}
