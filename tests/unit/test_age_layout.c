// SPDX-License-Identifier: Apache-2.0
/* Encrypted files, through the whole of it: written by the stage into a store, opened by their header as whoever finds them does, and
 * read through the layout: right, cut, put together anew, and with any bit changed. */
#include "encrypted_test.h"

#include <keepfs/reader/age.h>

#include <errno.h>

#define CELL   ((size_t)AGE_CELL_PLAIN_BYTES)
#define STORED ((size_t)AGE_CELL_STORED_BYTES)

struct secret {
	struct encrypting to;
	struct age_identities *identities;
};

/* As whoever has the identity: by the object's first bytes. */
static struct reader_layout *open_by_header(struct fixture *f, unsigned *freed)
{
	struct secret *s = f->secret;
	struct age_key k;

	assert_int_equal(age_header_open(f->stored, (size_t)f->facts.stored_bytes, s->identities, &k, NULL),
	                 0);
	assert_int_equal(k.head_bytes, f->cells.head_bytes);
	return reader_age_layout(&k);
}

/* As whoever wrote it, without an identity. */
static struct reader_layout *open_by_own_key(struct fixture *f, unsigned *freed)
{
	return reader_age_layout(&((struct secret *)f->secret)->to.age.key);
}

static void add_key(struct secret *s)
{
	char secret[AGE_SECRET_TEXT_BYTES], recipient[AGE_RECIPIENT_BYTES];

	age_identity_generate(secret, recipient);
	assert_int_equal(age_recipients_add(s->to.recipients, recipient, NULL), 0);
	age_identities_free(s->identities);
	s->identities = age_identities_new();
	assert_int_equal(age_identities_add(s->identities, secret, NULL), 0);
}

static int set_up(void **state)
{
	struct fixture *f = new_fixture();
	struct secret *s = mem_alloc(sizeof(*s));

	if (!f)
		return -1;
	begin_encrypting(f, &s->to);
	add_key(s);
	f->layout = open_by_header;
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;

	end_encrypting(&s->to);
	age_identities_free(s->identities);
	free(s);
	return free_fixture(f);
}

/* All of the object at once, by another way than the reader's. */
static void expect_whole_object(struct fixture *f)
{
	struct secret *s = f->secret;
	_cleanup(str) struct str plain = {0};
	struct error err = {0};

	if (age_decrypt(f->stored, (size_t)f->facts.stored_bytes, s->identities, &plain, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(plain.len, f->plain.len);
	if (plain.len > 0)
		assert_memory_equal(plain.data, f->plain.data, plain.len);
}

static void test_age_sizes(void **state)
{
	struct fixture *f = *state;
	const size_t sizes[] = {0, 1, CELL - 1, CELL, CELL + 1, 2 * CELL, 3 * CELL - 1, 4 * MIB + 777};
	const size_t pieces[] = {4099, 300000, CELL, CELL + 1};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		expect_whole_way(f, sizes[i], 0, pieces[i % ARRAY_SIZE(pieces)]);
		expect_whole_object(f);
	}
}

/* An archive's first bytes are known last: they end anywhere in a cell, and what follows is nothing, little, or much. */
static void test_age_heads(void **state)
{
	struct fixture *f = *state;
	const size_t heads[] = {1, 700, CELL - 1, CELL, CELL + 1, 3 * CELL - 100};
	const size_t bodies[] = {0, 1, 99, 100, 101, CELL - 1, CELL, CELL + 1, 2 * CELL + 100, 2 * MIB};

	for (size_t h = 0; h < ARRAY_SIZE(heads); h++)
		for (size_t b = 0; b < ARRAY_SIZE(bodies); b++) {
			expect_whole_way(f, heads[h] + bodies[b], heads[h], b % 2 ? 50021 : 200000);
			expect_whole_object(f);
		}
}

static void test_a_head_of_whole_parts(void **state)
{
	struct fixture *f = *state;

	expect_whole_way(f, 5 * MIB, MIB, 65536);
	expect_whole_way(f, 5 * MIB, MIB - 1, 65536);
	expect_whole_way(f, MIB, MIB, 65536);
	expect_whole_object(f);
}

/* As many recipients as there can be: the header is longer than some, and any of them opens it. */
static void test_many_recipients(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;

	while (age_recipients_count(s->to.recipients) < AGE_RECIPIENTS_MAX)
		add_key(s);
	expect_whole_way(f, 2 * MIB + 1, 700, MIB);
	expect_whole_object(f);
}

/* Whoever wrote it reads it back, and needs no identity for that. */
static void test_own_key(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;

	f->layout = open_by_own_key;
	s->identities = age_identities_free(s->identities);
	expect_whole_way(f, 2 * MIB + 1, 0, MIB);
}

static void read_and_close(struct fixture *f, uint64_t offset, const char *text)
{
	struct reader_file *file = open_file(f);

	if (text)
		expect_corrupt(f, file, offset, text);
	else
		expect_range(f, file, offset, 4096);
	reader_close(file, NULL);
}

/* Put other bytes into the store, with checksums of them: as whoever can write the bucket, and the manifest. */
static void replace_object(struct fixture *f, size_t stored_bytes)
{
	struct extents *x = &f->facts.extents;
	const struct cells *c = &f->cells;

	assert_int_equal(store_put_bytes(f->store, NULL, KEY, f->stored, stored_bytes, NULL, NULL), 0);
	extents_finish(x);
	for (size_t at = 0, n; at < stored_bytes; at += n) {
		n = c->stored_bytes + (at == 0 ? c->head_bytes : 0);
		n = stored_bytes - at < n ? stored_bytes - at : n;
		extents_append(x, (uint32_t)n, crc32c(0, f->stored + at, n));
	}
	f->facts.stored_bytes = stored_bytes;
	f->facts.stored_sha256[0] = '\0';
	f->plain.len = (size_t)cells_plain_bytes(c, stored_bytes);
	open_reader(f, 8, 0);
}

/* Any bit of a cell or its tag. What is right beside it is still read. */
static void test_bit_flips(void **state)
{
	struct fixture *f = *state;
	uint64_t head;

	write_object(f, 2 * MIB + 5, 0, MIB);
	head = f->cells.head_bytes;
	open_reader(f, 8, 0);
	for (uint64_t at = head; at < f->facts.stored_bytes; at += 29 * 1009) {
		uint64_t cell = (at - head) / STORED;

		flip(f, at, true);
		read_and_close(f, cell * CELL, "its tag is wrong");
		read_and_close(f, (cell + 1) % 30 * CELL, NULL);
		flip(f, at, true);
		flip(f, at, false);
		read_and_close(f, cell * CELL, "CRC-32C");
		flip(f, at, false);
	}
	for (unsigned i = 1; i <= 21; i++) {
		flip(f, f->facts.stored_bytes - i, true);
		read_and_close(f, 2 * MIB, "its tag is wrong");
		flip(f, f->facts.stored_bytes - i, true);
	}
	read_and_close(f, 2 * MIB, NULL);
	close_reader(f);
}

/* No byte of the header and the nonce can be another one. */
static void test_bit_flips_of_the_header(void **state)
{
	struct fixture *f = *state;
	struct secret *s = f->secret;

	add_key(s);
	write_object(f, 5, 0, 5);
	for (size_t at = 0; at < f->cells.head_bytes; at++)
		for (unsigned bit = 0; bit < 8; bit++) {
			_cleanup(str) struct str plain = {0};
			struct error err = {0};
			int r;

			f->stored[at] = (char)(f->stored[at] ^ 1 << bit);
			r = age_decrypt(f->stored, (size_t)f->facts.stored_bytes, s->identities, &plain,
			                &err);
			assert_true(r == -EBADMSG || r == -ENOKEY);
			assert_int_equal(err.errnum, -r);
			assert_int_equal(plain.len, 0);
			f->stored[at] = (char)(f->stored[at] ^ 1 << bit);
		}
	expect_whole_object(f);
}

static void test_cut_at_a_border(void **state)
{
	struct fixture *f = *state;

	for (unsigned cells = 1; cells < 4; cells++) {
		write_object(f, 4 * CELL, 0, MIB);
		replace_object(f, f->cells.head_bytes + cells * STORED);
		read_and_close(f, (cells - 1) * CELL, "the end of what age encrypted is missing");
		if (cells > 1)
			read_and_close(f, 0, NULL);
		close_reader(f);
	}
}

/* Elsewhere than at a border: the last cell is short, and is not the one that was short. */
static void test_cut_within_a_cell(void **state)
{
	struct fixture *f = *state;
	const size_t left[] = {17, 18, 4096, STORED - 1};

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		write_object(f, 4 * CELL, 0, MIB);
		replace_object(f, f->cells.head_bytes + 2 * STORED + left[i]);
		read_and_close(f, 2 * CELL, "its tag is wrong");
		read_and_close(f, CELL, NULL);
		close_reader(f);
	}
}

/* Cut so that no file has this length: it is not even opened. */
static void test_cut_to_no_file(void **state)
{
	struct fixture *f = *state;
	const size_t left[] = {1, 15, 16};

	for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
		struct reader_file *file;
		struct error err = {0};

		write_object(f, 4 * CELL, 0, MIB);
		replace_object(f, f->cells.head_bytes + 2 * STORED + left[i]);
		assert_int_equal(try_open(f, f->sha256, &f->facts.extents, NULL, &file, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
		close_reader(f);
	}
}

static void test_exchanged_cells(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *first = mem_alloc(STORED);
	char *cells;

	write_object(f, 4 * CELL, 0, MIB);
	cells = f->stored + f->cells.head_bytes;
	memcpy(first, cells, STORED);
	memcpy(cells, cells + STORED, STORED);
	memcpy(cells + STORED, first, STORED);
	replace_object(f, (size_t)f->facts.stored_bytes);
	read_and_close(f, 0, "in another's place");
	read_and_close(f, CELL, "in another's place");
	read_and_close(f, 2 * CELL, NULL);
	close_reader(f);
}

/* A cell of another object of the same recipients, which is the same cell of the same file. */
static void test_a_cell_of_another_object(void **state)
{
	struct fixture *f = *state;
	_cleanup(free) char *other = mem_alloc(STORED);

	write_object(f, 4 * CELL, 0, MIB);
	memcpy(other, f->stored + f->cells.head_bytes + STORED, STORED);
	write_object(f, 4 * CELL, 0, MIB);
	memcpy(f->stored + f->cells.head_bytes + STORED, other, STORED);
	replace_object(f, (size_t)f->facts.stored_bytes);
	read_and_close(f, 0, NULL);
	read_and_close(f, CELL, "its tag is wrong");
	close_reader(f);
}

/* A cell behind the last one, which may be any: one of the file's own, or the last one once more. */
static void test_a_cell_behind_the_last(void **state)
{
	struct fixture *f = *state;

	for (size_t from = 0; from < 3; from++) {
		char *cells;

		write_object(f, 3 * CELL, 0, MIB);
		f->stored = mem_resize(f->stored, (size_t)f->facts.stored_bytes + STORED, 1);
		cells = f->stored + f->cells.head_bytes;
		memcpy(cells + 3 * STORED, cells + from * STORED, STORED);
		replace_object(f, (size_t)f->facts.stored_bytes + STORED);
		/* Its plain bytes are not known, and never handed out. */
		read_and_close(f, 3 * CELL, "its tag is wrong");
		read_and_close(f, 2 * CELL, "something was put behind the end");
		close_reader(f);
	}
}

static void test_another_cell_for_an_empty_file(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str plain = {0};
	struct secret *s = f->secret;
	struct error err = {0};

	write_object(f, 0, 0, 1);
	expect_whole_object(f);
	f->stored[f->facts.stored_bytes - 1] ^= 1;
	assert_int_equal(age_decrypt(f->stored, (size_t)f->facts.stored_bytes, s->identities, &plain, &err),
	                 -EBADMSG);
	assert_int_equal(
	        age_decrypt(f->stored, (size_t)f->facts.stored_bytes - 1, s->identities, &plain, &err),
	        -EBADMSG);
	assert_non_null(strstr(err.message, "cut off within cell 0"));
}

/* With a key of another object nothing is read. */
static void test_another_key(void **state)
{
	struct fixture *f = *state;
	struct stream_age other = {0};
	struct secret *s = f->secret;

	write_object(f, 2 * CELL, 0, MIB);
	assert_int_equal(stream_age_init(&other, s->to.recipients, NULL), 0);
	stream_age_finish(&s->to.age);
	s->to.age = other;
	f->layout = open_by_own_key;
	open_reader(f, 8, 0);
	read_and_close(f, 0, "its tag is wrong");
	close_reader(f);
}

struct requests {
	struct fixture *f;
	struct reader_file *file;
	unsigned seed;
};

static void *read_randomly(void *arg)
{
	struct requests *q = arg;

	for (unsigned i = 0; i < 40; i++)
		expect_range(q->f, q->file, (uint64_t)rand_r(&q->seed) % q->f->plain.len, 70000);
	return NULL;
}

/* Several threads of the reader decrypt with one layout at once. */
static void test_many_readers(void **state)
{
	struct fixture *f = *state;
	struct requests q[4];
	pthread_t threads[4];
	struct reader_file *file;

	write_object(f, 6 * MIB, 0, MIB);
	open_reader(f, 12, 2 * MIB);
	file = open_file(f);
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++) {
		q[i] = (struct requests){f, file, i};
		assert_int_equal(pthread_create(&threads[i], NULL, read_randomly, &q[i]), 0);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(q); i++)
		pthread_join(threads[i], NULL);
	reader_close(file, NULL);
	close_reader(f);
}

/* The store's failure is told, and what was begun is dropped. */
static void test_a_store_that_fails(void **state)
{
	struct fixture *f = *state;
	const size_t heads[] = {0, 700};

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		const struct stream_stage stage = f->stage(f);
		struct stream_object *o;
		struct error err = {0};
		int r = 0;

		store_free(f->store);
		f->store = new_faulty("part:1+:eio,put:1+:eio");
		assert_int_equal(stream_object_new(&(struct stream_object_options){.store = f->store,
		                                                                   .pool = f->pool,
		                                                                   .key = KEY,
		                                                                   .part_bytes = MIB,
		                                                                   .head_bytes = heads[i],
		                                                                   .stage = &stage},
		                                   &o, &err),
		                 0);
		make_plain(f, 8 * MIB);
		for (size_t at = heads[i]; r == 0 && at < f->plain.len; at += 100000)
			r = stream_object_write(o, f->plain.data + at,
			                        f->plain.len - at < 100000 ? f->plain.len - at : 100000,
			                        &err);
		if (r == 0)
			r = stream_object_finish(o, heads[i] ? f->plain.data : NULL, &f->facts, &err);
		assert_true(r < 0);
		assert_true(err.message[0]);
		stream_object_free(o);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test_setup_teardown(test_age_sizes, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_age_heads, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_head_of_whole_parts, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_many_recipients, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_own_key, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_bit_flips, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_bit_flips_of_the_header, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_cut_at_a_border, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_cut_within_a_cell, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_cut_to_no_file, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_exchanged_cells, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_cell_of_another_object, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_cell_behind_the_last, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_another_cell_for_an_empty_file, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_another_key, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_many_readers, set_up, tear_down),
	        cmocka_unit_test_setup_teardown(test_a_store_that_fails, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
