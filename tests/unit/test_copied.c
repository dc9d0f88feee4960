// SPDX-License-Identifier: Apache-2.0
/* What a store of copies says of itself: as it was written, and whatever else may lie there. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include <keepfs/base/mem.h>
#include <keepfs/codec/copied.h>

static const char pem[] = "-----BEGIN PRIVATE KEY-----\n"
                          "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n"
                          "-----END PRIVATE KEY-----\n";
static const char other_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                                "MC4CAQAwBQYDK2VwBCIEIEzNCJso/5banbbCNa4o+5zTr4tx4FcqGAu0Wq/yvB/7\n"
                                "-----END PRIVATE KEY-----\n";

static struct sign_key *key_of(const char *text)
{
	struct sign_key *key = NULL;

	assert_int_equal(sign_key_parse("key", text, strlen(text), &key, NULL), 0);
	return key;
}

static void fill(struct copied *c)
{
	static const int64_t absent[] = {3, 4, 5, 9, 11, 12};

	*c = (struct copied){.at_us = INT64_C(1795140000000000),
	                     .store = mem_strdup("s3://offsite/copies"),
	                     .chain = "0123456789abcdef",
	                     .sequence = 20};
	for (size_t i = 0; i < ARRAY_SIZE(absent); i++)
		copied_add_absent(c, absent[i]);
	copied_add_before(c, "backups/full/b.dump");
	copied_add_before(c, "backups/full/a.dump");
	copied_sort(c);
}

static void says_what_was_said(void **state)
{
	_cleanup(sign_key) struct sign_key *key = key_of(pem), *other = key_of(other_pem);
	_cleanup(copied) struct copied c = {0}, read = {0};
	_cleanup(str) struct str text = {0};

	fill(&c);
	copied_encode(&c, key, &text);
	assert_int_equal(copied_decode(text.data, text.len, &read, NULL), 0);
	assert_string_equal(read.store, c.store);
	assert_string_equal(read.chain, c.chain);
	assert_int_equal(read.at_us, c.at_us);
	assert_int_equal(read.sequence, 20);
	assert_int_equal(read.absent_count, 3);
	for (int64_t n = 0; n <= 21; n++)
		assert_int_equal(copied_lacks(&read, n), (n >= 3 && n <= 5) || n == 9 || n == 11 || n == 12);
	assert_true(copied_lacks_before(&read, "backups/full/a.dump"));
	assert_true(copied_lacks_before(&read, "backups/full/b.dump"));
	assert_false(copied_lacks_before(&read, "backups/full/c.dump"));
	assert_true(copied_is_signed_by(&read, sign_key_public(key), text.data, text.len));
	assert_false(copied_is_signed_by(&read, sign_key_public(other), text.data, text.len));
	text.data[text.len / 2] ^= 1;
	assert_false(copied_is_signed_by(&read, sign_key_public(key), text.data, text.len));
}

static void one_that_lacks_nothing(void **state)
{
	_cleanup(sign_key) struct sign_key *key = key_of(pem);
	_cleanup(copied) struct copied c = {.store = mem_strdup(""),
	                                    .chain = "0123456789abcdef",
	                                    .sequence = 1,
	                                    .at_us = 1},
	                               read = {0};
	_cleanup(str) struct str text = {0};

	copied_encode(&c, key, &text);
	assert_int_equal(copied_decode(text.data, text.len, &read, NULL), 0);
	assert_false(copied_lacks(&read, 1));
	assert_false(copied_lacks_before(&read, "backups/full/a.dump"));
}

static void the_time_changes_nothing(void **state)
{
	_cleanup(copied) struct copied c = {0};
	_cleanup(str) struct str before = {0}, after = {0};

	fill(&c);
	copied_encode(&c, NULL, &before);
	c.at_us++;
	copied_encode(&c, NULL, &after);
	assert_string_equal(str_text(&before), str_text(&after));
	copied_add_absent(&c, 20);
	str_clear(&after);
	copied_encode(&c, NULL, &after);
	assert_string_not_equal(str_text(&before), str_text(&after));
}

#define HEAD  "{\"format\":\"keepfs-copied\",\"version\":1,\"at\":\"2026-11-20T02:00:00.000000Z\","
#define CHAIN "\"store\":\"x\",\"chain\":\"0123456789abcdef\","
#define END                                                                                                  \
	",\n\"signature\":{\"key\":\"0123456789abcdef\",\"ed25519\":"                                        \
	"\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\"}}\n"

static void whatever_else_lies_there_is_refused(void **state)
{
	static const struct {
		const char *text, *why;
		int r;
	} cases[] = {
	        {"", "not signed", -EBADMSG},
	        {"{}", "not signed", -EBADMSG},
	        {"{" END, "state/copied.json", -EBADMSG},
	        {"{\"format\":\"keepfs-checkpoint\",\"version\":1" END, "does not say", -EBADMSG},
	        {"{\"format\":\"keepfs-copied\",\"version\":2" END, "newer keepfs", -ENOTSUP},
	        {"{\"format\":\"keepfs-copied\",\"version\":1,\"at\":7" END, "\"at\"", -EBADMSG},
	        {HEAD "\"store\":\"x\",\"chain\":\"short\"" END, "\"chain\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":0" END, "\"sequence\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":1000000000000" END, "\"sequence\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":{}" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[3]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[[1,2,3]]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[[\"1\",2]]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[[3,2]]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[[0,2]]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[[1,2],[3,3]]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[[4,10]]" END, "\"absent\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[]" END, "\"absent_before\"", -EBADMSG},
	        {HEAD CHAIN "\"sequence\":9,\"absent\":[],\"absent_before\":[7]" END, "\"absent_before\"",
	         -EBADMSG},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct copied c = {0};
		struct error err = {0};

		assert_int_equal(copied_decode(cases[i].text, strlen(cases[i].text), &c, &err), cases[i].r);
		if (!strstr(err.message, cases[i].why))
			fail_msg("%s: %s", cases[i].text, err.message);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(says_what_was_said),
	        cmocka_unit_test(one_that_lacks_nothing),
	        cmocka_unit_test(the_time_changes_nothing),
	        cmocka_unit_test(whatever_else_lies_there_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
