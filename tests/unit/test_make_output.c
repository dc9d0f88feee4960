// SPDX-License-Identifier: Apache-2.0
/*
 * What a program writes, and what becomes of it in the store: archives and text that are whole, cut off, or
 * written by a program that fails. The programs are a line of shell each. And the order in which entries may
 * come, which no maker is trusted with.
 */
#include "../../src/dump/output.h"
#include "../support/archive_read.h"
#include "store_test.h"

#include <keepfs/base/fd.h>
#include <keepfs/base/str.h>
#include <keepfs/catalog.h>

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#define STEM        "backups/full/20261120T020000Z"
#define ARCHIVE     TEST_DATA "/small-z0.dump"
#define BEGAN_AT_US INT64_C(1795140000000000) /* 2026-11-20T02:00:00Z */
#define LAST        "-- PostgreSQL database dump complete"

struct fixture {
	struct conf conf;
	struct conf_job job;
	struct make_context ctx;
	struct make_target target;
	struct make_order order;
	struct dump dump;
	struct repository repository;
	struct manifest *m; /* the draft's */
	char *path;         /* of the artifact */
	struct contents *contents;
};

static int set_up(void **state)
{
	struct fixture *f = mem_alloc(sizeof(*f));
	_cleanup(free) char *objects = NULL;

	assert_int_equal(root_setup(state), 0);
	objects = mem_printf("%s/objects", root);
	f->conf.parallel_runs = 1;
	f->conf.store.part_bytes = (uint64_t)1 << 20;
	f->job.dump.database = "dbname=x";
	f->job.name = "full";
	f->job.verify = CONF_VERIFY_NONE;
	f->ctx.conf = &f->conf;
	f->ctx.pool = pool_new((uint64_t)64 << 20);
	f->conf.state_dir = mem_printf("%s/state", root);
	assert_int_equal(store_dir_new(objects, &f->repository.store, NULL), 0);
	assert_int_equal(catalog_open(f->conf.state_dir, &f->repository.catalog, NULL), 0);
	f->ctx.repository = &f->repository;
	f->target = (struct make_target){.label = "x", .directory = "backups/full"};
	f->order = (struct make_order){
	        .job = &f->job, .target = &f->target, .run_id = 1, .triggered_by = "test"};
	f->dump.job = &f->job;
	f->dump.conf = &f->job.dump;
	f->dump.ctx = &f->ctx;
	f->dump.order = &f->order;
	f->dump.compression = (struct compression){COMPRESSION_GZIP, COMPRESSION_ISAL};
	f->contents = contents_new(f->conf.state_dir);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	draft_free(f->dump.draft);
	/* Every buffer and every promise came back. */
	assert_true(pool_try_reserve(f->ctx.pool, pool_buffers(f->ctx.pool)));
	pool_free(f->ctx.pool);
	store_free(f->repository.store);
	catalog_free(f->repository.catalog);
	contents_free(f->contents);
	free(f->conf.state_dir);
	free(f);
	return root_teardown(state);
}

/* What pg_dump is, and what it is to make. */
static void prepare(struct fixture *f, int format, const char *suffix, const char *program)
{
	_cleanup(free) char *script = mem_printf("#!/bin/sh\n%s\n", program);
	_cleanup(fd) int fd = -1;

	const struct draft_options options = {.ctx = &f->ctx,
	                                      .order = &f->order,
	                                      .kind = "dump",
	                                      .suffix = suffix,
	                                      .is_directory = format == CONF_FORMAT_DIRECTORY,
	                                      .started_at_us = BEGAN_AT_US};

	f->job.dump.format = format;
	/* What was not published is taken back, and its name is free again. */
	f->dump.draft = draft_free(f->dump.draft);
	assert_int_equal(draft_new(&options, &f->dump.draft, NULL), 0);
	f->m = draft_manifest(f->dump.draft);
	f->path = f->m->path;
	snprintf(f->dump.program, sizeof(f->dump.program), "%s/pg_dump", root);
	fd = open(f->dump.program, O_WRONLY | O_CREAT | O_CLOEXEC, 0700);
	assert_true(fd >= 0);
	assert_int_equal(fd_write_all(fd, script, strlen(script)), 0);
}

static void get(struct fixture *f, const char *key, struct str *out)
{
	char *data;
	size_t len;

	assert_int_equal(store_get_all(f->repository.store, NULL, key, 1 << 20, &data, &len, NULL), 0);
	str_append_bytes(out, data, len);
	free(data);
}

/* The keys that there are, with their common beginning left out. */
static void expect_objects(struct fixture *f, const char *expected)
{
	_cleanup(free) struct store_object *objects = NULL;
	_cleanup(str) struct str got = {0};
	size_t count;
	bool more;

	assert_int_equal(store_list(f->repository.store, NULL, "", NULL, 1000, &objects, &count, &more, NULL),
	                 0);
	for (size_t i = 0; i < count; i++) {
		assert_true(str_starts(objects[i].key, STEM));
		str_appendf(&got, "%s ", objects[i].key + strlen(STEM));
	}
	assert_string_equal(str_text(&got), expected);
}

/* One gzip file, and nothing behind it. */
static void unpack(const struct str *in, struct str *out)
{
	z_stream z = {.next_in = (Bytef *)in->data, .avail_in = (uInt)in->len};
	uint8_t buf[1 << 16];
	int r;

	assert_int_equal(inflateInit2(&z, MAX_WBITS + 16), Z_OK);
	do {
		z.next_out = buf;
		z.avail_out = sizeof(buf);
		r = inflate(&z, Z_NO_FLUSH);
		str_append_bytes(out, buf, sizeof(buf) - z.avail_out);
	} while (r == Z_OK);
	assert_int_equal(r, Z_STREAM_END);
	assert_int_equal(z.avail_in, 0);
	inflateEnd(&z);
}

/* Archives. */

static void test_custom_archive(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str in = {0}, out = {0};
	_cleanup(archive_content) struct archive_content before = {0}, after = {0};

	prepare(f, CONF_FORMAT_CUSTOM, ".dump", "exec cat " ARCHIVE);
	assert_int_equal(transcode_archive(&f->dump, f->contents, NULL), 0);
	expect_objects(f, ".dump ");
	get(f, f->path, &out);
	assert_int_equal(fd_read_file(ARCHIVE, 1 << 20, &in), 0);
	assert_int_equal(archive_read(in.data, in.len, false, &before, NULL), 0);
	assert_int_equal(archive_read(out.data, out.len, true, &after, NULL), 0);
	assert_true(archive_content_equal(&before, &after));
	assert_true(archive_offsets_right(out.data, out.len));
	assert_int_equal(f->m->files[0].size_bytes, out.len);
	assert_int_equal(f->m->objects[0].extents.total_bytes, out.len);
}

static void test_directory(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str list = {0}, packed = {0}, rows = {0};

	prepare(f, CONF_FORMAT_DIRECTORY, "", "exec cat " ARCHIVE);
	assert_int_equal(transcode_archive(&f->dump, f->contents, NULL), 0);
	expect_objects(f, "/3359.dat.gz /3360.dat.gz /blob_1234.dat.gz /blob_3000000000.dat.gz /blobs.toc "
	                  "/toc.dat ");
	assert_int_equal(f->m->file_count, 6);
	get(f, STEM "/blobs.toc", &list);
	assert_string_equal(str_text(&list), "1234 blob_1234.dat\n3000000000 blob_3000000000.dat\n");
	get(f, STEM "/3360.dat.gz", &packed);
	unpack(&packed, &rows);
	assert_string_equal(str_text(&rows), "\\.\n\n\n");
}

static void test_directory_without_compression(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str rows = {0};

	f->dump.compression.method = COMPRESSION_NONE;
	prepare(f, CONF_FORMAT_DIRECTORY, "", "exec cat " ARCHIVE);
	assert_int_equal(transcode_archive(&f->dump, f->contents, NULL), 0);
	expect_objects(f, "/3359.dat /3360.dat /blob_1234.dat /blob_3000000000.dat /blobs.toc /toc.dat ");
	get(f, STEM "/3360.dat", &rows);
	assert_string_equal(str_text(&rows), "\\.\n\n\n");
}

static void put_blob(struct output *o, uint64_t block, uint64_t oid)
{
	struct ordered_out out = output_ordered(o);

	assert_int_equal(out.mark(out.arg, MARK_BLOCK, block, NULL), 0);
	assert_int_equal(out.mark(out.arg, MARK_BLOB, oid, NULL), 0);
	assert_int_equal(out.segment(out.arg, &(struct segment){.raw_bytes = 3, .bytes = 3}, "abc", NULL), 0);
	assert_int_equal(out.mark(out.arg, MARK_BLOB_END, 0, NULL), 0);
	assert_int_equal(out.mark(out.arg, MARK_BLOCK_END, 0, NULL), 0);
}

static void add_blobs(struct contents *c, int dump_id, int list_id, const char *oids)
{
	const struct pg_archive_entry list = {
	        .dump_id = list_id, .desc = "BLOB METADATA", .defn = oids, .copy_stmt = "", .oid = "0"};
	const struct pg_archive_entry blobs = {.dump_id = dump_id,
	                                       .desc = "BLOBS",
	                                       .defn = "",
	                                       .copy_stmt = "",
	                                       .oid = "0",
	                                       .has_data = true,
	                                       .dependencies = &list_id,
	                                       .dependency_count = 1};

	assert_int_equal(contents_add(c, &list, NULL), 0);
	assert_int_equal(contents_add(c, &blobs, NULL), 0);
}

/* From version 17 on each group of large objects has a list of its own. */
static void test_directory_with_groups_of_large_objects(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str list = {0};
	struct output *o;

	f->dump.compression.method = COMPRESSION_NONE;
	prepare(f, CONF_FORMAT_DIRECTORY, "", "");
	add_blobs(f->contents, 7, 6, "4294967295\n");
	add_blobs(f->contents, 9, 8, "5\n");
	contents_complete(f->contents);
	o = directory_new();
	o->dump = &f->dump;
	o->contents = f->contents;
	assert_int_equal(output_begin(o, NULL), 0);
	put_blob(o, 7, 4294967295);
	put_blob(o, 9, 5);
	o->ops->free(o);
	expect_objects(f, "/blob_4294967295.dat /blob_5.dat /blobs_7.toc /blobs_9.toc ");
	get(f, STEM "/blobs_7.toc", &list);
	assert_string_equal(str_text(&list), "4294967295 blob_4294967295.dat\n");
}

/* Wherever it is cut: in the header, before data, within it, before its end. */
static void test_archive_is_cut_off(void **state)
{
	static const unsigned bytes[] = {0, 4, 100, 3000, 6000, 7200, 7289};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(bytes); i++) {
		_cleanup(free) char *program = mem_printf("exec head -c %u " ARCHIVE, bytes[i]);
		struct error err = {0};

		prepare(f, CONF_FORMAT_CUSTOM, ".dump", program);
		assert_int_equal(transcode_archive(&f->dump, f->contents, &err), -EBADMSG);
		assert_true(err.message[0]);
		expect_objects(f, "");
		assert_int_equal(unlink(f->dump.program), 0);
		contents_free(f->contents);
		f->contents = contents_new(f->conf.state_dir);
	}
}

/* It has written everything, and yet says that it failed: its words are what is told. */
static void test_archive_of_a_program_that_fails(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	prepare(f, CONF_FORMAT_CUSTOM, ".dump", "cat " ARCHIVE "; echo 'pg_dump: error: alas' >&2; exit 1");
	assert_int_equal(transcode_archive(&f->dump, f->contents, &err), -EIO);
	assert_non_null(strstr(err.message, "pg_dump: error: alas"));
	expect_objects(f, "");
}

/* The version of the archive is of tomorrow: nothing was begun, so that something else can be tried. */
static void test_unknown_archive(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	prepare(f, CONF_FORMAT_CUSTOM, ".dump",
	        "printf 'PGDMP\\001\\143\\000\\004\\010\\001'; exec cat " ARCHIVE);
	assert_int_equal(transcode_archive(&f->dump, f->contents, &err), -ENOTSUP);
	assert_non_null(strstr(err.message, "1.99"));
	expect_objects(f, "");
}

/* Text. */

/* Longer than the tail that is kept, and with the last line in two pieces. */
#define LONG_TEXT "seq 1 5000; printf -- '-- PostgreSQL data'; printf 'base dump complete\\n--\\n\\n'"

static void expect_long_text(struct fixture *f, const struct str *text)
{
	_cleanup(str) struct str expected = {0};

	for (unsigned i = 1; i <= 5000; i++)
		str_appendf(&expected, "%u\n", i);
	str_append(&expected, LAST "\n--\n\n");
	assert_string_equal(str_text(text), str_text(&expected));
}

static void test_text(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str packed = {0}, text = {0};

	prepare(f, CONF_FORMAT_PLAIN, ".sql.gz", LONG_TEXT);
	assert_int_equal(make_plain(&f->dump, NULL), 0);
	expect_objects(f, ".sql.gz ");
	get(f, f->path, &packed);
	unpack(&packed, &text);
	expect_long_text(f, &text);
	assert_int_equal(strlen(f->m->files[0].sha256), SHA256_HEX_BYTES - 1);
}

static void test_text_without_compression(void **state)
{
	struct fixture *f = *state;
	_cleanup(str) struct str text = {0};

	f->dump.compression.method = COMPRESSION_NONE;
	prepare(f, CONF_FORMAT_PLAIN, ".sql", LONG_TEXT);
	assert_int_equal(make_plain(&f->dump, NULL), 0);
	get(f, f->path, &text);
	expect_long_text(f, &text);
}

static void test_text_is_cut_off(void **state)
{
	static const char *const programs[] = {
	        ":",
	        "seq 1 5000",
	        "printf -- '-- PostgreSQL database dump complet'",
	        /* Words of a row that happen to be the same stand nowhere near the end. */
	        "echo '" LAST "'; seq 1 5000",
	        /* A file system that was full leaves zeros. */
	        "echo '" LAST "'; printf '\\000'",
	};
	struct fixture *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct error err = {0};

		prepare(f, CONF_FORMAT_PLAIN, ".sql.gz", programs[i]);
		assert_int_equal(make_plain(&f->dump, &err), -EBADMSG);
		assert_non_null(strstr(err.message, "is cut off"));
		expect_objects(f, "");
		assert_int_equal(unlink(f->dump.program), 0);
	}
}

static void test_text_of_a_program_that_fails(void **state)
{
	struct fixture *f = *state;
	struct error err = {0};

	prepare(f, CONF_FORMAT_PLAIN, ".sql.gz", "echo '" LAST "'; echo alas >&2; exit 3");
	assert_int_equal(make_plain(&f->dump, &err), -EIO);
	assert_non_null(strstr(err.message, "alas"));
	expect_objects(f, "");
}

/* The order of entries. */

static int finish_nothing(struct output *o, struct error *err)
{
	return 0;
}

static void test_order_of_entries(void **state)
{
	static const struct output_ops ops = {.finish = finish_nothing};
	struct fixture *f = *state;
	struct output o = {.ops = &ops, .contents = f->contents};
	struct error err = {0};

	add_blobs(f->contents, 7, 6, "1\n");
	add_blobs(f->contents, 9, 8, "2\n");
	contents_complete(f->contents);
	/* No entry of that number, or none with data. */
	assert_int_equal(output_block(&o, 5, &err), -EBADMSG);
	assert_int_equal(output_block(&o, 6, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "entry 6"));
	assert_int_equal(output_block(&o, 9, &err), 0);
	/* Within another. */
	assert_int_equal(output_block(&o, 7, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "within entry 9"));
	output_block_end(&o);
	/* Once more. */
	assert_int_equal(output_block(&o, 9, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "twice"));
	/* One is missing. */
	assert_int_equal(output_finish(&o, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "entry 7"));
	/* One has begun. */
	assert_int_equal(output_block(&o, 7, &err), 0);
	assert_int_equal(output_finish(&o, &err), -EBADMSG);
	output_block_end(&o);
	assert_int_equal(output_finish(&o, &err), 0);
}

static size_t note(struct fixture *f, const char *name, size_t extents)
{
	struct stream_facts facts = {.bytes = extents * EXTENT_MIN_BYTES};
	const struct manifest_object *object;
	const struct manifest_file *file;

	for (size_t i = 0; i < extents; i++)
		extents_append(&facts.extents, EXTENT_MIN_BYTES, 0);
	draft_enter(f->dump.draft, name, &facts);
	assert_int_equal(facts.extents.count, 0);
	file = &f->m->files[f->m->file_count - 1];
	assert_string_equal(file->name, name);
	object = &f->m->objects[file->object];
	assert_int_equal(object->extents.total_bytes, file->size_bytes);
	assert_int_equal(object->extents_count, object->extents.count);
	return object->extents.count;
}

/* One table's worth of extents for all files: the rest has long ones. */
static void test_extents_of_many_files(void **state)
{
	struct fixture *f = *state;

	prepare(f, CONF_FORMAT_DIRECTORY, "", "exit 1");
	assert_int_equal(note(f, "1", EXTENTS_MAX - 110), EXTENTS_MAX - 110);
	assert_int_equal(note(f, "2", 100), 100);
	assert_int_equal(note(f, "3", 34), 9); /* 256 KiB */
	assert_int_equal(note(f, "4", 34), 3); /* 1 MiB */
	assert_int_equal(note(f, "5", 33), 3);
	assert_int_equal(note(f, "6", 1), 1);
	assert_int_equal(note(f, "7", 0), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	        TEST(test_custom_archive),
	        TEST(test_directory),
	        TEST(test_directory_without_compression),
	        TEST(test_directory_with_groups_of_large_objects),
	        TEST(test_archive_is_cut_off),
	        TEST(test_archive_of_a_program_that_fails),
	        TEST(test_unknown_archive),
	        TEST(test_text),
	        TEST(test_text_without_compression),
	        TEST(test_text_is_cut_off),
	        TEST(test_text_of_a_program_that_fails),
	        TEST(test_order_of_entries),
	        TEST(test_extents_of_many_files),
	};

	return cmocka_run_group_tests_name("make_output", tests, NULL, NULL);
}
