// SPDX-License-Identifier: Apache-2.0
/* No damage to the files of the disk cache, full disk or foreign file does more than lose pieces. */
#include "cache_test.h"

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
	assert_int_equal(remove_tree(f->dir), 0);
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
		refuse(f, -EPERM,
		       "is a symbolic link, so it is none that keepfs made; chmod 700 the directory, move the file away, or name another [read] cache_dir");
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
	refuse(f, -EPERM, "others than its owner may write in the cache directory");
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

int main(void)
{
	const struct CMUnitTest tests[] = {
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
	};

	return cmocka_run_group_tests_name("cache_damage", tests, NULL, NULL);
}
