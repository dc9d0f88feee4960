// SPDX-License-Identifier: Apache-2.0
/* Debian's `age` opens what is written here, and what it writes is read here: with one key, with several, armored, and with a passphrase,
 * which it asks a terminal for. */
#include "layout_test.h"

#include <keepfs/stream/age.h>

#include <pty.h>
#include <sys/wait.h>

/* A public key of SSH (RFC 8032, section 7.1): whoever else can open a file does not matter. */
#define SSH_RECIPIENT "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAINdamAGCsQq31Uv+08lkBzoO4XLz2qYjJa8CGmj3B1Ea"
#define PASSPHRASE    "correct horse battery staple"
#define EASY          10U

struct keys {
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];
	struct age_recipients *to;
	struct age_identities *with;
};

static const size_t sizes[] = {0, 1, 65535, 65536, 65537, 131072, 3 * MIB + 7};

static int set_up(void **state)
{
	struct fixture *f = new_fixture();
	struct keys *k = mem_alloc(sizeof(*k));

	if (!f)
		return -1;
	age_identity_generate(k->secret, k->recipient);
	k->to = age_recipients_new();
	k->with = age_identities_new();
	assert_int_equal(age_recipients_add(k->to, k->recipient, NULL), 0);
	assert_int_equal(age_identities_add(k->with, k->secret, NULL), 0);
	f->secret = k;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct keys *k = f->secret;

	age_recipients_free(k->to);
	age_identities_free(k->with);
	free(k);
	return free_fixture(f);
}

static void need_age(void)
{
	if (access("/usr/bin/age", X_OK) < 0)
		skip();
}

static void put_file(const char *name, const void *bytes, size_t len)
{
	FILE *f = fopen(name, "we");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, len, f), len);
	assert_int_equal(fclose(f), 0);
}

static void get_file(const char *name, struct str *out)
{
	char bytes[65536];
	FILE *f = fopen(name, "re");
	size_t n;

	assert_non_null(f);
	while ((n = fread(bytes, 1, sizeof(bytes), f)) > 0)
		str_append_bytes(out, bytes, n);
	fclose(f);
}

/* A command in the test's own directory; in the child process. */
static void become_shell(const char *command)
{
	if (chdir(root) == 0)
		execl("/bin/sh", "sh", "-c", command, (char *)NULL);
	_exit(126);
}

static void expect_success(pid_t pid, const char *command)
{
	int status = -1;

	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("%s: %d", command, status);
}

static void run(const char *command)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		become_shell(command);
	expect_success(pid, command);
}

/* With a terminal, on which each question is answered with the passphrase. */
static void run_on_terminal(const char *command)
{
	_cleanup(str) struct str said = {0};
	char bytes[1024];
	int terminal;
	ssize_t n;
	pid_t pid = forkpty(&terminal, NULL, NULL, NULL);

	assert_true(pid >= 0);
	if (pid == 0)
		become_shell(command);
	while ((n = read(terminal, bytes, sizeof(bytes))) > 0) {
		str_append_bytes(&said, bytes, (size_t)n);
		if (!strstr(said.data, "assphrase") || said.data[said.len - 1] != ' ')
			continue;
		assert_int_equal(write(terminal, PASSPHRASE "\n", sizeof(PASSPHRASE)), sizeof(PASSPHRASE));
		str_clear(&said);
	}
	close(terminal);
	expect_success(pid, command);
}

static void path_of(char ret[static 128], const char *name)
{
	snprintf(ret, 128, "%s/%s", root, name);
}

static void put_test_file(const char *name, const void *bytes, size_t len)
{
	char path[128];

	path_of(path, name);
	put_file(path, bytes, len);
}

static void get_test_file(const char *name, struct str *out)
{
	char path[128];

	path_of(path, name);
	get_file(path, out);
}

static void expect_plain(const struct fixture *f, const char *name)
{
	_cleanup(str) struct str out = {0};

	get_test_file(name, &out);
	assert_int_equal(out.len, f->plain.len);
	if (out.len > 0)
		assert_memory_equal(out.data, f->plain.data, out.len);
}

static void test_age_opens_ours(void **state)
{
	struct fixture *f = *state;
	struct keys *k = f->secret;

	need_age();
	put_test_file("key", k->secret, strlen(k->secret));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup(str) struct str stored = {0}, armored = {0};

		make_plain(f, sizes[i]);
		assert_int_equal(age_encrypt(k->to, f->plain.data, f->plain.len, &stored, NULL), 0);
		age_armor(stored.data, stored.len, &armored);
		put_test_file("ours", stored.data, stored.len);
		put_test_file("armored", armored.data, armored.len);
		run("age -d -i key ours > out");
		expect_plain(f, "out");
		run("age -d -i key armored > out");
		expect_plain(f, "out");
	}
}

static void add_new_recipient(struct keys *k)
{
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];

	age_identity_generate(secret, recipient);
	assert_int_equal(age_recipients_add(k->to, recipient, NULL), 0);
}

static struct stream_stage encrypt_for(struct fixture *f, struct stream_age *age)
{
	struct keys *k = f->secret;

	assert_int_equal(stream_age_init(age, k->to, NULL), 0);
	return stream_age_stage(age);
}

static struct stream_age written;

static struct stream_stage encrypt_once(struct fixture *f)
{
	stream_age_finish(&written);
	return encrypt_for(f, &written);
}

/* As backups are written, with an archive's first bytes last, to several recipients. */
static void test_age_opens_objects(void **state)
{
	struct fixture *f = *state;
	struct keys *k = f->secret;
	const size_t heads[] = {0, 1, 700, 65536, 70000, 131072};

	need_age();
	put_test_file("key", k->secret, strlen(k->secret));
	for (unsigned i = 0; i < 4; i++)
		add_new_recipient(k);
	f->stage = encrypt_once;
	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		write_object(f, 2 * MIB + 7 * i, heads[i], 100000);
		run("age -d -i key -o out " KEY);
		expect_plain(f, "out");
	}
	stream_age_finish(&written);
}

static void test_the_keys_are_those_of_age(void **state)
{
	struct fixture *f = *state;
	struct keys *k = f->secret;
	_cleanup(str) struct str made = {0}, shown = {0};
	struct error err = {0};

	need_age();
	put_test_file("key", k->secret, strlen(k->secret));
	run("age-keygen -y key > public && age-keygen -o made 2> said");
	get_test_file("public", &shown);
	assert_int_equal(strncmp(shown.data, k->recipient, strlen(k->recipient)), 0);
	get_test_file("made", &made);
	assert_int_equal(age_identities_add(k->with, made.data, &err), 0);
	assert_int_equal(age_identities_count(k->with), 2);
	assert_non_null(strstr(made.data, age_identities_recipient(k->with, 1)));
}

static void expect_ours_opens(struct fixture *f, const char *name)
{
	struct keys *k = f->secret;
	_cleanup(str) struct str stored = {0}, plain = {0};
	struct error err = {0};

	get_test_file(name, &stored);
	if (age_decrypt(stored.data, stored.len, k->with, &plain, &err) < 0)
		fail_msg("%s: %s", name, err.message);
	assert_int_equal(plain.len, f->plain.len);
	if (plain.len > 0)
		assert_memory_equal(plain.data, f->plain.data, plain.len);
}

static void test_ours_opens_what_age_wrote(void **state)
{
	struct fixture *f = *state;
	struct keys *k = f->secret;
	_cleanup(str) struct str recipients = {0};

	need_age();
	for (unsigned i = 0; i < 2; i++) {
		char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];

		age_identity_generate(secret, recipient);
		str_appendf(&recipients, "%s\n", recipient);
	}
	/* One of a kind that is not known here is passed over. */
	str_appendf(&recipients, "# and of SSH\n%s\n%s\n", SSH_RECIPIENT, k->recipient);
	put_test_file("recipients", recipients.data, recipients.len);
	put_test_file("one", k->recipient, strlen(k->recipient));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		make_plain(f, sizes[i]);
		put_test_file("plain", str_text(&f->plain), f->plain.len);
		run("age -R one -o theirs plain && age -R recipients -o several plain && age -a -R recipients -o armored plain");
		expect_ours_opens(f, "theirs");
		expect_ours_opens(f, "several");
		expect_ours_opens(f, "armored");
	}
}

/* Without a terminal, age reads no passphrase. Its own takes a second to try. */
static void test_passphrase_of_age(void **state)
{
	struct fixture *f = *state;
	struct keys *k = f->secret;
	_cleanup(str) struct str stored = {0}, plain = {0};
	struct error err = {0};

	need_age();
	make_plain(f, 100000);
	put_test_file("plain", f->plain.data, f->plain.len);
	run_on_terminal("age -p -o theirs plain");
	assert_int_equal(age_identities_add_passphrase(k->with, PASSPHRASE, NULL), 0);
	expect_ours_opens(f, "theirs");
	assert_int_equal(age_identities_add_passphrase(k->with, "another one", NULL), 0);
	get_test_file("theirs", &stored);
	assert_int_equal(age_decrypt(stored.data, stored.len, k->with, &plain, &err), -EKEYREJECTED);
}

static void test_passphrase_of_ours(void **state)
{
	struct fixture *f = *state;
	_cleanup(age_recipients) struct age_recipients *to = age_recipients_new();
	_cleanup(str) struct str stored = {0};

	need_age();
	make_plain(f, 100000);
	assert_int_equal(age_recipients_add_passphrase(to, PASSPHRASE, EASY, NULL), 0);
	assert_int_equal(age_encrypt(to, f->plain.data, f->plain.len, &stored, NULL), 0);
	put_test_file("ours", stored.data, stored.len);
	run_on_terminal("age -d -o out ours");
	expect_plain(f, "out");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_age_opens_ours),
	        TEST(test_age_opens_objects),
	        TEST(test_the_keys_are_those_of_age),
	        TEST(test_ours_opens_what_age_wrote),
	        TEST(test_passphrase_of_age),
	        TEST(test_passphrase_of_ours),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
