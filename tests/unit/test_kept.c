// SPDX-License-Identifier: Apache-2.0
/* Files of what was learnt about dumps: what is wrong with one makes it none, and there are never too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../src/inside/kept.h"
#include "../support/tree.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define INO       UINT64_C(0x1234)
#define FINISHED  INT64_C(0x5678)
#define DUMP_NAME "0000000000001234-0000000000005678"

struct bench {
	char state_dir[64];
	char *file; /* of the_name */
	struct kept *kept;
	uint64_t gone_ino;
};

static const struct kept_name the_name = {
        .dump_ino = INO, .finished_at_us = FINISHED, .kind = KEPT_MEMBER, .key = 26, .id = {1, 2, 3}};

static bool is_still_there(void *arg, uint64_t dump_ino, int64_t finished_at_us)
{
	return dump_ino != ((struct bench *)arg)->gone_ino;
}

static void begin_kept(struct bench *b, uint64_t limit_bytes)
{
	kept_free(b->kept);
	b->kept = kept_new(&(struct kept_options){
	        .state_dir = b->state_dir, .limit_bytes = limit_bytes, .is_there = is_still_there, .arg = b});
}

static int set_up(void **state)
{
	struct bench *b = mem_alloc(sizeof(*b));

	snprintf(b->state_dir, sizeof(b->state_dir), "%s/keepfs-kept-XXXXXX",
	         access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	assert_non_null(mkdtemp(b->state_dir));
	b->file = mem_printf("%s/inside/" DUMP_NAME "/1-1a", b->state_dir);
	begin_kept(b, 0);
	*state = b;
	return 0;
}

static int tear_down(void **state)
{
	struct bench *b = *state;

	kept_free(b->kept);
	remove_tree(b->state_dir);
	free(b->file);
	free(b);
	return 0;
}

static void keep_text(struct bench *b, const struct kept_name *name, const char *text)
{
	struct kept_writer w;

	kept_begin(b->kept, name, &w);
	kept_put_u32(&w, 0x12345678);
	kept_put_u64(&w, UINT64_C(0x123456789abcdef0));
	kept_put(&w, text, strlen(text));
	kept_end(&w, true);
}

static bool is_kept(struct bench *b, const struct kept_name *name, const char *text)
{
	_cleanup(free) char *found = mem_alloc(strlen(text) + 1);
	struct kept_reader r;
	bool right;

	if (!kept_open(b->kept, name, &r))
		return false;
	right = kept_get_u32(&r) == 0x12345678 && kept_get_u64(&r) == UINT64_C(0x123456789abcdef0) &&
	        kept_left(&r) == strlen(text) && kept_get(&r, found, strlen(text)) &&
	        strcmp(found, text) == 0;
	return kept_close(&r, true) && right;
}

static void read_whole(const char *path, struct str *out)
{
	assert_int_equal(fd_read_file(path, 1 << 20, out), 0);
}

static void write_whole(const char *path, const char *data, size_t len)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
}

static unsigned count_names(const char *format, const char *directory)
{
	_cleanup(free) char *path = mem_printf("%s%s", directory, format);
	DIR *d = opendir(path);
	struct dirent *e;
	unsigned count = 0;

	while (d && (e = readdir(d)))
		count += e->d_name[0] != '.';
	if (d)
		closedir(d);
	return count;
}

static void what_was_kept_is_found(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *directory = mem_printf("%s/inside", b->state_dir);
	struct stat st;

	assert_false(is_kept(b, &the_name, "points"));
	keep_text(b, &the_name, "points");
	assert_true(is_kept(b, &the_name, "points"));
	keep_text(b, &the_name, "others");
	begin_kept(b, 0);
	assert_true(is_kept(b, &the_name, "others"));
	assert_int_equal(stat(b->file, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0600);
	assert_int_equal(stat(directory, &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_int_equal(count_names("/inside/" DUMP_NAME, b->state_dir), 1);
}

static void a_large_one(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *text = mem_alloc(300001);

	for (size_t i = 0; i < 300000; i++)
		text[i] = (char)('a' + i % 23);
	keep_text(b, &the_name, text);
	assert_true(is_kept(b, &the_name, text));
}

/* Each of them is of another thing. */
static void of_something_else(void **state)
{
	struct bench *b = *state;
	struct kept_name other[5];

	for (size_t i = 0; i < ARRAY_SIZE(other); i++)
		other[i] = the_name;
	other[0].dump_ino++;
	other[1].finished_at_us++;
	other[2].kind = KEPT_CSV;
	other[3].key++;
	other[4].id[31]++;
	keep_text(b, &the_name, "mine");
	for (size_t i = 0; i < ARRAY_SIZE(other) - 1; i++) {
		assert_false(is_kept(b, &other[i], "mine"));
		assert_true(is_kept(b, &the_name, "mine"));
	}
	/* Other bytes under the same name: it is of no use to anybody. */
	assert_false(is_kept(b, &other[4], "mine"));
	assert_int_equal(access(b->file, F_OK), -1);
}

/* A file that somebody has given the name of another one. */
static void under_another_name(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *path = mem_printf("%s/inside/" DUMP_NAME "/1-1b", b->state_dir);
	struct kept_name other = the_name;

	other.key++;
	keep_text(b, &the_name, "mine");
	assert_int_equal(rename(b->file, path), 0);
	assert_false(is_kept(b, &other, "mine"));
	assert_int_equal(access(path, F_OK), -1);
}

static void expect_none(struct bench *b, const char *data, size_t len)
{
	write_whole(b->file, data, len);
	assert_false(is_kept(b, &the_name, "points"));
	assert_int_equal(access(b->file, F_OK), -1);
}

static void cut_off_or_longer(void **state)
{
	struct bench *b = *state;
	_cleanup(str) struct str whole = {0};

	keep_text(b, &the_name, "points");
	read_whole(b->file, &whole);
	for (size_t len = 0; len < whole.len; len++)
		expect_none(b, whole.data, len);
	str_append_char(&whole, '\0');
	expect_none(b, whole.data, whole.len);
}

static void with_a_byte_that_is_wrong(void **state)
{
	struct bench *b = *state;
	_cleanup(str) struct str whole = {0};

	keep_text(b, &the_name, "points");
	read_whole(b->file, &whole);
	for (size_t i = 0; i < whole.len; i++) {
		for (unsigned bit = 0; bit < 8; bit++) {
			whole.data[i] = (char)(whole.data[i] ^ 1 << bit);
			expect_none(b, whole.data, whole.len);
			whole.data[i] = (char)(whole.data[i] ^ 1 << bit);
		}
	}
	write_whole(b->file, whole.data, whole.len);
	assert_true(is_kept(b, &the_name, "points"));
}

/* What a keepfs of another year has written is learnt anew. */
static void of_another_version(void **state)
{
	struct bench *b = *state;
	_cleanup(str) struct str whole = {0};
	uint32_t crc;

	keep_text(b, &the_name, "points");
	read_whole(b->file, &whole);
	whole.data[8]++;
	crc = crc32c(0, whole.data, whole.len - sizeof(crc));
	memcpy(whole.data + whole.len - sizeof(crc), &crc, sizeof(crc));
	expect_none(b, whole.data, whole.len);
}

static void less_or_more_than_is_asked_for(void **state)
{
	struct bench *b = *state;
	struct kept_reader r;
	char byte;

	keep_text(b, &the_name, "x");
	assert_true(kept_open(b->kept, &the_name, &r));
	kept_get_u64(&r);
	assert_false(kept_close(&r, true));
	assert_int_equal(access(b->file, F_OK), -1);
	keep_text(b, &the_name, "");
	assert_true(kept_open(b->kept, &the_name, &r));
	kept_get_u64(&r);
	kept_get_u32(&r);
	assert_false(kept_get(&r, &byte, 1));
	assert_int_equal(kept_get_u64(&r), 0);
	assert_int_equal(kept_left(&r), 0);
	assert_false(kept_close(&r, true));
	keep_text(b, &the_name, "");
	assert_true(kept_open(b->kept, &the_name, &r));
	kept_get_u64(&r);
	kept_get_u32(&r);
	assert_false(kept_close(&r, false));
	assert_int_equal(access(b->file, F_OK), -1);
}

/* Whoever gives up leaves what was there. */
static void what_is_not_finished(void **state)
{
	struct bench *b = *state;
	struct kept_writer w;

	keep_text(b, &the_name, "points");
	kept_begin(b->kept, &the_name, &w);
	kept_put(&w, "half", 4);
	kept_end(&w, false);
	assert_true(is_kept(b, &the_name, "points"));
	assert_int_equal(count_names("/inside/" DUMP_NAME, b->state_dir), 1);
}

static void two_that_write_at_once(void **state)
{
	struct bench *b = *state;
	struct kept *other = kept_new(&(struct kept_options){.state_dir = b->state_dir});
	struct kept_writer one, two;

	kept_begin(b->kept, &the_name, &one);
	kept_begin(other, &the_name, &two);
	kept_put_u32(&one, 0x12345678);
	kept_put_u32(&two, 0x12345678);
	kept_put_u64(&two, UINT64_C(0x123456789abcdef0));
	kept_put_u64(&one, UINT64_C(0x123456789abcdef0));
	kept_put(&one, "one", 3);
	kept_put(&two, "two", 3);
	kept_end(&one, true);
	assert_true(is_kept(b, &the_name, "one"));
	kept_end(&two, true);
	assert_true(is_kept(b, &the_name, "two"));
	kept_free(other);
}

static void nothing_can_be_written(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *path = mem_printf("%s/inside", b->state_dir);

	write_whole(path, "", 0);
	keep_text(b, &the_name, "points");
	keep_text(b, &the_name, "points");
	assert_false(is_kept(b, &the_name, "points"));
	kept_forget(b->kept, &the_name);
	kept_forget_dump(b->kept, INO);
	kept_tidy(b->kept);
	assert_int_equal(unlink(path), 0);
	keep_text(b, &the_name, "points");
	assert_true(is_kept(b, &the_name, "points"));
}

/* Where others may write, they could say what they like. */
static void a_directory_of_others(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *path = mem_printf("%s/inside/" DUMP_NAME, b->state_dir);

	keep_text(b, &the_name, "points");
	assert_int_equal(chmod(path, 0777), 0);
	assert_false(is_kept(b, &the_name, "points"));
	keep_text(b, &the_name, "others");
	assert_int_equal(chmod(path, 0700), 0);
	assert_true(is_kept(b, &the_name, "points"));
	assert_int_equal(rename(b->file, path) == 0, false);
}

static void a_link(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *elsewhere = mem_printf("%s/elsewhere", b->state_dir);

	keep_text(b, &the_name, "points");
	assert_int_equal(rename(b->file, elsewhere), 0);
	assert_int_equal(symlink(elsewhere, b->file), 0);
	assert_false(is_kept(b, &the_name, "points"));
	keep_text(b, &the_name, "points");
	assert_true(is_kept(b, &the_name, "points"));
}

static void of_dumps_that_are_gone(void **state)
{
	struct bench *b = *state;
	struct kept_name other = the_name;

	other.dump_ino = 1;
	keep_text(b, &the_name, "mine");
	keep_text(b, &other, "others");
	kept_tidy(b->kept);
	assert_true(is_kept(b, &the_name, "mine"));
	assert_true(is_kept(b, &other, "others"));
	b->gone_ino = 1;
	kept_tidy(b->kept);
	assert_true(is_kept(b, &the_name, "mine"));
	assert_false(is_kept(b, &other, "others"));
	assert_int_equal(count_names("/inside", b->state_dir), 1);
	kept_forget_dump(b->kept, 2);
	assert_true(is_kept(b, &the_name, "mine"));
	kept_forget_dump(b->kept, INO);
	assert_false(is_kept(b, &the_name, "mine"));
	assert_int_equal(count_names("/inside", b->state_dir), 0);
}

/* What a crash has left goes at the next start; what nobody of us has made is left alone. */
static void what_is_found_at_a_start(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *left = mem_printf("%s/inside/" DUMP_NAME "/tmp-1-1", b->state_dir);
	_cleanup(free) char *foreign = mem_printf("%s/inside/notes", b->state_dir);

	keep_text(b, &the_name, "points");
	write_whole(left, "half", 4);
	write_whole(foreign, "", 0);
	for (unsigned i = 0; i < 100; i++)
		keep_text(b, &the_name, "points");
	assert_int_equal(access(left, F_OK), 0);
	kept_tidy(b->kept);
	assert_int_equal(access(left, F_OK), -1);
	assert_int_equal(access(foreign, F_OK), 0);
	assert_true(is_kept(b, &the_name, "points"));
}

static void set_used(const struct bench *b, uint64_t key, time_t at_s)
{
	_cleanup(free) char *path =
	        mem_printf("%s/inside/" DUMP_NAME "/1-%llx", b->state_dir, (unsigned long long)key);
	const struct timespec at[2] = {{.tv_sec = at_s}, {.tv_sec = at_s}};

	assert_int_equal(utimensat(AT_FDCWD, path, at, 0), 0);
}

/* Each takes a block of 4096 bytes: of ten there is room for eight, and then for seven. */
static void the_one_that_was_not_used_for_longest_goes(void **state)
{
	struct bench *b = *state;
	struct kept_name name = the_name;

	begin_kept(b, UINT64_C(8) * 4096);
	for (name.key = 1; name.key <= 8; name.key++) {
		keep_text(b, &name, "x");
		set_used(b, name.key, 1000 + (time_t)name.key);
	}
	name.key = 1;
	assert_true(is_kept(b, &name, "x")); /* used now */
	name.key = 9;
	keep_text(b, &name, "x");
	for (name.key = 1; name.key <= 9; name.key++)
		assert_int_equal(is_kept(b, &name, "x"), name.key != 2 && name.key != 3);
}

static void one_that_is_too_long(void **state)
{
	struct bench *b = *state;
	_cleanup(free) char *text = mem_alloc(40001);

	memset(text, 'x', 40000);
	begin_kept(b, 100000);
	keep_text(b, &the_name, "points");
	keep_text(b, &the_name, text);
	assert_true(is_kept(b, &the_name, "points"));
	assert_int_equal(count_names("/inside/" DUMP_NAME, b->state_dir), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
	static const struct CMUnitTest tests[] = {
	        TEST(what_was_kept_is_found),
	        TEST(a_large_one),
	        TEST(of_something_else),
	        TEST(under_another_name),
	        TEST(cut_off_or_longer),
	        TEST(with_a_byte_that_is_wrong),
	        TEST(of_another_version),
	        TEST(less_or_more_than_is_asked_for),
	        TEST(what_is_not_finished),
	        TEST(two_that_write_at_once),
	        TEST(nothing_can_be_written),
	        TEST(a_directory_of_others),
	        TEST(a_link),
	        TEST(of_dumps_that_are_gone),
	        TEST(what_is_found_at_a_start),
	        TEST(the_one_that_was_not_used_for_longest_goes),
	        TEST(one_that_is_too_long),
	};

	return cmocka_run_group_tests_name("kept", tests, NULL, NULL);
}
