// SPDX-License-Identifier: Apache-2.0
/* What timelines came from. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/wal_history.h>

static int parse(uint32_t timeline, const char *text, struct wal_history *h, struct error *err)
{
	return wal_history_parse(timeline, text, strlen(text), h, err);
}

static void as_a_server_writes_it(void **state)
{
	_cleanup(wal_history) struct wal_history h = {0};

	assert_int_equal(
	        parse(4,
	              "1\t0/19018048\tno recovery target specified\n\n2\t0/1B000000\tbefore transaction 731\n",
	              &h, NULL),
	        0);
	assert_int_equal(h.timeline, 4);
	assert_int_equal(h.count, 2);
	assert_int_equal(h.ancestors[0].timeline, 1);
	assert_int_equal(h.ancestors[0].left_at, 0x19018048);
	assert_string_equal(h.ancestors[0].reason, "no recovery target specified");
	assert_int_equal(h.ancestors[1].timeline, 2);
	assert_int_equal(h.ancestors[1].left_at, 0x1B000000);
	assert_string_equal(h.ancestors[1].reason, "before transaction 731");
}

static void as_anybody_might(void **state)
{
	_cleanup(wal_history) struct wal_history h = {0};

	assert_int_equal(
	        parse(9, "# mended by hand\r\n  1 0/5  \r\n\t# 2 0/6\n7   1/0\t\t at  last ", &h, NULL), 0);
	assert_int_equal(h.count, 2);
	assert_string_equal(h.ancestors[0].reason, "");
	assert_int_equal(h.ancestors[1].timeline, 7);
	assert_int_equal(h.ancestors[1].left_at, UINT64_C(0x100000000));
	assert_string_equal(h.ancestors[1].reason, "at  last ");
	/* What was there is gone. */
	assert_int_equal(parse(2, "", &h, NULL), 0);
	assert_int_equal(h.count, 0);
}

static void what_is_wrong_is_named(void **state)
{
	static const struct {
		const char *text, *message;
	} wrongs[] = {
	        {"x\t0/5\n", "00000003.history, line 1: a number of a timeline was expected"},
	        {"1\t0/5\t\n\n-1\t0/6\n", "00000003.history, line 3: a number of a timeline was expected"},
	        {"0\t0/5\n", "a number of a timeline was expected"},
	        {"4294967297\t0/5\n", "a number of a timeline was expected"},
	        {"99999999999999999999999\t0/5\n", "a number of a timeline was expected"},
	        {"1\n", "line 1: a place such as 0/19018048 was expected behind the number"},
	        {"1 5 why\n", "a place such as 0/19018048 was expected"},
	        {"1 0/123456789\n", "a place such as 0/19018048 was expected"},
	        {"1 0/5\n1 0/6\n", "line 2: numbers of timelines have to grow"},
	        {"2 0/5\n1 0/6\n", "line 2: numbers of timelines have to grow"},
	        {"1 0/6\n2 0/5\n", "line 2: places cannot go back"},
	        {"3 0/6\n", "line 1: a timeline cannot come from one of its own or a higher number"},
	        {"4 0/6\n", "line 1: a timeline cannot come from one of its own or a higher number"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrongs); i++) {
		struct wal_history h = {.timeline = 77};
		struct error err = {0};

		assert_int_equal(parse(3, wrongs[i].text, &h, &err), -EBADMSG);
		if (!strstr(err.message, wrongs[i].message))
			fail_msg("%s: %s", wrongs[i].text, err.message);
		assert_int_equal(h.timeline, 77);
	}
}

static void what_is_no_text(void **state)
{
	_cleanup(free) char *text = mem_alloc(WAL_HISTORY_MAX_BYTES + 1);
	struct wal_history h = {0};
	struct error err = {0};

	assert_int_equal(wal_history_parse(3, "1\t0/5\0\n", 7, &h, &err), -EBADMSG);
	assert_string_equal(err.message, "00000003.history is no text");
	memset(text, '\n', WAL_HISTORY_MAX_BYTES + 1);
	assert_int_equal(wal_history_parse(3, text, WAL_HISTORY_MAX_BYTES + 1, &h, &err), -EBADMSG);
	assert_string_equal(err.message, "00000003.history has more than 1048576 bytes");
	assert_int_equal(wal_history_parse(3, text, WAL_HISTORY_MAX_BYTES, &h, &err), 0);
	wal_history_finish(&h);
}

static void whose_log_a_place_is_in(void **state)
{
	_cleanup(wal_history) struct wal_history h = {0};

	assert_int_equal(parse(5, "1\t0/100\n3\t0/200\n", &h, NULL), 0);
	assert_int_equal(wal_history_timeline_at(&h, 0), 1);
	assert_int_equal(wal_history_timeline_at(&h, 0xFF), 1);
	assert_int_equal(wal_history_timeline_at(&h, 0x100), 3);
	assert_int_equal(wal_history_timeline_at(&h, 0x1FF), 3);
	assert_int_equal(wal_history_timeline_at(&h, 0x200), 5);
	assert_int_equal(wal_history_timeline_at(&h, UINT64_MAX), 5);
}

static void where_a_base_may_end(void **state)
{
	_cleanup(wal_history) struct wal_history h = {0};

	assert_int_equal(parse(5, "1\t0/100\n3\t0/200\n", &h, NULL), 0);
	assert_true(wal_history_leads_from(&h, 1, 0xFF));
	assert_true(wal_history_leads_from(&h, 1, 0x100));
	assert_false(wal_history_leads_from(&h, 1, 0x101)); /* of the log that was left */
	assert_true(wal_history_leads_from(&h, 3, 0x200));
	assert_false(wal_history_leads_from(&h, 3, 0x201));
	assert_true(wal_history_leads_from(&h, 5, UINT64_MAX));
	assert_false(
	        wal_history_leads_from(&h, 2, 0x50)); /* a timeline that branched off, and was left behind */
	assert_false(wal_history_leads_from(&h, 6, 0x300));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(as_a_server_writes_it),   cmocka_unit_test(as_anybody_might),
	        cmocka_unit_test(what_is_wrong_is_named),  cmocka_unit_test(what_is_no_text),
	        cmocka_unit_test(whose_log_a_place_is_in), cmocka_unit_test(where_a_base_may_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
