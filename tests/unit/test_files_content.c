// SPDX-License-Identifier: Apache-2.0
/* How files are opened and read for an archive: what is in the system's cache stays there, and what was not does not come to stay; what is no file any more is not waited for. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/files/content.h"
#include "../../src/files/fd_path.h"
#include "../../src/files/walk.h"
#include "../support/tree.h"

#include <keepfs/base/mem.h>

#define FILE_BYTES ((size_t)3 << 20)

struct taking {
	struct sink sink;
	char *expected;
	size_t at;
};

static int take_expected(struct sink *s, const void *data, size_t len, struct error *err)
{
	struct taking *t = (struct taking *)s;

	(void)err;
	assert_true(t->at + len <= FILE_BYTES);
	assert_memory_equal(data, t->expected + t->at, len);
	t->at += len;
	return 0;
}

static const struct sink_ops taking_ops = {.write = take_expected};

static size_t cached_pages(int fd)
{
	size_t pages = FILE_BYTES / (size_t)sysconf(_SC_PAGESIZE), count = 0;
	_cleanup(free) unsigned char *resident = mem_alloc(pages);
	void *memory = mmap(NULL, FILE_BYTES, PROT_READ, MAP_SHARED, fd, 0);

	assert_ptr_not_equal(memory, MAP_FAILED);
	assert_int_equal(mincore(memory, FILE_BYTES, resident), 0);
	munmap(memory, FILE_BYTES);
	for (size_t i = 0; i < pages; i++)
		count += resident[i] & 1;
	return count;
}

/* Through the system call itself: tests run with an fsync() that does nothing, and what was not written stays in the cache. */
static void drop_file(int fd)
{
	assert_int_equal(syscall(SYS_fsync, fd), 0);
	assert_int_equal(posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED), 0);
}

static void archive_content(int fd, char *expected)
{
	struct taking t = {.sink.ops = &taking_ops, .expected = expected};
	const struct files_options options = {.sink = &t.sink};
	struct content c;
	struct statx st;
	struct out out;

	assert_int_equal(walk_stat(fd, &st), 0);
	out_init(&out, &options);
	content_init(&c, fd, &st);
	assert_int_equal(content_archived_bytes(&c), FILE_BYTES);
	assert_int_equal(content_write(&c, &out, NULL), 0);
	assert_int_equal(out_flush(&out, NULL), 0);
	assert_int_equal(t.at, FILE_BYTES);
	assert_int_equal(c.errnum, 0);
	assert_false(c.was_cut);
	content_finish(&c);
	out_finish(&out);
}

static void test_the_cache_stays_as_it_was(void **state)
{
	char path[] = "/var/tmp/keepfs-content-XXXXXX";
	_cleanup(fd) int fd = mkstemp(path);
	_cleanup(free) char *data = mem_alloc(FILE_BYTES);

	assert_true(fd >= 0);
	unlink(path);
	for (size_t i = 0; i < FILE_BYTES; i++)
		data[i] = (char)(i * 2654435761U >> 13);
	assert_int_equal(pwrite(fd, data, FILE_BYTES, 0), FILE_BYTES);
	drop_file(fd);
	if (cached_pages(fd) > 0) {
		print_message("skipped: the file system of /var/tmp is in memory\n");
		skip();
	}
	archive_content(fd, data);
	assert_int_equal(cached_pages(fd), 0);
	assert_int_equal(pread(fd, data, FILE_BYTES, 0), FILE_BYTES);
	archive_content(fd, data);
	assert_int_equal(cached_pages(fd), FILE_BYTES / (size_t)sysconf(_SC_PAGESIZE));
	/* The first page alone is: others use it, and what is behind it is read all the same. */
	assert_int_equal(posix_fadvise(fd, 65536, 0, POSIX_FADV_DONTNEED), 0);
	archive_content(fd, data);
	assert_true(cached_pages(fd) > 0);
}

static void test_what_is_opened_as_a_file(void **state)
{
	char root[] = "/tmp/keepfs-open-XXXXXX";
	_cleanup(fd) int dir = -1;
	int fd;

	assert_non_null(mkdtemp(root));
	dir = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkfifoat(dir, "fifo", 0600), 0);
	assert_int_equal(symlinkat("/etc/passwd", dir, "link"), 0);
	fd = openat(dir, "file", O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	fd = fd_open_file(dir, "fifo"); /* nobody writes to it, and it does not wait */
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(fd_open_file(dir, "link"), -ELOOP);
	assert_int_equal(fd_open_file(dir, "none"), -ENOENT);
	fd = fd_open_file(dir, "file");
	assert_true(fd >= 0);
	close(fd);
	remove_tree(root);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_the_cache_stays_as_it_was),
	        cmocka_unit_test(test_what_is_opened_as_a_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
