// SPDX-License-Identifier: Apache-2.0
/* What only a directory can promise: modes, and no way out of it. */
#include "suite.h"

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static mode_t mode_of(const char *path)
{
	struct stat st;

	assert_int_equal(lstat(path, &st), 0);
	return st.st_mode & 07777;
}

static void files_are_private(void **state)
{
	struct suite *t = *state;
	_cleanup(free) char *object = NULL, *directory = NULL, *uploaded = NULL, *work = NULL;
	struct store_upload *up = NULL;
	struct store_part part;
	char key[STORE_KEY_BYTES];
	mode_t before = umask(0);

	suite_put(t, suite_key(t, key, "d/object"), "x");
	object = mem_printf("%s/%s", t->root, key);
	directory = mem_printf("%s/%sd", t->root, t->prefix);
	assert_ok(store_upload_begin(t->store, NULL, suite_key(t, key, "uploaded"), &up, &err));
	assert_ok(store_upload_part(up, NULL, 1, &(struct iovec){"y", 1}, 1, &part, &err));
	assert_ok(store_upload_complete(up, NULL, &part, 1, &err));
	store_upload_free(up);
	umask(before);
	uploaded = mem_printf("%s/%s", t->root, key);
	work = mem_printf("%s/.keepfs", t->root);
	assert_int_equal(mode_of(object), 0600);
	assert_int_equal(mode_of(uploaded), 0600);
	assert_int_equal(mode_of(directory), 0700);
	assert_int_equal(mode_of(work), 0700);
}

/* A link below the root that points to a directory outside it. */
static void directory_links_are_not_followed(void **state)
{
	struct suite *t = *state;
	char outside[] = "/tmp/keepfs-outside-XXXXXX", key[STORE_KEY_BYTES], byte;
	_cleanup(free) char *link = NULL, *victim = NULL;
	struct store_object object, *objects = NULL;
	struct store_upload *up = NULL;
	struct iovec iov = {&byte, 1};
	size_t count;
	bool more;
	int fd;

	assert_non_null(mkdtemp(outside));
	victim = mem_printf("%s/victim", outside);
	fd = open(victim, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "precious", 8), 8);
	close(fd);
	suite_put(t, suite_key(t, key, "kept"), "x");
	link = mem_printf("%s/%slink", t->root, t->prefix);
	assert_int_equal(symlink(outside, link), 0);
	suite_key(t, key, "link/victim");
	assert_fails(ELOOP, ERROR_USAGE, store_put_bytes(t->store, NULL, key, "bad", 3, NULL, &err));
	assert_fails(ELOOP, ERROR_USAGE, store_get(t->store, NULL, key, 0, &iov, 1, NULL, &err));
	assert_fails(ELOOP, ERROR_USAGE, store_head(t->store, NULL, key, &object, &err));
	assert_fails(ELOOP, ERROR_USAGE, store_remove(t->store, NULL, key, &err));
	assert_fails(ELOOP, ERROR_USAGE, store_upload_begin(t->store, NULL, key, &up, &err));
	assert_fails(ELOOP, ERROR_USAGE,
	             store_list(t->store, NULL, t->prefix, NULL, 1000, &objects, &count, &more, &err));
	assert_int_equal(unlink(link), 0);
	assert_int_equal(unlink(victim), 0); /* it was neither removed nor replaced by another */
	assert_int_equal(rmdir(outside), 0);
}

static void file_links_are_not_followed(void **state)
{
	struct suite *t = *state;
	char outside[] = "/tmp/keepfs-outside-XXXXXX", key[STORE_KEY_BYTES], byte;
	_cleanup(free) char *link = NULL;
	struct store_object object;
	struct iovec iov = {&byte, 1};
	struct stat st;
	int fd = mkstemp(outside);

	assert_int_equal(write(fd, "precious", 8), 8);
	suite_put(t, suite_key(t, key, "kept"), "x");
	suite_key(t, key, "link");
	link = mem_printf("%s/%s", t->root, key);
	assert_int_equal(symlink(outside, link), 0);
	assert_fails(ELOOP, ERROR_USAGE, store_get(t->store, NULL, key, 0, &iov, 1, NULL, &err));
	assert_fails(ELOOP, ERROR_USAGE, store_head(t->store, NULL, key, &object, &err));
	assert_fails(ELOOP, ERROR_USAGE,
	             store_put_bytes(t->store, NULL, key, "bad", 3, &(struct store_put_options){true, NULL},
	                             &err));
	assert_fails(ELOOP, ERROR_USAGE, store_put_bytes(t->store, NULL, key, "bad", 3, NULL, &err));
	assert_ok(store_remove(t->store, NULL, key, &err)); /* the link itself */
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 8);
	close(fd);
	unlink(outside);
}

static void an_object_is_no_directory(void **state)
{
	struct suite *t = *state;
	struct store_upload *up = NULL;
	char key[STORE_KEY_BYTES];

	suite_put(t, suite_key(t, key, "a"), "x");
	suite_key(t, key, "a/b");
	assert_fails(ENOTDIR, ERROR_CONFLICT, store_put_bytes(t->store, NULL, key, "y", 1, NULL, &err));
	assert_fails(ENOTDIR, ERROR_CONFLICT, store_upload_begin(t->store, NULL, key, &up, &err));
	suite_put(t, suite_key(t, key, "d/e"), "x");
	suite_key(t, key, "d");
	assert_fails(EISDIR, ERROR_CONFLICT, store_put_bytes(t->store, NULL, key, "y", 1, NULL, &err));
	assert_fails(
	        EISDIR, ERROR_CONFLICT,
	        store_put_bytes(t->store, NULL, key, "y", 1, &(struct store_put_options){true, NULL}, &err));
	assert_ok(store_remove(t->store, NULL, key, &err)); /* no such object */
	suite_expect(t, suite_key(t, key, "d/e"), "x", 1);
}

static size_t count_files(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	size_t count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		count += entry->d_name[0] != '.';
	closedir(dir);
	return count;
}

/* A first part that is announced and comes last does not make a large object be written twice: no part lies
 * in a file of its own. */
static void announced_parts_are_written_once(void **state)
{
	static const char *const texts[] = {"the head, ", "what follows, ", "and the end"};
	static const unsigned order[] = {1, 2, 0};
	struct suite *t = *state;
	_cleanup(free) char *directory = NULL;
	struct store_upload *up = NULL;
	struct store_part parts[3];
	char key[STORE_KEY_BYTES];

	assert_ok(store_upload_begin(t->store, NULL, suite_key(t, key, "announced"), &up, &err));
	directory = mem_printf("%s/.keepfs/uploads/%s", t->root, store_upload_id(up));
	store_upload_announce(up, 1, strlen(texts[0]));
	for (size_t i = 0; i < ARRAY_SIZE(order); i++) {
		unsigned n = order[i];
		struct iovec iov = {(void *)texts[n], strlen(texts[n])};

		assert_ok(store_upload_part(up, NULL, n + 1, &iov, 1, &parts[n], &err));
		assert_int_equal(count_files(directory), 1);
	}
	assert_ok(store_upload_complete(up, NULL, parts, 3, &err));
	store_upload_free(up);
	suite_expect(t, key, "the head, what follows, and the end", 35);
}

const struct CMUnitTest dir_cases[] = {
        CASE(files_are_private),
        CASE(directory_links_are_not_followed),
        CASE(file_links_are_not_followed),
        CASE(an_object_is_no_directory),
        CASE(announced_parts_are_written_once),
};
const size_t dir_case_count = ARRAY_SIZE(dir_cases);
