// SPDX-License-Identifier: Apache-2.0
/* The reader and the disk cache. */
#include "reader_test.h"

#include <fcntl.h>
#include <unistd.h>

static struct reader *with_cache(struct bench *b, struct cache *cache)
{
	const struct reader_options options = {.store = &b->store.base,
	                                       .cache = cache,
	                                       .pool = b->pool,
	                                       .buffers = 8,
	                                       .threads = 2,
	                                       .metrics = &b->metrics};
	struct reader *r;
	struct error err = {0};

	reader_close(b->file, NULL);
	reader_free(b->reader);
	assert_int_equal(reader_new(&options, &r, &err), 0);
	b->reader = r;
	b->file = open_file(b, 1);
	return r;
}

static void test_disk_cache(void **state)
{
	static const uint32_t fine[] = {65536};
	uint64_t size = 20 * MIB + 777;
	char dir[] = "/tmp/keepfs-reader-XXXXXX", path[128];
	struct cache_stats stats;
	struct cache *cache;
	struct error err = {0};
	unsigned char wrong;
	struct bench b;
	int fd;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(cache_open(dir, 64 * MIB, &cache, &err), 0);
	bench_init(&b, size, fine, 1, 8, 2);
	with_cache(&b, cache);
	for (uint64_t at = 0; at < size; at += MIB)
		assert_int_equal(read_range(b.file, size, at, MIB), 0);
	assert_int_equal(b.store.bytes, size);
	/* Another open, another daemon, in any order: nothing is fetched. */
	with_cache(&b, cache);
	for (uint64_t at = size / MIB * MIB + MIB; at > 0; at -= MIB)
		assert_int_equal(read_range(b.file, size, at - 1000, 70000), 0);
	assert_int_equal(b.store.bytes, size);
	/* A byte that is wrong on the disk costs one fetch. */
	snprintf(path, sizeof(path), "%s/keepfs-cache.data", dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = 5; at < 21 * (off_t)MIB; at += MIB) {
		if (pread(fd, &wrong, 1, at) == 1) {
			wrong ^= 1;
			assert_int_equal(pwrite(fd, &wrong, 1, at), 1);
		}
	}
	close(fd);
	with_cache(&b, cache);
	assert_int_equal(read_range(b.file, size, 3 * MIB, MIB), 0);
	assert_int_equal(b.store.bytes, size + MIB);
	assert_int_equal(b.metrics.wrong_extents, 0);
	cache_stats(cache, &stats);
	assert_int_equal(stats.wrong, 1);
	/* It is in the cache again. */
	with_cache(&b, cache);
	assert_int_equal(read_range(b.file, size, 3 * MIB, MIB), 0);
	assert_int_equal(b.store.bytes, size + MIB);
	bench_finish(&b);
	cache_free(cache);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/keepfs-cache.table", dir);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(dir), 0);
}

/* What the disk cache has is right, but says nothing of what the store has. */
static void test_only_the_store_verifies(void **state)
{
	static const char *const names[] = {"keepfs-cache.data", "keepfs-cache.table"};
	uint64_t size = 3 * MIB;
	char dir[] = "/tmp/keepfs-reader-XXXXXX", path[128];
	struct cache *cache;
	struct error err = {0};
	struct bench b;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(cache_open(dir, 64 * MIB, &cache, &err), 0);
	bench_init_whole(&b, size, full_extents, 1, 8, 2, true);
	for (unsigned round = 0; round < 2; round++) {
		struct reader_file_stats stats;

		with_cache(&b, cache);
		for (uint64_t at = 0; at < size; at += MIB)
			assert_int_equal(read_range(b.file, size, at, MIB), 0);
		reader_close(b.file, &stats);
		b.file = open_file(&b, 1);
		assert_true(stats.whole);
		assert_int_equal(stats.verified_at_us > 0, round == 0);
		assert_int_equal(b.store.bytes, size);
	}
	bench_finish(&b);
	cache_free(cache);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/%s", dir, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_disk_cache),
	        cmocka_unit_test(test_only_the_store_verifies),
	};

	make_content();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
