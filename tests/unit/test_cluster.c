// SPDX-License-Identifier: Apache-2.0
/* What a base backup has, held against what backup_manifest promises of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../../src/cluster/cluster_private.h"

#include <keepfs/base/sorter.h>
#include <keepfs/base/str.h>

#include <errno.h>

#define DIRECTORY "/tmp"

struct listed {
	struct str keys; /* a line for each */
	unsigned count;
};

struct joined {
	struct str listing, index;
	struct error err;
};

static int take_bytes(void *arg, const void *data, size_t len, struct error *err)
{
	str_append_bytes(arg, data, len);
	return 0;
}

static int note_key(void *arg, struct listing_entry *e, struct error *err)
{
	struct listed *l = arg;

	str_appendf(&l->keys, "%s%s\n", e->key, e->is_directory ? "/" : "");
	l->count++;
	return 0;
}

static void add_file(struct cluster_files *f, const char *key, uint64_t bytes, const char *crc32c)
{
	struct listing_run run = {.bytes = bytes, .pack = (char *)"20261120T020000Z/00001", .place = 512};
	struct listing_entry e = {.format = LISTING_BASE,
	                          .key = (char *)key,
	                          .bytes = bytes,
	                          .mode = 0600,
	                          .runs = &run,
	                          .run_count = bytes > 0};

	str_copy(e.crc32c, sizeof(e.crc32c), crc32c);
	assert_int_equal(cluster_files_arrived(f, &e, NULL), 0);
}

static void add_directory(struct cluster_files *f, const char *key)
{
	const struct listing_entry e = {
	        .format = LISTING_BASE, .key = (char *)key, .mode = 0700, .is_directory = true};

	assert_int_equal(cluster_files_arrived(f, &e, NULL), 0);
}

static void promise(struct cluster_files *f, const char *path, uint64_t bytes, uint32_t crc32c)
{
	const struct base_manifest_file promised = {.path = path, .bytes = bytes, .crc32c = crc32c};

	assert_int_equal(cluster_files_promised(f, &promised, NULL), 0);
}

static int list_files(struct cluster_files *f, struct joined *j)
{
	const struct listing_head head = {.format = LISTING_BASE,
	                                  .job = (char *)"main",
	                                  .source = (char *)"PostgreSQL 15",
	                                  .taken_at_us = 1};
	const struct listing_out out = {.write = take_bytes, .arg = &j->listing};
	_cleanup(listing_writer) struct listing_writer *w = listing_writer_new(&head, &out);
	int r = cluster_files_list(f, w, &j->err);

	return r < 0 ? r : listing_writer_finish(w, &j->index, &j->err);
}

static void finish_joined(struct joined *j)
{
	str_finish(&j->listing);
	str_finish(&j->index);
	*j = (struct joined){0};
}

static void read_back_keys(const struct joined *j, struct listed *ret)
{
	const struct listing_scan_to to = {.entry = note_key, .arg = ret};
	_cleanup(listing_scan) struct listing_scan *scan = listing_scan_new(&to);

	assert_int_equal(listing_scan_feed(scan, j->listing.data, j->listing.len, NULL), 0);
	assert_int_equal(listing_scan_end(scan, NULL), 0);
}

static void add_good_files(struct cluster_files *f)
{
	add_file(f, "base/1/2", 8192, "0000000a");
	add_directory(f, "base/1");
	add_file(f, "base/1-2", 0, "00000000");
	add_directory(f, "base");
	add_directory(f, "");
	add_file(f, "backup_manifest", 100, "12345678");
	add_file(f, "pg_wal/0000000100000000000000A1", 100, "12345678");
	promise(f, "base/1-2", 0, 0);
	promise(f, "base/1/2", 8192, 10);
}

static void test_what_was_promised_is_listed_in_order(void **state)
{
	_cleanup(cluster_files) struct cluster_files *f = cluster_files_new(DIRECTORY);
	struct joined j = {0};
	struct listed l = {0};

	add_good_files(f);
	assert_int_equal(list_files(f, &j), 0);
	read_back_keys(&j, &l);
	assert_string_equal(str_text(&l.keys), "/\nbackup_manifest\nbase/\nbase/1/\nbase/1-2\nbase/1/2\n"
	                                       "pg_wal/0000000100000000000000A1\n");
	str_finish(&l.keys);
	finish_joined(&j);
}

/* @add: what is wrong beside files that are good. */
static void expect_not_whole(void (*add)(struct cluster_files *f), const char *why)
{
	_cleanup(cluster_files) struct cluster_files *f = cluster_files_new(DIRECTORY);
	struct joined j = {0};

	add_good_files(f);
	add(f);
	assert_int_equal(list_files(f, &j), -EBADMSG);
	assert_int_equal(j.err.class, ERROR_CORRUPT);
	if (!strstr(j.err.message, why))
		fail_msg("%s; wanted: %s", j.err.message, why);
	finish_joined(&j);
}

static void add_missing(struct cluster_files *f)
{
	promise(f, "base/1/3", 1, 1);
}

static void add_last_missing(struct cluster_files *f)
{
	promise(f, "zzz", 1, 1);
}

static void add_unknown(struct cluster_files *f)
{
	add_file(f, "base/1/4", 1, "00000001");
}

static void add_shorter(struct cluster_files *f)
{
	add_file(f, "base/1/5", 1, "00000001");
	promise(f, "base/1/5", 2, 1);
}

static void add_changed(struct cluster_files *f)
{
	add_file(f, "base/1/6", 1, "00000001");
	promise(f, "base/1/6", 1, 0xabcdef01);
}

static void add_twice(struct cluster_files *f)
{
	add_file(f, "base/1/2", 8192, "0000000a");
}

static void add_promise_twice(struct cluster_files *f)
{
	promise(f, "base/1/2", 8192, 10);
}

static void test_what_differs_is_named(void **state)
{
	expect_not_whole(add_missing, "base/1/3 is in its backup_manifest, but did not arrive");
	expect_not_whole(add_last_missing, "zzz is in its backup_manifest, but did not arrive");
	expect_not_whole(add_unknown, "base/1/4 was sent, but its backup_manifest does not know it");
	expect_not_whole(add_shorter, "base/1/5 arrived with 1 bytes, and its backup_manifest says 2");
	expect_not_whole(add_changed, "base/1/6 arrived with the CRC-32C 00000001, and its backup_manifest "
	                              "says abcdef01");
	expect_not_whole(add_twice, "base/1/2 was sent twice");
	expect_not_whole(add_promise_twice, "base/1/2 is in its backup_manifest twice");
}

/* Far more than the sorter has in memory. */
static void test_many_files(void **state)
{
	_cleanup(cluster_files) struct cluster_files *f = cluster_files_new(DIRECTORY);
	const unsigned count = 60000;
	struct joined j = {0};
	struct listed l = {0};

	for (unsigned i = 0; i < count; i++) {
		/* In no order, each once. */
		unsigned n = (unsigned)(i * UINT64_C(48271) % 60013 % count);
		char key[64], crc32c[LISTING_CRC32C_BYTES];

		snprintf(key, sizeof(key), "base/%u/%u", i % 7, i);
		snprintf(crc32c, sizeof(crc32c), "%08x", n);
		add_file(f, key, i, crc32c);
		promise(f, key, i, n);
	}
	assert_true((size_t)count * 200 > SORT_MEMORY_BYTES);
	assert_int_equal(list_files(f, &j), 0);
	read_back_keys(&j, &l);
	assert_int_equal(l.count, count);
	str_finish(&l.keys);
	finish_joined(&j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_what_was_promised_is_listed_in_order),
	        cmocka_unit_test(test_what_differs_is_named),
	        cmocka_unit_test(test_many_files),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
