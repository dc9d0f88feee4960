// SPDX-License-Identifier: Apache-2.0
/* What the reader of PostgreSQL's archives tells while it reads: as lines, in their order. */
#include "../support/archive_build.h"

#include <keepfs/base/str.h>
#include <keepfs/codec/pg_archive.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

struct listener {
	struct str log;
	const char *fails_at; /* the first line that begins so */
};

static int heard(struct listener *l, struct error *err, const char *fmt, ...)
        __attribute__((format(printf, 3, 4)));

static int heard(struct listener *l, struct error *err, const char *fmt, ...)
{
	size_t at = l->log.len;
	va_list args;

	va_start(args, fmt);
	str_vappendf(&l->log, fmt, args);
	va_end(args);
	if (!l->fails_at || !str_starts(l->log.data + at, l->fails_at))
		return 0;
	return error_set(err, ERROR_CANCELLED, ECANCELED, "enough heard");
}

static int hear_entry(void *arg, const struct pg_archive_entry *e, struct error *err)
{
	return heard(arg, err, "entry %d %d [%s|%s|%s|%s|%s|%s] %zu: %d %d\n", e->dump_id, e->has_data,
	             e->oid, e->tag, e->desc, e->defn, e->copy_stmt, e->namespace, e->dependency_count,
	             e->dependencies[0], e->dependencies[1]);
}

static int hear_toc_end(void *arg, const struct pg_archive_facts *facts, struct error *err)
{
	return heard(arg, err, "toc_end %llu\n", (unsigned long long)facts->toc_entries);
}

static int hear_block(void *arg, int dump_id, bool blobs, struct error *err)
{
	return heard(arg, err, "block %d %d\n", dump_id, blobs);
}

static int hear_blob(void *arg, uint32_t oid, struct error *err)
{
	return heard(arg, err, "blob %u\n", oid);
}

static int hear_data(void *arg, const void *data, size_t len, struct error *err)
{
	return heard(arg, err, "data %.*s", (int)len, (const char *)data);
}

static int hear_blob_end(void *arg, struct error *err)
{
	return heard(arg, err, "blob_end\n");
}

static int hear_block_end(void *arg, struct error *err)
{
	return heard(arg, err, "block_end\n");
}

static struct pg_archive_events events_of(struct listener *l)
{
	return (struct pg_archive_events){
	        .entry = hear_entry,
	        .toc_end = hear_toc_end,
	        .block = hear_block,
	        .blob = hear_blob,
	        .data = hear_data,
	        .blob_end = hear_blob_end,
	        .block_end = hear_block_end,
	        .arg = l,
	};
}

static void put_told(struct str *s, const struct archive_shape *shape)
{
	archive_put_toc(s, shape);
	archive_put_block(s, 3, 7);
	archive_put_int(s, 16385);
	archive_put_chunks(s);
	archive_put_int(s, -1294967296);
	archive_put_int(s, 0);
	archive_put_int(s, 0);
}

static const char told[] =
        "entry 7 1 [16384|tag|TABLE DATA|the definition|COPY …|the schema] 2: 1 2147483647\n"
        "entry 8 0 [16384|tag|TABLE DATA|the definition|COPY …|the schema] 2: 1 2147483647\n"
        "toc_end 2\n"
        "block 7 1\n"
        "blob 16385\n"
        "data 1\tone\n"
        "data 2\ttwo\n"
        "blob_end\n"
        "blob 3000000000\n"
        "blob_end\n"
        "block_end\n";

static void test_what_is_told(void **state)
{
	for (int minor = 12; minor <= 16; minor++) {
		struct archive_shape shape = archive_sound;
		_cleanup(str) struct str data = {0};
		struct listener l = {0};
		const struct pg_archive_events events = events_of(&l);
		struct pg_archive_scan *s = pg_archive_scan_new(&events);

		shape.minor = minor, shape.compression = 1;
		put_told(&data, &shape);
		assert_int_equal(pg_archive_scan_feed(s, data.data, data.len, NULL), 0);
		assert_int_equal(pg_archive_scan_end(s, NULL), 0);
		assert_string_equal(str_text(&l.log), told);
		pg_archive_scan_free(s);
		str_finish(&l.log);
	}
}

/* One byte at a time only data comes in other pieces: nothing is told late, and nothing twice. */
static void test_told_at_once(void **state)
{
	_cleanup(str) struct str data = {0};
	struct listener l = {0};
	struct pg_archive_events events = events_of(&l);
	size_t toc_bytes, heard_before_blocks;

	archive_put_toc(&data, &archive_sound);
	toc_bytes = data.len;
	archive_put_block(&data, 1, 7);
	archive_put_chunks(&data);
	events.data = NULL;
	struct pg_archive_scan *s = pg_archive_scan_new(&events);

	for (size_t at = 0; at < toc_bytes; at++) {
		assert_null(strstr(str_text(&l.log), "toc_end"));
		assert_int_equal(pg_archive_scan_feed(s, data.data + at, 1, NULL), 0);
	}
	assert_non_null(strstr(str_text(&l.log), "toc_end"));
	assert_int_equal(pg_archive_scan_facts(s)->toc_end, toc_bytes);
	heard_before_blocks = l.log.len;
	for (size_t at = toc_bytes; at < data.len; at++)
		assert_int_equal(pg_archive_scan_feed(s, data.data + at, 1, NULL), 0);
	assert_string_equal(l.log.data + heard_before_blocks, "block 7 0\nblock_end\n");
	pg_archive_scan_free(s);
	str_finish(&l.log);
}

static void test_listener_fails(void **state)
{
	static const char *const at[] = {"entry 7", "entry 8", "toc_end",  "block 7",  "blob 16385",
	                                 "data 1",  "data 2",  "blob_end", "blob 300", "block_end"};
	_cleanup(str) struct str data = {0};

	put_told(&data, &archive_sound);
	for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
		struct listener l = {.fails_at = at[i]};
		const struct pg_archive_events events = events_of(&l);
		struct pg_archive_scan *s = pg_archive_scan_new(&events);
		struct error err = {0};
		size_t len;

		assert_int_equal(pg_archive_scan_feed(s, data.data, data.len, &err), -ECANCELED);
		assert_string_equal(err.message, "enough heard");
		len = l.log.len;
		assert_int_equal(pg_archive_scan_feed(s, data.data, data.len, NULL), -ECANCELED);
		assert_int_equal(pg_archive_scan_end(s, NULL), -ECANCELED);
		assert_int_equal(l.log.len, len); /* and it is left alone */
		pg_archive_scan_free(s);
		str_finish(&l.log);
	}
}

/* Who listens to nothing is told only that the archive is cut off. */
static void expect_no_limit_unheard(const struct str *data)
{
	struct pg_archive_scan *s = pg_archive_scan_new(NULL);

	assert_int_equal(pg_archive_scan_feed(s, data->data, data->len, NULL), 0);
	assert_int_equal(pg_archive_scan_end(s, NULL), -EBADMSG);
	pg_archive_scan_free(s);
}

/* Of a text that is only said to be there nothing is kept; of one that is too large not even its
 * beginning. */
static void test_texts_too_large(void **state)
{
	struct listener l = {0};
	const struct pg_archive_events events = events_of(&l);

	for (int more = 0; more <= 1; more++) {
		_cleanup(str) struct str data = {0};
		struct pg_archive_scan *s = pg_archive_scan_new(&events);
		struct error err = {0};

		archive_put_head(&data, &archive_sound);
		archive_put_int(&data, 1);
		archive_put_int(&data, 0);
		archive_put_text(&data, NULL);
		archive_put_int(&data, (64 << 20) + more);
		str_append(&data, "123");
		assert_int_equal(pg_archive_scan_feed(s, data.data, data.len, &err), more ? -EFBIG : 0);
		expect_no_limit_unheard(&data);
		pg_archive_scan_free(s);
	}
	assert_int_equal(l.log.len, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_is_told),
	        cmocka_unit_test(test_told_at_once),
	        cmocka_unit_test(test_listener_fails),
	        cmocka_unit_test(test_texts_too_large),
	};

	return cmocka_run_group_tests_name("pg_archive_events", tests, NULL, NULL);
}
