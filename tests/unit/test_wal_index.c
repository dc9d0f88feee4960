// SPDX-License-Identifier: Apache-2.0
/* The index of a segment: made of what a scan tells, written, read again, and refused where it is none. */
#include "wal_test.h"

#include <endian.h>
#include <errno.h>

#include <keepfs/codec/hash.h>
#include <keepfs/codec/wal_index_frame.h>

#define US_2000 INT64_C(946684800000000)
#define NOON_US INT64_C(1795003200000000) /* 2026-11-18T12:00:00Z */

static void put_time(struct str *s, int64_t at_us)
{
	wal_put(s, (uint64_t)(at_us - US_2000), 8);
}

static void put_end(struct wal_build *w, bool commits, uint32_t xid, int64_t at_us)
{
	_cleanup(str) struct str main = {0};

	put_time(&main, at_us);
	wal_build_main(w, WAL_MANAGER_XACT, commits ? 0x00 : 0x20, xid, main.data, main.len);
}

static void put_point(struct wal_build *w, const char *name)
{
	_cleanup(str) struct str main = {0};

	put_time(&main, NOON_US);
	str_append(&main, name);
	while (main.len < 8 + WAL_RESTORE_POINT_BYTES)
		str_append_char(&main, 0);
	wal_build_main(w, WAL_MANAGER_XLOG, 0x70, 0, main.data, main.len);
}

static void put_checkpoint(struct wal_build *w, uint32_t from, uint32_t to, bool full_page_writes)
{
	_cleanup(str) struct str main = {0};

	wal_put(&main, w->begin + 0x28, 8);
	wal_put(&main, to, 4);
	wal_put(&main, from, 4);
	wal_put(&main, full_page_writes, 8);
	wal_put(&main, 0, 8);
	for (int i = 0; i < 4; i++)
		wal_put(&main, 0, 8);
	wal_put(&main, NOON_US / 1000000, 8);
	wal_put(&main, 0, 8);
	wal_build_main(w, WAL_MANAGER_XLOG, 0x00, 0, main.data, main.len);
}

static int index_record(void *arg, const struct wal_record *r, struct error *err)
{
	wal_index_add(arg, r);
	return 0;
}

static void index_of(struct wal_build *w, struct wal_index *x)
{
	_cleanup(wal_scan) struct wal_scan *s =
	        wal_scan_new(&(struct wal_scan_options){.record = index_record, .arg = x});
	struct wal_name name = wal_build_name(w, 0);
	struct error err = {0};

	wal_index_start(x, &name);
	if (scan_pieces(s, w, 5000, &err) < 0)
		fail_msg("%s", err.message);
	wal_index_close(x, s);
}

static void put_rich(struct wal_build *w)
{
	wal_build_start(w, 15, SEGMENT, 5);
	put_end(w, true, 700, NOON_US);
	put_end(w, false, 701, NOON_US + 9000000);
	put_checkpoint(w, 1, 1, true);
	put_point(w, "before \"the\" drop");
	put_end(w, true, 703, NOON_US - 5000000);
	w->timeline = 2;
	put_checkpoint(w, 1, 2, true);
	wal_build_zeros(w);
}

static const char RICH[] =
        "{\"format\":\"keepfs-wal\",\"version\":1,\"name\":\"000000020000000000000005\",\"system_identifier\":\"7420000000000000001\","
        "\"server_version\":15,\"bytes\":1048576,\"sha256\":null,\"meant_bytes\":482,\"first_record\":\"0/500028\",\"end\":\"0/5001E8\","
        "\"open_record\":null,\"timeline\":2,\"commits\":2,\"aborts\":1,"
        "\"first_commit\":{\"lsn\":\"0/500028\",\"xid\":700,\"at\":\"2026-11-18T12:00:00.000000Z\"},"
        "\"last_commit\":{\"lsn\":\"0/500150\",\"xid\":703,\"at\":\"2026-11-18T11:59:55.000000Z\"},\"latest\":\"2026-11-18T12:00:09.000000Z\",\"highest_xid\":703,"
        "\"restore_points\":[{\"lsn\":\"0/5000E8\",\"at\":\"2026-11-18T12:00:00.000000Z\",\"name\":\"before \\\"the\\\" drop\"}],"
        "\"checkpoints\":[{\"lsn\":\"0/500078\",\"redo\":\"0/500028\",\"at\":\"2026-11-18T12:00:00.000000Z\",\"shutdown\":true},"
        "{\"lsn\":\"0/500178\",\"redo\":\"0/500028\",\"at\":\"2026-11-18T12:00:00.000000Z\",\"shutdown\":true}],"
        "\"timelines\":[{\"lsn\":\"0/500178\",\"from\":1,\"to\":2}],\"left_out\":0,\"full_page_writes\":true}\n";

static void what_a_scan_tells_is_written(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(wal_index) struct wal_index x = {0};
	_cleanup(str) struct str line = {0};

	put_rich(&w);
	index_of(&w, &x);
	x.bytes = w.out.len;
	wal_index_encode(&x, &line);
	assert_string_equal(str_text(&line), RICH);
}

static void what_was_written_is_read(void **state)
{
	_cleanup(wal_index) struct wal_index x = {0};
	_cleanup(str) struct str again = {0};
	struct error err = {0};

	if (wal_index_decode(RICH, strlen(RICH), &x, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(x.name.timeline, 2);
	assert_int_equal(x.name.segment, 5);
	assert_int_equal(x.system_id, WAL_BUILD_SYSTEM_ID);
	assert_int_equal(x.version, 15);
	assert_int_equal(x.end, 0x5001E8);
	assert_int_equal(x.open_record, 0);
	assert_int_equal(x.last_commit.xid, 703);
	assert_int_equal(x.latest_us, NOON_US + 9000000);
	assert_int_equal(x.highest_xid, 703);
	assert_string_equal(x.points[0].name, "before \"the\" drop");
	assert_int_equal(x.checkpoints[1].lsn, 0x500178);
	assert_int_equal(x.timelines[0].to, 2);
	assert_int_equal(x.full_page_writes, WAL_WRITES_ON);
	wal_index_encode(&x, &again);
	assert_string_equal(str_text(&again), RICH);
	/* Without the end of its line, and with what a later version of the same format may add. */
	str_clear(&again);
	str_append_bytes(&again, RICH, strlen(RICH) - 2);
	str_append(&again, ",\"more\":[1]}");
	assert_int_equal(wal_index_decode(str_text(&again), again.len, &x, &err), 0);
	assert_int_equal(x.point_count, 1);
}

static void a_segment_of_which_nothing_is_known(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(wal_index) struct wal_index x = {0}, again = {0};
	_cleanup(str) struct str line = {0}, other = {0};
	struct error err = {0};

	wal_build_start(&w, 18, SEGMENT, 5);
	wal_build_page(&w, 0, 0);
	wal_build_zeros(&w);
	index_of(&w, &x);
	memset(x.sha256, 'a', SHA256_HEX_BYTES - 1);
	x.system_id = UINT64_MAX;
	wal_index_encode(&x, &line);
	assert_non_null(
	        strstr(str_text(&line), "\"first_commit\":null,\"last_commit\":null,\"latest\":null"));
	assert_non_null(strstr(str_text(&line), "\"full_page_writes\":null"));
	assert_int_equal(wal_index_decode(str_text(&line), line.len, &again, &err), 0);
	assert_true(again.system_id == UINT64_MAX);
	assert_int_equal(again.full_page_writes, WAL_WRITES_UNKNOWN);
	wal_index_encode(&again, &other);
	assert_string_equal(str_text(&other), str_text(&line));
}

static void page_writes_that_were_off_at_some_place(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(wal_index) struct wal_index x = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_checkpoint(&w, 1, 1, true);
	wal_build_main(&w, WAL_MANAGER_XLOG, 0x80, 0, "\0", 1);
	wal_build_main(&w, WAL_MANAGER_XLOG, 0x80, 0, "\1", 1);
	index_of(&w, &x);
	assert_int_equal(x.full_page_writes, WAL_WRITES_OFF);
}

static void lists_have_an_end(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(wal_index) struct wal_index x = {0}, again = {0};
	_cleanup(str) struct str line = {0};
	struct error err = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	for (uint32_t i = 0; i < 2 * WAL_INDEX_LIST_MAX; i++) {
		/* Each of its bytes takes six in a line. */
		put_point(
		        &w,
		        "\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3\4\5\1\2\3");
		w.timeline = i + 2;
		put_checkpoint(&w, i + 1, i + 2, true);
	}
	index_of(&w, &x);
	assert_int_equal(x.point_count, WAL_INDEX_LIST_MAX);
	assert_int_equal(x.checkpoint_count, WAL_INDEX_LIST_MAX);
	assert_int_equal(x.timeline_count, WAL_INDEX_LIST_MAX);
	assert_int_equal(x.left_out, 3 * WAL_INDEX_LIST_MAX);
	wal_index_encode(&x, &line);
	assert_in_range(line.len, 1, WAL_INDEX_LINE_BYTES);
	assert_int_equal(wal_index_decode(str_text(&line), line.len, &again, &err), 0);
	assert_string_equal(again.points[WAL_INDEX_LIST_MAX - 1].name, x.points[0].name);
}

/* In any encoding: it is shown as well as can be, and does no harm. */
static void a_name_that_is_no_text(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(wal_index) struct wal_index x = {0}, again = {0};
	_cleanup(str) struct str line = {0};
	struct error err = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_point(&w, "vor L\xf6schen");
	put_point(
	        &w,
	        "\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6\xf6");
	index_of(&w, &x);
	wal_index_encode(&x, &line);
	assert_int_equal(wal_index_decode(str_text(&line), line.len, &again, &err), 0);
	assert_string_equal(again.points[0].name, "vor L\xef\xbf\xbdschen");
	assert_int_equal(strlen(again.points[1].name), WAL_RESTORE_POINT_BYTES - 1);
}

static void a_time_that_cannot_be_written(void **state)
{
	_cleanup(wal_build) struct wal_build w;
	_cleanup(wal_index) struct wal_index x = {0};
	_cleanup(str) struct str line = {0};

	wal_build_start(&w, 15, SEGMENT, 5);
	put_end(&w, true, 5, INT64_MAX);
	index_of(&w, &x);
	wal_index_encode(&x, &line);
	assert_non_null(strstr(str_text(&line), "\"xid\":5,\"at\":null"));
}

static void what_is_no_index_is_refused(void **state)
{
	static const struct {
		const char *from, *to, *message;
	} changes[] = {
	        {"keepfs-wal", "keepfs-war", "it does not begin like one"},
	        {"\"version\":1", "\"version\":\"1\"", "it does not begin like one"},
	        {"{\"format\"", "[\"format\"", "it does not begin like one"},
	        {"000000020000000000000005", "000000020000000000000000",
	         "the name of a segment was expected"},
	        {"000000020000000000000005", "00000002.history", "the name of a segment was expected"},
	        {"7420000000000000001", "18446744073709551616", "the system identifier is none"},
	        {"7420000000000000001", "-1", "the system identifier is none"},
	        {"7420000000000000001", "", "the system identifier is none"},
	        {"\"server_version\":15", "\"server_version\":-15", "the version of the server is none"},
	        {"\"bytes\":1048576", "\"bytes\":-1", "a number of bytes is none"},
	        {"\"meant_bytes\":482", "\"meant_byte\":482", "a number of bytes is none"},
	        {"\"sha256\":null", "\"sha256\":\"abc\"", "the SHA-256 is none"},
	        {"\"sha256\":null", "\"sha\":null", "the SHA-256 is none"},
	        {"\"end\":\"0/5001E8\"", "\"end\":\"500210\"", "a place is none"},
	        {"\"open_record\":null", "\"open_record\":0", "a place is none"},
	        {"\"timeline\":2", "\"timeline\":4294967296", "the timeline is none"},
	        {"\"commits\":2", "\"commits\":null", "a count is none"},
	        {"\"left_out\":0", "\"left_out\":0.5", "a count is none"},
	        {"\"xid\":703", "\"xid\":\"703\"", "a commit is none"},
	        {"\"first_commit\":{", "\"first\":{", "a commit is none"},
	        {"12:00:09", "12:60:09", "a time is none"},
	        {"\"restore_points\":[", "\"restore_points\":[7,", "a list is none"},
	        {"\"name\":\"before", "\"nam\":\"before", "a list is none"},
	        {"\"redo\":\"0/500028\"", "\"redo\":true", "a list is none"},
	        {"\"shutdown\":true", "\"shutdown\":1", "a list is none"},
	        {"\"to\":2", "\"to\":-2", "a list is none"},
	        {"\"timelines\":[", "\"timeline\":[", "it does not begin like one"}, /* a key twice */
	        {"\"full_page_writes\":true", "\"full_page_writes\":1",
	         "full_page_writes is neither on nor off"},
	        {"true}\n", "true", "it does not begin like one"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		_cleanup(str) struct str line = {0};
		struct wal_index x = {.timeline = 77};
		const char *at = strstr(RICH, changes[i].from);
		struct error err = {0};

		assert_non_null(at);
		str_append_bytes(&line, RICH, (size_t)(at - RICH));
		str_append(&line, changes[i].to);
		str_append(&line, at + strlen(changes[i].from));
		assert_int_equal(wal_index_decode(str_text(&line), line.len, &x, &err), -EBADMSG);
		if (!strstr(err.message, changes[i].message) ||
		    !str_starts(err.message, "no index of a WAL segment: "))
			fail_msg("%s: %s", changes[i].to, err.message);
		assert_int_equal(x.timeline, 77);
	}
}

static void of_a_newer_version(void **state)
{
	static const char line[] = "{\"format\":\"keepfs-wal\",\"version\":2}";
	struct wal_index x = {0};
	struct error err = {0};

	assert_int_equal(wal_index_decode(line, strlen(line), &x, &err), -ENOTSUP);
	assert_string_equal(err.message, "the index of a WAL segment is of version 2, this keepfs knows 1");
}

static void a_line_without_end(void **state)
{
	_cleanup(str) struct str line = {0};
	struct wal_index x = {0};
	struct error err = {0};

	while (line.len <= WAL_INDEX_LINE_BYTES)
		str_append(&line, "                                                                ");
	str_append(&line, RICH);
	assert_int_equal(wal_index_decode(str_text(&line), line.len, &x, &err), -EBADMSG);
	assert_string_equal(err.message, "no index of a WAL segment: it is too long");
}

/* --- at the end of an object --- */

/* What comes before it, and the frame with RICH. */
static void put_frame(struct str *out)
{
	_cleanup(wal_index) struct wal_index x = {0};

	str_append(out, "what zstd unpacks");
	assert_int_equal(wal_index_decode(RICH, strlen(RICH), &x, NULL), 0);
	assert_int_equal(wal_index_frame(&x, out), 0);
}

static void an_index_is_found_from_the_end(void **state)
{
	_cleanup(str) struct str object = {0}, line = {0};
	_cleanup(wal_index) struct wal_index x = {0};
	size_t all = strlen(RICH) + WAL_INDEX_FRAME_BYTES, needed = 0;

	put_frame(&object);
	assert_int_equal(object.len, all + strlen("what zstd unpacks"));
	/* A program that unpacks passes over so many bytes behind a number that says so. */
	assert_memory_equal(object.data + object.len - all, "\x57\x2A\x4D\x18", 4);
	assert_int_equal(wal_index_find(object.data, object.len, true, &x, &needed, NULL), 0);
	wal_index_encode(&x, &line);
	assert_string_equal(str_text(&line), RICH);
	/* Of the end alone, when it is enough of it. */
	assert_int_equal(wal_index_find(object.data + object.len - all, all, false, &x, &needed, NULL), 0);
	for (size_t len = 0; len < all; len++) {
		int r = wal_index_find(object.data + object.len - len, len, false, &x, &needed, NULL);

		assert_int_equal(r, -EAGAIN);
		assert_int_equal(needed, len < WAL_INDEX_FRAME_BYTES ? WAL_INDEX_FRAME_BYTES : all);
	}
}

static void refuse_object(const struct str *object, int expected, const char *words)
{
	_cleanup(wal_index) struct wal_index x = {0};
	struct error err = {0};
	size_t needed;

	assert_int_equal(wal_index_find(object->data, object->len, true, &x, &needed, &err), expected);
	if (words && !strstr(err.message, words))
		fail_msg("'%s' is not in '%s'", words, err.message);
	assert_int_equal(x.bytes, 0);
}

static void what_is_no_frame_is_none_or_damaged(void **state)
{
	_cleanup(str) struct str object = {0};
	uint32_t crc;

	str_append(&object, "keepfs-w");
	refuse_object(&object, -ENOENT, NULL);
	str_append(&object, " and what follows it, by chance, is long enough");
	refuse_object(&object, -ENOENT, NULL);
	str_clear(&object);
	put_frame(&object);
	object.data[object.len - 8] ^= 1;
	refuse_object(&object, -EBADMSG, "its begin is not where its end says");
	object.data[object.len - 8] ^= 1;
	object.data[object.len - 5] = 0x7F;
	refuse_object(&object, -EBADMSG, "it is too long");
	object.data[object.len - 5] = 0;
	object.data[object.len - 6] = 1;
	refuse_object(&object, -EBADMSG, "it is longer than the file");
	object.data[object.len - 6] = 0;
	object.data[object.len - 100] ^= 1;
	refuse_object(&object, -EBADMSG, "its checksum is wrong");
	/* The checksum is right, and the line says something else. */
	crc = htole32(crc32c(0, object.data + object.len - 16 - strlen(RICH), strlen(RICH)));
	memcpy(object.data + object.len - 4, &crc, sizeof(crc));
	refuse_object(&object, -EBADMSG, "no index of a WAL segment");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(what_a_scan_tells_is_written),
	        cmocka_unit_test(what_was_written_is_read),
	        cmocka_unit_test(a_segment_of_which_nothing_is_known),
	        cmocka_unit_test(page_writes_that_were_off_at_some_place),
	        cmocka_unit_test(lists_have_an_end),
	        cmocka_unit_test(a_name_that_is_no_text),
	        cmocka_unit_test(a_time_that_cannot_be_written),
	        cmocka_unit_test(what_is_no_index_is_refused),
	        cmocka_unit_test(of_a_newer_version),
	        cmocka_unit_test(a_line_without_end),
	        cmocka_unit_test(an_index_is_found_from_the_end),
	        cmocka_unit_test(what_is_no_frame_is_none_or_damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
