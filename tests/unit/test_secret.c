// SPDX-License-Identifier: Apache-2.0
/* Secrets: from where they come, what is refused, and what a message never holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "../../src/secret/secret_private.h"
#include "../support/tree.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/age.h>
#include <keepfs/codec/hash.h>
#include <keepfs/secret.h>

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PLANTED "planted-secret-5a1f"

struct fixture {
	char dir[64];
	char *file, *key;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	strcpy(f->dir, "/tmp/keepfs-secret-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	f->file = mem_printf("%s/file", f->dir);
	f->key = mem_printf("%s/state/host.key", f->dir);
	secret_set_host_key(f->key);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	unsetenv("CREDENTIALS_DIRECTORY");
	secret_set_host_key(NULL);
	remove_tree(f->dir);
	free(f->file);
	free(f->key);
	free(f);
	return 0;
}

static void write_bytes(const char *path, const void *bytes, size_t len, mode_t mode)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, bytes, len), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void write_file(struct fixture *f, const char *text, mode_t mode)
{
	write_bytes(f->file, text, strlen(text), mode);
}

static const struct secret_use line = {.what = "[mail] password"},
                               whole = {.what = "[mail] password", .whole = true};

static void expect_secret(const struct conf_secret *s, const struct secret_use *use, const char *expected,
                          size_t len)
{
	_cleanup(secret_text) struct secret_text got = {0};
	struct error err = {0};

	if (secret_get(s, use, NULL, &got, &err) != 0)
		fail_msg("%s", err.message);
	assert_int_equal(got.len, len);
	assert_memory_equal(got.data, expected, len);
	assert_int_equal(got.data[got.len], '\0');
}

static void expect_failure(const struct conf_secret *s, const struct secret_use *use, int expected,
                           const char *why)
{
	_cleanup(secret_text) struct secret_text got = {0};
	struct error err = {0};
	int r = secret_get(s, use, NULL, &got, &err);

	if (r != expected)
		fail_msg("%d, not %d: %s", r, expected, err.message);
	assert_null(got.data);
	assert_true(err.class == ERROR_USAGE || err.class == ERROR_DENIED || err.class == ERROR_CORRUPT ||
	            err.retry);
	if (!str_starts(err.message, "[mail] password") || !strstr(err.message, why))
		fail_msg("%s: does not say: %s", err.message, why);
	if (strstr(err.message, PLANTED) || strstr(err.message, "planted"))
		fail_msg("the secret is told: %s", err.message);
}

static void test_values(void **state)
{
	_cleanup(secret_text) struct secret_text got = {0};

	expect_secret(&(struct conf_secret){.value = (char *)" a b\\"}, &line, " a b\\", 5);
	assert_int_equal(secret_get(&(struct conf_secret){0}, &line, NULL, &got, NULL), SECRET_NOWHERE);
	assert_int_equal(secret_get(&(struct conf_secret){"", "", ""}, &line, NULL, &got, NULL),
	                 SECRET_NOWHERE);
	assert_null(got.data);
	assert_false(secret_may_change(&(struct conf_secret){.value = (char *)"x"}));
	assert_false(secret_forget(&(struct conf_secret){.value = (char *)"x"}));
}

static void test_files(void **state)
{
	struct fixture *f = *state;
	const struct conf_secret s = {.value = (char *)"other", .file = f->file};

	write_file(f, PLANTED "\n", 0600);
	expect_secret(&s, &line, PLANTED, strlen(PLANTED));
	expect_secret(&s, &whole, PLANTED "\n", strlen(PLANTED) + 1);
	write_file(f, PLANTED "\r\nsecond\n", 0400);
	expect_secret(&s, &line, PLANTED, strlen(PLANTED));
	write_file(f, "no line end", 0600);
	expect_secret(&s, &line, "no line end", 11);
	write_bytes(f->file, "a\0b\n", 4, 0600);
	expect_secret(&s, &whole, "a\0b\n", 4);
	assert_true(secret_may_change(&s) && secret_is_at_hand(&s) && !secret_is_printed(&s));
}

static void test_bad_files(void **state)
{
	struct fixture *f = *state;
	const struct conf_secret s = {.file = f->file};
	const struct secret_use open_file = {.what = "[mail] password", .open_file = true};
	_cleanup(free) char *long_text = mem_alloc(SECRET_MAX_BYTES + 2);

	expect_failure(&s, &line, -ENOENT, "_file = ");
	expect_failure(&(struct conf_secret){.file = f->dir}, &line, -EINVAL, "no regular file");
	write_file(f, "", 0600);
	expect_failure(&s, &line, -EINVAL, "first line is empty");
	write_file(f, "\n" PLANTED "\n", 0600);
	expect_failure(&s, &line, -EINVAL, "first line is empty");
	write_bytes(f->file, "planted\0x", 9, 0600);
	expect_failure(&s, &line, -EINVAL, "a character 0");
	write_file(f, PLANTED, 0640);
	expect_failure(&s, &line, -EPERM, "chmod 600, or seal it");
	write_file(f, PLANTED, 0604);
	expect_failure(&s, &line, -EPERM, "chmod 600");
	write_file(f, PLANTED, 0622);
	expect_failure(&s, &line, -EPERM, "chmod 600");
	expect_secret(&s, &open_file, PLANTED, strlen(PLANTED));
	memset(long_text, 'x', SECRET_MAX_BYTES + 1);
	write_file(f, long_text, 0600);
	expect_failure(&s, &whole, -EFBIG, "longer than 64 KiB");
	long_text[SECRET_MAX_BYTES] = '\0';
	write_file(f, long_text, 0600);
	expect_secret(&s, &whole, long_text, SECRET_MAX_BYTES);
	if (geteuid() == 0) {
		write_file(f, PLANTED, 0600);
		assert_int_equal(chown(f->file, 12345, 0), 0);
		expect_failure(&s, &line, -EPERM, "belongs to another user");
	}
}

static void test_credentials_of_systemd(void **state)
{
	struct fixture *f = *state;
	const struct conf_secret s = {.file = (char *)"credential:file"};

	unsetenv("CREDENTIALS_DIRECTORY");
	expect_failure(&s, &line, -ENOENT, "LoadCredential=file:FILE");
	setenv("CREDENTIALS_DIRECTORY", "relative", 1);
	expect_failure(&s, &line, -ENOENT, "was given no credentials");
	setenv("CREDENTIALS_DIRECTORY", f->dir, 1);
	expect_failure(&s, &line, -ENOENT, "cannot be opened");
	/* systemd lets a user in by an access list, which is seen as a group's right. */
	write_file(f, PLANTED "\n", 0440);
	expect_secret(&s, &line, PLANTED, strlen(PLANTED));
	write_file(f, PLANTED "\n", 0444);
	expect_failure(&s, &line, -EPERM, "chmod 600");
	assert_int_not_equal(secret_stamp(&s), 0);
}

static void test_stamps(void **state)
{
	struct fixture *f = *state;
	const struct conf_secret s = {.file = f->file};
	uint64_t first;

	assert_int_equal(secret_stamp(&s), 0);
	assert_int_equal(secret_stamp(&(struct conf_secret){.value = (char *)"x"}), 0);
	write_file(f, "a", 0600);
	first = secret_stamp(&s);
	assert_int_not_equal(first, 0);
	assert_int_equal(secret_stamp(&s), first);
	write_file(f, "ab", 0600);
	assert_int_not_equal(secret_stamp(&s), first);
}

/* Commands. */

static void test_commands(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command = mem_printf("echo x >> %s; echo %s; echo second", f->file, PLANTED);
	const struct conf_secret s = {.command = command};
	_cleanup(str) struct str asked = {0};

	assert_true(secret_is_printed(&s) && secret_may_change(&s) && !secret_is_at_hand(&s));
	expect_secret(&s, &line, PLANTED, strlen(PLANTED));
	assert_true(secret_is_at_hand(&s));
	expect_secret(&s, &line, PLANTED, strlen(PLANTED));
	expect_secret(&s, &whole, PLANTED "\nsecond\n", strlen(PLANTED) + 8);
	/* What was asked for just now is not asked for again, since that would mend nothing. */
	assert_false(secret_forget(&s));
	expect_secret(&s, &line, PLANTED, strlen(PLANTED));
	assert_int_equal(fd_read_file(f->file, 100, &asked), 0);
	assert_string_equal(str_text(&asked), "x\n");
}

static int64_t fake_now_ms;

static int64_t fake_clock_ms(void)
{
	return fake_now_ms;
}

/* It is kept for its time, and asked anew after that, or when somebody was refused with it. */
static void test_life_of_what_was_printed(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command = mem_printf("echo x >> %s; wc -l < %s", f->file, f->file);
	const struct conf_secret s = {.command = command};

	fake_now_ms = 1000000;
	secret_use_clock(fake_clock_ms);
	expect_secret(&s, &line, "1", 1);
	fake_now_ms += SECRET_COMMAND_LIFE_MS - 1;
	expect_secret(&s, &line, "1", 1);
	fake_now_ms += 1;
	assert_false(secret_is_at_hand(&s));
	expect_secret(&s, &line, "2", 1);
	fake_now_ms += SECRET_FORGET_AFTER_MS - 1;
	assert_false(secret_forget(&s));
	expect_secret(&s, &line, "2", 1);
	fake_now_ms += 1;
	assert_true(secret_forget(&s));
	expect_secret(&s, &line, "3", 1);
	secret_use_clock(clock_mono_ms);
}

/* A failure is told to those who come within a second, and is not for ever. */
static void test_failure_passes(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command =
	        mem_printf("echo x >> %s; [ $(wc -l < %s) -gt 1 ] && echo good", f->file, f->file);
	const struct conf_secret s = {.command = command};
	_cleanup(secret_text) struct secret_text got = {0};

	fake_now_ms = 1000000;
	secret_use_clock(fake_clock_ms);
	assert_int_equal(secret_get(&s, &line, NULL, &got, NULL), -EIO);
	assert_int_equal(secret_get(&s, &line, NULL, &got, NULL), -EIO);
	fake_now_ms += 1000;
	expect_secret(&s, &line, "good", 4);
	secret_use_clock(clock_mono_ms);
}

static void test_bad_commands(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *open_end = mem_printf("echo planted; exec sleep 0.1 # %s", f->dir);

	expect_failure(
	        &(struct conf_secret){.command = (char *)"echo planted; echo no such entry >&2; exit 3"},
	        &line, -EIO, "no such entry");
	expect_failure(&(struct conf_secret){.command = (char *)"echo planted; exit 4"}, &line, -EIO,
	               "_command: ");
	expect_failure(&(struct conf_secret){.command = (char *)"true"}, &line, -EINVAL, "prints nothing");
	expect_failure(&(struct conf_secret){.command = (char *)"echo; echo planted"}, &line, -EINVAL,
	               "first line is empty");
	expect_failure(&(struct conf_secret){.command = (char *)"/nonexistent/program"}, &line, -EIO,
	               "not found");
	expect_failure(&(struct conf_secret){.command = (char *)"yes planted"}, &line, -EFBIG,
	               "more than 64 KiB");
	expect_failure(&(struct conf_secret){.command = (char *)"printf 'planted\\0x'"}, &line, -EINVAL,
	               "a character 0");
	expect_failure(&(struct conf_secret){.command = (char *)"echo planted; kill -9 $$"}, &line, -EIO,
	               "signal 9");
	expect_secret(&(struct conf_secret){.command = open_end}, &line, "planted", 7);
}

static void test_environment_of_commands(void **state)
{
	setenv("AWS_SECRET_ACCESS_KEY", "planted", 1);
	setenv("KEEPFS_STORE_SECRET_KEY", "planted", 1);
	setenv("PGPASSWORD", "planted", 1);
	setenv("VAULT_ADDR", "needed", 1);
	expect_secret(&(struct conf_secret){.command = (char *)"env | grep -c planted; true"}, &line, "0", 1);
	expect_secret(&(struct conf_secret){.command = (char *)"echo $VAULT_ADDR"}, &line, "needed", 6);
	unsetenv("AWS_SECRET_ACCESS_KEY");
	unsetenv("KEEPFS_STORE_SECRET_KEY");
	unsetenv("PGPASSWORD");
	unsetenv("VAULT_ADDR");
}

static void test_cancelled_command(void **state)
{
	_cleanup(secret_text) struct secret_text got = {0};
	struct error err = {0};
	struct cancel cancel;

	cancel_init(&cancel);
	cancel_set(&cancel);
	assert_int_equal(
	        secret_get(&(struct conf_secret){.command = (char *)"sleep 60"}, &line, &cancel, &got, &err),
	        -ECANCELED);
	assert_null(got.data);
	cancel_finish(&cancel);
}

static void *get_with_others(void *arg)
{
	expect_secret(arg, &line, "once", 4);
	return NULL;
}

static void test_many_at_once(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *command = mem_printf("echo x >> %s; sleep 0.2; echo once", f->file);
	struct conf_secret s = {.command = command};
	_cleanup(str) struct str asked = {0};
	pthread_t threads[8];

	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		assert_int_equal(pthread_create(&threads[i], NULL, get_with_others, &s), 0);
	for (size_t i = 0; i < ARRAY_SIZE(threads); i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(fd_read_file(f->file, 100, &asked), 0);
	assert_string_equal(str_text(&asked), "x\n");
}

/* Sealed. */

static char *sealed_value(const char *plain)
{
	_cleanup(secret_text) struct secret_text text = {0};
	struct str value = {0};
	struct error err = {0};

	secret_text_set(&text, plain, strlen(plain));
	if (secret_seal_value(&text, &value, &err) < 0)
		fail_msg("%s", err.message);
	assert_null(strstr(str_text(&value), plain));
	return str_take(&value);
}

static void write_sealed_file(struct fixture *f, const char *plain)
{
	_cleanup(secret_text) struct secret_text text = {0};
	_cleanup(str) struct str armor = {0};
	struct error err = {0};

	secret_text_set(&text, plain, strlen(plain));
	if (secret_seal(&text, &armor, &err) < 0)
		fail_msg("%s", err.message);
	assert_true(secret_is_sealed(armor.data, armor.len));
	write_file(f, str_text(&armor), 0644); /* nobody else can do anything with it */
}

static void test_sealed(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *value = sealed_value(PLANTED);
	struct stat st;

	assert_true(conf_is_sealed(value));
	assert_null(strpbrk(value, " \n,;#\""));
	expect_secret(&(struct conf_secret){.value = value}, &line, PLANTED, strlen(PLANTED));
	write_sealed_file(f, PLANTED "\nsecond\n");
	expect_secret(&(struct conf_secret){.file = f->file}, &line, PLANTED, strlen(PLANTED));
	expect_secret(&(struct conf_secret){.file = f->file}, &whole, PLANTED "\nsecond\n",
	              strlen(PLANTED) + 8);
	/* The key was made, for us alone, and is the same for all. */
	assert_int_equal(stat(f->key, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
}

static void test_sealed_elsewhere(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *value = sealed_value(PLANTED), *other = mem_printf("%s/other.key", f->dir);

	write_sealed_file(f, PLANTED);
	secret_set_host_key(other);
	expect_failure(&(struct conf_secret){.value = value}, &line, -ENOKEY, "there is no key to open it");
	expect_failure(&(struct conf_secret){.file = f->file}, &line, -ENOKEY, other);
	free(sealed_value("makes the other key"));
	expect_failure(&(struct conf_secret){.value = value}, &line, -ENOKEY, "sealed on another host");
	expect_failure(&(struct conf_secret){.file = f->file}, &line, -ENOKEY, "sealed on another host");
	secret_set_host_key(NULL);
	expect_failure(&(struct conf_secret){.value = value}, &line, -ENOKEY, "no key of its host");
}

/* A key that was given up may stand below the new one. */
static void test_two_host_keys(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *old = sealed_value(PLANTED), *other = mem_printf("%s/other.key", f->dir),
	                    *both = NULL;
	_cleanup(str) struct str keys = {0};

	secret_set_host_key(other);
	both = sealed_value("new");
	assert_int_equal(fd_read_file(other, 1000, &keys), 0);
	assert_int_equal(fd_read_file(f->key, 1000, &keys), 0);
	write_bytes(other, keys.data, keys.len, 0600);
	expect_secret(&(struct conf_secret){.value = old}, &line, PLANTED, strlen(PLANTED));
	expect_secret(&(struct conf_secret){.value = both}, &line, "new", 3);
}

static void test_bad_host_keys(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *value = sealed_value(PLANTED);
	const struct conf_secret s = {.value = value};

	assert_int_equal(chmod(f->key, 0644), 0);
	expect_failure(&s, &line, -EPERM, "host_key_file");
	write_bytes(f->key, "nonsense planted", 16, 0600);
	expect_failure(&s, &line, -EINVAL, "is no key of a host");
	write_bytes(f->key, "", 0, 0600);
	expect_failure(&s, &line, -EINVAL, "is no key of a host");
	write_bytes(f->key, "a\0b", 3, 0600);
	expect_failure(&s, &line, -EINVAL, "a character 0");
	write_bytes(f->key, "-----BEGIN AGE ENCRYPTED FILE-----\nx\n", 37, 0600);
	expect_failure(&s, &line, -EINVAL, "is sealed itself");
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *value = sealed_value(PLANTED);
	const struct conf_secret in_file = {.file = f->file};
	_cleanup(str) struct str armor = {0};
	size_t len = strlen(value);

	value[len - 8] = value[len - 8] == 'A' ? 'B' : 'A';
	expect_failure(&(struct conf_secret){.value = value}, &line, -EBADMSG, "damaged");
	value[len - 8] = '-';
	expect_failure(&(struct conf_secret){.value = value}, &line, -EBADMSG, "damaged");
	value[len - 40] = '\0';
	expect_failure(&(struct conf_secret){.value = value}, &line, -EBADMSG, "damaged");
	write_sealed_file(f, PLANTED);
	assert_int_equal(fd_read_file(f->file, SECRET_MAX_BYTES, &armor), 0);
	for (len = 40; len < armor.len - 1; len += 13) {
		write_bytes(f->file, armor.data, len, 0600);
		expect_failure(&in_file, &line, -EBADMSG, "is sealed, and damaged");
	}
}

static void test_passphrase(void **state)
{
	struct fixture *f = *state;
	_cleanup(age_recipients) struct age_recipients *r = age_recipients_new();
	_cleanup(str) struct str sealed = {0}, armor = {0};
	const struct conf_secret in_file = {.file = f->file};

	free(sealed_value("makes the key"));
	assert_int_equal(age_recipients_add_passphrase(r, "x", 4, NULL), 0);
	assert_int_equal(age_encrypt(r, PLANTED, strlen(PLANTED), &sealed, NULL), 0);
	age_armor(sealed.data, sealed.len, &armor);
	write_file(f, str_text(&armor), 0600);
	expect_failure(&in_file, &line, -ENOKEY, "seal it");
}

static void test_too_long_to_seal(void **state)
{
	_cleanup(secret_text) struct secret_text text = {0};
	_cleanup(free) char *plain = mem_alloc(SECRET_MAX_BYTES);
	_cleanup(str) struct str armor = {0};
	struct error err = {0};

	secret_text_set(&text, plain, SECRET_MAX_BYTES);
	assert_int_equal(secret_seal(&text, &armor, &err), -EFBIG);
	assert_non_null(strstr(err.message, "64 KiB"));
}

/* No core dump has the pages: the kernel says so of the mapping. */
static void test_memory(void **state)
{
	_cleanup(secret_text) struct secret_text text = {0};
	_cleanup(str) struct str maps = {0};
	char address[32];
	char *mapping, *flags;

	secret_text_set(&text, PLANTED, strlen(PLANTED));
	snprintf(address, sizeof(address), "%lx-", (unsigned long)text.data);
	assert_int_equal(fd_read_file("/proc/self/smaps", 16 << 20, &maps), 0);
	mapping = strstr(str_text(&maps), address);
	if (!mapping)
		skip(); /* the kernel has joined it with another one of the kind */
	flags = strstr(mapping, "VmFlags:");
	assert_non_null(flags);
	*strchr(flags, '\n') = '\0';
	assert_non_null(strstr(flags, " dd"));
	secret_text_finish(&text);
	assert_null(text.data);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_values),
	        TEST(test_files),
	        TEST(test_bad_files),
	        TEST(test_credentials_of_systemd),
	        TEST(test_stamps),
	        TEST(test_commands),
	        TEST(test_life_of_what_was_printed),
	        TEST(test_failure_passes),
	        TEST(test_bad_commands),
	        TEST(test_environment_of_commands),
	        TEST(test_cancelled_command),
	        TEST(test_many_at_once),
	        TEST(test_sealed),
	        TEST(test_sealed_elsewhere),
	        TEST(test_two_host_keys),
	        TEST(test_bad_host_keys),
	        TEST(test_damaged),
	        TEST(test_passphrase),
	        TEST(test_too_long_to_seal),
	        TEST(test_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
