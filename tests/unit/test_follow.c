// SPDX-License-Identifier: Apache-2.0
/* What a writer tells his readers: the text of state/head.json, and which of its changes are new. */
#include <keepfs/base/mem.h>
#include <keepfs/follow.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct error err;

static void add_some(struct head *h, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		char path[64];

		snprintf(path, sizeof(path), "backups/full/20261120T%02u%02u00Z.dump", i / 60 % 24, i % 60);
		head_add(h, (enum head_what)(i % 3), path);
	}
}

static void heads_come_back(void **state)
{
	_cleanup(head) struct head h = {
	        .sequence = 7, .fence = 3, .written_us = 1764500000000000, .closed = true};
	_cleanup(head) struct head back = {0};
	_cleanup(str) struct str text = {0};

	add_some(&h, 5);
	head_encode(&h, &text);
	assert_int_equal(head_decode(text.data, text.len, &back, &err), 0);
	assert_int_equal(back.sequence, 12);
	assert_int_equal(back.fence, 3);
	assert_int_equal(back.written_us, h.written_us);
	assert_true(back.closed);
	assert_int_equal(back.count, 5);
	for (size_t i = 0; i < 5; i++) {
		assert_int_equal(back.changes[i].sequence, 8 + i);
		assert_int_equal(back.changes[i].what, i % 3);
		assert_string_equal(back.changes[i].path, h.changes[i].path);
	}
}

static void the_oldest_changes_go(void **state)
{
	_cleanup(head) struct head h = {0}, back = {0};
	_cleanup(str) struct str text = {0};

	add_some(&h, HEAD_CHANGES_MAX + 50);
	assert_int_equal(h.count, HEAD_CHANGES_MAX);
	assert_int_equal(h.sequence, HEAD_CHANGES_MAX + 50);
	assert_int_equal(h.changes[0].sequence, 51);
	head_encode(&h, &text);
	assert_true(text.len < HEAD_TEXT_MAX);
	assert_int_equal(head_decode(text.data, text.len, &back, &err), 0);
	assert_int_equal(back.count, HEAD_CHANGES_MAX);
}

static void bad_heads_are_refused(void **state)
{
#define CHANGE(sequence, what, path) "{\"sequence\":" sequence ",\"what\":\"" what "\",\"path\":\"" path "\"}"
#define HEAD(sequence, changes)                                                                              \
	"{\"version\":1,\"sequence\":" sequence ",\"fence\":1,\"changes\":[" changes "]}"
#define DUMP "backups/full/20261120T020000Z.dump"
	static const struct {
		const char *text, *what;
		int errnum;
	} bad[] = {
	        {"", "no JSON object", EBADMSG},
	        {"7", "no JSON object", EBADMSG},
	        {"{}", "\"version\"", EBADMSG},
	        {"{\"version\":2}", "use a newer keepfs", ENOTSUP},
	        {"{\"version\":1,\"fence\":1}", "\"sequence\" or \"fence\"", EBADMSG},
	        {"{\"version\":1,\"sequence\":-1,\"fence\":1}", "\"sequence\" or \"fence\"", EBADMSG},
	        {"{\"version\":1,\"sequence\":1,\"fence\":1}", "\"changes\"", EBADMSG},
	        {"{\"version\":1,\"sequence\":1,\"fence\":1,\"changes\":7}", "\"changes\"", EBADMSG},
	        {HEAD("1", "7"), "makes no sense", EBADMSG},
	        {HEAD("1", CHANGE("1", "burnt", DUMP)), "makes no sense", EBADMSG},
	        {HEAD("1", CHANGE("1", "made", "/etc/passwd")), "makes no sense", EBADMSG},
	        {HEAD("1", CHANGE("1", "made", "backups/../../x")), "makes no sense", EBADMSG},
	        {HEAD("1", CHANGE("-1", "made", DUMP)), "makes no sense", EBADMSG},
	        {HEAD("2", CHANGE("1", "made", DUMP)), "not the one", EBADMSG},
	        {HEAD("3", CHANGE("1", "made", DUMP) "," CHANGE("3", "made", DUMP)), "do not follow",
	         EBADMSG},
	};
	struct head h = {.sequence = 7};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(head_decode(bad[i].text, strlen(bad[i].text), &h, &err), -bad[i].errnum);
		assert_non_null(strstr(err.message, bad[i].what));
		assert_int_equal(h.sequence, 7);
	}
}

static void too_many_changes_are_refused(void **state)
{
	_cleanup(str) struct str text = {0};
	struct head h = {0};

	str_append(&text, "{\"version\":1,\"sequence\":201,\"fence\":1,\"changes\":[");
	for (int i = 1; i <= HEAD_CHANGES_MAX + 1; i++)
		str_appendf(&text, "%s{\"sequence\":%d,\"what\":\"made\",\"path\":\"" DUMP "\"}",
		            i > 1 ? "," : "", i);
	str_append(&text, "]}");
	assert_int_equal(head_decode(text.data, text.len, &h, &err), -EBADMSG);
	assert_non_null(strstr(err.message, "more changes than are kept"));
}

static void what_is_new(void **state)
{
	_cleanup(head) struct head h = {.fence = 2};

	add_some(&h, 250);
	/* Nothing; the last three; all that are kept; more. */
	assert_int_equal(head_since(&h, &(struct head){.sequence = 250, .fence = 2}), 200);
	assert_int_equal(head_since(&h, &(struct head){.sequence = 247, .fence = 2}), 197);
	assert_int_equal(head_since(&h, &(struct head){.sequence = 50, .fence = 2}), 0);
	assert_int_equal(head_since(&h, &(struct head){.sequence = 49, .fence = 2}), -1);
	assert_int_equal(head_since(&h, &(struct head){.sequence = 0, .fence = 2}), -1);
	/* Of another writer that came later: the numbers go on, so they tell. */
	assert_int_equal(head_since(&h, &(struct head){.sequence = 249, .fence = 1}), 199);
	/* Of one that was there before, or after a loss. */
	assert_int_equal(head_since(&h, &(struct head){.sequence = 249, .fence = 3}), -1);
	assert_int_equal(head_since(&h, &(struct head){.sequence = 251, .fence = 2}), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(heads_come_back),       cmocka_unit_test(the_oldest_changes_go),
	        cmocka_unit_test(bad_heads_are_refused), cmocka_unit_test(too_many_changes_are_refused),
	        cmocka_unit_test(what_is_new),
	};

	return cmocka_run_group_tests_name("follow", tests, NULL, NULL);
}
