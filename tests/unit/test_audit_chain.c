// SPDX-License-Identifier: Apache-2.0
/* The chain of the audit: what was changed, removed, added, exchanged or cut off is found, and nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <string.h>

#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/audit_chain.h>

#define LINES 6
#define ZEROS "0000000000000000000000000000000000000000000000000000000000000000"

static char *lines[LINES + 1]; /* from 1 */
static char hashes[LINES + 1][SHA256_HEX_BYTES];

static char *make_line(int64_t number, const char *previous, const char *object)
{
	return mem_printf("{\"at\":\"2026-11-20T02:00:00.000000Z\",\"object\":\"%s\",\"number\":%" PRId64
	                  ",\"previous\":\"%s\"}",
	                  object, number, previous);
}

static void hash_of(const char *line, char *ret)
{
	uint8_t digest[SHA256_BYTES];

	sha256_once(line, strlen(line), digest);
	hex_encode(digest, sizeof(digest), ret);
}

static int make_lines(void **state)
{
	strcpy(hashes[0], ZEROS);
	for (int i = 1; i <= LINES; i++) {
		lines[i] = make_line(i, hashes[i - 1], "x");
		hash_of(lines[i], hashes[i]);
	}
	return 0;
}

static int free_lines(void **state)
{
	for (int i = 1; i <= LINES; i++)
		free(lines[i]);
	return 0;
}

static void note(void *arg, const char *text)
{
	str_appendf(arg, "%s;", text);
}

static struct audit_chain *begin(struct str *found)
{
	return audit_chain_new(note, found);
}

static void feed(struct audit_chain *c, const char *line)
{
	audit_chain_feed(c, line, strlen(line));
}

static void expect(struct audit_chain *c, int number, int hash_of_line, const char *source)
{
	struct audit_head head = {.number = number};

	strcpy(head.hash, hashes[hash_of_line]);
	audit_chain_expect(c, &head, source);
}

static void a_chain_is_whole(void **state)
{
	_cleanup(str) struct str found = {0};
	_cleanup(audit_chain) struct audit_chain *c = begin(&found);
	struct audit_chain_result result;

	expect(c, 6, 6, "B");
	expect(c, 3, 3, "A");
	for (int i = 1; i <= LINES; i++)
		feed(c, lines[i]);
	audit_chain_end(c, &result);
	assert_string_equal(str_text(&found), "");
	assert_int_equal(result.lines, LINES);
	assert_true(result.whole);
	assert_int_equal(result.head.number, LINES);
	assert_string_equal(result.head.hash, hashes[LINES]);
	assert_int_equal(result.expected, 2);
}

static void the_beginning_may_be_elsewhere(void **state)
{
	_cleanup(str) struct str found = {0};
	_cleanup(audit_chain) struct audit_chain *c = begin(&found);
	struct audit_chain_result result;

	expect(c, 1, 1, "A");
	for (int i = 4; i <= LINES; i++)
		feed(c, lines[i]);
	audit_chain_end(c, &result);
	assert_string_equal(str_text(&found), "");
	assert_false(result.whole);
	assert_int_equal(result.first, 4);
	assert_int_equal(result.before, 1);
}

static void old_lines_are_counted(void **state)
{
	_cleanup(str) struct str found = {0};
	_cleanup(audit_chain) struct audit_chain *c = begin(&found);
	struct audit_chain_result result;

	feed(c, "{\"at\":\"2026-11-20T02:00:00.000000Z\",\"object\":\"old\"}");
	feed(c, lines[1]);
	feed(c, "{\"object\":\"put in between\"}");
	feed(c, lines[2]);
	audit_chain_end(c, &result);
	assert_int_equal(result.old, 1);
	assert_string_equal(str_text(&found), "behind line 1 there is one without a place in the chain;");
}

/* Each of these leaves line @changed out (NULL), or puts another one there. */
static void check(int changed, const char *line, const char *want)
{
	_cleanup(str) struct str found = {0};
	_cleanup(audit_chain) struct audit_chain *c = begin(&found);
	struct audit_chain_result result;

	for (int i = 1; i <= LINES; i++) {
		if (i != changed)
			feed(c, lines[i]);
		else if (line)
			feed(c, line);
	}
	audit_chain_end(c, &result);
	assert_string_equal(str_text(&found), want);
	assert_int_equal(result.wrong > 0, *want != '\0');
}

static void changes_are_found(void **state)
{
	_cleanup(free) char *other = make_line(3, hashes[2], "y"), *anew = make_line(3, ZEROS, "x"),
	                    *zero = make_line(0, hashes[2], "x");

	check(3, NULL, "line 3 is missing;");
	check(3, other, "line 3 is not the one that line 4 names: one of them was changed;");
	check(3, anew,
	      "the chain begins anew with line 3, which does not name the line before it;"
	      "line 3 is not the one that line 4 names: one of them was changed;");
	check(3, lines[2], "line 2 comes after line 2;line 3 is missing;");
	check(3, lines[5], "lines 3 to 4 are missing;line 4 comes after line 5;");
	check(3, "no json", "behind line 2 there is one without a place in the chain;line 3 is missing;");
	check(3, zero, "behind line 2 there is one without a place in the chain;line 3 is missing;");
	check(3, "{\"previous\":\"x\"}",
	      "behind line 2 there is one without a place in the chain;line 3 is missing;");
	check(LINES, NULL, "");
}

static void an_end_that_was_cut_off_is_found_by_a_head(void **state)
{
	_cleanup(str) struct str found = {0};
	_cleanup(audit_chain) struct audit_chain *c = begin(&found);
	_cleanup(audit_chain) struct audit_chain *none = begin(&found);
	struct audit_chain_result result;

	expect(c, 5, 5, "the digest");
	for (int i = 1; i <= 4; i++)
		feed(c, lines[i]);
	audit_chain_end(c, &result);
	assert_string_equal(
	        str_text(&found),
	        "there were lines up to 5, as the digest says: what comes behind line 4 was cut off;");
	str_clear(&found);
	expect(none, 5, 5, "the digest");
	audit_chain_end(none, &result);
	assert_int_equal(result.wrong, 1);
}

/* Who can write everywhere makes the whole chain anew; a head that was noted shows it. */
static void a_chain_made_anew_is_found_by_a_head(void **state)
{
	_cleanup(str) struct str found = {0};
	_cleanup(audit_chain) struct audit_chain *c = begin(&found);
	char previous[SHA256_HEX_BYTES] = ZEROS;
	struct audit_chain_result result;

	expect(c, 4, 4, "the digest");
	for (int i = 1; i <= LINES; i++) {
		_cleanup(free) char *line = make_line(i, previous, "forged");

		feed(c, line);
		hash_of(line, previous);
	}
	audit_chain_end(c, &result);
	assert_string_equal(str_text(&found), "line 4 is another one than the digest tells of;");
}

static void heads_are_parsed(void **state)
{
	struct audit_head head;

	assert_true(audit_head_parse("17:" ZEROS, &head));
	assert_int_equal(head.number, 17);
	assert_false(audit_head_parse("17", &head));
	assert_false(audit_head_parse("17:0", &head));
	assert_false(audit_head_parse("0:" ZEROS, &head));
	assert_false(audit_head_parse("-1:" ZEROS, &head));
	assert_false(audit_head_parse("17:" ZEROS "0", &head));
	assert_false(audit_head_parse("99999999999999999999:" ZEROS, &head));
	assert_false(audit_head_parse("17:Z000000000000000000000000000000000000000000000000000000000000000",
	                              &head));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(a_chain_is_whole),
	        cmocka_unit_test(the_beginning_may_be_elsewhere),
	        cmocka_unit_test(old_lines_are_counted),
	        cmocka_unit_test(changes_are_found),
	        cmocka_unit_test(an_end_that_was_cut_off_is_found_by_a_head),
	        cmocka_unit_test(a_chain_made_anew_is_found_by_a_head),
	        cmocka_unit_test(heads_are_parsed),
	};

	return cmocka_run_group_tests_name("audit_chain", tests, make_lines, free_lines);
}
