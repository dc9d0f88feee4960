// SPDX-License-Identifier: Apache-2.0
/* Tails: keys of pieces, how far pieces lead, and which tails there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>

#include "../../src/wal/tail.h"

#define NAME "0000000100000003000000F4"
#define TAIL "wal/main/7301234567890123456/" NAME ".tail/"

static void the_key_of_a_piece_says_what_it_is_and_back(void **state)
{
	static const char *const keys[] = {
	        TAIL "00000000-0001A2B8.zst",
	        TAIL "0001A2B8-00100000.zst.age",
	        "wal/a.b-c/18446744073709551615/" NAME ".tail/3FFFFFFF-40000000.zst",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		_cleanup(free) char *again = NULL;
		struct wal_tail_piece piece;
		struct wal_tail tail;
		struct wal_key key;

		assert_int_equal(wal_tail_key_parse(keys[i], &tail, &piece), 0);
		assert_int_equal(piece.is_sealed, str_ends(keys[i], ".age"));
		again = wal_tail_key_format(&tail, &piece);
		assert_string_equal(again, keys[i]);
		/* What knows files alone takes it for none of them. */
		assert_int_equal(wal_key_parse(keys[i], &key), -EINVAL);
	}
}

static void what_is_no_key_of_a_piece_is_refused(void **state)
{
	static const char *const keys[] = {
	        "",
	        "wal/main/1/" NAME ".zst",
	        "wal/main/1/" NAME ".tail/",
	        TAIL "00000000-00000000.zst",
	        TAIL "00000002-00000001.zst",
	        TAIL "00000000-40000001.zst",
	        TAIL "00000000-0001a2b8.zst",
	        TAIL "0000000-0001A2B8.zst",
	        TAIL "000000000-0001A2B8.zst",
	        TAIL "+0000000-0001A2B8.zst",
	        TAIL "00000000-0001A2B.zst",
	        TAIL "00000000-0001A2B8",
	        TAIL "00000000-0001A2B8.zst.age.age",
	        TAIL "x/00000000-0001A2B8.zst",
	        "wal/main/01/" NAME ".tail/00000000-0001A2B8.zst",
	        "wal/main/1/00000002.history.tail/00000000-0001A2B8.zst",
	        "wal/main/1/" NAME ".partial.tail/00000000-0001A2B8.zst",
	        "backups/main/1/" NAME ".tail/00000000-0001A2B8.zst",
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		struct wal_tail tail = {.number = 7};
		struct wal_tail_piece piece;

		if (wal_tail_key_parse(keys[i], &tail, &piece) != -EINVAL)
			fail_msg("'%s' is taken", keys[i]);
		assert_int_equal(tail.number, 7);
	}
}

/* "0-5 3-9" as pieces; what is left of them as the same. */
static char *cover(const char *text, uint32_t *ret_end)
{
	_cleanup(wal_tail) struct wal_tail tail = {0};
	struct str left = {0};
	unsigned begin, end;
	int len;

	for (; sscanf(text, " %u-%u%n", &begin, &end, &len) == 2; text += len) {
		tail.pieces = mem_resize(tail.pieces, tail.count + 1, sizeof(*tail.pieces));
		tail.pieces[tail.count++] = (struct wal_tail_piece){.begin = begin, .end = end};
	}
	*ret_end = wal_tail_cover(&tail);
	for (size_t i = 0; i < tail.count; i++)
		str_appendf(&left, "%s%u-%u", i ? " " : "", tail.pieces[i].begin, tail.pieces[i].end);
	return str_take(&left);
}

static void pieces_lead_as_far_as_there_is_no_hole(void **state)
{
	static const struct {
		const char *pieces, *kept;
		uint32_t end;
	} cases[] = {
	        {"", "", 0},
	        {"5-9", "", 0},
	        {"0-5", "0-5", 5},
	        {"5-9 0-5", "0-5 5-9", 9},
	        {"0-5 6-9", "0-5", 5},
	        {"0-5 5-9 0-12", "0-12", 12},
	        {"0-5 3-9 4-7", "0-5 3-9", 9},
	        {"0-5 0-5 5-6 5-6", "0-5 5-6", 6},
	        {"0-5 2-4 5-9 9-20 1-3", "0-5 5-9 9-20", 20},
	        {"0-1 1-2 2-3 0-3 3-4", "0-3 3-4", 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint32_t end;
		_cleanup(free) char *kept = cover(cases[i].pieces, &end);

		assert_string_equal(kept, cases[i].kept);
		assert_int_equal(end, cases[i].end);
	}
}

static void name_of(unsigned number, struct wal_tail *ret)
{
	*ret = (struct wal_tail){.system_id = 1,
	                         .name = wal_name_of_lsn(1, (uint64_t)(number + 1) << 20, 1U << 20)};
	str_copy(ret->job, sizeof(ret->job), "main");
}

static void a_name_is_known_for_a_while_when_its_tail_is_gone(void **state)
{
	struct wal w = {.lock = PTHREAD_MUTEX_INITIALIZER};
	const struct wal_tail_piece piece = {.begin = 0, .end = 10};
	struct wal_tail first, other, found;

	name_of(0, &first);
	wal_tails_note(&w, &first, &piece);
	wal_tails_note(&w, &first, &piece);
	assert_int_equal(wal_tails_find(&w, "main", &first.name, &found), 0);
	assert_int_equal(found.count, 1);
	assert_int_equal(found.number, 1);
	wal_tail_finish(&found);
	assert_int_equal(wal_tails_find(&w, "another", &first.name, &found), -ENOENT);
	wal_tails_strike(&w, &first, &piece);
	assert_int_equal(wal_tails_find(&w, "main", &first.name, &found), -ENOENT);
	assert_int_equal(wal_tails_next(&w, "main", 0, &found), 0);
	assert_int_equal(found.number, 1);
	assert_int_equal(found.count, 0);
	wal_tail_finish(&found);
	for (unsigned i = 1; i < 100; i++) {
		name_of(i, &other);
		wal_tails_note(&w, &other, &piece);
		wal_tails_strike(&w, &other, &piece);
	}
	name_of(100, &other);
	wal_tails_note(&w, &other, &piece);
	assert_int_equal(wal_tails_next(&w, NULL, 0, &found), 0);
	assert_true(found.number > 60 && found.number < 75);
	wal_tail_finish(&found);
	assert_int_equal(wal_tails_find(&w, "main", &other.name, &found), 0);
	wal_tail_finish(&found);
	wal_tails_free(&w);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(the_key_of_a_piece_says_what_it_is_and_back),
	        cmocka_unit_test(what_is_no_key_of_a_piece_is_refused),
	        cmocka_unit_test(pieces_lead_as_far_as_there_is_no_hole),
	        cmocka_unit_test(a_name_is_known_for_a_while_when_its_tail_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
