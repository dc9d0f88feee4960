// SPDX-License-Identifier: Apache-2.0
/* Files that are stored transformed, through the whole of it: written by a stage into a store, and read
 * through the layout that undoes it, right, wrong and cut. */
#include "layout_test.h"

#include "../../src/stream/lister.h"
#include "veil_test.h"

static const struct cells small = {
        .head_bytes = 40, .plain_bytes = 4096, .stored_bytes = 4096 + VEIL_TAG_BYTES};
static const struct cells age = {
        .head_bytes = 216, .plain_bytes = 65536, .stored_bytes = 65536 + VEIL_TAG_BYTES};
static const struct cells headless = {.plain_bytes = 10007, .stored_bytes = 10007 + VEIL_TAG_BYTES};
static const struct cells large = {
        .head_bytes = 1000, .plain_bytes = 600000, .stored_bytes = 600000 + VEIL_TAG_BYTES};

static struct stream_stage veil_of(struct fixture *f)
{
	return veil_stage(&f->cells);
}

static struct reader_layout *lift_veil(struct fixture *f, unsigned *freed)
{
	return veil_layout(&f->cells, freed);
}

static int set_up(void **state)
{
	struct fixture *f = new_fixture();

	if (!f)
		return -1;
	f->cells = small;
	f->stage = veil_of;
	f->layout = lift_veil;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	return free_fixture(*state);
}

static void expect_sizes(struct fixture *f, const struct cells *cells, size_t largest)
{
	const size_t p = cells->plain_bytes;
	const size_t sizes[] = {0, 1, p - 1, p, p + 1, 2 * p, 3 * p - 1, largest};

	f->cells = *cells;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		expect_whole_way(f, sizes[i], 0, i % 2 ? 4099 : 300000);
}

static void test_sizes(void **state)
{
	expect_sizes(*state, &small, 3 * MIB + 777);
	expect_sizes(*state, &age, 4 * MIB + 777);
	expect_sizes(*state, &headless, 2 * MIB);
	expect_sizes(*state, &large, 3 * MIB + 1);
}

/* What comes last ends anywhere in a cell, and what follows it is nothing, little, or much. */
static void expect_heads(struct fixture *f, const struct cells *cells)
{
	const size_t p = cells->plain_bytes;
	const size_t heads[] = {1, p - 1, p, p + 1, 3 * p - 100};
	const size_t bodies[] = {0, 1, 99, 100, 101, p - 1, p, p + 1, 2 * MIB};

	f->cells = *cells;
	for (size_t h = 0; h < ARRAY_SIZE(heads); h++)
		for (size_t b = 0; b < ARRAY_SIZE(bodies); b++)
			expect_whole_way(f, heads[h] + bodies[b], heads[h], 50021);
}

static void test_heads(void **state)
{
	expect_heads(*state, &small);
	expect_heads(*state, &age);
}

/* Parts of several buffers, one of which the head fills with bytes that are larger when they are stored. */
static void test_a_head_of_a_whole_part(void **state)
{
	struct fixture *f = *state;

	expect_whole_way(f, 5 * MIB, MIB, 65536);
	expect_whole_way(f, 5 * MIB, MIB - 1, 65536);
	expect_whole_way(f, MIB, MIB, 65536);
}

/* Blocks are of whole cells, and as full as whole cells make them. */
static void test_blocks(void **state)
{
	struct fixture *f = *state;
	struct reader_file *file;

	f->cells = age;
	write_object(f, 4 * MIB, 0, MIB);
	open_reader(f, 8, 0);
	file = open_file(f);
	/* 15 cells: the first has the head with it. */
	expect_range(f, file, 0, 15 * 65536);
	assert_int_equal(f->metrics.used_buffers, 1);
	assert_int_equal(f->metrics.fetched_bytes, 216 + 15 * 65552);
	/* A byte costs a cell. */
	expect_range(f, file, 2 * MIB + 5, 1);
	assert_int_equal(f->metrics.fetched_bytes, 216 + 16 * 65552);
	reader_close(file, NULL);
}

/* Each byte of the object that is wrong is noticed, and costs no more than its extent. */
static void test_wrong_stored_bytes(void **state)
{
	struct fixture *f = *state;
	const uint64_t places[] = {0, 39, 40, 40 + 4095, 40 + 4096, 500000, MIB};
	struct reader_file *file;

	write_object(f, 2 * MIB, 0, MIB);
	open_reader(f, 8, 0);
	for (size_t i = 0; i <= ARRAY_SIZE(places); i++) {
		uint64_t at = i < ARRAY_SIZE(places) ? places[i] : f->facts.stored_bytes - 1;
		uint64_t plain = at < 40 ? 0 : (at - 40) / 4112 * 4096;

		flip(f, at, false);
		file = open_file(f);
		expect_corrupt(f, file, plain, "CRC-32C");
		expect_range(f, file, plain < MIB ? MIB + 200000 : 0, 4096);
		reader_close(file, NULL);
		flip(f, at, false);
	}
	file = open_file(f);
	read_in_order(f, file, 100000);
	reader_close(file, NULL);
	close_reader(f);
}

/* Whoever can change the manifest as well still does not make another file of it. */
static void test_wrong_cells(void **state)
{
	struct fixture *f = *state;
	const uint64_t places[] = {40, 40 + 4095, 40 + 4096, 40 + 4111, 500000};
	struct reader_file *file;

	write_object(f, 2 * MIB, 0, MIB);
	open_reader(f, 8, 0);
	for (size_t i = 0; i <= ARRAY_SIZE(places); i++) {
		uint64_t at = i < ARRAY_SIZE(places) ? places[i] : f->facts.stored_bytes - 1;
		uint64_t plain = (at - 40) / 4112 * 4096;

		flip(f, at, true);
		file = open_file(f);
		expect_corrupt(f, file, plain, "has a wrong tag");
		expect_corrupt(f, file, plain, "do not rely on this backup");
		expect_range(f, file, plain < MIB ? MIB + 200000 : 0, 4096);
		reader_close(file, NULL);
		flip(f, at, true);
	}
	assert_int_equal(f->metrics.wrong_extents, 0);
	close_reader(f);
}

/* Read ahead of anybody's asking, the cell is not handed out either. */
static void test_a_wrong_cell_in_a_sequential_read(void **state)
{
	struct fixture *f = *state;
	struct reader_file_stats stats;
	struct reader_file *file;
	const uint64_t wrong = 300;

	write_object(f, 4 * MIB, 0, MIB);
	flip(f, 40 + wrong * 4112, true);
	open_reader(f, 8, 4 * MIB);
	file = open_file(f);
	for (uint64_t at = 0; at < f->plain.len; at += 4096) {
		const struct extents *x = &f->facts.extents;
		const struct extent *here = &x->items[extents_find(x, cells_stored_offset(&f->cells, at))];
		struct error err = {0};
		bool with_wrong =
		        here->offset <= 40 + wrong * 4112 && here->offset + here->length > 40 + wrong * 4112;
		int r = read_range(f, file, at, 4096, &err);

		if (at / 4096 == wrong)
			assert_int_equal(r, -EIO);
		if (!with_wrong)
			assert_int_equal(r, 0);
	}
	reader_close(file, &stats);
	assert_false(stats.whole);
	close_reader(f);
}

/* The last cell is missing, and what is left has the length of a file: the cell before it is no last one. */
static void test_cut_at_a_cell(void **state)
{
	struct fixture *f = *state;
	struct extents *x = &f->facts.extents;
	struct reader_file *file;

	write_object(f, 2 * MIB, 0, MIB);
	assert_true(x->count > 3);
	x->total_bytes = x->items[3].offset;
	x->count = 3;
	f->plain.len = cells_plain_bytes(&f->cells, x->total_bytes);
	open_reader(f, 8, 0);
	file = open_file(f);
	expect_range(f, file, 0, 100000);
	expect_corrupt(f, file, f->plain.len - 1, "has a wrong tag");
	reader_close(file, NULL);
	close_reader(f);
}

/* A file of cells that were moved within it. */
static void test_exchanged_cells(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = mem_alloc(4112);
	struct reader_file *file;

	write_object(f, 2 * MIB, 0, MIB);
	memcpy(first, f->stored + 40, 4112);
	memcpy(f->stored + 40, f->stored + 40 + 4112, 4112);
	memcpy(f->stored + 40 + 4112, first, 4112);
	assert_int_equal(store_put_bytes(f->store, NULL, KEY, f->stored, f->facts.stored_bytes, NULL, NULL),
	                 0);
	f->facts.extents.items[0].crc32c = crc32c(0, f->stored, f->facts.extents.items[0].length);
	open_reader(f, 8, 0);
	file = open_file(f);
	expect_corrupt(f, file, 0, "has a wrong tag");
	expect_corrupt(f, file, 4096, "has a wrong tag");
	reader_close(file, NULL);
	close_reader(f);
}

static void test_wrong_as_a_whole(void **state)
{
	struct fixture *f = *state;
	struct reader_file *file;
	struct error err = {0};
	int r = 0;

	write_object(f, 2 * MIB + 5, 0, MIB);
	f->sha256[0] ^= 1;
	open_reader(f, 8, 0);
	file = open_file(f);
	for (uint64_t at = 0; r == 0 && at < f->plain.len; at += 65536)
		r = read_range(f, file, at, 65536, &err);
	assert_int_equal(r, -EIO);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, "SHA-256 of its 2097157 bytes"));
	reader_close(file, NULL);
	close_reader(f);
}

static void expect_refused(struct fixture *f, const struct extents *x, const char *text)
{
	struct reader_file *file = NULL;
	struct error err = {0};
	unsigned freed = 0;

	assert_int_equal(try_open(f, f->sha256, x, &freed, &file, &err), -EBADMSG);
	assert_int_equal(err.class, ERROR_CORRUPT);
	assert_non_null(strstr(err.message, text));
	assert_null(file);
	assert_int_equal(freed, 1);
}

static void test_tables_of_other_files(void **state)
{
	struct fixture *f = *state;
	struct extents x = {0};

	open_reader(f, 8, 0);
	expect_refused(f, &x, "an object of 0 bytes");
	extents_append(&x, 40 + 15, 0);
	expect_refused(f, &x, "an object of 55 bytes");
	extents_append(&x, 4112, 0); /* the end of the second cell is missing, or it is empty */
	x.total_bytes = 40 + 4112 + 16;
	expect_refused(f, &x, "an object of 4167 bytes");
	extents_finish(&x);
	/* Within the head, behind it, within a cell. */
	for (uint32_t first = 20; first < 4112; first += 20) {
		extents_append(&x, first, 0);
		extents_append(&x, 40 + 2 * 4112 - first, 0);
		expect_refused(f, &x, "within a cell");
		extents_finish(&x);
	}
	/* Cells that no block could hold, or too few of them. */
	extents_append(&x, 100000, 0);
	f->cells.plain_bytes = 4095;
	expect_refused(f, &x, "cannot be a file");
	f->cells = small;
	f->cells.stored_bytes = 4095;
	expect_refused(f, &x, "cannot be a file");
	f->cells.stored_bytes = 3 * 4096;
	expect_refused(f, &x, "cannot be a file");
	f->cells.stored_bytes = 2 << 20;
	expect_refused(f, &x, "cannot be a file");
	f->cells = small;
	f->cells.head_bytes = 600000;
	expect_refused(f, &x, "cannot be a file");
	extents_finish(&x);
	close_reader(f);
}

/* Files share one layout, which is the first one's. */
static void test_layouts_are_freed(void **state)
{
	struct fixture *f = *state;
	struct reader_file *first, *second;
	unsigned freed = 0;

	write_object(f, MIB, 0, MIB);
	open_reader(f, 8, 0);
	assert_int_equal(try_open(f, NULL, &f->facts.extents, &freed, &first, NULL), 0);
	assert_int_equal(freed, 0);
	assert_int_equal(try_open(f, NULL, &f->facts.extents, &freed, &second, NULL), 0);
	assert_int_equal(freed, 1);
	reader_close(first, NULL);
	expect_range(f, second, 5, 100);
	assert_int_equal(freed, 1);
	reader_close(second, NULL);
	close_reader(f);
	assert_int_equal(freed, 2);
	open_reader(f, 8, 0);
	reader_cancel_all(f->reader);
	assert_int_equal(try_open(f, NULL, &f->facts.extents, &freed, &first, NULL), -ESHUTDOWN);
	assert_int_equal(freed, 3);
	close_reader(f);
}

/* The disk cache. */

static void open_cache(struct fixture *f)
{
	struct error err = {0};

	if (!f->cache_dir[0]) {
		snprintf(f->cache_dir, sizeof(f->cache_dir), "/tmp/keepfs-layout-XXXXXX");
		assert_non_null(mkdtemp(f->cache_dir));
	}
	assert_int_equal(cache_open(f->cache_dir, 64 * MIB, &f->cache, &err), 0);
}

static void set_faults(struct fixture *f, const char *spec)
{
	store_free(f->store);
	f->store = new_faulty(spec);
}

/* Each block by one request: it is in the cache then. */
static void read_by_block(struct fixture *f, struct reader_file *file)
{
	size_t bytes = cells_block_bytes(&f->cells) / f->cells.stored_bytes * f->cells.plain_bytes;

	read_in_order(f, file, bytes);
}

static void spoil_cache(struct fixture *f)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/keepfs-cache.data", f->cache_dir);
	fd = open(path, O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	for (off_t at = 3; at < 10 * (off_t)MIB; at += MIB)
		assert_int_equal(pwrite(fd, "wrong", 5, at), 5);
	close(fd);
}

/* What is kept are stored bytes: each time they come back they are checked, and decoded. */
static void test_disk_cache(void **state)
{
	struct fixture *f = *state;
	uint8_t id[CACHE_ID_BYTES];
	struct cache_stats stats;
	struct reader_file *file;

	write_object(f, 5 * MIB + 321, 0, MIB);
	open_cache(f);
	open_reader(f, 8, 0);
	file = open_file(f);
	read_by_block(f, file);
	reader_close(file, NULL);
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.used_bytes, f->facts.stored_bytes);
	close_reader(f);

	set_faults(f, "get:1+:eio");
	open_cache(f);
	open_reader(f, 8, 4 * MIB);
	file = open_file(f);
	read_at_random(f, file, 100);
	read_in_order(f, file, 131072);
	reader_close(file, NULL);
	close_reader(f);

	/* It is not trusted. */
	set_faults(f, "");
	spoil_cache(f);
	open_cache(f);
	open_reader(f, 8, 0);
	file = open_file(f);
	read_in_order(f, file, 131072);
	cache_stats(f->cache, &stats);
	assert_int_not_equal(stats.wrong, 0);
	assert_int_equal(f->metrics.wrong_extents, 0);
	reader_close(file, NULL);

	/* It is known by what is stored: whoever removes the object needs no layout to find it. */
	reader_cache_id(f->facts.stored_sha256, &f->facts.extents, id);
	cache_forget_file(f->cache, id);
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.pieces, 0);
	close_reader(f);
}

/* Plain bytes never get into the cache: of a block of which some came before the rest, it gets nothing. */
static void test_only_stored_bytes_are_cached(void **state)
{
	struct fixture *f = *state;
	struct cache_stats stats;
	struct reader_file *file;

	write_object(f, MIB / 2, 0, MIB);
	open_cache(f);
	open_reader(f, 8, 0);
	file = open_file(f);
	expect_range(f, file, 100000, 1);
	read_by_block(f, file);
	reader_close(file, NULL);
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.pieces, 0);
	file = open_file(f);
	read_by_block(f, file);
	reader_close(file, NULL);
	cache_stats(f->cache, &stats);
	assert_int_equal(stats.pieces, 1);
	close_reader(f);
}

/* Many at once, with fewer buffers than they need. */

struct load {
	struct fixture *f;
	unsigned seed;
};

static void *load_main(void *arg)
{
	struct load *load = arg;
	struct fixture *f = load->f;

	for (unsigned i = 0; i < 10; i++) {
		struct reader_file *file = open_file(f);

		for (unsigned k = 0; k < 15; k++)
			expect_range(f, file, (uint64_t)rand_r(&load->seed) % f->plain.len,
			             (size_t)rand_r(&load->seed) % READER_REQUEST_BYTES + 1);
		if (i % 3 == 0)
			read_in_order(f, file, 262144);
		reader_close(file, NULL);
	}
	return NULL;
}

static void expect_load(struct fixture *f, bool cached)
{
	struct load loads[6];
	pthread_t threads[ARRAY_SIZE(loads)];

	if (cached)
		open_cache(f);
	open_reader(f, 8, 4 * MIB);
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++) {
		loads[i] = (struct load){.f = f, .seed = i};
		assert_int_equal(pthread_create(&threads[i], NULL, load_main, &loads[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(loads); i++)
		pthread_join(threads[i], NULL);
	close_reader(f);
}

static void test_under_load(void **state)
{
	struct fixture *f = *state;
	static const struct cells *const all[] = {&small, &age};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		f->cells = *all[i];
		write_object(f, 7 * MIB + 4321, 100000, MIB);
		expect_load(f, false);
		expect_load(f, true);
	}
}

/* Tables of files that are limited, as those of a directory's files are, and of others' making. */
static void test_merged_extents(void **state)
{
	struct fixture *f = *state;
	static const struct cells *const all[] = {&small, &age, &headless};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		f->cells = *all[i];
		for (size_t most = 1; most < 100; most = 2 * most + 1) {
			write_object(f, 5 * MIB + 99, 0, MIB);
			extents_limit(&f->facts.extents, most);
			expect_readable(f);
		}
	}
}

static int drain_write(struct sink *s, const void *data, size_t len, struct error *err)
{
	return 0;
}

static int drain_finish(struct sink *s, struct error *err)
{
	return 0;
}

static void drain_free(struct sink *s)
{
}

static struct sink *drain_new(void)
{
	static const struct sink_ops ops = {.write = drain_write, .finish = drain_finish, .free = drain_free};
	static struct sink drain = {&ops};

	return &drain;
}

/* Beyond what a table holds extents become longer, and stay whole cells: of age's 1, 3 and 15. */
static void test_long_tables(void **state)
{
	struct fixture *f = *state;
	const size_t most[] = {100, 60, 20, 4};
	const uint32_t longest[] = {65552, 3 * 65552, 15 * 65552, 15 * 65552};

	f->cells = age;
	for (size_t i = 0; i < ARRAY_SIZE(most); i++) {
		struct extents x = {0};
		uint32_t length = 0;
		struct sink *s;

		write_object(f, 5 * MIB + 99, 0, MIB);
		s = lister_new(drain_new(),
		               &(struct lister_options){.cells = age, .max_extents = most[i], .ret = &x});
		for (uint64_t at = 0; at < f->facts.stored_bytes; at += 1000)
			assert_int_equal(sink_write(s, f->stored + at,
			                            f->facts.stored_bytes - at < 1000
			                                    ? (size_t)(f->facts.stored_bytes - at)
			                                    : 1000,
			                            NULL),
			                 0);
		assert_int_equal(sink_finish(s, NULL), 0);
		sink_free(s);
		for (size_t k = 0; k < x.count; k++)
			length = k > 0 && x.items[k].length > length ? x.items[k].length : length;
		assert_int_equal(length, longest[i]);
		extents_finish(&f->facts.extents);
		f->facts.extents = x;
		expect_readable(f);
	}
}

static void test_cells(void **state)
{
	const struct cells c = {.head_bytes = 100, .plain_bytes = 5000, .stored_bytes = 5010};

	assert_true(cells_are_usable(&c));
	for (uint64_t plain = 0; plain < 20000; plain++) {
		uint64_t stored = cells_stored_bytes(&c, plain);

		assert_int_equal(cells_plain_bytes(&c, stored), plain);
		assert_int_equal(cells_plain_offset(&c, stored), plain);
		assert_true(cells_stored_offset(&c, plain) <= stored);
		assert_true(cells_is_border(&c, cells_stored_offset(&c, plain)));
		assert_int_equal(cells_plain_offset(&c, cells_stored_offset(&c, plain)), plain / 5000 * 5000);
	}
	assert_int_equal(cells_stored_bytes(&c, 0), 110);
	assert_int_equal(cells_stored_bytes(&c, 5000), 5110);
	assert_int_equal(cells_stored_bytes(&c, 5001), 5121);
	for (uint64_t stored = 0; stored < 110; stored++)
		assert_int_equal(cells_plain_bytes(&c, stored), UINT64_MAX);
	for (uint64_t stored = 5111; stored <= 5120; stored++)
		assert_int_equal(cells_plain_bytes(&c, stored), UINT64_MAX);
	assert_int_equal(cells_covering_bytes(&c, 0), 0);
	assert_int_equal(cells_covering_bytes(&c, 1), 5110);
	assert_int_equal(cells_covering_bytes(&c, 5000), 5110);
	assert_int_equal(cells_covering_bytes(&c, 5001), 10120);
	/* 16 of age's cells would be 1 MiB and 256 bytes. */
	assert_int_equal(cells_unit_bytes(&age), 65552);
	assert_int_equal(cells_block_bytes(&age), 15 * 65552);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_cells),
	        TEST(test_sizes),
	        TEST(test_heads),
	        TEST(test_a_head_of_a_whole_part),
	        TEST(test_blocks),
	        TEST(test_wrong_stored_bytes),
	        TEST(test_wrong_cells),
	        TEST(test_a_wrong_cell_in_a_sequential_read),
	        TEST(test_cut_at_a_cell),
	        TEST(test_exchanged_cells),
	        TEST(test_wrong_as_a_whole),
	        TEST(test_tables_of_other_files),
	        TEST(test_layouts_are_freed),
	        TEST(test_disk_cache),
	        TEST(test_only_stored_bytes_are_cached),
	        TEST(test_under_load),
	        TEST(test_merged_extents),
	        TEST(test_long_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
