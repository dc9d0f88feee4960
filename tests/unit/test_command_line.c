// SPDX-License-Identifier: Apache-2.0
/* Commands as written to control files, taken apart and put together. */
#include <keepfs/base/cleanup.h>
#include <keepfs/base/mem.h>
#include <keepfs/base/str.h>
#include <keepfs/codec/command_line.h>

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void words_and_pairs_are_split(void **state)
{
	_cleanup(command_line) struct command_line c = {0};
	struct error err = {0};

	assert_int_equal(
	        command_line_parse(" full\tnote=\"before the \\\"big\\\" one\" 'two words' a\\ b x='' "
	                           "y=1=2 /p=q 'k'=v k\\=v \"\" =v\n",
	                           &c, &err),
	        0);
	assert_int_equal(c.word_count, 8);
	assert_string_equal(c.words[0], "full");
	assert_string_equal(c.words[1], "two words");
	assert_string_equal(c.words[2], "a b");
	assert_string_equal(c.words[3], "/p=q");
	assert_string_equal(c.words[4], "k=v");
	assert_string_equal(c.words[5], "k=v");
	assert_string_equal(c.words[6], "");
	assert_string_equal(c.words[7], "=v");
	assert_int_equal(c.pair_count, 3);
	assert_string_equal(c.pairs[0].key, "note");
	assert_string_equal(c.pairs[0].value, "before the \"big\" one");
	assert_string_equal(c.pairs[1].key, "x");
	assert_string_equal(c.pairs[1].value, "");
	assert_string_equal(c.pairs[2].key, "y");
	assert_string_equal(c.pairs[2].value, "1=2");
	command_line_finish(&c);
	assert_int_equal(command_line_parse(" \n\t", &c, &err), 0);
	assert_int_equal(c.word_count + c.pair_count, 0);
}

static void what_is_no_command_is_refused(void **state)
{
	static const char *const bad[] = {"'open",
	                                  "\"open",
	                                  "full \"a\\\"",
	                                  "a\\",
	                                  "a\x01",
	                                  "'\n'",
	                                  "\"\t\"",
	                                  "k='\x7f'",
	                                  "\x1b[0m",
	                                  "a\\\n",
	                                  "note=\xff",
	                                  "note='\xc3'",
	                                  "note=\xc2\x9b"
	                                  "31m",
	                                  "k=\xed\xa0\x80"};
	_cleanup(free) char *longest = malloc(COMMAND_LINE_MAX_BYTES + 2);

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct command_line c = {0};
		struct error err = {0};

		assert_int_equal(command_line_parse(bad[i], &c, &err), -EINVAL);
		assert_int_equal(err.class, ERROR_USAGE);
		assert_true(strlen(err.message) > 10);
		assert_null(c.words);
	}
	memset(longest, 'x', COMMAND_LINE_MAX_BYTES + 1);
	longest[COMMAND_LINE_MAX_BYTES + 1] = '\0';
	{
		struct command_line c = {0};

		assert_int_equal(command_line_parse(longest, &c, NULL), -EINVAL);
		longest[COMMAND_LINE_MAX_BYTES] = '\0';
		assert_int_equal(command_line_parse(longest, &c, NULL), 0);
		assert_int_equal(c.word_count, 1);
		command_line_finish(&c);
	}
}

static void a_cut_command_is_whole_or_refused(void **state)
{
	static const char whole[] = "full a=\"b \\\" c\" 'd \\ e' f\\ g h=i\\\\ ''";
	/* Where a cut leaves a quote open or a backslash alone. */
	for (size_t len = 0; len <= strlen(whole); len++) {
		_cleanup(free) char *text = strndup(whole, len);
		bool single = false, twice = false, escaped = false;
		struct command_line c = {0};

		for (const char *p = text; *p; p++) {
			if (escaped)
				escaped = false;
			else if (*p == '\\' && !single)
				escaped = true;
			else if (*p == '\'' && !twice)
				single = !single;
			else if (*p == '"' && !single)
				twice = !twice;
		}
		assert_int_equal(command_line_parse(text, &c, NULL),
		                 single || twice || escaped ? -EINVAL : 0);
		command_line_finish(&c);
	}
}

/* What was split is one command again, that means the same. */
static void words_become_one_command_again(void **state)
{
	static const char *const words[] = {"full",
	                                    "note=it's \"big\" \\ here",
	                                    "tables=a.\"B c\", d",
	                                    "x=",
	                                    "two words",
	                                    "Key=v w",
	                                    "",
	                                    "=a",
	                                    "note2=\xc3\xa4",
	                                    "a-b=$x;y"};
	_cleanup(command_line) struct command_line c = {0};
	_cleanup(str) struct str text = {0};
	struct error err = {0};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		command_line_append(&text, words[i]);
	assert_string_equal(
	        str_text(&text),
	        "full note='it'\\''s \"big\" \\ here' tables='a.\"B c\", d' x= 'two words' 'Key=v w' "
	        "'' =a note2=\xc3\xa4 a-b=$x;y");
	if (command_line_parse(str_text(&text), &c, &err) < 0)
		fail_msg("%s", err.message);
	assert_int_equal(c.word_count, 5);
	assert_int_equal(c.pair_count, 5);
	for (size_t i = 0, word = 0, option = 0; i < ARRAY_SIZE(words); i++) {
		_cleanup(free) char *pair =
		        option < 5 ? mem_printf("%s=%s", c.pairs[option].key, c.pairs[option].value) : NULL;

		if (pair && strcmp(words[i], pair) == 0)
			option++;
		else
			assert_string_equal(words[i], c.words[word++]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	        cmocka_unit_test(words_and_pairs_are_split),
	        cmocka_unit_test(what_is_no_command_is_refused),
	        cmocka_unit_test(a_cut_command_is_whole_or_refused),
	        cmocka_unit_test(words_become_one_command_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
