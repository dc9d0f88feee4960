// SPDX-License-Identifier: Apache-2.0
/* Large objects: which there are, and all of their bytes. */
#include "server.h"

#include <keepfs/base/mem.h>
#include <keepfs/codec/hash.h>
#include <keepfs/pg/snapshot.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define DATABASE "large_objects"
#define LARGE    "4000000000"

/* As one that is read: what pieces of 16 KiB and of 4 MiB end at, and one of 100 MB. */
static const char make_objects[] =
        "SELECT lo_from_bytea(700000 + n, convert_to(repeat(md5(n::text), n % 7), 'UTF8')) "
        "FROM generate_series(1, 1000) n;"
        "SELECT lo_from_bytea(800000 + n, convert_to(substr(repeat(md5(n::text), 600), 1, n), 'UTF8')) "
        "FROM unnest('{1, 16383, 16384, 16385}'::int[]) n;"
        "SELECT lo_from_bytea(900001, convert_to(repeat('0123456789abcdef', (16384 + 4194304) / 16), "
        "'UTF8'));"
        "SELECT lo_from_bytea(900002, convert_to(repeat('0123456789abcdef', (16384 + 4194304) / 16) || 'x', "
        "'UTF8'));"
        "SELECT lo_create(" LARGE ");"
        "SELECT lo_put(" LARGE ", i * 1000000::bigint, convert_to(repeat(md5(i::text), 31250), 'UTF8')) "
        "FROM generate_series(0, 99) i";

struct oids {
	uint32_t *list;
	size_t count;
};

static int take_oid(void *arg, uint32_t oid, struct error *err)
{
	struct oids *oids = arg;

	if (oids->count > 0)
		assert_true(oid > oids->list[oids->count - 1]);
	oids->list = mem_resize(oids->list, oids->count + 1, sizeof(*oids->list));
	oids->list[oids->count++] = oid;
	return 0;
}

static int take_two(void *arg, uint32_t oid, struct error *err)
{
	return ++*(int *)arg == 2 ? error_set(err, ERROR_USAGE, EDOM, "enough") : 0;
}

static void begin(struct pg_session *s)
{
	_cleanup(free) char *snapshot = NULL;
	struct error err = {0};

	if (pg_snapshot_export(s, &snapshot, &err) < 0)
		fail_msg("%s", err.message);
}

static struct oids list_all(struct pg_session *s)
{
	struct oids oids = {0};

	assert_int_equal(pg_large_objects(s, take_oid, &oids, NULL), 0);
	return oids;
}

/* More than one fetch of the cursor; what came after the snapshot is not there. */
static void test_list(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL), *other = server_open(DATABASE, NULL);
	struct error err = {0};
	struct oids oids;
	int taken = 0;

	begin(s);
	server_run(other, "SELECT lo_create(0) FROM generate_series(1, 12000)");
	oids = list_all(s);
	assert_int_equal(oids.count, 1007);
	assert_int_equal(oids.list[0], 700001);
	assert_int_equal(oids.list[oids.count - 1], 4000000000);
	free(oids.list);
	server_run(s, "COMMIT");
	begin(s);
	oids = list_all(s);
	assert_int_equal(oids.count, 13007);
	free(oids.list);
	assert_int_equal(pg_large_objects(s, take_two, &taken, &err), -EDOM);
	assert_int_equal(taken, 2);
	server_run(s, "COMMIT");
	server_run(
	        s,
	        "SELECT lo_unlink(oid) FROM pg_largeobject_metadata WHERE oid NOT BETWEEN 700000 AND 1000000 "
	        "AND oid <> " LARGE);
	pg_session_free(s);
	pg_session_free(other);
}

struct reading {
	const uint32_t *expected;
	struct sha256 *hash;
	struct str hashes; /* "oid hash\n" each */
	size_t count;
	size_t largest;
	uint32_t oid;
	int stop_at;
	int calls;
};

static int on_begin(void *arg, uint32_t oid, struct error *err)
{
	struct reading *r = arg;

	assert_null(r->hash);
	assert_int_equal(oid, r->expected[r->count]);
	r->oid = oid;
	r->hash = sha256_new();
	return ++r->calls == r->stop_at ? error_set(err, ERROR_USAGE, EDOM, "enough") : 0;
}

static int on_data(void *arg, const void *data, size_t len, struct error *err)
{
	struct reading *r = arg;

	assert_true(len > 0);
	sha256_update(r->hash, data, len);
	r->largest = len > r->largest ? len : r->largest;
	return ++r->calls == r->stop_at ? error_set(err, ERROR_USAGE, EDOM, "enough") : 0;
}

static int on_end(void *arg, struct error *err)
{
	struct reading *r = arg;
	uint8_t digest[SHA256_BYTES];
	char hex[SHA256_HEX_BYTES];

	sha256_final(r->hash, digest);
	hex_encode(digest, sizeof(digest), hex);
	r->hash = sha256_free(r->hash);
	r->count++;
	str_appendf(&r->hashes, "%u %s\n", r->oid, hex);
	return ++r->calls == r->stop_at ? error_set(err, ERROR_USAGE, EDOM, "enough") : 0;
}

static int read_all(struct pg_session *s, const uint32_t *oids, size_t count, struct reading *r,
                    struct error *err)
{
	const struct pg_large_object_sink sink = {
	        .begin = on_begin, .data = on_data, .end = on_end, .arg = r};

	r->expected = oids;
	return pg_large_objects_read(s, oids, count, &sink, err);
}

static void test_read(void **state)
{
	struct pg_session *s = server_open(DATABASE, NULL);
	_cleanup(free) char *expected = NULL;
	struct reading r = {0};
	struct error err = {0};
	struct oids oids;

	begin(s);
	oids = list_all(s);
	assert_int_equal(oids.count, 1007);
	if (read_all(s, oids.list, oids.count, &r, &err) < 0)
		fail_msg("%s", err.message);
	expected = server_value(
	        s, "SELECT string_agg(oid || ' ' || encode(sha256(lo_get(oid)), 'hex') || E'\\n', '' "
	           "ORDER BY oid) FROM pg_largeobject_metadata");
	assert_string_equal(str_text(&r.hashes), expected);
	assert_in_range(r.largest, 1 << 20, 4 << 20);
	str_finish(&r.hashes);
	free(oids.list);
	pg_session_free(s);
}

static void test_order_is_kept(void **state)
{
	static const uint32_t oids[] = {900002, 4000000000, 700007, 700001, 800001, 900001, 700007};
	struct pg_session *s = server_open(DATABASE, NULL);
	struct reading r = {0};

	begin(s);
	assert_int_equal(read_all(s, oids, ARRAY_SIZE(oids), &r, NULL), 0);
	assert_int_equal(r.count, ARRAY_SIZE(oids));
	assert_int_equal(read_all(s, oids, 0, &r, NULL), 0);
	str_finish(&r.hashes);
	pg_session_free(s);
}

static void test_missing_object(void **state)
{
	static const uint32_t oids[] = {700001, 1, 700002};
	struct pg_session *s = server_open(DATABASE, NULL);
	struct reading r = {0};
	struct error err = {0};

	begin(s);
	assert_int_equal(read_all(s, oids, ARRAY_SIZE(oids), &r, &err), -ENOENT);
	assert_non_null(strstr(err.message, "large object 1 does not exist"));
	pg_session_free(s);
	str_finish(&r.hashes);
}

/* Wherever the sink fails, its error comes back, and nothing comes behind it. */
static void test_sink_fails(void **state)
{
	static const uint32_t oids[] = {700001, 900002, 700002};

	for (int stop_at = 1; stop_at <= 10; stop_at++) {
		struct pg_session *s = server_open(DATABASE, NULL);
		struct reading r = {.stop_at = stop_at};
		struct error err = {0};

		begin(s);
		assert_int_equal(read_all(s, oids, ARRAY_SIZE(oids), &r, &err), -EDOM);
		assert_string_equal(err.message, "enough");
		assert_int_equal(r.calls, stop_at);
		sha256_free(r.hash);
		str_finish(&r.hashes);
		server_run(s, "COMMIT");
		pg_session_free(s);
	}
}

static int set_up(void **state)
{
	struct pg_session *s;

	server_database(DATABASE);
	s = server_open(DATABASE, NULL);
	server_run(s, make_objects);
	pg_session_free(s);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(test_list),          cmocka_unit_test(test_read),
	        cmocka_unit_test(test_order_is_kept), cmocka_unit_test(test_missing_object),
	        cmocka_unit_test(test_sink_fails),
	};

	return cmocka_run_group_tests_name("pg large objects", tests, set_up, NULL);
}
