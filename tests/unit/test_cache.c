// SPDX-License-Identifier: Apache-2.0
/* The disk cache: what is found again, and in what order pieces go. */
#include "cache_test.h"

static void test_read_what_was_written(void **state)
{
	struct fixture *f = *state;
	static const uint32_t sizes[] = {1, 4095, 4096, 65536, 1000003, MIB};
	uint64_t sum = 0;
	struct stat st;

	open_slots(f, 8);
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct cache_piece p = piece_of(1, i, sizes[i]);

		expect(f->cache, &p, false);
		write_piece(f->cache, &p);
		write_piece(f->cache, &p); /* kept once */
		expect(f->cache, &p, true);
		sum += sizes[i];
	}
	for (unsigned i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct cache_piece other_file = piece_of(2, i, sizes[i]),
		                   other_place = piece_of(1, i + 6, sizes[i]),
		                   other_size = piece_of(1, i, sizes[i] / 2 + 1);

		expect(f->cache, &other_file, false);
		expect(f->cache, &other_place, false);
		if (other_size.bytes != sizes[i])
			expect(f->cache, &other_size, false);
	}
	struct cache_stats s = stats_of(f->cache);
	assert_int_equal(s.max_bytes, 8 * MIB);
	assert_int_equal(s.used_bytes, sum);
	assert_int_equal(s.pieces, ARRAY_SIZE(sizes));
	assert_int_equal(s.hits, ARRAY_SIZE(sizes));
	assert_int_equal(s.hit_bytes, sum);
	assert_int_equal(s.written_bytes, sum);
	assert_int_equal(s.misses, 4 * ARRAY_SIZE(sizes) - 1);
	assert_int_equal(s.evictions + s.wrong + s.failures, 0);
	assert_true(stat(f->dir, &st) == 0 && (st.st_mode & 07777) == 0700);
	assert_true(stat(f->data, &st) == 0 && (st.st_mode & 07777) == 0600);
	assert_true(stat(f->table, &st) == 0 && (st.st_mode & 07777) == 0600);
	assert_null(cache_free(NULL));
}

/* More pieces of memory than one system call takes. */
static void test_scattered_memory(void **state)
{
	enum { COUNT = 2500 };
	struct fixture *f = *state;
	struct cache_piece p = piece_of(1, 0, 3 * COUNT);
	_cleanup(free) char *want = mem_alloc(p.bytes), *have = mem_alloc(p.bytes);
	_cleanup(free) struct iovec *from = mem_array(COUNT, sizeof(*from)),
	                            *to = mem_array(COUNT, sizeof(*to));

	make_bytes(&p, want);
	for (int i = 0; i < COUNT; i++) {
		from[i] = (struct iovec){want + 3 * i, 3};
		to[i] = (struct iovec){have + 3 * i, 3};
	}
	open_slots(f, 1);
	cache_write(f->cache, &p, from, COUNT);
	assert_true(cache_read(f->cache, &p, 0, to, COUNT));
	assert_memory_equal(want, have, p.bytes);
	/* From the middle. */
	memset(have, 0, p.bytes);
	assert_true(cache_read(f->cache, &p, 1001, to, 10));
	assert_memory_equal(want + 1001, have, 30);
	assert_int_equal(have[30], 0);
}

static void test_survives_a_restart(void **state)
{
	struct fixture *f = *state;

	open_slots(f, 8);
	for (unsigned i = 0; i < 5; i++) {
		struct cache_piece p = piece_of(i, i, 70000 + i);

		write_piece(f->cache, &p);
	}
	open_slots(f, 8);
	assert_int_equal(stats_of(f->cache).pieces, 5);
	assert_int_equal(stats_of(f->cache).used_bytes, 5 * 70000 + 10);
	for (unsigned i = 0; i < 5; i++) {
		struct cache_piece p = piece_of(i, i, 70000 + i);

		expect(f->cache, &p, true);
	}
}

static void test_another_size_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p = piece_of(1, 0, MIB);
	int saved;

	for (unsigned slots = 4; slots < 8; slots += 3) {
		open_slots(f, slots);
		expect(f->cache, &p, false);
		write_piece(f->cache, &p);
		expect(f->cache, &p, true);
	}
	saved = begin_log(f);
	open_slots(f, 5);
	assert_int_equal(end_log(f, saved, "begun anew: it has another size"), 1);
	expect(f->cache, &p, false);
	assert_int_equal(disk_bytes(f->data), 0);
}

static void test_another_version_begins_anew(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p = piece_of(1, 0, 1000);
	_cleanup(str) struct str table = {0};
	uint32_t crc;
	int saved;

	open_slots(f, 4);
	write_piece(f->cache, &p);
	f->cache = cache_free(f->cache);
	load_file(f->table, &table);
	table.data[8]++;
	crc = crc32c(0, table.data, RECORD - sizeof(crc));
	memcpy(table.data + RECORD - sizeof(crc), &crc, sizeof(crc));
	store_file(f->table, table.data, table.len);
	saved = begin_log(f);
	open_slots(f, 4);
	assert_int_equal(end_log(f, saved, "begun anew: another version"), 1);
	expect(f->cache, &p, false);
}

static void test_least_recently_used_goes_first(void **state)
{
	struct fixture *f = *state;

	open_slots(f, 4);
	write_numbered(f->cache, "0123");
	read_numbered(f->cache, "0");
	write_numbered(f->cache, "4");
	assert_int_equal(stats_of(f->cache).evictions, 1);
	read_numbered(f->cache, "2043"); /* 1 was the oldest */
	write_numbered(f->cache, "56");
	expect_only(f, "3456");
	assert_int_equal(stats_of(f->cache).pieces, 4);
}

static void test_order_survives_a_restart(void **state)
{
	struct fixture *f = *state;

	/* So many slots that a use is not written down at once. */
	open_slots(f, 40);
	for (unsigned i = 10; i < 46; i++) {
		struct cache_piece p = piece_of(7, i, 3000);

		write_piece(f->cache, &p);
	}
	write_numbered(f->cache, "0123");
	read_numbered(f->cache, "3102");
	for (unsigned i = 10; i < 46; i++) {
		struct cache_piece p = piece_of(7, i, 3000);

		expect(f->cache, &p, true);
	}
	read_numbered(f->cache, "2");
	open_slots(f, 40);
	write_numbered(f->cache, "45"); /* the oldest are 3 and 1 */
	expect_only(f, "0245");
}

/* What a killed process leaves: nothing was closed. */
static void in_a_process_that_dies(struct fixture *f, void (*work)(struct fixture *f))
{
	pid_t pid = fork();
	int status = -1;

	if (pid == 0) {
		work(f);
		_exit(0);
	}
	assert_true(pid > 0 && waitpid(pid, &status, 0) == pid);
	assert_int_equal(status, 0);
}

static void use_some(struct fixture *f)
{
	open_slots(f, 4);
	write_numbered(f->cache, "0123");
	read_numbered(f->cache, "10");
}

static void test_survives_a_crash(void **state)
{
	struct fixture *f = *state;

	in_a_process_that_dies(f, use_some);
	open_slots(f, 4);
	write_numbered(f->cache, "45");
	expect_only(f, "0145");
}

static void test_forget(void **state)
{
	struct fixture *f = *state;
	struct cache_piece big = piece_of(1, 0, MIB);

	open_slots(f, 4);
	write_numbered(f->cache, "012");
	write_piece(f->cache, &big);
	cache_forget(f->cache, &big);
	cache_forget(f->cache, &big); /* it is not there any more */
	assert_int_equal(stats_of(f->cache).wrong, 1);
	assert_int_equal(stats_of(f->cache).pieces, 3);
	expect(f->cache, &big, false);
	assert_true(disk_bytes(f->data) < MIB);
	open_slots(f, 4);
	expect(f->cache, &big, false);
	expect_only(f, "012");
}

static void test_forget_file(void **state)
{
	struct fixture *f = *state;
	struct cache_piece other = piece_of(2, 5, 2 * 65536);
	uint64_t before;

	open_slots(f, 200);
	write_piece(f->cache, &other);
	before = disk_bytes(f->data);
	for (unsigned i = 0; i < 150; i++) {
		struct cache_piece p = piece_of(1, i, 65536);

		write_piece(f->cache, &p);
	}
	assert_int_equal(stats_of(f->cache).pieces, 151);
	cache_forget_file(f->cache, piece_of(1, 0, 1).id);
	assert_int_equal(stats_of(f->cache).pieces, 1);
	assert_int_equal(stats_of(f->cache).used_bytes, other.bytes);
	assert_int_equal(stats_of(f->cache).wrong, 0);
	/* But for what the file system needs to remember where things were. */
	assert_true(disk_bytes(f->data) <= before + 16384);
	for (unsigned i = 0; i < 150; i++) {
		struct cache_piece p = piece_of(1, i, 65536);

		expect(f->cache, &p, false);
		write_piece(f->cache, &p);
		expect(f->cache, &p, true);
	}
	expect(f->cache, &other, true);
	assert_int_equal(stats_of(f->cache).evictions + stats_of(f->cache).failures, 0);
}

/* A small piece in the place of a large one leaves nothing of that: it could be of a deleted backup. */
static void test_nothing_stays_in_corners(void **state)
{
	struct fixture *f = *state;
	struct cache_piece big = piece_of(1, 0, MIB), small = piece_of(2, 0, 5000);
	_cleanup(str) struct str data = {0};

	open_slots(f, 1);
	write_piece(f->cache, &big);
	write_piece(f->cache, &small);
	expect(f->cache, &big, false);
	expect(f->cache, &small, true);
	load_file(f->data, &data);
	for (size_t i = small.bytes; i < data.len; i++)
		assert_int_equal(data.data[i], 0);
	cache_forget_file(f->cache, small.id);
	assert_int_equal(disk_bytes(f->data), 0);
}

/* A limit of a petabyte costs memory and disk only as it is used. */
static void test_large_limit(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p = piece_of(1, 0, 10);
	struct rusage before, after;

	assert_int_equal(getrusage(RUSAGE_SELF, &before), 0);
	open_slots(f, 1U << 30);
	write_piece(f->cache, &p);
	open_slots(f, 1U << 30);
	expect(f->cache, &p, true);
	assert_int_equal(getrusage(RUSAGE_SELF, &after), 0);
	assert_true(after.ru_maxrss - before.ru_maxrss < 16 << 10);
	assert_true(disk_bytes(f->table) + disk_bytes(f->data) < 65536);
}

/* Many threads, few slots: every byte that is read is of the piece that was asked for. */

#define STRESS_THREADS 6
#define STRESS_OPS     600
#define STRESS_FILES   3
#define STRESS_PIECES  6

struct stress {
	struct cache *cache;
	pthread_t thread;
	uint32_t seed;
	unsigned wrong, hits;
};

static void *stress_main(void *arg)
{
	static const uint32_t sizes[] = {MIB, 100, 65536, 4097, 300000, 8192};
	struct stress *s = arg;

	for (unsigned i = 0; i < STRESS_OPS; i++) {
		unsigned number = next_random(&s->seed) % STRESS_PIECES;
		unsigned what = next_random(&s->seed) % 64;
		struct cache_piece p = piece_of(next_random(&s->seed) % STRESS_FILES, number, sizes[number]);
		int found;

		if (what == 0) {
			cache_forget_file(s->cache, p.id);
		} else if (what == 1) {
			cache_forget(s->cache, &p);
		} else if (what < 32) {
			write_piece(s->cache, &p);
		} else {
			found = look(s->cache, &p);
			s->hits += found == 1;
			s->wrong += found < 0;
		}
	}
	return NULL;
}

static void test_many_threads(void **state)
{
	struct fixture *f = *state;
	struct stress all[STRESS_THREADS] = {0};
	unsigned hits = 0;
	struct cache_stats s;

	open_slots(f, 8);
	for (unsigned i = 0; i < STRESS_THREADS; i++) {
		all[i] = (struct stress){.cache = f->cache, .seed = i + 1};
		assert_int_equal(thread_start(&all[i].thread, "stress", stress_main, &all[i]), 0);
	}
	for (unsigned i = 0; i < STRESS_THREADS; i++) {
		pthread_join(all[i].thread, NULL);
		assert_int_equal(all[i].wrong, 0);
		hits += all[i].hits;
	}
	s = stats_of(f->cache);
	assert_int_equal(s.hits, hits);
	assert_true(s.hits > 0 && s.misses > 0 && s.evictions > 0 && s.wrong > 0);
	assert_int_equal(s.failures, 0);
	open_slots(f, 8);
	assert_int_equal(stats_of(f->cache).pieces, s.pieces);
	assert_int_equal(stats_of(f->cache).used_bytes, s.used_bytes);
	for (unsigned i = 0; i < STRESS_FILES; i++)
		cache_forget_file(f->cache, piece_of(i, 0, 1).id);
	assert_int_equal(stats_of(f->cache).pieces, 0);
	assert_true(disk_bytes(f->data) <= 16384);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        UNIT(test_read_what_was_written),
	        UNIT(test_scattered_memory),
	        UNIT(test_survives_a_restart),
	        UNIT(test_another_size_begins_anew),
	        UNIT(test_another_version_begins_anew),
	        UNIT(test_least_recently_used_goes_first),
	        UNIT(test_order_survives_a_restart),
	        UNIT(test_survives_a_crash),
	        UNIT(test_forget),
	        UNIT(test_forget_file),
	        UNIT(test_nothing_stays_in_corners),
	        UNIT(test_large_limit),
	        UNIT(test_many_threads),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
