// SPDX-License-Identifier: Apache-2.0
/* What of a dump is pure: which entries have data, and how tables are cut into slices. */
#include "../../src/dump/contents.h"
#include "../../src/dump/tape.h"
#include "../../src/dump/toc.h"
#include "../support/archive_build.h"

#include <keepfs/base/mem.h>
#include <keepfs/make.h>

#include <errno.h>
#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define MIB ((uint64_t)1 << 20)

/* Contents. */

static struct pg_archive_entry table_entry(int dump_id, const char *schema, const char *table,
                                           const char *oid)
{
	return (struct pg_archive_entry){
	        .dump_id = dump_id,
	        .has_data = true,
	        .oid = oid,
	        .tag = table,
	        .desc = "TABLE DATA",
	        .defn = "",
	        .copy_stmt = "COPY public.t (a) FROM stdin;\n",
	        .namespace = schema,
	        .place_at = (uint64_t)dump_id * 100,
	};
}

static struct pg_archive_entry other_entry(int dump_id, const char *desc, const char *defn)
{
	return (struct pg_archive_entry){.dump_id = dump_id,
	                                 .oid = "0",
	                                 .tag = "",
	                                 .desc = desc,
	                                 .defn = defn,
	                                 .copy_stmt = "",
	                                 .namespace = ""};
}

static void add(struct contents *c, struct pg_archive_entry entry)
{
	assert_int_equal(contents_add(c, &entry, NULL), 0);
}

static int append_csv(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static void test_entries_with_data(void **state)
{
	_cleanup(content_texts) struct content_texts texts = {0};
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	_cleanup(str) struct str csv = {0};
	struct error err = {0};

	add(c, other_entry(1, "ENCODING", "SET client_encoding = 'LATIN1';\n"));
	add(c, other_entry(2, "SCHEMA", "CREATE SCHEMA s;\n"));
	add(c, table_entry(9, "s", "one", "16384"));
	add(c, table_entry(4, "s,\"x\"", "two", "4294967295"));
	contents_complete(c);

	assert_string_equal(c->encoding, "LATIN1");
	assert_int_equal(c->count, 2);
	assert_null(contents_find(c, 2));
	assert_int_equal(contents_texts(c, contents_find(c, 9), &texts, NULL), 0);
	assert_string_equal(texts.schema, "s");
	assert_string_equal(texts.table, "one");
	assert_string_equal(texts.copy_stmt, "COPY public.t (a) FROM stdin;\n");
	assert_true(contents_find(c, 9)->has_columns);
	assert_int_equal(contents_find(c, 4)->oid, UINT32_MAX);

	contents_count_rows(c, contents_find(c, 9), &(struct rows){2, 10, 0xff});
	contents_count_rows(c, contents_find(c, 9), &(struct rows){1, 5, UINT64_MAX});
	assert_int_equal(contents_write_csv(c, append_csv, &csv, NULL), 0);
	assert_string_equal(str_text(&csv), "schema,table,rows,bytes,hash\n"
	                                    "s,one,3,15,00000000000000fe\n"
	                                    "\"s,\"\"x\"\"\",two,0,0,0000000000000000\n");

	contents_find(c, 9)->ended = true;
	assert_int_equal(contents_check(c, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "two"));
	contents_find(c, 4)->ended = true;
	assert_int_equal(contents_check(c, &err), 0);
}

static void test_the_largest_tables(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	_cleanup(free) char *none = NULL, *largest = NULL;
	char long_name[300];

	for (int i = 1; i <= CONTENTS_LARGEST + 5; i++) {
		_cleanup(free) char *name = mem_printf("t%d", i);

		add(c, table_entry(i, "s", name, "16384"));
	}
	add(c, table_entry(100, "s", "in \xe4nother encoding", "16384"));
	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	add(c, table_entry(101, "s", long_name, "16384"));
	contents_complete(c);
	assert_int_equal(contents_largest(c, &none, NULL), 0);
	assert_null(none);
	for (int i = 1; i <= CONTENTS_LARGEST + 5; i++)
		contents_count_rows(c, contents_find(c, i),
		                    &(struct rows){(uint64_t)i, (uint64_t)(i % 7), 0});
	contents_count_rows(c, contents_find(c, 100), &(struct rows){1, 1000, 0});
	contents_count_rows(c, contents_find(c, 101), &(struct rows){1, 900, 0});
	assert_int_equal(contents_largest(c, &largest, NULL), 0);
	assert_int_equal(strncmp(largest, "[[\"s.xxxxxxxx", 12), 0);
	assert_true(strlen(largest) < 400);
	/* As large as each other: in the order of the archive. */
	assert_non_null(strstr(largest,
	                       "\",1,900],[\"s.t6\",6,6],[\"s.t13\",13,6],[\"s.t5\",5,5],[\"s.t12\",12,5],"));
	assert_null(strstr(largest, "nother"));
	assert_null(strstr(largest, "\"s.t7\""));
}

static void test_large_objects_of_all(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	struct pg_archive_entry blobs = other_entry(7, "BLOBS", "");

	blobs.has_data = true;
	add(c, blobs);
	contents_complete(c);
	assert_true(c->items[0].blobs);
	assert_false(c->items[0].listed);
}

static void test_large_objects_in_groups(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	struct pg_archive_entry first = other_entry(7, "BLOBS", ""), second = other_entry(8, "BLOBS", "");
	const int of_first[] = {5, 99}, of_second[] = {6, 99};
	uint32_t oids[4];
	uint64_t at = 0;

	add(c, other_entry(5, "BLOB METADATA", "16400\n4000000000\n"));
	add(c, other_entry(6, "BLOB METADATA", "3\n"));
	first.has_data = second.has_data = true;
	first.dependencies = of_first;
	second.dependencies = of_second;
	first.dependency_count = second.dependency_count = 2;
	add(c, second);
	add(c, first);
	contents_complete(c);
	assert_true(c->items[0].listed && c->items[1].listed);
	assert_int_equal(contents_listed(c, &c->items[0], &at, oids, 4, NULL), 1);
	assert_int_equal(oids[0], 3);
	assert_int_equal(contents_listed(c, &c->items[0], &at, oids, 4, NULL), 0);
	at = 0;
	assert_int_equal(contents_listed(c, &c->items[1], &at, oids, 1, NULL), 1);
	assert_int_equal(oids[0], 16400);
	assert_int_equal(contents_listed(c, &c->items[1], &at, oids, 4, NULL), 1);
	assert_int_equal(oids[0], 4000000000U);
}

static void test_bad_lists_of_large_objects(void **state)
{
	static const char *const bad[] = {"x\n", "1\n-2\n", "1 2", "99999999999\n", "18446744073709551616\n"};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		_cleanup(contents) struct contents *c = contents_new("/tmp");
		struct pg_archive_entry entry = other_entry(5, "BLOB METADATA", bad[i]);
		struct error err = {0};

		assert_int_equal(contents_add(c, &entry, &err), -EBADMSG);
		assert_int_equal(err.class, ERROR_CORRUPT);
	}
}

/* One that may mean all of them stands alone, or they would be dumped twice. */
static void test_large_objects_that_nobody_lists(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	struct pg_archive_entry first = other_entry(7, "BLOBS", ""), second = other_entry(8, "BLOBS", "");
	struct error err = {0};

	first.has_data = second.has_data = true;
	add(c, first);
	assert_int_equal(contents_add(c, &second, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "entry 8"));
}

static void test_more_entries_than_are_kept(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	struct pg_archive_entry one_more = table_entry(4, "s", "t", "1");
	struct error err = {0};

	c->max = 3;
	for (int i = 1; i <= 3; i++)
		add(c, table_entry(i, "s", "t", "1"));
	add(c, other_entry(5, "INDEX", ""));
	assert_int_equal(contents_add(c, &one_more, &err), -EFBIG);
	assert_non_null(strstr(err.message, "more than 3 tables with data: dump it in parts"));
}

/* The table of contents. */

static int feed_toc(struct toc_reader *t, struct str *bytes, struct error *err)
{
	int r = toc_reader_feed(t, str_text(bytes), bytes->len, err);

	str_clear(bytes);
	return r;
}

/* Entry after entry, with data and without: it ends with a clear error, and takes neither memory nor disk meanwhile. */
static void test_table_of_contents_without_an_end(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	_cleanup(toc_reader) struct toc_reader t;
	_cleanup(str) struct str bytes = {0};
	struct archive_shape shape = archive_sound;
	size_t before = mallinfo2().uordblks;
	struct error err = {0};
	int r = 0;

	toc_reader_init(&t, c, "/tmp", NULL);
	t.max_bytes = 16 * MIB;
	shape.entries = 100000000;
	archive_put_head(&bytes, &shape);
	for (int id = 1; r == 0; id++) {
		archive_put_entry(&bytes, &shape, id, id % 50 == 0, id % 50 == 0 ? 1 : 3);
		r = feed_toc(&t, &bytes, &err);
	}
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.message, "takes more than 16 MiB"));
	assert_non_null(strstr(err.message, "/tmp: dump the database in parts"));
	assert_true(spool_size(t.toc.spool) <= 16 * MIB);
	assert_true(c->count > 1000);
	/* Two spools, and what is known of the tables. */
	assert_true(mallinfo2().uordblks - before < 2 * MIB + 400 * c->count);
}

/* One list, or one number after another, that does not end. */
static void test_entry_without_an_end(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	_cleanup(toc_reader) struct toc_reader t;
	_cleanup(str) struct str bytes = {0};
	struct archive_shape shape = archive_sound;
	size_t before = mallinfo2().uordblks;
	struct error err = {0};
	int r = 0;

	toc_reader_init(&t, c, "/tmp", NULL);
	t.max_bytes = 200 * MIB;
	archive_put_head(&bytes, &shape);
	archive_put_entry(&bytes, &shape, 1, 1, 1);
	/* Its dependencies begin where the NULL and the offset stood. */
	bytes.len -= 1 + (size_t)shape.offset_size + 5;
	while (r == 0) {
		archive_put_text(&bytes, "1");
		if (bytes.len >= 65536)
			r = feed_toc(&t, &bytes, &err);
	}
	assert_int_equal(r, -EFBIG);
	assert_non_null(strstr(err.message, "depends on more than"));
	assert_true(mallinfo2().uordblks - before < 80 * MIB);
}

static int drop_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	*(size_t *)arg += len;
	return 0;
}

static uint64_t no_offset(void *arg, uint64_t place_at)
{
	return 0;
}

/* In pieces that end anywhere, the last one with data behind it; and from a disk that does not keep what it is given. */
static void test_table_of_contents_comes_back(void **state)
{
	static const size_t pieces[] = {1, 7, 100000};

	for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
		_cleanup(contents) struct contents *c = contents_new("/tmp");
		_cleanup(toc_reader) struct toc_reader t;
		_cleanup(str) struct str bytes = {0};
		size_t written = 0;
		const struct pg_archive_head_options head = {
		        .offset = no_offset, .emit = drop_bytes, .arg = &written};
		struct error err = {0};
		struct toc toc;

		toc_reader_init(&t, c, "/tmp", NULL);
		archive_put_whole(&bytes, &archive_sound);
		for (size_t at = 0; at < bytes.len; at += pieces[i]) {
			size_t left = bytes.len - at, n = left < pieces[i] ? left : pieces[i];

			assert_int_equal(toc_reader_feed(&t, bytes.data + at, n, NULL), 0);
		}
		assert_true(t.complete);
		toc = toc_reader_take(&t);
		assert_int_equal(toc_write(&toc, &head, &err), 0);
		assert_int_equal(written, toc.facts.toc_end);
		toc.crc32c ^= 1;
		assert_int_equal(toc_write(&toc, &head, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "look at that disk"));
		toc_finish(&toc);
	}
}

static void test_table_of_contents_without_a_disk(void **state)
{
	_cleanup(contents) struct contents *c = contents_new("/tmp");
	_cleanup(toc_reader) struct toc_reader t;
	_cleanup(str) struct str bytes = {0};
	struct archive_shape shape = archive_sound;
	struct error err = {0};
	int r = 0;

	toc_reader_init(&t, c, "/tmp/there-is-no-such-directory", NULL);
	shape.entries = 100000000;
	archive_put_head(&bytes, &shape);
	for (int id = 1; r == 0; id++) {
		archive_put_entry(&bytes, &shape, id, 0, 3);
		r = feed_toc(&t, &bytes, &err);
	}
	assert_int_equal(r, -ENOENT);
	assert_non_null(strstr(err.message, "to a file in /tmp/there-is-no-such-directory"));
}

/* The tape. */

struct cut {
	struct contents *contents;
	struct pg_table tables[16];
	struct tape tape;
};

static void cut_begin(struct cut *cut)
{
	*cut = (struct cut){.contents = contents_new("/tmp")};
}

static void cut_table(struct cut *cut, uint64_t bytes, bool by_pages, const char *copy_stmt)
{
	size_t i = cut->contents->count;
	struct pg_archive_entry entry = table_entry((int)i + 1, "s", "t", "1");

	entry.copy_stmt = copy_stmt;
	add(cut->contents, entry);
	cut->tables[i] = (struct pg_table){
	        .total_bytes = bytes, .pages = (uint32_t)(bytes / 8192), .by_pages = by_pages};
}

static void cut_end(struct cut *cut)
{
	tape_finish(&cut->tape);
	contents_free(cut->contents);
}

/* Every slice has pieces, they are the tape's in order, and each entry's pieces are its pages without a
 * gap. */
static void assert_tape_is_whole(const struct cut *cut)
{
	const struct tape *t = &cut->tape;
	size_t piece = 0, entry = 0;
	uint32_t next_page = 0;

	for (size_t s = 0; s < t->slice_count; s++) {
		assert_int_equal(t->slices[s].first_piece, piece);
		assert_true(t->slices[s].pieces > 0);
		piece += t->slices[s].pieces;
	}
	assert_int_equal(piece, t->piece_count);
	for (size_t i = 0; i < t->piece_count; i++) {
		const struct piece *p = &t->pieces[i];

		assert_ptr_equal(p->content, &cut->contents->items[entry]);
		assert_int_equal(p->from_page, next_page);
		assert_int_equal(p->first, next_page == 0);
		assert_true(p->to_page > p->from_page);
		next_page = p->to_page;
		assert_int_equal(p->last, next_page == UINT32_MAX);
		if (p->last) {
			next_page = 0;
			entry++;
		}
	}
	assert_int_equal(entry, cut->contents->count);
}

static void test_small_tables_share_slices(void **state)
{
	struct cut cut;

	cut_begin(&cut);
	for (int i = 0; i < 10; i++)
		cut_table(&cut, 1 * MIB, true, "COPY s.t (a) FROM stdin;\n");
	tape_cut(&cut.tape, cut.contents, cut.tables, 4 * MIB);
	assert_tape_is_whole(&cut);
	assert_int_equal(cut.tape.slice_count, 3);
	assert_int_equal(cut.tape.bytes, 10 * MIB);
	cut_end(&cut);
}

static void test_large_table_is_cut_by_pages(void **state)
{
	struct cut cut;

	cut_begin(&cut);
	cut_table(&cut, 1 * MIB, true, "COPY s.t (a) FROM stdin;\n");
	cut_table(&cut, 101 * MIB, true, "COPY s.t (a) FROM stdin;\n");
	cut_table(&cut, 1 * MIB, true, "COPY s.t (a) FROM stdin;\n");
	tape_cut(&cut.tape, cut.contents, cut.tables, 10 * MIB);
	assert_tape_is_whole(&cut);
	assert_int_equal(cut.tape.slice_count, 1 + 11 + 1);
	cut_end(&cut);
}

static void test_what_must_not_be_cut(void **state)
{
	struct cut cut;

	cut_begin(&cut);
	cut_table(&cut, 100 * MIB, false, "COPY s.t (a) FROM stdin;\n");
	cut_table(&cut, 100 * MIB, true, "COPY s.t  FROM stdin;\n");
	cut_table(&cut, 100 * MIB, true, "COPY s.\"a)\"  FROM stdin;\n");
	cut_table(&cut, 0, true, "COPY s.t (a) FROM stdin;\n");
	tape_cut(&cut.tape, cut.contents, cut.tables, 10 * MIB);
	assert_tape_is_whole(&cut);
	assert_int_equal(cut.tape.piece_count, 4);
	cut_end(&cut);
}

static void test_toast_counts_as_weight(void **state)
{
	struct cut cut;

	/* Two pages of heap, and a lot beside them: no more ranges than pages. */
	cut_begin(&cut);
	cut_table(&cut, 100 * MIB, true, "COPY s.t (a) FROM stdin;\n");
	cut.tables[0].pages = 2;
	tape_cut(&cut.tape, cut.contents, cut.tables, 10 * MIB);
	assert_tape_is_whole(&cut);
	assert_int_equal(cut.tape.slice_count, 2);
	cut_end(&cut);
}

static void test_nothing_to_cut(void **state)
{
	struct cut cut;

	cut_begin(&cut);
	tape_cut(&cut.tape, cut.contents, cut.tables, 10 * MIB);
	assert_int_equal(cut.tape.slice_count, 0);
	cut_end(&cut);
}

static void test_size_of_slices(void **state)
{
	assert_int_equal(tape_slice_bytes(0, 4, 32 * MIB), 2 * MIB);
	assert_int_equal(tape_slice_bytes(640 * MIB, 2, 32 * MIB), 20 * MIB);
	assert_int_equal(tape_slice_bytes(UINT64_MAX, 1, 32 * MIB), 32 * MIB);
	/* What they make out of turn has to fit. */
	assert_int_equal(tape_slice_bytes(UINT64_MAX, 4, 16 * MIB), 8 * MIB);
	assert_int_equal(tape_slice_bytes(UINT64_MAX, 16, 1 * MIB), 2 * MIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_entries_with_data),
	        cmocka_unit_test(test_the_largest_tables),
	        cmocka_unit_test(test_large_objects_of_all),
	        cmocka_unit_test(test_large_objects_in_groups),
	        cmocka_unit_test(test_bad_lists_of_large_objects),
	        cmocka_unit_test(test_large_objects_that_nobody_lists),
	        cmocka_unit_test(test_more_entries_than_are_kept),
	        cmocka_unit_test(test_table_of_contents_without_an_end),
	        cmocka_unit_test(test_entry_without_an_end),
	        cmocka_unit_test(test_table_of_contents_comes_back),
	        cmocka_unit_test(test_table_of_contents_without_a_disk),
	        cmocka_unit_test(test_small_tables_share_slices),
	        cmocka_unit_test(test_large_table_is_cut_by_pages),
	        cmocka_unit_test(test_what_must_not_be_cut),
	        cmocka_unit_test(test_toast_counts_as_weight),
	        cmocka_unit_test(test_nothing_to_cut),
	        cmocka_unit_test(test_size_of_slices),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
