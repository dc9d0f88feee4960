// SPDX-License-Identifier: Apache-2.0
/* A directory as a source: its files in the order of the bytes of their paths, however many there are; what is passed over; files that are other ones by now. */
#include <dirent.h>
#include <dlfcn.h>
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

#include "../support/tree.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/conf.h>
#include <keepfs/store/source.h>

#define MANY 30000 /* with names of 200 bytes: more than are in memory at once */

static int make_root(void **state)
{
	char template[] = "/tmp/keepfs-source-XXXXXX";

	*state = mem_strdup(mkdtemp(template));
	return 0;
}

static int remove_root(void **state)
{
	assert_int_equal(remove_tree(*state), 0);
	free(*state);
	return 0;
}

static void put_file(const char *root, const char *name, const char *text)
{
	_cleanup(free) char *path = mem_printf("%s/%s", root, name);
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void put_directory(const char *root, const char *name)
{
	_cleanup(free) char *path = mem_printf("%s/%s", root, name);

	assert_int_equal(mkdir(path, 0700), 0);
}

static struct source *open_root(const char *root)
{
	static struct conf_store conf; /* outlives the source */
	struct source *s;

	free(conf.url);
	conf.url = mem_printf("dir:%s", root);
	assert_int_equal(source_open(&conf, 4, &s, NULL), 0);
	assert_true(source_is_local(s));
	return s;
}

static void test_order_of_paths(void **state)
{
	static const char *const expected[] = {"a-b", "a.txt", "a/b", "a/b.c", "a0", "\xff"};
	const char *root = *state;
	_cleanup(source) struct source *s = open_root(root);
	_cleanup(source_list) struct source_list *list = source_list_new(s, NULL);
	_cleanup(free) char *link = mem_printf("%s/link", root), *fifo = mem_printf("%s/fifo", root);
	size_t i = 0;

	put_directory(root, "a");
	put_directory(root, "nothing in it");
	put_file(root, "a/b.c", "");
	put_file(root, "a/b", "");
	put_file(root, "a0", "0");
	put_file(root, "a-b", "");
	put_file(root, "a.txt", "");
	put_file(root, "\xff", "");
	assert_int_equal(symlink("a0", link), 0);
	assert_int_equal(mkfifo(fifo, 0600), 0);
	for (;;) {
		_cleanup(source_object) struct source_object o = {0};
		int r = source_list_next(list, &o, NULL);

		if (r == 0)
			break;
		assert_int_equal(r, 1);
		assert_string_equal(o.key, expected[i++]);
	}
	assert_int_equal(i, sizeof(expected) / sizeof(*expected));
	assert_int_equal(source_list_left(list)->links, 1);
	assert_int_equal(source_list_left(list)->others, 1);
	assert_int_equal(source_list_left(list)->unreadable, 0);
}

/* The directory is read several times then; links are counted once all the same. */
static void test_more_names_than_are_in_memory(void **state)
{
	const char *root = *state;
	_cleanup(source) struct source *s = open_root(root);
	_cleanup(source_list) struct source_list *list = source_list_new(s, NULL);
	_cleanup(free) char *link = mem_printf("%s/a link", root), *last = mem_strdup("");
	char name[220];

	for (unsigned i = 0; i < MANY; i++) {
		/* In no order, as directories are. */
		snprintf(name, sizeof(name), "%08x%0192d", i * 2654435761U, 0);
		put_file(root, name, "");
	}
	assert_int_equal(symlink("x", link), 0);
	for (unsigned i = 0; i <= MANY; i++) {
		_cleanup(source_object) struct source_object o = {0};
		int r = source_list_next(list, &o, NULL);

		assert_int_equal(r, i < MANY);
		if (r == 0)
			break;
		assert_true(strcmp(last, o.key) < 0);
		mem_replace_string(&last, o.key);
	}
	assert_int_equal(source_list_left(list)->links, 1);
}

static void test_a_file_that_is_another_one(void **state)
{
	const char *root = *state;
	_cleanup(source) struct source *s = open_root(root);
	_cleanup(source_object) struct source_object o = {0};
	_cleanup(free) char *path = mem_printf("%s/x", root);
	char text[5] = "";
	const struct iovec iov = {.iov_base = text, .iov_len = 5};
	struct error err = {0};

	put_file(root, "x", "first");
	assert_int_equal(source_head(s, NULL, "x", &o, NULL), 0);
	assert_int_equal(o.bytes, 5);
	assert_int_equal(source_get(s, NULL, "x", o.etag, 0, &iov, 1, NULL, NULL), 0);
	assert_memory_equal(text, "first", 5);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(source_get(s, NULL, "x", o.etag, 0, &iov, 1, NULL, &err), -ENOENT);
	assert_non_null(strstr(err.message, path));
	put_file(root, "x", "other text");
	assert_int_equal(source_get(s, NULL, "x", o.etag, 0, &iov, 1, NULL, &err), -ESTALE);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("elsewhere", path), 0);
	assert_int_equal(source_get(s, NULL, "x", o.etag, 0, &iov, 1, NULL, &err), -ENOENT);
}

static void test_a_directory_that_is_not_there(void **state)
{
	_cleanup(free) char *path = mem_printf("%s/none", (const char *)*state);
	_cleanup(source) struct source *s = open_root(path);
	_cleanup(source_list) struct source_list *list = source_list_new(s, NULL);
	struct source_object o = {0};
	struct error err = {0};

	assert_int_equal(source_list_next(list, &o, &err), -ENOENT);
	assert_non_null(strstr(err.message, path));
}

/* Of a directory with so many entries left the disk gives no more. */
static int entries_until_failure = -1; /* -1: there is none */

struct dirent *readdir(DIR *dir)
{
	static struct dirent *(*real)(DIR *);

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "readdir64");
	if (!real) /* of a C library that has one only */
		*(void **)&real = dlsym(RTLD_NEXT, "readdir");
	if (entries_until_failure == 0) {
		errno = EIO;
		return NULL;
	}
	entries_until_failure -= entries_until_failure > 0;
	return real(dir);
}

static int list_all(struct source_list *list, unsigned *ret_count, struct error *err)
{
	int r;

	*ret_count = 0;
	do {
		_cleanup(source_object) struct source_object o = {0};

		r = source_list_next(list, &o, err);
		*ret_count += r == 1;
	} while (r == 1);
	return r;
}

/* What was not read of a directory is not gone. */
static void test_a_directory_that_cannot_be_read_to_its_end(void **state)
{
	const char *root = *state;
	_cleanup(source) struct source *s = open_root(root);
	_cleanup(source_list) struct source_list *below = source_list_new(s, NULL);
	_cleanup(source_list) struct source_list *all = source_list_new(s, NULL);
	struct error err = {0};
	unsigned count;

	put_directory(root, "a");
	put_file(root, "a/1", "");
	put_file(root, "a/2", "");
	/* Three of the root, with its end. */
	entries_until_failure = 4;
	assert_int_equal(list_all(below, &count, &err), 0);
	entries_until_failure = -1;
	assert_int_equal(source_list_left(below)->unreadable, 1);
	assert_non_null(strstr(source_list_left(below)->first, "a/: "));

	entries_until_failure = 1;
	assert_int_equal(list_all(all, &count, &err), -EIO);
	entries_until_failure = -1;
	assert_non_null(strstr(err.message, root));
}

/* Its names can be read, and nothing else: those are no files that are gone. */
static void test_a_directory_that_must_not_be_entered(void **state)
{
	const char *root = *state;
	_cleanup(source) struct source *s = open_root(root);
	_cleanup(source_list) struct source_list *list = source_list_new(s, NULL);
	_cleanup(free) char *path = mem_printf("%s/a", root);
	bool is_root = geteuid() == 0;
	unsigned count;

	put_directory(root, "a");
	put_file(root, "a/1", "");
	put_file(root, "a/2", "");
	assert_int_equal(chmod(root, 0755), 0);
	assert_int_equal(chmod(path, 0444), 0);
	if (is_root)
		assert_int_equal(seteuid(65534), 0);
	assert_int_equal(list_all(list, &count, NULL), 0);
	if (is_root)
		assert_int_equal(seteuid(0), 0);
	assert_int_equal(chmod(path, 0700), 0);
	assert_int_equal(count, 0);
	assert_int_equal(source_list_left(list)->unreadable, 2);
	assert_non_null(strstr(source_list_left(list)->first, "a/1: "));
}

/* A file system that is unmounted leaves an empty directory: its files are not gone. */
static void test_a_root_that_becomes_another_one(void **state)
{
	_cleanup(free) char *root = mem_printf("%s/root", (const char *)*state);
	_cleanup(free) char *away = mem_printf("%s/away", (const char *)*state);
	_cleanup(source) struct source *s = open_root(root);
	_cleanup(source_list) struct source_list *list = source_list_new(s, NULL);
	_cleanup(source_object) struct source_object o = {0};
	char text[1];
	const struct iovec iov = {.iov_base = text, .iov_len = 1};
	struct error err = {0};
	unsigned count;

	put_directory(*state, "root");
	put_directory(root, "b");
	put_file(root, "a", "a");
	put_file(root, "b/c", "c");
	assert_int_equal(source_list_next(list, &o, NULL), 1);
	assert_int_equal(rename(root, away), 0);
	put_directory(*state, "root");
	assert_int_equal(list_all(list, &count, &err), -EIO);
	assert_int_equal(err.class, ERROR_UNAVAILABLE);
	assert_non_null(strstr(err.message, "is another directory"));
	assert_int_equal(source_get(s, NULL, "a", o.etag, 0, &iov, 1, NULL, &err), -EIO);
	assert_int_equal(rmdir(root), 0);
	assert_int_equal(source_get(s, NULL, "a", o.etag, 0, &iov, 1, NULL, &err), -EIO);
	assert_non_null(strstr(err.message, "is not there any more"));
}

/* A place that is one's own goes with all that is in it, also what no listing tells; what a link leads to stays. */
static void test_a_place_is_emptied(void **state)
{
	_cleanup(free) char *root = mem_printf("%s/root", (const char *)*state),
	                    *other = mem_printf("%s/other", (const char *)*state),
	                    *kept = mem_printf("%s/kept", other), *link = mem_printf("%s/link", root);
	_cleanup(source) struct source *s = open_root(root);

	put_directory(*state, "root");
	put_directory(*state, "other");
	put_file(other, "kept", "k");
	put_directory(root, "a");
	put_file(root, "a/file", "a");
	put_file(root, ".keepfs-back-0", "what was being written");
	assert_int_equal(symlink(other, link), 0);
	assert_int_equal(source_empty(s, NULL, NULL), 0);
	assert_int_equal(access(root, F_OK), -1);
	assert_int_equal(access(kept, F_OK), 0);
	assert_int_equal(source_empty(s, NULL, NULL), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_a_directory_that_cannot_be_read_to_its_end, make_root,
	                                        remove_root),
	        cmocka_unit_test_setup_teardown(test_a_directory_that_must_not_be_entered, make_root,
	                                        remove_root),
	        cmocka_unit_test_setup_teardown(test_a_root_that_becomes_another_one, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(test_a_place_is_emptied, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(test_order_of_paths, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(test_more_names_than_are_in_memory, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(test_a_file_that_is_another_one, make_root, remove_root),
	        cmocka_unit_test_setup_teardown(test_a_directory_that_is_not_there, make_root, remove_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
