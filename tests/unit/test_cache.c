// SPDX-License-Identifier: Apache-2.0
/* The disk cache: what is found again, in what order pieces go, and that no damage to its files does more
 * than lose pieces. Each piece's bytes follow from its name, so whatever is read can be told from all
 * others. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/fd.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/base/workers.h>
#include <keepfs/cache.h>
#include <keepfs/codec/hash.h>

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MIB    CACHE_SLOT_BYTES
#define RECORD 64 /* bytes, as docs/formats.md has it; the header has the same size */

struct fixture {
	char *root, *dir, *data, *table, *log;
	struct cache *cache;
};

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int setup(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));

	f->root = mem_strdup("/tmp/keepfs-cache-XXXXXX");
	if (!mkdtemp(f->root))
		return -1;
	f->dir = mem_printf("%s/cache", f->root);
	f->data = mem_printf("%s/keepfs-cache.data", f->dir);
	f->table = mem_printf("%s/keepfs-cache.table", f->dir);
	f->log = mem_printf("%s/log", f->root);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	int r;

	cache_free(f->cache);
	r = nftw(f->root, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(f->root);
	free(f->dir);
	free(f->data);
	free(f->table);
	free(f->log);
	free(f);
	return r;
}

static void open_slots(struct fixture *f, unsigned slots)
{
	struct error err = {0};

	f->cache = cache_free(f->cache);
	if (cache_open(f->dir, slots * MIB, &f->cache, &err) < 0)
		fail_msg("%s", err.message);
}

static struct cache_piece piece_of(unsigned file, unsigned number, uint32_t bytes)
{
	struct cache_piece p = {.offset = number * (uint64_t)MIB, .bytes = bytes};

	sha256_once(&file, sizeof(file), p.id);
	return p;
}

/* The bytes of @p: none of its words is any other piece's. */
static void make_bytes(const struct cache_piece *p, void *ret)
{
	uint64_t word, first;

	memcpy(&first, p->id, sizeof(first));
	for (uint32_t i = 0; i < p->bytes; i += (uint32_t)sizeof(word)) {
		word = (first ^ (p->offset + i)) * UINT64_C(0x9E3779B97F4A7C15) + p->bytes;
		memcpy((char *)ret + i, &word, p->bytes - i < sizeof(word) ? p->bytes - i : sizeof(word));
	}
}

static void write_piece(struct cache *c, const struct cache_piece *p)
{
	_cleanup(free) char *bytes = mem_alloc(p->bytes);
	struct iovec iov = {bytes, p->bytes};

	make_bytes(p, bytes);
	cache_write(c, p, &iov, 1);
}

/* 1: there; 0: not there; -1: there, and wrong. */
static int look(struct cache *c, const struct cache_piece *p)
{
	_cleanup(free) char *want = mem_alloc(p->bytes), *have = mem_alloc(p->bytes);
	struct iovec iov = {have, p->bytes};

	if (!cache_read(c, p, 0, &iov, 1))
		return 0;
	make_bytes(p, want);
	return memcmp(want, have, p->bytes) == 0 ? 1 : -1;
}

static void expect(struct cache *c, const struct cache_piece *p, bool there)
{
	assert_int_equal(look(c, p), there);
}

static struct cache_stats stats_of(struct cache *c)
{
	struct cache_stats stats;

	cache_stats(c, &stats);
	return stats;
}

static uint64_t disk_bytes(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

static void load_file(const char *path, struct str *out)
{
	str_clear(out);
	assert_int_equal(fd_read_file(path, 64 * MIB, out), 0);
}

static void store_file(const char *path, const void *data, size_t len)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, data, len), 0);
}

/* Standard error into a file; returns what to give to end_log(). */
static int begin_log(struct fixture *f)
{
	_cleanup(fd) int fd = open(f->log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	int saved = dup(STDERR_FILENO);

	assert_true(fd >= 0 && saved >= 0 && dup2(fd, STDERR_FILENO) >= 0);
	return saved;
}

/* How many lines of the log hold @text; NULL: nobody asks. */
static unsigned end_log(struct fixture *f, int saved, const char *text)
{
	_cleanup(str) struct str log = {0};
	unsigned count = 0;

	dup2(saved, STDERR_FILENO);
	close(saved);
	load_file(f->log, &log);
	for (const char *p = str_text(&log); text && (p = strstr(p, text)); p += strlen(text))
		count++;
	return count;
}

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

static void expect_only(struct fixture *f, const char *there)
{
	for (unsigned i = 0; i < 10; i++) {
		struct cache_piece p = piece_of(7, i, 3000);
		int found = look(f->cache, &p);

		if (found != (strchr(there, '0' + (int)i) != NULL))
			fail_msg("piece %u: %d; expected only %s", i, found, there);
	}
}

static void write_numbered(struct cache *c, const char *numbers)
{
	for (; *numbers; numbers++) {
		struct cache_piece p = piece_of(7, (unsigned)(*numbers - '0'), 3000);

		write_piece(c, &p);
	}
}

static void read_numbered(struct cache *c, const char *numbers)
{
	for (; *numbers; numbers++) {
		struct cache_piece p = piece_of(7, (unsigned)(*numbers - '0'), 3000);

		expect(c, &p, true);
	}
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
	int status;

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

static void overwrite(const char *path, off_t offset, const void *data, size_t len)
{
	_cleanup(fd) int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(fd_pwrite_all(fd, data, len, offset), 0);
}

static void test_leftovers_of_a_crash_are_emptied(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p[] = {piece_of(1, 0, MIB), piece_of(1, 1, 65536), piece_of(1, 2, MIB),
	                          piece_of(1, 3, MIB)};
	char *junk = mem_alloc(MIB);

	open_slots(f, 4);
	for (unsigned i = 0; i < ARRAY_SIZE(p); i++)
		write_piece(f->cache, &p[i]);
	f->cache = cache_free(f->cache);
	/* Slots 0 and 3 have no record, slot 1 has more bytes than its piece. */
	overwrite(f->table, RECORD, junk, RECORD);
	overwrite(f->table, 4 * RECORD, junk, RECORD);
	overwrite(f->data, MIB + 65536, memset(junk, 'x', MIB), MIB - 65536);
	free(junk);
	assert_true(disk_bytes(f->data) >= 4 * MIB);
	open_slots(f, 4);
	assert_true(disk_bytes(f->data) <= MIB + 2 * 65536);
	expect(f->cache, &p[0], false);
	expect(f->cache, &p[1], true);
	expect(f->cache, &p[2], true);
	expect(f->cache, &p[3], false);
}

/* Three small pieces in four slots, to be damaged again and again. */

struct sample {
	struct str table, data;
	struct cache_piece pieces[3];
};

static void make_sample(struct fixture *f, struct sample *s)
{
	*s = (struct sample){0};
	open_slots(f, 4);
	for (unsigned i = 0; i < 3; i++) {
		s->pieces[i] = piece_of(i, i, 50 + i);
		write_piece(f->cache, &s->pieces[i]);
	}
	f->cache = cache_free(f->cache);
	load_file(f->table, &s->table);
	load_file(f->data, &s->data);
	assert_int_equal(s->table.len, 4 * RECORD);
}

static void finish_sample(struct sample *s)
{
	str_finish(&s->table);
	str_finish(&s->data);
}

static void restore_data(struct fixture *f, const struct sample *s)
{
	assert_true(truncate(f->data, 0) == 0);
	for (unsigned i = 0; i < 3; i++)
		overwrite(f->data, (off_t)(i * MIB), s->data.data + i * MIB, s->pieces[i].bytes);
}

/* Opens, and expects the pieces of @there (a bit each): now, and after another start. */
static void expect_pieces(struct fixture *f, const struct sample *s, unsigned there)
{
	for (unsigned start = 0; start < 2; start++) {
		open_slots(f, 4);
		for (unsigned i = 0; i < 3; i++)
			expect(f->cache, &s->pieces[i], there >> i & 1);
	}
	f->cache = cache_free(f->cache);
}

static void test_each_byte_of_the_table(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	int saved = begin_log(f);

	make_sample(f, &s);
	for (size_t i = 0; i < s.table.len; i++) {
		unsigned record = (unsigned)(i / RECORD);

		s.table.data[i] ^= (char)(1 << i % 8);
		store_file(f->table, s.table.data, s.table.len);
		s.table.data[i] ^= (char)(1 << i % 8);
		restore_data(f, &s);
		expect_pieces(f, &s, record == 0 ? 0 : 7 & ~(1U << (record - 1)));
	}
	finish_sample(&s);
	assert_int_equal(end_log(f, saved, "1 of its pieces were dropped"), 3 * RECORD);
}

static void test_cut_tables(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	int saved = begin_log(f);

	make_sample(f, &s);
	for (size_t len = 0; len < s.table.len; len++) {
		unsigned records = (unsigned)(len / RECORD);

		store_file(f->table, s.table.data, len);
		restore_data(f, &s);
		expect_pieces(f, &s, records ? (1U << (records - 1)) - 1 : 0);
	}
	finish_sample(&s);
	end_log(f, saved, NULL);
}

static void test_cut_data(void **state)
{
	struct fixture *f = *state;
	struct sample s;
	int saved = begin_log(f);

	make_sample(f, &s);
	for (unsigned piece = 0; piece < 3; piece++) {
		for (uint32_t len = 0; len < s.pieces[piece].bytes; len++) {
			store_file(f->table, s.table.data, s.table.len);
			restore_data(f, &s);
			assert_int_equal(truncate(f->data, (off_t)(piece * MIB + len)), 0);
			expect_pieces(f, &s, (1U << piece) - 1);
		}
	}
	finish_sample(&s);
	end_log(f, saved, NULL);
}

/* Tables that nobody wrote: at random, and with checks that are right. */

static uint32_t next_random(uint32_t *x)
{
	*x = *x * 1664525 + 1013904223;
	return *x >> 8;
}

static void random_record(uint32_t *x, uint32_t slot, uint8_t rec[static RECORD])
{
	static const uint64_t odd[] = {0, 1, MIB - 1, MIB, MIB + 1, INT64_MAX, UINT64_MAX, UINT32_MAX};
	struct cache_piece p = piece_of(next_random(x) % 2, next_random(x) % 2, 0);
	uint64_t tick = odd[next_random(x) % ARRAY_SIZE(odd)];
	uint32_t bytes = (uint32_t)odd[next_random(x) % ARRAY_SIZE(odd)], crc;

	for (int i = 0; i < RECORD; i++)
		rec[i] = (uint8_t)next_random(x);
	if (next_random(x) % 4 == 0)
		return;
	if (next_random(x) % 4 == 0)
		p.offset = odd[next_random(x) % ARRAY_SIZE(odd)];
	memcpy(rec, p.id, 32);
	memcpy(rec + 32, &p.offset, 8);
	memcpy(rec + 40, &tick, 8);
	memcpy(rec + 48, &bytes, 4);
	crc = crc32c(crc32c(0, &slot, sizeof(slot)), rec, RECORD - 4);
	memcpy(rec + RECORD - 4, &crc, 4);
}

static void test_random_tables(void **state)
{
	enum { SLOTS = 6 };
	struct fixture *f = *state;
	uint8_t table[RECORD * (SLOTS + 3)];
	_cleanup(str) struct str header = {0};
	uint32_t x = 1;
	int saved = begin_log(f);

	open_slots(f, SLOTS);
	f->cache = cache_free(f->cache);
	load_file(f->table, &header);
	for (unsigned round = 0; round < 120; round++) {
		memcpy(table, header.data, RECORD);
		for (uint32_t i = 0; i < SLOTS + 2; i++)
			random_record(&x, i, table + (i + 1) * RECORD);
		if (round % 10 == 0)
			random_record(&x, 0, table);
		store_file(f->table, table, sizeof(table) - next_random(&x) % 200);
		assert_int_equal(truncate(f->data, next_random(&x) % (7 * MIB)), 0);
		open_slots(f, SLOTS);
		assert_true(stats_of(f->cache).pieces <= SLOTS);
		assert_true(stats_of(f->cache).used_bytes <= SLOTS * MIB);
		for (unsigned i = 0; i < SLOTS; i++) {
			struct cache_piece p = piece_of(i % 2, i / 2, 100), old = piece_of(i % 2, i / 2, MIB);

			look(f->cache, &old); /* what it holds is nobody's */
			write_piece(f->cache, &p);
			expect(f->cache, &p, true);
		}
		cache_forget_file(f->cache, piece_of(0, 0, 1).id);
		cache_forget_file(f->cache, piece_of(1, 0, 1).id);
		open_slots(f, SLOTS);
		for (unsigned i = 0; i < SLOTS; i++) {
			struct cache_piece p = piece_of(i % 2, i / 2, 100);

			expect(f->cache, &p, false);
		}
		f->cache = cache_free(f->cache);
	}
	assert_true(end_log(f, saved, "dropped") > 0);
}

static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p[20];
	unsigned i, there = 0;
	int saved;

	for (i = 0; i < ARRAY_SIZE(p); i++)
		p[i] = piece_of(1, i, MIB);
	signal(SIGXFSZ, SIG_IGN);
	open_slots(f, 4);
	saved = begin_log(f);
	limit_files(2 * MIB + 4096);
	for (i = 0; i < 10; i++)
		write_piece(f->cache, &p[i]);
	limit_files(RLIM_INFINITY);
	assert_int_equal(end_log(f, saved, "cannot be written: File too large"), 1);
	assert_int_equal(stats_of(f->cache).pieces, 2);
	assert_true(stats_of(f->cache).failures > 1);
	/* The newest are there: what was older made room. */
	for (i = 0; i < 10; i++)
		there += (unsigned)look(f->cache, &p[i]);
	assert_int_equal(there, 2);
	assert_true(stats_of(f->cache).evictions > 0);
	expect(f->cache, &p[9], true);
	assert_true(disk_bytes(f->data) < 3 * MIB);
	/* When there is space again, it grows again. */
	for (i = 10; i < 20; i++)
		write_piece(f->cache, &p[i]);
	assert_int_equal(stats_of(f->cache).pieces, 4);
	open_slots(f, 4);
	for (i = 16; i < 20; i++)
		expect(f->cache, &p[i], true);
}

/* No space for the table's header: it works, but is begun anew after a restart. */
static void test_full_disk_from_the_start(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p = piece_of(1, 0, 100);
	int saved = begin_log(f);

	signal(SIGXFSZ, SIG_IGN);
	limit_files(0);
	open_slots(f, 4);
	write_piece(f->cache, &p);
	limit_files(RLIM_INFINITY);
	expect(f->cache, &p, false);
	assert_int_equal(stats_of(f->cache).pieces, 0);
	for (unsigned i = 0; i < 4; i++)
		write_piece(f->cache, &p);
	expect(f->cache, &p, true);
	open_slots(f, 4);
	expect(f->cache, &p, false);
	write_piece(f->cache, &p);
	open_slots(f, 4);
	expect(f->cache, &p, true);
	end_log(f, saved, NULL);
}

static void test_data_cut_while_in_use(void **state)
{
	struct fixture *f = *state;
	struct cache_piece first = piece_of(1, 0, MIB), lost = piece_of(1, 1, MIB),
	                   other = piece_of(1, 2, MIB);
	int saved;

	open_slots(f, 4);
	write_piece(f->cache, &first);
	write_piece(f->cache, &lost);
	write_piece(f->cache, &other);
	saved = begin_log(f);
	assert_int_equal(truncate(f->data, MIB + 1), 0);
	expect(f->cache, &lost, false);
	assert_int_equal(stats_of(f->cache).pieces, 2);
	/* The disk is left alone for one call, and after the second trouble for two. */
	expect(f->cache, &first, false);
	expect(f->cache, &other, false);
	assert_int_equal(stats_of(f->cache).failures, 2);
	expect(f->cache, &first, false);
	expect(f->cache, &first, false);
	expect(f->cache, &first, true);
	assert_int_equal(end_log(f, saved, "somebody has cut its file"), 1);
	write_piece(f->cache, &lost);
	expect(f->cache, &lost, true);
	expect(f->cache, &first, true);
}

static void test_deleted_while_in_use(void **state)
{
	struct fixture *f = *state;
	struct cache_piece p = piece_of(1, 0, MIB), q = piece_of(1, 1, MIB);
	int saved;

	open_slots(f, 4);
	write_piece(f->cache, &p);
	assert_int_equal(nftw(f->dir, remove_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
	saved = begin_log(f);
	write_piece(f->cache, &q);
	write_piece(f->cache, &q);
	expect(f->cache, &p, false);
	expect(f->cache, &q, false);
	cache_forget(f->cache, &p);
	cache_forget_file(f->cache, p.id);
	assert_int_equal(stats_of(f->cache).used_bytes + stats_of(f->cache).pieces, 0);
	assert_int_equal(end_log(f, saved, "was deleted while it was in use"), 1);
	open_slots(f, 4);
	write_piece(f->cache, &q);
	expect(f->cache, &q, true);
}

static void refuse(struct fixture *f, int r, const char *expected)
{
	struct error err = {0};

	assert_int_equal(cache_open(f->dir, 4 * MIB, &f->cache, &err), r);
	assert_null(f->cache);
	if (!strstr(err.message, expected) || !strstr(err.message, f->dir))
		fail_msg("want: %s\ngot: %s", expected, err.message);
}

static void test_one_process_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct cache *first;

	open_slots(f, 4);
	first = take_ptr(&f->cache);
	refuse(f, -EBUSY, "another keepfs uses the cache directory");
	cache_free(first);
	open_slots(f, 4);
}

static void test_files_of_others(void **state)
{
	struct fixture *f = *state;
	const char *const names[] = {f->table, f->data};
	_cleanup(free) char *target = mem_printf("%s/target", f->root);
	_cleanup(str) struct str text = {0};

	store_file(target, "precious", 8);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
		assert_int_equal(symlink(target, names[i]), 0);
		refuse(f, -EPERM, "is a symbolic link: it is none of the cache's; move it away");
		assert_int_equal(unlink(names[i]), 0);
		assert_int_equal(mkdir(names[i], 0700), 0);
		refuse(f, -EPERM, "is a directory");
		assert_int_equal(rmdir(names[i]), 0);
		assert_int_equal(mkfifo(names[i], 0600), 0);
		refuse(f, -EPERM, "is not a regular file");
		assert_int_equal(unlink(names[i]), 0);
		if (geteuid() != 0)
			continue;
		store_file(names[i], "", 0);
		assert_int_equal(chown(names[i], 65534, 65534), 0);
		refuse(f, -EPERM, "belongs to another user");
		assert_int_equal(unlink(names[i]), 0);
	}
	load_file(target, &text);
	assert_string_equal(str_text(&text), "precious");
}

static void test_directories(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *other = mem_printf("%s/data", f->dir), *deep = mem_printf("%s/a/b", f->root);
	_cleanup(str) struct str text = {0};
	struct error err = {0};
	struct stat st;

	store_file(f->dir, "", 0);
	refuse(f, -ENOTDIR, "Not a directory");
	assert_int_equal(unlink(f->dir), 0);
	assert_int_equal(mkdir(f->dir, 0700), 0);
	assert_int_equal(chmod(f->dir, 0770), 0);
	refuse(f, -EPERM, "chmod 700 it");
	assert_int_equal(chmod(f->dir, 0755), 0);
	store_file(other, "not the cache's", 15);
	store_file(f->data, "", 0);
	assert_int_equal(chmod(f->data, 0644), 0);
	open_slots(f, 4);
	assert_true(stat(f->data, &st) == 0 && (st.st_mode & 07777) == 0600);
	load_file(other, &text);
	assert_string_equal(str_text(&text), "not the cache's");
	f->cache = cache_free(f->cache);
	assert_int_equal(cache_open(deep, 4 * MIB, &f->cache, &err), -ENOENT);
	assert_int_equal(cache_open(f->dir, MIB - 1, &f->cache, &err), -EINVAL);
	assert_int_equal(cache_open(f->dir, UINT64_MAX, &f->cache, &err), -EINVAL);
	assert_null(f->cache);
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

#define UNIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

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
	        UNIT(test_leftovers_of_a_crash_are_emptied),
	        UNIT(test_each_byte_of_the_table),
	        UNIT(test_cut_tables),
	        UNIT(test_cut_data),
	        UNIT(test_random_tables),
	        UNIT(test_full_disk),
	        UNIT(test_full_disk_from_the_start),
	        UNIT(test_data_cut_while_in_use),
	        UNIT(test_deleted_while_in_use),
	        UNIT(test_one_process_at_a_time),
	        UNIT(test_files_of_others),
	        UNIT(test_directories),
	        UNIT(test_large_limit),
	        UNIT(test_many_threads),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
