// SPDX-License-Identifier: Apache-2.0
/* What a file that comes in is, by its first bytes and its name; and whether it is whole. */
#include "../../src/inbox/content.h"
#include "../../src/inbox/looks.h"

#include <keepfs/base/clock.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/compression.h>
#include <keepfs/inbox.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void test_times_in_names(void **state)
{
	static const struct {
		const char *name, *iso; /* NULL: it has none */
		bool is_utc;
	} rows[] = {
	        {"shop-2024-01-05_0230.sql.gz", "2024-01-05T02:30:00Z", false},
	        {"20240105T023011Z.dump", "2024-01-05T02:30:11Z", true},
	        {"backup_20240105.tar", "2024-01-05T00:00:00Z", false},
	        {"db.2024_02_29-23-59-59.dump", "2024-02-29T23:59:59Z", false},
	        {"20240105023011", "2024-01-05T02:30:11Z", false},
	        {"v15-20240105", "2024-01-05T00:00:00Z", false},
	        {"20240105-996.dump", "2024-01-05T00:00:00Z", false},
	        {"2023-02-29.dump", NULL, false},
	        {"20241301.dump", NULL, false},
	        {"123456789012.dump", NULL, false},
	        {"1234", NULL, false},
	        {"2024", NULL, false},
	        {"2024-", NULL, false},
	        {"2024-01-0", NULL, false},
	        {"", NULL, false},
	        {"old.dump", NULL, false},
	        {"99999999999999999999", NULL, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		char iso[CLOCK_ISO_BYTES];
		bool is_utc = false, has;
		int64_t local_s = 0;

		has = inbox_time_in_name(rows[i].name, &local_s, &is_utc);
		assert_string_equal(has ? clock_format_iso(local_s * US_PER_S, iso) : "none",
		                    rows[i].iso ? rows[i].iso : "none");
		if (has)
			assert_int_equal(is_utc, rows[i].is_utc);
	}
}

static void test_temporary_names(void **state)
{
	static const struct {
		const char *name, *plain;
		bool is_temporary;
	} rows[] = {
	        {".old.dump.x7Gh2K", "old.dump", true},
	        {"old.dump.partial", "old.dump", true},
	        {"old.dump.1a2b3c4d.partial", "old.dump", true},
	        {"old.dump.part", "old.dump", true},
	        {".hidden", "hidden", true},
	        {"old.dump", "old.dump", false},
	        {"old.backup", "old.backup", false},
	        {".part", "part", true},
	        {".", ".", true},
	        {"x.tmp", "x", true},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		_cleanup(free) char *plain = inbox_plain_name(rows[i].name);

		assert_int_equal(inbox_name_is_temporary(rows[i].name), rows[i].is_temporary);
		assert_string_equal(plain, rows[i].plain);
	}
}

static void test_endings(void **state)
{
	static const char *const rows[][2] = {
	        {"notes.xml", ".xml"},
	        {"notes.tar.xz", ".tar.xz"},
	        {"a.2024-01-05.xml.gz", ".xml.gz"},
	        {"notes", ".bin"},
	        {".profile", ".bin"},
	        {"x.20240105", ".bin"},
	        {"x.a b", ".bin"},
	        {"x.", ".bin"},
	        {"x.gz", ".gz"},
	        {"x.abcdefghijklmnopqrstuvw", ".bin"},
	        {"..gz", ".gz"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct inbox_look look;

		inbox_look_at("text", 4, rows[i][0], &look);
		assert_string_equal(look.suffix, rows[i][1]);
		assert_int_equal(look.shape, INBOX_OTHER);
	}
}

static const char sql[] =
        "--\n-- PostgreSQL database dump\n--\n\n-- Dumped from database version 15.3 (Debian)\n"
        "-- Dumped by pg_dump version 15.4\n\n-- Started on 2024-01-05 02:30:11 UTC\n\nSELECT 1;\n"
        "\n--\n-- PostgreSQL database dump complete\n--\n\n\\unrestrict abc\n";

static void test_text_of_pg_dump(void **state)
{
	struct inbox_look look;
	struct inbox_content *c;

	inbox_look_at(sql, sizeof(sql) - 1, "20200202.x", &look);
	assert_int_equal(look.shape, INBOX_SQL);
	assert_string_equal(look.suffix, ".sql");
	assert_string_equal(look.server_version, "15.3 (Debian)");
	assert_string_equal(look.tool_version, "15.4");
	assert_true(look.has_time && look.is_utc && look.time_is_of_content);
	assert_int_equal(look.local_s, INT64_C(1704421811));
	for (size_t cut = 0; cut < 2; cut++) {
		struct error err = {0};
		size_t len = sizeof(sql) - 1 - cut * 60;

		c = inbox_content_new(&look, "/tmp");
		for (size_t i = 0; i < len; i++)
			assert_int_equal(inbox_content_feed(c, sql + i, 1, &err), 0);
		assert_int_equal(inbox_content_end(c, &err), cut ? -EBADMSG : 0);
		assert_true(inbox_content_has_end(c));
		assert_null(inbox_content_counts(c));
		inbox_content_free(c);
	}
}

static int feed_cluster(const char *text, size_t piece)
{
	struct inbox_look look;
	struct inbox_content *c;
	struct error err = {0};
	int r;

	inbox_look_at(text, strlen(text), "all.sql", &look);
	assert_int_equal(look.shape, INBOX_SQL);
	assert_true(look.is_cluster);
	c = inbox_content_new(&look, "/tmp");
	for (size_t at = 0, len = strlen(text); at < len; at += piece)
		assert_int_equal(inbox_content_feed(c, text + at, len - at < piece ? len - at : piece, &err),
		                 0);
	r = inbox_content_end(c, &err);
	inbox_content_free(c);
	return r;
}

/* pg_dumpall that fails at a database leaves what it has written: roles, and whole databases. */
static void test_text_of_pg_dumpall(void **state)
{
#define CLUSTER  "--\n-- PostgreSQL database cluster dump\n--\n\nCREATE ROLE a;\n\n"
#define DATABASE "--\n-- PostgreSQL database dump\n--\n\n--\n-- PostgreSQL database dump complete\n--\n\n"
#define END      "--\n-- PostgreSQL database cluster dump complete\n--\n\n"
	_cleanup(str) struct str large = {0};
	static const struct {
		const char *text;
		int r;
	} cases[] = {
	        {CLUSTER END, 0},
	        {CLUSTER DATABASE DATABASE END, 0},
	        {CLUSTER END DATABASE, 0}, /* pg_dumpall --globals-only, and pg_dump behind it */
	        {CLUSTER DATABASE, -EBADMSG},
	        {CLUSTER DATABASE "\\connect shop\n\n", -EBADMSG},
	        {CLUSTER DATABASE DATABASE, -EBADMSG},
	        {CLUSTER DATABASE "--\n-- PostgreSQL database cluster dump complete", -EBADMSG},
	        {CLUSTER, -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece < 200; piece++)
			assert_int_equal(feed_cluster(cases[i].text, piece), cases[i].r);
	/* Its end is long before that of the file. */
	str_append(&large, CLUSTER END);
	for (size_t i = 0; i < 10000; i++)
		str_append(&large, "INSERT INTO t VALUES (1);\n");
	str_append(&large, DATABASE);
	assert_int_equal(feed_cluster(str_text(&large), 4096), 0);
	assert_int_equal(feed_cluster(str_text(&large), 7), 0);
}

/* Nothing that only begins like something makes the program fail. */
static void test_hostile_heads(void **state)
{
	static const char *const heads[] = {"PGDMP",
	                                    "PGDMP\1\20\0\4\10\1",
	                                    "PGDMP\1\377\0",
	                                    "\x1f\x8b\x08",
	                                    "\x1f\x8b\x08\0\0\0\0\0\0\0\377\377",
	                                    "\x28\xb5\x2f\xfd",
	                                    "\x28\xb5\x2f\xfd\377\377\377\377",
	                                    "--\n-- PostgreSQL database dump\n",
	                                    "toc.dat",
	                                    ""};
	static const size_t lens[] = {5, 12, 8, 3, 12, 4, 8, 31, 7, 0};
	char tar[1024] = "toc.dat";

	for (size_t i = 0; i < ARRAY_SIZE(heads); i++) {
		_cleanup(free) char *exact = mem_alloc(lens[i] + 1);
		struct inbox_look look;
		struct inbox_content *c;
		struct error err = {0};

		memcpy(exact, heads[i], lens[i]);
		inbox_look_at(exact, lens[i], "x", &look);
		c = inbox_content_new(&look, "/tmp");
		if (inbox_content_feed(c, exact, lens[i], &err) == 0)
			(void)inbox_content_end(c, &err);
		inbox_content_free(c);
	}
	memcpy(tar + 257, "ustar", 5);
	memcpy(tar + 512, "PGDMP\1\16\0\4\10\3", 11);
	for (size_t len = 500; len <= sizeof(tar); len++) {
		_cleanup(free) char *exact = mem_alloc(len);
		struct inbox_look look;

		memcpy(exact, tar, len);
		inbox_look_at(exact, len, "x.tar", &look);
		assert_int_equal(look.shape, len >= 512 ? INBOX_TAR : INBOX_OTHER);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_times_in_names),
	        cmocka_unit_test(test_temporary_names),
	        cmocka_unit_test(test_endings),
	        cmocka_unit_test(test_text_of_pg_dump),
	        cmocka_unit_test(test_text_of_pg_dumpall),
	        cmocka_unit_test(test_hostile_heads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
